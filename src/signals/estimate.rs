//! Numbers with their error: how a reading says what it does not know.

use crate::{
    evidence::{Evidence, Span, View, histogram::Histogram},
    stats,
};

use super::{Estimate, Frame, Missing, MissingKind, Value, families};

/// Standard errors on each side of an estimate: about 95 % of cases for a normal error.
const Z: f64 = 2.0;

/// With nothing seen in `n` trials the rate is below `3 / n` in 95 % of cases (Hanley and
/// Lippman-Hand 1983).
const RULE_OF_THREE: f64 = 3.0;

/// An amount that grows over a span: a counter's increase, or the seconds that passed.
pub(super) type Amount = fn(&Frame<'_>) -> Result<f64, Missing>;

impl Missing {
    /// A missing number of one kind.
    pub fn new(kind: MissingKind, why: impl Into<String>) -> Self {
        Self { kind, why: why.into() }
    }

    /// Nothing was observed in the span.
    pub fn no_samples(what: &str) -> Self {
        Self::new(MissingKind::NoSamples, format!("no {what} in the window"))
    }
}

impl Estimate {
    /// A value that is exact as far as it was observed.
    pub fn exact(value: f64, n: Option<f64>) -> Self {
        Self { point: value, lo: value, hi: value, n, bucket: false }
    }

    /// A value with a standard error; never below zero.
    pub fn with_error(value: f64, error: f64, n: f64) -> Self {
        let hi = if value == 0.0 { RULE_OF_THREE / n.max(1.0) } else { value + Z * error };
        Self { point: value, lo: (value - Z * error).max(0.0), hi, n: Some(n), bucket: false }
    }

    /// A bucket in which the value lies.
    pub fn bucket(lo: f64, hi: f64, n: f64) -> Self {
        let point = if hi.is_finite() { f64::midpoint(lo, hi) } else { lo };
        Self { point, lo, hi, n: Some(n), bucket: true }
    }

    /// A share of `n` trials, by Wilson's interval.
    pub fn share(hits: f64, n: f64) -> Option<Self> {
        let (lo, hi) = stats::wilson(hits, n, Z)?;
        Some(Self { point: (hits / n).clamp(0.0, 1.0), lo, hi, n: Some(n), bucket: false })
    }

    /// How many times `self` is `baseline`, with both errors in the interval.
    ///
    /// Buckets divide end by end; errors of means add in quadrature on the log scale.
    pub fn over(&self, baseline: &Self) -> Option<Self> {
        if baseline.point <= 0.0 {
            return None;
        }
        let n = match (self.n, baseline.n) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        };
        let point = self.point / baseline.point;
        if self.bucket || baseline.bucket {
            let (lo, hi) = (self.lo / baseline.hi, self.hi / baseline.lo);
            return Some(Self { point, lo, hi, n, bucket: true });
        }
        if self.point <= 0.0 {
            let hi = self.hi / baseline.lo.max(f64::MIN_POSITIVE);
            return Some(Self { point: 0.0, lo: 0.0, hi, n, bucket: false });
        }
        let spread = (self.log_spread().powi(2) + baseline.log_spread().powi(2)).sqrt();
        Some(Self {
            point,
            lo: point * (-spread).exp(),
            hi: point * spread.exp(),
            n,
            bucket: false,
        })
    }

    /// Half the width of the interval on the log scale.
    fn log_spread(&self) -> f64 {
        ((self.hi - self.point) / self.point).ln_1p()
    }
}

impl<'a> Frame<'a> {
    /// The evidence over one span.
    pub fn new(evidence: &'a Evidence, span: Span) -> Self {
        Self { evidence, view: View::new(&evidence.series, span), windows: None }
    }

    /// What the counters say of the process's life before `until`.
    pub fn lifetime(evidence: &'a Evidence, until: f64) -> Self {
        Self { evidence, view: View::lifetime(&evidence.series, until), windows: None }
    }

    /// The span between each two pages.
    pub(super) fn intervals(&self) -> Vec<Self> {
        let evidence = self.evidence;
        let part = |view| Self { evidence, view, windows: None };
        self.view.intervals().into_iter().map(part).collect()
    }

