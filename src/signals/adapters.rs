//! Adapters: what gateway records tell of each, and what their names and folders do.

use std::collections::BTreeSet;

use crate::{evidence::AdapterFolder, evidence::adapter::Name, unit::Unit};

use super::{
    Derive, Estimate, Frame, Missing, MissingKind, Signal, Value,
    cloud::adapters as of_cloud,
    engine,
    gateway::adapters as of_gateway,
    host::not_read,
    triggers::{self, Relation},
};

/// Rows of this family.
pub(super) static SIGNALS: &[Signal] = &[
    Signal {
        name: "adapter_slowdown_factor",
        unit: Unit::Factor,
        about: "P95 latency of the slowest adapter over its own baseline.",
        doc: "P95 of the time to the end of the answer, else of generation, from gateway records or \
              traces by adapter, now over before; at least 30 requests on each side. Without \
              either, P95 of the gateway's GenerationMs in CloudWatch: the mean over the periods, \
              of the version of the server that served the adapter most.",
        source: "gateway",
        families: &[],
        derive: Derive::Pair(|now, before| {
            either(now, before, of_gateway::slowdown, of_cloud::slowdown)
        }),
    },
    Signal {
        name: "adapter_others_factor",
        unit: Unit::Factor,
        about: "P95 latency of all other adapters over their baseline.",
        doc: "Near 1 when one adapter alone is slow. From gateway records or CloudWatch, as \
              adapter_slowdown_factor; missing where no other adapter is asked for.",
        source: "gateway",
        families: &[],
        derive: Derive::Pair(|now, before| {
            either(now, before, of_gateway::others, of_cloud::others)
        }),
    },
    Signal {
        name: "adapter_version_changes_count",
        unit: Unit::Count,
        about: "Adapters that are served in another version than before the onset.",
        doc: "By the names that /v1/models, lora_requests_info and the gateway's metrics in \
              CloudWatch show, whose version is their \
              ending (`_v3`, `-v3`, `@3`, `:v3`): served now and not in the baseline, with another \
              version of the same name there or on disk. Where requests tell `adapter_version`, \
              also adapters that kept their name and were replaced.",
        source: "adapters",
        families: &["lora_requests_info"],
        derive: Derive::Pair(version_changes),
    },
    Signal {
        name: "adapter_rank_factor",
        unit: Unit::Factor,
        about: "Rank of a newly served adapter over that of its version before.",
        doc: "`r` in adapter_config.json, else the size of the weights; the largest over the \
              adapters whose version changed, and 1 where none did. Both versions must lie in a \
              folder of --adapter-dir, or where the server on this host says.",
        source: "adapters",
        families: &["lora_requests_info"],
        derive: Derive::Pair(rank_factor),
    },
    Signal {
        name: "adapter_prompt_factor",
        unit: Unit::Factor,
        about: "Mean prompt tokens of the slowest adapter over its baseline.",
        doc: "From gateway records by adapter, or InputTokens in CloudWatch.",
        source: "gateway",
        families: &[],
        derive: Derive::Pair(|now, before| {
            either(now, before, of_gateway::prompts, of_cloud::prompts)
        }),
    },
    Signal {
        name: "adapter_token_cost_factor",
        unit: Unit::Factor,
        about: "Time per token of the slowest adapter over its baseline.",
        doc: "Time to first token per prompt token and the time after it per answer token, the \
              larger growth of both. From gateway records, so waiting counts too; or from \
              CloudWatch, without the wait that QueueWaitMs tells.",
        source: "gateway",
        families: &[],
        derive: Derive::Pair(|now, before| {
            either(now, before, of_gateway::token_cost, of_cloud::token_cost)
        }),
    },
    Signal {
        name: "adapter_oom_ratio",
        unit: Unit::Ratio,
        about: "Share of failed allocations that fell to one adapter.",
        doc: "Of the requests whose `finish_reason` tells that memory ran out (`oom`), those of the \
              adapter that has most, from gateway records, else from traces; else the gateway's \
              OOMCaught metric in CloudWatch, by adapter. Missing where only one adapter is asked \
              for.",
        source: "cloudwatch",
        families: &[],
        derive: Derive::Span(|frame| match of_gateway::out_of_memory(frame) {
            Err(_) if frame.evidence.cloud.is_some() => of_cloud::oom_share(frame),
            told => told,
        }),
    },
];

