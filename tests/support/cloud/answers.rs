//! Single answers of the services.

use serde_json::{Value, json};

use super::moment;

fn answer(service: &str, operation: &str, output: Value) -> Value {
    json!({"service": service, "operation": operation, "input": {}, "output": output})
}

/// The state of an alarm since a minute, before which it was in another.
#[derive(Clone, Copy)]
pub struct Alarm {
    pub state: &'static str,
    pub before: &'static str,
    pub since: i64,
}

/// The endpoint `chat` with its scaling. All that is not set is well.
#[derive(Clone)]
pub struct Endpoint {
    pub current: u32,
    pub desired: u32,
    /// Since when fewer than desired are there.
    pub since: i64,
    pub failure: Option<&'static str>,
    pub max: u32,
    pub suspended: bool,
    /// Seconds.
    pub cooldown: u32,
    pub alarm: Alarm,
    pub activities: Vec<Value>,
}

impl Default for Endpoint {
    fn default() -> Self {
        let alarm = Alarm { state: "OK", before: "OK", since: -600 };
        let (failure, suspended, activities) = (None, false, Vec::new());
        let (current, desired, since, max, cooldown) = (2, 2, 0, 6, 300);
        Self { current, desired, since, failure, max, suspended, cooldown, alarm, activities }
    }
}

/// Since when an alarm that fires does so.
pub fn firing(since: i64) -> Alarm {
    Alarm { state: "ALARM", before: "OK", since }
}

/// An activity of scaling from one minute to another, or up to now.
pub fn activity(from: i64, to: Option<i64>, code: &str, says: &str) -> Value {
    let mut activity = json!({
        "ActivityId": format!("a-{from}"), "ServiceNamespace": "sagemaker",
        "ResourceId": "endpoint/chat/variant/main",
        "Description": "Setting desired instance count to 4.",
        "Cause": "monitor alarm TargetTracking-chat-AlarmHigh in state ALARM triggered policy grow",
        "StartTime": moment(from), "StatusCode": code, "StatusMessage": says,
    });
    if let Some(to) = to {
        activity["EndTime"] = moment(to);
    }
    activity
}

/// An activity that scaled nothing, for a reason.
pub fn not_scaled(at: i64, code: &str) -> Value {
    let mut activity = activity(at, Some(at), "Failed", "");
    activity["NotScaledReasons"] = json!([{"Code": code, "MaxCapacity": 2, "CurrentCapacity": 2}]);
    activity
}

impl Endpoint {
    /// What SageMaker, Auto Scaling and CloudWatch say of it.
    pub fn answers(&self) -> Vec<Value> {
        vec![
            answer("sagemaker", "DescribeEndpoint", self.described()),
            answer("application-autoscaling", "DescribeScalableTargets", self.targets()),
            answer("application-autoscaling", "DescribeScalingPolicies", self.policies()),
            answer(
                "application-autoscaling",
                "DescribeScalingActivities",
                json!({ "ScalingActivities": self.activities }),
            ),
            answer("cloudwatch", "DescribeAlarms", self.alarms()),
            answer("cloudwatch", "DescribeAlarmHistory", self.history()),
        ]
    }

    fn described(&self) -> Value {
        let moving = self.desired != self.current;
        let mut variant = json!({"VariantName": "main", "CurrentInstanceCount": self.current,
            "DesiredInstanceCount": self.desired});
        if moving {
            variant["VariantStatus"] =
                json!([{"Status": "Updating", "StartTime": moment(self.since)}]);
        }
        let mut endpoint = json!({"EndpointName": "chat", "EndpointConfigName": "chat-1",
            "EndpointStatus": if moving { "Updating" } else { "InService" },
            "CreationTime": moment(-9000), "LastModifiedTime": moment(self.since),
            "ProductionVariants": [variant]});
        if let Some(why) = self.failure {
            endpoint["FailureReason"] = json!(why);
        }
        endpoint
    }

    fn targets(&self) -> Value {
        json!({"ScalableTargets": [{"ServiceNamespace": "sagemaker",
            "ResourceId": "endpoint/chat/variant/main", "MinCapacity": 1, "MaxCapacity": self.max,
            "SuspendedState": {"DynamicScalingInSuspended": false,
                "DynamicScalingOutSuspended": self.suspended, "ScheduledScalingSuspended": false}}]})
    }

    fn policies(&self) -> Value {
        json!({"ScalingPolicies": [{"PolicyName": "grow", "PolicyType": "TargetTrackingScaling",
            "ResourceId": "endpoint/chat/variant/main", "TargetTrackingScalingPolicyConfiguration":
                {"TargetValue": 70.0, "ScaleOutCooldown": self.cooldown, "ScaleInCooldown": 600}}]})
    }

    fn alarms(&self) -> Value {
        let policy = "arn:aws:autoscaling:eu-west-1:111122223333:scalingPolicy:5f:resource/sagemaker\
            /endpoint/chat/variant/main:policyName/grow:createdBy/6a";
        let alarm = |name: &str, compares: &str, state: &str, since: i64| {
            json!({"AlarmName": name, "StateValue": state, "StateTransitionedTimestamp": moment(since),
                "StateReason": "Threshold Crossed", "ComparisonOperator": compares,
                "AlarmActions": [policy], "ActionsEnabled": true, "Period": 60, "EvaluationPeriods": 3})
        };
        // An endpoint at its least size has its lower alarm firing, which is how it should be.
        json!({"MetricAlarms": [
            alarm("TargetTracking-chat-AlarmHigh", "GreaterThanThreshold", self.alarm.state, self.alarm.since),
            alarm("TargetTracking-chat-AlarmLow", "LessThanThreshold", "ALARM", 5),
        ]})
    }

    fn history(&self) -> Value {
        let change = json!({"oldState": {"stateValue": self.alarm.before},
            "newState": {"stateValue": self.alarm.state}});
        json!({"AlarmHistoryItems": [{"AlarmName": "TargetTracking-chat-AlarmHigh",
            "HistoryItemType": "StateUpdate", "Timestamp": moment(self.alarm.since),
            "HistorySummary": "Alarm updated", "HistoryData": change.to_string()}]})
    }
}
