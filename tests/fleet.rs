//! Many servers in one sweep: outliers first, the dead never healthy, and what the sick share.
#![allow(missing_docs, dead_code, clippy::unwrap_used, clippy::expect_used)]

#[path = "support/cli.rs"]
mod cli;
mod support;

use std::fs;
use std::net::TcpListener;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use cli::{Ran, finish, run};
use diagnose::evidence::bundle::{Bundle, Limits};
use serde_json::Value;
use support::{MODELS, Request, Server, respond};
use tempfile::{TempDir, tempdir};

/// Two pages of a recording, with enough work between them to judge by.
fn pages(incident: &str) -> [Vec<u8>; 2] {
    let bundle = Bundle::load(&[cli::incident(incident).into()], &Limits::default()).unwrap();
    let pages: Vec<_> = bundle.scrapes.into_values().collect();
    let last = pages.len() - 1;
    [last * 6 / 10, last * 9 / 10].map(|at| pages[at].clone())
}

/// A server of this version that goes through the pages of a recording.
fn replica(incident: &str, version: &'static str) -> Server {
    let (pages, next) = (pages(incident), AtomicUsize::new(0));
    Server::start("127.0.0.1:0", move |request, stream| match request.path.as_str() {
        "/metrics" => {
            let at = next.fetch_add(1, Ordering::Relaxed).min(1);
            respond(stream, "200 OK", &pages[at]);
        }
        "/health" | "/ping" => respond(stream, "200 OK", b""),
        "/version" => {
            respond(stream, "200 OK", format!(r#"{{"version":"{version}"}}"#).as_bytes());
        }
        "/v1/models" => respond(stream, "200 OK", MODELS.as_bytes()),
        _ => respond(stream, "404 Not Found", b"{}"),
    })
    .unwrap()
}

fn dead() -> String {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string()
}

fn hanging() -> Server {
    Server::start("127.0.0.1:0", |_, _| thread::sleep(Duration::from_secs(9))).unwrap()
}

/// A list of file_sd: targets with the labels of each.
fn list(targets: &[(String, &str)]) -> (TempDir, String) {
    let dir = tempdir().unwrap();
    let group = |(target, labels): &(String, &str)| {
        let labels: serde_json::Map<String, Value> = labels
            .split(',')
            .filter_map(|it| it.split_once('='))
            .map(|(name, value)| (name.to_owned(), value.into()))
            .collect();
        serde_json::json!({ "targets": [target], "labels": labels })
    };
    let path = dir.path().join("targets.json");
    let groups: Vec<Value> = targets.iter().map(group).collect();
    fs::write(&path, serde_json::to_string(&groups).unwrap()).unwrap();
    let path = path.display().to_string();
    (dir, path)
}

const SHORT: [&str; 4] = ["--window", "1s", "--timeout", "1500ms"];

fn sweep(targets: &str, more: &[&str]) -> Ran {
    run(["sweep", "--targets", targets].iter().chain(&SHORT).chain(more))
}

/// Fifteen healthy replicas, and five that are full; these five are all of zone b and of a newer
/// version.
fn split() -> (Vec<Server>, Vec<(String, &'static str)>) {
    let mut servers = Vec::new();
    let mut targets = Vec::new();
    for index in 0..20 {
        let sick = index % 4 == 1;
        let (incident, version) =
            if sick { ("kv-pressure", "0.24.0") } else { ("healthy", "0.23.0") };
        let server = replica(incident, version);
        targets.push((server.address.to_string(), if sick { "zone=b" } else { "zone=a" }));
        servers.push(server);
    }
    (servers, targets)
}

#[test]
fn a_fleet_fits_one_screen_with_outliers_first_and_what_they_share() {
    let (_servers, targets) = split();
    let (_dir, path) = list(&targets);
    let ran = sweep(&path, &[]);
    ran.assert_code(1);
    let lines: Vec<&str> = ran.stdout.lines().collect();
    assert!(lines.len() <= 25, "{}", ran.said());
    assert!(lines.iter().all(|line| line.chars().count() <= 80), "{}", ran.said());
    assert!(lines[0].contains("20 replicas: 5 "), "{}", ran.said());
    assert!(lines[0].contains("15 healthy"), "{}", ran.said());
    let told = ran.stdout.split_whitespace().collect::<Vec<_>>().join(" ");
    let common =
        "version=0.24.0: 5 of 5 with kv-working-set-too-large, elsewhere 0 of 15 (p under 0.0001).";
    assert!(told.contains(common), "{told}");
    let rows: Vec<&&str> = lines.iter().skip_while(|line| !line.is_empty()).skip(1).collect();
    for (row, line) in rows.iter().enumerate() {
        assert_eq!(line.starts_with("HEALTHY"), row >= 5, "{}", ran.said());
    }
}

#[test]
fn its_json_keeps_to_its_schema_and_names_the_shared_values() {
    let (_servers, targets) = split();
    let (_dir, path) = list(&targets);
    let ran = sweep(&path, &["--format", "json"]);
    let report = ran.json();
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let schema = fs::read_to_string(root.join("fixtures/schemas/fleet-v1.json")).unwrap();
    let schema: Value = serde_json::from_str(&schema).unwrap();
    jsonschema::validator_for(&schema).unwrap().validate(&report).unwrap();
    assert_eq!(report["common"]["answer"], "separated");
    let first = &report["common"]["separators"][0];
    let mut shared: Vec<String> = first["same_replicas"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| it.as_str().unwrap().to_owned())
        .collect();
    shared.push(format!(
        "{}={}",
        first["attribute"].as_str().unwrap(),
        first["value"].as_str().unwrap()
    ));
    assert!(shared.contains(&"zone=b".to_owned()), "{shared:?}");
    assert!(shared.contains(&"version=0.24.0".to_owned()), "{shared:?}");
    assert!(first["p_corrected"].as_f64().unwrap() < 0.01, "{first}");
    assert_eq!(report["counts"]["replicas"], 20);
}

#[test]
fn dead_and_hanging_replicas_cost_their_deadline_and_are_never_healthy() {
    let well: Vec<Server> = (0..3).map(|_| replica("healthy", "0.23.0")).collect();
    let stuck = hanging();
    let mut targets: Vec<(String, &str)> =
        well.iter().map(|it| (it.address.to_string(), "")).collect();
    let gone = dead();
    targets.push((gone.clone(), ""));
    targets.push((stuck.address.to_string(), ""));
    targets.push(("no-such-host.invalid:8000".into(), ""));
    let (_dir, path) = list(&targets);
    let ran = sweep(&path, &["--format", "json"]);
    assert!(ran.took < Duration::from_secs(8), "{:?}", ran.took);
    assert!(matches!(ran.code, 1 | 3), "{}", ran.said());
    let report = ran.json();
    assert_eq!((&report["counts"]["silent"], &report["counts"]["healthy"]), (&3.into(), &3.into()));
    let rows = report["replicas"].as_array().unwrap();
    for row in rows.iter().filter(|row| row["answered"] == false) {
        assert_ne!(row["verdict"], "healthy", "{row}");
        assert_ne!(row["exit_code"], 0, "{row}");
    }
    let told = |name: &str| {
        let row = rows.iter().find(|row| row["name"] == name).unwrap();
        row["happened"].as_str().unwrap().to_owned()
    };
    assert!(told(&gone).contains("nothing listens"), "{}", told(&gone));
    assert!(told(&stuck.address.to_string()).contains("timed out after 1.5 s"));
    assert!(told("no-such-host.invalid:8000").contains("does not resolve"));
    assert!(rows.iter().take(3).all(|row| row["answered"] == false), "{}", ran.said());
}

#[test]
fn one_replica_alone_is_named_and_no_attribute_is_blamed() {
    let mut servers: Vec<Server> = (0..4).map(|_| replica("healthy", "0.23.0")).collect();
    servers.push(replica("kv-pressure", "0.24.0"));
    let lines: Vec<String> = servers.iter().map(|it| it.address.to_string()).collect();
    let dir = tempdir().unwrap();
    let path = dir.path().join("targets.txt");
    fs::write(&path, format!("# ours\n{}\n{}\n", lines.join("\n"), lines[0])).unwrap();
    let ran = sweep(path.to_str().unwrap(), &[]);
    ran.assert_code(1);
    ran.assert_says("This one alone");
    ran.assert_says(&lines[4]);
    ran.assert_says("which proves nothing yet");
    ran.assert_says("stood in the list twice");
}

#[test]
fn a_difference_too_small_to_show_is_told_as_such() {
    let servers: Vec<Server> = ["kv-pressure", "kv-pressure", "healthy", "healthy"]
        .into_iter()
        .map(|incident| replica(incident, "0.23.0"))
        .collect();
    let zones = ["zone=a", "zone=a", "zone=b", "zone=b"];
    let targets: Vec<_> = servers.iter().map(|it| it.address.to_string()).zip(zones).collect();
    let (_dir, path) = list(&targets);
    let report = sweep(&path, &["--format", "json"]).json();
    assert_eq!(report["common"]["answer"], "not_separated", "{report:#}");
    let told = report["common"]["statement"].as_str().unwrap();
    assert!(told.contains("with 2 of 4 not well, none could have shown"), "{told}");
}

#[test]
fn each_replica_can_be_kept_and_judged_again() {
    let server = replica("kv-pressure", "0.23.0");
    let (_dir, path) = list(&[(server.address.to_string(), ""), (dead(), "")]);
    let folder = tempdir().unwrap();
    let kept = folder.path().join("kept");
    let ran = sweep(&path, &["--format", "json", "--bundle", kept.to_str().unwrap()]);
    ran.assert_code(1);
    let mut files: Vec<_> =
        fs::read_dir(&kept).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert_eq!(files.len(), 2);
    let again = run(["sweep", "--format", "json", "--replay", files[0].to_str().unwrap()]).json();
    let row = &ran.json()["replicas"][0];
    assert_eq!(again["verdict"], row["verdict"]);
    assert_eq!(again["causes"][0]["id"], row["causes"][0]["id"]);
    assert_eq!(sweep(&path, &["--bundle", kept.to_str().unwrap()]).code, 2, "never overwritten");
}

#[test]
fn targets_come_from_prometheus_with_their_labels_and_addresses() {
    let well = replica("healthy", "0.23.0");
    let gone = dead();
    let (up, scraped) = (well.address.to_string(), format!("http://{}/metrics", well.address));
    let series = |instance: &str, value: &str| {
        serde_json::json!({"metric": {"__name__": "up", "job": "vllm", "instance": instance, "zone": "a"},
                           "value": [1.0, value]})
    };
    let query = serde_json::json!({"status": "success", "data": {"resultType": "vector",
        "result": [series("pod-1", "1"), series(&gone, "0")]}});
    let targets = serde_json::json!({"status": "success", "data": {"activeTargets": [
        {"labels": {"job": "vllm", "instance": "pod-1"}, "scrapeUrl": scraped, "health": "up"}]}});
    let prometheus = Server::start("127.0.0.1:0", move |request: &Request, stream| {
        let text = String::from_utf8_lossy(&request.body);
        match request.path.as_str() {
            "/api/v1/query" => {
                assert!(text.contains("query=up%7Bjob%3D%22vllm%22%7D"), "{text}");
                respond(stream, "200 OK", query.to_string().as_bytes());
            }
            "/api/v1/targets?state=active" => {
                respond(stream, "200 OK", targets.to_string().as_bytes());
            }
            path => panic!("{path} was asked for"),
        }
    })
    .unwrap();
    let url = prometheus.url();
    let ran = sweep("prometheus:job=\"vllm\"", &["--prometheus", &url, "--format", "json"]);
    let report = ran.json();
    let rows = report["replicas"].as_array().unwrap();
    let row = |name: &str| rows.iter().find(|row| row["name"] == name).unwrap();
    assert_eq!(row("pod-1")["answered"], true, "{up}: {}", ran.said());
    assert_eq!(row("pod-1")["labels"]["zone"], "a");
    assert_eq!(row(&gone)["answered"], false);
}

#[test]
fn lists_and_flags_that_cannot_be_meant_are_refused() {
    let dir = tempdir().unwrap();
    let empty = dir.path().join("none");
    fs::write(&empty, "# nothing\n").unwrap();
    let (path, url) = (empty.to_str().unwrap(), "http://127.0.0.1:1");
    let single = dir.path().join("one");
    fs::write(&single, "127.0.0.1:1\n").unwrap();
    let one = single.to_str().unwrap();
    for (args, part) in [
        (vec!["--targets", path], "it names no target"),
        (vec!["--targets", "/no/such/file"], "read the targets in /no/such/file"),
        (vec!["--targets", path, "--url", url], "cannot be used with"),
        (vec!["--targets", path, "--prometheus", url], "has no effect"),
        (vec!["--targets", "prometheus:job=\"x\""], "give --prometheus URL"),
        (vec!["--targets", "prometheus:", "--prometheus", url], "a selector is needed"),
        (vec!["--targets", "prometheus:a=\"b\"", "--prometheus", url], "refused"),
        (vec!["--targets", "-"], "it names no target"),
        (vec!["--targets", one, "--ca", "/no/such/ca.pem"], "cannot read the certificates"),
        (vec!["--targets", one, "--api-key", "a\u{7}b"], "no HTTP header may have"),
    ] {
        let ran = run(std::iter::once("sweep").chain(args.iter().copied()));
        ran.assert_code(2);
        ran.assert_says(part);
    }
}

#[test]
fn an_interrupted_sweep_judges_what_came_and_exits_as_interrupted() {
    let server = replica("healthy", "0.23.0");
    let (_dir, path) = list(&[(server.address.to_string(), "")]);
    let mut command = cli::diagnose();
    command.args(["sweep", "--targets", &path, "--window", "60s", "--format", "json"]);
    command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped());
    let child = command.spawn().unwrap();
    while server.requests().is_empty() {
        thread::sleep(Duration::from_millis(20));
    }
    let id = child.id().to_string();
    assert!(finish(std::process::Command::new("kill").args(["-INT", &id])).code == 0);
    let ran = cli::wait(child);
    ran.assert_code(130);
    assert_eq!(ran.json()["replicas"][0]["happened"], "it was not judged");
}
