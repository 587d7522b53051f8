//! What is asked of the server: arrivals, sizes of prompts and answers, and what they add up to.

use crate::unit::Unit;

use super::{Derive, Estimate, Frame, Missing, MissingKind, Signal, Value, estimate::Amount, tail};

/// Rows of this family.
pub(super) static SIGNALS: &[Signal] = &[
    Signal {
        name: "finished_requests",
        unit: Unit::Requests,
        about: "Requests the engine finished, whatever the reason.",
        doc: "Growth of request_success over all reasons. Engine V1 never counts aborted requests.",
        source: "metrics",
        families: &["request_success"],
        derive: Derive::Span(|frame| {
            let n = FINISHES(frame)?;
            Ok(Estimate::exact(n, Some(n)))
        }),
    },
    Signal {
        name: "arrivals_requests_per_second",
        unit: Unit::RequestsPerSecond,
        about: "Requests that arrived, per second.",
        doc: "Requests that ended plus the growth of running and waiting: under overload, finishes \
              alone show the capacity and not the demand. Ended are finishes or, where more, \
              responses with 2xx: cancelled requests never finish.",
        source: "metrics",
        families: &["request_success", "http_requests", "running", "waiting"],
        derive: Derive::Span(|frame| frame.rate(ARRIVALS)),
    },
    Signal {
        name: "finishes_requests_per_second",
        unit: Unit::RequestsPerSecond,
        about: "Requests that finished, per second.",
        doc: "What the engine completes; under overload this is its capacity.",
        source: "metrics",
        families: &["request_success"],
        derive: Derive::Span(|frame| frame.rate(FINISHES)),
    },
    Signal {
        name: "prompt_mean_tokens",
        unit: Unit::Tokens,
        about: "Mean prompt length of finished requests.",
        doc: "All prompt tokens, cached ones included.",
        source: "metrics",
        families: &["request_prompt_tokens"],
        derive: Derive::Span(|frame| frame.mean("request_prompt_tokens")),
    },
    Signal {
        name: "prompt_p50_tokens",
        unit: Unit::Tokens,
        about: "Median prompt length, as the bucket that holds it.",
        doc: "Bounds follow 1-2-5 steps, so a change under a factor of two may not show.",
        source: "metrics",
        families: &["request_prompt_tokens"],
        derive: Derive::Span(|frame| frame.quantile("request_prompt_tokens", 0.5)),
    },
    Signal {
        name: "prompt_p99_tokens",
        unit: Unit::Tokens,
        about: "99th percentile of prompt length, as the bucket that holds it.",
        doc: "Bounds follow 1-2-5 steps.",
        source: "metrics",
        families: &["request_prompt_tokens"],
        derive: Derive::Span(|frame| frame.quantile("request_prompt_tokens", 0.99)),
    },
    Signal {
        name: "prompt_oversize_ratio",
        unit: Unit::Ratio,
        about: "Share of requests with a prompt longer than nearly all prompts of the baseline.",
        doc: "The limit is the bucket bound under which at least 98 % of the baseline's prompts \
              lie. A share near 1 says that all prompts grew; a small share says that a few very \
              large ones get in. Compared with the share above the same bound before.",
        source: "metrics",
        families: &["request_prompt_tokens"],
        derive: Derive::Pair(|now, before| tail::excess(PROMPTS, now, before)),
    },
    Signal {
        name: "oversize_prompt_work_ratio",
        unit: Unit::Ratio,
        about: "Least share of prompt tokens that came from oversize prompts.",
        doc: "Prompts above the baseline's limit, each counted at the lower bound of its bucket, \
              over all prompt tokens: a lower bound of their share.",
        source: "metrics",
        families: &["request_prompt_tokens"],
        derive: Derive::Pair(|now, before| tail::least_share(PROMPTS, now, before)),
    },
    Signal {
        name: "prompt_body_shift_ratio",
        unit: Unit::Ratio,
        about: "Share of usual prompts that moved to longer ones.",
        doc: "The largest rise, over the bucket bounds of usual prompts, of the share of prompts \
              above the bound, less the share of oversize prompts. Near 0 when only a tail was \
              added; the error is that of the difference of two shares of one half.",
        source: "metrics",
        families: &["request_prompt_tokens"],
        derive: Derive::Pair(|now, before| tail::body_shift(PROMPTS, now, before)),
    },
    Signal {
        name: "output_mean_tokens",
        unit: Unit::Tokens,
        about: "Mean answer length of finished requests.",
        doc: "Recorded at the end of a request, so it lags behind a change by the requests' own \
              duration.",
        source: "metrics",
        families: &["request_generation_tokens"],
        derive: Derive::Span(|frame| frame.mean("request_generation_tokens")),
    },
    Signal {
        name: "requested_output_mean_tokens",
        unit: Unit::Tokens,
        about: "Mean `max_tokens` that callers asked for.",
        doc: "Recorded at the end of a request.",
        source: "metrics",
        families: &["request_max_tokens"],
        derive: Derive::Span(|frame| frame.mean("request_max_tokens")),
    },
    Signal {
        name: "generation_tokens_per_second",
        unit: Unit::TokensPerSecond,
        about: "Tokens generated per second.",
        doc: "Counts at every step, also for requests that are not finished.",
        source: "metrics",
        families: &["generation_tokens"],
        derive: Derive::Span(|frame| frame.ratio(GENERATED, SECONDS, GENERATED)),
    },
    Signal {
        name: "prompt_tokens_per_second",
        unit: Unit::TokensPerSecond,
        about: "Prompt tokens taken in per second, cached ones included.",
        doc: "Growth of prompt_tokens over the time.",
        source: "metrics",
        families: &["prompt_tokens"],
        derive: Derive::Span(|frame| frame.ratio(PROMPTED, SECONDS, FIRST_TOKENS)),
    },
    Signal {
        name: "demand_factor",
        unit: Unit::Factor,
        about: "How many times more tokens are asked for per second than before.",
        doc: "Arrivals times mean answer length, now over baseline: decode work offered.",
        source: "metrics",
        families: &["request_success", "request_generation_tokens"],
        derive: Derive::Pair(demand),
    },
    Signal {
        name: "arrivals_share_ratio",
        unit: Unit::Ratio,
        about: "Share of arrivals in the growth of the work asked for.",
        doc: "The growth of demand is the product of the growth of arrivals, of computed prompt \
              tokens per request and of answer tokens per request; shares are of the sum of the \
              logarithms of those that grew.",
        source: "metrics",
        families: &["request_success", "request_generation_tokens"],
        derive: Derive::Pair(|now, before| driver_share(now, before, 0)),
    },
    Signal {
        name: "prompts_share_ratio",
        unit: Unit::Ratio,
        about: "Share of computed prompt tokens in the growth of the work asked for.",
        doc: "See arrivals_share_ratio.",
        source: "metrics",
        families: &["request_success", "request_generation_tokens"],
        derive: Derive::Pair(|now, before| driver_share(now, before, 1)),
    },
    Signal {
        name: "outputs_share_ratio",
        unit: Unit::Ratio,
        about: "Share of answer tokens in the growth of the work asked for.",
        doc: "See arrivals_share_ratio.",
        source: "metrics",
        families: &["request_success", "request_generation_tokens"],
        derive: Derive::Pair(|now, before| driver_share(now, before, 2)),
    },
];

