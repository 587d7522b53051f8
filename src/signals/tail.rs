//! A tail that was not there before: observations beyond nearly all of the baseline's.

use crate::evidence::histogram::Histogram;

use super::{Estimate, Frame, Missing, MissingKind, Value};

/// Share of the baseline that must lie at or below the limit of the usual.
const USUAL: f64 = 0.98;

/// Observations that a baseline needs to say what is usual.
const LEAST: f64 = 30.0;

/// The bucket bound below which nearly all of the baseline lay, and the share above it.
fn usual_limit(family: &str, before: &Frame<'_>) -> Result<(f64, f64), Missing> {
    let histogram = before.histogram(family)?;
    let few = || Missing::new(MissingKind::NoBaseline, "too few observations in the baseline");
    if histogram.count < LEAST {
        return Err(few());
    }
    let (_, limit) = histogram.quantile(USUAL).filter(|(_, hi)| hi.is_finite()).ok_or_else(few)?;
    Ok((limit, histogram.above(limit).unwrap_or(0.0) / histogram.count))
}

/// Share of observations above the limit of the usual, beyond that share before; `0..1`.
pub(super) fn excess(family: &str, now: &Frame<'_>, before: &Frame<'_>) -> Value {
    let (limit, usual) = usual_limit(family, before)?;
    let histogram = now.histogram(family)?;
    let above = histogram.above(limit).ok_or_else(|| Missing::no_samples("such bucket"))?;
    let excess = (above - usual * histogram.count).max(0.0);
    Estimate::share(excess, histogram.count).ok_or_else(|| Missing::no_samples("observation"))
}

/// Least share of the sum that comes from above the limit of the usual: each observation there
/// counts as the lower bound of its bucket; `0..1`.
pub(super) fn least_share(family: &str, now: &Frame<'_>, before: &Frame<'_>) -> Value {
    let (limit, _) = usual_limit(family, before)?;
    let histogram = now.histogram(family)?;
    if histogram.sum <= 0.0 {
        return Err(Missing::no_samples("observation"));
    }
    let share = (histogram.least_sum_above(limit) / histogram.sum).min(1.0);
    Ok(Estimate::exact(share, Some(histogram.count)))
}

/// The largest rise, over the bounds of the usual, of the share above a bound, less the share
/// beyond the usual: what moved is then the body of the distribution; `0..1`.
pub(super) fn body_shift(family: &str, now: &Frame<'_>, before: &Frame<'_>) -> Value {
    let (limit, _) = usual_limit(family, before)?;
    let excess = excess(family, now, before)?.point;
    let (now, before) = (now.histogram(family)?, before.histogram(family)?);
    let rise = |bound: f64| {
        let share = |of: &Histogram| Some(of.above(bound)? / of.count);
        Some(share(&now)? - share(&before)?)
    };
    let rises = now.bounds().filter(|bound| *bound < limit).filter_map(rise);
    let shift = rises.fold(0.0, f64::max) - excess;
    let error = (0.25 / now.count + 0.25 / before.count).sqrt();
    let point = shift.max(0.0);
    let (lo, hi) = ((point - error).max(0.0), point + error);
    Ok(Estimate { point, lo, hi, n: Some(now.count.min(before.count)), bucket: false })
}
