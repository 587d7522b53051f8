//! What is drawn of many values: the paper has no more columns than a few hundred.

/// The points between gaps: a line over a gap would claim values that nobody saw.
pub(super) fn runs<'a>(points: &'a [(f64, f64)], gaps: &[(f64, f64)]) -> Vec<&'a [(f64, f64)]> {
    let parted =
        |a: &(f64, f64), b: &(f64, f64)| last_gap(gaps, b.0).is_some_and(|(from, _)| from >= a.0);
    points.chunk_by(|a, b| !parted(a, b)).collect()
}

/// The last gap that ends by `at`; gaps are in time order.
pub(super) fn last_gap(gaps: &[(f64, f64)], at: f64) -> Option<(f64, f64)> {
    let after = gaps.partition_point(|gap| gap.1 <= at);
    gaps.get(after.checked_sub(1)?).copied()
}

/// At most `most` buckets, each as wide as those that it stands for.
pub(super) fn joined(
    buckets: &[(f64, f64, Option<f64>)],
    most: usize,
) -> Vec<(f64, f64, Option<f64>)> {
    let size = buckets.len().div_ceil(most).max(1);
    let join = |group: &[(f64, f64, Option<f64>)]| {
        let most = |a: Option<f64>, b: Option<f64>| a.zip(b).map(|(a, b)| a.max(b));
        let wider = |a: (f64, f64, Option<f64>), b: (f64, f64, Option<f64>)| {
            (b.0, a.1.min(b.1), most(a.2, b.2))
        };
        group.iter().copied().reduce(wider)
    };
    buckets.chunks(size).filter_map(join).collect()
}

/// At most `most` points: of neighbours the least and the most stay, in their order.
pub(super) fn thinned(run: &[(f64, f64)], most: usize) -> Vec<(f64, f64)> {
    if run.len() <= most {
        return run.to_vec();
    }
    let groups = run.chunks(run.len().div_ceil(most / 2));
    let ends = |group: &[(f64, f64)]| {
        let least = group.iter().copied().min_by(|a, b| a.1.total_cmp(&b.1));
        let most = group.iter().copied().max_by(|a, b| a.1.total_cmp(&b.1));
        let mut ends: Vec<(f64, f64)> = least.into_iter().chain(most).collect();
        ends.sort_by(|a, b| a.0.total_cmp(&b.0));
        ends.dedup();
        ends
    };
    groups.flat_map(ends).collect()
}
