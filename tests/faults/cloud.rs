//! Services of AWS that fail, asked by the true clients: each has a server of its own.

use std::{
    path::Path,
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use serde_json::{Value, json};

use super::{
    Cell, MATRIX, assert_table,
    aws::stub::{self, Reply},
    calm,
    cli::{Ran, diagnose, finish},
    cloud::{FROM, MINUTES, scenarios},
    judged, network,
    servers::{Good, World, fail, nobody, now},
    sources,
};
use crate::support::{Request, Server};

/// Each source with the variables that say where it is asked.
const SERVICES: [(&str, &[&str]); 4] = [
    ("sagemaker", &["AWS_ENDPOINT_URL_SAGEMAKER"]),
    (
        "autoscaling",
        &["AWS_ENDPOINT_URL_APPLICATION_AUTO_SCALING", "AWS_ENDPOINT_URL_AUTO_SCALING"],
    ),
    ("cloudwatch", &["AWS_ENDPOINT_URL_CLOUDWATCH"]),
    ("containers", &["AWS_ENDPOINT_URL_CLOUDWATCH_LOGS"]),
];

/// Values that no service means: of numbers that may be broken, and of those that are whole.
const ODD: [&str; 4] = ["NaN", "inf", "-inf", "-1"];
const WHOLE: [i64; 4] = [-1, i32::MAX as i64, i32::MIN as i64, 0];

/// The id of a source's status in a report.
fn id(source: &str) -> &str {
    if source == "containers" { "log" } else { source }
}

/// The services, of which one may fail.
struct Services {
    variables: Vec<(&'static str, String)>,
}

impl Services {
    fn start(faulty: &str, fault: &str) -> Self {
        let record = Arc::new(record());
        let each = SERVICES.iter().flat_map(|(source, names)| {
            let fault = if *source == faulty { fault } else { "" };
            let url = service(record.clone(), fault);
            names.iter().map(move |name| (*name, url.clone()))
        });
        Self { variables: each.collect() }
    }

    /// The program with credentials of nobody, for whom AWS is here.
    fn program(&self, home: &Path) -> Command {
        std::fs::write(home.join("diagnose.toml"), "[aws]\nwarm_pool_group = 'pool'\n").unwrap();
        let mut command = diagnose();
        command
            .current_dir(home)
            .env("HOME", home)
            .env("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE")
            .env("AWS_SECRET_ACCESS_KEY", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY")
            .envs(self.variables.iter().map(|(name, url)| (name, url)));
        command
    }
}

/// An endpoint that is well, in the hour that ends now, and its log.
fn record() -> Value {
    let well = scenarios().into_iter().find(|it| it.name == "nothing to scale").unwrap();
    let mut record = well.record;
    let end = now() as i64;
    moved(&mut record, end - (FROM + 60 * MINUTES as i64));
    let event = |back: i64| json!({"timestamp": (end - back) * 1000, "message": "INFO a line"});
    let made = jiff::Timestamp::from_second(end - 9000).unwrap().to_string();
    let more = [
        ("FilterLogEvents", json!({"events": [event(600), event(60)]})),
        (
            "DescribeEndpointConfig",
            json!({"EndpointConfigName": "chat-1", "CreationTime": made, "ProductionVariants": [
                {"VariantName": "main", "ModelName": "chat-model", "InitialInstanceCount": 2}]}),
        ),
        (
            "DescribeModel",
            json!({"ModelName": "chat-model", "CreationTime": made,
                "PrimaryContainer": {"Image": "vllm:1", "Environment": {"A": "chat"}}}),
        ),
        (
            "DescribeWarmPool",
            json!({"WarmPoolConfiguration": {"MinSize": 1, "PoolState": "Stopped"}, "Instances": [
                {"InstanceId": "i-1", "InstanceType": "chat", "AvailabilityZone": "a",
                 "LifecycleState": "Warmed:Stopped", "HealthStatus": "Healthy"}]}),
        ),
    ];
    let more = more.map(|(name, output)| json!({"operation": name, "input": {}, "output": output}));
    record["answers"].as_array_mut().unwrap().extend(more);
    record
}

/// Moves every time by so many seconds.
fn moved(value: &mut Value, seconds: i64) {
    match value {
        Value::String(text) => {
            if let Ok(at) = text.parse::<jiff::Timestamp>() {
                *text = (at + jiff::SignedDuration::from_secs(seconds)).to_string();
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|it| moved(it, seconds)),
        Value::Object(fields) => {
            for (name, value) in fields {
                match (name.as_str(), value) {
                    ("Timestamps", Value::Array(times)) => times.iter_mut().for_each(|time| {
                        *time = match time.as_i64() {
                            Some(at) => json!(at + seconds),
                            None => time.clone(),
                        };
                    }),
                    (_, value) => moved(value, seconds),
                }
            }
        }
        _ => {}
    }
}

fn service(record: Arc<Value>, fault: &str) -> String {
    if fault == "refused" {
        return nobody();
    }
    let (fault, asked) = (fault.to_owned(), AtomicUsize::new(0));
    let answer = move |request: &Request, stream: &mut std::net::TcpStream| {
        let (wire, operation, input) = stub::parse(&request.head, &request.body).unwrap();
        let count = asked.fetch_add(1, Ordering::Relaxed);
        let answer = stub::answer(&record, &operation, &input);
        let answer = answer.map(|output| shaped(output, &operation, &fault, count));
        let Reply { status, headers, mut body } = Reply::of(wire, &operation, answer);
        if fault == "utf8" {
            invalid(&mut body);
        }
        let status = format!("{status} x");
        let headers = &headers;
        // What is wrong with the content is in the body already.
        let fault = if fault == "utf8" { "" } else { &fault };
        fail(fault, request, stream, Good { status: &status, headers, body }, count);
    };
    Server::start("127.0.0.1:0", answer).unwrap().url()
}

/// Bytes that are no text, in names; lengths stay what they are.
fn invalid(body: &mut [u8]) {
    for name in [b"chat".as_slice(), b"resource", b"INFO"] {
        let places: Vec<usize> = memchr::memmem::find_iter(body, name).collect();
        places.into_iter().for_each(|at| body[at] = 0xff);
    }
}

/// An answer in the way of a fault of its content.
fn shaped(mut output: Value, operation: &str, fault: &str, count: usize) -> Value {
    match fault {
        "numbers" => odd("", &mut output, &mut 0),
        "clock" => moved(&mut output, if count.is_multiple_of(2) { 86_400 } else { -86_400 }),
        "duplicates" => twice(&mut output),
        "pages" if operation != "DescribeEndpoint" => {
            let names: &[&str] =
                if operation == "FilterLogEvents" { &["nextToken"] } else { &["NextToken"] };
            names.iter().for_each(|name| output[*name] = json!(format!("more-{count}")));
        }
        _ => {}
    }
    output
}

/// Puts a number that nobody means in the place of each.
fn odd(name: &str, value: &mut Value, at: &mut usize) {
    match value {
        Value::Number(number) => {
            *at += 1;
            *value = match name {
                "Values" => json!(ODD[*at % ODD.len()]),
                "Timestamps" | "timestamp" => return,
                _ if number.is_f64() => json!([1e308, -1e308][*at % 2]),
                _ => json!(WHOLE[*at % WHOLE.len()]),
            };
        }
        Value::Array(items) => items.iter_mut().for_each(|it| odd(name, it, at)),
        Value::Object(fields) => fields.iter_mut().for_each(|(name, it)| odd(name, it, at)),
        _ => {}
    }
}

/// Each item of each list twice.
fn twice(value: &mut Value) {
    match value {
        Value::Array(items) => {
            items.iter_mut().for_each(twice);
            *items = items.iter().flat_map(|it| [it.clone(), it.clone()]).collect();
        }
        Value::Object(fields) => fields.values_mut().for_each(twice),
        _ => {}
    }
}

const ENDPOINT: [&str; 6] = ["--sagemaker", "chat", "--region", "eu-west-1", "--history", "1h"];

/// A sweep over a live server, and all that tells of it.
fn everything(world: &World, services: &Services, fault: &str) -> Ran {
    let home = tempfile::tempdir().unwrap();
    let servers =
        ["--url", &world.vllm, "--prometheus", &world.prometheus, "--mlflow", &world.mlflow];
    let more = ["--skip", "nvml,host,kernel"];
    let words = [&["sweep"], &servers[..], &ENDPOINT, &network::USUAL, &more];
    let words = words.concat().into_iter().map(str::to_owned).chain(network::deadline(fault));
    finish(services.program(home.path()).args(words))
}

/// The runbook of an endpoint's scaling, which the answers of AWS alone decide.
fn alone(services: &Services, fault: &str) -> Ran {
    let home = tempfile::tempdir().unwrap();
    let words = [&["scaling-failure", "--format", "json"], &ENDPOINT[..]].concat();
    let words = words.into_iter().map(str::to_owned).chain(network::deadline(fault));
    finish(services.program(home.path()).args(words))
}

/// Whether the runbook can call nothing healthy while a source fails so: it needs the endpoint and the
/// state of its alarms, of which numbers are no part. Auto Scaling and the log tell why, not whether.
fn is_needed(source: &str, fault: &str) -> bool {
    source == "sagemaker" || (source == "cloudwatch" && fault != "numbers")
}

#[test]
fn services_of_aws_that_fail() {
    let (world, services) = (World::start(("", "")), Services::start("", ""));
    let all = everything(&world, &services, "");
    let fine = sources(&all.json());
    for known in ["metrics", "probes", "prometheus", "mlflow", "sagemaker", "autoscaling", "log"] {
        assert_eq!(fine[known].0, "ok", "{known}: {:?}", fine[known]);
    }
    let ran = alone(&services, "");
    let own = sources(&ran.json());
    assert_eq!((ran.json()["verdict"].as_str(), ran.code), (Some("healthy"), 0), "{}", ran.said());
    assert_table(&MATRIX.cloud, |source, fault| {
        let services = Services::start(source, &fault.id);
        let concerns: &[&str] = &[id(source)];
        let cell = Cell { source, id: id(source), fault, concerns, needed: false };
        let ran = everything(&world, &services, &fault.id);
        calm(&ran, &MATRIX.cloud, &cell)?;
        judged(&ran, &fine, &cell)?;
        let ran = alone(&services, &fault.id);
        calm(&ran, &MATRIX.cloud, &cell)?;
        judged(&ran, &own, &Cell { needed: is_needed(source, &fault.id), ..cell })
    });
}
