//! What the project promises of itself: no unsafe code, known licences, files for their owner only.
#![allow(missing_docs, clippy::unwrap_used)]

#[path = "support/cli.rs"]
#[allow(dead_code)]
mod cli;
#[allow(dead_code)]
mod support;

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Command,
};

use cli::{incident, run};
use support::Server;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
        match entry.path().is_dir() {
            true => files(&entry.path(), found),
            false => found.push(entry.path()),
        }
    }
}

/// The whole package forbids it, and only the simulated driver, a package of its own that stands in
/// for a C library, may allow it.
#[test]
fn unsafe_code_is_forbidden_outside_of_the_simulated_driver() {
    let manifest: toml::Table =
        fs::read_to_string(Path::new(ROOT).join("Cargo.toml")).unwrap().parse().unwrap();
    assert_eq!(manifest["lints"]["rust"]["unsafe_code"].as_str(), Some("forbid"));
    let mut found = Vec::new();
    for folder in ["src", "tests", "benches", "fuzz/fuzz_targets"] {
        files(&Path::new(ROOT).join(folder), &mut found);
    }
    found.extend(["build.rs", "fuzz/bodies.rs"].map(|name| Path::new(ROOT).join(name)));
    let words =
        [["unsafe", " {"], ["unsafe", " fn"], ["unsafe", " impl"], ["allow(", "unsafe_code"]];
    let unsafe_in = |path: &PathBuf| {
        let text = fs::read_to_string(path).unwrap();
        words.iter().any(|word| text.contains(&word.concat()))
    };
    let rust = found.iter().filter(|path| path.extension().is_some_and(|it| it == "rs"));
    let users: Vec<_> = rust.filter(|path| unsafe_in(path)).collect();
    let own = |path: &&&PathBuf| path.to_string_lossy().contains("tests/support/nvml-sim/");
    assert!(users.iter().all(|path| own(&path)), "{users:?}");
    assert!(!users.is_empty(), "the test sees no unsafe code at all");
}

#[test]
fn the_licence_is_there_and_is_the_one_that_the_manifest_names() {
    let text = fs::read_to_string(Path::new(ROOT).join("LICENSE")).unwrap();
    assert!(text.contains("Apache License") && text.contains("Version 2.0, January 2004"));
    let manifest = fs::read_to_string(Path::new(ROOT).join("Cargo.toml")).unwrap();
    assert!(manifest.contains("license = \"Apache-2.0\""));
}

/// The page as `cargo tree` tells it now.
fn licences() -> String {
    let ran = Command::new(Path::new(ROOT).join("scripts/licences")).arg("--print").output();
    let ran = ran.unwrap();
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    String::from_utf8(ran.stdout).unwrap()
}

#[test]
fn the_page_of_licences_is_what_the_program_is_built_from() {
    let page = fs::read_to_string(Path::new(ROOT).join("docs/licences.md")).unwrap();
    assert!(page == licences(), "docs/licences.md is stale: run scripts/licences");
    assert!(page.contains("| `serde` |") && page.lines().count() > 100);
}

/// Whether a licence expression can be met with what is allowed: brackets first, then `AND`, `OR`.
fn is_allowed(expression: &str, allowed: &[&str]) -> bool {
    if let Some(open) = expression.rfind('(') {
        let close = open + expression[open..].find(')').unwrap();
        let inner = is_allowed(&expression[open + 1..close], allowed);
        let word = if inner { allowed[0] } else { "nothing" };
        let whole = format!("{}{word}{}", &expression[..open], &expression[close + 1..]);
        return is_allowed(&whole, allowed);
    }
    // Crates of old write `/` for `OR`.
    let either = expression.replace('/', " OR ");
    let each = |all: &str| all.split(" AND ").all(|it| allowed.contains(&it.trim()));
    either.split(" OR ").any(each)
}

#[test]
fn every_licence_is_one_that_the_audit_allows_and_none_is_allowed_for_nobody() {
    let deny: toml::Table =
        fs::read_to_string(Path::new(ROOT).join("deny.toml")).unwrap().parse().unwrap();
    let allowed = deny["licenses"]["allow"].as_array().unwrap();
    let allowed: Vec<&str> = allowed.iter().map(|it| it.as_str().unwrap()).collect();
    let page = licences();
    let rows = page.lines().filter_map(|line| line.strip_prefix("| `"));
    let rows: Vec<(&str, &str)> = rows
        .map(|row| (row.split('`').next().unwrap(), row.split('|').nth(2).unwrap().trim()))
        .collect();
    let bad: Vec<_> = rows.iter().filter(|(_, licence)| !is_allowed(licence, &allowed)).collect();
    assert!(bad.is_empty(), "{bad:?}");
    assert!(!is_allowed("(GPL-3.0 OR MIT) AND GPL-3.0", &allowed), "nothing is ever refused");
    let unused = |it: &&&str| !rows.iter().any(|(_, licence)| licence.contains(**it));
    let unused: Vec<_> = allowed.iter().filter(unused).collect();
    // Data of certificates for tests and other systems.
    assert_eq!(unused, ["CDLA-Permissive-2.0"].iter().collect::<Vec<_>>());
}

/// Whoever may read a file or look into a folder, beside its owner.
fn open_to_others(path: &Path) -> Vec<PathBuf> {
    let mut found = vec![path.to_owned()];
    if path.is_dir() {
        // What lies in a closed folder is closed.
        found = vec![path.to_owned()];
        files(path, &mut found);
    }
    let open = |path: &PathBuf| path.metadata().unwrap().permissions().mode() & 0o077 != 0;
    found.into_iter().filter(open).collect()
}

#[test]
fn what_a_command_writes_is_for_its_owner_only() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name).display().to_string();
    let server = Server::vllm(|stream| support::page("/metrics", stream));
    let (url, recording) = (server.url(), incident("kv-pressure"));
    let collect = ["collect", "--duration", "1ms", "--url", &url, "-o"];
    let sweep = ["sweep", "--replay", &recording, "--quiet"];
    let rules = |out: &str| {
        let words =
            ["alerts", "render", "--to", "prometheus", "--vllm-version", "0.23.0", "-o", out];
        words.map(str::to_owned).to_vec()
    };
    let words = |args: &[&str]| args.iter().map(|it| (*it).to_owned()).collect::<Vec<_>>();
    for (args, out) in [
        (words(&[&collect[..], &[&at("a.tar.zst")]].concat()), "a.tar.zst"),
        (words(&[&collect[..], &[&at("b")]].concat()), "b"),
        (words(&[&sweep[..], &["--bundle", &at("c.tar.zst")]].concat()), "c.tar.zst"),
        (words(&[&sweep[..], &["--bundle", &at("d")]].concat()), "d"),
        (words(&[&sweep[..], &["--output", &at("e.txt")]].concat()), "e.txt"),
        (words(&[&sweep[..], &["--format", "json", "--output", &at("f.json")]].concat()), "f.json"),
        (rules(&at("g.yaml")), "g.yaml"),
    ] {
        let ran = run(&args);
        assert!(Path::new(&at(out)).exists(), "{args:?}: {}", ran.said());
        assert_eq!(open_to_others(Path::new(&at(out))), Vec::<PathBuf>::new(), "{args:?}");
    }
}
