//! Sealed bundles, waivers, and the gate that waits or watches.
#![allow(missing_docs, dead_code, clippy::unwrap_used, clippy::expect_used)]

#[path = "support/cli.rs"]
mod cli;
mod support;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use cli::{Ran, diagnose, finish, incident, run, wait, words};
use support::{Server, page, respond};
use tempfile::{TempDir, tempdir};

fn sealed(name: &str, more: &[&str]) -> (TempDir, PathBuf, Ran) {
    let dir = tempdir().unwrap();
    let path = dir.path().join("sealed.tar.zst");
    let replay = incident(name);
    let fixed = ["--replay", &replay, "--format", "json", "--bundle", path.to_str().unwrap()];
    let command = if more.is_empty() { &["high-ttft"] } else { more };
    let ran = run(command.iter().chain(&fixed));
    (dir, path, ran)
}

fn replay(command: &str, path: &Path, more: &str) -> Ran {
    let mut args = words(&format!("{command} --format json {more}"));
    args.extend(["--replay".into(), path.display().to_string()]);
    run(args)
}

#[test]
fn a_sealed_bundle_gives_the_same_bytes_for_its_owner_only() {
    let (_dir, path, first) = sealed("prefix-broken", &[]);
    first.assert_code(0);
    assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    let again = replay("high-ttft", &path, "");
    again.assert_code(0);
    assert_eq!(again.stdout, first.stdout);
    assert_eq!(again.stderr, "");
    let taken = run(words(&format!(
        "high-ttft --replay {} --bundle {}",
        incident("healthy"),
        path.display()
    )));
    taken.assert_code(2);
    taken.assert_says("never overwritten");
}

#[test]
fn a_folder_can_be_sealed_too_and_asks_again_what_was_asked() {
    let dir = tempdir().unwrap();
    let path = dir.path().join("sealed");
    let asked = "--window 40s --baseline 60s --at -5s --min-coverage 0.9";
    let from = incident("prefix-broken");
    let mut line = words(&format!("high-ttft --format json {asked} --replay {from} --bundle"));
    line.push(path.display().to_string());
    let first = run(line);
    let again = replay("high-ttft", &path, "");
    assert_eq!((again.code, again.stdout), (first.code, first.stdout));
    let other = replay("high-ttft", &path, "--window 20s");
    assert_ne!(other.json()["window"], again_window(&path), "flags win over what was sealed");
}

fn again_window(path: &Path) -> serde_json::Value {
    replay("high-ttft", path, "").json()["window"].clone()
}

#[test]
fn its_own_runbooks_judge_it_and_todays_only_when_asked() {
    let own = tempdir().unwrap();
    let policy = own.path().join("policy.yaml");
    fs::write(&policy, "ttft_p95_seconds: {value: 1000}\nttft_change: {value: 1000}\n").unwrap();
    let runbooks = own.path().to_str().unwrap();
    let (_dir, path, lenient) = sealed("prefix-broken", &["high-ttft", "--runbooks", runbooks]);
    assert_ne!(lenient.json()["verdict"], "critical", "{}", lenient.said());
    let again = replay("high-ttft", &path, "");
    assert_eq!(again.stdout, lenient.stdout);
    let today = replay("high-ttft", &path, "--with-runbooks current");
    assert_eq!(today.json()["causes"][0]["id"], "volatile-prompt-prefix");
    today.assert_says("sealed by diagnose");
    today.assert_says("; now: ");
    let both = replay("high-ttft", &path, &format!("--with-runbooks sealed --runbooks {runbooks}"));
    both.assert_code(2);
}

#[test]
fn a_forged_or_cut_bundle_says_so_and_is_not_judged_by_its_own_runbooks() {
    let dir = tempdir().unwrap();
    let path = dir.path().join("sealed");
    let from = incident("kv-pressure");
    run(words(&format!("sweep --replay {from} --bundle {}", path.display()))).assert_code(1);
    let policy = path.join("runbooks/0/policy.yaml");
    let text = fs::read_to_string(&policy).unwrap();
    fs::write(&policy, text.replace("value: 0.5", "value: 5000")).unwrap();
    let page = fs::read_dir(path.join("scrapes")).unwrap().next().unwrap().unwrap().path();
    fs::remove_file(&page).unwrap();
    let ran = replay("sweep", &path, "");
    ran.assert_code(1);
    ran.assert_says("judged by the installed ones");
    ran.assert_says("are not as they were sealed: runbooks/0/policy.yaml");
    ran.assert_says(&format!("lost: scrapes/{}", page.file_name().unwrap().to_str().unwrap()));
}

#[test]
fn a_truncated_archive_names_what_is_lost_and_is_still_judged() {
    let (dir, path, _) = sealed("prefix-broken", &[]);
    let bytes = fs::read(&path).unwrap();
    let cut = dir.path().join("cut.tar.zst");
    fs::write(&cut, &bytes[..bytes.len() * 8 / 10]).unwrap();
    let ran = replay("high-ttft", &cut, "");
    assert!((0..=3).contains(&ran.code) && ran.code != 2, "{}", ran.said());
    ran.assert_says("breaks off");
    ran.assert_says("sealed files are lost");
}

