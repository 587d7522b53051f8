//! The simulated corpus: its bundles are sound, and the judge gets them right.
#![allow(clippy::unwrap_used, clippy::expect_used)]

#[allow(dead_code, reason = "recordings are judged by other tests")]
#[path = "support/judge.rs"]
mod judging;
#[allow(dead_code, reason = "the benchmark writes what is published")]
#[path = "support/record.rs"]
mod record;
#[allow(dead_code, reason = "the fit is the benchmark's")]
#[path = "support/score.rs"]
mod score;
#[path = "support/sim/mod.rs"]
mod sim;

use std::collections::BTreeMap;

use diagnose::{eval::published::Published, evidence::Evidence, runbook::Library, sources};
use score::{TEST, trials};
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

/// What is published, and the seed of which every case is judged again here.
const SLICE: std::ops::Range<u64> = TEST.start..TEST.start + 1;

fn published() -> Published {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/accuracy.json");
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

/// Renew with `FIT=1 WRITE=1 cargo bench --bench accuracy` and look at what changed.
#[test]
fn the_published_score_is_what_the_judge_gives() {
    let library = Library::embedded().unwrap();
    let trials = trials(Kind::ALL, SLICE, &library);
    let published = published();
    for (name, named) in Published::named(&trials) {
        assert_eq!(published.named.get(&name), Some(&named), "{name} is judged otherwise");
    }
    let cases = Kind::ALL.len() * TEST.count();
    assert_eq!((published.named.len(), published.simulated.cases), (cases, cases));
}

/// The score may not fall below these, whatever else gets better.
#[test]
fn the_published_score_reaches_its_bars() {
    let published = published();
    let score = published.simulated.tool();
    for (figure, reached, bar) in [
        ("top-1", score.top1, 0.92),
        ("top-3", score.top3, 0.98),
        ("abstained", score.abstained, 0.9),
    ] {
        assert!(reached.rate.unwrap() >= bar, "{figure}: {reached:?}");
    }
    assert!(score.false_alarms.rate.unwrap() <= 0.01, "{:?}", score.false_alarms);
    assert!(score.brier.unwrap() <= 0.06 && score.ece.unwrap() <= 0.05, "{:?}", score.reliability);
    for naive in &published.simulated.judges[1..] {
        assert!(naive.top1.hits < score.top1.hits, "{} is as good", naive.judge);
    }
    for (source, without) in &published.without {
        let lost = score.top1.rate.unwrap() - without.top1.rate.unwrap();
        assert!(lost <= 0.1, "without {source}: {lost}");
    }
}

#[test]
fn the_track_record_is_what_was_counted() {
    let published = published();
    let library = Library::embedded().unwrap();
    let mut counted: BTreeMap<String, u32> = BTreeMap::new();
    for cell in &published.simulated.tool().confusion {
        if cell.truth == cell.first {
            *counted.entry(cell.truth.clone()).or_default() += cell.n as u32;
        }
    }
    for (cause, record) in &library.track_record.causes {
        assert_eq!(record.simulated.right, counted.get(cause).copied().unwrap_or(0), "{cause}");
    }
    assert_eq!(library.track_record.healthy as usize, published.simulated.healthy);
    let recorded = record::recorded(&library);
    let shipped = library.track_record.causes.iter().filter(|(_, kept)| kept.recorded.of > 0);
    let shipped: BTreeMap<_, _> = shipped.map(|(id, kept)| (id.clone(), kept.recorded)).collect();
    assert_eq!(recorded, shipped);
}

/// The corpus is mostly made of what is hard: nothing wrong, two faults, or none that is known.
#[test]
fn the_corpus_is_mixed() {
    let trials: Vec<_> = score::each(Kind::ALL, SLICE, |case| score::label(&case));
    let share = |wanted: &dyn Fn(&diagnose::eval::Label) -> bool| {
        trials.iter().filter(|label| wanted(label)).count() as f64 / trials.len() as f64
    };
    let healthy = share(&|label| label.causes.is_empty() && !label.outside);
    let outside = share(&|label| label.outside);
    let two = share(&|label| label.causes.len() >= 2);
    assert!(healthy >= 0.35 && outside >= 0.1 && two >= 0.1, "{healthy} {outside} {two}");
}
