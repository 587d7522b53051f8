//! Did the fix work? The symptoms and the decisive signals of a report, looked at again.
//!
//! Pure: the caller brings the earlier report and the new evidence.

mod items;
mod load;
mod render;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    evidence::{EventKind, Evidence, Span, Time},
    report::{
        Report, SymptomFound, Tool,
        build::{self, Case},
    },
    runbook::{Library, Severity},
    signals::{self, Baseline, Windows, clocks, pieces},
    unit::Unit,
};

pub use load::Row as LoadRow;
pub use render::{json, markdown, terminal};

/// The answer, version 1. Fields are only added.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Verification {
    /// Always 1.
    pub schema_version: u32,
    /// Always `verify`.
    pub command: String,
    /// The tool that wrote it.
    pub tool: Tool,
    /// What the earlier report was about.
    pub of: Earlier,
    /// The answer.
    pub outcome: Outcome,
    /// The answer in one sentence, with its reason.
    pub statement: String,
    /// Start of the time looked at, RFC 3339 UTC.
    pub from: String,
    /// End of it.
    pub to: String,
    /// Requests that finished in it.
    pub requests: f64,
    /// What is still to come before there is an answer.
    pub needed: Option<Needed>,
    /// What was asked again.
    pub items: Vec<Item>,
    /// The load beside that of the incident.
    pub load: Vec<LoadRow>,
    /// Where the healthy numbers come from.
    pub baseline: String,
    /// Symptoms that the earlier report did not have.
    pub new_symptoms: Vec<String>,
    /// What else must be known to read the answer.
    pub notes: Vec<String>,
}

/// The earlier report.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Earlier {
    /// Its runbook, or `sweep`.
    pub command: String,
    /// What was diagnosed.
    pub target: String,
    /// End of the time it judged.
    pub to: Option<String>,
    /// Causes that it supported.
    pub causes: Vec<String>,
}

/// Whether the fix worked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Nothing of it shows any more, under a load like that of the incident.
    Fixed,
    /// A symptom, or what decided the cause, still shows.
    NotFixed,
    /// More requests or time would tell.
    TooEarly,
    /// There is hardly any traffic.
    Idle,
    /// There is less traffic than there was in the incident.
    LowerLoad,
    /// The evidence lacks what is needed.
    CannotTell,
}

/// What is still to come.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Needed {
    /// Further requests; null where their number does not matter.
    pub requests: Option<f64>,
    /// Further seconds.
    pub seconds: f64,
}

/// Something that was asked again.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Item {
    /// The check.
    pub check: String,
    /// Whether it is a symptom, or decided a cause.
    pub role: Role,
    /// The question.
    pub question: String,
    /// What it says now.
    pub state: State,
    /// The values that it rests on.
    pub because: String,
    /// Times as many requests that would give an answer, where they would.
    pub times_more: Option<f64>,
}

/// Why something is asked again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// A symptom of the incident.
    Symptom,
    /// It decided the cause.
    Decisive,
    /// It decided the cause and is the load itself, which may go on without harm.
    Driver,
}

/// What it says now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// It is gone.
    Gone,
    /// It still holds.
    Holds,
    /// More requests would tell.
    Undecided,
    /// It cannot be asked of this evidence.
    Unknown,
}

/// What is looked at.
#[derive(Debug, Clone, Copy)]
pub struct Asked<'a> {
    /// The earlier report.
    pub before: &'a Report,
    /// What judges.
    pub library: &'a Library,
    /// What was seen since.
    pub evidence: &'a Evidence,
    /// Nothing before this moment counts: the fix was made then.
    pub since: Option<Time>,
    /// End of the time looked at.
    pub to: Time,
    /// A kept baseline to judge by.
    pub kept: Option<build::Kept<'a>>,
}

/// Requests under which nothing is called fixed.
const LEAST_REQUESTS: f64 = 30.0;

/// Pages that a healthy time must have to be read again.
const LEAST_PAGES: usize = 3;

