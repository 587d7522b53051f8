//! Two sides beside each other, and baselines that are kept, as a user does it.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

#[allow(dead_code)]
#[path = "support/cli.rs"]
mod cli;
#[path = "support/loads.rs"]
mod loads;
#[path = "support/openai/mod.rs"]
mod openai;

use std::{fs, os::unix::fs::PermissionsExt, path::Path, path::PathBuf};

use cli::{Ran, diagnose, finish, incident};
use diagnose::{
    compare::{self, Answer, Comparison, Side, Verdict},
    runbook::Library,
};
use loads::{Server, result};
use tempfile::TempDir;

fn run<S: AsRef<std::ffi::OsStr>>(args: impl IntoIterator<Item = S>) -> Ran {
    cli::run(args)
}

fn comparison(args: &[&str]) -> (Comparison, i32) {
    let ran = run([&["compare"], args, &["--format", "json"]].concat());
    let schema: serde_json::Value = serde_json::from_str(&compare::schema()).unwrap();
    let validator = jsonschema::validator_for(&schema).unwrap();
    let json = ran.json();
    let errors: Vec<_> = validator.iter_errors(&json).map(|it| it.to_string()).collect();
    assert!(errors.is_empty(), "{errors:?}");
    (serde_json::from_value(json).unwrap(), ran.code)
}

fn answer(comparison: &Comparison, signal: &str) -> Answer {
    comparison.effects.iter().find(|it| it.signal == signal).unwrap().answer
}

#[test]
fn a_slow_server_is_worse_in_what_is_slow_and_the_page_is_one_screen() {
    let (a, b) = (incident("healthy"), incident("decode-slow"));
    let (found, code) = comparison(&[&a, &b]);
    assert_eq!((found.verdict, code), (Verdict::Worse, 1));
    for slow in ["ttft_mean_seconds", "itl_mean_seconds", "decode_mean_seconds"] {
        assert_eq!(answer(&found, slow), Answer::Worse, "{slow}");
    }
    assert_ne!(answer(&found, "prefix_cache_hit_ratio"), Answer::Worse);
    let page = run(["compare", &a, &b]);
    assert!(page.stdout.lines().count() <= 25, "{}", page.stdout);
    assert!(page.stdout.lines().all(|line| line.chars().count() <= 80), "{}", page.stdout);
    let ticket = run(["compare", &a, &b, "--format", "markdown"]);
    ticket.assert_says("| time to first token |");
    assert_eq!(page.stdout, run(["compare", &a, &b]).stdout, "equal input gives equal bytes");
}

#[test]
fn the_way_back_is_no_loss() {
    let (found, code) = comparison(&[&incident("decode-slow"), &incident("healthy")]);
    assert_ne!(code, 1);
    assert_eq!(answer(&found, "itl_mean_seconds"), Answer::Better);
    assert!(found.effects.iter().all(|effect| effect.answer != Answer::Worse));
}

#[test]
fn other_traffic_is_told_and_no_verdict_rests_on_it() {
    for other in ["healthy-bursty", "load-exceeds-capacity", "prompts-grew"] {
        let (found, code) = comparison(&[&incident("healthy"), &incident(other)]);
        assert_eq!((found.verdict, code), (Verdict::NotComparable, 3), "{other}");
        assert!(found.load.iter().any(|row| row.alike == Some(false)), "{other}");
    }
}

#[test]
fn a_recording_does_not_differ_from_itself() {
    for own in ["healthy", "healthy-bursty", "decode-slow", "prefix-broken"] {
        let (found, code) = comparison(&[&incident(own), &incident(own)]);
        assert_ne!(code, 1, "{own}");
        let same =
            |it: &&compare::Effect| matches!(it.answer, Answer::NotWorse | Answer::CannotTell);
        assert_eq!(found.effects.iter().filter(same).count(), found.effects.len(), "{own}");
        assert!(found.statement.to_lowercase().contains("no difference"), "{}", found.statement);
        assert!(found.effects[0].because.contains("would have detected"), "{:?}", found.effects[0]);
    }
}

