//! What only the machine can tell beside its GPUs: the kernel's log.

use crate::unit::Unit;

use super::{Derive, Missing, MissingKind, Signal, Value};

/// Rows of this family.
pub(super) static SIGNALS: &[Signal] = &[
    Signal {
        name: "gpu_xid_events_count",
        unit: Unit::Count,
        about: "Xid errors of the GPU driver in the kernel's log.",
        doc: "The kernel's log is the only place that has them. No source of this version gives \
              it.",
        source: "kernel",
        families: &[],
        derive: Derive::Span(|_| not_read("the kernel's log")),
    },
    Signal {
        name: "host_oom_kills_count",
        unit: Unit::Count,
        about: "Processes that the kernel killed for want of memory.",
        doc: "From the kernel's log or the cgroup's counter. No source of this version gives it.",
        source: "kernel",
        families: &[],
        derive: Derive::Span(|_| not_read("the kernel's log")),
    },
];

/// Nobody asked for what the source would tell.
pub(super) fn not_read(what: &str) -> Value {
    Err(Missing::new(MissingKind::NotConfigured, format!("{what} could not be looked at")))
}
