//! `diagnose explain`: what a signal, check, cause, runbook, policy entry or exit code means.

use super::{Failure, library, load, page::Page, write};
use crate::{
    cli::ExplainArgs,
    config::{self, Environment},
    exit::{self, Exit},
    load::scenario::Loads,
    runbook::{
        Cause, Check, Fix, Item, Library, PolicyEntry, Runbook, Weight, XidRow,
        problem::did_you_mean,
    },
    signals::{self, Signal, families},
    unit::Unit,
};

/// Prints the page of an id.
pub fn run(args: &ExplainArgs, env: &Environment) -> anyhow::Result<Exit> {
    let library = library(&args.library, env)?;
    let id = args.id.join("-");
    let loads =
        Loads::load(&config::directories(&args.library.runbooks, &args.library.config, env)?)?;
    match page(&id, &library).or_else(|| load::explain::page(&id, &loads)) {
        Some(text) => write::print(&text)?,
        None => return Err(unknown(&id, &library).into()),
    }
    Ok(Exit::Clean)
}

/// The page of an id; everything that carries the id is on it.
fn page(id: &str, library: &Library) -> Option<String> {
    if matches!(id, "exit-code" | "exit-codes" | "exit") {
        return Some(exit::help_table());
    }
    if let Some(exit) = Exit::from_code(id) {
        return Some(format!("exit code {id}: {}\n", exit.meaning().replace('`', "")));
    }
    let base = id.strip_suffix("_baseline").or_else(|| id.strip_suffix("_change"));
    let policy = id.strip_prefix("policy_").unwrap_or(id);
    let pages = [
        library.runbooks.get(id).map(|runbook| of_runbook(runbook, library)),
        library.causes.get(id).map(|cause| of_cause(cause, library)),
        library.checks.get(id).map(|check| of_check(check, library)),
        signals::find(base.unwrap_or(id)).map(|signal| of_signal(signal, library)),
        library.xids.get(id).map(|row| of_xid(id, row)),
        library.policy.get(policy).map(|entry| of_policy(policy, entry, library)),
    ];
    let pages: Vec<_> = pages.into_iter().flatten().collect();
    (!pages.is_empty()).then(|| pages.join("\n"))
}

fn unknown(id: &str, library: &Library) -> Failure {
    let ids = library.runbooks.keys().chain(library.causes.keys()).chain(library.checks.keys());
    let names = ids.chain(library.policy.keys()).map(String::as_str);
    let names: Vec<_> =
        names.chain(signals::registry().map(|signal| signal.name)).chain(["exit-code"]).collect();
    let start: String = id.chars().take(3).collect();
    let alike = |name: &&str| name.contains(id) || (start.len() > 2 && name.starts_with(&start));
    let close: Vec<_> = names.iter().copied().filter(alike).take(6).collect();
    let near = did_you_mean(id, names).or_else(|| match &close[..] {
        [] => None,
        [one] => Some(format!("did you mean `{one}`?")),
        several => Some(format!("one of {}", several.join(", "))),
    });
    Failure {
        tried: format!("explain `{id}`"),
        happened: "no signal, check, cause, runbook, policy entry or exit code has this id".into(),
        next: near.unwrap_or_else(|| "`diagnose runbook list`, or an id from a report".into()),
        exit: Exit::Failed,
    }
}

fn of_signal(signal: &Signal, library: &Library) -> String {
    let mut page = Page::default();
    page.text("", &format!("{} (signal)", signal.name)).text("  ", signal.about).gap();
    page.field("unit", &word(&signal.unit)).field("source", signal.source).field(
        "asked by",
        &ids(library
            .checks
            .values()
            .filter(|check| check.when.iter().any(|when| mentions(&when.value, signal.name)))
            .map(|check| &check.id.value)),
    );
    page.gap().text("  ", signal.doc);
    let families: Vec<_> = signal.families.iter().filter_map(|id| families::family(id)).collect();
    if !families.is_empty() {
        page.gap().text("  ", "Read from, by release:");
    }
    for family in families {
        for name in family.names {
            page.text("  - ", &lives(name));
        }
    }
    page.finish()
}

