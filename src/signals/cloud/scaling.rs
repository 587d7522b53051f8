//! The endpoint's instances, and what should add to them.

use crate::{
    evidence::{
        Endpoint, Span, Time,
        cloud::{Alarm, AlarmRole, AlarmState, Scaling, ScalingActivity, ScalingOutcome},
        log::LogKind,
    },
    signals::{Estimate, Frame, Missing, MissingKind, Value},
};

use super::unread;

const NO_ENDPOINT: &str = "no endpoint of SageMaker was looked at (--sagemaker NAME)";

/// What was seen once, at the end of the evidence, says nothing of times before.
fn at_end(frame: &Frame<'_>) -> Result<(), Missing> {
    let (asked, span) = (frame.evidence.cloud.as_ref().map(|it| it.at), frame.view.span());
    let before = asked.is_some_and(|at| span.to < at) && span.to < frame.evidence.span.to;
    if before || frame.view.is_lifetime() {
        let why = "the endpoint was looked at only at the end";
        return Err(Missing::new(MissingKind::NoBaseline, why));
    }
    Ok(())
}

fn endpoint<'a>(frame: &Frame<'a>) -> Result<&'a Endpoint, Missing> {
    at_end(frame)?;
    let endpoint = frame.evidence.cloud.as_ref().and_then(|cloud| cloud.endpoint.as_ref());
    endpoint.ok_or_else(|| unread(frame, "sagemaker", NO_ENDPOINT))
}

fn scaling<'a>(frame: &Frame<'a>) -> Result<&'a Scaling, Missing> {
    let scaling = frame.evidence.cloud.as_ref().and_then(|cloud| cloud.scaling.as_ref());
    let why = "the scaling of an endpoint was not looked at (--sagemaker NAME)";
    scaling.ok_or_else(|| unread(frame, "autoscaling", why))
}

fn activities<'a>(frame: &Frame<'a>) -> Result<&'a [ScalingActivity], Missing> {
    let why = "the scaling activities were not looked at";
    let told = scaling(frame)?.activities.as_deref();
    told.ok_or_else(|| unread(frame, "autoscaling", why))
}

/// The alarms that ask for more instances.
fn alarms<'a>(frame: &Frame<'a>) -> Result<Vec<&'a Alarm>, Missing> {
    if frame.view.is_lifetime() {
        let why = "the alarms tell of the recorded time only";
        return Err(Missing::new(MissingKind::NoBaseline, why));
    }
    let why = "no alarm was looked at (--cloudwatch)";
    let cloud = frame.evidence.cloud.as_ref().filter(|it| !it.alarms.is_empty());
    let all = cloud.ok_or_else(|| unread(frame, "cloudwatch", why))?.alarms.iter();
    let growing: Vec<&Alarm> = all.filter(|alarm| alarm.role == AlarmRole::Adds).collect();
    if growing.is_empty() {
        let why = "no alarm asks a scaling policy for more instances";
        return Err(Missing::new(MissingKind::Absent, why));
    }
    Ok(growing)
}

fn exact(value: f64) -> Value {
    Ok(Estimate::exact(value, None))
}

/// How long an alarm that adds instances has been in a state, up to the end of the span; the
/// longest of them.
fn seconds_in(frame: &Frame<'_>, state: AlarmState) -> Value {
    let span = frame.view.span();
    let known: Vec<f64> = alarms(frame)?
        .iter()
        .filter_map(|alarm| alarm.state_at(span.to))
        .map(|(now, since)| match now == state {
            true => (span.to - since.unwrap_or(span.from)).max(0.0),
            false => 0.0,
        })
        .collect();
    let longest = known.into_iter().reduce(f64::max);
    longest
        .map(|seconds| Estimate::exact(seconds, None))
        .ok_or_else(|| Missing::no_samples("known state of the alarm that scales"))
}

pub(super) fn alarm_seconds(frame: &Frame<'_>) -> Value {
    seconds_in(frame, AlarmState::Alarm)
}

pub(super) fn blind_seconds(frame: &Frame<'_>) -> Value {
    seconds_in(frame, AlarmState::InsufficientData)
}

pub(super) fn missing(frame: &Frame<'_>) -> Value {
    exact(missing_now(frame)?)
}

