//! Files of a bundle, one by one, within bounds.

use std::collections::BTreeMap;
use std::io::{self, Read};

use super::seal::{self, Seal};
use super::{Bundle, FOLDERS, FORMAT_VERSION, Limits, MetaFile};
use crate::evidence::SourceState;

/// What a file of a bundle is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    Meta,
    Scrape(u64),
    Probes(u64),
    Adapters(u64),
    Record(&'static str, u64),
    Seal,
    Report,
    Runbook,
    Log,
    KernelLog,
    Gateway,
}

/// Splits an entry's name into the folder of its bundle and its part in there.
pub(super) fn part(name: &str) -> Option<(&str, Part)> {
    let (rest, file) = name.rsplit_once('/').unwrap_or(("", name));
    match file {
        "meta.json" => return Some((rest, Part::Meta)),
        "server.log" => return Some((rest, Part::Log)),
        "gateway.jsonl" => return Some((rest, Part::Gateway)),
        "kernel.log" => return Some((rest, Part::KernelLog)),
        seal::LIST => return Some((rest, Part::Seal)),
        seal::REPORT => return Some((rest, Part::Report)),
        _ => {}
    }
    if let Some(at) = runbooks_at(name).filter(|_| file.ends_with(".yaml")) {
        return Some((name[..at].trim_end_matches('/'), Part::Runbook));
    }
    let (root, folder) = rest.rsplit_once('/').unwrap_or(("", rest));
    let (stem, suffix) = file.rsplit_once('.')?;
    let at = stem.parse().ok()?;
    match (folder, suffix) {
        ("scrapes", "prom") => Some((root, Part::Scrape(at))),
        ("probes", "json") => Some((root, Part::Probes(at))),
        ("adapters", "json") => Some((root, Part::Adapters(at))),
        (folder, "json") => {
            let folder = FOLDERS.into_iter().find(|known| *known == folder)?;
            Some((root, Part::Record(folder, at)))
        }
        _ => None,
    }
}

/// Where the folder of the runbooks begins in an entry's name.
fn runbooks_at(name: &str) -> Option<usize> {
    let inside = || name.find(&format!("/{}", seal::RUNBOOKS)).map(|at| at + 1);
    if name.starts_with(seal::RUNBOOKS) { Some(0) } else { inside() }
}

/// Builds a bundle file by file.
#[derive(Default)]
pub(super) struct Collector {
    bundle: Bundle,
    /// Hashes of the files read after the list of sealed ones.
    seen: BTreeMap<String, String>,
    damaged: Vec<String>,
}

/// What came of a file.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    Taken,
    /// A bound on all files together is reached: nothing more is to be read.
    Full,
}

impl Collector {
    pub(super) fn note(&mut self, id: &str, status: SourceState, detail: String) {
        self.bundle.note(id, status, detail);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.bundle.is_empty()
    }

    /// Takes over the gateway's records of the folder around this one, unless there are own ones.
    pub(super) fn take_gateway(&mut self, beside: &mut Self) {
        self.bundle.gateway = self.bundle.gateway.take().or(beside.bundle.gateway.take());
    }

    /// Notes a file that is left out.
    pub(super) fn damaged(&mut self, what: String) {
        self.damaged.push(what);
    }

    /// Reads one file out of a `budget` that all bundles of one load share. `Err` says that the
    /// reader itself broke: a body cut short is not kept, as half a page would read as a restart.
    pub(super) fn add(
        &mut self,
        part: Part,
        name: &str,
        budget: &mut Limits,
        reader: &mut dyn Read,
    ) -> io::Result<Outcome> {
        if budget.files == 0 || budget.total == 0 {
            self.note_full();
            return Ok(Outcome::Full);
        }
        budget.files -= 1;
        let bound = budget.body.min(budget.total);
        let mut body = Vec::new();
        let result = reader.take(bound + 1).read_to_end(&mut body);
        let full = body.len() as u64 > budget.total;
        budget.total = budget.total.saturating_sub(body.len() as u64);
        if full {
            self.note_full();
            return Ok(Outcome::Full);
        }
        result?;
        if body.len() as u64 > bound {
            self.damaged(format!("{name} is larger than {bound} bytes"));
        } else {
            self.keep(part, name, &body);
        }
        Ok(Outcome::Taken)
    }

    /// Reads a log from where `reader` stands; `skipped` bytes before that were too many. What
    /// was read before the reader broke is kept, as every line stands for itself.
    pub(super) fn add_log(
        &mut self,
        skipped: u64,
        budget: &mut Limits,
        reader: &mut dyn Read,
    ) -> io::Result<()> {
        let bound = budget.log.min(budget.total);
        let mut log = Vec::new();
        let result = reader.take(bound).read_to_end(&mut log);
        budget.total -= log.len() as u64;
        if skipped > 0 {
            let whole_line = memchr::memchr(b'\n', &log).map_or(log.len(), |at| at + 1);
            log.drain(..whole_line);
            let detail = format!(
                "server.log is long: its last {} bytes were read, {skipped} before them were not",
                log.len()
            );
            self.note("log", SourceState::Partial, detail);
        }
        if skipped == 0 {
            self.keep_hash("server.log", &log);
        }
        self.bundle.log = Some(log);
        result.map(drop)
    }

