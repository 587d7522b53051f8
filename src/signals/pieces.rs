//! What two times are compared by: the sums behind a signal, interval by interval.

use crate::evidence::{Evidence, Span, histogram::Histogram};

use super::{Derive, Frame, Missing, Value, cache, endpoint, estimate::Amount, find, traffic};

/// Top and bottom of a ratio of sums.
struct Sums {
    signal: &'static str,
    top: Amount,
    bottom: Amount,
}

macro_rules! mean {
    ($signal:literal, $family:literal) => {
        Sums { signal: $signal, top: |it| it.sum($family), bottom: |it| it.count($family) }
    };
}

static SUMS: &[Sums] = &[
    mean!("ttft_mean_seconds", "ttft"),
    mean!("itl_mean_seconds", "itl"),
    mean!("decode_mean_seconds", "decode_time"),
    mean!("queue_mean_seconds", "queue_time"),
    mean!("e2e_mean_seconds", "e2e"),
    mean!("prompt_mean_tokens", "request_prompt_tokens"),
    mean!("output_mean_tokens", "request_generation_tokens"),
    Sums { signal: "prefix_cache_hit_ratio", top: cache::HITS, bottom: cache::QUERIES },
    Sums {
        signal: "generation_tokens_per_second",
        top: traffic::GENERATED,
        bottom: traffic::SECONDS,
    },
    Sums {
        signal: "arrivals_requests_per_second",
        top: traffic::ARRIVALS,
        bottom: traffic::SECONDS,
    },
    Sums {
        signal: "failed_5xx_ratio",
        top: |it| Ok(endpoint::server_errors(it)?.0),
        bottom: |it| Ok(endpoint::server_errors(it)?.1),
    },
];

/// `(top, bottom)` of a signal that is a ratio of sums, for each two neighbouring pages of `span`.
/// Missing where the signal is none of these, or where the span does not tell it.
pub fn pieces(evidence: &Evidence, span: Span, signal: &str) -> Result<Vec<(f64, f64)>, Missing> {
    let Some(sums) = SUMS.iter().find(|sums| sums.signal == signal) else {
        return Err(Missing::no_samples(signal));
    };
    let whole = Frame::new(evidence, span);
    (sums.top)(&whole)?;
    (sums.bottom)(&whole)?;
    let part = |part: &Frame<'_>| Some(((sums.top)(part).ok()?, (sums.bottom)(part).ok()?));
    Ok(whole.intervals().iter().filter_map(part).collect())
}

/// A signal over a span. Signals that compare two spans have no value of one.
pub fn over(evidence: &Evidence, span: Span, signal: &str) -> Value {
    match find(signal).map(|signal| signal.derive) {
        Some(Derive::Span(derive)) => derive(&Frame::new(evidence, span)),
        _ => Err(Missing::no_samples(signal)),
    }
}

/// Growth of a histogram family over a span.
pub fn histogram(evidence: &Evidence, span: Span, family: &str) -> Result<Histogram, Missing> {
    Frame::new(evidence, span).histogram(family)
}
