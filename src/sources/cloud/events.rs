//! Moments at which the cloud did or told something.

use crate::evidence::{
    Cloud, Event, EventKind, Span, Time,
    cloud::{Alarm, AlarmState, Release, Scaling, ScalingActivity, ScalingOutcome},
};

/// Seconds before the evidence begins in which a release may still matter to it.
const BEFORE: f64 = 3600.0;

/// Alarms, activities of scaling, and releases.
pub(crate) fn events(cloud: &Cloud, span: Span) -> Vec<Event> {
    let near = Span { from: span.from - BEFORE, to: span.to };
    let activities = cloud.scaling.iter().filter_map(|it: &Scaling| it.activities.as_ref());
    let scaling = activities.flatten().map(scaled);
    let alarms = cloud.alarms.iter().flat_map(changed);
    let all = alarms.chain(scaling).chain(deployed(cloud));
    all.filter(|event| near.contains(event.at)).collect()
}

fn event(at: Time, kind: EventKind, text: String) -> Event {
    let source = match kind {
        EventKind::Alarm => "cloudwatch",
        EventKind::Scaling => "autoscaling",
        _ => "sagemaker",
    };
    Event { at, not_before: at, kind, text, source }
}

fn changed(alarm: &Alarm) -> Vec<Event> {
    let told = |at: Time, to: AlarmState, from: Option<AlarmState>| {
        let from = from.map_or_else(String::new, |from| format!("{} → ", word(from)));
        let text = format!("alarm {}: {from}{}", alarm.name, word(to));
        // An alarm fires after what it saw, by as much as it looks back.
        let before = alarm.looks_back.filter(|_| to == AlarmState::Alarm).unwrap_or(0.0);
        Event { not_before: at - before, ..event(at, EventKind::Alarm, text) }
    };
    if alarm.changes.is_empty() && alarm.state == AlarmState::Alarm {
        return alarm.since.map(|at| told(at, alarm.state, None)).into_iter().collect();
    }
    alarm.changes.iter().map(|it| told(it.at, it.to, it.from)).collect()
}

fn word(state: AlarmState) -> &'static str {
    match state {
        AlarmState::Ok => "OK",
        AlarmState::Alarm => "ALARM",
        AlarmState::InsufficientData => "too few data",
    }
}

fn scaled(activity: &ScalingActivity) -> Event {
    let outcome = match activity.outcome {
        ScalingOutcome::Pending => "under way",
        ScalingOutcome::Scaled => "done",
        ScalingOutcome::Failed => "failed",
        ScalingOutcome::NotScaled => "not scaled",
    };
    let what = activity.what.trim_end_matches('.');
    let what = if what.is_empty() { "scaling" } else { what };
    let text = match activity.outcome {
        ScalingOutcome::Failed | ScalingOutcome::NotScaled => {
            format!("{what}: {outcome} ({})", activity.says)
        }
        _ => format!("{what}: {outcome}"),
    };
    event(activity.at, EventKind::Scaling, text)
}

/// The last release, with what it changed.
fn deployed(cloud: &Cloud) -> Option<Event> {
    let endpoint = cloud.endpoint.as_ref()?;
    let (now, before) = (endpoint.release.as_ref()?, endpoint.before.as_ref()?);
    let at = now.created?;
    let changes = difference(now, before);
    let what = if changes.is_empty() { "the same settings".into() } else { changes.join(", ") };
    let text = format!("{} → {}: {what}", before.config, now.config);
    Some(event(at, EventKind::Deploy, text))
}

/// What differs, such as `image 0.10.1 → 0.11.0`.
fn difference(now: &Release, before: &Release) -> Vec<String> {
    let value = |release: &Release, key: &str| {
        release.settings.iter().find(|(name, _)| name == key).map(|(_, value)| value.clone())
    };
    let mut keys: Vec<&str> =
        before.settings.iter().chain(&now.settings).map(|(key, _)| key.as_str()).collect();
    keys.sort_unstable();
    keys.dedup();
    keys.into_iter()
        .filter_map(|key| {
            let (old, new) = (value(before, key), value(now, key));
            (old != new).then(|| {
                let absent = || "absent".to_owned();
                let (old, new) = (old.unwrap_or_else(absent), new.unwrap_or_else(absent));
                let (old, new) = short(&old, &new);
                format!("{key} {old} → {new}")
            })
        })
        .collect()
}

/// Two images of one repository differ in their tags.
fn short<'a>(old: &'a str, new: &'a str) -> (&'a str, &'a str) {
    match (old.rsplit_once(':'), new.rsplit_once(':')) {
        (Some((a, old_tag)), Some((b, new_tag))) if a == b => (old_tag, new_tag),
        _ => (old, new),
    }
}
