//! `diagnose runbook list|show|lint|test`.

use std::collections::{BTreeMap, VecDeque};

use comfy_table::{Table, presets::NOTHING};
use serde_saphyr::Spanned;

use super::{Failure, library, page::Page, write};
use crate::{
    cli::{LibraryArgs, RunbookCommand},
    config::{self, Environment},
    exit::Exit,
    runbook::{Library, Next, Runbook, lint, problem::did_you_mean, trial},
    unit::counted,
};

/// Runs one of the commands about runbooks.
pub fn run(command: RunbookCommand, env: &Environment) -> anyhow::Result<Exit> {
    match command {
        RunbookCommand::List(args) => write::print(&list(&library(&args, env)?))?,
        RunbookCommand::Show { id, library: args } => {
            let library = library(&args, env)?;
            write::print(&show(find(&id, &library)?, &library))?;
        }
        RunbookCommand::Lint(args) => return lint(&args, env),
        RunbookCommand::Test { id, library: args } => {
            let library = library(&args, env)?;
            if let Some(id) = &id {
                find(id, &library)?;
            }
            return test(&library, id.as_deref());
        }
    }
    Ok(Exit::Clean)
}

fn find<'a>(id: &str, library: &'a Library) -> Result<&'a Runbook, Failure> {
    library.runbooks.get(id).ok_or_else(|| {
        let names = library.runbooks.keys().map(String::as_str);
        Failure {
            tried: format!("find the runbook `{id}`"),
            happened: "no runbook has this id".into(),
            next: did_you_mean(id, names)
                .unwrap_or_else(|| "`diagnose runbook list` shows them".into()),
            exit: Exit::Failed,
        }
    })
}

fn list(library: &Library) -> String {
    let mut table = Table::new();
    table.load_style(NOTHING).set_header(["runbook", "title", "steps", "tests"]);
    for runbook in library.runbooks.values() {
        table.add_row([
            runbook.id.value.clone(),
            runbook.title.clone(),
            runbook.steps.len().to_string(),
            runbook.tests.len().to_string(),
        ]);
    }
    let lines: Vec<_> = table.lines().map(|line| line.trim().to_owned()).collect();
    lines.join("\n")
}

/// The tree of a runbook at 80 columns: steps numbered in the order in which answers lead there.
fn show(runbook: &Runbook, library: &Library) -> String {
    let order = walk_order(runbook);
    let numbers: BTreeMap<&str, usize> =
        order.iter().enumerate().map(|(index, name)| (*name, index + 1)).collect();
    let mut page = Page::default();
    page.text("", &format!("{}: {}", runbook.id.value, runbook.title));
    for symptom in &runbook.symptoms {
        page.text("  - ", symptom);
    }
    for name in &order {
        let Some(step) = runbook.steps.get(*name) else { continue };
        let check = step.check.value.as_str();
        let question = library.checks.get(check).map_or("(unknown check)", |check| &check.question);
        page.gap().text(&format!("{:>2}. ", numbers[name]), question);
        page.text("    ", &format!("step {name}, check {check}"));
        let answers = [("yes", &step.then), ("no", &step.otherwise), ("unknown", &step.unknown)];
        for (answer, next) in answers {
            page.text(&format!("    {answer:<7} → "), &leads_to(next, &numbers, library));
        }
    }
    page.finish()
}

/// Steps reachable from the start, breadth first.
pub(super) fn walk_order(runbook: &Runbook) -> Vec<&str> {
    let mut order: Vec<&str> = Vec::new();
    let mut queue = VecDeque::from([runbook.start.value.as_str()]);
    while let Some(name) = queue.pop_front() {
        if order.contains(&name) {
            continue;
        }
        let Some(step) = runbook.steps.get(name) else { continue };
        order.push(name);
        let nexts = [&step.then, &step.otherwise, &step.unknown];
        queue.extend(nexts.into_iter().filter_map(|next| value(next.goto.as_ref())));
    }
    order
}

