//! Pages become reports: from a file, and from a real Alertmanager.
#![allow(missing_docs, clippy::unwrap_used)]

#[allow(dead_code)]
#[path = "support/cli.rs"]
mod cli;
#[path = "support/tools.rs"]
mod tools;

use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    path::Path,
    process::{Child, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};

use cli::{diagnose, finish, incident};
use serde_json::{Value, json};
use tools::{free_port, tool};

const TOKEN: &str = "a-token-of-the-test";

/// Ends with the test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A receiver whose reports go to a folder; tells its address.
fn receiver(folder: &Path) -> (Running, String) {
    let on_report = format!("cat > {}/report-$$.json", folder.display());
    let mut child = diagnose()
        .env("DIAGNOSE_RECEIVE_TOKEN", TOKEN)
        .args(["alerts", "receive", "--listen", "127.0.0.1:0", "--on-report", &on_report])
        .args(["--", "--format", "json", "--replay", &incident("prefix-broken")])
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    let mut said = BufReader::new(child.stderr.take().unwrap());
    said.read_line(&mut line).unwrap();
    std::thread::spawn(move || std::io::copy(&mut said, &mut std::io::sink()));
    let at = line.split("http://").nth(1).unwrap().split('/').next().unwrap().to_owned();
    (Running(child), at)
}

/// Posts a body; tells the status.
fn post(address: &str, path: &str, token: Option<&str>, body: &str) -> u16 {
    let mut stream = TcpStream::connect(address).unwrap();
    let login = token.map(|token| format!("Authorization: Bearer {token}\r\n")).unwrap_or_default();
    write!(
        stream,
        "POST {path} HTTP/1.1\r\nHost: {address}\r\n{login}Content-Type: application/json\r\n\
         Content-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    )
    .unwrap();
    let mut answer = String::new();
    let _ = stream.read_to_string(&mut answer);
    answer.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0)
}

fn webhook(group: &str, alert: &str) -> String {
    json!({"version": "4", "groupKey": group, "status": "firing", "alerts": [{
        "status": "firing", "labels": {"alertname": alert},
        "startsAt": "2026-11-21T23:40:00Z", "endsAt": "0001-01-01T00:00:00Z"}]})
    .to_string()
}

/// The reports that came within a time, at least `wanted` of them.
fn reports(folder: &Path, wanted: usize) -> Vec<Value> {
    let start = Instant::now();
    loop {
        let files = fs::read_dir(folder).unwrap().map(|it| it.unwrap().path());
        let whole = files.filter_map(|it| serde_json::from_str(&fs::read_to_string(it).ok()?).ok());
        let whole: Vec<Value> = whole.collect();
        if whole.len() >= wanted || start.elapsed() > Duration::from_secs(60) {
            return whole;
        }
        sleep(Duration::from_millis(50));
    }
}

#[test]
fn a_page_in_a_file_runs_the_runbook_of_its_alert() {
    let folder = tempfile::tempdir().unwrap();
    let page = folder.path().join("page.json");
    fs::write(&page, webhook("g", "team-vllm-prefix-cache-degradation")).unwrap();
    let path = page.display().to_string();
    let args = ["alerts", "handle", &path, "--format", "json", "--replay"];
    let ran = finish(diagnose().args(args).arg(incident("prefix-broken")));
    let report = ran.json();
    assert_eq!(report["command"], "prefix-cache-collapse");
    assert_eq!(report["causes"][0]["id"], "volatile-prompt-prefix");
    fs::write(&page, "{}").unwrap();
    let refused = finish(diagnose().args(args).arg(incident("prefix-broken")));
    refused.assert_code(2);
    assert!(refused.said().contains("neither the body of an Alertmanager's webhook"));
}

