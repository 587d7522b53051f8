//! Whether the engine stands still while somebody waits for it.
//!
//! Gauges alone cannot tell: the engine sets them when it makes a step, so they keep their last
//! value when it hangs, be it above zero or not, and also when all requests are cancelled at once
//! and nothing is left to do. Responses that end at the HTTP boundary tell the two apart.

use super::{Estimate, Frame, Missing, Value, endpoint::accepted};

/// Requests that must have ended without any token before an engine whose gauges say that nothing
/// is in flight counts as stuck: one may be a stray.
const UNSERVED: f64 = 2.0;

/// Seconds up to the last page in which no token moved and somebody waited for one.
pub(super) fn frozen(frame: &Frame<'_>) -> Value {
    for family in ["running", "waiting", "generation_tokens"] {
        frame.name(family)?;
    }
    let parts = frame.intervals();
    if parts.is_empty() {
        return Err(Missing::no_samples("two pages"));
    }
    let still = parts.iter().rev().take_while(|part| !moved(part)).count();
    let held = parts.iter().rev().take(still).take_while(|part| in_flight(part) >= 1.0).count();
    let from = |count: usize| parts.len() - count;
    let seconds = |count: usize| -> f64 {
        parts[from(count)..].iter().map(|part| part.view.span().seconds()).sum()
    };
    let unserved = turned_away(&parts, from(still)) >= UNSERVED;
    let waited_for = held > 0 && !all_cancelled(&parts, from(held));
    let stuck = match (unserved, waited_for) {
        (true, _) => seconds(still),
        (false, true) => seconds(held),
        (false, false) => 0.0,
    };
    Ok(Estimate::exact(stuck, None))
}

fn moved(part: &Frame<'_>) -> bool {
    part.increase("generation_tokens").unwrap_or(0.0) > 0.0
        || part.count("iteration_tokens").unwrap_or(0.0) > 0.0
        || part.increase("prompt_tokens").unwrap_or(0.0) > 0.0
}

/// Requests running and waiting at that end of an interval which has fewer.
fn in_flight(part: &Frame<'_>) -> f64 {
    let gauges = ["running", "waiting"]
        .map(|family| part.name(family).map(|name| part.view.gauge(name)).unwrap_or_default());
    let first: f64 = gauges.iter().filter_map(|gauge| gauge.first()).map(|p| p.value).sum();
    let last: f64 = gauges.iter().filter_map(|gauge| gauge.last()).map(|p| p.value).sum();
    first.min(last)
}

/// Responses that ended less requests that finished. Without a count of responses, none.
fn unfinished(parts: &[Frame<'_>]) -> f64 {
    let of = |part: &Frame<'_>| {
        let finished = part.increase("request_success").unwrap_or(0.0);
        accepted(part).map_or(0.0, |ended| ended - finished)
    };
    parts.iter().map(of).sum()
}

/// Requests that ended after the standstill began and never had a token: there was work all along.
/// Answers complete before it whose clients read slowly are not among them.
fn turned_away(parts: &[Frame<'_>], start: usize) -> f64 {
    let later = (start + 1).min(parts.len());
    unfinished(&parts[later..]) - (-unfinished(&parts[..later])).max(0.0)
}

/// Whether as many requests were cancelled when tokens stopped as the gauges still show: then the
/// engine is idle, and they are out of date.
fn all_cancelled(parts: &[Frame<'_>], start: usize) -> bool {
    let held = in_flight(&parts[start]);
    unfinished(&parts[start.saturating_sub(1)..]) >= held
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::{Evidence, Span};

    /// A page: running, tokens generated, requests finished, and responses that ended with 2xx.
    type Page = (f64, f64, f64, f64);

    type Sample<'a> = (&'a str, &'a [(&'a str, &'a str)], f64);

    /// Seconds of standstill over pages five seconds apart.
    fn standstill(pages: &[Page]) -> f64 {
        let mut evidence = Evidence::default();
        for (index, (running, tokens, finished, ended)) in pages.iter().enumerate() {
            let at = index as f64 * 5.0;
            evidence.series.begin_page(at);
            let chat = [("handler", "/v1/chat/completions"), ("method", "POST"), ("status", "2xx")];
            let samples: [Sample<'_>; 5] = [
                ("vllm:num_requests_running", &[], *running),
                ("vllm:num_requests_waiting", &[], 0.0),
                ("vllm:generation_tokens_total", &[], *tokens),
                ("vllm:request_success_total", &[], *finished),
                ("http_requests_total", &chat, *ended),
            ];
            for (name, labels, value) in samples {
                let labels = labels.iter().map(|(k, v)| ((*k).into(), (*v).into())).collect();
                evidence.series.record(name, at, value, || (name.into(), labels));
            }
        }
        frozen(&Frame::new(&evidence, Span { from: 0.0, to: 1e9 })).unwrap().point
    }

    #[test]
    fn work_in_flight_without_a_token_is_a_standstill() {
        let pages = [(2.0, 50.0, 5.0, 5.0), (3.0, 90.0, 6.0, 6.0), (3.0, 90.0, 6.0, 6.0)];
        assert_eq!(standstill(&[pages[0], pages[1], pages[2], pages[2]]), 10.0);
        assert_eq!(standstill(&[pages[0], pages[1]]), 0.0);
    }

    #[test]
    fn gauges_left_over_from_cancelled_requests_are_none() {
        // Three run, and all are cancelled at once: the engine makes no step that would say so.
        let stale = (3.0, 95.0, 6.0, 9.0);
        let pages = [(2.0, 50.0, 5.0, 5.0), (3.0, 90.0, 6.0, 6.0), stale, stale, stale, stale];
        assert_eq!(standstill(&pages), 0.0);
    }

    #[test]
    fn a_stuck_engine_whose_gauges_say_idle_shows_by_the_requests_it_never_served() {
        let ended = [7.0, 8.0, 10.0, 12.0];
        let idle = ended.map(|ended| (0.0, 90.0, 7.0, ended));
        assert_eq!(standstill(&[&[(0.0, 50.0, 5.0, 5.0)], &idle[..]].concat()), 15.0);
    }

    #[test]
    fn callers_who_give_up_one_after_another_do_not_make_a_stuck_engine_idle() {
        let ended = [6.0, 6.0, 8.0, 10.0];
        let stuck = ended.map(|ended| (3.0, 90.0, 6.0, ended));
        assert_eq!(standstill(&[&[(2.0, 50.0, 5.0, 5.0)], &stuck[..]].concat()), 15.0);
    }

    #[test]
    fn answers_that_are_read_slowly_are_no_standstill() {
        // Eight finished, and the last of their clients read on for a while.
        let ended = [5.0, 5.0, 7.0, 8.0];
        let idle = ended.map(|ended| (0.0, 90.0, 8.0, ended));
        assert_eq!(standstill(&[&[(2.0, 50.0, 5.0, 5.0)], &idle[..]].concat()), 0.0);
    }
}
