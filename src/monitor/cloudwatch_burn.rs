//! Burn-rate tiers for CloudWatch: an alarm over each of the two windows, and one over both that acts.
//!
//! One period of an alarm is a whole window, so its value is a ratio of sums over all of it.

use super::{
    CloudQuery, Slo, TierRule,
    burn::{Objective, Tier},
    cloudwatch::{Alarm, Alarms, Composite, MathQuery, Watched, Writer, name, tidy, to_replace},
    duration, objective, seconds,
};
use crate::evidence::series::Labels;

/// Longest time that an alarm looks back, seconds: PutMetricAlarm, `Period` times
/// `EvaluationPeriods` for periods from an hour on.
const LONGEST: f64 = 604_800.0;

/// Shortest period of metrics of usual resolution, seconds.
const SHORTEST: f64 = 60.0;

/// Adds the alarms of an objective's tiers, or why a tier has none.
pub(super) fn tiers(writer: &Writer<'_>, slo: &Slo, out: &mut Alarms) {
    let set = slo.burn.as_ref().and_then(|name| writer.rules.tiers.get(name));
    for rule in set.into_iter().flatten() {
        match tier(writer, slo, rule) {
            Ok((alarms, composites)) => {
                out.alarms.extend(alarms);
                out.composites.extend(composites);
            }
            Err(why) => out.left.push((format!("{}-{}", slo.id, rule.id), why)),
        }
    }
}

/// What all alarms of a tier have in common.
struct Burning<'a> {
    slo: &'a Slo,
    rule: &'a TierRule,
    query: &'a CloudQuery,
    objective: Objective,
    tier: Tier,
}

fn tier(
    writer: &Writer<'_>,
    slo: &Slo,
    rule: &TierRule,
) -> Result<(Vec<Alarm>, Vec<Composite>), String> {
    let measure = objective::measure(slo, writer.rules).ok_or("its measure is not known")?;
    let query = measure.cloudwatch.as_ref().ok_or("no metric of CloudWatch has it")?;
    let period = seconds(&slo.period).ok_or("its period is no time")?;
    let objective = Objective { share: slo.objective, period };
    let tier = objective::tier(rule).ok_or("its windows are no times")?;
    if let Some(why) = objective::never(objective, tier) {
        return Err(format!("it can never fire: it {why}"));
    }
    fits(tier)?;
    let burning = Burning { slo, rule, query, objective, tier };
    let (mut parts, mut whole) = (Vec::new(), Vec::new());
    for of in writer.sets(query) {
        let long = burning.part(writer, "long", &of)?;
        let short = burning.part(writer, "short", &of)?;
        whole.push(burning.whole(writer, [&long, &short], &of));
        parts.extend([long, short]);
    }
    Ok((parts, whole))
}

/// Whether an alarm can look back over both windows.
fn fits(tier: Tier) -> Result<(), String> {
    let whole_minutes = |window: f64| window >= SHORTEST && window % SHORTEST == 0.0;
    if tier.long > LONGEST {
        let (window, most) = (duration(tier.long), duration(LONGEST));
        return Err(format!("it looks back over {window}, and no alarm over more than {most}"));
    }
    match whole_minutes(tier.long) && whole_minutes(tier.short) {
        true => Ok(()),
        false => Err("a window of an alarm is a number of whole minutes".into()),
    }
}

