//! Spans of inference: what is kept of them, and how the record of a bundle is read.

use serde_json::{Map, Value, json};

use crate::{
    evidence::{
        GatewayLog, SourceState, SourceStatus,
        bundle::Bundle,
        gateway::{GatewayFields, GatewayRecord},
    },
    sources::gateway,
    unit::counted,
};

/// Name of the span that holds a request's attributes.
pub(super) const SPAN: &str = "vllm_inference";
/// Characters kept of an attribute.
const MAX_TEXT: usize = 128;
/// Most requests read of a bundle.
const MAX_RECORDS: usize = 100_000;

/// The attributes that are kept; prompts and answers are not among them.
const ATTRIBUTES: [&str; 16] = [
    "request_id",
    "session_id",
    "adapter_id",
    "adapter_version",
    "backend_version",
    "prompt_version",
    "tenant_id",
    "input_tokens",
    "output_tokens",
    "queue_wait_ms",
    "ttft_ms",
    "generation_ms",
    "prefix_cache_hit",
    "retrieved_chunks",
    "trimmed",
    "finish_reason",
];

/// The requests among the spans of one trace: time, duration and the attributes kept.
pub(super) fn requests(spans: &Value) -> Vec<Value> {
    let spans = spans.as_array().into_iter().flatten();
    spans.filter(|span| span["name"] == SPAN).filter_map(request).collect()
}

fn request(span: &Value) -> Option<Value> {
    let nanos = |names: [&str; 3]| names.iter().find_map(|name| number(&span[*name]));
    let start = nanos(["start_time_unix_nano", "startTimeUnixNano", "start_time"])?;
    let end = nanos(["end_time_unix_nano", "endTimeUnixNano", "end_time"]);
    let mut kept = Map::new();
    kept.insert("t".into(), json!((start / 1e6).round() / 1e3));
    if let Some(end) = end.filter(|end| *end >= start) {
        kept.insert("duration_ms".into(), json!(((end - start) / 1e6).round()));
    }
    for name in ATTRIBUTES {
        if let Some(value) = attribute(&span["attributes"], name) {
            kept.insert(name.into(), value);
        }
    }
    Some(Value::Object(kept))
}

/// Nanoseconds come as number or, as they are beyond what JavaScript can count, as text.
fn number(value: &Value) -> Option<f64> {
    value.as_f64().or_else(|| value.as_str()?.parse().ok())
}

/// A number, truth or short text: `{name: JSON as text}`, or a list of keys and typed values.
fn attribute(attributes: &Value, name: &str) -> Option<Value> {
    let value = match attributes {
        Value::Array(pairs) => {
            let pair = pairs.iter().find(|pair| pair["key"] == name)?;
            typed(pair["value"].as_object()?.iter().next()?)?
        }
        _ => unpacked(attributes.get(name)?.clone()),
    };
    match value {
        Value::String(text) => Some(text.chars().take(MAX_TEXT).collect::<String>().into()),
        value @ (Value::Number(_) | Value::Bool(_)) => Some(value),
        _ => None,
    }
}

fn typed((kind, value): (&String, &Value)) -> Option<Value> {
    match kind.as_str() {
        // Protobuf writes 64-bit integers as text.
        "int_value" | "intValue" => {
            let whole = value.as_i64().or_else(|| value.as_str()?.parse().ok());
            Some(json!(whole?))
        }
        _ if value.as_str().is_some_and(|text| text.starts_with('"')) => {
            Some(unpacked(value.clone()))
        }
        _ => Some(value.clone()),
    }
}

/// MLflow keeps attributes as JSON in a text; a text that is no JSON is one.
fn unpacked(value: Value) -> Value {
    value.as_str().and_then(|text| serde_json::from_str(text).ok()).unwrap_or(value)
}

