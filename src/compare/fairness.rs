//! Whether both sides had the same work.

use crate::{runbook::PolicyEntry, unit::Unit};

use super::{Fairness, LoadRow, Side, moved::value};
use std::collections::BTreeMap;

type Policy = BTreeMap<String, PolicyEntry>;

/// A threshold that is not there decides nothing.
pub(super) fn entry(policy: &Policy, name: &str) -> f64 {
    policy.get(name).map_or(f64::NAN, |entry| entry.value)
}

/// The work of both sides.
pub(super) fn load_rows(a: &Side, b: &Side, policy: &Policy) -> Vec<LoadRow> {
    let factor = entry(policy, "compare_load_factor");
    let row = |id: &str, title: &str, unit: Unit, of: &dyn Fn(&Side) -> Option<f64>, most: f64| {
        let (a, b) = (of(a), of(b));
        let alike = a.zip(b).map(|(a, b)| a == b || (a / b).max(b / a) <= most);
        LoadRow { id: id.into(), title: title.into(), unit, a, b, alike }
    };
    let mean = |signal: &'static str| move |side: &Side| side.samples.get(signal).and_then(value);
    let bursts = entry(policy, "compare_burst_factor");
    let mut rows = vec![
        row(
            "rate",
            "requests",
            Unit::RequestsPerSecond,
            &mean("arrivals_requests_per_second"),
            factor,
        ),
        row("prompts", "prompts", Unit::Tokens, &mean("prompt_mean_tokens"), factor),
        row("answers", "answers", Unit::Tokens, &mean("output_mean_tokens"), factor),
    ];
    if a.bursts.is_some() && b.bursts.is_some() {
        // Below 1, arrivals are steadier than chance, and no burst is there to differ.
        let own = |side: &Side| side.bursts.map(|it| it.max(1.0));
        rows.push(row("bursts", "bursts (variance/mean)", Unit::Count, &own, bursts));
    }
    rows
}

/// What the rows say together.
pub(super) fn fairness(a: &Side, b: &Side, load: &[LoadRow]) -> Fairness {
    if a.fingerprint.is_some() && a.fingerprint == b.fingerprint {
        return Fairness::Identical;
    }
    if load.iter().any(|row| row.alike.is_none()) {
        return Fairness::Unknown;
    }
    let unlike = || load.iter().filter(|row| row.alike == Some(false));
    let harder = unlike().filter(|row| row.b > row.a).count();
    match (harder, unlike().count()) {
        (_, 0) => Fairness::Alike,
        (harder, all) if harder == all => Fairness::HarderForB,
        (0, _) => Fairness::EasierForB,
        _ => Fairness::Other,
    }
}

/// Which work differs, as a sentence.
pub(super) fn unlike(fairness: Fairness, load: &[LoadRow], worse: &str) -> String {
    if fairness == Fairness::Unknown {
        let gone = load.iter().filter(|row| row.alike.is_none()).map(|row| row.title.as_str());
        let gone = gone.collect::<Vec<_>>().join(", ");
        return format!("whether both had the same work is not known: {gone}");
    }
    let differ = |row: &&LoadRow| row.alike == Some(false);
    let told = load.iter().filter(differ).filter_map(|row| {
        let (a, b) = row.a.zip(row.b)?;
        Some(format!("{} of B are {} those of A", row.title, Unit::Factor.show(b / a)))
    });
    let told = told.collect::<Vec<_>>().join("; ");
    let seen = if worse.is_empty() { "" } else { ", which alone may make it slower" };
    format!("B had other work{seen}: {told}")
}
