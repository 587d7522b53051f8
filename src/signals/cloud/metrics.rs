//! CloudWatch's metrics: sums, means and shares over a span.
//!
//! A metric may be kept with several sets of dimensions; the finest set counts, and of its periods
//! the shortest, so that nothing is counted twice. Percentiles of several sets or periods cannot be
//! added: what is known of them together is the interval from the least to the largest.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    evidence::{Span, cloud::CloudSeries, series::Point},
    signals::{Estimate, Frame, Missing, MissingKind, Value},
};

use super::unread;

/// The series of a metric with the finest set of dimensions.
fn named<'a>(
    frame: &Frame<'a>,
    name: &str,
    statistic: &str,
) -> Result<Vec<&'a CloudSeries>, Missing> {
    if frame.view.is_lifetime() {
        let why = "CloudWatch was asked for the recorded time only";
        return Err(Missing::new(MissingKind::NoBaseline, why));
    }
    let why = "CloudWatch was not asked (--cloudwatch, or --sagemaker NAME)";
    let cloud = frame.evidence.cloud.as_ref().filter(|it| !it.metrics.is_empty());
    let all = &cloud.ok_or_else(|| unread(frame, "cloudwatch", why))?.metrics;
    let own = || all.iter().filter(|it| it.name == name && it.statistic == statistic);
    let finest = own().map(keys).max_by(|a, b| a.len().cmp(&b.len()).then(b.cmp(a)));
    let finest = finest.ok_or_else(|| {
        let why = format!("CloudWatch has no metric {name}");
        Missing::new(MissingKind::Absent, why)
    })?;
    Ok(own().filter(|it| keys(it) == finest).collect())
}

fn keys(series: &CloudSeries) -> Vec<&str> {
    series.dimensions.iter().map(|(key, _)| key.as_str()).collect()
}

/// Where less than this was recorded, seconds, metrics that come once a minute say next to nothing
/// of it: so much is looked at up to the end of each span.
const SHORTEST: f64 = 600.0;

fn is_short(frame: &Frame<'_>) -> bool {
    frame.evidence.span.seconds() < SHORTEST
}

fn looked_at(frame: &Frame<'_>) -> Span {
    let span = frame.view.span();
    if is_short(frame) { Span { from: span.to - SHORTEST, ..span } } else { span }
}

/// The same with points in the span, of the shortest period that has any.
pub(super) fn seen<'a>(
    frame: &Frame<'a>,
    name: &str,
    statistic: &str,
) -> Result<Vec<(&'a CloudSeries, &'a [Point])>, Missing> {
    let span = looked_at(frame);
    let all = named(frame, name, statistic)?.into_iter().map(|it| (it, it.within(span)));
    let all: Vec<_> = all.filter(|(_, points)| !points.is_empty()).collect();
    let shortest = all.iter().map(|(it, _)| it.period).reduce(f64::min);
    let shortest = shortest.ok_or_else(|| Missing::no_samples(&format!("value of {name}")))?;
    Ok(all.into_iter().filter(|(it, _)| it.period <= shortest).collect())
}

fn sum(seen: &[(&CloudSeries, &[Point])]) -> f64 {
    seen.iter().flat_map(|(_, points)| points.iter()).map(|point| point.value).sum()
}

/// Sum of a metric over the span, and of how many values.
pub(in crate::signals) fn total(frame: &Frame<'_>, name: &str) -> Result<(f64, f64), Missing> {
    Ok((sum(&seen(frame, name, "Sum")?), sum(&seen(frame, name, "SampleCount")?)))
}

/// A metric that is sent only when something happens: known and silent is 0.
pub(super) fn happened(frame: &Frame<'_>, name: &str) -> Value {
    named(frame, name, "Sum")?;
    let hits = seen(frame, name, "Sum").map_or(0.0, |seen| sum(&seen));
    Ok(Estimate::exact(hits, None))
}

/// Share of the requests that sent 1 and not 0.
pub(super) fn share(frame: &Frame<'_>, name: &str) -> Value {
    let (hits, n) = total(frame, name)?;
    Estimate::share(hits, n).ok_or_else(|| Missing::no_samples(&format!("value of {name}")))
}

/// Hits of one metric over those of another, which counts all.
pub(in crate::signals) fn part(
    frame: &Frame<'_>,
    hits: &str,
    all: &str,
) -> Result<(f64, f64), Missing> {
    let n = sum(&seen(frame, all, "Sum")?);
    named(frame, hits, "Sum")?;
    let hits = seen(frame, hits, "Sum").map_or(0.0, |seen| sum(&seen));
    Ok((hits, n.max(hits)))
}

