//! When the client was too slow, when a server is over-saturated, and what may grow or run full: data.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::scenario::seconds;

/// `limits.yaml`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    /// Limits of the client's own measurements.
    pub client: ClientLimits,
    /// When a server is plainly over-saturated.
    pub saturation: SaturationLimits,
    /// What may grow.
    pub trends: TrendLimits,
    /// What may have held the server back, the most telling first.
    pub bottlenecks: Vec<BottleneckRule>,
}

/// A limit of the server that may be reached.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BottleneckRule {
    /// Stable id.
    pub id: String,
    /// The signal.
    pub signal: String,
    /// The value above which it held the server back.
    pub above: f64,
    /// What that means, a fragment; `{now}` is the value, `{signal|words}` that of another signal or
    /// the words where it is missing.
    pub says: String,
}

/// Beyond any of these the numbers are the client's own.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ClientLimits {
    /// Lateness of a timer, 99th percentile, seconds.
    pub loop_lag_p99: f64,
    /// Share of one core that the sending thread used.
    pub cpu_share: f64,
    /// Lateness of sending where a slot was free, 99th percentile, seconds.
    pub send_late_p99: f64,
    /// Requests that the client could not send.
    pub client_errors: f64,
}

/// When a server is plainly over-saturated.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SaturationLimits {
    /// Length of the pieces that are compared, e.g. `5s`.
    #[serde(deserialize_with = "seconds")]
    #[schemars(with = "String")]
    pub bin: f64,
    /// Pieces needed.
    pub least_bins: usize,
    /// Pieces looked back.
    pub most_bins: usize,
    /// Chance below which a rise is no chance.
    pub p_value: f64,
    /// Share of the arrivals by which the backlog must grow.
    pub growth: f64,
}

/// What may grow over a test, and when it has.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TrendLimits {
    /// Samples needed.
    pub least_samples: usize,
    /// Chance below which a rise is no chance.
    pub p_value: f64,
    /// What is looked at.
    pub of: Vec<TrendRule>,
}

/// Something that may grow.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TrendRule {
    /// Stable id.
    pub id: String,
    /// What it is.
    pub title: String,
    /// The signal.
    pub signal: String,
    /// Growth an hour that matters, as a share of the first value.
    pub matters: f64,
}
