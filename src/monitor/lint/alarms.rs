//! Mistakes in alarms of CloudWatch.

use std::{collections::BTreeSet, sync::Arc};

use serde_json::Value;

use super::Said;
use crate::{
    monitor::{
        CloudQuery,
        load::Rules,
        target::{Target, family_of},
    },
    runbook::problem::{Problem, SourceFile, did_you_mean},
};

/// Thresholds of a metric in milliseconds below this many are taken for seconds.
const LEAST_MS: f64 = 10.0;

/// Everything wrong with the alarms of a file.
pub(super) fn check(
    file: &Arc<SourceFile>,
    alarms: &[Value],
    target: Option<&Target>,
    rules: &Rules,
) -> Vec<Problem> {
    let known: Vec<&CloudQuery> =
        rules.measures.values().filter_map(|measure| measure.cloudwatch.as_ref()).collect();
    let one = |alarm: &Value| {
        let name = alarm["AlarmName"].as_str().unwrap_or_default();
        let span = file.find_from(0, &Value::from(name).to_string()).unwrap_or(0..0);
        let said = alarm_says(alarm, &known, target);
        let problem = |it: Said| {
            let message = format!("{name}: {}", it.message);
            Problem::error(file, span.clone(), message).as_warning().with_help(it.help)
        };
        said.into_iter().map(problem).collect::<Vec<_>>()
    };
    alarms.iter().flat_map(one).collect()
}

fn alarm_says(alarm: &Value, known: &[&CloudQuery], target: Option<&Target>) -> Vec<Said> {
    let mut watched: Vec<&Value> = vec![alarm];
    let math = alarm["Metrics"].as_array().into_iter().flatten();
    watched.extend(math.map(|query| &query["MetricStat"]["Metric"]));
    let mut said: Vec<Said> =
        watched.iter().filter_map(|metric| metric_says(metric, known, target)).collect();
    said.extend(unit(alarm));
    said
}

fn metric_says(metric: &Value, known: &[&CloudQuery], target: Option<&Target>) -> Option<Said> {
    let name = metric["MetricName"].as_str()?;
    let given: BTreeSet<&str> = metric["Dimensions"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|dimension| dimension["Name"].as_str())
        .collect();
    if let Some(target) = target.filter(|_| name.starts_with("vllm:")) {
        let found = family_of(name).map(|(family, found)| (target.dialect.name(family.id), found));
        match found {
            Some((Ok(now), found)) if now != found => {
                let message = format!("{} does not export {name}", target.name);
                return Some(Said::new(message).with_help(format!("it is called {now} there")));
            }
            Some((Err(why), _)) => return Some(Said::new(format!("{name} has no data: {why}"))),
            _ => {}
        }
    }
    let of_gateway =
        |query: &&&CloudQuery| query.metric == name || query.over.as_deref() == Some(name);
    let matching: Vec<&&CloudQuery> = known.iter().filter(of_gateway).collect();
    if matching.is_empty() {
        let names = known.iter().map(|query| query.metric.as_str());
        let meant = did_you_mean(name, names)?;
        return Some(Said::new(format!("nothing writes a metric called {name}")).with_help(meant));
    }
    let sets = matching.iter().map(|query| query.dimensions());
    if sets.clone().any(|set| set.iter().copied().collect::<BTreeSet<_>>() == given) {
        return None;
    }
    let sets: Vec<String> =
        sets.map(|set| set.join(", ")).collect::<BTreeSet<_>>().into_iter().collect();
    let has = sets.join(" or ");
    let message = match given.is_empty() {
        true => {
            format!("it has no dimensions and {name} has, so it never has data and never fires")
        }
        false => format!("no data of {name} has just these dimensions, so it never fires"),
    };
    Some(Said::new(message).with_help(format!("name all of a set: {has}")))
}

fn unit(alarm: &Value) -> Option<Said> {
    let name = alarm["MetricName"].as_str().filter(|name| name.ends_with("Ms"))?;
    let threshold = alarm["Threshold"].as_f64().filter(|it| *it > 0.0 && *it < LEAST_MS)?;
    let message = format!("{name} counts milliseconds, and {threshold} of them is next to nothing");
    Some(Said::new(message).with_help(format!("{} for {threshold} s", threshold * 1e3)))
}
