//! The arithmetic of error budgets and burn rates.
//!
//! For an objective `s` over a period `T` the budget is `b = 1 - s`: the share of events that may be
//! bad. A window with bad ratio `e` burns at `e / b`: at 1 the budget lasts for exactly the period.
//! Tiers follow Google's SRE workbook, chapter 5: a tier fires where a long window and a short one
//! both burn at `share * T / long` or faster.

/// Bad events that must be expected at the threshold before a window can say anything.
const EXPECTED: f64 = 5.0;

/// An objective with the period that it is promised for.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Objective {
    /// Least share of good events, above 0 and below 1.
    pub share: f64,
    /// Length of the period, seconds.
    pub period: f64,
}

/// A tier of a burn-rate alert.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Tier {
    /// Share of the budget that is gone when it fires.
    pub spends: f64,
    /// Long window, seconds.
    pub long: f64,
    /// Short window, seconds.
    pub short: f64,
}

/// Events of a window.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Events {
    /// Those that count against the budget.
    pub bad: f64,
    /// All of them.
    pub total: f64,
}

impl Events {
    /// Share of bad events: the ratio of sums over the whole window. `None` where nothing happened,
    /// which is neither good nor bad.
    pub fn ratio(self) -> Option<f64> {
        (self.total > 0.0).then(|| (self.bad / self.total).clamp(0.0, 1.0))
    }
}

impl Objective {
    /// Share of events that may be bad.
    pub fn budget(self) -> f64 {
        1.0 - self.share
    }

    /// How many times faster than allowed a bad ratio spends the budget.
    pub fn burn_rate(self, ratio: f64) -> f64 {
        ratio / self.budget()
    }

    /// Seconds of total failure that the budget of one period allows.
    pub fn budget_seconds(self) -> f64 {
        self.budget() * self.period
    }

    /// Share of the budget that is left, over the events of a whole period; below 0 where it is
    /// overspent, and all of it where nothing happened.
    pub fn left(self, events: Events) -> f64 {
        1.0 - events.ratio().unwrap_or(0.0) / self.budget()
    }

    /// Share of the period's budget that a window at this burn rate spends.
    pub fn spent(self, burn_rate: f64, window: f64) -> f64 {
        burn_rate * window / self.period
    }

    /// Seconds until what is left of the budget is gone, at this burn rate. `None` where it never
    /// is; 0 where it is gone.
    pub fn exhausted_in(self, left: f64, burn_rate: f64) -> Option<f64> {
        (burn_rate > 0.0).then(|| left.max(0.0) * self.period / burn_rate)
    }

    /// The burn rate at which a tier fires.
    pub fn factor(self, tier: Tier) -> f64 {
        tier.spends * self.period / tier.long
    }

    /// The least share of bad events at which a tier fires.
    pub fn threshold(self, tier: Tier) -> f64 {
        self.factor(tier) * self.budget()
    }

    /// Whether a tier can fire at all: no more than all events can be bad, so the burn rate is at
    /// most `1 / budget`.
    pub fn can_fire(self, tier: Tier) -> bool {
        self.threshold(tier) <= 1.0 && tier.long <= self.period
    }

    /// Events that a tier's long window must hold to say anything: five bad ones at the threshold.
    pub fn least_events(self, tier: Tier) -> f64 {
        (EXPECTED / self.threshold(tier)).ceil()
    }

    /// Whether a tier fires by the events of its two windows.
    pub fn fires(self, tier: Tier, long: Events, short: Events) -> bool {
        let burns = |events: Events| {
            events.ratio().is_some_and(|ratio| self.burn_rate(ratio) >= self.factor(tier))
        };
        self.can_fire(tier) && long.total >= self.least_events(tier) && burns(long) && burns(short)
    }

    /// Seconds of a constant bad ratio, after a clean past, until a tier fires; `None` where it
    /// never does.
    pub fn fires_after(self, tier: Tier, ratio: f64) -> Option<f64> {
        let threshold = self.threshold(tier);
        (self.can_fire(tier) && ratio >= threshold && ratio > 0.0)
            .then(|| threshold * tier.long / ratio)
    }

