//! The public result of a load test, version 1. Fields are only added.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    evidence::exchange::{Exchange, Outcome},
    report::{Report, Tool},
    unit::Unit,
};

/// Records that a result keeps; of longer tests the first ones.
pub const MOST_RECORDS: usize = 200_000;

/// The result of a load test, version 1. Times are seconds, times of day RFC 3339 UTC.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct LoadResult {
    /// Always 1.
    pub schema_version: u32,
    /// Always `load`: tells a result from a report.
    pub command: String,
    /// The tool that wrote it.
    pub tool: Tool,
    /// The server's URL, without credentials.
    pub target: String,
    /// vLLM's version, where known.
    pub server_version: Option<String>,
    /// What was asked of the server.
    pub scenario: Used,
    /// When the first request was due.
    pub started: String,
    /// When the last answer had ended.
    pub ended: String,
    /// Seconds from one to the other.
    pub seconds: f64,
    /// What the gate says.
    pub verdict: Verdict,
    /// The verdict in one sentence, with its reason.
    pub statement: String,
    /// Why the test ended before its time; absent where it did not.
    pub cut_short: Option<CutShort>,
    /// Whether the client kept up. Where it did not, nothing else here can be trusted.
    pub client: ClientCheck,
    /// How many requests there were.
    pub counts: Counts,
    /// Failed requests by what happened, warm-up left out.
    pub errors: Vec<ErrorRow>,
    /// Latencies over the requests judged.
    pub latency: Vec<Distribution>,
    /// What was got through in the time judged.
    pub throughput: Throughput,
    /// Rows of the gate.
    pub gate: Vec<GateRow>,
    /// The same latencies by kind of request and by model, where there are several.
    pub slices: Vec<Slice>,
    /// What grew over the test, by the server's evidence.
    pub trends: Vec<Trend>,
    /// Mean time to first token at the client beside that at the server.
    pub first_token: Option<FirstToken>,
    /// Why: causes that the server's evidence supports, the likeliest root first.
    pub why: Vec<Why>,
    /// Limits of the server that were reached over the test, the most telling first.
    pub bottlenecks: Vec<Bottleneck>,
    /// Why there is no server evidence, where there is none.
    pub without_evidence: Option<String>,
    /// The report on the server over the test.
    pub report: Option<Report>,
    /// Every request in the order of sending, up to 200,000.
    pub records: Vec<Exchange>,
    /// Requests beyond those, which are counted above and not kept.
    pub records_cut: u64,
}

/// The scenario as it ran, all overrides in.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Used {
    /// Its id.
    pub id: String,
    /// Its title.
    pub title: String,
    /// Seed of everything drawn by chance.
    pub seed: u64,
    /// `chat` or `completions`.
    pub api: String,
    /// `constant`, `poisson`, `ramp` or `trace`.
    pub arrivals: String,
    /// Requests per second asked for; absent where a trace gives the times.
    pub rate: Option<f64>,
    /// Seconds of sending, the warm-up included.
    pub duration: f64,
    /// Seconds of warm-up, which are not judged.
    pub warmup: f64,
    /// Most requests at once.
    pub concurrency: u32,
    /// Most requests altogether, warm-up included.
    pub most_requests: Option<u64>,
    /// Seconds after which a request counts as timed out.
    pub timeout: f64,
    /// Models and adapters asked; records name them by index.
    pub models: Vec<String>,
    /// Kinds of request; records name them by index.
    pub mix: Vec<MixEntry>,
    /// Fingerprint of all that decides what is sent (scenario, overrides and seed): two results
    /// with the same one asked for the same.
    pub fingerprint: String,
}

/// A kind of request.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct MixEntry {
    /// Its id.
    pub id: String,
    /// Its share of all requests, 0 to 1.
    pub share: f64,
}

/// What the gate says. Of several reasons the first that holds here wins: invalid, failed, too
/// few, warning, passed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Every objective is met.
    Passed,
    /// An objective lies between pass and fail.
    Warning,
    /// An objective is missed.
    Failed,
    /// There are too few requests, or no evidence, to say so of every objective.
    TooFew,
    /// The client was the bottleneck: the numbers are its own and not the server's.
    Invalid,
}

/// Why a test ended before its time.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CutShort {
    /// What ended it.
    pub by: CutBy,
    /// Seconds from the start.
    pub at: f64,
    /// One sentence; with over-saturation the test and its numbers.
    pub why: String,
}

/// What ends a test before its time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum CutBy {
    /// SIGINT or SIGTERM.
    Signal,
    /// The server is plainly over-saturated.
    Saturation,
    /// The server cannot be reached, or refuses every request.
    NoServer,
}

/// Whether the client kept up.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ClientCheck {
    /// Whether the numbers are the server's.
    pub valid: bool,
    /// What was measured of the client, with the limit that each must keep.
    pub rows: Vec<ClientRow>,
}

/// One measurement of the client.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ClientRow {
    /// `loop_lag_p99`, `cpu_share`, `send_late_p99` or `client_errors`.
    pub id: String,
    /// What it is.
    pub title: String,
    /// The value; absent where it could not be read.
    pub value: Option<f64>,
    /// Unit.
    pub unit: Unit,
    /// The value above which the result is invalid.
    pub limit: f64,
    /// Whether it is kept.
    pub ok: bool,
}

