//! What the server's log says in words: failures that no metric counts, and the stats line, which
//! is a history of its own.

use std::collections::BTreeMap;

use crate::{
    evidence::{
        Span, Time,
        log::{LogKind, LogMatch, StatsLine},
    },
    unit::Unit,
};

use super::{Derive, Estimate, Frame, Missing, MissingKind, Signal, Value};

/// How far before the first look at the server a line still counts, seconds: nobody looked then.
const BEFORE_FIRST_LOOK: f64 = 3600.0;

/// Lines tell whole seconds, cut off: one of the second of the last look may have come after it.
const WHOLE_SECOND: f64 = 1.0;

/// Rows of this family.
pub(super) static SIGNALS: &[Signal] = &[
    Signal {
        name: "cuda_oom_events_count",
        unit: Unit::Count,
        about: "Allocations on the GPU that failed for want of memory, by the log.",
        doc: "Lines with `CUDA out of memory` or torch's OutOfMemoryError; repetitions within 10 s \
              are one. Counted from the last look before the window, or an hour before the first \
              one, and from the last successful start on.",
        source: "log",
        families: &[],
        derive: Derive::Span(|frame| count(frame, LogKind::OutOfMemory)),
    },
    Signal {
        name: "kv_cache_usage_at_oom_ratio",
        unit: Unit::Ratio,
        about: "Share of KV blocks in use when an allocation failed.",
        doc: "Of the fullest engine, on the last page in the minute before the last such line of \
              the log. Missing where no allocation failed.",
        source: "log",
        families: &["kv_cache_usage"],
        derive: Derive::Span(usage_at_oom),
    },
    Signal {
        name: "cuda_fault_events_count",
        unit: Unit::Count,
        about: "CUDA and NCCL errors in the log.",
        doc: "Illegal memory access, device-side asserts, NCCL watchdog time-outs. The stack \
              below such a line is unreliable, because kernels report late. Counted as \
              cuda_oom_events_count is.",
        source: "log",
        families: &[],
        derive: Derive::Span(|frame| count(frame, LogKind::CudaFault)),
    },
    Signal {
        name: "nccl_warnings_count",
        unit: Unit::Count,
        about: "Warnings of the communication between GPUs in the log.",
        doc: "NCCL warnings, and waits for a shared-memory block of 60 s or more. Counted as \
              cuda_oom_events_count is.",
        source: "log",
        families: &[],
        derive: Derive::Span(|frame| count(frame, LogKind::CommunicationWarning)),
    },
    Signal {
        name: "kv_space_failures_count",
        unit: Unit::Count,
        about: "Starts that failed because the KV cache would not hold one sequence.",
        doc: "Lines that say that no memory is left for cache blocks, or that one request of the \
              largest length needs more than there is. Counted as cuda_oom_events_count is.",
        source: "log",
        families: &[],
        derive: Derive::Span(|frame| count(frame, LogKind::KvSpace)),
    },
    Signal {
        name: "startup_failures_count",
        unit: Unit::Count,
        about: "Starts of the server that failed for a reason that the log names.",
        doc: "Unreadable weights, a driver older than the image's CUDA, missing files, too little \
              memory for the weights; a KV cache too small has a count of its own. Counted as \
              cuda_oom_events_count is.",
        source: "log",
        families: &[],
        derive: Derive::Span(|frame| count(frame, LogKind::StartFailed)),
    },
    Signal {
        name: "engine_end_events_count",
        unit: Unit::Count,
        about: "Times that the engine or one of its workers ended with an error, by the log.",
        doc: "The lines that tell the end, not its reason. Counted as cuda_oom_events_count is.",
        source: "log",
        families: &[],
        derive: Derive::Span(|frame| count(frame, LogKind::EngineEnded)),
    },
    Signal {
        name: "adapter_load_failures_count",
        unit: Unit::Count,
        about: "Adapters that could not be loaded, by the log.",
        doc: "Missing files, a rank above the limit, modules that the model does not have. \
              Counted as cuda_oom_events_count is.",
        source: "log",
        families: &[],
        derive: Derive::Span(|frame| count(frame, LogKind::AdapterLoad)),
    },
    Signal {
        name: "prompts_too_long_count",
        unit: Unit::Count,
        about: "Prompts that were refused as too long, by the log.",
        doc: "Refusals within 10 s are one, so it is a least number. Counted as \
              cuda_oom_events_count is.",
        source: "log",
        families: &[],
        derive: Derive::Span(|frame| count(frame, LogKind::PromptTooLong)),
    },
    Signal {
        name: "logged_generation_tokens_per_second",
        unit: Unit::TokensPerSecond,
        about: "Generated tokens a second by the log's stats line, mean over the span.",
        doc: "The line comes every 10 s and not while the engine idles. Without a recorded \
              baseline, the log before the window is one.",
        source: "log",
        families: &[],
        derive: Derive::Span(|frame| pace(frame, |line| line.generation_rate, Engines::Sum)),
    },
    Signal {
        name: "logged_running_requests",
        unit: Unit::Requests,
        about: "Running requests by the log's stats line, mean over the span.",
        doc: "Summed over engines. See logged_generation_tokens_per_second.",
        source: "log",
        families: &[],
        derive: Derive::Span(|frame| pace(frame, |line| line.running, Engines::Sum)),
    },
    Signal {
        name: "logged_waiting_requests",
        unit: Unit::Requests,
        about: "Waiting requests by the log's stats line, mean over the span.",
        doc: "Summed over engines. See logged_generation_tokens_per_second.",
        source: "log",
        families: &[],
        derive: Derive::Span(|frame| pace(frame, |line| line.waiting, Engines::Sum)),
    },
    Signal {
        name: "logged_kv_cache_usage_ratio",
        unit: Unit::Ratio,
        about: "Share of KV blocks in use by the log's stats line, mean over the span.",
        doc: "Of the fullest engine. See logged_generation_tokens_per_second.",
        source: "log",
        families: &[],
        derive: Derive::Span(|frame| pace(frame, |line| line.kv_usage, Engines::Largest)),
    },
    Signal {
        name: "logged_prefix_cache_hit_ratio",
        unit: Unit::Ratio,
        about: "Hit rate of the prefix cache by the log's stats line, mean over the span.",
        doc: "The engine averages over its last 1000 queries; the largest of the engines. See \
              logged_generation_tokens_per_second.",
        source: "log",
        families: &[],
        derive: Derive::Span(|frame| pace(frame, |line| line.hit_ratio, Engines::Largest)),
    },
];

