//! What the gateway before the engine saw: also requests that never reached it.

pub(super) mod adapters;
pub(super) mod sessions;
pub(super) mod versions;

use std::collections::{BTreeMap, HashMap};

use crate::{
    evidence::{EventKind, SourceState, SourceStatus, Span, gateway::GatewayRecord},
    unit::Unit,
};

use super::{Derive, Estimate, Frame, Missing, MissingKind, Signal, Value, cloud::metrics};

/// Seconds within which the same request counts as sent again.
const REPEAT: f64 = 60.0;

/// Requests needed to compare kinds of traffic.
const ENOUGH: usize = 30;

/// Rows of this family.
pub(super) static SIGNALS: &[Signal] = &[
    Signal {
        name: "offered_requests_per_second",
        unit: Unit::RequestsPerSecond,
        about: "Requests that reach the gateway, refused and cancelled ones too.",
        doc: "The load that is offered, which the engine cannot see. From gateway records, over \
              the part of the span that they cover; without them, from the requests that CloudWatch \
              counts for the gateway or the endpoint.",
        source: "gateway",
        families: &[],
        derive: Derive::Span(offered),
    },
    Signal {
        name: "gateway_error_ratio",
        unit: Unit::Ratio,
        about: "Share of requests that end with an error or a time-out at the gateway.",
        doc: "Status 400 or above, or marked as timed out in the gateway records.",
        source: "gateway",
        families: &[],
        derive: Derive::Span(|frame| share(frame, "status", GatewayRecord::failed)),
    },
    Signal {
        name: "gateway_unavailable_ratio",
        unit: Unit::Ratio,
        about: "Share of requests that the gateway answered 502 or 503.",
        doc: "From gateway records.",
        source: "gateway",
        families: &[],
        derive: Derive::Span(|frame| codes(frame, &[502, 503])),
    },
    Signal {
        name: "gateway_cancelled_ratio",
        unit: Unit::Ratio,
        about: "Share of requests whose client went away before the answer was complete.",
        doc: "Marked as cancelled in the gateway records, or status 499.",
        source: "gateway",
        families: &[],
        derive: Derive::Span(|frame| share(frame, "status", GatewayRecord::was_cancelled)),
    },
    Signal {
        name: "gateway_timed_out_ratio",
        unit: Unit::Ratio,
        about: "Share of requests for which the time ran out at the gateway.",
        doc: "Marked as timed out in the gateway records, or status 408 or 504.",
        source: "gateway",
        families: &[],
        derive: Derive::Span(|frame| share(frame, "status", GatewayRecord::ran_out_of_time)),
    },
    Signal {
        name: "repeated_requests_ratio",
        unit: Unit::Ratio,
        about: "Share of requests that repeat one before them.",
        doc: "The same request id, or the same session with as many prompt tokens, within a \
              minute. A session that goes on has a longer prompt, so it is no repeat.",
        source: "gateway",
        families: &[],
        derive: Derive::Span(repeated),
    },
    Signal {
        name: "traffic_diversity_factor",
        unit: Unit::Factor,
        about: "How many times more kinds of prompt are sent than before.",
        doc: "Kinds are tenant, adapter and prompt version together, weighted by their requests: \
              the exponential of their entropy, now over before. At least 30 requests on each \
              side. From gateway records, else from traces.",
        source: "gateway",
        families: &[],
        derive: Derive::Pair(diversity),
    },
    Signal {
        name: "prompt_version_changes_count",
        unit: Unit::Count,
        about: "Prompt versions that went out before or at the onset.",
        doc: "Versions that gateway records, else traces, first show after at least 20 other \
              requests, with 5 requests or more of their own, up to 5 minutes before the onset; \
              without one, in the window or up to 5 minutes before it. A version that went out \
              after the onset is no cause of it and does not count.",
        source: "gateway",
        families: &[],
        derive: Derive::Triggers(EventKind::PromptVersion, tells_versions),
    },
];

