//! Objectives over history: what is left of a budget, how fast it burns, and which rules fire.

use crate::{
    evidence::{Evidence, Time, series::Labels},
    signals::{Estimate, Missing},
    unit::Unit,
};

use super::{
    Alert, Condition, Measure, MissingMeans, Slo, SloRule, Threshold, TierRule,
    burn::{Events, Objective, Tier},
    events::{Kind, Source, sources},
    load::Rules,
    seconds,
    state::{self, Policy, State},
};

/// Seconds that a rule on the measure itself looks back over.
pub const RECENT: f64 = 300.0;

/// What is known of an objective at a moment.
#[derive(Debug, Clone, PartialEq)]
pub struct Status {
    /// What its events are told apart by; empty where there is one model only.
    pub of: Labels,
    /// Share of good events over the objective's own window, with the events behind it.
    pub now: Counted,
    /// The events of its whole period, as far as history reaches.
    pub period: Counted,
    /// Seconds of the period that history covers.
    pub covered: f64,
    /// Share of the period's budget that the history spent.
    pub spent: Option<f64>,
    /// Share that is left, below 0 where it is overspent; `None` where history does not cover the
    /// period, as what was spent before it is not known.
    pub left: Option<f64>,
    /// The rate that the budget burns at now: that of the fastest tier's long window, and of the
    /// objective's own window where it has no tiers. `None` where nothing is known.
    pub burns: Option<Burns>,
    /// Seconds until it is gone, at that rate; `None` where it does not burn, or what is left is not
    /// known.
    pub exhausted_in: Option<f64>,
    /// The tiers, in their order.
    pub tiers: Vec<TierStatus>,
    /// Its own rules, in their order.
    pub rules: Vec<RuleStatus>,
    /// Where the bound of a latency is no bucket's: the one used instead, in seconds.
    pub snapped: Option<f64>,
    /// The source of the events.
    pub source: Kind,
}

/// A burn rate with the window that it is of.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Burns {
    /// How many times faster than allowed the budget is spent.
    pub rate: f64,
    /// Seconds of the window.
    pub window: f64,
    /// Seconds that a whole budget lasts at that rate; `None` where it does not burn.
    pub whole_lasts: Option<f64>,
}

/// Events of a span.
#[derive(Debug, Clone, PartialEq)]
pub struct Counted {
    /// Length of the span, seconds.
    pub window: f64,
    /// The events, or why there are none.
    pub events: Result<Events, Missing>,
}

/// One tier at a moment.
#[derive(Debug, Clone, PartialEq)]
pub struct TierStatus {
    /// Its rule.
    pub rule: TierRule,
    /// Burn rate from which it fires.
    pub factor: f64,
    /// The long window and the short one.
    pub windows: [Window; 2],
    /// What it says.
    pub state: RuleState,
}

/// What a window says.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Window {
    /// Burn rate, where events are known.
    pub burns: Option<f64>,
    /// Number of events; 0 where none are known.
    pub events: f64,
}

/// One of an objective's own rules at a moment.
#[derive(Debug, Clone, PartialEq)]
pub struct RuleStatus {
    /// The rule.
    pub rule: SloRule,
    /// Burn rate from which it fires, and what its window says; `None` for a rule on the measure.
    pub window: Option<(f64, Window)>,
    /// Value of the measure, for a rule on that, where it is known.
    pub value: Option<Estimate>,
    /// What it says.
    pub state: RuleState,
}

/// What a rule says.
#[derive(Debug, Clone, PartialEq)]
pub enum RuleState {
    /// It fires.
    Fires,
    /// Its condition holds, but not for long enough yet.
    Pending,
    /// It does not fire.
    Quiet,
    /// It never can, and why.
    Never(String),
    /// Nobody can tell, and why.
    Unknown(String),
}

/// What evidence tells of an objective at `at`: one status, or one for each model. None where a time
/// of the objective cannot be read.
pub fn status(slo: &Slo, rules: &Rules, evidence: &Evidence, at: Time) -> Vec<Status> {
    let Some(measure) = measure(slo, rules) else { return Vec::new() };
    let sources = sources(slo, measure, evidence, at);
    let asked = sources.into_iter().map(|source| Asked { slo, rules, evidence, at, source });
    asked.filter_map(|asked| asked.status()).collect()
}

/// Whether history reaches over a window, but for what two pages may lack at its ends.
pub fn covers(covered: f64, window: f64) -> bool {
    covered >= 0.99 * window
}

/// The measure whose events an objective counts.
pub fn measure<'a>(slo: &Slo, rules: &'a Rules) -> Option<&'a Measure> {
    let errors = slo.errors.as_ref().map(|it| &it.measure);
    rules.measures.get(errors.or(slo.latency.as_ref().map(|it| &it.measure))?)
}

