//! What traces tell per release.

use crate::unit::Unit;

use super::{Derive, Signal, host::not_read};

/// Rows of this family.
pub(super) static SIGNALS: &[Signal] = &[
    Signal {
        name: "same_traffic_slowdown_factor",
        unit: Unit::Factor,
        about: "Latency of the new release over the old one on identical traffic.",
        doc: "From a shadow comparison. No source of this version gives it.",
        source: "mlflow",
        families: &[],
        derive: Derive::Span(|_| not_read("a shadow comparison")),
    },
    Signal {
        name: "eager_slowdown_factor",
        unit: Unit::Factor,
        about: "Latency of the new release without CUDA graphs over the old one.",
        doc: "From a shadow comparison with --enforce-eager. Near 1 while the release with \
              graphs is slow speaks for the graphs. No source of this version gives it.",
        source: "mlflow",
        families: &[],
        derive: Derive::Span(|_| not_read("a shadow comparison")),
    },
];
