//! CloudWatch: values of metrics, and alarms with what became of them.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::evidence::{
    cloud::{Alarm, AlarmChange, AlarmRole, AlarmState, CloudSeries},
    series::{LARGEST, Point},
};

use super::{Answer, list, said, some_text, text, time};

/// Seconds of a period, unless the query says otherwise.
const PERIOD: f64 = 60.0;

/// Most series kept.
const MAX_SERIES: usize = 5_000;

/// Adds what an answer of GetMetricData holds. Of two values for one period the later answer counts.
pub(super) fn add(series: &mut Vec<CloudSeries>, answer: &Answer) {
    let queries = list(&answer.input["MetricDataQueries"]);
    let asked: BTreeMap<&str, CloudSeries> = queries
        .filter_map(|query| Some((query["Id"].as_str()?, described(&query["MetricStat"])?)))
        .collect();
    // One series may come in any number of pieces.
    let mut told: BTreeMap<&str, Vec<Point>> = BTreeMap::new();
    for result in list(&answer.output["MetricDataResults"]) {
        let Some(id) = result["Id"].as_str().filter(|id| asked.contains_key(id)) else { continue };
        told.entry(id).or_default().extend(points(result));
    }
    for (id, points) in told {
        merge(series, &asked[id], points);
    }
}

fn described(stat: &Value) -> Option<CloudSeries> {
    let metric = &stat["Metric"];
    let mut dimensions: Vec<(String, String)> =
        list(&metric["Dimensions"]).map(|it| (text(&it["Name"]), text(&it["Value"]))).collect();
    dimensions.sort();
    Some(CloudSeries {
        namespace: text(&metric["Namespace"]),
        name: some_text(&metric["MetricName"])?,
        dimensions,
        statistic: some_text(&stat["Stat"])?,
        period: stat["Period"].as_f64().filter(|it| *it > 0.0).unwrap_or(PERIOD),
        points: Vec::new(),
    })
}

fn points(result: &Value) -> Vec<Point> {
    let pairs = list(&result["Timestamps"]).zip(list(&result["Values"]));
    let sound = |value: &f64| value.is_finite() && value.abs() <= LARGEST;
    pairs
        .filter_map(|(at, value)| Some((time(at)?, value.as_f64().filter(sound)?)))
        .map(|(at, value)| Point { at, value })
        .collect()
}

fn merge(series: &mut Vec<CloudSeries>, wanted: &CloudSeries, points: Vec<Point>) {
    let same = |it: &CloudSeries| {
        it.name == wanted.name
            && it.statistic == wanted.statistic
            && it.dimensions == wanted.dimensions
            && it.namespace == wanted.namespace
            && it.period == wanted.period
    };
    let known = match series.iter().position(same) {
        Some(known) => known,
        None if series.len() >= MAX_SERIES => return,
        None => {
            series.push(wanted.clone());
            series.len() - 1
        }
    };
    let known = &mut series[known].points;
    known.extend(points);
    // The sort is stable, so of one period the value that came last stands last.
    known.sort_by(|a, b| a.at.total_cmp(&b.at));
    known.dedup_by(|later, kept| {
        let again = later.at == kept.at;
        if again {
            kept.value = later.value;
        }
        again
    });
}

/// The alarms of the last run that asked, with all changes that any run told. `shrinking` are names
/// of policies that only take instances away.
pub(super) fn alarms<'a>(
    described: impl Iterator<Item = &'a Answer>,
    histories: impl Iterator<Item = &'a Answer>,
    shrinking: &[String],
) -> Vec<Alarm> {
    let mut alarms: BTreeMap<String, Alarm> = BTreeMap::new();
    for answer in described {
        let found = list(&answer.output["MetricAlarms"]).filter_map(|it| alarm(it, shrinking));
        alarms.extend(found.map(|alarm| (alarm.name.clone(), alarm)));
    }
    for item in histories.flat_map(|answer| list(&answer.output["AlarmHistoryItems"])) {
        let Some(alarm) = item["AlarmName"].as_str().and_then(|name| alarms.get_mut(name)) else {
            continue;
        };
        alarm.changes.extend(change(item));
    }
    for alarm in alarms.values_mut() {
        alarm.changes.sort_by(|a, b| a.at.total_cmp(&b.at));
        alarm.changes.dedup();
    }
    alarms.into_values().collect()
}

fn alarm(value: &Value, shrinking: &[String]) -> Option<Alarm> {
    let number = |name: &str| value[name].as_f64().filter(|it| it.is_finite() && *it > 0.0);
    Some(Alarm {
        name: some_text(&value["AlarmName"])?,
        state: state(value["StateValue"].as_str()?)?,
        since: time(&value["StateTransitionedTimestamp"])
            .or_else(|| time(&value["StateUpdatedTimestamp"])),
        reason: said(&value["StateReason"]).unwrap_or_default(),
        role: role(value, shrinking),
        looks_back: number("Period").map(|it| it * number("EvaluationPeriods").unwrap_or(1.0)),
        changes: Vec::new(),
    })
}

/// An alarm that scales asks for fewer instances where it fires on low values, or where its policy
/// can do nothing else.
fn role(alarm: &Value, shrinking: &[String]) -> AlarmRole {
    let actions = list(&alarm["AlarmActions"]).filter_map(Value::as_str);
    let policies: Vec<&str> = actions.filter(|arn| arn.contains(":scalingPolicy:")).collect();
    if policies.is_empty() {
        return AlarmRole::Tells;
    }
    let low = alarm["ComparisonOperator"].as_str().is_some_and(|it| it.starts_with("LessThan"));
    let shrinks = |arn: &str| {
        let name = arn.rsplit_once("policyName/").map_or(arn, |(_, name)| name);
        let name = name.split(":createdBy").next().unwrap_or(name);
        shrinking.iter().any(|other| other == name)
    };
    if low || policies.into_iter().all(shrinks) { AlarmRole::Removes } else { AlarmRole::Adds }
}

fn state(word: &str) -> Option<AlarmState> {
    match word {
        "OK" => Some(AlarmState::Ok),
        "ALARM" => Some(AlarmState::Alarm),
        "INSUFFICIENT_DATA" => Some(AlarmState::InsufficientData),
        _ => None,
    }
}

/// One entry of an alarm's history, where it tells of a change of state.
fn change(item: &Value) -> Option<AlarmChange> {
    if item["HistoryItemType"].as_str() != Some("StateUpdate") {
        return None;
    }
    let at = time(&item["Timestamp"])?;
    let data = item["HistoryData"].as_str().and_then(|it| serde_json::from_str::<Value>(it).ok());
    let data = data.unwrap_or_default();
    if let Some(to) = data["newState"]["stateValue"].as_str().and_then(state) {
        let from = data["oldState"]["stateValue"].as_str().and_then(state);
        return Some(AlarmChange { at, from, to });
    }
    let (from, to) =
        item["HistorySummary"].as_str()?.strip_prefix("Alarm updated from ")?.split_once(" to ")?;
    Some(AlarmChange { at, from: state(&word(from)), to: state(&word(to))? })
}

/// `Insufficient data` as it stands in a state.
fn word(text: &str) -> String {
    text.trim().to_uppercase().replace(' ', "_")
}
