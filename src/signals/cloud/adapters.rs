//! Each adapter against its own past, by the gateway's metrics in CloudWatch.
//!
//! A percentile is that of one adapter with one version of the server, never one over several; an
//! adapter that went out in a new version is compared with its version before.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    evidence::{adapter::Name, cloud::CloudSeries, series::Point},
    signals::{Estimate, Frame, Missing, MissingKind, Value},
};

use super::metrics::seen;

/// Requests of an adapter that are needed to compare it.
const ENOUGH: f64 = 30.0;

const ADAPTER: &str = "AdapterId";

/// A series with its points in the span.
type Part<'a> = (&'a CloudSeries, &'a [Point]);

/// The adapters with requests in the span, with how many.
pub(in crate::signals) fn served<'a>(frame: &Frame<'a>) -> Result<BTreeMap<&'a str, f64>, Missing> {
    let mut adapters: BTreeMap<&str, f64> = BTreeMap::new();
    for (series, points) in seen(frame, "GenerationMs", "SampleCount")? {
        if let Some(adapter) = series.dimension(ADAPTER) {
            *adapters.entry(adapter).or_default() += points.iter().map(|it| it.value).sum::<f64>();
        }
    }
    adapters.retain(|_, requests| *requests > 0.0);
    let why = || Missing::new(MissingKind::Absent, "the metrics in CloudWatch name no adapter");
    if adapters.is_empty() { Err(why()) } else { Ok(adapters) }
}

/// Each adapter of now with its name before, which may be that of the version before.
fn pairs<'a>(now: &Frame<'a>, before: &Frame<'a>) -> Result<Vec<(&'a str, String)>, Missing> {
    let (now, before) = (served(now)?, served(before)?);
    let known: BTreeSet<String> = before.keys().map(|name| (*name).to_owned()).collect();
    let former = |name: &str| match known.contains(name) {
        true => Some(name.to_owned()),
        false => Some(Name::of(name)?.before(&known)?.to_owned()),
    };
    Ok(now.keys().filter_map(|name| Some((*name, former(name)?))).collect())
}

/// P95 of the time to generate of the slowest adapter over its own baseline.
pub(in crate::signals) fn slowdown(now: &Frame<'_>, before: &Frame<'_>) -> Value {
    Ok(slowest(now, before)?.grown)
}

/// The same of all other adapters, each counted by its requests.
pub(in crate::signals) fn others(now: &Frame<'_>, before: &Frame<'_>) -> Value {
    let slow = slowest(now, before)?.name;
    let rest = changes(now, before)?.into_iter().filter(|it| it.name != slow);
    let known: Vec<Estimate> = rest.filter_map(|it| it.grown.ok()).collect();
    let weight = |it: &Estimate| it.n.unwrap_or(1.0);
    let all: f64 = known.iter().map(weight).sum();
    if all <= 0.0 {
        let why = format!("no other adapter has {ENOUGH} requests before and now");
        return Err(Missing::new(MissingKind::TooFew, why));
    }
    let mean =
        |of: fn(&Estimate) -> f64| known.iter().map(|it| of(it) * weight(it)).sum::<f64>() / all;
    let (point, lo, hi) = (mean(|it| it.point), mean(|it| it.lo), mean(|it| it.hi));
    Ok(Estimate { point, lo, hi, n: Some(all), bucket: false })
}

/// Mean prompt tokens of the slowest adapter over its baseline.
pub(in crate::signals) fn prompts(now: &Frame<'_>, before: &Frame<'_>) -> Value {
    let slow = slowest(now, before)?;
    let of = |frame: &Frame<'_>, name: &str| mean_of(frame, name, "InputTokens", None);
    over(&of(now, slow.name)?, &of(before, &slow.before)?)
}

/// Time per token of the slowest adapter over its baseline: until the first token per prompt token
/// without the wait in the queue, and generating per answer token; the larger growth of both.
pub(in crate::signals) fn token_cost(now: &Frame<'_>, before: &Frame<'_>) -> Value {
    let slow = slowest(now, before)?;
    let change = |of: &dyn Fn(&Frame<'_>, &str) -> Value| {
        over(&of(now, slow.name)?, &of(before, &slow.before)?)
    };
    let prefill = change(&prefill);
    let decode = change(&|frame: &Frame<'_>, name: &str| {
        mean_of(frame, name, "GenerationMs", Some("OutputTokens"))
    });
    match (prefill, decode) {
        (Ok(prefill), Ok(decode)) if prefill.point > decode.point => Ok(prefill),
        (_, Ok(decode)) => Ok(decode),
        (prefill, Err(_)) => prefill,
    }
}

