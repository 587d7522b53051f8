//! Objectives for people and for programs.

use std::fmt::Write as _;

use serde::Serialize;

use crate::{
    evidence::series::Labels,
    report::text::{clean, wrap},
    runbook::Severity,
    unit::Unit,
};

use super::{
    Slo, duration,
    events::Kind,
    objective::{RuleState, RuleStatus, Status, TierStatus, covers},
    seconds,
};

/// An objective as it is shown.
#[derive(Debug, Serialize)]
pub struct ShownSlo {
    /// Its id.
    pub id: String,
    /// Its title.
    pub title: String,
    /// What its events are told apart by; empty where there is one model only.
    pub of: Labels,
    /// Least share of good events.
    pub objective: f64,
    /// `met`, `missed` or `unknown`; a window that was seen in part can be missed and not met.
    pub state: &'static str,
    /// Share of good events over `window`.
    pub good: Option<f64>,
    /// Events behind it.
    pub events: f64,
    /// Those of them that were bad.
    pub bad: f64,
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
    /// How many times faster than allowed the budget burns now.
    pub burn_rate: Option<f64>,
    /// Seconds of the window that this rate is taken over.
    pub burn_window_seconds: Option<f64>,
    /// Seconds that a whole budget lasts at that rate; `None` where it does not burn.
    pub whole_budget_lasts_seconds: Option<f64>,
    /// Seconds until what is left is gone at that rate.
    pub exhausted_in_seconds: Option<f64>,
    /// The burn-rate tiers.
    pub tiers: Vec<ShownTier>,
    /// The objective's own rules.
    pub rules: Vec<ShownRule>,
    /// The bound that was asked for, seconds, for a latency.
    pub good_under_seconds: Option<f64>,
    /// The bucket bound used instead of the one asked for, seconds.
    pub snapped_to_seconds: Option<f64>,
    /// Why nothing is known, or what is uncertain.
    pub why: Option<String>,
    /// What users say where it is missed.
    pub users: String,
    /// What that means to the business.
    pub business: String,
    /// The source of the events: `metrics`, `gateway` or `cloudwatch`.
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
    /// Events of the two windows.
    pub events: [f64; 2],
    /// `firing`, `quiet`, `never` or `unknown`.
    pub state: &'static str,
    /// Why it never fires, or is unknown.
    pub why: Option<String>,
}

/// One of an objective's own rules as it is shown.
#[derive(Debug, Serialize)]
pub struct ShownRule {
    /// Its id.
    pub id: String,
    /// Its title, which says where it fires.
    pub title: String,
    /// Whether it pages.
    pub severity: Severity,
    /// Its window, where it counts events.
    pub window: Option<String>,
    /// Burn rate from which it fires, where it counts events.
    pub fires_at: Option<f64>,
    /// Burn rate of its window.
    pub burns: Option<f64>,
    /// Events of its window.
    pub events: Option<f64>,
    /// Value of the measure in words, where it compares that.
    pub value: Option<String>,
    /// `firing`, `pending`, `quiet`, `never` or `unknown`.
    pub state: &'static str,
    /// Why it never fires, or is unknown.
    pub why: Option<String>,
}

impl ShownSlo {
    /// Whether a tier or a rule of its own fires.
    pub fn fires(&self) -> bool {
        let tiers = self.tiers.iter().map(|tier| tier.state);
        tiers.chain(self.rules.iter().map(|rule| rule.state)).any(|state| state == "firing")
    }
}

