//! From an incident on a live server to the answer whether it is fixed, and baselines of live servers.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

#[allow(dead_code)]
#[path = "support/cli.rs"]
mod cli;
#[allow(dead_code)]
#[path = "support/openai/page.rs"]
mod page;
#[allow(dead_code)]
mod support;

use std::fs;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use cli::Ran;
use page::Tally;
use serde_json::Value;
use support::{Server, respond};

/// What a server is asked, and how it answers.
#[derive(Clone, Copy)]
struct Traffic {
    /// Requests per second.
    rate: f64,
    /// Seconds in the queue, and to the first token after it.
    queued: f64,
    prefill: f64,
}

const HEALTHY: Traffic = Traffic { rate: 10.0, queued: 0.0, prefill: 0.02 };
const SICK: Traffic = Traffic { queued: 2.5, ..HEALTHY };
const SLOWER: Traffic = Traffic { prefill: 0.2, ..HEALTHY };
const IDLE: Traffic = Traffic { rate: 0.0, ..HEALTHY };

/// A live vLLM: each page counts what was finished since the page before.
struct Site {
    server: Server,
    state: Arc<Mutex<State>>,
}

struct State {
    tally: Tally,
    traffic: Traffic,
    last: Instant,
    owed: f64,
}

impl State {
    fn page(&mut self) -> String {
        let Traffic { rate, queued, prefill } = self.traffic;
        self.owed += self.last.elapsed().as_secs_f64() * rate;
        self.last = Instant::now();
        (self.tally.running, self.tally.waiting) = (rate * prefill, rate * queued);
        while self.owed >= 1.0 {
            self.owed -= 1.0;
            let ttft = queued + prefill;
            self.tally.done(queued, ttft, ttft + 0.01, (50, 40, 5));
        }
        self.tally.page(64.0, 0.0)
    }
}

impl Site {
    /// A server that has answered so many requests before, and is asked as told from now on.
    fn start(before: f64, traffic: Traffic) -> Self {
        let (tally, last) = (Tally::after(before), Instant::now());
        let state = Arc::new(Mutex::new(State { tally, traffic, last, owed: 0.0 }));
        let shared = Arc::clone(&state);
        let server = Server::vllm(move |stream| {
            let page = shared.lock().unwrap().page();
            respond(stream, "200 OK", page.as_bytes());
        });
        Self { server, state }
    }

    fn becomes(&self, traffic: Traffic) {
        let mut state = self.state.lock().unwrap();
        state.page();
        state.traffic = traffic;
    }
}

/// Runs it on the metrics alone, with baselines kept in `home` and a policy that lets a fix be proven
/// in seconds.
fn run(home: &Path, args: &str) -> Ran {
    fs::write(home.join("policy.yaml"), "verify_least_seconds: {value: 3}\n").unwrap();
    let mut command = cli::diagnose();
    command.args(args.split_whitespace()).env("XDG_STATE_HOME", home).current_dir(home);
    cli::finish(command.args(["--skip", "host,nvml,kernel", "--runbooks"]).arg(home))
}

fn verify(home: &Path, seconds: u32) -> (i32, Value) {
    let ran = run(home, &format!("verify report.json --for {seconds}s --format json"));
    (ran.code, ran.json())
}

#[test]
fn a_live_incident_is_followed_from_its_report_to_its_end() {
    let dir = tempfile::tempdir().unwrap();
    let home = dir.path();
    let site = Site::start(3600.0, SICK);
    let url = site.server.url();
    let ran = run(
        home,
        &format!(
            "high-ttft --url {url} --window 6s --fail-on warning --format json -o report.json"
        ),
    );
    ran.assert_code(1);
    let (code, told) = verify(home, 6);
    assert_eq!((code, &told["outcome"]), (1, &"not_fixed".into()), "{told:#}");
    site.becomes(IDLE);
    let (code, told) = verify(home, 4);
    assert_eq!((code, &told["outcome"]), (3, &"idle".into()), "{told:#}");
    site.becomes(HEALTHY);
    let (code, told) = verify(home, 2);
    assert_eq!((code, &told["outcome"]), (3, &"too_early".into()), "{told:#}");
    let more = told["needed"]["requests"].as_f64().unwrap();
    assert!((5.0..20.0).contains(&more), "{told:#}");
    let statement = told["statement"].as_str().unwrap();
    assert!(statement.contains(&format!("about {more} requests more")), "{statement}");
    let (code, told) = verify(home, 6);
    assert_eq!((code, &told["outcome"]), (0, &"fixed".into()), "{told:#}");
    assert!(told["requests"].as_f64().unwrap() >= 50.0, "{told:#}");
}

#[test]
fn a_baseline_of_a_live_server_changes_what_is_said_of_it_when_it_is_sick() {
    let dir = tempfile::tempdir().unwrap();
    let home = dir.path();
    let site = Site::start(3600.0, HEALTHY);
    let url = site.server.url();
    run(home, &format!("sweep --url {url} --window 5s --save-baseline good")).assert_code(0);
    // A server that has just started has no past of its own. Within the objective, but ten times as
    // slow as it was: only who knows the healthy time can tell.
    let site = Site::start(0.0, SLOWER);
    let url = site.server.url();
    let sweep = |flags: &str| {
        let flags = format!("sweep --url {url} --window 5s --min-coverage 0.1 {flags}");
        run(home, &format!("{flags} --format json"))
    };
    let alone = sweep("");
    assert_eq!((alone.code, &alone.json()["verdict"]), (0, &"healthy".into()), "{}", alone.stdout);
    let ran = sweep("--baseline good --save-baseline bad");
    let report = ran.json();
    assert_eq!((ran.code, &report["verdict"]), (1, &"degraded".into()), "{}", ran.stdout);
    assert!(ran.stdout.contains("10× the 20 ms before"), "{}", report["symptoms"]);
    assert_eq!(report["window"]["kept_baseline"]["name"], "good", "{}", report["window"]);
    site.becomes(HEALTHY);
    let ran = sweep("--baseline good");
    assert_eq!((ran.code, &ran.json()["verdict"]), (0, &"healthy".into()), "{}", ran.stdout);
    let mut list = cli::diagnose();
    let kept = cli::finish(list.args(["baseline", "list"]).env("XDG_STATE_HOME", home)).stdout;
    assert!(kept.contains("good") && !kept.contains("bad"), "a sick time is no baseline: {kept}");
}
