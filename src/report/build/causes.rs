//! Causes with their evidence, in sentences that rest on values.

use crate::{
    report::{AnswerWord, CauseFound, Evidenced, Gap, Status},
    runbook::{
        Cause, Check, Fix, Item, KnownChange, Tally, TrackRecord, Weight, XidRow,
        expr::{Answer, Program, Truth, signal_of},
        rank::{Answers, Outcome, Ranked},
        versions, xid,
    },
    signals::{self, kernel::XidSeen},
    unit::Unit,
};

use super::{Case, advice, facts};

/// The causes of the report, in its order.
pub(super) fn found(case: &Case<'_>, answers: &Answers, ranked: &[Ranked<'_>]) -> Vec<CauseFound> {
    let supported: Vec<&str> = ranked
        .iter()
        .filter(|r| r.outcome == Outcome::Supported)
        .map(|r| r.cause.id.value.as_str())
        .collect();
    ranked.iter().map(|ranked| cause(case, answers, ranked, &supported)).collect()
}

fn cause(
    case: &Case<'_>,
    answers: &Answers,
    ranked: &Ranked<'_>,
    supported: &[&str],
) -> CauseFound {
    let cause = ranked.cause;
    let is_supported = ranked.outcome == Outcome::Supported;
    CauseFound {
        id: cause.id.value.clone(),
        family: cause.family.clone(),
        title: cause.title.clone(),
        status: match ranked.outcome {
            Outcome::Supported => Status::Supported,
            Outcome::NotExaminable => Status::NotExaminable,
            Outcome::Refuted => Status::Refuted,
        },
        probability: (ranked.probability * 1000.0).round() / 1000.0,
        severity: cause.severity,
        claim: cause.claim.clone(),
        in_favour: in_favour(case, answers, cause),
        against: against(case, answers, ranked),
        missing: missing(case, answers, cause),
        decided_by: decided_by(case, answers, cause),
        leads_to: cause
            .leads_to
            .iter()
            .map(|next| next.value.clone())
            .filter(|next| supported.contains(&next.as_str()))
            .collect(),
        not_told_from: ranked.kin.iter().map(ToString::to_string).collect(),
        consequence_of: ranked.consequence_of.map(Into::into),
        track_record: told(&case.library.track_record, &cause.id.value),
        fixes: advice::fixes(case, &fixes(case, answers, cause)),
        not_advised: if is_supported { advice::not_advised(case, cause) } else { Vec::new() },
        replicas: is_supported.then(|| advice::replicas(case, &cause.replicas)),
    }
}

/// What to do. A fix that quotes the version table stands once for each row that shows.
fn fixes(case: &Case<'_>, answers: &Answers, cause: &Cause) -> Vec<Fix> {
    let shown = cause.decisive.iter().filter_map(|item| answers.get(&item.check.value));
    let rows: Vec<&KnownChange> =
        shown.flat_map(|answer| versions::rows(case.library, answer)).take(MAX_ROWS).collect();
    let xids = xid_rows(case, answers, cause);
    let told = |fix: &Fix| -> Vec<Fix> {
        if !fix.xid.is_empty() {
            return of_xids(fix, &xids);
        }
        if !versions::quotes(&fix.text) {
            return vec![fix.clone()];
        }
        let texts = rows.iter().filter_map(|row| row.fill(&fix.text));
        texts.map(|text| Fix { text, ..fix.clone() }).collect()
    };
    cause.fixes.iter().flat_map(told).collect()
}

/// A fix for each Xid seen of its action groups.
fn of_xids(fix: &Fix, rows: &[(&XidRow, XidSeen)]) -> Vec<Fix> {
    let meant = rows.iter().filter(|(row, _)| fix.xid.contains(&row.action));
    let filled = meant.take(MAX_ROWS).map(|(row, seen)| Fix {
        text: row.fill(seen, &fix.text),
        command: fix.command.as_ref().map(|command| row.fill(seen, command)),
        ..fix.clone()
    });
    filled.collect()
}

/// The rows of the Xid catalogue behind the checks of a cause.
fn xid_rows<'a>(case: &Case<'a>, answers: &Answers, cause: &Cause) -> Vec<(&'a XidRow, XidSeen)> {
    let items = checks(case, cause.decisive.iter().chain(&cause.supports)).into_iter();
    let said = items.filter_map(|(check, _)| answers.get(&check.id.value));
    said.flat_map(|answer| seen_xids(case, answer)).collect()
}

