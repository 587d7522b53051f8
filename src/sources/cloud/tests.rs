#![allow(clippy::unwrap_used)]

use serde_json::json;

use super::*;
use crate::evidence::{
    EventKind, Span,
    cloud::{AlarmRole, AlarmState, ScalingOutcome},
};

fn bundle(records: &[Value]) -> Bundle {
    let mut bundle = Bundle::default();
    for (index, answers) in records.iter().enumerate() {
        let body = json!({ "answers": answers }).to_string().into_bytes();
        bundle.record(FOLDER, 1_795_000_000_000 + index as u64 * 60_000, body);
    }
    bundle
}

fn answer(service: &str, operation: &str, output: Value) -> Value {
    json!({"service": service, "operation": operation, "input": {}, "output": output})
}

fn metric(values: &[(u64, f64)]) -> Value {
    let query = json!({"Id": "m0", "MetricStat": {
        "Metric": {"Namespace": "N", "MetricName": "TTFTMs", "Dimensions": [
            {"Name": "BackendVersion", "Value": "b"}, {"Name": "AdapterId", "Value": "a"}]},
        "Period": 60, "Stat": "Sum"}});
    let (times, values): (Vec<u64>, Vec<f64>) = values.iter().copied().unzip();
    json!({"service": "cloudwatch", "operation": "GetMetricData",
        "input": {"MetricDataQueries": [query]},
        "output": {"MetricDataResults": [{"Id": "m0", "Timestamps": times, "Values": values}]}})
}

#[test]
fn values_of_several_runs_are_one_series_and_the_later_run_counts() {
    let records = [
        json!([metric(&[(1_795_000_060, 2.0), (1_795_000_000, 1.0)])]),
        json!([metric(&[(1_795_000_060, 5.0), (1_795_000_120, 3.0)])]),
    ];
    let (cloud, statuses) = of_bundle(&bundle(&records)).unwrap();
    let values: Vec<f64> = cloud.metrics[0].points.iter().map(|it| it.value).collect();
    assert_eq!((cloud.metrics.len(), values), (1, vec![1.0, 5.0, 3.0]));
    assert_eq!(cloud.metrics[0].dimension("AdapterId"), Some("a"));
    assert_eq!((statuses[0].id.as_str(), statuses[0].status), ("cloudwatch", SourceState::Ok));
}

#[test]
fn an_alarm_adds_instances_by_what_it_does_and_not_by_its_name() {
    let alarm = |name: &str, compares: &str, action: &str| {
        json!({"AlarmName": name, "StateValue": "ALARM", "ComparisonOperator": compares,
            "AlarmActions": [action], "Period": 60, "EvaluationPeriods": 3})
    };
    let policy = |name: &str| {
        format!("arn:aws:autoscaling:r:1:scalingPolicy:u:resource/x:policyName/{name}:createdBy/y")
    };
    let alarms = json!({"MetricAlarms": [
        alarm("out", "GreaterThanThreshold", &policy("grow")),
        alarm("low", "LessThanThreshold", &policy("grow")),
        alarm("shrink", "GreaterThanThreshold", &policy("shrink")),
        alarm("mail", "GreaterThanThreshold", "arn:aws:sns:r:1:mail"),
    ]});
    let policies = json!({"ScalingPolicies": [
        {"PolicyName": "shrink", "StepScalingPolicyConfiguration": {"StepAdjustments": [{"ScalingAdjustment": -1}]}},
        {"PolicyName": "grow", "TargetTrackingScalingPolicyConfiguration": {"ScaleOutCooldown": 300}},
    ]});
    let history = json!({"AlarmHistoryItems": [
        {"AlarmName": "out", "HistoryItemType": "StateUpdate", "Timestamp": "2026-11-21T10:00:00+00:00",
         "HistorySummary": "Alarm updated from INSUFFICIENT_DATA to ALARM"},
        {"AlarmName": "out", "HistoryItemType": "Action", "Timestamp": 1_795_000_000},
    ]});
    let record = json!([
        answer("cloudwatch", "DescribeAlarms", alarms),
        answer("cloudwatch", "DescribeAlarmHistory", history),
        answer("application-autoscaling", "DescribeScalingPolicies", policies),
    ]);
    let (cloud, _) = of_bundle(&bundle(&[record])).unwrap();
    let growing: Vec<&str> = cloud
        .alarms
        .iter()
        .filter(|it| it.role == AlarmRole::Adds)
        .map(|it| it.name.as_str())
        .collect();
    assert_eq!(growing, ["out"]);
    let out = cloud.alarms.iter().find(|it| it.name == "out").unwrap();
    assert_eq!(out.looks_back, Some(180.0));
    assert_eq!(out.changes.len(), 1);
    assert_eq!(out.changes[0].from, Some(AlarmState::InsufficientData));
    assert_eq!(cloud.scaling.unwrap().policies[1].cooldown, Some(300.0));
}

