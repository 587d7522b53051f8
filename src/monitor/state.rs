//! Alerts over history: what fires, what is about to, and what nobody can tell.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    evidence::{Evidence, Time, series::Labels},
    runbook::PolicyEntry,
    signals::{Estimate, MissingKind},
};

use super::{
    Alert, Condition, MissingMeans, duration,
    load::Rules,
    read::{Told, read},
    seconds,
};

/// Seconds between two evaluations, as long as the windows are: the usual interval of Prometheus.
pub const EVERY: f64 = 15.0;

/// Thresholds by name.
pub type Policy = BTreeMap<String, PolicyEntry>;

/// What an alert says at a moment, of one model or one set of dimensions.
#[derive(Debug, Clone, PartialEq)]
pub struct Status {
    /// What it is told apart by.
    pub of: Labels,
    /// Its state.
    pub state: State,
    /// Values of its conditions, in their order, where they are known.
    pub values: Vec<Option<Estimate>>,
    /// The source of the values.
    pub source: &'static str,
}

/// States of an alert.
#[derive(Debug, Clone, PartialEq)]
pub enum State {
    /// A condition does not hold.
    Inactive,
    /// All conditions hold, but not for long enough, or history is too short to say.
    Pending {
        /// Since when they hold, as far as is known.
        since: Time,
    },
    /// All conditions have held for long enough.
    Firing {
        /// Since when they hold, as far as is known.
        since: Time,
    },
    /// Nobody can tell, and why.
    Unknown(String),
}

/// Whether conditions hold at one moment.
#[derive(Debug, Clone, PartialEq)]
enum Holds {
    Yes,
    No,
    Unknown(String),
}

/// What an alert says at `at`, one status for each model or set of dimensions.
pub fn check(
    alert: &Alert,
    rules: &Rules,
    policy: &Policy,
    evidence: &Evidence,
    at: Time,
) -> Vec<Status> {
    let lasting = seconds(&alert.lasting).unwrap_or(0.0);
    let asked = Asked { alert, rules, policy, evidence };
    let now = asked.at(at);
    let one = |of: &Labels| {
        let (mut since, mut state) = (at, None);
        let mut moment = at;
        // From now back to the first moment that decides, or to the beginning.
        while state.is_none() {
            let then = if moment == at { now.clone() } else { asked.at(moment) };
            match then.get(of).map_or_else(|| asked.without(), |it| it.holds.clone()) {
                Holds::Yes => since = moment,
                Holds::No if moment == at => state = Some(State::Inactive),
                Holds::Unknown(why) if moment == at => state = Some(State::Unknown(why)),
                Holds::No | Holds::Unknown(_) => state = Some(State::Pending { since }),
            }
            if state.is_none() && at - since >= lasting {
                state = Some(State::Firing { since });
            }
            moment -= EVERY;
        }
        let then = now.get(of);
        Status {
            of: of.clone(),
            state: state.unwrap_or(State::Inactive),
            values: then.map(|it| it.values.clone()).unwrap_or_default(),
            source: then.map_or("none", |it| it.source),
        }
    };
    now.keys().map(one).collect()
}

/// What an alert looks at.
struct Asked<'a> {
    alert: &'a Alert,
    rules: &'a Rules,
    policy: &'a Policy,
    evidence: &'a Evidence,
}

/// One evaluation.
#[derive(Debug, Clone)]
struct Moment {
    holds: Holds,
    values: Vec<Option<Estimate>>,
    source: &'static str,
}

