//! Walking a decision tree: the steps an engineer would take, with the answers.

use std::collections::BTreeSet;

use super::{
    Library, Next, Runbook,
    expr::{Answer, Names, Scope, Truth},
    rank::{Answers, NO_ANSWER},
    versions, xid,
};
use crate::signals::release::Releases;

/// One step taken.
#[derive(Debug, Clone, PartialEq)]
pub struct Walked<'a> {
    /// The step's name.
    pub step: &'a str,
    /// The check asked.
    pub check: &'a str,
    /// Its answer.
    pub answer: &'a Answer,
    /// Where the walk ended, at its last step.
    pub end: Option<End<'a>>,
}

/// Where a walk ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End<'a> {
    /// At a cause.
    Cause(&'a str),
    /// With a sentence.
    Done(&'a str),
}

/// Walks `runbook` by `answers`. A step is taken once at most, so a cyclic tree ends too.
pub fn walk<'a>(runbook: &'a Runbook, answers: &'a Answers) -> Vec<Walked<'a>> {
    let mut taken = BTreeSet::new();
    let mut path = Vec::new();
    let mut name = runbook.start.value.as_str();
    while taken.insert(name) {
        let Some((step_name, step)) = runbook.steps.get_key_value(name) else { break };
        let check = step.check.value.as_str();
        let answer = answers.get(check).unwrap_or(&NO_ANSWER);
        let next = match answer.truth {
            Truth::Yes => &step.then,
            Truth::No => &step.otherwise,
            Truth::Unknown(_) => &step.unknown,
        };
        path.push(Walked { step: step_name, check, answer, end: end(next) });
        match &next.goto {
            Some(goto) => name = goto.value.as_str(),
            None => break,
        }
    }
    path
}

/// Where a branch ends, unless it leads to another step.
pub fn end(next: &Next) -> Option<End<'_>> {
    let cause = next.cause.as_ref().map(|cause| End::Cause(cause.value.as_str()));
    cause.or(next.done.as_deref().map(End::Done))
}

/// What tables are matched with, beside the readings.
#[derive(Debug)]
pub struct Seen {
    /// The releases that a verdict compares.
    pub releases: Releases,
    /// The Xid errors of the kernel's log.
    pub xids: xid::Seen,
}

/// Answers every check of a library; those on the version table last, as they rest on the others.
pub fn answer_all(library: &Library, names: &dyn Names, seen: &Seen) -> Answers {
    let scope = Scope::default();
    let programs = library.programs.iter();
    let mut answers: Answers =
        programs.map(|(id, program)| (id.clone(), program.evaluate(&scope, names))).collect();
    let on_xids = library.checks.iter().filter(|(_, check)| !check.xid.is_empty());
    let told = on_xids.map(|(id, check)| (id.clone(), xid::answer(library, check, &seen.xids)));
    answers.extend(told);
    let on_versions = library.checks.iter().filter(|(_, check)| check.versions);
    if !library.versions.is_empty() {
        let answer = versions::answer(library, &answers, seen.releases);
        answers.extend(on_versions.map(|(id, _)| (id.clone(), answer.clone())));
    }
    answers
}
