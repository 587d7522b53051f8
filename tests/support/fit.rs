//! Fits the two numbers of the ranking that are fitted: the temperature and the score of "outside
//! the catalogue". All else that judges is words in YAML.

use std::collections::BTreeSet;

use diagnose::{
    eval::Label,
    runbook::{
        Library, TrackRecord,
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

/// The numbers on a grid under which what came true was likeliest.
pub fn fit(samples: &[Sample], library: &Library) -> (f64, f64) {
    let grid = |from: f64, step: f64, n: u32| (0..n).map(move |i| from + step * f64::from(i));
    let mut best = (f64::INFINITY, 1.0, 0.0);
    for temperature in grid(0.3, 0.1, 18) {
        for outside in grid(-1.0, 0.25, 17) {
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

/// Mean surprise, in nats, that the leading cause is true or is not.
fn surprise(samples: &[Sample], library: &Library) -> f64 {
    let surprises = samples.iter().filter_map(|sample| {
        let ranked = rank(library, &sample.answers, sample.gate, &BTreeSet::new());
        let leading = ranked
            .iter()
            .filter(|ranked| ranked.outcome != Outcome::NotExaminable)
            .max_by(|a, b| a.probability.total_cmp(&b.probability))?;
        let is_true = !sample.label.outside && sample.label.accepts(&leading.cause.id.value);
        let likely = leading.probability.min(SUREST);
        Some(-if is_true { likely.max(1.0 - SUREST) } else { 1.0 - likely }.ln())
    });
    surprises.sum::<f64>() / samples.len().max(1) as f64
}