impl Asked<'_> {
    /// All conditions at one moment, by what they are told apart by. A condition that is told as a
    /// whole holds for every part.
    fn at(&self, at: Time) -> BTreeMap<Labels, Moment> {
        let told: Vec<Vec<Told>> = self.alert.all.iter().map(|it| self.told(it, at)).collect();
        let parts: BTreeSet<&Labels> = told.iter().flatten().map(|it| &it.of).collect();
        let whole = Labels::new();
        let parts: Vec<&Labels> = match parts.iter().filter(|of| !of.is_empty()).count() {
            0 => vec![&whole],
            _ => parts.into_iter().filter(|of| !of.is_empty()).collect(),
        };
        parts.into_iter().map(|of| (of.clone(), self.moment(of, &told, at))).collect()
    }

    fn moment(&self, of: &Labels, told: &[Vec<Told>], at: Time) -> Moment {
        let of_part = |all: &'_ Vec<Told>| {
            let exact = all.iter().find(|it| it.of == *of);
            exact.or_else(|| all.iter().find(|it| it.of.is_empty())).cloned()
        };
        let parts: Vec<Option<Told>> = told.iter().map(of_part).collect();
        let each = self.alert.all.iter().zip(&parts);
        let holds = each.map(|(condition, part)| self.holds(condition, part.as_ref(), at));
        Moment {
            holds: all(holds),
            values: parts.iter().map(|it| it.as_ref()?.value.clone().ok()).collect(),
            source: parts.iter().flatten().map(|it| it.source).next().unwrap_or("none"),
        }
    }

    fn window(&self, condition: &Condition) -> f64 {
        let text = condition.window.as_ref().unwrap_or(&self.alert.window);
        seconds(text).unwrap_or(300.0)
    }

    fn told(&self, condition: &Condition, at: Time) -> Vec<Told> {
        match self.rules.measures.get(&condition.measure) {
            Some(measure) => read(measure, self.evidence, at, self.window(condition)),
            None => Vec::new(),
        }
    }

    fn holds(&self, condition: &Condition, told: Option<&Told>, at: Time) -> Holds {
        let Some(told) = told else { return self.without() };
        let value = match &told.value {
            Ok(value) => value,
            Err(missing) if missing.kind == MissingKind::NoSamples => {
                return match self.too_coarse(condition, at) {
                    Some(why) => Holds::Unknown(why),
                    None => self.without(),
                };
            }
            Err(missing) => return Holds::Unknown(missing.why.clone()),
        };
        if let Some(factor) = condition.above_baseline {
            return match self.baseline(condition, told, at) {
                Some(baseline) => above(value, factor * baseline),
                None => Holds::Unknown("there is no history before it to compare with".into()),
            };
        }
        let bound = |threshold: &Option<super::Threshold>| threshold.as_ref()?.value(self.policy);
        match (bound(&condition.above), bound(&condition.below)) {
            (Some(bound), _) => above(value, bound),
            (None, Some(bound)) => below(value, bound),
            (None, None) => Holds::Unknown("its threshold is not in the policy".into()),
        }
    }

    /// Where history has fewer than two samples for a window, silence says nothing.
    fn too_coarse(&self, condition: &Condition, at: Time) -> Option<String> {
        let measure = self.rules.measures.get(&condition.measure)?;
        measure.metrics.as_ref()?;
        if self.evidence.series.pages().len() == 1 {
            return Some("one page tells no change: it takes two".into());
        }
        let (spacing, window) = (spacing(self.evidence, at)?, self.window(condition));
        let (apart, window_is) = (duration(spacing), duration(window));
        (spacing > window / 2.0)
            .then(|| format!("history has a sample every {apart}, too few for {window_is}"))
    }

    /// The measure over all history that ends where the alert's own time begins.
    fn baseline(&self, condition: &Condition, told: &Told, at: Time) -> Option<f64> {
        let lasting = seconds(&self.alert.lasting).unwrap_or(0.0);
        let end = at - lasting - self.window(condition);
        let measure = self.rules.measures.get(&condition.measure)?;
        let before = read(measure, self.evidence, end, end - self.evidence.span.from);
        let same = before.into_iter().find(|it| it.of == told.of)?;
        same.value.ok().map(|value| value.point).filter(|value| *value > 0.0)
    }

    /// What it means that there are no data.
    fn without(&self) -> Holds {
        match self.alert.missing {
            MissingMeans::Fine => Holds::No,
            MissingMeans::Breach => Holds::Yes,
        }
    }
}

fn all(conditions: impl Iterator<Item = Holds>) -> Holds {
    conditions.fold(Holds::Yes, |so_far, holds| match (so_far, holds) {
        (Holds::No, _) | (_, Holds::No) => Holds::No,
        (Holds::Unknown(why), _) | (_, Holds::Unknown(why)) => Holds::Unknown(why),
        (Holds::Yes, Holds::Yes) => Holds::Yes,
    })
}

/// An exact value is compared as it is, one that only its bucket tells by both ends: an alert does
/// not ask for statistical proof.
fn ends(value: &Estimate) -> (f64, f64) {
    if value.bucket { (value.lo, value.hi) } else { (value.point, value.point) }
}

fn above(value: &Estimate, bound: f64) -> Holds {
    let (lo, hi) = ends(value);
    // A bucket's lower end is not in it.
    if lo > bound || (value.bucket && lo >= bound) {
        Holds::Yes
    } else if hi <= bound {
        Holds::No
    } else {
        undecided()
    }
}

