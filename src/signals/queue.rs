//! The scheduler: who runs, who waits, and at which ceiling.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    evidence::{
        Evidence, Span,
        series::{ENGINE, Engine, Point, REPLICA},
    },
    unit::Unit,
};

use super::{
    Derive, Estimate, Frame, Missing, MissingKind, Signal, Value,
    cloud::metrics,
    estimate::Amount,
    families,
    traffic::{FINISHES, SECONDS},
};

/// Rows of this family.
pub(super) static SIGNALS: &[Signal] = &[
    Signal {
        name: "running_mean_requests",
        unit: Unit::Requests,
        about: "Mean number of requests in the running batch.",
        doc: "Mean over the pages of the window. It rises by itself when each request takes \
              longer (Little's law), so it is no evidence of more load.",
        source: "metrics",
        families: &["running"],
        derive: Derive::Span(|frame| gauge_mean(frame, "running")),
    },
    Signal {
        name: "running_max_requests",
        unit: Unit::Requests,
        about: "Largest running batch seen at any page.",
        doc: "The ceiling, when requests wait at the same time.",
        source: "metrics",
        families: &["running"],
        derive: Derive::Span(|frame| gauge_max(frame, "running")),
    },
    Signal {
        name: "waiting_mean_requests",
        unit: Unit::Requests,
        about: "Mean number of requests waiting for the scheduler.",
        doc: "Mean over the pages of the window; deferred requests are included from 0.18.0.",
        source: "metrics",
        families: &["waiting"],
        derive: Derive::Span(|frame| gauge_mean(frame, "waiting")),
    },
    Signal {
        name: "waiting_last_requests",
        unit: Unit::Requests,
        about: "Requests waiting at the last page.",
        doc: "The backlog as it stands.",
        source: "metrics",
        families: &["waiting"],
        derive: Derive::Span(|frame| {
            let last = gauge_points(frame, "waiting")?.last().map_or(0.0, |point| point.value);
            Ok(Estimate::exact(last, None))
        }),
    },
    Signal {
        name: "waiting_pages_ratio",
        unit: Unit::Ratio,
        about: "Share of pages at which requests waited.",
        doc: "Short queues after a burst are normal; a queue at most pages is not.",
        source: "metrics",
        families: &["waiting"],
        derive: Derive::Span(|frame| share_of_pages(frame, "waiting", |value| value >= 1.0)),
    },
    Signal {
        name: "deferred_waiting_ratio",
        unit: Unit::Ratio,
        about: "Share of the waiting requests that are deferred and not short of capacity.",
        doc: "From num_requests_waiting_by_reason (0.20.0 on): deferred requests wait for a LoRA \
              slot, a KV transfer or a grammar.",
        source: "metrics",
        families: &["waiting_by_reason"],
        derive: Derive::Span(deferred_share),
    },
    Signal {
        name: "slots_full_pages_ratio",
        unit: Unit::Ratio,
        about: "Share of pages at which requests waited while an engine ran as many as it ever did.",
        doc: "Per engine: waiting at least one, and running at 75 % or more of its largest batch in \
              the window (of `--max-num-seqs` where it is known). Stays low when KV blocks and not \
              slots are the limit, because the batch then varies.",
        source: "metrics",
        families: &["running", "waiting"],
        derive: Derive::Span(slots_full),
    },
    Signal {
        name: "drain_time_seconds",
        unit: Unit::Seconds,
        about: "How long the present backlog takes to drain.",
        doc: "Requests waiting at the last page over the rate of finishes: about what a request \
              that arrives now will wait.",
        source: "metrics",
        families: &["waiting", "request_success"],
        derive: Derive::Span(drain_time),
    },
    Signal {
        name: "kv_cache_usage_max_ratio",
        unit: Unit::Ratio,
        about: "Highest share of KV blocks in use at any page and engine.",
        doc: "Cached blocks that could be evicted count as free, so near 1 means that running \
              requests need them all.",
        source: "metrics",
        families: &["kv_cache_usage"],
        derive: Derive::Span(|frame| {
            kv_usage(frame, |values| values.iter().copied().fold(0.0, f64::max))
        }),
    },
    Signal {
        name: "kv_cache_usage_mean_ratio",
        unit: Unit::Ratio,
        about: "Mean share of KV blocks in use.",
        doc: "Mean over pages and engines.",
        source: "metrics",
        families: &["kv_cache_usage"],
        derive: Derive::Span(|frame| {
            kv_usage(frame, |values| values.iter().sum::<f64>() / values.len() as f64)
        }),
    },
    Signal {
        name: "preemptions_per_request",
        unit: Unit::Count,
        about: "Preemptions per finished request.",
        doc: "A preempted request loses its KV blocks and is computed again.",
        source: "metrics",
        families: &["preemptions", "request_success"],
        derive: Derive::Span(|frame| frame.ratio(PREEMPTIONS, FINISHES, FINISHES)),
    },
    Signal {
        name: "preemptions_per_minute",
        unit: Unit::PerMinute,
        about: "Preemptions per minute.",
        doc: "A few an hour at peak are normal.",
        source: "metrics",
        families: &["preemptions"],
        derive: Derive::Span(|frame| {
            let minutes = SECONDS(frame)? / 60.0;
            Ok(Estimate::exact(PREEMPTIONS(frame)? / minutes, None))
        }),
    },
    Signal {
        name: "outputs_per_step",
        unit: Unit::Count,
        about: "Tokens generated per engine step: the batch the GPU really sees.",
        doc: "Generated tokens over engine steps (iteration_tokens count). A plateau is the exact \
              slot ceiling. Read it with care under speculative decoding.",
        source: "metrics",
        families: &["generation_tokens", "iteration_tokens"],
        derive: Derive::Span(|frame| frame.ratio(GENERATED, STEPS, STEPS)),
    },
    Signal {
        name: "busy_factor",
        unit: Unit::Factor,
        about: "Share of time the engine spends in steps.",
        doc: "Steps per second times mean inter-token latency; about 1 when it never idles, \
              above 1 when requests stall between steps.",
        source: "metrics",
        families: &["iteration_tokens", "itl"],
        derive: Derive::Span(|frame| {
            let steps = STEPS(frame)? / SECONDS(frame)?;
            let itl = frame.mean("itl")?;
            Ok(Estimate { point: itl.point * steps, lo: itl.lo * steps, hi: itl.hi * steps, ..itl })
        }),
    },
    Signal {
        name: "replica_spread_factor",
        unit: Unit::Factor,
        about: "Load of the fullest engine over the mean of all.",
        doc: "Mean of running plus waiting per engine label, largest over average; 1 for a single engine.",
        source: "metrics",
        families: &["running", "waiting"],
        derive: Derive::Span(replica_spread),
    },
    Signal {
        name: "running_ceiling_factor",
        unit: Unit::Factor,
        about: "The largest batch now over the largest before the incident.",
        doc: "Below 1 while requests wait says that the concurrency cap came down.",
        source: "metrics",
        families: &["running"],
        derive: Derive::Pair(|now, before| {
            let (now, before) = (gauge_max(now, "running")?, gauge_max(before, "running")?);
            now.over(&before)
                .ok_or_else(|| Missing::new(MissingKind::NoBaseline, "nothing ran in the baseline"))
        }),
    },
];

