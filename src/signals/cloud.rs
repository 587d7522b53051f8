//! What the cloud can tell.

use crate::unit::Unit;

use super::{Derive, Signal, gateway, host::not_read};

/// Rows of this family.
pub(super) static SIGNALS: &[Signal] = &[
    Signal {
        name: "oom_caught_count",
        unit: Unit::Count,
        about: "Failed allocations that the gateway caught and answered with a fallback.",
        doc: "The gateway's OOMCaught metric. No source of this version gives it.",
        source: "cloudwatch",
        families: &[],
        derive: Derive::Span(|_| not_read("CloudWatch")),
    },
    Signal {
        name: "gateway_admission_rejections_count",
        unit: Unit::Count,
        about: "Requests that the gateway's admission control refused.",
        doc: "The gateway's AdmissionRejected metric, over all reasons. No source of this \
              version gives it.",
        source: "cloudwatch",
        families: &[],
        derive: Derive::Span(|_| not_read("CloudWatch")),
    },
    Signal {
        name: "gateway_prefix_hit_ratio",
        unit: Unit::Ratio,
        about: "Share of requests that the gateway counted as prefix-cache hits.",
        doc: "Share of recorded requests that are marked `prefix_cache_hit`: from gateway records, \
              else from traces.",
        source: "cloudwatch",
        families: &[],
        derive: Derive::Span(gateway::prefix_hits),
    },
    Signal {
        name: "insufficient_capacity_events_count",
        unit: Unit::Count,
        about: "Events of the endpoint that say InsufficientInstanceCapacity.",
        doc: "From the endpoint's failure reasons and scaling activities. No source of this \
              version gives it.",
        source: "sagemaker",
        families: &[],
        derive: Derive::Span(|_| not_read("SageMaker")),
    },
    Signal {
        name: "quota_exceeded_events_count",
        unit: Unit::Count,
        about: "Events of the endpoint that say ResourceLimitExceeded.",
        doc: "From the endpoint's failure reasons and scaling activities. No source of this \
              version gives it.",
        source: "sagemaker",
        families: &[],
        derive: Derive::Span(|_| not_read("SageMaker")),
    },
    Signal {
        name: "instances_missing_count",
        unit: Unit::Count,
        about: "Instances wanted and not there.",
        doc: "Desired less current instances of the endpoint's variant. No source of this \
              version gives it.",
        source: "sagemaker",
        families: &[],
        derive: Derive::Span(|_| not_read("SageMaker")),
    },
    Signal {
        name: "instances_missing_seconds",
        unit: Unit::Seconds,
        about: "How long fewer instances than wanted have been there.",
        doc: "Since the desired count rose above the current one. No source of this version \
              gives it.",
        source: "sagemaker",
        families: &[],
        derive: Derive::Span(|_| not_read("SageMaker")),
    },
    Signal {
        name: "instance_unhealthy_seconds",
        unit: Unit::Seconds,
        about: "How long the newest instance has failed its health check.",
        doc: "Since the instance came up. No source of this version gives it.",
        source: "sagemaker",
        families: &[],
        derive: Derive::Span(|_| not_read("SageMaker")),
    },
    Signal {
        name: "scaling_alarm_seconds",
        unit: Unit::Seconds,
        about: "How long the alarm that should scale has been firing.",
        doc: "From the alarm's history. No source of this version gives it.",
        source: "autoscaling",
        families: &[],
        derive: Derive::Span(|_| not_read("the scaling policy")),
    },
    Signal {
        name: "scaling_activities_count",
        unit: Unit::Count,
        about: "Scaling activities since the alarm fired.",
        doc: "Of every outcome, failed ones too. No source of this version gives it.",
        source: "autoscaling",
        families: &[],
        derive: Derive::Span(|_| not_read("the scaling policy")),
    },
    Signal {
        name: "scaling_headroom_count",
        unit: Unit::Count,
        about: "Instances that the policy may still add.",
        doc: "The configured maximum less the desired count. No source of this version gives it.",
        source: "autoscaling",
        families: &[],
        derive: Derive::Span(|_| not_read("the scaling policy")),
    },
    Signal {
        name: "warm_pool_instances_count",
        unit: Unit::Count,
        about: "Instances kept ready in the warm pool.",
        doc: "Missing where no warm pool is configured. No source of this version gives it.",
        source: "autoscaling",
        families: &[],
        derive: Derive::Span(|_| not_read("the warm pool")),
    },
];
