//! What the alerts say on recordings of incidents, and that real rules say the same there.

use std::{collections::BTreeMap, fmt::Write as _, fs, path::Path};

use diagnose::{
    evidence::{Evidence, SeriesSet, Span},
    monitor::{
        load::{EMBEDDED, Rules},
        prometheus,
        state::{State, check},
        target::Target,
    },
    runbook::Library,
};

use crate::{
    cli::{incident, run},
    promtool::promtool,
    server::evidence,
};

/// What each recording warrants, read off its values; all other alerts are quiet. Nothing lasts long
/// enough to fire: a recording has two and a half minutes, and most of them are healthy.
const WARRANTED: &[(&str, &[(&str, &str)])] = &[
    // P95 TTFT 60 to 80 ms, queue wait in the first bucket.
    ("healthy", &[("queue-wait-creep", "unknown")]),
    ("healthy-bursty", &[("queue-wait-creep", "unknown")]),
    // Answers are 4xx, which is no fault of the service.
    ("bad-requests", &[("queue-wait-creep", "unknown")]),
    // Slow between tokens, not before the first one.
    ("decode-slow", &[("queue-wait-creep", "unknown")]),
    // P95 TTFT 250 to 500 ms, cache hits 56 %.
    ("prompts-grew", &[("queue-wait-creep", "unknown")]),
    // Cache hits 30 %.
    ("prefix-broken", &[("queue-wait-creep", "unknown"), ("prefix-cache-degradation", "pending")]),
    // 87 wait, KV cache at 100 %, 47 preemptions a minute, P95 TTFT over 40 s.
    (
        "kv-pressure",
        &[
            ("queue-overflow", "pending"),
            ("high-ttft", "pending"),
            ("gpu-memory-pressure", "pending"),
            ("preemption-rate-high", "pending"),
            ("queue-wait-creep", "pending"),
            ("serving-high-ttft", "pending"),
            ("serving-queue-time-high", "pending"),
            ("preemption-related-degradation", "pending"),
        ],
    ),
    // 1240 wait and nothing is preempted.
    (
        "load-exceeds-capacity",
        &[
            ("queue-overflow", "pending"),
            ("high-ttft", "pending"),
            ("queue-wait-creep", "pending"),
            ("serving-high-ttft", "pending"),
            ("serving-queue-time-high", "pending"),
        ],
    ),
];

/// What only CloudWatch tells is unknown in all of them.
const NOT_READ: [&str; 2] = ["oom-detected", "adapter-latency-regression"];

#[test]
fn each_recording_has_the_alerts_that_its_values_warrant() {
    assert_eq!(fs::read_dir(incident("")).unwrap().count(), WARRANTED.len());
    for (name, warranted) in WARRANTED {
        let ran = run(["alerts", "check", "--replay", &incident(name), "--format", "json"]);
        ran.assert_code(0);
        let told = ran.json();
        assert_eq!(told.as_array().unwrap().len(), 13, "{name}");
        for alert in told.as_array().unwrap() {
            let id = alert["id"].as_str().unwrap();
            let known = warranted.iter().find(|(other, _)| *other == id).map(|(_, state)| *state);
            let unread = NOT_READ.contains(&id).then_some("unknown");
            let expected = known.or(unread).unwrap_or("quiet");
            assert_eq!(alert["state"], expected, "{name}: {alert}");
            assert_eq!(alert["why"].is_string(), expected == "unknown", "{name}: {alert}");
        }
    }
}

#[test]
fn the_exit_code_tells_what_pages_and_what_nobody_can_tell() {
    let overloaded = incident("load-exceeds-capacity");
    let folder = quick();
    let dir = folder.path().to_str().unwrap();
    run(["alerts", "check", "queue-overflow", "--replay", &overloaded]).assert_code(0);
    let args = ["alerts", "check", "--replay", &overloaded, "--runbooks", dir];
    let fires = run(args);
    fires.assert_code(1);
    fires.assert_says("FIRING   queue-overflow");
    let warning = ["alerts", "check", "high-ttft", "--replay", &overloaded, "--runbooks", dir];
    run(warning).assert_code(0);
    run(["alerts", "check", "oom-detected", "--replay", &overloaded]).assert_code(3);
    run(["alerts", "check", "no-such-alert", "--replay", &overloaded]).assert_code(2);
}

/// How late against the onset that a report finds, and whether it finds a symptom.
#[test]
fn a_backtest_says_how_late_and_whether_for_nothing() {
    let folder = quick();
    let dir = folder.path().to_str().unwrap();
    let backtest = |name: &str| {
        let replay = incident(name);
        run(["alerts", "backtest", "--replay", &replay, "--runbooks", dir, "--format", "json"])
            .json()
    };
    let overloaded = backtest("load-exceeds-capacity");
    let queue =
        overloaded.as_array().unwrap().iter().find(|it| it["id"] == "queue-overflow").unwrap();
    let late = queue["after_onset_seconds"].as_f64().unwrap();
    assert!((30.0..=60.0).contains(&late), "{queue}");
    assert!(!queue["symptoms"].as_array().unwrap().is_empty(), "{queue}");
    assert_eq!(backtest("healthy"), serde_json::json!([]));
    let shown =
        run(["alerts", "backtest", "--replay", &incident("kv-pressure"), "--runbooks", dir]);
    shown.assert_says("of them for nothing");
}