fn leads_to(next: &Next, numbers: &BTreeMap<&str, usize>, library: &Library) -> String {
    if let Some(step) = value(next.goto.as_ref()) {
        return numbers.get(step).map_or_else(
            || format!("{step} (no such step)"),
            |number| format!("step {number} ({step})"),
        );
    }
    if let Some(cause) = value(next.cause.as_ref()) {
        let title = library.causes.get(cause).map_or("(unknown cause)", |cause| &cause.title);
        return format!("cause {cause}: {title}");
    }
    next.done.clone().unwrap_or_else(|| "(nowhere)".into())
}

/// The text of a field, where it is set.
pub(super) fn value(text: Option<&Spanned<String>>) -> Option<&str> {
    text.map(|text| text.value.as_str())
}

/// Prints every mistake under its line. Files that do not parse are mistakes as well.
fn lint(args: &LibraryArgs, env: &Environment) -> anyhow::Result<Exit> {
    let directories = config::directories(&args.runbooks, &args.config, env)?;
    let color = env.color();
    let library = match Library::load(&directories) {
        Ok(library) => library,
        Err(error) if error.unreadable.is_empty() => {
            write::print(&error.render(color))?;
            return Ok(Exit::Finding);
        }
        Err(error) => return Err(error.into()),
    };
    let problems = lint::lint(&library);
    let errors = problems.iter().filter(|problem| problem.is_error()).count();
    let mut out: String = problems.iter().map(|p| format!("{}\n\n", p.render(color))).collect();
    out.push_str(&format!(
        "{}: {}, {}",
        counted(library.files.len(), "file"),
        counted(errors, "error"),
        counted(problems.len() - errors, "warning")
    ));
    write::print(&out)?;
    Ok(if errors > 0 { Exit::Finding } else { Exit::Clean })
}

/// Runs the tests of one runbook, or of all.
fn test(library: &Library, only: Option<&str>) -> anyhow::Result<Exit> {
    let mut out = String::new();
    let (mut passed, mut failed) = (0, 0);
    for runbook in library.runbooks.values() {
        let id = runbook.id.value.as_str();
        if only.is_some_and(|only| only != id) {
            continue;
        }
        for test in &runbook.tests {
            let outcome = trial::run(library, runbook, test);
            match outcome {
                None => passed += 1,
                Some(_) => failed += 1,
            }
            let word = if outcome.is_none() { "pass" } else { "FAIL" };
            out.push_str(&format!("{word}  {id}: {}\n", test.name));
            for line in outcome.iter().flat_map(|why| why.lines()) {
                out.push_str(&format!("      {line}\n"));
            }
        }
    }
    write::print(&format!("{out}{passed} passed, {failed} failed"))?;
    Ok(if failed > 0 { Exit::Finding } else { Exit::Clean })
}

#[cfg(test)]
mod tests {
    use unicode_width::UnicodeWidthStr;

    use super::*;

    #[test]
    fn every_embedded_tree_fits_80_columns_and_names_every_reachable_step() {
        let library = Library::embedded().unwrap();
        for runbook in library.runbooks.values() {
            let shown = show(runbook, &library);
            for line in shown.lines() {
                assert!(line.width() <= 80, "{line}");
            }
            for step in walk_order(runbook) {
                assert!(shown.contains(&format!("step {step}, check")), "{step}\n{shown}");
            }
            assert!(!shown.contains("(unknown") && !shown.contains("(no such"), "{shown}");
        }
    }

    #[test]
    fn the_list_has_a_row_for_each_runbook() {
        let library = Library::embedded().unwrap();
        assert_eq!(list(&library).lines().count(), library.runbooks.len() + 1);
    }

    #[test]
    fn an_unknown_runbook_names_the_nearest() {
        let library = Library::embedded().unwrap();
        let failure = find("high-tfft", &library).unwrap_err();
        assert_eq!(failure.next, "did you mean `high-ttft`?");
    }
}
