//! What is sent and how it is judged, as tables of the documentation.

use super::scenario::{Loads, Rule, Scenario};
use crate::unit::Unit;

/// The scenarios, in Markdown.
pub fn scenarios(loads: &Loads) -> String {
    let line = |it: &Scenario| {
        let turns = it.turns.map(|(from, to)| format!(", {from} to {to} turns each"));
        format!(
            "| `{}` | {} | {} | {}{} | {} | {} |\n",
            it.id,
            it.rate,
            Unit::Seconds.show(it.duration),
            it.concurrency,
            turns.unwrap_or_default(),
            it.gate.iter().map(|id| format!("`{id}`")).collect::<Vec<_>>().join(", "),
            it.validates,
        )
    };
    let lines: String = loads.scenarios.values().map(line).collect();
    format!(
        "| scenario | requests/s | time | at once | gate | what it validates |\n|---|---|---|---|---|---|\n{lines}"
    )
}

/// The gate, in Markdown.
pub fn gate(loads: &Loads) -> String {
    let line = |it: &Rule| {
        let (pass, fail) = if it.more_is_better { ("≥", "<") } else { ("≤", ">") };
        let needed = if it.needed { "yes" } else { "no" };
        let show = |value| it.unit.show(value);
        format!(
            "| `{}` | {} | {pass} {} | {fail} {} | {needed} |\n",
            it.id,
            it.title,
            show(it.pass),
            show(it.fail)
        )
    };
    let lines: String = loads.gate.iter().map(line).collect();
    format!("| row | what | passes | fails | needed |\n|---|---|---|---|---|\n{lines}")
}

/// The limits of the client, in Markdown.
pub fn client(loads: &Loads) -> String {
    let Some(limits) = loads.limits.as_ref().map(|limits| limits.client) else {
        return String::new();
    };
    let lag = Unit::Seconds.show(limits.loop_lag_p99);
    let late = Unit::Seconds.show(limits.send_late_p99);
    let share = Unit::Ratio.show(limits.cpu_share);
    format!(
        "| row | invalid beyond |\n|---|---|\n| `loop_lag_p99`: how late a timer on the sending thread fires | {lag} |\n\
         | `cpu_share`: share of one core that this thread used | {share} |\n\
         | `send_late_p99`: how late requests were sent, waits for slots left out | {late} |\n\
         | `client_errors`: requests it could not send, e.g. without a free file descriptor | {} |\n",
        limits.client_errors
    )
}
