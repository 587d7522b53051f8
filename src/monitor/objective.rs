//! Objectives over history: what is left of a budget, how fast it burns, and which tiers fire.

use crate::{
    evidence::{Evidence, Series, Span, Time},
    signals::{Frame, Missing},
};

use super::{
    Measure, Query, RecordField, RecordQuery, Slo, TierRule,
    burn::{Events, Objective, Tier},
    load::Rules,
    read::{failed, growth},
    seconds,
};

/// What is known of an objective at a moment.
#[derive(Debug, Clone, PartialEq)]
pub struct Status {
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
    /// Seconds until it is gone, at the rate of the fastest tier's long window; `None` where that
    /// does not burn, or nothing is known.
    pub exhausted_in: Option<f64>,
    /// The tiers, in their order.
    pub tiers: Vec<TierStatus>,
    /// Where the bound of a latency is no bucket's: the one used instead, in seconds.
    pub snapped: Option<f64>,
    /// The source of the events.
    pub source: &'static str,
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
    /// Burn rate of the long window, where events are known.
    pub long: Option<f64>,
    /// Burn rate of the short one.
    pub short: Option<f64>,
    /// Events of the long window.
    pub events: f64,
    /// What it says.
    pub state: TierState,
}

/// What a tier says.
#[derive(Debug, Clone, PartialEq)]
pub enum TierState {
    /// It fires.
    Fires,
    /// It does not.
    Quiet,
    /// It never can, and why.
    Never(String),
    /// Nobody can tell, and why.
    Unknown(String),
}

/// What evidence tells of an objective at `at`.
pub fn status(slo: &Slo, rules: &Rules, evidence: &Evidence, at: Time) -> Option<Status> {
    let objective = Objective { share: slo.objective, period: seconds(&slo.period)? };
    let source = Source { slo, measure: measure(slo, rules)?, evidence };
    let counted = |window: f64| Counted { window, events: source.events(at, window) };
    let period = counted(objective.period);
    let known = period.events.as_ref().ok().copied();
    let covered = objective.period.min(at - evidence.span.from).max(0.0);
    let ratio = known.and_then(Events::ratio);
    let spent = ratio.map(|bad| objective.spent(objective.burn_rate(bad), covered));
    let left = spent.map(|spent| 1.0 - spent).filter(|_| covers(covered, objective.period));
    let set = slo.burn.as_ref().and_then(|name| rules.tiers.get(name));
    let tiers: Vec<TierStatus> =
        set.into_iter().flatten().filter_map(|rule| source.tier(objective, rule, at)).collect();
    let fastest = tiers.first().and_then(|tier| tier.long);
    Some(Status {
        now: counted(seconds(&slo.window)?),
        covered,
        spent,
        exhausted_in: left.zip(fastest).and_then(|(left, rate)| objective.exhausted_in(left, rate)),
        left,
        tiers,
        snapped: source.snapped(),
        source: source.name(),
        period,
    })
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
    let most = 1.0 / objective.budget();
    Some(format!(
        "would fire at {:.3}× the budget, and all requests failing burn {most:.3}×",
        objective.factor(tier)
    ))
}

/// Where the events of an objective come from.
struct Source<'a> {
    slo: &'a Slo,
    measure: &'a Measure,
    evidence: &'a Evidence,
}

