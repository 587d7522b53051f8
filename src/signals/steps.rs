//! The engine's steps: what they cost for batches of one size, how often they are full, and who
//! waits between them.

use crate::{stats, unit::Unit};

use super::{Derive, Estimate, Frame, Missing, MissingKind, Signal, Value, estimate::Amount};

/// Rows of this family.
pub(super) static SIGNALS: &[Signal] = &[
    Signal {
        name: "itl_at_same_batch_factor",
        unit: Unit::Factor,
        about: "Inter-token latency over that of batches of the same size before.",
        doc: "Each interval between two pages is compared with the interval of the baseline whose \
              tokens per step are nearest, if they differ by under a quarter. Near 1 when streams \
              are slower only because more of them run; it rises when a step itself costs more. \
              Longer contexts and more prefill work raise it too. It needs a recorded baseline.",
        source: "metrics",
        families: &["itl", "generation_tokens", "iteration_tokens"],
        derive: Derive::Pair(itl_at_same_batch),
    },
    Signal {
        name: "outputs_plateau_ratio",
        unit: Unit::Ratio,
        about: "Share of the time in which steps carried about as many tokens as at most.",
        doc: "Intervals between two pages whose tokens per step are within a tenth of the \
              largest. High when a ceiling holds the batch down, and also when load is even; read \
              it beside the requests that wait.",
        source: "metrics",
        families: &["generation_tokens", "iteration_tokens"],
        derive: Derive::Span(plateau),
    },
    Signal {
        name: "stalled_streams_requests",
        unit: Unit::Requests,
        about: "Streams that wait for their next token without being in the batch.",
        doc: "Sum of inter-token latencies per second, which is the mean number of streams between \
              two tokens, less the running requests; 0 when all of them run. Preempted requests \
              are what it shows, when they go on: the wait counts at the token that ends it. The \
              interval is that of the running requests over the pages.",
        source: "metrics",
        families: &["itl", "running"],
        derive: Derive::Span(stalled),
    },
];

const GENERATED: Amount = |frame| frame.increase("generation_tokens");
const STEPS: Amount = |frame| frame.count("iteration_tokens");

/// Intervals that must be comparable.
const LEAST: usize = 3;

/// Batches that differ by less than this factor are of one size.
const SAME: f64 = 1.25;

/// Tokens per step of one interval.
fn batch(part: &Frame<'_>) -> Option<f64> {
    let steps = STEPS(part).ok().filter(|steps| *steps > 0.0)?;
    GENERATED(part).ok().map(|tokens| tokens / steps).filter(|batch| *batch > 0.0)
}

/// Tokens per step and inter-token latency of each interval.
fn costs(frame: &Frame<'_>) -> Vec<(f64, f64)> {
    let cost = |part: &Frame<'_>| {
        let count = part.count("itl").ok().filter(|count| *count > 0.0)?;
        Some((batch(part)?, part.sum("itl").ok()? / count))
    };
    frame.intervals().iter().filter_map(cost).collect()
}

fn itl_at_same_batch(now: &Frame<'_>, before: &Frame<'_>) -> Value {
    now.name("itl")?;
    now.name("iteration_tokens")?;
    let known = costs(before);
    let distance = |a: f64, b: f64| (a / b).ln().abs();
    let of_before = |batch: f64| {
        let nearest =
            known.iter().min_by(|a, b| distance(a.0, batch).total_cmp(&distance(b.0, batch)))?;
        (distance(nearest.0, batch) < SAME.ln()).then_some(nearest.1)
    };
    let pairs: Vec<(f64, f64)> = costs(now)
        .into_iter()
        .filter_map(|(batch, latency)| Some((latency, of_before(batch)?)))
        .collect();
    let (now, before) = pairs.iter().fold((0.0, 0.0), |sum, p| (sum.0 + p.0, sum.1 + p.1));
    if pairs.len() < LEAST || before <= 0.0 {
        let why = "too few batches now are as large as batches before";
        return Err(Missing::new(MissingKind::NoBaseline, why));
    }
    let factor = now / before;
    let n = pairs.len() as f64;
    let error = stats::ratio_error(&pairs).unwrap_or(factor / n.sqrt());
    Ok(Estimate { n: None, ..Estimate::with_error(factor, error, n) })
}

/// At this share of the largest batch an interval lies on its plateau.
const PLATEAU: f64 = 0.9;