    /// Seconds after the end of a constant bad ratio until a tier ends: its short window must
    /// forget enough.
    pub fn ends_after(self, tier: Tier, ratio: f64) -> f64 {
        (tier.short * (1.0 - self.threshold(tier) / ratio)).max(0.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MONTH: f64 = 30.0 * 86400.0;
    const HOUR: f64 = 3600.0;
    const FAST: Tier = Tier { spends: 0.02, long: HOUR, short: 300.0 };

    fn objective(share: f64) -> Objective {
        Objective { share, period: MONTH }
    }

    fn near(a: f64, b: f64) {
        assert!((a - b).abs() < 1e-9 * b.abs().max(1.0), "{a} is not {b}");
    }

    /// Worked by hand from the definitions; factors as in the SRE workbook, table 5-8.
    #[test]
    fn factors_and_thresholds_equal_the_table() {
        let tiers = [
            (FAST, 14.4, 0.0144),
            (Tier { spends: 0.05, long: 6.0 * HOUR, short: 1800.0 }, 6.0, 0.006),
            (Tier { spends: 0.1, long: 24.0 * HOUR, short: 7200.0 }, 3.0, 0.003),
            (Tier { spends: 0.1, long: 72.0 * HOUR, short: 21600.0 }, 1.0, 0.001),
        ];
        for (tier, factor, threshold) in tiers {
            near(objective(0.999).factor(tier), factor);
            near(objective(0.999).threshold(tier), threshold);
        }
    }

    #[test]
    fn a_month_of_three_nines_has_43_minutes_and_a_hundredth_of_it_is_26_seconds() {
        let monthly = objective(0.999);
        near(monthly.budget_seconds(), 43.2 * 60.0);
        near(monthly.budget_seconds() * 0.01, 25.92);
        let burn = monthly.factor(Tier { spends: 0.01, long: HOUR, short: 300.0 });
        near(burn, 7.2);
        // 30 days / 7.2 = 4.1666… days, written as 4.2 where people round.
        near(monthly.exhausted_in(1.0, burn).unwrap() / 86400.0, 30.0 / 7.2);
    }

    #[test]
    fn the_budget_left_is_a_ratio_of_sums() {
        let monthly = objective(0.999);
        near(monthly.left(Events { bad: 40.0, total: 100_000.0 }), 0.6);
        near(monthly.left(Events { bad: 300.0, total: 100_000.0 }), -2.0);
        near(monthly.left(Events::default()), 1.0);
        assert_eq!(monthly.exhausted_in(0.6, 0.0), None);
        near(monthly.exhausted_in(-2.0, 3.0).unwrap(), 0.0);
        near(monthly.spent(14.4, HOUR), 0.02);
    }

    #[test]
    fn a_tier_that_can_never_fire_is_told() {
        assert!(objective(0.99).can_fire(FAST));
        assert!(!objective(0.9).can_fire(FAST), "at most ten times the budget can burn");
        assert!(objective(0.95).can_fire(FAST), "72 % of the events must be bad");
        let daily = Objective { share: 0.999, period: 86400.0 };
        assert!(!daily.can_fire(Tier { spends: 0.1, long: 3.0 * 86400.0, short: 21600.0 }));
    }

    #[test]
    fn both_windows_must_burn_and_hold_enough_events() {
        let monthly = objective(0.99);
        let bad = Events { bad: 20.0, total: 100.0 };
        let good = Events { bad: 0.0, total: 100.0 };
        near(monthly.least_events(FAST), 35.0);
        assert!(monthly.fires(FAST, bad, bad));
        assert!(!monthly.fires(FAST, bad, good), "it is over");
        assert!(!monthly.fires(FAST, good, bad), "it has only begun");
        let few = Events { bad: 20.0, total: 34.0 };
        assert!(!monthly.fires(FAST, few, few), "too few to say");
        assert!(!monthly.fires(FAST, Events::default(), Events::default()), "quiet is not bad");
    }

    /// Times of the table for total failure, in minutes: 0.864 at three nines, 8.64 at two.
    #[test]
    fn detection_and_reset_times_follow_the_formula() {
        near(objective(0.999).fires_after(FAST, 1.0).unwrap(), 51.84);
        near(objective(0.99).fires_after(FAST, 1.0).unwrap(), 518.4);
        assert_eq!(objective(0.99).fires_after(FAST, 0.1), None);
        near(objective(0.999).ends_after(FAST, 0.144), 270.0);
    }
}
