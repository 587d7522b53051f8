//! What makes a bundle sealed: the report that was made of it, the runbooks that judged it, and a
//! hash of every file, so that the same report can be made again and a change is seen.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::evidence::{SourceState, SourceStatus, Time};

/// The list of files with their hashes.
pub(super) const LIST: &str = "seal.json";

/// The report.
pub(super) const REPORT: &str = "report.json";

/// The folder of the runbooks: inside, a folder for each layer, the embedded one being `0`.
pub(super) const RUNBOOKS: &str = "runbooks/";

/// What a run adds to its evidence when it seals it.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Seal {
    /// What was asked.
    pub asked: SealedAsk,
    /// The report as JSON.
    pub report: Vec<u8>,
    /// The runbooks, checks, causes and policy that judged: layer and path in it, e.g.
    /// `0/checks/queue.yaml` → text. A later layer overrides an earlier one.
    pub runbooks: BTreeMap<String, String>,
    /// Whether all runbooks are there as they were sealed: only then may they judge.
    pub whole: bool,
    pub(super) hashes: BTreeMap<String, String>,
}

/// What a sealed run asked; a replay without flags of its own asks the same.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct SealedAsk {
    /// The runbook's id, or `sweep`.
    pub command: String,
    /// Version of the tool.
    pub tool_version: String,
    /// End of the time judged, Unix seconds.
    pub at: Option<Time>,
    /// Length of the time judged, seconds.
    pub window: Option<f64>,
    /// Length of the baseline, seconds.
    pub baseline: Option<f64>,
    /// Share of the checks that had to be answered, `0..1`.
    pub min_coverage: Option<f64>,
}

/// `seal.json`.
#[derive(Serialize, Deserialize)]
struct List {
    #[serde(flatten)]
    asked: SealedAsk,
    sha256: BTreeMap<String, String>,
}

impl Seal {
    /// The seal of a run.
    pub fn new(asked: SealedAsk, report: Vec<u8>, runbooks: BTreeMap<String, String>) -> Self {
        Self { asked, report, runbooks, whole: true, hashes: BTreeMap::new() }
    }

    /// The files that sealing adds, and `seal.json` with the hashes of those and of `others`.
    pub(super) fn files(
        &self,
        others: &[(String, Vec<u8>)],
    ) -> serde_json::Result<Vec<(String, Vec<u8>)>> {
        let report = (REPORT.to_owned(), self.report.clone());
        let runbooks = self
            .runbooks
            .iter()
            .map(|(name, text)| (format!("{RUNBOOKS}{name}"), text.as_bytes().to_vec()));
        let added: Vec<_> = std::iter::once(report).chain(runbooks).collect();
        let hashed = added.iter().chain(others);
        let sha256 = hashed.map(|(name, body)| (name.clone(), hash(body))).collect();
        let list = serde_json::to_vec_pretty(&List { asked: self.asked.clone(), sha256 })?;
        Ok(std::iter::once((LIST.to_owned(), list)).chain(added).collect())
    }

    /// Reads `seal.json`; report and runbooks come from their own files.
    pub(super) fn read(body: &[u8]) -> serde_json::Result<Self> {
        let List { asked, sha256 } = serde_json::from_slice(body)?;
        Ok(Self { asked, hashes: sha256, ..Self::default() })
    }

    pub(super) fn check(&mut self, seen: &BTreeMap<String, String>) {
        let mut judges = self.hashes.iter().filter(|(name, _)| name.starts_with(RUNBOOKS));
        self.whole =
            !self.runbooks.is_empty() && judges.all(|(name, hash)| seen.get(name) == Some(hash));
    }

    /// What became of the sealed files; nothing to say where all are there, unchanged.
    pub(super) fn faults(&self, seen: &BTreeMap<String, String>) -> Option<SourceStatus> {
        let lost: BTreeSet<&str> =
            self.hashes.keys().filter(|name| !seen.contains_key(*name)).map(|it| &**it).collect();
        let changed: BTreeSet<&str> = seen
            .iter()
            .filter(|(name, hash)| self.hashes.get(*name) != Some(hash))
            .map(|(name, _)| name.as_str())
            .collect();
        let told = |names: &BTreeSet<&str>, what: &str| {
            let of = self.hashes.len();
            (!names.is_empty()).then(|| format!("{} of {of} {what}: {}", names.len(), some(names)))
        };
        let changed = told(&changed, "sealed files are not as they were sealed");
        let status = if changed.is_some() { SourceState::BadData } else { SourceState::Partial };
        let said: Vec<_> =
            changed.into_iter().chain(told(&lost, "sealed files are lost")).collect();
        (!said.is_empty()).then(|| SourceStatus {
            id: "seal".into(),
            status,
            detail: said.join("; "),
            took_ms: None,
        })
    }
}

/// The first names, and how many more.
fn some(names: &BTreeSet<&str>) -> String {
    const SHOWN: usize = 3;
    let first: Vec<&str> = names.iter().copied().take(SHOWN).collect();
    match names.len().saturating_sub(SHOWN) {
        0 => first.join(", "),
        more => format!("{} and {more} more", first.join(", ")),
    }
}

/// SHA-256 in hexadecimal.
pub(super) fn hash(body: &[u8]) -> String {
    Sha256::digest(body).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_is_that_of_the_standard() {
        let expected = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(hash(b"abc"), expected);
    }

    #[test]
    fn changed_and_lost_files_are_named_and_whole_ones_are_not() {
        let others = [("a.prom".to_owned(), b"1".to_vec()), ("b.prom".to_owned(), b"2".to_vec())];
        let seal = Seal { report: b"{}".to_vec(), ..Seal::default() };
        let files = seal.files(&others).unwrap();
        let read = Seal::read(&files[0].1).unwrap();
        let mut seen = BTreeMap::from([
            (REPORT.to_owned(), hash(b"{}")),
            ("a.prom".to_owned(), hash(b"1")),
            ("b.prom".to_owned(), hash(b"2")),
        ]);
        assert_eq!(read.faults(&seen), None);
        seen.insert("a.prom".into(), hash(b"forged"));
        seen.remove("b.prom");
        let fault = read.faults(&seen).unwrap();
        assert_eq!(fault.status, SourceState::BadData);
        let said = "1 of 3 sealed files are not as they were sealed: a.prom; \
                    1 of 3 sealed files are lost: b.prom";
        assert_eq!(fault.detail, said);
    }
}
