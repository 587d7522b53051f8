//! Each adapter against its own past, by the gateway's records or traces.

use std::collections::BTreeMap;

use crate::{
    evidence::gateway::GatewayRecord,
    signals::{Estimate, Frame, Missing, MissingKind, Value},
};

use super::{ENOUGH, lacking, telling};

/// The answered requests of one adapter.
type Requests<'a> = Vec<&'a GatewayRecord>;

/// A number that a record may hold.
type Field = fn(&GatewayRecord) -> Option<f64>;

const TOTAL: Field = |record| record.total_ms.or(record.generation_ms);
const PROMPT: Field = |record| record.input_tokens;
const PREFILL: Field = |record| per(record.ttft_ms?, record.input_tokens?);
const DECODE: Field = |record| {
    let after = record.total_ms.zip(record.ttft_ms).map(|(total, first)| total - first);
    per(after.or(record.generation_ms)?, record.output_tokens?)
};

fn per(ms: f64, tokens: f64) -> Option<f64> {
    (tokens > 0.0 && ms >= 0.0).then(|| ms / tokens)
}

/// P95 latency of the slowest adapter over its own baseline.
pub(in crate::signals) fn slowdown(now: &Frame<'_>, before: &Frame<'_>) -> Value {
    Ok(slowest(now, before)?.1)
}

/// P95 latency of all other adapters over their baseline.
pub(in crate::signals) fn others(now: &Frame<'_>, before: &Frame<'_>) -> Value {
    let (slow, _) = slowest(now, before)?;
    let rest = |frame| -> Result<Requests<'_>, Missing> {
        let all = by_adapter(frame)?.into_iter().filter(|(name, _)| *name != slow);
        Ok(all.flat_map(|(_, requests)| requests).collect())
    };
    p95_change(&rest(now)?, &rest(before)?)
}

/// Mean prompt tokens of the slowest adapter over its baseline.
pub(in crate::signals) fn prompts(now: &Frame<'_>, before: &Frame<'_>) -> Value {
    mean_change(now, before, PROMPT, "prompt tokens")
}

/// Time per token of the slowest adapter over its baseline.
pub(in crate::signals) fn token_cost(now: &Frame<'_>, before: &Frame<'_>) -> Value {
    let prefill = mean_change(now, before, PREFILL, "time to first token and prompt tokens")?;
    let decode = mean_change(now, before, DECODE, "times and answer tokens")?;
    Ok(if prefill.point > decode.point { prefill } else { decode })
}

fn by_adapter<'a>(frame: &Frame<'a>) -> Result<BTreeMap<&'a str, Requests<'a>>, Missing> {
    let mut adapters: BTreeMap<&str, Requests<'_>> = BTreeMap::new();
    let answered = |record: &&GatewayRecord| record.status.is_none_or(|status| status < 400);
    let tells: fn(&GatewayRecord) -> bool = |record| record.adapter.is_some();
    for record in telling(frame, "adapter", tells)?.iter().filter(answered) {
        if let Some(adapter) = record.adapter.as_deref() {
            adapters.entry(adapter).or_default().push(record);
        }
    }
    if adapters.is_empty() { Err(lacking("adapter")) } else { Ok(adapters) }
}

/// The adapter whose latency grew most, with that growth.
fn slowest<'a>(now: &Frame<'a>, before: &Frame<'a>) -> Result<(&'a str, Estimate), Missing> {
    let (now, before) = (by_adapter(now)?, by_adapter(before)?);
    let mut why = Missing::new(MissingKind::TooFew, "no adapter was asked for before and now");
    let mut slowest: Option<(&str, Estimate)> = None;
    for (name, requests) in &now {
        let Some(former) = before.get(name) else { continue };
        match p95_change(requests, former) {
            Ok(grown) if slowest.is_none_or(|(_, most)| grown.point > most.point) => {
                slowest = Some((name, grown));
            }
            Ok(_) => {}
            Err(missing) => why = missing,
        }
    }
    slowest.ok_or(why)
}