/// Whether gateway records were read.
pub(super) fn is_read(frame: &Frame<'_>) -> bool {
    frame.evidence.gateway.as_ref().is_some_and(|log| !log.records.is_empty())
}

/// The requests of a span by whom tells so much of them: the gateway's records, else traces. Both
/// spans that are compared then rest on the same source.
fn telling<'a>(
    frame: &Frame<'a>,
    what: &str,
    tells: fn(&GatewayRecord) -> bool,
) -> Result<&'a [GatewayRecord], Missing> {
    let read = [&frame.evidence.gateway, &frame.evidence.traces].into_iter().flatten();
    let mut read = read.filter(|log| !log.records.is_empty()).peekable();
    if read.peek().is_none() {
        return Err(neither(frame));
    }
    let Some(log) = read.find(|log| log.records.iter().any(tells)) else {
        return Err(lacking(what));
    };
    if frame.view.is_lifetime() {
        let why = "requests are not recorded back over the server's life";
        return Err(Missing::new(MissingKind::NoBaseline, why));
    }
    match log.within(frame.view.span()) {
        [] => Err(Missing::no_samples("recorded request")),
        records => Ok(records),
    }
}

/// Why there are neither gateway records nor traces.
fn neither(frame: &Frame<'_>) -> Missing {
    match frame.evidence.source("mlflow") {
        Some(source) if source.status != SourceState::NotConfigured => of_source(source),
        _ => {
            let records = unread(frame);
            if records.kind != MissingKind::NotConfigured {
                return records;
            }
            let why =
                "neither gateway records (--gateway FILE) nor traces (--mlflow URL) were read";
            Missing::new(MissingKind::NotConfigured, why)
        }
    }
}

fn of_source(source: &SourceStatus) -> Missing {
    let kind = match source.status {
        SourceState::NotConfigured => MissingKind::NotConfigured,
        SourceState::Ok | SourceState::Partial => MissingKind::NoSamples,
        _ => MissingKind::SourceFailed,
    };
    Missing::new(kind, source.detail.clone())
}

/// The records of a span.
pub(super) fn records<'a>(frame: &Frame<'a>) -> Result<&'a [GatewayRecord], Missing> {
    let Some(log) = frame.evidence.gateway.as_ref().filter(|_| is_read(frame)) else {
        return Err(unread(frame));
    };
    if frame.view.is_lifetime() {
        let why = "the gateway records do not reach back over the server's life";
        return Err(Missing::new(MissingKind::NoBaseline, why));
    }
    match log.within(frame.view.span()) {
        [] => Err(Missing::no_samples("gateway record")),
        records => Ok(records),
    }
}

fn unread(frame: &Frame<'_>) -> Missing {
    match frame.evidence.source("gateway") {
        Some(source) => of_source(source),
        None => {
            let why = "no gateway records were read (--gateway FILE)";
            Missing::new(MissingKind::NotConfigured, why)
        }
    }
}

fn lacking(field: &str) -> Missing {
    Missing::new(MissingKind::Absent, format!("the recorded requests have no {field}"))
}

fn share(frame: &Frame<'_>, field: &str, is_hit: fn(&GatewayRecord) -> Option<bool>) -> Value {
    let told: Vec<bool> = records(frame)?.iter().filter_map(is_hit).collect();
    let hits = told.iter().filter(|hit| **hit).count();
    Estimate::share(hits as f64, told.len() as f64).ok_or_else(|| lacking(field))
}

/// Share of the requests with a status that have one of `codes`.
pub(super) fn codes(frame: &Frame<'_>, codes: &[u16]) -> Value {
    let told: Vec<u16> = records(frame)?.iter().filter_map(|record| record.status).collect();
    let hits = told.iter().filter(|status| codes.contains(status)).count();
    Estimate::share(hits as f64, told.len() as f64).ok_or_else(|| lacking("status"))
}

