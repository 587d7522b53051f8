//! Alarms on the gateway's and the endpoint's metrics, and those that scale the endpoint.

use aws_sdk_cloudwatch::{
    Client,
    types::{AlarmHistoryItem, AlarmType, Dimension, HistoryItemType, Metric, MetricAlarm, ScanBy},
};
use futures_util::future::join_all;
use serde_json::{Value, json};

use super::{
    Options,
    asking::{Asking, Page},
    names::SAGEMAKER,
    permissions::{DESCRIBE_ALARM_HISTORY, DESCRIBE_ALARMS},
    words::{dimensions, list, moment, object, some, time},
};
use crate::evidence::Span;

/// Alarms whose history is read.
const MOST_ALARMS: usize = 30;

/// Asks for the alarms, and what became of each in the time asked.
pub(super) async fn ask(asking: &Asking, client: &Client, options: &Options) {
    let mut names = Vec::new();
    let mut pages =
        client.describe_alarms().alarm_types(AlarmType::MetricAlarm).into_paginator().send();
    let next = async || pages.next().await;
    asking
        .pages(&DESCRIBE_ALARMS, json!({ "AlarmTypes": ["MetricAlarm"] }), next, |page| {
            let kept: Vec<_> =
                page.metric_alarms().iter().filter(|it| concerns(it, options)).collect();
            names.extend(kept.iter().filter_map(|it| it.alarm_name.clone()));
            Page::of(object([("MetricAlarms", list(&kept, |it| alarm(it)))]))
        })
        .await;
    if names.len() > MOST_ALARMS {
        asking.lose(format!("the history of {MOST_ALARMS} of {} alarms was read", names.len()));
    }
    let histories = names.iter().take(MOST_ALARMS);
    join_all(histories.map(|name| history(asking, client, name, options.reach))).await;
}

/// Whether an alarm watches the gateway or the endpoint, or scales the endpoint.
fn concerns(it: &MetricAlarm, options: &Options) -> bool {
    let scales = it.alarm_actions().iter().any(|action| scales(action, options));
    let inner = it.metrics().iter().filter_map(|query| query.metric_stat()?.metric());
    let outer = it.namespace().map(|namespace| watches(namespace, it.dimensions(), options));
    let mut inner = inner
        .map(|it: &Metric| watches(it.namespace().unwrap_or_default(), it.dimensions(), options));
    scales || outer.unwrap_or(false) || inner.any(|yes| yes)
}

fn watches(namespace: &str, dimensions: &[Dimension], options: &Options) -> bool {
    let ours =
        |it: &Dimension| it.name() == Some("EndpointName") && it.value() == endpoint(options);
    namespace == options.gateway.namespace()
        || (SAGEMAKER.contains(&namespace) && dimensions.iter().any(ours))
}

fn endpoint(options: &Options) -> Option<&str> {
    options.endpoint.as_deref()
}

/// Whether an action, an ARN, is a scaling policy of the endpoint or of its group.
fn scales(action: &str, options: &Options) -> bool {
    let names = |part: Option<String>| part.is_some_and(|part| action.contains(&part));
    action.contains(":scalingPolicy:")
        && (names(endpoint(options).map(|name| format!("resource/sagemaker/endpoint/{name}/")))
            || names(options.warm_pool_group.as_ref().map(|it| format!("GroupName/{it}:"))))
}

async fn history(asking: &Asking, client: &Client, name: &str, reach: Span) {
    let mut pages = client
        .describe_alarm_history()
        .alarm_name(name)
        .history_item_type(HistoryItemType::StateUpdate)
        .start_date(moment(reach.from))
        .end_date(moment(reach.to.ceil()))
        .scan_by(ScanBy::TimestampAscending)
        .into_paginator()
        .send();
    let input = json!({
        "AlarmName": name,
        "HistoryItemType": "StateUpdate",
        "StartDate": time(Some(&moment(reach.from))),
        "EndDate": time(Some(&moment(reach.to.ceil()))),
        "ScanBy": "TimestampAscending",
    });
    let next = async || pages.next().await;
    asking
        .pages(&DESCRIBE_ALARM_HISTORY, input, next, |page| {
            Page::of(object([("AlarmHistoryItems", list(page.alarm_history_items(), change))]))
        })
        .await;
}

fn alarm(it: &MetricAlarm) -> Value {
    let pairs = it.dimensions().iter().filter_map(|it| Some((it.name()?, it.value()?)));
    let shown = if it.dimensions().is_empty() { Value::Null } else { dimensions(pairs) };
    object([
        ("AlarmName", json!(it.alarm_name())),
        ("ActionsEnabled", json!(it.actions_enabled())),
        ("AlarmActions", some(it.alarm_actions(), |action| json!(action))),
        ("StateValue", json!(it.state_value().map(|state| state.as_str()))),
        ("StateReason", json!(it.state_reason())),
        ("StateUpdatedTimestamp", time(it.state_updated_timestamp())),
        ("StateTransitionedTimestamp", time(it.state_transitioned_timestamp())),
        ("MetricName", json!(it.metric_name())),
        ("Namespace", json!(it.namespace())),
        ("Statistic", json!(it.statistic().map(|it| it.as_str()))),
        ("ExtendedStatistic", json!(it.extended_statistic())),
        ("Dimensions", shown),
        ("Period", json!(it.period())),
        ("EvaluationPeriods", json!(it.evaluation_periods())),
        ("DatapointsToAlarm", json!(it.datapoints_to_alarm())),
        ("Threshold", json!(it.threshold())),
        ("ComparisonOperator", json!(it.comparison_operator().map(|it| it.as_str()))),
        ("TreatMissingData", json!(it.treat_missing_data())),
    ])
}

fn change(it: &AlarmHistoryItem) -> Value {
    object([
        ("AlarmName", json!(it.alarm_name())),
        ("AlarmType", json!(it.alarm_type().map(|kind| kind.as_str()))),
        ("Timestamp", time(it.timestamp())),
        ("HistoryItemType", json!(it.history_item_type().map(|kind| kind.as_str()))),
        ("HistorySummary", json!(it.history_summary())),
        ("HistoryData", json!(it.history_data())),
    ])
}
