//! The tests that runbooks carry: given readings, the expected path and causes.

use std::{collections::BTreeSet, fmt::Write};

use super::{
    Library, Runbook, Test,
    expr::Names,
    rank::{self, Gate, Outcome, Ranked},
    walk,
};
use crate::signals::{Estimate, Missing, MissingKind, Value, families::Version, release::Releases};

/// Runs one test. `None` when it passes, else what came out instead, a line each.
pub fn run(library: &Library, runbook: &Runbook, test: &Test) -> Option<String> {
    let release = |text: &Option<String>| Version::parse(text.as_deref()?);
    let releases = Releases { now: release(&test.version), before: release(&test.version_before) };
    let answers = walk::answer_all(library, &Given { test, library }, releases);
    let gate = runbook
        .gate
        .iter()
        .any(|check| answers.get(&check.value).is_some_and(|answer| answer.is_yes()));
    let gate = if gate { Gate::Open } else { Gate::Shut };
    let scope: BTreeSet<&str> = runbook.causes.iter().map(|cause| cause.value.as_str()).collect();
    let ranked = rank::rank(library, &answers, gate, &scope);
    let supported: Vec<&str> = ranked.iter().filter_map(supported).collect();

    let mut wrong = String::new();
    let taken: Vec<&str> = walk::walk(runbook, &answers).iter().map(|walked| walked.step).collect();
    if let Some(path) = &test.expect.path
        && *path != taken
    {
        expected(&mut wrong, "path", &path.join(" → "), &taken.join(" → "));
    }
    if let Some(cause) = &test.expect.cause
        && supported.first() != Some(&cause.as_str())
    {
        let found = if gate == Gate::Open {
            supported.join(", ")
        } else {
            "no cause: the gate is shut".into()
        };
        expected(&mut wrong, "first cause", cause, &found);
    }
    for cause in test.expect.not.iter().filter(|cause| supported.contains(&cause.as_str())) {
        expected(&mut wrong, "causes", &format!("no {cause}"), &supported.join(", "));
    }
    (!wrong.is_empty()).then_some(wrong)
}

fn supported<'a>(ranked: &Ranked<'a>) -> Option<&'a str> {
    (ranked.outcome == Outcome::Supported).then_some(ranked.cause.id.value.as_str())
}

fn expected(wrong: &mut String, what: &str, expected: &str, found: &str) {
    let found = if found.is_empty() { "none" } else { found };
    // Writing to a String cannot fail.
    let _ = writeln!(wrong, "{what}: expected {expected}, found {found}");
}

/// The numbers of a test, and the library's thresholds; all else is missing.
struct Given<'a> {
    test: &'a Test,
    library: &'a Library,
}

impl Names for Given<'_> {
    fn value(&self, name: &str) -> Value {
        let policy = name.strip_prefix("policy_").and_then(|name| self.library.policy.get(name));
        let given = self.test.given.get(name).copied().or(policy.map(|entry| entry.value));
        given.map(|value| Estimate::exact(value, None)).ok_or_else(|| Missing {
            kind: MissingKind::NoSamples,
            why: "the test does not give it".into(),
        })
    }

    fn long_run(&self, _name: &str) -> bool {
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runbook::SourceFile;

    const CHECKS: &str = "\
- {id: slow, question: Q?, when: x > policy_slo, group: latency, yes: Y, no: N}
- {id: busy, question: Q?, when: y > 1.0, group: arrivals, yes: Y, no: N}
";
    const CAUSES: &str = "\
- id: too-much
  family: load
  title: T
  claim: C.
  severity: warning
  replicas: {help: no, why: W}
  decisive: [{check: busy, weight: decisive}]
";
    const RUNBOOK: &str = "\
id: book
title: Book
symptoms: [Slow.]
gate: [slow]
start: one
steps:
  one: {check: busy, then: {cause: too-much}, else: {goto: two}, unknown: {done: Unknown.}}
  two: {check: slow, then: {done: S.}, else: {done: F.}, unknown: {done: U.}}
";

    #[track_caller]
    fn outcome(test: &str) -> Option<String> {
        let file = |path: &str, text: String| SourceFile::new(path, text, 0);
        let library = Library::from_files(vec![
            file("checks/a.yaml", CHECKS.into()),
            file("causes/a.yaml", CAUSES.into()),
            file("policy.yaml", "slo: {value: 2.0, about: Ours.}".into()),
            file("book.yaml", format!("{RUNBOOK}tests: [{test}]\n")),
        ])
        .unwrap();
        let runbook = &library.runbooks["book"];
        run(&library, runbook, &runbook.tests[0])
    }

    #[test]
    fn what_is_expected_passes() {
        let given = "name: t, given: {x: 3.0, y: 2.0}";
        assert_eq!(
            outcome(&format!("{{{given}, expect: {{path: [one], cause: too-much}}}}")),
            None
        );
        let calm =
            "{name: t, given: {x: 1.0, y: 0.0}, expect: {path: [one, two], not: [too-much]}}";
        assert_eq!(outcome(calm), None);
    }

    #[test]
    fn a_wrong_path_and_a_wrong_cause_are_told_with_what_was_found() {
        let test = "{name: t, given: {x: 3.0, y: 0.0}, expect: {path: [one], cause: too-much}}";
        let wrong = outcome(test).unwrap();
        assert!(wrong.contains("path: expected one, found one → two"), "{wrong}");
        assert!(wrong.contains("first cause: expected too-much, found none"), "{wrong}");
        let busy = "{name: t, given: {x: 3.0, y: 2.0}, expect: {not: [too-much]}}";
        assert!(outcome(busy).unwrap().contains("expected no too-much, found too-much"));
    }

    #[test]
    fn without_a_symptom_no_cause_is_found_and_the_shut_gate_is_told() {
        let test = "{name: t, given: {x: 1.0, y: 2.0}, expect: {cause: too-much}}";
        assert!(outcome(test).unwrap().contains("the gate is shut"));
    }

    #[test]
    fn every_test_of_the_embedded_runbooks_passes() {
        let library = Library::embedded().unwrap();
        for runbook in library.runbooks.values() {
            for test in &runbook.tests {
                let outcome = run(&library, runbook, test);
                assert_eq!(outcome, None, "{}: {}", runbook.id.value, test.name);
            }
        }
    }
}
