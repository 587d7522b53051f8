//! vLLM's metric families across its versions: every rename, and why one may be absent.
//!
//! The [`table`] was read from the source of each release, 0.4.0 to 0.33.0. Version spans are
//! inclusive. A name that stands in the source but shows only under
//! `--show-hidden-metrics-for-version` is *hidden*.

pub mod buckets;
pub mod fingerprint;
pub mod table;
pub mod version;

use std::{borrow::Cow, collections::HashMap, fmt, sync::LazyLock};

pub use fingerprint::{Fingerprint, FrontEnd, engine, fingerprint};
pub use version::Version;

use crate::{evidence::SeriesSet, unit::Unit};

/// One quantity that vLLM measures, under all the names it has had.
#[derive(Debug)]
pub struct Family {
    /// Stable name in this tool.
    pub id: &'static str,
    /// What kind of metric it is.
    pub kind: Kind,
    /// Unit of its values; a histogram's is that of its observations.
    pub unit: Unit,
    /// One sentence.
    pub about: &'static str,
    /// What the server must run with, or have done, for the family to show; `None` if nothing.
    pub needs: Option<&'static str>,
    /// Whether the Rust front-end lacks it.
    pub python_only: bool,
    /// Its names, newest first.
    pub names: &'static [Name],
}

/// One exported name.
#[derive(Debug)]
pub struct Name {
    /// The sample name: of a counter with `_total`, of a histogram or summary without suffix.
    pub name: &'static str,
    /// When the V0 engine exported it.
    pub v0: Option<Life>,
    /// When the V1 engine exports it.
    pub v1: Option<Life>,
    /// What is particular to values under this name.
    pub note: Option<&'static str>,
}

/// The releases that have a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Life {
    /// First release.
    pub first: &'static str,
    /// Last release; `None` while it is still there.
    pub last: Option<&'static str>,
    /// First release that hides it.
    pub hidden_from: Option<&'static str>,
}

/// Kinds of metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A value that goes up and down.
    Gauge,
    /// A value that only grows until the process restarts.
    Counter,
    /// Observations in buckets, with their sum and count.
    Histogram,
    /// Observations with their sum and count.
    Summary,
    /// Text in labels, with a value of 1 or a time.
    Info,
}

/// vLLM's two engines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Engine {
    /// The first one, gone with 0.11.0.
    V0,
    /// The one that replaced it, default from 0.8.0.
    V1,
}

impl fmt::Display for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::V0 => "V0",
            Self::V1 => "V1",
        })
    }
}

impl Engine {
    /// The engine that a release can only have had, where it had no choice of metrics.
    pub fn of(version: Version) -> Option<Self> {
        if at_least(version, "0.11.0") {
            Some(Self::V1)
        } else if at_least(version, "0.7.1") {
            None
        } else {
            Some(Self::V0)
        }
    }
}

impl Kind {
    /// The sample whose presence shows that a metric of this kind has values.
    pub fn sample(self, name: &str) -> Cow<'_, str> {
        match self {
            Self::Histogram | Self::Summary => format!("{name}_count").into(),
            Self::Gauge | Self::Counter | Self::Info => name.into(),
        }
    }
}

impl Life {
    /// Whether `version` has the name, hidden or not.
    pub fn contains(self, version: Version) -> bool {
        at_least(version, self.first) && self.last.is_none_or(|last| !after(version, last))
    }

    /// Whether `version` has the name and hides it.
    pub fn hides(self, version: Version) -> bool {
        self.contains(version) && self.hidden_from.is_some_and(|from| at_least(version, from))
    }
}

impl Name {
    /// The releases of one engine that have the name, or of either where the engine is unknown.
    pub fn lives(&self, engine: Option<Engine>) -> impl Iterator<Item = Life> {
        let v0 = self.v0.filter(|_| engine != Some(Engine::V1));
        let v1 = self.v1.filter(|_| engine != Some(Engine::V0));
        v0.into_iter().chain(v1)
    }
}

fn at_least(version: Version, bound: &str) -> bool {
    Version::parse(bound).is_some_and(|bound| version.release() >= bound)
}

fn after(version: Version, bound: &str) -> bool {
    Version::parse(bound).is_some_and(|bound| version.release() > bound)
}

/// All families, in reading order.
pub fn all() -> &'static [Family] {
    table::FAMILIES
}