#[test]
fn two_times_of_one_recording_are_compared_and_must_lie_in_it() {
    let path = incident("decode-slow");
    let (found, code) =
        comparison(&["--replay", &path, "--window-a=-150s/-95s", "--window-b=-60s/-1s"]);
    assert_eq!((found.verdict, code), (Verdict::Worse, 1), "{}", found.statement);
    let outside = run(["compare", "--replay", &path, "--window-a=-9h/-8h", "--window-b=-1m/-1s"]);
    outside.assert_code(2);
    outside.assert_says("what was read goes from");
    run(["compare", "--window-a=-2h/-1h", "--window-b=-1h/-1s"]).assert_code(2);
    run(["compare", &path]).assert_code(2);
}

fn of(server: &Server, seed: u64) -> Side {
    Side::of_load(format!("seed {seed}"), &result(server, seed))
}

#[test]
fn equal_servers_are_seldom_called_different() {
    let library = Library::embedded().unwrap();
    let trials = 40;
    let wrong = (0..trials).filter(|&seed| {
        let (a, b) = (of(&Server::default(), 2 * seed + 1), of(&Server::default(), 2 * seed + 2));
        let found = compare::compare(&a, &b, None, false, &library);
        found.effects.iter().any(|it| matches!(it.answer, Answer::Worse | Answer::Better))
    });
    let wrong = wrong.count();
    println!("{wrong} of {trials} comparisons of equal servers show a difference");
    assert!(wrong <= 5, "{wrong} of {trials}");
}

#[test]
fn a_loss_of_a_fifth_is_found_and_one_that_is_tolerated_is_none() {
    let library = Library::embedded().unwrap();
    let of_ttft = |ttft: f64, seed: u64| of(&Server { ttft, ..Server::default() }, seed);
    for seed in 1..=5 {
        let a = of_ttft(0.1, seed);
        let slow = compare::compare(&a, &of_ttft(0.12, 100 + seed), None, false, &library);
        assert_eq!(answer(&slow, "ttft_mean_seconds"), Answer::Worse, "{seed}");
        let little = compare::compare(&a, &of_ttft(0.1, 100 + seed), None, false, &library);
        assert_ne!(answer(&little, "ttft_mean_seconds"), Answer::Worse, "{seed}");
    }
}

#[test]
fn failures_that_are_new_are_found() {
    let library = Library::embedded().unwrap();
    let failing = Server { failing: 0.05, ..Server::default() };
    let found =
        compare::compare(&of(&Server::default(), 1), &of(&failing, 2), None, false, &library);
    assert_eq!(answer(&found, "failed_5xx_ratio"), Answer::Worse);
    assert_eq!(found.verdict, Verdict::Worse);
}

#[test]
fn longer_prompts_make_a_loss_unfair_and_shorter_ones_do_not_excuse_it() {
    let library = Library::embedded().unwrap();
    let other =
        |prompt: f64| Server { prompt, ttft: 0.2, fingerprint: "other", ..Server::default() };
    let a = of(&Server::default(), 1);
    let harder = compare::compare(&a, &of(&other(1000.0), 2), None, false, &library);
    assert_eq!(harder.verdict, Verdict::NotComparable);
    let easier = compare::compare(&a, &of(&other(250.0), 2), None, false, &library);
    assert_eq!(easier.verdict, Verdict::Worse);
    assert!(easier.statement.contains("less to do"), "{}", easier.statement);
}

