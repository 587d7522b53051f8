//! Runs of the program on live servers and recordings, as a user starts them.
#![allow(missing_docs, dead_code, clippy::unwrap_used, clippy::expect_used)]

#[path = "support/cli.rs"]
mod cli;
#[path = "support/judge.rs"]
mod judging;
mod support;

use std::fs;
use std::io::Write;
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use cli::{Ran, diagnose, finish, incident, run, wait, words};
use diagnose::{
    evidence::bundle::{Bundle, Limits},
    report::json,
    runbook::Library,
    sources::{
        http::block_on,
        vllm::{Live, sample},
    },
};
use judging::{judge, recordings};
use serde_json::Value;
use support::{PAGE, Server, page, respond};
use tempfile::tempdir;

const INCIDENTS: [&str; 8] = [
    "bad-requests",
    "decode-slow",
    "healthy",
    "healthy-bursty",
    "kv-pressure",
    "load-exceeds-capacity",
    "prefix-broken",
    "prompts-grew",
];

/// A server that shows the given pages one after the other, and then stays with the last.
fn stepping(pages: Vec<Vec<u8>>) -> Server {
    let asked = AtomicUsize::new(0);
    Server::vllm(move |stream| {
        let step = asked.fetch_add(1, Ordering::Relaxed).min(pages.len() - 1);
        respond(stream, "200 OK", &pages[step]);
    })
}

/// The pages of a recording at its middle and at its end: what a short look at it sees.
fn two_pages(bundle: &Bundle) -> Vec<Vec<u8>> {
    let pages: Vec<&Vec<u8>> = bundle.scrapes.values().collect();
    vec![pages[pages.len() / 2].clone(), pages[pages.len() - 1].clone()]
}

fn load(path: &str) -> Bundle {
    Bundle::load(&[path.into()], &Limits::default()).unwrap()
}

/// What a report holds against a system: the verdict, its causes and its symptoms.
fn judgement(report: &Value) -> (Value, Vec<Value>, Vec<Value>) {
    let causes = report["causes"].as_array().unwrap().iter();
    let symptoms = report["symptoms"].as_array().unwrap().iter();
    (
        report["verdict"].clone(),
        causes.filter(|it| it["status"] == "supported").map(|it| it["id"].clone()).collect(),
        symptoms.map(|symptom| symptom["signal"].clone()).collect(),
    )
}

#[test]
fn what_a_live_run_judges_is_what_its_saved_bundle_judges() {
    let library = Library::embedded().unwrap();
    let dir = tempdir().unwrap();
    for recording in recordings() {
        let server = stepping(two_pages(&recording.bundle));
        let window = Duration::from_millis(50);
        let live = Live { window, ..Live::new(server.url()) };
        let sampled = block_on(sample(&live, std::future::pending(), &mut |_| {})).unwrap();
        let path = dir.path().join(format!("{}.tar.zst", recording.name));
        sampled.save(&path).unwrap();
        for runbook in [None, Some("high-ttft")] {
            let report = |bundle: &Bundle| json::render(&judge(&library, bundle, runbook));
            let replayed = report(&load(&path.display().to_string()));
            assert_eq!(report(&sampled), replayed, "{}", recording.name);
        }
    }
}

#[test]
fn a_collected_bundle_is_judged_as_the_server_was() {
    for name in ["prefix-broken", "load-exceeds-capacity", "healthy"] {
        let pages = two_pages(&load(&incident(name)));
        let flags = ["--window", "1s", "--format", "json", "--url"];
        let live = run([&["sweep"][..], &flags, &[&stepping(pages.clone()).url()]].concat());
        let dir = tempdir().unwrap();
        let bundle = dir.path().join("b.tar.zst").display().to_string();
        let url = stepping(pages).url();
        run(["collect", "--duration", "1s", "--url", &url, "-o", &bundle]).assert_code(0);
        let replayed = run(["sweep", "--format", "json", "--replay", &bundle]);
        assert_eq!(judgement(&live.json()), judgement(&replayed.json()), "{name}");
        assert_eq!(live.code, replayed.code, "{name}");
    }
}