/// A metric's name with the releases that have it, e.g. `vllm:x (V0 0.4.0 to 0.10.2, V1 from 0.7.1)`.
fn lives(name: &families::Name) -> String {
    let span = |engine: &str, life: Option<families::Life>| {
        let life = life?;
        let hidden = life.hidden_from.map(|from| format!(", hidden from {from}"));
        let hidden = hidden.unwrap_or_default();
        Some(match life.last {
            Some(last) => format!("{engine} {} to {last}{hidden}", life.first),
            None => format!("{engine} from {}{hidden}", life.first),
        })
    };
    let spans: Vec<_> = [span("V0", name.v0), span("V1", name.v1)].into_iter().flatten().collect();
    let note = name.note.map(|note| format!(". {note}")).unwrap_or_default();
    format!("{} ({}){note}", name.name, spans.join("; "))
}

/// The word for a value of a closed set, as files and JSON spell it, with blanks.
fn word(value: &impl serde::Serialize) -> String {
    let json = serde_json::to_value(value).unwrap_or_default();
    json.as_str().unwrap_or_default().replace('_', " ")
}

/// Whether a condition reads a name, in any of its views.
fn mentions(condition: &str, name: &str) -> bool {
    let word = |c: char| !(c.is_ascii_alphanumeric() || c == '_');
    condition.split(word).any(|variable| {
        variable.strip_prefix(name).is_some_and(|view| matches!(view, "" | "_baseline" | "_change"))
    })
}

fn of_check(check: &Check, library: &Library) -> String {
    let id = check.id.value.as_str();
    let mut page = Page::default();
    page.text("", &format!("{id} (check)")).text("  ", &check.question).gap();
    let when = check.when.as_ref().map_or(
        if check.xid.is_empty() {
            "all checks of a row of versions.yaml say yes, and it concerns the version that runs"
        } else {
            "the kernel's log holds an Xid of these kinds, by xid.yaml"
        },
        |when| &when.value,
    );
    let hits: Vec<String> = check.xid.iter().map(word).collect();
    page.field("when", when)
        .field("xid hits", &hits.join(", "))
        .field("yes", &check.yes)
        .field("no", &check.no)
        .field("group", &word(&check.group));
    if let Some(symptom) = &check.symptom {
        let severity = word(&symptom.severity);
        page.field("symptom", &format!("{} ({severity})", symptom.signal.value));
        for meaning in &symptom.readings {
            page.field("may mean", &format!("{}: {}", meaning.id.value, meaning.when.value));
        }
    }
    let causes =
        library.causes.values().filter(|cause| items(cause).any(|item| item.check.value == id));
    let runbooks = library.runbooks.values().filter(|runbook| {
        let gate = runbook.gate.iter().any(|check| check.value == id);
        gate || runbook.steps.values().any(|step| step.check.value == id)
    });
    page.field("weighs in", &ids(causes.map(|cause| &cause.id.value)))
        .field("asked in", &ids(runbooks.map(|runbook| &runbook.id.value)))
        .field("defined in", &place(library, crate::runbook::Kind::Check, id));
    page.finish()
}

fn of_cause(cause: &Cause, library: &Library) -> String {
    let id = cause.id.value.as_str();
    let mut page = Page::default();
    page.text("", &format!("{id} (cause)")).text("  ", &format!("{}.", cause.title)).gap();
    page.text("  ", &cause.claim).gap();
    page.field("family", &cause.family)
        .field("severity", &word(&cause.severity))
        .field("replicas", &format!("{}, {}", word(&cause.replicas.help), cause.replicas.why))
        .field("leads to", &ids(cause.leads_to.iter().map(|cause| &cause.value)));
    if let Some(check) = &cause.decided_by {
        page.field("decided by", &question(&check.value, library));
    }
    page.field("defined in", &place(library, crate::runbook::Kind::Cause, id));
    for (heading, items) in [
        ("Requires, all of:", &cause.requires),
        ("Decisive, at least one of:", &cause.decisive),
        ("Speaks for it:", &cause.supports),
        ("Speaks against it:", &cause.against),
    ] {
        list(&mut page, heading, items, library);
    }
    if !cause.fixes.is_empty() {
        page.gap().text("  ", "What to do, safest first:");
    }
    for fix in &cause.fixes {
        of_fix(&mut page, fix);
    }
    page.finish()
}

fn list(page: &mut Page, heading: &str, items: &[Item], library: &Library) {
    if items.is_empty() {
        return;
    }
    page.gap().text("  ", heading);
    for item in items {
        let said = |answer: &str, weight: Weight| {
            (weight != Weight::None).then(|| format!("{answer}: {}", word(&weight)))
        };
        let said: Vec<_> =
            [said("yes", item.weight), said("no", item.no)].into_iter().flatten().collect();
        let said = if said.is_empty() { String::new() } else { format!(" [{}]", said.join(", ")) };
        page.text("  - ", &format!("{}{said}", question(&item.check.value, library)));
    }
}

