//! Pages of nine servers, from V0 to the Rust front-end and Ray, read into the same signals.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::path::Path;

use diagnose::{
    evidence::{Evidence, Span, bundle::Bundle},
    signals::{self, Baseline, MissingKind, Readings, Windows},
    sources,
};

const FIVE_SECONDS_MS: u64 = 5000;
const START_MS: u64 = 1_790_000_000_000;

/// Two pages five seconds apart, between which every counter doubles and no gauge moves.
fn doubled(page: &str, version: &str) -> Bundle {
    let mut bundle = Bundle::default();
    bundle.meta.vllm_version = Some(version.into());
    bundle.scrapes.insert(START_MS, page.as_bytes().to_vec());
    let later: Vec<String> = page.lines().map(double).collect();
    bundle.scrapes.insert(START_MS + FIVE_SECONDS_MS, (later.join("\n") + "\n").into_bytes());
    bundle
}

fn double(line: &str) -> String {
    let counts = ["_total", "_bucket", "_sum", "_count"];
    let name = line.split(['{', ' ']).next().unwrap_or_default();
    let grows = !line.starts_with('#') && counts.iter().any(|ending| name.ends_with(ending));
    match line.rsplit_once(' ').filter(|_| grows) {
        Some((series, value)) => format!("{series} {}", value.parse::<f64>().unwrap() * 2.0),
        None => line.to_string(),
    }
}

fn read(file: &str, version: &str) -> (Evidence, Readings) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/exposition").join(file);
    let page = std::fs::read_to_string(path).unwrap();
    let evidence = sources::read(&doubled(&page, version));
    let now = Span { from: evidence.span.from, to: evidence.span.to };
    let windows =
        Windows { now, baseline: Baseline::Lifetime(now.from), onset: None, clocks: Vec::new() };
    let readings = signals::read_all(&evidence, &windows);
    (evidence, readings)
}

fn value(readings: &Readings, signal: &str) -> f64 {
    readings[signal].now.as_ref().unwrap_or_else(|why| panic!("{signal}: {}", why.why)).point
}

const PAGES: [(&str, &str); 9] = [
    ("vllm-0.6.6.prom", "0.6.6"),
    ("vllm-0.8.5.prom", "0.8.5"),
    ("vllm-0.10.2.prom", "0.10.2"),
    ("vllm-0.12.0.prom", "0.12.0"),
    ("vllm-0.23.0.prom", "0.23.0"),
    ("vllm-0.23.0-ray.prom", "0.23.0"),
    ("vllm-0.32.0.prom", "0.32.0"),
    ("vllm-0.33.0.prom", "0.33.0"),
    ("vllm-0.33.0-rust.prom", "0.33.0"),
];

#[test]
fn every_version_gives_the_signals_that_a_diagnosis_starts_from() {
    for (file, version) in PAGES {
        let (_, readings) = read(file, version);
        for signal in [
            "ttft_mean_seconds",
            "ttft_p95_seconds",
            "itl_mean_seconds",
            "e2e_mean_seconds",
            "queue_mean_seconds",
            "running_mean_requests",
            "waiting_mean_requests",
            "kv_cache_usage_max_ratio",
            "finished_requests",
            "prompt_mean_tokens",
            "output_mean_tokens",
            "preemptions_per_request",
            "computed_per_request_tokens",
        ] {
            assert!(readings[signal].now.is_ok(), "{file}: {signal} {:?}", readings[signal].now);
        }
        assert!((0.0..=1.0).contains(&value(&readings, "kv_cache_usage_max_ratio")), "{file}");
    }
}

#[test]
fn doubling_every_counter_leaves_every_mean_at_its_lifetime_value() {
    for (file, version) in PAGES {
        let (_, readings) = read(file, version);
        for signal in ["ttft_mean_seconds", "itl_mean_seconds", "output_mean_tokens"] {
            let change = readings[signal].change.as_ref().unwrap();
            assert!((change.point - 1.0).abs() < 1e-9, "{file}: {signal} {}", change.point);
        }
    }
}

#[test]
fn prefix_counters_in_blocks_and_in_tokens_give_about_one_query_a_prompt_token() {
    for (file, version) in PAGES.iter().filter(|(file, _)| !file.contains("0.6.6")) {
        let (_, readings) = read(file, version);
        let queries = value(&readings, "prefix_queries_per_prompt_token");
        assert!((0.8..1.2).contains(&queries), "{file}: {queries}");
        assert!((0.0..=1.0).contains(&value(&readings, "prefix_cache_hit_ratio")), "{file}");
    }
}

#[test]
fn what_a_version_does_not_export_is_missing_with_the_version_that_does() {
    let (_, readings) = read("vllm-0.6.6.prom", "0.6.6");
    let missing = readings["tpot_mean_seconds"].now.as_ref().unwrap_err();
    assert_eq!(missing.kind, MissingKind::Absent);
    assert!(missing.why.contains("0.11.0") && missing.why.contains("0.6.6"), "{}", missing.why);
    let off = readings["prefix_cache_hit_ratio"].now.as_ref().unwrap_err();
    assert!(off.why.contains("off"), "{}", off.why);
}

#[test]
fn a_single_page_has_no_present() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/exposition/vllm-0.23.0.prom");
    let mut bundle = Bundle::default();
    bundle.scrapes.insert(START_MS, std::fs::read(path).unwrap());
    let evidence = sources::read(&bundle);
    let windows = signals::onset::windows(&evidence, &signals::Ask::default());
    let readings = signals::read_all(&evidence, &windows);
    assert!(readings["ttft_mean_seconds"].now.is_err());
    assert!(readings["arrivals_requests_per_second"].now.is_err());
}
