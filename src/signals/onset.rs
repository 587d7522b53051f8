//! When did it begin: change-point detection over the recorded history.
//!
//! One split is sought. For each driver signal and each split of the history, the gain is
//! `N/2 · ln(RSS0/RSS1) − ln N` on logarithms, with a noise floor, so that a signal that does not
//! change gains nothing; rare counts use the binomial likelihood ratio. Positive gains are summed.
//! Queue, waiting and time to first token stay out: they grow on by themselves after the onset, so
//! a history that begins late would show a false one.

mod cloud;

use super::{
    Ask, Baseline, Frame, Missing, Onset, Windows, cache, clocks, endpoint, estimate::Amount,
    gateway, standstill, traffic,
};
use crate::evidence::{Event, EventKind, Evidence, Series, SeriesSet, Span, Time, series::Engine};

/// Evidence that a split needs, in nats. Tried on recordings: no false onset in healthy ones.
const THRESHOLD_NATS: f64 = 5.0;

/// Intervals that each side of a split must have.
const MIN_SIDE: usize = 3;

/// Requests that a baseline must hold to be compared with.
const MIN_BASELINE_REQUESTS: f64 = 30.0;

/// Decides what is judged and what it is compared with.
pub fn windows(evidence: &Evidence, ask: &Ask) -> Windows {
    let end = ask.at.unwrap_or(evidence.span.to).min(evidence.span.to);
    let history = Span { from: evidence.span.from, to: end };
    let onset = detect(evidence, history);
    let from = match (ask.window, &onset) {
        // What was before the onset would water down what came after.
        (Some(window), Some(found)) => (end - window).max(found.upper),
        (Some(window), None) => (end - window).max(history.from),
        (None, Some(found)) => found.upper,
        (None, None) => history.from,
    };
    let now = Span { from, to: end };
    let lower = onset.as_ref().map_or(from, |found| found.lower.min(from));
    let baseline = match ask.baseline {
        Some(length) => Baseline::Recorded(Span { from: lower - length, to: lower }),
        None => baseline(evidence, history, lower, onset.is_some()),
    };
    let clocks = clocks::skews(evidence);
    Windows { now, baseline, onset: onset.map(|found| found.onset), clocks }
}

fn baseline(evidence: &Evidence, history: Span, lower: Time, changed: bool) -> Baseline {
    let recorded = Span { from: history.from, to: lower };
    let requests = |frame: Frame<'_>| frame.increase("request_success").unwrap_or(0.0);
    if changed && requests(Frame::new(evidence, recorded)) >= MIN_BASELINE_REQUESTS {
        return Baseline::Recorded(recorded);
    }
    if requests(Frame::lifetime(evidence, lower)) >= MIN_BASELINE_REQUESTS {
        return Baseline::Lifetime(lower);
    }
    if changed && recorded.seconds() > 0.0 {
        return Baseline::Recorded(recorded);
    }
    let whole = Frame::new(evidence, history);
    let intervals = whole.intervals().len().max(cloud::pieces(&whole));
    if intervals >= 2 * MIN_SIDE { Baseline::Unchanged } else { Baseline::None }
}

/// An onset with the last moment before it and the first after.
struct Found {
    onset: Onset,
    lower: Time,
    upper: Time,
}

impl Found {
    fn between(lower: Time, upper: Time, at: Time, gain: f64) -> Self {
        let plus_minus = ((upper - lower) / 2.0).max((at - lower).max(upper - at));
        Self { onset: Onset { at, plus_minus, gain }, lower, upper }
    }
}

fn detect(evidence: &Evidence, history: Span) -> Option<Found> {
    let scanned = scan(&Frame::new(evidence, history));
    let event = evidence.events.iter().find(|event| breaks(event) && history.contains(event.at));
    let scanned = earlier(scanned, frozen(&Frame::new(evidence, history)));
    match (scanned, event) {
        (Some(found), Some(event)) if found.upper < event.not_before => Some(found),
        (_, Some(event)) => Some(Found::between(
            event.not_before,
            event.at,
            f64::midpoint(event.not_before, event.at),
            f64::INFINITY,
        )),
        (found, None) => found,
    }
}

fn earlier(a: Option<Found>, b: Option<Found>) -> Option<Found> {
    match (a, b) {
        (Some(a), Some(b)) => Some(if a.upper <= b.upper { a } else { b }),
        (a, b) => a.or(b),
    }
}

