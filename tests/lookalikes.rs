//! Incidents that look alike: of each two, one reading decides, and the deciding check is over it.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;

use diagnose::runbook::{Expect, Library, Runbook, Test, expr::signal_of, trial};
use serde::Deserialize;

/// Two causes that the same readings suggest, and the reading that tells which it is.
#[derive(Debug, Deserialize)]
struct Pair {
    /// The cause named first by the readings as given.
    first: String,
    /// The cause named first once the reading has flipped.
    flipped: String,
    /// The check that tells them apart.
    decided_by: String,
    /// Readings of both.
    given: BTreeMap<String, f64>,
    /// The reading that flips, with its other value.
    flip: (String, f64),
}

fn pairs() -> Vec<Pair> {
    serde_saphyr::from_str(include_str!("../fixtures/lookalikes.yaml")).unwrap()
}

/// A runbook as wide as a sweep: every symptom opens it, and all causes are ranked.
fn sweep(library: &Library) -> Runbook {
    let mut runbook = library.runbooks["high-ttft"].clone();
    let symptoms = library.checks.values().filter(|check| check.symptom.is_some());
    runbook.gate = symptoms.map(|check| check.id.clone()).collect();
    runbook.causes.clear();
    runbook
}

/// What is wrong with the causes of these readings, if anything.
fn judged(library: &Library, given: &BTreeMap<String, f64>, cause: &str) -> Option<String> {
    let expect = Expect { cause: Some(cause.into()), ..Expect::default() };
    let test = Test {
        name: String::new(),
        version: None,
        version_before: None,
        xids: Vec::new(),
        given: given.clone(),
        expect,
    };
    trial::run(library, &sweep(library), &test)
}

#[test]
fn one_reading_tells_lookalikes_apart() {
    let library = Library::embedded().unwrap();
    let mut wrong = String::new();
    for Pair { first, flipped, given, flip: (reading, value), .. } in pairs() {
        let mut after = given.clone();
        after.insert(reading.clone(), value);
        for (given, cause) in [(&given, &first), (&after, &flipped)] {
            let what = judged(&library, given, cause);
            let reads = given.get(&reading);
            wrong += &what.map_or(String::new(), |what| {
                format!("{first} or {flipped}, {reading} {reads:?}: {what}")
            });
        }
    }
    assert!(wrong.is_empty(), "\n{wrong}");
}

#[test]
fn the_deciding_check_is_over_the_reading_that_decides() {
    let library = Library::embedded().unwrap();
    for pair in pairs() {
        let program = &library.programs[&pair.decided_by];
        let signals: Vec<&str> = program.variables().iter().map(|v| signal_of(v)).collect();
        let reading = signal_of(&pair.flip.0);
        assert!(signals.contains(&reading), "{} does not read {reading}", pair.decided_by);
        let named = [&pair.first, &pair.flipped].into_iter().any(|id| {
            let by = library.causes[id].decided_by.as_ref();
            by.is_some_and(|check| check.value == pair.decided_by)
        });
        assert!(named, "{} does not decide {} or {}", pair.decided_by, pair.first, pair.flipped);
    }
}
