//! Objectives and alerts for people and for programs.

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
    Alert, Slo, duration,
    load::Rules,
    objective::{Status, TierState, covers},
    state::{self, Fired, State},
};

/// An objective as it is shown.
#[derive(Debug, Serialize)]
pub struct ShownSlo {
    /// Its id.
    pub id: String,
    /// Its title.
    pub title: String,
    /// Least share of good events.
    pub objective: f64,
    /// `met`, `missed` or `unknown`; a window that was seen in part can be missed and not met.
    pub state: &'static str,
    /// Share of good events over `window`.
    pub good: Option<f64>,
    /// Events behind it.
    pub events: f64,
    /// The objective's own rolling window.
    pub window: String,
    /// Period of the budget.
    pub period: String,
    /// Seconds of the period that history covers.
    pub covered_seconds: f64,
    /// Share of the budget that was spent in what history covers.
    pub budget_spent: Option<f64>,
    /// Share of the budget that is left; `None` where history does not cover the period.
    pub budget_left: Option<f64>,
    /// The same in minutes of total failure.
    pub budget_left_minutes: Option<f64>,
    /// Minutes of total failure that the whole budget allows.
    pub budget_minutes: f64,
    /// Seconds until it is gone at the present rate.
    pub exhausted_in_seconds: Option<f64>,
    /// The burn-rate tiers.
    pub tiers: Vec<ShownTier>,
    /// The bucket bound used instead of the one asked for, seconds.
    pub snapped_to_seconds: Option<f64>,
    /// Why nothing is known, or what is uncertain.
    pub why: Option<String>,
    /// What users say where it is missed.
    pub users: String,
    /// What that means to the business.
    pub business: String,
    /// The source of the events.
    pub source: &'static str,
}

/// A tier as it is shown.
#[derive(Debug, Serialize)]
pub struct ShownTier {
    /// Its id.
    pub id: String,
    /// Whether it pages.
    pub severity: Severity,
    /// The windows, long and short.
    pub windows: [String; 2],
    /// Burn rate from which it fires.
    pub fires_at: f64,
    /// Burn rates of the two windows.
    pub burns: [Option<f64>; 2],
    /// Events of the long window.
    pub events: f64,
    /// `firing`, `quiet`, `never` or `unknown`.
    pub state: &'static str,
    /// Why it never fires, or is unknown.
    pub why: Option<String>,
}

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

/// An objective with what is known of it.
pub fn slo(slo: &Slo, status: &Status) -> ShownSlo {
    let events = status.now.events.as_ref().ok().copied().unwrap_or_default();
    let good = events.ratio().map(|bad| 1.0 - bad);
    let budget_minutes = (1.0 - slo.objective) * super::seconds(&slo.period).unwrap_or(0.0) / 60.0;
    let quiet = || (events.total <= 0.0).then(|| "nothing happened in its window".to_owned());
    let window = super::seconds(&slo.window).unwrap_or(0.0);
    let partly = (!covers(status.covered, window))
        .then(|| format!("only {} of {} were seen", duration(status.covered), slo.window));
    let why = status.now.events.as_ref().err().map(|missing| missing.why.clone());
    ShownSlo {
        id: slo.id.clone(),
        title: slo.title.clone(),
        objective: slo.objective,
        state: match good {
            None => "unknown",
            Some(good) if good < slo.objective => "missed",
            Some(_) if partly.is_some() => "unknown",
            Some(_) => "met",
        },
        good,
        events: events.total,
        window: slo.window.clone(),
        period: slo.period.clone(),
        covered_seconds: status.covered,
        budget_spent: status.spent,
        budget_left: status.left,
        budget_left_minutes: status.left.map(|left| left * budget_minutes),
        budget_minutes,
        exhausted_in_seconds: status.exhausted_in,
        tiers: status.tiers.iter().map(tier).collect(),
        snapped_to_seconds: status.snapped,
        why: why.or_else(quiet).or(partly),
        users: slo.users.clone(),
        business: slo.business.clone(),
        source: status.source,
    }
}

