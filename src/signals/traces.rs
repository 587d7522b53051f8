//! What traces tell per adapter and per release.

use crate::unit::Unit;

use super::{Derive, Signal, host::not_read};

/// Rows of this family.
pub(super) static SIGNALS: &[Signal] = &[
    Signal {
        name: "adapter_slowdown_factor",
        unit: Unit::Factor,
        about: "P95 latency of the slowest adapter over its own baseline.",
        doc: "From trace spans by adapter; at least 30 requests on each side. No source of this \
              version gives it.",
        source: "mlflow",
        families: &[],
        derive: Derive::Span(|_| not_read("traces")),
    },
    Signal {
        name: "adapter_others_factor",
        unit: Unit::Factor,
        about: "P95 latency of all other adapters over their baseline.",
        doc: "Near 1 when one adapter alone is slow. No source of this version gives it.",
        source: "mlflow",
        families: &[],
        derive: Derive::Span(|_| not_read("traces")),
    },
    Signal {
        name: "adapter_version_changes_count",
        unit: Unit::Count,
        about: "New versions of the slowest adapter in the window.",
        doc: "From trace spans by adapter and version. No source of this version gives it.",
        source: "mlflow",
        families: &[],
        derive: Derive::Span(|_| not_read("traces")),
    },
    Signal {
        name: "adapter_rank_factor",
        unit: Unit::Factor,
        about: "Rank of the slowest adapter over that of its version before.",
        doc: "`r` in adapter_config.json, else the size of the weights. No source of this \
              version gives it.",
        source: "mlflow",
        families: &[],
        derive: Derive::Span(|_| not_read("the adapter's files")),
    },
    Signal {
        name: "adapter_prompt_factor",
        unit: Unit::Factor,
        about: "Mean prompt tokens of the slowest adapter over its baseline.",
        doc: "From trace spans by adapter. No source of this version gives it.",
        source: "mlflow",
        families: &[],
        derive: Derive::Span(|_| not_read("traces")),
    },
    Signal {
        name: "adapter_token_cost_factor",
        unit: Unit::Factor,
        about: "Time per token of the slowest adapter over its baseline.",
        doc: "Prefill time per prompt token and decode time per answer token, the larger of \
              both. No source of this version gives it.",
        source: "mlflow",
        families: &[],
        derive: Derive::Span(|_| not_read("traces")),
    },
    Signal {
        name: "adapter_oom_ratio",
        unit: Unit::Ratio,
        about: "Share of failed allocations that fell to one adapter.",
        doc: "From trace spans that ended so, by adapter. No source of this version gives it.",
        source: "mlflow",
        families: &[],
        derive: Derive::Span(|_| not_read("traces")),
    },
    Signal {
        name: "release_changes_count",
        unit: Unit::Count,
        about: "Releases of the server that went out in the window.",
        doc: "From the backend version in trace spans. No source of this version gives it.",
        source: "mlflow",
        families: &[],
        derive: Derive::Span(|_| not_read("traces")),
    },
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
    Signal {
        name: "prefill_stall_ratio",
        unit: Unit::Ratio,
        about: "Share of decode time in which a long prefill held the step.",
        doc: "From trace spans of requests that decode while another prefills. \
              No source of this version gives it.",
        source: "mlflow",
        families: &[],
        derive: Derive::Span(|_| not_read("traces")),
    },
    Signal {
        name: "known_version_issues_count",
        unit: Unit::Count,
        about: "Known faults of the server's version whose symptom is present too.",
        doc: "Rows of runbooks/versions.yaml whose range holds the version and whose \
              symptom check says yes. This version of the tool does not match them yet.",
        source: "versions",
        families: &[],
        derive: Derive::Span(|_| not_read("the table of known version changes")),
    },
];
