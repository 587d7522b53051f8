//! The tree of a runbook as a Mermaid flowchart.

use std::collections::BTreeMap;

use crate::{
    commands::runbook::{value, walk_order},
    runbook::{Library, Next, Runbook, Step},
};

/// The fenced flowchart: a box for each step, a stadium for each cause, round corners for an end.
pub(super) fn flowchart(runbook: &Runbook, library: &Library) -> String {
    let mut chart = Chart::default();
    let steps: Vec<(&str, &Step)> = walk_order(runbook)
        .into_iter()
        .filter_map(|name| Some((name, runbook.steps.get(name)?)))
        .collect();
    for (name, step) in &steps {
        let check = step.check.value.as_str();
        let question = library.checks.get(check).map_or(check, |check| &check.question);
        chart.node(Node::Step(name), format!("[\"{}\"]", quoted(&format!("{name}: {question}"))));
    }
    for (name, step) in &steps {
        for (answers, next) in grouped(step) {
            chart.edge(name, &answers.join(" or "), next, library);
        }
    }
    chart.finish()
}

/// What a node stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Node<'a> {
    Step(&'a str),
    Cause(&'a str),
    End(&'a str),
}

/// Lines of a flowchart, and the id of each node.
#[derive(Default)]
struct Chart<'a> {
    nodes: Vec<String>,
    edges: Vec<String>,
    ids: BTreeMap<Node<'a>, String>,
    causes: Vec<String>,
}

impl<'a> Chart<'a> {
    /// The id of a node, which is defined at its first use.
    fn node(&mut self, node: Node<'a>, shape: String) -> String {
        if let Some(id) = self.ids.get(&node) {
            return id.clone();
        }
        let letter = match node {
            Node::Step(_) => 's',
            Node::Cause(_) => 'c',
            Node::End(_) => 'e',
        };
        let id = format!("{letter}{}", self.ids.len() + 1);
        if letter == 'c' {
            self.causes.push(id.clone());
        }
        self.nodes.push(format!("  {id}{shape}\n"));
        self.ids.insert(node, id.clone());
        id
    }

    fn edge(&mut self, from: &'a str, answer: &str, next: &'a Next, library: &Library) {
        let to = match (value(next.goto.as_ref()), value(next.cause.as_ref()), &next.done) {
            (Some(step), ..) => self.node(Node::Step(step), format!("[\"{}\"]", quoted(step))),
            (None, Some(cause), _) => {
                let title = library.causes.get(cause).map_or("", |cause| cause.title.as_str());
                self.node(
                    Node::Cause(cause),
                    format!("([\"{}\"])", quoted(&format!("{cause}: {title}"))),
                )
            }
            (None, None, Some(end)) => self.node(Node::End(end), format!("(\"{}\")", quoted(end))),
            (None, None, None) => return,
        };
        let from = self.node(Node::Step(from), String::new());
        self.edges.push(format!("  {from} -->|{answer}| {to}\n"));
    }

    fn finish(self) -> String {
        let bold = match self.causes.is_empty() {
            true => String::new(),
            false => format!(
                "  classDef cause stroke-width:3px\n  class {} cause\n",
                self.causes.join(",")
            ),
        };
        format!(
            "```mermaid\nflowchart TD\n{}{}{bold}```\n",
            self.nodes.concat(),
            self.edges.concat()
        )
    }
}

/// The answers of a step, those that lead to the same place together.
fn grouped(step: &Step) -> Vec<(Vec<&'static str>, &Next)> {
    let place = |next: &Next| {
        let (goto, cause) = (value(next.goto.as_ref()), value(next.cause.as_ref()));
        (goto.map(str::to_owned), cause.map(str::to_owned), next.done.clone())
    };
    let mut groups: Vec<(Vec<&'static str>, &Next)> = Vec::new();
    for (answer, next) in [("yes", &step.then), ("no", &step.otherwise), ("unknown", &step.unknown)]
    {
        match groups.iter_mut().find(|(_, known)| place(known) == place(next)) {
            Some((answers, _)) => answers.push(answer),
            None => groups.push((vec![answer], next)),
        }
    }
    groups
}

/// Text inside double quotes: what Mermaid would read as its own is spelt as an entity.
fn quoted(text: &str) -> String {
    let spelt = |c: char| match c {
        '#' => "#35;".into(),
        '"' => "#quot;".into(),
        '`' => "#96;".into(),
        '<' => "#lt;".into(),
        '>' => "#gt;".into(),
        _ => c.to_string(),
    };
    text.chars().map(spelt).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_mermaid_would_read_is_spelt() {
        assert_eq!(quoted("a \"b\" #1 `c` <d>"), "a #quot;b#quot; #35;1 #96;c#96; #lt;d#gt;");
    }
}
