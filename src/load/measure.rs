//! What came back, in numbers. Requests of the warm-up and those cut off by the end are not judged.

use super::{
    result::{Counts, Distribution, ErrorRow, Measured, Since, Slice, Throughput},
    scenario::{Rule, Subject},
};
use crate::{
    evidence::exchange::{Exchange, Outcome},
    stats::spread::Spread,
};

/// Latencies over some requests.
#[derive(Debug, Clone, Default)]
pub struct Latencies {
    /// Time to first token from the intended time.
    pub ttft: Spread,
    /// Time to first token from sending.
    pub ttft_sent: Spread,
    /// Total from the intended time.
    pub total: Spread,
    /// Total from sending.
    pub total_sent: Spread,
    /// Mean time for each token after the first.
    pub tpot: Spread,
    /// Gaps between chunks; known for all requests together only.
    pub gaps: Spread,
    /// Waits for a slot.
    pub slot_wait: Spread,
}

impl Latencies {
    /// Those of the requests that were answered; waits for a slot of all.
    pub fn over<'a>(records: impl Iterator<Item = &'a Exchange>) -> Self {
        let mut all = Self::default();
        for it in records {
            all.slot_wait.extend(it.slot_wait);
            if it.outcome != Outcome::Ok {
                continue;
            }
            all.ttft.extend(it.ttft_intended());
            all.ttft_sent.extend(it.ttft);
            all.total.extend(it.total_intended());
            all.total_sent.extend(it.total);
            all.tpot.extend(it.tpot());
        }
        all
    }

    /// The one that the gate judges.
    pub fn of(&self, measured: Measured) -> &Spread {
        match measured {
            Measured::Ttft => &self.ttft,
            Measured::Gap => &self.gaps,
            Measured::Tpot => &self.tpot,
            Measured::Total => &self.total,
            Measured::SlotWait => &self.slot_wait,
        }
    }

    /// All of them as rows.
    pub fn rows(&self) -> Vec<Distribution> {
        let rows = [
            (Measured::Ttft, Since::Intended, &self.ttft),
            (Measured::Ttft, Since::Sent, &self.ttft_sent),
            (Measured::Gap, Since::Before, &self.gaps),
            (Measured::Tpot, Since::Before, &self.tpot),
            (Measured::Total, Since::Intended, &self.total),
            (Measured::Total, Since::Sent, &self.total_sent),
        ];
        rows.into_iter().filter_map(|(of, since, spread)| row(of, since, spread)).collect()
    }
}

/// A spread as a row; `None` for an empty one.
pub fn row(of: Measured, since: Since, spread: &Spread) -> Option<Distribution> {
    let at = |share| spread.quantile(share).map(rounded);
    Some(Distribution {
        of,
        since,
        n: spread.count(),
        mean: rounded(spread.mean()?),
        p50: at(0.5)?,
        p90: at(0.9)?,
        p95: at(0.95)?,
        p99: at(0.99)?,
        max: rounded(spread.max()?),
    })
}

/// Seconds to the microsecond.
pub fn rounded(seconds: f64) -> f64 {
    (seconds * 1e6).round() / 1e6
}

/// Whether a request counts for the gate.
pub fn is_judged(it: &Exchange) -> bool {
    !it.warmup && it.outcome != Outcome::Cut && it.outcome != Outcome::Client
}

/// How many there were.
pub fn counts(records: &[Exchange], due: u64) -> Counts {
    let count =
        |keep: &dyn Fn(&Exchange) -> bool| records.iter().filter(|it| keep(it)).count() as u64;
    let waits: Spread =
        records.iter().filter(|it| is_judged(it)).filter_map(|it| it.slot_wait).collect();
    Counts {
        due,
        sent: count(&|it| it.sent.is_some()),
        warmup: count(&|it| it.warmup),
        judged: count(&is_judged),
        ok: count(&|it| is_judged(it) && it.outcome == Outcome::Ok),
        failed: count(&|it| is_judged(it) && it.outcome.failed()),
        cut: count(&|it| !it.warmup && it.outcome == Outcome::Cut),
        waited: waits.count(),
        slot_wait: row(Measured::SlotWait, Since::Intended, &waits),
        counted_tokens: count(&|it| is_judged(it) && it.counted),
    }
}

/// Failures by what happened, the most frequent first.
pub fn errors(records: &[Exchange], example: impl Fn(Outcome) -> Option<String>) -> Vec<ErrorRow> {
    let of = |outcome: &Outcome| {
        let count = records.iter().filter(|it| !it.warmup && it.outcome == *outcome).count() as u64;
        let bad = outcome.failed() || *outcome == Outcome::Client;
        (bad && count > 0).then(|| ErrorRow {
            outcome: *outcome,
            count,
            example: example(*outcome),
        })
    };
    let mut rows: Vec<ErrorRow> = Outcome::ALL.iter().filter_map(of).collect();
    rows.sort_by_key(|row| std::cmp::Reverse(row.count));
    rows
}

