//! The engine's own state beside the queue: blocks that stay taken, adapters, drafts, sleep.

use std::collections::BTreeSet;

use crate::{
    evidence::{Series, series::Point},
    unit::Unit,
};

use super::{Derive, Estimate, Frame, Missing, MissingKind, Signal, Value, estimate::Amount};

/// Rows of this family.
pub(super) static SIGNALS: &[Signal] = &[
    Signal {
        name: "kv_cache_usage_rise_ratio",
        unit: Unit::Ratio,
        about: "By how much the lowest share of KV blocks in use rose over the window.",
        doc: "The lowest usage in the last third of the pages less the lowest in the first third. \
              Low points tell a floor that creeps up from a batch that comes and goes; it needs at \
              least nine pages, and hours of them to mean a leak.",
        source: "metrics",
        families: &["kv_cache_usage"],
        derive: Derive::Span(usage_rise),
    },
    Signal {
        name: "kv_cache_usage_per_running_ratio",
        unit: Unit::Ratio,
        about: "Share of the KV blocks in use for each running request.",
        doc: "Sum of the usage over sum of the running requests, over the pages on which something \
              runs. It grows with the lengths of prompts and answers, falls with the prefix that \
              requests share, and grows without either where blocks are not given back.",
        source: "metrics",
        families: &["kv_cache_usage", "running"],
        derive: Derive::Span(usage_per_running),
    },
    Signal {
        name: "kv_idle_floor_ratio",
        unit: Unit::Ratio,
        about: "Least share of KV blocks in use while nothing runs or waits.",
        doc: "0 on a healthy engine: cached blocks that could be evicted count as free. Where no \
              page shows the engine idle, all that is known is that the floor lies at or below \
              the lowest usage seen. Gauges stand still when all requests are aborted at once, so \
              the lowest of all idle pages counts.",
        source: "metrics",
        families: &["kv_cache_usage", "running", "waiting"],
        derive: Derive::Span(idle_floor),
    },
    Signal {
        name: "lora_slots_count",
        unit: Unit::Count,
        about: "Adapters that fit into one batch.",
        doc: "The `max_lora` label of lora_requests_info.",
        source: "metrics",
        families: &["lora_requests_info"],
        derive: Derive::Span(|frame| {
            let series = adapters(frame)?;
            let slots = series.last().and_then(|s| s.label("max_lora")?.parse::<f64>().ok());
            let slots = slots.ok_or_else(|| Missing::no_samples("number of adapter slots"))?;
            Ok(Estimate::exact(slots, None))
        }),
    },
    Signal {
        name: "lora_live_adapters_count",
        unit: Unit::Count,
        about: "Largest number of adapters that had requests at one page.",
        doc: "Names in the two lists of lora_requests_info, taken together: from 0.11.1 both hold \
              every adapter that has a request, so running and waiting cannot be told apart. \
              Each new pair of lists is a new series; the newest is the one that was updated. \
              Adapters without requests are in neither list.",
        source: "metrics",
        families: &["lora_requests_info"],
        derive: Derive::Span(|frame| {
            let live = adapters(frame)?.iter().map(|series| names(series).len()).max();
            Ok(Estimate::exact(live.unwrap_or(0) as f64, None))
        }),
    },
    Signal {
        name: "draft_acceptance_ratio",
        unit: Unit::Ratio,
        about: "Share of the tokens drafted by speculative decoding that were accepted.",
        doc: "Accepted over drafted tokens. Near 0 the drafts cost time and save none.",
        source: "metrics",
        families: &["spec_decode_accepted_tokens", "spec_decode_draft_tokens"],
        derive: Derive::Span(|frame| {
            in_use(frame, "spec_decode_draft_tokens", "speculative decoding is not in use")?;
            frame.ratio(ACCEPTED, DRAFTED, DRAFTED)
        }),
    },
    Signal {
        name: "corrupted_requests",
        unit: Unit::Requests,
        about: "Requests whose logits held values that are no numbers.",
        doc: "Growth of corrupted_requests, which counts only with VLLM_COMPUTE_NANS_IN_LOGITS=1.",
        source: "metrics",
        families: &["corrupted_requests"],
        derive: Derive::Span(|frame| {
            in_use(frame, "corrupted_requests", "the server does not look for such values")?;
            Ok(Estimate::exact(frame.increase("corrupted_requests")?, None))
        }),
    },
    Signal {
        name: "engine_asleep",
        unit: Unit::Flag,
        about: "Whether the engine is asleep at the last page.",
        doc: "From engine_sleep_state: the child `awake` is 0 while the engine sleeps.",
        source: "metrics",
        families: &["engine_sleep_state"],
        derive: Derive::Span(asleep),
    },
    Signal {
        name: "queue_full_rejections_per_minute",
        unit: Unit::PerMinute,
        about: "Requests that the server itself refused with 503 because its queue was full.",
        doc: "Growth of admission_rejections (0.32.0 on), which the server counts, not the gateway.",
        source: "metrics",
        families: &["admission_rejections"],
        derive: Derive::Span(|frame| {
            in_use(frame, "admission_rejections", "the server counts no refused admissions")?;
            let minutes = frame.seconds()? / 60.0;
            Ok(Estimate::exact(frame.increase("admission_rejections")? / minutes, None))
        }),
    },
];

