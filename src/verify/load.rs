//! Whether the server is under a load like that of the incident: without it, nothing is proven.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    evidence::Span,
    report::{Number, Report},
    runbook::{Check, Library, expr::signal_of},
    signals::pieces,
    unit::Unit,
};

use super::{Asked, Item, LEAST_REQUESTS, Role, State};

/// Share of the load under which there is hardly any.
pub(super) const IDLE: f64 = 0.1;

/// One kind of work.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Row {
    /// The signal.
    pub signal: String,
    /// What it is.
    pub title: String,
    /// Unit of both.
    pub unit: Unit,
    /// In the incident; where the load was the cause, before it.
    pub then: Option<f64>,
    /// Since the fix.
    pub now: Option<f64>,
    /// Now over then.
    pub share: Option<f64>,
    /// Whether that is enough to prove a fix; null where it is not known.
    pub enough: Option<bool>,
}

impl Row {
    /// In words.
    pub(super) fn words(&self) -> String {
        let show = |value: Option<f64>| value.map_or("unknown".into(), |it| self.unit.show(it));
        format!("{} {} against {} then", self.title, show(self.now), show(self.then))
    }
}

/// Kinds of work, with what the names of signals about them begin with.
const KINDS: [(&str, &str, Unit, &[&str]); 3] = [
    (
        "arrivals_requests_per_second",
        "requests",
        Unit::RequestsPerSecond,
        &["arrivals", "demand", "offered"],
    ),
    (
        "prompt_mean_tokens",
        "prompts",
        Unit::Tokens,
        &["prompt_", "computed", "oversize", "prompts"],
    ),
    ("output_mean_tokens", "answers", Unit::Tokens, &["output", "requested_output"]),
];

/// Whether a check asks about the load itself.
pub(super) fn is_driver(library: &Library, check: &Check) -> bool {
    KINDS.iter().any(|(.., begins)| asks(library, &check.id.value, begins))
}

fn asks(library: &Library, check: &str, begins: &[&str]) -> bool {
    let Some(program) = library.programs.get(check) else { return false };
    let names = program.variables().iter().map(|name| signal_of(name));
    names.clone().any(|name| begins.iter().any(|begin| name.starts_with(begin)))
}

/// The load, kind by kind. Where the load was the cause, and has gone back, that of the healthy time
/// is asked for.
pub(super) fn rows(asked: &Asked<'_>, span: Span, items: &[Item]) -> Vec<Row> {
    let least = asked.library.policy.get("verify_load_ratio").map_or(f64::NAN, |it| it.value);
    let row = |(signal, title, unit, begins): &(&str, &str, Unit, &[&str])| {
        let gone = items.iter().any(|item| {
            item.role == Role::Driver
                && item.state == State::Gone
                && asks(asked.library, &item.check, begins)
        });
        let then = then(asked.before, signal, gone);
        let now = pieces::over(asked.evidence, span, signal).ok().map(|it| it.point);
        // Without any request nothing has a length, and the rate tells.
        let share = then.filter(|then| *then > 0.0).map(|then| now.unwrap_or(0.0) / then);
        let share = share.filter(|_| now.is_some() || *title == "requests");
        let enough = share.map(|share| share >= least);
        Row {
            signal: (*signal).into(),
            title: (*title).into(),
            unit: *unit,
            then,
            now,
            share,
            enough,
        }
    };
    KINDS.iter().map(row).collect()
}

/// The load of the incident. A server that finished nothing tells none, so it is that before then.
fn then(before: &Report, signal: &str, gone: bool) -> Option<f64> {
    let row = |name: &str| before.readings.iter().find(|row| row.signal == name);
    let point = |number: Option<Number>| match number? {
        Number::Point(point) => Some(point),
        Number::Interval { .. } => None,
    };
    let finished = row("finished_requests").and_then(|row| point(row.now)).unwrap_or(0.0);
    let row = row(signal)?;
    let (incident, healthy) = (point(row.now), point(row.baseline));
    match gone || finished < LEAST_REQUESTS {
        true => healthy.or(incident),
        false => incident.or(healthy),
    }
}
