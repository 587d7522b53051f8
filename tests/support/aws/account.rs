//! Alarms and dashboards of an account, kept as CloudWatch keeps them: pages, tags that count on
//! creation only, and alarms that others name.
#![allow(dead_code)]

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use super::stub::Answer;

/// Alarms of one page.
const PAGE: usize = 7;

/// One alarm or dashboard, as it was put, with its tags.
#[derive(Clone, Default)]
pub struct Kept {
    pub put: Value,
    pub tags: BTreeMap<String, String>,
}

/// What an account holds.
#[derive(Clone, Default)]
pub struct Account {
    pub alarms: BTreeMap<String, Kept>,
    pub dashboards: BTreeMap<String, Kept>,
}

/// An account that a server and a test look at.
pub type Shared = Arc<Mutex<Account>>;

pub fn arn(name: &str) -> String {
    format!("arn:aws:cloudwatch:eu-west-1:123456789012:alarm:{name}")
}

fn dashboard_arn(name: &str) -> String {
    format!("arn:aws:cloudwatch::123456789012:dashboard/{name}")
}

fn refuse(code: &str, message: &str) -> Answer {
    Err((400, code.into(), message.into()))
}

impl Account {
    /// Answers what is asked of alarms and dashboards; `None` for other operations.
    pub fn answer(&mut self, operation: &str, input: &Value) -> Option<Answer> {
        let text = |name: &str| input[name].as_str().unwrap_or_default().to_owned();
        Some(match operation {
            "DescribeAlarms" => Ok(self.describe(input)),
            "PutMetricAlarm" => self.put(text("AlarmName"), input),
            "PutCompositeAlarm" => match self.lacks(&text("AlarmRule")) {
                Some(name) => refuse("ValidationError", &format!("there is no alarm {name}")),
                None => self.put(text("AlarmName"), input),
            },
            "DeleteAlarms" => self.delete(input),
            "ListTagsForResource" => self.tags(&text("ResourceARN")),
            "GetDashboard" => match self.dashboards.get(&text("DashboardName")) {
                None => refuse("ResourceNotFound", "Dashboard does not exist"),
                Some(it) => Ok(json!({"DashboardName": text("DashboardName"),
                    "DashboardBody": it.put["DashboardBody"],
                    "DashboardArn": dashboard_arn(&text("DashboardName"))})),
            },
            "PutDashboard" => {
                keep(&mut self.dashboards, text("DashboardName"), input);
                let said = json!({"DataPath": "/widgets/3", "Message": "a field is deprecated"});
                Ok(json!({"DashboardValidationMessages": [said]}))
            }
            _ => return None,
        })
    }

    fn put(&mut self, name: String, input: &Value) -> Answer {
        keep(&mut self.alarms, name, input);
        Ok(json!({}))
    }

    /// The first alarm that a rule names and that is not there.
    fn lacks(&self, rule: &str) -> Option<String> {
        let names = rule.split("ALARM(\"").skip(1).filter_map(|rest| rest.split('"').next());
        names.map(ToOwned::to_owned).find(|name| !self.alarms.contains_key(name))
    }

    fn delete(&mut self, input: &Value) -> Answer {
        for name in input["AlarmNames"].as_array().into_iter().flatten() {
            let quoted = format!("({name})");
            let names_it =
                |it: &Kept| it.put["AlarmRule"].to_string().replace('\\', "").contains(&quoted);
            if self.alarms.values().any(names_it) {
                return refuse("ValidationError", "another alarm names it");
            }
            self.alarms.remove(name.as_str().unwrap());
        }
        Ok(json!({}))
    }

    fn tags(&self, arn_of: &str) -> Answer {
        let alarm = self.alarms.iter().find(|(name, _)| arn(name) == arn_of);
        let found =
            alarm.or(self.dashboards.iter().find(|(name, _)| dashboard_arn(name) == arn_of));
        let Some((_, kept)) = found else { return refuse("ResourceNotFound", "Unknown") };
        let pair = |(key, value): (&String, &String)| json!({"Key": key, "Value": value});
        Ok(json!({"Tags": kept.tags.iter().map(pair).collect::<Vec<_>>()}))
    }

    fn describe(&self, input: &Value) -> Value {
        let prefix = input["AlarmNamePrefix"].as_str().unwrap_or_default();
        let from: usize = input["NextToken"].as_str().map_or(0, |it| it.parse().unwrap());
        let fitting = self.alarms.iter().filter(|(name, _)| name.starts_with(prefix));
        let fitting: Vec<_> = fitting.collect();
        let page = fitting.iter().skip(from).take(PAGE);
        let (over, alarms): (Vec<Value>, Vec<Value>) = page
            .map(|(name, kept)| told(name, &kept.put))
            .partition(|it| it["AlarmRule"].is_string());
        let mut output = json!({"MetricAlarms": alarms, "CompositeAlarms": over});
        if from + PAGE < fitting.len() {
            output["NextToken"] = json!((from + PAGE).to_string());
        }
        output
    }
}

fn keep(all: &mut BTreeMap<String, Kept>, name: String, input: &Value) {
    let mut put = input.clone();
    let tags = put.as_object_mut().unwrap().remove("Tags").unwrap_or_default();
    let pair = |it: &Value| {
        (it["Key"].as_str().unwrap().to_owned(), it["Value"].as_str().unwrap().to_owned())
    };
    let tags = tags.as_array().into_iter().flatten().map(pair).collect();
    // Tags of a change are ignored.
    let tags = all.get(&name).map_or(tags, |before| before.tags.clone());
    all.insert(name, Kept { put, tags });
}

/// An alarm as it is described: with what nobody said.
fn told(name: &str, put: &Value) -> Value {
    let mut told = put.clone();
    let usual = json!({"ActionsEnabled": true, "OKActions": [], "AlarmActions": [],
        "InsufficientDataActions": [], "AlarmArn": arn(name), "StateValue": "OK",
        "StateUpdatedTimestamp": "2026-11-21T23:58:37Z"});
    for (name, value) in usual.as_object().unwrap() {
        if told[name].is_null() {
            told[name] = value.clone();
        }
    }
    if told["AlarmRule"].is_null() && told["Dimensions"].is_null() {
        told["Dimensions"] = json!([]);
    }
    told
}

/// Asks another server of AWS, which speaks JSON.
pub fn forward(port: u16, operation: &str, input: &Value) -> Answer {
    let body = input.to_string();
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    write!(
        stream,
        "POST / HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: close\r\n\
         x-amz-target: GraniteServiceVersion20100801.{operation}\r\n\
         content-type: application/x-amz-json-1.0\r\ncontent-length: {}\r\n\
         authorization: AWS4-HMAC-SHA256 Credential=a/20260101/eu-west-1/monitoring/aws4_request, \
         SignedHeaders=host, Signature=x\r\n\r\n{body}",
        body.len()
    )
    .unwrap();
    let mut all = String::new();
    stream.read_to_string(&mut all).unwrap();
    let (head, body) = all.split_once("\r\n\r\n").unwrap();
    let status: u16 = head.split(' ').nth(1).unwrap().parse().unwrap();
    let value: Value = serde_json::from_str(body).unwrap_or_else(|_| json!({}));
    match status {
        200 => Ok(value),
        _ => {
            let text = |name: &str| value[name].as_str().unwrap_or(body).to_owned();
            let code = text("__type").rsplit('#').next().unwrap().to_owned();
            Err((status, code, text("message")))
        }
    }
}
