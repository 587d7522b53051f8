//! Configurations that bring exactly the metrics which alerts, objectives and dashboards use to
//! where they are expected, and how many series that makes.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{
    Query,
    cloudwatch_dashboard::AGENT_DIMENSIONS,
    load::Rules,
    names::CloudNames,
    target::{Target, samples},
};
use crate::{
    evidence::SeriesSet,
    signals::families::{self, Kind, Version, buckets},
    unit::counted,
};

/// Port of dcgm-exporter, unless told otherwise.
const DCGM_PORT: u16 = 9400;
/// Where the agent looks for its scrape configuration.
const AGENT_SCRAPE_CONFIG: &str = "/etc/cwagentconfig/prometheus.yaml";
/// Finite buckets of lengths, which end at the longest context: so many reach 100,000 tokens.
const LENGTH_BUCKETS: usize = 16;
/// Seconds between two scrapes for Prometheus; for CloudWatch it is a minute.
const INTERVAL: &str = "15s";

/// What is collected, and from where.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// Metrics of vLLM at the target, by name.
    pub metrics: BTreeMap<String, Kind>,
    /// Families that the target lacks, with the reason.
    pub lacking: Vec<String>,
    /// Metrics of dcgm-exporter.
    pub gpu: Vec<String>,
    /// Addresses of the servers.
    pub targets: Vec<String>,
    /// Addresses of dcgm-exporter.
    pub gpu_targets: Vec<String>,
    /// Series that one server gives for one model.
    pub series: Estimate,
}

/// A number of series.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Estimate {
    /// Counted on the target's own page.
    Counted(usize),
    /// From what its release is known to export; labels may multiply it.
    About(usize),
}

/// What alerts, objectives and dashboards use. `page` is what the target exports, if it was read.
pub fn wanted(rules: &Rules, target: &Target, page: Option<&SeriesSet>) -> Wanted {
    let (mut names, mut kept, mut lacking) = (BTreeMap::new(), Vec::new(), Vec::new());
    for family in families_used(rules).into_iter().filter_map(families::family) {
        match target.dialect.name(family.id) {
            Ok(name) => {
                names.insert(name, family.kind);
                kept.push((family.id, family.kind));
            }
            Err(why) => lacking.push(why),
        }
    }
    let series = match page {
        Some(page) => Estimate::Counted(counted_on(page, &names)),
        None => Estimate::About(about(&kept, target.dialect.version)),
    };
    let stored = |(name, kind): (String, Kind)| (name.replace("vllm:", target.prefix), kind);
    Wanted {
        metrics: names.into_iter().map(stored).collect(),
        lacking,
        gpu: exporter_metrics(rules),
        targets: Vec::new(),
        gpu_targets: Vec::new(),
        series,
    }
}

/// Ids of the families behind all measures that something shows or judges, sorted.
fn families_used(rules: &Rules) -> Vec<&str> {
    let panels = rules.rows.iter().flat_map(|row| &row.panels);
    let shown = panels.flat_map(|panel| &panel.measures);
    let judged = rules.alerts.iter().flat_map(|alert| &alert.all).map(|it| &it.measure);
    let promised = rules.slos.iter().flat_map(|slo| {
        let errors = slo.errors.iter().map(|it| &it.measure);
        errors.chain(slo.latency.iter().map(|it| &it.measure))
    });
    let measures = shown.chain(judged).chain(promised).filter_map(|id| rules.measures.get(id));
    let mut ids: Vec<&str> =
        measures.filter_map(|it| it.metrics.as_ref()).flat_map(families_of).collect();
    ids.sort_unstable();
    ids.dedup();
    ids
}

fn families_of(query: &Query) -> Vec<&str> {
    match query {
        Query::Quantile { of, .. } | Query::Mean { of } | Query::Gauge { of, .. } => vec![of],
        Query::Rate { of, .. } => of.iter().map(String::as_str).collect(),
        Query::Ratio { of, to } => vec![&of.family, &to.family],
    }
}

fn exporter_metrics(rules: &Rules) -> Vec<String> {
    let exporters = rules.measures.values().filter_map(|measure| measure.exporter.as_ref());
    let mut names: Vec<String> =
        exporters.flat_map(|it| std::iter::once(&it.metric).chain(&it.rest)).cloned().collect();
    names.sort();
    names.dedup();
    names
}

