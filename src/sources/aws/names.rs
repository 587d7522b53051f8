//! Which metrics are asked for, by which statistics, and over which periods.

use serde_json::{Value, json};

use super::{Gateway, NAMESPACE, words};
use crate::evidence::{Span, Time};

/// Namespaces of SageMaker: what an endpoint is asked, and what its instances do.
pub(super) const SAGEMAKER: [&str; 2] = ["AWS/SageMaker", "/aws/sagemaker/Endpoints"];

/// Queries that one request may hold.
pub(super) const BATCH: usize = 500;

/// Points of one series. More tell nothing more.
const MOST_POINTS: f64 = 1440.0;

const DAY: f64 = 86_400.0;

/// Of latencies and sizes.
const SPREAD: &[&str] = &["p50", "p95", "p99", "Average", "Sum", "SampleCount"];

/// Of sizes that are added up too.
const TOKENS: &[&str] = &["p50", "p95", "p99", "Sum", "SampleCount"];

/// Of marks, 1 or 0 for each request.
const MARKS: &[&str] = &["Average", "Sum", "SampleCount"];

/// Of gauges of vLLM that somebody writes to the gateway's namespace.
const GAUGES: &[&str] = &["Average", "Maximum"];

/// Of shares of a machine.
const USE: &[&str] = &["Average", "Maximum"];

/// The gateway's metrics by their usual names.
const GATEWAY: &[(&str, &[&str])] = &[
    ("QueueWaitMs", SPREAD),
    ("TTFTMs", SPREAD),
    ("GenerationMs", SPREAD),
    ("TotalMs", SPREAD),
    ("InputTokens", TOKENS),
    ("OutputTokens", TOKENS),
    ("PrefixCacheHit", MARKS),
    ("TokenBudgetTrimmed", MARKS),
    ("OOMCaught", &["Sum", "SampleCount"]),
    ("AdmissionRejected", &["Sum", "SampleCount"]),
];

/// Metrics of each namespace of SageMaker.
const ENDPOINT: [&[(&str, &[&str])]; 2] = [
    &[
        ("Invocations", &["Sum"]),
        ("Invocation4XXErrors", &["Sum"]),
        ("Invocation5XXErrors", &["Sum"]),
        ("ModelLatency", SPREAD),
        ("OverheadLatency", SPREAD),
    ],
    &[
        ("CPUUtilization", USE),
        ("MemoryUtilization", USE),
        ("GPUUtilization", USE),
        ("GPUMemoryUtilization", USE),
        ("DiskUtilization", USE),
    ],
];

/// One metric with one set of dimensions.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Metric {
    pub(super) namespace: String,
    pub(super) name: String,
    pub(super) dimensions: Vec<(String, String)>,
}

/// One series to ask for.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Query {
    pub(super) id: String,
    /// As CloudWatch has it.
    pub(super) metric: Metric,
    /// As the record names it.
    pub(super) usual: Metric,
    pub(super) statistic: String,
    /// Seconds.
    pub(super) period: i32,
}

impl Query {
    /// As a record has it.
    pub(super) fn shown(&self) -> Value {
        let Metric { namespace, name, dimensions } = &self.usual;
        let pairs = dimensions.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        json!({
            "Id": self.id,
            "MetricStat": {
                "Metric": {
                    "Namespace": namespace,
                    "MetricName": name,
                    "Dimensions": words::dimensions(pairs),
                },
                "Period": self.period,
                "Stat": self.statistic,
            },
        })
    }
}

/// Seconds that a point covers: CloudWatch keeps minutes for 15 days, five minutes for 63 days and
/// hours beyond.
pub(super) fn period(reach: Span, now: Time) -> i32 {
    let age = now - reach.from;
    let least = match age {
        age if age <= 15.0 * DAY => 60.0,
        age if age <= 63.0 * DAY => 300.0,
        _ => 3600.0,
    };
    let longer = ((reach.to - reach.from) / (least * MOST_POINTS)).ceil().max(1.0);
    (least * longer) as i32
}

/// All series to ask for of the metrics that there are.
pub(super) fn queries(
    found: &[Metric],
    gateway: &Gateway,
    endpoint: Option<&str>,
    period: i32,
) -> Vec<Query> {
    let known = found.iter().filter_map(|metric| {
        let (usual, statistics) =
            of_gateway(metric, gateway).or_else(|| of_endpoint(metric, endpoint?))?;
        // What an objective counts is asked of the gateway's metrics alone.
        let own = (usual.namespace == NAMESPACE).then(|| gateway.ranks.get(&usual.name));
        let ranks = own.flatten().into_iter().flatten().cloned();
        let all: Vec<String> = statistics.iter().map(ToString::to_string).chain(ranks).collect();
        Some(all.into_iter().map(move |statistic| (metric, usual.clone(), statistic)))
    });
    known
        .flatten()
        .enumerate()
        .map(|(number, (metric, usual, statistic))| Query {
            id: format!("m{number}"),
            metric: metric.clone(),
            usual,
            statistic,
            period,
        })
        .collect()
}