const PREEMPTIONS: Amount = |frame| frame.increase("preemptions");
const GENERATED: Amount = |frame| frame.increase("generation_tokens");
const STEPS: Amount = |frame| frame.count("iteration_tokens");

fn gauge_points(frame: &Frame<'_>, family: &str) -> Result<Vec<Point>, Missing> {
    if frame.view.set().pages().is_empty() && frame.evidence.cloud.is_some() {
        return sent_on(frame, family);
    }
    let points = frame.view.gauge(frame.name(family)?);
    if frame.view.is_lifetime() {
        let why = "gauges say nothing of the time before the first page";
        return Err(Missing::new(MissingKind::NoBaseline, why));
    }
    if points.is_empty() {
        return Err(Missing::no_samples("page"));
    }
    Ok(points)
}

/// A gauge of the engine as a collector sent it on to CloudWatch, under one of its own names.
fn sent_on(frame: &Frame<'_>, family: &str) -> Result<Vec<Point>, Missing> {
    let names = families::family(family).map(|it| it.names).unwrap_or_default();
    let known = names.iter().find_map(|it| metrics::gauge(frame, it.name).ok());
    known.map_or_else(|| frame.name(family).map(|_| Vec::new()), Ok)
}

fn gauge_mean(frame: &Frame<'_>, family: &str) -> Value {
    let points = gauge_points(frame, family)?;
    let mean = points.iter().map(|point| point.value).sum::<f64>() / points.len() as f64;
    Ok(Estimate::exact(mean, None))
}

fn gauge_max(frame: &Frame<'_>, family: &str) -> Value {
    let points = gauge_points(frame, family)?;
    Ok(Estimate::exact(points.iter().map(|point| point.value).fold(0.0, f64::max), None))
}

/// Pages without which "at most pages" says nothing.
const MIN_PAGES: usize = 2;

fn share_of_pages(frame: &Frame<'_>, family: &str, holds: fn(f64) -> bool) -> Value {
    let points = gauge_points(frame, family)?;
    if points.len() < MIN_PAGES {
        return Err(Missing::no_samples("second page"));
    }
    let hits = points.iter().filter(|point| holds(point.value)).count();
    Ok(Estimate::exact(hits as f64 / points.len() as f64, None))
}

