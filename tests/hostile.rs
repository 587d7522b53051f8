//! Hostile servers and broken recordings, as a shell sees the program meet them: a helpful message,
//! the right exit code, in bounded time, and never a "healthy".
#![allow(missing_docs, dead_code, clippy::unwrap_used, clippy::expect_used)]

#[path = "support/cli.rs"]
mod cli;
mod support;

use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use cli::{Ran, incident, run};
use support::{Server, respond, respond_with};
use tempfile::{TempDir, tempdir};

/// Far above what a run takes, far below waiting without end.
const BOUND: Duration = Duration::from_secs(15);

const NEVER_HEALTHY: [&str; 3] = ["inconclusive", "degraded", "critical"];

fn sweep(url: &str) -> Ran {
    run(["sweep", "--url", url, "--window", "1s", "--timeout", "300ms", "--format", "json"])
}

/// Asserts that a run judged honestly: the exit code, and that it names the thing and a way on.
#[track_caller]
fn assert_judged(ran: &Ran, code: i32, parts: &[&str]) {
    ran.assert_calm(BOUND);
    ran.assert_code(code);
    let verdict = ran.json()["verdict"].as_str().unwrap().to_owned();
    assert!(NEVER_HEALTHY.contains(&verdict.as_str()), "{}", ran.said());
    assert_eq!(verdict == "inconclusive", code == 3, "{}", ran.said());
    for part in parts {
        ran.assert_says(part);
    }
}

/// A vLLM server whose `/metrics` misbehaves while all else answers: that proves no outage.
#[track_caller]
fn assert_inconclusive(
    metrics: impl Fn(&mut TcpStream) + Send + Sync + 'static,
    what: &str,
    next: &str,
) {
    let server = Server::vllm(metrics);
    let ran = sweep(&server.url());
    assert_judged(&ran, 3, &[&server.url(), what, next]);
    let supported = |cause: &serde_json::Value| cause["status"] == "supported";
    assert!(!ran.json()["causes"].as_array().unwrap().iter().any(supported), "{}", ran.said());
}

fn page(body: &'static [u8]) -> impl Fn(&mut TcpStream) {
    move |stream| respond(stream, "200 OK", body)
}

#[test]
fn pages_without_a_vllm_metric() {
    let other = b"# TYPE go_gc gauge\ngo_gc 1\n";
    assert_inconclusive(page(other), "not one vllm: metric", "try vLLM's own port");
    let process = b"# TYPE process_open_fds gauge\nprocess_open_fds 9\n";
    assert_inconclusive(page(process), "not one vllm: metric", "--disable-log-stats");
    assert_inconclusive(page(b""), "with an empty page", "give the server's own address");
    let html = b"<!doctype html><h1>Grafana</h1>";
    assert_inconclusive(page(html), "with HTML", "give the server's own address");
    let broken = b"vllm:x{model_name=\"\xff\xfe\"} 1\n";
    assert_inconclusive(page(broken), "it is not UTF-8", "try the path /metrics");
}

#[test]
fn answers_that_are_no_page() {
    let status = |line: &'static str| move |stream: &mut TcpStream| respond(stream, line, b"no");
    let multiproc = "PROMETHEUS_MULTIPROC_DIR";
    assert_inconclusive(status("500 Internal Server Error"), "answered 500", multiproc);
    assert_inconclusive(status("401 Unauthorized"), "answered 401", "--api-key");
    assert_inconclusive(status("404 Not Found"), "answered 404", "try --url");
    let circle = |stream: &mut TcpStream| {
        respond_with(stream, "302 Found", "location: /metrics\r\n", b"");
    };
    assert_inconclusive(circle, "redirects more than 3 times", "give the final address");
}

#[test]
fn bodies_that_do_not_end_well() {
    const HEAD: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\nvllm:x 1\n";
    let truncated = |stream: &mut TcpStream| drop(stream.write_all(HEAD));
    assert_inconclusive(truncated, "was truncated", "did the server crash");
    let drip = |stream: &mut TcpStream| {
        let _ = stream.write_all(HEAD);
        while stream.write_all(b"#").is_ok() {
            thread::sleep(Duration::from_millis(50));
        }
    };
    assert_inconclusive(drip, "timed out after 0.3 s", "try a longer --timeout");
}