fn plateau(frame: &Frame<'_>) -> Value {
    frame.name("iteration_tokens")?;
    let batches: Vec<f64> = frame.intervals().iter().filter_map(batch).collect();
    if batches.len() < LEAST {
        return Err(Missing::new(MissingKind::TooFew, "too few intervals with steps"));
    }
    let largest = batches.iter().copied().fold(0.0, f64::max);
    let hits = batches.iter().filter(|batch| **batch >= PLATEAU * largest).count();
    Estimate::share(hits as f64, batches.len() as f64).ok_or_else(|| Missing::no_samples("step"))
}

fn stalled(frame: &Frame<'_>) -> Value {
    let running: Vec<f64> =
        frame.view.gauge(frame.name("running")?).iter().map(|point| point.value).collect();
    let streams = frame.sum("itl")? / frame.seconds()?;
    if running.is_empty() || !streams.is_finite() {
        return Err(Missing::no_samples("page with running requests"));
    }
    let beyond = |batch: f64| (streams - batch).max(0.0);
    let mean = running.iter().sum::<f64>() / running.len() as f64;
    let (least, most) = running
        .iter()
        .fold((f64::INFINITY, 0.0_f64), |range, &batch| (range.0.min(batch), range.1.max(batch)));
    Ok(Estimate {
        point: beyond(mean),
        lo: beyond(most),
        hi: beyond(least),
        n: frame.count("itl").ok(),
        bucket: false,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::{Evidence, Span};

    /// Pages five seconds apart; an interval is tokens per step, inter-token latency in seconds,
    /// and running requests. A hundred steps are made in each.
    fn evidence(intervals: &[(f64, f64, f64)]) -> Evidence {
        let mut evidence = Evidence::default();
        let mut counted = [0.0; 4];
        let start = [(0.0, 0.0, intervals[0].2)];
        for (index, (batch, latency, running)) in start.iter().chain(intervals).enumerate() {
            let at = index as f64 * 5.0;
            let steps = if index == 0 { 0.0 } else { 100.0 };
            let tokens = steps * batch;
            let grown = [tokens, steps, tokens, tokens * latency];
            counted.iter_mut().zip(grown).for_each(|(total, more)| *total += more);
            evidence.series.begin_page(at);
            for (name, value) in [
                ("vllm:generation_tokens_total", counted[0]),
                ("vllm:iteration_tokens_total_count", counted[1]),
                ("vllm:inter_token_latency_seconds_count", counted[2]),
                ("vllm:inter_token_latency_seconds_sum", counted[3]),
                ("vllm:num_requests_running", *running),
            ] {
                evidence.series.record(name, at, value, || (name.into(), Vec::new()));
            }
        }
        evidence
    }

    /// The factor over ten intervals, of which the first five are the baseline.
    fn factor(now: (f64, f64)) -> Value {
        let before = [(4.0, 0.010), (5.0, 0.011), (8.0, 0.020), (5.0, 0.011), (4.0, 0.010)];
        let all: Vec<_> =
            before.into_iter().chain([now; 5]).map(|(batch, itl)| (batch, itl, 1.0)).collect();
        let evidence = evidence(&all);
        let frame = |from, to| Frame::new(&evidence, Span { from, to });
        itl_at_same_batch(&frame(25.0, 50.0), &frame(0.0, 25.0))
    }

    #[test]
    fn larger_batches_are_no_dearer_steps() {
        assert!((factor((8.0, 0.020)).unwrap().point - 1.0).abs() < 1e-9);
        assert!((factor((5.0, 0.033)).unwrap().point - 3.0).abs() < 1e-9);
    }

    #[test]
    fn a_batch_never_seen_before_has_nothing_to_compare_with() {
        assert_eq!(factor((30.0, 0.050)).unwrap_err().kind, MissingKind::NoBaseline);
    }

    #[test]
    fn a_plateau_is_the_share_of_full_batches() {
        let batches = [16.0, 15.5, 16.0, 4.0];
        let evidence = evidence(&batches.map(|batch| (batch, 0.01, batch)));
        let all = Frame::new(&evidence, Span { from: 0.0, to: 1e9 });
        assert_eq!(plateau(&all).unwrap().point, 0.75);
    }

    #[test]
    fn streams_between_tokens_that_do_not_run_are_stalled() {
        // 100 steps of 8 tokens in 5 s, each 0.1 s after the one before: 16 streams are open.
        let evidence = evidence(&[(8.0, 0.1, 10.0), (8.0, 0.1, 12.0), (8.0, 0.1, 10.0)]);
        let found = stalled(&Frame::new(&evidence, Span { from: 0.0, to: 1e9 })).unwrap();
        assert!((found.point - 5.5).abs() < 1e-9, "{found:?}");
        assert!((found.lo - 4.0).abs() < 1e-9 && (found.hi - 6.0).abs() < 1e-9, "{found:?}");
    }
}
