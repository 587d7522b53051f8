//! Everything that touches the outside: servers, files of others, the clock.

pub mod adapters;
pub mod aws;
mod cloud;
pub mod exposition;
mod facts;
#[doc(hidden)]
pub mod fuzzing;
pub mod gateway;
pub mod host;
pub mod http;
pub mod kernel;
pub mod kube;
pub mod local;
pub mod log_patterns;
pub mod logs;
pub mod mlflow;
pub mod nvml;
pub mod openai;
pub mod prometheus;
mod read;
pub mod tickets;
pub mod vllm;

pub use read::read;

use std::io;

use crate::evidence::{SourceState, SourceStatus, bundle::Bundle};

/// The state of a source whose file could not be read.
fn state_of(error: &io::Error) -> SourceState {
    match error.kind() {
        io::ErrorKind::NotFound => SourceState::Unreachable,
        io::ErrorKind::PermissionDenied => SourceState::Unauthorized,
        io::ErrorKind::TimedOut => SourceState::TimedOut,
        _ => SourceState::BadData,
    }
}

/// What a source of history answered, to be kept in a bundle.
#[derive(Debug, Default)]
pub struct Fetched {
    /// Folder of the bundle, and the answers as JSON.
    pub record: Option<(&'static str, Vec<u8>)>,
    /// Lines of the server's log.
    pub log: Option<Vec<u8>>,
    /// How asking went, one for each service.
    pub statuses: Vec<SourceStatus>,
}

impl Fetched {
    /// Puts the answers into a bundle, as of `at` in Unix milliseconds. A log that is there already
    /// came from nearer the server and stays.
    pub fn keep(self, bundle: &mut Bundle, at: u64) {
        if let Some((folder, body)) = self.record {
            bundle.record(folder, at, body);
        }
        bundle.log = bundle.log.take().or(self.log);
        bundle.meta.sources.extend(self.statuses);
    }
}
