//! What to do about a cause, with the numbers of the incident in it.

use crate::{
    report::{Fix, NotAdvised, ReplicaCount, Replicas},
    runbook::{
        Cause, Fix as Rule, Help, Replicas as ReplicaRule,
        advice::Placeholder,
        expr::{Answer, Facts, Names, Program, Scope, signal_of},
    },
    signals::{self, Estimate, Missing},
    unit::{Unit, counted},
};

use super::{Case, causes, facts};

/// The fixes whose condition holds, with their placeholders filled.
pub(super) fn fixes(case: &Case<'_>, rules: &[Rule]) -> Vec<Fix> {
    rules.iter().filter(|rule| is_advised(case, rule)).map(|rule| fix(case, rule)).collect()
}

/// The fixes whose condition is not known to hold, where the runbook has a word on that.
pub(super) fn not_advised(case: &Case<'_>, cause: &Cause) -> Vec<NotAdvised> {
    let left_out = cause.fixes.iter().filter(|rule| !is_advised(case, rule));
    left_out
        .filter_map(|rule| {
            let (program, answer) = asked(case, rule)?;
            Some(NotAdvised {
                text: fill(case, rule.otherwise.as_ref()?, shown),
                because: causes::values(case, &program, &answer),
            })
        })
        .collect()
}

fn is_advised(case: &Case<'_>, rule: &Rule) -> bool {
    asked(case, rule).is_none_or(|(_, answer)| answer.is_yes())
}

fn asked(case: &Case<'_>, rule: &Rule) -> Option<(Program, Answer)> {
    let program = Program::compile(&rule.when.as_ref()?.value).ok()?;
    let answer = program.evaluate(&Scope::default(), &names(case));
    Some((program, answer))
}

fn names<'a>(case: &Case<'a>) -> Facts<'a> {
    Facts { readings: case.readings, policy: &case.library.policy }
}

fn fix(case: &Case<'_>, rule: &Rule) -> Fix {
    Fix {
        action: rule.action,
        text: fill(case, &rule.text, shown),
        command: rule.command.as_ref().map(|command| fill(case, command, bare)),
        risk: rule.risk,
        effect: fill(case, &rule.effect, shown),
        undo: rule.undo.clone(),
    }
}

/// Replaces each placeholder by its value, or by its words where the value is missing.
fn fill(case: &Case<'_>, text: &str, show: fn(&Estimate, Unit) -> String) -> String {
    let mut filled = text.to_string();
    for placeholder in Placeholder::all(text) {
        let unit = signals::find(signal_of(placeholder.signal)).map(|signal| signal.unit);
        let value = names(case).value(placeholder.signal).ok().zip(unit);
        let value = value.map_or_else(|| placeholder.words(), |(value, unit)| show(&value, unit));
        filled = filled.replacen(placeholder.whole, &value, 1);
    }
    filled
}

/// A setting is written with all its digits, as it was set; anything measured is rounded.
fn shown(estimate: &Estimate, unit: Unit) -> String {
    let is_setting = estimate.n.is_none() && !estimate.bucket && estimate.point.fract() == 0.0;
    if unit == Unit::Tokens && is_setting {
        return counted(estimate.point as usize, "token");
    }
    facts::shown(estimate, unit)
}

/// A number as a flag takes it; an interval shows that the choice is left to the reader.
fn bare(estimate: &Estimate, _: Unit) -> String {
    let digits = |value: f64| {
        if value.fract() == 0.0 { format!("{value:.0}") } else { format!("{value:.2}") }
    };
    match (estimate.bucket && estimate.lo < estimate.hi, estimate.hi.is_finite()) {
        (false, _) => digits(estimate.point),
        (true, true) => format!("<{} to {}>", digits(estimate.lo), digits(estimate.hi)),
        (true, false) => format!("<{} or more>", digits(estimate.lo)),
    }
}

/// Whether more replicas would help, and how many the load takes.
pub(super) fn replicas(case: &Case<'_>, rule: &ReplicaRule) -> Replicas {
    let (how_many, arithmetic) = match (rule.help, needed(case)) {
        (Help::No, _) => (None, None),
        (_, Ok((count, arithmetic))) => (Some(count), Some(arithmetic)),
        (_, Err(missing)) => (None, Some(missing.why)),
    };
    Replicas { helps: rule.help, how_many, arithmetic, why: rule.why.clone() }
}

fn needed(case: &Case<'_>) -> Result<(ReplicaCount, String), Missing> {
    let value = |name| names(case).value(name);
    let load = value("offered_load_factor")?;
    let arrive = value("arrivals_requests_per_second")?.point;
    let done = value("ceiling_finishes_requests_per_second")?.point;
    let full = value("policy_replica_utilisation_ratio")?.point.clamp(0.01, 1.0);
    let arithmetic = format!(
        "{} come, one does {} at most; planned at {}, that takes {} in place of each one",
        Unit::RequestsPerSecond.show(arrive),
        Unit::Count.show(done),
        Unit::Ratio.show(full),
        Unit::Count.show(load.point / full),
    );
    Ok((ReplicaCount { lo: more(load.lo / full), hi: more(load.hi / full) }, arithmetic))
}

/// Whole replicas beside the one that is there.
fn more(needed: f64) -> u64 {
    (needed.ceil() as u64).saturating_sub(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_replica_that_is_there_is_not_counted_again() {
        assert_eq!([0.4, 1.0, 1.01, 4.19].map(more), [0, 0, 1, 4]);
    }

    #[test]
    fn a_command_never_turns_an_interval_into_a_number() {
        let bucket = |lo, hi| Estimate::bucket(lo, hi, 9.0);
        assert_eq!(bare(&bucket(1.0, 3.0), Unit::Count), "<1 to 3>");
        assert_eq!(bare(&bucket(3.0, 3.0), Unit::Count), "3");
        assert_eq!(bare(&bucket(2.0, f64::INFINITY), Unit::Count), "<2 or more>");
        assert_eq!(bare(&Estimate::exact(262_144.0, None), Unit::Tokens), "262144");
        assert_eq!(bare(&Estimate::exact(0.92, None), Unit::Ratio), "0.92");
    }
}
