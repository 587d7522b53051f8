//! What is generated is up to date, and what the build parsed is what the files say.
#![allow(missing_docs, clippy::unwrap_used)]

use std::{fs, path::Path};

use diagnose::{
    commands::{
        generate,
        run::{Asked, judge},
    },
    evidence::bundle::{Bundle, Limits},
    report::json,
    runbook::{Library, lint},
    sources,
};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// A run reads what the build parsed, all else the files as they are written.
#[test]
fn what_the_build_parsed_judges_as_the_files_do() {
    let written = Library::embedded().unwrap();
    let recording = root().join("fixtures/incidents/load-exceeds-capacity");
    let bundle = Bundle::load(&[recording], &Limits::default()).unwrap();
    let evidence = sources::read(&bundle);
    for id in written.runbooks.keys() {
        let compiled = Library::embedded_for(Some(id)).unwrap();
        let report = |library: &Library| {
            let runbook = library.runbooks.get(id);
            json::render(&judge(&Asked { runbook, ..Asked::sweep() }, library, &evidence))
        };
        assert_eq!(report(&compiled), report(&written), "{id}");
    }
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
