//! What users wait for: time to first token, between tokens, and its parts.

use crate::unit::Unit;

use super::{Derive, Estimate, Frame, Missing, Signal, Value, estimate::Amount, tail};

/// Rows of this family.
pub(super) static SIGNALS: &[Signal] = &[
    Signal {
        name: "ttft_mean_seconds",
        unit: Unit::Seconds,
        about: "Mean time to first token.",
        doc: "Growth of the histogram's sum over growth of its count, so it is exact where \
              quantiles are buckets. It starts at the front-end's arrival and includes the wait \
              in the queue. Requests that still wait for their first token are not in it.",
        source: "metrics",
        families: &["ttft"],
        derive: Derive::Span(|frame| frame.mean("ttft")),
    },
    Signal {
        name: "ttft_p50_seconds",
        unit: Unit::Seconds,
        about: "Median time to first token, as the bucket that holds it.",
        doc: "An interval, because a histogram knows no more: the median lies between the two \
              bounds.",
        source: "metrics",
        families: &["ttft"],
        derive: Derive::Span(|frame| frame.quantile("ttft", 0.5)),
    },
    Signal {
        name: "ttft_p95_seconds",
        unit: Unit::Seconds,
        about: "95th percentile of time to first token, as the bucket that holds it.",
        doc: "An interval between two bucket bounds. A threshold inside it cannot be decided.",
        source: "metrics",
        families: &["ttft"],
        derive: Derive::Span(|frame| frame.quantile("ttft", 0.95)),
    },
    Signal {
        name: "itl_mean_seconds",
        unit: Unit::Seconds,
        about: "Mean inter-token latency (ITL).",
        doc: "Time between two outputs of a stream, one sample an output; before 0.10.2 the \
              histogram is called time_per_output_token_seconds. With speculative decoding an \
              output may hold several tokens.",
        source: "metrics",
        families: &["itl"],
        derive: Derive::Span(|frame| frame.clustered_mean("itl", STREAMS)),
    },
    Signal {
        name: "itl_p50_seconds",
        unit: Unit::Seconds,
        about: "Median inter-token latency, as the bucket that holds it.",
        doc: "The median tells whether every step is slow; the tail alone points at prefills \
              between decode steps.",
        source: "metrics",
        families: &["itl"],
        derive: Derive::Span(|frame| frame.quantile("itl", 0.5)),
    },
    Signal {
        name: "itl_p99_seconds",
        unit: Unit::Seconds,
        about: "99th percentile of inter-token latency, as the bucket that holds it.",
        doc: "Visible pauses in a stream.",
        source: "metrics",
        families: &["itl"],
        derive: Derive::Span(|frame| frame.quantile("itl", 0.99)),
    },
    Signal {
        name: "itl_pause_share_ratio",
        unit: Unit::Ratio,
        about: "Least share of the time between tokens that went into unusual pauses.",
        doc: "Pauses are gaps above the bucket bound under which at least 98 % of the baseline's \
              gaps lie, each counted at the lower bound of its bucket, over the time of all gaps.",
        source: "metrics",
        families: &["itl"],
        derive: Derive::Pair(|now, before| tail::least_share("itl", now, before)),
    },
    Signal {
        name: "itl_body_shift_ratio",
        unit: Unit::Ratio,
        about: "Share of usual gaps between tokens that became longer.",
        doc: "The largest rise, over the bucket bounds of usual gaps, of the share of gaps above \
              the bound, less the share of unusual pauses. Near 0 where only pauses were added.",
        source: "metrics",
        families: &["itl"],
        derive: Derive::Pair(|now, before| tail::body_shift("itl", now, before)),
    },
    Signal {
        name: "tpot_mean_seconds",
        unit: Unit::Seconds,
        about: "Mean time per output token (TPOT) of finished requests.",
        doc: "Decode time over tokens less one, one sample a request; 0 for answers of one token, \
              which pulls the mean down. Exists from 0.11.0.",
        source: "metrics",
        families: &["request_tpot"],
        derive: Derive::Span(|frame| frame.mean("request_tpot")),
    },
    Signal {
        name: "e2e_mean_seconds",
        unit: Unit::Seconds,
        about: "Mean end-to-end latency of finished requests.",
        doc: "Arrival to last token. Longer answers raise it without anything being wrong.",
        source: "metrics",
        families: &["e2e"],
        derive: Derive::Span(|frame| frame.mean("e2e")),
    },
    Signal {
        name: "e2e_p99_seconds",
        unit: Unit::Seconds,
        about: "99th percentile of end-to-end latency, as the bucket that holds it.",
        doc: "Recorded when a request finishes: requests that hang are not in it.",
        source: "metrics",
        families: &["e2e"],
        derive: Derive::Span(|frame| frame.quantile("e2e", 0.99)),
    },
    Signal {
        name: "queue_mean_seconds",
        unit: Unit::Seconds,
        about: "Mean time in the scheduler's queue, of finished requests.",
        doc: "First queued to first scheduled. The wait after a preemption is not in it. Exact \
              below the first bucket bound of 0.3 s, where quantiles are blind.",
        source: "metrics",
        families: &["queue_time"],
        derive: Derive::Span(|frame| frame.mean("queue_time")),
    },
    Signal {
        name: "queue_p95_seconds",
        unit: Unit::Seconds,
        about: "95th percentile of time in the queue, as the bucket that holds it.",
        doc: "vLLM's first bound is 0.3 s: on an idle server this reads `up to 300 ms` though \
              nothing waits, so a threshold of 200 ms cannot be decided by it.",
        source: "metrics",
        families: &["queue_time"],
        derive: Derive::Span(|frame| frame.quantile("queue_time", 0.95)),
    },
    Signal {
        name: "prefill_mean_seconds",
        unit: Unit::Seconds,
        about: "Mean time from being scheduled to the first token, of finished requests.",
        doc: "Prefill, with any time preempted before the first token.",
        source: "metrics",
        families: &["prefill_time"],
        derive: Derive::Span(|frame| frame.mean("prefill_time")),
    },
    Signal {
        name: "decode_mean_seconds",
        unit: Unit::Seconds,
        about: "Mean time from first to last token, of finished requests.",
        doc: "Grows with the length of the answers as well as with the time per token.",
        source: "metrics",
        families: &["decode_time"],
        derive: Derive::Span(|frame| frame.mean("decode_time")),
    },
    Signal {
        name: "queue_share_ratio",
        unit: Unit::Ratio,
        about: "Share of queueing in the time before the first token, of finished requests.",
        doc: "Queue over queue plus prefill, both summed over the same finished requests.",
        source: "metrics",
        families: &["queue_time", "prefill_time"],
        derive: Derive::Span(queue_share),
    },
    Signal {
        name: "prefill_per_computed_token_seconds",
        unit: Unit::Seconds,
        about: "Prefill time per prompt token that was really computed.",
        doc: "Prefill seconds over prompt tokens not served from cache, both of \
              finished requests; before 0.13.0, prompt tokens less cache hits. It rises when \
              compute gets slower, and when prefills share steps with large batches.",
        source: "metrics",
        families: &["prefill_time", "request_prefill_kv_computed"],
        derive: Derive::Span(|frame| frame.ratio(PREFILL_SECONDS, COMPUTED_TOKENS, FINISHED)),
    },
    Signal {
        name: "front_end_residual_seconds",
        unit: Unit::Seconds,
        about: "End-to-end time of finished requests that neither queue nor engine explains.",
        doc: "Mean end-to-end less mean queue less mean inference time, over the same finished \
              requests: tokenising, detokenising, the event loop. It points at the host's CPU.",
        source: "metrics",
        families: &["e2e", "queue_time", "inference_time"],
        derive: Derive::Span(|frame| frame.ratio(RESIDUAL_SECONDS, FINISHED, FINISHED)),
    },
];

/// Streams that were open in the span: outputs of one stream are alike, so streams and not outputs
/// are what counts as independent.
const STREAMS: Amount = |frame| {
    let running =
        frame.name("running").ok().and_then(|name| frame.view.gauge(name).first().copied());
    Ok(frame.count("ttft")? + running.map_or(0.0, |point| point.value))
};
const PREFILL_SECONDS: Amount = |frame| frame.sum("prefill_time");
const COMPUTED_TOKENS: Amount =
    |frame| frame.sum("request_prefill_kv_computed").or_else(|_| super::cache::COMPUTED(frame));
const FINISHED: Amount = |frame| frame.count("e2e");
const RESIDUAL_SECONDS: Amount = |frame| {
    let engine = frame.sum("queue_time")? + frame.sum("inference_time")?;
    Ok((frame.sum("e2e")? - engine).max(0.0))
};

fn queue_share(frame: &Frame<'_>) -> Value {
    let (queue, prefill) = (frame.sum("queue_time")?, frame.sum("prefill_time")?);
    let n = frame.count("queue_time")?;
    if queue + prefill <= 0.0 {
        return Err(Missing::no_samples("finished request"));
    }
    Ok(Estimate::exact(queue / (queue + prefill), Some(n)))
}