#[test]
fn bodies_that_are_far_too_large() {
    let garbage = |stream: &mut TcpStream| {
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n");
        let line = b"vllm:garbage 1\n".repeat(70_000);
        for _ in 0..100 {
            if stream.write_all(&line).is_err() {
                break;
            }
        }
    };
    let server = Server::vllm(garbage);
    // Whether the bytes are counted or the deadline passes first depends on the machine.
    let ran = sweep(&server.url());
    assert_judged(&ran, 3, &[&server.url()]);
    let detail = metrics(&ran.json())["detail"].as_str().unwrap().to_owned();
    let told = ["is it vLLM", "try a longer --timeout"].iter().any(|next| detail.contains(next));
    assert!(told, "{detail}");
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(&vec![b'\n'; 80 << 20]).unwrap();
    let bomb = encoder.finish().unwrap();
    let gzip = "content-encoding: gzip\r\n";
    let server = Server::vllm(move |stream| respond_with(stream, "200 OK", gzip, &bomb));
    let args = ["--window", "1s", "--timeout", "10s", "--format", "json", "--url"];
    let ran = run([&["sweep"][..], &args, &[&server.url()]].concat());
    assert_judged(&ran, 3, &["more than 67108864 bytes", "does a label grow without end"]);
}

/// A server that closes every connection while bytes are unread, which resets it.
fn resetting() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let _ = stream.read(&mut [0; 1]);
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\nvllm:x 1\n");
            thread::sleep(Duration::from_millis(20));
        }
    });
    url
}

#[test]
fn where_nothing_ever_answers_no_engine_is_called_dead() {
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let refused = sweep(&closed.to_string());
    assert_judged(&refused, 3, &["nothing listens on", "try --url"]);
    assert!(refused.took < Duration::from_secs(5), "there is nothing to wait for");
    let silent = Server::start("127.0.0.1:0", |_, _| thread::sleep(Duration::from_secs(9)));
    assert_judged(&sweep(&silent.unwrap().url()), 3, &["timed out", "try a longer --timeout"]);
    let locked = Server::start("127.0.0.1:0", |_, stream| respond(stream, "403 Forbidden", b""));
    assert_judged(&sweep(&locked.unwrap().url()), 3, &["answered 403", "--api-key"]);
    let ran = sweep(&resetting());
    assert_ne!(ran.code, 0, "{}", ran.said());
    assert_judged(&ran, ran.code, &["closed the connection", "did it just crash"]);
}

#[test]
fn probes_that_prove_an_outage_are_a_finding() {
    let dead = |stream: &mut TcpStream| respond(stream, "503 Service Unavailable", b"");
    let server = Server::start("127.0.0.1:0", move |request, stream| match &*request.path {
        "/health" => dead(stream),
        path => support::page(path, stream),
    });
    let ran = sweep(&server.unwrap().url());
    assert_judged(&ran, 1, &["The server does not answer", "engine-dead"]);
}

/// The pages of a healthy recording at its middle and its end, one after the other.
fn healthy_pages() -> impl Fn(&mut TcpStream) {
    let limits = diagnose::evidence::bundle::Limits::default();
    let bundle = diagnose::evidence::bundle::Bundle::load(&[incident("healthy").into()], &limits);
    let pages: Vec<Vec<u8>> = bundle.unwrap().scrapes.into_values().collect();
    let asked = AtomicUsize::new(0);
    move |stream| match asked.fetch_add(1, Ordering::Relaxed) {
        0 => respond(stream, "200 OK", &pages[pages.len() / 2]),
        _ => respond(stream, "200 OK", &pages[pages.len() - 1]),
    }
}

