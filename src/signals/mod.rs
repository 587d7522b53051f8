//! Signals: evidence turned into named readings with a unit, an uncertainty and a source.
//!
//! Pure arithmetic. A number that cannot be had is [`Missing`] with the reason; it is never zero.

mod adapters;
mod cache;
mod capacity;
pub mod clocks;
mod cloud;
pub mod course;
pub mod endpoint;
mod engine;
mod estimate;
pub mod families;
mod gateway;
mod gpu;
mod host;
pub mod impact;
pub mod kernel;
mod kube;
mod latency;
mod logs;
pub mod onset;
pub mod pieces;
mod queue;
pub mod release;
mod standstill;
mod steps;
mod tail;
mod traces;
mod traffic;
pub mod triggers;

use std::{
    collections::{BTreeMap, HashMap},
    sync::LazyLock,
};

use serde::{Deserialize, Serialize};

use crate::{
    evidence::{EventKind, Evidence, Span, View},
    unit::Unit,
};

/// One row of the registry: everything that help, docs, schema and runbooks know of a signal.
#[derive(Debug)]
pub struct Signal {
    /// `<thing>_<statistic>_<base unit>`.
    pub name: &'static str,
    /// Unit of `now` and `baseline`.
    pub unit: Unit,
    /// One sentence.
    pub about: &'static str,
    /// A paragraph: formula, range, what makes it wrong.
    pub doc: &'static str,
    /// The evidence source it rests on, e.g. `metrics`.
    pub source: &'static str,
    /// Ids of the metric families it reads, see [`families`].
    pub families: &'static [&'static str],
    /// How it is computed.
    pub derive: Derive,
}

/// How a signal is computed.
#[derive(Debug, Clone, Copy)]
pub enum Derive {
    /// From one span at a time; the baseline is the same function over the baseline span.
    Span(fn(&Frame<'_>) -> Value),
    /// From the incident and the baseline together; it has no baseline value of its own.
    Pair(fn(&Frame<'_>, &Frame<'_>) -> Value),
    /// The number of events of a kind that may be behind the incident: up to its onset, or 5 minutes
    /// before it. The function says where they could not be seen.
    Triggers(EventKind, fn(&Frame<'_>) -> Result<(), Missing>),
}

/// One span of the evidence, as signals look at it.
#[derive(Debug, Clone, Copy)]
pub struct Frame<'a> {
    /// All evidence.
    pub evidence: &'a Evidence,
    /// The series of the span.
    pub view: View<'a>,
    /// What is compared, where the span is the time judged.
    pub windows: Option<&'a Windows>,
}

/// A number with what is known of its precision.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Estimate {
    /// Best single value; for quantiles of buckets the middle, which is for sorting only.
    pub point: f64,
    /// Lower end.
    pub lo: f64,
    /// Upper end.
    pub hi: f64,
    /// Observations behind it (requests, tokens, steps); `None` where counting makes no sense.
    pub n: Option<f64>,
    /// Whether `lo..hi` is all that is known (a bucket) and not the error of `point`.
    pub bucket: bool,
}

/// An estimate, or why there is none.
pub type Value = Result<Estimate, Missing>;

/// Why a number is not there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Missing {
    /// The class of reason.
    pub kind: MissingKind,
    /// One sentence fragment for people, e.g. `vLLM 0.8.0 has no such metric (since 0.9.2)`.
    pub why: String,
}

/// Classes of reason for a missing number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MissingKind {
    /// This version or configuration of the server does not export it.
    Absent,
    /// Nothing was observed in the span.
    NoSamples,
    /// The source was asked and failed.
    SourceFailed,
    /// The source was not asked.
    NotConfigured,
    /// There is no healthy span to compare with.
    NoBaseline,
    /// History was recorded and nothing changed in it: there is no before and after.
    NoOnset,
    /// The number is known too coarsely for this question.
    Undecided,
    /// Too few observations to say no.
    TooFew,
}

/// Three views of a signal.
#[derive(Debug, Clone, PartialEq)]
pub struct Reading {
    /// Over the incident.
    pub now: Value,
    /// Over the healthy span before.
    pub baseline: Value,
    /// `now / baseline`, with both errors in it.
    pub change: Value,
    /// Whether the baseline is the process's lifetime and not a recorded healthy span.
    pub long_run_baseline: bool,
    /// Whether `now` itself compares with the baseline.
    pub compares_by_itself: bool,
}

/// All readings, by signal name.
pub type Readings = BTreeMap<&'static str, Reading>;

/// What is compared with what.
#[derive(Debug, Clone, PartialEq)]
pub struct Windows {
    /// The incident, or the time asked about.
    pub now: Span,
    /// The healthy span.
    pub baseline: Baseline,
    /// When the incident began, if a change was found.
    pub onset: Option<Onset>,
    /// What is known of the clocks of others.
    pub clocks: Vec<clocks::Skew>,
}

impl Windows {
    /// Seconds by which the times that a source tells are known to be wrong, at most.
    fn slack(&self, source: &str) -> f64 {
        let clock = clocks::clock_of(source);
        let own = self.clocks.iter().filter(|skew| Some(skew.clock) == clock && skew.is_sure());
        own.map(clocks::Skew::most).fold(0.0, f64::max)
    }
}

/// What `now` is compared with.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Baseline {
    /// A recorded span before the onset.
    Recorded(Span),
    /// A span of other evidence, which was kept for this.
    Kept(Span),
    /// Counters from process start to this moment.
    Lifetime(f64),
    /// History was recorded, and nothing changed in it.
    Unchanged,
    /// There is none.
    None,
}

/// A change point.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Onset {
    /// Best estimate, Unix seconds.
    pub at: f64,
    /// Half the width of the interval that holds it.
    pub plus_minus: f64,
    /// Evidence for it, in nats.
    pub gain: f64,
}

