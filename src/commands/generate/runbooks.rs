//! `docs/runbooks/`: a page for each runbook, from the registry alone.

use std::{collections::BTreeMap, path::PathBuf};

use super::tree::flowchart;
use crate::{
    commands::{
        condition, examples,
        run::{Asked, judge},
        runbook::walk_order,
    },
    evidence::Evidence,
    monitor::load::Rules,
    report::words,
    runbook::{Cause, CauseRecord, Check, Fix, Library, Runbook, Tally},
    unit::counted,
};

/// The folder of the pages.
const FOLDER: &str = "docs/runbooks";
/// Where the recordings lie that ship with the source.
pub(super) const RECORDINGS: &str = "fixtures/incidents";

const GENERATED: &str =
    "<!-- Generated from runbooks/ by `cargo run -- generate --write`; edit those. -->";

/// A recorded incident that ships.
#[derive(Debug)]
pub(super) struct Recording {
    /// Its folder, inside [`RECORDINGS`].
    pub(super) name: String,
    /// The cause that is to be named first.
    pub(super) cause: String,
    /// What was recorded.
    pub(super) evidence: Evidence,
}

/// Everything the pages are made of.
#[derive(Debug)]
pub(super) struct Registry<'a> {
    pub(super) library: &'a Library,
    pub(super) rules: &'a Rules,
    pub(super) recordings: &'a [Recording],
}

/// The pages by path, the index among them.
pub(super) fn pages(registry: &Registry<'_>) -> BTreeMap<PathBuf, String> {
    let books = registry.library.runbooks.values();
    let mut pages: BTreeMap<PathBuf, String> = books
        .map(|book| (PathBuf::from(format!("{FOLDER}/{}.md", book.id.value)), registry.page(book)))
        .collect();
    pages.insert(PathBuf::from(format!("{FOLDER}/README.md")), registry.index());
    pages
}

impl<'a> Registry<'a> {
    fn index(&self) -> String {
        let row = |book: &Runbook| {
            let id = &book.id.value;
            let recordings: Vec<String> =
                self.recordings_of(book).iter().map(|it| format!("`{}`", it.name)).collect();
            let recordings =
                if recordings.is_empty() { "none ships".into() } else { recordings.join(", ") };
            let steps = counted(book.steps.len(), "step");
            let causes = counted(tree_causes(book).len(), "cause");
            format!("| [`{id}`]({id}.md) | {} | {steps}, {causes} | {recordings} |\n", book.title)
        };
        let rows: String = self.library.runbooks.values().map(row).collect();
        format!(
            "{GENERATED}\n\n# Runbooks\n\n\
             Each is a command: `diagnose <runbook>`. `diagnose sweep` asks all of them at once. \
             [A runbook of your own](../adding-a-runbook.md) takes ten lines.\n\n\
             | runbook | when | tree | recordings in `{RECORDINGS}` |\n|---|---|---|---|\n{rows}"
        )
    }

    fn page(&self, book: &Runbook) -> String {
        let id = &book.id.value;
        let parts = [
            format!("{GENERATED}\n\n# {id}: {}\n\n[All runbooks](README.md)\n", book.title),
            self.when(book),
            self.commands(book),
            format!("## Tree\n\n{GATE}\n\n{}", flowchart(book, self.library)),
            self.checks(book),
            self.causes(book),
            self.fixes(book),
            self.track_record(book),
        ];
        parts.join("\n")
    }

    /// What users report, and the alerts that send people here.
    fn when(&self, book: &Runbook) -> String {
        let symptoms: String = book.symptoms.iter().map(|it| format!("- {it}\n")).collect();
        let alerts = self.rules.alerts.iter().filter(|alert| alert.runbook == book.id.value);
        let alerts: Vec<String> = alerts.map(|alert| format!("`{}`", alert.id)).collect();
        let alerts = match alerts.is_empty() {
            true => String::new(),
            false => format!(
                "- An [alert](../monitoring.md#alerts) that names it fires: {}.\n",
                alerts.join(", ")
            ),
        };
        format!("## When to use it\n\n{symptoms}{alerts}")
    }

    fn commands(&self, book: &Runbook) -> String {
        let mut lines = examples::of_runbook(book);
        let recordings = self.recordings_of(book);
        lines.extend(recordings.iter().map(|recording| {
            let cause = &recording.cause;
            let path = format!("{RECORDINGS}/{}", recording.name);
            examples::example(
                format!("a recording that ships; it names {cause}"),
                format!("{} --replay {path}", book.id.value),
            )
        }));
        let lines: String = lines
            .iter()
            .map(|it| format!("# {}\n{}\n", it.says.replace('`', ""), it.command))
            .collect();
        let none = match recordings.is_empty() {
            false => "",
            true => "\nNo recording of such an incident ships with the source.\n",
        };
        format!("```sh\n{lines}```\n{none}")
    }