/// A tier's windows and share, as numbers.
pub fn tier(rule: &TierRule) -> Option<Tier> {
    Some(Tier { spends: rule.spends, long: seconds(&rule.long)?, short: seconds(&rule.short)? })
}

/// Why a tier can never fire for an objective; `None` where it can.
pub fn never(objective: Objective, tier: Tier) -> Option<String> {
    if objective.can_fire(tier) {
        return None;
    }
    if tier.long > objective.period {
        return Some("has a window longer than the period of the objective".into());
    }
    let times = |rate: f64| Unit::Factor.show(rate);
    let (from, most) = (times(objective.factor(tier)), times(1.0 / objective.budget()));
    Some(format!(
        "would fire at {from} the budget, and {most} is all that can burn, with every event bad"
    ))
}

/// An objective with one source of its events, at a moment.
struct Asked<'a> {
    slo: &'a Slo,
    rules: &'a Rules,
    evidence: &'a Evidence,
    at: Time,
    source: Source<'a>,
}

impl Asked<'_> {
    fn status(&self) -> Option<Status> {
        let slo = self.slo;
        let objective = Objective { share: slo.objective, period: seconds(&slo.period)? };
        let (period, now) = (self.counted(objective.period), self.counted(seconds(&slo.window)?));
        let ratio = period.events.as_ref().ok().copied().and_then(Events::ratio);
        let covered = objective.period.min(self.covered());
        let spent = ratio.map(|bad| objective.spent(objective.burn_rate(bad), covered));
        let left = spent.map(|spent| 1.0 - spent).filter(|_| covers(covered, objective.period));
        let set = slo.burn.as_ref().and_then(|name| self.rules.tiers.get(name));
        let tiers: Vec<TierStatus> =
            set.into_iter().flatten().filter_map(|rule| self.tier(objective, rule)).collect();
        let burns = self.burns(objective, &tiers, &now);
        let rate = burns.map(|burns| burns.rate);
        Some(Status {
            of: self.source.of.clone(),
            rules: slo.rules.iter().map(|rule| self.rule(objective, rule)).collect(),
            exhausted_in: left
                .zip(rate)
                .and_then(|(left, rate)| objective.exhausted_in(left, rate)),
            snapped: self.source.snapped(),
            source: self.source.kind,
            now,
            period,
            covered,
            spent,
            left,
            burns,
            tiers,
        })
    }

    fn covered(&self) -> f64 {
        (self.at - self.source.since).max(0.0)
    }

    fn counted(&self, window: f64) -> Counted {
        Counted { window, events: self.source.events(self.at, window) }
    }

    fn burns(&self, objective: Objective, tiers: &[TierStatus], now: &Counted) -> Option<Burns> {
        let fastest = tiers
            .first()
            .and_then(|tier| Some((tier.windows[0].burns?, seconds(&tier.rule.long)?)));
        let own = || {
            let ratio = now.events.as_ref().ok().copied().and_then(Events::ratio)?;
            Some((objective.burn_rate(ratio), now.window))
        };
        let (rate, window) = fastest.or_else(own)?;
        Some(Burns { rate, window, whole_lasts: objective.exhausted_in(1.0, rate) })
    }

    fn tier(&self, objective: Objective, rule: &TierRule) -> Option<TierStatus> {
        let tier = tier(rule)?;
        let events = [tier.long, tier.short].map(|window| self.source.events(self.at, window));
        let windows = events.clone().map(|events| Window::of(objective, events.ok()));
        Some(TierStatus {
            rule: rule.clone(),
            factor: objective.factor(tier),
            windows,
            state: self.burning(objective, tier, events),
        })
    }

    /// Whether both windows of a tier burn.
    fn burning(
        &self,
        objective: Objective,
        tier: Tier,
        [long, short]: [Result<Events, Missing>; 2],
    ) -> RuleState {
        if let Some(why) = never(objective, tier) {
            return RuleState::Never(why);
        }
        let (long, short) = match (long, short) {
            (Ok(long), Ok(short)) => (long, short),
            (Err(missing), _) | (_, Err(missing)) => return RuleState::Unknown(missing.why),
        };
        let needed = objective.least_events(tier);
        match () {
            () if objective.fires(tier, long, short) => RuleState::Fires,
            () if long.total < needed => {
                RuleState::Unknown(format!("{} of {needed} events needed", long.total.round()))
            }
            () => self.quiet(tier.long),
        }
    }

    /// What does not fire is quiet where its window was seen.
    fn quiet(&self, window: f64) -> RuleState {
        match covers(self.covered(), window) {
            true => RuleState::Quiet,
            false => {
                RuleState::Unknown(format!("history does not cover {}", super::duration(window)))
            }
        }
    }

    fn rule(&self, objective: Objective, rule: &SloRule) -> RuleStatus {
        let within = rule.within.as_deref().and_then(seconds);
        match (rule.spends, rule.ratio_above, rule.above, within) {
            (Some(spends), _, _, Some(window)) => {
                let tier = Tier { spends, long: window, short: window };
                let events = self.source.events(self.at, window);
                let said = Window::of(objective, events.clone().ok());
                RuleStatus {
                    rule: rule.clone(),
                    window: Some((objective.factor(tier), said)),
                    value: None,
                    state: self.burning(objective, tier, [events.clone(), events]),
                }
            }
            (_, Some(bound), _, Some(window)) => self.ratio(objective, rule, bound, window),
            (.., Some(bound), _) => self.over(rule, bound),
            _ => RuleStatus {
                rule: rule.clone(),
                window: None,
                value: None,
                state: RuleState::Unknown("it has no threshold".into()),
            },
        }
    }

    /// A rule on the share of bad events.
    fn ratio(&self, objective: Objective, rule: &SloRule, bound: f64, window: f64) -> RuleStatus {
        let events = self.source.events(self.at, window);
        let state = match &events {
            Err(missing) => RuleState::Unknown(missing.why.clone()),
            Ok(events) if events.ratio().is_some_and(|ratio| ratio > bound) => RuleState::Fires,
            Ok(_) => self.quiet(window),
        };
        let said = Window::of(objective, events.ok());
        let window = Some((objective.burn_rate(bound), said));
        RuleStatus { rule: rule.clone(), window, value: None, state }
    }

    /// A rule on the measure itself, judged as an alert is.
    fn over(&self, rule: &SloRule, bound: f64) -> RuleStatus {
        let alert = as_alert(self.slo, rule, bound);
        let all = state::check(&alert, self.rules, &Policy::new(), self.evidence, self.at);
        let of = &self.source.of;
        let same = |it: &&state::Status| of.iter().all(|label| it.of.contains(label));
        let worst = all.iter().filter(same).max_by_key(|it| rank(&it.state));
        let state = match worst.map(|it| &it.state) {
            Some(State::Firing { .. }) => RuleState::Fires,
            Some(State::Pending { .. }) => RuleState::Pending,
            Some(State::Inactive) => RuleState::Quiet,
            Some(State::Unknown(why)) => RuleState::Unknown(why.clone()),
            None => RuleState::Unknown("its measure has no value".into()),
        };
        let value = worst.and_then(|it| it.values.first().cloned().flatten());
        RuleStatus { rule: rule.clone(), window: None, value, state }
    }
}

