//! The raw evidence as it lies on disk: what a live run records is what a replay reads.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Probe, SourceStatus, Time};

/// Raw bodies with their times: everything that a diagnosis is computed from.
#[derive(Debug, Clone, Default)]
pub struct Bundle {
    /// `meta.json`.
    pub meta: Meta,
    /// `/metrics` bodies, by Unix milliseconds.
    pub scrapes: BTreeMap<u64, Vec<u8>>,
    /// Probe rounds, by Unix milliseconds: path → outcome.
    pub probes: BTreeMap<u64, BTreeMap<String, Probe>>,
    /// The server's own log.
    pub log: Option<Vec<u8>>,
    /// What could not be read, or was lost: shown, never swallowed.
    pub notes: Vec<SourceStatus>,
}

/// `meta.json`. Unknown keys are ignored; absent ones are unknown.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Meta {
    /// Layout version; absent means 0.
    pub format_version: u32,
    /// URL of the server, without credentials.
    pub target: Option<String>,
    /// Start of the recording, Unix seconds.
    pub started: Option<Time>,
    /// End of the recording, Unix seconds.
    pub ended: Option<Time>,
    /// vLLM version.
    pub vllm_version: Option<String>,
    /// Command line of the server.
    pub server_args: Vec<String>,
    /// Version of the tool that recorded.
    pub tool_version: Option<String>,
    /// How each source answered when it was recorded.
    pub sources: Vec<SourceStatus>,
}
