//! What a path given as a recording is, and bundles that lie in a folder.

use std::fs;
use std::io::{self, BufRead, BufReader, Cursor, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use crate::input;

use super::collect::{Collector, Outcome, Part, part};
use super::pages::SavedPage;
use super::{Bundle, BundleError, FOLDERS, Limits, archive};

/// A packed recording inside a folder, with its label beside it.
const PACKED: &str = "capture.tar.zst";

/// The gateway's records, in a recording or beside it.
const GATEWAY: &str = "gateway.jsonl";

/// What was found at a path.
pub(super) enum Opened {
    Bundle(Box<Bundle>),
    Pages(Vec<SavedPage>),
}

/// Opens a path by what it is, not by its name: archives and pages are told by their content.
pub(super) fn open(path: &Path, budget: &mut Limits) -> Result<Opened, BundleError> {
    let meta = fs::metadata(path).map_err(|error| BundleError::read(path, error))?;
    if meta.is_dir() { folder(path, budget) } else { file(path, budget) }
}

fn file(path: &Path, budget: &mut Limits) -> Result<Opened, BundleError> {
    let failed = |error| BundleError::read(path, error);
    if path.extension().is_some_and(|suffix| suffix == "log") {
        let mut collector = Collector::default();
        read_log(&mut collector, path, budget).map_err(failed)?;
        return Ok(Opened::Bundle(Box::new(collector.finish())));
    }
    let mut raw = BufReader::new(input::open(path).map_err(failed)?);
    let magic = raw.fill_buf().map_err(failed)?.to_vec();
    let mut content: Box<dyn Read> = match magic.as_slice() {
        [0x28, 0xb5, 0x2f, 0xfd, ..] => {
            Box::new(zstd::stream::read::Decoder::with_buffer(raw).map_err(failed)?)
        }
        [0x1f, 0x8b, ..] => Box::new(flate2::bufread::MultiGzDecoder::new(raw)),
        _ => Box::new(raw),
    };
    let start = peek(&mut content);
    let content = Cursor::new(start.clone()).chain(content);
    let name = path.to_string_lossy();
    if start.get(257..262) == Some(b"ustar") || name.contains(".tar") {
        return archive::read(path, content, budget).map(|it| Opened::Bundle(Box::new(it)));
    }
    page(path, &start, content, budget).map(|page| Opened::Pages(vec![page]))
}

/// The first bytes of a stream, as far as they can be read.
fn peek(reader: &mut dyn Read) -> Vec<u8> {
    let mut start = Vec::new();
    let _ = reader.take(512).read_to_end(&mut start);
    start
}

fn page(
    path: &Path,
    start: &[u8],
    content: impl Read,
    budget: &mut Limits,
) -> Result<SavedPage, BundleError> {
    let foreign = |why: String| BundleError::Foreign { path: path.into(), why };
    if start.contains(&0) {
        return Err(foreign("it is a binary file".into()));
    }
    if start.trim_ascii_start().starts_with(b"{") {
        return Err(foreign("it is a JSON file".into()));
    }
    let bound = budget.body.min(budget.total);
    let mut body = Vec::new();
    content
        .take(bound + 1)
        .read_to_end(&mut body)
        .map_err(|error| BundleError::read(path, error))?;
    if body.len() as u64 > bound {
        return Err(foreign(format!("it is larger than {bound} bytes")));
    }
    budget.total -= body.len() as u64;
    Ok(SavedPage::new(path, body))
}

fn folder(path: &Path, budget: &mut Limits) -> Result<Opened, BundleError> {
    let mut opened = inside(path, budget)?;
    if let Opened::Bundle(bundle) = &mut opened {
        add_gateway(bundle, path, budget);
    }
    Ok(opened)
}

/// The gateway's records beside a recording, where it holds none of its own.
fn add_gateway(bundle: &mut Bundle, path: &Path, budget: &mut Limits) {
    let beside = path.join(GATEWAY);
    if bundle.gateway.is_some() || !beside.is_file() {
        return;
    }
    let mut collector = Collector::default();
    let read = input::file(&beside)
        .and_then(|mut file| collector.add(Part::Gateway, GATEWAY, budget, &mut file));
    if let Err(error) = read {
        collector.damaged(format!("{GATEWAY} cannot be read: {error}"));
    }
    let found = collector.finish();
    bundle.gateway = found.gateway;
    bundle.notes.extend(found.notes);
}

fn inside(path: &Path, budget: &mut Limits) -> Result<Opened, BundleError> {
    let packed = path.join(PACKED);
    if packed.is_file() {
        return file(&packed, budget);
    }
    let inner = path.join("capture");
    let root = if inner.is_dir() { inner } else { path.to_owned() };
    let mut names = list(&root).map_err(|error| BundleError::read(&root, error))?;
    let loose: Vec<PathBuf> = names.iter().filter(|name| is_page(name)).cloned().collect();
    names.retain(|name| name.is_file() || is_known(name));
    let mut collector = Collector::default();
    for sub in ["scrapes", "probes", "adapters"].into_iter().chain(FOLDERS) {
        match list(&root.join(sub)) {
            Ok(found) => names.extend(found),
            Err(error) if is_absent(&error) => {}
            Err(error) => collector.damaged(format!("{sub}/ cannot be listed: {error}")),
        }
    }
    let layers = list(&root.join("runbooks")).unwrap_or_default();
    for layer in &layers {
        for sub in ["", "checks", "causes"] {
            names.extend(list(&layer.join(sub)).unwrap_or_default());
        }
    }
    names.sort_by_key(|name| !name.ends_with(super::seal::LIST));
    collect(&mut collector, &root, &names, budget);
    if collector.is_empty() && !loose.is_empty() {
        return loose_pages(&loose, budget);
    }
    Ok(Opened::Bundle(Box::new(collector.finish())))
}

fn collect(collector: &mut Collector, root: &Path, names: &[PathBuf], budget: &mut Limits) {
    for path in names {
        let name = path.strip_prefix(root).unwrap_or(path).to_string_lossy();
        let result = match part(&name) {
            Some(("", Part::Log)) => read_log(collector, path, budget).map(|()| Outcome::Taken),
            Some(("", part)) => {
                input::file(path).and_then(|mut file| collector.add(part, &name, budget, &mut file))
            }
            _ => continue,
        };
        match result {
            Ok(Outcome::Taken) => {}
            Ok(Outcome::Full) => return,
            Err(error) => collector.damaged(format!("{name} cannot be read: {error}")),
        }
    }
}

fn read_log(collector: &mut Collector, path: &Path, budget: &mut Limits) -> io::Result<()> {
    let mut file = input::file(path)?;
    let skipped = file.metadata()?.len().saturating_sub(budget.log.min(budget.total));
    if skipped > 0 {
        file.seek(SeekFrom::Start(skipped))?;
    }
    collector.add_log(skipped, budget, &mut file)
}

fn loose_pages(paths: &[PathBuf], budget: &mut Limits) -> Result<Opened, BundleError> {
    let mut pages = Vec::new();
    for path in paths {
        if let Opened::Pages(found) = file(path, budget)? {
            pages.extend(found);
        }
    }
    Ok(Opened::Pages(pages))
}

/// Whether a name is that of a part of a recording, whatever lies there.
fn is_known(path: &Path) -> bool {
    part(&path.file_name().unwrap_or_default().to_string_lossy()).is_some()
}

fn is_page(path: &Path) -> bool {
    path.extension().is_some_and(|suffix| suffix == "prom") && path.is_file()
}

/// The entries of a folder, sorted by name.
fn list(path: &Path) -> io::Result<Vec<PathBuf>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(path)? {
        names.push(entry?.path());
    }
    names.sort();
    Ok(names)
}

fn is_absent(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}
