//! The newest version of the prompt or of the server against the one before it.

use crate::{
    evidence::gateway::GatewayRecord,
    signals::{Estimate, Frame, Missing, MissingKind, Value},
};

use super::{
    ENOUGH,
    adapters::{mean, over, p95},
    lacking, telling,
};

/// A version that a record may tell.
struct Version {
    what: &'static str,
    of: fn(&GatewayRecord) -> Option<&str>,
    told: fn(&GatewayRecord) -> bool,
}

/// A number that a record may tell.
type Field = fn(&GatewayRecord) -> Option<f64>;

const PROMPT: Version = Version {
    what: "prompt version",
    of: |record| record.prompt_version.as_deref(),
    told: |record| record.prompt_version.is_some(),
};
const BACKEND: Version = Version {
    what: "version of the server",
    of: |record| record.backend_version.as_deref(),
    told: |record| record.backend_version.is_some(),
};
const TTFT: Field = |record| record.ttft_ms;
const HIT: Field = |record| record.prefix_hit.map(|hit| if hit { 1.0 } else { 0.0 });

/// Share of prefix-cache hits of the newest prompt version over that of the one before.
pub(in crate::signals) fn prompt_hits(now: &Frame<'_>, before: &Frame<'_>) -> Value {
    let (new, old) = both(now, before, &PROMPT, HIT)?;
    let share = |told: &[f64]| {
        let hits = told.iter().sum::<f64>();
        Estimate::share(hits, told.len() as f64).ok_or_else(|| lacking("prefix-cache hit"))
    };
    over(&share(&new)?, &share(&old)?)
}

/// Mean prompt tokens of the newest prompt version over those of the one before.
pub(in crate::signals) fn prompt_lengths(now: &Frame<'_>, before: &Frame<'_>) -> Value {
    means(now, before, &PROMPT, |record| record.input_tokens)
}

/// Mean time to first token of the newest prompt version over that of the one before.
pub(in crate::signals) fn prompt_ttft(now: &Frame<'_>, before: &Frame<'_>) -> Value {
    means(now, before, &PROMPT, TTFT)
}

/// Mean time to first token of the newest server version over that of the one before.
pub(in crate::signals) fn backend_ttft(now: &Frame<'_>, before: &Frame<'_>) -> Value {
    means(now, before, &BACKEND, TTFT)
}

/// 95th percentile of the wait in the queue, seconds.
pub(in crate::signals) fn queue(frame: &Frame<'_>) -> Value {
    let what = "wait in the queue";
    let records = telling(frame, what, |record| record.queue_wait_ms.is_some())?;
    Ok(p95(enough(records.iter().filter_map(|record| Some(record.queue_wait_ms? / 1e3)))?))
}

/// Mean chunks that retrieval puts into a prompt, now over before.
pub(in crate::signals) fn chunks(now: &Frame<'_>, before: &Frame<'_>) -> Value {
    let of = |frame| -> Value {
        let what = "number of retrieved chunks";
        let records = telling(frame, what, |record| record.retrieved_chunks.is_some())?;
        let told = enough(records.iter().filter_map(|record| record.retrieved_chunks))?;
        Ok(mean(&told))
    };
    over(&of(now)?, &of(before)?)
}

fn means(now: &Frame<'_>, before: &Frame<'_>, version: &Version, field: Field) -> Value {
    let (new, old) = both(now, before, version, field)?;
    over(&mean(&new), &mean(&old))
}

/// What requests of the newest version tell, and those of the last other one.
fn both(
    now: &Frame<'_>,
    before: &Frame<'_>,
    version: &Version,
    field: Field,
) -> Result<(Vec<f64>, Vec<f64>), Missing> {
    let records = |frame| telling(frame, version.what, version.told);
    let (now, before) = (records(now)?, records(before)?);
    let all = || before.iter().chain(now).filter_map(|it| Some(((version.of)(it)?, it)));
    let Some((newest, _)) = all().next_back() else { return Err(lacking(version.what)) };
    let older = all().map(|(told, _)| told).rfind(|told| *told != newest);
    let Some(older) = older else {
        let why = format!("all recorded requests have the version {newest}");
        return Err(Missing::new(MissingKind::NoBaseline, why));
    };
    let of = |wanted: &str| {
        let records = all().filter(|(told, _)| *told == wanted);
        enough(records.filter_map(|(_, record)| field(record)))
    };
    Ok((of(newest)?, of(older)?))
}

fn enough(values: impl Iterator<Item = f64>) -> Result<Vec<f64>, Missing> {
    let values: Vec<f64> = values.collect();
    if values.len() >= ENOUGH {
        return Ok(values);
    }
    let n = values.len();
    let why = format!("{n} requests that tell it are too few; {ENOUGH} are needed");
    Err(Missing::new(MissingKind::TooFew, why))
}
