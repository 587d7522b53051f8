//! The targets that Prometheus scrapes, as a list of servers to ask.
//!
//! <https://prometheus.io/docs/prometheus/latest/querying/api/#targets>

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;

use super::{
    Options,
    ask::Asker,
    query,
    record::{Metric, Record},
};
use crate::evidence::Time;

/// A server that Prometheus scrapes.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Scraped {
    /// Where its metrics are, or its address where Prometheus does not tell more.
    pub url: String,
    /// Its labels, without its name in a metric.
    pub labels: BTreeMap<String, String>,
}

#[derive(Deserialize)]
struct Answer {
    data: Active,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Active {
    active_targets: Vec<Target>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Target {
    labels: BTreeMap<String, String>,
    scrape_url: String,
}

/// Every target whose `up` matches the selector of the options, dead ones too. Where each is
/// scraped comes from `/api/v1/targets`; a program that keeps no such list, as Mimir and
/// VictoriaMetrics' cluster, leaves the label `instance` as the address.
///
/// # Errors
/// What happened, where Prometheus does not answer or knows no such target.
pub async fn targets(options: &Options, now: Time) -> Result<Vec<Scraped>, String> {
    let asker = Asker::new(options, 0).map_err(|trouble| trouble.why)?;
    let selector = query::bare(&options.selector);
    let up = format!("up{{{selector}}}");
    let found = asker.at(&up, now, &mut Record::default()).await.map_err(|trouble| trouble.why)?;
    if found.is_empty() {
        return Err(format!("it has no series `{up}` now"));
    }
    let listed = asker.get("/api/v1/targets", &[("state", "active")]).await;
    let listed = listed.and_then(|body| serde_json::from_slice::<Answer>(&body).ok());
    let listed = listed.map(|answer| answer.data.active_targets).unwrap_or_default();
    let found: BTreeSet<Scraped> =
        found.iter().filter_map(|it| scraped(&it.labels, &listed)).collect();
    match found.is_empty() {
        true => Err(format!("no series of `{up}` has a label `instance`")),
        false => Ok(found.into_iter().collect()),
    }
}

fn scraped(up: &Metric, listed: &[Target]) -> Option<Scraped> {
    let mut labels = up.clone();
    labels.remove("__name__");
    // Labels that are added on the way to a central store stand in one of the two only.
    let is_same = |target: &&Target| {
        let agrees = |(name, value): (&String, &String)| labels.get(name) == Some(value);
        target.labels.contains_key("instance") && target.labels.iter().all(agrees)
    };
    let url = listed.iter().find(is_same).map(|target| target.scrape_url.clone());
    let url = url.or_else(|| labels.get("instance").cloned())?;
    Some(Scraped { url, labels })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_is_found_behind_its_series_and_else_its_instance_is() {
        let labels = |text: &str| -> BTreeMap<String, String> {
            let pairs = text.split(',').map(|pair| pair.split_once('=').unwrap());
            pairs.map(|(name, value)| (name.into(), value.into())).collect()
        };
        let target = Target {
            labels: labels("instance=a:1,job=v"),
            scrape_url: "https://a:1/x/metrics".into(),
        };
        let listed = [target];
        let url = |up: &str| scraped(&labels(up), &listed).map(|it| it.url);
        assert_eq!(
            url("__name__=up,instance=a:1,job=v,cluster=c").unwrap(),
            "https://a:1/x/metrics"
        );
        assert_eq!(url("__name__=up,instance=a:1,job=w").unwrap(), "a:1");
        assert_eq!(url("__name__=up,job=v"), None);
    }
}
