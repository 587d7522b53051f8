//! Logs and secrets from disk to the verdict, through the built program.
#![allow(missing_docs, dead_code, clippy::unwrap_used, clippy::expect_used)]

#[path = "support/cli.rs"]
mod cli;
#[path = "support/sim/mod.rs"]
mod sim;
mod support;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use cli::run;
use diagnose::{evidence::bundle::shown, sources::logs};
use jiff::Timestamp;
use serde_json::{Value, json};
use sim::{Case, Kind, case};
use support::{Server, page, respond};
use tempfile::tempdir;

fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs_f64()
}

/// A dated line as vLLM writes it now.
fn dated(level: &str, text: &str) -> String {
    let stamp = Timestamp::from_second(now() as i64).unwrap().strftime("%m-%d %H:%M:%S");
    format!("(EngineCore pid=7) {level} {stamp} [core.py:1] {text}\n")
}

/// One secret of each kind, in a place of its own, and the part that must be seen nowhere.
const SECRETS: [(&str, &str); 9] = [
    ("non-default args: {'api_key': ['keyOfTheServer']}", "keyOfTheServer"),
    ("Authorization: Bearer bearerOfCaller123", "bearerOfCaller123"),
    ("token hf_abcdefghijABCDEFGHIJ0123456789", "abcdefghijABCDEFGHIJ"),
    ("AWS AKIAIOSFODNN7EXAMPLE", "IOSFODNN7"),
    ("AWS_SECRET_ACCESS_KEY=wJalrXUtnFEMI/K7MDENG", "wJalrXUtnFEMI"),
    ("redis://cache:passwordOfCache@10.1.2.3:6379/0", "passwordOfCache"),
    ("sk-proj-abcdefghijklmnop1234", "abcdefghijklmnop1234"),
    ("user jane.doe@corp.example.com", "jane.doe"),
    ("Received request c-1: prompt: 'whatTheUserWrote', params: S(n=1)", "whatTheUserWrote"),
];

fn all() -> String {
    SECRETS.map(|(text, _)| text).join(" ; ")
}

/// A server that tells secrets wherever it can.
fn talkative() -> Server {
    Server::start("127.0.0.1:0", |request, stream| match request.path.as_str() {
        "/metrics" => {
            let said = all().replace('"', "");
            let body = format!("{}# HELP x {said}\nx{{said=\"{said}\"}} 1\n", support::PAGE);
            respond(stream, "200 OK", body.as_bytes());
        }
        "/version" => {
            let body = json!({"version": "0.23.0", "said": all()}).to_string();
            respond(stream, "200 OK", body.as_bytes());
        }
        path => page(path, stream),
    })
    .unwrap()
}

fn pods() -> Value {
    let terminated = json!({"reason": "OOMKilled", "exitCode": 137, "message": all(),
        "finishedAt": Timestamp::from_second(now() as i64).unwrap().to_string()});
    json!({"kind": "List", "items": [{"kind": "Pod", "metadata": {"name": "vllm-0"},
        "spec": {"containers": [{"args": ["--api-key", "keyOfTheServer"],
            "env": [{"name": "HF_TOKEN", "value": "keyOfTheServer"}]}]},
        "status": {"containerStatuses": [{"restartCount": 2, "state": {},
            "lastState": {"terminated": terminated}}]}}]})
}

fn files(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { found.extend(files(&path)) } else { found.push(path) }
    }
    found
}

#[track_caller]
fn no_secret(what: &str, text: &str) {
    for (_, secret) in SECRETS {
        assert!(!text.contains(secret), "{secret} stands in {what}:\n{text}");
    }
}

