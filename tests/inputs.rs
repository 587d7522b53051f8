//! What somebody names on the command line need not be a file: pipes are read and not waited for
//! without end, and what never ends is refused.
#![allow(missing_docs, clippy::unwrap_used)]

#[allow(dead_code)]
#[path = "support/cli.rs"]
mod cli;

use std::{
    fs,
    io::Write as _,
    os::unix::net::UnixListener,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use cli::{Ran, diagnose, finish, incident, run, wait, words};
use diagnose::input::{LONGEST, SILENCE};
use nix::{sys::stat::Mode, unistd::mkfifo};

/// Beside a deadline, on a busy machine.
const SLACK: Duration = Duration::from_secs(15);

/// Command lines that read what `PATH` names.
const READERS: [&str; 13] = [
    "sweep --replay PATH",
    "sweep --replay RECORDING --config PATH",
    "sweep --replay RECORDING --kube PATH",
    "sweep --targets PATH",
    "sweep --url http://127.0.0.1:9 --ca PATH",
    "verify PATH --replay RECORDING",
    "compare PATH RECORDING",
    "alerts handle PATH",
    "alerts lint PATH",
    "collector emf --gateway PATH",
    "prefix-diff PATH PATH",
    "load baseline --model m --url http://127.0.0.1:9 --prompts PATH",
    "load baseline --model m --url http://127.0.0.1:9 --trace PATH",
];

fn read(line: &str, path: &Path) -> Ran {
    let word = |word: String| match word.as_str() {
        "PATH" => path.display().to_string(),
        "RECORDING" => incident("healthy"),
        _ => word,
    };
    run(words(line).into_iter().map(word))
}

fn fifo(folder: &Path) -> PathBuf {
    let path = folder.join("pipe");
    mkfifo(&path, Mode::S_IRWXU).unwrap();
    path
}

/// Runs each of them at the same time, as most of it is waiting.
fn each<'a>(lines: &'a [&'a str], check: impl Fn(&str) + Sync) {
    thread::scope(|scope| lines.iter().for_each(|line| drop(scope.spawn(|| check(line)))));
}

#[test]
fn what_never_ends_is_refused_by_each_command_that_reads_files() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("socket");
    let _bound = UnixListener::bind(&socket).unwrap();
    for path in [Path::new("/dev/zero"), &socket] {
        each(&READERS, |line| {
            let ran = read(line, path);
            assert_eq!(ran.code, 2, "{line} {}: {}", path.display(), ran.said());
            assert!(ran.said().contains("and no file"), "{line}: {}", ran.said());
            assert!(ran.took < SLACK, "{line}: {:?}", ran.took);
        });
    }
}

/// All but the command that follows what comes.
#[test]
fn a_pipe_that_nobody_writes_to_ends_each_command_at_its_deadline() {
    let lines: Vec<&str> =
        READERS.into_iter().filter(|line| !line.starts_with("collector")).collect();
    each(&lines, |line| {
        let folder = tempfile::tempdir().unwrap();
        let ran = read(line, &fifo(folder.path()));
        assert_eq!(ran.code, 2, "{line}: {}", ran.said());
        assert!(ran.said().contains("nothing came through the pipe"), "{line}: {}", ran.said());
        assert!(ran.took >= SILENCE && ran.took < SILENCE + SLACK, "{line}: {:?}", ran.took);
    });
}

/// A shell's `<(command)`, which is a pipe.
fn shell(line: &str) -> Ran {
    let program = env!("CARGO_BIN_EXE_diagnose");
    let settings = std::env::temp_dir().join("diagnose-no-settings");
    let mut bash = Command::new("bash");
    bash.env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap())
        .env("XDG_CONFIG_HOME", settings)
        .stdin(Stdio::null())
        .args(["-c", &line.replace("diagnose ", &format!("{program} "))]);
    finish(&mut bash)
}

#[test]
fn what_a_command_prints_is_read_in_the_place_of_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let recording = incident("kv-pressure");
    let page = folder.path().join("settings.toml");
    fs::write(&page, "min_coverage = 0.5\n").unwrap();
    let alone = run(["sweep", "--replay", &recording, "--format", "json"]);
    let piped = shell(&format!(
        "diagnose sweep --replay <(cat {recording}/capture.tar.zst) --config <(cat {}) \
         --log <(printf '2026-11-21T00:00:00Z INFO: a line\\n' | gzip) --format json",
        page.display()
    ));
    assert_eq!(piped.code, alone.code, "{}", piped.said());
    let first = |ran: &Ran| ran.json()["causes"][0]["id"].clone();
    assert_eq!(first(&piped), first(&alone));
    let of = |ran: &Ran, id: &str| {
        let all = ran.json()["sources"].as_array().unwrap().clone();
        all.into_iter().find(|it| it["id"] == id).map(|it| it["status"].clone())
    };
    assert_eq!(of(&piped, "log"), Some("ok".into()), "{}", piped.said());
    let prompts = shell("diagnose prefix-diff <(echo one two) <(echo one three)");
    assert!((0..=1).contains(&prompts.code), "{}", prompts.said());
}

#[test]
fn standard_input_is_read_to_its_end_however_late_that_is() {
    let recording = incident("healthy");
    let mut command = diagnose();
    command.args(["sweep", "--replay", &recording, "--log", "-", "--format", "json"]);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let silent = SILENCE + Duration::from_secs(2);
    let writer = thread::spawn(move || {
        thread::sleep(silent);
        stdin.write_all(b"INFO: a line\n").unwrap();
    });
    let start = Instant::now();
    let ran = wait(child);
    writer.join().unwrap();
    assert!(start.elapsed() >= silent, "{:?}", start.elapsed());
    let log = &ran.json()["sources"].as_array().unwrap().clone();
    let log = log.iter().find(|it| it["id"] == "log").unwrap();
    assert_eq!(log["status"], "ok", "{log}");
}

/// What came through a pipe before its writer fell silent is kept of a log, and the rest is missing.
#[test]
fn a_log_whose_writer_falls_silent_is_read_as_far_as_it_came() {
    let folder = tempfile::tempdir().unwrap();
    let path = fifo(folder.path());
    let to = path.clone();
    thread::spawn(move || {
        let mut pipe = fs::OpenOptions::new().write(true).open(to).unwrap();
        pipe.write_all(b"torch.OutOfMemoryError: CUDA out of memory.\n").unwrap();
        thread::sleep(LONGEST * 2);
    });
    let path = path.display().to_string();
    let ran = run(["sweep", "--replay", &incident("healthy"), "--log", &path, "--format", "json"]);
    assert!(ran.took < SILENCE + SLACK, "{:?}", ran.took);
    let all = ran.json()["sources"].as_array().unwrap().clone();
    let log = all.iter().find(|it| it["id"] == "log").unwrap();
    assert_eq!(log["status"], "partial", "{log}");
    assert!(log["detail"].as_str().unwrap().contains("the rest of"), "{log}");
}
