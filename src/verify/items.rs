//! The checks of an earlier report, asked of new evidence.

use crate::{
    report::{
        CauseFound, Number, ReadingRow, Report, Status,
        build::{self, Case},
    },
    runbook::{
        Check, Library, Severity,
        expr::{Facts, Names, Program, Scope, Truth, signal_of},
        rank::Answers,
    },
    signals::{self, Derive, Estimate, MissingKind, Readings, Value},
};

use super::{Item, Role, State, load};

/// Times as many requests that are tried at most to find how many would decide.
const MOST_TIMES: f64 = 1000.0;

/// Causes that a report supports, above info.
pub(super) fn causes(report: &Report) -> impl Iterator<Item = &CauseFound> {
    report
        .causes
        .iter()
        .filter(|cause| cause.status == Status::Supported && cause.severity > Severity::Info)
}

/// Asks the symptoms of a report again, and what decided its causes.
pub(super) fn ask(case: &Case<'_>, before: &Report, now: &Report) -> Vec<Item> {
    let (answers, _) = build::answers(case);
    let mut items = Vec::new();
    for check in symptoms(before, case.library) {
        let mut item = item(case, check, Role::Symptom, &answers);
        if item.state == State::Holds && is_mild(check, now) {
            item.state = State::Gone;
        }
        if item.state == State::Unknown && as_before(case, check) {
            item.state = State::Gone;
        }
        items.push(item);
    }
    for check in decisive(before, case.library).filter(|check| can_be_asked(case.library, check)) {
        let role = if load::is_driver(case.library, check) { Role::Driver } else { Role::Decisive };
        if items.iter().all(|item| item.check != check.id.value) {
            items.push(item(case, check, role, &answers));
        }
    }
    items
}

/// Checks whose symptom the report has.
fn symptoms<'a>(before: &'a Report, library: &'a Library) -> impl Iterator<Item = &'a Check> {
    let firm = |signal: &str| {
        let mut found = before.symptoms.iter().filter(|it| it.severity > Severity::Info);
        found.any(|it| it.signal == signal)
    };
    let own = move |check: &&Check| check.symptom.as_ref().is_some_and(|it| firm(&it.signal.value));
    library.checks.values().filter(own)
}

/// Checks that decided a cause of the report and said yes.
fn decisive<'a>(before: &'a Report, library: &'a Library) -> impl Iterator<Item = &'a Check> {
    causes(before)
        .flat_map(|found| {
            let cause = library.causes.get(&found.id);
            let said = |check: &str| found.in_favour.iter().any(|it| it.check == check);
            let items = cause.into_iter().flat_map(|cause| &cause.decisive);
            items.map(|item| item.check.value.as_str()).filter(move |check| said(check))
        })
        .filter_map(|check| library.checks.get(check))
}

/// Whether a check is about what can be measured again, and not about something that happened once.
fn can_be_asked(library: &Library, check: &Check) -> bool {
    let Some(program) = library.programs.get(&check.id.value) else { return false };
    let once = |variable: &String| {
        let derive = signals::find(signal_of(variable)).map(|signal| signal.derive);
        matches!(derive, Some(Derive::Triggers(..)))
    };
    !program.variables().iter().any(once)
}

/// What decided a cause and is not asked again.
pub(super) fn notes(before: &Report, library: &Library) -> Vec<String> {
    let once = decisive(before, library).filter(|check| !can_be_asked(library, check));
    let mut notes: Vec<String> = once
        .map(|check| {
            format!("`{}` told of something that happened; it is not asked again.", check.id.value)
        })
        .collect();
    notes.dedup();
    notes
}

/// A symptom that holds now as it held in healthy times is how the workload is.
fn is_mild(check: &Check, now: &Report) -> bool {
    let signal = check.symptom.as_ref().map(|symptom| symptom.signal.value.as_str());
    let mut found = now.symptoms.iter().filter(|it| Some(it.signal.as_str()) == signal);
    found.all(|it| it.severity == Severity::Info)
}

/// Whether buckets do not tell, and are those of the healthy time.
fn as_before(case: &Case<'_>, check: &Check) -> bool {
    let signal = check.symptom.as_ref().map(|symptom| symptom.signal.value.as_str());
    let Some(reading) = signal.and_then(|signal| case.readings.get(signal)) else { return false };
    match (&reading.now, &reading.baseline) {
        (Ok(now), Ok(healthy)) => {
            now.bucket && healthy.bucket && now.hi <= healthy.hi && enough(now)
        }
        _ => false,
    }
}