const ACCEPTED: Amount = |frame| frame.increase("spec_decode_accepted_tokens");
const DRAFTED: Amount = |frame| frame.increase("spec_decode_draft_tokens");

/// A feature that is not in use exports nothing, and nothing about it needs to be asked.
fn in_use(frame: &Frame<'_>, family: &str, else_why: &str) -> Result<&'static str, Missing> {
    frame.name(family).map_err(|missing| match missing.kind {
        MissingKind::Absent => Missing::new(MissingKind::NotConfigured, else_why),
        _ => missing,
    })
}

/// Share of KV blocks in use at each page, the fullest engine's.
fn usage(frame: &Frame<'_>) -> Result<Vec<Point>, Missing> {
    let name = frame.name("kv_cache_usage")?;
    if frame.view.is_lifetime() {
        let why = "gauges say nothing of the time before the first page";
        return Err(Missing::new(MissingKind::NoBaseline, why));
    }
    let engines = frame.view.gauge_by_engine(name).into_values();
    let mut all: Vec<Point> = engines.flatten().collect();
    all.sort_by(|one, other| one.at.total_cmp(&other.at));
    let pages = all.chunk_by(|one, other| one.at == other.at);
    let largest = |page: &[Point]| page.iter().copied().max_by(|a, b| a.value.total_cmp(&b.value));
    let fullest: Vec<Point> = pages.filter_map(largest).collect();
    if fullest.is_empty() { Err(Missing::no_samples("page")) } else { Ok(fullest) }
}

fn lowest<'p>(points: impl Iterator<Item = &'p Point>) -> f64 {
    points.map(|point| point.value).fold(f64::INFINITY, f64::min)
}

/// Pages in a third, at least, for its lowest point to mean something.
const LEAST_PAGES: usize = 3;

fn usage_rise(frame: &Frame<'_>) -> Value {
    let points = usage(frame)?;
    let third = points.len() / 3;
    if third < LEAST_PAGES {
        let why = "too few pages to tell a rising floor from a batch that comes and goes";
        return Err(Missing::new(MissingKind::TooFew, why));
    }
    let first = lowest(points.iter().take(third));
    let last = lowest(points.iter().rev().take(third));
    Ok(Estimate::exact((last - first).max(0.0), None))
}

