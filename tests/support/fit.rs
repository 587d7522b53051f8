//! Fits the two numbers of the ranking that are fitted: the temperature and the score of "outside
//! the catalogue". All else that judges is words in YAML.

use std::collections::BTreeSet;

use diagnose::{
    eval::Label,
    runbook::{
        Library, TrackRecord, Weight,
        rank::{Answers, Gate, Outcome, rank},
    },
};

/// A case as the ranking sees it, with its truth.
pub struct Sample {
    pub label: Label,
    pub answers: Answers,
    pub gate: Gate,
}

/// No probability counts as surer than this: one surprise must not outweigh everything.
const SUREST: f64 = 0.995;

/// The numbers on a grid under which what came true was likeliest. "Outside" never weighs less than a
/// weak check, so that a weak check alone names nothing, however kind the corpus is.
pub fn fit(samples: &[Sample], library: &Library) -> (f64, f64) {
    let grid = |from: f64, step: f64, n: u32| (0..n).map(move |i| from + step * f64::from(i));
    let mut best = (f64::INFINITY, 1.0, 0.0);
    for temperature in grid(0.5, 0.1, 16) {
        for outside in grid(Weight::Weak.nats(), 0.25, 9) {
            let surprise = surprise(samples, &with(library, temperature, outside));
            if surprise < best.0 {
                best = (surprise, temperature, outside);
            }
        }
    }
    (best.1, best.2)
}

/// The library with other fitted numbers.
pub fn with(library: &Library, temperature: f64, outside_score: f64) -> Library {
    let track_record = TrackRecord { temperature, outside_score, ..library.track_record.clone() };
    Library { track_record, ..library.clone() }
}

/// What an incident costs for which no cause is named, in nats: as much as a claim of one half.
const SILENCE: f64 = std::f64::consts::LN_2;

/// Mean surprise, in nats, that the cause named first is true or is not.
fn surprise(samples: &[Sample], library: &Library) -> f64 {
    let surprises = samples.iter().map(|sample| {
        let ranked = rank(library, &sample.answers, sample.gate, &BTreeSet::new());
        let first = ranked.first().filter(|ranked| ranked.outcome == Outcome::Supported);
        let Some(first) = first else {
            return if sample.label.causes.is_empty() { 0.0 } else { SILENCE };
        };
        let is_true = !sample.label.outside && sample.label.accepts(&first.cause.id.value);
        let likely = first.probability.min(SUREST);
        -if is_true { likely } else { 1.0 - likely }.ln()
    });
    surprises.sum::<f64>() / samples.len().max(1) as f64
}