    /// Recordings of incidents that the tree leads to, and that the runbook names rightly.
    fn recordings_of(&self, book: &Runbook) -> Vec<&'a Recording> {
        let causes = tree_causes(book);
        let leads = |it: &&Recording| causes.contains(&it.cause.as_str());
        self.recordings.iter().filter(leads).filter(|it| self.names(book, it)).collect()
    }

    fn names(&self, book: &Runbook, recording: &Recording) -> bool {
        let asked = Asked { runbook: Some(book), ..Asked::sweep() };
        let report = judge(&asked, self.library, &recording.evidence);
        words::top_cause(&report).is_some_and(|cause| cause.id == recording.cause)
    }

    fn checks(&self, book: &Runbook) -> String {
        let mut order: Vec<(&str, String)> =
            book.gate.iter().map(|id| (id.value.as_str(), "**symptom**".to_owned())).collect();
        let steps = walk_order(book);
        for step in steps {
            let Some(check) = book.steps.get(step).map(|it| it.check.value.as_str()) else {
                continue;
            };
            match order.iter_mut().find(|(id, _)| *id == check) {
                Some((_, asked)) => asked.push_str(&format!(", {step}")),
                None => order.push((check, step.to_owned())),
            }
        }
        let rows = order
            .iter()
            .filter_map(|(id, asked)| Some(self.check_row(self.library.checks.get(*id)?, asked)));
        format!(
            "## Checks\n\n\
             | asked as | check | question | yes where | read from |\n|---|---|---|---|---|\n{}",
            rows.collect::<String>()
        )
    }

    fn check_row(&self, check: &Check, asked: &str) -> String {
        format!(
            "| {asked} | `{}` | {} | {} | {} |\n",
            check.id.value,
            cell(&check.question),
            condition::in_words(check, &self.library.policy).replace('|', "\\|"),
            condition::sources(check).join(", ")
        )
    }

    /// Causes of the tree, then those that are ranked beside them.
    fn causes_of(&self, book: &Runbook) -> Vec<&'a Cause> {
        let mut ids = tree_causes(book);
        let own = book.causes.iter().map(|cause| cause.value.as_str());
        ids.extend(own.filter(|cause| !tree_causes(book).contains(cause)));
        ids.into_iter().filter_map(|id| self.library.causes.get(id)).collect()
    }

    fn causes(&self, book: &Runbook) -> String {
        let row = |cause: &Cause| {
            let id = &cause.id.value;
            let first = cause.fixes.first().map_or("none is known".into(), |fix| filled(&fix.text));
            let title = cell(&cause.title);
            format!("| [`{id}`](#{id}) | {} | {title} | {first} |\n", cause.family)
        };
        let rows: String = self.causes_of(book).into_iter().map(row).collect();
        let all = match book.causes.is_empty() {
            true => "\nBeside these, all other causes are weighed, too.\n",
            false => "",
        };
        format!(
            "## Causes\n\n\
             | cause | family | what it means | first fix |\n|---|---|---|---|\n{rows}{all}"
        )
    }

    fn fixes(&self, book: &Runbook) -> String {
        let section = |cause: &Cause| {
            let fixes: String = cause.fixes.iter().map(|fix| self.fix(fix)).collect();
            let fixes = if fixes.is_empty() { "No fix is known.\n".into() } else { fixes };
            format!("\n### {}\n\n{}\n\n{fixes}", cause.id.value, cell(&cause.claim))
        };
        let sections: String = self.causes_of(book).into_iter().map(section).collect();
        format!(
            "## Fixes\n\nSafest first. A report fills in what stands in `<…>` here.\n{sections}"
        )
    }

    fn fix(&self, fix: &Fix) -> String {
        let when = fix.when.as_ref().map_or(String::new(), |when| {
            format!("  - where {}\n", condition::words(&when.value, &self.library.policy))
        });
        let command = fix
            .command
            .as_ref()
            .map_or(String::new(), |command| format!("  - `{}`\n", shown(command)));
        format!(
            "- {}\n{when}{command}  - risk: {}\n  - then: {}\n  - undo: {}\n",
            filled(&fix.text),
            words::risk(fix.risk),
            filled(&fix.effect),
            filled(&fix.undo)
        )
    }

    fn track_record(&self, book: &Runbook) -> String {
        let record = &self.library.track_record;
        let row = |cause: &Cause| {
            let id = &cause.id.value;
            let kept = record.causes.get(id).copied();
            let alarms = kept.map_or(UNLABELLED.into(), |kept| {
                format!("{} of {}", kept.false_alarms, record.healthy)
            });
            let [recorded, simulated] = tallies(kept);
            format!("| `{id}` | {recorded} | {simulated} | {alarms} |\n")
        };
        let rows: String = self.causes_of(book).into_iter().map(row).collect();
        format!(
            "## Track record\n\n\
             How often each cause stood first in its own labelled incidents, and how often it was \
             named where nothing was wrong. [How this is measured](../accuracy.md).\n\n\
             | cause | recorded | simulated | named without a fault |\n|---|---|---|---|\n{rows}"
        )
    }
}

const GATE: &str = "The checks marked as a symptom say whether there is anything to explain; the \
                    tree is how an engineer then walks. The ranking of causes uses all checks, not \
                    only those on the way.";

const UNLABELLED: &str = "not measured";

fn tallies(kept: Option<CauseRecord>) -> [String; 2] {
    let said = |tally: Tally| match tally.of {
        0 => UNLABELLED.into(),
        of => format!("{} of {of}", tally.right),
    };
    let kept = kept.unwrap_or_default();
    [kept.recorded, kept.simulated].map(said)
}

/// Causes that the tree leads to, in the order of the walk.
fn tree_causes(book: &Runbook) -> Vec<&str> {
    let mut found = Vec::new();
    for step in walk_order(book).into_iter().filter_map(|name| book.steps.get(name)) {
        let ends = [&step.then, &step.otherwise, &step.unknown];
        for cause in ends.into_iter().filter_map(|next| next.cause.as_ref()) {
            if !found.contains(&cause.value.as_str()) {
                found.push(cause.value.as_str());
            }
        }
    }
    found
}

/// A text in a table or a list.
fn cell(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('|', "\\|")
}

/// A text whose numbers are read when it is said.
fn filled(text: &str) -> String {
    cell(&shown(text))
}

/// `{signal}` and `{signal|words}` as `<signal>`.
fn shown(text: &str) -> String {
    crate::runbook::advice::Placeholder::all(text).fold(text.to_owned(), |text, placeholder| {
        text.replace(placeholder.whole, &format!("<{}>", placeholder.signal))
    })
}
