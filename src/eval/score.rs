//! The score of one judge. Each figure says what it counts, over how many cases, and how far it
//! may be off.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Answer, Label, Named, Trial, Truth};
use crate::stats;

/// Standard deviations of a 95 % interval.
const Z: f64 = 1.96;

/// Bins of the reliability table.
const BINS: usize = 10;

/// A case with what a judge said about it.
type Pair<'a> = (&'a Trial, &'a Answer);

/// How often a judge is right.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Score {
    /// Who judged.
    pub judge: String,
    /// Incidents whose main cause, or one accepted as well, is named first.
    pub top1: Rate,
    /// Incidents whose main cause, or one accepted as well, is among the first three named.
    pub top3: Rate,
    /// Mean over incidents: 0 where a true cause is not named, else the share of the causes named
    /// that is true.
    pub set_score: Rate,
    /// Incidents, also those outside, whose first named cause is not true at all.
    pub wrong_firm: Rate,
    /// Healthy cases with a named cause or an alarm.
    pub false_alarms: Rate,
    /// Incidents outside the catalogue for which no cause is named.
    pub abstained: Rate,
    /// Mean squared error of the first named cause's probability.
    pub brier: Option<f64>,
    /// Expected calibration error of the same, over ten bins.
    pub ece: Option<f64>,
    /// First named causes by their probability; empty bins are left out.
    pub reliability: Vec<Bin>,
    /// Distance of the onset found from the true one.
    pub onset: Errors,
    /// Mean share of what was asked that could be answered.
    pub coverage: Option<f64>,
    /// What was named first for each truth.
    pub confusion: Vec<Cell>,
    /// Every case that was not judged rightly.
    pub misses: Vec<Miss>,
}

/// A share with the number behind it and its Wilson interval at 95 %.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Rate {
    /// Cases that count; a sum of shares for the set score, whose interval is then too wide rather
    /// than too narrow.
    pub hits: f64,
    /// Cases.
    pub n: usize,
    /// `hits / n`; absent for no cases.
    pub rate: Option<f64>,
    /// Lower end.
    pub lo: Option<f64>,
    /// Upper end.
    pub hi: Option<f64>,
}

/// First named causes whose probability lies in one tenth.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Bin {
    /// Lower end.
    pub from: f64,
    /// Upper end.
    pub to: f64,
    /// Cases.
    pub n: usize,
    /// What was claimed: the mean probability.
    pub claimed: f64,
    /// What came true: the share that was right.
    pub right: f64,
}

/// Distances in seconds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Errors {
    /// Cases whose onset is known and was found.
    pub found: usize,
    /// Cases whose onset is known.
    pub known: usize,
    /// Median distance.
    pub median_seconds: Option<f64>,
    /// Largest distance.
    pub max_seconds: Option<f64>,
}

/// How often a cause was named first for a truth.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Cell {
    /// The main true cause, `healthy`, or `outside the catalogue`.
    pub truth: String,
    /// The cause named first, or `none`.
    pub first: String,
    /// Cases.
    pub n: usize,
}

/// A case that was not judged rightly.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Miss {
    /// Name of the case.
    pub name: String,
    /// What went wrong.
    pub what: String,
    /// The true causes.
    pub truth: Vec<String>,
    /// The causes named.
    pub named: Vec<Named>,
}

impl Score {
    /// Scores one judge's answers.
    pub(super) fn of(judge: &str, pairs: &[Pair<'_>]) -> Self {
        let are = |truth: Truth| -> Vec<Pair<'_>> {
            pairs.iter().copied().filter(|(trial, _)| trial.truth == truth).collect()
        };
        let (incidents, healthy) = (are(Truth::Incident), are(Truth::Healthy));
        let outside = are(Truth::Outside);
        let faults: Vec<_> = incidents.iter().chain(&outside).copied().collect();
        let calls = calls(pairs);
        let reliability = reliability(&calls);
        Self {
            judge: judge.into(),
            top1: Rate::count(&incidents, |trial, answer| right_within(1, trial, answer)),
            top3: Rate::count(&incidents, |trial, answer| right_within(3, trial, answer)),
            set_score: Rate::mean(&incidents, |trial, answer| set_score(&trial.label, answer)),
            wrong_firm: Rate::count(&faults, wrong_firm),
            false_alarms: Rate::count(&healthy, |_, answer| alarms(answer)),
            abstained: Rate::count(&outside, |_, answer| answer.named.is_empty()),
            brier: brier(&calls),
            ece: calibration_error(&reliability),
            reliability,
            onset: Errors::of(pairs),
            coverage: mean(pairs.iter().filter_map(|(_, answer)| answer.coverage)),
            confusion: confusion(pairs),
            misses: pairs.iter().filter_map(|(trial, answer)| miss(trial, answer)).collect(),
        }
    }
}