/// A metric of the gateway by its usual names, with its statistics.
fn of_gateway(metric: &Metric, gateway: &Gateway) -> Option<(Metric, &'static [&'static str])> {
    if metric.namespace != gateway.namespace() {
        return None;
    }
    let own = |usual: &str| gateway.metrics.get(usual).map_or(usual.to_owned(), Clone::clone);
    let known = GATEWAY.iter().find(|(usual, _)| own(usual) == metric.name);
    let of_vllm = || metric.name.starts_with("vllm:").then_some((metric.name.as_str(), GAUGES));
    let (name, statistics) = known.map(|(name, of)| (*name, *of)).or_else(of_vllm)?;
    let usual = |own: &str| {
        let renamed = gateway.dimensions.iter().find(|(_, name)| *name == own);
        renamed.map_or(own, |(usual, _)| usual).to_owned()
    };
    let mut dimensions: Vec<_> =
        metric.dimensions.iter().map(|(name, value)| (usual(name), value.clone())).collect();
    dimensions.sort();
    Some((Metric { namespace: NAMESPACE.into(), name: name.into(), dimensions }, statistics))
}

/// A metric of the endpoint's variants. Those of a single container or instance are left out.
fn of_endpoint(metric: &Metric, endpoint: &str) -> Option<(Metric, &'static [&'static str])> {
    let at = SAGEMAKER.iter().position(|namespace| *namespace == metric.namespace)?;
    let (_, statistics) = ENDPOINT.get(at)?.iter().find(|(name, _)| *name == metric.name)?;
    let mut usual = metric.clone();
    usual.dimensions.sort();
    let names: Vec<_> = usual.dimensions.iter().map(|(name, _)| name.as_str()).collect();
    let ours = names == ["EndpointName", "VariantName"] && usual.dimensions.first()?.1 == endpoint;
    ours.then_some((usual, *statistics))
}

impl Gateway {
    /// Where its metrics are.
    pub(super) fn namespace(&self) -> &str {
        self.namespace.as_deref().unwrap_or(NAMESPACE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn metric(namespace: &str, name: &str, dimensions: &[(&str, &str)]) -> Metric {
        let dimensions = dimensions.iter().map(|(a, b)| ((*a).into(), (*b).into())).collect();
        Metric { namespace: namespace.into(), name: name.into(), dimensions }
    }

    #[test]
    fn the_period_is_what_is_still_kept_and_no_series_is_endless() {
        let now = 200.0 * DAY;
        let reach = |ago: f64, length: f64| Span { from: now - ago, to: now - ago + length };
        assert_eq!(period(reach(3600.0, 3600.0), now), 60);
        assert_eq!(period(reach(DAY, DAY), now), 60);
        assert_eq!(period(reach(2.0 * DAY, 2.0 * DAY), now), 120);
        assert_eq!(period(reach(16.0 * DAY, 3600.0), now), 300);
        assert_eq!(period(reach(64.0 * DAY, 3600.0), now), 3600);
    }

    #[test]
    fn own_names_become_the_usual_ones_and_dimension_sets_stay_apart() {
        let gateway = Gateway {
            namespace: Some("Own/Gateway".into()),
            metrics: [("TTFTMs".into(), "FirstToken".into())].into(),
            dimensions: [("AdapterId".into(), "lora".into())].into(),
            ..Gateway::default()
        };
        let found = [
            metric("Own/Gateway", "FirstToken", &[("lora", "a"), ("BackendVersion", "1")]),
            metric("Own/Gateway", "FirstToken", &[("lora", "b"), ("BackendVersion", "1")]),
            metric("Own/Gateway", "SomethingElse", &[("lora", "a")]),
            metric(NAMESPACE, "TTFTMs", &[("AdapterId", "a")]),
        ];
        let queries = queries(&found, &gateway, None, 60);
        assert_eq!(queries.len(), 2 * SPREAD.len());
        let usual = metric(NAMESPACE, "TTFTMs", &[("AdapterId", "a"), ("BackendVersion", "1")]);
        assert_eq!((&queries[0].metric, &queries[0].usual), (&found[0], &usual));
        assert_eq!((queries[0].statistic.as_str(), queries[5].id.as_str()), ("p50", "m5"));
    }

    /// A budget takes counts: the share of requests up to the bound of an objective.
    #[test]
    fn what_an_objective_counts_is_asked_for_beside_the_percentiles() {
        let ranks = [("TTFTMs".into(), vec!["PR(:200)".into()])].into();
        let gateway = Gateway { ranks, ..Gateway::default() };
        let found = [
            metric(NAMESPACE, "TTFTMs", &[("AdapterId", "a")]),
            metric(NAMESPACE, "QueueWaitMs", &[("AdapterId", "a")]),
        ];
        let queries = queries(&found, &gateway, None, 60);
        let asked = |name: &str, statistic: &str| {
            queries.iter().any(|it| it.usual.name == name && it.statistic == statistic)
        };
        assert!(asked("TTFTMs", "PR(:200)") && asked("TTFTMs", "SampleCount"));
        assert!(!asked("QueueWaitMs", "PR(:200)"));
    }

    #[test]
    fn only_variants_of_this_endpoint_are_asked_for() {
        let found = [
            metric(SAGEMAKER[0], "Invocations", &[("VariantName", "v"), ("EndpointName", "chat")]),
            metric(SAGEMAKER[0], "Invocations", &[("VariantName", "v"), ("EndpointName", "x")]),
            metric(SAGEMAKER[0], "Invocations", &[("EndpointName", "chat")]),
            metric(SAGEMAKER[1], "Invocations", &[("VariantName", "v"), ("EndpointName", "chat")]),
        ];
        let names = Gateway::default();
        assert_eq!(queries(&found, &names, Some("chat"), 60).len(), 1);
        assert!(queries(&found, &names, None, 60).is_empty());
    }
}