fn usage_per_running(frame: &Frame<'_>) -> Value {
    let points = usage(frame)?;
    let running = frame.view.gauge(frame.name("running")?);
    let held = |point: &Point| {
        let running = running.iter().find(|page| page.at == point.at)?.value;
        (running >= 1.0).then_some((point.value, running))
    };
    let held: Vec<(f64, f64)> = points.iter().filter_map(held).collect();
    let (usage, running) = held.iter().fold((0.0, 0.0), |sum, one| (sum.0 + one.0, sum.1 + one.1));
    if held.is_empty() {
        return Err(Missing::no_samples("page with a running request"));
    }
    Ok(Estimate::exact(usage / running, None))
}

fn idle_floor(frame: &Frame<'_>) -> Value {
    let points = usage(frame)?;
    let busy = [frame.name("running")?, frame.name("waiting")?].map(|name| frame.view.gauge(name));
    let is_idle = |point: &&Point| {
        busy.iter().all(|gauge| gauge.iter().any(|b| b.at == point.at && b.value == 0.0))
    };
    let floor = lowest(points.iter().filter(is_idle));
    if floor.is_finite() {
        return Ok(Estimate::exact(floor, None));
    }
    let hi = lowest(points.iter());
    Ok(Estimate { point: hi / 2.0, lo: 0.0, hi, n: None, bucket: true })
}

/// The pairs of adapter lists seen in the window, oldest first. The value of each is the time of
/// its last update, so the newest has the largest.
pub(super) fn adapters<'a>(frame: &Frame<'a>) -> Result<Vec<&'a Series>, Missing> {
    let name = in_use(frame, "lora_requests_info", "adapters are not in use")?;
    let span = frame.view.span();
    let at =
        |series: &Series| series.within(span).iter().map(|point| point.value).fold(0.0, f64::max);
    let mut seen: Vec<&Series> =
        frame.view.set().named(name).filter(|s| !s.within(span).is_empty()).collect();
    seen.sort_by(|one, other| at(one).total_cmp(&at(other)));
    if seen.is_empty() { Err(Missing::no_samples("adapter with a request")) } else { Ok(seen) }
}

pub(super) fn names(series: &Series) -> BTreeSet<&str> {
    ["running_lora_adapters", "waiting_lora_adapters"]
        .into_iter()
        .filter_map(|label| series.label(label))
        .flat_map(|list| list.split(','))
        .map(str::trim)
        .filter(|name| !name.is_empty())
        .collect()
}

