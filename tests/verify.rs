//! Did the fix work: seldom called fixed where it is not, over simulated incidents.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

#[allow(dead_code)]
#[path = "support/cli.rs"]
mod cli;
#[allow(dead_code)]
#[path = "support/judge.rs"]
mod judging;
#[allow(dead_code, unused_imports)]
#[path = "support/sim/mod.rs"]
mod sim;

use std::{collections::BTreeMap, sync::LazyLock, thread};

use diagnose::{
    evidence::bundle::Bundle,
    report::{Report, Verdict, json},
    runbook::Library,
    sources,
    verify::{self, Asked, Outcome, Verification},
};
use judging::{cut, judge};
use sim::{Kind, case};

static LIBRARY: LazyLock<Library> = LazyLock::new(|| Library::embedded().unwrap());

const HOUR_MS: u64 = 3_600_000;

/// Incidents that go on until somebody fixes them.
const KINDS: [Kind; 11] = [
    Kind::Overload,
    Kind::PromptsGrew,
    Kind::OutputsGrew,
    Kind::Volatile,
    Kind::CachingOff,
    Kind::KvOutputs,
    Kind::HostBusy,
    Kind::SlowGpu,
    Kind::BigBatches,
    Kind::Malformed,
    Kind::Interference,
];

const SEEDS: u64 = 6;

/// The pages of a bundle at other times: `hours` later, and `slower` times as far apart.
fn moved(bundle: &Bundle, hours: u64, slower: u64) -> Bundle {
    let mut new = bundle.clone();
    let first = bundle.scrapes.keys().next().copied().unwrap_or(0);
    let at = |ms: u64| first + (ms.saturating_sub(first)) * slower + hours * HOUR_MS;
    new.scrapes = bundle.scrapes.iter().map(|(ms, page)| (at(*ms), page.clone())).collect();
    new.probes = bundle.probes.iter().map(|(ms, round)| (at(*ms), round.clone())).collect();
    let seconds = |time: Option<f64>| time.map(|time| at((time * 1e3) as u64) as f64 / 1e3);
    (new.meta.started, new.meta.ended) = (seconds(bundle.meta.started), seconds(bundle.meta.ended));
    (new.log, new.kernel_log, new.gateway) = (None, None, None);
    new
}

/// A server that nobody asks: each page is the first one, with nothing in flight.
fn idle(bundle: &Bundle) -> Bundle {
    let mut new = moved(bundle, 24, 1);
    let page = String::from_utf8(new.scrapes.values().next().unwrap().clone()).unwrap();
    let still = |line: &str| match line.split_once(' ') {
        Some((key, _)) if key.contains("num_requests_") => format!("{key} 0.0\n"),
        _ => format!("{line}\n"),
    };
    let page: String = page.lines().map(still).collect();
    new.scrapes.values_mut().for_each(|body| *body = page.clone().into_bytes());
    new
}

fn look(before: &Report, after: &Bundle) -> Verification {
    let evidence = sources::read(after);
    let to = evidence.span.to;
    let library = &LIBRARY;
    let asked = Asked { before, library, evidence: &evidence, since: None, to, kept: None };
    verify::verify(&asked)
}

/// What is called what: kind of case → outcome → how often.
type Tally = BTreeMap<&'static str, BTreeMap<String, usize>>;

/// One incident, seen by a report, and then fixed, not fixed, idle, or under less load.
fn trial(kind: Kind, seed: u64) -> Vec<(&'static str, Outcome, String)> {
    let case = case(kind, seed);
    let onset = (case.onset.unwrap() * 1e3) as u64;
    let pages: Vec<u64> = case.bundle.scrapes.keys().copied().collect();
    let begin = pages.partition_point(|at| *at < onset);
    let middle = begin + (pages.len() - begin) / 2;
    let before = judge(&LIBRARY, &cut(&case.bundle, 0..middle), None);
    if !matches!(before.verdict, Verdict::Degraded | Verdict::Critical) {
        return Vec::new();
    }
    let healthy = cut(&case.bundle, 0..begin);
    let sick = cut(&case.bundle, middle..pages.len());
    let told = |what, after: Bundle| {
        let answer = look(&before, &after);
        (what, answer.outcome, format!("{}: {what}: {}", case.name, answer.statement))
    };
    vec![
        told("fixed", moved(&healthy, 24, 1)),
        told("fixed, a quarter of the load", moved(&healthy, 24, 4)),
        told("not fixed", sick.clone()),
        told("not fixed, a quarter of the load", moved(&sick, 24, 4)),
        told("idle", idle(&healthy)),
    ]
}

