//! The server that rules are written for or compared with: its names, and the bounds of its buckets.

use std::collections::BTreeMap;

use promql_parser::{
    label::{MatchOp, Matcher},
    parser::{self, Expr},
};

use super::promql::Dialect;
use crate::{
    evidence::{Evidence, SeriesSet, SourceState},
    signals::families::{self, FrontEnd, Version, buckets, fingerprint},
};

/// Labels that tell one process from another: a rule that kept them would page once for each.
const OF_ONE_PROCESS: [&str; 5] = ["instance", "pod", "engine", "pid", "container"];

/// A server, or a release of vLLM with its usual settings.
#[derive(Debug, Clone, PartialEq)]
pub struct Target {
    /// Its names and its labels.
    pub dialect: Dialect,
    /// What it is in words, e.g. `vLLM 0.23.0`.
    pub name: String,
    /// How names of vLLM begin where they are stored.
    pub prefix: &'static str,
    /// Whether a page of it was read, which has every name: a store is asked for the known ones.
    pub is_whole: bool,
    /// Finite upper bounds of the histograms seen, by name.
    seen: BTreeMap<String, Vec<f64>>,
}

/// Where a threshold lies among the bounds of a histogram.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Place {
    /// It is a bound: what lies above it is counted exactly.
    Bound,
    /// In the first bucket, below this bound: a quantile there is a guess.
    First(f64),
    /// Between two bounds.
    Between(f64, f64),
    /// At or above the last finite bound, which no quantile exceeds.
    Beyond(f64),
}

impl Target {
    /// A release, as its source has it.
    pub fn of_version(version: Version, selector: &[Matcher]) -> Self {
        Self {
            dialect: dialect(version, None, selector),
            name: format!("vLLM {version}"),
            prefix: "vllm:",
            is_whole: false,
            seen: BTreeMap::new(),
        }
    }

    /// The server that evidence was read from; `Err` says why nothing is known of it.
    pub fn of_evidence(evidence: &Evidence, selector: &[Matcher]) -> Result<Self, String> {
        let set = &evidence.series;
        let recorded = evidence.target.version.as_deref();
        let print = fingerprint(set, recorded, false);
        if print.no_stats || set.names().next().is_none() {
            return Err("no metrics of vLLM were read".into());
        }
        let store = evidence.source("prometheus");
        let store = store.filter(|store| store.status != SourceState::NotConfigured);
        if let Some(partly) = store.filter(|store| store.status != SourceState::Ok) {
            return Err(format!("Prometheus did not tell everything: {}", partly.detail));
        }
        let hint = || print.version_hint.and_then(|hint| Version::parse(hint.first));
        let version = recorded.and_then(Version::parse).or_else(hint);
        let version = version.ok_or("the version of vLLM is not known")?;
        let hinted = print.version_hint.filter(|_| recorded.and_then(Version::parse).is_none());
        let called = hinted.map_or(version.to_string(), |hint| hint.to_string());
        let exported = set.names().map(Into::into).collect();
        Ok(Self {
            dialect: dialect(version, Some(exported), selector),
            name: format!("vLLM {called} at {}", evidence.target.name),
            prefix: if print.front_end == FrontEnd::Ray { "ray_vllm_" } else { "vllm:" },
            is_whole: store.is_none()
                && evidence.source("metrics").is_some_and(|page| page.status.answered()),
            seen: seen(set),
        })
    }

    /// The finite upper bounds of a family's buckets, ascending: those seen, or the usual ones of
    /// the release.
    pub fn bounds(&self, family: &str) -> Option<Vec<f64>> {
        let name = self.dialect.name(family).ok()?;
        let usual = || buckets::bounds(family, self.dialect.version).map(<[f64]>::to_vec);
        match &self.dialect.exported {
            Some(_) => self.seen.get(&name).cloned(),
            None => usual(),
        }
    }

    /// Where a threshold lies; `None` where the bounds are not known.
    pub fn place(&self, family: &str, threshold: f64) -> Option<Place> {
        let bounds = self.bounds(family)?;
        let (first, last) = (*bounds.first()?, *bounds.last()?);
        let above = bounds.iter().position(|bound| *bound > threshold);
        Some(match above {
            None => Place::Beyond(last),
            Some(0) => Place::First(first),
            Some(index) if bounds[index - 1] == threshold => Place::Bound,
            Some(index) => Place::Between(bounds[index - 1], bounds[index]),
        })
    }

    /// The same for series of the HTTP server and the process, which know no model.
    pub fn without_model(&self) -> Dialect {
        let of_model = |label: &str| label == "model_name" || label == "engine";
        let by = self.dialect.by.iter().filter(|label| !of_model(label)).cloned().collect();
        let matchers = matchers(&self.dialect.selector).unwrap_or_default();
        let kept: Vec<Matcher> =
            matchers.into_iter().filter(|matcher| !of_model(&matcher.name)).collect();
        Dialect { by, selector: written(&kept), ..self.dialect.clone() }
    }
}

fn dialect(version: Version, exported: Option<Vec<String>>, selector: &[Matcher]) -> Dialect {
    let mut by = vec!["model_name".to_owned()];
    let stable = selector.iter().filter(|it| matches!(it.op, MatchOp::Equal | MatchOp::Re(_)));
    let names = stable.map(|it| &it.name).filter(|it| !OF_ONE_PROCESS.contains(&it.as_str()));
    by.extend(names.filter(|name| *name != "model_name").cloned());
    Dialect { version, exported, selector: written(selector), by }
}

