//! How much there is, and how finely it is asked for.

use super::record::Grain;
use crate::evidence::Span;

/// Seconds between two scrapes where nothing tells: what Prometheus' own examples have.
pub(super) const USUAL_INTERVAL: f64 = 15.0;

/// Most samples asked for: about 15 MB of a bundle.
const MOST: f64 = 1_000_000.0;

/// Most samples of one answer, about 7 MB.
const MOST_AT_ONCE: f64 = 250_000.0;

/// Most steps of one answer; servers refuse more than 11,000.
const MOST_STEPS: f64 = 10_000.0;

/// Steps of a fleet's history.
const FLEET_STEPS: f64 = 288.0;

/// So many replicas are a fleet: beyond, they are summed where they are too many samples.
const FLEET: usize = 8;

/// What a survey found.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Found {
    /// Replicas.
    pub(super) replicas: usize,
    /// Series of all of them.
    pub(super) series: f64,
    /// Samples of each series, on average.
    pub(super) samples: f64,
    /// Seconds between two scrapes.
    pub(super) interval: f64,
}

/// How samples are asked for. Those of one server are wanted as they are; several servers are
/// scraped at times of their own, which steps bring together, and a step of two intervals always
/// holds a sample.
pub(super) fn grain(found: &Found, span: Span) -> Grain {
    if found.replicas <= 1 && found.series * found.samples <= MOST {
        return Grain::Samples;
    }
    let finest = 2.0 * found.interval;
    if found.replicas > FLEET && found.series * span.seconds() / finest > MOST {
        return Grain::Fleet(multiple(span.seconds() / FLEET_STEPS, found.interval).max(finest));
    }
    let fitting = multiple(found.series * span.seconds() / MOST, found.interval);
    Grain::Steps(fitting.max(finest))
}

/// The parts that a span is asked in, newest first, so that a deadline keeps what is judged.
pub(super) fn parts(span: Span, series: f64, spacing: f64) -> Vec<Span> {
    let steps = (MOST_AT_ONCE / series.max(1.0)).clamp(1.0, MOST_STEPS).floor();
    let length = steps * spacing;
    let mut parts = Vec::new();
    let mut to = span.to;
    while to > span.from {
        // Steps lie at the ends of parts, so that none is asked for twice.
        let from = if to - length <= span.from { span.from } else { to - length };
        parts.push(Span { from, to });
        to = from;
    }
    parts
}

/// The smallest multiple of an interval that is as long.
fn multiple(seconds: f64, interval: f64) -> f64 {
    (seconds / interval - 1e-9).ceil().max(1.0) * interval
}

/// The usual distance of neighbouring times: the middle one, to a tenth of a second.
pub(super) fn interval(times: &[f64]) -> Option<f64> {
    let mut apart: Vec<f64> = times.windows(2).map(|pair| pair[1] - pair[0]).collect();
    apart.sort_by(f64::total_cmp);
    let middle = apart.get(apart.len() / 2)?;
    Some((middle * 10.0).round().max(1.0) / 10.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hours(hours: f64) -> Span {
        Span { from: 0.0, to: hours * 3600.0 }
    }

    fn found(replicas: usize, hours: f64) -> Found {
        let series = 400.0 * replicas as f64;
        Found { replicas, series, samples: hours * 240.0, interval: 15.0 }
    }

    #[test]
    fn one_server_is_read_sample_by_sample_and_more_of_it_in_steps() {
        assert_eq!(grain(&found(1, 1.0), hours(1.0)), Grain::Samples);
        assert_eq!(grain(&found(1, 24.0), hours(24.0)), Grain::Steps(45.0));
        assert_eq!(grain(&found(3, 1.0), hours(1.0)), Grain::Steps(30.0));
    }

    #[test]
    fn a_fleet_is_summed_over_a_day_in_steps_of_five_minutes() {
        assert_eq!(grain(&found(200, 24.0), hours(24.0)), Grain::Fleet(300.0));
    }

    #[test]
    fn parts_cover_the_span_without_overlap_newest_first() {
        let parts = parts(hours(1.0), 1000.0, 15.0);
        assert_eq!((parts[0].to, parts.last().unwrap().from), (3600.0, 0.0));
        assert!(parts.windows(2).all(|pair| pair[0].from == pair[1].to));
        assert!(parts.iter().all(|part| part.seconds() <= 250.0 * 15.0));
    }

    #[test]
    fn the_interval_is_the_usual_distance() {
        assert_eq!(interval(&[0.0, 5.01, 10.0, 40.0, 45.0]), Some(5.0));
        assert_eq!(interval(&[7.0]), None);
    }
}
