//! Several recordings as one.

use std::collections::BTreeMap;

use super::{Bundle, Meta};
use crate::evidence::SourceState;

/// Joins bundles in time order; `None` where there is none.
pub(super) fn merge(mut bundles: Vec<Bundle>) -> Option<Bundle> {
    bundles.sort_by_key(|bundle| bundle.span_ms().map_or(u64::MAX, |(from, _)| from));
    bundles.into_iter().reduce(join)
}

fn join(mut first: Bundle, second: Bundle) -> Bundle {
    if disagree(first.meta.target.as_ref(), second.meta.target.as_ref()) {
        let detail = "the recordings name different servers: they are read as one, so give them \
                      one by one if they are not the same"
            .to_owned();
        first.note("bundle", SourceState::Partial, detail);
    }
    if first.seal.take().is_some() || second.seal.is_some() {
        let detail = "of several recordings none is judged by the runbooks sealed in it: give a \
                      sealed one alone for that"
            .to_owned();
        first.note("seal", SourceState::NotConfigured, detail);
    }
    first.meta = join_meta(first.meta, second.meta);
    insert_all(&mut first.scrapes, second.scrapes);
    insert_all(&mut first.probes, second.probes);
    insert_all(&mut first.adapters, second.adapters);
    for (folder, records) in second.records {
        insert_all(first.records.entry(folder).or_default(), records);
    }
    first.log = join_lines(first.log, second.log);
    first.kernel_log = join_lines(first.kernel_log, second.kernel_log);
    first.gateway = join_lines(first.gateway, second.gateway);
    first.notes.extend(second.notes);
    first
}

fn join_lines(first: Option<Vec<u8>>, second: Option<Vec<u8>>) -> Option<Vec<u8>> {
    match (first, second) {
        (Some(mut log), Some(more)) if log != more => {
            if !log.ends_with(b"\n") {
                log.push(b'\n');
            }
            log.extend(more);
            Some(log)
        }
        (log, more) => log.or(more),
    }
}

fn disagree(first: Option<&String>, second: Option<&String>) -> bool {
    first.is_some() && second.is_some() && first != second
}

/// Bodies of the same moment are both kept, a millisecond apart, unless they are the same.
fn insert_all<V: PartialEq>(into: &mut BTreeMap<u64, V>, from: impl IntoIterator<Item = (u64, V)>) {
    for (mut at, value) in from {
        while into.get(&at).is_some_and(|there| *there != value) {
            at = at.wrapping_add(1);
        }
        into.insert(at, value);
    }
}

fn join_meta(first: Meta, second: Meta) -> Meta {
    let sources = first.sources.into_iter().chain(second.sources).collect();
    let args = if first.server_args.is_empty() { second.server_args } else { first.server_args };
    Meta {
        format_version: first.format_version.max(second.format_version),
        target: first.target.or(second.target),
        started: either(first.started, second.started, f64::min),
        ended: either(first.ended, second.ended, f64::max),
        vllm_version: first.vllm_version.or(second.vllm_version),
        server_args: args,
        tool_version: first.tool_version.or(second.tool_version),
        sources,
    }
}

fn either(a: Option<f64>, b: Option<f64>, pick: fn(f64, f64) -> f64) -> Option<f64> {
    a.zip(b).map(|(a, b)| pick(a, b)).or(a).or(b)
}
