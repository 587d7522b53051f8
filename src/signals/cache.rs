//! The prefix cache: how much of the prompts it saves, and whether it is on.

use crate::{evidence::Span, unit::Unit};

use super::{
    Derive, Estimate, Frame, Missing, MissingKind, Signal, Value, estimate::Amount,
    families::Version, traffic::FIRST_TOKENS,
};

/// Rows of this family.
pub(super) static SIGNALS: &[Signal] = &[
    Signal {
        name: "prefix_cache_hit_ratio",
        unit: Unit::Ratio,
        about: "Prefix-cache hits over queries.",
        doc: "Both counters grow in tokens from 0.9.0 and in blocks before; the ratio is the same \
              in kind. It falls when prompts merely grow, though the prefix is intact: look at \
              cached_per_request_tokens beside it.",
        source: "metrics",
        families: &["prefix_cache_hits", "prefix_cache_queries"],
        derive: Derive::Span(hit_ratio),
    },
    Signal {
        name: "prefix_queries_per_prompt_token",
        unit: Unit::Count,
        about: "Prefix-cache queries per prompt token.",
        doc: "1 on a normal server, 0 with caching off. Far above 1 when requests are refused \
              admission for want of KV blocks, because every retry queries again.",
        source: "metrics",
        families: &["prefix_cache_queries", "prompt_tokens"],
        derive: Derive::Span(|frame| frame.ratio(QUERIES, PROMPT, FIRST_TOKENS)),
    },
    Signal {
        name: "cached_per_request_tokens",
        unit: Unit::Tokens,
        about: "Prompt tokens served from cache, per request.",
        doc: "The stock that a shared prefix saves. It falls when the prefix breaks and stays when \
              prompts merely get longer. From prompt_tokens_by_source or prompt_tokens_cached \
              (0.16.0 on), else prompt less computed tokens (0.13.0 on), else the hits (tokens \
              from 0.9.0), which preemption inflates.",
        source: "metrics",
        families: &["prompt_tokens_cached", "ttft"],
        derive: Derive::Span(cached_per_request),
    },
    Signal {
        name: "cached_recovery_factor",
        unit: Unit::Factor,
        about: "Cached prompt tokens per request in the last half of the window over the first.",
        doc: "Above 1 while a new prefix warms up; near 1 where each prompt begins anew, or where \
              nothing changes. It needs at least five pages.",
        source: "metrics",
        families: &["prompt_tokens_cached", "ttft"],
        derive: Derive::Span(recovery),
    },
    Signal {
        name: "computed_per_request_tokens",
        unit: Unit::Tokens,
        about: "Prompt tokens really computed, per request.",
        doc: "The prefill work of a request: prompt tokens that no cache served.",
        source: "metrics",
        families: &["prompt_tokens_by_source", "ttft"],
        derive: Derive::Span(computed_per_request),
    },
    Signal {
        name: "prefix_caching_enabled",
        unit: Unit::Flag,
        about: "Whether the engine runs with prefix caching.",
        doc: "The `enable_prefix_caching` label of cache_config_info, else the server's flags.",
        source: "metrics",
        families: &["cache_config_info"],
        derive: Derive::Span(caching_enabled),
    },
];

pub(super) const HITS: Amount = |frame| lookups(frame, "prefix_cache_hits");
pub(super) const QUERIES: Amount = |frame| lookups(frame, "prefix_cache_queries");
pub(super) const PROMPT: Amount = |frame| frame.increase("prompt_tokens");
pub(super) const CACHED: Amount = |frame| {
    frame.increase("prompt_tokens_cached").or_else(|absent| {
        let computed = frame.sum("request_prefill_kv_computed");
        let prompt = frame.sum("request_prompt_tokens");
        match (prompt, computed) {
            (Ok(prompt), Ok(computed)) => Ok((prompt - computed).max(0.0)),
            _ => hits_in_tokens(frame).ok_or(absent),
        }
    })
};
pub(super) const COMPUTED: Amount = |frame| {
    frame
        .increase_of("prompt_tokens_by_source", "source", |source| source == "local_compute")
        .or_else(|_| frame.sum("request_prefill_kv_computed"))
        .or_else(|_| Ok((PROMPT(frame)? - hits_in_tokens(frame).unwrap_or(0.0)).max(0.0)))
};