/// Where tokens stand still up to the end with work in flight, that began at its first page.
fn frozen(history: &Frame<'_>) -> Option<Found> {
    let seconds = standstill::frozen(history).ok()?.point;
    if seconds < FROZEN_SECONDS {
        return None;
    }
    let pages = history.view.set().pages();
    let last = pages.iter().rev().find(|&&at| at <= history.view.span().to)?;
    let began = pages.partition_point(|&at| at < last - seconds - ROUNDING);
    let lower = pages[began.saturating_sub(1)];
    Some(Found::between(lower, pages[began], pages[began], f64::INFINITY))
}

/// Seconds by which sums of page times may differ from their difference.
const ROUNDING: f64 = 1e-3;

/// Shorter standstills are no onset: a single long step looks the same.
const FROZEN_SECONDS: f64 = 10.0;

/// Whether an event is a break of service or configuration by itself.
fn breaks(event: &Event) -> bool {
    use EventKind::{ConfigChanged, ProbeFailed, Restart, VersionChanged};
    matches!(event.kind, Restart | VersionChanged | ConfigChanged | ProbeFailed)
}

/// From an entry of a track to a value on a linear scale.
type Linear = fn((f64, f64)) -> f64;

/// A driver over the intervals of the history.
enum Track {
    /// `(ln value, weight)` an interval, the sign of a change for the worse, and the noise floor.
    Level { points: Vec<Option<(f64, f64)>>, worse: f64, floor: f64 },
    /// `(hits, trials)` an interval; more hits are worse.
    Share { points: Vec<Option<(f64, f64)>> },
}

/// Where the drivers change most. Callers give up some time after what makes them wait, so where
/// cancellations lead, an earlier change of the other drivers is the onset.
fn scan(history: &Frame<'_>) -> Option<Found> {
    let parts = history.intervals();
    if parts.len() < 2 * MIN_SIDE {
        return cloud::scan(history);
    }
    let drivers = tracks(history, &parts);
    let points = parts.iter().map(|part| share(endpoint::aborts(part))).collect();
    let cancelled = Track::Share { points };
    let first = best_split(drivers.iter(), parts.len());
    let both = best_split(drivers.iter().chain([&cancelled]), parts.len())?;
    let (split, gain) = match first {
        Some(first) if first.0 < both.0 && leads(&cancelled, &drivers, both.0) => first,
        _ => both,
    };
    let all = drivers.iter().chain([&cancelled]);
    let leader = all.max_by(|a, b| a.gain(split).total_cmp(&b.gain(split)))?;
    Some(locate(&parts, leader, split, gain))
}

/// Whether a track gains more at a split than each of the others.
fn leads(track: &Track, others: &[Track], split: usize) -> bool {
    others.iter().all(|other| other.gain(split) < track.gain(split))
}

/// The split of so many intervals at which the gains of all tracks sum up to most, if to enough.
fn best_split<'a>(
    tracks: impl Iterator<Item = &'a Track> + Clone,
    intervals: usize,
) -> Option<(usize, f64)> {
    let gain = |split: usize| tracks.clone().map(|track| track.gain(split).max(0.0)).sum::<f64>();
    (MIN_SIDE..=intervals - MIN_SIDE)
        .map(|split| (split, gain(split)))
        .max_by(|a, b| a.1.total_cmp(&b.1))
        .filter(|(_, gain)| *gain >= THRESHOLD_NATS)
}

