//! What a page tells of the server behind it, before any value is believed.

use std::fmt;

use super::{Engine, Life, Version, all, version::compare};
use crate::evidence::SeriesSet;

/// What serves the page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fingerprint {
    /// The engine, where names, labels or the version tell.
    pub engine: Option<Engine>,
    /// The program that writes the page.
    pub front_end: FrontEnd,
    /// Whether several processes write the page together: no `process_*`, and gauges that may come
    /// once per process.
    pub multiprocess: bool,
    /// The releases whose metrics these are, judged by the names alone.
    pub version_hint: Option<VersionHint>,
    /// Whether the server's samples are there and vLLM's are not.
    pub no_stats: bool,
}

/// The program that writes a metrics page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FrontEnd {
    /// vLLM's Python API server.
    Python,
    /// vLLM's Rust front-end, experimental from 0.22.0.
    Rust,
    /// Ray Serve's wrappers.
    Ray,
    /// Nothing tells.
    Unknown,
}

/// A range of releases.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VersionHint {
    /// The first release that has all the names seen.
    pub first: &'static str,
    /// The last release that has them, if they ended.
    pub last: Option<&'static str>,
    /// The first release that would show more than was seen, if any.
    pub before: Option<&'static str>,
}

impl fmt::Display for VersionHint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.last, self.before) {
            (Some(last), Some(before)) if compare(last, before).is_some_and(|o| o.is_lt()) => {
                write!(f, "{} to {last}", self.first)
            }
            (_, Some(before)) => write!(f, "{} or later, before {before}", self.first),
            (Some(last), None) => write!(f, "{} to {last}", self.first),
            (None, None) => write!(f, "{} or later", self.first),
        }
    }
}

/// Names the server by its samples. `version` is what `/version` said; `openmetrics` is whether
/// the page came in that format, which Python's front-end never writes unasked.
pub fn fingerprint(set: &SeriesSet, version: Option<&str>, openmetrics: bool) -> Fingerprint {
    let front_end = front_end(set, openmetrics);
    let has_process = has_prefix(set, "process_");
    let engine = engine(set, version);
    Fingerprint {
        engine,
        front_end,
        multiprocess: front_end == FrontEnd::Python && (!has_process || has_label(set, "pid")),
        version_hint: engine.and_then(|engine| version_hint(set, engine, front_end)),
        no_stats: !has_prefix(set, "vllm:") && set.names().next().is_some(),
    }
}

/// The engine alone: by the samples, else by what `/version` said of a server with samples of vLLM's.
pub fn engine(set: &SeriesSet, version: Option<&str>) -> Option<Engine> {
    let told = || version.and_then(Version::parse).and_then(Engine::of);
    engine_by_samples(set).or_else(|| told().filter(|_| has_prefix(set, "vllm:")))
}

fn front_end(set: &SeriesSet, openmetrics: bool) -> FrontEnd {
    if has_label(set, "ReplicaId") {
        FrontEnd::Ray
    } else if openmetrics {
        FrontEnd::Rust
    } else if set.names().next().is_some() {
        FrontEnd::Python
    } else {
        FrontEnd::Unknown
    }
}

fn has_prefix(set: &SeriesSet, prefix: &str) -> bool {
    set.names().any(|name| name.starts_with(prefix))
}

/// Whether any sample of vLLM's own carries the label.
fn has_label(set: &SeriesSet, label: &str) -> bool {
    set.iter().any(|series| series.name.starts_with("vllm:") && series.label(label).is_some())
}

/// The engine by its label, else by a name that the other engine never had.
fn engine_by_samples(set: &SeriesSet) -> Option<Engine> {
    if has_label(set, "engine") {
        return Some(Engine::V1);
    }
    lives_seen(set).find_map(|(v0, v1)| match (v0, v1) {
        (Some(_), None) => Some(Engine::V0),
        (None, Some(_)) => Some(Engine::V1),
        _ => None,
    })
}

/// The lives of every vLLM name that the pages have.
fn lives_seen(set: &SeriesSet) -> impl Iterator<Item = (Option<Life>, Option<Life>)> {
    all().iter().flat_map(move |family| {
        let own = family.names.iter().filter(|name| name.name.starts_with("vllm:"));
        own.filter(move |name| set.has(&family.kind.sample(name.name)))
            .map(|name| (name.v0, name.v1))
    })
}

