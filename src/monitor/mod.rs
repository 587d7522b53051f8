//! Objectives, alerts and dashboards: what is watched all the time, as data.
//!
//! Measures, alert rules and objectives stand in `runbooks/monitoring/`, their thresholds in
//! `policy.yaml`. Each measure can be asked of Prometheus ([`promql`]) and be read from evidence
//! ([`read`]), so that what pages and what is judged is one thing.

pub mod apply;
pub mod burn;
pub mod cloudwatch;
pub mod cloudwatch_burn;
pub mod cloudwatch_dashboard;
pub mod collector;
pub mod dashboard;
pub mod emf;
pub mod events;
pub mod grafana;
pub mod lint;
pub mod load;
pub mod names;
pub mod objective;
pub mod page;
pub mod prometheus;
pub mod promql;
pub mod read;
pub mod rule;
pub mod shown;
pub mod shown_slo;
mod sound;
pub mod state;
pub mod suggest;
pub mod tables;
pub mod target;

use serde::Deserialize;

use crate::{evidence::gateway::GatewayRecord, runbook::Severity, unit::Unit};

/// Something that can be measured, and how each backend is asked for it.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Measure {
    /// `<thing>_<statistic>_<base unit>`; where a signal has the same name, both read the same.
    pub id: String,
    /// Title of a panel.
    pub title: String,
    /// Unit of its values.
    pub unit: Unit,
    /// How the metrics of vLLM tell it.
    #[serde(default)]
    pub metrics: Option<Query>,
    /// How gateway records tell it.
    #[serde(default)]
    pub records: Option<RecordQuery>,
    /// How CloudWatch tells it.
    #[serde(default)]
    pub cloudwatch: Option<CloudQuery>,
    /// How an exporter beside vLLM tells it.
    #[serde(default)]
    pub exporter: Option<ExporterQuery>,
    /// Paths of which one answers 200 where the server is well.
    #[serde(default)]
    pub probe: Vec<String>,
}

/// A question to metrics; families are those of [`crate::signals::families`].
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Query {
    /// A quantile of a histogram.
    Quantile {
        /// 0 to 1.
        q: f64,
        /// The family.
        of: String,
    },
    /// The mean of a histogram's observations.
    Mean {
        /// The family.
        of: String,
    },
    /// A gauge.
    Gauge {
        /// The family.
        of: String,
        /// How replicas add up.
        across: Across,
    },
    /// How fast counters grow together.
    Rate {
        /// The families.
        of: Vec<String>,
        /// Per what time.
        per: Per,
    },
    /// The growth of one counter over that of another.
    Ratio {
        /// Above the line.
        of: Part,
        /// Below the line.
        to: Part,
    },
}

/// How the gauges of replicas add up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Across {
    /// Their sum.
    Sum,
    /// The largest.
    Max,
}

/// Per what time something is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Per {
    /// A second.
    Second,
    /// A minute.
    Minute,
}

impl Per {
    /// Its length in seconds.
    pub fn seconds(self) -> f64 {
        match self {
            Self::Second => 1.0,
            Self::Minute => 60.0,
        }
    }
}

/// A counter, or those of its children whose label begins with one of some characters.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Part {
    /// The family.
    pub family: String,
    /// The label that children are told by.
    #[serde(default)]
    pub label: Option<String>,
    /// First characters of its value, any of which counts.
    #[serde(default)]
    pub starts_with: String,
}

/// A question to gateway records.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum RecordQuery {
    /// A quantile of a field in milliseconds, as seconds.
    Quantile {
        /// 0 to 1.
        q: f64,
        /// The field.
        of: RecordField,
    },
    /// Requests per second.
    Rate {},
    /// Share of requests with a 5xx status or without an answer in time.
    Failed {},
}

/// A field of gateway records.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RecordField {
    /// Time to first token.
    TtftMs,
    /// Time to the end of the answer.
    TotalMs,
    /// Time in the engine's queue.
    QueueWaitMs,
}