/// How many requests there were.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Counts {
    /// Due within the time that the test lasted.
    pub due: u64,
    /// Sent.
    pub sent: u64,
    /// Of those in the warm-up, which are not judged.
    pub warmup: u64,
    /// Judged: all others that ended.
    pub judged: u64,
    /// Answered, of those judged.
    pub ok: u64,
    /// Failed, of those judged.
    pub failed: u64,
    /// Still open when the test ended; neither.
    pub cut: u64,
    /// Judged requests that had to wait for one of the slots.
    pub waited: u64,
    /// How long those waited.
    pub slot_wait: Option<Distribution>,
    /// Judged requests whose tokens are chunks that were counted.
    pub counted_tokens: u64,
}

/// Failed requests of one class.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ErrorRow {
    /// What happened.
    pub outcome: Outcome,
    /// How often.
    pub count: u64,
    /// Words of the first one, cut and without secrets.
    pub example: Option<String>,
}

/// A latency over several requests, in seconds. Percentiles are within 0.1 %.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Distribution {
    /// What was measured.
    pub of: Measured,
    /// Counted from when.
    pub since: Since,
    /// Requests; for gaps the gaps.
    pub n: u64,
    /// Mean.
    pub mean: f64,
    /// Median.
    pub p50: f64,
    /// 90th percentile.
    pub p90: f64,
    /// 95th percentile.
    pub p95: f64,
    /// 99th percentile.
    pub p99: f64,
    /// Largest.
    pub max: f64,
}

/// What a latency is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Measured {
    /// Time to first token.
    Ttft,
    /// Gap between two chunks of text.
    Gap,
    /// Mean time for each token after the first, of each request.
    Tpot,
    /// Time to the end of the answer.
    Total,
    /// Wait for one of the slots.
    SlotWait,
}

/// What a latency counts from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Since {
    /// When the request should have been sent: what a user waits. The gate judges by this.
    Intended,
    /// When it was sent: what the server did.
    Sent,
    /// The chunk, or the token, before.
    Before,
}

/// What was got through in the time judged.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Throughput {
    /// Seconds judged: from the first request after the warm-up to the end.
    pub seconds: f64,
    /// Requests due per second.
    pub due_per_second: f64,
    /// Requests answered per second.
    pub ok_per_second: f64,
    /// Tokens of answers per second.
    pub output_tokens_per_second: f64,
    /// Tokens of prompts per second, where the server counts them.
    pub prompt_tokens_per_second: Option<f64>,
    /// Share of the requests judged that met every objective of a single request; absent where the
    /// gate has none.
    pub goodput_ratio: Option<f64>,
    /// Requests per second that met them all.
    pub goodput_per_second: Option<f64>,
}

/// A row of the gate.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct GateRow {
    /// Stable id, e.g. `ttft_p50`.
    pub id: String,
    /// What is measured.
    pub title: String,
    /// Unit of all numbers here.
    pub unit: Unit,
    /// The value.
    pub value: Option<f64>,
    /// Interval at 95 % that the true value lies in, by the number of requests.
    pub interval: Option<Interval>,
    /// Requests or tokens that it rests on.
    pub n: u64,
    /// Passes up to here, or from here where more is better.
    pub pass: f64,
    /// Fails beyond here.
    pub fail: f64,
    /// Whether more is better.
    pub more_is_better: bool,
    /// Whether a result without an answer here is inconclusive.
    pub needed: bool,
    /// The answer.
    pub answer: GateAnswer,
    /// Why it could not be answered, or what it rests on.
    pub why: Option<String>,
}

/// An interval.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Interval {
    /// Lower end.
    pub lo: f64,
    /// Upper end.
    pub hi: f64,
}

/// What a row of the gate says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum GateAnswer {
    /// The objective is met.
    Pass,
    /// Between pass and fail.
    Warning,
    /// The objective is missed.
    Fail,
    /// Too few requests, or no evidence.
    NotDecidable,
}

/// Latencies of a part of the requests.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Slice {
    /// `kind` or `model`.
    pub by: String,
    /// Which one.
    pub name: String,
    /// Requests judged.
    pub judged: u64,
    /// Failed, of those.
    pub failed: u64,
    /// Time to first token and total, from the intended time.
    pub latency: Vec<Distribution>,
}

/// Something that may grow over a test.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Trend {
    /// Stable id, e.g. `host_memory`.
    pub id: String,
    /// What is measured.
    pub title: String,
    /// Unit of the values.
    pub unit: Unit,
    /// Samples after the warm-up.
    pub n: u64,
    /// First and last of them.
    pub first: f64,
    /// Last of them.
    pub last: f64,
    /// Growth an hour: the median of the slopes of all pairs (Theil and Sen).
    pub per_hour: f64,
    /// Interval of it at 95 %.
    pub per_hour_interval: Option<Interval>,
    /// Chance of such a trend without growth (Mann and Kendall, one-sided).
    pub p_value: f64,
    /// Whether it grew, beyond chance and beyond what matters.
    pub grew: bool,
}

/// Mean time to first token at both ends, in seconds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct FirstToken {
    /// At the client, from the moment of sending.
    pub client: f64,
    /// At the server, by its own histogram over the test.
    pub server: f64,
    /// The difference: network, proxies, and what the server does before it counts.
    pub between: f64,
    /// Requests that the client counted.
    pub client_n: u64,
    /// Requests that the server counted; others may have used it too.
    pub server_n: f64,
}

/// A limit of the server that was reached.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Bottleneck {
    /// Stable id.
    pub id: String,
    /// The signal that tells it.
    pub signal: String,
    /// Its value over the test.
    pub value: f64,
    /// What it means, a fragment with the value.
    pub text: String,
}

/// A cause.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Why {
    /// Id of the cause, as in the report.
    pub cause: String,
    /// Its title.
    pub title: String,
    /// Probability, 0 to 1.
    pub probability: f64,
    /// The values that decide it.
    pub because: String,
    /// The safest thing to do.
    pub fix: Option<String>,
}
