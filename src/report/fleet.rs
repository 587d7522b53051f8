//! Many servers in one report: a line for each, the worst first, and what those that are not well
//! have in common. Its JSON is frozen like that of the report: fields are only added.

mod common;
mod known;
mod render;
mod rows;

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Tool, Verdict, Waiver, json::escape_hazards};
use crate::runbook::Severity;
pub use common::search;
pub use known::attributes;
pub use render::{page as markdown, terminal};
pub use rows::{replica, sorted};

/// The report on a fleet, version 1.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Fleet {
    /// Always 1.
    pub schema_version: u32,
    /// The tool that wrote it.
    pub tool: Tool,
    /// The runbook's id, or `sweep`.
    pub command: String,
    /// The worst verdict with a finding; else `inconclusive` where any replica is, else `healthy`.
    pub verdict: Verdict,
    /// How many replicas are how.
    pub counts: Counts,
    /// What those that are not well have in common.
    pub common: Common,
    /// Every replica, the worst first.
    pub replicas: Vec<Replica>,
}

/// How many replicas are how. The first four add up to `replicas`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Counts {
    /// All of them.
    pub replicas: u32,
    /// Users are failing.
    pub critical: u32,
    /// Something is wrong.
    pub degraded: u32,
    /// Too little could be looked at.
    pub inconclusive: u32,
    /// Nothing is wrong.
    pub healthy: u32,
    /// Those of all whose metrics could not be read.
    pub silent: u32,
}

/// One replica in short.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Replica {
    /// The target, as the list has it, without credentials.
    pub name: String,
    /// Labels that the list gives it.
    pub labels: BTreeMap<String, String>,
    /// What is known of it by itself: version, models, adapters, flags, cache configuration.
    pub attributes: BTreeMap<String, String>,
    /// Whether its metrics could be read.
    pub answered: bool,
    /// The verdict on it alone.
    pub verdict: Verdict,
    /// Checks answered.
    pub answered_checks: u32,
    /// Checks asked.
    pub asked_checks: u32,
    /// Supported causes, in the order of its report.
    pub causes: Vec<CauseInShort>,
    /// Symptoms that hold, the worst first.
    pub symptoms: Vec<SymptomInShort>,
    /// Ids of causes that could not be examined.
    pub not_examinable: Vec<String>,
    /// What happened, where its metrics could not be read.
    pub happened: Option<String>,
    /// Findings that somebody answers for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub waivers: Vec<Waiver>,
    /// What the gate says of it alone: an exit code.
    pub exit_code: u8,
}

/// A supported cause in short.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CauseInShort {
    /// Stable id.
    pub id: String,
    /// Title.
    pub title: String,
    /// Calibrated probability, `0..1`.
    pub probability: f64,
    /// How bad.
    pub severity: Severity,
}

/// A symptom in short.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SymptomInShort {
    /// The signal.
    pub signal: String,
    /// How bad.
    pub severity: Severity,
    /// One sentence.
    pub statement: String,
}

/// What replicas that are not well have in common.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Common {
    /// The answer.
    pub answer: CommonAnswer,
    /// The answer as one sentence.
    pub statement: String,
    /// Values that the replicas not well have more often than chance would give, the surest first.
    pub separators: Vec<Separator>,
    /// How many values were tested.
    pub tests: u32,
    /// What the tests could have seen at all; `None` where there was nothing to test.
    pub reach: Option<Reach>,
}

/// Whether anything separates replicas that are not well from the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum CommonAnswer {
    /// All are well.
    NoneUnwell,
    /// One alone is not well.
    OneReplica,
    /// None is known to be well.
    AllUnwell,
    /// At least one value separates them.
    Separated,
    /// No value separates them.
    NotSeparated,
}

/// A value that replicas with a trouble have more often than others, by Fisher's exact test.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Separator {
    /// The trouble: `not well`, `no answer`, or the id of a cause or signal.
    pub trouble: String,
    /// The label or attribute.
    pub attribute: String,
    /// Its value.
    pub value: String,
    /// Further values that the very same replicas have, as `name=value`: not told apart from it.
    pub same_replicas: Vec<String>,
    /// With the value and the trouble.
    pub troubled_with: u32,
    /// With the value.
    pub with: u32,
    /// With another value and the trouble.
    pub troubled_without: u32,
    /// With another value.
    pub without: u32,
    /// Probability of this or more by chance, one test alone.
    pub p: f64,
    /// The same over all tests (Holm).
    pub p_corrected: f64,
}

/// How small a difference would have shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Reach {
    /// Replicas that are not well.
    pub unwell: u32,
    /// Replicas that are well.
    pub well: u32,
    /// A value shared by all that are not well would have shown with at most so many of the well
    /// ones having it too; `None` where not even with none.
    pub most_well: Option<u32>,
}

impl Fleet {
    /// The report as JSON: indented, deterministic, one line feed at the end.
    pub fn to_json(&self) -> String {
        // No map but of text, and no number but finite ones, so serializing it cannot fail.
        let json = serde_json::to_string_pretty(self).unwrap_or_default();
        escape_hazards(&json) + "\n"
    }

    /// Its JSON Schema, as it is checked in and published.
    pub fn schema() -> String {
        let mut schema = schemars::schema_for!(Self);
        schema.insert("$id".into(), "urn:diagnose:fleet-v1".into());
        schema.insert("title".into(), "diagnose fleet report, version 1".into());
        serde_json::to_string_pretty(&schema).unwrap_or_default() + "\n"
    }
}

impl Replica {
    /// Whether something is wrong with it, or it does not answer at all.
    pub fn is_unwell(&self) -> bool {
        !self.answered || matches!(self.verdict, Verdict::Degraded | Verdict::Critical)
    }

    /// Whether it was looked at and nothing is wrong.
    pub fn is_well(&self) -> bool {
        self.answered && self.verdict == Verdict::Healthy
    }

    /// What is wrong with it, as an id; `None` where it is well or nothing can be said.
    pub fn trouble(&self) -> Option<&str> {
        if !self.answered {
            return Some(NO_ANSWER);
        }
        let cause = self.causes.iter().map(|cause| cause.id.as_str());
        let symptom = self.symptoms.iter().map(|symptom| symptom.signal.as_str());
        cause.chain(symptom).next().filter(|_| self.is_unwell())
    }
}

/// The trouble of a replica whose metrics could not be read.
const NO_ANSWER: &str = "no answer";