impl Window {
    fn of(objective: Objective, events: Option<Events>) -> Self {
        let ratio = events.and_then(Events::ratio);
        Self {
            burns: ratio.map(|ratio| objective.burn_rate(ratio)),
            events: events.map_or(0.0, |events| events.total),
        }
    }
}

/// Of several sets of labels, the one that fires counts.
fn rank(state: &State) -> u8 {
    match state {
        State::Firing { .. } => 3,
        State::Pending { .. } => 2,
        State::Unknown(_) => 1,
        State::Inactive => 0,
    }
}

fn as_alert(slo: &Slo, rule: &SloRule, bound: f64) -> Alert {
    let measure = slo.latency.as_ref().map(|it| &it.measure);
    let measure = measure.or(slo.errors.as_ref().map(|it| &it.measure));
    Alert {
        id: rule.id.clone(),
        title: rule.title.clone(),
        severity: rule.severity,
        all: vec![Condition {
            measure: measure.cloned().unwrap_or_default(),
            above: Some(Threshold::Number(bound)),
            below: None,
            above_baseline: None,
            window: None,
        }],
        window: super::duration(RECENT),
        lasting: rule.lasting.clone().unwrap_or_else(|| "0s".into()),
        missing: MissingMeans::Fine,
        runbook: String::new(),
        action: String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        evidence::{SeriesSet, Span},
        monitor::shown_slo,
    };

    const CHAT: [(&str, &str); 2] = [("handler", "/v1/chat/completions"), ("method", "POST")];

    /// A page a minute; each minute so many answers fail out of 100.
    fn failing(per_minute: &[f64]) -> Evidence {
        let mut series = SeriesSet::default();
        let (mut good, mut bad) = (0.0, 0.0);
        for (step, failed) in per_minute.iter().enumerate() {
            let at = step as f64 * 60.0;
            series.begin_page(at);
            (good, bad) = (good + 100.0 - failed, bad + failed);
            for (status, value) in [("2xx", good), ("5xx", bad)] {
                series.record(status, at, value, || {
                    let labels = [CHAT[0], CHAT[1], ("status", status)].into_iter();
                    let owned = labels.map(|(k, v)| (k.to_string(), v.to_string())).collect();
                    ("http_requests_total".into(), owned)
                });
            }
        }
        let span = Span { from: 0.0, to: (per_minute.len() - 1) as f64 * 60.0 };
        Evidence { series, span, ..Evidence::default() }
    }

    fn availability(evidence: &Evidence) -> Status {
        let rules = Rules::embedded().unwrap();
        let slo = rules.slos.iter().find(|slo| slo.id == "availability").unwrap();
        status(slo, &rules, evidence, evidence.span.to).remove(0)
    }

    #[test]
    fn two_hours_with_a_twentieth_failing_in_the_last_fire_the_fast_tier() {
        let mut minutes = vec![0.0; 61];
        minutes.extend(vec![5.0; 60]);
        let status = availability(&failing(&minutes));
        let fast = &status.tiers[0];
        assert!((fast.windows[0].burns.unwrap() - 50.0).abs() < 1e-9, "{fast:?}");
        assert_eq!((fast.windows[0].events, &fast.state), (6000.0, &RuleState::Fires));
        assert_eq!(fast.windows[1].events, 500.0);
        let own = &status.rules[0];
        assert_eq!((own.window.unwrap().1.events, &own.state), (6000.0, &RuleState::Fires));
        assert!((own.window.unwrap().0 - 7.2).abs() < 1e-9, "{own:?}");
        // 300 bad of 12 000 in two hours of a month of 720.
        let spent = 300.0 / 12_000.0 / 0.001 * 2.0 / 720.0;
        assert!((status.spent.unwrap() - spent).abs() < 1e-9);
        assert_eq!((status.left, status.exhausted_in), (None, None), "a month was not seen");
        assert!(matches!(&status.tiers[3].state, RuleState::Fires | RuleState::Unknown(_)));
    }

    #[test]
    fn a_window_seen_in_part_can_be_missed_and_not_met() {
        let rules = Rules::embedded().unwrap();
        let slo = rules.slos.iter().find(|slo| slo.id == "availability").unwrap();
        let state = |failed: f64| {
            shown_slo::slo(slo, Unit::Ratio, &availability(&failing(&[failed; 61]))).state
        };
        assert_eq!((state(0.0), state(5.0)), ("unknown", "missed"));
    }

    /// A rule of the guide on errors: over 0.5 % within an hour.
    #[test]
    fn a_rule_on_the_share_of_errors_fires_above_it_only() {
        let rules = Rules::embedded().unwrap();
        let slo = rules.slos.iter().find(|slo| slo.id == "error-rate").unwrap();
        let own = |minutes: &[f64]| {
            let evidence = failing(minutes);
            status(slo, &rules, &evidence, evidence.span.to).remove(0).rules.remove(0)
        };
        assert_eq!(own(&[0.51; 62]).state, RuleState::Fires);
        assert_eq!(own(&[0.49; 62]).state, RuleState::Quiet);
        assert!((own(&[0.49; 62]).window.unwrap().1.burns.unwrap() - 4.9).abs() < 1e-6);
        assert!(matches!(own(&[0.49; 30]).state, RuleState::Unknown(_)), "half of it was seen");
    }

    #[test]
    fn quiet_is_neither_good_nor_bad() {
        let idle = failing(&[0.0; 1]);
        let status = availability(&idle);
        assert!(status.left.is_none() && status.exhausted_in.is_none());
        assert!(status.tiers.iter().all(|tier| matches!(tier.state, RuleState::Unknown(_))));
    }

    #[test]
    fn a_tier_that_cannot_fire_says_why() {
        let half = Objective { share: 0.5, period: 30.0 * 86400.0 };
        let fast = Tier { spends: 0.02, long: 3600.0, short: 300.0 };
        assert!(never(half, fast).unwrap().contains("14.4× the budget"));
    }

    #[test]
    fn a_tier_fires_as_late_as_the_formula_says() {
        let (onset, share) = (7200.0, 0.05);
        let mut minutes = vec![0.0; 121];
        minutes.extend(vec![100.0 * share; 60]);
        let evidence = failing(&minutes);
        let rules = Rules::embedded().unwrap();
        let slo = rules.slos.iter().find(|slo| slo.id == "availability").unwrap();
        let fires = |at: &f64| {
            let status = status(slo, &rules, &evidence, *at).remove(0);
            status.tiers[0].state == RuleState::Fires
        };
        let first = (0..60).map(|step| onset + f64::from(step) * 60.0).find(fires).unwrap();
        let objective = Objective { share: slo.objective, period: 30.0 * 86400.0 };
        let fast = tier(&rules.tiers["standard"][0]).unwrap();
        let formula = objective.fires_after(fast, share).unwrap();
        assert!((first - onset - formula).abs() <= 60.0, "{} and not {formula}", first - onset);
    }
}