const PROMPTS: &str = "request_prompt_tokens";
pub(super) const FINISHES: Amount = |frame| frame.increase("request_success");
pub(super) const SECONDS: Amount = |frame| frame.seconds();
pub(super) const FIRST_TOKENS: Amount = |frame| frame.count("ttft");
pub(super) const GENERATED: Amount = |frame| frame.increase("generation_tokens");
const PROMPTED: Amount = |frame| frame.increase("prompt_tokens");
pub(super) const ARRIVALS: Amount = |frame| {
    let held = if frame.view.is_lifetime() { 0.0 } else { growth_in_flight(frame)? };
    let finished = FINISHES(frame)?;
    // Requests that callers cancel end their response and never finish.
    let ended = super::endpoint::accepted(frame).map_or(finished, |ended| ended.max(finished));
    Ok((ended + held).max(0.0))
};

fn growth_in_flight(frame: &Frame<'_>) -> Result<f64, Missing> {
    let mut growth = 0.0;
    for family in ["running", "waiting"] {
        let points = frame.view.gauge(frame.name(family)?);
        if let [first, .., last] = points.as_slice() {
            growth += last.value - first.value;
        }
    }
    Ok(growth)
}

fn no_growth() -> Missing {
    Missing::new(MissingKind::NoBaseline, "nothing to compare with in the baseline")
}