    /// The exported name of a metric family on this server.
    pub fn name(&self, family: &str) -> Result<&'static str, Missing> {
        if let Some(name) = families::exported(family, self.view.set()) {
            return Ok(name);
        }
        if let Some(failed) = self.evidence.source("metrics").filter(|s| !s.status.answered()) {
            return Err(Missing::new(MissingKind::SourceFailed, failed.detail.clone()));
        }
        if self.view.set().pages().is_empty() {
            return Err(Missing::new(MissingKind::SourceFailed, "no /metrics page was read"));
        }
        let version = self.evidence.target.version.as_deref();
        let engine = families::engine(self.view.set(), version);
        let why = families::why_absent(family, version, engine);
        Err(Missing::new(MissingKind::Absent, why))
    }

    /// Growth of a counter family.
    pub(super) fn increase(&self, family: &str) -> Result<f64, Missing> {
        let name = self.name(family)?;
        self.view.increase(name).ok_or_else(|| self.too_short(name))
    }

    /// Growth of the children of a counter family whose `label` passes; an absent child of a
    /// family that is there is 0.
    pub(super) fn increase_of(
        &self,
        family: &str,
        label: &str,
        keep: impl Fn(&str) -> bool,
    ) -> Result<f64, Missing> {
        let name = self.name(family)?;
        self.view.increase(name).ok_or_else(|| self.too_short(name))?;
        let keep = |series: &crate::evidence::Series| series.label(label).is_some_and(&keep);
        Ok(self.view.increase_where(name, keep).unwrap_or(0.0))
    }

    fn too_short(&self, name: &str) -> Missing {
        Missing::no_samples(&format!("two samples of {name}"))
    }

    /// Growth of a histogram family.
    pub(super) fn histogram(&self, family: &str) -> Result<Histogram, Missing> {
        let name = self.name(family)?;
        self.view.histogram(name).ok_or_else(|| self.too_short(name))
    }

    /// Growth of a histogram's sum.
    pub(super) fn sum(&self, family: &str) -> Result<f64, Missing> {
        let name = self.name(family)?;
        self.view.increase(&format!("{name}_sum")).ok_or_else(|| self.too_short(name))
    }

    /// Growth of a histogram's count.
    pub(super) fn count(&self, family: &str) -> Result<f64, Missing> {
        let name = self.name(family)?;
        self.view.increase(&format!("{name}_count")).ok_or_else(|| self.too_short(name))
    }

    /// Seconds in the span; for a lifetime view, since the process started.
    pub(super) fn seconds(&self) -> Result<f64, Missing> {
        if !self.view.is_lifetime() {
            let pages: Vec<f64> = self
                .evidence
                .series
                .pages()
                .iter()
                .copied()
                .filter(|&at| self.view.span().contains(at))
                .collect();
            return match pages.as_slice() {
                [first, .., last] => Ok(last - first),
                _ => Err(Missing::no_samples("two pages")),
            };
        }
        self.name("process_start_time")?;
        let start = self.evidence.series.process_start().and_then(|own| own.points.first());
        start
            .map(|point| self.view.span().to - point.value)
            .filter(|seconds| *seconds > 0.0)
            .ok_or_else(|| Missing::no_samples("process start time"))
    }

    /// Mean of a histogram family's observations, with its error.
    pub(super) fn mean(&self, family: &str) -> Value {
        self.mean_of(family, self.count(family)?)
    }

    /// The mean where observations come in clusters that are alike: the clusters count.
    pub(super) fn clustered_mean(&self, family: &str, clusters: Amount) -> Value {
        self.mean_of(family, clusters(self)?.max(1.0))
    }

    fn mean_of(&self, family: &str, independent: f64) -> Value {
        let (sum, count) = (self.sum(family)?, self.count(family)?);
        if count <= 0.0 {
            return Err(Missing::no_samples("finished observation"));
        }
        let pairs: Vec<(f64, f64)> = self
            .intervals()
            .iter()
            .filter_map(|part| Some((part.sum(family).ok()?, part.count(family).ok()?)))
            .collect();
        let mean = sum / count;
        let error = stats::ratio_error(&pairs).unwrap_or_else(|| {
            let deviation = self.histogram(family).ok().and_then(|h| h.deviation());
            deviation.unwrap_or(mean).max(mean * 0.1) / independent.min(count).sqrt()
        });
        Ok(Estimate::with_error(mean, error, count))
    }

    /// The bucket that holds quantile `q` of a histogram family.
    pub(super) fn quantile(&self, family: &str, q: f64) -> Value {
        let histogram = self.histogram(family)?;
        let none = || Missing::no_samples("finished observation");
        let (lo, hi) = histogram.quantile(q).ok_or_else(none)?;
        Ok(Estimate::bucket(lo, hi, histogram.count))
    }

    /// `Σ top / Σ bottom` with its error from the spread over the intervals; `n` counts the
    /// observations behind it.
    pub(super) fn ratio(&self, top: Amount, bottom: Amount, n: Amount) -> Value {
        let (total, by) = (top(self)?, bottom(self)?);
        if by <= 0.0 {
            return Err(Missing::no_samples("traffic"));
        }
        let n = n(self)?;
        let pairs: Vec<(f64, f64)> = self
            .intervals()
            .iter()
            .filter_map(|part| Some((top(part).ok()?, bottom(part).ok()?)))
            .collect();
        let ratio = total / by;
        let error = stats::ratio_error(&pairs).unwrap_or(ratio / n.max(1.0).sqrt());
        Ok(Estimate::with_error(ratio.max(0.0), error, n))
    }

    /// Events per second: the error is at least that of independent arrivals.
    pub(super) fn rate(&self, events: Amount) -> Value {
        let n = events(self)?.max(0.0);
        let seconds = self.seconds()?;
        if seconds <= 0.0 {
            return Err(Missing::no_samples("time"));
        }
        let spread = self.ratio(events, |frame| frame.seconds(), events).ok();
        let spread = spread.map_or(0.0, |estimate| (estimate.hi - estimate.point) / Z);
        let error = spread.max(n.sqrt() / seconds);
        Ok(Estimate::with_error(n / seconds, error, n))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_carries_both_errors() {
        let now = Estimate::with_error(2.0, 0.1, 100.0);
        let before = Estimate::with_error(1.0, 0.05, 100.0);
        let change = now.over(&before).unwrap();
        assert!(change.lo > 1.7 && change.lo < 1.8 && change.hi > 2.2 && change.hi < 2.4);
    }

    #[test]
    fn buckets_divide_end_by_end_and_stay_honest() {
        let now = Estimate::bucket(0.25, 0.5, 50.0);
        let before = Estimate::bucket(0.04, 0.06, 50.0);
        let change = now.over(&before).unwrap();
        assert!((change.lo - 0.25 / 0.06).abs() < 1e-9 && (change.hi - 12.5).abs() < 1e-9);
    }

    #[test]
    fn nothing_seen_is_an_interval_above_zero() {
        let none = Estimate::with_error(0.0, 0.0, 30.0);
        assert_eq!((none.lo, none.hi), (0.0, 0.1));
        assert!(none.over(&Estimate::exact(0.0, None)).is_none());
    }
}
