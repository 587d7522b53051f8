//! What was seen: time series, probes, facts and events, each with its time and its source.
//!
//! Plain data. Nothing here reads anything by itself, and nothing here judges.

pub mod adapter;
#[expect(clippy::disallowed_methods, reason = "the bundle is files on disk")]
pub mod bundle;
pub mod cloud;
pub mod exchange;
pub mod gateway;
pub mod gpu;
pub mod histogram;
pub mod host;
pub mod kernel;
pub mod kube;
pub mod log;
pub mod series;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub use adapter::AdapterFolder;
pub use cloud::{Cloud, Endpoint};
pub use gateway::GatewayLog;
pub use gpu::GpuSnapshot;
pub use host::HostRound;
pub use kernel::{KernelEvent, KernelFact, KernelLog};
pub use series::{Series, SeriesSet, View};

/// Seconds since the Unix epoch.
pub type Time = f64;

/// Everything that a diagnosis may rest on.
#[derive(Debug, Clone, Default)]
pub struct Evidence {
    /// What was looked at.
    pub target: Target,
    /// Start and end of the evidence.
    pub span: Span,
    /// Every sample of every `/metrics` page, by series.
    pub series: SeriesSet,
    /// HTTP probes of the server, in time order.
    pub probes: Vec<ProbeRound>,
    /// What is known of the server's version, flags and configuration.
    pub facts: BTreeMap<String, Fact>,
    /// Things that happened at one moment: restarts, log matches, later deploys and alarms.
    pub events: Vec<Event>,
    /// Adapters' folders as they lay on disk when the evidence was gathered.
    pub adapters: Vec<AdapterFolder>,
    /// What the GPU driver said, in time order.
    pub gpus: Vec<GpuSnapshot>,
    /// Finished HTTP requests as the server's access log shows them.
    pub access: Vec<AccessLine>,
    /// The server's log.
    pub log: log::ServerLog,
    /// What Kubernetes says of the server's pods, where it was asked.
    pub kube: Option<kube::Cluster>,
    /// What the kernel's log tells; `None` where it was not read.
    pub kernel: Option<KernelLog>,
    /// Requests as the gateway saw them; `None` where its records were not read.
    pub gateway: Option<GatewayLog>,
    /// Requests as their traces tell; `None` where no traces were read.
    pub traces: Option<GatewayLog>,
    /// What the cloud says; `None` where it was not asked.
    pub cloud: Option<Cloud>,
    /// The server's machine, one look after the other.
    pub host: Vec<HostRound>,
    /// How each source answered.
    pub sources: Vec<SourceStatus>,
}

/// The thing under diagnosis.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Target {
    /// The server's URL without credentials, or the path of a recording.
    pub name: String,
    /// Served model names, as the metrics' `model_name` label has them.
    pub models: Vec<String>,
    /// vLLM version, where known.
    pub version: Option<String>,
    /// `V0` or `V1`, where the page tells.
    pub engine: Option<String>,
}

/// A span of time, both ends included.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Span {
    /// Start, Unix seconds.
    pub from: Time,
    /// End, Unix seconds.
    pub to: Time,
}

impl Span {
    /// Length in seconds.
    pub fn seconds(self) -> f64 {
        (self.to - self.from).max(0.0)
    }

    /// Whether `at` lies inside.
    pub fn contains(self, at: Time) -> bool {
        (self.from..=self.to).contains(&at)
    }
}

/// One round of HTTP probes: path → outcome.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ProbeRound {
    /// When the round began, Unix seconds.
    pub at: Time,
    /// Outcome by path, e.g. `/health`.
    pub paths: BTreeMap<String, Probe>,
}

/// The outcome of one HTTP request: a status, or an error, with the time it took.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Probe {
    /// HTTP status, where one came.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// What went wrong, where no status came.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// Milliseconds until the whole answer was read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ms: Option<f64>,
    /// The body, cut to a bounded length.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<String>,
    /// The server's own time in the answer's `Date`, Unix seconds, cut to whole ones.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub date: Option<Time>,
}

