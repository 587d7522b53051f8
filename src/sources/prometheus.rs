//! The past of servers from Prometheus, or another program with its HTTP API.
//!
//! Samples are asked for as they were scraped wherever that is feasible: a gap is then no sample,
//! and a counter that restarts is seen to. <https://prometheus.io/docs/prometheus/latest/querying/api/>

mod alerts;
mod answer;
mod ask;
mod plan;
mod query;
mod read;
mod record;
mod replicas;
mod targets;

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use super::{Fetched, http};
use crate::evidence::{SourceState, SourceStatus, Span};
use answer::Trouble;
use ask::Asker;
use plan::Found;
pub(super) use read::read;
use record::{Answered, Column, Grain, Named, Part, Record};
use replicas::Replicas;
pub use targets::{Scraped, targets};

/// Name of the source, and of its folder in a bundle.
pub const ID: &str = "prometheus";

/// A metric that is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Metric {
    /// Its usual name: of a counter with `_total`, of a histogram without suffix.
    pub name: &'static str,
    /// What its samples are.
    pub kind: Kind,
}

/// Kinds of metric, as far as they are asked for in different ways.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Values that go up and down, and texts in labels.
    Gauge,
    /// Values that only grow.
    Counter,
    /// Sums and counts that only grow, with or without buckets.
    Histogram,
}

/// What is asked of which server.
#[derive(Debug, Clone)]
pub struct Options {
    /// Base URL, with the path before `/api/v1`.
    pub url: String,
    /// Labels that the server's series have, as matchers of PromQL; empty for all.
    pub selector: String,
    /// The metrics.
    pub metrics: Vec<Metric>,
    /// How requests are made.
    pub http: http::Options,
}

/// Asks for the samples within `reach`, until `deadline` has passed. What came by then is kept.
pub async fn fetch(options: Options, reach: Span, deadline: Duration) -> Fetched {
    let start = Instant::now();
    let mut record = Record {
        from_ms: (reach.from * 1e3) as i64,
        to_ms: (reach.to * 1e3) as i64,
        ..Record::default()
    };
    let outcome = match Asker::new(&options, record.from_ms) {
        Err(trouble) => Err(trouble),
        Ok(asker) => {
            match tokio::time::timeout(deadline, gather(&asker, &options, reach, &mut record)).await
            {
                Ok(outcome) => outcome,
                Err(_) => Err(late(deadline)),
            }
        }
    };
    let took_ms = Some(start.elapsed().as_millis() as u64);
    let (status, detail) = summary(&record, outcome);
    let status = SourceStatus { id: ID.into(), status, detail, took_ms };
    let record = serde_json::to_vec(&record).ok().map(|bytes| (ID, bytes));
    Fetched { record, log: None, statuses: vec![status] }
}

/// The record of one answer about series of vLLM; `None` where it is refused.
pub(super) fn record_of(text: &str, now_ms: i64) -> Option<Vec<u8>> {
    let from_ms = now_ms - 3_600_000;
    let answer = http::Answer { status: 200, body: Vec::new(), ms: 1.0, date: None };
    let series = answer::read(&answer, text, from_ms).ok()?.series;
    let part = |part| Answered { part, query: String::new(), series: series.clone() };
    let answers = vec![part(Part::Replicas), part(Part::Metrics), part(Part::Alerts)];
    let record = Record { from_ms, to_ms: now_ms, answers, ..Record::default() };
    serde_json::to_vec(&record).ok()
}

fn late(deadline: Duration) -> Trouble {
    let seconds = deadline.as_secs_f64();
    let why = format!(
        "it did not answer everything within {seconds} s: try a shorter --history, a narrower \
         --selector or a longer --timeout"
    );
    Trouble { state: SourceState::TimedOut, why }
}

/// How it went as a whole. Samples that came before something failed still count.
fn summary(record: &Record, outcome: Result<(), Trouble>) -> (SourceState, String) {
    let came = record.of(Part::Metrics).next().is_some();
    match outcome {
        Err(trouble) if came => (SourceState::Partial, format!("in part only: {}", trouble.why)),
        Err(trouble) => (trouble.state, trouble.why),
        Ok(()) if record.lost.is_empty() => (SourceState::Ok, "answered".into()),
        Ok(()) => (SourceState::Partial, record.lost.join("; ")),
    }
}

/// Finds out what there is, and asks for it.
async fn gather(
    asker: &Asker,
    options: &Options,
    reach: Span,
    record: &mut Record,
) -> Result<(), Trouble> {
    let selector = query::bare(&options.selector);
    let present = query::series(&query::presence(), selector);
    let counts = format!("count_over_time({present}[{}])", query::range(reach));
    let counted = asker.at(&counts, reach.to, record).await?;
    let Some(busiest) = counted.iter().max_by_key(|it| count(it, record.from_ms) as u64) else {
        return Err(nothing_there(asker, selector, reach, record).await);
    };
    let replicas = Replicas::of(counted.iter().map(|it| &it.labels), &BTreeSet::new());
    let samples = counted.iter().map(|it| count(it, record.from_ms)).sum::<f64>();
    let one = exactly(busiest);
    let times = format!("{}[{}]", query::series(&query::presence(), &one), query::range(reach));
    let times = asker.at(&times, reach.to, record).await?;
    let times: Vec<f64> =
        times.iter().flat_map(|it| it.points(record.from_ms)).map(|(at, _)| at).collect();
    record.interval = plan::interval(&times);
    let newest = times.last().copied().unwrap_or(reach.to);
    let vllm = query::series(&query::of_vllm(&options.metrics), selector);
    let stored = asker.at(&format!("count by (__name__) ({vllm})"), newest, record).await?;
    record.names = names(&stored, &options.metrics);
    let found = Found {
        replicas: replicas.each.len(),
        series: stored.iter().map(|it| count(it, record.from_ms)).sum(),
        samples: samples / counted.len() as f64,
        interval: record.interval.unwrap_or(plan::USUAL_INTERVAL),
    };
    record.grain = plan::grain(&found, reach);
    asker.keep(record, Part::Replicas, counts, counted);
    let server = of_server(&replicas, selector);
    match record.grain {
        Grain::Fleet(step) => {
            fleet(asker, options, &replicas, Span { from: reach.from + step, ..reach }, record)
                .await?;
        }
        _ => asker.history(Part::Metrics, &vllm, reach, found.series, record).await?,
    }
    if let Some(matchers) = server {
        let (names, each) = match record.grain {
            Grain::Fleet(_) => (query::OF_LIFE.to_owned(), 2.0),
            _ => (query::of_server(&options.metrics), 60.0),
        };
        let (server, series) = (query::series(&names, &matchers), each * found.replicas as f64);
        let server = asker.history(Part::Server, &server, reach, series, record).await;
        note(record, "metrics of the HTTP layer and the process", server);
    }
    let alerts = asker.alerts(&replicas, reach, record).await;
    note(record, "alerts", alerts);
    Ok(())
}

