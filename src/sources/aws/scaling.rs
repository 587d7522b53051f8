//! How the endpoint scales, and the warm pool of EC2 Auto Scaling.

use aws_config::SdkConfig;
use aws_sdk_applicationautoscaling::{
    Client,
    types::{
        Alarm, NotScaledReason, ScalableTarget, ScalingActivity, ScalingPolicy, ServiceNamespace,
        StepAdjustment, StepScalingPolicyConfiguration, TargetTrackingScalingPolicyConfiguration,
    },
};
use aws_sdk_autoscaling::types::{Instance, WarmPoolConfiguration};
use serde_json::{Value, json};

use super::{
    Options,
    asking::{Asking, Page},
    bounded::bounded,
    permissions::{
        DESCRIBE_SCALABLE_TARGETS, DESCRIBE_SCALING_ACTIVITIES, DESCRIBE_SCALING_POLICIES,
        DESCRIBE_WARM_POOL,
    },
    words::{list, object, some, time},
};
use crate::evidence::Span;

/// Activities come newest first; one that began so long before the time asked has ended.
const LONGEST_ACTIVITY: f64 = 86_400.0;

/// Asks for the targets of the endpoint, and for policies and activities of each.
pub(super) async fn endpoint(asking: &Asking, config: &SdkConfig, options: &Options) {
    let Some(name) = &options.endpoint else { return };
    let client = bounded!(aws_sdk_applicationautoscaling, config, options);
    for resource in targets(asking, &client, name).await {
        tokio::join!(
            policies(asking, &client, &resource),
            activities(asking, &client, &resource, options.reach)
        );
    }
}

/// Keeps the targets of this endpoint, and names their resources.
async fn targets(asking: &Asking, client: &Client, endpoint: &str) -> Vec<String> {
    let ours = format!("endpoint/{endpoint}/");
    let mut resources = Vec::new();
    let mut pages = client
        .describe_scalable_targets()
        .service_namespace(ServiceNamespace::Sagemaker)
        .into_paginator()
        .send();
    let input = json!({ "ServiceNamespace": "sagemaker" });
    let next = async || pages.next().await;
    asking
        .pages(&DESCRIBE_SCALABLE_TARGETS, input, next, |page| {
            let all = page.scalable_targets();
            let kept: Vec<_> = all.iter().filter(|it| it.resource_id.starts_with(&ours)).collect();
            resources.extend(kept.iter().map(|it| it.resource_id.clone()));
            Page::of(object([("ScalableTargets", list(&kept, |it| target(it)))]))
        })
        .await;
    resources.sort();
    resources.dedup();
    resources
}

async fn policies(asking: &Asking, client: &Client, resource: &str) {
    let mut pages = client
        .describe_scaling_policies()
        .service_namespace(ServiceNamespace::Sagemaker)
        .resource_id(resource)
        .into_paginator()
        .send();
    let input = json!({ "ServiceNamespace": "sagemaker", "ResourceId": resource });
    let next = async || pages.next().await;
    asking
        .pages(&DESCRIBE_SCALING_POLICIES, input, next, |page| {
            Page::of(object([("ScalingPolicies", list(page.scaling_policies(), policy))]))
        })
        .await;
}

async fn activities(asking: &Asking, client: &Client, resource: &str, reach: Span) {
    let mut pages = client
        .describe_scaling_activities()
        .service_namespace(ServiceNamespace::Sagemaker)
        .resource_id(resource)
        .include_not_scaled_activities(true)
        .into_paginator()
        .send();
    let input = json!({
        "ServiceNamespace": "sagemaker", "ResourceId": resource,
        "IncludeNotScaledActivities": true
    });
    let next = async || pages.next().await;
    asking
        .pages(&DESCRIBE_SCALING_ACTIVITIES, input, next, |page| {
            let all = page.scaling_activities();
            let oldest = all.last().map_or(reach.from, |it| it.start_time.as_secs_f64());
            let kept: Vec<_> = all.iter().filter(|it| touches(it, reach)).collect();
            Page {
                output: object([("ScalingActivities", list(&kept, |it| activity(it)))]),
                more: oldest >= reach.from - LONGEST_ACTIVITY,
            }
        })
        .await;
}

/// Whether an activity was under way at some time of the reach.
fn touches(it: &ScalingActivity, reach: Span) -> bool {
    let ended = it.end_time.map(|at| at.as_secs_f64());
    it.start_time.as_secs_f64() <= reach.to && ended.is_none_or(|at| at >= reach.from)
}

/// Asks for the warm pool, where one is configured.
pub(super) async fn warm_pool(asking: &Asking, config: &SdkConfig, options: &Options) {
    let Some(group) = &options.warm_pool_group else { return };
    let client = bounded!(aws_sdk_autoscaling, config, options);
    let mut pages =
        client.describe_warm_pool().auto_scaling_group_name(group).into_paginator().send();
    let input = json!({ "AutoScalingGroupName": group });
    let next = async || pages.next().await;
    asking
        .pages(&DESCRIBE_WARM_POOL, input, next, |page| {
            Page::of(object([
                ("WarmPoolConfiguration", json!(page.warm_pool_configuration().map(pool))),
                ("Instances", list(page.instances(), instance)),
            ]))
        })
        .await;
}

