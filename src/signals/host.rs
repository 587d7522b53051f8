//! What only the machine can tell: GPUs, their links, the kernel's log.

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
        name: "foreign_gpu_memory_ratio",
        unit: Unit::Ratio,
        about: "Share of a GPU's memory that processes other than the server hold.",
        doc: "From the driver's process list, largest over the GPUs. A full GPU alone is normal: \
              vLLM allocates its share in advance. No source of this version gives it.",
        source: "nvml",
        families: &[],
        derive: Derive::Span(|_| not_read("the GPU (NVML)")),
    },
    Signal {
        name: "gpu_count",
        unit: Unit::Count,
        about: "GPUs that the server runs on.",
        doc: "From the driver. No source of this version gives it.",
        source: "nvml",
        families: &[],
        derive: Derive::Span(|_| not_read("the GPU (NVML)")),
    },
    Signal {
        name: "gpu_link_faults_count",
        unit: Unit::Count,
        about: "Links between GPUs that report errors or run below their width or generation.",
        doc: "NVLink error counters read twice, and the present against the largest PCIe width \
              and generation under load. No source of this version gives it.",
        source: "nvml",
        families: &[],
        derive: Derive::Span(|_| not_read("the GPU (NVML)")),
    },
];

/// Nobody asked for what the source would tell.
pub(super) fn not_read(what: &str) -> Value {
    Err(Missing::new(MissingKind::NotConfigured, format!("{what} could not be looked at")))
}
