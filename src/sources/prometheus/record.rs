//! What Prometheus answered, as a bundle keeps it: every sample, in few bytes.

use std::{borrow::Cow, collections::BTreeMap};

use serde::{Deserialize, Serialize};

use crate::{evidence::Time, sources::exposition};

/// Labels of one series, with `__name__`.
pub(super) type Metric = BTreeMap<String, String>;

/// The answers of one run.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Record {
    /// Start of what was asked for, Unix milliseconds: times of samples count from here.
    pub(super) from_ms: i64,
    /// End of what was asked for, Unix milliseconds.
    pub(super) to_ms: i64,
    /// How samples were asked for.
    pub(super) grain: Grain,
    /// Seconds between two scrapes, where they could be told.
    pub(super) interval: Option<f64>,
    /// The usual name of each stored name. A list, as names of metrics are no names of fields, by
    /// which secrets are told.
    pub(super) names: Vec<Named>,
    /// Warnings of Prometheus, and what it did not answer.
    pub(super) lost: Vec<String>,
    /// The answers.
    pub(super) answers: Vec<Answered>,
}

/// A stored name of a metric.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Named {
    /// As Prometheus has it.
    pub(super) stored: String,
    /// As vLLM itself has it.
    pub(super) usual: String,
}

/// How samples were asked for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Grain {
    /// Each sample with its own time.
    #[default]
    Samples,
    /// The last sample of each step of so many seconds.
    Steps(f64),
    /// Gauges of each replica as above; what counts is summed over the replicas by the server.
    Fleet(f64),
}

/// What a query was for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Part {
    /// Which replicas there are.
    Replicas,
    /// Series of vLLM.
    Metrics,
    /// Series of its HTTP layer, its process and its scrapes.
    Server,
    /// Growth in each step, summed over the replicas.
    Sums,
    /// Alerts that fired.
    Alerts,
}

/// The answer to one query.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Answered {
    /// What it was for.
    pub(super) part: Part,
    /// The query, as it can be asked again.
    pub(super) query: String,
    /// What came.
    pub(super) series: Vec<Column>,
}

/// One series.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Column {
    /// Its labels.
    pub(super) labels: Metric,
    /// Times and values in turn: `4440 3 9440 4.5`.
    pub(super) samples: String,
}

impl Column {
    /// Its samples as Unix seconds and value. What cannot be read is left out.
    pub(super) fn points(&self, from_ms: i64) -> impl Iterator<Item = (Time, f64)> {
        let mut words = self.samples.split_ascii_whitespace();
        std::iter::from_fn(move || Some((words.next()?, words.next()?))).filter_map(
            move |(at, value)| {
                let ms = from_ms.checked_add(at.parse::<i64>().ok()?)?;
                Some((ms as f64 / 1e3, value.parse().ok()?))
            },
        )
    }

    /// Its stored name.
    pub(super) fn name(&self) -> &str {
        self.labels.get("__name__").map_or("", String::as_str)
    }
}

impl Record {
    /// The series of all answers of one kind.
    pub(super) fn of(&self, part: Part) -> impl Iterator<Item = &Column> {
        self.answers.iter().filter(move |answer| answer.part == part).flat_map(|it| &it.series)
    }

    /// Seconds within which the next sample is due.
    pub(super) fn spacing(&self) -> f64 {
        match self.grain {
            Grain::Samples => self.interval.unwrap_or(super::plan::USUAL_INTERVAL),
            Grain::Steps(step) | Grain::Fleet(step) => step,
        }
    }

    /// The usual name of a stored one.
    pub(super) fn usual<'a>(&'a self, stored: &'a str) -> Cow<'a, str> {
        let known = self.names.iter().find(|name| name.stored == stored);
        known.map_or_else(|| exposition::canonical(stored), |name| name.usual.as_str().into())
    }
}
