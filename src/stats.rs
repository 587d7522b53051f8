//! Small statistics, each with the source of its formula.

pub mod bootstrap;
pub mod exact;
pub mod spread;
pub mod student;

/// The median; `None` for no values.
pub fn median(values: &[f64]) -> Option<f64> {
    let mut sorted: Vec<f64> = values.iter().copied().filter(|value| value.is_finite()).collect();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    match sorted.len() {
        0 => None,
        n if n % 2 == 1 => Some(sorted[middle]),
        _ => Some(f64::midpoint(sorted[middle - 1], sorted[middle])),
    }
}

/// Wilson's score interval for `hits` of `n` at `z` standard deviations (Wilson 1927).
pub fn wilson(hits: f64, n: f64, z: f64) -> Option<(f64, f64)> {
    if n <= 0.0 {
        return None;
    }
    let share = (hits / n).clamp(0.0, 1.0);
    let squared = z * z;
    let middle = (share + squared / (2.0 * n)) / (1.0 + squared / n);
    let spread = share * (1.0 - share) / n + squared / (4.0 * n * n);
    let reach = z * spread.sqrt() / (1.0 + squared / n);
    Some(((middle - reach).max(0.0), (middle + reach).min(1.0)))
}

/// Standard error of the ratio `Σ top / Σ bottom` over intervals, from the spread of the intervals
/// themselves (linearised ratio estimator; Cochran, Sampling Techniques, §6.4). Takes three
/// intervals with something in them.
pub fn ratio_error(pairs: &[(f64, f64)]) -> Option<f64> {
    let used: Vec<_> = pairs.iter().filter(|(_, bottom)| *bottom > 0.0).collect();
    let total: f64 = used.iter().map(|(_, bottom)| bottom).sum();
    if used.len() < 3 || total <= 0.0 {
        return None;
    }
    let ratio = used.iter().map(|(top, _)| top).sum::<f64>() / total;
    let squares: f64 = used.iter().map(|(top, bottom)| (top - ratio * bottom).powi(2)).sum();
    let count = used.len() as f64;
    Some((count / (count - 1.0) * squares).sqrt() / total)
}

/// Chance that a standard normal value lies above `z` (Abramowitz and Stegun 26.2.17; off by less
/// than 1e-7).
pub fn normal_tail(z: f64) -> f64 {
    if z < 0.0 {
        return 1.0 - normal_tail(-z);
    }
    let t = 1.0 / (1.0 + 0.231_641_9 * z);
    let terms = [0.319_381_53, -0.356_563_782, 1.781_477_937, -1.821_255_978, 1.330_274_429];
    let series = terms.iter().rev().fold(0.0, |sum, term| (sum + term) * t);
    (-z * z / 2.0).exp() / (2.0 * std::f64::consts::PI).sqrt() * series
}

/// Chance that values without a trend rise as much as these, in their order (Mann 1945, Kendall
/// 1975; normal approximation with the correction for ties). Takes five values.
pub fn mann_kendall(values: &[f64]) -> Option<f64> {
    if values.len() < 5 {
        return None;
    }
    let rises = |(index, value): (usize, &f64)| -> f64 {
        values[index + 1..]
            .iter()
            .map(|later| (later - value).partial_cmp(&0.0).map_or(0.0, |it| f64::from(it as i8)))
            .sum()
    };
    let score: f64 = values.iter().enumerate().map(rises).sum();
    let variance = kendall_variance(values);
    if variance <= 0.0 {
        return Some(1.0);
    }
    Some(normal_tail((score - score.signum()) / variance.sqrt()))
}

fn kendall_variance(values: &[f64]) -> f64 {
    let part = |n: f64| n * (n - 1.0) * (2.0 * n + 5.0);
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let ties: f64 = sorted.chunk_by(|a, b| a == b).map(|same| part(same.len() as f64)).sum();
    (part(values.len() as f64) - ties) / 18.0
}

/// A slope with its interval at 95 %.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Slope {
    /// Median of the slopes between all pairs.
    pub slope: f64,
    /// Lower end.
    pub lo: f64,
    /// Upper end.
    pub hi: f64,
}