fn below(value: &Estimate, bound: f64) -> Holds {
    let (lo, hi) = ends(value);
    if hi < bound {
        Holds::Yes
    } else if lo >= bound {
        Holds::No
    } else {
        undecided()
    }
}

fn undecided() -> Holds {
    Holds::Unknown("not decidable at this bucket resolution".into())
}

/// A time in which an alert fired.
#[derive(Debug, Clone, PartialEq)]
pub struct Fired {
    /// What it is told apart by.
    pub of: Labels,
    /// When it began to fire.
    pub from: Time,
    /// When it stopped; `None` where it still did at the end.
    pub to: Option<Time>,
}

/// What an alert would have done over all of the history.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Backtest {
    /// When it fired.
    pub fired: Vec<Fired>,
    /// Seconds in which nobody can tell, with a reason.
    pub unknown: Option<(f64, String)>,
}

/// When an alert would have fired, evaluated every `every` seconds, or as often as there are samples.
pub fn backtest(
    alert: &Alert,
    rules: &Rules,
    policy: &Policy,
    evidence: &Evidence,
    every: f64,
) -> Backtest {
    let asked = Asked { alert, rules, policy, evidence };
    let lasting = seconds(&alert.lasting).unwrap_or(0.0);
    let mut held: BTreeMap<Labels, Time> = BTreeMap::new();
    let mut out = Backtest::default();
    let mut at = evidence.span.from;
    while at <= evidence.span.to {
        let step = every.max(1.0).max(spacing(evidence, at).unwrap_or_default());
        for (of, moment) in asked.at(at) {
            if let Holds::Unknown(why) = &moment.holds {
                out.unknown.get_or_insert((0.0, why.clone())).0 += step;
            }
            if moment.holds != Holds::Yes {
                held.remove(&of);
                out.end(&of, at);
                continue;
            }
            let since = *held.entry(of.clone()).or_insert(at);
            if at - since >= lasting {
                out.begin(of, at);
            }
        }
        at += step;
    }
    out
}

impl Backtest {
    fn open(&mut self, of: &Labels) -> Option<&mut Fired> {
        self.fired.iter_mut().find(|it| it.of == *of && it.to.is_none())
    }

    fn begin(&mut self, of: Labels, at: Time) {
        if self.open(&of).is_none() {
            self.fired.push(Fired { of, from: at, to: None });
        }
    }

    fn end(&mut self, of: &Labels, at: Time) {
        if let Some(firing) = self.open(of) {
            firing.to = Some(at);
        }
    }
}