/// Adapters that both spans asked for, now mostly in another version than before.
pub(in crate::signals) fn version_changes(now: &Frame<'_>, before: &Frame<'_>) -> Value {
    let versions = |frame| -> Result<BTreeMap<&str, Vec<&str>>, Missing> {
        let mut versions: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for record in telling(frame, "adapter version", |it| it.adapter_version.is_some())? {
            if let (Some(name), Some(version)) = (&record.adapter, &record.adapter_version) {
                versions.entry(name).or_default().push(version);
            }
        }
        Ok(versions)
    };
    let (now, before) = (versions(now)?, versions(before)?);
    let changed = now.iter().filter(|(name, versions)| {
        before.get(*name).is_some_and(|former| usual(former) != usual(versions))
    });
    Ok(Estimate::exact(changed.count() as f64, None))
}

/// The value that comes most often; of several, the last by name.
fn usual<'a>(values: &[&'a str]) -> Option<&'a str> {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for value in values {
        *counts.entry(value).or_default() += 1;
    }
    counts.into_iter().max_by_key(|(_, count)| *count).map(|(value, _)| value)
}

/// Share of the requests that ended for want of memory which fell to one adapter.
pub(in crate::signals) fn out_of_memory(frame: &Frame<'_>) -> Value {
    let tells: fn(&GatewayRecord) -> bool = |it| it.finish_reason.is_some() && it.adapter.is_some();
    let records = telling(frame, "adapter with a reason of its end", tells)?;
    let mut ended: BTreeMap<&str, usize> = BTreeMap::new();
    for record in records {
        let (Some(name), Some(reason)) = (&record.adapter, &record.finish_reason) else { continue };
        *ended.entry(name).or_default() += usize::from(is_out_of_memory(reason));
    }
    if ended.len() < 2 {
        let why = "no second adapter is asked for that it could be told from";
        return Err(Missing::new(MissingKind::TooFew, why));
    }
    let total: usize = ended.values().sum();
    let most = ended.values().max().copied().unwrap_or_default();
    Estimate::share(most as f64, total as f64)
        .ok_or_else(|| Missing::no_samples("request that ended for want of memory"))
}

fn is_out_of_memory(reason: &str) -> bool {
    let reason = reason.to_ascii_lowercase().replace([' ', '-'], "_");
    reason.split('_').any(|word| word == "oom") || reason.contains("out_of_memory")
}

fn told(requests: &Requests<'_>, field: Field, what: &str) -> Result<Vec<f64>, Missing> {
    let values: Vec<f64> = requests.iter().filter_map(|record| field(record)).collect();
    match values.len() {
        0 if !requests.is_empty() => Err(lacking(what)),
        n if n < ENOUGH => {
            let why = format!("{n} requests of an adapter are too few; {ENOUGH} are needed");
            Err(Missing::new(MissingKind::TooFew, why))
        }
        _ => Ok(values),
    }
}

fn p95_change(now: &Requests<'_>, before: &Requests<'_>) -> Value {
    let quantile = |requests| Ok(p95(told(requests, TOTAL, "total_ms")?));
    let (now, before): (Estimate, Estimate) = (quantile(now)?, quantile(before)?);
    over(&now, &before)
}

/// The 95th percentile, between the order statistics two standard errors around it.
pub(super) fn p95(mut values: Vec<f64>) -> Estimate {
    values.sort_by(f64::total_cmp);
    let n = values.len() as f64;
    let error = 2.0 * (0.95 * 0.05 / n).sqrt();
    let at = |share: f64| values[((n * share) as usize).min(values.len() - 1)];
    let (lo, hi) = (at((0.95 - error).max(0.0)), at(0.95 + error));
    Estimate { point: at(0.95), lo, hi, n: Some(n), bucket: false }
}

fn mean_change(now: &Frame<'_>, before: &Frame<'_>, field: Field, what: &str) -> Value {
    let (slow, _) = slowest(now, before)?;
    let of = |frame: &Frame<'_>| -> Value {
        let requests = by_adapter(frame)?.remove(slow).unwrap_or_default();
        Ok(mean(&told(&requests, field, what)?))
    };
    over(&of(now)?, &of(before)?)
}

pub(super) fn mean(values: &[f64]) -> Estimate {
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    let squares = values.iter().map(|value| (value - mean).powi(2)).sum::<f64>();
    Estimate::with_error(mean, (squares / n / n).sqrt(), n)
}

pub(super) fn over(now: &Estimate, before: &Estimate) -> Value {
    now.over(before).ok_or_else(|| Missing::new(MissingKind::NoBaseline, "the baseline is zero"))
}