fn enough(estimate: &Estimate) -> bool {
    estimate.n.is_some_and(|n| n >= super::LEAST_REQUESTS)
}

fn item(case: &Case<'_>, check: &Check, role: Role, answers: &Answers) -> Item {
    let facts = Facts { readings: case.readings, policy: &case.library.policy };
    let answer = answers.get(&check.id.value);
    let program = case.library.programs.get(&check.id.value);
    let (state, times_more) = match answer.map(|answer| &answer.truth) {
        Some(Truth::Yes) => (State::Holds, None),
        Some(Truth::No) => (State::Gone, None),
        _ => match program.and_then(|program| times_more(program, &facts)) {
            Some(times) => (State::Undecided, Some(times)),
            None => (State::Unknown, None),
        },
    };
    Item {
        check: check.id.value.clone(),
        role,
        question: check.question.clone(),
        state,
        because: program.map_or_else(String::new, |program| because(program, &facts)),
        times_more,
    }
}

/// The values of a condition, or what is missing.
fn because(program: &Program, facts: &Facts<'_>) -> String {
    let variables = program.variables().iter().filter(|name| !name.starts_with("policy_"));
    let text = |name: &String| {
        let unit = signals::find(signal_of(name)).map_or(crate::unit::Unit::Count, |it| it.unit);
        let unit = if name.ends_with("_change") { crate::unit::Unit::Factor } else { unit };
        match facts.value(name) {
            Ok(it) => {
                format!("{name} {} ({})", unit.show(it.point), unit.show_interval(it.lo, it.hi))
            }
            Err(missing) => format!("{name}: {}", missing.why),
        }
    };
    variables.map(text).collect::<Vec<_>>().join("; ")
}

/// How many times as many requests would decide: intervals shrink with the root of their number.
fn times_more(program: &Program, facts: &Facts<'_>) -> Option<f64> {
    let scope = Scope::default();
    let mut times = 1.25;
    while times <= MOST_TIMES {
        let answer = program.evaluate(&scope, &Later { facts, times });
        if !matches!(answer.truth, Truth::Unknown(_)) {
            return Some(times);
        }
        times *= 1.25;
    }
    None
}

/// The same numbers with so many times the observations behind them.
struct Later<'a> {
    facts: &'a Facts<'a>,
    times: f64,
}

impl Names for Later<'_> {
    fn value(&self, name: &str) -> Value {
        let now = self.facts.value(name)?;
        let n = now.n.map(|n| n * self.times);
        if now.bucket {
            return Ok(Estimate { n, ..now });
        }
        let root = self.times.sqrt();
        let (lo, hi) =
            (now.point - (now.point - now.lo) / root, now.point + (now.hi - now.point) / root);
        Ok(Estimate { lo, hi, n, ..now })
    }

    fn long_run(&self, name: &str) -> bool {
        self.facts.long_run(name)
    }
}

/// Puts the healthy numbers of a report into readings that have none.
pub(super) fn remember(readings: &mut Readings, before: &Report) {
    for row in &before.readings {
        let Some(reading) = signals::find(&row.signal).and_then(|it| readings.get_mut(it.name))
        else {
            continue;
        };
        let Some(healthy) = healthy(row) else { continue };
        reading.baseline = Ok(healthy);
        if let Ok(now) = reading.now.clone() {
            reading.change = now.over(&healthy).ok_or_else(|| {
                signals::Missing::new(MissingKind::NoBaseline, "the baseline is zero")
            });
        }
    }
}

/// The baseline of a row. A report holds its point without its error; that of the change has both
/// errors in it and is no smaller, so it stands in.
fn healthy(row: &ReadingRow) -> Option<Estimate> {
    let point = match row.baseline? {
        Number::Interval { lo, hi } => {
            return Some(Estimate::bucket(lo, hi.unwrap_or(f64::INFINITY), super::LEAST_REQUESTS));
        }
        Number::Point(point) => point,
    };
    let spread = match row.change {
        Some(Number::Interval { lo, hi: Some(hi) }) if lo > 0.0 => (hi / lo).sqrt(),
        _ => 1.0,
    };
    let n = None;
    Some(Estimate { point, lo: point / spread, hi: point * spread, n, bucket: false })
}