/// Seconds between the last two pages up to a moment.
fn spacing(evidence: &Evidence, at: Time) -> Option<f64> {
    let pages = evidence.series.pages();
    let seen = &pages[..pages.partition_point(|page| *page <= at)];
    match seen {
        [.., before, last] => Some(last - before),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        evidence::{SeriesSet, Span},
        runbook::Library,
    };

    /// A page every 15 s with so many requests waiting.
    fn waiting(values: &[f64]) -> Evidence {
        let mut series = SeriesSet::default();
        for (step, value) in values.iter().enumerate() {
            let at = step as f64 * 15.0;
            series.begin_page(at);
            let name = "vllm:num_requests_waiting";
            series.record(name, at, *value, || (name.into(), Vec::new()));
        }
        let span = Span { from: 0.0, to: (values.len() - 1) as f64 * 15.0 };
        Evidence { series, span, ..Evidence::default() }
    }

    fn rules() -> (Rules, Policy) {
        (Rules::embedded().unwrap(), Library::embedded().unwrap().policy)
    }

    fn state(evidence: &Evidence, id: &str) -> State {
        let (rules, policy) = rules();
        let alert = rules.alerts.iter().find(|alert| alert.id == id).unwrap();
        check(alert, &rules, &policy, evidence, evidence.span.to).remove(0).state
    }

    #[test]
    fn it_fires_only_after_its_time_and_is_pending_before() {
        let at = |above: usize| {
            let mut values = vec![10.0; 20];
            values.extend(vec![90.0; above]);
            state(&waiting(&values), "queue-overflow")
        };
        assert_eq!(at(0), State::Inactive);
        assert_eq!(at(8), State::Pending { since: 300.0 });
        assert_eq!(at(9), State::Firing { since: 300.0 });
    }

    #[test]
    fn history_shorter_than_its_time_leaves_it_pending() {
        let short = waiting(&[90.0; 4]);
        assert_eq!(state(&short, "queue-overflow"), State::Pending { since: 0.0 });
    }

    #[test]
    fn what_was_not_asked_is_unknown_and_never_fine() {
        let State::Unknown(why) = state(&waiting(&[1.0; 40]), "oom-detected") else {
            panic!("it was decided without CloudWatch")
        };
        assert!(why.contains("CloudWatch"), "{why}");
    }

    #[test]
    fn a_threshold_inside_a_bucket_is_not_decided() {
        let bucket = Estimate::bucket(0.0, 0.3, 100.0);
        assert_eq!(above(&bucket, 0.2), undecided());
        assert_eq!(above(&bucket, 0.3), Holds::No);
        assert_eq!(above(&Estimate::bucket(0.3, 0.5, 9.0), 0.3), Holds::Yes);
        assert_eq!(below(&Estimate::exact(0.4, None), 0.5), Holds::Yes);
    }

    #[test]
    fn a_backtest_tells_when_it_began_and_ended() {
        let mut values = vec![10.0; 20];
        values.extend(vec![90.0; 20]);
        values.extend(vec![10.0; 10]);
        let (rules, policy) = rules();
        let alert = rules.alerts.iter().find(|it| it.id == "queue-overflow").unwrap();
        let fired = backtest(alert, &rules, &policy, &waiting(&values), 15.0).fired;
        let wanted = Fired { of: Vec::new(), from: 300.0 + 120.0, to: Some(600.0) };
        assert_eq!(fired, [wanted]);
    }

    /// A page every 15 s; of 100 answers each, so many fail from the 40th page on.
    fn failing(share: f64, pages: usize) -> Evidence {
        let mut series = SeriesSet::default();
        let (mut good, mut bad) = (0.0, 0.0);
        for step in 0..pages {
            let at = step as f64 * 15.0;
            let failed = if step > 40 { 100.0 * share } else { 0.0 };
            (good, bad) = (good + 100.0 - failed, bad + failed);
            series.begin_page(at);
            for (status, value) in [("2xx", good), ("5xx", bad)] {
                series.record(status, at, value, || {
                    ("http_requests_total".into(), vec![("status".into(), status.into())])
                });
            }
        }
        let span = Span { from: 0.0, to: (pages - 1) as f64 * 15.0 };
        Evidence { series, span, ..Evidence::default() }
    }

    /// With a share `e` from the onset on, the ratio over a window `w` passes the threshold `t` after
    /// `t * w / e`, and the alert fires when that has lasted for its time.
    #[test]
    fn a_backtest_is_as_late_as_the_formula_says() {
        let (rules, policy) = rules();
        let alert = rules.alerts.iter().find(|it| it.id == "error-rate-spike").unwrap();
        for share in [0.02, 0.05, 0.5, 1.0] {
            let fired = backtest(alert, &rules, &policy, &failing(share, 160), EVERY).fired;
            let late = fired[0].from - 40.0 * 15.0;
            let formula = 0.01 * 300.0 / share + 300.0;
            assert!((late - formula).abs() <= EVERY, "{share}: {late} and not {formula}");
        }
        let quiet = backtest(alert, &rules, &policy, &failing(0.005, 160), EVERY);
        assert_eq!(quiet, Backtest::default());
    }

    /// A page every ten minutes: no window of five holds two of them.
    #[test]
    fn history_too_coarse_for_a_window_is_not_fine() {
        let mut evidence = failing(1.0, 160);
        let mut series = SeriesSet::default();
        for old in evidence.series.iter() {
            for point in old.points.iter().step_by(40) {
                let name = format!("{:?}", old.labels);
                series.record(&name, point.at, point.value, || {
                    (old.name.clone(), old.labels.clone())
                });
            }
        }
        (0..4).for_each(|page| series.begin_page(f64::from(page) * 600.0));
        evidence.series = series;
        let State::Unknown(why) = state(&evidence, "error-rate-spike") else {
            panic!("it was decided without two samples in its window")
        };
        assert_eq!(why, "history has a sample every 10m, too few for 5m");
        let (rules, policy) = rules();
        let alert = rules.alerts.iter().find(|it| it.id == "error-rate-spike").unwrap();
        let told = backtest(alert, &rules, &policy, &evidence, EVERY);
        assert!(told.fired.is_empty() && told.unknown.is_some(), "{told:?}");
    }
}
