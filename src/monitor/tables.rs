//! Alerts, objectives and tiers as tables of the documentation.

use super::{
    Alert, Condition, Slo,
    burn::Objective,
    load::Rules,
    objective::{never, tier},
    rule::{number, word},
    seconds,
    state::Policy,
};
use crate::unit::Unit;

/// All alerts.
pub fn alerts(rules: &Rules, policy: &Policy) -> String {
    let row = |alert: &Alert| {
        format!(
            "| `{}` | {} | {} | {} | `{}` |\n",
            alert.id,
            word(alert.severity),
            conditions(alert, rules, policy),
            alert.lasting,
            alert.runbook
        )
    };
    let rows: String = rules.alerts.iter().map(row).collect();
    format!("| alert | severity | fires where | for | run |\n|---|---|---|---|---|\n{rows}")
}

/// What holds where an alert fires, in words.
pub fn conditions(alert: &Alert, rules: &Rules, policy: &Policy) -> String {
    let all: Vec<String> = alert.all.iter().map(|it| condition(it, rules, policy)).collect();
    all.join(" and ")
}

fn condition(condition: &Condition, rules: &Rules, policy: &Policy) -> String {
    let measure = rules.measures.get(&condition.measure);
    let unit = measure.map_or(Unit::Count, |measure| measure.unit);
    let title = measure.map_or(condition.measure.as_str(), |measure| &measure.title);
    format!("{title} {}", super::shown::threshold(condition, unit, policy))
}

/// All objectives.
pub fn objectives(rules: &Rules) -> String {
    let row = |slo: &Slo| {
        let own: Vec<&str> = slo.rules.iter().map(|rule| rule.title.as_str()).collect();
        let good = slo.latency.as_ref().map_or("no 5xx".into(), |latency| {
            format!("up to {}", Unit::Seconds.show(latency.good_under))
        });
        format!(
            "| `{}` | {} % {good}, over {} | {} | {} | {} |\n",
            slo.id,
            number(slo.objective * 100.0),
            slo.window,
            own.join("; "),
            tiers_of(slo, rules),
            slo.users
        )
    };
    let rows: String = rules.slos.iter().map(row).collect();
    format!(
        "| objective | good | own rule | tiers that can fire | what users say |\n\
         |---|---|---|---|---|\n{rows}"
    )
}

fn tiers_of(slo: &Slo, rules: &Rules) -> String {
    let set = slo.burn.as_ref().and_then(|name| rules.tiers.get(name));
    let period = seconds(&slo.period).unwrap_or_default();
    let objective = Objective { share: slo.objective, period };
    let can = set
        .into_iter()
        .flatten()
        .filter(|rule| tier(rule).is_some_and(|tier| never(objective, tier).is_none()));
    let ids: Vec<&str> = can.map(|rule| rule.id.as_str()).collect();
    if ids.is_empty() { "–".into() } else { ids.join(", ") }
}

/// All tiers, with the burn rate at which each fires over a period of 30 days.
pub fn tiers(rules: &Rules) -> String {
    let month = Objective { share: 0.999, period: 30.0 * 86_400.0 };
    let rows = rules.tiers.values().flatten().map(|rule| {
        let factor = tier(rule).map_or("?".into(), |tier| number(month.factor(tier)));
        format!(
            "| `{}` | {} | {}, {} | {} | {factor} |\n",
            rule.id,
            word(rule.severity),
            rule.long,
            rule.short,
            Unit::Ratio.show(rule.spends)
        )
    });
    format!(
        "| tier | severity | windows | budget of a month spent | times the budget |\n\
         |---|---|---|---|---|\n{}",
        rows.collect::<String>()
    )
}