fn tier(tier: &super::objective::TierStatus) -> ShownTier {
    let (state, why) = match &tier.state {
        TierState::Fires => ("firing", None),
        TierState::Quiet => ("quiet", None),
        TierState::Never(why) => ("never", Some(why.clone())),
        TierState::Unknown(why) => ("unknown", Some(why.clone())),
    };
    ShownTier {
        id: tier.rule.id.clone(),
        severity: tier.rule.severity,
        windows: [tier.rule.long.clone(), tier.rule.short.clone()],
        fires_at: tier.factor,
        burns: [tier.long, tier.short],
        events: tier.events,
        state,
        why,
    }
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

/// Objectives for a screen of `width` columns.
pub fn slos_on_screen(slos: &[ShownSlo], width: usize) -> String {
    slos.iter().map(|slo| slo_on_screen(slo, width)).collect::<Vec<_>>().join("\n")
}

fn slo_on_screen(slo: &ShownSlo, width: usize) -> String {
    let mut out = String::new();
    let objective = Unit::Ratio.show(slo.objective);
    let _ = writeln!(out, "{}: {} ({objective} good)", slo.title, slo.state.to_uppercase());
    let mut row = |name: &str, text: String| {
        let indented = wrap(&text, width.saturating_sub(12).max(20));
        for (index, line) in indented.iter().enumerate() {
            let head = if index == 0 { name } else { "" };
            let _ = writeln!(out, "  {head:<9} {line}");
        }
    };
    match slo.good {
        Some(good) => {
            let events = Unit::Count.show(slo.events);
            row("now", format!("{} good of {events} over {}", percent(good), seen_of(slo)));
        }
        None => row("now", slo.why.clone().unwrap_or_default()),
    }
    if slo.state == "missed" {
        row("users", format!("\"{}\" {}", slo.users, slo.business));
    }
    match (slo.budget_left, slo.budget_left_minutes, slo.budget_spent) {
        (Some(left), Some(minutes), _) => row("budget", budget(slo, left, minutes)),
        (_, _, Some(spent)) => {
            let seen = duration(slo.covered_seconds);
            let text = format!(
                "{:.2} % of that of {} spent in the {seen} seen; what was spent before is not known",
                spent * 100.0,
                slo.period
            );
            row("budget", text);
        }
        _ => {}
    }
    for tier in slo.tiers.iter().filter(|tier| tier.state != "never") {
        row(&tier.id, burn(tier));
    }
    let never: Vec<&str> = slo
        .tiers
        .iter()
        .filter(|tier| tier.state == "never")
        .map(|tier| tier.id.as_str())
        .collect();
    if let Some(first) = slo.tiers.iter().find(|tier| tier.state == "never") {
        let why = first.why.as_deref().unwrap_or_default();
        row("never", format!("{} cannot fire: {} {why}", never.join(", "), first.id));
    }
    if let Some(bound) = slo.snapped_to_seconds {
        let text = format!(
            "events count as good up to {}: the bound asked for is no bucket's",
            Unit::Seconds.show(bound)
        );
        row("bound", text);
    }
    out
}

/// The objective's window, or what of it was seen.
fn seen_of(slo: &ShownSlo) -> String {
    match super::seconds(&slo.window) {
        Some(window) if window > slo.covered_seconds + 60.0 => {
            format!("{} (of {})", duration(slo.covered_seconds), slo.window)
        }
        _ => slo.window.clone(),
    }
}

/// Objectives sit close to 1, where three digits say nothing.
fn percent(share: f64) -> String {
    let digits = if share > 0.99 { 3 } else { 1 };
    format!("{:.digits$} %", share * 100.0)
}

fn budget(slo: &ShownSlo, left: f64, minutes: f64) -> String {
    let seen = duration(slo.covered_seconds);
    let whole = slo.budget_minutes;
    let mut text = format!(
        "{:.1} % left, {minutes:.1} of {whole:.1} min of {} ({seen} seen)",
        left * 100.0,
        slo.period
    );
    if let Some(seconds) = slo.exhausted_in_seconds {
        let _ =
            write!(text, "; gone in {} at this rate", duration((seconds / 60.0).round() * 60.0));
    }
    text
}

fn burn(tier: &ShownTier) -> String {
    let [long, short] = &tier.windows;
    let rate = |rate: Option<f64>| rate.map_or("?".into(), |rate| format!("{rate:.1}×"));
    let rates =
        format!("{} over {long}, {} over {short}", rate(tier.burns[0]), rate(tier.burns[1]));
    let events = Unit::Count.show(tier.events);
    match (tier.state, &tier.why) {
        ("unknown", Some(why)) => format!("{rates}; unknown: {why}"),
        (state, _) => {
            let word = if state == "firing" { "FIRING" } else { state };
            format!("{word}: {rates} (fires at {:.1}×; {events} events)", tier.fires_at)
        }
    }
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
