//! Configurations that bring exactly the metrics which alerts, objectives and dashboards use to
//! where they are expected, and how many series that makes.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{
    Query, cloudwatch_dashboard::AGENT_DIMENSIONS, load::Rules, names::CloudNames, promql::Dialect,
};
use crate::{
    evidence::SeriesSet,
    signals::families::{self, Kind, Version},
    unit::counted,
};

/// Port of dcgm-exporter, unless told otherwise.
const DCGM_PORT: u16 = 9400;
/// Where the agent looks for its scrape configuration.
const AGENT_SCRAPE_CONFIG: &str = "/etc/cwagentconfig/prometheus.yaml";
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
pub fn wanted(rules: &Rules, names: &Dialect, page: Option<&SeriesSet>) -> Wanted {
    let (mut metrics, mut lacking) = (BTreeMap::new(), Vec::new());
    for id in families_used(rules) {
        let Some(family) = families::family(id) else { continue };
        match names.name(id) {
            Ok(name) => {
                metrics.insert(name, family.kind);
            }
            Err(why) => lacking.push(why),
        }
    }
    let series = match page {
        Some(page) => Estimate::Counted(counted_on(page, &metrics)),
        None => Estimate::About(about(&metrics, names.version)),
    };
    let (targets, gpu_targets) = (Vec::new(), Vec::new());
    Wanted { metrics, lacking, gpu: exporter_metrics(rules), targets, gpu_targets, series }
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

/// Sample names of a metric.
fn samples(name: &str, kind: Kind) -> Vec<String> {
    match kind {
        Kind::Histogram => ["bucket", "sum", "count"].map(|end| format!("{name}_{end}")).to_vec(),
        Kind::Summary => [name.to_owned(), format!("{name}_sum"), format!("{name}_count")].to_vec(),
        Kind::Gauge | Kind::Counter | Kind::Info => vec![name.to_owned()],
    }
}

/// Series of a page that are kept, for each model on it.
fn counted_on(page: &SeriesSet, metrics: &BTreeMap<String, Kind>) -> usize {
    let kept: Vec<String> = metrics.iter().flat_map(|(name, kind)| samples(name, *kind)).collect();
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

/// Series by kind, buckets counted, as far as the bounds of a release are known.
fn about(metrics: &BTreeMap<String, Kind>, version: Version) -> usize {
    let one = |(name, kind): (&String, &Kind)| match kind {
        Kind::Histogram => buckets(name, version) + 3,
        Kind::Summary => 3,
        Kind::Gauge | Kind::Counter | Kind::Info => 1,
    };
    metrics.iter().map(one).sum()
}

/// Finite bounds of a histogram's buckets. Those of lengths end at the model's longest context;
/// 16 of them reach 100,000 tokens.
fn buckets(name: &str, version: Version) -> usize {
    let wide = Version::parse("0.8.4").is_some_and(|first| version.release() >= first);
    match (name, wide) {
        ("vllm:time_to_first_token_seconds", true) => 22,
        ("vllm:time_to_first_token_seconds", false) => 16,
        (name, true) if name.contains("_token") && name.ends_with("_seconds") => 19,
        (name, false) if name.contains("time_per_output_token") => 13,
        (name, true) if name.ends_with("_seconds") => 21,
        (name, false) if name.ends_with("_seconds") => 15,
        _ => 16,
    }
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
        wanted.metrics.iter().flat_map(|(name, kind)| samples(name, *kind)).collect();
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

/// Whether the CloudWatch agent takes a metric: it drops histograms.
fn agent_takes(kind: Kind) -> bool {
    matches!(kind, Kind::Gauge | Kind::Counter)
}

/// Custom metrics in CloudWatch that one server makes for one model: each set of dimensions is one.
pub fn custom_metrics(wanted: &Wanted) -> usize {
    wanted.metrics.values().filter(|kind| agent_takes(**kind)).count() * dimension_sets().len()
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
    let taken = wanted.metrics.iter().filter(|(_, kind)| agent_takes(**kind));
    let taken: Vec<&String> = taken.map(|(name, _)| name).collect();
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

    fn names(version: &str) -> Dialect {
        Dialect {
            version: Version::parse(version).unwrap(),
            exported: None,
            selector: String::new(),
            by: Vec::new(),
        }
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
        let simple = found.metrics.values().filter(|kind| **kind != Kind::Histogram).count();
        assert_eq!(custom_metrics(&found), 2 * simple);
        let agent = cloudwatch_agent(&found, &CloudNames::default()).to_string();
        assert!(agent.contains("^vllm:num_requests_waiting$") && !agent.contains("_seconds"));
    }
}
