//! Pass, warning or fail, and whether there are enough requests to say so.

use super::{
    measure::{Latencies, rounded},
    result::{Counts, GateAnswer, GateRow, Interval, Trend},
    scenario::{Rule, Subject},
};
use crate::{
    report::{Number, Report},
    stats::wilson,
};

/// Standard deviations of an interval at 95 %.
const SURE: f64 = 1.96;

/// What the rows read.
pub struct Seen<'a> {
    /// Latencies of the requests judged.
    pub latencies: &'a Latencies,
    /// How many requests there were.
    pub counts: &'a Counts,
    /// The report on the server, where there is one.
    pub report: Option<&'a Report>,
    /// What grew; `None` where nothing could be looked at for long enough.
    pub trends: Option<&'a [Trend]>,
}

/// A value with the interval that holds it, and the number of observations.
struct Value {
    value: f64,
    interval: Option<(f64, f64)>,
    n: u64,
    why: Option<String>,
}

/// All rows.
pub fn judge(rules: &[Rule], seen: &Seen<'_>) -> Vec<GateRow> {
    rules.iter().map(|rule| row(rule, read(rule, seen))).collect()
}

fn row(rule: &Rule, read: Result<Value, String>) -> GateRow {
    let blank = GateRow {
        id: rule.id.clone(),
        title: rule.title.clone(),
        unit: rule.unit,
        value: None,
        interval: None,
        n: 0,
        pass: rule.pass,
        fail: rule.fail,
        more_is_better: rule.more_is_better,
        needed: rule.needed,
        answer: GateAnswer::NotDecidable,
        why: None,
    };
    let found = match read {
        Ok(found) => found,
        Err(why) => return GateRow { why: Some(why), ..blank },
    };
    let (lo, hi) = found.ends();
    let answer = answer(rule, found.value, (lo, hi));
    let undecided = answer == GateAnswer::NotDecidable;
    let too_few = || format!("{} do not tell whether it passes or fails", found.n);
    GateRow {
        value: Some(rounded(found.value)),
        interval: found
            .interval
            .filter(|_| hi.is_finite())
            .map(|(lo, hi)| Interval { lo: rounded(lo), hi: rounded(hi) }),
        n: found.n,
        answer,
        why: if undecided { found.why.or_else(|| Some(too_few())) } else { None },
        ..blank
    }
}

/// The value decides, unless its interval reaches from what passes to what fails.
fn answer(rule: &Rule, value: f64, (lo, hi): (f64, f64)) -> GateAnswer {
    let sign = if rule.more_is_better { -1.0 } else { 1.0 };
    let (pass, fail, value) = (sign * rule.pass, sign * rule.fail, sign * value);
    let (best, worst) = if rule.more_is_better { (-hi, -lo) } else { (lo, hi) };
    if best <= pass && worst > fail && (best, worst) != (value, value) {
        return GateAnswer::NotDecidable;
    }
    match value {
        value if value <= pass => GateAnswer::Pass,
        value if value > fail => GateAnswer::Fail,
        _ => GateAnswer::Warning,
    }
}

fn read(rule: &Rule, seen: &Seen<'_>) -> Result<Value, String> {
    match &rule.of {
        Subject::Quantile { latency, quantile } => {
            let spread = seen.latencies.of(*latency);
            let value = spread.quantile(*quantile).ok_or("no request was answered")?;
            let (lo, hi) = spread.quantile_interval(*quantile);
            let interval = (lo.unwrap_or(0.0), hi.unwrap_or(f64::INFINITY));
            let needed = (SURE * SURE * quantile / (1.0 - quantile)).floor() + 1.0;
            let n = spread.count();
            let why =
                hi.is_none().then(|| format!("{n} do not bound it from above; {needed} would"));
            Ok(Value { value, interval: Some(interval), n, why })
        }
        Subject::Errors => errors(rule, seen.counts),
        Subject::Signals { signals, also } => signal(rule, (signals, also), seen.report),
        Subject::Trends => {
            let trends = seen.trends.filter(|it| !it.is_empty());
            let trends = trends.ok_or("too few samples of the server's memory to see a trend")?;
            let grew = trends.iter().filter(|trend| trend.grew).count();
            let n = trends.iter().map(|trend| trend.n).min().unwrap_or(0);
            Ok(Value { value: grew as f64, interval: None, n, why: None })
        }
    }
}

fn errors(rule: &Rule, counts: &Counts) -> Result<Value, String> {
    let (failed, n) = (counts.failed as f64, counts.judged as f64);
    let (lo, hi) = wilson(failed, n, SURE).ok_or("no request was judged")?;
    let needed = (SURE * SURE * (1.0 - rule.fail) / rule.fail).ceil();
    let why = format!(
        "{} of {} failed; it takes {needed} without a failure to rule out {} %",
        counts.failed,
        counts.judged,
        rule.fail * 100.0
    );
    Ok(Value { value: failed / n, interval: Some((lo, hi)), n: counts.judged, why: Some(why) })
}

