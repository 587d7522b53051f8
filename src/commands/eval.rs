//! `diagnose eval`: how often the verdict is right, on recordings whose truth is known.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

use anyhow::Context;

use super::{
    Failure,
    run::{Asked, judge, sound_library},
    write,
};
use crate::{
    cli::{EvalArgs, PlainFormat},
    config::{self, Environment},
    eval::{Evaluation, Label, Trial, render},
    evidence::bundle::{Bundle, Limits},
    exit::Exit,
    input,
    runbook::Library,
    sources,
};

/// The truth beside a recording.
const LABEL: &str = "label.json";

/// Folders between a folder given and a recording.
const DEPTH: usize = 2;

/// Sweeps every labelled recording and prints the score.
pub fn run(args: &EvalArgs, env: &Environment) -> anyhow::Result<Exit> {
    let dirs = config::directories(&args.library.runbooks, &args.library.config, env)?;
    let library = sound_library(&dirs, None)?;
    args.answer.output.as_deref().map_or(Ok(()), write::check_destination)?;
    let found = find(&args.folders)?;
    if found.is_empty() {
        return Err(nothing_labelled(&args.folders).into());
    }
    let trials: Vec<_> =
        found.iter().map(|one| trial(one, &library)).collect::<anyhow::Result<_>>()?;
    let evaluation = Evaluation::of(&trials);
    let text = match args.answer.format {
        PlainFormat::Terminal => render::terminal(&evaluation),
        PlainFormat::Json => render::json(&evaluation),
    };
    match &args.answer.output {
        Some(path) => write::file(path, &text)?,
        None => write::print(&text)?,
    }
    Ok(Exit::Clean)
}

/// A labelled recording on disk.
#[derive(Debug, PartialEq, Eq)]
struct Labelled {
    name: String,
    folder: PathBuf,
}

/// Every labelled recording under the folders, each once, in the order of the folders and names.
fn find(folders: &[PathBuf]) -> anyhow::Result<Vec<Labelled>> {
    let (mut found, mut seen) = (Vec::new(), BTreeSet::new());
    for folder in folders {
        for recording in recordings(folder, DEPTH)? {
            let real = recording.canonicalize().unwrap_or_else(|_| recording.clone());
            if seen.insert(real) {
                found.push(Labelled { name: name(folder, &recording), folder: recording });
            }
        }
    }
    Ok(found)
}

/// The way from the folder given to the recording; of the folder given itself, its own name.
fn name(folder: &Path, recording: &Path) -> String {
    let inside = recording.strip_prefix(folder).unwrap_or(recording);
    let own = recording.file_name().map(Path::new).unwrap_or(recording);
    let shown = if inside.as_os_str().is_empty() { own } else { inside };
    shown.display().to_string()
}

#[expect(clippy::disallowed_methods, reason = "looks for recordings")]
fn recordings(folder: &Path, depth: usize) -> anyhow::Result<Vec<PathBuf>> {
    let captured = ["capture", "capture.tar.zst"].iter().any(|name| folder.join(name).exists());
    if captured && folder.join(LABEL).is_file() {
        return Ok(vec![folder.to_path_buf()]);
    }
    let entries = std::fs::read_dir(folder)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .with_context(|| format!("failed to read the folder {}", folder.display()))?;
    let mut inside: Vec<_> = entries.iter().map(std::fs::DirEntry::path).collect();
    inside.retain(|path| depth > 0 && path.is_dir());
    inside.sort();
    let found: Vec<_> =
        inside.iter().map(|path| recordings(path, depth - 1)).collect::<anyhow::Result<_>>()?;
    Ok(found.concat())
}

/// The truth of every labelled recording in a folder, by name.
pub(super) fn labels(folder: &Path) -> anyhow::Result<Vec<(String, Label)>> {
    let found = find(&[folder.to_path_buf()])?.into_iter();
    found.map(|it| Ok((it.name, label(&it.folder.join(LABEL))?))).collect()
}

/// One that cannot be read is an error: a score without it would be another score.
fn trial(labelled: &Labelled, library: &Library) -> anyhow::Result<Trial> {
    let label = label(&labelled.folder.join(LABEL))?;
    let bundle = Bundle::load(std::slice::from_ref(&labelled.folder), &Limits::default())?;
    let report = judge(&Asked::sweep(), library, &sources::read(&bundle));
    Ok(Trial::new(&labelled.name, label, &report, library))
}

/// Largest label that is read, bytes.
const MOST_LABEL: u64 = 1 << 20;

fn label(path: &Path) -> anyhow::Result<Label> {
    let text = input::text(path, MOST_LABEL)
        .with_context(|| format!("failed to read {}", path.display()))?;
    serde_json::from_str(&text)
        .with_context(|| format!("failed to read {}: it is no label", path.display()))
}

fn nothing_labelled(folders: &[PathBuf]) -> Failure {
    let folders: Vec<_> = folders.iter().map(|folder| folder.display().to_string()).collect();
    Failure {
        tried: format!("find labelled recordings in {}", folders.join(", ")),
        happened: format!("no folder in there holds a {LABEL} beside a capture"),
        next: "a folder such as fixtures/incidents of this project's repository".into(),
        exit: Exit::Inconclusive,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_recording_is_named_by_the_way_to_it() {
        let name = |folder: &str, recording: &str| name(Path::new(folder), Path::new(recording));
        assert_eq!(name("a/b", "a/b/c/d"), "c/d");
        assert_eq!(name("a/b", "a/b"), "b");
    }
}
