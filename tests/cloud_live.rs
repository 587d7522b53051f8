//! What a recording of AWS tells, told again by the services themselves: the same verdict comes out,
//! and services that hang cost a deadline and nothing else.
#![cfg(feature = "aws")]
#![allow(missing_docs, clippy::unwrap_used)]

#[path = "support/aws/mod.rs"]
mod aws;
#[allow(dead_code)]
#[path = "support/cli.rs"]
mod cli;
#[allow(dead_code)]
#[path = "support/cloud/mod.rs"]
mod cloud;
#[allow(dead_code)]
#[path = "support/mod.rs"]
mod support;

use std::{
    fs,
    net::TcpListener,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use aws::stub::Stub;
use cli::{Ran, diagnose, finish};
use cloud::{Scenario, scenarios};
use serde_json::{Value, json};
use support::Server;

/// Runs with credentials of nobody, against services at `url`.
fn ask(url: &str, settings: &str, args: &[&str]) -> Ran {
    let folder = tempfile::tempdir().unwrap();
    let text = format!("[aws]\nendpoint_url = '{url}'\n{settings}");
    fs::write(folder.path().join("diagnose.toml"), text).unwrap();
    let mut command = diagnose();
    command
        .current_dir(folder.path())
        .env("HOME", folder.path())
        .env("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE")
        .env("AWS_SECRET_ACCESS_KEY", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY")
        .args(args);
    finish(&mut command)
}

/// The record as the services hold it: with the container's log as they keep it.
fn held(scenario: &Scenario) -> Value {
    let mut record = scenario.record.clone();
    if let Some(log) = &scenario.log {
        let at = (scenario.at() - 600) * 1000;
        let event = |line: &str| json!({"timestamp": at, "message": line, "ingestionTime": at});
        let events: Vec<Value> = log.lines().map(event).collect();
        record["answers"].as_array_mut().unwrap().push(json!({
            "service": "logs", "operation": "FilterLogEvents", "input": {},
            "output": {"events": events},
        }));
    }
    record
}

fn asks(record: &Value, service: &str) -> bool {
    record["answers"].as_array().unwrap().iter().any(|answer| answer["service"] == service)
}

fn first_cause(report: &Value) -> Option<&str> {
    let causes = report["causes"].as_array()?.iter();
    causes.filter(|cause| cause["status"] == "supported").find_map(|cause| cause["id"].as_str())
}

#[test]
fn every_incident_is_named_as_from_its_recording_when_the_services_are_asked() {
    let mut failures = Vec::new();
    for scenario in scenarios() {
        let record = held(&scenario);
        let stub = Stub::serve(&record);
        let at = jiff::Timestamp::from_second(scenario.at()).unwrap().to_string();
        let pool = if asks(&record, "autoscaling") { "warm_pool_group = 'chat'\n" } else { "" };
        let endpoint: &[&str] = match asks(&record, "sagemaker") {
            true => &["--sagemaker", "chat"],
            false => &["--cloudwatch"],
        };
        let args = [scenario.runbook, "--region", "eu-west-1", "--at", &at, "--format", "json"];
        let ran = ask(&stub.url(), pool, &[&args[..], endpoint].concat());
        let report = ran.json();
        if first_cause(&report) != scenario.expect.cause {
            failures.push(format!(
                "{}: {:?} and not {:?}; {}",
                scenario.name,
                first_cause(&report),
                scenario.expect.cause,
                report["sources"]
            ));
        }
    }
    assert!(failures.is_empty(), "{} fail\n{}", failures.len(), failures.join("\n"));
}

/// Takes connections and never says a word.
fn mute() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || listener.incoming().collect::<Vec<_>>());
    url
}

#[test]
fn two_sources_that_hang_cost_their_deadline_and_the_rest_is_answered() {
    let server =
        Server::vllm(|stream| support::respond(stream, "200 OK", support::PAGE.as_bytes()));
    let (aws, prometheus) = (mute(), mute());
    let args =
        ["sweep", "--url", &server.url(), "--prometheus", &prometheus, "--sagemaker", "chat"];
    let more = ["--region", "eu-west-1", "--timeout", "1s", "--window", "1s", "--format", "json"];
    let start = Instant::now();
    let report = ask(&aws, "", &[&args[..], &more].concat()).json();
    let took = start.elapsed();
    assert!(took < Duration::from_secs(8), "{took:?}");
    let status = |id: &str| {
        let all = report["sources"].as_array().unwrap();
        all.iter().find(|source| source["id"] == id).map(|source| source["status"].clone())
    };
    assert_eq!(status("metrics"), Some(json!("ok")));
    for id in ["prometheus", "sagemaker", "cloudwatch", "autoscaling"] {
        assert_eq!(status(id), Some(json!("timed_out")), "{id}: {}", report["sources"]);
    }
}

#[test]
fn a_run_on_history_alone_that_is_stopped_says_so() {
    let prometheus = mute();
    let child = diagnose()
        .args(["sweep", "--prometheus", &prometheus, "--timeout", "20s"])
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    std::thread::sleep(Duration::from_secs(1));
    let stop = Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    assert!(stop.success());
    let ended = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&ended.stderr).into_owned();
    assert_eq!(ended.status.code(), Some(130), "{said}");
    assert!(said.contains("interrupted"), "{said}");
}