#[test]
fn replays_of_one_recording_are_the_same_bytes() {
    for name in INCIDENTS {
        let sweep = || run(["sweep", "--format", "json", "--replay", &incident(name)]);
        let first = sweep();
        for _ in 0..2 {
            let again = sweep();
            assert_eq!((again.code, &again.stdout), (first.code, &first.stdout), "{name}");
        }
    }
}

/// A process whose command line is that of a vLLM server.
fn pretend_to_be_vllm(port: u16) -> Child {
    Command::new("sh")
        .args(["-c", "read line", "/usr/bin/vllm", "serve", "m", "--port", &port.to_string()])
        .stdin(Stdio::piped())
        .spawn()
        .unwrap()
}

#[test]
fn without_any_setting_the_server_of_this_host_is_found_or_the_search_is_told() {
    let ports = [8000, 8080, 9090];
    if ports.iter().all(|port| TcpStream::connect(("127.0.0.1", *port)).is_err()) {
        let ran = run(["sweep"]);
        ran.assert_code(3);
        ran.assert_says("failed to find a vLLM server on this host");
        ports.iter().for_each(|port| ran.assert_says(&format!("http://127.0.0.1:{port}")));
        ran.assert_says("refused");
        ran.assert_says("--url http://HOST:PORT");
        assert!(ran.stdout.is_empty(), "{}", ran.stdout);
    }
    let server = Server::vllm(|stream| respond(stream, "200 OK", PAGE.as_bytes()));
    let mut process = pretend_to_be_vllm(server.address.port());
    let ran = run(["sweep", "--window", "100ms", "--format", "json"]);
    process.kill().unwrap();
    process.wait().unwrap();
    ran.assert_code(3);
    assert_eq!(ran.json()["target"]["name"], server.url());
}

#[test]
fn every_format_says_the_same_verdict() {
    let replay = incident("prefix-broken");
    let report = |format: &str| run(["sweep", "--replay", &replay, "--format", format]);
    let (screen, ticket, json) = (report("terminal"), report("markdown"), report("json"));
    assert_eq!(json.json()["verdict"], "degraded");
    assert!(screen.stdout.contains("DEGRADED") && screen.stdout.lines().count() <= 25);
    assert!(ticket.stdout.starts_with('#') || ticket.stdout.contains("\n#"), "{}", ticket.stdout);
    for ran in [&screen, &ticket, &json] {
        ran.assert_code(1);
        ran.assert_says("volatile-prompt-prefix");
        assert!(ran.stderr.is_empty(), "{}", ran.stderr);
    }
    let quiet = run(["sweep", "--replay", &replay, "-q"]);
    assert_eq!(quiet.stdout.lines().count(), 1, "{}", quiet.stdout);
    let verbose = run(["sweep", "--replay", &replay, "-v"]);
    assert!(verbose.stdout.lines().count() > 25, "{}", verbose.stdout);
}

#[test]
fn a_narrow_screen_is_kept_to() {
    for columns in [40, 60, 120] {
        for verbosity in ["-q", "-v", "--no-color"] {
            let mut command = diagnose();
            command.env("COLUMNS", columns.to_string());
            let ran = finish(command.args(["sweep", verbosity, "--replay", &incident("healthy")]));
            let widest = ran.stdout.lines().map(|line| line.chars().count()).max().unwrap();
            assert!(widest <= columns, "{widest} > {columns} with {verbosity}\n{}", ran.stdout);
        }
    }
}

/// Runs a command line on a terminal of its own; `None` where `script` is not installed.
fn on_a_terminal(flags: &str, variables: &[(&str, &str)]) -> Option<String> {
    let line = format!("{} sweep {flags}", env!("CARGO_BIN_EXE_diagnose"));
    let mut command = Command::new("script");
    command.args(["-qec", &line, "/dev/null"]).stdin(Stdio::null());
    let nowhere = std::env::temp_dir().join("diagnose-no-settings");
    command.env_remove("NO_COLOR").env("XDG_CONFIG_HOME", nowhere);
    command.envs(variables.iter().copied());
    Some(String::from_utf8(command.output().ok()?.stdout).unwrap())
}