fn offered(frame: &Frame<'_>) -> Value {
    if !is_read(frame) && frame.evidence.cloud.is_some() {
        return metrics::offered(frame);
    }
    let n = records(frame)?.len() as f64;
    let log = frame.evidence.gateway.as_ref().and_then(|log| log.span());
    let span = frame.view.span();
    let covered =
        log.map_or(span, |log| Span { from: span.from.max(log.from), to: span.to.min(log.to) });
    if covered.seconds() < 1.0 {
        return Err(Missing::no_samples("second of gateway records"));
    }
    Ok(Estimate::with_error(n / covered.seconds(), n.sqrt() / covered.seconds(), n))
}

fn repeated(frame: &Frame<'_>) -> Value {
    let records = records(frame)?;
    let mut last: HashMap<(&str, u64), f64> = HashMap::new();
    let (mut hits, mut told) = (0_u32, 0_u32);
    for record in records {
        let id = record.request_id.as_deref().map(|id| (id, u64::MAX));
        let prompt = record.session.as_deref().zip(record.input_tokens);
        let prompt = prompt.map(|(session, tokens)| (session, tokens as u64));
        let again = [id, prompt].into_iter().flatten().fold(false, |again, key| {
            let before = last.insert(key, record.at);
            again || before.is_some_and(|before| record.at - before <= REPEAT)
        });
        told += u32::from(id.or(prompt).is_some());
        hits += u32::from(again);
    }
    Estimate::share(hits.into(), told.into()).ok_or_else(|| lacking("request id or session"))
}

/// The exponential of the entropy of kinds: 1 where all are alike, n where n kinds come equally.
fn kinds(frame: &Frame<'_>) -> Result<(f64, usize), Missing> {
    let mut counts: BTreeMap<[Option<&str>; 3], usize> = BTreeMap::new();
    let what = "tenant, adapter or prompt version";
    let tells: fn(&GatewayRecord) -> bool =
        |it| it.tenant.is_some() || it.adapter.is_some() || it.prompt_version.is_some();
    for record in telling(frame, what, tells)? {
        let kind = [&record.tenant, &record.adapter, &record.prompt_version];
        let kind = kind.map(|part| part.as_deref());
        if kind.iter().any(Option::is_some) {
            *counts.entry(kind).or_default() += 1;
        }
    }
    let n: usize = counts.values().sum();
    if n == 0 {
        return Err(lacking(what));
    }
    enough(n)?;
    let part = |count: &usize| {
        let p = *count as f64 / n as f64;
        -p * p.ln()
    };
    Ok((counts.values().map(part).sum::<f64>().exp(), n))
}

fn enough(n: usize) -> Result<(), Missing> {
    if n >= ENOUGH {
        return Ok(());
    }
    let why = format!("{n} recorded requests are too few; {ENOUGH} are needed");
    Err(Missing::new(MissingKind::TooFew, why))
}

fn diversity(now: &Frame<'_>, before: &Frame<'_>) -> Value {
    let (now, before) = (kinds(now)?, kinds(before)?);
    Ok(Estimate::exact(now.0 / before.0, Some(now.1.min(before.1) as f64)))
}

fn tells_versions(frame: &Frame<'_>) -> Result<(), Missing> {
    telling(frame, "prompt version", |record| record.prompt_version.is_some()).map(drop)
}

/// Share of requests whose prefix was found in the cache.
pub(super) fn prefix_hits(frame: &Frame<'_>) -> Value {
    let what = "mark of prefix-cache hits";
    let records = telling(frame, what, |record| record.prefix_hit.is_some())?;
    let told: Vec<bool> = records.iter().filter_map(|record| record.prefix_hit).collect();
    let hits = told.iter().filter(|hit| **hit).count();
    Estimate::share(hits as f64, told.len() as f64).ok_or_else(|| lacking(what))
}

/// Requests that failed at the gateway, and all whose end is known.
pub(super) fn failures(frame: &Frame<'_>) -> Result<(f64, f64), Missing> {
    let told: Vec<bool> = records(frame)?.iter().filter_map(GatewayRecord::failed).collect();
    let hits = told.iter().filter(|failed| **failed).count();
    Ok((hits as f64, told.len() as f64))
}
