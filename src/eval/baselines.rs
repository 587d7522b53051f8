//! Two judges that know less. A score means something only beside what they reach.

use std::collections::BTreeMap;

use super::{Answer, Trial, Truth};
use crate::report::{Number, Report};

/// Each symptom with its threshold and the cause that everybody would think of, in the order asked.
const RULES: [(&str, Crossed, &str); 5] = [
    // Requests wait at most scrapes: short queues after a burst are no alarm in any handbook.
    ("waiting_pages_ratio", Crossed::Above(0.5), "load-exceeds-capacity"),
    ("prefix_cache_hit_ratio", Crossed::Below(0.5), "volatile-prompt-prefix"),
    ("kv_cache_usage_max_ratio", Crossed::Above(0.95), "kv-working-set-too-large"),
    ("itl_p99_seconds", Crossed::Above(0.2), "compute-degraded"),
    ("refused_4xx_ratio", Crossed::Above(0.05), "malformed-requests"),
];

#[derive(Debug, Clone, Copy)]
enum Crossed {
    Above(f64),
    Below(f64),
}

/// One threshold per symptom: the first one crossed names its cause, without a doubt.
pub(super) fn thresholds(report: &Report) -> Answer {
    let crossed = |(signal, crossed, _): &&(&str, Crossed, &str)| {
        value(report, signal).is_some_and(|value| match crossed {
            Crossed::Above(limit) => value > *limit,
            Crossed::Below(limit) => value < *limit,
        })
    };
    Answer::naming(RULES.iter().find(crossed).map(|(_, _, cause)| (*cause, 1.0)))
}

/// The reading of a signal as one number: the middle of an interval, its lower end without upper.
fn value(report: &Report, signal: &str) -> Option<f64> {
    let row = report.readings.iter().find(|row| row.signal == signal)?;
    Some(match row.now? {
        Number::Point(point) => point,
        Number::Interval { lo, hi } => hi.map_or(lo, |hi| f64::midpoint(lo, hi)),
    })
}

/// The main cause that most cases have, named for every case with its share as probability. It has
/// seen the answers, so what it reaches is the most that guessing can.
pub(super) fn most_frequent(trials: &[Trial]) -> Answer {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for trial in trials.iter().filter(|trial| trial.truth == Truth::Incident) {
        *counts.entry(&trial.label.causes[0]).or_default() += 1;
    }
    let most = counts.iter().max_by(|one, other| one.1.cmp(other.1).then(other.0.cmp(one.0)));
    Answer::naming(most.map(|(id, count)| (*id, *count as f64 / trials.len() as f64)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{eval::Label, runbook::Library, signals};

    #[test]
    fn every_rule_names_a_signal_and_a_cause_that_exist() {
        let library = Library::embedded().unwrap();
        for (signal, _, cause) in RULES {
            assert!(signals::find(signal).is_some(), "{signal}");
            assert!(library.causes.contains_key(cause), "{cause}");
        }
    }

    #[test]
    fn the_most_frequent_cause_is_named_with_its_share_and_ties_go_by_name() {
        let trial = |cause: &str| Trial {
            name: "x".into(),
            label: Label { causes: vec![cause.into()], ..Label::default() },
            truth: Truth::Incident,
            answer: Answer::default(),
            thresholds: Answer::default(),
        };
        let answer = most_frequent(&["b", "a", "b", "a", "c"].map(trial));
        assert_eq!(answer, Answer::naming(Some(("a", 0.4))));
        assert_eq!(most_frequent(&[]), Answer::default());
    }
}
