//! What servers of history answer, as a bundle keeps it, without a server: for fuzzing alone.

use super::{mlflow, prometheus};

/// The record of one answer of Prometheus about its series; `None` where the answer is refused.
/// Times count from an hour before `now_ms`, Unix milliseconds.
pub fn prometheus_record(answer: &str, now_ms: u64) -> Option<Vec<u8>> {
    prometheus::record_of(answer, now_ms as i64)
}

/// The record of the spans of one trace; `None` where they are no JSON.
pub fn mlflow_record(spans: &[u8]) -> Option<Vec<u8>> {
    mlflow::record_of(&serde_json::from_slice(spans).ok()?)
}