impl Rate {
    /// So many of `n`.
    pub fn of(hits: f64, n: usize) -> Self {
        let interval = stats::wilson(hits, n as f64, Z);
        Self {
            hits,
            n,
            rate: (n > 0).then(|| hits / n as f64),
            lo: interval.map(|(lo, _)| lo),
            hi: interval.map(|(_, hi)| hi),
        }
    }

    fn count(pairs: &[Pair<'_>], is_hit: impl Fn(&Trial, &Answer) -> bool) -> Self {
        Self::mean(pairs, |trial, answer| f64::from(is_hit(trial, answer)))
    }

    fn mean(pairs: &[Pair<'_>], share: impl Fn(&Trial, &Answer) -> f64) -> Self {
        Self::of(pairs.iter().map(|(trial, answer)| share(trial, answer)).sum(), pairs.len())
    }
}

impl Errors {
    fn of(pairs: &[Pair<'_>]) -> Self {
        let known: Vec<(f64, Option<f64>)> = pairs
            .iter()
            .filter_map(|(trial, answer)| Some((trial.label.onset?, answer.onset)))
            .collect();
        let distance = |(truth, found): &(f64, Option<f64>)| Some(((*found)? - truth).abs());
        let distances: Vec<f64> = known.iter().filter_map(distance).collect();
        Self {
            found: distances.len(),
            known: known.len(),
            median_seconds: stats::median(&distances),
            max_seconds: distances.iter().copied().reduce(f64::max),
        }
    }
}

fn right_within(ranks: usize, trial: &Trial, answer: &Answer) -> bool {
    answer.named.iter().take(ranks).any(|named| trial.label.accepts_first(&named.id))
}

/// 0 where a true cause is not named, else precision, to which accepted causes are neutral.
fn set_score(label: &Label, answer: &Answer) -> f64 {
    let is_named = |cause: &String| answer.named.iter().any(|named| named.id == *cause);
    if !label.causes.iter().all(is_named) {
        return 0.0;
    }
    let wrong = answer.named.iter().filter(|named| !label.accepts(&named.id)).count();
    let right = label.causes.len();
    right as f64 / (right + wrong) as f64
}

/// Nothing known is true where nothing is wrong, or what is wrong is not known.
fn is_true(trial: &Trial, cause: &str) -> bool {
    trial.truth == Truth::Incident && trial.label.accepts(cause)
}

fn wrong_firm(trial: &Trial, answer: &Answer) -> bool {
    answer.first().is_some_and(|first| !is_true(trial, &first.id))
}

fn alarms(answer: &Answer) -> bool {
    answer.alarm || !answer.named.is_empty()
}

/// The probability of each first named cause, with whether it was right.
fn calls(pairs: &[Pair<'_>]) -> Vec<(f64, bool)> {
    let call = |(trial, answer): &Pair<'_>| {
        let first = answer.first()?;
        Some((first.probability, is_true(trial, &first.id)))
    };
    pairs.iter().filter_map(call).collect()
}

fn brier(calls: &[(f64, bool)]) -> Option<f64> {
    mean(calls.iter().map(|(claimed, right)| (claimed - f64::from(*right)).powi(2)))
}

fn reliability(calls: &[(f64, bool)]) -> Vec<Bin> {
    let index = |claimed: f64| ((claimed * BINS as f64) as usize).min(BINS - 1);
    let bin = |number: usize| {
        let inside: Vec<_> =
            calls.iter().filter(|(claimed, _)| index(*claimed) == number).collect();
        Some(Bin {
            from: number as f64 / BINS as f64,
            to: (number + 1) as f64 / BINS as f64,
            n: inside.len(),
            claimed: mean(inside.iter().map(|(claimed, _)| *claimed))?,
            right: mean(inside.iter().map(|(_, right)| f64::from(*right)))?,
        })
    };
    (0..BINS).filter_map(bin).collect()
}

/// Mean distance between what was claimed and what came true, over the cases in the bins.
fn calibration_error(bins: &[Bin]) -> Option<f64> {
    let n: usize = bins.iter().map(|bin| bin.n).sum();
    let distance = |bin: &Bin| bin.n as f64 * (bin.claimed - bin.right).abs();
    (n > 0).then(|| bins.iter().map(distance).sum::<f64>() / n as f64)
}

fn confusion(pairs: &[Pair<'_>]) -> Vec<Cell> {
    let mut counts: BTreeMap<(String, String), usize> = BTreeMap::new();
    for (trial, answer) in pairs {
        let truth = match trial.truth {
            Truth::Healthy => "healthy".into(),
            Truth::Outside => "outside the catalogue".into(),
            Truth::Incident => trial.label.causes[0].clone(),
        };
        let first = answer.first().map_or("none".into(), |first| first.id.clone());
        *counts.entry((truth, first)).or_default() += 1;
    }
    counts.into_iter().map(|((truth, first), n)| Cell { truth, first, n }).collect()
}

/// What went wrong with a case, if anything did.
fn miss(trial: &Trial, answer: &Answer) -> Option<Miss> {
    let what = match trial.truth {
        Truth::Healthy => alarms(answer).then_some("false alarm"),
        Truth::Outside => (!answer.named.is_empty()).then_some("names a cause it cannot know"),
        Truth::Incident if right_within(1, trial, answer) => None,
        Truth::Incident if answer.named.is_empty() => Some("no cause"),
        Truth::Incident if wrong_firm(trial, answer) => Some("wrong cause"),
        Truth::Incident => Some("a lesser cause first"),
    };
    Some(Miss {
        name: trial.name.clone(),
        what: what?.into(),
        truth: trial.label.causes.clone(),
        named: answer.named.clone(),
    })
}

fn mean(values: impl Iterator<Item = f64>) -> Option<f64> {
    let (sum, n) = values.fold((0.0, 0usize), |(sum, n), value| (sum + value, n + 1));
    (n > 0).then(|| sum / n as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A case: true causes (`+` marks one that is accepted as well, `?` an incident outside), and
    /// the causes named with their probability.
    fn trial(name: &str, truth: &[&str], named: &[(&str, f64)]) -> Trial {
        let outside = truth == ["?"];
        let (also, causes): (Vec<&str>, Vec<&str>) =
            truth.iter().filter(|id| **id != "?").partition(|id| id.starts_with('+'));
        let ids = |ids: Vec<&str>| ids.iter().map(|id| id.trim_start_matches('+').into()).collect();
        let kind = match causes.is_empty() {
            _ if outside => Truth::Outside,
            true => Truth::Healthy,
            false => Truth::Incident,
        };
        let named = named.iter().map(|(id, p)| Named { id: (*id).into(), probability: *p });
        let answer = Answer { named: named.collect(), ..Answer::default() };
        let label = Label { causes: ids(causes), also_accepted: ids(also), onset: None, outside };
        let thresholds = Answer::default();
        Trial { name: name.into(), label, truth: kind, answer, thresholds }
    }

    /// The table that the figures below were worked out from by hand.
    fn table() -> Vec<Trial> {
        vec![
            trial("right", &["a"], &[("a", 0.95)]),
            trial("two", &["a", "b"], &[("a", 0.85), ("b", 0.6)]),
            trial("lesser-first", &["a", "b"], &[("b", 0.75), ("a", 0.6)]),
            trial("accepted", &["a", "+c"], &[("c", 0.9)]),
            trial("one-too-many", &["a", "+c"], &[("a", 0.9), ("c", 0.7), ("d", 0.5)]),
            trial("wrong", &["a"], &[("b", 0.55)]),
            trial("silent", &["b"], &[]),
            trial("fine", &[], &[]),
            trial("alarm", &[], &[("d", 0.65)]),
            trial("unknown", &["?"], &[]),
            trial("guess", &["?"], &[("d", 0.5)]),
        ]
    }

    fn scored(trials: &[Trial]) -> Score {
        let pairs: Vec<_> = trials.iter().map(|trial| (trial, &trial.answer)).collect();
        Score::of("x", &pairs)
    }

    fn of(rate: Rate) -> (f64, usize) {
        (rate.hits, rate.n)
    }

    fn close(one: Option<f64>, other: f64) -> bool {
        (one.unwrap() - other).abs() < 1e-12
    }

    #[test]
    fn rates_of_the_hand_worked_table() {
        let score = scored(&table());
        assert_eq!(of(score.top1), (4.0, 7), "right, two, accepted, one-too-many");
        assert_eq!(of(score.top3), (5.0, 7), "and lesser-first");
        assert_eq!(of(score.set_score), (3.5, 7), "1, 1, 1, 0, 1/2, 0, 0");
        assert_eq!(of(score.wrong_firm), (2.0, 9), "wrong, guess");
        assert_eq!(of(score.false_alarms), (1.0, 2));
        assert_eq!(of(score.abstained), (1.0, 2));
    }

    #[test]
    fn a_rate_has_its_wilson_interval_and_none_for_no_cases() {
        let rate = Rate::of(92.0, 100);
        assert!((rate.lo.unwrap() - 0.8500).abs() < 5e-4, "{rate:?}");
        assert!((rate.hi.unwrap() - 0.9589).abs() < 5e-4, "{rate:?}");
        let none = Rate::of(0.0, 0);
        assert_eq!((none.rate, none.lo, none.hi), (None, None, None));
    }

    #[test]
    fn brier_and_calibration_of_a_hand_worked_table() {
        let calls = [(0.9, true), (0.9, true), (0.95, false), (0.5, true), (1.0, true)];
        assert!(close(brier(&calls), (0.01 + 0.01 + 0.9025 + 0.25 + 0.0) / 5.0));
        let bins = reliability(&calls);
        assert_eq!(bins.iter().map(|bin| bin.n).collect::<Vec<_>>(), [1, 4]);
        assert!(close(Some(bins[1].claimed), 0.9375) && close(Some(bins[1].right), 0.75));
        assert!(close(calibration_error(&bins), (0.5 + 4.0 * 0.1875) / 5.0));
        assert_eq!((brier(&[]), calibration_error(&[])), (None, None));
    }

    #[test]
    fn onsets_are_compared_where_both_are_known() {
        let mut trials = table();
        for (trial, truth, found) in
            [(0, Some(100.0), Some(103.0)), (1, Some(100.0), Some(91.0)), (2, Some(100.0), None)]
        {
            trials[trial].label.onset = truth;
            trials[trial].answer.onset = found;
        }
        trials[7].answer.onset = Some(5.0);
        let onset = scored(&trials).onset;
        assert_eq!((onset.found, onset.known), (2, 3));
        assert_eq!((onset.median_seconds, onset.max_seconds), (Some(6.0), Some(9.0)));
    }

    #[test]
    fn coverage_is_the_mean_over_the_reports_that_have_one() {
        let mut trials = table();
        trials[0].answer.coverage = Some(0.5);
        trials[1].answer.coverage = Some(1.0);
        assert_eq!(scored(&trials).coverage, Some(0.75));
        assert_eq!(scored(&table()).coverage, None);
    }

    #[test]
    fn every_miss_is_told_by_name_and_every_case_is_in_the_confusion_table() {
        let score = scored(&table());
        let misses: Vec<_> = score.misses.iter().map(|miss| (&*miss.name, &*miss.what)).collect();
        let expected = [
            ("lesser-first", "a lesser cause first"),
            ("wrong", "wrong cause"),
            ("silent", "no cause"),
            ("alarm", "false alarm"),
            ("guess", "names a cause it cannot know"),
        ];
        assert_eq!(misses, expected);
        assert_eq!(score.confusion.iter().map(|cell| cell.n).sum::<usize>(), table().len());
        let cell = Cell { truth: "a".into(), first: "a".into(), n: 3 };
        assert!(score.confusion.contains(&cell), "{:?}", score.confusion);
    }

    #[test]
    fn an_alarm_without_a_cause_is_a_false_alarm_too() {
        let mut trials = vec![trial("fine", &[], &[])];
        trials[0].answer.alarm = true;
        assert_eq!(of(scored(&trials).false_alarms), (1.0, 1));
    }
}