/// The family with this id.
pub fn family(id: &str) -> Option<&'static Family> {
    static BY_ID: LazyLock<HashMap<&str, &Family>> =
        LazyLock::new(|| all().iter().map(|family| (family.id, family)).collect());
    BY_ID.get(id).copied()
}

/// The newest name of a family that the pages have samples of.
pub fn exported(id: &str, set: &SeriesSet) -> Option<&'static str> {
    let family = family(id)?;
    let found = family.names.iter().find(|name| set.has(&family.kind.sample(name.name)));
    found.map(|name| name.name)
}

/// Why the pages of a server have no samples of a family: one fragment for people.
pub fn why_absent(id: &str, version: Option<&str>, engine: Option<Engine>) -> String {
    let Some(family) = family(id) else {
        return format!("no metric family is called `{id}`");
    };
    // Builds from source without tags call themselves 0.1.dev…, which says nothing.
    let known = version.and_then(Version::parse).filter(|&version| at_least(version, "0.4.0"));
    match known {
        Some(version) => family.why_absent_in(version, engine.or_else(|| Engine::of(version))),
        None => family.why_absent_in_unknown(),
    }
}

impl Family {
    /// The newest name: what people know the family by.
    fn newest(&self) -> &'static str {
        self.names.first().map_or(self.id, |name| name.name)
    }

    fn why_absent_in_unknown(&self) -> String {
        let lives = self.names.iter().flat_map(|name| name.lives(None));
        let first = lives.min_by_key(|life| Version::parse(life.first)).map_or("?", |l| l.first);
        let needs = self.needs.map(|needs| format!(", and needs {needs}")).unwrap_or_default();
        format!(
            "the page has no {}, and vLLM's version is unknown: it exists from {first}{needs}",
            self.newest()
        )
    }

    fn why_absent_in(&self, version: Version, engine: Option<Engine>) -> String {
        let named =
            || self.names.iter().flat_map(|name| name.lives(engine).map(move |l| (name, l)));
        let alive = |(_, life): &(&Name, Life)| life.contains(version);
        if let Some((name, _)) = named().find(|pair| alive(pair) && !pair.1.hides(version)) {
            return self.why_not_shown(name.name, version);
        }
        if let Some((name, _)) = named().find(alive) {
            let minor = version.previous_minor();
            return format!(
                "vLLM {version} hides {}: start it with --show-hidden-metrics-for-version={minor}",
                name.name
            );
        }
        let subject = match engine {
            Some(engine) => format!("vLLM {version} ({engine})"),
            None => format!("vLLM {version}"),
        };
        let later = named().filter(|(_, life)| !at_least(version, life.first));
        if let Some((name, life)) = later.min_by_key(|(_, life)| Version::parse(life.first)) {
            return format!("{subject} has no {}: it exists from {}", name.name, life.first);
        }
        let ended = named().filter_map(|(name, life)| Some((name, life.last?)));
        match ended.max_by_key(|(_, last)| Version::parse(last)) {
            Some((name, last)) => {
                format!("{subject} has no {}: {last} was the last to export it", name.name)
            }
            None => {
                let first = self.names.iter().flat_map(|name| name.lives(None));
                let first = first.min_by_key(|life| Version::parse(life.first));
                let first = first.map_or("?", |life| life.first);
                let newest = self.newest();
                format!("{subject} has no {newest}: only the other engine exports it, from {first}")
            }
        }
    }

    fn why_not_shown(&self, name: &str, version: Version) -> String {
        if let Some(needs) = self.needs {
            return format!("the page has no {name}: vLLM {version} exports it only with {needs}");
        }
        let front_end = if self.python_only && at_least(version, "0.22.0") {
            ", does the Rust front-end serve it (which lacks it)"
        } else {
            ""
        };
        format!(
            "the page has no {name} although vLLM {version} exports it: is --disable-log-stats \
             set{front_end}, or has no request come yet?"
        )
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn ids_are_unique_snake_case_and_sentences_end_with_a_full_stop() {
        let ids: BTreeSet<&str> = all().iter().map(|family| family.id).collect();
        assert_eq!(ids.len(), all().len());
        let snake = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
        for family in all() {
            assert!(family.id.chars().all(snake), "{}", family.id);
            assert!(family.about.ends_with('.'), "{}", family.id);
            assert!(family.about.starts_with(char::is_uppercase), "{}", family.id);
            assert!(!family.names.is_empty(), "{}", family.id);
        }
    }

    #[test]
    fn no_name_belongs_to_two_families_and_each_has_a_known_prefix_and_suffix() {
        let mut names = BTreeSet::new();
        for family in all() {
            for name in family.names {
                assert!(names.insert(name.name), "{} twice", name.name);
                let prefixes = ["vllm:", "http_", "process_"];
                assert!(prefixes.iter().any(|prefix| name.name.starts_with(prefix)));
                if family.kind == Kind::Counter {
                    assert!(name.name.ends_with("_total"), "{}", name.name);
                }
                assert!(!name.name.ends_with("_bucket") && !name.name.ends_with("_count"));
            }
        }
    }

    #[test]
    fn spans_are_well_formed_and_names_stand_newest_first() {
        for family in all() {
            let firsts = family.names.iter().map(|name| {
                assert!(name.v0.is_some() || name.v1.is_some(), "{}", name.name);
                name.lives(None).for_each(|life| check_life(name.name, life));
                name.v1.map_or(Version::parse("0"), |life| Version::parse(life.first))
            });
            assert!(firsts.is_sorted_by(|newer, older| newer >= older), "{}", family.id);
        }
    }

    fn check_life(name: &str, life: Life) {
        let parsed = |text: &str| Version::parse(text).unwrap_or_else(|| panic!("{name}: {text}"));
        let first = parsed(life.first);
        let last = life.last.map(parsed);
        assert!(last.is_none_or(|last| first <= last), "{name}");
        let hidden = life.hidden_from.map(parsed);
        assert!(hidden.is_none_or(|hidden| first < hidden && last >= Some(hidden)), "{name}");
    }

    #[test]
    fn v0_ended_everything_with_its_last_release() {
        let last = Version::parse("0.10.2");
        for name in all().iter().flat_map(|family| family.names) {
            let v0 = name.v0.map(|life| life.last.and_then(Version::parse));
            assert!(v0.is_none_or(|end| end.is_some() && end <= last), "{}", name.name);
        }
    }

    #[test]
    fn absence_is_explained_by_version_and_engine() {
        let why = |id, version, engine| why_absent(id, Some(version), engine);
        assert_eq!(
            why("kv_cache_usage", "0.7.0", Some(Engine::V1)),
            "vLLM 0.7.0 (V1) has no vllm:gpu_cache_usage_perc: it exists from 0.7.1"
        );
        assert_eq!(
            why("prompt_tokens_cached", "0.12.0", None),
            "vLLM 0.12.0 (V1) has no vllm:prompt_tokens_cached_total: it exists from 0.16.0"
        );
        assert_eq!(
            why("swapped", "0.8.4", Some(Engine::V0)),
            "vLLM 0.8.4 hides vllm:num_requests_swapped: start it with \
             --show-hidden-metrics-for-version=0.7"
        );
        assert_eq!(
            why("swapped", "0.23.0", None),
            "vLLM 0.23.0 (V1) has no vllm:num_requests_swapped: only the other engine exports it, \
             from 0.4.0"
        );
        assert_eq!(
            why("prompt_tokens_recomputed", "0.23.0", None),
            "vLLM 0.23.0 (V1) has no vllm:prompt_tokens_recomputed_total: 0.19.1 was the last to \
             export it"
        );
        assert_eq!(
            why("lora_requests_info", "0.23.0", None),
            "the page has no vllm:lora_requests_info: vLLM 0.23.0 exports it only with \
             --enable-lora"
        );
        assert_eq!(
            why("running", "0.23.0", None),
            "the page has no vllm:num_requests_running although vLLM 0.23.0 exports it: is \
             --disable-log-stats set, or has no request come yet?"
        );
    }

    #[test]
    fn an_unknown_or_meaningless_version_is_said() {
        for version in [None, Some("0.1.dev1+g1234"), Some("nightly")] {
            assert_eq!(
                why_absent("prompt_tokens_cached", version, None),
                "the page has no vllm:prompt_tokens_cached_total, and vLLM's version is unknown: \
                 it exists from 0.16.0"
            );
        }
        assert_eq!(why_absent("nope", None, None), "no metric family is called `nope`");
    }

    #[test]
    fn a_candidate_has_the_metrics_of_its_release() {
        let why = why_absent("prompt_tokens_cached", Some("0.16.0rc2+cu129"), None);
        assert!(why.contains("although"), "{why}");
    }
}
