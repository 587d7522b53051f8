//! A record with an answer of every operation.
#![allow(dead_code)]

use serde_json::{Value, json};

/// Seconds ago as ISO 8601.
pub fn ago(seconds: i64) -> String {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    jiff::Timestamp::from_second(now.as_secs() as i64 - seconds).unwrap().to_string()
}

const RESOURCE: &str = "endpoint/chat/variant/main";
const POLICY: &str = "arn:aws:autoscaling:eu-west-1:1:scalingPolicy:1:\
                      resource/sagemaker/endpoint/chat/variant/main:policyName/out";

fn answer(service: &str, operation: &str, input: Value, output: Value) -> Value {
    json!({ "service": service, "operation": operation, "input": input, "output": output })
}

/// An endpoint that wants more instances than it gets.
pub fn record() -> Value {
    let mut answers = endpoint();
    answers.extend(scaling());
    answers.extend(cloudwatch());
    json!({ "answers": answers })
}

fn endpoint() -> Vec<Value> {
    let config = |name: &str, made: i64| {
        answer(
            "sagemaker",
            "DescribeEndpointConfig",
            json!({ "EndpointConfigName": name }),
            json!({
                "EndpointConfigName": name,
                "CreationTime": ago(made),
                "ProductionVariants": [{
                    "VariantName": "main", "ModelName": format!("{name}-model"),
                    "InitialInstanceCount": 2, "InstanceType": "ml.g5.2xlarge",
                    "ContainerStartupHealthCheckTimeoutInSeconds": 900
                }]
            }),
        )
    };
    let model = |config: &str, tag: &str| {
        let name = format!("{config}-model");
        answer(
            "sagemaker",
            "DescribeModel",
            json!({ "ModelName": name }),
            json!({
                "ModelName": name,
                "CreationTime": ago(9_000),
                "PrimaryContainer": {
                    "Image": format!("1.dkr.ecr.eu-west-1.amazonaws.com/vllm:{tag}"),
                    "Environment": { "HF_TOKEN": "hf_not_to_be_kept", "SM_VLLM_MAX_MODEL_LEN": "8192" }
                }
            }),
        )
    };
    vec![
        answer(
            "sagemaker",
            "DescribeEndpoint",
            json!({ "EndpointName": "chat" }),
            json!({
                "EndpointName": "chat",
                "EndpointConfigName": "chat-v2",
                "EndpointStatus": "Updating",
                "CreationTime": ago(90_000),
                "LastModifiedTime": ago(600),
                "ProductionVariants": [{
                    "VariantName": "main", "CurrentInstanceCount": 2, "DesiredInstanceCount": 4,
                    "DeployedImages": [{ "SpecifiedImage": "vllm:2", "ResolvedImage": "vllm@sha256:2" }],
                    "VariantStatus": [{ "Status": "Creating", "StartTime": ago(600) }]
                }]
            }),
        ),
        config("chat-v2", 700),
        config("chat-v1", 80_000),
        model("chat-v1", "1"),
        model("chat-v2", "2"),
    ]
}

fn scaling() -> Vec<Value> {
    let service = "application-autoscaling";
    let input = json!({ "ServiceNamespace": "sagemaker", "ResourceId": RESOURCE });
    let common = json!({
        "ServiceNamespace": "sagemaker", "ResourceId": RESOURCE,
        "ScalableDimension": "sagemaker:variant:DesiredInstanceCount"
    });
    let with = |more: Value| {
        let mut all = common.as_object().unwrap().clone();
        all.extend(more.as_object().unwrap().clone());
        Value::Object(all)
    };
    let mut asked = input.clone();
    asked["IncludeNotScaledActivities"] = json!(true);
    vec![
        answer(
            service,
            "DescribeScalableTargets",
            json!({ "ServiceNamespace": "sagemaker" }),
            json!({
                "ScalableTargets": [with(json!({
                    "MinCapacity": 2, "MaxCapacity": 4, "CreationTime": ago(90_000),
                    "SuspendedState": {
                        "DynamicScalingInSuspended": false, "DynamicScalingOutSuspended": false,
                        "ScheduledScalingSuspended": false
                    }
                }))]
            }),
        ),
        answer(
            service,
            "DescribeScalingPolicies",
            input,
            json!({
                "ScalingPolicies": [with(json!({
                    "PolicyARN": POLICY, "PolicyName": "out", "PolicyType": "TargetTrackingScaling",
                    "CreationTime": ago(90_000),
                    "TargetTrackingScalingPolicyConfiguration": {
                        "TargetValue": 70.0, "ScaleOutCooldown": 300, "ScaleInCooldown": 300,
                        "PredefinedMetricSpecification": {
                            "PredefinedMetricType": "SageMakerVariantInvocationsPerInstance"
                        }
                    },
                    "Alarms": [{ "AlarmName": "scale-out", "AlarmARN": "arn:aws:cloudwatch:x" }]
                }))]
            }),
        ),
        answer(
            service,
            "DescribeScalingActivities",
            asked,
            json!({
                "ScalingActivities": [with(json!({
                    "ActivityId": "a", "Description": "Setting desired instance count to 4.",
                    "Cause": "monitor alarm scale-out in state ALARM triggered policy out",
                    "StartTime": ago(600), "EndTime": ago(500), "StatusCode": "Failed",
                    "StatusMessage": "InsufficientInstanceCapacity", "Details": "{}",
                    "NotScaledReasons": [{ "Code": "AlreadyAtMaxCapacity", "MaxCapacity": 4,
                                           "CurrentCapacity": 4 }]
                }))]
            }),
        ),
        answer(
            "autoscaling",
            "DescribeWarmPool",
            json!({ "AutoScalingGroupName": "pool" }),
            json!({
                "WarmPoolConfiguration": { "MinSize": 1, "PoolState": "Stopped" },
                "Instances": [{
                    "InstanceId": "i-1", "InstanceType": "g5.2xlarge", "AvailabilityZone": "eu-west-1a",
                    "LifecycleState": "Warmed:Stopped", "HealthStatus": "Healthy"
                }]
            }),
        ),
    ]
}

