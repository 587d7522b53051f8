//! The raw evidence as it lies on disk: what a live run records is what a replay reads.

mod archive;
mod collect;
mod error;
mod folder;
mod merge;
mod pages;
mod redact;
mod save;
mod seal;

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::{AdapterFolder, Probe, SourceState, SourceStatus, Time};
pub use error::BundleError;
pub use redact::{HIDDEN, Redact, args_without_secrets, shown, url_without_credentials};
pub use seal::{Seal, SealedAsk};

/// Version of the layout that [`Bundle::save`] writes.
pub const FORMAT_VERSION: u32 = 1;

/// Folders of a bundle that hold the records of further sources.
pub const FOLDERS: [&str; 6] = ["nvml", "host", "kube", "prometheus", "aws", "mlflow"];

/// Raw bodies with their times: everything that a diagnosis is computed from.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Bundle {
    /// `meta.json`.
    pub meta: Meta,
    /// `/metrics` bodies, by Unix milliseconds.
    pub scrapes: BTreeMap<u64, Vec<u8>>,
    /// Probe rounds, by Unix milliseconds: path → outcome.
    pub probes: BTreeMap<u64, BTreeMap<String, Probe>>,
    /// Adapters' folders as the collector saw them, by Unix milliseconds.
    pub adapters: BTreeMap<u64, Vec<AdapterFolder>>,
    /// What further sources answered, as JSON: folder, one of [`FOLDERS`] → Unix milliseconds.
    pub records: BTreeMap<&'static str, BTreeMap<u64, Vec<u8>>>,
    /// The server's own log.
    pub log: Option<Vec<u8>>,
    /// The kernel's log.
    pub kernel_log: Option<Vec<u8>>,
    /// The gateway's records, `gateway.jsonl`.
    pub gateway: Option<Vec<u8>>,
    /// The report and the runbooks, where a run sealed them with its evidence.
    pub seal: Option<Seal>,
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

/// Bounds on what is read, so that no file, however made, takes all memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Decoded bytes over all files.
    pub total: u64,
    /// Bytes of one scrape, probe round or `meta.json`.
    pub body: u64,
    /// Bytes of `server.log`, counted from its end.
    pub log: u64,
    /// Files in one bundle.
    pub files: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { total: 1 << 30, body: 64 << 20, log: 256 << 20, files: 200_000 }
    }
}

impl Bundle {
    /// Reads every form of recording: bundle folders, folders that hold `capture/`, archives of
    /// either, and saved `/metrics` pages. Several are merged in time order. What is damaged or
    /// lost becomes a note; only evidence that is absent as a whole is an error.
    pub fn load(paths: &[PathBuf], limits: &Limits) -> Result<Self, BundleError> {
        let mut budget = *limits;
        let mut bundles = Vec::new();
        let mut saved = Vec::new();
        for path in paths {
            match folder::open(path, &mut budget)? {
                folder::Opened::Bundle(bundle) if bundle.is_empty() => {
                    return Err(BundleError::nothing(path, &bundle.notes));
                }
                folder::Opened::Bundle(bundle) => bundles.push(*bundle),
                folder::Opened::Pages(pages) => saved.extend(pages),
            }
        }
        if !saved.is_empty() {
            bundles.push(pages::bundle(saved));
        }
        merge::merge(bundles).ok_or(BundleError::NoPath)
    }

    /// Whether there is nothing to judge by.
    pub fn is_empty(&self) -> bool {
        self.scrapes.is_empty()
            && self.probes.is_empty()
            && self.records.values().all(BTreeMap::is_empty)
            && self.gateway.is_none()
            && self.log.is_none()
            && self.kernel_log.is_none()
    }

    /// Keeps what a source answered.
    pub fn record(&mut self, folder: &'static str, at: u64, body: Vec<u8>) {
        self.records.entry(folder).or_default().insert(at, body);
    }

    /// What a source answered, by Unix milliseconds.
    pub fn recorded(&self, folder: &str) -> impl Iterator<Item = (u64, &[u8])> {
        let records = self.records.get(folder).into_iter().flatten();
        records.map(|(at, body)| (*at, body.as_slice()))
    }

    /// Start and end in Unix milliseconds, over scrapes and probes; without any, what the sources
    /// of history were asked for.
    pub fn span_ms(&self) -> Option<(u64, u64)> {
        let times = || self.scrapes.keys().chain(self.probes.keys()).copied();
        let asked = || {
            let ms = |at: Option<Time>| Some((at? * 1e3).max(0.0) as u64);
            Some((ms(self.meta.started)?, ms(self.meta.ended)?))
        };
        times().min().zip(times().max()).or_else(asked)
    }

    fn note(&mut self, id: &str, status: SourceState, detail: String) {
        self.notes.push(SourceStatus { id: id.into(), status, detail, took_ms: None });
    }
}

/// `meta.json` as it is written: the notes go along, so that a saved bundle tells what it lost.
#[derive(Default, Serialize, Deserialize)]
struct MetaFile {
    #[serde(flatten)]
    meta: Meta,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    notes: Vec<SourceStatus>,
}
