//! The frozen public report, version 1. Inner types never leak into it; fields are only added.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    evidence::{SourceStatus, Target},
    runbook::{Action, Help, Risk, Severity},
    unit::Unit,
};

/// The report, version 1.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Report {
    /// Always 1.
    pub schema_version: u32,
    /// The tool that wrote it.
    pub tool: Tool,
    /// The runbook's id, or `sweep`.
    pub command: String,
    /// What was diagnosed.
    pub target: Target,
    /// The verdict.
    pub verdict: Verdict,
    /// What was asked, what was answered, what could not be looked at.
    pub coverage: Coverage,
    /// Times compared, RFC 3339 UTC.
    pub window: WindowTimes,
    /// When it began.
    pub onset: Option<OnsetTime>,
    /// Whom it hurt.
    pub impact: Option<Impact>,
    /// Symptoms that hold.
    pub symptoms: Vec<SymptomFound>,
    /// Causes: supported, then not examinable, then refuted.
    pub causes: Vec<CauseFound>,
    /// The steps walked.
    pub path: Vec<PathStep>,
    /// Events around the onset.
    pub timeline: Vec<TimelineEntry>,
    /// Clocks of which something is known.
    #[serde(default)]
    pub clocks: Vec<ClockSkew>,
    /// Mean latency of finished requests, by part.
    pub decomposition: Vec<Part>,
    /// Every reading.
    pub readings: Vec<ReadingRow>,
    /// The decisive signals over time.
    pub series: Vec<SeriesRow>,
    /// Signals of each replica, engine or GPU over time, where there are several: the fullest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub by_part: Vec<SeriesRow>,
    /// Rows that `by_part` leaves out.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub by_part_left_out: u32,
    /// How each source answered.
    pub sources: Vec<SourceStatus>,
    /// Findings that somebody answers for. They are shown like all others.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub waivers: Vec<Waiver>,
}

/// A finding that somebody answers for until a day, as the settings file has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Waiver {
    /// Id of a cause, or signal of a symptom.
    pub finding: String,
    /// Who answers for it.
    pub owner: String,
    /// Why it may be so for now.
    pub reason: String,
    /// Last day on which it holds (UTC).
    pub expires: String,
    /// Whether it holds at the end of the time judged.
    pub state: WaiverState,
}

/// Whether a waiver holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum WaiverState {
    /// The finding is there, and does not close the gate.
    InForce,
    /// The finding is there, and counts: the day is over.
    Expired,
    /// The finding is not there.
    Unused,
}

/// Name and version of the tool.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Tool {
    /// `diagnose`.
    pub name: String,
    /// Version.
    pub version: String,
}

/// The verdict over all findings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Enough was looked at, and nothing is wrong.
    Healthy,
    /// Something is wrong.
    Degraded,
    /// Users are failing.
    Critical,
    /// Too little could be looked at.
    Inconclusive,
}

/// How much of what was asked could be answered.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Coverage {
    /// Checks answered yes or no.
    pub answered: u32,
    /// Checks whose source was asked.
    pub asked: u32,
    /// What could not be looked at.
    pub missing: Vec<Gap>,
}

/// Something that could not be looked at.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub struct Gap {
    /// What.
    pub what: String,
    /// Why, and what to do about it.
    pub why: String,
}

/// Times compared, RFC 3339 UTC.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct WindowTimes {
    /// Start of the time judged.
    pub from: Option<String>,
    /// End of the time judged.
    pub to: Option<String>,
    /// Start of the baseline.
    pub baseline_from: Option<String>,
    /// End of the baseline.
    pub baseline_to: Option<String>,
    /// What the baseline is.
    pub baseline_kind: BaselineKind,
    /// Where a baseline comes from that was kept from another time.
    #[serde(default)]
    pub kept_baseline: Option<KeptBaseline>,
}

/// A baseline that was kept from another time.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct KeptBaseline {
    /// Its name.
    pub name: String,
    /// When it was kept, RFC 3339 UTC.
    pub saved: String,
    /// Seconds from the end of what it holds to the end of the time judged.
    pub age_seconds: f64,
    /// Release and settings that were others then, in words.
    pub differs: Vec<String>,
}

/// What the time judged is compared with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum BaselineKind {
    /// A recorded time before the onset, or before the window.
    Recorded,
    /// The process's life up to the window, by its counters.
    Lifetime,
    /// History was recorded, and nothing changed in it.
    Unchanged,
    /// There is nothing to compare with.
    None,
}

/// When the incident began.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct OnsetTime {
    /// RFC 3339 UTC.
    pub at: String,
    /// Half the width of the interval that holds it.
    pub plus_minus_seconds: f64,
}

