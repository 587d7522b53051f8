//! What the server's log says in words: failures that no metric counts.

use crate::unit::Unit;

use super::{Derive, Signal, host::not_read};

/// Rows of this family.
pub(super) static SIGNALS: &[Signal] = &[
    Signal {
        name: "cuda_oom_events_count",
        unit: Unit::Count,
        about: "Allocations on the GPU that failed for want of memory, by the log.",
        doc: "Lines with `CUDA out of memory` or torch's OutOfMemoryError. No source of this \
              version gives it.",
        source: "log-patterns",
        families: &[],
        derive: Derive::Span(|_| not_read("log patterns")),
    },
    Signal {
        name: "cuda_fault_events_count",
        unit: Unit::Count,
        about: "CUDA and NCCL errors in the log.",
        doc: "Illegal memory access, device-side asserts, NCCL watchdog time-outs. The stack \
              below such a line is unreliable, because kernels report late. No source of this \
              version gives it.",
        source: "log-patterns",
        families: &[],
        derive: Derive::Span(|_| not_read("log patterns")),
    },
    Signal {
        name: "nccl_warnings_count",
        unit: Unit::Count,
        about: "Warnings of the communication between GPUs in the log.",
        doc: "NCCL warnings, and waits for a shared-memory block of 60 s or more. No source of \
              this version gives it.",
        source: "log-patterns",
        families: &[],
        derive: Derive::Span(|_| not_read("log patterns")),
    },
    Signal {
        name: "kv_space_failures_count",
        unit: Unit::Count,
        about: "Starts that failed because the KV cache would not hold one sequence.",
        doc: "Lines that say that no memory is left for cache blocks, or that one request of the \
              largest length needs more than there is. No source of this version gives it.",
        source: "log-patterns",
        families: &[],
        derive: Derive::Span(|_| not_read("log patterns")),
    },
    Signal {
        name: "startup_failures_count",
        unit: Unit::Count,
        about: "Starts of the server that failed, by the log.",
        doc: "Unreadable weights, a driver older than the image's CUDA, missing files, a failed \
              engine start. No source of this version gives it.",
        source: "log-patterns",
        families: &[],
        derive: Derive::Span(|_| not_read("log patterns")),
    },
    Signal {
        name: "adapter_load_failures_count",
        unit: Unit::Count,
        about: "Adapters that could not be loaded, by the log.",
        doc: "Missing files, a rank above the limit, modules that the model does not have. No \
              source of this version gives it.",
        source: "log-patterns",
        families: &[],
        derive: Derive::Span(|_| not_read("log patterns")),
    },
];