impl Burning<'_> {
    /// One window burns, and it holds events enough where it is the long one.
    fn part(&self, writer: &Writer<'_>, which: &str, of: &Labels) -> Result<Alarm, String> {
        let (window, least) = match which {
            "long" => (self.tier.long, Some(self.objective.least_events(self.tier))),
            _ => (self.tier.short, None),
        };
        let id = format!("{}-{}-{which}", self.slo.id, self.rule.id);
        Ok(Alarm {
            alarm_name: name(&id, of),
            alarm_description: format!(
                "{}: part of {}. Share of bad events over {}.{}",
                self.slo.title,
                self.name(of),
                duration(window),
                to_replace(of)
            ),
            alarm_actions: Vec::new(),
            watched: Watched::Math { metrics: self.math(writer, of, window as u64, least)? },
            evaluation_periods: 1,
            threshold: tidy(self.objective.threshold(self.tier)),
            comparison_operator: "GreaterThanOrEqualToThreshold",
            treat_missing_data: "notBreaching",
            is_part: true,
        })
    }

    /// The share of bad events of a window: errors over requests, or what a percentile rank leaves.
    /// With `least`, it is 0 over fewer events.
    fn math(
        &self,
        writer: &Writer<'_>,
        of: &Labels,
        period: u64,
        least: Option<f64>,
    ) -> Result<Vec<MathQuery>, String> {
        let query = self.query;
        let stat = |metric: &str, said: &str| writer.stat(query, metric, said, of, period);
        let (share, bad, total) = match (&query.over, &self.slo.latency) {
            (Some(over), _) => {
                let bad = MathQuery::counted("bad", &stat(&query.metric, "Sum"));
                ("FILL(bad, 0) / total", bad, stat(over, "Sum"))
            }
            (None, Some(latency)) => {
                let bound = tidy(latency.good_under / query.scale());
                let good = stat(&query.metric, &format!("PR(:{bound})"));
                let total = stat(&query.metric, "SampleCount");
                ("1 - good / 100", MathQuery::counted("good", &good), total)
            }
            (None, None) => return Err("its bad events are not counted in CloudWatch".into()),
        };
        let counts = least.is_some() || query.over.is_some();
        let expression = match least {
            Some(least) => format!("IF(total >= {least}, {share}, 0)"),
            None => share.to_owned(),
        };
        let total = counts.then(|| MathQuery::counted("total", &total));
        Ok([MathQuery::result(expression), bad].into_iter().chain(total).collect())
    }

    fn whole(&self, writer: &Writer<'_>, parts: [&Alarm; 2], of: &Labels) -> Composite {
        let burns = parts.map(|it| format!("ALARM(\"{}\")", it.alarm_name.replace('"', "\\\"")));
        Composite {
            alarm_name: self.name(of),
            alarm_description: format!(
                "{}: the error budget burns ({}), {} and {} at {} times the rate or faster. Users \
                 say: \"{}\" Run: diagnose slo {}{}",
                self.slo.title,
                self.rule.id,
                duration(self.tier.long),
                duration(self.tier.short),
                tidy(self.objective.factor(self.tier)),
                self.slo.users,
                self.slo.id,
                to_replace(of)
            ),
            alarm_actions: writer.options.actions.clone(),
            alarm_rule: burns.join(" AND "),
        }
    }

    fn name(&self, of: &Labels) -> String {
        name(&format!("{}-{}", self.slo.id, self.rule.id), of)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        monitor::{cloudwatch::Options, load::Rules},
        runbook::Library,
    };

    fn rendered(edit: impl Fn(&mut Rules)) -> Alarms {
        let mut rules = Rules::embedded().unwrap();
        edit(&mut rules);
        let policy = Library::embedded().unwrap().policy;
        crate::monitor::cloudwatch::render(&rules, &policy, None, &Options::default())
    }

    fn part(alarms: &Alarms, id: &str) -> serde_json::Value {
        let named = |it: &&Alarm| it.alarm_name.starts_with(&format!("vllm-{id}-<"));
        serde_json::to_value(alarms.alarms.iter().find(named).unwrap()).unwrap()
    }

    #[test]
    fn a_tier_is_two_windows_and_an_alarm_over_both() {
        let alarms = rendered(|_| ());
        let (long, short) =
            (part(&alarms, "availability-fast-long"), part(&alarms, "availability-fast-short"));
        // 14.4 times 0.1 %; five bad events are expected among 348 at that share.
        assert_eq!((&long["Threshold"], &short["Threshold"]), (&0.0144.into(), &0.0144.into()));
        assert_eq!(long["Metrics"][0]["Expression"], "IF(total >= 348, FILL(bad, 0) / total, 0)");
        assert_eq!(short["Metrics"][0]["Expression"], "FILL(bad, 0) / total");
        let periods = |it: &serde_json::Value| it["Metrics"][1]["MetricStat"]["Period"].clone();
        assert_eq!((periods(&long), periods(&short)), (3600.into(), 300.into()));
        let over = &alarms.composites[0];
        assert_eq!(
            over.alarm_rule,
            format!("ALARM({}) AND ALARM({})", long["AlarmName"], short["AlarmName"])
        );
        assert!(alarms.alarms.iter().filter(|it| it.is_part).all(|it| it.alarm_actions.is_empty()));
    }

    #[test]
    fn late_events_are_what_a_percentile_rank_leaves() {
        let alarms = rendered(|_| ());
        let long = part(&alarms, "e2e-p99-slow-long");
        assert_eq!(long["Metrics"][0]["Expression"], "IF(total >= 84, 1 - good / 100, 0)");
        assert_eq!(long["Metrics"][1]["MetricStat"]["Stat"], "PR(:2000)");
        assert_eq!(long["Metrics"][2]["MetricStat"]["Stat"], "SampleCount");
        let short = part(&alarms, "e2e-p99-slow-short");
        assert_eq!(short["Metrics"].as_array().unwrap().len(), 2, "what is not used is not asked");
    }

    #[test]
    fn a_tier_that_does_not_fit_says_why() {
        let alarms = rendered(|rules| {
            rules.tiers.get_mut("standard").unwrap()[3].long = "8d".into();
        });
        let why = |id: &str| {
            let left = alarms.left.iter().find(|(left, _)| left == id);
            left.map(|(_, why)| why.as_str()).unwrap_or_default()
        };
        assert!(why("availability-trickle").contains("8d, and no alarm over more than 7d"));
        assert!(why("ttft-p50-fast").contains("it can never fire"));
    }
}