fn version_hint(set: &SeriesSet, engine: Engine, front_end: FrontEnd) -> Option<VersionHint> {
    let seen = lives_seen(set).filter_map(|(v0, v1)| if engine == Engine::V0 { v0 } else { v1 });
    let mut hint: Option<VersionHint> = None;
    for life in seen {
        let hint = hint.get_or_insert(VersionHint { first: life.first, last: None, before: None });
        hint.first = later(hint.first, life.first);
        hint.last = match (hint.last, life.last) {
            (Some(one), Some(other)) => Some(earlier(one, other)),
            (one, other) => one.or(other),
        };
    }
    let mut hint = hint?;
    if engine == Engine::V0 {
        return Some(hint);
    }
    if has_label(set, "engine") {
        hint.first = later(hint.first, "0.8.3");
    }
    if front_end != FrontEnd::Ray {
        hint.before = first_unseen(set, front_end);
    }
    Some(hint)
}

/// The first release that would have shown a sample which these pages lack. Only samples that V1
/// writes from its start, whatever the flags, can tell. Ray shows a metric at its first value.
fn first_unseen(set: &SeriesSet, front_end: FrontEnd) -> Option<&'static str> {
    const ALWAYS_SHOWN: [(&str, &str); 7] = [
        ("vllm:num_requests_running", "0.7.1"),
        ("vllm:prefix_cache_queries_total", "0.9.2"),
        ("vllm:request_time_per_output_token_seconds_count", "0.11.0"),
        ("vllm:request_prefill_kv_computed_tokens_count", "0.13.0"),
        ("vllm:prompt_tokens_by_source_total", "0.16.0"),
        ("vllm:num_requests_waiting_by_reason", "0.20.0"),
        ("vllm:request_num_preemptions_count", "0.30.0"),
    ];
    let labelled = has_label(set, "engine");
    if !labelled && front_end == FrontEnd::Python {
        return Some("0.8.3");
    }
    let unseen = ALWAYS_SHOWN.iter().find(|(sample, _)| !set.has(sample));
    unseen.map(|&(_, first)| first)
}

fn later(one: &'static str, other: &'static str) -> &'static str {
    if compare(one, other).is_some_and(|order| order.is_lt()) { other } else { one }
}

fn earlier(one: &'static str, other: &'static str) -> &'static str {
    if compare(one, other).is_some_and(|order| order.is_gt()) { other } else { one }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(names: &[(&str, &[&str])]) -> SeriesSet {
        let mut set = SeriesSet::default();
        set.begin_page(0.0);
        for (name, labels) in names {
            let labels = labels.iter().map(|label| ((*label).into(), "0".into())).collect();
            set.record(name, 0.0, 1.0, || ((*name).into(), labels));
        }
        set
    }

    #[test]
    fn the_engine_label_is_v1s() {
        let set = page(&[("vllm:num_requests_running", &["engine"]), ("process_open_fds", &[])]);
        let found = fingerprint(&set, None, false);
        assert_eq!(found.engine, Some(Engine::V1));
        assert_eq!((found.front_end, found.multiprocess), (FrontEnd::Python, false));
    }

    #[test]
    fn swapped_requests_are_v0s_and_bound_the_version() {
        let set = page(&[("vllm:num_requests_swapped", &[]), ("vllm:num_requests_running", &[])]);
        let found = fingerprint(&set, None, false);
        assert_eq!((found.engine, found.multiprocess), (Some(Engine::V0), true));
        assert_eq!(
            found.version_hint.map(|hint| hint.to_string()).as_deref(),
            Some("0.4.0 to 0.9.0.1")
        );
    }

    #[test]
    fn prefix_counters_without_the_engine_label_are_early_v1() {
        let set = page(&[("vllm:gpu_prefix_cache_queries_total", &["model_name"])]);
        let found = fingerprint(&set, None, false);
        assert_eq!(found.engine, Some(Engine::V1));
        let hint = found.version_hint.map(|hint| hint.to_string());
        assert_eq!(hint.as_deref(), Some("0.7.3 or later, before 0.8.3"));
    }

    #[test]
    fn the_version_names_the_engine_where_the_names_do_not() {
        let set = page(&[("vllm:num_requests_running", &["model_name"])]);
        assert_eq!(fingerprint(&set, Some("0.6.1"), false).engine, Some(Engine::V0));
        assert_eq!(fingerprint(&set, Some("0.8.1"), false).engine, None);
    }

    #[test]
    fn a_process_without_vllm_metrics_has_no_stats() {
        let found = fingerprint(&page(&[("process_open_fds", &[])]), Some("0.23.0"), false);
        assert!(found.no_stats && !found.multiprocess);
        let nothing = fingerprint(&SeriesSet::default(), None, false);
        assert_eq!((nothing.front_end, nothing.no_stats), (FrontEnd::Unknown, false));
    }

    #[test]
    fn a_pid_label_shows_several_processes() {
        let set =
            page(&[("vllm:kv_cache_usage_perc", &["engine", "pid"]), ("process_open_fds", &[])]);
        assert!(fingerprint(&set, None, false).multiprocess);
    }
}
