//! What is rendered is loaded by Prometheus' own checker, for many releases and pages.

use std::{fs, path::Path, process::Command};

use crate::{
    cli::{finish, run},
    tools::tool,
};

/// Runs promtool on a file of this text and gives what it said; it must succeed.
#[track_caller]
pub fn promtool(args: &[&str], name: &str, text: &str, beside: &[(&str, &str)]) -> String {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in beside.iter().chain([&(name, text)]) {
        fs::write(folder.path().join(name), text).unwrap();
    }
    let mut command = Command::new(tool("promtool"));
    let ran = finish(command.args(args).arg(name).current_dir(folder.path()));
    assert_eq!(ran.code, 0, "{}", ran.said());
    ran.said()
}

/// The rules for some target.
#[track_caller]
pub fn rendered(target: &[&str]) -> String {
    let args = ["alerts", "render", "--to", "prometheus", "--quiet"];
    let ran = run(args.iter().chain(target));
    ran.assert_code(0);
    ran.stdout
}

#[track_caller]
fn assert_sound(target: &[&str], least: usize) -> String {
    let rules = rendered(target);
    let written = rules.matches("- alert: ").count();
    let said = promtool(&["check", "rules"], "rules.yaml", &rules, &[]);
    assert!(said.contains(&format!("{written} rules found")), "{said}");
    assert!(written >= least, "{target:?}: only {written} rules\n{rules}");
    rules
}

#[test]
fn rules_for_every_release_are_sound() {
    for (version, least) in
        [("0.6.6", 12), ("0.8.5", 24), ("0.10.2", 24), ("0.23.0", 24), ("0.33.0", 24)]
    {
        assert_sound(&["--vllm-version", version], least);
        assert_sound(
            &["--vllm-version", version, "--selector", "job=\"vllm\",env=~\"a|b\""],
            least,
        );
    }
}

#[test]
fn rules_for_every_recorded_page_ask_only_for_what_is_on_it() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/exposition");
    let mut seen = 0;
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|ending| ending != "prom") {
            continue;
        }
        let rules = assert_sound(&["--replay", path.to_str().unwrap()], 10);
        let page = fs::read_to_string(&path).unwrap();
        for name in names(&rules) {
            let there = page.lines().any(|line| line.starts_with(&name));
            assert!(there, "{}: {name} is not exported", path.display());
        }
        seen += 1;
    }
    assert!(seen >= 9, "only {seen} pages");
}

/// Names of vLLM's and the server's metrics in the expressions.
fn names(rules: &str) -> Vec<String> {
    let code = rules.lines().filter(|line| !line.trim_start().starts_with(['#', '-']));
    let words =
        code.flat_map(|line| line.split(|c: char| !(c.is_alphanumeric() || "_:".contains(c))));
    let ours = ["vllm:", "ray_vllm_", "http_requests"];
    let mut names: Vec<String> = words
        .filter(|word| ours.iter().any(|start| word.starts_with(start)))
        .map(Into::into)
        .collect();
    names.sort();
    names.dedup();
    assert!(names.len() >= 5, "{names:?}");
    names
}

/// The bounds that a release has by its source are those of its page.
#[test]
fn a_release_and_its_page_give_the_same_rules() {
    for version in ["0.6.6", "0.8.5", "0.10.2", "0.23.0", "0.33.0"] {
        let page =
            format!("{}/fixtures/exposition/vllm-{version}.prom", env!("CARGO_MANIFEST_DIR"));
        let without_reasons = |text: String| -> Vec<String> {
            let lines = text.lines().filter(|line| !line.trim_start().starts_with('#'));
            lines.map(Into::into).collect()
        };
        let of_page = without_reasons(rendered(&["--replay", &page]));
        let of_release = without_reasons(rendered(&["--vllm-version", version]));
        let missing: Vec<_> = of_page.iter().filter(|line| !of_release.contains(line)).collect();
        assert!(missing.is_empty(), "{version}: {missing:#?}");
    }
}
