//! The past from a Prometheus: real ones, and ones that do not answer well.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

#[path = "support/cli.rs"]
#[allow(dead_code)]
mod cli;
#[path = "support/judge.rs"]
#[allow(dead_code)]
mod judging;
#[path = "support/prometheus.rs"]
mod real;
#[allow(dead_code)]
mod support;
#[path = "support/tools.rs"]
mod tools;

use std::path::Path;

use cli::{Ran, diagnose, finish, run};
use diagnose::evidence::bundle::{Bundle, FORMAT_VERSION, Limits};
use judging::recordings;
use real::{Prometheus, sample, scraped};
use serde_json::Value;
use support::{Server, respond, respond_with};
use tempfile::tempdir;

const LABELS: &str = r#"job="vllm",instance="10.0.0.7:8000",pod="chat-0",cluster="eu""#;

/// The pages of a recording alone: all that Prometheus has of it.
fn pages_of(bundle: &Bundle) -> Bundle {
    let mut pages = Bundle { scrapes: bundle.scrapes.clone(), ..Bundle::default() };
    pages.meta.format_version = FORMAT_VERSION;
    let (from, to) = pages.span_ms().unwrap();
    pages.meta.started = Some(from as f64 / 1e3);
    pages.meta.ended = Some(to as f64 / 1e3);
    pages
}

fn stored(bundle: &Bundle, labels: &str) -> String {
    let each = bundle
        .scrapes
        .iter()
        .map(|(&ms, page)| scraped(page, labels, ms) + &sample("up", labels, 1.0, ms));
    each.collect()
}

fn stamp(ms: u64) -> String {
    jiff::Timestamp::from_millisecond(ms as i64).unwrap().to_string()
}

/// A sweep over what Prometheus has up to a moment.
fn sweep(url: &str, at: u64, more: &[&str]) -> Ran {
    let at = stamp(at);
    let args = ["sweep", "--prometheus", url, "--at", &at, "--history", "20m", "--format", "json"];
    run(args.iter().chain(more))
}

fn causes(report: &Value) -> Vec<(String, String, f64)> {
    let of = |it: &Value| {
        let text = |key: &str| it[key].as_str().unwrap().to_owned();
        (text("id"), text("status"), it["probability"].as_f64().unwrap())
    };
    report["causes"].as_array().unwrap().iter().map(of).collect()
}

fn source<'a>(report: &'a Value, id: &str) -> &'a Value {
    let sources = report["sources"].as_array().unwrap();
    sources.iter().find(|it| it["id"] == id).unwrap_or(&Value::Null)
}

#[test]
fn every_recording_is_judged_through_prometheus_as_from_its_pages() {
    for recording in recordings() {
        let pages = pages_of(&recording.bundle);
        let folder = tempdir().unwrap();
        let saved = folder.path().join("pages");
        pages.save(&saved).unwrap();
        let plain = run(["sweep", "--replay", saved.to_str().unwrap(), "--format", "json"]).json();
        let prometheus = Prometheus::with(&stored(&recording.bundle, LABELS));
        let (_, to) = pages.span_ms().unwrap();
        let ran = sweep(&prometheus.url(), to, &["--selector", "job=\"vllm\""]);
        let report = ran.json();
        let name = &recording.name;
        assert_eq!(source(&report, "prometheus")["status"], "ok", "{name}: {}", ran.said());
        assert_eq!(report["verdict"], plain["verdict"], "{name}");
        assert_eq!(report["onset"], plain["onset"], "{name}");
        let (seen, wanted) = (causes(&report), causes(&plain));
        std::fs::write(
            format!("/tmp/h/r-{name}-a.json"),
            serde_json::to_string_pretty(&report).unwrap(),
        )
        .unwrap();
        std::fs::write(
            format!("/tmp/h/r-{name}-b.json"),
            serde_json::to_string_pretty(&plain).unwrap(),
        )
        .unwrap();
        assert_eq!(seen.len(), wanted.len(), "{name}");
        for (seen, wanted) in seen.iter().zip(&wanted) {
            assert_eq!((&seen.0, &seen.1), (&wanted.0, &wanted.1), "{name}");
            assert!((seen.2 - wanted.2).abs() <= 0.05, "{name}: {seen:?} {wanted:?}");
        }
    }
}