fn of_fix(page: &mut Page, fix: &Fix) {
    let text = fix.text.replace('{', "<").replace('}', ">");
    page.text("  - ", &format!("{text} [{}]", format!("{:?}", fix.risk).to_lowercase()));
    for (key, value) in [
        ("when", fix.when.as_ref().map_or("", |when| &*when.value)),
        ("command", fix.command.as_deref().unwrap_or("")),
        ("effect", &*fix.effect),
        ("undo", &*fix.undo),
    ] {
        page.field(&format!("  {key}"), value);
    }
}

fn of_runbook(runbook: &Runbook, library: &Library) -> String {
    let id = runbook.id.value.as_str();
    let mut page = Page::default();
    page.text("", &format!("{id} (runbook)")).text("  ", &format!("{}.", runbook.title)).gap();
    for symptom in &runbook.symptoms {
        page.text("  - ", symptom);
    }
    page.gap()
        .field("holds when", &ids(runbook.gate.iter().map(|check| &check.value)))
        .field("steps", &runbook.steps.len().to_string())
        .field(
            "ranks",
            &match runbook.causes.len() {
                0 => "all causes".into(),
                _ => ids(runbook.causes.iter().map(|cause| &cause.value)),
            },
        )
        .field("defined in", &place(library, crate::runbook::Kind::Runbook, id))
        .gap()
        .text("  ", &format!("`diagnose runbook show {id}` prints the tree."));
    page.finish()
}

fn of_xid(id: &str, row: &XidRow) -> String {
    let mut page = Page::default();
    page.text("", &format!("{id} (Xid)")).text("  ", &format!("{}.", row.meaning)).gap();
    page.field("action", &word(&row.action))
        .field("hits", &word(&row.hits))
        .field("source", &row.source);
    page.finish()
}

fn of_policy(name: &str, entry: &PolicyEntry, library: &Library) -> String {
    let mut page = Page::default();
    page.text("", &format!("{name} (policy)")).text("  ", &entry.about).gap();
    let value = Unit::of_name(name).map_or(entry.value.to_string(), |unit| unit.show(entry.value));
    page.field("value", &value)
        .field("set by", if entry.by_user { "you" } else { "the tool" })
        .field("in checks as", &format!("policy_{name}"))
        .field("defined in", &place(library, crate::runbook::Kind::Policy, name));
    page.finish()
}

fn items(cause: &Cause) -> impl Iterator<Item = &Item> {
    cause.requires.iter().chain(&cause.decisive).chain(&cause.supports).chain(&cause.against)
}

fn question(check: &str, library: &Library) -> String {
    let question = library.checks.get(check).map_or("", |check| check.question.as_str());
    format!("{check}: {question}")
}

fn place(library: &Library, kind: crate::runbook::Kind, id: &str) -> String {
    let origin = library.origins.get(&(kind, id.to_owned()));
    origin.map(|origin| origin.file.path.clone()).unwrap_or_default()
}

fn ids<'a>(ids: impl Iterator<Item = &'a String>) -> String {
    ids.map(String::as_str).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_in_the_library_has_a_page() {
        let library = Library::embedded().unwrap();
        let ids = library.runbooks.keys().chain(library.causes.keys()).chain(library.checks.keys());
        for id in ids.chain(library.policy.keys()).chain(library.xids.keys()).map(String::as_str) {
            assert!(page(id, &library).is_some_and(|text| text.starts_with(id)), "{id}");
        }
        for signal in signals::registry() {
            assert!(page(signal.name, &library).is_some(), "{}", signal.name);
        }
        for code in ["0", "1", "2", "3", "130", "143", "exit-code"] {
            assert!(page(code, &library).is_some(), "{code}");
        }
    }

    #[test]
    fn a_view_counts_as_its_signal_and_a_longer_name_does_not() {
        assert!(mentions("ttft_mean_seconds_change >= 1.5", "ttft_mean_seconds"));
        assert!(!mentions("ttft_mean_seconds_change >= 1.5", "ttft_mean"));
    }

    #[test]
    fn an_unknown_id_names_the_nearest_one() {
        let library = Library::embedded().unwrap();
        let first = library.causes.keys().next().unwrap();
        let failure = unknown(&format!("{first}x"), &library);
        assert!(failure.next.contains(first.as_str()), "{failure}");
    }
}
