//! What is other than at the last look.

use std::collections::BTreeMap;

use super::{Report, Status, text::clean, words};
use crate::runbook::Severity;

/// Sentences on what changed from one report to the next of the same target, the weightiest first;
/// none where nothing did. Numbers that only moved are no change.
pub fn between(before: &Report, after: &Report) -> Vec<String> {
    let mut said = Vec::new();
    if before.verdict != after.verdict {
        let (was, is) = (words::verdict(before.verdict), words::verdict(after.verdict));
        said.push(format!("verdict: {was} -> {is}"));
    }
    said.extend(differences("cause", &causes(before), &causes(after)));
    said.extend(differences("symptom", &symptoms(before), &symptoms(after)));
    said.extend(differences("source", &sources(before), &sources(after)));
    said
}

type Named = BTreeMap<String, String>;

fn causes(report: &Report) -> Named {
    let supported = report.causes.iter().filter(|cause| cause.status == Status::Supported);
    supported.map(|cause| (clean(&cause.id), severity(cause.severity))).collect()
}

fn symptoms(report: &Report) -> Named {
    let named = report.symptoms.iter().map(|it| (clean(&it.signal), severity(it.severity)));
    named.collect()
}

fn sources(report: &Report) -> Named {
    let state = |status| serde_json::to_value(status).ok();
    let word = |status| state(status)?.as_str().map(|word| word.replace('_', " "));
    let named = report.sources.iter();
    named.map(|it| (clean(&it.id), word(it.status).unwrap_or_default())).collect()
}

fn severity(severity: Severity) -> String {
    words::severity(severity).to_string()
}

fn differences(kind: &str, before: &Named, after: &Named) -> Vec<String> {
    let appeared = after.iter().filter_map(|(name, is)| match before.get(name) {
        None => Some(format!("new {kind}: {name} ({is})")),
        Some(was) if was != is => Some(format!("{kind} {name}: {was} -> {is}")),
        Some(_) => None,
    });
    let gone = before.keys().filter(|name| !after.contains_key(*name));
    appeared.chain(gone.map(|name| format!("{kind} gone: {name}"))).collect()
}