/// The log was not given, or cannot speak for a process's lifetime.
fn readable(frame: &Frame<'_>) -> Result<(), Missing> {
    let status = frame.evidence.source("log");
    if let Some(failed) = status.filter(|it| !it.status.answered() && !frame.evidence.log.read) {
        return Err(Missing::new(MissingKind::SourceFailed, failed.detail.clone()));
    }
    if !frame.evidence.log.read {
        let why = "the server's log was not read: give it with --log or --journal-unit";
        return Err(Missing::new(MissingKind::NotConfigured, why));
    }
    Ok(())
}

/// The time in which a line belongs to the span: since the last look at the server before it, or
/// where nobody had looked yet, an hour more; and since the server last came up.
fn counted_span(frame: &Frame<'_>) -> Span {
    let span = frame.view.span();
    let pages = frame.evidence.series.pages().iter().copied();
    let looks = pages.chain(frame.evidence.probes.iter().map(|round| round.at));
    let last_look = looks.filter(|at| *at < span.from).reduce(f64::max);
    let from = last_look.unwrap_or(span.from - BEFORE_FIRST_LOOK);
    let is_ready = |seen: &&LogMatch| seen.feeds.contains(&LogKind::Ready);
    let ready = frame.evidence.log.matches.iter().filter(is_ready).filter_map(|seen| seen.at);
    let came_up = ready.filter(|at| *at <= span.from).reduce(f64::max);
    Span { from: came_up.map_or(from, |at| at.max(from)) - WHOLE_SECOND, to: span.to }
}

fn count(frame: &Frame<'_>, kind: LogKind) -> Value {
    readable(frame)?;
    if frame.view.is_lifetime() {
        let why = "the log is read for the window only";
        return Err(Missing::new(MissingKind::NoBaseline, why));
    }
    let log = &frame.evidence.log;
    let span = counted_span(frame);
    let of_kind = log.matches.iter().filter(|seen| seen.feeds.contains(&kind));
    let hits = of_kind.filter(|seen| seen.at.is_none_or(|at| span.contains(at))).count();
    match log.cut_at {
        Some(cut) if hits == 0 && cut > frame.view.span().from => {
            let why = "the log was read in part, and what was left out reaches into the window";
            Err(Missing::new(MissingKind::SourceFailed, why))
        }
        _ => Ok(Estimate::exact(hits as f64, None)),
    }
}

/// A page older than this tells nothing of the moment of a failure, seconds.
const MINUTE: f64 = 60.0;

fn usage_at_oom(frame: &Frame<'_>) -> Value {
    readable(frame)?;
    let span = counted_span(frame);
    let failed =
        frame.evidence.log.matches.iter().filter(|it| it.feeds.contains(&LogKind::OutOfMemory));
    let at = failed.filter_map(|it| it.at).filter(|at| span.contains(*at)).reduce(f64::max);
    let at = at.ok_or_else(|| Missing::no_samples("failed allocation"))?;
    let before = Span { from: at - MINUTE, to: at };
    let engines = frame.view.set().named(frame.name("kv_cache_usage")?);
    let last = engines.filter_map(|engine| Some(engine.within(before).last()?.value));
    let fullest = last.reduce(f64::max);
    fullest
        .map(|usage| Estimate::exact(usage, None))
        .ok_or_else(|| Missing::no_samples("page in the minute before the failed allocation"))
}