/// An objective with what is known of it; `unit` is that of its measure.
pub fn slo(slo: &Slo, unit: Unit, status: &Status) -> ShownSlo {
    let events = status.now.events.as_ref().ok().copied().unwrap_or_default();
    let good = events.ratio().map(|bad| 1.0 - bad);
    let budget_minutes = (1.0 - slo.objective) * seconds(&slo.period).unwrap_or(0.0) / 60.0;
    let quiet = || (events.total <= 0.0).then(|| "nothing happened in its window".to_owned());
    let window = seconds(&slo.window).unwrap_or(0.0);
    let partly = (!covers(status.covered, window))
        .then(|| format!("only {} of {} were seen", duration(status.covered), slo.window));
    let why = status.now.events.as_ref().err().map(|missing| missing.why.clone());
    ShownSlo {
        id: slo.id.clone(),
        title: slo.title.clone(),
        of: status.of.clone(),
        objective: slo.objective,
        state: match good {
            None => "unknown",
            Some(good) if good < slo.objective => "missed",
            Some(_) if partly.is_some() => "unknown",
            Some(_) => "met",
        },
        good,
        events: events.total,
        bad: events.bad,
        window: slo.window.clone(),
        period: slo.period.clone(),
        covered_seconds: status.covered,
        budget_spent: status.spent,
        budget_left: status.left,
        budget_left_minutes: status.left.map(|left| left * budget_minutes),
        budget_minutes,
        burn_rate: status.burns.map(|burns| burns.rate),
        burn_window_seconds: status.burns.map(|burns| burns.window),
        whole_budget_lasts_seconds: status.burns.and_then(|burns| burns.whole_lasts),
        exhausted_in_seconds: status.exhausted_in,
        tiers: status.tiers.iter().map(tier).collect(),
        rules: status.rules.iter().map(|it| rule(it, unit)).collect(),
        good_under_seconds: slo.latency.as_ref().map(|it| it.good_under),
        snapped_to_seconds: status.snapped,
        why: why.or_else(quiet).or(partly),
        users: slo.users.clone(),
        business: slo.business.clone(),
        source: status.source.name(),
    }
}

fn said(state: &RuleState) -> (&'static str, Option<String>) {
    match state {
        RuleState::Fires => ("firing", None),
        RuleState::Pending => ("pending", None),
        RuleState::Quiet => ("quiet", None),
        RuleState::Never(why) => ("never", Some(why.clone())),
        RuleState::Unknown(why) => ("unknown", Some(why.clone())),
    }
}

fn tier(tier: &TierStatus) -> ShownTier {
    let (state, why) = said(&tier.state);
    ShownTier {
        id: tier.rule.id.clone(),
        severity: tier.rule.severity,
        windows: [tier.rule.long.clone(), tier.rule.short.clone()],
        fires_at: tier.factor,
        burns: tier.windows.map(|window| window.burns),
        events: tier.windows.map(|window| window.events),
        state,
        why,
    }
}

fn rule(status: &RuleStatus, unit: Unit) -> ShownRule {
    let (state, why) = said(&status.state);
    let value = status.value.map(|it| match it.bucket {
        true => unit.show_interval(it.lo, it.hi),
        false => unit.show(it.point),
    });
    ShownRule {
        id: status.rule.id.clone(),
        title: status.rule.title.clone(),
        severity: status.rule.severity,
        window: status.rule.within.clone(),
        fires_at: status.window.map(|(factor, _)| factor),
        burns: status.window.and_then(|(_, window)| window.burns),
        events: status.window.map(|(_, window)| window.events),
        value,
        state,
        why,
    }
}

/// Objectives for a screen of `width` columns.
pub fn slos_on_screen(slos: &[ShownSlo], width: usize) -> String {
    slos.iter().map(|slo| Screen::new(slo, width).text()).collect::<Vec<_>>().join("\n")
}

/// One objective on a screen.
struct Screen<'a> {
    slo: &'a ShownSlo,
    width: usize,
    out: String,
}

impl<'a> Screen<'a> {
    fn new(slo: &'a ShownSlo, width: usize) -> Self {
        Self { slo, width, out: String::new() }
    }

