//! What was asked, what was answered, and what forbids the word "healthy".

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    evidence::{SourceState, SourceStatus},
    report::{Coverage, Gap},
    runbook::{
        Check, Group, Needs,
        expr::{Truth, signal_of},
        rank::Answers,
    },
    signals::{self, MissingKind},
};

use super::Case;

/// Sources that a gap is worth naming for, what they would show, and why it was not seen.
const SOURCES: &[(&str, &str, &str)] = &[
    (
        "log",
        "failures that only the log tells, and status codes of refused requests",
        "the server's log was not read; give it with --log or --journal-unit",
    ),
    (
        "probes",
        "whether the server answers",
        "no probes were recorded; ask the live server with --url, or record them with \
         `diagnose collect`",
    ),
    (
        "nvml",
        "GPU clocks and faults",
        "the driver was not asked; run the tool on the machine of the GPUs",
    ),
    (
        "gateway",
        "time-outs, cancellations and repeats before the engine, and prompt versions",
        "no records of the gateway were read; give them with --gateway",
    ),
    (
        "kernel",
        "Xid errors and kills in the kernel's log",
        "it was not read; run as root on the machine of the server, or give --kernel-log FILE",
    ),
    (
        "host",
        "CPU, memory and files of the machine",
        "it was not read; run the tool on the machine of the server",
    ),
    (
        "mlflow",
        "adapters, prompt versions and releases in traces",
        "no traces were read; name the tracking server with --mlflow URL",
    ),
    (
        "sagemaker",
        "instances and their events",
        "no endpoint was looked at; name it with --sagemaker NAME",
    ),
    (
        "autoscaling",
        "the scaling policy",
        "no endpoint was looked at; name it with --sagemaker NAME",
    ),
    (
        "cloudwatch",
        "the gateway's own metrics and the alarms",
        "CloudWatch was not asked; --cloudwatch asks it",
    ),
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
                    gaps.entry(missing.why.clone()).or_default().insert(plain(signal_of(name)));
                }
            }
            None => {}
        }
    }
    coverage.missing.extend(unanswered(case));
    coverage.missing.extend(unasked(case));
    let known = |why: &str| case.evidence.sources.iter().any(|source| source.detail == why);
    let mut gaps: Vec<(String, BTreeSet<String>)> =
        gaps.into_iter().filter(|(why, _)| !known(why)).collect();
    gaps.sort_by(|a, b| b.1.len().cmp(&a.1.len()).then_with(|| a.0.cmp(&b.0)));
    coverage.missing.extend(gaps.into_iter().map(|(why, names)| Gap { what: listed(&names), why }));
    coverage
}

/// A signal's name in words: `client_gap_seconds` is the client gap. The readings carry the id.
fn plain(name: &str) -> String {
    let suffix = signals::find(name).and_then(|signal| signal.unit.suffix());
    let bare = suffix.and_then(|suffix| name.strip_suffix(suffix)).unwrap_or(name);
    bare.trim_end_matches("_ratio").trim_end_matches("_count").replace('_', " ")
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
    sources_of(case, check).all(|source| source == "metrics")
}

/// The sources that a check's signals come from.
fn sources_of<'a>(case: &Case<'a>, check: &Check) -> impl Iterator<Item = &'static str> + 'a {
    let program = case.library.programs.get(&check.id.value);
    let names = program.into_iter().flat_map(|program| program.variables());
    names.filter_map(|name| signals::find(signal_of(name))).map(|signal| signal.source)
}

/// Whether the sources of a check were configured, requested or found.
fn is_asked(case: &Case<'_>, check: &Check) -> bool {
    if !check.xid.is_empty() {
        return source_asked(case, "kernel");
    }
    let known = case.library.programs.contains_key(&check.id.value);
    known && sources_of(case, check).all(|id| is_needed(case, id) || source_asked(case, id))
}

/// Whether a source counts as asked though nobody did: without it nothing is called healthy.
fn is_needed(case: &Case<'_>, id: &str) -> bool {
    id == needed(case)
}

