//! The simulated corpus: its bundles are sound, and the judge gets them right.
#![allow(clippy::unwrap_used, clippy::expect_used)]

#[allow(dead_code, reason = "recordings are judged by other tests")]
#[path = "support/judge.rs"]
mod judging;
#[path = "support/score.rs"]
mod score;
#[path = "support/sim/mod.rs"]
mod sim;

use std::thread;

use diagnose::{
    eval::{Evaluation, Trial, render},
    evidence::Evidence,
    runbook::Library,
    sources,
};
use score::trial;
use sim::{Kind, case};

/// Judges these seeds of every kind.
fn run(kinds: &[Kind], seeds: std::ops::Range<u64>) -> Evaluation {
    let library = Library::embedded().unwrap();
    let jobs: Vec<(Kind, u64)> =
        kinds.iter().flat_map(|kind| seeds.clone().map(move |seed| (*kind, seed))).collect();
    let workers = thread::available_parallelism().map_or(1, usize::from);
    thread::scope(|scope| {
        let threads: Vec<_> = (0..workers)
            .map(|worker| {
                let (jobs, library) = (&jobs, &library);
                scope.spawn(move || {
                    let mine = jobs.iter().skip(worker).step_by(workers);
                    mine.map(|(kind, seed)| trial(&case(*kind, *seed), library)).collect::<Vec<_>>()
                })
            })
            .collect();
        let mut all: Vec<Trial> = threads.into_iter().flat_map(|t| t.join().unwrap()).collect();
        all.sort_by(|a, b| a.name.cmp(&b.name));
        Evaluation::of(&all)
    })
}

#[test]
fn equal_seeds_give_equal_bundles() {
    for kind in [Kind::Bursty, Kind::KvOutputs] {
        assert_eq!(case(kind, 5), case(kind, 5));
    }
}

/// Kinds that between them use every part of the model.
const SOUND: [Kind; 8] = [
    Kind::Steady,
    Kind::Idle,
    Kind::Overload,
    Kind::CachingOff,
    Kind::KvPrompts,
    Kind::GivingUp,
    Kind::Malformed,
    Kind::Imbalance,
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

#[test]
fn corpus_slice() {
    let evaluation = run(Kind::ALL, 0..2);
    println!("{}", render::terminal(&evaluation));
    let score = evaluation.tool();
    assert_eq!(score.false_alarms.hits, 0.0, "a healthy case was given a cause or an alarm");
    assert!(score.top1.rate.unwrap() >= TOP1_FLOOR, "{:?}", score.top1);
    assert!(score.wrong_firm.rate.unwrap() <= WRONG_FIRM_CEILING, "{:?}", score.wrong_firm);
    for naive in &evaluation.judges[1..] {
        assert!(naive.top1.hits < score.top1.hits, "{} is as good", naive.judge);
    }
}

/// A number from the environment.
fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

/// The whole score, on seeds of choice: `SEED_FROM=200 SEEDS=6 cargo test --test corpus --
/// corpus_whole --ignored --nocapture`. `KIND=kv` takes kinds of that name only.
#[test]
#[ignore = "takes minutes"]
fn corpus_whole() {
    let (from, seeds) = (setting("SEED_FROM", 0), setting("SEEDS", 6));
    let only = std::env::var("KIND").unwrap_or_default();
    let kinds: Vec<Kind> =
        Kind::ALL.iter().copied().filter(|kind| kind.name().contains(&only)).collect();
    println!("{}", render::terminal(&run(&kinds, from..from + seeds)));
}

/// Why a case is judged as it is: `CASE=engine-wedged/1 cargo test --test corpus explain --
/// --ignored --nocapture`.
#[test]
#[ignore = "for people"]
fn explain() {
    let library = Library::embedded().unwrap();
    let wanted = std::env::var("CASE").unwrap_or("healthy-steady/0".into());
    for wanted in wanted.split(',') {
        let (name, seed) = wanted.split_once('/').unwrap();
        let kind = *Kind::ALL.iter().find(|kind| kind.name() == name).unwrap();
        let case = case(kind, seed.parse().unwrap());
        println!("{}", score::explained(&case, &library));
    }
}