#[test]
fn a_server_that_falls_silent_at_the_end_is_not_healthy() {
    let fine = sweep(&Server::vllm(healthy_pages()).url());
    fine.assert_code(0);
    assert_eq!(fine.json()["verdict"], "healthy");
    let (metrics, asked) = (healthy_pages(), AtomicUsize::new(0));
    let server = Server::start("127.0.0.1:0", move |request, stream| match &*request.path {
        "/metrics" => metrics(stream),
        "/health" if asked.fetch_add(1, Ordering::Relaxed) > 0 => {
            respond(stream, "503 Service Unavailable", b"");
        }
        path => support::page(path, stream),
    });
    // One failure of two rounds proves no dead engine either.
    assert_judged(&sweep(&server.unwrap().url()), 3, &["/health began to fail"]);
}

#[test]
fn a_page_of_one_gauge_is_no_proof_of_health() {
    let server = Server::vllm(page(support::PAGE.as_bytes()));
    assert_judged(&sweep(&server.url()), 3, &["sample longer with --window"]);
}

#[test]
fn a_target_that_nobody_can_ask_is_a_mistake_of_the_command_line() {
    let wrong = |args: &[&str], parts: &[&str]| {
        let ran = run([&["sweep", "--window", "1s"], args].concat());
        ran.assert_calm(BOUND);
        ran.assert_code(2);
        assert!(ran.stdout.is_empty(), "{}", ran.stdout);
        parts.iter().for_each(|part| ran.assert_says(part));
        assert!(!ran.said().contains("s3cret"), "{}", ran.said());
    };
    wrong(&["--url", "ftp://u:s3cret@h"], &["ftp://***@h", "http://127.0.0.1:8000"]);
    wrong(&["--url", "http://h:99999/?api_key=s3cret"], &["is not a URL"]);
    wrong(&["--url", "h", "--api-key", "s3cret\nx"], &["the API key holds characters"]);
    wrong(&["--url", "https://h", "--ca", "/no/such.pem"], &["/no/such.pem"]);
}

#[test]
fn collect_refuses_before_it_samples() {
    let dir = tempdir().unwrap();
    let taken = |name: &str| dir.path().join(name).display().to_string();
    for (url, output, part) in [
        ("ftp://h", taken("b.tar.zst"), "is not an http or https URL"),
        ("http://127.0.0.1:9", "/no/such/folder/b.tar.zst".into(), "no folder /no/such/folder"),
        ("http://127.0.0.1:9", taken("b.zip"), ".tar.zst"),
    ] {
        let ran = run(["collect", "--duration", "60s", "--url", url, "-o", &output]);
        ran.assert_code(2);
        ran.assert_says(part);
        assert!(ran.took < BOUND, "{:?}", ran.took);
    }
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
}

#[test]
fn what_was_collected_from_something_else_is_no_good_recording() {
    let dir = tempdir().unwrap();
    let collect = |url: &str, name: &str| {
        let path = dir.path().join(name).display().to_string();
        run(["collect", "--duration", "100ms", "--url", url, "-o", &path])
    };
    let other = Server::vllm(page(b"# TYPE go_gc gauge\ngo_gc 1\n"));
    let ran = collect(&other.url(), "other");
    ran.assert_code(3);
    ran.assert_says("not one vllm: metric");
    let ran = collect("http://127.0.0.1:9", "nothing");
    ran.assert_code(3);
    ran.assert_says("nothing listens on http://127.0.0.1:9");
    let good = Server::vllm(page(support::PAGE.as_bytes()));
    collect(&good.url(), "good").assert_code(0);
}

fn replay(path: impl AsRef<Path>) -> Ran {
    let path = path.as_ref().display().to_string();
    run(["sweep", "--format", "json", "--replay", &path])
}

fn written(dir: &TempDir, name: &str, body: &[u8]) -> PathBuf {
    let path = dir.path().join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(&path, body).unwrap();
    path
}

