//! Clocks of others against the clock that dated the pages.
//!
//! Two sources that saw the same thing tell by how much their clocks differ. Where none did, nothing
//! is said of a clock: it may be right or wrong.

use crate::evidence::{EventKind, Evidence, Span, Time};

use super::{Frame, traffic};

/// What is known of one clock.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Skew {
    /// `server` or `gateway`.
    pub clock: &'static str,
    /// At least so many seconds ahead; negative where it may be behind.
    pub lo: f64,
    /// At most so many seconds ahead.
    pub hi: f64,
    /// What it was told by.
    pub by: &'static str,
}

impl Skew {
    /// Whether it is known to be wrong, and not only not known to be right.
    pub fn is_sure(&self) -> bool {
        self.lo > 0.0 || self.hi < 0.0
    }

    /// The most seconds by which it may be wrong.
    pub fn most(&self) -> f64 {
        self.lo.abs().max(self.hi.abs())
    }
}

/// The clock that dates what a source tells, where it is not that of the pages.
pub(super) fn clock_of(source: &str) -> Option<&'static str> {
    match source {
        "log" => Some("server"),
        "gateway" => Some("gateway"),
        _ => None,
    }
}

/// Every clock of which something is known.
pub fn skews(evidence: &Evidence) -> Vec<Skew> {
    let server = by_date(evidence).or_else(|| by_restart(evidence));
    server.into_iter().chain(by_arrivals(evidence)).collect()
}

/// The `Date` of each answer lies between question and answer, on the server's clock; it tells whole
/// seconds, cut off.
fn by_date(evidence: &Evidence) -> Option<Skew> {
    let answers = evidence.probes.iter().flat_map(|round| {
        let dated = round.paths.values().filter_map(|probe| Some((probe.date?, probe.ms?)));
        dated.map(|(date, ms)| (date - round.at - ms / 1e3, date + 1.0 - round.at))
    });
    let (lo, hi) = common(answers)?;
    Some(Skew { clock: "server", lo, hi, by: "the dates of its answers" })
}

/// Start times are rounded, and some containers round them by more.
const START_ERROR: f64 = 1.0;

/// A process began, on its own clock, between the last page of the one before and its own first.
fn by_restart(evidence: &Evidence) -> Option<Skew> {
    let starts = evidence.series.process_start()?;
    let restarts = evidence.events.iter().filter(|event| event.kind == EventKind::Restart);
    let bounds = restarts.filter_map(|event| {
        let began = starts.points.iter().find(|point| point.at == event.at)?.value;
        Some((began - event.at - START_ERROR, began - event.not_before + START_ERROR))
    });
    let (lo, hi) = common(bounds)?;
    Some(Skew { clock: "server", lo, hi, by: "the start time of its process" })
}

/// What all intervals have in common; a clock that was set meanwhile has nothing.
fn common(mut bounds: impl Iterator<Item = (f64, f64)>) -> Option<(f64, f64)> {
    let first = bounds.next()?;
    let (lo, hi) = bounds.fold(first, |all, one| (all.0.max(one.0), all.1.min(one.1)));
    (lo <= hi).then_some((lo, hi))
}

/// The gateway's requests and the engine's, interval by interval: at the right lag both are the same.
fn by_arrivals(evidence: &Evidence) -> Option<Skew> {
    let log = evidence.gateway.as_ref()?;
    let times: Vec<Time> = log.records.iter().map(|record| record.at).collect();
    let parts = Frame::new(evidence, evidence.span).intervals();
    let counted = |count: fn(&Frame<'_>) -> Option<f64>| -> Vec<(Span, f64)> {
        parts.iter().filter_map(|part| Some((part.view.span(), count(part)?))).collect()
    };
    let arrived = counted(|part| traffic::ARRIVALS(part).ok());
    let finished = counted(|part| part.increase("request_success").ok());
    let found = [arrived, finished].into_iter().filter_map(|counts| lag(&counts, &times));
    let best = found.max_by(|a, b| a.correlation.total_cmp(&b.correlation))?;
    Some(Skew { clock: "gateway", lo: best.lo, hi: best.hi, by: "the course of its requests" })
}

/// Lags that are tried, seconds to both sides.
const REACH: i32 = 300;

/// Intervals that a correlation needs.
const ENOUGH: usize = 20;

/// Least correlation of two counts of the same requests.
const SAME: f64 = 0.7;

/// A lag that fits less well by this much is another.
const APART: f64 = 0.1;

/// Where two counts fit best.
struct Lag {
    lo: f64,
    hi: f64,
    correlation: f64,
}