/// The split lies at a page; a neighbouring interval that is part old and part new holds the
/// onset itself.
fn locate(parts: &[Frame<'_>], leader: &Track, split: usize, gain: f64) -> Found {
    let span = |index: usize| parts[index].view.span();
    for mixed in [split - 1, split] {
        let share = leader.share_of_new(mixed, split);
        if (0.2..0.8).contains(&share) {
            let Span { from, to } = span(mixed);
            return Found::between(from, to, to - share * (to - from), gain);
        }
    }
    let boundary = span(split).from;
    let found = Found::between(boundary, boundary, boundary, gain);
    let plus_minus = span(split).seconds() / 2.0;
    Found { onset: Onset { plus_minus, ..found.onset }, ..found }
}

fn tracks(whole: &Frame<'_>, parts: &[Frame<'_>]) -> Vec<Track> {
    let level = |value: &dyn Fn(&Frame<'_>) -> Option<(f64, f64)>, worse: f64, floor: f64| {
        Track::Level { points: parts.iter().map(value).collect(), worse, floor }
    };
    let per_request = |top: Amount, bottom: Amount, least: f64| {
        move |part: &Frame<'_>| -> Option<(f64, f64)> {
            let n = bottom(part).ok().filter(|n| *n > 0.0)?;
            Some(((top(part).ok()? / n + least).ln(), n.min(FULL_WEIGHT)))
        }
    };
    let busiest = parts.last().and_then(busiest_engine);
    let long = whole.histogram(PROMPTS).ok().and_then(|of| of.quantile(LONG)).map(|(_, hi)| hi);
    vec![
        level(&arrivals, 1.0, 0.3),
        level(&per_request(cache::COMPUTED, traffic::FIRST_TOKENS, 1.0), 1.0, 0.15),
        level(&per_request(cache::CACHED, traffic::FIRST_TOKENS, 1.0), -1.0, 0.15),
        level(&per_request(OUTPUT_TOKENS, OUTPUTS, 1.0), 1.0, 0.2),
        level(&per_request(ITL_SECONDS, ITL_COUNT, 0.0), 1.0, 0.2),
        level(&per_request(cache::QUERIES, cache::PROMPT, 0.01), 1.0, 0.2),
        level(&preemptions, 1.0, 0.3),
        level(&|part| busiest_share(part, busiest?), 1.0, 0.2),
        Track::Share { points: parts.iter().map(|p| share(endpoint::refusals(p))).collect() },
        Track::Share { points: parts.iter().map(|p| share(gateway::failures(p))).collect() },
        Track::Share { points: parts.iter().map(|part| long_prompts(part, long?)).collect() },
    ]
}

/// Beyond this many observations an interval counts no more: its noise is no longer sampling.
const FULL_WEIGHT: f64 = 20.0;

const OUTPUT_TOKENS: Amount = |frame| frame.sum("request_generation_tokens");
const OUTPUTS: Amount = |frame| frame.count("request_generation_tokens");
const ITL_SECONDS: Amount = |frame| frame.sum("itl");
const ITL_COUNT: Amount = |frame| frame.count("itl");

fn arrivals(part: &Frame<'_>) -> Option<(f64, f64)> {
    let (count, seconds) = (traffic::ARRIVALS(part).ok()?, part.seconds().ok()?);
    Some((((count + 0.5) / seconds.max(0.1)).ln(), 1.0))
}

const PROMPTS: &str = "request_prompt_tokens";

/// The quantile of the whole history above which a prompt is long.
const LONG: f64 = 0.95;

/// Long prompts, and all.
fn long_prompts(part: &Frame<'_>, long: f64) -> Option<(f64, f64)> {
    let prompts = part.histogram(PROMPTS).ok()?;
    (prompts.count > 0.0).then_some((prompts.above(long)?, prompts.count))
}

/// The engine that generated most since the process began, where there are several.
fn busiest_engine<'a>(last: &Frame<'a>) -> Option<Engine<'a>> {
    let name = last.name("generation_tokens").ok()?;
    let engine = |series: &'a Series| Some((series.engine(), series.points.last()?.value));
    let set: &'a SeriesSet = last.view.set();
    let mut engines: Vec<_> = set.named(name).filter_map(engine).collect();
    engines.sort_by(|a, b| b.1.total_cmp(&a.1));
    engines.first().filter(|first| engines.iter().any(|other| other.0 != first.0)).map(|one| one.0)
}

/// Share of the generated tokens that come from one engine.
fn busiest_share(part: &Frame<'_>, engine: Engine<'_>) -> Option<(f64, f64)> {
    let name = part.name("generation_tokens").ok()?;
    let of_engine = |series: &Series| series.engine() == engine;
    let (own, all) = (part.view.increase_where(name, of_engine)?, part.view.increase(name)?);
    (own > 0.0).then(|| ((own / all).ln(), 1.0))
}

fn preemptions(part: &Frame<'_>) -> Option<(f64, f64)> {
    Some((part.increase("preemptions").ok()?.ln_1p(), 1.0))
}

fn share(pair: Result<(f64, f64), Missing>) -> Option<(f64, f64)> {
    pair.ok().filter(|(_, trials)| *trials > 0.0)
}

impl Track {
    /// Evidence in nats that the level changed for the worse at `split`.
    fn gain(&self, split: usize) -> f64 {
        match self {
            Self::Level { points, worse, floor } => level_gain(points, split, *worse, *floor),
            Self::Share { points } => share_gain(points, split),
        }
    }