fn deferred_share(frame: &Frame<'_>) -> Value {
    let name = frame.name("waiting_by_reason")?;
    let total: f64 = gauge_points(frame, "waiting")?.iter().map(|point| point.value).sum();
    if total <= 0.0 {
        return Err(Missing::no_samples("waiting request"));
    }
    let deferred =
        frame.view.gauge_where(name, |series| series.label("reason") == Some("deferred"));
    let deferred: f64 = deferred.iter().map(|point| point.value).sum();
    Ok(Estimate::exact((deferred / total).min(1.0), None))
}

/// Running at this share of the ceiling counts as full.
const FULL: f64 = 0.75;

fn slots_full(frame: &Frame<'_>) -> Value {
    let pages = gauge_points(frame, "running")?.len();
    let batches = frame.view.gauge_by_engine(frame.name("running")?);
    let queues = frame.view.gauge_by_engine(frame.name("waiting")?);
    let cap = frame.evidence.fact("max_num_seqs").and_then(|text| text.parse::<f64>().ok());
    let full = |(engine, batch): (&Engine<'_>, &Vec<Point>)| {
        let queue = queues.get(engine).map_or(&[][..], Vec::as_slice);
        let ceiling = cap.unwrap_or_else(|| batch.iter().map(|p| p.value).fold(1.0, f64::max));
        let pairs = batch.iter().zip(queue);
        pairs.filter(|(run, wait)| wait.value >= 1.0 && run.value >= FULL * ceiling).count()
    };
    let fullest = batches.iter().map(full).max().unwrap_or(0);
    Ok(Estimate::exact(fullest as f64 / pages.max(1) as f64, None))
}

fn drain_time(frame: &Frame<'_>) -> Value {
    let waiting = gauge_points(frame, "waiting")?.last().map_or(0.0, |point| point.value);
    if waiting <= 0.0 {
        return Ok(Estimate::exact(0.0, None));
    }
    let rate = frame.rate(FINISHES)?;
    if rate.point <= 0.0 {
        let why = "requests wait and none finishes: the backlog does not drain";
        return Err(Missing::new(MissingKind::NoSamples, why));
    }
    let (lo, hi) = (waiting / rate.hi, waiting / rate.lo.max(f64::MIN_POSITIVE));
    Ok(Estimate { point: waiting / rate.point, lo, hi, n: rate.n, bucket: false })
}

fn kv_usage(frame: &Frame<'_>, fold: fn(&[f64]) -> f64) -> Value {
    let name = frame.name("kv_cache_usage")?;
    gauge_points(frame, "kv_cache_usage")?;
    let engines = frame.view.gauge_by_engine(name).into_values();
    let values: Vec<f64> = engines.flatten().map(|point| point.value).collect();
    if values.is_empty() {
        return Err(Missing::no_samples("page"));
    }
    Ok(Estimate::exact(fold(&values), None))
}

fn replica_spread(frame: &Frame<'_>) -> Value {
    gauge_points(frame, "running")?;
    let loads = loads(frame)?;
    let mean = loads.values().sum::<f64>() / loads.len() as f64;
    if mean <= 0.0 {
        return Err(Missing::no_samples("request in flight"));
    }
    Ok(Estimate::exact(loads.values().copied().fold(0.0, f64::max) / mean, None))
}

/// Running and waiting requests of each engine, added up over the pages.
fn loads<'a>(frame: &Frame<'a>) -> Result<BTreeMap<Engine<'a>, f64>, Missing> {
    let mut loads: BTreeMap<Engine<'_>, f64> = BTreeMap::new();
    for family in ["running", "waiting"] {
        for (engine, points) in frame.view.gauge_by_engine(frame.name(family)?) {
            let load: f64 = points.iter().map(|point| point.value).sum();
            *loads.entry(engine).or_default() += load;
        }
    }
    Ok(loads)
}

/// The engine that carries the largest load of several, as labels: `instance="10.0.0.7:8000"`.
pub fn fullest(evidence: &Evidence, span: Span) -> Option<String> {
    let loads = loads(&Frame::new(evidence, span)).ok()?;
    let ((replica, engine), _) = loads.iter().max_by(|a, b| a.1.total_cmp(b.1))?;
    let replicas: BTreeSet<_> = loads.keys().map(|engine| engine.0).collect();
    let engines: BTreeSet<_> = loads.keys().map(|engine| engine.1).collect();
    let label = |name: &str, value: &Option<&str>| Some(format!("{name}=\"{}\"", (*value)?));
    let replica = label(REPLICA, replica).filter(|_| replicas.len() > 1);
    let engine = label(ENGINE, engine).filter(|_| engines.len() > 1);
    let told: Vec<String> = replica.into_iter().chain(engine).collect();
    (!told.is_empty()).then(|| told.join(", "))
}