    fn text(mut self) -> String {
        let slo = self.slo;
        let of: Vec<String> =
            slo.of.iter().map(|(name, value)| format!(" {name}={}", clean(value))).collect();
        let state = slo.state.to_uppercase();
        let _ = writeln!(self.out, "{}{}: {state} (goal: {})", slo.title, of.concat(), goal(slo));
        self.row("now", &now(slo));
        if slo.state == "missed" || slo.fires() {
            self.row("users", &format!("\"{}\" {}", slo.users, slo.business));
        }
        if let Some(text) = budget(slo) {
            self.row("budget", &text);
        }
        slo.tiers
            .iter()
            .filter(|tier| speaks(tier))
            .for_each(|it| self.row(&it.id, &burn(slo, it)));
        for rule in slo.rules.iter().filter(|rule| !is_said(slo, &rule.why)) {
            self.row("own rule", &own(slo, rule));
        }
        self.together(
            "unknown",
            |tier| tier.state == "unknown" && !speaks(tier) && !is_said(slo, &tier.why),
            "not decided",
        );
        self.together("never", |tier| tier.state == "never", "cannot fire");
        if let (Some(bound), Some(asked)) = (slo.snapped_to_seconds, slo.good_under_seconds) {
            let [bound, asked] = [bound, asked].map(|it| Unit::Seconds.show(it));
            self.row(
                "bound",
                &format!("good is up to {bound}, where the next bucket ends: none ends at {asked}"),
            );
        }
        self.out
    }

    fn row(&mut self, name: &str, text: &str) {
        for (index, line) in wrap(text, self.width.saturating_sub(12).max(20)).iter().enumerate() {
            let head = if index == 0 { name } else { "" };
            let _ = writeln!(self.out, "  {head:<9} {line}");
        }
    }

    /// Tiers that all say the same, in one row with the reason of the first.
    fn together(&mut self, name: &str, which: impl Fn(&ShownTier) -> bool, what: &str) {
        let tiers: Vec<&ShownTier> = self.slo.tiers.iter().filter(|tier| which(tier)).collect();
        let Some(first) = tiers.first() else { return };
        let ids: Vec<&str> = tiers.iter().map(|tier| tier.id.as_str()).collect();
        let why = first.why.as_deref().unwrap_or_default();
        let of = if ids.len() > 1 { format!("{}: ", first.id) } else { String::new() };
        self.row(name, &format!("{} {what} – {of}{why}", ids.join(", ")));
    }
}

/// The objective in words.
fn goal(slo: &ShownSlo) -> String {
    let share = Unit::Ratio.show(slo.objective);
    match slo.good_under_seconds {
        Some(bound) => format!("{share} within {}", Unit::Seconds.show(bound)),
        None => format!("{share} good"),
    }
}

/// What an objective lacks is said once.
fn is_said(slo: &ShownSlo, why: &Option<String>) -> bool {
    slo.good.is_none() && why.is_some() && slo.why == *why
}

/// A tier has a row of its own where it is decided, or where something burns.
fn speaks(tier: &ShownTier) -> bool {
    let burns = tier.burns.iter().flatten().any(|rate| *rate > 0.0);
    match tier.state {
        "never" => false,
        "unknown" => burns,
        _ => true,
    }
}

fn now(slo: &ShownSlo) -> String {
    let by = match slo.source {
        source if source == Kind::Gateway.name() => "the gateway's records",
        source if source == Kind::CloudWatch.name() => "CloudWatch",
        _ => "the server's metrics",
    };
    let Some(good) = slo.good else {
        return slo.why.clone().unwrap_or_default();
    };
    let seen = seen(slo, &slo.window);
    let [bad, events] = [slo.bad, slo.events].map(|it| Unit::Count.show(it));
    match slo.bad > 0.0 {
        true => {
            let good = percent(good, slo.events);
            format!("{good} good, {bad} of {events} bad over {seen}, by {by}")
        }
        false => format!("all of {events} good over {seen}, by {by}"),
    }
}

/// A window, or what of it was seen.
fn seen(slo: &ShownSlo, window: &str) -> String {
    match seconds(window) {
        Some(length) if !covers(slo.covered_seconds, length) => {
            format!("{} of {window}", duration(slo.covered_seconds))
        }
        _ => window.to_owned(),
    }
}

/// Objectives sit close to 1, where three digits say nothing; and so many events tell no more digits
/// than they have themselves.
fn percent(share: f64, events: f64) -> String {
    let known = (events.log10().ceil() as i32 - 1).clamp(0, 3) as usize;
    let digits = if share > 0.99 { known } else { known.min(1) };
    format!("{:.digits$} %", share * 100.0)
}

