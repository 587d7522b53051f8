//! Each adapter against its own past, by the gateway's records.

use std::collections::BTreeMap;

use crate::{
    evidence::gateway::GatewayRecord,
    signals::{Estimate, Frame, Missing, MissingKind, Value},
};

use super::{ENOUGH, lacking, records};

/// The answered requests of one adapter.
type Requests<'a> = Vec<&'a GatewayRecord>;

/// A number that a record may hold.
type Field = fn(&GatewayRecord) -> Option<f64>;

const TOTAL: Field = |record| record.total_ms;
const PROMPT: Field = |record| record.input_tokens;
const PREFILL: Field = |record| per(record.ttft_ms?, record.input_tokens?);
const DECODE: Field = |record| per(record.total_ms? - record.ttft_ms?, record.output_tokens?);

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
    for record in records(frame)?.iter().filter(answered) {
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
fn p95(mut values: Vec<f64>) -> Estimate {
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

fn mean(values: &[f64]) -> Estimate {
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    let squares = values.iter().map(|value| (value - mean).powi(2)).sum::<f64>();
    Estimate::with_error(mean, (squares / n / n).sqrt(), n)
}

fn over(now: &Estimate, before: &Estimate) -> Value {
    now.over(before).ok_or_else(|| Missing::new(MissingKind::NoBaseline, "the baseline is zero"))
}