#[test]
fn a_release_is_told_by_what_it_changed() {
    let config = |name: &str, model: &str, created: u64| {
        answer(
            "sagemaker",
            "DescribeEndpointConfig",
            json!({"EndpointConfigName": name,
            "CreationTime": created,
            "ProductionVariants": [{"VariantName": "main", "ModelName": model, "InstanceType": "ml.g5.xlarge"}]}),
        )
    };
    let model = |name: &str, tag: &str, len: &str| {
        answer(
            "sagemaker",
            "DescribeModel",
            json!({"ModelName": name, "PrimaryContainer":
            {"Image": format!("1.dkr.ecr.r.amazonaws.com/vllm:{tag}"), "Environment": {"LEN": len}}}),
        )
    };
    let endpoint = answer(
        "sagemaker",
        "DescribeEndpoint",
        json!({"EndpointName": "chat",
        "EndpointStatus": "InService", "EndpointConfigName": "c2", "LastModifiedTime": 1_795_000_050,
        "ProductionVariants": [{"VariantName": "main", "CurrentInstanceCount": 2, "DesiredInstanceCount": 3,
            "VariantStatus": [{"Status": "Updating", "StartTime": 1_795_000_020}]}]}),
    );
    let record = json!([
        endpoint,
        config("c1", "m1", 1_794_999_000),
        config("c2", "m2", 1_795_000_000),
        model("m1", "0.10.1", "4096"),
        model("m2", "0.11.0", "8192")
    ]);
    let (cloud, _) = of_bundle(&bundle(&[record])).unwrap();
    let span = Span { from: 1_794_999_900.0, to: 1_795_000_100.0 };
    let deploy = events(&cloud, span).into_iter().find(|it| it.kind == EventKind::Deploy).unwrap();
    assert_eq!(deploy.text, "c1 → c2: LEN 4096 → 8192, image 0.10.1 → 0.11.0");
    assert_eq!(deploy.at, 1_795_000_000.0);
    let endpoint = cloud.endpoint.unwrap();
    assert_eq!((endpoint.missing(), endpoint.variants[0].since), (Some(1), Some(1_795_000_020.0)));
}

#[test]
fn activities_are_told_once_and_one_that_scaled_nothing_says_why() {
    let activity = |id: &str, code: &str, reasons: Value| {
        json!({"ActivityId": id, "StatusCode": code, "StartTime": 1_795_000_000,
            "Description": "Setting desired instance count to 4.", "NotScaledReasons": reasons})
    };
    let run = |activities: Value| {
        json!([answer(
            "application-autoscaling",
            "DescribeScalingActivities",
            json!({"ScalingActivities": activities})
        )])
    };
    let first = run(json!([activity("a", "InProgress", json!([]))]));
    let max = json!([{"Code": "AlreadyAtMaxCapacity", "MaxCapacity": 4}]);
    let second = run(json!([activity("a", "Successful", json!([])), activity("b", "Failed", max)]));
    let (cloud, _) = of_bundle(&bundle(&[first, second])).unwrap();
    let activities = cloud.scaling.unwrap().activities.unwrap();
    let outcomes: Vec<_> = activities.iter().map(|it| it.outcome).collect();
    assert_eq!(outcomes, [ScalingOutcome::Scaled, ScalingOutcome::NotScaled]);
    assert!(activities[1].says.contains("AlreadyAtMaxCapacity"));
}