#[test]
fn colour_is_for_terminals_that_want_it() {
    let replay = format!("--replay {}", incident("prefix-broken"));
    let Some(plain) = on_a_terminal(&replay, &[]) else { return };
    assert!(plain.contains("\x1b["), "{plain}");
    let refused = on_a_terminal(&replay, &[("NO_COLOR", "1")]).unwrap();
    let flagged = on_a_terminal(&format!("{replay} --no-color"), &[]).unwrap();
    for text in [refused, flagged, run(words(&format!("sweep {replay}"))).stdout] {
        assert!(text.contains("DEGRADED") && !text.contains("\x1b["), "{text}");
    }
}

#[test]
fn a_report_in_a_file_is_whole_or_the_old_one() {
    let dir = tempdir().unwrap();
    let file = dir.path().join("report.md");
    fs::write(&file, "old").unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).unwrap();
    let write = |replay: &str, output: &Path| {
        let output = output.display().to_string();
        run(["sweep", "--replay", replay, "--format", "markdown", "--output", &output])
    };
    write("/no/such/recording", &file).assert_code(2);
    assert_eq!(fs::read_to_string(&file).unwrap(), "old");
    let ran = write(&incident("healthy"), &file);
    ran.assert_code(0);
    assert!(ran.stdout.is_empty(), "{}", ran.stdout);
    let printed = run(["sweep", "--replay", &incident("healthy"), "--format", "markdown"]);
    assert_eq!(fs::read_to_string(&file).unwrap(), printed.stdout);
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o640);
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "nothing is left beside it");
    let nowhere = write(&incident("healthy"), Path::new("/no/such/folder/report.md"));
    nowhere.assert_code(2);
    nowhere.assert_says("there is no folder /no/such/folder");
    let device = write(&incident("healthy"), Path::new("/dev/null"));
    device.assert_code(0);
    assert!(!fs::metadata("/dev/null").unwrap().is_file());
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    let args = ["sweep", "-v", "--replay", &incident("prefix-broken")];
    let mut command = diagnose();
    let mut child =
        command.args(args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let ran = wait(child);
    assert_eq!((ran.code, ran.stderr.as_str()), (1, ""));
}

