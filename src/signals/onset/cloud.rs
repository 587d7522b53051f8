//! The same search where no pages were read: over the periods of CloudWatch, and by its alarms.

use super::{FULL_WEIGHT, Found, MIN_SIDE, Track, best_split, locate, share};
use crate::{
    evidence::{
        Span,
        cloud::{Alarm, AlarmRole, AlarmState},
    },
    signals::{
        Frame,
        cloud::{adapters, metrics},
    },
};

/// How many pieces the recorded time has.
pub(super) fn pieces(history: &Frame<'_>) -> usize {
    metrics::intervals(history).len()
}

/// Where the gateway's metrics change most, else where the first of the alarms fired that still
/// does.
pub(super) fn scan(history: &Frame<'_>) -> Option<Found> {
    by_metrics(history).or_else(|| by_alarm(history))
}

fn by_metrics(history: &Frame<'_>) -> Option<Found> {
    let parts = metrics::intervals(history);
    if parts.len() < 2 * MIN_SIDE {
        return None;
    }
    let drivers = tracks(history, &parts);
    let (split, gain) = best_split(drivers.iter(), parts.len())?;
    let leader = drivers.iter().max_by(|a, b| a.gain(split).total_cmp(&b.gain(split)))?;
    Some(locate(&parts, leader, split, gain))
}

fn tracks(whole: &Frame<'_>, parts: &[Frame<'_>]) -> Vec<Track> {
    let level = |value: &dyn Fn(&Frame<'_>) -> Option<f64>, floor: f64| {
        let point =
            |part: &Frame<'_>| value(part).filter(|it| *it > 0.0).map(|it| (it.ln(), FULL_WEIGHT));
        Track::Level { points: parts.iter().map(point).collect(), worse: 1.0, floor }
    };
    let mean = |name: &'static str| {
        move |part: &Frame<'_>| Some(metrics::mean(part, name, 1.0).ok()?.point)
    };
    let hits = |of: &dyn Fn(&Frame<'_>) -> Option<(f64, f64)>| Track::Share {
        points: parts.iter().map(of).collect(),
    };
    let mut tracks = vec![
        level(&|part| Some(metrics::offered(part).ok()?.point), 0.3),
        level(&mean("InputTokens"), 0.15),
        level(&mean("OutputTokens"), 0.2),
        hits(&|part| {
            share(metrics::total(part, "PrefixCacheHit").map(|(hits, n)| ((n - hits).max(0.0), n)))
        }),
        hits(&|part| share(metrics::part(part, "Invocation4XXErrors", "Invocations"))),
        hits(&|part| share(metrics::part(part, "Invocation5XXErrors", "Invocations"))),
    ];
    for adapter in adapters::busiest(whole) {
        for (ratio, floor) in
            [(("GenerationMs", "OutputTokens"), 0.2), (("InputTokens", "InputTokens"), 0.15)]
        {
            let points = parts.iter().map(|part| {
                let (value, n) =
                    adapters::ratio(part, adapter, ratio).filter(|(it, _)| *it > 0.0)?;
                Some((value.ln(), n.min(FULL_WEIGHT)))
            });
            tracks.push(Track::Level { points: points.collect(), worse: 1.0, floor });
        }
    }
    tracks
}

/// An alarm fires after what it saw, by as much as it looks back.
fn by_alarm(history: &Frame<'_>) -> Option<Found> {
    let span = history.view.span();
    let alarms = history.evidence.cloud.iter().flat_map(|cloud| &cloud.alarms);
    let firing = alarms.filter(|alarm| alarm.role != AlarmRole::Removes);
    let fired = firing.filter_map(|alarm| fired(alarm, span));
    let (at, before) = fired.min_by(|a, b| a.0.total_cmp(&b.0))?;
    let lower = (at - before).max(span.from);
    Some(Found::between(lower, at, lower, f64::INFINITY))
}

/// When an alarm that fires at the end began to, after the start of the span.
fn fired(alarm: &Alarm, span: Span) -> Option<(f64, f64)> {
    let (state, since) = alarm.state_at(span.to)?;
    let since = since.filter(|at| state == AlarmState::Alarm && *at > span.from)?;
    Some((since, alarm.looks_back.unwrap_or(0.0)))
}