/// Whom it hurt.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Impact {
    /// Requests over the TTFT objective since the onset: a number, or an interval where the
    /// objective lies inside a bucket.
    pub requests_over_objective: Number,
    /// Requests answered since the onset.
    pub requests: f64,
    /// The objective, seconds.
    pub objective_seconds: f64,
    /// Since when, RFC 3339 UTC.
    pub since: String,
    /// The same by model.
    pub per_model: Vec<ModelImpact>,
}

/// Impact on one model's requests.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ModelImpact {
    /// Served model name.
    pub model: String,
    /// Requests over the objective.
    pub requests_over_objective: Number,
    /// Requests answered.
    pub requests: f64,
}

/// A number, or an interval where no single number is known.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Number {
    /// One number.
    Point(f64),
    /// An interval; an absent `hi` means unbounded.
    Interval {
        /// Lower end.
        lo: f64,
        /// Upper end.
        hi: Option<f64>,
    },
}

/// A symptom that holds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SymptomFound {
    /// The signal.
    pub signal: String,
    /// Over the incident.
    pub now: Option<Number>,
    /// Over the baseline.
    pub baseline: Option<Number>,
    /// Unit of both.
    pub unit: Unit,
    /// The threshold it crossed.
    pub threshold: Option<f64>,
    /// How bad.
    pub severity: Severity,
    /// One sentence.
    pub statement: String,
    /// What it may mean, where the symptom alone does not say: every reading with its answer.
    #[serde(default)]
    pub readings: Vec<SymptomReading>,
}

/// One thing that a symptom may mean.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SymptomReading {
    /// Stable id.
    pub id: String,
    /// Whether it is this. Several may be.
    pub answer: AnswerWord,
    /// What it means where the answer is yes, one sentence.
    pub text: String,
    /// The values the answer rests on, or what is missing.
    pub because: String,
    /// Causes that may be behind it; none where it is no incident.
    pub causes: Vec<String>,
}

/// What became of a cause.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// p ≥ 0.5, and a decisive check says yes.
    Supported,
    /// A check it needs could not be answered.
    NotExaminable,
    /// The evidence speaks against it, or nothing speaks for it.
    Refuted,
}

/// A cause with its evidence.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CauseFound {
    /// Stable id.
    pub id: String,
    /// Family.
    pub family: String,
    /// Title.
    pub title: String,
    /// What became of it.
    pub status: Status,
    /// Calibrated probability, `0..1`.
    pub probability: f64,
    /// Severity when supported.
    pub severity: Severity,
    /// The claim, one sentence.
    pub claim: String,
    /// Sentences that speak for it.
    #[serde(rename = "for")]
    pub in_favour: Vec<Evidenced>,
    /// Sentences that speak against it.
    pub against: Vec<Evidenced>,
    /// What could not be looked at.
    pub missing: Vec<Gap>,
    /// The check that would decide between it and its nearest rival.
    pub decided_by: Option<String>,
    /// Supported causes that follow from it.
    pub leads_to: Vec<String>,
    /// Causes of the same family that the evidence cannot tell from this one; the probability is
    /// that of all of them together.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub not_told_from: Vec<String>,
    /// The supported cause that this one is a consequence of.
    pub consequence_of: Option<String>,
    /// How often this verdict was right on labelled incidents.
    pub track_record: Option<String>,
    /// What to do, safest first.
    pub fixes: Vec<Fix>,
    /// What is not advised, because the numbers do not show it to be safe or of use. Supported
    /// causes only.
    #[serde(default)]
    pub not_advised: Vec<NotAdvised>,
    /// Whether more replicas would help. Supported causes only.
    #[serde(default)]
    pub replicas: Option<Replicas>,
}

/// Something to do about a cause.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Fix {
    /// Kind of action, from a closed set that tools may read.
    pub action: Action,
    /// What to do, one sentence.
    pub text: String,
    /// The exact command or setting, where there is one.
    pub command: Option<String>,
    /// What it may cost.
    pub risk: Risk,
    /// What to expect.
    pub effect: String,
    /// How to take it back.
    pub undo: String,
}

/// A change that is not advised.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct NotAdvised {
    /// What is not advised and why not, one sentence.
    pub text: String,
    /// The values it rests on, or what is missing.
    pub because: String,
}

/// Whether more replicas would help against a cause.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Replicas {
    /// The answer.
    pub helps: Help,
    /// How many more, for each server like the one diagnosed; null where the answer is no or the
    /// numbers do not tell.
    pub how_many: Option<ReplicaCount>,
    /// The numbers behind `how_many`, or why they do not tell; null where the answer is no.
    pub arithmetic: Option<String>,
    /// Why, one sentence.
    pub why: String,
}