fn demand(now: &Frame<'_>, before: &Frame<'_>) -> Value {
    let arrivals = now.rate(ARRIVALS)?.over(&before.rate(ARRIVALS)?).ok_or_else(no_growth)?;
    let family = "request_generation_tokens";
    let outputs = now.mean(family)?.over(&before.mean(family)?).ok_or_else(no_growth)?;
    let (lo, hi) = (arrivals.lo * outputs.lo, arrivals.hi * outputs.hi);
    Ok(Estimate { point: arrivals.point * outputs.point, lo, hi, n: arrivals.n, bucket: false })
}

/// Growth under this factor is noise to the split into drivers.
const MATERIAL: f64 = 1.1;

fn driver_share(now: &Frame<'_>, before: &Frame<'_>, which: usize) -> Value {
    let change = |value: fn(&Frame<'_>) -> Value| -> Result<Estimate, Missing> {
        value(now)?.over(&value(before)?).ok_or_else(no_growth)
    };
    let factors = [
        change(|frame| frame.rate(ARRIVALS))?,
        change(super::cache::computed_per_request)?,
        change(|frame| frame.mean("request_generation_tokens"))?,
    ];
    let logs = factors.map(|f| if f.point > MATERIAL { f.point.ln() } else { 0.0 });
    let total: f64 = logs.iter().sum();
    if total <= 0.0 {
        return Ok(Estimate::exact(0.0, factors[0].n));
    }
    Ok(Estimate::exact(logs[which] / total, factors[which].n))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::{Evidence, Span};

    /// What arrived between two pages, of which the later one counts this.
    fn arrived(finished: f64, responses: &[(&str, f64)], waiting: f64) -> f64 {
        let mut evidence = Evidence::default();
        for (at, grown) in [(0.0, 0.0), (5.0, 1.0)] {
            evidence.series.begin_page(at);
            let mut record = |name: &str, labels: &[(&str, &str)], value: f64| {
                let owned = labels.iter().map(|(k, v)| ((*k).into(), (*v).into())).collect();
                let key = format!("{name}{labels:?}");
                evidence.series.record(&key, at, value * grown, || (name.into(), owned));
            };
            record("vllm:request_success_total", &[], finished);
            record("vllm:num_requests_running", &[], 0.0);
            record("vllm:num_requests_waiting", &[], waiting);
            for (handler, ended) in responses {
                let labels = [("handler", *handler), ("method", "POST"), ("status", "2xx")];
                record("http_requests_total", &labels, *ended);
            }
        }
        ARRIVALS(&Frame::new(&evidence, Span { from: 0.0, to: 9.0 })).unwrap()
    }

    #[test]
    fn cancelled_requests_arrived_too() {
        assert_eq!(arrived(10.0, &[("/v1/chat/completions", 25.0)], 3.0), 28.0);
        assert_eq!(arrived(10.0, &[], 3.0), 13.0);
    }

    #[test]
    fn several_answers_to_a_request_and_calls_without_an_answer_hide_nothing() {
        let calls = [("/v1/chat/completions", 4.0), ("/tokenize", 50.0)];
        assert_eq!(arrived(8.0, &calls, 0.0), 8.0);
    }
}