/// The shipped alerts with windows of a minute and 30 s to last, which a recording can hold.
fn quick_alerts() -> String {
    let shipped = EMBEDDED.iter().find(|file| file.path.ends_with("alerts.yaml")).unwrap().yaml;
    let quick = |line: &str| match line.trim_start().split(':').next() {
        Some("window") => "  window: 1m".to_owned(),
        Some("for") => "  for: 30s".to_owned(),
        _ => line.replace("window: 10m", "window: 1m"),
    };
    shipped.lines().map(|line| quick(line) + "\n").collect()
}

fn quick() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("monitoring")).unwrap();
    fs::write(folder.path().join("monitoring/alerts.yaml"), quick_alerts()).unwrap();
    folder
}

/// Seconds between two pages of a recording.
const STEP: f64 = 5.0;

/// The pages of a recording, exactly so many seconds apart from 0 on.
fn evenly(recorded: &Evidence) -> Evidence {
    let start = recorded.series.pages()[0];
    let mut series = SeriesSet::default();
    for (index, page) in recorded.series.pages().iter().enumerate() {
        let at = index as f64 * STEP;
        assert!((page - start - at).abs() < STEP / 2.0, "page {index} came late");
        series.begin_page(at);
        for old in recorded.series.iter() {
            if let Some(point) = old.points.iter().find(|point| point.at == *page) {
                let key = format!("{}{:?}", old.name, old.labels);
                series.record(&key, at, point.value, || (old.name.clone(), old.labels.clone()));
            }
        }
    }
    let to = (recorded.series.pages().len() - 1) as f64 * STEP;
    let span = Span { from: 0.0, to };
    Evidence { series, span, target: recorded.target.clone(), ..Evidence::default() }
}

/// The series that rules ask for, as promtool writes them.
fn inputs(evidence: &Evidence, rules: &str) -> String {
    let mut text = String::new();
    for series in evidence.series.iter().filter(|series| rules.contains(&series.name)) {
        let labels: Vec<String> =
            series.labels.iter().map(|(name, value)| format!("{name}={value:?}")).collect();
        let values: BTreeMap<usize, f64> =
            series.points.iter().map(|point| ((point.at / STEP) as usize, point.value)).collect();
        let last = (evidence.span.to / STEP) as usize;
        let value = |index| values.get(&index).map_or("_".into(), ToString::to_string);
        let values: Vec<String> = (0..=last).map(value).collect();
        let _ = writeln!(
            text,
            "      - {{series: '{}{{{}}}', values: '{}'}}",
            series.name,
            labels.join(","),
            values.join(" ")
        );
    }
    text
}

/// At every moment of every recording, Prometheus under the rendered rules has each alert in the
/// state that is told here, where that is decided.
#[test]
fn prometheus_has_the_alerts_that_are_told() {
    let folder = quick();
    let rules = Rules::load(&[folder.path().to_path_buf()]).unwrap();
    let policy = Library::embedded().unwrap().policy;
    let mut seen: BTreeMap<&str, usize> = BTreeMap::new();
    for entry in fs::read_dir(incident("")).unwrap() {
        let evidence = evenly(&evidence(Path::new(&entry.unwrap().file_name()).to_str().unwrap()));
        let target = Target::of_evidence(&evidence, &[]).unwrap();
        let rendered = prometheus::render(&rules, &policy, &target);
        let mut tests = format!(
            "rule_files: [rules.yaml]\nevaluation_interval: 15s\ntests:\n  - interval: 5s\n    \
             input_series:\n{}    promql_expr_test:\n",
            inputs(&evidence, &rendered)
        );
        for moment in 1..=(evidence.span.to / 15.0) as usize {
            let at = moment as f64 * 15.0;
            for alert in rules.alerts.iter().filter(|it| it.id != "endpoint-down") {
                let told = |at: f64| check(alert, &rules, &policy, &evidence, at).remove(0).state;
                // Prometheus interpolates where a bucket decides nothing, and remembers it.
                if [15.0, 30.0].iter().any(|back| matches!(told(at - back), State::Unknown(_))) {
                    continue;
                }
                let state = match told(at) {
                    State::Unknown(_) => continue,
                    State::Inactive => "",
                    State::Pending { .. } => "pending",
                    State::Firing { .. } => "firing",
                };
                *seen.entry(state).or_default() += 1;
                let samples = match state {
                    "" => "[]".to_owned(),
                    state => format!("[{{labels: '{{alertstate=\"{state}\"}}', value: 1}}]"),
                };
                let _ = writeln!(
                    tests,
                    "      - expr: 'count by (alertstate) (ALERTS{{alertname=\"{}\"}})'\n        \
                     eval_time: {at}s\n        exp_samples: {samples}",
                    alert.id
                );
            }
        }
        promtool(&["test", "rules"], "tests.yaml", &tests, &[("rules.yaml", &rendered)]);
    }
    assert!(seen["firing"] >= 20 && seen["pending"] >= 10 && seen[""] >= 200, "{seen:?}");
}