impl Source<'_> {
    fn uses_records(&self) -> bool {
        let metrics = self.measure.metrics.as_ref().map(super::read::family);
        let set = &self.evidence.series;
        let there =
            metrics.is_some_and(|family| crate::signals::families::exported(family, set).is_some());
        !there && self.measure.records.is_some() && self.evidence.gateway.is_some()
    }

    fn name(&self) -> &'static str {
        if self.uses_records() { "gateway" } else { "metrics" }
    }

    fn events(&self, at: Time, window: f64) -> Result<Events, Missing> {
        let span = Span { from: at - window, to: at };
        if self.uses_records() {
            return self.of_records(span);
        }
        let frame = Frame::new(self.evidence, span);
        match &self.measure.metrics {
            Some(Query::Ratio { of, to }) => {
                let (bad, total) = (growth(&frame, of, &|_| true)?, growth(&frame, to, &|_| true)?);
                Ok(Events { bad, total })
            }
            Some(Query::Quantile { of, .. }) => {
                let histogram = frame.view.histogram_where(frame.name(of)?, |_: &Series| true);
                let histogram = histogram.ok_or_else(|| Missing::no_samples("two samples"))?;
                let bound = histogram.bound_at_or_above(self.good_under());
                let bad = bound.and_then(|bound| histogram.above(bound));
                let bad = bad.ok_or_else(|| Missing::no_samples("bucket"))?;
                Ok(Events { bad, total: histogram.count })
            }
            _ => Err(Missing::no_samples("event that this measure counts")),
        }
    }

    fn of_records(&self, span: Span) -> Result<Events, Missing> {
        let records =
            self.evidence.gateway.as_ref().map(|log| log.within(span)).unwrap_or_default();
        let bad: Vec<bool> = match &self.measure.records {
            Some(RecordQuery::Quantile { of, .. }) => {
                let late = self.good_under() * 1e3;
                let field = records.iter().filter_map(|it| match of {
                    RecordField::TtftMs => it.ttft_ms,
                    RecordField::TotalMs => it.total_ms,
                });
                field.map(|ms| ms > late).collect()
            }
            _ => records.iter().filter_map(failed).collect(),
        };
        if bad.is_empty() {
            return Err(Missing::no_samples("gateway record"));
        }
        let late = bad.iter().filter(|bad| **bad).count();
        Ok(Events { bad: late as f64, total: bad.len() as f64 })
    }

    fn good_under(&self) -> f64 {
        self.slo.latency.as_ref().map_or(f64::INFINITY, |it| it.good_under)
    }

    /// The bound used instead, where the asked one is no bucket's.
    fn snapped(&self) -> Option<f64> {
        if self.uses_records() {
            return None;
        }
        let Some(Query::Quantile { of, .. }) = &self.measure.metrics else { return None };
        let frame = Frame::new(self.evidence, self.evidence.span);
        let histogram = frame.view.histogram(frame.name(of).ok()?)?;
        let bound = histogram.bound_at_or_above(self.good_under())?;
        (bound != self.good_under()).then_some(bound)
    }

    fn tier(&self, objective: Objective, rule: &TierRule, at: Time) -> Option<TierStatus> {
        let tier = tier(rule)?;
        let (long, short) = (self.events(at, tier.long), self.events(at, tier.short));
        let rate = |events: &Result<Events, Missing>| {
            events.as_ref().ok()?.ratio().map(|ratio| objective.burn_rate(ratio))
        };
        let total = long.as_ref().map_or(0.0, |events| events.total);
        let (burns_long, burns_short) = (rate(&long), rate(&short));
        let state = match (never(objective, tier), &long, &short) {
            (Some(why), ..) => TierState::Never(why),
            (None, Err(missing), _) | (None, _, Err(missing)) => {
                TierState::Unknown(missing.why.clone())
            }
            (None, Ok(long), Ok(short)) if objective.fires(tier, *long, *short) => TierState::Fires,
            (None, Ok(long), _) if long.total < objective.least_events(tier) => {
                let needed = objective.least_events(tier);
                TierState::Unknown(format!("{} of {needed} events needed", long.total.round()))
            }
            _ if !covers(at - self.evidence.span.from, tier.long) => {
                TierState::Unknown(format!("history does not cover {}", rule.long))
            }
            _ => TierState::Quiet,
        };
        Some(TierStatus {
            rule: rule.clone(),
            factor: objective.factor(tier),
            long: burns_long,
            short: burns_short,
            events: total,
            state,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{evidence::SeriesSet, monitor::shown};

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
        status(slo, &rules, evidence, evidence.span.to).unwrap()
    }

    #[test]
    fn two_hours_with_a_twentieth_failing_in_the_last_fire_the_fast_tier() {
        let mut minutes = vec![0.0; 61];
        minutes.extend(vec![5.0; 60]);
        let status = availability(&failing(&minutes));
        let fast = &status.tiers[0];
        assert!((fast.long.unwrap() - 50.0).abs() < 1e-9, "{fast:?}");
        assert_eq!((fast.events, &fast.state), (6000.0, &TierState::Fires));
        // 300 bad of 12 000 in two hours of a month of 720.
        let spent = 300.0 / 12_000.0 / 0.001 * 2.0 / 720.0;
        assert!((status.spent.unwrap() - spent).abs() < 1e-9);
        assert_eq!((status.left, status.exhausted_in), (None, None), "a month was not seen");
        assert!(matches!(&status.tiers[3].state, TierState::Fires | TierState::Unknown(_)));
    }

    #[test]
    fn a_window_seen_in_part_can_be_missed_and_not_met() {
        let rules = Rules::embedded().unwrap();
        let slo = rules.slos.iter().find(|slo| slo.id == "availability").unwrap();
        let state = |failed: f64| shown::slo(slo, &availability(&failing(&[failed; 61]))).state;
        assert_eq!((state(0.0), state(5.0)), ("unknown", "missed"));
    }

    #[test]
    fn quiet_is_neither_good_nor_bad() {
        let idle = failing(&[0.0; 1]);
        let status = availability(&idle);
        assert!(status.left.is_none() && status.exhausted_in.is_none());
        assert!(status.tiers.iter().all(|tier| matches!(tier.state, TierState::Unknown(_))));
    }

    #[test]
    fn a_tier_that_cannot_fire_says_why() {
        let half = Objective { share: 0.5, period: 30.0 * 86400.0 };
        let fast = Tier { spends: 0.02, long: 3600.0, short: 300.0 };
        assert!(never(half, fast).unwrap().contains("14.400× the budget"));
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
            let status = status(slo, &rules, &evidence, *at).unwrap();
            status.tiers[0].state == TierState::Fires
        };
        let first = (0..60).map(|step| onset + f64::from(step) * 60.0).find(fires).unwrap();
        let objective = Objective { share: slo.objective, period: 30.0 * 86400.0 };
        let fast = tier(&rules.tiers["standard"][0]).unwrap();
        let formula = objective.fires_after(fast, share).unwrap();
        assert!((first - onset - formula).abs() <= 60.0, "{} and not {formula}", first - onset);
    }
}
