//! MLflow's traces: a sample of the requests of a span of time, spread evenly over it.

mod api;
mod record;

use std::{cell::RefCell, time::Duration};

use futures_util::{StreamExt, stream};
use serde_json::{Value, json};

use super::{
    Fetched,
    http::{self, Client},
};
use crate::{
    evidence::{SourceState, SourceStatus, Span},
    unit::counted,
};
use api::{Api, Refusal};

pub(super) use record::of_bundle;

/// Parts of the time asked for, of which each is sampled: traffic of one busy minute must not hide
/// the rest.
const SLICES: u32 = 30;
/// Steps from one part to the next asked, so that those asked before a deadline lie all over.
const STRIDE: u32 = 7;
/// Requests under way at once.
const AT_ONCE: usize = 4;

/// What is asked, and how.
#[derive(Debug, Clone)]
pub struct Options {
    /// Base URL of the tracking server.
    pub url: String,
    /// Experiments, by name or id; empty for all.
    pub experiments: Vec<String>,
    /// User and password, where the URL has none.
    pub basic: Option<(String, String)>,
    /// How it is reached.
    pub http: http::Options,
    /// The time whose traces are asked for.
    pub reach: Span,
    /// Deadline of all requests together.
    pub deadline: Duration,
}

/// What came until now.
#[derive(Default)]
struct Kept {
    experiments: Vec<String>,
    unknown: Vec<String>,
    traces: Vec<Value>,
    /// Traces looked at, also those without a span of inference.
    looked: usize,
    /// Parts of the time that were answered.
    answered: u32,
    more: bool,
    refused: Option<Refusal>,
}

/// Asks for the traces of a span of time. What came before a deadline or a failure is kept.
pub async fn fetch(options: Options) -> Fetched {
    let url = with_login(&options.url, options.basic.as_ref());
    let client = match Client::new(&url, &options.http) {
        Ok(client) => client,
        Err(why) => return without(SourceState::BadData, why),
    };
    let kept = RefCell::new(Kept::default());
    let asked = tokio::time::timeout(options.deadline, gather(&client, &options, &kept)).await;
    let mut kept = kept.into_inner();
    match asked {
        Ok(Ok(())) => {}
        Ok(Err(refusal)) => kept.refused = Some(refusal),
        Err(_) => {
            let why = format!("no whole answer in {} s", options.deadline.as_secs_f64());
            kept.refused = Some(Refusal { state: SourceState::TimedOut, why });
        }
    }
    finish(kept)
}

/// The record of the spans of one trace.
pub(super) fn record_of(spans: &Value) -> Option<Vec<u8>> {
    serde_json::to_vec(&json!({ "traces": record::requests(spans) })).ok()
}

/// The URL with user and password, unless it has its own.
fn with_login(url: &str, basic: Option<&(String, String)>) -> String {
    let Some(((user, password), mut parsed)) = basic.zip(http::parse_target(url).ok()) else {
        return url.into();
    };
    if !parsed.username().is_empty() {
        return url.into();
    }
    match (parsed.set_username(user), parsed.set_password(Some(password))) {
        (Ok(()), Ok(())) => parsed.into(),
        _ => url.into(),
    }
}

async fn gather(client: &Client, options: &Options, kept: &RefCell<Kept>) -> Result<(), Refusal> {
    let found = api::experiments(client, &options.experiments).await?;
    {
        let mut kept = kept.borrow_mut();
        kept.experiments = found.known.iter().map(|(_, name)| name.clone()).collect();
        (kept.unknown, kept.more) = (found.unknown, found.more);
    }
    if found.known.is_empty() {
        return Ok(());
    }
    let api = Api::new(client, found.known.into_iter().map(|(id, _)| id).collect());
    let api = &api;
    let slices = (0..SLICES).map(|part| slice(options.reach, part * STRIDE % SLICES));
    stream::iter(slices)
        .for_each_concurrent(AT_ONCE, |slice| async move {
            match api.sample(slice).await {
                Ok(sample) => {
                    let mut kept = kept.borrow_mut();
                    kept.answered += 1;
                    kept.looked += sample.looked;
                    kept.more |= sample.more;
                    kept.traces.extend(sample.traces);
                    kept.refused = kept.refused.take().or(sample.refused);
                }
                Err(refusal) => {
                    let mut kept = kept.borrow_mut();
                    kept.refused = kept.refused.take().or(Some(refusal));
                }
            }
        })
        .await;
    Ok(())
}

/// One of equal parts of a span, in whole milliseconds.
fn slice(reach: Span, part: u32) -> (u64, u64) {
    let at = |part: u32| {
        ((reach.from + reach.seconds() * f64::from(part) / f64::from(SLICES)) * 1e3).max(0.0) as u64
    };
    let end = at(part + 1);
    (at(part), if part + 1 == SLICES { end + 1 } else { end })
}

fn finish(mut kept: Kept) -> Fetched {
    let status = status(&kept);
    if !status.status.answered() {
        return Fetched { statuses: vec![status], ..Fetched::default() };
    }
    let at = |trace: &Value| trace["t"].as_f64().unwrap_or_default();
    kept.traces.sort_by(|a, b| at(a).total_cmp(&at(b)));
    let record = json!({
        "traces": kept.traces,
        "more": kept.more,
        "experiments": kept.experiments,
    });
    let body = record.to_string().into_bytes();
    Fetched { record: Some(("mlflow", body)), log: None, statuses: vec![status] }
}

fn status(kept: &Kept) -> SourceStatus {
    let spans = counted(kept.traces.len(), "request");
    let mut lacks: Vec<String> = Vec::new();
    if let Some(refusal) = &kept.refused {
        if kept.answered == 0 {
            return told(refusal.state, refusal.why.clone());
        }
        let parts = format!("{} of {SLICES} parts of the time", kept.answered);
        lacks.push(format!("{parts} were answered: {}", refusal.why));
    }
    if !kept.unknown.is_empty() {
        lacks.push(format!("there is no experiment {}", kept.unknown.join(", ")));
    }
    if kept.experiments.is_empty() {
        lacks.push("give --experiment by name or id".into());
        return told(SourceState::BadData, lacks.join("; "));
    }
    if kept.more {
        lacks.push("it is a sample, there are more".into());
    }
    if kept.traces.is_empty() && kept.looked > 0 {
        let traces = counted(kept.looked, "trace");
        lacks.push(format!("{traces} without a span `{}`", record::SPAN));
    }
    if lacks.is_empty() {
        return told(SourceState::Ok, format!("{spans} in traces"));
    }
    told(SourceState::Partial, format!("{spans} in traces; {}", lacks.join("; ")))
}

fn told(status: SourceState, detail: String) -> SourceStatus {
    SourceStatus { id: "mlflow".into(), status, detail, took_ms: None }
}

fn without(status: SourceState, why: String) -> Fetched {
    Fetched { statuses: vec![told(status, why)], ..Fetched::default() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parts_of_the_time_are_each_asked_once_and_leave_nothing_out() {
        let reach = Span { from: 1000.0, to: 4600.0 };
        let mut parts: Vec<_> =
            (0..SLICES).map(|part| slice(reach, part * STRIDE % SLICES)).collect();
        parts.sort_unstable();
        assert_eq!((parts[0].0, parts[29].1), (1_000_000, 4_600_001));
        assert!(parts.windows(2).all(|pair| pair[0].1 == pair[1].0));
    }
}
