//! How far a sample of B lies from that of A.

use crate::stats::{
    bootstrap::{Difference, difference, paired, ratio_of_sums},
    student::normal_quantile,
    wilson,
};

use super::{Change, Sample, Scale};

/// All measures together miss the truth in this share of comparisons at most.
pub(super) const OUTSIDE: f64 = 0.05;

/// Quantile of the normal distribution behind "shown in 4 of 5 comparisons".
const POWER: f64 = 0.8;

/// The number that a sample tells.
pub(super) fn value(sample: &Sample) -> Option<f64> {
    match sample {
        Sample::Ratio(blocks) => ratio_of_sums(&mut blocks.iter()),
        Sample::Share(hits, n) => (*n > 0.0).then(|| hits / n),
        Sample::Quantile(q, blocks) => quantile(*q, &mut blocks.iter()),
    }
}

fn quantile(q: f64, blocks: &mut dyn Iterator<Item = &Vec<f64>>) -> Option<f64> {
    let mut values: Vec<f64> = blocks.flatten().copied().collect();
    if values.is_empty() {
        return None;
    }
    let rank = ((q * values.len() as f64).ceil() as usize).clamp(1, values.len()) - 1;
    Some(*values.select_nth_unstable_by(rank, f64::total_cmp).1)
}

/// A difference of two samples, on the logarithms for factors.
pub(super) enum Moved {
    /// By drawing blocks anew.
    Drawn(Difference),
    /// Of two shares: `(hits, n)` each.
    Shares([(f64, f64); 2]),
}

impl Moved {
    pub(super) fn between(a: &Sample, b: &Sample, scale: Scale, interleaved: bool) -> Option<Self> {
        let on = |value: f64| match scale {
            Scale::Factor => (value > 0.0).then(|| value.ln()),
            Scale::Difference => Some(value),
        };
        let drawn = match (a, b) {
            (Sample::Ratio(a), Sample::Ratio(b)) => {
                let of = |pairs: &mut dyn Iterator<Item = &(f64, f64)>| on(ratio_of_sums(pairs)?);
                if interleaved { paired(a, b, &of) } else { difference(a, b, &of) }
            }
            (Sample::Quantile(q, a), Sample::Quantile(_, b)) => {
                let of = |blocks: &mut dyn Iterator<Item = &Vec<f64>>| on(quantile(*q, blocks)?);
                if interleaved { paired(a, b, &of) } else { difference(a, b, &of) }
            }
            (Sample::Share(a, n), Sample::Share(b, m)) if *n > 0.0 && *m > 0.0 => {
                return Some(Self::Shares([(*a, *n), (*b, *m)]));
            }
            _ => None,
        };
        drawn.map(Self::Drawn)
    }

    /// Point and interval that misses the truth with probability `outside`.
    fn interval(&self, outside: f64) -> (f64, f64, f64) {
        match self {
            Self::Drawn(difference) => {
                let (lo, hi) = difference.interval(outside);
                (difference.point, lo, hi)
            }
            Self::Shares(shares) => newcombe(*shares, -normal_quantile(outside / 2.0)),
        }
    }

    pub(super) fn change(&self, scale: Scale, outside: f64) -> Change {
        let back = |value: f64| if scale == Scale::Factor { value.exp() } else { value };
        let (point, lo, hi) = self.interval(OUTSIDE);
        let (_, sure_lo, sure_hi) = self.interval(outside);
        let reach = (sure_hi - sure_lo) / 2.0;
        let shown = reach * (1.0 + normal_quantile(POWER) / -normal_quantile(outside / 2.0));
        Change {
            scale,
            point: back(point),
            lo: back(lo),
            hi: back(hi),
            sure_lo: back(sure_lo),
            sure_hi: back(sure_hi),
            detectable: if scale == Scale::Factor { shown.exp_m1() } else { shown },
            tolerated: f64::NAN,
        }
    }
}

/// Difference of two shares with its interval (Newcombe 1998, method 10).
fn newcombe([a, b]: [(f64, f64); 2], z: f64) -> (f64, f64, f64) {
    let of = |(hits, n): (f64, f64)| {
        let (lo, hi) = wilson(hits, n, z).unwrap_or((0.0, 1.0));
        (hits / n, lo, hi)
    };
    let ((p, p_lo, p_hi), (q, q_lo, q_hi)) = (of(a), of(b));
    let reach = |x: f64, y: f64| (x * x + y * y).sqrt();
    let point = q - p;
    (point, point - reach(q - q_lo, p_hi - p), point + reach(q_hi - q, p - p_lo))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_differ_by_newcombes_interval() {
        // Newcombe (1998), table II (a): 56/70 and 48/80, method 10.
        let (point, lo, hi) = newcombe([(48.0, 80.0), (56.0, 70.0)], 1.96);
        assert!((point - 0.2).abs() < 1e-9);
        assert!((lo - 0.0524).abs() < 1e-3 && (hi - 0.3339).abs() < 1e-3, "{lo} {hi}");
    }
}