/// Mean of a metric, times `scale`; its error by how the periods differ.
pub(in crate::signals) fn mean(frame: &Frame<'_>, name: &str, scale: f64) -> Value {
    let sums = seen(frame, name, "Sum")?;
    let counts = seen(frame, name, "SampleCount")?;
    let pairs: Vec<(f64, f64)> = sums
        .iter()
        .flat_map(|(of, points)| {
            let own = counts.iter().find(|(it, _)| it.dimensions == of.dimensions);
            let count = move |at: f64| own?.1.iter().find(|it| it.at == at).map(|it| it.value);
            points.iter().filter_map(move |point| Some((point.value, count(point.at)?)))
        })
        .filter(|(_, n)| *n > 0.0)
        .collect();
    weighted(&pairs, scale).ok_or_else(|| Missing::no_samples(&format!("value of {name}")))
}

/// Mean of `(sum, count)` a period.
fn weighted(pairs: &[(f64, f64)], scale: f64) -> Option<Estimate> {
    let n: f64 = pairs.iter().map(|(_, n)| n).sum();
    let mean = pairs.iter().map(|(sum, _)| sum).sum::<f64>() / n;
    let spread: f64 = pairs.iter().map(|(sum, n)| (sum - n * mean).powi(2)).sum();
    (n > 0.0).then(|| Estimate::with_error(mean * scale, spread.sqrt() / n * scale, n))
}

/// A percentile: that of all requests together lies between the least and the largest of the parts.
pub(super) fn percentile(frame: &Frame<'_>, name: &str, which: &str, scale: f64) -> Value {
    let parts = seen(frame, name, which)?;
    let values = || parts.iter().flat_map(|(_, points)| points.iter()).map(|it| it.value * scale);
    let n = total(frame, name).map_or(0.0, |(_, n)| n);
    let none = || Missing::no_samples(&format!("value of {name}"));
    let lo = values().reduce(f64::min).ok_or_else(none)?;
    let hi = values().reduce(f64::max).ok_or_else(none)?;
    Ok(Estimate::bucket(lo, hi, n))
}

/// The means of a gauge over the periods, summed over its sets of dimensions.
pub(in crate::signals) fn gauge(frame: &Frame<'_>, name: &str) -> Result<Vec<Point>, Missing> {
    let mut sums: BTreeMap<u64, Point> = BTreeMap::new();
    for (_, points) in seen(frame, name, "Average")? {
        for point in points {
            let key = (point.at * 1e3) as u64;
            sums.entry(key).or_insert(Point { value: 0.0, ..*point }).value += point.value;
        }
    }
    Ok(sums.into_values().collect())
}

/// What the endpoint's fullest instance has left of something, by its largest use in percent.
pub(in crate::signals) fn left(frame: &Frame<'_>, name: &str) -> Value {
    let parts = seen(frame, name, "Maximum").or_else(|_| seen(frame, name, "Average"))?;
    let values = parts.iter().flat_map(|(_, points)| points.iter()).map(|it| it.value);
    let most = values.reduce(f64::max).ok_or_else(|| Missing::no_samples(name))?;
    Ok(Estimate::exact((1.0 - most / 100.0).clamp(0.0, 1.0), None))
}

/// Requests a second that reach the gateway, or the endpoint where the gateway sends no metrics.
pub(in crate::signals) fn offered(frame: &Frame<'_>) -> Value {
    let gateway = seen(frame, "TTFTMs", "SampleCount");
    let seen = gateway.or_else(|_| seen(frame, "Invocations", "Sum"))?;
    let periods: BTreeSet<u64> =
        seen.iter().flat_map(|(_, it)| it.iter()).map(|it| it.at as u64).collect();
    let period = seen.iter().map(|(it, _)| it.period).fold(0.0, f64::max);
    let (n, seconds) = (sum(&seen), periods.len() as f64 * period);
    if seconds <= 0.0 {
        return Err(Missing::no_samples("request counted in CloudWatch"));
    }
    Ok(Estimate::with_error(n / seconds, n.sqrt() / seconds, n))
}

/// Metrics by whose periods the recorded time is cut into pieces.
const CLOCKS: [(&str, &str); 3] =
    [("TTFTMs", "SampleCount"), ("GenerationMs", "SampleCount"), ("Invocations", "Sum")];

/// The span piece by piece, as CloudWatch's periods cut it.
pub(in crate::signals) fn intervals<'a>(frame: &Frame<'a>) -> Vec<Frame<'a>> {
    let clock = CLOCKS.iter().find_map(|(name, statistic)| seen(frame, name, statistic).ok());
    let Some(clock) = clock.filter(|_| !is_short(frame)) else { return Vec::new() };
    let period = clock.first().map_or(60.0, |(it, _)| it.period);
    let starts: BTreeSet<u64> =
        clock.iter().flat_map(|(_, it)| it.iter()).map(|it| (it.at * 1e3) as u64).collect();
    let piece = |ms: u64| {
        let from = ms as f64 / 1e3;
        Frame::new(frame.evidence, Span { from, to: from + period })
    };
    starts.into_iter().map(piece).collect()
}