/// The slope of points `(x, y)` that outliers do not move (Theil 1950, Sen 1968). Takes five points;
/// of more than 500 every n-th is used.
pub fn theil_sen(points: &[(f64, f64)]) -> Option<Slope> {
    let step = points.len().div_ceil(500).max(1);
    let used: Vec<_> = points.iter().step_by(step).copied().collect();
    if used.len() < 5 {
        return None;
    }
    let pairs = used.iter().enumerate().flat_map(|(index, from)| {
        used[index + 1..].iter().map(move |to| (to.1 - from.1) / (to.0 - from.0))
    });
    let mut slopes: Vec<f64> = pairs.filter(|slope| slope.is_finite()).collect();
    slopes.sort_by(f64::total_cmp);
    let values: Vec<f64> = used.iter().map(|point| point.1).collect();
    let reach = 1.96 * kendall_variance(&values).max(0.0).sqrt();
    let last = slopes.len().checked_sub(1)?;
    let middle = slopes.len() as f64 / 2.0;
    let at = |rank: f64| slopes[(rank.max(0.0) as usize).min(last)];
    let (lo, hi) = (at(middle - reach / 2.0 - 1.0), at(middle + reach / 2.0));
    Some(Slope { slope: median(&slopes)?, lo, hi })
}

/// Ranks, from 0, between which the `share` quantile of all values lies with 95 %, by `n` of them
/// (order statistics, binomial by its normal approximation). `None` in place of an end that so few
/// values do not bound.
pub fn quantile_ranks(share: f64, n: u64) -> (Option<u64>, Option<u64>) {
    let count = n as f64;
    let spread = 1.96 * (count * share * (1.0 - share)).sqrt();
    let lower = (count * share - spread).floor() - 1.0;
    let upper = (count * share + spread).ceil();
    let rank = |rank: f64| (rank >= 0.0 && rank < count).then_some(rank as u64);
    (rank(lower), rank(upper))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn median_of_even_and_odd_counts() {
        assert_eq!(median(&[3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(&[4.0, 1.0, 2.0, 3.0]), Some(2.5));
        assert_eq!(median(&[]), None);
    }

    #[test]
    fn wilson_matches_the_textbook() {
        let (lo, hi) = wilson(92.0, 100.0, 1.96).unwrap();
        assert!((lo - 0.8500).abs() < 0.0005 && (hi - 0.9589).abs() < 0.0005, "{lo} {hi}");
    }

    #[test]
    fn equal_intervals_leave_no_error_and_two_intervals_tell_none() {
        assert_eq!(ratio_error(&[(2.0, 1.0), (4.0, 2.0), (6.0, 3.0)]), Some(0.0));
        assert_eq!(ratio_error(&[(2.0, 1.0), (4.0, 2.0)]), None);
    }

    #[test]
    fn a_trend_is_told_from_noise() {
        let rising: Vec<f64> = (0..10).map(f64::from).collect();
        // S = 45, variance 125: z = 44 / 11.18 = 3.935.
        assert!((mann_kendall(&rising).unwrap() - 4.15e-5).abs() < 2e-6);
        let noise = [3.0, 1.0, 4.0, 1.0, 5.0, 2.0, 6.0, 1.0, 3.0, 2.0];
        assert!(mann_kendall(&noise).unwrap() > 0.3);
        let falling: Vec<f64> = rising.iter().map(|value| -value).collect();
        assert!(mann_kendall(&falling).unwrap() > 0.99);
        assert_eq!(mann_kendall(&[1.0; 10]), Some(1.0));
    }

    #[test]
    fn a_slope_is_not_moved_by_an_outlier() {
        let mut points: Vec<_> = (0..20).map(|x| (f64::from(x), 2.0 * f64::from(x))).collect();
        points[7].1 = 1e6;
        let found = theil_sen(&points).unwrap();
        assert!((found.slope - 2.0).abs() < 1e-9 && found.lo <= 2.0 && found.hi >= 2.0);
    }

    #[test]
    fn few_values_do_not_bound_a_high_quantile() {
        assert_eq!(quantile_ranks(0.99, 100).1, None);
        assert!(quantile_ranks(0.99, 1000).1.is_some());
        // The textbook's interval of a median of 100: the 40th to the 61st value.
        assert_eq!(quantile_ranks(0.5, 100), (Some(39), Some(60)));
    }

    #[test]
    fn the_normal_tail_matches_the_tables() {
        for (z, tail) in [(0.0, 0.5), (1.6449, 0.05), (1.96, 0.024_998), (-1.0, 0.841_345)] {
            assert!((normal_tail(z) - tail).abs() < 2e-5, "{z}");
        }
    }
}