#[test]
fn a_receiver_wants_its_token_and_reports_an_incident_once() {
    let folder = tempfile::tempdir().unwrap();
    let (_receiver, address) = receiver(folder.path());
    let page = webhook("one", "high-ttft");
    assert_eq!(post(&address, "/alerts", None, &page), 401);
    assert_eq!(post(&address, "/alerts", Some("another"), &page), 401);
    assert_eq!(post(&address, "/alerts", Some(TOKEN), "{}"), 400);
    assert_eq!(post(&address, "/alerts", Some(TOKEN), &"x".repeat(2 << 20)), 413);
    assert_eq!(post(&address, "/alerts", Some(TOKEN), &page), 202);
    assert_eq!(post(&address, "/alerts", Some(TOKEN), &page), 200);
    assert_eq!(post(&address, "/alerts", Some(TOKEN), &webhook("two", "oom-detected")), 202);
    let mut commands: Vec<String> = reports(folder.path(), 2)
        .iter()
        .map(|report| report["command"].as_str().unwrap().to_owned())
        .collect();
    commands.sort();
    assert_eq!(commands, ["high-ttft", "oom"]);
}

#[test]
fn without_a_token_nothing_is_received() {
    let ran = finish(diagnose().args(["alerts", "receive", "--listen", "127.0.0.1:0"]));
    ran.assert_code(2);
    assert!(ran.said().contains("DIAGNOSE_RECEIVE_TOKEN"), "{}", ran.said());
}

#[test]
fn an_alert_delivered_by_a_real_alertmanager_ends_as_the_report_of_its_runbook() {
    let folder = tempfile::tempdir().unwrap();
    let reported = folder.path().join("reports");
    fs::create_dir(&reported).unwrap();
    let (_receiver, address) = receiver(&reported);
    let config = folder.path().join("alertmanager.yml");
    let text = format!(
        "route: {{receiver: d, group_by: [alertname], group_wait: 100ms}}\n\
         receivers:\n- name: d\n  webhook_configs:\n  - url: http://{address}/alerts\n    \
         http_config: {{authorization: {{credentials: {TOKEN}}}}}\n"
    );
    fs::write(&config, text).unwrap();
    let at = format!("127.0.0.1:{}", free_port());
    let manager = std::process::Command::new(tool("alertmanager"))
        .arg(format!("--config.file={}", config.display()))
        .arg(format!("--storage.path={}", folder.path().join("data").display()))
        .arg(format!("--web.listen-address={at}"))
        .arg("--cluster.listen-address=")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let _manager = Running(manager);
    let start = Instant::now();
    while TcpStream::connect(&at).is_err() && start.elapsed() < Duration::from_secs(30) {
        sleep(Duration::from_millis(50));
    }
    let alert = json!([{"labels": {"alertname": "VLLMHighTTFT", "model_name": "m"},
                        "annotations": {"summary": "TTFT is above the service objective"}}]);
    assert_eq!(post(&at, "/api/v2/alerts", None, &alert.to_string()), 200);
    let reports = reports(&reported, 1);
    assert_eq!(reports.len(), 1, "no report came");
    assert_eq!(reports[0]["command"], "high-ttft");
    assert_eq!(reports[0]["causes"][0]["id"], "volatile-prompt-prefix");
}

/// What a receiver says to the head of a page whose body of a megabyte never comes.
fn unfinished(address: &str, token: &str) -> (u16, Duration) {
    let start = Instant::now();
    let mut stream = TcpStream::connect(address).unwrap();
    write!(
        stream,
        "POST /alerts HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n\
         Content-Length: 1000000\r\n\r\n{{"
    )
    .unwrap();
    let mut line = String::new();
    stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    BufReader::new(stream).read_line(&mut line).unwrap();
    (line.split(' ').nth(1).unwrap().parse().unwrap(), start.elapsed())
}

#[test]
fn a_page_that_never_ends_is_given_up_and_no_stranger_is_listened_to() {
    let folder = tempfile::tempdir().unwrap();
    let (_running, at) = receiver(folder.path());
    let (status, took) = unfinished(&at, "guessed");
    assert!(status == 401 && took < Duration::from_secs(5), "{status} after {took:?}");
    let (status, took) = unfinished(&at, TOKEN);
    assert!(status == 408 && took < Duration::from_secs(25), "{status} after {took:?}");
}