/// What was got through from the end of the warm-up to `ended`.
pub fn throughput(records: &[Exchange], rules: &[Rule], warmup: f64, ended: f64) -> Throughput {
    let seconds = (ended - warmup).max(0.0);
    let judged: Vec<&Exchange> = records.iter().filter(|it| is_judged(it)).collect();
    let answered: Vec<&&Exchange> = judged.iter().filter(|it| it.outcome == Outcome::Ok).collect();
    let rate = |count: f64| if seconds > 0.0 { rounded(count / seconds) } else { 0.0 };
    let sum = |of: fn(&Exchange) -> Option<u64>| -> Option<f64> {
        let values: Vec<u64> = answered.iter().filter_map(|it| of(it)).collect();
        (!values.is_empty()).then(|| values.iter().sum::<u64>() as f64)
    };
    let good = good(&judged, rules);
    Throughput {
        seconds: rounded(seconds),
        due_per_second: rate(judged.len() as f64),
        ok_per_second: rate(answered.len() as f64),
        output_tokens_per_second: rate(sum(|it| it.output_tokens).unwrap_or(0.0)),
        prompt_tokens_per_second: sum(|it| it.prompt_tokens).map(rate),
        goodput_ratio: good
            .filter(|_| !judged.is_empty())
            .map(|good| rounded(good as f64 / judged.len() as f64)),
        goodput_per_second: good.map(|good| rate(good as f64)),
    }
}

/// Requests that met every objective that one request can meet; `None` where there is none.
fn good(judged: &[&Exchange], rules: &[Rule]) -> Option<usize> {
    let limits: Vec<(Measured, f64)> = rules
        .iter()
        .filter_map(|rule| match rule.of {
            Subject::Quantile { latency, .. } => Some((latency, rule.pass)),
            _ => None,
        })
        .collect();
    let meets = |it: &Exchange, (latency, pass): (Measured, f64)| {
        let value = match latency {
            Measured::Ttft => it.ttft_intended(),
            Measured::Total => it.total_intended(),
            Measured::Tpot => it.tpot().or(Some(0.0)),
            Measured::SlotWait => Some(it.slot_wait.unwrap_or(0.0)),
            Measured::Gap => Some(0.0),
        };
        value.is_some_and(|value| value <= pass)
    };
    let good =
        |it: &&&Exchange| it.outcome == Outcome::Ok && limits.iter().all(|limit| meets(it, *limit));
    (!limits.is_empty()).then(|| judged.iter().filter(good).count())
}

/// Latencies by kind and by model, where there are several.
pub fn slices(records: &[Exchange], kinds: &[String], models: &[String]) -> Vec<Slice> {
    let by = |by: &str, names: &[String], of: fn(&Exchange) -> u32| -> Vec<Slice> {
        let part = |(index, name): (usize, &String)| {
            let all: Vec<&Exchange> =
                records.iter().filter(|it| is_judged(it) && of(it) as usize == index).collect();
            let latencies = Latencies::over(all.iter().copied());
            let rows = [
                row(Measured::Ttft, Since::Intended, &latencies.ttft),
                row(Measured::Total, Since::Intended, &latencies.total),
            ];
            (!all.is_empty()).then(|| Slice {
                by: by.into(),
                name: name.clone(),
                judged: all.len() as u64,
                failed: all.iter().filter(|it| it.outcome.failed()).count() as u64,
                latency: rows.into_iter().flatten().collect(),
            })
        };
        let parts: Vec<Slice> = names.iter().enumerate().filter_map(part).collect();
        if parts.len() > 1 { parts } else { Vec::new() }
    };
    let mut all = by("kind", kinds, |it| it.kind);
    all.extend(by("model", models, |it| it.model));
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answered(intended: f64, late: f64, ttft: f64, total: f64) -> Exchange {
        Exchange {
            intended,
            sent: Some(intended + late),
            ttft: Some(ttft),
            total: Some(total),
            last_token: Some(total),
            output_tokens: Some(11),
            outcome: Outcome::Ok,
            ..Exchange::default()
        }
    }

    #[test]
    fn latency_counts_from_the_intended_time() {
        let one = answered(1.0, 0.5, 0.1, 1.1);
        let all = Latencies::over([&one].into_iter());
        let p50 = |spread: &Spread| (spread.quantile(0.5).unwrap() * 1e3).round();
        assert_eq!((p50(&all.ttft), p50(&all.ttft_sent)), (600.0, 100.0));
        assert_eq!((p50(&all.total), p50(&all.total_sent)), (1600.0, 1100.0));
        assert_eq!(p50(&all.tpot), 100.0);
    }

    #[test]
    fn neither_warm_up_nor_what_was_cut_is_judged() {
        let good = answered(1.0, 0.0, 0.1, 1.0);
        let records = [
            Exchange { warmup: true, ..good.clone() },
            Exchange { outcome: Outcome::Cut, ..good.clone() },
            Exchange { outcome: Outcome::Timeout, slot_wait: Some(0.2), ..good.clone() },
            good,
        ];
        let counts = counts(&records, 9);
        assert_eq!((counts.due, counts.sent, counts.warmup, counts.cut), (9, 4, 1, 1));
        assert_eq!((counts.judged, counts.ok, counts.failed, counts.waited), (2, 1, 1, 1));
        let errors = errors(&records, |_| None);
        assert_eq!((errors.len(), errors[0].outcome, errors[0].count), (1, Outcome::Timeout, 1));
    }

    #[test]
    fn goodput_counts_requests_that_meet_every_objective() {
        let loads = crate::load::scenario::Loads::load(&[]).unwrap();
        let rules = loads.rules(&loads.scenarios["baseline"]);
        let records = [
            answered(1.0, 0.0, 0.1, 1.0),
            answered(1.0, 0.0, 0.3, 1.0),
            answered(1.0, 0.0, 0.1, 2.5),
            Exchange { outcome: Outcome::Reset, ..answered(1.0, 0.0, 0.1, 0.2) },
        ];
        let throughput = throughput(&records, &rules, 1.0, 3.0);
        assert_eq!(throughput.goodput_ratio, Some(0.25));
        assert_eq!(throughput.goodput_per_second, Some(0.5));
        assert_eq!(throughput.ok_per_second, 1.5);
        assert_eq!(throughput.output_tokens_per_second, 16.5);
    }
}