fn budget(slo: &ShownSlo) -> Option<String> {
    let whole = format!("{} min of {}", minutes(slo.budget_minutes), slo.period);
    let window = slo.burn_window_seconds.unwrap_or_default();
    let at = match covers(slo.covered_seconds, window) {
        true => format!("at the rate of the last {}", duration(window)),
        false => format!("at the rate of the {} seen", duration(slo.covered_seconds)),
    };
    let (mut text, gone) = match (slo.budget_left, slo.budget_left_minutes) {
        (Some(left), Some(still)) if left > 0.0 => {
            let text = format!("{:.1} % left, {} of {whole}", left * 100.0, minutes(still));
            (text, slo.exhausted_in_seconds.map(|it| format!("gone in {}", lasts(it))))
        }
        (Some(left), _) => {
            let spent = (1.0 - left) * 100.0;
            (format!("none left: {spent:.0} % of {whole} is spent"), None)
        }
        _ => {
            let spent = match slo.budget_spent? {
                spent if spent > 0.0 => format!("{} spent", share(spent)),
                _ => "none spent".into(),
            };
            let seen = duration(slo.covered_seconds);
            let text = format!("{whole}: {spent} in the {seen} seen, what was before is not known");
            let whole = slo.whole_budget_lasts_seconds;
            (text, whole.map(|it| format!("a whole one lasts {}", lasts(it))))
        }
    };
    if let Some(gone) = gone {
        let _ = write!(text, "; {gone} {at}");
    }
    Some(text)
}

/// Minutes with a tenth where that says something.
fn minutes(value: f64) -> String {
    if value < 1000.0 { format!("{value:.1}") } else { format!("{value:.0}") }
}

/// Small shares keep a digit that says something.
fn share(value: f64) -> String {
    if value < 1e-4 { "under 0.01 %".into() } else { Unit::Ratio.show(value) }
}

/// Days and hours, or hours and minutes: no more than a rate can tell.
fn lasts(seconds: f64) -> String {
    let step = if seconds >= 86_400.0 { 3600.0 } else { 60.0 };
    duration((seconds / step).round().max(1.0) * step)
}

fn burn(slo: &ShownSlo, tier: &ShownTier) -> String {
    let windows = tier.windows.iter().zip(tier.burns).zip(tier.events);
    let windows: Vec<String> =
        windows.map(|((window, rate), events)| burning(slo, window, rate, events)).collect();
    format!("{}: {}", verdict(tier.state, Some(tier.fires_at), &tier.why), windows.join(", "))
}

fn own(slo: &ShownSlo, rule: &ShownRule) -> String {
    let title = &rule.title;
    let verdict = verdict(rule.state, rule.fires_at, &rule.why);
    let known = match (&rule.window, &rule.value) {
        (Some(window), _) => Some(burning(slo, window, rule.burns, rule.events.unwrap_or(0.0))),
        (None, Some(value)) => Some(format!("it is {value}")),
        (None, None) => None,
    };
    format!("{title} – {verdict}{}", known.map(|it| format!(": {it}")).unwrap_or_default())
}

fn verdict(state: &str, fires_at: Option<f64>, why: &Option<String>) -> String {
    let from = fires_at.map(|rate| format!(" from {}", Unit::Factor.show(rate)));
    match (state, why) {
        ("unknown" | "never", Some(why)) => format!("{state}, {why}"),
        ("firing", _) => format!("FIRING{}", from.unwrap_or_default()),
        ("quiet", _) => {
            format!("quiet{}", from.map(|it| format!(", fires{it}")).unwrap_or_default())
        }
        _ => state.to_owned(),
    }
}

/// How a window burns, with the events behind it.
fn burning(slo: &ShownSlo, window: &str, rate: Option<f64>, events: f64) -> String {
    let seen = seen(slo, window);
    match rate {
        Some(rate) => {
            let (rate, events) = (Unit::Factor.show(rate), Unit::Count.show(events));
            format!("{rate} over {seen} ({events} events)")
        }
        None => format!("no event over {seen}"),
    }
}