fn prefill(frame: &Frame<'_>, name: &str) -> Value {
    let first = mean_of(frame, name, "TTFTMs", Some("InputTokens"))?;
    let Ok(wait) = mean_of(frame, name, "QueueWaitMs", Some("InputTokens")) else {
        return Ok(first);
    };
    let left = |it: f64| (it - wait.point).max(0.0);
    Ok(Estimate { point: left(first.point), lo: left(first.lo), hi: left(first.hi), ..first })
}

/// Share of the failed allocations that fell to the adapter with most of them, of several that were
/// asked for.
pub(in crate::signals) fn oom_share(frame: &Frame<'_>) -> Value {
    let parts = seen(frame, "OOMCaught", "Sum")?;
    if served(frame)?.len() < 2 {
        return Err(Missing::new(MissingKind::TooFew, "one adapter alone was asked for"));
    }
    let mut by_adapter: BTreeMap<&str, f64> = BTreeMap::new();
    for (series, points) in &parts {
        let adapter = series.dimension(ADAPTER).unwrap_or_default();
        *by_adapter.entry(adapter).or_default() += points.iter().map(|it| it.value).sum::<f64>();
    }
    let most = by_adapter.values().copied().fold(0.0, f64::max);
    let share = Estimate::share(most, by_adapter.values().sum());
    share.ok_or_else(|| Missing::no_samples("failed allocation"))
}

/// Most adapters whose course is followed.
const FOLLOWED: usize = 8;

/// The adapters that were asked for most, over all their versions.
pub(in crate::signals) fn busiest<'a>(frame: &Frame<'a>) -> Vec<&'a str> {
    let mut bases: BTreeMap<&str, f64> = BTreeMap::new();
    for (name, requests) in served(frame).unwrap_or_default() {
        *bases.entry(base(name)).or_default() += requests;
    }
    let mut bases: Vec<_> = bases.into_iter().collect();
    bases.sort_by(|a, b| b.1.total_cmp(&a.1));
    bases.into_iter().take(FOLLOWED).map(|(base, _)| base).collect()
}

fn base(name: &str) -> &str {
    Name::of(name).map_or(name, |it| it.base)
}

/// One metric over another, both summed over an adapter's versions, and the requests behind them.
pub(in crate::signals) fn ratio(
    frame: &Frame<'_>,
    adapter: &str,
    (top, bottom): (&str, &str),
) -> Option<(f64, f64)> {
    let total = |metric: &str, statistic: &str| -> Option<f64> {
        let own = seen(frame, metric, statistic).ok()?.into_iter();
        let own = own.filter(|(it, _)| it.dimension(ADAPTER).map(base) == Some(adapter));
        Some(sum(&own.collect::<Vec<_>>()))
    };
    let n = total(top, "SampleCount").filter(|n| *n > 0.0)?;
    let divisor = if top == bottom { n } else { total(bottom, "Sum")? };
    (divisor > 0.0).then_some((total(top, "Sum")? / divisor, n))
}

/// How an adapter's P95 changed.
struct Change<'a> {
    name: &'a str,
    before: String,
    grown: Value,
}

fn changes<'a>(now: &Frame<'a>, before: &Frame<'a>) -> Result<Vec<Change<'a>>, Missing> {
    let change = |(name, former): (&'a str, String)| {
        let grown = p95(now, name).and_then(|own| over(&own, &p95(before, &former)?));
        Change { name, before: former, grown }
    };
    Ok(pairs(now, before)?.into_iter().map(change).collect())
}

/// The adapter that grew most.
struct Slowest<'a> {
    name: &'a str,
    before: String,
    grown: Estimate,
}

fn slowest<'a>(now: &Frame<'a>, before: &Frame<'a>) -> Result<Slowest<'a>, Missing> {
    let mut why = Missing::new(MissingKind::TooFew, "no adapter was asked for before and now");
    let mut most: Option<Slowest<'a>> = None;
    for Change { name, before, grown } in changes(now, before)? {
        match grown {
            Ok(grown) if most.as_ref().is_none_or(|it| grown.point > it.grown.point) => {
                most = Some(Slowest { name, before, grown });
            }
            Ok(_) => {}
            Err(missing) => why = missing,
        }
    }
    most.ok_or(why)
}