#[test]
fn what_is_not_fixed_is_seldom_called_fixed() {
    let all: Vec<(Kind, u64)> =
        KINDS.into_iter().flat_map(|kind| (1..=SEEDS).map(move |seed| (kind, seed))).collect();
    let workers = thread::available_parallelism().map_or(1, usize::from);
    let told: Vec<_> = thread::scope(|scope| {
        let all = &all;
        let threads: Vec<_> = (0..workers)
            .map(|first| {
                let mine = all.iter().skip(first).step_by(workers);
                scope.spawn(move || mine.flat_map(|(kind, seed)| trial(*kind, *seed)).collect())
            })
            .collect();
        threads.into_iter().flat_map(|thread| -> Vec<_> { thread.join().unwrap() }).collect()
    });
    let mut tally = Tally::new();
    for (what, outcome, _) in &told {
        *tally.entry(what).or_default().entry(format!("{outcome:?}")).or_default() += 1;
    }
    println!("{} cases", told.len());
    tally.iter().for_each(|(what, outcomes)| println!("{what}: {outcomes:?}"));
    let unfixed = |what: &str| what.starts_with("not fixed") || what == "idle";
    let wrong: Vec<&str> = told
        .iter()
        .filter(|(what, outcome, _)| unfixed(what) && *outcome == Outcome::Fixed)
        .map(|(.., text)| text.as_str())
        .collect();
    for (what, outcome, text) in &told {
        if *what == "fixed" && *outcome != Outcome::Fixed {
            println!("{text}");
        }
    }
    println!("false fixed: {wrong:#?}");
    let count = |what: &str| told.iter().filter(|it| it.0 == what).count();
    assert!(told.len() >= 300, "{}", told.len());
    assert!(wrong.len() * 100 <= told.len(), "{wrong:#?}");
    let right = told.iter().filter(|it| it.0 == "fixed" && it.1 == Outcome::Fixed).count();
    assert!(right * 10 >= count("fixed") * 5, "{right} of {}", count("fixed"));
}

#[test]
fn the_way_from_the_incident_to_the_answer_is_one_command() {
    let dir = tempfile::tempdir().unwrap();
    let report = dir.path().join("report.json");
    let report = report.to_str().unwrap();
    let sick = cli::incident("decode-slow");
    cli::run(["sweep", "--replay", &sick, "--format", "json", "-o", report]).assert_code(1);
    let old = cli::run(["verify", report, "--replay", &sick, "--since=-60s"]);
    old.assert_code(3);
    old.assert_says("TOO EARLY");
    let recording = judging::recordings().into_iter().find(|it| it.name == "healthy").unwrap();
    let after = dir.path().join("after.tar.zst");
    moved(&recording.bundle, 24, 1).save(&after).unwrap();
    let after = after.to_str().unwrap();
    let fixed = cli::run(["verify", report, "--replay", after]);
    fixed.assert_code(0);
    fixed.assert_says("FIXED");
    assert!(fixed.stdout.lines().count() <= 25, "{}", fixed.stdout);
    assert!(fixed.stdout.lines().all(|line| line.chars().count() <= 80), "{}", fixed.stdout);
    let schema: serde_json::Value = serde_json::from_str(&verify::schema()).unwrap();
    let answer = cli::run(["verify", report, "--replay", after, "--format", "json"]).json();
    assert!(jsonschema::validator_for(&schema).unwrap().is_valid(&answer));
    cli::run(["verify", report, "--replay", after, "--format", "markdown"]).assert_says("# FIXED");
    cli::run(["verify", report, "--replay", after, "--baseline", "10m"]).assert_code(2);
}

#[test]
fn a_report_that_found_nothing_has_nothing_to_verify() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("report.json");
    let recording = judging::recordings().into_iter().find(|it| it.name == "healthy").unwrap();
    let report = judge(&LIBRARY, &recording.bundle, None);
    std::fs::write(&path, json::render(&report)).unwrap();
    let ran = cli::run(["verify", path.to_str().unwrap(), "--replay", &cli::incident("healthy")]);
    ran.assert_code(2);
    ran.assert_says("nothing to verify");
}