fn seen_xids<'a>(case: &Case<'a>, answer: &Answer) -> Vec<(&'a XidRow, XidSeen)> {
    let seen = signals::kernel::xids(case.evidence, case.windows.now).unwrap_or_default();
    let row = |seen: XidSeen| {
        let id = answer.rows.iter().find(|id| **id == xid::id(seen.code))?;
        Some((case.library.xids.get(id)?, seen))
    };
    seen.into_iter().filter_map(row).collect()
}

/// Rows of the version table that are quoted; the newest come first.
const MAX_ROWS: usize = 2;

/// A track record in words; what was never met is left out.
fn told(record: &TrackRecord, cause: &str) -> Option<String> {
    let kept = record.causes.get(cause)?;
    let part = |tally: Tally, kind: &str| {
        (tally.of > 0).then(|| format!("{} of {} {kind}", tally.right, tally.of))
    };
    let parts = [part(kept.recorded, "recorded"), part(kept.simulated, "simulated")];
    let parts: Vec<String> = parts.into_iter().flatten().collect();
    let incidents = parts.join(" and ");
    let (wrong, healthy) = (kept.false_alarms, record.healthy);
    Some(format!(
        "named first in {incidents} incidents, and in {wrong} of {healthy} cases without fault"
    ))
}

fn checks<'a>(
    case: &'a Case<'_>,
    items: impl Iterator<Item = &'a Item>,
) -> Vec<(&'a Check, &'a Item)> {
    let mut seen = std::collections::BTreeSet::new();
    items
        .filter_map(|item| Some((case.library.checks.get(&item.check.value)?, item)))
        .filter(|(check, _)| seen.insert(check.id.value.clone()))
        .collect()
}

/// What speaks for a cause: heaviest first, one sentence per signal group.
fn in_favour(case: &Case<'_>, answers: &Answers, cause: &Cause) -> Vec<Evidenced> {
    let mut items: Vec<&Item> = cause.favourable().collect();
    items.sort_by(|a, b| b.weight.nats().total_cmp(&a.weight.nats()));
    let mut groups = std::collections::BTreeSet::new();
    checks(case, items.into_iter())
        .into_iter()
        .filter_map(|(check, _)| Some((check, answers.get(&check.id.value)?)))
        .filter(|(_, answer)| answer.is_yes())
        .filter(|(check, _)| groups.insert(check.group))
        .map(|(check, answer)| sentence(case, check, answer, &check.yes))
        .collect()
}

fn against(case: &Case<'_>, answers: &Answers, ranked: &Ranked<'_>) -> Vec<Evidenced> {
    let cause = ranked.cause;
    let objections = checks(case, cause.against.iter()).into_iter().filter_map(|(check, _)| {
        let answer = answers.get(&check.id.value).filter(|answer| answer.is_yes())?;
        Some(sentence(case, check, answer, &check.yes))
    });
    let is = |item: &Item, wanted: fn(&Answer) -> bool| {
        answers.get(&item.check.value).is_some_and(wanted)
    };
    let decided = cause.decisive.iter().any(|item| is(item, Answer::is_yes));
    let counts = |item: &&Item| !decided || item.no != Weight::None;
    let needed = cause.requires.iter().chain(cause.decisive.iter().filter(counts));
    let denied = checks(case, needed).into_iter().filter_map(|(check, _)| {
        let answer = answers.get(&check.id.value).filter(|answer| answer.is_no())?;
        Some(sentence(case, check, answer, &check.no))
    });
    let explained = ranked.explained_by.map(|other| Evidenced {
        check: other.into(),
        text: format!("What speaks for it is explained by {other}."),
        because: String::new(),
    });
    objections.chain(denied).chain(explained).collect()
}

fn missing(case: &Case<'_>, answers: &Answers, cause: &Cause) -> Vec<Gap> {
    let needed = cause.requires.iter().chain(&cause.decisive);
    checks(case, needed)
        .into_iter()
        .filter_map(|(check, _)| {
            let answer = answers.get(&check.id.value)?;
            let Truth::Unknown(why) = &answer.truth else { return None };
            Some(Gap { what: check.question.clone(), why: reasons(why) })
        })
        .collect()
}

