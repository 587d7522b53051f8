//! What is generated is up to date, and what is embedded is what lies in the folder.
#![allow(missing_docs, clippy::unwrap_used)]

use std::{collections::BTreeSet, fs, path::Path};

use diagnose::{
    commands::generate,
    runbook::{Library, lint, load::EMBEDDED},
};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

#[test]
fn the_embedded_list_equals_the_folder() {
    let mut found = BTreeSet::new();
    for folder in ["runbooks", "runbooks/checks", "runbooks/causes"] {
        for entry in fs::read_dir(root().join(folder)).unwrap() {
            let name = entry.unwrap().file_name().into_string().unwrap();
            // The sources compile the patterns of logs in themselves.
            if name.ends_with(".yaml") && name != "log-patterns.yaml" {
                found.insert(format!("{folder}/{name}"));
            }
        }
    }
    let embedded: BTreeSet<String> = EMBEDDED.iter().map(|(path, _)| (*path).into()).collect();
    assert_eq!(embedded, found, "src/runbook/load.rs, EMBEDDED");
    assert_eq!(EMBEDDED.len(), embedded.len(), "a file stands twice in EMBEDDED");
}

#[test]
fn generated_files_are_up_to_date() {
    let stale = generate::stale(root()).unwrap();
    let paths: Vec<_> = stale.keys().collect();
    assert!(stale.is_empty(), "run `cargo run -- generate --write`; stale: {paths:?}");
}

#[test]
fn the_embedded_runbooks_have_no_mistake() {
    let library = Library::embedded().unwrap();
    let problems: Vec<_> = lint::lint(&library).iter().map(|p| p.render(false)).collect();
    assert!(problems.is_empty(), "\n{}", problems.join("\n\n"));
}

#[test]
fn the_readme_names_only_paths_that_exist() {
    let readme = fs::read_to_string(root().join("README.md")).unwrap();
    for word in readme.split(|c: char| c.is_whitespace() || "`()[]".contains(c)) {
        let ours = ["fixtures/", "runbooks/", "docs/", "./scripts/"];
        let path = word.trim_end_matches(['.', ',', ':', ';']);
        if ours.iter().any(|folder| path.starts_with(folder)) && !path.contains(['<', '*']) {
            assert!(root().join(path).exists(), "README.md names {path}");
        }
    }
}
