//! Judging by what AWS tells, without a look at a server: each incident is named by its runbook and
//! by a sweep, what is well gives no alarm, and no neighbour is named.
#![allow(missing_docs, clippy::unwrap_used)]

#[allow(dead_code)]
#[path = "support/cli.rs"]
mod cli;
#[path = "support/cloud/mod.rs"]
mod cloud;
#[allow(dead_code)]
#[path = "support/judge.rs"]
mod judging;

use cli::{incident, run};
use cloud::{Scenario, scenarios};
use diagnose::{
    evidence::bundle::{Bundle, Limits},
    exit,
    report::{Report, Status},
    runbook::{Library, Severity},
};
use judging::judge;
use serde_json::{Value, json};

const MIN_COVERAGE: f64 = 0.5;

fn supported(report: &Report) -> Vec<&str> {
    let named = report.causes.iter().filter(|cause| cause.status == Status::Supported);
    named.map(|cause| cause.id.as_str()).collect()
}

fn code(report: &Report, fail_on: Severity) -> i32 {
    i32::from(exit::of(report, fail_on, MIN_COVERAGE).code())
}

/// What a report gets wrong, a line each.
fn wrong(scenario: &Scenario, report: &Report, whose: &str) -> Vec<String> {
    let (expect, named) = (&scenario.expect, supported(report));
    let mut wrong = Vec::new();
    if named.first().copied() != expect.cause {
        wrong.push(format!("{whose} names {named:?}, not {:?}", expect.cause));
    }
    for other in expect.not.iter().filter(|other| named.contains(other)) {
        wrong.push(format!("{whose} names {other}"));
    }
    wrong
}

#[test]
fn every_incident_is_named_by_its_runbook_and_by_a_sweep() {
    let library = Library::embedded().unwrap();
    let mut failures = Vec::new();
    for scenario in scenarios() {
        let bundle = scenario.bundle();
        let walked = judge(&library, &bundle, Some(scenario.runbook));
        let swept = judge(&library, &bundle, None);
        let mut lines = wrong(&scenario, &walked, "the runbook");
        lines.extend(wrong(&scenario, &swept, "the sweep"));
        let path: Vec<&str> = walked.path.iter().map(|step| step.step.as_str()).collect();
        if !path.ends_with(scenario.expect.path) {
            lines.push(format!("the path is {path:?}"));
        }
        let exits = (code(&walked, Severity::Critical), code(&swept, Severity::Warning));
        if exits != scenario.expect.exits {
            let symptoms: Vec<&str> =
                swept.symptoms.iter().map(|it| it.statement.as_str()).collect();
            lines.push(format!(
                "exits {exits:?}; {:?}; {symptoms:?}; {:?} of {:?}; {:?}",
                walked.verdict, walked.coverage.answered, walked.coverage.asked, walked.onset
            ));
        }
        failures.extend(lines.into_iter().map(|line| format!("{}: {line}", scenario.name)));
    }
    assert!(failures.is_empty(), "\n{}", failures.join("\n"));
}

fn found(name: &str) -> Scenario {
    scenarios().into_iter().find(|scenario| scenario.name == name).unwrap()
}

/// A scenario through the program, from a folder.
fn replayed(scenario: &Scenario, command: &str) -> (i32, Value) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("bundle");
    scenario.bundle().save(&path).unwrap();
    let ran = run([command, "--format", "json", "--replay", &path.display().to_string()]);
    (ran.code, ran.json())
}

fn reading<'a>(report: &'a Value, signal: &str) -> &'a Value {
    report["readings"].as_array().unwrap().iter().find(|row| row["signal"] == signal).unwrap()
}

#[test]
fn a_folder_with_answers_of_aws_alone_is_judged_by_the_program() {
    let (code, report) = replayed(&found("no such instance"), "scaling-failure");
    assert_eq!((code, &report["verdict"]), (1, &json!("critical")));
    assert_eq!(report["causes"][0]["id"], "insufficient-instance-capacity");
    let kinds: Vec<&str> = report["timeline"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|it| it["kind"].as_str())
        .collect();
    assert!(kinds.contains(&"alarm") && kinds.contains(&"scaling"), "{kinds:?}");
    let warm = reading(&report, "warm_pool_instances_count");
    assert_eq!(warm["missing"], "an endpoint of SageMaker has no warm pool");
}

#[test]
fn the_timeline_says_why_a_container_does_not_come_up() {
    for (name, means) in [
        ("a corrupt model file", "deserializing header"),
        ("a driver too old for CUDA", "NVIDIA driver on your system is too old"),
        ("weights that do not fit", "not enough GPU memory"),
    ] {
        let (code, report) = replayed(&found(name), "scaling-failure");
        let timeline = report["timeline"].to_string();
        assert!(code == 1 && timeline.contains(means), "{name}: {timeline}");
    }
}

#[test]
fn a_refused_service_is_a_gap_and_never_a_healthy_endpoint() {
    let mut scenario = found("nothing to scale");
    for answer in scenario.record["answers"].as_array_mut().unwrap() {
        if answer["service"] == "sagemaker" {
            answer["output"] = Value::Null;
            answer["error"] = json!("AccessDeniedException: not authorized to DescribeEndpoint");
        }
    }
    let (code, report) = replayed(&scenario, "scaling-failure");
    assert_eq!((code, &report["verdict"]), (3, &json!("inconclusive")));
    let missing = reading(&report, "instances_missing_count");
    assert!(missing["now"].is_null() && missing["missing"].to_string().contains("AccessDenied"));
}

#[test]
fn metrics_in_the_cloud_add_to_pages_and_take_no_verdict_away() {
    let path = incident("prefix-broken");
    let mut bundle = Bundle::load(&[path.into()], &Limits::default()).unwrap();
    let library = Library::embedded().unwrap();
    let bare = judge(&library, &bundle, None);
    let end = bundle.span_ms().unwrap().1;
    let mut metrics = cloud::Metrics::default();
    metrics.adapter("base", |_| Some(cloud::Minute { hits: 0.05, ..Default::default() }));
    let shifted = metrics.ending_at(end / 1000);
    bundle.record("aws", end, cloud::record([shifted]).to_string().into_bytes());
    let report = judge(&library, &bundle, None);
    assert_eq!(supported(&bare), supported(&report));
    assert_eq!((bare.onset, bare.verdict), (report.onset.clone(), report.verdict));
    let row = report.readings.iter().find(|row| row.signal == "gateway_prefix_hit_ratio").unwrap();
    assert!(row.now.is_some(), "{:?}", row.missing);
}

#[test]
fn the_endpoints_instances_tell_of_their_disk_where_nobody_looked() {
    let mut scenario = found("nothing to scale");
    let mut metrics = cloud::Metrics::default();
    let instances = [("EndpointName", "chat"), ("VariantName", "main")];
    let disk = ("/aws/sagemaker/Endpoints", "DiskUtilization");
    metrics.add(disk, &instances, "Maximum", |minute| Some(90.0 + minute as f64 / 10.0));
    scenario.record["answers"].as_array_mut().unwrap().push(metrics.answer());
    let (_, report) = replayed(&scenario, "sweep");
    let free = reading(&report, "model_disk_free_ratio")["now"].as_f64().unwrap();
    assert!((free - 0.041).abs() < 1e-3, "{free}");
    assert!(reading(&report, "host_memory_available_ratio")["now"].is_null());
}
