//! The program as a shell sees it: exit codes, what goes to stdout and what to stderr.
#![allow(missing_docs, clippy::unwrap_used)]

use std::{
    fs,
    io::Write,
    path::Path,
    process::{Command, Output, Stdio},
};

fn diagnose() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_diagnose"));
    let nowhere = std::env::temp_dir().join("diagnose-no-settings");
    command.env_clear().env("XDG_CONFIG_HOME", nowhere).stdin(Stdio::null());
    command
}

fn run(args: &[&str]) -> (i32, String, String) {
    told(diagnose().args(args).output().unwrap())
}

fn told(output: Output) -> (i32, String, String) {
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap_or(-1), text(output.stdout), text(output.stderr))
}

fn write(dir: &Path, path: &str, text: &str) {
    let path = dir.join(path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

#[test]
fn help_is_a_result_and_names_runbooks_and_exit_codes() {
    let (code, stdout, stderr) = run(&["--help"]);
    assert_eq!((code, stderr.as_str()), (0, ""));
    for part in ["high-ttft", "sweep", "Exit codes:", "130"] {
        assert!(stdout.contains(part), "{part}\n{stdout}");
    }
}

#[test]
fn usage_errors_exit_2_and_leave_stdout_empty() {
    for args in [
        &["sweep", "--no-such-flag"][..],
        &["high-tfft"],
        &["sweep", "--window", "15"],
        &["sweep", "--replay", "x", "--url", "http://y"],
        &["sweep", "--replay", "/no/such/recording"],
        &["sweep", "--config", "/no/such/diagnose.toml"],
        &["explain", "no-such-thing"],
        &["runbook", "show", "no-such-thing"],
        &[],
    ] {
        let (code, stdout, stderr) = run(args);
        assert_eq!((code, stdout.as_str()), (2, ""), "{args:?}\n{stderr}");
        assert!(!stderr.is_empty() && !stderr.contains("panicked"), "{args:?}\n{stderr}");
    }
}

#[test]
fn the_name_alone_says_what_to_type_next_in_ten_lines_and_is_no_verdict() {
    let dir = tempfile::tempdir().unwrap();
    let alone = || diagnose().current_dir(dir.path()).output().unwrap();
    let (code, stdout, stderr) = told(alone());
    assert_eq!((code, stdout.as_str()), (2, ""), "an empty variable must not pass a gate");
    assert!(stderr.lines().count() <= 10, "{stderr}");
    assert!(stderr.lines().all(|line| line.chars().count() <= 80), "{stderr}");
    assert!(stderr.contains("diagnose sweep --url http"), "{stderr}");
    assert!(!stderr.contains("error:") && !stderr.contains("…"), "{stderr}");
    write(dir.path(), "diagnose.toml", "url = 'http://10.1.2.3:8000'\n");
    assert!(told(alone()).2.contains("diagnose sweep   "), "the server is known");
    write(dir.path(), "diagnose.toml", "broken");
    assert_eq!(told(alone()).2, stderr, "broken settings do not hide what to type");
}

#[test]
fn explain_without_an_id_lists_kinds_and_a_kind_lists_ids() {
    let (code, kinds, _) = run(&["explain"]);
    assert_eq!(code, 0);
    assert!(kinds.contains("alerts") && kinds.contains("runbooks"), "{kinds}");
    let (code, alerts, _) = run(&["explain", "alerts"]);
    assert!(code == 0 && alerts.contains("queue-overflow"), "{alerts}");
}

#[test]
fn a_typo_is_answered_with_the_name_meant() {
    assert!(run(&["high-tfft"]).2.contains("did you mean `high-ttft`?"));
    assert!(run(&["explain", "high-tfft"]).2.contains("did you mean `high-ttft`?"));
}

#[test]
fn a_mistake_in_the_settings_file_is_shown_with_its_line() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), "diagnose.toml", "url = 'http://x'\ntimout = '5s'\n");
    let (code, _, stderr) =
        told(diagnose().current_dir(dir.path()).args(["config", "check"]).output().unwrap());
    assert_eq!(code, 2, "{stderr}");
    assert!(stderr.contains("line 2") && stderr.contains("timout"), "{stderr}");
}

