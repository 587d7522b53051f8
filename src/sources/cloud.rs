//! What AWS answered, as recorded in a bundle: metrics, alarms, the endpoint and its scaling.

mod events;
mod metrics;
mod release;
mod scaling;

use serde::Deserialize;
use serde_json::Value;

use crate::evidence::{
    Cloud, Endpoint, SourceState, SourceStatus, Time,
    bundle::{Bundle, shown},
    cloud::{Variant, WarmPool},
};
use crate::unit::counted;

pub(super) use events::events;

/// Folder of a bundle with the records.
const FOLDER: &str = "aws";

/// Sources by the services that answer for them.
const SOURCES: [(&str, &[&str]); 3] = [
    ("sagemaker", &["sagemaker"]),
    ("autoscaling", &["application-autoscaling", "autoscaling"]),
    ("cloudwatch", &["cloudwatch"]),
];

/// One record: all answers of one run.
#[derive(Deserialize)]
struct Record {
    answers: Vec<Answer>,
}

/// One call and what came back, as `aws SERVICE OPERATION --output json` prints it.
#[derive(Deserialize)]
struct Answer {
    #[serde(skip)]
    at: Time,
    service: String,
    operation: String,
    #[serde(default)]
    input: Value,
    #[serde(default)]
    output: Value,
    #[serde(default)]
    error: Option<String>,
    /// The state that the error gives the service; older records leave it to be guessed.
    #[serde(default)]
    state: Value,
}

/// What a bundle's records say together, with a status for each service that was asked.
pub(super) fn of_bundle(bundle: &Bundle) -> Option<(Cloud, Vec<SourceStatus>)> {
    let last = bundle.recorded(FOLDER).last()?.0;
    let (mut answers, mut torn) = (Vec::new(), None);
    for (at, body) in bundle.recorded(FOLDER) {
        match serde_json::from_slice::<Record>(body) {
            Ok(record) => answers.extend(
                record.answers.into_iter().map(|answer| Answer { at: at as f64 / 1e3, ..answer }),
            ),
            Err(error) => torn = Some(error.to_string()),
        }
    }
    let cloud = read(last as f64 / 1e3, &answers);
    let statuses = SOURCES.iter().filter_map(|(id, services)| {
        let (status, detail) = match (&torn, outcome(&answers, services)) {
            (None, known) => known?,
            (Some(error), None) => {
                (SourceState::BadData, format!("a record of AWS cannot be read ({error})"))
            }
            (Some(_), Some((_, detail))) => {
                (SourceState::Partial, format!("{detail}; another record cannot be read"))
            }
        };
        Some(SourceStatus { id: (*id).into(), status, detail, took_ms: None })
    });
    Some((cloud, statuses.collect()))
}

/// How the last run that asked these services was answered.
fn outcome(answers: &[Answer], services: &[&str]) -> Option<(SourceState, String)> {
    let own = || answers.iter().filter(|answer| services.contains(&answer.service.as_str()));
    let last = own().map(|answer| answer.at).reduce(f64::max)?;
    let of_last: Vec<&Answer> = own().filter(|answer| answer.at == last).collect();
    let mut failed = of_last.iter().filter_map(|it| Some((it, it.error.as_deref()?)));
    let lost = failed.clone().count();
    let good = of_last.len() - lost;
    Some(match failed.next() {
        None => (SourceState::Ok, counted(good, "answer")),
        Some((answer, error)) => {
            let detail = format!("{}: {}", answer.operation, shown(error));
            let told = SourceState::deserialize(&answer.state);
            let state = told.unwrap_or_else(|_| refusal(error));
            (if good > 0 { SourceState::Partial } else { state }, detail)
        }
    })
}

/// What an error of AWS says of the service.
fn refusal(error: &str) -> SourceState {
    let says = |words: &[&str]| words.iter().any(|word| error.contains(word));
    if says(&["nothing answers"]) {
        SourceState::Unreachable
    } else if says(&["AccessDenied", "refused", "not authorized", "UnrecognizedClient"])
        || says(&["ExpiredToken", "expired", "Signature"])
    {
        SourceState::Unauthorized
    } else if says(&["timed out", "timeout", "RequestTimeout", "within", "throttled"]) {
        SourceState::TimedOut
    } else if says(&["Validation", "NotFound", "Could not find", "there is no"]) {
        SourceState::Unsupported
    } else {
        SourceState::Unreachable
    }
}

