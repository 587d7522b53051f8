//! Pages of what is watched: alerts, objectives, burn-rate tiers, measures and panels.

use super::{super::page::Page, tried};
use crate::{
    commands::examples::{Example, SERVER, example},
    monitor::{
        Alert, Measure, Slo, TierRule,
        dashboard::{Panel, Row},
        load::Rules,
        tables,
    },
    report::words,
    runbook::Library,
    unit::Unit,
};

/// The pages of an id, one for each thing that carries it.
pub(super) fn pages(id: &str, rules: &Rules, library: &Library) -> Vec<String> {
    let panel = || {
        let panels = rules.rows.iter().flat_map(|row| row.panels.iter().map(move |it| (row, it)));
        panels.clone().find(|(_, panel)| panel.id == id)
    };
    let tier = || {
        let tiers = rules.tiers.iter().flat_map(|(set, rows)| rows.iter().map(move |it| (set, it)));
        tiers.clone().find(|(_, tier)| tier.id == id)
    };
    let pages = [
        rules.alerts.iter().find(|it| it.id == id).map(|it| of_alert(it, rules, library)),
        rules.slos.iter().find(|it| it.id == id).map(of_objective),
        tier().map(|(set, it)| of_tier(it, set, rules)),
        rules.measures.get(id).map(|it| of_measure(it, rules)),
        panel().map(|(row, it)| of_panel(it, row)),
    ];
    pages.into_iter().flatten().collect()
}

fn of_alert(it: &Alert, rules: &Rules, library: &Library) -> String {
    let mut page = Page::default();
    page.text("", &format!("{} (alert)", it.id)).text("  ", &format!("{}.", it.title)).gap();
    page.field("severity", words::severity(it.severity))
        .field("fires where", &tables::conditions(it, rules, &library.policy))
        .field("over", &it.window)
        .field("for", &it.lasting)
        .field("first", &it.action)
        .field("runbook", &it.runbook);
    let check = format!("alerts check {}", it.id);
    let backtest = format!("alerts backtest {} --history 7d", it.id);
    tried(
        page,
        &[
            example("what it says now, on the server's host", check),
            example("when it would have fired, by the Prometheus of diagnose.toml", backtest),
            example("after it fired", &it.runbook),
        ],
    )
}

fn of_objective(it: &Slo) -> String {
    let mut page = Page::default();
    page.text("", &format!("{} (objective)", it.id)).text("  ", &format!("{}.", it.title)).gap();
    let good = it.latency.as_ref().map_or("answers without a 5xx status".into(), |latency| {
        format!("waits of up to {}", Unit::Seconds.show(latency.good_under))
    });
    page.field("good", &format!("{good}, {} or more of them", Unit::Ratio.show(it.objective)))
        .field("period", &it.period)
        .field("tiers", it.burn.as_deref().unwrap_or_default())
        .field("users say", &it.users)
        .field("costs", &it.business);
    for rule in &it.rules {
        page.field("rule", &format!("{}: {}", rule.id, rule.title));
    }
    tried(page, &[budget(&it.id)])
}

fn budget(objective: &str) -> Example {
    let command = format!("slo {objective} --url {SERVER}");
    example("the budget that is left, and which tiers fire", command)
}

fn of_tier(it: &TierRule, set: &str, rules: &Rules) -> String {
    let mut page = Page::default();
    page.text("", &format!("{} (burn-rate tier)", it.id)).gap();
    page.field("set", set)
        .field("severity", words::severity(it.severity))
        .field("windows", &format!("{} and {}, both must burn", it.long, it.short))
        .field("spends", &format!("{} of the budget", Unit::Ratio.show(it.spends)));
    let using = rules.slos.iter().filter(|slo| slo.burn.as_deref() == Some(set));
    let ids: Vec<&str> = using.map(|slo| slo.id.as_str()).collect();
    page.field("watches", &ids.join(", "));
    tried(page, &[budget(ids.first().copied().unwrap_or_default())])
}

fn of_measure(it: &Measure, rules: &Rules) -> String {
    let mut page = Page::default();
    page.text("", &format!("{} (measure)", it.id)).text("  ", &format!("{}.", it.title)).gap();
    let told = [
        ("vLLM's metrics", it.metrics.is_some()),
        ("gateway records", it.records.is_some()),
        ("CloudWatch", it.cloudwatch.is_some()),
        ("an exporter", it.exporter.is_some()),
        ("probes", !it.probe.is_empty()),
    ];
    let told: Vec<&str> = told.into_iter().filter(|(_, has)| *has).map(|(name, _)| name).collect();
    let alert = rules.alerts.iter().find(|alert| alert.all.iter().any(|all| all.measure == it.id));
    page.field("told by", &told.join(", "));
    let mut all = vec![panels()];
    all.extend(alert.map(|alert| {
        let check = format!("alerts check {}", alert.id);
        example("holds it against the threshold of an alert, on the server's host", check)
    }));
    tried(page, &all)
}

fn panels() -> Example {
    let command = format!("dashboard render --to grafana --url {SERVER}");
    example("writes the dashboard that shows it", command)
}

fn of_panel(it: &Panel, row: &Row) -> String {
    let mut page = Page::default();
    page.text("", &format!("{} (panel)", it.id)).text("  ", &it.why).gap();
    page.field("title", &it.title)
        .field("row", &row.title)
        .field("measures", &it.measures.join(", "))
        .field("alert", it.alert.as_deref().unwrap_or_default())
        .field("objective", it.slo.as_deref().unwrap_or_default());
    tried(page, &[panels()])
}