/// Looks again.
pub fn verify(asked: &Asked<'_>) -> Verification {
    let span = span(asked);
    let (windows, baseline) = windows(asked, span);
    let kept_evidence = asked.kept.map(|kept| kept.evidence);
    let mut readings = signals::read_against(asked.evidence, &windows, kept_evidence);
    if windows.baseline == Baseline::None {
        items::remember(&mut readings, asked.before);
    }
    let case = Case {
        command: "verify",
        runbook: None,
        library: asked.library,
        evidence: asked.evidence,
        windows: &windows,
        readings: &readings,
        min_coverage: 0.0,
        kept: asked.kept,
    };
    let now = build::build(&case);
    let items = items::ask(&case, asked.before, &now);
    let load = load::rows(asked, span, &items);
    let requests = pieces::over(asked.evidence, span, "finished_requests");
    let requests = requests.map_or(0.0, |estimate| estimate.point);
    let seen = Seen { span, requests, items: &items, load: &load };
    let (outcome, statement, needed) = outcome(asked, &seen);
    Verification {
        schema_version: 1,
        command: "verify".into(),
        tool: Tool { name: "diagnose".into(), version: env!("CARGO_PKG_VERSION").into() },
        of: earlier(asked.before),
        outcome,
        statement,
        from: stamp(span.from),
        to: stamp(span.to.max(span.from)),
        requests,
        needed,
        load,
        baseline,
        new_symptoms: new_symptoms(asked.before, &now),
        notes: items::notes(asked.before, asked.library),
        items,
    }
}

fn earlier(report: &Report) -> Earlier {
    Earlier {
        command: report.command.clone(),
        target: report.target.name.clone(),
        to: report.window.to.clone(),
        causes: items::causes(report).map(|cause| cause.id.clone()).collect(),
    }
}

fn stamp(at: Time) -> String {
    let time = jiff::Timestamp::from_millisecond((at * 1e3).round() as i64).unwrap_or_default();
    format!("{time:.0}")
}

fn time(text: Option<&String>) -> Option<Time> {
    let stamp: jiff::Timestamp = text?.parse().ok()?;
    Some(stamp.as_millisecond() as f64 / 1e3)
}

/// The time after the incident was reported, after the fix and after the last change of the server.
fn span(asked: &Asked<'_>) -> Span {
    let evidence = asked.evidence;
    let reported = time(asked.before.window.to.as_ref());
    let start = [reported, asked.since].into_iter().flatten().fold(evidence.span.from, f64::max);
    let change = |kind: EventKind| {
        matches!(kind, EventKind::Restart | EventKind::VersionChanged | EventKind::ConfigChanged)
    };
    let changes = evidence.events.iter().filter(|event| change(event.kind));
    let from = changes.map(|event| event.at).filter(|at| *at < asked.to).fold(start, f64::max);
    Span { from, to: asked.to }
}

/// What is compared, and where the healthy numbers come from: a kept baseline, the healthy time of
/// the report where the evidence reaches back to it, or the numbers that the report holds.
fn windows(asked: &Asked<'_>, span: Span) -> (Windows, String) {
    let before = &asked.before.window;
    let healthy = time(before.baseline_from.as_ref()).zip(time(before.baseline_to.as_ref()));
    let healthy = healthy.map(|(from, to)| Span { from, to }).filter(|healthy| {
        let pages = asked.evidence.series.pages();
        pages.iter().filter(|at| healthy.contains(**at)).count() >= LEAST_PAGES
    });
    let (baseline, words) = match (asked.kept, healthy) {
        (Some(kept), _) => {
            (Baseline::Kept(kept.evidence.span), crate::report::words::kept(kept.about))
        }
        (None, Some(healthy)) => {
            (Baseline::Recorded(healthy), "the healthy time before the incident, read again".into())
        }
        (None, None) => (Baseline::None, "the healthy numbers that the report holds".into()),
    };
    let clocks = clocks::skews(asked.evidence);
    (Windows { now: span, baseline, onset: None, clocks }, words)
}

/// What the answer rests on.
struct Seen<'a> {
    span: Span,
    requests: f64,
    items: &'a [Item],
    load: &'a [LoadRow],
}

impl Seen<'_> {
    fn names(&self, state: State) -> String {
        let found = self.items.iter().filter(|it| it.state == state && it.role != Role::Driver);
        found.map(|it| it.check.as_str()).collect::<Vec<_>>().join(", ")
    }
}