    /// How far the interval has moved from the level before to the level after, `0..1`.
    fn share_of_new(&self, index: usize, split: usize) -> f64 {
        let (points, linear): (_, Linear) = match self {
            Self::Level { points, .. } => (points, |(value, _)| value.exp()),
            Self::Share { points } => (points, |(hits, trials)| hits / trials),
        };
        let mean = |range: &mut dyn Iterator<Item = usize>| {
            let values: Vec<f64> = range.filter_map(|i| points[i].map(linear)).collect();
            values.iter().sum::<f64>() / values.len().max(1) as f64
        };
        let before = mean(&mut (0..split.saturating_sub(1)));
        let after = mean(&mut (split + 1..points.len()));
        let here = points[index].map_or(before, linear);
        if after == before { 0.0 } else { ((here - before) / (after - before)).clamp(0.0, 1.0) }
    }
}

/// Weighted count, mean and sum of squares around it.
fn moments(points: &[Option<(f64, f64)>]) -> (f64, f64, f64) {
    let (mut weight, mut sum) = (0.0, 0.0);
    for (value, w) in points.iter().flatten() {
        weight += w;
        sum += w * value;
    }
    let mean = if weight > 0.0 { sum / weight } else { 0.0 };
    let squares = points.iter().flatten().map(|(value, w)| w * (value - mean).powi(2)).sum();
    (weight, mean, squares)
}

fn level_gain(points: &[Option<(f64, f64)>], split: usize, worse: f64, floor: f64) -> f64 {
    let (left, right) = points.split_at(split);
    let known = |side: &[Option<(f64, f64)>]| side.iter().flatten().count();
    if known(left) < MIN_SIDE || known(right) < MIN_SIDE {
        return 0.0;
    }
    let (weight, _, whole) = moments(points);
    let ((_, before, a), (_, after, b)) = (moments(left), moments(right));
    if (after - before) * worse <= 0.0 {
        return 0.0;
    }
    let n = points.iter().flatten().count() as f64;
    let noise = floor * floor;
    let ratio = (whole / weight + noise) / ((a + b) / weight + noise);
    n / 2.0 * ratio.ln() - n.ln()
}

fn share_gain(points: &[Option<(f64, f64)>], split: usize) -> f64 {
    let (left, right) = points.split_at(split);
    let total = |side: &[Option<(f64, f64)>]| {
        side.iter().flatten().fold((0.0, 0.0), |sum, pair| (sum.0 + pair.0, sum.1 + pair.1))
    };
    let ((hits_a, n_a), (hits_b, n_b)) = (total(left), total(right));
    if n_a <= 0.0 || n_b <= 0.0 || hits_b / n_b <= hits_a / n_a {
        return 0.0;
    }
    let likelihood = |hits: f64, n: f64| {
        let p = (hits / n).clamp(1e-9, 1.0 - 1e-9);
        hits * p.ln() + (n - hits) * (1.0 - p).ln()
    };
    let apart = likelihood(hits_a, n_a) + likelihood(hits_b, n_b);
    apart - likelihood(hits_a + hits_b, n_a + n_b) - (points.len() as f64).ln()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn level(values: &[f64]) -> Track {
        let points = values.iter().map(|value| Some((value.ln(), 5.0))).collect();
        Track::Level { points, worse: 1.0, floor: 0.15 }
    }

    #[test]
    fn a_step_gains_and_noise_does_not() {
        let step = level(&[10.0, 11.0, 9.0, 10.0, 10.5, 30.0, 31.0, 29.0, 30.0, 28.0]);
        assert!(step.gain(5) > THRESHOLD_NATS);
        let noise = level(&[10.0, 11.0, 9.0, 10.0, 10.5, 9.5, 10.0, 11.0, 10.0, 9.0]);
        assert!((3..=7).all(|split| noise.gain(split) <= 0.0));
    }

    #[test]
    fn a_change_for_the_better_is_no_onset() {
        let better = level(&[30.0, 31.0, 29.0, 30.0, 28.0, 10.0, 11.0, 9.0, 10.0, 10.5]);
        assert_eq!(better.gain(5), 0.0);
    }

    #[test]
    fn a_mixed_interval_holds_the_onset() {
        let step = level(&[10.0, 10.0, 10.0, 10.0, 20.0, 30.0, 30.0, 30.0, 30.0]);
        let share = step.share_of_new(4, 4);
        assert!((share - 0.5).abs() < 0.01, "{share}");
    }
}