fn missing_now(frame: &Frame<'_>) -> Result<f64, Missing> {
    let count = endpoint(frame)?.missing().map(f64::from);
    count.ok_or_else(|| Missing::new(MissingKind::Absent, "the endpoint does not tell its counts"))
}

pub(super) fn missing_seconds(frame: &Frame<'_>) -> Value {
    if missing_now(frame)? < 1.0 {
        return exact(0.0);
    }
    exact((frame.view.span().to - short_since(frame)?).max(0.0))
}

/// Since when fewer instances than wanted are there.
fn short_since(frame: &Frame<'_>) -> Result<Time, Missing> {
    let endpoint = endpoint(frame)?;
    let short = endpoint.variants.iter().filter(|it| it.desired > it.current);
    let variant = short.filter_map(|it| it.since).reduce(f64::min);
    let pending = |it: &&ScalingActivity| it.outcome == ScalingOutcome::Pending;
    let activity = || Some(activities(frame).ok()?.iter().rev().find(pending)?.at);
    let changed = || endpoint.changed.filter(|_| endpoint.status != "InService");
    let told = variant.or(endpoint.deploying_since).or_else(activity).or_else(changed);
    let since = [told, endpoint.short_since].into_iter().flatten().reduce(f64::min);
    since.ok_or_else(|| Missing::new(MissingKind::Absent, "nothing tells since when"))
}

/// All that the endpoint and its activities of the span say in words, with how long each took.
fn said<'a>(frame: &Frame<'a>) -> Result<Vec<(&'a str, Option<f64>)>, Missing> {
    let (span, endpoint) = (frame.view.span(), endpoint(frame));
    let scaling = activities(frame);
    let mut said = Vec::new();
    if let Ok(endpoint) = &endpoint {
        let since = short_since(frame).ok().or(endpoint.created);
        let until = endpoint.changed.filter(|_| endpoint.status == "Failed").unwrap_or(span.to);
        let took = since.map(|since| (until - since).max(0.0));
        let states = endpoint.variants.iter().filter_map(|it| it.status.as_deref());
        said.extend(endpoint.failure.as_deref().into_iter().chain(states).map(|it| (it, took)));
    }
    // What went wrong before instances came says nothing of now.
    let scaled = |it: &&ScalingActivity| it.outcome == ScalingOutcome::Scaled && it.at <= span.to;
    let all = || scaling.iter().copied().flatten();
    let mended = all().filter(scaled).map(|it| it.at).reduce(f64::max);
    let open = |it: &&ScalingActivity| it.touches(span) && mended.is_none_or(|at| it.at > at);
    for activity in all().filter(open) {
        let took = activity.ended.unwrap_or(span.to) - activity.at;
        said.push((activity.says.as_str(), Some(took.max(0.0))));
    }
    // Nothing said is nothing wrong only where all that was asked has answered.
    let refused = |missing: &Missing| missing.kind == MissingKind::SourceFailed;
    match (endpoint, scaling) {
        (Err(why), _) if said.is_empty() => Err(why),
        (_, Err(why)) if said.is_empty() && refused(&why) => Err(why),
        _ => Ok(said),
    }
}

fn told(frame: &Frame<'_>, words: &[&str]) -> Value {
    let hits = said(frame)?.iter().filter(|(text, _)| holds(text, words)).count();
    exact(hits as f64)
}

fn holds(text: &str, words: &[&str]) -> bool {
    words.iter().any(|word| text.contains(word))
}

pub(super) fn no_capacity(frame: &Frame<'_>) -> Value {
    told(frame, &["InsufficientInstanceCapacity"])
}

pub(super) fn over_quota(frame: &Frame<'_>) -> Value {
    told(frame, &["ResourceLimitExceeded", "account-level service limit"])
}

const HEALTH: [&str; 2] = ["health check", "/ping"];