/// A `.tar.zst` of one entry, whatever its name.
fn archive(name: &str, body: &[u8]) -> Vec<u8> {
    let mut header = tar::Header::new_gnu();
    header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
    header.set_size(body.len() as u64);
    header.set_entry_type(tar::EntryType::Regular);
    header.set_cksum();
    let mut tar = tar::Builder::new(Vec::new());
    tar.append(&header, body).unwrap();
    zstd::encode_all(tar.into_inner().unwrap().as_slice(), 1).unwrap()
}

#[track_caller]
fn assert_refused(ran: &Ran, parts: &[&str]) {
    ran.assert_calm(BOUND);
    ran.assert_code(2);
    assert!(ran.stdout.is_empty(), "{}", ran.stdout);
    parts.iter().for_each(|part| ran.assert_says(part));
}

#[test]
fn recordings_that_are_none_are_refused_by_name() {
    let dir = tempdir().unwrap();
    let traversal = written(&dir, "t.tar.zst", &archive("../../etc/x", b"x"));
    assert_refused(
        &replay(&traversal),
        &["t.tar.zst", "points out of the archive", "do not trust"],
    );
    assert!(!dir.path().join("../../etc/x").exists());
    let bomb = vec![b'\n'; 80 << 20];
    let bomb = written(&dir, "b.tar.zst", &archive("scrapes/1795304318444.prom", &bomb));
    assert_refused(&replay(&bomb), &["b.tar.zst", "larger than 67108864 bytes"]);
    assert_refused(&replay(env!("CARGO_BIN_EXE_diagnose")), &["is a binary file", "give a bundle"]);
    assert_refused(&replay("/no/such/recording"), &["/no/such/recording", "check that it exists"]);
    let empty = written(&dir, "empty/readme", b"");
    assert_refused(&replay(empty.parent().unwrap()), &["no evidence in", "give a bundle folder"]);
}

#[test]
fn a_text_that_is_no_page_is_inconclusive() {
    let dir = tempdir().unwrap();
    let ran = replay(written(&dir, "hello.txt", b"hello, world\n"));
    assert_judged(&ran, 3, &["is no metrics page", "try"]);
}

#[test]
fn a_truncated_recording_is_read_up_to_the_break_and_says_so() {
    let dir = tempdir().unwrap();
    let whole = fs::read(format!("{}/capture.tar.zst", incident("healthy"))).unwrap();
    for share in [0.02, 0.2, 0.5, 0.9, 0.99] {
        let cut = &whole[..(whole.len() as f64 * share) as usize];
        let ran = replay(written(&dir, "cut.tar.zst", cut));
        ran.assert_calm(BOUND);
        ran.assert_says("breaks off");
        ran.assert_says("copy it again");
    }
}

#[test]
fn mistakes_in_own_runbooks_are_shown_where_they_stand() {
    let dir = tempdir().unwrap();
    let next = "{goto: a}";
    let steps = format!("a: {{check: mine, then: {next}, else: {next}, unknown: {next}}}");
    let book =
        format!("id: r\ntitle: R\nsymptoms: [S.]\ngate: [mine]\nstart: a\nsteps:\n  {steps}\n");
    let check = "- id: mine\n  question: Q?\n  when: ttft_p59_seconds > 1.0\n  group: latency\n  \
                 yes: Y.\n  no: N.\n";
    let folder = dir.path().display().to_string();
    let sweep = || run(["sweep", "--replay", &incident("healthy"), "--runbooks", &folder]);
    written(&dir, "checks/x.yaml", check.as_bytes());
    let caret = ["checks/x.yaml:3:9", "^^^^", "did you mean `ttft_p50_seconds`?", "runbook lint"];
    assert_refused(&sweep(), &caret);
    written(&dir, "checks/x.yaml", check.replace("p59", "p50").as_bytes());
    written(&dir, "r.yaml", book.as_bytes());
    assert_refused(&sweep(), &["`a` → `a`", "r.yaml:7"]);
}

/// The status of the metrics among the sources.
fn metrics(report: &serde_json::Value) -> &serde_json::Value {
    let sources = report["sources"].as_array().unwrap();
    sources.iter().find(|source| source["id"] == "metrics").unwrap()
}