/// A value that describes the server for as long as it runs, with where it was read.
#[derive(Debug, Clone, PartialEq)]
pub struct Fact {
    /// The value as text, e.g. `8192` or `True`.
    pub value: String,
    /// Where it was read, e.g. `/version` or `server flags`.
    pub source: String,
}

/// Something that happened at one moment, or between two looks.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// The latest moment at which it can have happened.
    pub at: Time,
    /// The last moment at which it had not happened yet; equal to `at` where the time is exact.
    pub not_before: Time,
    /// What kind of thing it is.
    pub kind: EventKind,
    /// One sentence for the timeline.
    pub text: String,
    /// The source that tells it and whose clock dates it, e.g. `gateway`.
    pub source: &'static str,
}

/// Kinds of event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum EventKind {
    /// The server process restarted.
    Restart,
    /// The server's version changed.
    VersionChanged,
    /// A flag or the cache configuration changed.
    ConfigChanged,
    /// A probe or a scrape began to fail.
    ProbeFailed,
    /// A failed probe or scrape answered again.
    ProbeRecovered,
    /// A known line stands in a log.
    LogLine,
    /// The kernel reported an error of a GPU, or killed a process.
    Kernel,
    /// A prompt version went out.
    PromptVersion,
    /// The server began to serve an adapter.
    AdapterLoaded,
    /// The server no longer serves an adapter.
    AdapterUnloaded,
    /// Kubernetes reported something of a pod.
    Pod,
    /// A GPU reports a fault, is held back, or is shared with a stranger.
    GpuState,
    /// An alarm changed its state, or an alert began or ended.
    Alarm,
    /// A new release of the endpoint went out.
    Deploy,
    /// The endpoint was scaled, or was to be scaled.
    Scaling,
}

impl EventKind {
    /// Whether it changes the system, and so may be behind what follows; other events are signs.
    pub fn is_change(self) -> bool {
        use EventKind::{
            AdapterLoaded, AdapterUnloaded, ConfigChanged, Deploy, PromptVersion, Restart, Scaling,
            VersionChanged,
        };
        matches!(
            self,
            Restart
                | VersionChanged
                | ConfigChanged
                | PromptVersion
                | AdapterLoaded
                | AdapterUnloaded
                | Deploy
                | Scaling
        )
    }
}

/// One finished request in the server's access log.
#[derive(Debug, Clone, PartialEq)]
pub struct AccessLine {
    /// When it finished; access lines carry no time, so it is that of the nearest dated line before.
    pub at: Option<Time>,
    /// Request path without the query.
    pub path: String,
    /// HTTP status.
    pub status: u16,
}

/// How a source answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct SourceStatus {
    /// Stable name, e.g. `metrics`, `probes`, `log`.
    pub id: String,
    /// The outcome.
    pub status: SourceState,
    /// What was read or what went wrong, and what to try.
    pub detail: String,
    /// How long it took, where the evidence recorded it.
    pub took_ms: Option<u64>,
}

/// Outcomes of asking a source.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SourceState {
    /// It answered.
    Ok,
    /// It answered in part; the detail says what is lost.
    Partial,
    /// Nothing listens there, or the name does not resolve.
    Unreachable,
    /// It refused the credentials, or asked for some.
    Unauthorized,
    /// It did not answer in time.
    TimedOut,
    /// It answered that it has no such thing.
    Unsupported,
    /// It answered with something that is not what it should be.
    BadData,
    /// Nobody asked for it.
    NotConfigured,
}

impl SourceState {
    /// Whether the source gave anything to judge by.
    pub fn answered(self) -> bool {
        matches!(self, Self::Ok | Self::Partial)
    }
}

impl Evidence {
    /// The status of one source, where it was asked.
    pub fn source(&self, id: &str) -> Option<&SourceStatus> {
        self.sources.iter().find(|source| source.id == id)
    }

    /// A fact's text.
    pub fn fact(&self, name: &str) -> Option<&str> {
        self.facts.get(name).map(|fact| fact.value.as_str())
    }
}