/// By how much `times` run ahead of the counts. A course that fits at several lags tells none.
fn lag(counts: &[(Span, f64)], times: &[Time]) -> Option<Lag> {
    let fit = |lag: i32| correlation(counts, times, f64::from(lag)).map(|fit| (lag, fit));
    let fits: Vec<(i32, f64)> = (-REACH..=REACH).filter_map(fit).collect();
    let (best, correlation) = *fits.iter().max_by(|a, b| a.1.total_cmp(&b.1))?;
    let near: Vec<i32> =
        fits.iter().filter(|(_, fit)| *fit >= correlation - APART).map(|(lag, _)| *lag).collect();
    let (lo, hi) = (*near.first()?, *near.last()?);
    let longest = counts.iter().map(|(span, _)| span.seconds()).fold(0.0, f64::max);
    let unique = f64::from(best - lo) <= longest && f64::from(hi - best) <= longest;
    let (lo, hi) = (f64::from(lo) - 0.5, f64::from(hi) + 0.5);
    (correlation >= SAME && unique).then_some(Lag { lo, hi, correlation })
}

/// Correlation of the steps from one interval to the next, so that a common trend counts for
/// nothing.
fn correlation(counts: &[(Span, f64)], times: &[Time], lag: f64) -> Option<f64> {
    let (first, last) = (times.first()?, times.last()?);
    let until = |at: Time| times.partition_point(|time| *time < at) as f64;
    let pairs: Vec<(f64, f64)> = counts
        .iter()
        .filter(|(span, _)| span.from + lag >= *first && span.to + lag <= *last)
        .map(|(span, count)| (*count, until(span.to + lag) - until(span.from + lag)))
        .collect();
    if pairs.len() <= ENOUGH {
        return None;
    }
    let steps = pairs.windows(2).map(|pair| (pair[1].0 - pair[0].0, pair[1].1 - pair[0].1));
    let (mut xx, mut yy, mut xy) = (0.0, 0.0, 0.0);
    for (x, y) in steps {
        xx += x * x;
        yy += y * y;
        xy += x * y;
    }
    (xx > 0.0 && yy > 0.0).then(|| xy / (xx * yy).sqrt())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::{Probe, ProbeRound};

    /// Arrivals with uneven gaps over ten minutes, and how many fall into each 5 seconds.
    fn traffic(gap: fn(u64) -> f64) -> (Vec<(Span, f64)>, Vec<Time>) {
        let mut times = Vec::new();
        let (mut at, mut state) = (0.0, 1_u64);
        while at < 600.0 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            at += gap(state >> 40);
            times.push(at);
        }
        let spans =
            (10..110).map(|i| Span { from: f64::from(i) * 5.0, to: f64::from(i + 1) * 5.0 });
        let inside = |span: Span| times.iter().filter(|at| span.contains(**at)).count() as f64;
        let counts = spans.map(|span| (span, inside(span))).collect();
        (counts, times)
    }

    #[test]
    fn uneven_traffic_tells_the_lag_of_a_clock_and_even_traffic_does_not() {
        let (counts, times) = traffic(|random| (random % 1000) as f64 / 500.0);
        let ahead: Vec<Time> = times.iter().map(|at| at + 12.0).collect();
        let found = lag(&counts, &ahead).unwrap();
        assert!(found.lo <= 12.0 && found.hi >= 12.0 && found.hi - found.lo < 5.0);
        let (counts, times) = traffic(|_| 0.5);
        assert!(lag(&counts, &times).is_none());
        let (counts, _) = traffic(|random| (random % 1000) as f64 / 500.0);
        let (_, others) = traffic(|random| (random % 700) as f64 / 350.0);
        assert!(lag(&counts, &others).is_none(), "other requests have no lag");
    }

    #[test]
    fn dates_of_answers_bound_the_servers_clock() {
        let round = |at: Time, date: Time| ProbeRound {
            at,
            paths: [(
                "/health".to_owned(),
                Probe { date: Some(date), ms: Some(100.0), ..Probe::default() },
            )]
            .into(),
        };
        let mut evidence =
            Evidence { probes: vec![round(10.2, 17.0), round(20.9, 28.0)], ..Evidence::default() };
        let skew = skews(&evidence)[0];
        assert!((skew.lo - 7.0).abs() < 1e-6 && (skew.hi - 7.8).abs() < 1e-6, "{skew:?}");
        assert!(skew.is_sure());
        evidence.probes = vec![round(10.2, 10.0)];
        assert!(!skews(&evidence)[0].is_sure());
        assert!(skews(&Evidence::default()).is_empty());
    }
}
