//! The machine of the server as `/proc` and its cgroup show it, at one moment.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Time;

/// One look at the machine. What could not be read is `None`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct HostRound {
    /// When, Unix seconds.
    pub at: Time,
    /// CPUs that are online.
    pub cpus: Option<u32>,
    /// Load average over one minute.
    pub load_1m: Option<f64>,
    /// Stalls for CPU, memory and I/O over the whole machine.
    pub pressure: BTreeMap<String, Pressure>,
    /// Memory, bytes.
    pub memory_total_bytes: Option<u64>,
    /// Memory that can be had without swapping, bytes.
    pub memory_available_bytes: Option<u64>,
    /// The cgroup of the server.
    pub cgroup: Option<Cgroup>,
    /// The server's process first, then those it started.
    pub processes: Vec<HostProcess>,
    /// The file system that holds the model.
    pub model_disk: Option<Disk>,
}

/// Pressure-stall information: the share of time in which some task waited.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Pressure {
    /// Over the last minute, percent.
    pub some_avg60: f64,
    /// Since boot, microseconds.
    pub some_total_us: u64,
}

/// Limits and counters of a cgroup, version 1 or 2.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Cgroup {
    /// Its path, as the server's process names it.
    pub path: String,
    /// CPUs that its quota gives; `None` without a quota.
    pub cpu_limit: Option<f64>,
    /// Periods of the quota that ran.
    pub cpu_periods: Option<u64>,
    /// Those in which it was used up.
    pub cpu_throttled_periods: Option<u64>,
    /// Memory in use without the page cache that can be dropped, bytes.
    pub memory_used_bytes: Option<u64>,
    /// Its limit, bytes; `None` without one.
    pub memory_limit_bytes: Option<u64>,
    /// Processes killed for want of memory in it.
    pub oom_kills: Option<u64>,
}

/// A process of the server.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct HostProcess {
    /// Process id.
    pub pid: u32,
    /// Id of the process that started it.
    pub parent: u32,
    /// Name, at most 15 characters, e.g. `VLLM::EngineCor`.
    pub name: String,
    /// Command line without secrets.
    pub args: Vec<String>,
    /// When it was started, Unix seconds.
    pub started: Option<Time>,
    /// Resident memory, bytes.
    pub resident_bytes: Option<u64>,
    /// Threads.
    pub threads: Option<u32>,
    /// Open files.
    pub open_files: Option<u64>,
    /// Most open files allowed.
    pub open_files_limit: Option<u64>,
    /// Variables that configure vLLM and its libraries; values only where they are harmless.
    pub env: BTreeMap<String, Option<String>>,
}

/// A file system.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Disk {
    /// A path on it.
    pub path: String,
    /// Size, bytes.
    pub total_bytes: u64,
    /// What the server may still write, bytes.
    pub free_bytes: u64,
}
