//! Traces of MLflow as evidence: a real server, and small ones that misbehave.
#![allow(missing_docs, clippy::unwrap_used)]

#[allow(dead_code)]
#[path = "support/cli.rs"]
mod cli;
#[allow(dead_code)]
mod support;
#[path = "support/tools.rs"]
mod tools;

use std::{
    fmt::Write as _,
    fs,
    io::Write,
    net::TcpStream,
    os::unix::process::CommandExt,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use cli::{Ran, diagnose, finish};
use serde_json::{Value, json};
use support::{Server, respond};

/// A tracking server with all of its processes.
struct Mlflow {
    child: Child,
    port: u16,
    _folder: tempfile::TempDir,
}

impl Mlflow {
    fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let port = tools::free_port();
        let store = format!("sqlite:///{}/mlflow.db", folder.path().display());
        let child = Command::new(tools::tool("mlflow"))
            .args(["server", "--host", "127.0.0.1", "--workers", "1", "--port", &port.to_string()])
            .args(["--backend-store-uri", &store])
            .env("MLFLOW_DISABLE_TELEMETRY", "true")
            .env("MLFLOW_SERVER_ENABLE_JOB_EXECUTION", "false")
            .current_dir(folder.path())
            .stdout(Stdio::null())
            .stderr(fs::File::create(folder.path().join("log")).unwrap())
            .process_group(0)
            .spawn()
            .unwrap();
        let server = Self { child, port, _folder: folder };
        let start = Instant::now();
        while !server.is_up() {
            assert!(start.elapsed() < Duration::from_secs(240), "MLflow did not come up");
            thread::sleep(Duration::from_millis(200));
        }
        server
    }

    fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    fn is_up(&self) -> bool {
        let Ok(mut stream) = TcpStream::connect(("127.0.0.1", self.port)) else { return false };
        let _ = stream.set_read_timeout(Some(Duration::from_secs(5)));
        let _ = stream.write_all(b"GET /health HTTP/1.0\r\n\r\n");
        let mut answer = String::new();
        let _ = std::io::Read::read_to_string(&mut stream, &mut answer);
        answer.contains("200 OK")
    }

    /// Logs requests, a JSON line each, with MLflow's own client.
    fn log(&self, lines: &str) {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), lines).unwrap();
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/mlflow_traces.py");
        let status = Command::new(tools::tool("mlflow-python"))
            .args([script, &self.url(), "chat"])
            .arg(file.path())
            .env("MLFLOW_DISABLE_TELEMETRY", "true")
            .stderr(Stdio::null())
            .status()
            .unwrap();
        assert!(status.success());
    }
}

impl Drop for Mlflow {
    fn drop(&mut self) {
        let group = format!("-{}", self.child.id());
        let _ = Command::new("kill").args(["-KILL", "--", &group]).status();
        let _ = self.child.wait();
    }
}

fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs_f64()
}

/// 100 requests over the last 50 minutes; prompt version 41 follows 40 after 30 of them, and its
/// prefix is hit no more.
fn requests() -> String {
    let start = now() - 3000.0;
    let mut lines = String::new();
    for number in 0..100_u32 {
        let new = number >= 60;
        let line = json!({
            "t": start + f64::from(number) * 30.0, "duration_ms": 1,
            "request_id": format!("r{number}"), "session_id": format!("s{}", number % 10),
            "adapter_id": "a", "backend_version": "0.10.2",
            "prompt_version": if new { "41" } else { "40" },
            "input_tokens": 1000, "output_tokens": 50, "queue_wait_ms": 1.5,
            "ttft_ms": if new { 300.0 } else { 100.0 }, "generation_ms": 700.0,
            "prefix_cache_hit": !new, "finish_reason": "stop",
        });
        writeln!(lines, "{line}").unwrap();
    }
    lines
}

fn ask(url: &str, more: &[&str]) -> Ran {
    let words = ["prefix-cache-collapse", "--format", "json", "--mlflow", url];
    finish(diagnose().args(words).args(more))
}

fn reading<'a>(report: &'a Value, signal: &str) -> &'a Value {
    report["readings"].as_array().unwrap().iter().find(|row| row["signal"] == signal).unwrap()
}

fn source(report: &Value) -> (String, String) {
    let sources = report["sources"].as_array().unwrap();
    let source = sources.iter().find(|source| source["id"] == "mlflow").unwrap();
    let text = |key: &str| source[key].as_str().unwrap().to_owned();
    (text("status"), text("detail"))
}

#[test]
fn a_real_server_tells_of_a_new_prompt_version() {
    let server = Mlflow::start();
    server.log(&requests());
    let url = server.url();
    let compared = ["--window", "15m", "--baseline", "25m", "--timeout", "60s"];
    let report = ask(&url, &[&["--experiment", "chat"], &compared[..]].concat()).json();
    assert_eq!(source(&report), ("ok".into(), "100 requests in traces".into()));
    let timeline = report["timeline"].as_array().unwrap();
    let event = timeline.iter().find(|entry| entry["kind"] == "prompt_version").unwrap();
    assert_eq!(event["text"], "prompt version 40 → 41");
    assert_eq!(reading(&report, "gateway_prefix_hit_ratio")["now"], 0.0);
    assert_eq!(reading(&report, "prompt_version_hits_factor")["now"], 0.0);

    let folder = tempfile::tempdir().unwrap();
    let bundle = folder.path().join("b").display().to_string();
    let collect = ["collect", "--mlflow", &url, "--timeout", "60s", "--output", &bundle];
    finish(diagnose().args(collect)).assert_code(0);
    let kept = fs::read_dir(folder.path().join("b/mlflow")).unwrap().next().unwrap().unwrap();
    let kept = fs::read_to_string(kept.path()).unwrap();
    assert!(!kept.contains("the-secret") && kept.contains("prompt_version"));
    let replay = || {
        let words = ["prefix-cache-collapse", "--format", "json", "--replay", &bundle];
        finish(diagnose().args(words).args(&compared[..4]))
    };
    let again = replay();
    assert_eq!(again.stdout, replay().stdout);
    let again = again.json();
    for signal in ["gateway_prefix_hit_ratio", "prompt_version_hits_factor"] {
        assert_eq!(reading(&again, signal)["now"], reading(&report, signal)["now"]);
    }
    let (status, detail) = source(&ask(&url, &["--experiment", "nope"]).json());
    assert_eq!(status, "bad_data");
    assert!(detail.contains("no experiment nope"), "{detail}");
}

