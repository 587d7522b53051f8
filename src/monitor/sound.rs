//! Objectives that name what is not there, or ask for what cannot be: found when they are loaded, as
//! one that is left out silently would look like one that is met.

use std::sync::Arc;

use super::{Query, Slo, SloRule, load::Rules, seconds};
use crate::runbook::problem::{Problem, SourceFile, did_you_mean};

/// What is wrong with the objectives and tiers of these files.
pub(super) fn problems(rules: &Rules, files: &[Arc<SourceFile>]) -> Vec<Problem> {
    let faulty = rules.slos.iter().filter_map(|slo| Some((slo, fault(slo, rules)?)));
    faulty.filter_map(|(slo, fault)| at(files, slo, fault)).collect()
}

/// What is wrong, with the word in the file that it is about.
struct Fault {
    word: String,
    message: String,
    help: Option<String>,
}

fn says(word: &str, message: impl Into<String>) -> Option<Fault> {
    Some(Fault { word: word.into(), message: message.into(), help: None })
}

/// The fault under its word, in the file that was read last of those that have the objective.
fn at(files: &[Arc<SourceFile>], slo: &Slo, fault: Fault) -> Option<Problem> {
    let id = format!("id: {}", slo.id);
    let of_slos = |file: &&Arc<SourceFile>| {
        file.path.rsplit(['/', '\\']).next().is_some_and(|name| name.starts_with("slos"))
    };
    let mut found = files.iter().rev().filter(of_slos).filter_map(|file| {
        let start = file.find_from(0, &id)?;
        let span = file.find_from(start.end, &fault.word).unwrap_or(start);
        Some(Problem::error(file, span, fault.message.clone()).with_help(fault.help.clone()))
    });
    found.next()
}

fn fault(slo: &Slo, rules: &Rules) -> Option<Fault> {
    if !(slo.objective > 0.0 && slo.objective < 1.0) {
        return says("objective", "an objective is a share above 0 and below 1");
    }
    for time in [&slo.period, &slo.window] {
        if seconds(time).is_none_or(|length| length <= 0.0) {
            return says(time, "this is no time such as 5m, 1h or 30d");
        }
    }
    events(slo, rules).or_else(|| tiers(slo, rules)).or_else(|| slo.rules.iter().find_map(own))
}

/// Its events must be counted by a measure that there is.
fn events(slo: &Slo, rules: &Rules) -> Option<Fault> {
    let (measure, latency) = match (&slo.errors, &slo.latency) {
        (Some(errors), None) => (&errors.measure, false),
        (None, Some(latency)) => (&latency.measure, true),
        _ => return says(&slo.id, "an objective has either `errors` or `latency`"),
    };
    let Some(known) = rules.measures.get(measure) else {
        let help = did_you_mean(measure, rules.measures.keys().map(String::as_str));
        let message = format!("there is no measure `{measure}`");
        return Some(Fault { word: measure.clone(), message, help });
    };
    let counts = match (&known.metrics, latency) {
        (Some(Query::Quantile { .. }), true) | (Some(Query::Ratio { .. }), false) | (None, _) => {
            true
        }
        (Some(_), _) => false,
    };
    let wanted = if latency { "a latency takes a quantile" } else { "errors take a ratio" };
    let late =
        slo.latency.as_ref().is_some_and(|it| it.good_under.is_nan() || it.good_under <= 0.0);
    match () {
        () if !counts => says(measure, format!("{wanted}, which `{measure}` is not")),
        () if late => says("good_under", "the bound of what is good is more than 0 seconds"),
        () => None,
    }
}

fn tiers(slo: &Slo, rules: &Rules) -> Option<Fault> {
    let set = slo.burn.as_ref()?;
    let Some(tiers) = rules.tiers.get(set) else {
        let help = did_you_mean(set, rules.tiers.keys().map(String::as_str));
        return Some(Fault {
            word: set.clone(),
            message: format!("there are no tiers `{set}`"),
            help,
        });
    };
    let bad = tiers.iter().find(|tier| {
        let windows = super::objective::tier(tier);
        windows.is_none_or(|it| it.spends <= 0.0 || it.short <= 0.0 || it.short > it.long)
    })?;
    says(
        set,
        format!(
            "tier `{}` of `{set}` spends more than 0 of the budget, in a long window and a short one",
            bad.id
        ),
    )
}

fn own(rule: &SloRule) -> Option<Fault> {
    let bounds = [rule.spends, rule.ratio_above, rule.above];
    let (times, within) = ([&rule.within, &rule.lasting], rule.within.is_some());
    let unread = times.into_iter().flatten().find(|time| seconds(time).is_none());
    match (bounds.iter().flatten().count(), unread) {
        (1, None) if within != rule.above.is_some() => None,
        (1, None) => {
            says(&rule.id, "`spends` and `ratio_above` take `within`, and `above` takes `for`")
        }
        (_, Some(time)) => says(time, "this is no time such as 5m, 1h or 30d"),
        _ => says(&rule.id, "a rule has one of `spends`, `ratio_above` and `above`"),
    }
}