/// A number of replicas, as an interval.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ReplicaCount {
    /// At least.
    pub lo: u64,
    /// At most.
    pub hi: u64,
}

/// A sentence with the check and the value it rests on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Evidenced {
    /// Id of the check.
    pub check: String,
    /// What its answer means.
    pub text: String,
    /// The values it rests on.
    pub because: String,
}

/// One step of the walk.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PathStep {
    /// The runbook.
    pub runbook: String,
    /// The step.
    pub step: String,
    /// The check asked.
    pub check: String,
    /// The question in words.
    pub question: String,
    /// The answer.
    pub answer: AnswerWord,
    /// The values it rests on, or what is missing.
    pub because: String,
    /// Where it led, in words, at the end of the walk.
    pub conclusion: Option<String>,
    /// Where the other answers would have led.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub not_taken: Vec<Branch>,
}

/// A branch of a step that was not taken.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Branch {
    /// The answer that leads there.
    pub answer: AnswerWord,
    /// The next question, or where the walk would have ended, in words.
    pub to: String,
}

/// Yes, no, or unknown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)]
pub enum AnswerWord {
    Yes,
    No,
    Unknown,
}

/// An event on the timeline.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct TimelineEntry {
    /// RFC 3339 UTC.
    pub at: String,
    /// Kind of event; `onset` for the onset itself.
    pub kind: String,
    /// One sentence.
    pub text: String,
    /// `before`, `at` or `after` the onset, or `unrelated` where there is none.
    pub relation: String,
    /// The source that tells it and whose clock dates it; empty for the onset itself.
    #[serde(default)]
    pub source: String,
    /// Seconds from the event to the onset, where it came before.
    #[serde(default)]
    pub lead_seconds: Option<Number>,
    /// Whether it changes the system, and so may be behind what follows.
    #[serde(default)]
    pub change: bool,
    /// Whether it is a change that began after the onset, and so is no cause of it.
    #[serde(default)]
    pub struck: bool,
}

/// What is known of a clock that dates events, against the clock that dates the metrics.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ClockSkew {
    /// `server` or `gateway`.
    pub clock: String,
    /// Seconds that it is ahead; negative where it is behind.
    pub ahead_seconds: Number,
    /// Whether it is known to be wrong, and not only not known to be right.
    pub sure: bool,
    /// What it was told by.
    pub by: String,
}

/// A part of the mean latency of finished requests.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Part {
    /// `queue`, `prefill`, `decode`, `front-end residual`, `end to end` or `time to first token`.
    pub part: String,
    /// Milliseconds, mean over the requests counted.
    pub ms: f64,
    /// Requests counted.
    pub n: f64,
}

/// Parts of the mean latency of finished requests, each with its signal; the first four add up to
/// the end-to-end time. The time to first token stands beside them with a count of its own.
pub const PARTS: [(&str, &str); 6] = [
    ("queue", "queue_mean_seconds"),
    ("prefill", "prefill_mean_seconds"),
    ("decode", "decode_mean_seconds"),
    ("front-end residual", "front_end_residual_seconds"),
    ("end to end", "e2e_mean_seconds"),
    ("time to first token", "ttft_mean_seconds"),
];

/// A reading as a row.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ReadingRow {
    /// The signal.
    pub signal: String,
    /// Over the incident.
    pub now: Option<Number>,
    /// Over the baseline.
    pub baseline: Option<Number>,
    /// `now / baseline` with its uncertainty.
    pub change: Option<Number>,
    /// Unit of `now` and `baseline`.
    pub unit: Unit,
    /// Observations behind `now`.
    pub n: Option<f64>,
    /// The source.
    pub source: String,
    /// Why `now` is absent.
    pub missing: Option<String>,
    /// What `now` leaves out, and why.
    #[serde(default)]
    pub note: Option<String>,
}

/// A signal over time.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SeriesRow {
    /// The signal or metric.
    pub signal: String,
    /// Labels.
    pub labels: std::collections::BTreeMap<String, String>,
    /// `[unix_seconds, value]`. Where `buckets` has the same time, the value is only the middle.
    pub points: Vec<(f64, f64)>,
    /// `[unix_seconds, least, most]` where only an interval is known; no `most` means unbounded.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub buckets: Vec<(f64, f64, Option<f64>)>,
    /// `[from, to]`, Unix seconds: times without a value, which is not zero.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub gaps: Vec<(f64, f64)>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for a reference")]
fn is_zero(number: &u32) -> bool {
    *number == 0
}

pub mod build;
pub mod changes;
pub mod fleet;
pub mod html;
pub mod json;
pub mod junit;
pub mod markdown;
pub mod markup;
pub mod svg;
pub mod terminal;
pub mod text;
pub mod words;