/// What a server of MLflow 2 answers: searches find `found` traces each.
fn second(path: &str, found: usize, start: u64, stream: &mut TcpStream) {
    let (path, query) = path.split_once('?').unwrap_or((path, ""));
    let answer = match path {
        "/api/2.0/mlflow/experiments/get-by-name" => {
            json!({"experiment": {"experiment_id": "7", "name": "chat"}})
        }
        "/api/2.0/mlflow/traces" => {
            assert!(query.contains("experiment_ids=7") && query.contains("timestamp_ms"));
            let ids = (0..found).map(|id| json!({"request_id": format!("tr-{id}")}));
            json!({"traces": ids.collect::<Vec<_>>()})
        }
        "/ajax-api/2.0/mlflow/get-trace-artifact" => {
            json!({"request": "the-secret", "spans": [
                {"name": "vllm_inference", "start_time": start, "end_time": start + 1,
                 "attributes": {"prompt_version": "\"40\"", "ttft_ms": "100.5",
                                "prefix_cache_hit": "true", "mlflow.spanInputs": "\"x\""}},
                {"name": "retrieve", "start_time": start, "attributes": {}},
            ]})
        }
        _ => return respond(stream, "404 Not Found", b"<!doctype html>"),
    };
    respond(stream, "200 OK", answer.to_string().as_bytes());
}

fn second_generation(found: usize) -> Server {
    let start = ((now() - 60.0) * 1e9) as u64;
    Server::start("127.0.0.1:0", move |request, stream| {
        second(&request.path, found, start, stream);
    })
    .unwrap()
}

#[test]
fn a_server_of_the_second_generation_is_asked_trace_by_trace() {
    let server = second_generation(2);
    let report = ask(&server.url(), &["--experiment", "chat"]).json();
    assert_eq!(
        source(&report),
        ("ok".into(), "60 requests in traces".into()),
        "2 of 30 parts each"
    );
    assert_eq!(reading(&report, "gateway_prefix_hit_ratio")["now"], 1.0);
}

#[test]
fn a_sample_says_that_it_is_one() {
    let server = second_generation(40);
    let (status, detail) = source(&ask(&server.url(), &["--experiment", "chat"]).json());
    assert_eq!(status, "partial");
    assert!(detail.contains("sample"), "{detail}");
    let asked = server.requests().len();
    assert!(asked < 400, "{asked} requests");
}

/// The status with a server that answers everything alike.
fn answered(answer: impl Fn(&mut TcpStream) + Send + Sync + 'static) -> (String, String) {
    let server = Server::start("127.0.0.1:0", move |_, stream| answer(stream)).unwrap();
    let ran = ask(&server.url(), &["--timeout", "1s"]);
    ran.assert_calm(Duration::from_secs(20));
    source(&ran.json())
}

#[test]
fn a_server_that_fails_is_a_status_and_the_run_goes_on() {
    let status = |status: &'static str, body: &'static str| {
        answered(move |stream| respond(stream, status, body.as_bytes())).0
    };
    assert_eq!(status("401 Unauthorized", "no"), "unauthorized");
    assert_eq!(status("403 Forbidden", "{\"message\":\"no\"}"), "unauthorized");
    assert_eq!(status("500 Internal Server Error", "oops"), "bad_data");
    assert_eq!(status("404 Not Found", "<html>"), "unsupported");
    assert_eq!(status("200 OK", "<html>"), "bad_data");
    assert_eq!(status("200 OK", "[1, {\"experiments\": 7}]"), "bad_data");
    let hanging = answered(|_| thread::sleep(Duration::from_secs(3)));
    assert_eq!(hanging.0, "timed_out");
    let huge = answered(|stream| {
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 99999999999\r\n\r\n{");
    });
    assert_eq!(huge.0, "bad_data");
    let closed = format!("http://127.0.0.1:{}", tools::free_port());
    assert_eq!(source(&ask(&closed, &[]).json()).0, "unreachable");
}

#[test]
fn credentials_are_sent_and_shown_nowhere() {
    let server = Server::start("127.0.0.1:0", |_, stream| {
        respond(stream, "403 Forbidden", b"{\"message\":\"not for hunter2-hunter2\"}");
    })
    .unwrap();
    let words = ["sweep", "--format", "json", "--mlflow", &server.url()];
    let with = |set: &[(&str, &str)]| {
        let ran = finish(diagnose().args(words).envs(set.iter().copied()));
        assert!(!ran.said().contains("hunter2"), "{}", ran.said());
        server.requests().last().unwrap().head.to_ascii_lowercase()
    };
    let bearer = with(&[("DIAGNOSE_MLFLOW_TOKEN", "hunter2-hunter2")]);
    assert!(bearer.contains("authorization: bearer hunter2-hunter2"), "{bearer}");
    let login =
        [("MLFLOW_TRACKING_USERNAME", "me"), ("MLFLOW_TRACKING_PASSWORD", "hunter2-hunter2")];
    let basic = with(&login);
    assert!(basic.contains("authorization: basic"), "{basic}");
}