/// The largest of the signals that could be read. Those in `also` can only fail the row.
fn signal(
    rule: &Rule,
    (names, also): (&[String], &[String]),
    report: Option<&Report>,
) -> Result<Value, String> {
    let report = report.ok_or("there is no evidence of the server")?;
    let told = largest(report, names);
    let worse =
        largest(report, also).filter(|it| answer(rule, it.value, it.ends()) == GateAnswer::Fail);
    let missing = || {
        let rows = report.readings.iter().filter(|row| names.contains(&row.signal));
        rows.filter_map(|row| row.missing.clone())
            .next()
            .unwrap_or_else(|| "it was not read".into())
    };
    worse.or(told).ok_or_else(missing)
}

fn largest(report: &Report, names: &[String]) -> Option<Value> {
    let ends = |number: Number| match number {
        Number::Point(value) => (value, value),
        Number::Interval { lo, hi } => (lo, hi.unwrap_or(f64::INFINITY)),
    };
    let rows = report.readings.iter().filter(|row| names.contains(&row.signal));
    let read = rows.filter_map(|row| Some((ends(row.now?), row.n)));
    let ((lo, hi), n) = read.max_by(|(a, _), (b, _)| a.1.total_cmp(&b.1))?;
    let value = if hi.is_finite() { f64::midpoint(lo, hi) } else { lo };
    let interval = (lo < hi).then_some((lo, hi));
    Some(Value { value, interval, n: n.unwrap_or(0.0) as u64, why: None })
}

impl Value {
    fn ends(&self) -> (f64, f64) {
        self.interval.unwrap_or((self.value, self.value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{load::scenario::Loads, stats::spread::Spread};

    fn rule(id: &str) -> Rule {
        Loads::load(&[]).unwrap().gate.into_iter().find(|rule| rule.id == id).unwrap()
    }

    fn of_latency(id: &str, seconds: f64, n: usize) -> GateRow {
        let spread: Spread =
            (0..n).map(|it| seconds * (0.99 + 0.02 * it as f64 / n as f64)).collect();
        let latencies = Latencies { ttft: spread.clone(), total: spread, ..Latencies::default() };
        let counts = Counts::default();
        let seen = Seen { latencies: &latencies, counts: &counts, report: None, trends: None };
        judge(&[rule(id)], &seen).remove(0)
    }

    fn of_errors(failed: u64, judged: u64) -> GateRow {
        let counts = Counts { failed, judged, ..Counts::default() };
        let latencies = Latencies::default();
        let seen = Seen { latencies: &latencies, counts: &counts, report: None, trends: None };
        judge(&[rule("error_rate")], &seen).remove(0)
    }

    #[test]
    fn the_table_of_the_method_is_kept() {
        use GateAnswer::{Fail, Pass, Warning};
        for (seconds, answer) in [(0.19, Pass), (0.25, Warning), (0.31, Fail)] {
            assert_eq!(of_latency("ttft_p50", seconds, 1000).answer, answer, "{seconds}");
        }
        for (seconds, answer) in [(1.9, Pass), (2.5, Warning), (3.1, Fail)] {
            assert_eq!(of_latency("total_p99", seconds, 1000).answer, answer, "{seconds}");
        }
        for (failed, answer) in [(5, Pass), (30, Warning), (80, Fail)] {
            assert_eq!(of_errors(failed, 10_000).answer, answer, "{failed}");
        }
    }

    #[test]
    fn too_few_requests_do_not_tell() {
        let row = of_errors(0, 100);
        assert_eq!(row.answer, GateAnswer::NotDecidable);
        assert!(row.why.unwrap().contains("it takes 765 without a failure"), "Wilson at 95 %");
        assert_eq!(of_errors(0, 765).answer, GateAnswer::Pass);
        assert_eq!(of_errors(0, 0).answer, GateAnswer::NotDecidable);
        let few = of_latency("total_p99", 1.0, 100);
        assert_eq!((few.answer, few.interval), (GateAnswer::NotDecidable, None));
        assert_eq!(of_latency("total_p99", 9.0, 100).answer, GateAnswer::Fail, "that much is sure");
        assert_eq!(of_errors(3, 20).answer, GateAnswer::Fail);
    }

    #[test]
    fn without_evidence_a_row_of_the_server_is_not_decidable() {
        let latencies = Latencies::default();
        let counts = Counts::default();
        let seen = Seen { latencies: &latencies, counts: &counts, report: None, trends: Some(&[]) };
        for id in ["oom", "prefix_hit", "growth"] {
            let row = judge(&[rule(id)], &seen).remove(0);
            assert_eq!((row.answer, row.value), (GateAnswer::NotDecidable, None), "{id}");
            assert!(row.why.is_some());
        }
    }
}
