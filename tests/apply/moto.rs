//! Alarms in a server that others wrote. It knows neither CBOR, so a bridge stands before it, nor
//! alarms over others, which stay in the bridge.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::{
    Machine, account, alarms,
    aws::{
        account::{Kept, Shared, arn, forward},
        stub::{Answer, Stub},
    },
    changes,
    moto_server::Moto,
};

/// Alarms over others stay here, the rest is moto's.
fn bridge(port: u16, over: Shared) -> Stub {
    let both = move |operation: &str, input: &Value| -> Answer {
        let mut over = over.lock().unwrap();
        let name = input["ResourceARN"].as_str().and_then(|arn| arn.rsplit(':').next());
        match operation {
            "PutCompositeAlarm" => {
                let name = input["AlarmName"].as_str().unwrap().to_owned();
                let tags = input["Tags"].as_array().unwrap().iter();
                let tags = tags.map(|it| {
                    (it["Key"].as_str().unwrap().into(), it["Value"].as_str().unwrap().into())
                });
                let mut put = input.clone();
                put.as_object_mut().unwrap().remove("Tags");
                over.alarms.insert(name, Kept { put, tags: tags.collect() });
                Ok(json!({}))
            }
            "ListTagsForResource" if over.alarms.contains_key(name.unwrap_or_default()) => {
                over.answer(operation, input).unwrap()
            }
            "DescribeAlarms" => {
                let mut told = forward(port, operation, input)?;
                let one = over.alarms.iter().map(|(name, kept)| {
                    let mut told = kept.put.clone();
                    told["AlarmArn"] = json!(arn(name));
                    told
                });
                told["CompositeAlarms"] = one.collect();
                Ok(told)
            }
            _ => forward(port, operation, input),
        }
    };
    Stub::answering(&[], both)
}

#[test]
fn another_server_of_aws_holds_them_as_they_were_rendered() {
    let (machine, moto) = (Machine::whole(), Moto::start());
    let stub = bridge(moto.port, account());
    let apply =
        "alerts apply --to cloudwatch --replay bundle --alarm-action arn:aws:sns:eu-west-1:1:page";
    machine.run(&stub.url(), &format!("{apply} --yes")).assert_code(0);
    let put = changes(&stub).len();
    let told = forward(moto.port, "DescribeAlarms", &json!({})).unwrap();
    let there: BTreeMap<String, Value> = told["MetricAlarms"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| (it["AlarmName"].as_str().unwrap().to_owned(), it.clone()))
        .collect();
    let wanted = alarms::rendered(&machine);
    assert_eq!(put, wanted.len());
    for (name, alarm) in wanted.iter().filter(|(_, it)| it["AlarmRule"].is_null()) {
        for (field, value) in alarm.as_object().unwrap() {
            assert_eq!(&there[name][field], value, "{name} {field}");
        }
    }
    let again = machine.run(&stub.url(), &format!("{apply} --yes"));
    again.assert_code(0);
    again.assert_says("0 to create, 0 to change");
    assert_eq!(changes(&stub).len(), put);
}