#[test]
fn an_eager_run_tells_whether_the_graphs_are_the_reason() {
    let library = Library::embedded().unwrap();
    let old = of(&Server::default(), 1);
    let new = Server { version: "0.23.0", gap: 0.03, ttft: 0.15, ..Server::default() };
    let quick = Server { version: "0.23.0", ..Server::default() };
    let supported = |eager: &Server| {
        let found = compare::compare(&old, &of(&new, 2), Some(&of(eager, 3)), false, &library);
        let upgrade = found.upgrade.unwrap();
        let named =
            upgrade.causes.iter().filter(|it| it.status == diagnose::report::Status::Supported);
        named.map(|cause| cause.id.clone()).collect::<Vec<_>>()
    };
    assert_eq!(supported(&quick), ["cuda-graph-regression"]);
    assert_eq!(supported(&new), ["version-regression-unexplained"]);
}

#[test]
fn a_client_that_did_not_keep_up_tells_nothing() {
    let library = Library::embedded().unwrap();
    let mut bad = result(&Server { ttft: 0.5, ..Server::default() }, 2);
    bad.client.valid = false;
    let found = compare::compare(
        &of(&Server::default(), 1),
        &Side::of_load("b".into(), &bad),
        None,
        false,
        &library,
    );
    assert_eq!(found.verdict, Verdict::CannotTell);
}

#[test]
fn json_that_is_no_load_test_is_refused_in_words() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("x.json");
    fs::write(&path, "{\"hello\": 1}").unwrap();
    let ran = run(["compare", path.to_str().unwrap(), &incident("healthy")]);
    ran.assert_code(2);
    ran.assert_says("as the result of a load test");
}

// Two servers at once.

/// Limits of the client that a busy machine keeps.
fn lenient(dir: &Path) -> String {
    fs::create_dir(dir.join("load")).unwrap();
    let limits = include_str!("../runbooks/load/limits.yaml");
    let client = "client: {loop_lag_p99: 30, cpu_share: 9, send_late_p99: 30, client_errors: 0}";
    let rest = limits.split_once("\nsaturation:").unwrap().1;
    fs::write(dir.join("load/limits.yaml"), format!("{client}\nsaturation:{rest}")).unwrap();
    dir.display().to_string()
}

#[test]
fn two_servers_get_the_same_requests_at_once_and_the_slow_one_is_found() {
    let server = |ttft: u64| {
        let ttft = std::time::Duration::from_millis(ttft);
        openai::Server::start(openai::Behaviour { ttft, ..openai::Behaviour::default() })
    };
    let (quick, slow) = (server(40), server(90));
    let dir = TempDir::new().unwrap();
    let own = lenient(dir.path());
    let (a, b) = (quick.url(), slow.url());
    let flags = ["--scenario", "baseline", "--rate", "40", "--duration", "6s", "--runbooks", &own];
    let (found, code) = comparison(&[&[a.as_str(), b.as_str()], &flags[..]].concat());
    assert_eq!((found.verdict, code), (Verdict::Worse, 1), "{}", found.statement);
    assert_eq!(found.fairness, compare::Fairness::Identical);
    assert_eq!(answer(&found, "ttft_mean_seconds"), Answer::Worse);
    let change = found.effects[0].change.unwrap();
    assert!(change.point > 1.5 && change.point < 3.5, "{change:?}");
    let bodies = |server: &openai::Server| {
        let mut texts: Vec<String> =
            server.bodies.lock().unwrap().iter().map(|it| it["messages"].to_string()).collect();
        texts.sort();
        texts
    };
    let first = |server: &openai::Server| {
        let mut texts = bodies(server);
        texts.retain(|text| text.matches("\"role\"").count() <= 2);
        texts
    };
    assert!(!first(&quick).is_empty());
    assert_eq!(first(&quick), first(&slow), "letter by letter the same");
    run(["compare", "http://192.0.2.1:8000", &b, "--scenario", "baseline"]).assert_code(2);
    run(["compare", &a, &b, "--rate", "3"]).assert_code(2);
}

// Baselines.

struct Home(TempDir);

impl Home {
    fn new() -> Self {
        Self(TempDir::new().unwrap())
    }

    fn run(&self, args: &[&str]) -> Ran {
        finish(diagnose().env("XDG_STATE_HOME", self.0.path()).args(args))
    }