fn needed(case: &Case<'_>) -> &'static str {
    match case.runbook.map(|runbook| runbook.needs).unwrap_or_default() {
        Needs::Metrics => "metrics",
        Needs::Sagemaker => "sagemaker",
    }
}

fn source_asked(case: &Case<'_>, id: &str) -> bool {
    case.evidence.source(id).is_some_and(|source| source.status != SourceState::NotConfigured)
}

/// Sources that are only asked where somebody names them.
const NAMED: [&str; 5] = ["autoscaling", "cloudwatch", "mlflow", "prometheus", "sagemaker"];

/// What was named to be asked and did not answer, with what happened, each reason once.
fn unanswered(case: &Case<'_>) -> Vec<Gap> {
    let mut silent: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for source in &case.evidence.sources {
        if is_silent(source) && NAMED.contains(&source.id.as_str()) {
            silent.entry(&source.detail).or_default().push(&source.id);
        }
    }
    let gap = |(why, ids): (&str, Vec<&str>)| Gap { what: ids.join(", "), why: why.into() };
    silent.into_iter().map(gap).collect()
}

/// Whether a source was asked and gave nothing.
fn is_silent(source: &SourceStatus) -> bool {
    source.status != SourceState::NotConfigured && !source.status.answered()
}

/// What was not asked, with what the source itself says of that, if anything.
fn unasked(case: &Case<'_>) -> Vec<Gap> {
    let gap = |(id, what, why): &(&str, &str, &str)| {
        let said = case.evidence.source(id).map(|source| source.detail.as_str());
        let why = said.filter(|detail| !detail.is_empty()).unwrap_or(why);
        Gap { what: (*what).into(), why: why.into() }
    };
    SOURCES.iter().filter(|(id, ..)| !source_asked(case, id)).map(gap).collect()
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
    let needed = needed(case);
    let source = case.evidence.source(needed);
    if !source.is_some_and(|source| source.status.answered()) {
        let why = source.map_or(unread(needed), |source| source.detail.as_str());
        return vec![Gap { what: needed.into(), why: why.into() }];
    }
    if needed != "metrics" {
        let unseen = own_symptom_unseen(case, answers);
        return unseen.or_else(|| symptom_unanswered(case, answers)).into_iter().collect();
    }
    let mut vetoes = Vec::new();
    let mut veto = |what: &str, why: String| vetoes.push(Gap { what: what.into(), why });
    if now("scrape_age_intervals").is_some_and(|age| age.point > STALE_INTERVALS) {
        veto("recent pages", "the pages stop before the evidence does, so they are old".into());
    }
    let idle = |name: &str| now(name).is_none_or(|value| value.point == 0.0);
    if idle("finished_requests") && idle("running_max_requests") {
        veto("traffic", without_traffic(case).into());
    } else if !latency_known(case, answers) {
        veto(
            "latency",
            "too few requests were served to judge their latency; sample longer with \
              --window"
                .into(),
        );
    }
    vetoes.extend(own_symptom_unseen(case, answers));
    vetoes
}

fn unread(needed: &str) -> &'static str {
    match needed {
        "metrics" => "no /metrics page was read",
        _ => "the endpoint was not looked at; name it with --sagemaker NAME",
    }
}

/// A runbook whose own symptom (the first of its gate) could not be looked at says nothing.
fn own_symptom_unseen(case: &Case<'_>, answers: &Answers) -> Option<Gap> {
    let own = case.runbook?.gate.first()?;
    let check = case.library.checks.get(&own.value)?;
    let Truth::Unknown(why) = &answers.get(&own.value)?.truth else { return None };
    let first = why.values().next().filter(|_| !says_nothing_changed(why))?;
    Some(Gap { what: check.question.clone(), why: first.why.clone() })
}

/// A symptom of the runbook that rests on a source which was named and did not answer.
fn symptom_unanswered(case: &Case<'_>, answers: &Answers) -> Option<Gap> {
    let unknown = |check: &&Check| {
        let answer = answers.get(&check.id.value);
        answer.is_some_and(|answer| matches!(answer.truth, Truth::Unknown(_)))
    };
    let gap = |check: &Check| {
        let source = sources_of(case, check).find_map(|id| {
            let source = case.evidence.source(id).filter(|_| NAMED.contains(&id))?;
            is_silent(source).then_some(source)
        })?;
        Some(Gap { what: check.question.clone(), why: source.detail.clone() })
    };
    let gate = case.runbook?.gate.iter().filter_map(|it| case.library.checks.get(&it.value));
    gate.filter(unknown).find_map(gap)
}

/// Why no request was seen, with the way to see one: a single page shows no growth at all.
fn without_traffic(case: &Case<'_>) -> &'static str {
    match case.evidence.series.pages().len() {
        0 | 1 => {
            "one page shows no rates and no latency of now; give two or more pages, or the \
             live server with --url"
        }
        _ => {
            "no request was served in the window, and an idle server proves nothing; sample \
             longer with --window, or send traffic"
        }
    }
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
