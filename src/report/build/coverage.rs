//! What was asked, what was answered, and what forbids the word "healthy".

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    evidence::SourceState,
    report::{Coverage, Gap},
    runbook::{
        Check, Group,
        expr::{Truth, signal_of},
        rank::Answers,
    },
    signals::{self, MissingKind},
};

use super::Case;

/// Sources that a gap is worth naming for, with what they would show.
const SOURCES: [(&str, &str); 10] = [
    ("log", "status codes of refused requests: pass the server's log with the bundle"),
    ("probes", "whether the server answers: record its probes, or ask the live server with --url"),
    ("nvml", "GPU clocks and faults: this version of the tool does not read the GPU yet"),
    ("gateway", "prompt versions: this version of the tool does not read gateway records yet"),
    (
        "log-patterns",
        "failures that only the log tells: this version of the tool does not read them yet",
    ),
    ("kernel", "Xid errors: this version of the tool does not read the kernel's log yet"),
    ("mlflow", "adapters and releases: this version of the tool does not read traces yet"),
    ("sagemaker", "instances and their events: this version of the tool does not read them yet"),
    ("autoscaling", "the scaling policy: this version of the tool does not read it yet"),
    ("cloudwatch", "the gateway's own metrics: this version of the tool does not read them yet"),
];

/// Counts the checks asked and answered, and lists what could not be looked at.
pub(super) fn of(case: &Case<'_>, answers: &Answers) -> Coverage {
    let mut coverage = Coverage { answered: 0, asked: 0, missing: Vec::new() };
    let mut gaps: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for check in case.library.checks.values() {
        if !is_asked(case, check) {
            continue;
        }
        let truth = answers.get(&check.id.value).map(|answer| &answer.truth);
        coverage.asked += u32::from(!truth.is_some_and(was_not_configured));
        match truth {
            Some(Truth::Yes | Truth::No) => coverage.answered += 1,
            Some(Truth::Unknown(why)) if says_nothing_changed(why) => coverage.answered += 1,
            Some(truth) if was_not_configured(truth) && rests_on_metrics(case, check) => {}
            Some(Truth::Unknown(why)) => {
                for (name, missing) in why {
                    gaps.entry(missing.why.clone()).or_default().insert(signal_of(name).into());
                }
            }
            None => {}
        }
    }
    coverage.missing.extend(unasked(case));
    let known = |why: &str| case.evidence.sources.iter().any(|source| source.detail == why);
    let mut gaps: Vec<(String, BTreeSet<String>)> =
        gaps.into_iter().filter(|(why, _)| !known(why)).collect();
    gaps.sort_by(|a, b| b.1.len().cmp(&a.1.len()).then_with(|| a.0.cmp(&b.0)));
    coverage.missing.extend(gaps.into_iter().map(|(why, names)| Gap { what: listed(&names), why }));
    coverage
}

/// Names of one gap that are written out; the rest is counted.
const LISTED: usize = 3;

fn listed(names: &BTreeSet<String>) -> String {
    let first: Vec<&str> = names.iter().map(String::as_str).take(LISTED).collect();
    match names.len().saturating_sub(LISTED) {
        0 => first.join(", "),
        more => format!("{} and {more} more", first.join(", ")),
    }
}

/// A check of change is answered by a recorded history in which nothing changed.
fn says_nothing_changed(why: &BTreeMap<String, signals::Missing>) -> bool {
    !why.is_empty() && why.values().all(|missing| missing.kind == MissingKind::NoOnset)
}

/// Nobody asked for what a check rests on, though its source was read otherwise.
fn was_not_configured(truth: &Truth) -> bool {
    let Truth::Unknown(why) = truth else { return false };
    why.values().any(|missing| missing.kind == MissingKind::NotConfigured)
}

/// What the metrics do not tell because the feature is not in use is no gap.
fn rests_on_metrics(case: &Case<'_>, check: &Check) -> bool {
    let program = case.library.programs.get(&check.id.value);
    program
        .iter()
        .flat_map(|program| program.variables())
        .filter_map(|name| signals::find(signal_of(name)))
        .all(|signal| signal.source == "metrics")
}

/// Whether the sources of a check were configured, requested or found.
fn is_asked(case: &Case<'_>, check: &Check) -> bool {
    let Some(program) = case.library.programs.get(&check.id.value) else { return false };
    program
        .variables()
        .iter()
        .filter_map(|name| signals::find(signal_of(name)))
        .all(|signal| signal.source == "metrics" || source_asked(case, signal.source))
}

fn source_asked(case: &Case<'_>, id: &str) -> bool {
    case.evidence.source(id).is_some_and(|source| source.status != SourceState::NotConfigured)
}

fn unasked(case: &Case<'_>) -> Vec<Gap> {
    SOURCES
        .iter()
        .filter(|(id, _)| !source_asked(case, id))
        .map(|(id, why)| Gap { what: (*id).into(), why: (*why).into() })
        .collect()
}

/// Whether enough was answered.
pub(super) fn is_met(coverage: &Coverage, least: f64) -> bool {
    coverage.asked > 0 && f64::from(coverage.answered) >= least * f64::from(coverage.asked)
}

/// Scrape intervals after which pages are too old to speak of now.
const STALE_INTERVALS: f64 = 3.0;

/// Reasons not to call the system healthy, whatever the checks say.
pub(super) fn vetoes(case: &Case<'_>, answers: &Answers) -> Vec<Gap> {
    let now = |name: &str| case.readings.get(name).and_then(|reading| reading.now.as_ref().ok());
    let metrics = case.evidence.source("metrics");
    let answered = metrics.is_some_and(|source| source.status.answered());
    if !answered {
        let why = metrics.map_or("no /metrics page was read", |source| source.detail.as_str());
        return vec![Gap { what: "metrics".into(), why: why.into() }];
    }
    let mut vetoes = Vec::new();
    let mut veto = |what: &str, why: String| vetoes.push(Gap { what: what.into(), why });
    if now("stale_scrapes_count").is_some_and(|age| age.point > STALE_INTERVALS) {
        veto("recent pages", "the pages stop before the evidence does, so they are old".into());
    }
    let idle = |name: &str| now(name).is_none_or(|value| value.point == 0.0);
    if idle("finished_requests") && idle("running_max_requests") {
        veto(
            "traffic",
            "no request was served in the window: idle is not healthy, it is idle; \
              sample longer with --window, or send traffic"
                .into(),
        );
    } else if !latency_known(case, answers) {
        veto(
            "latency",
            "too few requests were served to judge their latency; sample longer with \
              --window"
                .into(),
        );
    }
    vetoes
}

/// Whether at least one symptom of latency was answered, or history shows no change.
fn latency_known(case: &Case<'_>, answers: &Answers) -> bool {
    let latency = |check: &&Check| check.group == Group::Latency && check.symptom.is_some();
    case.library.checks.values().filter(latency).any(|check| {
        answers.get(&check.id.value).is_some_and(|answer| match &answer.truth {
            Truth::Yes | Truth::No => true,
            Truth::Unknown(why) => says_nothing_changed(why),
        })
    })
}
