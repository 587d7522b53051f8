//! Why a recording could not be read or written, and what to try.

use std::io;
use std::path::{Path, PathBuf};

use crate::evidence::SourceStatus;

/// Failures of [`super::Bundle::load`] and [`super::Bundle::save`].
#[derive(Debug, thiserror::Error)]
pub enum BundleError {
    /// No path was given.
    #[error("no recording was given; give a bundle folder, a .tar.zst, or saved /metrics pages")]
    NoPath,
    /// The path itself cannot be opened or listed.
    #[error("cannot read {}: {source}; check that it exists and that you may read it", path.display())]
    Read {
        /// What was opened.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Nothing in it can be judged.
    #[error(
        "no evidence in {}: looked for scrapes/<unix_ms>.prom, probes/<unix_ms>.json and \
         server.log, there and under capture/{lost}; give a bundle folder, a .tar.zst of one, or \
         saved /metrics pages",
        path.display()
    )]
    Nothing {
        /// What was looked through.
        path: PathBuf,
        /// What was there but could not be used, as a clause; may be empty.
        lost: String,
    },
    /// A file of another kind.
    #[error(
        "{} is neither a bundle archive nor a saved /metrics page: {why}; give a bundle folder, \
         a .tar.zst of one, or a page saved with `curl URL/metrics`",
        path.display()
    )]
    Foreign {
        /// The file.
        path: PathBuf,
        /// What tells.
        why: String,
    },
    /// An archive entry that points out of the archive.
    #[error(
        "refused to read {}: its entry `{entry}` {why}; archives made by this tool hold plain \
         files only, so do not trust this one",
        path.display()
    )]
    Unsafe {
        /// The archive.
        path: PathBuf,
        /// The entry's name.
        entry: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// More than one recording in one archive.
    #[error(
        "{} holds several recordings ({roots}); unpack it and give one of them, or give several \
         paths to merge them",
        path.display()
    )]
    Several {
        /// The archive.
        path: PathBuf,
        /// Their folders.
        roots: String,
    },
    /// The bundle could not be written.
    #[error(
        "cannot write {}: {source}; choose a folder that exists, has room, and that you may write",
        path.display()
    )]
    Write {
        /// The destination.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The destination is taken.
    #[error("{} exists and is not an empty folder; choose another name", path.display())]
    Taken {
        /// The destination.
        path: PathBuf,
    },
    /// The destination's name asks for a format that is not written.
    #[error("cannot write {}: bundles are saved as a folder or as .tar.zst", path.display())]
    Format {
        /// The destination.
        path: PathBuf,
    },
}

impl BundleError {
    pub(super) fn read(path: &Path, source: io::Error) -> Self {
        Self::Read { path: path.into(), source }
    }

    pub(super) fn nothing(path: &Path, notes: &[SourceStatus]) -> Self {
        let lost: Vec<&str> = notes.iter().map(|note| note.detail.as_str()).collect();
        let lost = if lost.is_empty() { String::new() } else { format!(" ({})", lost.join("; ")) };
        Self::Nothing { path: path.into(), lost }
    }
}