#[test]
fn keys_of_the_environment_are_used_and_never_shown() {
    let check = ["config", "check", "--offline"];
    let (code, stdout, _) =
        told(diagnose().env("VLLM_API_KEY", "hunter2").args(check).output().unwrap());
    assert_eq!(code, 0);
    assert!(stdout.contains("set (hidden)") && !stdout.contains("hunter2"), "{stdout}");
}

#[test]
fn a_reader_that_went_away_is_no_error() {
    let mut child =
        diagnose().arg("man").stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let (code, _, stderr) = told(child.wait_with_output().unwrap());
    assert_eq!((code, stderr.as_str()), (0, ""));
}

#[test]
fn a_cyclic_runbook_is_printed_by_lint_and_refused_by_the_judge() {
    let dir = tempfile::tempdir().unwrap();
    let next = "{goto: a}";
    let book = format!(
        "id: round\ntitle: Round\nsymptoms: [Slow.]\ngate: [c]\nstart: a\nsteps:\n  a:\n    \
         check: c\n    then: {next}\n    else: {next}\n    unknown: {next}\n"
    );
    write(dir.path(), "round.yaml", &book);
    let folder = dir.path().to_str().unwrap();
    let (code, stdout, _) = run(&["runbook", "lint", "--runbooks", folder]);
    assert_eq!(code, 1, "{stdout}");
    assert!(stdout.contains("`a` → `a`") && stdout.contains("round.yaml:8:12"), "{stdout}");
    let (code, stdout, stderr) = run(&["round", "--runbooks", folder, "--replay", folder]);
    assert_eq!((code, stdout.as_str()), (2, ""), "{stderr}");
    assert!(stderr.contains("`a` → `a`"), "{stderr}");
}

#[test]
fn a_yaml_mistake_is_shown_under_its_line() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), "causes/x.yaml", "- id: x\n  famly: load\n");
    let folder = dir.path().to_str().unwrap();
    let (code, stdout, _) = run(&["runbook", "lint", "--runbooks", folder]);
    assert_eq!(code, 1);
    assert!(stdout.contains("x.yaml:2:3"), "{stdout}");
    assert!(stdout.contains("did you mean `family`?"), "{stdout}");
}

#[test]
fn collect_never_overwrites_evidence() {
    let mut taken = tempfile::NamedTempFile::with_suffix(".tar.zst").unwrap();
    taken.write_all(b"evidence").unwrap();
    let path = taken.path().to_str().unwrap();
    let (code, _, stderr) = run(&["collect", "--url", "http://127.0.0.1:9", "-o", path]);
    assert_eq!(code, 2);
    assert!(stderr.contains("never overwritten"), "{stderr}");
    assert_eq!(fs::read(taken.path()).unwrap(), b"evidence");
}

#[test]
fn a_server_that_is_not_there_is_never_a_good_recording() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("bundle");
    let path = path.to_str().unwrap();
    let (code, _, stderr) =
        run(&["collect", "--url", "http://127.0.0.1:9", "--duration", "1s", "-o", path]);
    assert_eq!(code, 3, "{stderr}");
}

/// A server that takes connections and never answers; the signal must not wait for its deadline.
#[cfg(unix)]
#[test]
fn signals_end_sampling_early_and_keep_what_was_seen() {
    for (signal, expected) in [("INT", 130), ("TERM", 143)] {
        let server = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", server.local_addr().unwrap());
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("bundle");
        let child = diagnose()
            .args(["collect", "--duration", "60s", "--timeout", "60s", "--url", &url, "-o"])
            .arg(&path)
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        server.accept().unwrap();
        let kill = format!("kill -{signal} {}", child.id());
        assert!(Command::new("sh").args(["-c", &kill]).status().unwrap().success());
        let (code, _, stderr) = told(child.wait_with_output().unwrap());
        assert_eq!(code, expected, "{stderr}");
        assert!(stderr.contains("interrupted"), "{stderr}");
        assert!(path.join("meta.json").exists(), "{stderr}");
    }
}

