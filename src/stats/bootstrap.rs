//! How far two samples differ, where neighbouring observations depend on each other.
//!
//! Observations are put into blocks of neighbours, and blocks are drawn anew (Künsch 1989). The
//! spread of what is drawn is the error, and Student's distribution with Welch's degrees of freedom
//! makes an interval of it. Each draw takes one block less than there are, which makes the variance
//! unbiased (Hesterberg 2015, §3.2). Equal input gives equal output: the seed is fixed.

use super::student::t_both_tails;

/// Draws of each sample; the error is known to some 3 %.
const DRAWS: usize = 500;

/// Blocks that a sample needs.
pub const LEAST_BLOCKS: usize = 5;

/// Share of the draws that must give a number.
const USABLE: f64 = 0.95;

/// Numbers that look like chance and are always the same (SplitMix64; Steele et al. 2014).
#[derive(Debug, Clone)]
pub struct Random(u64);

impl Random {
    /// Starts a sequence.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next 64 bits.
    pub fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A whole number under `end`, which is above 0.
    pub fn below(&mut self, end: usize) -> usize {
        ((u128::from(self.bits()) * end as u128) >> 64) as usize
    }
}

/// A difference with its error.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Difference {
    /// `b - a`, in the unit of the statistic.
    pub point: f64,
    /// Standard error.
    pub error: f64,
    /// Degrees of freedom behind the error.
    pub freedom: f64,
}

impl Difference {
    /// Half the width of the interval that misses the truth with probability `outside`.
    pub fn half_width(&self, outside: f64) -> f64 {
        t_both_tails(outside, self.freedom) * self.error
    }

    /// The interval that misses the truth with probability `outside`.
    pub fn interval(&self, outside: f64) -> (f64, f64) {
        let half = self.half_width(outside);
        (self.point - half, self.point + half)
    }
}

/// A statistic of some blocks of a sample, by index; `None` where they give none.
pub type Statistic<'a, B> = &'a dyn Fn(&mut dyn Iterator<Item = &B>) -> Option<f64>;

/// `statistic(b) - statistic(a)` of two independent samples. `None` with fewer than
/// [`LEAST_BLOCKS`] blocks, or where the statistic has no value.
pub fn difference<B>(a: &[B], b: &[B], statistic: Statistic<'_, B>) -> Option<Difference> {
    let (of_a, of_b) = (statistic(&mut a.iter())?, statistic(&mut b.iter())?);
    let (spread_a, spread_b) = (variance(a, statistic)?, variance(b, statistic)?);
    let both = spread_a + spread_b;
    let part = |spread: f64, n: usize| spread * spread / (n as f64 - 1.0);
    let parts = part(spread_a, a.len()) + part(spread_b, b.len());
    let least = a.len().min(b.len()) as f64 - 1.0;
    let freedom = if parts > 0.0 { (both * both / parts).max(least) } else { least };
    Some(Difference { point: of_b - of_a, error: both.sqrt(), freedom })
}

/// The same where block `i` of both samples was taken at the same time, so that what troubled one
/// troubled the other. Blocks that only one sample has are left out.
pub fn paired<B>(a: &[B], b: &[B], statistic: Statistic<'_, B>) -> Option<Difference> {
    let pairs: Vec<(&B, &B)> = a.iter().zip(b).collect();
    let of = |drawn: &mut dyn Iterator<Item = &(&B, &B)>| {
        let drawn: Vec<_> = drawn.collect();
        let of_a = statistic(&mut drawn.iter().map(|pair| pair.0))?;
        Some(statistic(&mut drawn.iter().map(|pair| pair.1))? - of_a)
    };
    let point = of(&mut pairs.iter())?;
    let error = variance(&pairs, &of)?.sqrt();
    Some(Difference { point, error, freedom: pairs.len() as f64 - 1.0 })
}

/// The variance of a statistic over draws of blocks.
fn variance<B>(blocks: &[B], statistic: Statistic<'_, B>) -> Option<f64> {
    if blocks.len() < LEAST_BLOCKS {
        return None;
    }
    let mut random = Random::new(blocks.len() as u64);
    let mut drawn = Vec::with_capacity(blocks.len());
    let mut values = Vec::with_capacity(DRAWS);
    for _ in 0..DRAWS {
        drawn.clear();
        drawn.extend((1..blocks.len()).map(|_| random.below(blocks.len())));
        values.extend(statistic(&mut drawn.iter().map(|&index| &blocks[index])));
    }
    let n = values.len() as f64;
    if n < USABLE * DRAWS as f64 {
        return None;
    }
    let mean = values.iter().sum::<f64>() / n;
    let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    Some(squares / (n - 1.0))
}

