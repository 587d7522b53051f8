//! Two servers, releases or times beside each other: what differs, how surely, and whether the
//! comparison is fair.
//!
//! Pure arithmetic: no I/O, no clock, and fixed seeds, so that the same input gives the same bytes.

mod fairness;
mod judge;
mod moved;
mod render;
mod sides;
mod upgrade;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    report::{AnswerWord, Status, Tool},
    unit::Unit,
};

pub use judge::compare;
pub use render::{json, markdown, terminal};
pub use sides::{Sample, Sampled, Side};

/// A comparison, version 1. Fields are only added.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Comparison {
    /// Always 1.
    pub schema_version: u32,
    /// Always `compare`.
    pub command: String,
    /// The tool that wrote it.
    pub tool: Tool,
    /// What B is compared with.
    pub a: About,
    /// What is judged.
    pub b: About,
    /// B without CUDA graphs, where it was given.
    pub eager: Option<About>,
    /// The verdict on B.
    pub verdict: Verdict,
    /// The verdict in one sentence, with its reason.
    pub statement: String,
    /// Whether both had the same work.
    pub fairness: Fairness,
    /// The work of both, row by row.
    pub load: Vec<LoadRow>,
    /// What was compared.
    pub effects: Vec<Effect>,
    /// Measures judged at once: each is judged at `0.05 / judged`, so that all together are wrong
    /// in 5 % of comparisons at most.
    pub judged: u32,
    /// Quantiles of histograms, which are buckets: shown and not judged.
    pub shown: Vec<ShownRow>,
    /// Release and settings that differ, in words.
    pub differences: Vec<String>,
    /// What `upgrade-regression` says, where two releases or an eager run are compared.
    pub upgrade: Option<Upgrade>,
    /// What else must be known to read the numbers.
    pub notes: Vec<String>,
}

/// One side.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct About {
    /// The path, or the time.
    pub name: String,
    /// `load` or `bundle`.
    pub kind: String,
    /// Release of vLLM, where known.
    pub version: Option<String>,
    /// Start of the time compared, RFC 3339 UTC.
    pub from: Option<String>,
    /// Seconds compared.
    pub seconds: f64,
    /// Requests compared.
    pub requests: Option<f64>,
}

/// The verdict on B.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// No measure is worse beyond what is tolerated.
    NotWorse,
    /// A measure is surely worse, and by more than is tolerated.
    Worse,
    /// The numbers do not tell.
    CannotTell,
    /// The two sides did other work, and that would explain what was seen.
    NotComparable,
}

/// Whether both sides had the same work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Fairness {
    /// The same requests, by the fingerprint of the load.
    Identical,
    /// Alike in every row of the load.
    Alike,
    /// B had more to do.
    HarderForB,
    /// B had less to do.
    EasierForB,
    /// Other work, neither more nor less.
    Other,
    /// What is needed to tell is missing.
    Unknown,
}

/// The work of both sides.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct LoadRow {
    /// Stable id.
    pub id: String,
    /// What it is.
    pub title: String,
    /// Unit of both.
    pub unit: Unit,
    /// Of A.
    pub a: Option<f64>,
    /// Of B.
    pub b: Option<f64>,
    /// Whether they are alike; null where it is not known.
    pub alike: Option<bool>,
}

/// One measure of both sides.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Effect {
    /// The signal.
    pub signal: String,
    /// What it is.
    pub title: String,
    /// Unit of `a` and `b`.
    pub unit: Unit,
    /// Of A.
    pub a: Option<f64>,
    /// Of B.
    pub b: Option<f64>,
    /// How B differs.
    pub change: Option<Change>,
    /// What it means.
    pub answer: Answer,
    /// Why there is no answer, or what the answer is, in words.
    pub because: String,
}

/// How B differs from A.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Change {
    /// Whether the numbers are factors (`B / A`) or differences (`B - A`).
    pub scale: Scale,
    /// Best estimate.
    pub point: f64,
    /// Lower end at 95 %.
    pub lo: f64,
    /// Upper end at 95 %.
    pub hi: f64,
    /// Lower end of the interval judged by, which allows for all measures at once.
    pub sure_lo: f64,
    /// Upper end of it.
    pub sure_hi: f64,
    /// The smallest loss that would be shown in 4 of 5 such comparisons, as a share of A for factors
    /// and in the unit for differences.
    pub detectable: f64,
    /// The loss that is tolerated, likewise.
    pub tolerated: f64,
}

/// How a difference is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Scale {
    /// `B / A`.
    Factor,
    /// `B - A`.
    Difference,
}

/// What a measure says of B.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// Surely worse, and by more than is tolerated.
    Worse,
    /// Surely better.
    Better,
    /// Not worse by more than is tolerated.
    NotWorse,
    /// The interval holds both.
    CannotTell,
    /// It follows the load, which differs.
    NotJudged,
}

/// A quantile as the bucket that holds it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ShownRow {
    /// The signal.
    pub signal: String,
    /// Of A.
    pub a: String,
    /// Of B.
    pub b: String,
}

/// What the runbook of upgrades says of the numbers compared.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Upgrade {
    /// The measure that it judges by: the one that lost most.
    pub by: Option<String>,
    /// The steps walked.
    pub path: Vec<UpgradeStep>,
    /// Causes of the runbook, the likeliest first.
    pub causes: Vec<UpgradeCause>,
    /// The conclusion in one sentence.
    pub statement: String,
}

/// One step of the walk.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct UpgradeStep {
    /// The check asked.
    pub check: String,
    /// The question in words.
    pub question: String,
    /// The answer.
    pub answer: AnswerWord,
}

/// One cause of the runbook.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct UpgradeCause {
    /// Stable id.
    pub id: String,
    /// Title.
    pub title: String,
    /// What became of it.
    pub status: Status,
    /// Probability, 0 to 1.
    pub probability: f64,
    /// What to do, safest first.
    pub fixes: Vec<String>,
}

/// The JSON Schema of a comparison.
pub fn schema() -> String {
    let mut schema = schemars::schema_for!(Comparison);
    schema.insert("$id".into(), "urn:diagnose:comparison-v1".into());
    schema.insert("title".into(), "diagnose comparison, version 1".into());
    serde_json::to_string_pretty(&schema).unwrap_or_default() + "\n"
}
