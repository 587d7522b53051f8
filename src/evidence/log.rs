//! What a server's log tells, line by line, as plain data.

use serde::Deserialize;

use super::{Event, Time};

/// A server's log, read.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ServerLog {
    /// Whether a log was there at all.
    pub read: bool,
    /// The first moment that the log holds, Unix seconds; `None` where it was not cut.
    pub cut_at: Option<Time>,
    /// Known lines, in the log's order; repetitions within seconds are one.
    pub matches: Vec<LogMatch>,
    /// The periodic stats lines, in the log's order.
    pub stats: Vec<StatsLine>,
    /// Settings that differ between one start and the next.
    pub settings: Vec<Event>,
}

/// A known line.
#[derive(Debug, Clone, PartialEq)]
pub struct LogMatch {
    /// When; a line without a time takes that of the nearest dated line before it.
    pub at: Option<Time>,
    /// Id of the pattern.
    pub pattern: String,
    /// What it counts for.
    pub feeds: Vec<LogKind>,
    /// The line without its prefix, cut to a bounded length, without secrets.
    pub text: String,
    /// How often it came within seconds.
    pub times: usize,
}

/// What a known line counts for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LogKind {
    /// An allocation on the GPU failed.
    OutOfMemory,
    /// CUDA or NCCL reported an error that ends a process.
    CudaFault,
    /// Communication between processes or GPUs hangs or warns.
    CommunicationWarning,
    /// The KV cache would not hold one sequence.
    KvSpace,
    /// A start failed for a reason that the line names.
    StartFailed,
    /// The engine or a worker ended, or could not start; the reason stands elsewhere.
    EngineEnded,
    /// An adapter could not be loaded.
    AdapterLoad,
    /// A prompt was refused as too long.
    PromptTooLong,
    /// Sequences were preempted.
    Preempted,
    /// The server came up and takes requests.
    Ready,
}

/// One periodic stats line. What a version does not print is `None`.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct StatsLine {
    /// When, Unix seconds.
    pub at: Time,
    /// Number of the engine; `None` where the line sums over all engines or names none.
    pub engine: Option<u32>,
    /// Prompt tokens a second.
    pub prompt_rate: Option<f64>,
    /// Generated tokens a second.
    pub generation_rate: Option<f64>,
    /// Requests that run.
    pub running: Option<f64>,
    /// Requests that wait.
    pub waiting: Option<f64>,
    /// Share of KV blocks in use, 0 to 1.
    pub kv_usage: Option<f64>,
    /// Hit rate of the prefix cache over the recent past, 0 to 1.
    pub hit_ratio: Option<f64>,
}
