//! Alerts for people and for programs.

use std::fmt::Write as _;

use serde::Serialize;

use crate::{
    evidence::{Time, series::Labels},
    report::{
        json::escape_hazards,
        text::{clean, wrap},
    },
    runbook::Severity,
    unit::Unit,
};

use super::{
    Alert, duration,
    load::Rules,
    state::{self, Fired, State},
};

/// An alert as it is shown.
#[derive(Debug, Serialize)]
pub struct ShownAlert {
    /// Its id.
    pub id: String,
    /// Its title.
    pub title: String,
    /// Whether it pages.
    pub severity: Severity,
    /// `firing`, `pending`, `quiet` or `unknown`.
    pub state: &'static str,
    /// What it is told apart by.
    pub of: Labels,
    /// Values of its conditions.
    pub values: Vec<ShownValue>,
    /// Since when its conditions hold, RFC 3339.
    pub since: Option<String>,
    /// Why it is unknown.
    pub why: Option<String>,
    /// The command to run.
    pub run: String,
    /// What to do first.
    pub action: String,
}

/// A value beside its threshold.
#[derive(Debug, Serialize)]
pub struct ShownValue {
    /// The measure.
    pub measure: String,
    /// Its value in words, with its unit.
    pub value: Option<String>,
    /// The threshold in words.
    pub threshold: String,
}

/// A time in which an alert would have fired.
#[derive(Debug, Serialize)]
pub struct ShownFired {
    /// The alert.
    pub id: String,
    /// What it is told apart by.
    pub of: Labels,
    /// When it began, RFC 3339.
    pub from: String,
    /// When it ended; `None` where it still fired at the end.
    pub to: Option<String>,
    /// Seconds from the onset that a report finds to the moment it fired; `None` where there is no
    /// onset before it.
    pub after_onset_seconds: Option<f64>,
    /// Signals of the symptoms that a report finds over that time; with none it fired for nothing.
    pub symptoms: Vec<String>,
}

/// What a report says of a time in which an alert fired.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Found {
    /// When the trouble began, Unix seconds.
    pub onset: Option<Time>,
    /// Signals of its symptoms.
    pub symptoms: Vec<String>,
}

/// An alert with what it says; `flags` lead the runbook to the same evidence.
pub fn alert(
    alert: &Alert,
    rules: &Rules,
    policy: &state::Policy,
    status: &state::Status,
    flags: &str,
) -> ShownAlert {
    let (state, since, why) = match &status.state {
        State::Inactive => ("quiet", None, None),
        State::Pending { since } => ("pending", Some(stamp(*since)), None),
        State::Firing { since } => ("firing", Some(stamp(*since)), None),
        State::Unknown(why) => ("unknown", None, Some(why.clone())),
    };
    let value = |(index, condition): (usize, &super::Condition)| {
        let unit = rules.measures.get(&condition.measure).map_or(Unit::Count, |it| it.unit);
        let known = status.values.get(index).copied().flatten();
        ShownValue {
            measure: condition.measure.clone(),
            value: known.map(|it| match it.bucket {
                true => unit.show_interval(it.lo, it.hi),
                false => unit.show(it.point),
            }),
            threshold: threshold(condition, unit, policy),
        }
    };
    ShownAlert {
        id: alert.id.clone(),
        title: alert.title.clone(),
        severity: alert.severity,
        state,
        of: status.of.clone(),
        values: alert.all.iter().enumerate().map(value).collect(),
        since,
        why,
        run: format!("diagnose {} {flags}", alert.runbook),
        action: alert.action.clone(),
    }
}

/// A threshold in words, such as `over 500 ms`.
pub fn threshold(condition: &super::Condition, unit: Unit, policy: &state::Policy) -> String {
    let shown = |bound: &Option<super::Threshold>| Some(unit.show(bound.as_ref()?.value(policy)?));
    let above = shown(&condition.above).map(|bound| format!("over {bound}"));
    let below = || shown(&condition.below).map(|bound| format!("under {bound}"));
    let factor = || condition.above_baseline.map(|factor| format!("over {factor}× its baseline"));
    above.or_else(below).or_else(factor).unwrap_or_default()
}