    fn kept(&self) -> PathBuf {
        self.0.path().join("diagnose/baselines")
    }
}

fn mode(path: &Path) -> u32 {
    path.metadata().unwrap().permissions().mode() & 0o777
}

#[test]
fn a_baseline_lives_from_its_keeping_to_its_end_for_its_owner_only() {
    let home = Home::new();
    let healthy = incident("healthy");
    home.run(&["baseline", "list"]).assert_says("no baseline is kept");
    home.run(&["sweep", "--replay", &healthy, "--save-baseline", "good"]).assert_code(0);
    let own = home.kept().join("good");
    assert_eq!((mode(&home.kept()), mode(&own)), (0o700, 0o700));
    for file in ["about.json", "bundle.tar.zst"] {
        assert_eq!(mode(&own.join(file)), 0o600, "{file}");
    }
    home.run(&["baseline", "list"]).assert_says("good");
    home.run(&["baseline", "show", "good"]).assert_says("verdict   healthy");
    let again = home.run(&["sweep", "--replay", &healthy, "--save-baseline", "good"]);
    again.assert_code(0);
    assert_eq!(fs::read_dir(home.kept()).unwrap().count(), 1, "it is replaced, nothing is left");
    home.run(&["baseline", "remove", "good"]).assert_code(0);
    home.run(&["baseline", "show", "good"]).assert_code(2);
    assert_eq!(fs::read_dir(home.kept()).unwrap().count(), 0);
}

#[test]
fn what_is_not_healthy_is_kept_by_force_only_and_marked() {
    let home = Home::new();
    let sick = incident("decode-slow");
    let refused = home.run(&["sweep", "--replay", &sick, "--save-baseline", "bad"]);
    refused.assert_code(1);
    refused.assert_says("only what is healthy can be compared with");
    assert!(!home.kept().join("bad").exists());
    home.run(&["baseline", "save", "bad", &sick]).assert_code(1);
    assert!(!home.kept().join("bad").exists());
    home.run(&["baseline", "save", "bad", &sick, "--force"]).assert_code(0);
    home.run(&["baseline", "list"]).assert_says("NOT healthy");
}

#[test]
fn no_name_leads_out_of_the_folder() {
    let home = Home::new();
    let victim = home.0.path().join("victim");
    fs::create_dir(&victim).unwrap();
    fs::write(victim.join("about.json"), "{}").unwrap();
    for name in ["../../victim", "..", "/etc", "a/b", ".x", "", "-x", "x\u{202e}y"] {
        for command in [
            vec!["baseline", "remove", name],
            vec!["baseline", "show", name],
            vec!["baseline", "save", name, "x"],
        ] {
            home.run(&command).assert_code(2);
        }
        let healthy = incident("healthy");
        let flag = format!("--save-baseline={name}");
        home.run(&["sweep", "--replay", &healthy, &flag]).assert_code(2);
        let flag = format!("--baseline={name}");
        home.run(&["sweep", "--replay", &healthy, &flag]).assert_code(2);
    }
    assert!(victim.join("about.json").exists());
}

#[test]
fn a_kept_baseline_is_compared_with_and_named_with_its_age() {
    let home = Home::new();
    home.run(&["baseline", "save", "good", &incident("healthy")]).assert_code(0);
    let sick = incident("decode-slow");
    let json = ["sweep", "--replay", &sick, "--baseline", "good", "--format", "json"];
    let report = home.run(&json).json();
    let kept = &report["window"]["kept_baseline"];
    assert_eq!(kept["name"], "good");
    assert!(kept["age_seconds"].as_f64().unwrap() > 3600.0);
    let row = |report: &serde_json::Value, signal: &str| {
        let rows = report["readings"].as_array().unwrap().clone();
        rows.into_iter().find(|row| row["signal"] == signal).unwrap()
    };
    let healthy = run(["sweep", "--replay", &incident("healthy"), "--format", "json"]).json();
    assert_eq!(
        row(&report, "itl_mean_seconds")["baseline"],
        row(&healthy, "itl_mean_seconds")["now"],
        "its numbers are those of the kept recording"
    );
    home.run(&["slow-decode", "--replay", &sick, "--baseline", "good"])
        .assert_says("Baseline  `good`");
    let other = incident("kv-pressure");
    home.run(&["sweep", "--replay", &other, "--baseline", "good"]).assert_says("Other then: ");
    home.run(&["sweep", "--replay", &sick, "--baseline", "gone"]).assert_code(2);
}

