//! Every row of the guides is carried by something that exists, or waits for a part that is named.
#![allow(missing_docs, clippy::unwrap_used)]

use std::{collections::BTreeSet, fs, path::Path};

use diagnose::{
    cli,
    commands::coverage::{self, Carrier, Row, Section},
    evidence::EventKind,
    load::scenario::Loads,
    monitor::{emf, load::Rules},
    report,
    runbook::{Cause, Library, expr},
    signals::{self, families},
};

/// Rows by section, counted in the guides, so that none is lost from the files.
const COUNTED: &[(&str, usize)] = &[
    ("a2", 4),
    ("a3", 22),
    ("a4", 11),
    ("a4.1", 12),
    ("a5", 10),
    ("a5.1", 4),
    ("a6", 10),
    ("a6.1", 5),
    ("a6.2", 2),
    ("a7", 20),
    ("a8.1", 22),
    ("a8.2", 19),
    ("a8.3", 19),
    ("a8.4", 14),
    ("a8.5", 13),
    ("a8.6", 17),
    ("a8.7", 11),
    ("a9", 12),
    ("a9.1", 6),
    ("a9.2", 5),
    ("b1", 6),
    ("b2", 4),
    ("b3", 7),
    ("b4", 10),
    ("b5", 8),
    ("b6", 5),
    ("b7", 11),
    ("b8", 9),
    ("b9", 14),
    ("b10", 3),
    ("b11", 4),
    ("b12", 13),
    ("b13", 6),
    ("b14.1", 12),
    ("b14.2", 12),
    ("b14.3", 10),
    ("b14.4", 13),
    ("b15", 8),
];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn sections() -> Vec<Section> {
    coverage::read(root()).unwrap()
}

fn rows() -> Vec<Row> {
    sections().into_iter().flat_map(|section| section.rows).collect()
}

#[test]
fn no_section_has_fewer_rows_than_the_guide() {
    let sections = sections();
    let ids: Vec<&str> = sections.iter().map(|section| section.id.as_str()).collect();
    let counted: Vec<&str> = COUNTED.iter().map(|(id, _)| *id).collect();
    assert_eq!(ids, counted);
    for (section, (_, counted)) in sections.iter().zip(COUNTED) {
        assert!(section.rows.len() >= *counted, "{}: {}", section.id, section.rows.len());
    }
}

#[test]
fn rows_are_named_once_after_their_section() {
    let mut seen = BTreeSet::new();
    for section in sections() {
        for row in section.rows {
            assert!(row.id.starts_with(&format!("{}-", section.id)), "{}", row.id);
            assert!(seen.insert(row.id.clone()), "{} stands twice", row.id);
        }
    }
}

#[test]
fn every_row_is_one_sentence_and_is_carried_or_planned() {
    for row in rows() {
        assert!(row.says.ends_with(['.', '?']) && !row.says.contains(['|', '\n']), "{}", row.id);
        assert!(!row.by.is_empty() || !row.planned.is_empty(), "{} has no carrier", row.id);
        assert!(row.by.values().all(|names| !names.is_empty()), "{} names nothing", row.id);
    }
}

#[test]
fn every_carrier_exists() {
    let library = Library::embedded().unwrap();
    let schema: serde_json::Value = serde_json::from_str(&report::json::schema()).unwrap();
    let mut unknown = Vec::new();
    for row in rows() {
        for (carrier, names) in &row.by {
            for name in names.iter().filter(|name| !exists(&library, &schema, *carrier, name)) {
                unknown.push(format!("{}: no {carrier:?} `{name}`", row.id));
            }
        }
    }
    assert!(unknown.is_empty(), "\n{}", unknown.join("\n"));
}

fn exists(library: &Library, schema: &serde_json::Value, carrier: Carrier, name: &str) -> bool {
    match carrier {
        Carrier::Signal => signals::find(name).is_some(),
        Carrier::Family => families::family(name).is_some(),
        Carrier::Check => library.checks.contains_key(name),
        Carrier::Symptom => library.checks.get(name).is_some_and(|c| c.symptom.is_some()),
        Carrier::Cause => library.causes.contains_key(name),
        Carrier::Fix => is_fix(library, name),
        Carrier::Runbook => is_runbook(library, name),
        Carrier::Policy => library.policy.contains_key(name),
        Carrier::Version => library.versions.contains_key(name),
        Carrier::Event => serde_json::from_value::<EventKind>(name.into()).is_ok(),
        Carrier::Report => !schema["properties"][name].is_null(),
        Carrier::Measure => rules().measures.contains_key(name),
        Carrier::Alert => rules().alerts.iter().any(|alert| alert.id == name),
        Carrier::Slo => is_slo(&rules(), name),
        Carrier::Panel => is_panel(name),
        Carrier::Emf => emf::CATALOGUE.iter().any(|metric| metric.name == name),
        Carrier::Scenario => is_scenario(name),
        Carrier::Gate => Loads::load(&[]).unwrap().gate.iter().any(|rule| rule.id == name),
        Carrier::Command => is_command(name),
    }
}

fn rules() -> Rules {
    Rules::embedded().unwrap()
}

fn is_slo(rules: &Rules, name: &str) -> bool {
    let (id, part) = name.split_once('/').map_or((name, None), |(id, part)| (id, Some(part)));
    let tier = |set: &String, part: &str| rules.tiers[set].iter().any(|tier| tier.id == part);
    rules.slos.iter().filter(|slo| slo.id == id).any(|slo| {
        part.is_none_or(|part| {
            slo.rules.iter().any(|rule| rule.id == part)
                || slo.burn.iter().any(|set| tier(set, part))
        })
    })
}

