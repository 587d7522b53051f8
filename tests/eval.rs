//! The score on the recordings, as the command gives it.
#![allow(missing_docs, dead_code, clippy::unwrap_used)]

#[path = "support/cli.rs"]
mod cli;

use std::{fs, path::Path};

use cli::{incident, run};
use serde_json::Value;

fn incidents() -> String {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/incidents").display().to_string()
}

fn copy(name: &str, to: &Path, label: &str) {
    fs::create_dir_all(to).unwrap();
    let archive = Path::new(&incident(name)).join("capture.tar.zst");
    fs::copy(archive, to.join("capture.tar.zst")).unwrap();
    fs::write(to.join("label.json"), label).unwrap();
}

#[test]
fn every_recording_is_judged_rightly_and_the_naive_judges_are_not() {
    let ran = run(["eval", &incidents(), "--format", "json"]);
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""));
    let found: Value = serde_json::from_str(&ran.stdout).unwrap();
    let tool = &found["judges"][0];
    assert_eq!((&found["incidents"], &found["healthy"]), (&6.into(), &2.into()));
    assert_eq!((&tool["top1"]["hits"], &tool["top1"]["n"]), (&6.0.into(), &6.into()));
    assert_eq!(tool["top3"]["rate"], 1.0);
    assert_eq!(
        (&tool["false_alarms"]["hits"], &tool["false_alarms"]["n"]),
        (&0.0.into(), &2.into())
    );
    assert_eq!(tool["wrong_firm"]["hits"], 0.0);
    assert_eq!(tool["misses"], Value::Array(Vec::new()));
    assert_eq!((&tool["onset"]["found"], &tool["onset"]["known"]), (&6.into(), &6.into()));
    assert!(tool["onset"]["max_seconds"].as_f64().unwrap() <= 5.0, "{tool}");
    for naive in &found["judges"].as_array().unwrap()[1..] {
        assert!(naive["top1"]["hits"].as_f64().unwrap() < 6.0, "{naive}");
    }
    let again = run(["eval", &incidents(), "--format", "json"]);
    assert_eq!(again.stdout, ran.stdout, "the same recordings give the same bytes");
}

#[test]
fn the_published_table_is_what_the_command_prints() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/accuracy.md");
    let printed = run(["eval", &incidents()]).stdout;
    let published = fs::read_to_string(page).unwrap();
    let advice = "put this into docs/accuracy.md, under The recordings";
    assert!(published.contains(&format!("```\n{printed}```")), "{advice}:\n{printed}");
}

#[test]
fn recordings_are_found_two_folders_deep_each_once_and_written_to_a_file() {
    let dir = tempfile::tempdir().unwrap();
    copy("healthy", &dir.path().join("a/b"), r#"{"causes": [], "unheard-of": 1}"#);
    copy("healthy", &dir.path().join("a/b2/c"), r#"{"causes": []}"#);
    let (root, inner) =
        (dir.path().display().to_string(), dir.path().join("a").display().to_string());
    let file = dir.path().join("score.txt");
    let ran = run(["eval", &root, &inner, "--output", file.to_str().unwrap()]);
    assert_eq!((ran.code, ran.stdout.as_str()), (0, ""), "{}", ran.stderr);
    let text = fs::read_to_string(file).unwrap();
    assert!(text.starts_with("2 cases: 0 incidents, 2 healthy, 0 outside"), "{text}");
}

#[test]
fn misses_are_told_by_name_and_what_the_catalogue_lacks_lies_outside() {
    let dir = tempfile::tempdir().unwrap();
    copy("healthy", &dir.path().join("quiet"), r#"{"causes": ["a-cause-nobody-wrote"]}"#);
    copy("healthy", &dir.path().join("mute"), r#"{"causes": ["load-exceeds-capacity"]}"#);
    copy("prefix-broken", &dir.path().join("strange"), r#"{"outside": true}"#);
    copy("prefix-broken", &dir.path().join("calm"), "{}");
    let ran = run(["eval", dir.path().to_str().unwrap()]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    assert!(ran.stdout.starts_with("4 cases: 1 incidents, 1 healthy, 2 outside"), "{}", ran.stdout);
    for line in ["mute: no cause", "strange: names a cause it cannot know", "calm: false alarm"] {
        assert!(ran.stdout.contains(line), "{line}\n{}", ran.stdout);
    }
    assert!(!ran.stdout.contains("quiet:"), "{}", ran.stdout);
}

#[test]
fn nothing_labelled_is_inconclusive_and_mistakes_are_usage_errors() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().to_str().unwrap().to_owned();
    let ran = run(["eval", &root]);
    assert_eq!((ran.code, ran.stdout.as_str()), (3, ""), "{}", ran.stderr);
    copy("healthy", &dir.path().join("broken"), "{");
    for args in [
        vec!["eval"],
        vec!["eval", "/no/such/folder"],
        vec!["eval", &root],
        vec!["eval", &root, "--format", "html"],
    ] {
        let ran = run(&args);
        assert_eq!((ran.code, ran.stdout.as_str()), (2, ""), "{args:?} {}", ran.stderr);
    }
    assert!(run(["eval", &root]).stderr.contains("broken/label.json"));
}