fn asleep(frame: &Frame<'_>) -> Value {
    let name = in_use(frame, "engine_sleep_state", "the server tells no sleep state")?;
    let awake = frame.view.gauge_where(name, |s| s.label("sleep_state") == Some("awake"));
    let last = awake.last().ok_or_else(|| Missing::no_samples("sleep state"))?;
    Ok(Estimate::exact(f64::from(u8::from(last.value < 0.5)), None))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::{Evidence, Span};

    type Sample<'a> = (&'a str, &'a [(&'a str, &'a str)], f64);

    /// Reads a signal from pages a minute apart.
    #[track_caller]
    fn read(signal: &str, pages: &[Vec<Sample<'_>>]) -> Value {
        let mut evidence = Evidence::default();
        for (index, page) in pages.iter().enumerate() {
            let at = index as f64 * 60.0;
            evidence.series.begin_page(at);
            for (name, labels, value) in page {
                let owned = |(key, text): &(&str, &str)| ((*key).into(), (*text).into());
                let key = format!("{name}{labels:?}");
                evidence.series.record(&key, at, *value, || {
                    ((*name).into(), labels.iter().map(owned).collect())
                });
            }
        }
        let frame = Frame::new(&evidence, Span { from: 0.0, to: 1e9 });
        let Derive::Span(derive) = super::super::find(signal).unwrap().derive else {
            panic!("{signal} compares two spans")
        };
        derive(&frame)
    }

    fn page(usage: f64, running: f64) -> Vec<Sample<'static>> {
        vec![
            ("vllm:kv_cache_usage_perc", &[], usage),
            ("vllm:num_requests_running", &[], running),
            ("vllm:num_requests_waiting", &[], 0.0),
        ]
    }

    #[test]
    fn a_floor_that_creeps_up_rises_and_a_batch_that_comes_and_goes_does_not() {
        let usage = [0.0, 0.4, 0.1, 0.1, 0.5, 0.2, 0.2, 0.6, 0.3];
        let pages: Vec<_> = usage.iter().map(|used| page(*used, 1.0)).collect();
        let rise = read("kv_cache_usage_rise_ratio", &pages).unwrap();
        assert!((rise.point - 0.2).abs() < 1e-9, "{rise:?}");
        let waves: Vec<_> = (0..12).map(|i| page([0.0, 0.6][i % 2], 1.0)).collect();
        assert_eq!(read("kv_cache_usage_rise_ratio", &waves).unwrap().point, 0.0);
        let few = read("kv_cache_usage_rise_ratio", &pages[..5]);
        assert_eq!(few.unwrap_err().kind, MissingKind::TooFew);
    }

    #[test]
    fn the_idle_floor_is_exact_on_idle_pages_and_else_known_from_above() {
        let idle = [page(0.5, 2.0), page(0.12, 0.0), page(0.4, 3.0)];
        let floor = read("kv_idle_floor_ratio", &idle).unwrap();
        assert_eq!((floor.lo, floor.hi), (0.12, 0.12));
        let busy = [page(0.5, 2.0), page(0.3, 1.0)];
        let floor = read("kv_idle_floor_ratio", &busy).unwrap();
        assert_eq!((floor.lo, floor.hi), (0.0, 0.3));
    }

    fn lora<'a>(running: &'a [(&'a str, &'a str)], at: f64) -> Sample<'a> {
        ("vllm:lora_requests_info", running, at)
    }

    #[test]
    fn live_adapters_are_the_names_of_both_lists_once_each() {
        let one = [
            ("max_lora", "2"),
            ("running_lora_adapters", "a,b"),
            ("waiting_lora_adapters", "b, c"),
        ];
        let none =
            [("max_lora", "2"), ("running_lora_adapters", ""), ("waiting_lora_adapters", "")];
        let pages = [vec![lora(&none, 10.0)], vec![lora(&none, 10.0), lora(&one, 60.0)]];
        assert_eq!(read("lora_live_adapters_count", &pages).unwrap().point, 3.0);
        assert_eq!(read("lora_slots_count", &pages).unwrap().point, 2.0);
    }

    #[test]
    fn a_feature_not_in_use_is_not_asked_for() {
        for signal in ["lora_slots_count", "draft_acceptance_ratio", "corrupted_requests"] {
            let missing = read(signal, &[page(0.1, 1.0), page(0.1, 1.0)]).unwrap_err();
            assert_eq!(missing.kind, MissingKind::NotConfigured, "{signal}");
        }
    }

    #[test]
    fn drafts_that_are_never_accepted_show() {
        let page = |drafted, accepted| -> Vec<Sample<'static>> {
            vec![
                ("vllm:spec_decode_num_draft_tokens_total", &[], drafted),
                ("vllm:spec_decode_num_accepted_tokens_total", &[], accepted),
            ]
        };
        let pages = [page(0.0, 0.0), page(400.0, 100.0)];
        assert_eq!(read("draft_acceptance_ratio", &pages).unwrap().point, 0.25);
    }

    #[test]
    fn a_sleeping_engine_is_not_awake() {
        let state = |awake| -> Vec<Sample<'static>> {
            vec![("vllm:engine_sleep_state", &[("sleep_state", "awake")], awake)]
        };
        assert_eq!(read("engine_asleep", &[state(1.0)]).unwrap().point, 0.0);
        assert_eq!(read("engine_asleep", &[state(1.0), state(0.0)]).unwrap().point, 1.0);
    }
}