const WAIVER: &str = "[[waive]]\nfinding = 'FINDING'\nowner = 'ml-platform'\n\
     reason = 'bigger GPUs are ordered'\nexpires = 'DAY'\n";

fn with_waivers(waivers: &[(&str, &str)], format: &str) -> Ran {
    let dir = tempdir().unwrap();
    let config = dir.path().join("diagnose.toml");
    let one =
        |(finding, day): &(&str, &str)| WAIVER.replace("FINDING", finding).replace("DAY", day);
    fs::write(&config, waivers.iter().map(one).collect::<String>()).unwrap();
    let from = incident("kv-pressure");
    run(words(&format!("sweep --replay {from} --config {} --format {format}", config.display())))
}

#[test]
fn a_waived_finding_is_shown_and_does_not_close_the_gate_until_its_day() {
    let causes = replay("sweep", Path::new(&incident("kv-pressure")), "").json()["causes"].clone();
    let supported: Vec<String> = causes
        .as_array()
        .unwrap()
        .iter()
        .filter(|cause| cause["status"] == "supported")
        .map(|cause| cause["id"].as_str().unwrap().to_owned())
        .collect();
    let all = |day| supported.iter().map(|id| (id.as_str(), day)).collect::<Vec<_>>();
    for format in ["terminal", "markdown", "html"] {
        let waived = with_waivers(&all("2100-01-31"), format);
        waived.assert_code(0);
        waived.assert_says("CRITICAL");
        waived.assert_says("platform answers for it");
    }
    let over = with_waivers(&all("2020-01-31"), "terminal");
    over.assert_code(1);
    over.assert_says("counts again");
    let unknown = with_waivers(&[("kv-working-set-to-large", "2100-01-31")], "terminal");
    unknown.assert_code(2);
    unknown.assert_says("did you mean `kv-working-set-too-large`?");
}

/// A server that is not ready at first, and answers 30 requests between two looks then.
fn deployed(unready: usize) -> Server {
    let (health, pages) = (AtomicUsize::new(0), AtomicUsize::new(0));
    Server::start("127.0.0.1:0", move |request, stream| match request.path.as_str() {
        "/health" if health.fetch_add(1, Ordering::Relaxed) < unready => {
            respond(stream, "503 Service Unavailable", b"");
        }
        "/metrics" => {
            let total = 30 * pages.fetch_add(1, Ordering::Relaxed);
            let text = format!(
                "# TYPE vllm:num_requests_running gauge\nvllm:num_requests_running 1\n\
                 # TYPE vllm:request_success_total counter\n\
                 vllm:request_success_total{{finished_reason=\"stop\"}} {total}\n"
            );
            respond(stream, "200 OK", text.as_bytes());
        }
        path => page(path, stream),
    })
    .unwrap()
}

fn gate(server: &Server, longest: &str) -> Ran {
    let line = format!("sweep --url {} --wait {longest} --format json", server.url());
    let line = format!("{line} --only metrics,probes --config /dev/null");
    let mut command = diagnose();
    finish(command.args(words(&line)).env("DIAGNOSE_WINDOW", "1s"))
}

#[test]
fn the_gate_waits_until_the_server_is_ready_and_has_answered_enough() {
    let ran = gate(&deployed(1), "60s");
    ran.assert_says("waiting until the server is ready");
    ran.assert_says("ready; 30 of 50 requests answered since");
    assert!(ran.took > Duration::from_secs(14), "{:?}", ran.took);
    let readings = ran.json()["readings"].clone();
    let finished =
        readings.as_array().unwrap().iter().find(|row| row["signal"] == "finished_requests");
    assert!(finished.unwrap()["now"].as_f64().unwrap() >= 60.0, "{finished:?}");
}

#[test]
fn a_gate_whose_time_is_over_judges_what_is_there_and_is_never_clean() {
    let ran = gate(&deployed(1000), "2s");
    assert!(ran.code == 1 || ran.code == 3, "{}", ran.said());
    ran.assert_says("the server was not ready after the 2s that --wait allows");
    run(words("sweep --wait 2s --config /dev/null")).assert_code(2);
}

#[test]
fn a_watch_prints_only_what_changed() {
    let bad = AtomicUsize::new(0);
    let server = Server::start("127.0.0.1:0", move |request, stream| match request.path.as_str() {
        "/metrics" if bad.fetch_add(1, Ordering::Relaxed) > 3 => {
            respond(stream, "500 Internal Server Error", b"");
        }
        path => page(path, stream),
    })
    .unwrap();
    let line = format!("sweep --url {} --watch 1s --only metrics,probes", server.url());
    let mut command = diagnose();
    command.args(words(&line)).env("DIAGNOSE_WINDOW", "1s");
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let pid = child.id().to_string();
    std::thread::spawn(move || {
        std::thread::sleep(Duration::from_secs(9));
        Command::new("kill").args(["-INT", &pid]).status().unwrap();
    });
    let ran = wait(child);
    ran.assert_code(130);
    let changes = ran.stdout.lines().filter(|line| line.contains("source metrics: ok -> ")).count();
    assert_eq!(changes, 1, "{}", ran.said());
    assert_eq!(ran.stdout.matches("Coverage").count(), 1, "{}", ran.said());
}
