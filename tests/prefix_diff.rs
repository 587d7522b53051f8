//! `diagnose prefix-diff` as a shell sees it.
#![allow(missing_docs, clippy::unwrap_used)]

#[path = "support/cli.rs"]
#[allow(dead_code)]
mod cli;

use std::{fs, path::PathBuf, time::Duration};

use cli::{Ran, diagnose, finish, run};
use serde_json::json;

struct Files(tempfile::TempDir);

impl Files {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn put(&self, name: &str, bytes: impl AsRef<[u8]>) -> String {
        let path: PathBuf = self.0.path().join(name);
        fs::write(&path, bytes).unwrap();
        path.display().to_string()
    }
}

fn diff(args: &[&str]) -> Ran {
    run([&["prefix-diff"], args].concat())
}

fn body(time: &str, id: &str, question: &str) -> String {
    let rules = "You answer questions about books in whole sentences. ".repeat(40);
    let system = format!("You are the shop's assistant.\nTime: {time}\nRequest: {id}\n{rules}");
    json!({"model": "m", "messages": [
        {"role": "system", "content": system},
        {"role": "user", "content": [{"type": "text", "text": question}]},
    ]})
    .to_string()
}

fn pair(files: &Files) -> (String, String) {
    let old = body("2026-11-22T10:00:01Z", "db5b5fab8f4d3e27", "Who wrote it?");
    let new = body("2026-11-22T10:04:09Z", "a3ea284d3bd03346", "Who drew it?");
    (files.put("old.json", old), files.put("new.json", new))
}

fn many() -> String {
    let line =
        |i: u32| body(&format!("2026-11-22T10:{:02}:01Z", i % 60), &format!("{i:016x}"), "x");
    (0..200).map(|i| line(i * 7 + 4096) + "\n").collect()
}

fn fits(text: &str) {
    assert!(text.lines().count() <= 25, "{text}");
    assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
}

#[test]
fn a_timestamp_in_the_system_message_fits_one_screen() {
    let files = Files::new();
    let (old, new) = pair(&files);
    let ran = diff(&[&old, &new]);
    ran.assert_code(1);
    fits(&ran.stdout);
    assert!(!ran.said().contains("db5b5fab8f4d3e27"));
    insta::assert_snapshot!("pair", ran.stdout);
}

#[test]
fn many_requests_fit_one_screen() {
    let files = Files::new();
    let ran = diff(&[&files.put("many.jsonl", many())]);
    ran.assert_code(1);
    fits(&ran.stdout);
    insta::assert_snapshot!("many", ran.stdout);
}

#[test]
fn json_says_the_same_and_goes_to_a_file() {
    let files = Files::new();
    let (old, new) = pair(&files);
    let out = files.put("out.json", "");
    diff(&[&old, &new, "--format", "json", "-o", &out]).assert_code(1);
    let page: serde_json::Value = serde_json::from_slice(&fs::read(out).unwrap()).unwrap();
    assert_eq!(page["pair"]["kind"], "timestamp");
    assert_eq!(page["pair"]["part"], "messages[0] system");
    assert_eq!(page["pair"]["line"], 2);
    assert_eq!(page["scale"]["block_size"], 16);
}

#[test]
fn the_same_prompt_is_clean_and_stdin_is_a_file_too() {
    let files = Files::new();
    let old = files.put("old.txt", "You are helpful. ".repeat(30));
    diff(&[&old, &old]).assert_code(0);
    let stdin = fs::File::open(&old).unwrap();
    let ran = finish(diagnose().args(["prefix-diff", &old, "-"]).stdin(stdin));
    ran.assert_code(0);
    diff(&["-", "-"]).assert_code(2);
}

#[test]
fn what_cannot_be_said_exits_3_and_a_wrong_use_2() {
    let files = Files::new();
    let gateway =
        files.put("gateway.jsonl", "{\"t\": 1.5, \"status\": 200, \"input_tokens\": 7}\n");
    diff(&[&gateway]).assert_says("holds a prompt");
    for few in [gateway, files.put("one.txt", "one"), files.put("none", "")] {
        diff(&[&few]).assert_code(3);
    }
    diff(&["/no/such/file"]).assert_code(2);
    diff(&["x", "y", "--block-size", "0"]).assert_code(2);
    diff(&["x", "y", "--chars-per-token", "nan"]).assert_code(2);
}

#[test]
fn hostile_files_are_read_calmly_and_move_no_cursor() {
    let files = Files::new();
    let binary: Vec<u8> =
        (0..200_000u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    let long = vec![b'{'; 50 << 20];
    let escapes = "\u{1b}]0;x\u{7}\u{1b}[2J\u{202e} Time: 10:00:0";
    let hostile = [
        files.put("binary", &binary),
        files.put("long", long),
        files.put("deep", "[".repeat(100_000)),
        files.put("a", format!("{escapes}1{}", " word".repeat(90))),
        files.put("b", format!("{escapes}2{}", " word".repeat(90))),
    ];
    for old in &hostile {
        for new in [&hostile[0], &hostile[4]] {
            let ran = diff(&[old, new]);
            ran.assert_calm(Duration::from_secs(60));
            assert!(!ran.said().contains(['\u{1b}', '\u{202e}', '\u{7}']));
        }
    }
}