fn read(at: Time, answers: &[Answer]) -> Cloud {
    let good = || answers.iter().filter(|answer| answer.error.is_none());
    let of = |service: &'static str, operation: &'static str| {
        good().filter(move |it| it.service == service && it.operation == operation)
    };
    let mut cloud = Cloud { at, ..Cloud::default() };
    for answer in of("cloudwatch", "GetMetricData") {
        metrics::add(&mut cloud.metrics, answer);
    }
    cloud.alarms = metrics::alarms(
        of("cloudwatch", "DescribeAlarms"),
        of("cloudwatch", "DescribeAlarmHistory"),
        &scaling::shrinking(of("application-autoscaling", "DescribeScalingPolicies")),
    );
    let endpoints: Vec<&Answer> = of("sagemaker", "DescribeEndpoint").collect();
    cloud.endpoint = endpoints.last().map(|answer| endpoint(&answer.output));
    if let (Some(endpoint), Some(answer)) = (cloud.endpoint.as_mut(), endpoints.last()) {
        endpoint.short_since = short_since(&endpoints, answer.at);
        let configs = of("sagemaker", "DescribeEndpointConfig");
        release::add(endpoint, &answer.output, configs, of("sagemaker", "DescribeModel"));
    }
    cloud.scaling = scaling::read(&good().collect::<Vec<_>>());
    cloud.warm_pool = of("autoscaling", "DescribeWarmPool").next_back().and_then(warm_pool);
    cloud
}

fn endpoint(output: &Value) -> Endpoint {
    let pending = &output["PendingDeploymentSummary"]["ProductionVariants"];
    let own = list(&output["ProductionVariants"]).map(variant);
    let coming = list(pending).map(variant);
    Endpoint {
        name: text(&output["EndpointName"]),
        status: text(&output["EndpointStatus"]),
        failure: said(&output["FailureReason"]),
        created: time(&output["CreationTime"]),
        changed: time(&output["LastModifiedTime"]),
        deploying_since: time(&output["PendingDeploymentSummary"]["StartTime"]),
        variants: if list(pending).next().is_some() { coming.collect() } else { own.collect() },
        ..Endpoint::default()
    }
}

fn variant(value: &Value) -> Variant {
    let statuses: Vec<&Value> = list(&value["VariantStatus"]).collect();
    let words = statuses.iter().flat_map(|it| [&it["Status"], &it["StatusMessage"]]);
    let words: Vec<String> = words.filter_map(said).collect();
    Variant {
        name: text(&value["VariantName"]),
        current: count(&value["CurrentInstanceCount"]),
        desired: count(&value["DesiredInstanceCount"]),
        status: (!words.is_empty()).then(|| words.join(": ")),
        since: statuses.iter().filter_map(|it| time(&it["StartTime"])).reduce(f64::min),
    }
}

/// Since when the runs have seen fewer instances than wanted, where the last one did.
fn short_since(endpoints: &[&Answer], now: Time) -> Option<Time> {
    let seen = endpoints.iter().rev().map(|it| (it.at, endpoint(&it.output).missing()));
    let short = seen.take_while(|(_, missing)| missing.is_some_and(|count| count > 0));
    short.map(|(at, _)| at).last().filter(|at| *at < now)
}

fn warm_pool(answer: &Answer) -> Option<WarmPool> {
    let output = &answer.output;
    output.get("WarmPoolConfiguration").or_else(|| output.get("Instances"))?;
    let states = list(&output["Instances"]).map(|it| text(&it["LifecycleState"]));
    let states: Vec<String> = states.collect();
    let ready = ["Warmed:Stopped", "Warmed:Running", "Warmed:Hibernated"];
    let of = |wanted: &[&str]| states.iter().filter(|it| wanted.contains(&it.as_str())).count();
    let warming = ["Warmed:Pending", "Warmed:Pending:Wait", "Warmed:Pending:Proceed"];
    Some(WarmPool { ready: of(&ready), warming: of(&warming) })
}

/// The entries of a list; none where it is no list.
fn list(value: &Value) -> impl Iterator<Item = &Value> + Clone {
    value.as_array().into_iter().flatten()
}

/// Characters kept of a name or a message.
const MAX_TEXT: usize = 1000;

fn some_text(value: &Value) -> Option<String> {
    let text = value.as_str().filter(|text| !text.is_empty())?;
    Some(text.chars().take(MAX_TEXT).collect())
}

/// A name; empty where there is none.
fn text(value: &Value) -> String {
    some_text(value).unwrap_or_default()
}

/// Free text, which may hold anything.
fn said(value: &Value) -> Option<String> {
    some_text(value).map(|text| shown(&text).into_owned())
}

fn count(value: &Value) -> Option<u32> {
    value.as_u64().and_then(|count| u32::try_from(count).ok())
}

/// ISO 8601, or Unix seconds from 2001 to 5138.
fn time(value: &Value) -> Option<Time> {
    let stamp = |text: &str| {
        let at: jiff::Timestamp = text.parse().ok()?;
        Some(at.as_millisecond() as f64 / 1e3)
    };
    let at = value.as_f64().or_else(|| value.as_str().and_then(stamp))?;
    (1e9..1e11).contains(&at).then_some(at)
}

#[cfg(test)]
mod tests;