/// The requests in a bundle's records, with their status.
pub(in crate::sources) fn of_bundle(bundle: &Bundle) -> Option<(GatewayLog, SourceStatus)> {
    let mut log = GatewayLog::default();
    let mut broken = None;
    let mut any = false;
    for (_, body) in bundle.recorded("mlflow") {
        any = true;
        match serde_json::from_slice::<Value>(body) {
            Ok(record) => read(&mut log, &record["traces"]),
            Err(error) => broken = Some(error.to_string()),
        }
    }
    if !any {
        return None;
    }
    log.records.sort_by(|a, b| a.at.total_cmp(&b.at));
    log.records.dedup();
    let requests = format!("{} in traces", counted(log.records.len(), "request"));
    let (status, detail) = match broken {
        Some(why) => (SourceState::BadData, format!("the record cannot be read: {why}")),
        None => (SourceState::Ok, requests),
    };
    Some((log, SourceStatus { id: "mlflow".into(), status, detail, took_ms: None }))
}

fn read(log: &mut GatewayLog, traces: &Value) {
    let fields = GatewayFields::default();
    for trace in traces.as_array().into_iter().flatten() {
        match gateway::from_json(trace, &fields) {
            Some(record) if log.records.len() < MAX_RECORDS => {
                let total_ms = record.total_ms.or_else(|| total(trace, &record));
                log.records.push(GatewayRecord { total_ms, ..record });
            }
            _ => log.skipped += 1,
        }
    }
}

/// How long the span was open, unless it was opened after the fact to hold attributes only.
fn total(trace: &Value, record: &GatewayRecord) -> Option<f64> {
    let parts = [record.ttft_ms, record.generation_ms].into_iter().flatten();
    trace["duration_ms"].as_f64().filter(|open| parts.clone().all(|part| part <= *open))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The same request as each kind of server tells it.
    fn told() -> [Value; 3] {
        let start = 1_795_336_199_612_704_256_u64;
        let end = start + 400_000_000;
        let packed = json!({"request_id": "\"r4\"", "prompt_version": "\"2\"", "input_tokens": "104",
            "ttft_ms": "100.25", "prefix_cache_hit": "true", "mlflow.spanInputs": "\"a prompt\""});
        [
            json!({"name": SPAN, "start_time_unix_nano": start, "end_time_unix_nano": end,
            "attributes": [
                {"key": "request_id", "value": {"string_value": "r4"}},
                {"key": "prompt_version", "value": {"string_value": "\"2\""}},
                {"key": "input_tokens", "value": {"int_value": "104"}},
                {"key": "ttft_ms", "value": {"double_value": 100.25}},
                {"key": "prefix_cache_hit", "value": {"bool_value": true}},
                {"key": "mlflow.spanInputs", "value": {"string_value": "a prompt"}},
            ]}),
            json!({"name": SPAN, "start_time_unix_nano": start, "end_time_unix_nano": end,
                "attributes": packed}),
            json!({"name": SPAN, "start_time": start, "end_time": end, "attributes": packed}),
        ]
    }

    #[test]
    fn every_server_tells_the_same_request() {
        let kept: Vec<_> = told().iter().map(|span| requests(&json!([span]))).collect();
        assert_eq!(kept[0], kept[1]);
        assert_eq!(kept[1], kept[2]);
        let record = gateway::from_json(&kept[0][0], &GatewayFields::default()).unwrap();
        assert_eq!((record.input_tokens, record.ttft_ms), (Some(104.0), Some(100.25)));
        assert_eq!(record.prompt_version.as_deref(), Some("2"));
        assert_eq!((record.prefix_hit, record.at), (Some(true), 1_795_336_199.613));
        assert!(!kept[0][0].to_string().contains("a prompt"));
    }

    #[test]
    fn a_span_that_was_opened_after_the_fact_tells_no_duration() {
        let mut log = GatewayLog::default();
        let at = 1_795_336_199.0;
        let open =
            |ms: u32| json!({"t": at, "duration_ms": ms, "ttft_ms": 50, "generation_ms": 300});
        read(&mut log, &json!([open(2), open(400)]));
        let totals: Vec<_> = log.records.iter().map(|record| record.total_ms).collect();
        assert_eq!(totals, [None, Some(400.0)]);
    }

    #[test]
    fn spans_of_other_names_and_without_a_time_are_none() {
        let span = json!([{"name": "retrieve", "start_time": 1}, {"name": SPAN}]);
        assert!(requests(&span).is_empty());
    }
}
