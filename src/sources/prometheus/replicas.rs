//! Which labels Prometheus added, and which replicas they tell apart.

use std::collections::{BTreeMap, BTreeSet};

use super::record::Metric;
use crate::evidence::series::REPLICA;

/// Labels that vLLM itself puts on every one of its series, and the name.
const OWN: [&str; 4] = ["__name__", "engine", "model_name", "pid"];

/// Labels that differ between two Prometheus servers that scrape the same replica.
const TWINS: [&str; 4] = ["prometheus_replica", "prometheus", "__replica__", "receive_replica"];

/// Labels that a replica is called by, the first that tells all of them apart.
const CALLED_BY: [&str; 2] = [REPLICA, "pod"];

/// The replicas behind a set of series.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Replicas {
    /// Names of the labels that Prometheus added.
    pub(super) added: BTreeSet<String>,
    /// Added labels of each replica, and what it is called.
    pub(super) each: Vec<(Metric, String)>,
}

impl Replicas {
    /// Told from one series of each engine. Labels that the server's own page has are not added.
    pub(super) fn of<'a>(
        present: impl Iterator<Item = &'a Metric> + Clone,
        on_page: &BTreeSet<String>,
    ) -> Self {
        let is_added = |name: &str| !OWN.contains(&name) && !on_page.contains(name);
        let names = present.clone().flat_map(Metric::keys);
        let added: BTreeSet<String> = names.filter(|name| is_added(name)).cloned().collect();
        // Of twins, the first is enough.
        let mut seen = BTreeMap::new();
        for metric in present {
            let labels = metric.iter().filter(|(name, _)| added.contains(*name));
            let labels: Metric =
                labels.map(|(name, value)| (name.clone(), value.clone())).collect();
            let mut identity = labels.clone();
            identity.retain(|name, _| !TWINS.contains(&name.as_str()));
            let kept = seen.entry(identity).or_insert_with(|| labels.clone());
            if labels < *kept {
                *kept = labels;
            }
        }
        let names = called(&seen.keys().collect::<Vec<_>>());
        Self { added, each: seen.into_values().zip(names).collect() }
    }

    /// The replica that a series belongs to. One without any added label is of all of them.
    pub(super) fn of_series(&self, labels: &Metric) -> Option<&str> {
        let agrees = |(added, _): &&(Metric, String)| {
            let shared = labels.iter().filter(|(name, _)| self.added.contains(*name));
            shared.clone().count() > 0
                && shared.clone().all(|(name, it)| added.get(name) == Some(it))
        };
        self.each.iter().find(agrees).map(|(_, name)| name.as_str())
    }

    /// Whether there is more than one.
    pub(super) fn are_several(&self) -> bool {
        self.each.len() > 1
    }

    /// Values of an added label.
    pub(super) fn values(&self, label: &str) -> BTreeSet<&str> {
        self.each.iter().filter_map(|(added, _)| added.get(label)).map(String::as_str).collect()
    }
}

/// What each replica is called: by its instance, its pod, or all labels that differ.
fn called(identities: &[&Metric]) -> Vec<String> {
    let by = |label: &str| -> Option<Vec<String>> {
        let names: Option<Vec<String>> =
            identities.iter().map(|labels| labels.get(label).cloned()).collect();
        let distinct = names.as_ref()?.iter().collect::<BTreeSet<_>>().len();
        names.filter(|names| names.len() == distinct)
    };
    CALLED_BY.into_iter().find_map(by).unwrap_or_else(|| {
        let all = |labels: &&Metric| labels.values().cloned().collect::<Vec<_>>().join("/");
        identities.iter().map(all).collect()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn metric(labels: &[(&str, &str)]) -> Metric {
        labels.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect()
    }

    #[test]
    fn engines_of_one_server_and_twins_of_one_prometheus_are_one_replica() {
        let all = [
            metric(&[("engine", "0"), ("instance", "a:1"), ("prometheus_replica", "x")]),
            metric(&[("engine", "1"), ("instance", "a:1"), ("prometheus_replica", "y")]),
        ];
        let replicas = Replicas::of(all.iter(), &BTreeSet::new());
        assert_eq!(replicas.each.len(), 1);
        assert_eq!(replicas.of_series(&all[0]), Some("a:1"));
        assert_eq!(replicas.of_series(&all[1]), None, "its twin says the same");
    }

    #[test]
    fn replicas_are_called_by_what_tells_them_apart() {
        let both = |label: &str| {
            let all = [
                metric(&[("job", "v"), (label, "1"), ("service", "s")]),
                metric(&[("job", "v"), (label, "2"), ("service", "s")]),
            ];
            Replicas::of(all.iter(), &BTreeSet::new()).each.into_iter().map(|it| it.1).collect()
        };
        let names: Vec<String> = both("instance");
        assert_eq!(names, ["1", "2"]);
        let names: Vec<String> = both("pod");
        assert_eq!(names, ["1", "2"]);
        let names: Vec<String> = both("node");
        assert_eq!(names, ["v/1/s", "v/2/s"]);
    }

    #[test]
    fn series_of_other_servers_belong_to_none() {
        let own = metric(&[("job", "vllm"), ("instance", "a:1")]);
        let replicas = Replicas::of([&own].into_iter(), &BTreeSet::new());
        let other = metric(&[("job", "node"), ("instance", "a:9100")]);
        assert_eq!(replicas.of_series(&other), None);
    }
}