fn until(limit: Duration, what: impl Fn() -> bool) {
    let start = Instant::now();
    while !what() {
        assert!(start.elapsed() < limit, "it did not happen");
        thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn an_interrupted_run_reports_what_it_saw() {
    let server = Server::vllm(|stream| respond(stream, "200 OK", PAGE.as_bytes()));
    let url = server.url();
    let mut command = diagnose();
    command.args(["sweep", "--window", "60s", "--format", "json", "--url", &url]);
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    until(Duration::from_secs(10), || server.requests().len() >= 6);
    thread::sleep(Duration::from_millis(200));
    let kill = format!("kill -INT {}", child.id());
    assert!(Command::new("sh").args(["-c", &kill]).status().unwrap().success());
    let ran = wait(child);
    ran.assert_code(130);
    ran.assert_says("interrupted: what follows rests on 1 scrapes only");
    assert_eq!(ran.json()["verdict"], "inconclusive");
}

fn replayed(name: &str, flags: &str) -> Ran {
    let line = format!("sweep --format json {flags} --replay {}", incident(name));
    run(words(&line))
}

#[test]
fn sources_that_are_left_out_are_named_and_not_asked() {
    let without_log = replayed("bad-requests", "--skip log");
    without_log.assert_says("left out by --only");
    assert!(
        without_log.json()["readings"]
            .as_array()
            .unwrap()
            .iter()
            .all(|reading| { reading["source"] != "log" || reading["now"].is_null() })
    );
    let only = replayed("bad-requests", "--only metrics");
    assert_eq!(
        judgement(&only.json()),
        judgement(&replayed("bad-requests", "--skip log,probes").json())
    );
    let blind = replayed("prefix-broken", "--only probes,log");
    blind.assert_code(3);
    assert_eq!(blind.json()["verdict"], "inconclusive");
}

#[test]
fn the_time_judged_is_the_time_asked_for() {
    let before = replayed("prefix-broken", "--at -120s");
    before.assert_code(0);
    assert_eq!(before.json()["verdict"], "healthy");
    let after = replayed("prefix-broken", "--window 30s");
    after.assert_code(1);
    let window = &after.json()["window"];
    let time = |key: &str| window[key].as_str().unwrap().parse::<jiff::Timestamp>().unwrap();
    assert_eq!(time("from").duration_until(time("to")).as_secs(), 30);
    assert!(time("baseline_to") <= time("from"));
    let short = replayed("prefix-broken", "--baseline 20s");
    let length = |report: &Value| {
        let time = |key: &str| report["window"][key].as_str().unwrap().parse::<jiff::Timestamp>();
        time("baseline_from").unwrap().duration_until(time("baseline_to").unwrap()).as_secs()
    };
    assert_eq!(length(&short.json()), 20);
    for flags in ["--at 2020-01-01T00:00:00Z", "--at -10h"] {
        let outside = replayed("prefix-broken", flags);
        outside.assert_code(2);
        outside.assert_says("the recording goes from 2026-11-21T");
    }
}

/// A window that reaches back over the onset must not water the incident down.
#[test]
fn a_long_window_never_hides_an_incident() {
    for name in INCIDENTS.iter().filter(|name| !name.starts_with("healthy")) {
        for window in ["1m", "2m", "10h"] {
            let ran = replayed(name, &format!("--window {window}"));
            assert_ne!(ran.json()["verdict"], "healthy", "{name} over {window}");
        }
    }
}

#[test]
fn gates_close_where_they_are_set() {
    replayed("prefix-broken", "--fail-on critical").assert_code(0);
    replayed("prefix-broken", "--fail-on warning").assert_code(1);
    replayed("prefix-broken", "--fail-on critical --min-coverage 1.0").assert_code(3);
    let strict = replayed("healthy", "--min-coverage 1.0");
    strict.assert_code(3);
    assert_eq!(strict.json()["verdict"], "inconclusive");
    replayed("healthy", "--min-coverage 0").assert_code(0);
}

#[test]
fn a_mistake_in_the_settings_is_shown_under_its_line() {
    let dir = tempdir().unwrap();
    let file = dir.path().join("diagnose.toml");
    for (text, parts) in [
        ("timout = '5s'\n", &["diagnose.toml", "line 1", "^^^", "timout", "timeout"][..]),
        ("url = 'h'\nskip = ['lgo']\n", &["line 2", "^^^", "lgo", "log"]),
        ("timeout = '5'\n", &["line 1", "^^^", "write it with a unit"]),
        ("min_coverage = 7\n", &["line 1", "^", "between 0 and 1"]),
    ] {
        fs::write(&file, text).unwrap();
        let ran = run(["sweep", "--config", &file.display().to_string()]);
        ran.assert_code(2);
        parts.iter().for_each(|part| ran.assert_says(part));
    }
}

/// Every file under a folder, as one text.
fn contents(folder: &Path) -> String {
    let mut text = String::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        text += &if path.is_dir() { contents(&path) } else { fs::read_to_string(path).unwrap() };
    }
    text
}

#[test]
fn secrets_stay_out_of_every_output() {
    // A gateway that repeats what it refuses, as several do.
    let server = Server::start("127.0.0.1:0", |_, stream| {
        respond(stream, "401 Unauthorized", b"key sk-s3cr3t-k3y or p4ssw0rd is not known");
    });
    let address = server.unwrap().address;
    let key =
        ["--api-key", "sk-s3cr3t-k3y", "--url", &format!("http://{address}/?key=sk-s3cr3t-k3y")];
    let password = ["--url", &format!("http://user:p4ssw0rd@{address}")];
    for target in [&key[..], &password] {
        let dir = tempdir().unwrap();
        let bundle = dir.path().join("bundle").display().to_string();
        let collected = [&["collect", "--duration", "100ms", "-o", &bundle], target].concat();
        let mut said = run(collected).said() + &run([&["config", "check"], target].concat()).said();
        for flags in ["-v", "-q", "--format markdown", "--format json"] {
            let line = words(&format!("sweep --window 100ms {flags}"));
            said += &run(line.iter().map(String::as_str).chain(target.iter().copied())).said();
        }
        said += &run(["sweep", "-v", "--replay", &bundle]).said();
        said += &contents(dir.path());
        assert!(said.contains(&address.to_string()), "{said}");
        // The server says both; only the one in use is ours to know.
        let own = if target.len() > 2 { "sk-s3cr3t-k3y" } else { "p4ssw0rd" };
        assert!(!said.contains(own), "{said}");
    }
}

/// A server that takes `delay` to the first token, and counts `served` seconds for it.
fn slow_to_reach(delay: Duration, served: f64) -> Server {
    let done = AtomicUsize::new(50);
    Server::start("127.0.0.1:0", move |request, stream| match request.path.as_str() {
        "/metrics" => respond(stream, "200 OK", &ttft_page(done.load(Ordering::Relaxed), served)),
        "/v1/completions" => {
            done.fetch_add(1, Ordering::Relaxed);
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n");
            thread::sleep(delay);
            let _ = stream.write_all(b"data: {\"choices\":[{\"text\":\" a\"}]}\n\n");
        }
        path => page(path, stream),
    })
    .unwrap()
}

fn ttft_page(requests: usize, seconds: f64) -> Vec<u8> {
    let name = "vllm:time_to_first_token_seconds";
    let labels = "engine=\"0\",model_name=\"m\"";
    let mut text = format!("{PAGE}# TYPE {name} histogram\n");
    for bound in [0.04, 0.06, 0.4, 0.6, f64::INFINITY] {
        let le = if bound.is_finite() { bound.to_string() } else { "+Inf".into() };
        let count = if seconds <= bound { requests } else { 0 };
        text += &format!("{name}_bucket{{{labels},le=\"{le}\"}} {count}\n");
    }
    let sum = requests as f64 * seconds;
    text += &format!("{name}_count{{{labels}}} {requests}\n{name}_sum{{{labels}}} {sum}\n");
    text.into_bytes()
}

fn gap(report: &Value) -> &Value {
    let rows = report["readings"].as_array().unwrap();
    rows.iter().find(|row| row["signal"] == "client_gap_seconds").unwrap()
}

fn probed(server: &Server, flags: &[&str]) -> Ran {
    let common = ["high-ttft", "--window", "1s", "--format", "json", "--url"];
    run([&common[..], &[&server.url()], flags].concat())
}

#[test]
fn a_probe_measures_what_lies_between_client_and_server() {
    let server = slow_to_reach(Duration::from_millis(500), 0.05);
    let ran = probed(&server, &["--probe", "2"]);
    let now = gap(&ran.json())["now"].as_f64().unwrap();
    assert!((0.4..1.5).contains(&now), "{now}");
    let report = ran.json();
    let last = report["path"].as_array().unwrap().last().unwrap().clone();
    assert_eq!((&last["check"], &last["answer"]), (&"client-gap-high".into(), &"yes".into()));
    assert!(last["conclusion"].as_str().unwrap().contains("look at gateway, proxy and network"));
    let posts = server.requests().iter().filter(|it| it.head.starts_with("POST ")).count();
    assert_eq!(posts, 2);
}

#[test]
fn a_server_that_counts_the_wait_itself_is_looked_into() {
    let server = slow_to_reach(Duration::from_millis(500), 0.5);
    let report = probed(&server, &["--probe"]).json();
    let steps = report["path"].as_array().unwrap();
    let step = steps.iter().find(|step| step["check"] == "client-gap-high").unwrap();
    assert_ne!(step["answer"], "yes");
    assert!(steps.last().unwrap()["check"] != "client-gap-high", "the walk goes on");
}

#[test]
fn nothing_is_sent_and_nothing_is_held_against_coverage_unless_a_probe_is_asked_for() {
    let server = slow_to_reach(Duration::ZERO, 0.05);
    let report = probed(&server, &[]).json();
    assert!(server.requests().iter().all(|request| request.head.starts_with("GET ")));
    let row = gap(&report);
    assert!(row["now"].is_null() && row["missing"].as_str().unwrap().contains("--probe"), "{row}");
    let with = probed(&server, &["--probe", "1"]).json();
    let asked = |report: &Value| report["coverage"]["asked"].as_u64().unwrap();
    assert_eq!(asked(&with), asked(&report) + 1);
}
