//! Application Auto Scaling: bounds, policies and what they did.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::evidence::cloud::{
    ScalableTarget, Scaling, ScalingActivity, ScalingOutcome, ScalingPolicy,
};

use super::{Answer, count, list, said, some_text, text, time};

/// What the good answers tell of scaling; `None` where none was asked for it.
pub(super) fn read(good: &[&Answer]) -> Option<Scaling> {
    let of = |operation: &'static str| {
        let own = good.iter().filter(move |it| it.service == "application-autoscaling");
        own.filter(move |it| it.operation == operation)
    };
    let last = |operation| of(operation).next_back().map(|answer| &answer.output);
    let targets = last("DescribeScalableTargets");
    let policies = last("DescribeScalingPolicies");
    let told = of("DescribeScalingActivities").next().is_some();
    if targets.is_none() && policies.is_none() && !told {
        return None;
    }
    // Of what was told twice, the last word counts.
    let mut activities: BTreeMap<(String, usize), ScalingActivity> = BTreeMap::new();
    let told_of =
        of("DescribeScalingActivities").flat_map(|it| list(&it.output["ScalingActivities"]));
    for (number, item) in told_of.enumerate() {
        let id = text(&item["ActivityId"]);
        let without_id = if id.is_empty() { number } else { 0 };
        if let Some(activity) = activity(item) {
            activities.insert((id, without_id), activity);
        }
    }
    let mut activities: Vec<_> = activities.into_values().collect();
    activities.sort_by(|a, b| a.at.total_cmp(&b.at));
    Some(Scaling {
        targets: targets
            .into_iter()
            .flat_map(|it| list(&it["ScalableTargets"]))
            .filter_map(target)
            .collect(),
        policies: policies
            .into_iter()
            .flat_map(|it| list(&it["ScalingPolicies"]))
            .filter_map(policy)
            .collect(),
        activities: told.then_some(activities),
    })
}

/// Names of the policies that only take instances away.
pub(super) fn shrinking<'a>(described: impl Iterator<Item = &'a Answer>) -> Vec<String> {
    let policies = described.flat_map(|answer| list(&answer.output["ScalingPolicies"]));
    policies.filter_map(policy).filter(|it| it.only_removes).map(|it| it.name).collect()
}

fn target(value: &Value) -> Option<ScalableTarget> {
    let suspended = &value["SuspendedState"]["DynamicScalingOutSuspended"];
    Some(ScalableTarget {
        resource: some_text(&value["ResourceId"])?,
        min: count(&value["MinCapacity"])?,
        max: count(&value["MaxCapacity"])?,
        suspended: suspended.as_bool().unwrap_or(false),
    })
}

fn policy(value: &Value) -> Option<ScalingPolicy> {
    let tracking = &value["TargetTrackingScalingPolicyConfiguration"];
    let stepping = &value["StepScalingPolicyConfiguration"];
    let cooldown = tracking["ScaleOutCooldown"].as_f64().or_else(|| stepping["Cooldown"].as_f64());
    let mut steps =
        list(&stepping["StepAdjustments"]).filter_map(|it| it["ScalingAdjustment"].as_f64());
    let (exact, first) = (stepping["AdjustmentType"] == "ExactCapacity", steps.clone().next());
    Some(ScalingPolicy {
        name: some_text(&value["PolicyName"])?,
        cooldown: cooldown.filter(|it| it.is_finite() && *it >= 0.0),
        only_removes: !exact && first.is_some() && steps.all(|step| step < 0.0),
    })
}

fn activity(value: &Value) -> Option<ScalingActivity> {
    let reasons = list(&value["NotScaledReasons"]);
    let codes: Vec<String> = reasons.filter_map(|it| some_text(&it["Code"])).collect();
    let outcome = match value["StatusCode"].as_str()? {
        _ if !codes.is_empty() => ScalingOutcome::NotScaled,
        "Pending" | "InProgress" => ScalingOutcome::Pending,
        "Successful" => ScalingOutcome::Scaled,
        "Failed" | "Unfulfilled" | "Overridden" => ScalingOutcome::Failed,
        _ => return None,
    };
    let texts = [&value["Cause"], &value["StatusMessage"], &value["Details"]];
    let said = texts.into_iter().filter_map(said).chain(codes);
    Some(ScalingActivity {
        at: time(&value["StartTime"])?,
        ended: time(&value["EndTime"]),
        outcome,
        what: super::said(&value["Description"]).unwrap_or_default(),
        says: said.collect::<Vec<_>>().join(" "),
    })
}
