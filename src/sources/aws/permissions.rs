//! Every operation that is ever called, with what has to be allowed for it. The error texts and the
//! policies in the documentation come from here.

/// One operation of AWS.
#[derive(Debug, PartialEq, Eq)]
pub struct Ask {
    /// The service, as the AWS command line names it.
    pub service: &'static str,
    /// The operation.
    pub operation: &'static str,
    /// Resources that a policy can bound it to, as an ARN.
    pub resource: &'static str,
    /// What it is asked for.
    pub why: &'static str,
}

impl Ask {
    /// The action of IAM that allows it.
    pub fn action(&self) -> String {
        format!("{}:{}", self.service, self.operation)
    }
}

/// State, instances and failure reason of the endpoint.
pub static DESCRIBE_ENDPOINT: Ask = Ask {
    service: "sagemaker",
    operation: "DescribeEndpoint",
    resource: "arn:aws:sagemaker:*:*:endpoint/*",
    why: "state of the endpoint, instances wanted and there, why it failed",
};

/// Configurations of the endpoint.
pub static DESCRIBE_ENDPOINT_CONFIG: Ask = Ask {
    service: "sagemaker",
    operation: "DescribeEndpointConfig",
    resource: "arn:aws:sagemaker:*:*:endpoint-config/*",
    why: "instance types and models, now and before the last deploy",
};

/// What an endpoint ran before.
pub static LIST_ENDPOINT_CONFIGS: Ask = Ask {
    service: "sagemaker",
    operation: "ListEndpointConfigs",
    resource: "*",
    why: "which configuration came before the present one",
};

/// Images and environments.
pub static DESCRIBE_MODEL: Ask = Ask {
    service: "sagemaker",
    operation: "DescribeModel",
    resource: "arn:aws:sagemaker:*:*:model/*",
    why: "image and environment of the container (secrets are replaced before they are kept)",
};

/// Bounds of scaling.
pub static DESCRIBE_SCALABLE_TARGETS: Ask = Ask {
    service: "application-autoscaling",
    operation: "DescribeScalableTargets",
    resource: "*",
    why: "least and most instances, suspended scaling",
};

/// Policies of scaling.
pub static DESCRIBE_SCALING_POLICIES: Ask = Ask {
    service: "application-autoscaling",
    operation: "DescribeScalingPolicies",
    resource: "*",
    why: "what triggers scaling, and its cooldowns",
};

/// What scaling did.
pub static DESCRIBE_SCALING_ACTIVITIES: Ask = Ask {
    service: "application-autoscaling",
    operation: "DescribeScalingActivities",
    resource: "*",
    why: "what scaling did and why it did not",
};

/// Ready instances.
pub static DESCRIBE_WARM_POOL: Ask = Ask {
    service: "autoscaling",
    operation: "DescribeWarmPool",
    resource: "*",
    why: "ready instances; only with `warm_pool_group`",
};

/// Which metrics there are.
pub static LIST_METRICS: Ask = Ask {
    service: "cloudwatch",
    operation: "ListMetrics",
    resource: "*",
    why: "which adapters, versions and variants have metrics",
};

/// Their values.
pub static GET_METRIC_DATA: Ask = Ask {
    service: "cloudwatch",
    operation: "GetMetricData",
    resource: "*",
    why: "values of the gateway's and the endpoint's metrics",
};

/// Alarms.
pub static DESCRIBE_ALARMS: Ask = Ask {
    service: "cloudwatch",
    operation: "DescribeAlarms",
    resource: "*",
    why: "alarms on these metrics, and those that scale",
};

/// What alarms did.
pub static DESCRIBE_ALARM_HISTORY: Ask = Ask {
    service: "cloudwatch",
    operation: "DescribeAlarmHistory",
    resource: "*",
    why: "when these alarms changed their state",
};

/// The containers' log.
pub static FILTER_LOG_EVENTS: Ask = Ask {
    service: "logs",
    operation: "FilterLogEvents",
    resource: "arn:aws:logs:*:*:log-group:/aws/sagemaker/Endpoints/*",
    why: "the containers' log, of the time asked",
};

/// Who made an alarm or a dashboard.
pub static LIST_TAGS: Ask = Ask {
    service: "cloudwatch",
    operation: "ListTagsForResource",
    resource: "*",
    why: "which alarms and dashboards this tool made",
};

/// Puts an alarm.
pub static PUT_METRIC_ALARM: Ask = Ask {
    service: "cloudwatch",
    operation: "PutMetricAlarm",
    resource: ALARMS,
    why: "creates and changes alarms",
};

/// Puts an alarm over others; AWS refuses it where it is bound to some of them.
pub static PUT_COMPOSITE_ALARM: Ask = Ask {
    service: "cloudwatch",
    operation: "PutCompositeAlarm",
    resource: "*",
    why: "creates and changes the alarms of burn-rate tiers",
};

/// Tags what is created; AWS wants it beside the permission to create.
pub static TAG_RESOURCE: Ask = Ask {
    service: "cloudwatch",
    operation: "TagResource",
    resource: "*",
    why: "marks what is created as made by this tool",
};

/// Deletes an alarm.
pub static DELETE_ALARMS: Ask = Ask {
    service: "cloudwatch",
    operation: "DeleteAlarms",
    resource: ALARMS,
    why: "deletes alarms of this tool that are not wanted any more; only with `--prune`",
};

/// A dashboard as it stands.
pub static GET_DASHBOARD: Ask = Ask {
    service: "cloudwatch",
    operation: "GetDashboard",
    resource: "arn:aws:cloudwatch::*:dashboard/*",
    why: "the dashboard as it stands",
};

/// Puts a dashboard.
pub static PUT_DASHBOARD: Ask = Ask {
    service: "cloudwatch",
    operation: "PutDashboard",
    resource: "arn:aws:cloudwatch::*:dashboard/*",
    why: "creates and changes the dashboard",
};

/// The alarms of this tool, by how their names begin.
const ALARMS: &str = "arn:aws:cloudwatch:*:*:alarm:vllm-*";

/// What `alerts apply` and `dashboard apply` call beside [`DESCRIBE_ALARMS`]. No other command does.
pub static APPLIED: [&Ask; 7] = [
    &LIST_TAGS,
    &PUT_METRIC_ALARM,
    &PUT_COMPOSITE_ALARM,
    &TAG_RESOURCE,
    &DELETE_ALARMS,
    &GET_DASHBOARD,
    &PUT_DASHBOARD,
];

/// What diagnosing calls, by service; nothing of it changes anything.
pub static ASKED: [&Ask; 13] = [
    &DESCRIBE_ENDPOINT,
    &DESCRIBE_ENDPOINT_CONFIG,
    &LIST_ENDPOINT_CONFIGS,
    &DESCRIBE_MODEL,
    &DESCRIBE_SCALABLE_TARGETS,
    &DESCRIBE_SCALING_POLICIES,
    &DESCRIBE_SCALING_ACTIVITIES,
    &DESCRIBE_WARM_POOL,
    &LIST_METRICS,
    &GET_METRIC_DATA,
    &DESCRIBE_ALARMS,
    &DESCRIBE_ALARM_HISTORY,
    &FILTER_LOG_EVENTS,
];