/// What the caller asks about; `None` leaves it to the evidence.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Ask {
    /// End of the time judged, Unix seconds.
    pub at: Option<f64>,
    /// Length of the time judged, seconds.
    pub window: Option<f64>,
    /// Length of the baseline before it, seconds.
    pub baseline: Option<f64>,
}

/// The registry: every signal, in reading order.
pub fn registry() -> impl Iterator<Item = &'static Signal> {
    [
        latency::SIGNALS,
        queue::SIGNALS,
        steps::SIGNALS,
        traffic::SIGNALS,
        cache::SIGNALS,
        capacity::SIGNALS,
        endpoint::SIGNALS,
        engine::SIGNALS,
        gpu::SIGNALS,
        host::SIGNALS,
        kernel::SIGNALS,
        logs::SIGNALS,
        kube::SIGNALS,
        cloud::SIGNALS,
        gateway::SIGNALS,
        adapters::SIGNALS,
        traces::SIGNALS,
        release::SIGNALS,
    ]
    .into_iter()
    .flatten()
}

/// Looks a signal up by name.
pub fn find(name: &str) -> Option<&'static Signal> {
    static BY_NAME: LazyLock<HashMap<&str, &Signal>> =
        LazyLock::new(|| registry().map(|signal| (signal.name, signal)).collect());
    BY_NAME.get(name).copied()
}

pub use queue::fullest;

/// Reads every signal of the registry.
pub fn read_all(evidence: &Evidence, windows: &Windows) -> Readings {
    read_against(evidence, windows, None)
}

/// The same, where a kept baseline lies in evidence of its own.
pub fn read_against(evidence: &Evidence, windows: &Windows, kept: Option<&Evidence>) -> Readings {
    let now = Frame { windows: Some(windows), ..Frame::new(evidence, windows.now) };
    let baseline = baseline_frame(evidence, windows, kept);
    registry().map(|signal| (signal.name, read(signal, &now, &baseline))).collect()
}

fn baseline_frame<'a>(
    evidence: &'a Evidence,
    windows: &Windows,
    kept: Option<&'a Evidence>,
) -> Result<Frame<'a>, Missing> {
    match windows.baseline {
        Baseline::Recorded(span) => Ok(Frame::new(evidence, span)),
        Baseline::Kept(span) => kept
            .map(|evidence| Frame::new(evidence, span))
            .ok_or_else(|| Missing::new(MissingKind::NoBaseline, "the kept baseline was not read")),
        Baseline::Lifetime(until) => Ok(Frame::lifetime(evidence, until)),
        Baseline::Unchanged => Err(Missing::new(
            MissingKind::NoOnset,
            "nothing changed in the recorded history, so there is no before and after",
        )),
        Baseline::None => {
            Err(Missing::new(MissingKind::NoBaseline, "no healthy time before the window was seen"))
        }
    }
}

fn read(signal: &Signal, now: &Frame<'_>, baseline: &Result<Frame<'_>, Missing>) -> Reading {
    let long_run_baseline = baseline.as_ref().is_ok_and(|frame| frame.view.is_lifetime());
    let none = || Missing::new(MissingKind::NoBaseline, "it compares now and before by itself");
    let of_span = |derive: &dyn Fn(&Frame<'_>) -> Value| {
        let value = sound(derive(now));
        let before = sound(baseline.clone().and_then(|frame| derive(&frame)));
        let change = change(&value, &before);
        Reading {
            now: value,
            baseline: before,
            change,
            long_run_baseline,
            compares_by_itself: false,
        }
    };
    match signal.derive {
        Derive::Span(derive) => of_span(&derive),
        Derive::Triggers(kind, seen) => of_span(&|frame| {
            seen(frame)?;
            Ok(Estimate::exact(triggers::count(frame, kind), None))
        }),
        Derive::Pair(derive) => Reading {
            now: sound(match baseline {
                Ok(before) => derive(now, before),
                Err(none) => Err(unread(derive, now).unwrap_or_else(|| none.clone())),
            }),
            baseline: Err(none()),
            change: Err(none()),
            long_run_baseline,
            compares_by_itself: true,
        },
    }
}

/// Why a comparison could not be made even with a baseline: a source that nobody asked is another
/// matter than a history in which nothing changed.
fn unread(derive: fn(&Frame<'_>, &Frame<'_>) -> Value, now: &Frame<'_>) -> Option<Missing> {
    let unread = [MissingKind::NotConfigured, MissingKind::SourceFailed];
    derive(now, now).err().filter(|missing| unread.contains(&missing.kind))
}

/// Absurd counters overflow sums and ratios; what is no number is missing.
fn sound(value: Value) -> Value {
    let estimate = value?;
    if estimate.point.is_finite() && estimate.lo.is_finite() && !estimate.hi.is_nan() {
        return Ok(estimate);
    }
    Err(Missing::new(MissingKind::NoSamples, "the numbers on the page are absurdly large"))
}

fn change(now: &Value, before: &Value) -> Value {
    let (now, before) = (now.clone()?, before.clone()?);
    now.over(&before).ok_or_else(|| Missing::new(MissingKind::NoBaseline, "the baseline is zero"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_carry_their_unit() {
        let mut seen = std::collections::BTreeSet::new();
        for signal in registry() {
            assert!(seen.insert(signal.name), "{} stands twice", signal.name);
            if let Some(suffix) = signal.unit.suffix() {
                assert!(signal.name.ends_with(suffix), "{} lacks {suffix}", signal.name);
            }
        }
    }

    #[test]
    fn texts_are_sentences() {
        for signal in registry() {
            for text in [signal.about, signal.doc] {
                assert!(text.ends_with('.'), "{}: {text}", signal.name);
            }
        }
    }
}
