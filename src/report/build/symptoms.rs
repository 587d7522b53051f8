//! Symptoms that hold, and how bad they are.

use crate::{
    report::{SymptomFound, SymptomReading},
    runbook::{
        Check, Meaning, PolicyEntry, Severity, Symptom, Threshold,
        expr::{Facts, Program, Scope, Truth},
        rank::{Answers, Gate},
    },
    signals::{self, Estimate, MissingKind, Reading, Value},
    unit::Unit,
};

use super::{Case, causes, facts, unchanged};

/// The symptoms that hold, worst first.
pub(super) fn found(case: &Case<'_>, answers: &Answers) -> Vec<SymptomFound> {
    let mut found: Vec<SymptomFound> = case
        .library
        .checks
        .values()
        .filter(|check| in_gate(case, check))
        .filter(|check| answers.get(&check.id.value).is_some_and(|answer| answer.is_yes()))
        .filter_map(|check| check.symptom.as_ref().map(|symptom| (check, symptom)))
        .filter_map(|(_, symptom)| describe(case, symptom))
        .collect();
    found.sort_by(|a, b| b.severity.cmp(&a.severity).then_with(|| a.signal.cmp(&b.signal)));
    found
}

/// Whether a symptom above info holds, or whether one could not be looked at.
pub(super) fn gate(case: &Case<'_>, answers: &Answers, found: &[SymptomFound]) -> Gate {
    if found.iter().any(|symptom| symptom.severity > Severity::Info) {
        return Gate::Open;
    }
    if own(case).any(|check| is_expected(case, answers, check)) {
        return Gate::Expected;
    }
    let unseen = |check: &&Check| {
        let answer = answers.get(&check.id.value);
        let Some(Truth::Unknown(why)) = answer.map(|answer| &answer.truth) else { return false };
        why.values().any(|missing| missing.kind == MissingKind::SourceFailed)
    };
    match own(case).find(unseen) {
        Some(_) => Gate::Unknown,
        None => Gate::Shut,
    }
}

/// The checks whose symptoms count here.
fn own<'a>(case: &Case<'a>) -> impl Iterator<Item = &'a Check> {
    let (library, case) = (case.library, *case);
    let symptoms = library.checks.values().filter(|check| check.symptom.is_some());
    symptoms.filter(move |check| in_gate(&case, check))
}

/// Whether a symptom holds that is expected for a while.
fn is_expected(case: &Case<'_>, answers: &Answers, check: &Check) -> bool {
    let expected = check.symptom.as_ref().and_then(|symptom| symptom.expected.as_ref());
    answers.get(&check.id.value).is_some_and(|answer| answer.is_yes())
        && holds(case, expected.map(|condition| condition.value.as_str()))
}

/// A runbook looks at its own symptoms, a sweep at all.
fn in_gate(case: &Case<'_>, check: &Check) -> bool {
    case.runbook
        .is_none_or(|runbook| runbook.gate.iter().any(|wanted| wanted.value == check.id.value))
}

fn describe(case: &Case<'_>, symptom: &Symptom) -> Option<SymptomFound> {
    let signal = signals::find(&symptom.signal.value)?;
    let reading = case.readings.get(signal.name)?;
    let threshold = threshold(case, symptom);
    Some(SymptomFound {
        signal: signal.name.into(),
        now: facts::number(&reading.now),
        baseline: facts::number(&reading.baseline),
        unit: signal.unit,
        threshold: threshold.as_ref().map(|entry| entry.value),
        severity: severity(case, symptom, reading, threshold.as_ref()),
        statement: fill(&symptom.statement, reading, signal.unit, threshold.as_ref()),
        readings: symptom.readings.iter().filter_map(|meaning| read(case, meaning)).collect(),
    })
}

fn read(case: &Case<'_>, meaning: &Meaning) -> Option<SymptomReading> {
    let program = Program::compile(&meaning.when.value).ok()?;
    let names = Facts { readings: case.readings, policy: &case.library.policy };
    let answer = program.evaluate(&Scope::default(), &names);
    Some(SymptomReading {
        id: meaning.id.value.clone(),
        answer: causes::word(&answer),
        text: meaning.text.clone(),
        because: causes::values(case, &program, &answer),
        causes: meaning.causes.iter().map(|cause| cause.value.clone()).collect(),
    })
}

fn threshold(case: &Case<'_>, symptom: &Symptom) -> Option<PolicyEntry> {
    match symptom.threshold.as_ref()? {
        Threshold::Policy(name) => case.library.policy.get(name).cloned(),
        Threshold::Number(value) => {
            Some(PolicyEntry { value: *value, about: String::new(), by_user: true })
        }
    }
}

fn severity(
    case: &Case<'_>,
    symptom: &Symptom,
    reading: &Reading,
    threshold: Option<&PolicyEntry>,
) -> Severity {
    if holds(case, symptom.critical.as_ref().map(|condition| condition.value.as_str())) {
        return Severity::Critical;
    }
    if holds(case, symptom.expected.as_ref().map(|condition| condition.value.as_str())) {
        return Severity::Info;
    }
    let shipped = threshold.is_some_and(|entry| !entry.by_user);
    if shipped && threshold.is_some_and(|entry| was_so_before(case, reading, entry.value)) {
        return Severity::Info;
    }
    symptom.severity
}

/// A threshold that the tool ships, and that the baseline breached just as much, is how this
/// workload is. With a history in which nothing changed, the baseline is the same as now.
fn was_so_before(case: &Case<'_>, reading: &Reading, threshold: f64) -> bool {
    if reading.now.is_ok() && unchanged(case.windows) {
        return true;
    }
    let breached = |value: &Value| value.as_ref().is_ok_and(|estimate| estimate.lo >= threshold);
    let grew = reading.change.as_ref().is_ok_and(|change| change.lo > 1.0);
    breached(&reading.baseline) && !grew
}

fn holds(case: &Case<'_>, condition: Option<&str>) -> bool {
    let names = Facts { readings: case.readings, policy: &case.library.policy };
    condition
        .and_then(|text| Program::compile(text).ok())
        .is_some_and(|program| program.evaluate(&Scope::default(), &names).is_yes())
}

/// Fills `{now}`, `{baseline}`, `{era}`, `{change}` and `{threshold}`.
fn fill(text: &str, reading: &Reading, unit: Unit, threshold: Option<&PolicyEntry>) -> String {
    let show = |value: &Value, unit: Unit| match value {
        Ok(estimate) => facts::shown(estimate, unit),
        Err(missing) => format!("unknown ({})", missing.why),
    };
    let factor = |value: &Value| match value {
        Ok(Estimate { point, bucket: false, .. }) => Unit::Factor.show(*point),
        value => show(value, Unit::Factor),
    };
    let threshold = threshold.map_or_else(String::new, |entry| unit.show(entry.value));
    let era = if reading.long_run_baseline { "since start" } else { "before" };
    text.replace("{era}", era)
        .replace("{now}", &show(&reading.now, unit))
        .replace("{baseline}", &show(&reading.baseline, unit))
        .replace("{change}", &factor(&reading.change))
        .replace("{threshold}", &threshold)
}