/// How the lines of several engines become one number.
#[derive(Clone, Copy, PartialEq)]
enum Engines {
    Sum,
    Largest,
}

fn pace(frame: &Frame<'_>, value: fn(&StatsLine) -> Option<f64>, engines: Engines) -> Value {
    readable(frame)?;
    let span = frame.view.span();
    let span = if frame.view.is_lifetime() { Span { from: Time::MIN, ..span } } else { span };
    let mut by_engine: BTreeMap<Option<u32>, Vec<f64>> = BTreeMap::new();
    for line in frame.evidence.log.stats.iter().filter(|line| span.contains(line.at)) {
        if let Some(value) = value(line) {
            by_engine.entry(line.engine).or_default().push(value);
        }
    }
    // A line over all engines stands beside those of each.
    if by_engine.len() > 1 && engines == Engines::Sum && by_engine.contains_key(&None) {
        by_engine.retain(|engine, _| engine.is_none());
    }
    let of_engine = |values: &Vec<f64>| {
        let n = values.len() as f64;
        let mean = values.iter().sum::<f64>() / n;
        let spread = values.iter().map(|it| (it - mean).powi(2)).sum::<f64>() / (n - 1.0).max(1.0);
        Estimate { n: None, ..Estimate::with_error(mean, (spread / n).sqrt(), n) }
    };
    let all = by_engine.values().map(of_engine);
    let joined = match engines {
        Engines::Largest => all.reduce(|a, b| if b.point > a.point { b } else { a }),
        Engines::Sum => all.reduce(|a, b| Estimate {
            point: a.point + b.point,
            lo: a.lo + b.lo,
            hi: a.hi + b.hi,
            ..a
        }),
    };
    joined.ok_or_else(|| Missing::no_samples("stats line in the log"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::{Evidence, ProbeRound};

    fn seen(at: Time, kind: LogKind) -> LogMatch {
        let (pattern, text) = ("x".into(), "x".into());
        LogMatch { at: Some(at), pattern, feeds: vec![kind], text, times: 1 }
    }

    fn evidence(matches: Vec<LogMatch>, looks: &[Time]) -> Evidence {
        let mut evidence = Evidence::default();
        evidence.log.read = true;
        evidence.log.matches = matches;
        let round = |at: &Time| ProbeRound { at: *at, ..ProbeRound::default() };
        evidence.probes = looks.iter().map(round).collect();
        evidence
    }

    fn faults(evidence: &Evidence, from: Time, to: Time) -> Value {
        count(&Frame::new(evidence, Span { from, to }), LogKind::CudaFault)
    }

    #[test]
    fn a_line_counts_since_the_last_look_before_the_window() {
        let log = evidence(vec![seen(97.0, LogKind::CudaFault)], &[90.0, 95.0, 100.0]);
        assert_eq!(faults(&log, 100.0, 110.0).unwrap().point, 1.0);
        assert_eq!(faults(&log, 105.0, 110.0).unwrap().point, 0.0);
        let same_second = evidence(vec![seen(95.0, LogKind::CudaFault)], &[95.5, 100.0]);
        assert_eq!(faults(&same_second, 100.0, 110.0).unwrap().point, 1.0);
    }

    #[test]
    fn before_the_first_look_an_hour_counts_and_what_a_start_has_mended_does_not() {
        let mut log = evidence(vec![seen(-900.0, LogKind::CudaFault)], &[0.0]);
        assert_eq!(faults(&log, 0.0, 10.0).unwrap().point, 1.0);
        log.log.matches.push(seen(-800.0, LogKind::Ready));
        assert_eq!(faults(&log, 0.0, 10.0).unwrap().point, 0.0);
    }

    #[test]
    fn zero_needs_the_whole_window() {
        let mut log = evidence(Vec::new(), &[0.0]);
        assert_eq!(faults(&log, 0.0, 10.0).unwrap().point, 0.0);
        log.log.cut_at = Some(5.0);
        assert_eq!(faults(&log, 0.0, 10.0).unwrap_err().kind, MissingKind::SourceFailed);
        log.log.read = false;
        assert_eq!(faults(&log, 0.0, 10.0).unwrap_err().kind, MissingKind::NotConfigured);
    }

    #[test]
    fn stats_lines_are_summed_over_engines_but_not_with_their_own_sum() {
        let mut log = evidence(Vec::new(), &[]);
        for (engine, running) in [(Some(0), 2.0), (Some(1), 3.0), (Some(0), 4.0)] {
            log.log.stats.push(StatsLine {
                at: 5.0,
                engine,
                running: Some(running),
                ..Default::default()
            });
        }
        let mean = |log: &Evidence| {
            let frame = Frame::new(log, Span { from: 0.0, to: 10.0 });
            pace(&frame, |line| line.running, Engines::Sum).unwrap().point
        };
        assert_eq!(mean(&log), 6.0);
        log.log.stats.push(StatsLine { at: 5.0, running: Some(7.0), ..Default::default() });
        assert_eq!(mean(&log), 7.0);
    }
}