fn is_fix(library: &Library, name: &str) -> bool {
    let Some((cause, action)) = name.split_once('/') else { return false };
    let is_action = |fix: &diagnose::runbook::Fix| serde_json::json!(fix.action) == action;
    library.causes.get(cause).is_some_and(|cause| cause.fixes.iter().any(is_action))
}

fn is_runbook(library: &Library, name: &str) -> bool {
    match name.split_once('/') {
        None => library.runbooks.contains_key(name),
        Some((id, step)) => {
            library.runbooks.get(id).is_some_and(|runbook| runbook.steps.contains_key(step))
        }
    }
}

fn is_scenario(name: &str) -> bool {
    let loads = Loads::load(&[]).unwrap();
    let (id, kind) = name.split_once('/').map_or((name, None), |(id, kind)| (id, Some(kind)));
    let has = |kind: &str| loads.scenarios[id].mix.iter().any(|it| it.id == kind);
    loads.scenarios.contains_key(id) && kind.is_none_or(has)
}

fn is_panel(id: &str) -> bool {
    let rows = Rules::embedded().unwrap().rows;
    rows.iter().any(|row| row.id == id || row.panels.iter().any(|panel| panel.id == id))
}

fn is_command(line: &str) -> bool {
    let mut command = cli::command();
    for word in line.split(' ') {
        if let Some(flag) = word.strip_prefix("--") {
            return command.get_arguments().any(|arg| arg.get_long() == Some(flag));
        }
        let Some(next) = command.find_subcommand(word).cloned() else { return false };
        command = next;
    }
    true
}

#[test]
fn what_rests_on_no_source_yet_waits_for_one() {
    let library = Library::embedded().unwrap();
    let mut early = Vec::new();
    for row in rows().iter().filter(|row| row.planned.is_empty()) {
        for (carrier, names) in &row.by {
            for name in names.iter().filter(|name| waits(&library, *carrier, name)) {
                early.push(format!("{}: {carrier:?} `{name}` has no source yet", row.id));
            }
        }
    }
    assert!(early.is_empty(), "\n{}", early.join("\n"));
}

/// Whether nothing that this version reads can answer it.
fn waits(library: &Library, carrier: Carrier, name: &str) -> bool {
    let cause = |id: &str| library.causes.get(id).is_some_and(|cause| cause_waits(library, cause));
    match carrier {
        Carrier::Signal => signal_waits(name),
        Carrier::Check | Carrier::Symptom => check_waits(library, name),
        Carrier::Cause => cause(name),
        Carrier::Fix => name.split_once('/').is_some_and(|(id, _)| cause(id)),
        Carrier::Runbook => step_waits(library, name),
        _ => false,
    }
}

fn signal_waits(name: &str) -> bool {
    signals::find(name).is_some_and(|s| s.doc.contains("No source of this version gives it"))
}

/// A check can be answered where one of its alternatives can.
fn check_waits(library: &Library, id: &str) -> bool {
    let when = library.checks.get(id).and_then(|check| check.when.as_ref());
    let Some((when, program)) = when.zip(library.programs.get(id)) else { return false };
    let variables = program.variables();
    let waiting = || variables.iter().filter(|name| signal_waits(expr::signal_of(name)));
    let mut alternatives = when.value.split("||");
    alternatives.all(|one| waiting().any(|name| one.contains(name.as_str())))
}

fn step_waits(library: &Library, name: &str) -> bool {
    let step =
        name.split_once('/').and_then(|(id, step)| library.runbooks.get(id)?.steps.get(step));
    step.is_some_and(|step| check_waits(library, &step.check.value))
}

fn cause_waits(library: &Library, cause: &Cause) -> bool {
    cause.decisive.iter().all(|item| check_waits(library, &item.check.value))
}

#[test]
fn a_name_that_does_not_exist_is_seen() {
    let library = Library::embedded().unwrap();
    let schema = serde_json::from_str(&report::json::schema()).unwrap();
    for (carrier, good, bad) in [
        (Carrier::Symptom, "ttft-above-baseline", "demand-flat"),
        (Carrier::Fix, "engine-dead/restart_engine", "engine-dead/scale_out"),
        (Carrier::Runbook, "high-ttft/queue", "high-ttft/pool"),
        (Carrier::Event, "deploy", "parade"),
        (Carrier::Report, "decomposition", "colour"),
        (Carrier::Measure, "ttft_p95_seconds", "ttft_p95"),
        (Carrier::Alert, "queue-overflow", "queue-underflow"),
        (Carrier::Slo, "availability/fast", "availability/slowest"),
        (Carrier::Slo, "availability/availability-budget", "uptime"),
        (Carrier::Panel, "queued-requests", "queued"),
        (Carrier::Emf, "TTFTMs", "TTFT"),
        (Carrier::Command, "runbook test", "runbook run"),
        (Carrier::Command, "sweep --probe", "sweep --prompt"),
    ] {
        assert!(exists(&library, &schema, carrier, good), "{good}");
        assert!(!exists(&library, &schema, carrier, bad), "{bad}");
    }
    assert!(!check_waits(&library, "eager-is-as-fast") && !check_waits(&library, "kv-cache-full"));
}

#[test]
fn the_page_is_up_to_date() {
    let present = fs::read_to_string(root().join(coverage::PAGE)).unwrap();
    let stale = present != coverage::page(&sections());
    assert!(!stale, "run `cargo run -- generate --write`");
}
