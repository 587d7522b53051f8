//! Alarms between the types of AWS and JSON as `put-metric-alarm --cli-input-json` takes it.

use aws_sdk_cloudwatch::{
    operation::{
        put_composite_alarm::builders::PutCompositeAlarmFluentBuilder,
        put_metric_alarm::builders::PutMetricAlarmFluentBuilder,
    },
    types::{
        ComparisonOperator, CompositeAlarm, Dimension, Metric, MetricAlarm, MetricDataQuery,
        MetricStat, StandardUnit, Statistic,
    },
};
use serde_json::{Value, json};

use super::words::{dimensions, object, some};

/// An alarm as it would be put.
pub(super) fn metric_alarm(it: &MetricAlarm) -> Value {
    object([
        ("AlarmName", json!(it.alarm_name())),
        ("AlarmDescription", json!(it.alarm_description())),
        ("ActionsEnabled", json!(it.actions_enabled())),
        ("OKActions", json!(it.ok_actions())),
        ("AlarmActions", json!(it.alarm_actions())),
        ("InsufficientDataActions", json!(it.insufficient_data_actions())),
        ("MetricName", json!(it.metric_name())),
        ("Namespace", json!(it.namespace())),
        ("Statistic", json!(it.statistic().map(Statistic::as_str))),
        ("ExtendedStatistic", json!(it.extended_statistic())),
        ("Dimensions", pairs(it.dimensions())),
        ("Period", json!(it.period())),
        ("Unit", json!(it.unit().map(StandardUnit::as_str))),
        ("EvaluationPeriods", json!(it.evaluation_periods())),
        ("DatapointsToAlarm", json!(it.datapoints_to_alarm())),
        ("Threshold", json!(it.threshold())),
        ("ComparisonOperator", json!(it.comparison_operator().map(ComparisonOperator::as_str))),
        ("TreatMissingData", json!(it.treat_missing_data())),
        ("EvaluateLowSampleCountPercentile", json!(it.evaluate_low_sample_count_percentile())),
        ("Metrics", some(it.metrics(), query)),
        ("ThresholdMetricId", json!(it.threshold_metric_id())),
    ])
}

/// An alarm over others as it would be put.
pub(super) fn composite_alarm(it: &CompositeAlarm) -> Value {
    object([
        ("AlarmName", json!(it.alarm_name())),
        ("AlarmDescription", json!(it.alarm_description())),
        ("ActionsEnabled", json!(it.actions_enabled())),
        ("OKActions", json!(it.ok_actions())),
        ("AlarmActions", json!(it.alarm_actions())),
        ("InsufficientDataActions", json!(it.insufficient_data_actions())),
        ("AlarmRule", json!(it.alarm_rule())),
        ("ActionsSuppressor", json!(it.actions_suppressor())),
    ])
}

fn pairs(all: &[Dimension]) -> Value {
    dimensions(all.iter().filter_map(|it| Some((it.name()?, it.value()?))))
}

fn query(it: &MetricDataQuery) -> Value {
    object([
        ("Id", json!(it.id())),
        ("Expression", json!(it.expression())),
        ("Label", json!(it.label())),
        ("MetricStat", it.metric_stat().map_or(Value::Null, statistic)),
        ("ReturnData", json!(it.return_data())),
        ("Period", json!(it.period())),
        ("AccountId", json!(it.account_id())),
    ])
}

fn statistic(it: &MetricStat) -> Value {
    let metric = it.metric().map_or(Value::Null, |it| {
        object([
            ("Namespace", json!(it.namespace())),
            ("MetricName", json!(it.metric_name())),
            ("Dimensions", pairs(it.dimensions())),
        ])
    });
    object([
        ("Metric", metric),
        ("Period", json!(it.period())),
        ("Stat", json!(it.stat())),
        ("Unit", json!(it.unit().map(StandardUnit::as_str))),
    ])
}

/// A request with all that an alarm is made of.
pub(super) fn with_alarm(
    request: PutMetricAlarmFluentBuilder,
    it: &Value,
) -> PutMetricAlarmFluentBuilder {
    request
        .set_alarm_name(text(it, "AlarmName"))
        .set_alarm_description(text(it, "AlarmDescription"))
        .set_alarm_actions(texts(it, "AlarmActions"))
        .set_metric_name(text(it, "MetricName"))
        .set_namespace(text(it, "Namespace"))
        .set_statistic(text(it, "Statistic").map(|it| Statistic::from(it.as_str())))
        .set_extended_statistic(text(it, "ExtendedStatistic"))
        .set_dimensions(list(it, "Dimensions", dimension))
        .set_period(whole(it, "Period"))
        .set_evaluation_periods(whole(it, "EvaluationPeriods"))
        .set_threshold(it["Threshold"].as_f64())
        .set_comparison_operator(
            text(it, "ComparisonOperator").map(|it| ComparisonOperator::from(it.as_str())),
        )
        .set_treat_missing_data(text(it, "TreatMissingData"))
        .set_metrics(list(it, "Metrics", math))
}

/// The same of an alarm over others.
pub(super) fn with_composite(
    request: PutCompositeAlarmFluentBuilder,
    it: &Value,
) -> PutCompositeAlarmFluentBuilder {
    request
        .set_alarm_name(text(it, "AlarmName"))
        .set_alarm_description(text(it, "AlarmDescription"))
        .set_alarm_actions(texts(it, "AlarmActions"))
        .set_alarm_rule(text(it, "AlarmRule"))
}

fn dimension(it: &Value) -> Dimension {
    Dimension::builder().set_name(text(it, "Name")).set_value(text(it, "Value")).build()
}

fn math(it: &Value) -> MetricDataQuery {
    MetricDataQuery::builder()
        .set_id(text(it, "Id"))
        .set_expression(text(it, "Expression"))
        .set_metric_stat(it.get("MetricStat").map(counted))
        .set_return_data(it["ReturnData"].as_bool())
        .build()
}

fn counted(it: &Value) -> MetricStat {
    let metric = &it["Metric"];
    let metric = Metric::builder()
        .set_namespace(text(metric, "Namespace"))
        .set_metric_name(text(metric, "MetricName"))
        .set_dimensions(list(metric, "Dimensions", dimension))
        .build();
    MetricStat::builder()
        .metric(metric)
        .set_period(whole(it, "Period"))
        .set_stat(text(it, "Stat"))
        .build()
}

fn text(it: &Value, name: &str) -> Option<String> {
    it[name].as_str().map(ToOwned::to_owned)
}

fn whole(it: &Value, name: &str) -> Option<i32> {
    it[name].as_i64().and_then(|number| number.try_into().ok())
}

fn texts(it: &Value, name: &str) -> Option<Vec<String>> {
    list(it, name, |item| item.as_str().unwrap_or_default().to_owned())
}

fn list<T>(it: &Value, name: &str, each: impl Fn(&Value) -> T) -> Option<Vec<T>> {
    Some(it[name].as_array()?.iter().map(each).collect())
}