impl RecordField {
    /// Its value in a record, milliseconds.
    pub fn read(self, record: &GatewayRecord) -> Option<f64> {
        match self {
            Self::TtftMs => record.ttft_ms,
            Self::TotalMs => record.total_ms,
            Self::QueueWaitMs => record.queue_wait_ms,
        }
    }
}

/// A question to CloudWatch.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CloudQuery {
    /// The metric, in its usual spelling.
    pub metric: String,
    /// `Average`, `Sum`, `SampleCount`, `Maximum` or a percentile such as `p95`. A sum or a number of
    /// samples is divided by time where the measure's unit is a rate.
    pub statistic: String,
    /// The metric that it is divided by, where the measure is a ratio of two.
    #[serde(default)]
    pub over: Option<String>,
    /// Its dimensions; the usual ones where empty.
    #[serde(default)]
    pub by: Vec<String>,
    /// Its namespace; that of the gateway where there is none.
    #[serde(default)]
    pub namespace: Option<String>,
    /// Factor from its own unit to the measure's; that of its name where there is none.
    #[serde(default)]
    pub scale: Option<f64>,
}

impl CloudQuery {
    /// Factor from the metric's own unit to that of the measure: names that end in `Ms` are
    /// milliseconds, but a number of samples has no unit.
    pub fn scale(&self) -> f64 {
        let milliseconds = self.metric.ends_with("Ms") && self.statistic != "SampleCount";
        self.scale.unwrap_or(if milliseconds { 1e-3 } else { 1.0 })
    }

    /// The statistic that tells how many per cent of the samples are at or below a bound, which is in
    /// the unit of the measure: percentile rank.
    pub fn rank(&self, bound: f64) -> String {
        let bound = (bound / self.scale() * 1e6).round() / 1e6;
        format!("PR(:{bound})")
    }

    /// Names of its dimensions.
    pub fn dimensions(&self) -> Vec<&str> {
        match self.by.is_empty() {
            true => names::DIMENSIONS.to_vec(),
            false => self.by.iter().map(String::as_str).collect(),
        }
    }
}

/// A question to an exporter beside vLLM, under the names that it has there.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExporterQuery {
    /// The exporter, e.g. `dcgm-exporter`.
    pub exporter: String,
    /// Its metric.
    pub metric: String,
    /// A metric that makes the whole together with the first, which then is a share of it.
    #[serde(default)]
    pub rest: Option<String>,
    /// Whether the growth over the window is asked, and not the last value.
    #[serde(default)]
    pub growth: bool,
    /// Factor to the measure's unit; 1 where there is none.
    #[serde(default)]
    pub scale: Option<f64>,
    /// Labels that tell its series apart.
    pub by: Vec<String>,
    /// What the exporter must be told for the metric to be there.
    #[serde(default)]
    pub needs: Option<String>,
}

/// An alert rule.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Alert {
    /// Its id, in kebab case.
    pub id: String,
    /// A short title.
    pub title: String,
    /// Whether it pages (`critical`) or waits for the day (`warning`).
    pub severity: Severity,
    /// Conditions that hold together.
    pub all: Vec<Condition>,
    /// Time that each condition looks back over, e.g. `5m`.
    pub window: String,
    /// How long the conditions hold before it fires, e.g. `2m`.
    #[serde(rename = "for")]
    pub lasting: String,
    /// What no data means.
    pub missing: MissingMeans,
    /// The runbook to run.
    pub runbook: String,
    /// What to do first.
    pub action: String,
}

/// What no data means to an alert.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MissingMeans {
    /// All is well.
    Fine,
    /// It fires.
    Breach,
}

/// One comparison; exactly one of the three bounds is set.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Condition {
    /// The measure.
    pub measure: String,
    /// It holds above this.
    #[serde(default)]
    pub above: Option<Threshold>,
    /// It holds below this.
    #[serde(default)]
    pub below: Option<Threshold>,
    /// It holds above so many times the measure's own baseline.
    #[serde(default)]
    pub above_baseline: Option<f64>,
    /// A window of its own.
    #[serde(default)]
    pub window: Option<String>,
}