fn note(record: &mut Record, what: &str, outcome: Result<(), Trouble>) {
    if let Err(trouble) = outcome {
        record.lost.push(format!("without {what}: {}", trouble.why));
    }
}

fn count(column: &Column, from_ms: i64) -> f64 {
    column.points(from_ms).next().map_or(0.0, |(_, value)| value)
}

/// Matchers that only this series has.
fn exactly(column: &Column) -> String {
    let labels = column.labels.iter().filter(|(name, _)| *name != "__name__");
    let matcher =
        |(name, value): (&String, &String)| format!("{name}=\"{}\"", query::quoted(value));
    labels.map(matcher).collect::<Vec<_>>().join(",")
}

/// Usual names of those that are stored.
fn names(stored: &[Column], metrics: &[Metric]) -> Vec<Named> {
    let named = |it: &Column| {
        let usual = query::usual(it.name(), metrics)?;
        Some(Named { stored: it.name().to_owned(), usual })
    };
    stored.iter().filter_map(named).collect()
}

/// Most replicas that are named one by one in a query.
const NAMED: usize = 50;

/// What tells series of the HTTP layer and the process from those of other programs, which export
/// the same names: the labels that Prometheus gave to vLLM's own series.
fn of_server(replicas: &Replicas, selector: &str) -> Option<String> {
    let matcher = |label: &str| {
        let values = replicas.values(label);
        (1..=NAMED).contains(&values.len()).then(|| query::one_of(label, &values))
    };
    let matchers: Vec<String> = ["job", "instance"].into_iter().filter_map(matcher).collect();
    if matchers.is_empty() {
        return Some(selector.to_owned()).filter(|selector| !selector.is_empty());
    }
    Some(matchers.join(","))
}

/// Asks for gauges by replica, and for the growth of all else in sum.
async fn fleet(
    asker: &Asker,
    options: &Options,
    replicas: &Replicas,
    reach: Span,
    record: &mut Record,
) -> Result<(), Trouble> {
    let selector = query::bare(&options.selector);
    let is_gauge =
        |usual: &str| options.metrics.iter().any(|it| it.name == usual && it.kind == Kind::Gauge);
    let (gauges, counting): (Vec<&Named>, Vec<&Named>) =
        record.names.iter().partition(|name| is_gauge(&name.usual));
    let stored =
        |names: Vec<&Named>| names.into_iter().map(|it| it.stored.clone()).collect::<Vec<_>>();
    let (gauges, counting) = (stored(gauges), stored(counting));
    let gauges = query::series(&gauges.join("|"), selector);
    let series = 20.0 * replicas.each.len() as f64;
    asker.history(Part::Metrics, &gauges, reach, series, record).await?;
    let without: Vec<&str> = replicas.added.iter().map(String::as_str).collect();
    let without = without.join(", ");
    let sums = asker.sums(&counting, &without, selector, reach, record).await;
    note(record, "some sums over the replicas", sums);
    if let Some(matchers) = of_server(replicas, selector) {
        let answers = ["http_requests_total".to_owned()];
        let sums = asker.sums(&answers, &without, &matchers, reach, record).await;
        note(record, "answers of the HTTP layer", sums);
    }
    Ok(())
}

/// Why no series of vLLM was found: it is never "no traffic".
async fn nothing_there(asker: &Asker, selector: &str, reach: Span, record: &mut Record) -> Trouble {
    let range = query::range(reach);
    let up = format!("min_over_time({}[{range}])", query::series("up", selector));
    let anywhere =
        format!("count by (job, model_name) ({})", query::series(&query::presence(), ""));
    let down = asker.at(&up, reach.to, record).await.unwrap_or_default();
    let others = asker.at(&anywhere, reach.to, record).await.unwrap_or_default();
    let labels = if selector.is_empty() { String::new() } else { format!(" with {selector}") };
    let mut why = format!("it has no series of vLLM{labels} in the time asked for");
    let is_down = |it: &Column| it.points(record.from_ms).any(|(_, value)| value == 0.0);
    if down.iter().any(is_down) {
        why += ": its scrapes of the server fail (up is 0)";
    } else if let Some(other) = others.first().filter(|_| !selector.is_empty()) {
        why += &format!("; there are some with {}: check --selector", exactly(other));
    } else {
        why += ": check --selector, --history and whether it scrapes vLLM at all";
    }
    Trouble { state: SourceState::Unsupported, why }
}
