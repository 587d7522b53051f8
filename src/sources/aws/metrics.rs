//! Metrics of the gateway and of the endpoint.

use std::collections::BTreeMap;

use aws_sdk_cloudwatch::{
    Client,
    types::{
        Dimension, DimensionFilter, MessageData, Metric as Listed, MetricDataQuery,
        MetricDataResult, MetricStat, RecentlyActive, ScanBy,
    },
};
use futures_util::future::join_all;
use serde_json::{Value, json};

use super::{
    Options,
    asking::{Asking, Page},
    names::{self, BATCH, Metric, Query, SAGEMAKER},
    permissions::{GET_METRIC_DATA, LIST_METRICS},
    words::{list, moment, object, some, time},
};
use crate::evidence::Span;

/// Series asked for. More belong to no single service.
const MOST_SERIES: usize = 2_500;

/// CloudWatch can list what had data in so many seconds.
const RECENT: f64 = 3.0 * 3600.0;

/// Asks which metrics there are, and for their values.
pub(super) async fn ask(asking: &Asking, client: &Client, options: &Options) {
    let mut lists = vec![listed(asking, client, options, options.gateway.namespace(), None)];
    if let Some(endpoint) = options.endpoint.as_deref() {
        let both = SAGEMAKER.map(|it| listed(asking, client, options, it, Some(endpoint)));
        lists.extend(both);
    }
    let mut found: Vec<Metric> = join_all(lists).await.into_iter().flatten().collect();
    found.sort_by_cached_key(|it| (it.namespace.clone(), it.name.clone(), it.dimensions.clone()));
    // A listing that says a thing twice must not make it be asked for twice.
    found.dedup();
    let period = names::period(options.reach, options.now);
    let endpoint = options.endpoint.as_deref();
    let mut queries = names::queries(&found, &options.gateway, endpoint, period);
    if queries.is_empty() {
        asking.lose(format!("no metric has data in {}", options.gateway.namespace()));
    }
    if queries.len() > MOST_SERIES {
        asking.lose(format!("only {MOST_SERIES} of {} series were asked for", queries.len()));
        queries.truncate(MOST_SERIES);
    }
    let reach = whole_periods(options.reach, period);
    join_all(queries.chunks(BATCH).map(|batch| values(asking, client, batch, reach))).await;
}

/// The reach, begun at a whole period, as CloudWatch has its points.
fn whole_periods(reach: Span, period: i32) -> Span {
    let period = f64::from(period);
    Span { from: (reach.from / period).floor() * period, to: reach.to.ceil() }
}

/// Metrics of a namespace that had data lately.
async fn listed(
    asking: &Asking,
    client: &Client,
    options: &Options,
    namespace: &str,
    endpoint: Option<&str>,
) -> Vec<Metric> {
    let recent = options.now - options.reach.from <= RECENT;
    let filter =
        endpoint.map(|it| vec![DimensionFilter::builder().name("EndpointName").value(it).build()]);
    let mut pages = client
        .list_metrics()
        .namespace(namespace)
        .set_dimensions(filter)
        .set_recently_active(recent.then_some(RecentlyActive::Pt3H))
        .into_paginator()
        .send();
    let mut found = Vec::new();
    let next = async || pages.next().await;
    asking
        .pages(&LIST_METRICS, json!({ "Namespace": namespace }), next, |page| {
            found.extend(page.metrics().iter().filter_map(metric));
            Page::of(Value::Null)
        })
        .await;
    found
}

fn metric(it: &Listed) -> Option<Metric> {
    let pair = |it: &Dimension| Some((it.name()?.to_owned(), it.value()?.to_owned()));
    Some(Metric {
        namespace: it.namespace()?.to_owned(),
        name: it.metric_name()?.to_owned(),
        dimensions: it.dimensions().iter().filter_map(pair).collect(),
    })
}

/// Asks for the values of one batch.
async fn values(asking: &Asking, client: &Client, batch: &[Query], reach: Span) {
    let mut pages = client
        .get_metric_data()
        .set_metric_data_queries(Some(batch.iter().map(query).collect()))
        .start_time(moment(reach.from))
        .end_time(moment(reach.to))
        .scan_by(ScanBy::TimestampAscending)
        .into_paginator()
        .send();
    let input = json!({
        "MetricDataQueries": list(batch, Query::shown),
        "StartTime": time(Some(&moment(reach.from))),
        "EndTime": time(Some(&moment(reach.to))),
        "ScanBy": "TimestampAscending",
    });
    let mut states: BTreeMap<String, String> = BTreeMap::new();
    let next = async || pages.next().await;
    asking
        .pages(&GET_METRIC_DATA, input, next, |page| {
            // A series that goes on over pages is whole on its last one.
            for it in page.metric_data_results() {
                let state = it.status_code().map(|code| code.as_str().to_owned());
                states.extend(it.id.clone().zip(state));
            }
            let results = list(page.metric_data_results(), result);
            Page::of(object([
                ("MetricDataResults", results),
                ("Messages", some(page.messages(), message)),
            ]))
        })
        .await;
    if let Some((_, state)) = states.iter().find(|(_, state)| *state != "Complete") {
        let bad = states.iter().filter(|(_, state)| *state != "Complete").count();
        asking.lose(format!("{bad} of {} series are not whole ({state})", states.len()));
    }
}

fn query(it: &Query) -> MetricDataQuery {
    let pair =
        |(name, value): &(String, String)| Dimension::builder().name(name).value(value).build();
    let metric = Listed::builder()
        .namespace(&it.metric.namespace)
        .metric_name(&it.metric.name)
        .set_dimensions(Some(it.metric.dimensions.iter().map(pair).collect()))
        .build();
    let stat = MetricStat::builder().metric(metric).period(it.period).stat(&it.statistic).build();
    MetricDataQuery::builder().id(&it.id).metric_stat(stat).build()
}

fn result(it: &MetricDataResult) -> Value {
    object([
        ("Id", json!(it.id())),
        ("Timestamps", list(it.timestamps(), |at| time(Some(at)))),
        ("Values", json!(it.values())),
        ("StatusCode", json!(it.status_code().map(|code| code.as_str()))),
        ("Messages", some(it.messages(), message)),
    ])
}

fn message(it: &MessageData) -> Value {
    object([("Code", json!(it.code())), ("Value", json!(it.value()))])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn points_begin_at_whole_periods() {
        let reach = whole_periods(Span { from: 3_659.5, to: 7_200.2 }, 60);
        assert_eq!((reach.from, reach.to), (3_600.0, 7_201.0));
    }
}
