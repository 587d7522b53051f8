//! Serves the answers of a recorded bundle as AWS would, to the true clients: JSON 1.1 for SageMaker,
//! Application Auto Scaling and CloudWatch Logs, CBOR for CloudWatch, XML for EC2 Auto Scaling.
//! Requests are answered by what they name, whatever time they ask for.
#![allow(dead_code)]

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use ciborium::value::Value as Cbor;
use serde_json::{Map, Value, json};

/// How an operation fails. `*` is each operation.
#[derive(Clone, Copy)]
pub enum Fault {
    /// A status, a code and a message.
    Refuse(u16, &'static str, &'static str),
    /// It takes the request and says nothing.
    Hang,
}

/// A server of AWS.
pub struct Stub {
    pub address: SocketAddr,
    asked: Arc<Mutex<Vec<(String, Value)>>>,
}

/// How a request came and is to be answered.
#[derive(Clone, Copy, PartialEq)]
pub enum Wire {
    Json,
    Cbor,
    Xml,
}

impl Stub {
    /// Serves a record, `{"answers": […]}`.
    pub fn serve(record: &Value) -> Self {
        Self::failing(record, &[])
    }

    /// Serves a record but for what fails.
    pub fn failing(record: &Value, faults: &[(&'static str, Fault)]) -> Self {
        let record = record.clone();
        Self::answering(faults, move |operation, input| answer(&record, operation, input))
    }

    /// Serves what is answered, but for what fails.
    pub fn answering(
        faults: &[(&'static str, Fault)],
        answer: impl Fn(&str, &Value) -> Answer + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let (seen, known) = (asked.clone(), Arc::new((answer, faults.to_vec())));
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (seen, known) = (seen.clone(), known.clone());
                thread::spawn(move || serve(stream, &known.0, &known.1, &seen));
            }
        });
        Self { address, asked }
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Operations asked with their inputs, in order.
    pub fn asked(&self) -> Vec<(String, Value)> {
        self.asked.lock().unwrap().clone()
    }

    /// How often an operation was asked.
    pub fn times(&self, operation: &str) -> usize {
        self.asked().iter().filter(|(name, _)| name == operation).count()
    }
}

fn serve(
    mut stream: TcpStream,
    answer: &impl Fn(&str, &Value) -> Answer,
    faults: &[(&'static str, Fault)],
    seen: &Mutex<Vec<(String, Value)>>,
) {
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let Some((wire, operation, input)) = read(&mut stream) else { return };
    seen.lock().unwrap().push((operation.clone(), input.clone()));
    let fault = faults.iter().find(|(name, _)| [operation.as_str(), "*"].contains(name));
    let answer = match fault {
        Some((_, Fault::Hang)) => return thread::sleep(Duration::from_secs(30)),
        Some((_, Fault::Refuse(status, code, message))) => {
            Err((*status, (*code).to_owned(), (*message).to_owned()))
        }
        None => answer(&operation, &input),
    };
    let reply = Reply::of(wire, &operation, answer);
    let (status, headers, length) = (reply.status, reply.headers, reply.body.len());
    let _ = write!(
        stream,
        "HTTP/1.1 {status} x\r\n{headers}connection: close\r\ncontent-length: {length}\r\n\r\n"
    );
    let _ = stream.write_all(&reply.body);
}

/// Reads one request: how it came, the operation and its input.
fn read(stream: &mut TcpStream) -> Option<(Wire, String, Value)> {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte).ok()?;
        head.push(byte[0]);
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    let length = field(&head, "content-length").and_then(|it| it.parse().ok());
    let mut body = vec![0; length.unwrap_or(0)];
    stream.read_exact(&mut body).ok()?;
    parse(&head, &body)
}

/// A field of a request's head.
fn field(head: &str, name: &str) -> Option<String> {
    head.lines().find_map(|line| {
        let (key, value) = line.split_once(": ")?;
        key.eq_ignore_ascii_case(name).then(|| value.to_owned())
    })
}

/// How a request came, the operation and its input.
pub fn parse(head: &str, body: &[u8]) -> Option<(Wire, String, Value)> {
    if let Some(target) = field(head, "x-amz-target") {
        let operation = target.rsplit('.').next()?.to_owned();
        return Some((Wire::Json, operation, serde_json::from_slice(body).ok()?));
    }
    let path = head.split(' ').nth(1)?;
    if field(head, "smithy-protocol").as_deref() == Some("rpc-v2-cbor") {
        let operation = path.rsplit('/').next()?.to_owned();
        let input: Cbor = ciborium::from_reader(body).ok()?;
        return Some((Wire::Cbor, operation, from_cbor(&input)));
    }
    let form: Map<String, Value> = std::str::from_utf8(body)
        .ok()?
        .split('&')
        .filter_map(|pair| pair.split_once('='))
        .map(|(name, value)| (name.to_owned(), value.into()))
        .collect();
    Some((Wire::Xml, form.get("Action")?.as_str()?.to_owned(), Value::Object(form)))
}

/// What is said to a request; `Err` is a status, a code and a message.
pub type Answer = Result<Value, (u16, String, String)>;

/// What the record says to a request.
pub fn answer(record: &Value, operation: &str, input: &Value) -> Answer {
    match operation {
        "ListMetrics" => return Ok(metrics(record, input)),
        "ListEndpointConfigs" => return Ok(configs(record)),
        "GetMetricData" => return Ok(values(record, input)),
        _ => {}
    }
    let recorded = answers(record).filter(|it| it["operation"] == operation);
    let fitting: Vec<_> = recorded.filter(|it| same_names(&it["input"], input)).collect();
    if let Some(error) = fitting.iter().find_map(|it| it["error"].as_str()) {
        let code = error.split(['(', ')']).nth(1).unwrap_or("InternalFailure");
        return Err((400, code.into(), error.into()));
    }
    let mut outputs = fitting.iter().map(|it| it["output"].clone());
    let Some(mut all) = outputs.next() else { return nothing(operation) };
    outputs.for_each(|page| append(&mut all, page));
    if operation == "DescribeAlarmHistory"
        && let Some(items) = all["AlarmHistoryItems"].as_array_mut()
    {
        items.retain(|item| item["AlarmName"] == input["AlarmName"]);
    }
    Ok(all)
}

fn answers(record: &Value) -> impl Iterator<Item = &Value> {
    record["answers"].as_array().into_iter().flatten()
}

/// Whether two inputs are about the same thing.
fn same_names(recorded: &Value, asked: &Value) -> bool {
    [
        "EndpointName",
        "EndpointConfigName",
        "ModelName",
        "ResourceId",
        "AlarmName",
        "AutoScalingGroupName",
        "logGroupName",
    ]
    .iter()
    .all(|name| recorded[name].is_null() || asked[name].is_null() || recorded[name] == asked[name])
}

/// What AWS says of things that are not there.
fn nothing(operation: &str) -> Answer {
    let refuse = |code: &str, message: &str| Err((400, code.to_owned(), message.to_owned()));
    match operation {
        "FilterLogEvents" => refuse("ResourceNotFoundException", "The log group does not exist."),
        "DescribeEndpoint" | "DescribeEndpointConfig" | "DescribeModel" => {
            refuse("ValidationException", "Could not find it.")
        }
        _ => Ok(json!({})),
    }
}

fn append(all: &mut Value, page: Value) {
    let Value::Object(page) = page else { return };
    for (name, value) in page {
        match (all.get_mut(&name), value) {
            (Some(Value::Array(items)), Value::Array(more)) => items.extend(more),
            (_, value) => all[name] = value,
        }
    }
}

/// Recorded queries with their results.
fn recorded_values(record: &Value) -> impl Iterator<Item = (&Value, &Value)> {
    let with_data = answers(record).filter(|it| it["operation"] == "GetMetricData");
    with_data.flat_map(|it| {
        let queries = it["input"]["MetricDataQueries"].as_array().into_iter().flatten();
        let results = &it["output"]["MetricDataResults"];
        queries.filter_map(|query| {
            let result = results.as_array()?.iter().find(|result| result["Id"] == query["Id"])?;
            Some((&query["MetricStat"], result))
        })
    })
}

fn metrics(record: &Value, input: &Value) -> Value {
    let wanted = |metric: &Value| {
        let filters = input["Dimensions"].as_array().cloned().unwrap_or_default();
        let has = |filter: &Value| dimensions(metric).contains(&dimension(filter));
        metric["Namespace"] == input["Namespace"] && filters.iter().all(has)
    };
    let mut found: Vec<Value> = Vec::new();
    for (stat, _) in recorded_values(record) {
        let metric = &stat["Metric"];
        if wanted(metric) && !found.iter().any(|other| same_metric(other, metric)) {
            found.push(metric.clone());
        }
    }
    json!({ "Metrics": found })
}

fn values(record: &Value, input: &Value) -> Value {
    let queries = input["MetricDataQueries"].as_array().into_iter().flatten();
    let results = queries.filter_map(|query| {
        let stat = &query["MetricStat"];
        let same = |other: &Value| {
            other["Stat"] == stat["Stat"] && same_metric(&other["Metric"], &stat["Metric"])
        };
        let mut result = recorded_values(record).find(|(other, _)| same(other))?.1.clone();
        result["Id"] = query["Id"].clone();
        Some(result)
    });
    json!({ "MetricDataResults": results.collect::<Vec<_>>() })
}

fn same_metric(one: &Value, other: &Value) -> bool {
    one["Namespace"] == other["Namespace"]
        && one["MetricName"] == other["MetricName"]
        && dimensions(one) == dimensions(other)
}

fn dimensions(metric: &Value) -> Vec<(String, String)> {
    let all = metric["Dimensions"].as_array().into_iter().flatten();
    let mut pairs: Vec<_> = all.map(dimension).collect();
    pairs.sort();
    pairs
}

fn dimension(it: &Value) -> (String, String) {
    let part = |name: &str| it[name].as_str().unwrap_or_default().to_owned();
    (part("Name"), part("Value"))
}

fn configs(record: &Value) -> Value {
    let described = answers(record)
        .filter(|it| it["operation"] == "DescribeEndpointConfig" && it["output"].is_object());
    let summary = |it: &Value| {
        let output = &it["output"];
        json!({
            "EndpointConfigName": output["EndpointConfigName"],
            "EndpointConfigArn": "arn:aws:sagemaker:eu-west-1:1:endpoint-config/x",
            "CreationTime": output["CreationTime"],
        })
    };
    json!({ "EndpointConfigs": described.map(summary).collect::<Vec<_>>() })
}

/// An answer as it goes over the wire.
pub struct Reply {
    pub status: u16,
    /// Header lines.
    pub headers: String,
    pub body: Vec<u8>,
}

impl Reply {
    pub fn of(wire: Wire, operation: &str, answer: Answer) -> Self {
        let (status, code) = match &answer {
            Ok(_) => (200, None),
            Err((status, code, _)) => (*status, Some(code.clone())),
        };
        let value = answer.unwrap_or_else(|(_, code, message)| {
            json!({ "__type": format!("com.amazonaws#{code}"), "message": message })
        });
        let (kind, body) = match wire {
            Wire::Json => {
                ("application/x-amz-json-1.1", serde_json::to_vec(&epochs(value)).unwrap())
            }
            Wire::Cbor => {
                let mut body = Vec::new();
                ciborium::into_writer(&to_cbor("", &value), &mut body).unwrap();
                ("application/cbor", body)
            }
            Wire::Xml => ("text/xml", xml(operation, &value, code.as_deref()).into_bytes()),
        };
        let cbor = if wire == Wire::Cbor { "smithy-protocol: rpc-v2-cbor\r\n" } else { "" };
        Self { status, headers: format!("content-type: {kind}\r\n{cbor}"), body }
    }
}

/// Unix seconds of a text that is a time.
fn epoch(text: &str) -> Option<f64> {
    let at: jiff::Timestamp = text.parse().ok()?;
    Some(at.as_millisecond() as f64 / 1e3)
}

/// Times as JSON 1.1 has them.
fn epochs(value: Value) -> Value {
    match value {
        Value::String(text) => epoch(&text).map_or(Value::String(text), |at| json!(at)),
        Value::Array(items) => items.into_iter().map(epochs).collect(),
        Value::Object(fields) => {
            fields.into_iter().map(|(name, value)| (name, epochs(value))).collect()
        }
        other => other,
    }
}

fn to_cbor(name: &str, value: &Value) -> Cbor {
    let real = matches!(name, "Values" | "Threshold");
    match value {
        Value::Null => Cbor::Null,
        Value::Bool(yes) => Cbor::Bool(*yes),
        Value::Number(number) if name.starts_with("Timestamp") || name.ends_with("Timestamp") => {
            Cbor::Tag(1, Box::new(Cbor::Float(number.as_f64().unwrap())))
        }
        Value::Number(number) => match number.as_i64().filter(|_| !real) {
            Some(whole) => Cbor::Integer(whole.into()),
            None => Cbor::Float(number.as_f64().unwrap()),
        },
        // What JSON has no numbers for.
        Value::String(text) if real => Cbor::Float(text.parse().unwrap()),
        Value::String(text) => match epoch(text) {
            Some(at) => Cbor::Tag(1, Box::new(Cbor::Float(at))),
            None => Cbor::Text(text.clone()),
        },
        Value::Array(items) => Cbor::Array(items.iter().map(|it| to_cbor(name, it)).collect()),
        Value::Object(fields) => Cbor::Map(
            fields.iter().map(|(key, it)| (Cbor::Text(key.clone()), to_cbor(key, it))).collect(),
        ),
    }
}

fn from_cbor(value: &Cbor) -> Value {
    match value {
        Cbor::Bool(yes) => json!(yes),
        Cbor::Integer(whole) => json!(i64::try_from(*whole).unwrap_or_default()),
        Cbor::Float(real) => json!(real),
        Cbor::Text(text) => json!(text),
        Cbor::Tag(_, inner) => from_cbor(inner),
        Cbor::Array(items) => items.iter().map(from_cbor).collect(),
        Cbor::Map(fields) => fields
            .iter()
            .filter_map(|(name, it)| Some((name.as_text()?.to_owned(), from_cbor(it))))
            .collect::<Map<_, _>>()
            .into(),
        _ => Value::Null,
    }
}

fn xml(operation: &str, value: &Value, code: Option<&str>) -> String {
    let space = "xmlns=\"http://autoscaling.amazonaws.com/doc/2011-01-01/\"";
    if let Some(code) = code {
        let message = value["message"].as_str().unwrap_or_default();
        return format!(
            "<ErrorResponse {space}><Error><Type>Sender</Type><Code>{code}</Code><Message>\
             {message}</Message></Error></ErrorResponse>"
        );
    }
    let inner = elements(value);
    format!(
        "<{operation}Response {space}><{operation}Result>{inner}</{operation}Result>\
         </{operation}Response>"
    )
}

fn elements(value: &Value) -> String {
    match value {
        Value::Object(fields) => fields
            .iter()
            .map(|(name, value)| format!("<{name}>{}</{name}>", elements(value)))
            .collect(),
        Value::Array(items) => {
            items.iter().map(|item| format!("<member>{}</member>", elements(item))).collect()
        }
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}