/// A threshold: an entry of policy.yaml, or a number in the measure's unit.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(untagged)]
pub enum Threshold {
    /// The number itself.
    Number(f64),
    /// The entry's name.
    Policy(String),
}

/// A service level objective.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Slo {
    /// Its id, in kebab case.
    pub id: String,
    /// A short title.
    pub title: String,
    /// Least share of good events, above 0 and below 1.
    pub objective: f64,
    /// The period that the budget is counted for, e.g. `30d`.
    pub period: String,
    /// The rolling time that its present value is read over, e.g. `1h`.
    pub window: String,
    /// Events are requests, and errors are bad ones: the measure is a ratio.
    #[serde(default)]
    pub errors: Option<Errors>,
    /// Events are observations, and late ones are bad.
    #[serde(default)]
    pub latency: Option<Latency>,
    /// What users say where it is missed.
    pub users: String,
    /// What that means to the business.
    pub business: String,
    /// Set of burn-rate tiers, if it has one.
    #[serde(default)]
    pub burn: Option<String>,
    /// Its own rules beside the tiers.
    #[serde(default)]
    pub rules: Vec<SloRule>,
}

/// Which ratio counts the bad events.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Errors {
    /// The measure, a ratio.
    pub measure: String,
}

/// Which observations are good.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Latency {
    /// The measure, a quantile; its family holds the observations.
    pub measure: String,
    /// Seconds up to which an observation is good.
    pub good_under: f64,
}

/// A rule of an objective beside the burn-rate tiers.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SloRule {
    /// Its id, in kebab case.
    pub id: String,
    /// A short title.
    pub title: String,
    /// Whether it pages.
    pub severity: Severity,
    /// It fires where this share of the budget is spent …
    #[serde(default)]
    pub spends: Option<f64>,
    /// … or the ratio of bad events is above this …
    #[serde(default)]
    pub ratio_above: Option<f64>,
    /// … within this time,
    #[serde(default)]
    pub within: Option<String>,
    /// or where the measure is above this …
    #[serde(default)]
    pub above: Option<f64>,
    /// … for this long.
    #[serde(default, rename = "for")]
    pub lasting: Option<String>,
}

/// One tier of a burn-rate alert.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TierRule {
    /// Its id.
    pub id: String,
    /// Share of the budget that is gone when it fires.
    pub spends: f64,
    /// Long window of a 30-day period.
    pub long: String,
    /// Short window, which lets it end soon after the trouble.
    pub short: String,
    /// Whether it pages.
    pub severity: Severity,
}

/// Reads a length of time such as `5m`, `30d` or `0s`, in seconds. A day has 24 hours.
pub fn seconds(text: &str) -> Option<f64> {
    let number = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = match &text[number.len()..] {
        "s" => 1.0,
        "m" => 60.0,
        "h" => 3600.0,
        "d" => 86400.0,
        "w" => 604_800.0,
        _ => return None,
    };
    let value: f64 = number.parse().ok()?;
    (value >= 0.0).then_some(value * unit)
}

/// Writes seconds as Prometheus writes durations, e.g. `5m` or `1h30m`.
pub fn duration(seconds: f64) -> String {
    let mut rest = seconds.round().max(0.0) as u64;
    let mut text = String::new();
    for (unit, length) in [("d", 86400), ("h", 3600), ("m", 60), ("s", 1)] {
        if rest >= length {
            text.push_str(&format!("{}{unit}", rest / length));
            rest %= length;
        }
    }
    if text.is_empty() { "0s".into() } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_and_written_as_prometheus_does() {
        assert_eq!(seconds("5m"), Some(300.0));
        assert_eq!(seconds("30d"), Some(2_592_000.0));
        assert_eq!(
            (seconds("0s"), seconds("5"), seconds("m"), seconds("-1s")),
            (Some(0.0), None, None, None)
        );
        assert_eq!(
            (duration(300.0), duration(5400.0), duration(0.0)),
            ("5m".into(), "1h30m".into(), "0s".to_string())
        );
    }
}