/// Two adapters, seven statistics.
const GATEWAY_QUERIES: usize = 14;

fn cloudwatch() -> Vec<Value> {
    let series = [
        ("MangaAssist/Inference", "TTFTMs", [("AdapterId", "a"), ("BackendVersion", "2")]),
        ("MangaAssist/Inference", "TTFTMs", [("AdapterId", "b"), ("BackendVersion", "2")]),
        ("AWS/SageMaker", "ModelLatency", [("EndpointName", "chat"), ("VariantName", "main")]),
    ];
    let statistics = ["p50", "p95", "p99", "Average", "Sum", "SampleCount"];
    let (mut queries, mut results) = (Vec::new(), Vec::new());
    for (namespace, name, dimensions) in series {
        let dimensions: Vec<_> = dimensions
            .iter()
            .map(|(name, value)| json!({ "Name": name, "Value": value }))
            .collect();
        // What the objective of the time to first token counts, beside the usual statistics.
        let rank = (name == "TTFTMs").then_some("PR(:200)");
        for statistic in statistics.into_iter().chain(rank) {
            let id = format!("m{}", queries.len());
            queries.push(json!({ "Id": id, "MetricStat": {
                "Metric": { "Namespace": namespace, "MetricName": name, "Dimensions": dimensions },
                "Period": 60, "Stat": statistic
            }}));
            let value = 100.0 + queries.len() as f64;
            results.push(json!({
                "Id": id, "Timestamps": [ago(120), ago(60)], "Values": [value, value + 0.5],
                "StatusCode": "Complete"
            }));
        }
    }
    // In the order of asking: by namespace, name and dimensions.
    queries.rotate_left(GATEWAY_QUERIES);
    results.rotate_left(GATEWAY_QUERIES);
    for (number, (query, result)) in queries.iter_mut().zip(&mut results).enumerate() {
        (query["Id"], result["Id"]) = (json!(format!("m{number}")), json!(format!("m{number}")));
    }
    let service = "cloudwatch";
    let asked = json!({ "AlarmTypes": ["MetricAlarm"] });
    vec![
        answer(
            service,
            "GetMetricData",
            json!({ "MetricDataQueries": queries }),
            json!({
                "MetricDataResults": results
            }),
        ),
        answer(
            service,
            "DescribeAlarms",
            asked,
            json!({ "MetricAlarms": [{
                "AlarmName": "scale-out", "ActionsEnabled": true, "AlarmActions": [POLICY],
                "StateValue": "ALARM", "StateReason": "Threshold Crossed",
                "StateUpdatedTimestamp": ago(610), "MetricName": "InvocationsPerInstance",
                "Namespace": "AWS/SageMaker", "Statistic": "Sum", "Period": 60, "EvaluationPeriods": 3,
                "Threshold": 70.0, "ComparisonOperator": "GreaterThanThreshold"
            }]}),
        ),
        answer(
            service,
            "DescribeAlarmHistory",
            json!({ "AlarmName": "scale-out", "HistoryItemType": "StateUpdate" }),
            json!({ "AlarmHistoryItems": [{
                "AlarmName": "scale-out", "AlarmType": "MetricAlarm", "Timestamp": ago(610),
                "HistoryItemType": "StateUpdate", "HistorySummary": "Alarm updated from OK to ALARM",
                "HistoryData": "{\"version\":\"1.0\"}"
            }]}),
        ),
    ]
}
