//! Gateway records as lines of CloudWatch's Embedded Metric Format, from which CloudWatch Logs
//! makes the gateway's metrics.
//!
//! What a record does not say is left out: a metric that is 0 was measured as 0.

use serde_json::{Map, Value, json};

use super::names::{CloudNames, DIMENSIONS};
use crate::evidence::gateway::GatewayRecord;

/// A metric of the gateway.
#[derive(Debug, Clone, Copy)]
pub struct Metric {
    /// Its usual name.
    pub name: &'static str,
    /// Its unit, in CloudWatch's words.
    pub unit: &'static str,
    /// Its dimensions, by their usual names.
    pub by: &'static [&'static str],
    /// Its value in a record, where the record tells it.
    pub value: fn(&GatewayRecord) -> Option<f64>,
}

const MS: &str = "Milliseconds";
const COUNT: &str = "Count";

const fn of_request(
    name: &'static str,
    unit: &'static str,
    value: fn(&GatewayRecord) -> Option<f64>,
) -> Metric {
    Metric { name, unit, by: &DIMENSIONS, value }
}

/// All metrics of the gateway. Those with the same dimensions stand together.
pub const CATALOGUE: [Metric; 10] = [
    of_request("QueueWaitMs", MS, |it| it.queue_wait_ms),
    of_request("TTFTMs", MS, |it| it.ttft_ms),
    of_request("GenerationMs", MS, |it| it.generation_ms),
    of_request("TotalMs", MS, |it| it.total_ms),
    of_request("InputTokens", COUNT, |it| it.input_tokens),
    of_request("OutputTokens", COUNT, |it| it.output_tokens),
    of_request("PrefixCacheHit", COUNT, |it| it.prefix_hit.map(f64::from)),
    of_request("TokenBudgetTrimmed", COUNT, |it| it.trimmed.map(f64::from)),
    Metric {
        name: "OOMCaught",
        unit: COUNT,
        by: &["AdapterId"],
        value: |it| it.ran_out_of_memory().filter(|caught| *caught).map(f64::from),
    },
    Metric {
        name: "AdmissionRejected",
        unit: COUNT,
        by: &["Reason"],
        value: |it| it.rejected.as_ref().map(|_| 1.0),
    },
];

/// The line of a record, without its end; `None` where the record tells no metric.
pub fn line(record: &GatewayRecord, names: &CloudNames) -> Option<String> {
    let (mut members, mut directives) = (Map::new(), Vec::new());
    for group in CATALOGUE.chunk_by(|a, b| a.by == b.by) {
        let told = group.iter().filter_map(|metric| Some((metric, (metric.value)(record)?)));
        let told: Vec<(&Metric, f64)> = told.collect();
        let Some((first, _)) = told.first() else { continue };
        let dimensions = dimensions(record, first.by, names);
        let keys: Vec<&str> = dimensions.iter().map(|(name, _)| *name).collect();
        let metric = |(metric, _): &(&Metric, f64)| json!({ "Name": names.metric(metric.name), "Unit": metric.unit });
        directives.push(json!({
            "Namespace": names.namespace,
            "Dimensions": [keys],
            "Metrics": told.iter().map(metric).collect::<Vec<_>>(),
        }));
        members.extend(dimensions.into_iter().map(|(key, value)| (key.into(), json!(value))));
        members.extend(told.iter().map(|(it, value)| (names.metric(it.name).into(), json!(value))));
    }
    if directives.is_empty() {
        return None;
    }
    let milliseconds = (record.at * 1e3).round() as i64;
    members.insert(
        "_aws".into(),
        json!({ "Timestamp": milliseconds, "CloudWatchMetrics": directives }),
    );
    Some(Value::Object(members).to_string())
}

/// The dimensions that a record tells, by their own names.
fn dimensions<'a>(
    record: &'a GatewayRecord,
    by: &'static [&'static str],
    names: &'a CloudNames,
) -> Vec<(&'a str, &'a str)> {
    let value = |usual: &str| match usual {
        "AdapterId" => record.adapter.as_deref(),
        "BackendVersion" => record.backend_version.as_deref(),
        _ => record.rejected.as_deref(),
    };
    by.iter().filter_map(|usual| Some((names.dimension(usual), value(usual)?))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(record: &GatewayRecord) -> Value {
        serde_json::from_str(&line(record, &CloudNames::default()).unwrap()).unwrap()
    }

    #[test]
    fn what_a_record_does_not_say_is_left_out() {
        let record = GatewayRecord {
            at: 1_795_336_199.613,
            ttft_ms: Some(120.5),
            adapter: Some("manga".into()),
            prefix_hit: Some(false),
            finish_reason: Some("stop".into()),
            ..GatewayRecord::default()
        };
        let line = read(&record);
        assert_eq!(line["TTFTMs"], 120.5);
        assert_eq!(line["PrefixCacheHit"], 0.0, "a miss was measured");
        let absent = ["QueueWaitMs", "OOMCaught", "AdmissionRejected", "BackendVersion"];
        assert!(absent.iter().all(|name| line.get(name).is_none()), "{line}");
        assert_eq!(line["_aws"]["Timestamp"], 1_795_336_199_613_i64);
        let directives = line["_aws"]["CloudWatchMetrics"].as_array().unwrap();
        assert_eq!(directives.len(), 1);
        assert_eq!(directives[0]["Dimensions"], json!([["AdapterId"]]));
    }

    #[test]
    fn events_have_dimensions_of_their_own() {
        let record = GatewayRecord {
            at: 1.0,
            adapter: Some("manga".into()),
            backend_version: Some("v1".into()),
            finish_reason: Some("cuda_oom".into()),
            rejected: Some("queue_full".into()),
            total_ms: Some(9.0),
            ..GatewayRecord::default()
        };
        let line = read(&record);
        let directives = line["_aws"]["CloudWatchMetrics"].as_array().unwrap();
        let told = |index: usize| {
            let it = &directives[index];
            (it["Dimensions"][0].clone(), it["Metrics"][0]["Name"].clone())
        };
        assert_eq!(told(0), (json!(["AdapterId", "BackendVersion"]), json!("TotalMs")));
        assert_eq!(told(1), (json!(["AdapterId"]), json!("OOMCaught")));
        assert_eq!(told(2), (json!(["Reason"]), json!("AdmissionRejected")));
        assert_eq!((&line["Reason"], &line["OOMCaught"]), (&json!("queue_full"), &json!(1.0)));
    }

    #[test]
    fn a_record_without_numbers_makes_no_line() {
        let record = GatewayRecord { status: Some(200), ..GatewayRecord::default() };
        assert_eq!(line(&record, &CloudNames::default()), None);
    }
}
