//! Events in order with the onset: what went out before it is named with its lead, what came after
//! it is no cause, and a clock that is wrong leaves the order open.
#![allow(missing_docs, clippy::unwrap_used)]

#[allow(dead_code)]
#[path = "support/cli.rs"]
mod cli;

use std::{fmt::Write as _, fs, path::Path};

use cli::{Ran, incident, run};
use diagnose::{
    evidence::bundle::{Bundle, Limits},
    evidence::{Evidence, View},
    sources,
};
use serde_json::{Value, json};

const RECORDING: &str = "prefix-broken";

fn evidence() -> Evidence {
    let bundle = Bundle::load(&[incident(RECORDING).into()], &Limits::default()).unwrap();
    sources::read(&bundle)
}

/// The onset as it was labelled, Unix seconds.
fn onset() -> f64 {
    let label = fs::read_to_string(Path::new(&incident(RECORDING)).join("label.json")).unwrap();
    serde_json::from_str::<Value>(&label).unwrap()["onset"].as_f64().unwrap()
}

/// Gateway records of evenly spaced requests, of which those after `at` have a new prompt version.
fn deployed_at(at: f64) -> String {
    let span = evidence().span;
    let mut lines = String::new();
    for number in 0..(span.seconds() * 4.0) as usize {
        let t = span.from + number as f64 / 4.0;
        let version = if t >= at { "p18" } else { "p17" };
        writeln!(lines, "{}", json!({"t": t, "status": 200, "prompt_version": version})).unwrap();
    }
    lines
}

/// The requests that the engine finished, each somewhere in its interval, by a clock that is
/// `ahead`; those that it dates after `deploy` have a new prompt version.
fn finished(ahead: f64, deploy: f64) -> String {
    let evidence = evidence();
    let pages = evidence.series.pages().to_vec();
    let mut lines = String::new();
    for pair in pages.windows(2) {
        let span = diagnose::evidence::Span { from: pair[0], to: pair[1] };
        let view = View::new(&evidence.series, span);
        let count = view.increase("vllm:request_success_total").unwrap_or(0.0);
        for number in 0..count as usize {
            let t = pair[0] + (number as f64 + 0.5) / count * (pair[1] - pair[0]) + ahead;
            let version = if t >= deploy { "p18" } else { "p17" };
            let record = json!({"t": t, "status": 200, "prompt_version": version});
            writeln!(lines, "{record}").unwrap();
        }
    }
    lines
}

fn sweep(lines: &str, flags: &str) -> Ran {
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), lines).unwrap();
    let gateway = file.path().display().to_string();
    let replay = incident(RECORDING);
    let fixed = ["prefix-cache-collapse", "--replay", &replay, "--gateway", &gateway];
    run(fixed.into_iter().map(String::from).chain(cli::words(flags)))
}

fn deploy_of(report: &Value) -> Value {
    let timeline = report["timeline"].as_array().unwrap();
    let found = timeline.iter().find(|entry| entry["kind"] == "prompt_version");
    found.unwrap_or_else(|| panic!("{timeline:?}")).clone()
}

fn reading(report: &Value, signal: &str) -> Value {
    let rows = report["readings"].as_array().unwrap();
    rows.iter().find(|row| row["signal"] == signal).unwrap().clone()
}

fn cause(report: &Value, id: &str) -> Value {
    let causes = report["causes"].as_array().unwrap();
    causes.iter().find(|cause| cause["id"] == id).unwrap().clone()
}

#[test]
fn what_went_out_just_before_is_named_with_its_lead() {
    let lines = deployed_at(onset() - 20.0);
    let report = sweep(&lines, "--format json").json();
    let entry = deploy_of(&report);
    assert_eq!(
        (entry["relation"].as_str(), entry["source"].as_str()),
        (Some("before"), Some("gateway"))
    );
    assert_eq!((&entry["change"], &entry["struck"]), (&json!(true), &json!(false)));
    let lead = &entry["lead_seconds"];
    assert!(lead["lo"].as_f64().unwrap() <= 20.5 && lead["hi"].as_f64().unwrap() >= 19.5, "{lead}");
    assert_eq!(reading(&report, "prompt_version_changes_count")["now"], 1.0);
    let screen = sweep(&lines, "").stdout;
    let words = screen.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(words.contains("Before prompt version p17 → p18 at"), "{screen}");
    assert!(words.contains("s before."), "{screen}");
    assert!(screen.lines().count() <= 25, "{screen}");
    assert!(screen.lines().all(|line| line.chars().count() <= 80), "{screen}");
}

#[test]
fn what_went_out_after_the_onset_is_struck_out_and_supports_nothing() {
    let lines = deployed_at(onset() + 30.0);
    let report = sweep(&lines, "--format json").json();
    let entry = deploy_of(&report);
    assert_eq!((entry["relation"].as_str(), &entry["struck"]), (Some("after"), &json!(true)));
    let count = reading(&report, "prompt_version_changes_count");
    assert_eq!(
        (&count["now"], count["note"].as_str()),
        (&json!(0.0), Some("1 after the onset: no cause"))
    );
    let blamed = cause(&report, "prompt-version-broke-prefix");
    let text = blamed.to_string();
    assert_ne!(blamed["status"], "supported", "{text}");
    let step = report["path"]
        .as_array()
        .unwrap()
        .iter()
        .find(|step| step["check"] == "prompt-version-changed");
    let because = step.unwrap()["because"].as_str().unwrap();
    assert!(because.contains("1 after the onset: no cause"), "{because}");
    assert!(!sweep(&lines, "").stdout.contains("p18"), "the first screen names no later change");
    sweep(&lines, "--format markdown").assert_says("no cause): ~~prompt version p17 → p18.~~");
    let all = sweep(&lines, "-v").stdout;
    let words = all.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(words.contains("p18 (after the onset: no cause)"), "{all}");
}

#[test]
fn a_clock_that_is_wrong_is_told_and_leaves_the_order_open() {
    let lines = finished(12.0, onset() + 8.0);
    let report = sweep(&lines, "--format json").json();
    let clock = &report["clocks"][0];
    assert_eq!((clock["clock"].as_str(), &clock["sure"]), (Some("gateway"), &json!(true)));
    let (lo, hi) = (&clock["ahead_seconds"]["lo"], &clock["ahead_seconds"]["hi"]);
    assert!(lo.as_f64().unwrap() <= 12.0 && hi.as_f64().unwrap() >= 12.0, "{clock}");
    assert_eq!(deploy_of(&report)["relation"], "at", "12 s are too many to tell");
    sweep(&lines, "-v").assert_says("gateway clock");
    let right = sweep(&finished(0.0, onset() + 8.0), "--format json").json();
    assert!(right["clocks"].as_array().unwrap().iter().all(|clock| clock["sure"] == false));
    assert_eq!(deploy_of(&right)["relation"], "after");
}