/// The adapters served in a span, by name.
fn served(frame: &Frame<'_>) -> BTreeSet<String> {
    let span = frame.view.span();
    let rounds = frame.evidence.probes.iter().filter(|round| span.contains(round.at));
    let listed = rounds.flat_map(crate::evidence::adapter::listed).map(|card| card.id);
    let pairs = engine::adapters(frame).unwrap_or_default();
    let asked = pairs.into_iter().flat_map(engine::names).map(String::from);
    let metered = of_cloud::served(frame).unwrap_or_default().into_keys().map(String::from);
    listed.chain(asked).chain(metered).collect()
}

/// A comparison of adapters, now and before.
type Compare = fn(&Frame<'_>, &Frame<'_>) -> Value;

/// By the gateway's records where they were read, else by its metrics in CloudWatch.
fn either(now: &Frame<'_>, before: &Frame<'_>, records: Compare, metrics: Compare) -> Value {
    match records(now, before) {
        Err(why) if now.evidence.cloud.is_some() => metrics(now, before)
            .map_err(|other| if why.kind == MissingKind::NotConfigured { other } else { why }),
        known => known,
    }
}

/// Adapters served now and not before, each with the name of its version before.
fn updates(now: &Frame<'_>, before: &Frame<'_>) -> Result<Vec<(String, String)>, Missing> {
    if before.view.is_lifetime() {
        let why = "which adapters were served before the window is not recorded";
        return Err(Missing::new(MissingKind::NoBaseline, why));
    }
    let (new, old) = (served(now), served(before));
    if new.is_empty() {
        let why = "no adapter is seen in /v1/models or lora_requests_info";
        return Err(Missing::new(MissingKind::NotConfigured, why));
    }
    let on_disk = now.evidence.adapters.iter().map(|folder| folder.id().to_owned());
    let known: BTreeSet<String> = old.iter().cloned().chain(on_disk).collect();
    let former = |name: &String| Some((name.clone(), Name::of(name)?.before(&known)?.to_owned()));
    Ok(new.difference(&old).filter(|name| !came_late(now, name)).filter_map(former).collect())
}

/// Whether an adapter was loaded only after the onset, which it cannot have caused.
fn came_late(now: &Frame<'_>, name: &str) -> bool {
    let Some(windows) = now.windows else { return false };
    let text = crate::evidence::adapter::loaded(name);
    let mut loads = now.evidence.events.iter().filter(|event| event.text == text);
    loads.any(|event| triggers::relation(now.evidence, windows, event) == Relation::After)
}

fn version_changes(now: &Frame<'_>, before: &Frame<'_>) -> Value {
    let named = updates(now, before).map(|updates| updates.len() as f64);
    let told = of_gateway::version_changes(now, before).map(|count| count.point);
    let count = match (named, told) {
        (Ok(named), Ok(told)) => named.max(told),
        (Ok(count), Err(_)) | (Err(_), Ok(count)) => count,
        (Err(missing), Err(_)) => return Err(missing),
    };
    Ok(Estimate::exact(count, None))
}

fn rank_factor(now: &Frame<'_>, before: &Frame<'_>) -> Value {
    let folders = &now.evidence.adapters;
    if folders.is_empty() {
        return not_read("the adapters' files (--adapter-dir)");
    }
    let mut largest = 1.0_f64;
    for (new, old) in updates(now, before)? {
        let (new, old) = (folder(folders, &new)?, folder(folders, &old)?);
        largest = largest.max(growth(new, old)?);
    }
    Ok(Estimate::exact(largest, None))
}

fn folder<'a>(folders: &'a [AdapterFolder], name: &str) -> Result<&'a AdapterFolder, Missing> {
    folders.iter().find(|folder| folder.id() == name).ok_or_else(|| {
        let why = format!("the folder of adapter {name} was not seen");
        Missing::new(MissingKind::Absent, why)
    })
}

/// The rank over the former one; without both, the size of the weights.
fn growth(new: &AdapterFolder, old: &AdapterFolder) -> Result<f64, Missing> {
    let ratio = |new: Option<u64>, old: Option<u64>| {
        let (new, old) = (new?, old.filter(|old| *old > 0)?);
        Some(new as f64 / old as f64)
    };
    let size = || ratio(new.weight_bytes, old.weight_bytes);
    ratio(new.rank(), old.rank()).or_else(size).ok_or_else(|| {
        let why = format!("neither rank nor size of {} and {} is known", new.id(), old.id());
        Missing::new(MissingKind::Absent, why)
    })
}
