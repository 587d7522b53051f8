//! What only other sources than vLLM can tell. Rows without a source yet answer Missing.

use crate::unit::Unit;

use super::{Derive, Missing, MissingKind, Signal, Value};

/// Rows of this family.
pub(super) static SIGNALS: &[Signal] = &[
    Signal {
        name: "gpu_throttle_ratio",
        unit: Unit::Ratio,
        about: "Share of time in which the GPU's clocks were held down.",
        doc: "From the driver's throttle counters, read twice. No source of this version gives it.",
        source: "nvml",
        families: &[],
        derive: Derive::Span(|_| not_read("the GPU (NVML)")),
    },
    Signal {
        name: "gpu_fault_count",
        unit: Unit::Count,
        about: "Faults that GPUs report of themselves.",
        doc: "Uncorrectable errors, failed row remaps, lost links. No source of this version \
              gives it.",
        source: "nvml",
        families: &[],
        derive: Derive::Span(|_| not_read("the GPU (NVML)")),
    },
    Signal {
        name: "prompt_version_changes_count",
        unit: Unit::Count,
        about: "Prompt versions that went out in the window.",
        doc: "From gateway records or traces. No source of this version gives it.",
        source: "gateway",
        families: &[],
        derive: Derive::Span(|_| not_read("gateway records")),
    },
];

fn not_read(what: &str) -> Value {
    Err(Missing::new(MissingKind::NotConfigured, format!("{what} could not be looked at")))
}