pub(super) fn unhealthy_seconds(frame: &Frame<'_>) -> Value {
    let said = said(frame)?;
    let failing =
        said.iter().filter(|(text, _)| holds(text, &HEALTH)).filter_map(|(_, took)| *took);
    if let Some(longest) = failing.reduce(f64::max) {
        return exact(longest);
    }
    if missing_now(frame)? < 1.0 {
        return exact(0.0);
    }
    let (since, end) = (short_since(frame)?, frame.view.span().to);
    let log = frame.evidence.log.matches.iter();
    let failed = log.filter(|it| it.feeds.contains(&LogKind::StartFailed));
    let first = failed.filter_map(|it| it.at).filter(|at| (since..=end).contains(at));
    let first = first.reduce(f64::min);
    first.map(|at| Estimate::exact(end - at, None)).ok_or_else(|| {
        let why = "an instance is on its way, and nothing tells whether it has come up";
        Missing::new(MissingKind::Undecided, why)
    })
}

pub(super) fn activities_count(frame: &Frame<'_>) -> Value {
    let span = frame.view.span();
    let firing = alarms(frame).unwrap_or_default();
    let since = firing.iter().filter_map(|alarm| match alarm.state_at(span.to)? {
        (AlarmState::Alarm, since) => since,
        _ => None,
    });
    let since = Span { from: since.reduce(f64::min).unwrap_or(span.from), to: span.to };
    let acted =
        |it: &&ScalingActivity| it.outcome != ScalingOutcome::NotScaled && it.touches(since);
    exact(activities(frame)?.iter().filter(acted).count() as f64)
}

pub(super) fn headroom(frame: &Frame<'_>) -> Value {
    at_end(frame)?;
    let scaling = scaling(frame)?;
    let endpoint = endpoint(frame);
    let left = scaling.targets.iter().filter_map(|target| {
        let name = target.resource.rsplit('/').next()?;
        let variant = endpoint.as_ref().ok()?.variants.iter().find(|it| it.name == name)?;
        Some(f64::from(target.max.saturating_sub(variant.desired?)))
    });
    if let Some(least) = left.reduce(f64::min) {
        return exact(least);
    }
    let last = scaling.activities.iter().flatten().rfind(|it| it.touches(frame.view.span()));
    if last.is_some_and(|it| it.says.contains("AlreadyAtMaxCapacity")) {
        return exact(0.0);
    }
    endpoint?;
    Err(Missing::new(MissingKind::NotConfigured, "no variant of the endpoint is set to scale"))
}

pub(super) fn suspended(frame: &Frame<'_>) -> Value {
    at_end(frame)?;
    let targets = &scaling(frame)?.targets;
    if targets.is_empty() {
        let why = "no variant of the endpoint is set to scale";
        return Err(Missing::new(MissingKind::NotConfigured, why));
    }
    exact(f64::from(u8::from(targets.iter().any(|it| it.suspended))))
}

pub(super) fn cooldown_left(frame: &Frame<'_>) -> Value {
    let longest = scaling(frame)?.policies.iter().filter_map(|it| it.cooldown).reduce(f64::max);
    let Some(cooldown) = longest else {
        return Err(Missing::new(MissingKind::Absent, "no policy tells a cooldown"));
    };
    let end = frame.view.span().to;
    let scaled = activities(frame)?.iter().filter(|it| it.outcome == ScalingOutcome::Scaled);
    let last = scaled.map(|it| it.ended.unwrap_or(it.at)).filter(|at| *at <= end).reduce(f64::max);
    exact(last.map_or(0.0, |at| (at + cooldown - end).max(0.0)))
}

pub(super) fn warm_pool(frame: &Frame<'_>) -> Value {
    at_end(frame)?;
    let cloud = frame.evidence.cloud.as_ref();
    if let Some(pool) = cloud.and_then(|it| it.warm_pool) {
        return exact(pool.ready as f64);
    }
    if cloud.is_some_and(|it| it.endpoint.is_some()) {
        let why = "an endpoint of SageMaker has no warm pool";
        return Err(Missing::new(MissingKind::NotConfigured, why));
    }
    Err(unread(frame, "autoscaling", "no warm pool is set (`warm_pool_group`)"))
}

pub(super) fn cold_starts(frame: &Frame<'_>) -> Value {
    let pool = frame.evidence.cloud.as_ref().and_then(|it| it.warm_pool);
    let missing = missing_now(frame)?;
    exact(if pool.is_some_and(|pool| pool.ready > 0) { 0.0 } else { missing })
}