#[test]
fn generated_text_is_printed_for_every_use() {
    for args in [
        &["completions", "bash"][..],
        &["completions", "fish"],
        &["man"],
        &["schema", "report"],
        &["schema", "checks"],
        &["runbook", "list"],
        &["runbook", "show", "high-ttft"],
        &["explain", "exit-code"],
        &["explain", "3"],
        &["explain", "cache-validation"],
        &["explain", "ttft_p50"],
    ] {
        let (code, stdout, stderr) = run(args);
        assert_eq!((code, stderr.as_str()), (0, ""), "{args:?}");
        assert!(!stdout.is_empty(), "{args:?}");
    }
}

const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/exposition/vllm-0.23.0.prom");

#[test]
fn the_same_evidence_gives_the_same_bytes_on_stdout_and_in_a_file() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("report.json");
    let args = ["sweep", "--replay", PAGE, "--format", "json"];
    let (code, first, stderr) = run(&args);
    assert_eq!((code, &first, stderr.as_str()), (run(&args).0, &run(&args).1, ""));
    let (code_of_file, stdout, _) =
        told(diagnose().args(args).arg("--output").arg(&file).output().unwrap());
    assert_eq!((code_of_file, stdout.as_str()), (code, ""));
    assert_eq!(fs::read_to_string(&file).unwrap(), first);
}

#[test]
fn without_its_needed_source_a_run_is_inconclusive_and_says_what_was_left_out() {
    let (code, stdout, _) = run(&["sweep", "--replay", PAGE, "--skip", "metrics"]);
    assert_eq!(code, 3, "{stdout}");
    assert!(stdout.contains("left out by --only"), "{stdout}");
    assert!(!stdout.to_lowercase().contains("healthy"), "{stdout}");
}

#[test]
fn insecure_is_loud() {
    let args = ["sweep", "--url", "http://127.0.0.1:9", "--insecure", "--window", "1s", "-q"];
    let (code, _, stderr) = run(&args);
    assert!(stderr.contains("NOT verified"), "{stderr}");
    assert_ne!(code, 0);
}

#[test]
fn a_command_shows_and_takes_only_flags_that_it_uses() {
    let judging_by_rules = [
        &["slo"][..],
        &["alerts", "check"],
        &["alerts", "backtest"],
        &["alerts", "render", "--to", "prometheus"],
        &["dashboard", "render", "--to", "grafana"],
    ];
    for command in judging_by_rules {
        let (code, help, _) = run(&[command, &["--help"]].concat());
        assert!(code == 0 && help.contains("--replay") && !help.contains("--baseline"), "{help}");
        let (code, _, stderr) = run(&[command, &["--replay", "x", "--baseline", "good"]].concat());
        assert!(code == 2 && stderr.contains("--baseline"), "{command:?}: {stderr}");
        assert!(!help.contains("--probe"), "{help}");
        for useless in [&["--probe"][..], &["--replay", "x", "--window", "1m"]] {
            let (code, _, stderr) = run(&[command, useless].concat());
            assert!(code == 2 && stderr.contains("does nothing here"), "{command:?}: {stderr}");
        }
    }
    let (_, help, _) = run(&["verify", "--help"]);
    assert!(help.contains("--baseline <NAME>"), "its report has a healthy time: {help}");
    let (_, help, _) = run(&["load", "--help"]);
    assert!(!help.contains("--probe"), "{help}");
    let (_, help, _) = run(&["sweep", "--help"]);
    assert!(help.contains("--baseline <DURATION|NAME>") && help.contains("--probe"), "{help}");
}
