//! Small statistics, each with the source of its formula.

pub mod exact;

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
}
