//! Imports point down only: data flows from sources to reports, and nothing looks back.
#![allow(missing_docs, clippy::unwrap_used)]

use std::{
    fs,
    path::{Path, PathBuf},
};

/// Each module with the modules that its code may name. Modules that are not listed are on top.
const ALLOWED: &[(&str, &[&str])] = &[
    ("hazard", &[]),
    ("input", &[]),
    ("unit", &[]),
    ("stats", &[]),
    ("evidence", &["input", "unit", "stats"]),
    ("sources", &["evidence", "input", "unit", "stats"]),
    ("signals", &["evidence", "unit", "stats"]),
    ("runbook", &["signals", "unit", "stats", "hazard", "input"]),
    ("report", &["runbook", "signals", "evidence", "unit", "stats", "hazard"]),
    ("monitor", &["load", "report", "runbook", "signals", "evidence", "unit", "stats"]),
    ("prefix", &["report", "unit", "stats"]),
    ("load", &["report", "runbook", "signals", "evidence", "unit", "stats"]),
    ("compare", &["load", "report", "runbook", "signals", "evidence", "unit", "stats"]),
    ("verify", &["report", "runbook", "signals", "evidence", "unit", "stats"]),
    ("eval", &["report", "runbook", "signals", "unit", "stats"]),
    ("exit", &["report", "runbook"]),
    ("cli", &["exit", "runbook"]),
    ("config", &["cli", "runbook", "input"]),
];

#[test]
fn imports_point_down_only() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = Vec::new();
    rust_files(&root.join("src"), &mut files);
    let mut wrong = Vec::new();
    for path in files {
        let inside = path.strip_prefix(root.join("src")).unwrap();
        let text = fs::read_to_string(&path).unwrap();
        for (line, message) in violations(inside, &text) {
            wrong.push(format!("src/{}:{line}: {message}", inside.display()));
        }
    }
    assert!(wrong.is_empty(), "\n{}\n", wrong.join("\n"));
}

/// Operations of AWS that change something begin so.
const CHANGING: [&str; 8] = [
    ".put_",
    ".delete_",
    ".tag_",
    ".untag_",
    ".create_",
    ".update_",
    ".disable_alarm",
    ".set_alarm_state",
];

#[test]
fn one_file_changes_an_account() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = Vec::new();
    rust_files(&root.join("src/sources/aws"), &mut files);
    let changing = files.iter().filter(|path| {
        let code = code_only(&fs::read_to_string(path).unwrap());
        CHANGING.iter().any(|call| code.contains(call))
    });
    let names: Vec<_> = changing.map(|path| path.file_name().unwrap().to_owned()).collect();
    assert_eq!(names, ["writing.rs"]);
}

#[test]
fn every_module_has_its_place() {
    let lib = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("src/lib.rs")).unwrap();
    let modules = lib.lines().filter_map(|line| line.strip_prefix("pub mod ")?.strip_suffix(';'));
    for module in modules.filter(|module| *module != "commands") {
        assert!(ALLOWED.iter().any(|(name, _)| *name == module), "`{module}` has no layer");
    }
}

#[test]
fn the_scanner_sees_every_way_to_name_a_module() {
    let runbook = Path::new("runbook/walk.rs");
    for bad in [
        "use crate::evidence::Evidence;",
        "use crate::{\n    signals::Readings,\n    evidence::{Span, View},\n};",
        "fn f(x: &crate::sources::Y) {}",
        "use super::super::commands::run;",
    ] {
        assert_eq!(violations(runbook, bad).len(), 1, "{bad}");
    }
    for good in [
        "use crate::{signals::{self, Readings}, unit::Unit};",
        "// crate::evidence is not seen here",
        "use super::{Library, report};",
        "#[cfg(test)]\nmod tests { use crate::evidence::Evidence; }",
    ] {
        assert_eq!(violations(runbook, good), [], "{good}");
    }
}

fn rust_files(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            rust_files(&path, files);
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            files.push(path);
        }
    }
    files.sort();
}

/// Lines of a file, relative to `src`, that name a module above it.
fn violations(path: &Path, text: &str) -> Vec<(usize, String)> {
    let modules = module_path(path);
    let Some(layer) = modules.first() else { return Vec::new() };
    let Some((_, allowed)) = ALLOWED.iter().find(|(name, _)| name == layer) else {
        return Vec::new();
    };
    if path.ends_with("tests.rs") {
        return Vec::new();
    }
    let code = code_only(text);
    let to_root = "super::".repeat(modules.len());
    let mut wrong = Vec::new();
    for prefix in ["crate::", to_root.as_str()] {
        for (at, _) in code.match_indices(prefix) {
            let line = code[..at].matches('\n').count() + 1;
            for name in first_names(&code[at + prefix.len()..]) {
                let known = ALLOWED.iter().any(|(other, _)| *other == name) || name == "commands";
                if known && name != *layer && !allowed.contains(&name.as_str()) {
                    wrong.push((line, format!("`{layer}` must not see `{name}`")));
                }
            }
        }
    }
    wrong
}

/// `runbook/lint/tree.rs` is the module `runbook::lint::tree`.
fn module_path(path: &Path) -> Vec<String> {
    let without_ending = path.with_extension("");
    let parts = without_ending.iter().map(|part| part.to_string_lossy().into_owned());
    parts.filter(|part| !matches!(part.as_str(), "mod" | "lib" | "main")).collect()
}

/// The text without comments and without the tests at its end, lines kept.
fn code_only(text: &str) -> String {
    let tests = text.find("#[cfg(test)]").unwrap_or(text.len());
    let lines = text[..tests].lines().map(|line| line.split("//").next().unwrap_or(line));
    lines.collect::<Vec<_>>().join("\n")
}

/// The first name of a path, or the first names in its braces.
fn first_names(rest: &str) -> Vec<String> {
    let Some(inside) = rest.strip_prefix('{') else {
        return rest.split(|c: char| !is_name(c)).take(1).map(Into::into).collect();
    };
    let (mut depth, mut names, mut name) = (0, Vec::new(), Some(String::new()));
    for c in inside.chars() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => names.extend(name.replace(String::new())),
            _ if depth == 0 && is_name(c) => {
                if let Some(name) = &mut name {
                    name.push(c);
                }
            }
            ':' if depth == 0 => names.extend(name.take()),
            _ => {}
        }
    }
    names.extend(name);
    names.retain(|name| !name.is_empty());
    names
}

fn is_name(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}