#[test]
fn no_secret_of_any_source_reaches_a_bundle_or_a_report() {
    let server = talkative();
    let dir = tempdir().unwrap();
    let place = |name: &str| dir.path().join(name).display().to_string();
    let fault = dated("ERROR", &format!("CUDA error: an illegal memory access ; {}", all()));
    fs::write(place("server.log"), fault + &dated("INFO", &all())).unwrap();
    fs::write(place("pods.json"), pods().to_string()).unwrap();
    let adapter = dir.path().join("adapters/a");
    fs::create_dir_all(&adapter).unwrap();
    let config = json!({"r": 8, "base_model_name_or_path": all()});
    fs::write(adapter.join("adapter_config.json"), config.to_string()).unwrap();
    let (log, kube, adapters) = (place("server.log"), place("pods.json"), place("adapters"));
    let url = server.url();
    let sources = ["--url", &url, "--log", &log, "--kube", &kube, "--adapter-dir", &adapters];
    let bundle = place("bundle");
    let collect = ["collect", "--duration", "100ms", "-o", &bundle];
    let ran = run([&collect[..], &sources].concat());
    no_secret("what collect says", &ran.said());
    let written = files(Path::new(&bundle));
    for part in ["kube/", "adapters/", "scrapes/", "probes/", "server.log"] {
        assert!(written.iter().any(|it| it.display().to_string().contains(part)), "{part}");
    }
    for path in &written {
        let text = String::from_utf8_lossy(&fs::read(path).unwrap()).into_owned();
        no_secret(&path.display().to_string(), &text);
    }
    let kept = fs::read_to_string(Path::new(&bundle).join("server.log")).unwrap();
    assert!(kept.contains("CUDA error") && kept.contains("<secret:") && kept.contains("<mail:"));
    for format in ["terminal", "markdown", "json"] {
        let live = ["sweep", "--window", "100ms", "--format", format];
        no_secret("a live report", &run([&live[..], &sources].concat()).said());
        let replay = ["sweep", "-v", "--replay", &bundle];
        no_secret("a replay", &run(replay).said());
    }
    let replay = ["sweep", "--format", "json", "--replay", &bundle];
    let (one, two) = (run(replay), run(replay));
    assert_eq!(one.stdout, two.stdout, "a replay gives the same bytes");
    let timeline = one.json()["timeline"].to_string();
    assert!(timeline.contains("CUDA error") && timeline.contains("OOMKilled"), "{timeline}");
}

#[test]
fn a_log_beside_saved_pages_names_the_cause() {
    let mut recorded: Case = case(Kind::CudaFault, 7);
    let log = recorded.bundle.log.take().unwrap();
    let dir = tempdir().unwrap();
    let place = |name: &str| dir.path().join(name).display().to_string();
    recorded.bundle.save(Path::new(&place("bundle"))).unwrap();
    fs::write(place("vllm.log"), log).unwrap();
    let ended = UNIX_EPOCH + Duration::from_secs_f64(recorded.bundle.meta.ended.unwrap());
    fs::File::options().write(true).open(place("vllm.log")).unwrap().set_modified(ended).unwrap();
    let first = |flags: &[&str]| {
        let bundle = place("bundle");
        let args = ["sweep", "--format", "json", "--replay", &bundle];
        let report = run([&args[..], flags].concat()).json();
        report["causes"][0]["id"].as_str().map(str::to_owned)
    };
    assert_eq!(first(&["--log", &place("vllm.log")]).as_deref(), Some("cuda-fault"));
    assert_eq!(first(&[]).as_deref(), Some("engine-dead"));
}

#[test]
fn what_cannot_be_read_is_told() {
    let server = Server::vllm(|stream| respond(stream, "200 OK", support::PAGE.as_bytes()));
    let url = server.url();
    let args = ["sweep", "--window", "100ms", "--url", &url];
    let ran = run([&args[..], &["--log", "/nowhere/x.log", "--format", "json"]].concat());
    let report = ran.json();
    let sources = report["sources"].as_array().unwrap();
    let log = sources.iter().find(|source| source["id"] == "log").unwrap();
    assert_eq!(log["status"], "unreachable", "{log}");
    let ran = run([&args[..], &["--kube", "/dev/null"]].concat());
    ran.assert_code(2);
    ran.assert_says("kubectl get pods,events -o json");
    run([&args[..], &["--kube", "-", "--log", "-"]].concat()).assert_code(2);
}

/// Replays every file of the fuzzer's seed corpus, so that a stable toolchain runs them too.
#[test]
fn the_fuzzing_corpus_is_read_without_panic() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let seeds = files(&root.join("fuzz/corpus/log"));
    assert!(seeds.len() >= 12);
    for seed in seeds {
        let log = fs::read(&seed).unwrap();
        for end in 0..=log.len() {
            check_any_log(&log[..end]);
        }
    }
}

/// What holds for every log, however broken.
fn check_any_log(log: &[u8]) {
    let lines = log.split(|&byte| byte == b'\n').count();
    let read = logs::read(log, 1_795_305_520.0);
    assert!(read.access.len() + read.log.matches.len() <= lines);
    assert!(read.log.matches.iter().all(|seen| seen.text.chars().count() <= 240));
    assert!(read.log.stats.iter().all(|line| line.at.is_finite()));
    shown(&String::from_utf8_lossy(log));
}