fn target(it: &ScalableTarget) -> Value {
    let suspended = it.suspended_state().map(|it| {
        object([
            ("DynamicScalingInSuspended", json!(it.dynamic_scaling_in_suspended())),
            ("DynamicScalingOutSuspended", json!(it.dynamic_scaling_out_suspended())),
            ("ScheduledScalingSuspended", json!(it.scheduled_scaling_suspended())),
        ])
    });
    object([
        ("ServiceNamespace", json!(it.service_namespace.as_str())),
        ("ResourceId", json!(it.resource_id)),
        ("ScalableDimension", json!(it.scalable_dimension.as_str())),
        ("MinCapacity", json!(it.min_capacity)),
        ("MaxCapacity", json!(it.max_capacity)),
        ("CreationTime", time(Some(&it.creation_time))),
        ("SuspendedState", json!(suspended)),
    ])
}

fn policy(it: &ScalingPolicy) -> Value {
    let (step, tracking) =
        (it.step_scaling_policy_configuration(), it.target_tracking_scaling_policy_configuration());
    object([
        ("PolicyARN", json!(it.policy_arn)),
        ("PolicyName", json!(it.policy_name)),
        ("ServiceNamespace", json!(it.service_namespace.as_str())),
        ("ResourceId", json!(it.resource_id)),
        ("ScalableDimension", json!(it.scalable_dimension.as_str())),
        ("PolicyType", json!(it.policy_type.as_str())),
        ("StepScalingPolicyConfiguration", json!(step.map(by_steps))),
        ("TargetTrackingScalingPolicyConfiguration", json!(tracking.map(by_target))),
        ("Alarms", some(it.alarms(), alarm)),
        ("CreationTime", time(Some(&it.creation_time))),
    ])
}

fn by_steps(it: &StepScalingPolicyConfiguration) -> Value {
    let aggregation = it.metric_aggregation_type();
    object([
        ("AdjustmentType", json!(it.adjustment_type().map(|kind| kind.as_str()))),
        ("StepAdjustments", list(it.step_adjustments(), step)),
        ("Cooldown", json!(it.cooldown())),
        ("MetricAggregationType", json!(aggregation.map(|kind| kind.as_str()))),
    ])
}

fn step(it: &StepAdjustment) -> Value {
    object([
        ("MetricIntervalLowerBound", json!(it.metric_interval_lower_bound())),
        ("MetricIntervalUpperBound", json!(it.metric_interval_upper_bound())),
        ("ScalingAdjustment", json!(it.scaling_adjustment)),
    ])
}

fn by_target(it: &TargetTrackingScalingPolicyConfiguration) -> Value {
    let predefined = it
        .predefined_metric_specification()
        .map(|it| object([("PredefinedMetricType", json!(it.predefined_metric_type.as_str()))]));
    let customized = it.customized_metric_specification().map(|it| {
        object([
            ("MetricName", json!(it.metric_name())),
            ("Namespace", json!(it.namespace())),
            ("Statistic", json!(it.statistic().map(|it| it.as_str()))),
        ])
    });
    object([
        ("TargetValue", json!(it.target_value)),
        ("PredefinedMetricSpecification", json!(predefined)),
        ("CustomizedMetricSpecification", json!(customized)),
        ("ScaleOutCooldown", json!(it.scale_out_cooldown())),
        ("ScaleInCooldown", json!(it.scale_in_cooldown())),
        ("DisableScaleIn", json!(it.disable_scale_in())),
    ])
}

fn alarm(it: &Alarm) -> Value {
    object([("AlarmName", json!(it.alarm_name)), ("AlarmARN", json!(it.alarm_arn))])
}

fn activity(it: &ScalingActivity) -> Value {
    object([
        ("ActivityId", json!(it.activity_id)),
        ("ServiceNamespace", json!(it.service_namespace.as_str())),
        ("ResourceId", json!(it.resource_id)),
        ("ScalableDimension", json!(it.scalable_dimension.as_str())),
        ("Description", json!(it.description)),
        ("Cause", json!(it.cause)),
        ("StartTime", time(Some(&it.start_time))),
        ("EndTime", time(it.end_time())),
        ("StatusCode", json!(it.status_code.as_str())),
        ("StatusMessage", json!(it.status_message())),
        ("Details", json!(it.details())),
        ("NotScaledReasons", some(it.not_scaled_reasons(), reason)),
    ])
}

fn reason(it: &NotScaledReason) -> Value {
    object([
        ("Code", json!(it.code)),
        ("MaxCapacity", json!(it.max_capacity())),
        ("MinCapacity", json!(it.min_capacity())),
        ("CurrentCapacity", json!(it.current_capacity())),
    ])
}

fn pool(it: &WarmPoolConfiguration) -> Value {
    object([
        ("MaxGroupPreparedCapacity", json!(it.max_group_prepared_capacity())),
        ("MinSize", json!(it.min_size())),
        ("PoolState", json!(it.pool_state().map(|state| state.as_str()))),
        ("Status", json!(it.status().map(|status| status.as_str()))),
    ])
}

fn instance(it: &Instance) -> Value {
    object([
        ("InstanceId", json!(it.instance_id())),
        ("InstanceType", json!(it.instance_type())),
        ("AvailabilityZone", json!(it.availability_zone())),
        ("LifecycleState", json!(it.lifecycle_state().map(|state| state.as_str()))),
        ("HealthStatus", json!(it.health_status())),
    ])
}