/// Neighbours that go into one block: the cube root of their number (Hall, Horowitz and Jing 1995),
/// but never so many that fewer than `least` blocks are left.
pub fn block_length(n: usize, least: usize) -> usize {
    let length = (n as f64).cbrt().round() as usize;
    length.min(n / least.max(1)).max(1)
}

/// Puts neighbours into blocks of about `length`, none left over.
pub fn blocks<T>(items: &[T], length: usize) -> Vec<&[T]> {
    let count = (items.len() / length.max(1)).max(usize::from(!items.is_empty()));
    (0..count).map(|i| &items[i * items.len() / count..(i + 1) * items.len() / count]).collect()
}

/// `Σ top / Σ bottom` over drawn pairs.
pub fn ratio_of_sums(pairs: &mut dyn Iterator<Item = &(f64, f64)>) -> Option<f64> {
    let (top, bottom) = pairs.fold((0.0, 0.0), |sum, pair| (sum.0 + pair.0, sum.1 + pair.1));
    (bottom > 0.0).then(|| top / bottom)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::student::normal_quantile;

    fn log_ratio(pairs: &mut dyn Iterator<Item = &(f64, f64)>) -> Option<f64> {
        ratio_of_sums(pairs).filter(|ratio| *ratio > 0.0).map(f64::ln)
    }

    fn uniform(random: &mut Random) -> f64 {
        (random.bits() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// Skewed values that hang on to the one before, as latencies do.
    fn latencies(random: &mut Random, n: usize, hold: f64) -> Vec<(f64, f64)> {
        let mut state = 0.0;
        let mut next = || {
            let shock = normal_quantile(uniform(random).clamp(1e-9, 1.0 - 1e-9));
            state = hold * state + (1.0 - hold * hold).sqrt() * shock;
            let requests = 5.0 + (uniform(random) * 10.0).floor();
            (requests * (0.6_f64 * state).exp(), requests)
        };
        (0..n).map(|_| next()).collect()
    }

    fn summed(pairs: &[(f64, f64)]) -> Vec<(f64, f64)> {
        let length = block_length(pairs.len(), 10);
        let sum = |block: &[(f64, f64)]| {
            block.iter().fold((0.0, 0.0), |sum, pair| (sum.0 + pair.0, sum.1 + pair.1))
        };
        blocks(pairs, length).into_iter().map(sum).collect()
    }

    /// Share of trials in which the interval holds the truth, which is no difference.
    fn coverage(n: (usize, usize), hold: f64) -> f64 {
        const TRIALS: usize = 250;
        let mut random = Random::new(7);
        let held = (0..TRIALS).filter(|_| {
            let a = summed(&latencies(&mut random, n.0, hold));
            let b = summed(&latencies(&mut random, n.1, hold));
            let (lo, hi) = difference(&a, &b, &log_ratio).unwrap().interval(0.05);
            (lo..=hi).contains(&0.0)
        });
        held.count() as f64 / TRIALS as f64
    }

    #[test]
    fn intervals_hold_the_truth_as_often_as_they_say() {
        for (n, hold) in [((60, 60), 0.0), ((20, 60), 0.0), ((120, 60), 0.3)] {
            let share = coverage(n, hold);
            println!("{n:?} intervals, correlation {hold}: the truth is held in {share:.3}");
            assert!((0.91..=0.985).contains(&share), "{n:?} {hold}: {share}");
        }
    }

    #[test]
    fn pairs_cancel_what_troubles_both() {
        let mut random = Random::new(3);
        let a = latencies(&mut random, 40, 0.0);
        let b: Vec<_> = a.iter().map(|(top, n)| (top * 1.05, *n)).collect();
        let pairs = paired(&a, &b, &log_ratio).unwrap();
        let apart = difference(&a, &b, &log_ratio).unwrap();
        assert!(pairs.error < apart.error / 10.0);
        let (lo, hi) = pairs.interval(0.05);
        assert!(lo > 0.0 && (lo..=hi).contains(&1.05_f64.ln()));
    }

    #[test]
    fn few_blocks_and_empty_ones_tell_nothing() {
        let few = [(1.0, 1.0); LEAST_BLOCKS - 1];
        assert_eq!(difference(&few, &few, &log_ratio), None);
        let empty = [(0.0, 0.0); 20];
        assert_eq!(difference(&empty, &empty, &log_ratio), None);
    }

    #[test]
    fn blocks_leave_nothing_over() {
        let items: Vec<usize> = (0..23).collect();
        let parts = blocks(&items, 4);
        assert_eq!(parts.iter().map(|part| part.len()).sum::<usize>(), 23);
        assert_eq!(parts.len(), 5);
        assert_eq!((block_length(64, 10), block_length(12, 10), block_length(0, 10)), (4, 1, 1));
        assert!(blocks::<usize>(&[], 4).is_empty());
    }
}
