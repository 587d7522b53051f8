//! Pages of what judges: signals, checks, causes, runbooks, Xid errors, versions and policy.

use super::{super::page::Page, Known, tried};
use crate::{
    commands::{condition, examples},
    runbook::{
        Cause, Check, Fix, Item, Kind, KnownChange, Library, PolicyEntry, Runbook, Weight, XidRow,
    },
    signals::{self, Signal, families},
    unit::Unit,
};

/// The pages of an id, one for each thing that carries it.
pub(super) fn pages(id: &str, known: &Known) -> Vec<String> {
    let library = &known.library;
    let base = id.strip_suffix("_baseline").or_else(|| id.strip_suffix("_change"));
    let policy = id.strip_prefix("policy_").unwrap_or(id);
    let pages = [
        library.runbooks.get(id).map(|runbook| of_runbook(runbook, library)),
        library.causes.get(id).map(|cause| of_cause(cause, library)),
        library.checks.get(id).map(|check| of_check(check, library)),
        signals::find(base.unwrap_or(id)).map(|signal| of_signal(signal, library)),
        library.xids.get(id).map(|row| of_xid(id, row)),
        library.versions.get(id).map(|change| of_version(change, library)),
        library.policy.get(policy).map(|entry| of_policy(policy, entry, library)),
    ];
    pages.into_iter().flatten().collect()
}

fn of_signal(signal: &Signal, library: &Library) -> String {
    let mut page = Page::default();
    page.text("", &format!("{} (signal)", signal.name)).text("  ", signal.about).gap();
    page.field("unit", &word(&signal.unit)).field("source", signal.source).field(
        "asked by",
        &ids(library
            .checks
            .values()
            .filter(|check| condition::reads(check, signal.name))
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
    tried(page, &examples::of_signal(signal, library))
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

fn of_check(check: &Check, library: &Library) -> String {
    let id = check.id.value.as_str();
    let mut page = Page::default();
    page.text("", &format!("{id} (check)")).text("  ", &check.question).gap();
    let when = check.when.as_ref().map_or(condition::without_condition(check), |when| &when.value);
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
    let runbooks = library.runbooks.values().filter(|runbook| examples::asks(runbook, id));
    page.field("weighs in", &ids(causes.map(|cause| &cause.id.value)))
        .field("asked in", &ids(runbooks.map(|runbook| &runbook.id.value)))
        .field("defined in", &place(library, Kind::Check, id));
    tried(page, &examples::of_check(id, library))
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
    page.field("defined in", &place(library, Kind::Cause, id));
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
    tried(page, &examples::of_cause(id, library))
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
        .field("defined in", &place(library, Kind::Runbook, id));
    let mut all = examples::of_runbook(runbook);
    all.push(examples::example("prints the tree", format!("runbook show {id}")));
    tried(page, &all)
}

fn of_xid(id: &str, row: &XidRow) -> String {
    let mut page = Page::default();
    page.text("", &format!("{id} (Xid)")).text("  ", &format!("{}.", row.meaning)).gap();
    page.field("action", &word(&row.action))
        .field("hits", &word(&row.hits))
        .field("source", &row.source);
    tried(page, &examples::of_xid())
}

fn of_policy(name: &str, entry: &PolicyEntry, library: &Library) -> String {
    let mut page = Page::default();
    page.text("", &format!("{name} (policy)")).text("  ", &entry.about).gap();
    let value = Unit::of_name(name).map_or(entry.value.to_string(), |unit| unit.show(entry.value));
    page.field("value", &value)
        .field("set by", if entry.by_user { "you" } else { "the tool" })
        .field("in checks as", &format!("policy_{name}"))
        .field("defined in", &place(library, Kind::Policy, name));
    tried(page, &examples::of_policy(name, entry.value))
}

fn of_version(change: &KnownChange, library: &Library) -> String {
    let id = change.id.value.as_str();
    let mut page = Page::default();
    page.text("", &format!("{id} (known change of vLLM)")).text("  ", &change.symptom).gap();
    let until = change.until.as_ref().map_or("(none is known)", |until| &until.value);
    page.field("from", &change.from.value)
        .field("fixed in", until)
        .field("seen by", &ids(change.checks.iter().map(|check| &check.value)))
        .field("look at", &change.see)
        .field("remedy", &change.remedy)
        .field("source", &change.source);
    tried(page, &examples::of_version(library))
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