fn outcome(asked: &Asked<'_>, seen: &Seen<'_>) -> (Outcome, String, Option<Needed>) {
    let answer = |outcome: Outcome, text: String| (outcome, text, None);
    let symptoms = seen.items.iter().filter(|it| it.role == Role::Symptom).count();
    if symptoms == 0 {
        let text = "No symptom of the report can be asked again with these runbooks.";
        return answer(Outcome::CannotTell, text.into());
    }
    let holds = seen.names(State::Holds);
    if !holds.is_empty() {
        return answer(Outcome::NotFixed, format!("It still shows: {holds}."));
    }
    if seen.span.seconds() <= 0.0 {
        let text = "Nothing was recorded after the report and the last change of the server.";
        let seconds = least_seconds(asked);
        let needed = Needed { requests: Some(LEAST_REQUESTS), seconds };
        return (Outcome::TooEarly, text.into(), Some(needed));
    }
    if let Some(row) = seen.load.iter().find(|row| row.share.is_some_and(|it| it < load::IDLE)) {
        return answer(Outcome::Idle, format!("There is hardly any traffic: {}.", row.words()));
    }
    if let Some(row) = seen.load.iter().find(|row| row.enough == Some(false)) {
        let text = format!("Nothing shows, under less load than in the incident: {}.", row.words());
        return answer(Outcome::LowerLoad, text);
    }
    if let Some((needed, why)) = needed(asked, seen) {
        return (Outcome::TooEarly, format!("It is too early to say: {why}."), Some(needed));
    }
    let unknown = seen.names(State::Unknown);
    if !unknown.is_empty() {
        let text = format!("Nothing shows, but this cannot be asked again: {unknown}.");
        return answer(Outcome::CannotTell, text);
    }
    let requests = Unit::Requests.show(seen.requests);
    let driver = seen.items.iter().any(|it| it.role == Role::Driver && it.state == State::Holds);
    let still = if driver { " The load that was behind it goes on, and is borne now." } else { "" };
    let text = format!("Nothing of it shows any more, over {requests} at a load like then.{still}");
    answer(Outcome::Fixed, text)
}

/// Seconds that must be seen: as long as the incident was, within bounds.
fn least_seconds(asked: &Asked<'_>) -> f64 {
    let policy = |name: &str| asked.library.policy.get(name).map_or(f64::NAN, |it| it.value);
    let window = &asked.before.window;
    let incident = time(window.from.as_ref()).zip(time(window.to.as_ref()));
    let incident = incident.map_or(0.0, |(from, to)| to - from);
    incident.min(policy("verify_most_seconds")).max(policy("verify_least_seconds"))
}

fn needed(asked: &Asked<'_>, seen: &Seen<'_>) -> Option<(Needed, String)> {
    let times = seen.items.iter().filter(|it| it.role != Role::Driver);
    let times = times.filter_map(|it| it.times_more).fold(1.0, f64::max);
    let wanted = (seen.requests * times).max(LEAST_REQUESTS);
    let more = (wanted - seen.requests).max(0.0).ceil();
    let rate = seen.requests / seen.span.seconds();
    let for_requests = if rate > 0.0 { more / rate } else { 0.0 };
    let lacking = least_seconds(asked) - seen.span.seconds();
    // Pages are seconds apart, so the end of the time is not exact.
    let lacking = if lacking > 0.05 * least_seconds(asked) { lacking } else { 0.0 };
    let seconds = for_requests.max(lacking).ceil();
    let why = match (more > 0.0, lacking > 0.0) {
        (false, false) => return None,
        (true, _) => format!(
            "about {} more are needed, which takes {}",
            Unit::Requests.show(more),
            Unit::Seconds.show(seconds)
        ),
        (false, true) => {
            format!("the incident was seen for longer; watch {} more", Unit::Seconds.show(seconds))
        }
    };
    Some((Needed { requests: (more > 0.0).then_some(more), seconds }, why))
}

/// Symptoms above info that are new.
fn new_symptoms(before: &Report, now: &Report) -> Vec<String> {
    let had = |found: &SymptomFound| before.symptoms.iter().any(|it| it.signal == found.signal);
    let new = now.symptoms.iter().filter(|it| it.severity > Severity::Info && !had(it));
    new.map(|it| it.statement.clone()).collect()
}

/// The JSON Schema of the answer.
pub fn schema() -> String {
    let mut schema = schemars::schema_for!(Verification);
    schema.insert("$id".into(), "urn:diagnose:verification-v1".into());
    schema.insert("title".into(), "diagnose verification, version 1".into());
    serde_json::to_string_pretty(&schema).unwrap_or_default() + "\n"
}
