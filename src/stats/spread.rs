//! Many durations in little room, with their quantiles within 0.1 % (HDR histogram, Tene).

use hdrhistogram::Histogram;

use super::quantile_ranks;

/// Seconds of a step: a microsecond.
const STEP: f64 = 1e-6;

/// Durations in seconds, to the microsecond.
#[derive(Debug, Clone)]
pub struct Spread {
    counts: Histogram<u64>,
    sum: f64,
    largest: f64,
}

impl Default for Spread {
    #[expect(clippy::expect_used, reason = "up to five digits are allowed")]
    fn default() -> Self {
        let counts = Histogram::new(3).expect("three digits");
        Self { counts, sum: 0.0, largest: 0.0 }
    }
}

impl Spread {
    /// Adds a duration; negative ones and such that are no number are left out.
    pub fn record(&mut self, seconds: f64) {
        if seconds >= 0.0 && seconds.is_finite() {
            // It grows by itself, up to half a million years.
            let _ = self.counts.record((seconds / STEP).round() as u64);
            self.sum += seconds;
            self.largest = self.largest.max(seconds);
        }
    }

    /// How many there are.
    pub fn count(&self) -> u64 {
        self.counts.len()
    }

    /// Their mean; `None` for none.
    pub fn mean(&self) -> Option<f64> {
        (self.count() > 0).then(|| self.sum / self.count() as f64)
    }

    /// The largest; `None` for none.
    pub fn max(&self) -> Option<f64> {
        (self.count() > 0).then_some(self.largest)
    }

    /// The value that this share of them does not exceed; `None` for none.
    pub fn quantile(&self, share: f64) -> Option<f64> {
        let value = self.counts.value_at_quantile(share) as f64 * STEP;
        self.max().map(|largest| value.min(largest))
    }

    /// Interval at 95 % of the true quantile. `None` in place of an end that so few do not bound.
    pub fn quantile_interval(&self, share: f64) -> (Option<f64>, Option<f64>) {
        let (lower, upper) = quantile_ranks(share, self.count());
        let at = |rank: u64| self.quantile((rank as f64 + 1.0) / self.count() as f64);
        (lower.and_then(at), upper.and_then(at))
    }
}

impl Extend<f64> for Spread {
    fn extend<T: IntoIterator<Item = f64>>(&mut self, durations: T) {
        durations.into_iter().for_each(|seconds| self.record(seconds));
    }
}

impl FromIterator<f64> for Spread {
    fn from_iter<T: IntoIterator<Item = f64>>(durations: T) -> Self {
        let mut spread = Self::default();
        spread.extend(durations);
        spread
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_within_a_thousandth() {
        let spread: Spread = (1..=10_000).map(|it| f64::from(it) / 1000.0).collect();
        for (share, value) in [(0.5, 5.0), (0.99, 9.9), (1.0, 10.0)] {
            let found = spread.quantile(share).unwrap();
            assert!((found / value - 1.0).abs() < 1.1e-3, "{share}: {found}");
        }
        assert_eq!((spread.count(), spread.max()), (10_000, Some(10.0)));
        assert!((spread.mean().unwrap() - 5.0005).abs() < 1e-9);
        let (lo, hi) = spread.quantile_interval(0.99);
        assert!(lo.unwrap() < 9.9 && hi.unwrap() > 9.9 && hi.unwrap() < 9.93);
    }

    #[test]
    fn none_have_no_quantile_and_few_no_upper_end() {
        assert_eq!(Spread::default().quantile(0.5), None);
        assert_eq!(Spread::default().quantile_interval(0.5), (None, None));
        let few: Spread = [0.1, 0.2, f64::NAN, -1.0].into_iter().collect();
        assert_eq!(few.count(), 2);
        assert_eq!(few.quantile_interval(0.99).1, None);
    }
}