/// A time in which an alert would have fired, beside what a report says of it.
pub fn fired(alert: &Alert, fired: Fired, found: Found) -> ShownFired {
    let after = found.onset.map(|onset| fired.from - onset).filter(|seconds| *seconds >= 0.0);
    ShownFired {
        id: alert.id.clone(),
        of: fired.of,
        from: stamp(fired.from),
        to: fired.to.map(stamp),
        after_onset_seconds: after,
        symptoms: found.symptoms,
    }
}

/// A moment as RFC 3339, to the second.
pub fn stamp(at: Time) -> String {
    let stamp = jiff::Timestamp::from_second(at as i64);
    stamp.map_or_else(|_| "?".into(), |stamp| stamp.to_string())
}

/// Any of these as JSON: indented, one line feed at the end.
pub fn json<T: Serialize>(items: &[T]) -> String {
    // There are no maps with keys other than text in it, so serializing cannot fail.
    escape_hazards(&serde_json::to_string_pretty(items).unwrap_or_default()) + "\n"
}

/// Alerts for a screen: what fires and what is pending first, quiet ones in one line.
pub fn alerts_on_screen(alerts: &[ShownAlert], width: usize) -> String {
    let mut out = String::new();
    for state in ["firing", "pending", "unknown"] {
        for alert in alerts.iter().filter(|alert| alert.state == state) {
            alert_on_screen(&mut out, alert, width);
        }
    }
    let quiet: Vec<&str> =
        alerts.iter().filter(|it| it.state == "quiet").map(|it| it.id.as_str()).collect();
    if !quiet.is_empty() {
        for line in wrap(&format!("QUIET    {}", quiet.join(", ")), width) {
            let _ = writeln!(out, "{line}");
        }
    }
    out
}

fn alert_on_screen(out: &mut String, alert: &ShownAlert, width: usize) {
    let severity = format!("{:?}", alert.severity).to_lowercase();
    let since = alert.since.as_ref().map(|at| format!(" since {at}")).unwrap_or_default();
    let of: Vec<String> = alert.of.iter().map(|(k, v)| format!("{k}={}", clean(v))).collect();
    let of = if of.is_empty() { String::new() } else { format!(" [{}]", of.join(", ")) };
    let _ = writeln!(out, "{:<8} {}{of} ({severity}){since}", alert.state.to_uppercase(), alert.id);
    let mut row = |text: String| {
        for line in wrap(&text, width.saturating_sub(9).max(20)) {
            let _ = writeln!(out, "         {line}");
        }
    };
    for value in &alert.values {
        let known = value.value.as_deref().unwrap_or("unknown");
        row(format!("{} is {known}; it fires {}", value.measure, value.threshold));
    }
    alert.why.iter().for_each(|why| row(why.clone()));
    if alert.state != "unknown" {
        row(alert.action.clone());
        row(format!("run: {}", alert.run));
    }
}

/// Times in which alerts would have fired, for a screen: how late against the onset, and whether a
/// report finds a symptom in them.
pub fn fired_on_screen(fired: &[ShownFired]) -> String {
    if fired.is_empty() {
        return "No alert would have fired.\n".into();
    }
    let line = |it: &ShownFired| {
        let of: Vec<String> = it.of.iter().map(|(k, v)| format!(" {k}={}", clean(v))).collect();
        let to = it.to.as_deref().unwrap_or("the end");
        let late = it.after_onset_seconds.map_or("no onset".into(), duration);
        let why = match it.symptoms.as_slice() {
            [] => "for nothing".into(),
            symptoms => symptoms.join(", "),
        };
        format!("{:<30} {:<20} {to:<20} {late:<8} {why}{}\n", it.id, it.from, of.concat())
    };
    let lines: String = fired.iter().map(line).collect();
    let for_nothing = fired.iter().filter(|it| it.symptoms.is_empty()).count();
    let head =
        format!("{:<30} {:<20} {:<20} {:<8} {}\n", "alert", "from", "to", "late", "symptoms");
    format!("{head}{lines}\n{} times in all, {for_nothing} of them for nothing.\n", fired.len())
}