fn reasons(why: &std::collections::BTreeMap<String, signals::Missing>) -> String {
    let mut reasons: Vec<String> = why.values().map(|missing| missing.why.clone()).collect();
    reasons.dedup();
    reasons.join("; ")
}

/// The check that separates the cause from its nearest rival, with its answer.
fn decided_by(case: &Case<'_>, answers: &Answers, cause: &Cause) -> Option<String> {
    let id = &cause.decided_by.as_ref()?.value;
    let check = case.library.checks.get(id)?;
    let answer = answers.get(id)?;
    let said = match &answer.truth {
        Truth::Yes => format!("yes - {}", check.yes),
        Truth::No => format!("no - {}", check.no),
        Truth::Unknown(why) => format!("unknown - {}", reasons(why)),
    };
    Some(format!("{} {said}", check.question))
}

/// The word of an answer.
pub(super) fn word(answer: &Answer) -> AnswerWord {
    match answer.truth {
        Truth::Yes => AnswerWord::Yes,
        Truth::No => AnswerWord::No,
        Truth::Unknown(_) => AnswerWord::Unknown,
    }
}

fn sentence(case: &Case<'_>, check: &Check, answer: &Answer, text: &str) -> Evidenced {
    Evidenced {
        check: check.id.value.clone(),
        text: text.into(),
        because: because(case, check, answer),
    }
}

/// The values an answer rests on, or what is missing.
pub(super) fn because(case: &Case<'_>, check: &Check, answer: &Answer) -> String {
    match case.library.programs.get(&check.id.value) {
        Some(program) => values(case, program, answer),
        None => known_changes(case, answer),
    }
}

/// The values that the answer to a condition rests on, or what is missing.
pub(super) fn values(case: &Case<'_>, program: &Program, answer: &Answer) -> String {
    if let Truth::Unknown(why) = &answer.truth {
        return reasons(why);
    }
    let mut parts: Vec<String> = Vec::new();
    for variable in program.variables() {
        let text = value_text(case, variable);
        if let Some(text) = text.filter(|text| !parts.contains(text)) {
            parts.push(text);
        }
    }
    parts.join("; ")
}

/// The rows of the tables behind an answer, the newest first, or what is missing.
fn known_changes(case: &Case<'_>, answer: &Answer) -> String {
    if let Truth::Unknown(why) = &answer.truth {
        return reasons(why);
    }
    let xids = seen_xids(case, answer);
    if !xids.is_empty() {
        let quoted = xids.iter().take(MAX_ROWS).map(|(row, seen)| row.quoted(seen));
        return quoted.collect::<Vec<_>>().join("; ");
    }
    let rows: Vec<&KnownChange> = versions::rows(case.library, answer).collect();
    let quoted = rows.iter().take(MAX_ROWS).map(|row| row.quoted());
    let more = rows.len().saturating_sub(MAX_ROWS);
    let more = (more > 0).then(|| format!("and {more} more"));
    quoted.chain(more).collect::<Vec<_>>().join("; ")
}

/// The signal that one of several replicas stands behind.
const SPREAD: &str = "replica_spread_factor";

fn value_text(case: &Case<'_>, variable: &str) -> Option<String> {
    let name = signal_of(variable);
    let signal = signals::find(name)?;
    let reading = case.readings.get(name)?;
    let now = reading.now.as_ref().ok().map(|now| facts::shown(now, signal.unit))?;
    let outlier = (name == SPREAD).then(|| signals::fullest(case.evidence, case.windows.now));
    let now = outlier.flatten().map_or(now.clone(), |it| format!("{now} (fullest: {it})"));
    let compared = variable != name;
    let before = reading.baseline.as_ref().ok().filter(|_| compared);
    let Some(before) = before else {
        let left_out = facts::left_out(case, signal).map(|note| format!(" ({note})"));
        return Some(format!("{name} {now}{}", left_out.unwrap_or_default()));
    };
    let era = if reading.long_run_baseline { "since start" } else { "before" };
    let change = reading.change.as_ref().ok().filter(|change| change.point > 0.0);
    let change = change
        .map_or_else(String::new, |change| format!(", {}", facts::shown(change, Unit::Factor)));
    Some(format!("{name} {now}, {era} {}{change}", facts::shown(before, signal.unit)))
}
