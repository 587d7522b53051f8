//! Expressions and alarms of a file, with where they stand.

use std::{ops::Range, sync::Arc};

use serde::Deserialize;
use serde_json::Value;
use serde_saphyr::Spanned;

use crate::runbook::{
    load,
    problem::{Problem, SourceFile},
};

/// What a file holds that can be wrong.
#[derive(Debug, Default)]
pub(super) struct Read {
    /// PromQL, with the bytes where it stands.
    pub(super) expressions: Vec<(String, Range<usize>)>,
    /// Names of recording rules.
    pub(super) records: Vec<String>,
    /// Alarms of CloudWatch.
    pub(super) alarms: Vec<Value>,
}

/// Reads a file of any of the three kinds, told by its content.
pub(super) fn read(file: &Arc<SourceFile>) -> Result<Read, Box<Problem>> {
    let Ok(value) = serde_json::from_str::<Value>(&file.text) else { return rules(file) };
    let alarms = alarms(&value);
    if !alarms.is_empty() {
        return Ok(Read { alarms, ..Read::default() });
    }
    let mut found = Vec::new();
    expressions(&value, &mut found);
    if found.is_empty() && value.get("groups").is_some() {
        return rules(file);
    }
    found.sort();
    found.dedup();
    let placed = found.into_iter().flat_map(|text| {
        let places = places(file, &text);
        places.into_iter().map(move |span| (text.clone(), span))
    });
    Ok(Read { expressions: placed.collect(), ..Read::default() })
}

/// A file of rules, or a PrometheusRule of Kubernetes around one.
#[derive(Deserialize)]
struct RuleFile {
    #[serde(default)]
    groups: Vec<Group>,
    #[serde(default)]
    spec: Option<Spec>,
}

#[derive(Deserialize)]
struct Spec {
    #[serde(default)]
    groups: Vec<Group>,
}

#[derive(Deserialize)]
struct Group {
    #[serde(default)]
    rules: Vec<Rule>,
}

#[derive(Deserialize)]
struct Rule {
    #[serde(default)]
    record: Option<String>,
    expr: Spanned<String>,
}

fn rules(file: &Arc<SourceFile>) -> Result<Read, Box<Problem>> {
    let parsed: RuleFile = load::parse(file)?;
    let groups = parsed.groups.into_iter().chain(parsed.spec.into_iter().flat_map(|it| it.groups));
    let rules: Vec<Rule> = groups.flat_map(|group| group.rules).collect();
    if rules.is_empty() {
        let message = "there is no rule, no panel with a query and no alarm in it";
        return Err(Box::new(Problem::error(file, 0..0, message)));
    }
    let mut read = Read::default();
    for rule in rules {
        let span = file.span(rule.expr.referenced);
        read.expressions.push((rule.expr.value, span));
        read.records.extend(rule.record);
    }
    Ok(read)
}

/// Every text under a key `expr`, however deep.
fn expressions(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Array(items) => items.iter().for_each(|item| expressions(item, found)),
        Value::Object(fields) => {
            for (key, field) in fields {
                match field {
                    Value::String(text) if key == "expr" && !text.is_empty() => {
                        found.push(text.clone());
                    }
                    other => expressions(other, found),
                }
            }
        }
        _ => {}
    }
}

/// Where a text stands in a JSON file.
fn places(file: &SourceFile, text: &str) -> Vec<Range<usize>> {
    let written = Value::from(text).to_string();
    let mut spans = Vec::new();
    let mut from = 0;
    while let Some(span) = file.find_from(from, &written) {
        from = span.end;
        spans.push(span);
    }
    // It may be escaped in another way; then it is somewhere in the file.
    if spans.is_empty() { std::iter::once(0..0).collect() } else { spans }
}

/// Alarms as they are put, or as `describe-alarms` prints them.
fn alarms(value: &Value) -> Vec<Value> {
    let list = value.get("MetricAlarms").unwrap_or(value);
    let is_alarm = |it: &&Value| it.get("AlarmName").is_some();
    match list {
        Value::Array(items) => items.iter().filter(is_alarm).cloned().collect(),
        one => Some(one).filter(is_alarm).into_iter().cloned().collect(),
    }
}
