//! The simulated corpus: its bundles are sound, and the judge gets them right.
#![allow(clippy::unwrap_used, clippy::expect_used)]

#[allow(dead_code, reason = "recordings are judged by other tests")]
#[path = "support/judge.rs"]
mod judging;
#[path = "support/score.rs"]
mod score;
#[path = "support/sim/mod.rs"]
mod sim;

use std::collections::BTreeMap;

use diagnose::{
    eval::{Evaluation, Trial, render},
    evidence::Evidence,
    runbook::Library,
    sources,
};
use score::trials;
use sim::{Kind, case};

#[test]
fn equal_seeds_give_equal_bundles() {
    for kind in [Kind::Bursty, Kind::KvOutputs] {
        assert_eq!(case(kind, 5), case(kind, 5));
    }
}

/// Kinds that between them use every part of the model.
const SOUND: [Kind; 12] = [
    Kind::Steady,
    Kind::Idle,
    Kind::Overload,
    Kind::CachingOff,
    Kind::KvPrompts,
    Kind::GivingUp,
    Kind::Malformed,
    Kind::Imbalance,
    Kind::RegularPauses,
    Kind::RemoteStore,
    Kind::Speculating,
    Kind::SlotsThrash,
];

/// Names of counters of the pages, whose values must not fall while a process lives.
fn counts(name: &str) -> bool {
    ["_total", "_bucket", "_sum", "_count"].iter().any(|end| name.ends_with(end))
}

/// Every page is read whole, and counters fall only when the process restarted.
fn counters_hold(evidence: &Evidence, name: &str) {
    let metrics = evidence.source("metrics").unwrap();
    assert!(metrics.detail.ends_with("pages of /metrics"), "{name}: {metrics:?}");
    let restart = |from: f64, to: f64| {
        use diagnose::evidence::EventKind::Restart;
        evidence
            .events
            .iter()
            .any(|event| event.kind == Restart && event.at >= from && event.not_before <= to)
    };
    for series in evidence.series.iter().filter(|series| counts(&series.name)) {
        for pair in series.points.windows(2) {
            let fell = pair[1].value < pair[0].value;
            assert!(!fell || restart(pair[0].at, pair[1].at), "{name}: {} fell", series.name);
        }
    }
}

/// The last value of a family over all its series that pass.
fn last(
    evidence: &Evidence,
    name: &str,
    keep: impl Fn(&diagnose::evidence::Series) -> bool,
) -> f64 {
    let of = evidence.series.named(name).filter(|series| keep(series));
    of.filter_map(|series| series.points.last()).map(|point| point.value).sum()
}

/// Histograms of one family agree with each other.
fn histograms_hold(evidence: &Evidence, name: &str) {
    let finished = last(evidence, "vllm:request_success_total", |_| true);
    for family in
        ["request_prompt_tokens", "request_generation_tokens", "e2e_request_latency_seconds"]
    {
        let count = last(evidence, &format!("vllm:{family}_count"), |_| true);
        let infinite = last(evidence, &format!("vllm:{family}_bucket"), |series| {
            series.label("le") == Some("+Inf")
        });
        assert_eq!((count, infinite), (finished, finished), "{name}: {family}");
    }
    let first = last(evidence, "vllm:time_to_first_token_seconds_count", |_| true);
    assert!(first >= finished, "{name}: {first} first tokens of {finished}");
}

/// Accepted answers are finishes and aborts; nothing is counted twice.
fn requests_add_up(evidence: &Evidence, name: &str, may_abort: bool) {
    let accepted = last(evidence, "http_requests_total", |series| {
        series.label("method") == Some("POST") && series.label("status") == Some("2xx")
    });
    let finished = last(evidence, "vllm:request_success_total", |_| true);
    assert!(accepted >= finished, "{name}: {accepted} accepted, {finished} finished");
    assert!(may_abort || accepted == finished, "{name}: {accepted} accepted, {finished} finished");
}

#[test]
fn pages_are_sound() {
    for kind in SOUND {
        let case = case(kind, 3);
        let evidence = sources::read(&case.bundle);
        counters_hold(&evidence, &case.name);
        histograms_hold(&evidence, &case.name);
        requests_add_up(&evidence, &case.name, kind == Kind::GivingUp);
        assert!(evidence.access.len() > 30 || kind == Kind::Idle, "{}", case.name);
    }
}

/// Beyond these the judge has become worse, whatever the reason.
const TOP1_FLOOR: f64 = 0.9;
const WRONG_FIRM_CEILING: f64 = 0.05;

/// Seeds that no rule was looked at with; the track record is counted on them.
const SEEDS: std::ops::Range<u64> = 200..203;

#[test]
fn corpus_slice() {
    let trials = trials(Kind::ALL, SEEDS);
    let evaluation = Evaluation::of(&trials);
    println!("{}", render::terminal(&evaluation));
    let score = evaluation.tool();
    assert_eq!(score.false_alarms.hits, 0.0, "a healthy case was given a cause or an alarm");
    assert!(score.top1.rate.unwrap() >= TOP1_FLOOR, "{:?}", score.top1);
    assert!(score.wrong_firm.rate.unwrap() <= WRONG_FIRM_CEILING, "{:?}", score.wrong_firm);
    for naive in &evaluation.judges[1..] {
        assert!(naive.top1.hits < score.top1.hits, "{} is as good", naive.judge);
    }
    assert_eq!(simulated_record(&trials), shipped_record(), "runbooks/track-record.yaml is stale");
}

type Record = BTreeMap<String, (u32, u32)>;

/// How often each cause stood first in its own incidents.
fn simulated_record(trials: &[Trial]) -> Record {
    let mut record = Record::new();
    for trial in trials {
        let Some(truth) = trial.label.causes.first() else { continue };
        let tally = record.entry(truth.clone()).or_default();
        tally.1 += 1;
        tally.0 += u32::from(trial.answer.named.first().is_some_and(|first| first.id == *truth));
    }
    record
}

fn shipped_record() -> Record {
    let library = Library::embedded().unwrap();
    let met = library.track_record.iter().filter(|(_, record)| record.simulated.of > 0);
    met.map(|(id, record)| (id.clone(), (record.simulated.right, record.simulated.of))).collect()
}