/// Series of a page that are kept, for each model on it.
fn counted_on(page: &SeriesSet, metrics: &BTreeMap<String, Kind>) -> usize {
    let kept: Vec<String> = metrics.iter().flat_map(|(name, kind)| samples(*kind, name)).collect();
    let series = page.iter().filter(|series| kept.contains(&series.name));
    let mut models: Vec<&str> = Vec::new();
    let mut count = 0;
    for series in series {
        count += 1;
        if let Some(model) = series.label("model_name").filter(|it| !models.contains(it)) {
            models.push(model);
        }
    }
    count / models.len().max(1)
}

/// Series by kind, buckets counted, as far as the bounds of the release are known.
fn about(kept: &[(&str, Kind)], version: Version) -> usize {
    let finite =
        |family: &str| buckets::bounds(family, version).map_or(LENGTH_BUCKETS, <[f64]>::len);
    let one = |(family, kind): &(&str, Kind)| match kind {
        Kind::Histogram => finite(family) + 3,
        Kind::Summary => 2,
        Kind::Gauge | Kind::Counter | Kind::Info => 1,
    };
    kept.iter().map(one).sum()
}

/// Comments that stand above a configuration: what it makes, and what it leaves out.
pub fn notes(wanted: &Wanted) -> Vec<String> {
    let (number, how) = match wanted.series {
        Estimate::Counted(number) => (number, "counted on its page"),
        Estimate::About(number) => (number, "about, from its release; labels may multiply it"),
    };
    let mut notes = vec![
        format!("{} of vLLM are kept, and no other.", counted(wanted.metrics.len(), "metric")),
        format!("Series of one server for one model: {number} ({how})."),
    ];
    if !wanted.targets.is_empty() {
        let (all, servers) =
            (number * wanted.targets.len(), counted(wanted.targets.len(), "server"));
        notes.push(format!("That makes {all} series for {servers} with one model each."));
    }
    if wanted.targets.is_empty() {
        notes.push("No server is named: give each as HOST:PORT.".into());
    }
    if wanted.gpu_targets.is_empty() {
        notes.push(format!(
            "Nothing of the GPUs: give dcgm-exporter with --gpu HOST:{DCGM_PORT} ({} metrics a GPU).",
            wanted.gpu.len()
        ));
    }
    notes.extend(wanted.lacking.iter().map(|why| format!("Left out: {why}")));
    notes
}

fn commented(notes: &[String]) -> String {
    notes.iter().map(|note| format!("# {note}\n")).collect()
}

/// The scrape configuration of Prometheus, as YAML.
pub fn prometheus(wanted: &Wanted) -> String {
    let jobs = scrape_configs(wanted, "");
    let notes = commented(&notes(wanted));
    format!("{notes}global:\n  scrape_interval: {INTERVAL}\nscrape_configs:\n{jobs}")
}

/// The configuration of an OpenTelemetry collector that writes to Prometheus, as YAML.
pub fn otel(wanted: &Wanted) -> String {
    let jobs = scrape_configs(wanted, "        ");
    let notes = commented(&notes(wanted));
    format!(
        "{notes}# Names stay as vLLM writes them: no suffix is added, and the colon is kept.\n\
         receivers:\n  prometheus:\n    config:\n      global:\n        \
         scrape_interval: {INTERVAL}\n      scrape_configs:\n{jobs}\
         exporters:\n  prometheusremotewrite:\n    endpoint: ${{env:PROMETHEUS_REMOTE_WRITE_URL}}\n    \
         add_metric_suffixes: false\n\
         service:\n  pipelines:\n    metrics:\n      receivers: [prometheus]\n      \
         exporters: [prometheusremotewrite]\n"
    )
}

fn scrape_configs(wanted: &Wanted, indent: &str) -> String {
    let kept: Vec<String> =
        wanted.metrics.iter().flat_map(|(name, kind)| samples(*kind, name)).collect();
    let mut jobs = job("vllm", &wanted.targets, &kept);
    if !wanted.gpu_targets.is_empty() {
        jobs.push_str(&job("dcgm-exporter", &wanted.gpu_targets, &wanted.gpu));
    }
    jobs.lines().map(|line| format!("{indent}{line}\n")).collect()
}

