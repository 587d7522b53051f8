//! What traces tell per release.

use crate::unit::Unit;

use super::{
    Derive, Signal,
    gateway::{sessions, versions},
    host::not_read,
};

/// Rows of this family.
pub(super) static SIGNALS: &[Signal] = &[
    Signal {
        name: "prompt_version_hits_factor",
        unit: Unit::Factor,
        about: "Share of prefix-cache hits of the newest prompt version over that of the one before.",
        doc: "From the requests that tell both, over the window and the baseline; at least 30 of \
              each version. From gateway records, else from traces.",
        source: "mlflow",
        families: &[],
        derive: Derive::Pair(versions::prompt_hits),
    },
    Signal {
        name: "prompt_version_prompt_factor",
        unit: Unit::Factor,
        about: "Mean prompt tokens of the newest prompt version over those of the one before.",
        doc: "As prompt_version_hits_factor, from `input_tokens`.",
        source: "mlflow",
        families: &[],
        derive: Derive::Pair(versions::prompt_lengths),
    },
    Signal {
        name: "prompt_version_ttft_factor",
        unit: Unit::Factor,
        about: "Mean time to first token of the newest prompt version over that of the one before.",
        doc: "As prompt_version_hits_factor, from `ttft_ms`.",
        source: "mlflow",
        families: &[],
        derive: Derive::Pair(versions::prompt_ttft),
    },
    Signal {
        name: "backend_version_ttft_factor",
        unit: Unit::Factor,
        about: "Mean time to first token of the newest server version over that of the one before.",
        doc: "By `backend_version`, from `ttft_ms`; at least 30 requests of each version. Traffic \
              may have changed with it, so this is no comparison on identical traffic.",
        source: "mlflow",
        families: &[],
        derive: Derive::Pair(versions::backend_ttft),
    },
    Signal {
        name: "recorded_queue_p95_seconds",
        unit: Unit::Seconds,
        about: "95th percentile of the wait in the queue that recorded requests tell.",
        doc: "From `queue_wait_ms` of gateway records, else of traces; at least 30 requests. It tells \
              single requests, where the server's own histogram knows buckets.",
        source: "mlflow",
        families: &[],
        derive: Derive::Span(versions::queue),
    },
    Signal {
        name: "session_prompt_growth_ratio",
        unit: Unit::Ratio,
        about: "By how much more prompts grow within a conversation than before, over the mean prompt.",
        doc: "Mean tokens that a request adds to the one before it in its session, less the same in \
              the baseline, over the mean prompt of the baseline; at least 30 such steps on each \
              side. A history that is summarised adds little in the mean. From gateway records, \
              else from traces, where a sample makes the steps longer on both sides alike.",
        source: "mlflow",
        families: &[],
        derive: Derive::Pair(sessions::growth),
    },
    Signal {
        name: "retrieved_chunks_factor",
        unit: Unit::Factor,
        about: "Mean chunks that retrieval puts into a prompt, over the baseline.",
        doc: "From `retrieved_chunks` of gateway records, else of traces; at least 30 requests on \
              each side.",
        source: "mlflow",
        families: &[],
        derive: Derive::Pair(versions::chunks),
    },
    Signal {
        name: "same_traffic_slowdown_factor",
        unit: Unit::Factor,
        about: "Latency of the new release over the old one on identical traffic.",
        doc: "From `diagnose compare A B`, which asks this runbook itself: the time to first token \
              or between tokens, whichever lost more. Traces of two releases had different \
              requests, see backend_version_ttft_factor.",
        source: "mlflow",
        families: &[],
        derive: Derive::Span(|_| not_read("a comparison of both releases (diagnose compare A B)")),
    },
    Signal {
        name: "eager_slowdown_factor",
        unit: Unit::Factor,
        about: "Latency of the new release without CUDA graphs over the old one.",
        doc: "From `diagnose compare A B --eager C`, where C ran with --enforce-eager. Near 1 while \
              the release with graphs is slow speaks for the graphs.",
        source: "mlflow",
        families: &[],
        derive: Derive::Span(|_| not_read("a comparison of both releases (diagnose compare A B)")),
    },
];
