//! What is known of a server that others may have, or not have, as well.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;

use crate::{evidence::Evidence, report::Report};

/// Version, engine, models, adapters, and every fact of flags and cache configuration.
pub fn attributes(report: &Report, evidence: &Evidence) -> BTreeMap<String, String> {
    let facts = evidence.facts.iter();
    let mut known: BTreeMap<String, String> =
        facts.map(|(name, fact)| (name.clone(), fact.value.clone())).collect();
    let target = &report.target;
    let models = (!target.models.is_empty()).then(|| target.models.join(","));
    let own = [
        ("version", target.version.clone()),
        ("engine", target.engine.clone()),
        ("model", models),
        ("adapters", adapters(evidence)),
    ];
    known.extend(own.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))));
    known
}

#[derive(Deserialize)]
struct Listing {
    data: Vec<Card>,
}

#[derive(Deserialize)]
struct Card {
    id: String,
    parent: Option<String>,
}

/// The adapters that the last `/v1/models` listed; `None` where it told nothing.
fn adapters(evidence: &Evidence) -> Option<String> {
    let body = evidence.probes.iter().rev().find_map(|round| {
        let probe = round.paths.get("/v1/models")?;
        probe.body.as_deref().filter(|_| probe.status == Some(200))
    })?;
    let listing: Listing = serde_json::from_str(body).ok()?;
    let adapters = listing.data.into_iter().filter(|card| card.parent.is_some());
    let names: BTreeSet<String> = adapters.map(|card| card.id).collect();
    let names: Vec<String> = names.into_iter().collect();
    Some(if names.is_empty() { "none".into() } else { names.join(",") })
}