fn job(name: &str, targets: &[String], kept: &[String]) -> String {
    let targets: Vec<String> = targets.iter().map(|it| format!("{it:?}")).collect();
    format!(
        "  - job_name: {name}\n    static_configs:\n      - targets: [{}]\n    \
         metric_relabel_configs:\n      - source_labels: [__name__]\n        action: keep\n        \
         regex: {:?}\n",
        targets.join(", "),
        kept.join("|")
    )
}

/// Metrics that the CloudWatch agent makes something of: it drops histograms, and series of the HTTP
/// server have no model to tell them apart by.
fn taken(wanted: &Wanted) -> Vec<&String> {
    let simple = |kind: Kind| matches!(kind, Kind::Gauge | Kind::Counter);
    let of_engine = |name: &str| !name.starts_with("http_");
    let all = wanted.metrics.iter();
    all.filter(|(name, kind)| simple(**kind) && of_engine(name)).map(|(name, _)| name).collect()
}

/// Custom metrics in CloudWatch that one server makes for one model: each set of dimensions is one.
pub fn custom_metrics(wanted: &Wanted) -> usize {
    taken(wanted).len() * dimension_sets().len()
}

/// What the agent's configuration makes, for people: its own format has no comments.
pub fn agent_notes(wanted: &Wanted) -> Vec<String> {
    let number = custom_metrics(wanted);
    vec![
        format!("It makes {number} custom metrics for each server with one model."),
        "Histograms are not among them: the CloudWatch agent drops those.".into(),
        format!("Its scrape configuration is that of --to prometheus, at {AGENT_SCRAPE_CONFIG}."),
    ]
}

/// By model, for alarms, and by model and instance, so that replicas can be added up.
fn dimension_sets() -> [Vec<&'static str>; 2] {
    [vec![AGENT_DIMENSIONS[0]], AGENT_DIMENSIONS.to_vec()]
}

/// The configuration of the CloudWatch agent: vLLM's gauges and counters into the gateway's
/// namespace, and a socket that takes the gateway's own lines.
pub fn cloudwatch_agent(wanted: &Wanted, names: &CloudNames) -> Value {
    let taken = taken(wanted);
    let selectors: Vec<String> = taken.iter().map(|name| format!("^{name}$")).collect();
    let units: BTreeMap<&String, &str> = taken.iter().map(|name| (*name, "Count")).collect();
    json!({ "logs": { "metrics_collected": {
        "emf": {},
        "prometheus": {
            "prometheus_config_path": AGENT_SCRAPE_CONFIG,
            "log_group_name": "/vllm/metrics",
            "emf_processor": {
                "metric_namespace": names.namespace,
                "metric_unit": units,
                "metric_declaration": [{
                    "source_labels": ["job"],
                    "label_matcher": "^vllm$",
                    "dimensions": dimension_sets(),
                    "metric_selectors": selectors,
                }],
            },
        },
    } } })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(version: &str) -> Target {
        Target::of_version(Version::parse(version).unwrap(), &[])
    }

    #[test]
    fn what_a_release_lacks_is_left_out_with_the_reason() {
        let rules = Rules::embedded().unwrap();
        let old = wanted(&rules, &names("0.8.5"), None);
        assert!(old.metrics.contains_key("vllm:time_per_output_token_seconds"));
        assert!(old.lacking.iter().any(|why| why.contains("request_time_per_output_token")));
        let new = wanted(&rules, &names("0.33.0"), None);
        assert!(new.metrics.contains_key("vllm:inter_token_latency_seconds"));
    }

    #[test]
    fn only_gauges_and_counters_become_custom_metrics() {
        let found = wanted(&Rules::embedded().unwrap(), &names("0.23.0"), None);
        assert_eq!(custom_metrics(&found), 2 * 9, "nine gauges and counters, two sets each");
        let agent = cloudwatch_agent(&found, &CloudNames::default()).to_string();
        assert!(agent.contains("^vllm:num_requests_waiting$") && !agent.contains("_seconds"));
    }
}