/// Growth of a prefix-cache counter in tokens. Before 0.9.0 the counters grow by blocks, and a
/// block holds as many tokens as the cache configuration says.
fn lookups(frame: &Frame<'_>, family: &str) -> Result<f64, Missing> {
    let grown = frame.increase(family)?;
    let version = frame.evidence.target.version.as_deref().and_then(Version::parse);
    let in_tokens = Version::parse("0.9.0").zip(version).is_none_or(|(since, v)| v >= since);
    if in_tokens || !frame.name(family)?.contains("gpu_prefix") {
        return Ok(grown);
    }
    let block = frame.evidence.fact("block_size").and_then(|size| size.parse::<f64>().ok());
    block.map(|size| grown * size).ok_or_else(|| {
        let why = "the counter grows by blocks and the page does not say how large they are";
        Missing::new(MissingKind::Absent, why)
    })
}

fn hits_in_tokens(frame: &Frame<'_>) -> Option<f64> {
    HITS(frame).ok()
}

/// Hits over queries; V0 has only its own rate as a gauge, -1 where caching is off.
fn hit_ratio(frame: &Frame<'_>) -> Value {
    frame.ratio(HITS, QUERIES, FIRST_TOKENS).or_else(|absent| {
        let Ok(name) = frame.name("prefix_cache_hit_rate") else { return Err(absent) };
        let rates = frame.view.gauge(name);
        let known: Vec<f64> = rates.iter().map(|p| p.value).filter(|rate| *rate >= 0.0).collect();
        if known.is_empty() {
            return Err(Missing::new(MissingKind::Absent, "prefix caching is off on this server"));
        }
        Ok(Estimate::exact(known.iter().sum::<f64>() / known.len() as f64, None))
    })
}

pub(super) fn computed_per_request(frame: &Frame<'_>) -> Value {
    frame.ratio(COMPUTED, FIRST_TOKENS, FIRST_TOKENS)
}

fn cached_per_request(frame: &Frame<'_>) -> Value {
    frame.ratio(CACHED, FIRST_TOKENS, FIRST_TOKENS)
}

/// Intervals between pages that each half needs.
const LEAST_INTERVALS: usize = 2;

fn recovery(frame: &Frame<'_>) -> Value {
    let parts = frame.intervals();
    let half = parts.len() / 2;
    if frame.view.is_lifetime() || half < LEAST_INTERVALS {
        let why = "too few pages to tell whether the cache fills again";
        return Err(Missing::new(MissingKind::TooFew, why));
    }
    let over = |parts: &[Frame<'_>]| {
        let (first, last) = (parts[0].view.span(), parts[parts.len() - 1].view.span());
        cached_per_request(&Frame::new(frame.evidence, Span { from: first.from, to: last.to }))
    };
    let (early, late) = (over(&parts[..half])?, over(&parts[half..])?);
    late.over(&early).ok_or_else(|| Missing::no_samples("cached token in the first half"))
}

fn caching_enabled(frame: &Frame<'_>) -> Value {
    let known = frame.evidence.fact("enable_prefix_caching").map(str::to_ascii_lowercase);
    match known.as_deref() {
        Some("true" | "1") => Ok(Estimate::exact(1.0, None)),
        Some("false" | "0" | "none") => Ok(Estimate::exact(0.0, None)),
        _ => Err(frame.name("cache_config_info").err().unwrap_or_else(|| {
            Missing::no_samples("enable_prefix_caching label on cache_config_info")
        })),
    }
}
