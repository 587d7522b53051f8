//! What a scenario or a row of the gate means, for `explain`.

use super::super::{
    examples::{SERVER, example},
    explain::tried,
    page::Page,
};
use crate::{
    load::scenario::{Loads, Rule, Scenario, Subject},
    unit::Unit,
};

/// The page of an id; `None` where it is neither.
pub(in crate::commands) fn page(id: &str, loads: &Loads) -> Option<String> {
    let scenario = loads.scenarios.get(id).map(|it| of_scenario(it, loads));
    scenario.or_else(|| loads.gate.iter().find(|rule| rule.id == id).map(|it| of_rule(it, loads)))
}

fn of_scenario(it: &Scenario, loads: &Loads) -> String {
    let mut page = Page::default();
    page.text("", &format!("{} (load test)", it.id)).text("  ", &format!("{}.", it.title)).gap();
    let seconds = |value| Unit::Seconds.show(value);
    page.field("validates", &it.validates)
        .field("rate", &Unit::RequestsPerSecond.show(it.rate))
        .field(
            "lasts",
            &format!("{}, of which {} warm-up", seconds(it.duration), seconds(it.warmup)),
        )
        .field("at once", &it.concurrency.to_string());
    if let Some((from, to)) = it.turns {
        page.field("turns", &format!("{from} to {to} in each conversation"));
    }
    let weights: f64 = it.mix.iter().map(|kind| kind.weight).sum();
    for kind in &it.mix {
        let share = Unit::Ratio.show(kind.weight / weights);
        let text = format!(
            "{}: {share}, up to {} tokens, adapter: {}",
            kind.id, kind.max_tokens, kind.adapter
        );
        page.field("sends", &text);
    }
    for rule in loads.rules(it) {
        page.field("judged by", &format!("{}: {}", rule.id, bounds(&rule)));
    }
    let run = example("sends it and judges the answers", format!("load {} --url {SERVER}", it.id));
    tried(page, &[run])
}

fn of_rule(it: &Rule, loads: &Loads) -> String {
    let mut page = Page::default();
    page.text("", &format!("{} (gate of load tests)", it.id)).text("  ", &format!("{}.", it.title));
    let reads = match &it.of {
        Subject::Errors => "the share of the requests judged that failed".into(),
        Subject::Trends => "how many of the trends in limits.yaml grew".into(),
        Subject::Quantile { quantile, .. } => {
            let percent = Unit::Ratio.show(*quantile);
            format!("the {percent} quantile at the client, from when each request was due")
        }
        Subject::Signals { signals, also } => {
            let all: Vec<&str> = signals.iter().chain(also).map(String::as_str).collect();
            format!("the largest of {} over the test", all.join(", "))
        }
    };
    let used = loads.scenarios.values().filter(|scenario| scenario.gate.contains(&it.id));
    let used: Vec<&str> = used.map(|scenario| scenario.id.as_str()).collect();
    page.gap()
        .field("reads", &reads)
        .field("limits", &bounds(it))
        .field("judges", &used.join(", "))
        .field(
            "needed",
            if it.needed { "yes: without an answer the exit code is 3" } else { "no" },
        );
    let scenario = used.first().copied().unwrap_or("baseline");
    tried(page, &[example("judged by it", format!("load {scenario} --url {SERVER}"))])
}

fn bounds(rule: &Rule) -> String {
    let words = if rule.more_is_better { ("from", "under") } else { ("up to", "over") };
    let show = |value| rule.unit.show(value);
    format!("passes {} {}, fails {} {}", words.0, show(rule.pass), words.1, show(rule.fail))
}
