//! Adapters from disk to the verdict, through the built program.
#![allow(missing_docs, dead_code, clippy::unwrap_used, clippy::expect_used)]

#[path = "support/cli.rs"]
mod cli;
#[path = "support/judge.rs"]
mod judging;
mod support;

use std::fs::{self, File};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use cli::{Ran, run};
use diagnose::evidence::bundle::{Bundle, Limits};
use judging::recordings;
use serde_json::{Value, json};
use support::{Server, page, respond};
use tempfile::tempdir;

fn adapter(dir: &Path, name: &str, rank: u32, bytes: u64) {
    let folder = dir.join(name);
    fs::create_dir_all(&folder).unwrap();
    let config = json!({"r": rank, "lora_alpha": 16, "target_modules": ["q_proj"], "token": "no"});
    fs::write(folder.join("adapter_config.json"), config.to_string()).unwrap();
    File::create(folder.join("adapter_model.safetensors")).unwrap().set_len(bytes).unwrap();
}

fn models(adapters: &[(&str, &str)]) -> String {
    let cards = adapters.iter().map(|(id, root)| json!({"id": id, "root": root, "parent": "m"}));
    let base = json!({"id": "m", "root": "m", "parent": null});
    let all: Vec<Value> = [base].into_iter().chain(cards).collect();
    json!({"data": all}).to_string()
}

/// A bundle collected from a server that lists `served`.
fn collected(served: String, flags: &[&str]) -> Bundle {
    let server = Server::start("127.0.0.1:0", move |request, stream| match request.path.as_str() {
        "/v1/models" => respond(stream, "200 OK", served.as_bytes()),
        path => page(path, stream),
    })
    .unwrap();
    let dir = tempdir().unwrap();
    let path = dir.path().join("bundle").display().to_string();
    let url = server.url();
    let args = ["collect", "--duration", "100ms", "--url", &url, "-o", &path];
    run([&args[..], flags].concat()).assert_calm(Duration::from_secs(20));
    Bundle::load(&[path.into()], &Limits::default()).unwrap()
}

#[test]
fn folders_given_or_told_by_a_local_server_are_recorded_with_rank_and_size() {
    let dir = tempdir().unwrap();
    let (given, told) = (dir.path().join("given"), dir.path().join("told"));
    adapter(&given, "billing_v2", 8, 1000);
    adapter(&told, "checkpoint", 64, 8000);
    fs::create_dir(given.join("no-adapter")).unwrap();
    let root = told.join("checkpoint").display().to_string();
    let served = models(&[("billing_v3", &root)]);
    let bundle = collected(served, &["--adapter-dir", &given.display().to_string()]);
    let folders = bundle.adapters.values().next().unwrap();
    let seen: Vec<_> = folders.iter().map(|it| (it.id(), it.rank(), it.weight_bytes)).collect();
    let expected = [("billing_v3", Some(64), Some(8000)), ("billing_v2", Some(8), Some(1000))];
    assert_eq!(seen, expected);
    assert!(!folders[0].config.contains_key("token"), "only what is needed is kept");
}

#[test]
fn hostile_folders_neither_block_nor_break_a_run() {
    let dir = tempdir().unwrap();
    let folder = |name: &str| {
        let path = dir.path().join(name);
        fs::create_dir(&path).unwrap();
        path.join("adapter_config.json")
    };
    File::create(folder("huge")).unwrap().set_len(2 << 30).unwrap();
    fs::write(folder("text"), "not JSON").unwrap();
    fs::write(folder("deep"), "[".repeat(100_000)).unwrap();
    let link = folder("loop");
    std::os::unix::fs::symlink(&link, &link).unwrap();
    assert!(Command::new("mkfifo").arg(folder("pipe")).status().unwrap().success());
    std::os::unix::fs::symlink(dir.path(), dir.path().join("itself")).unwrap();
    let bundle = collected(models(&[]), &["--adapter-dir", &dir.path().display().to_string()]);
    let folders = bundle.adapters.values().next().unwrap();
    assert_eq!(folders.len(), 5);
    for it in folders {
        assert!(it.error.is_some() && it.rank().is_none(), "{it:?}");
    }
}

/// An incident in which `new` replaced `old` at the onset, with both on disk.
fn replaced(old: (&str, u32), new: (&str, u32)) -> Ran {
    let mut recording =
        recordings().into_iter().find(|recording| recording.name == "decode-slow").unwrap();
    let onset = (recording.label.onset.unwrap() * 1e3) as u64;
    for (at, paths) in &mut recording.bundle.probes {
        let served = if *at < onset { old } else { new };
        paths.get_mut("/v1/models").unwrap().body = Some(models(&[(served.0, "x")]));
    }
    let dir = tempdir().unwrap();
    let disk = dir.path().join("disk");
    adapter(&disk, old.0, old.1, 1);
    adapter(&disk, new.0, new.1, 1);
    let scanned = collected(models(&[]), &["--adapter-dir", &disk.display().to_string()]);
    recording.bundle.adapters = scanned.adapters;
    let path = dir.path().join("b.tar.zst");
    recording.bundle.save(&path).unwrap();
    let path = path.display().to_string();
    run(["adapter-regression", "--format", "json", "--replay", &path])
}

fn row<'a>(report: &'a Value, list: &str, key: &str, id: &str) -> &'a Value {
    report[list].as_array().unwrap().iter().find(|row| row[key] == id).unwrap()
}

#[test]
fn a_larger_rank_that_came_with_a_version_is_the_cause() {
    let report = replaced(("billing_v2", 8), ("billing_v3", 64)).json();
    assert_eq!(row(&report, "readings", "signal", "adapter_rank_factor")["now"], 8.0);
    assert_eq!(row(&report, "causes", "id", "adapter-rank-grew")["status"], "supported");
    let loaded = row(&report, "timeline", "kind", "adapter_loaded");
    assert_eq!(loaded["text"], "adapter billing_v3 was loaded");
}

#[test]
fn a_rank_that_stayed_or_another_adapter_is_not() {
    for (new, rank, updates) in [("billing_v3", 8, 1.0), ("mail_v3", 64, 0.0)] {
        let report = replaced(("billing_v2", 8), (new, rank)).json();
        let changes = row(&report, "readings", "signal", "adapter_version_changes_count");
        assert_eq!(changes["now"], updates, "{new}");
        assert_eq!(row(&report, "causes", "id", "adapter-rank-grew")["status"], "refuted", "{new}");
    }
}

#[test]
fn a_folder_that_would_not_be_read_is_refused() {
    run(["sweep", "--replay", "x", "--adapter-dir", "y"]).assert_code(2);
}
