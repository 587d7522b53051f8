//! Classic Prometheus histograms: what they can tell, and what they cannot.

/// Growth of a histogram over a span: cumulative buckets, sum and count.
#[derive(Debug, Clone, PartialEq)]
pub struct Histogram {
    /// `(upper bound, observations at or below it)`, ascending; the last bound is `+Inf`.
    buckets: Vec<(f64, f64)>,
    /// Sum of all observations.
    pub sum: f64,
    /// Number of observations.
    pub count: f64,
}

impl Histogram {
    /// Builds one from cumulative buckets in ascending order. Counts that fall from one bound to
    /// the next (pages torn across a restart) are lifted to the one before.
    pub fn new(mut buckets: Vec<(f64, f64)>, sum: f64, count: f64) -> Self {
        let mut floor = 0.0_f64;
        for (_, cumulative) in &mut buckets {
            *cumulative = cumulative.max(floor);
            floor = *cumulative;
        }
        Self { buckets, sum, count }
    }

    /// Mean of the observations, exact.
    pub fn mean(&self) -> Option<f64> {
        (self.count > 0.0).then(|| self.sum / self.count)
    }

    /// The bucket `(lower, upper]` in which quantile `q` lies: all that buckets can tell.
    pub fn quantile(&self, q: f64) -> Option<(f64, f64)> {
        let total = self.buckets.last()?.1;
        if total <= 0.0 {
            return None;
        }
        let rank = (q * total).max(f64::MIN_POSITIVE);
        let index = self.buckets.partition_point(|&(_, cumulative)| cumulative < rank);
        let upper = self.buckets.get(index)?.0;
        let lower = if index == 0 { 0.0 } else { self.buckets[index - 1].0 };
        Some((lower, upper))
    }

    /// Observations above `bound`, where `bound` is a bucket's bound.
    pub fn above(&self, bound: f64) -> Option<f64> {
        let total = self.buckets.last()?.1;
        let (_, below) = self.buckets.iter().find(|&&(le, _)| le == bound)?;
        Some((total - below).max(0.0))
    }

    /// The least sum that the observations above `bound` can have: each counts as the lower bound
    /// of its bucket.
    pub fn least_sum_above(&self, bound: f64) -> f64 {
        let pairs = self.buckets.windows(2).filter(|pair| pair[0].0 >= bound);
        pairs.map(|pair| (pair[1].1 - pair[0].1) * pair[0].0).sum()
    }

    /// The smallest bound that is at least `value`.
    pub fn bound_at_or_above(&self, value: f64) -> Option<f64> {
        self.buckets.iter().map(|&(le, _)| le).find(|&le| le >= value)
    }

    /// The upper bounds, ascending.
    pub fn bounds(&self) -> impl Iterator<Item = f64> {
        self.buckets.iter().map(|&(le, _)| le)
    }

    /// Standard deviation as far as the buckets show it: observations taken at the middle of
    /// their bucket, so it is rough. The open last bucket is taken at its lower bound.
    pub fn deviation(&self) -> Option<f64> {
        let mean = self.mean()?;
        let (mut below, mut lower, mut squares) = (0.0, 0.0, 0.0);
        for &(le, cumulative) in &self.buckets {
            let middle = if le.is_finite() { f64::midpoint(lower, le) } else { lower };
            squares += (cumulative - below) * (middle - mean).powi(2);
            (below, lower) = (cumulative, le);
        }
        (below > 0.0).then(|| (squares / below).sqrt())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn queue() -> Histogram {
        Histogram::new(vec![(0.3, 99.0), (0.5, 100.0), (f64::INFINITY, 100.0)], 1.0, 100.0)
    }

    #[test]
    fn a_quantile_is_the_bucket_it_falls_in() {
        assert_eq!(queue().quantile(0.95), Some((0.0, 0.3)));
        assert_eq!(queue().quantile(0.995), Some((0.3, 0.5)));
    }

    #[test]
    fn an_empty_histogram_has_no_mean_and_no_quantile() {
        let empty = Histogram::new(vec![(f64::INFINITY, 0.0)], 0.0, 0.0);
        assert_eq!((empty.mean(), empty.quantile(0.5)), (None, None));
    }

    #[test]
    fn shares_above_are_known_only_at_bounds() {
        assert_eq!(queue().above(0.3), Some(1.0));
        assert_eq!(queue().above(0.2), None);
    }

    #[test]
    fn what_lies_above_a_bound_sums_to_at_least_its_buckets_lower_ends() {
        let sizes = Histogram::new(vec![(1.0, 2.0), (5.0, 4.0), (f64::INFINITY, 5.0)], 20.0, 5.0);
        assert_eq!(sizes.least_sum_above(1.0), 2.0 * 1.0 + 1.0 * 5.0);
    }

    #[test]
    fn torn_buckets_never_fall() {
        let torn = Histogram::new(vec![(1.0, 5.0), (2.0, 3.0), (f64::INFINITY, 6.0)], 1.0, 6.0);
        assert_eq!(torn.above(2.0), Some(1.0));
    }
}