#[test]
fn a_refused_service_is_a_status_and_no_empty_endpoint() {
    let refused = json!([{"service": "sagemaker", "operation": "DescribeEndpoint", "input": {},
        "error": "AccessDeniedException: not authorized"}]);
    let (cloud, statuses) = of_bundle(&bundle(&[refused])).unwrap();
    assert_eq!((cloud.endpoint, cloud.scaling), (None, None));
    assert_eq!(statuses.len(), 1, "what was not asked has no status");
    assert_eq!(
        (statuses[0].id.as_str(), statuses[0].status),
        ("sagemaker", SourceState::Unauthorized)
    );
}

#[test]
fn no_json_of_any_form_is_a_panic_and_all_of_it_becomes_a_status() {
    let odd = [json!(null), json!([]), json!({"a": 1}), json!("x"), json!(-1), json!(1e300)];
    let operations = [
        "GetMetricData",
        "DescribeAlarms",
        "DescribeAlarmHistory",
        "DescribeEndpoint",
        "DescribeEndpointConfig",
        "DescribeModel",
        "DescribeWarmPool",
        "DescribeScalableTargets",
        "DescribeScalingPolicies",
        "DescribeScalingActivities",
    ];
    let names = [
        "MetricDataResults",
        "MetricAlarms",
        "AlarmHistoryItems",
        "ProductionVariants",
        "Containers",
        "Instances",
        "ScalableTargets",
        "ScalingPolicies",
        "ScalingActivities",
    ];
    for value in &odd {
        let output = |name: &&str| {
            ((*name).to_owned(), json!([value, {"StatusCode": value, "AlarmName": value}]))
        };
        let output: Value = Value::Object(names.iter().map(output).collect());
        for service in ["sagemaker", "cloudwatch", "autoscaling", "application-autoscaling"] {
            let answers: Vec<Value> = operations
                .iter()
                .flat_map(|operation| {
                    [
                        answer(service, operation, output.clone()),
                        answer(service, operation, value.clone()),
                    ]
                })
                .collect();
            let (cloud, _) = of_bundle(&bundle(&[json!(answers)])).unwrap();
            events(&cloud, Span { from: 0.0, to: 1e10 });
        }
    }
    let mut torn = Bundle::default();
    torn.record(FOLDER, 1, b"{\"answers\": [{\"serv".to_vec());
    let (_, statuses) = of_bundle(&torn).unwrap();
    assert!(statuses.iter().all(|it| it.status == SourceState::BadData) && statuses.len() == 3);
}

#[test]
fn an_error_gives_the_state_that_was_recorded_and_an_older_one_is_told_by_its_words() {
    let error = |text: &str| json!({"service": "sagemaker", "operation": "X", "error": text});
    let of = |answer: Value| of_bundle(&bundle(&[json!([answer])])).unwrap().1[0].status;
    let mut told = error("the connection broke (reset, refused, within)");
    told["state"] = json!("unreachable");
    assert_eq!(of(told.clone()), SourceState::Unreachable);
    told["state"] = json!(["no state"]);
    assert_eq!(of(told), SourceState::Unauthorized);
    let nobody = "nothing answers for eu-west-1 (Connection refused (os error 111))";
    assert_eq!(of(error(nobody)), SourceState::Unreachable);
    assert_eq!(of(error("refused (AccessDenied): allow it")), SourceState::Unauthorized);
}

/// A record of few MiB must not keep anybody busy for minutes.
#[test]
fn many_activities_and_values_in_many_pieces_are_read_in_time() {
    let piece = |at: u64| json!({"Id": "m0", "Timestamps": [1_795_000_000 + at], "Values": [at]});
    let mut values = metric(&[]);
    values["output"]["MetricDataResults"] = (0..50_000).map(piece).collect();
    let activity = |number: u64| {
        json!({"ActivityId": format!("a{number}"), "StatusCode": "Failed",
            "StartTime": 1_795_000_000 + number})
    };
    let mut activities: Vec<Value> = (0..50_000).map(activity).collect();
    activities.push(activity(7));
    let activities = answer(
        "application-autoscaling",
        "DescribeScalingActivities",
        json!({ "ScalingActivities": activities }),
    );
    let start = std::time::Instant::now();
    let (cloud, _) = of_bundle(&bundle(&[json!([values, activities])])).unwrap();
    assert_eq!(cloud.metrics[0].points.len(), 50_000);
    assert_eq!(cloud.scaling.unwrap().activities.unwrap().len(), 50_000);
    assert!(start.elapsed() < std::time::Duration::from_secs(20), "{:?}", start.elapsed());
}
