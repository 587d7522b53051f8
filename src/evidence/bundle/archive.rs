//! Bundles in a tar stream, read without unpacking anything.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::io::{self, Read};
use std::path::Path;
use std::rc::Rc;

use tar::{Entry, EntryType};

use super::collect::{Collector, Outcome, Part, part};
use super::{Bundle, BundleError, Limits};
use crate::evidence::SourceState;

/// Reads the one recording in a tar stream: at its top, in one folder, or in a `capture/` there.
/// A stream that breaks off gives what stood before the break.
pub(super) fn read(
    path: &Path,
    content: impl Read,
    budget: &mut Limits,
) -> Result<Bundle, BundleError> {
    let full = Rc::new(Cell::new(false));
    let bounded = Bounded { inner: content, left: budget.total, full: full.clone() };
    let mut archive = tar::Archive::new(bounded);
    let mut roots: BTreeMap<String, Collector> = BTreeMap::new();
    let stopped = read_entries(path, &mut archive, budget, &mut roots)?;
    let mut collector = choose(path, roots)?;
    match stopped {
        Some(_) if full.get() => collector.note_full(),
        Some(error) => {
            let detail = format!(
                "the archive breaks off ({error}): what stood before the break was read, the rest \
                 is lost; copy it again if the original is whole"
            );
            collector.note("bundle", SourceState::Partial, detail);
        }
        None => {}
    }
    Ok(collector.finish())
}

/// Reads entry by entry; returns what the stream broke off with.
fn read_entries<R: Read>(
    path: &Path,
    archive: &mut tar::Archive<R>,
    budget: &mut Limits,
    roots: &mut BTreeMap<String, Collector>,
) -> Result<Option<io::Error>, BundleError> {
    let entries = match archive.entries() {
        Ok(entries) => entries,
        Err(error) => return Ok(Some(error)),
    };
    for entry in entries {
        let mut entry = match entry {
            Ok(entry) => entry,
            Err(error) => return Ok(Some(error)),
        };
        let name = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        if let Some(why) = unsafe_entry(&name, entry.header().entry_type()) {
            return Err(BundleError::Unsafe { path: path.into(), entry: name, why });
        }
        let name = name.trim_start_matches("./");
        let Some((root, part)) = part(name) else { continue };
        if !entry.header().entry_type().is_file() {
            continue;
        }
        let collector = roots.entry(root.to_owned()).or_default();
        match read_entry(collector, part, name, budget, &mut entry) {
            Ok(Outcome::Taken) => {}
            Ok(Outcome::Full) => return Ok(None),
            Err(error) => return Ok(Some(error)),
        }
    }
    Ok(None)
}

fn read_entry<R: Read>(
    collector: &mut Collector,
    part: Part,
    name: &str,
    budget: &mut Limits,
    entry: &mut Entry<'_, R>,
) -> io::Result<Outcome> {
    if part != Part::Log {
        return collector.add(part, name, budget, entry);
    }
    let skipped = entry.size().saturating_sub(budget.log.min(budget.total));
    io::copy(&mut entry.by_ref().take(skipped), &mut io::sink())?;
    collector.add_log(skipped, budget, entry).map(|()| Outcome::Taken)
}

/// Why an entry is not to be trusted.
fn unsafe_entry(name: &str, kind: EntryType) -> Option<&'static str> {
    if name.starts_with('/') {
        return Some("has an absolute name");
    }
    if name.split(['/', '\\']).any(|part| part == "..") {
        return Some("points out of the archive");
    }
    match kind {
        EntryType::Symlink | EntryType::Link => Some("is a link"),
        EntryType::Regular | EntryType::Continuous | EntryType::Directory => None,
        EntryType::XGlobalHeader | EntryType::XHeader => None,
        _ => Some("is neither a file nor a folder"),
    }
}

/// The one recording in an archive. A folder with only a `meta.json` is no recording.
fn choose(path: &Path, roots: BTreeMap<String, Collector>) -> Result<Collector, BundleError> {
    let (mut held, mut lost): (Vec<_>, Vec<_>) =
        roots.into_iter().partition(|(_, collector)| !collector.is_empty());
    if held.iter().any(|(root, _)| is_capture(root)) {
        let beside = held.extract_if(.., |(root, _)| !is_capture(root));
        lost.extend(beside);
    }
    if held.len() > 1 {
        let roots: Vec<String> = held.into_iter().map(|(root, _)| format!("{root}/")).collect();
        return Err(BundleError::Several { path: path.into(), roots: roots.join(", ") });
    }
    if let Some((root, collector)) = held.last_mut()
        && let Some((_, beside)) = lost.iter_mut().find(|(other, _)| holds(other, root))
    {
        collector.take_gateway(beside);
    }
    // Where nothing can be judged, what was lost says why.
    Ok(held.pop().or(lost.into_iter().next()).map(|(_, collector)| collector).unwrap_or_default())
}

/// Whether a recording's `capture/` lies in this folder.
fn holds(folder: &str, root: &str) -> bool {
    is_capture(root) && root.rsplit_once('/').map_or("", |(parent, _)| parent) == folder
}

fn is_capture(root: &str) -> bool {
    root == "capture" || root.ends_with("/capture")
}

/// Ends a stream with an error once too much came out of it.
struct Bounded<R> {
    inner: R,
    left: u64,
    full: Rc<Cell<bool>>,
}

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.left == 0 && !buffer.is_empty() {
            self.full.set(true);
            return Err(io::Error::other("the limit is reached"));
        }
        let most = usize::try_from(self.left).map_or(buffer.len(), |left| left.min(buffer.len()));
        let read = self.inner.read(&mut buffer[..most])?;
        self.left -= read as u64;
        Ok(read)
    }
}