    /// Remembers the hash of a file, where a list of sealed files says what it should be.
    fn keep_hash(&mut self, name: &str, body: &[u8]) {
        let Some(seal) = &self.bundle.seal else { return };
        let ends = std::iter::successors(Some(name), |rest| Some(rest.split_once('/')?.1));
        if let Some(sealed) = ends.into_iter().find(|end| seal.hashes.contains_key(*end)) {
            self.seen.insert(sealed.to_owned(), seal::hash(body));
        }
    }

    fn keep_seal(&mut self, body: &[u8]) {
        match Seal::read(body) {
            Ok(seal) => self.bundle.seal = Some(seal),
            Err(error) => self.damaged(format!("{} cannot be read: {error}", seal::LIST)),
        }
    }

    fn keep_sealed(&mut self, part: Part, name: &str, body: &[u8]) {
        let Some(seal) = &mut self.bundle.seal else { return };
        if part == Part::Report {
            seal.report = body.to_vec();
        } else if let Some(at) = runbooks_at(name) {
            let inside = name[at + seal::RUNBOOKS.len()..].to_owned();
            seal.runbooks.insert(inside, String::from_utf8_lossy(body).into_owned());
        }
    }

    fn keep(&mut self, part: Part, name: &str, body: &[u8]) {
        self.keep_hash(name, body);
        match part {
            Part::Seal => self.keep_seal(body),
            Part::Report | Part::Runbook => self.keep_sealed(part, name, body),
            Part::Meta => self.keep_meta(body),
            Part::Log => self.bundle.log = Some(body.to_vec()),
            Part::KernelLog => self.bundle.kernel_log = Some(body.to_vec()),
            Part::Gateway => self.bundle.gateway = Some(body.to_vec()),
            Part::Record(folder, at) => self.bundle.record(folder, at, body.to_vec()),
            Part::Scrape(at) => {
                self.bundle.scrapes.insert(at, body.to_vec());
            }
            Part::Probes(at) => match serde_json::from_slice(body) {
                Ok(round) => {
                    self.bundle.probes.insert(at, round);
                }
                Err(error) => self.damaged.push(format!("{name} is no probe round: {error}")),
            },
            Part::Adapters(at) => match serde_json::from_slice(body) {
                Ok(folders) => {
                    self.bundle.adapters.insert(at, folders);
                }
                Err(error) => {
                    self.damaged.push(format!("{name} is no list of adapters: {error}"));
                }
            },
        }
    }

    fn keep_meta(&mut self, body: &[u8]) {
        match serde_json::from_slice::<MetaFile>(body) {
            Ok(file) => {
                if file.meta.format_version > FORMAT_VERSION {
                    let detail = format!(
                        "the bundle has format {}, this version knows {FORMAT_VERSION}: \
                         what is newer is ignored",
                        file.meta.format_version
                    );
                    self.note("meta", SourceState::Partial, detail);
                }
                self.bundle.meta = file.meta;
                self.bundle.notes.extend(file.notes);
            }
            Err(error) => {
                let detail = format!(
                    "meta.json cannot be read ({error}): target, version and flags are unknown"
                );
                self.note("meta", SourceState::BadData, detail);
            }
        }
    }

    pub(super) fn note_full(&mut self) {
        let detail = "the recording is larger than is read at once: files after the limit are \
                      left out; give a shorter part of it"
            .to_owned();
        self.note("bundle", SourceState::Partial, detail);
    }

    pub(super) fn finish(mut self) -> Bundle {
        if let Some(seal) = &mut self.bundle.seal {
            seal.check(&self.seen);
            self.bundle.notes.extend(seal.faults(&self.seen));
        }
        let count = self.damaged.len();
        if let Some(first) = self.damaged.first() {
            let more = if count > 1 { format!(" (and {} more)", count - 1) } else { String::new() };
            let detail = format!("{first}{more}: left out");
            self.note("bundle", SourceState::BadData, detail);
        }
        self.bundle
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_told_by_their_names() {
        assert_eq!(part("meta.json"), Some(("", Part::Meta)));
        assert_eq!(part("a/capture/scrapes/17.prom"), Some(("a/capture", Part::Scrape(17))));
        assert_eq!(part("probes/17.json"), Some(("", Part::Probes(17))));
        assert_eq!(part("adapters/17.json"), Some(("", Part::Adapters(17))));
        assert_eq!(part("nvml/17.json"), Some(("", Part::Record("nvml", 17))));
        assert_eq!(part("elsewhere/17.json"), None);
        assert_eq!(part("a/server.log"), Some(("a", Part::Log)));
        assert_eq!(part("scrapes/later.prom"), None);
        assert_eq!(part("a/runbooks/0/checks/x.yaml"), Some(("a", Part::Runbook)));
        assert_eq!(part("runbooks/1/policy.yaml"), Some(("", Part::Runbook)));
        assert_eq!(part("gateway.jsonl"), Some(("", Part::Gateway)));
    }
}