fn of_adapter<'a>(
    frame: &Frame<'a>,
    adapter: &str,
    metric: &str,
    statistic: &str,
) -> Result<Vec<Part<'a>>, Missing> {
    let all = seen(frame, metric, statistic)?;
    let own: Vec<Part<'a>> =
        all.into_iter().filter(|(it, _)| it.dimension(ADAPTER) == Some(adapter)).collect();
    let none = || Missing::no_samples(&format!("value of {metric} of adapter {adapter}"));
    if own.is_empty() { Err(none()) } else { Ok(own) }
}

fn sum(parts: &[Part<'_>]) -> f64 {
    parts.iter().flat_map(|(_, points)| points.iter()).map(|it| it.value).sum()
}

/// P95 of the version of the server that served most: the mean over its periods, each counted by
/// its requests.
fn p95(frame: &Frame<'_>, adapter: &str) -> Value {
    let counts = of_adapter(frame, adapter, "GenerationMs", "SampleCount")?;
    let requests = |part: &Part<'_>| sum(&[*part]);
    let most = counts.iter().max_by(|a, b| requests(a).total_cmp(&requests(b)));
    let all = requests(most.ok_or_else(|| Missing::no_samples("request"))?);
    if all < ENOUGH {
        let why = format!("{all} requests of an adapter are too few; {ENOUGH} are needed");
        return Err(Missing::new(MissingKind::TooFew, why));
    }
    let dimensions = most.map(|(it, _)| &it.dimensions);
    let quantiles = of_adapter(frame, adapter, "GenerationMs", "p95")?;
    let own = quantiles.iter().filter(|(it, _)| Some(&it.dimensions) == dimensions);
    let points = own.flat_map(|(_, points)| points.iter());
    let count = |at: f64| most?.1.iter().find(|it| it.at == at).map(|it| it.value);
    let weighed: Vec<(f64, f64)> =
        points.filter_map(|it| Some((it.value, count(it.at)?))).collect();
    mean(&weighed).ok_or_else(|| Missing::no_samples("P95 of GenerationMs"))
}

/// Mean of values that are counted `n` times each, with an error by how they differ.
fn mean(weighed: &[(f64, f64)]) -> Option<Estimate> {
    let all: f64 = weighed.iter().map(|(_, n)| n).sum();
    let mean = weighed.iter().map(|(value, n)| value * n).sum::<f64>() / all;
    let spread: f64 = weighed.iter().map(|(value, n)| (n * (value - mean)).powi(2)).sum();
    (all > 0.0).then(|| Estimate::with_error(mean, spread.sqrt() / all, all))
}

/// Sum of a metric per request, or per unit of another, over an adapter's whole span.
fn mean_of(frame: &Frame<'_>, adapter: &str, metric: &str, per: Option<&str>) -> Value {
    let top = of_adapter(frame, adapter, metric, "Sum")?;
    let n = sum(&of_adapter(frame, adapter, metric, "SampleCount")?);
    let bottom = match per {
        Some(other) => of_adapter(frame, adapter, other, "Sum")?,
        None => of_adapter(frame, adapter, metric, "SampleCount")?,
    };
    let at = |parts: &[Part<'_>], time: f64| -> f64 {
        let points = parts.iter().flat_map(|(_, points)| points.iter());
        points.filter(|it| it.at == time).map(|it| it.value).sum()
    };
    let mut times: Vec<f64> =
        top.iter().flat_map(|(_, points)| points.iter()).map(|it| it.at).collect();
    times.sort_by(f64::total_cmp);
    times.dedup();
    let weighed = times.into_iter().map(|time| (at(&top, time), at(&bottom, time)));
    let weighed: Vec<(f64, f64)> =
        weighed.filter(|(_, n)| *n > 0.0).map(|(sum, n)| (sum / n, n)).collect();
    let estimate =
        mean(&weighed).ok_or_else(|| Missing::no_samples(&format!("value of {metric}")))?;
    Ok(Estimate { n: Some(n), ..estimate })
}

fn over(now: &Estimate, before: &Estimate) -> Value {
    now.over(before).ok_or_else(|| Missing::new(MissingKind::NoBaseline, "the baseline is zero"))
}