fn seen(set: &SeriesSet) -> BTreeMap<String, Vec<f64>> {
    let mut seen: BTreeMap<String, Vec<f64>> = BTreeMap::new();
    for series in set.iter() {
        let Some(base) = series.name.strip_suffix("_bucket") else { continue };
        let bound = series.label("le").and_then(|le| le.parse::<f64>().ok());
        let bounds = seen.entry(base.to_owned()).or_default();
        bounds.extend(bound.filter(|bound| bound.is_finite()));
    }
    for bounds in seen.values_mut() {
        bounds.sort_by(f64::total_cmp);
        bounds.dedup();
    }
    seen
}

/// Reads matchers such as `job="vllm"`, with braces or without; `Err` says what is wrong with them.
pub fn matchers(selector: &str) -> Result<Vec<Matcher>, String> {
    let inside = selector.trim().trim_start_matches('{').trim_end_matches('}');
    if inside.trim().is_empty() {
        return Ok(Vec::new());
    }
    // A matcher that matches the empty text needs another beside it, which a name is.
    match parser::parse(&format!("any{{{inside}}}"))? {
        Expr::VectorSelector(selector) => Ok(selector.matchers.matchers),
        _ => Err("these are no matchers of labels".into()),
    }
}

fn written(matchers: &[Matcher]) -> String {
    let one = |it: &Matcher| format!("{}{}{:?}", it.name, operator(&it.op), it.value);
    matchers.iter().map(one).collect::<Vec<_>>().join(",")
}

fn operator(op: &MatchOp) -> &'static str {
    match op {
        MatchOp::Equal => "=",
        MatchOp::NotEqual => "!=",
        MatchOp::Re(_) => "=~",
        MatchOp::NotRe(_) => "!~",
    }
}

/// The family that a sample belongs to, with the name that it has there; `None` where vLLM has never
/// had it.
pub fn family_of(sample: &str) -> Option<(&'static families::Family, &'static str)> {
    let all = families::all().iter();
    let mut names = all.flat_map(|family| family.names.iter().map(move |name| (family, name.name)));
    names.find(|(family, name)| samples(family.kind, name).iter().any(|it| it == sample))
}

/// All names of samples that a metric of a kind has.
pub fn samples(kind: families::Kind, name: &str) -> Vec<String> {
    let with = |ends: &[&str]| ends.iter().map(|end| format!("{name}{end}")).collect();
    match kind {
        families::Kind::Histogram => with(&["_bucket", "_sum", "_count"]),
        families::Kind::Summary => with(&["_sum", "_count"]),
        _ => vec![name.to_owned()],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::SourceStatus;

    fn of(version: &str, selector: &str) -> Target {
        let version = Version::parse(version).unwrap();
        Target::of_version(version, &matchers(selector).unwrap())
    }

    #[test]
    fn results_keep_the_labels_of_the_selector_that_outlive_a_process() {
        let target = of("0.23.0", "{job=\"vllm\", cluster=~\"a|b\", pod=\"x-1\", zone!=\"c\"}");
        assert_eq!(target.dialect.by, ["model_name", "job", "cluster"]);
        assert_eq!(
            target.dialect.selector,
            "job=\"vllm\",cluster=~\"a|b\",pod=\"x-1\",zone!=\"c\""
        );
        let http = of("0.23.0", "job=\"vllm\",model_name=\"m\"").without_model();
        assert_eq!((http.selector.as_str(), http.by), ("job=\"vllm\"", vec!["job".to_owned()]));
        assert!(matchers("job=vllm").is_err());
    }

    #[test]
    fn a_threshold_is_placed_among_the_bounds_of_the_release() {
        let now = of("0.23.0", "");
        assert_eq!(now.place("queue_time", 0.2), Some(Place::First(0.3)));
        assert_eq!(now.place("ttft", 0.5), Some(Place::Bound));
        assert_eq!(now.place("ttft", 3.0), Some(Place::Between(2.5, 5.0)));
        assert_eq!(of("0.8.3", "").place("ttft", 12.0), Some(Place::Beyond(10.0)));
        assert_eq!(now.place("request_prompt_tokens", 5.0), None);
    }

    #[test]
    fn a_sample_leads_to_its_family() {
        let (family, name) = family_of("vllm:time_to_first_token_seconds_bucket").unwrap();
        assert_eq!((family.id, name), ("ttft", "vllm:time_to_first_token_seconds"));
        assert!(family_of("vllm:time_to_first_token_seconds").is_none());
    }

    #[test]
    fn a_store_that_answers_in_part_proves_no_name_missing() {
        let mut series = SeriesSet::default();
        series.begin_page(0.0);
        series.record("a", 0.0, 1.0, || ("vllm:num_requests_running".into(), Vec::new()));
        let told = |id: &str, status| {
            let status =
                SourceStatus { id: id.into(), status, detail: "too slow".into(), took_ms: None };
            let target =
                crate::evidence::Target { version: Some("0.23.0".into()), ..Default::default() };
            let evidence = Evidence {
                series: series.clone(),
                sources: vec![status],
                target,
                ..Evidence::default()
            };
            Target::of_evidence(&evidence, &[]).map(|target| target.is_whole)
        };
        assert!(told("prometheus", SourceState::Partial).unwrap_err().contains("too slow"));
        assert_eq!(told("prometheus", SourceState::Ok), Ok(false));
        assert_eq!(told("metrics", SourceState::Ok), Ok(true));
    }
}
