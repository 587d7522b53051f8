//! Alerts that fired, as events.

use super::{
    record::{Column, Metric, Part, Record},
    replicas::Replicas,
};
use crate::evidence::{Event, EventKind, Span, Time};

/// Steps of the alerts' past.
const STEPS: f64 = 500.0;

/// Steps without a sample after which an alert has ended.
const ENDED: f64 = 1.5;

/// Seconds between two looks at the alerts.
pub(super) fn step(reach: Span, spacing: f64) -> f64 {
    (reach.seconds() / STEPS).max(2.0 * spacing).ceil()
}

/// Whether an alert is about these replicas: by its labels or, where it names no target, its name.
pub(super) fn concerns(labels: &Metric, replicas: &Replicas) -> bool {
    for label in ["instance", "pod", "job"] {
        let ours = replicas.values(label);
        if let Some(value) = labels.get(label).filter(|_| !ours.is_empty()) {
            return ours.contains(value.as_str());
        }
    }
    let says_vllm = |text: &String| text.to_ascii_lowercase().contains("vllm");
    labels.contains_key("model_name") || labels.values().any(says_vllm)
}

/// Begins and ends of the alerts.
pub(super) fn events(record: &Record) -> Vec<Event> {
    let span = Span { from: record.from_ms as f64 / 1e3, to: record.to_ms as f64 / 1e3 };
    let step = step(span, record.spacing());
    record
        .of(Part::Alerts)
        .flat_map(|column| of_alert(column, record.from_ms, span, step))
        .collect()
}

fn of_alert(column: &Column, from_ms: i64, span: Span, step: f64) -> Vec<Event> {
    let times: Vec<Time> = column.points(from_ms).map(|(at, _)| at).collect();
    let name = described(&column.labels);
    let event = |not_before: Time, at: Time, what: &str| Event {
        at,
        not_before,
        kind: EventKind::Alarm,
        text: format!("the alert {name} {what}"),
        source: "prometheus",
    };
    let mut events = Vec::new();
    for run in times.chunk_by(|a, b| b - a < ENDED * step) {
        let (first, last) = (run[0], run[run.len() - 1]);
        let began = first - step;
        let word = if began < span.from { "was firing already" } else { "began to fire" };
        events.push(event(began.max(span.from), first, word));
        if last + ENDED * step < span.to {
            events.push(event(last, last + step, "ended"));
        }
    }
    events
}

/// An alert's name with what tells it from others of the same name.
fn described(labels: &Metric) -> String {
    let name = labels.get("alertname").map_or("?", String::as_str);
    let told = ["severity", "instance", "pod", "model_name"];
    let told = told.iter().filter_map(|label| Some(format!("{label}=\"{}\"", labels.get(*label)?)));
    let told: Vec<String> = told.collect();
    if told.is_empty() { name.into() } else { format!("{name} ({})", told.join(", ")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(pairs: &[(&str, &str)]) -> Metric {
        pairs.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect()
    }

    #[test]
    fn an_alert_begins_ends_and_begins_again() {
        let labels = labels(&[("alertname", "SlowTTFT"), ("severity", "page")]);
        let samples = "30000 1 60000 1 90000 1 300000 1 330000 1".into();
        let span = Span { from: 0.0, to: 340.0 };
        let events = of_alert(&Column { labels, samples }, 0, span, 30.0);
        let told: Vec<_> = events.iter().map(|it| (it.not_before, it.at, &it.text[10..])).collect();
        assert_eq!(
            told,
            [
                (0.0, 30.0, "SlowTTFT (severity=\"page\") began to fire"),
                (90.0, 120.0, "SlowTTFT (severity=\"page\") ended"),
                (270.0, 300.0, "SlowTTFT (severity=\"page\") began to fire"),
            ]
        );
    }

    #[test]
    fn alerts_of_other_systems_are_none_of_ours() {
        let own = labels(&[("job", "vllm"), ("instance", "a:1")]);
        let replicas = Replicas::of([&own].into_iter(), &std::collections::BTreeSet::new());
        assert!(concerns(&labels(&[("alertname", "X"), ("instance", "a:1")]), &replicas));
        assert!(concerns(&labels(&[("alertname", "VLLMQueue")]), &replicas));
        assert!(!concerns(&labels(&[("alertname", "DiskFull"), ("job", "node")]), &replicas));
        assert!(!concerns(&labels(&[("alertname", "Watchdog")]), &replicas));
    }
}