#[test]
fn a_baseline_of_the_settings_file_is_the_last_resort() {
    let home = Home::new();
    home.run(&["baseline", "save", "good", &incident("healthy")]).assert_code(0);
    let file = home.0.path().join("diagnose.toml");
    fs::write(&file, "baseline = \"good\"\n").unwrap();
    let kept = |incident_name: &str| {
        let path = incident(incident_name);
        let file = file.to_str().unwrap();
        let args = ["sweep", "--replay", &path, "--config", file, "--format", "json"];
        home.run(&args).json()["window"]["kept_baseline"]["name"].clone()
    };
    assert_eq!(kept("decode-slow"), serde_json::Value::Null, "it has a healthy time of its own");
    assert_eq!(kept("healthy-bursty"), "good");
}

#[test]
fn load_tests_are_kept_for_comparisons() {
    let home = Home::new();
    let path = home.0.path().join("load.json");
    fs::write(&path, serde_json::to_vec(&result(&Server::default(), 1)).unwrap()).unwrap();
    let slow = home.0.path().join("slow.json");
    let server = Server { gap: 0.05, ..Server::default() };
    fs::write(&slow, serde_json::to_vec(&result(&server, 1)).unwrap()).unwrap();
    home.run(&["baseline", "save", "tested", path.to_str().unwrap()]).assert_code(0);
    let found = home.run(&["compare", "tested", slow.to_str().unwrap()]);
    found.assert_code(1);
    found.assert_says("the same requests");
    let refused = home.run(&["sweep", "--replay", &incident("healthy"), "--baseline", "tested"]);
    refused.assert_code(2);
    refused.assert_says("no recording");
}

#[test]
fn proposed_thresholds_are_policy_that_can_be_pasted() {
    let home = Home::new();
    home.run(&["baseline", "save", "good", &incident("healthy")]).assert_code(0);
    let load = home.0.path().join("load.json");
    fs::write(&load, serde_json::to_vec(&result(&Server::default(), 1)).unwrap()).unwrap();
    let proposed = home.run(&["slo", "suggest", "good", load.to_str().unwrap()]);
    proposed.assert_code(0);
    let rows =
        home.run(&["slo", "suggest", "good", load.to_str().unwrap(), "--format", "json"]).json();
    let ttft =
        rows.as_array().unwrap().iter().find(|row| row["policy"] == "ttft_p95_seconds").unwrap();
    // The load test's 95th percentile is 0.1 s · exp(0.4 · 1.645) = 0.193 s.
    let (lo, hi) = (ttft["seen"][0].as_f64().unwrap(), ttft["seen"][1].as_f64().unwrap());
    assert!(lo < 0.1 && (0.193..0.25).contains(&hi), "{lo} {hi}");
    assert!(ttft["value"].as_f64().unwrap() >= hi * 1.5 && ttft["n"].as_f64().unwrap() > 1000.0);
    let dir = home.0.path().join("runbooks");
    fs::create_dir(&dir).unwrap();
    fs::write(dir.join("policy.yaml"), &proposed.stdout).unwrap();
    let dir = dir.to_str().unwrap();
    home.run(&["runbook", "lint", "--runbooks", dir]).assert_code(0);
    home.run(&["explain", "ttft_p95_seconds", "--runbooks", dir]).assert_code(0);
    let few = home.run(&["slo", "suggest", &incident("bad-requests")]);
    few.assert_says("are needed");
}
