//! What the cloud tells: the gateway's metrics, the endpoint, its alarms and its scaling.

pub(super) mod adapters;
pub(super) mod metrics;
mod scaling;

use crate::{evidence::SourceState, unit::Unit};

use super::{Derive, Frame, Missing, MissingKind, Signal, gateway};

/// Seconds in a millisecond.
const MS: f64 = 1e-3;

/// Seconds in a microsecond.
const MICROSECOND: f64 = 1e-6;

/// Rows of this family.
pub(super) static SIGNALS: &[Signal] = &[
    Signal {
        name: "oom_caught_count",
        unit: Unit::Count,
        about: "Failed allocations that the gateway caught and answered with a fallback.",
        doc: "The gateway's OOMCaught metric, over all adapters. It is sent only when it \
              happens: 0 where CloudWatch knows it and has no value in the span, missing where \
              it does not know it.",
        source: "cloudwatch",
        families: &[],
        derive: Derive::Span(|frame| metrics::happened(frame, "OOMCaught")),
    },
    Signal {
        name: "gateway_admission_rejections_count",
        unit: Unit::Count,
        about: "Requests that the gateway's admission control refused.",
        doc: "The gateway's AdmissionRejected metric, over all reasons; 0 and missing as for \
              oom_caught_count.",
        source: "cloudwatch",
        families: &[],
        derive: Derive::Span(|frame| metrics::happened(frame, "AdmissionRejected")),
    },
    Signal {
        name: "gateway_prefix_hit_ratio",
        unit: Unit::Ratio,
        about: "Share of requests that the gateway counted as prefix-cache hits.",
        doc: "The gateway's PrefixCacheHit metric in CloudWatch, averaged; without it, the share of \
              gateway records, else of traces, that are marked `prefix_cache_hit`. It counts \
              requests, the engine counts tokens.",
        source: "cloudwatch",
        families: &[],
        derive: Derive::Span(|frame| match metrics::share(frame, "PrefixCacheHit") {
            Err(why) => gateway::prefix_hits(frame).map_err(|other| match why.kind {
                MissingKind::NotConfigured => other,
                _ => why,
            }),
            told => told,
        }),
    },
    Signal {
        name: "token_budget_trimmed_ratio",
        unit: Unit::Ratio,
        about: "Share of requests whose prompt the gateway cut to the token budget.",
        doc: "The gateway's TokenBudgetTrimmed metric, averaged. Near 0 while large prompts \
              arrive, the budget is passed by.",
        source: "cloudwatch",
        families: &[],
        derive: Derive::Span(|frame| metrics::share(frame, "TokenBudgetTrimmed")),
    },
    Signal {
        name: "gateway_ttft_mean_seconds",
        unit: Unit::Seconds,
        about: "Mean time to first token as the gateway measures it.",
        doc: "The gateway's TTFTMs metric, sum over count; its error by how the periods differ.",
        source: "cloudwatch",
        families: &[],
        derive: Derive::Span(|frame| metrics::mean(frame, "TTFTMs", MS)),
    },
    Signal {
        name: "gateway_ttft_p95_seconds",
        unit: Unit::Seconds,
        about: "95th percentile of the time to first token as the gateway measures it.",
        doc: "The gateway's TTFTMs metric. Percentiles of several adapters, versions or periods \
              cannot be added: it lies between the least and the largest of them.",
        source: "cloudwatch",
        families: &[],
        derive: Derive::Span(|frame| metrics::percentile(frame, "TTFTMs", "p95", MS)),
    },
    Signal {
        name: "gateway_queue_wait_mean_seconds",
        unit: Unit::Seconds,
        about: "Mean wait in the queue as the gateway measures it.",
        doc: "The gateway's QueueWaitMs metric, sum over count.",
        source: "cloudwatch",
        families: &[],
        derive: Derive::Span(|frame| metrics::mean(frame, "QueueWaitMs", MS)),
    },
    Signal {
        name: "gateway_queue_wait_p95_seconds",
        unit: Unit::Seconds,
        about: "95th percentile of the wait in the queue as the gateway measures it.",
        doc: "The gateway's QueueWaitMs metric, read as gateway_ttft_p95_seconds is.",
        source: "cloudwatch",
        families: &[],
        derive: Derive::Span(|frame| metrics::percentile(frame, "QueueWaitMs", "p95", MS)),
    },
    Signal {
        name: "gateway_generation_mean_seconds",
        unit: Unit::Seconds,
        about: "Mean time that the model computes, as the gateway measures it.",
        doc: "The gateway's GenerationMs metric, sum over count.",
        source: "cloudwatch",
        families: &[],
        derive: Derive::Span(|frame| metrics::mean(frame, "GenerationMs", MS)),
    },
    Signal {
        name: "gateway_input_mean_tokens",
        unit: Unit::Tokens,
        about: "Mean prompt tokens of a request as the gateway counts them.",
        doc: "The gateway's InputTokens metric, sum over count.",
        source: "cloudwatch",
        families: &[],
        derive: Derive::Span(|frame| metrics::mean(frame, "InputTokens", 1.0)),
    },
    Signal {
        name: "gateway_output_mean_tokens",
        unit: Unit::Tokens,
        about: "Mean answer tokens of a request as the gateway counts them.",
        doc: "The gateway's OutputTokens metric, sum over count.",
        source: "cloudwatch",
        families: &[],
        derive: Derive::Span(|frame| metrics::mean(frame, "OutputTokens", 1.0)),
    },
    Signal {
        name: "endpoint_model_latency_seconds",
        unit: Unit::Seconds,
        about: "Mean time that the container takes to answer the endpoint.",
        doc: "ModelLatency of AWS/SageMaker, until the first byte for a streamed answer.",
        source: "cloudwatch",
        families: &[],
        derive: Derive::Span(|frame| metrics::mean(frame, "ModelLatency", MICROSECOND)),
    },
    Signal {
        name: "endpoint_overhead_latency_seconds",
        unit: Unit::Seconds,
        about: "Mean time that the endpoint adds to that of the container.",
        doc: "OverheadLatency of AWS/SageMaker: what the cloud's own front end takes.",
        source: "cloudwatch",
        families: &[],
        derive: Derive::Span(|frame| metrics::mean(frame, "OverheadLatency", MICROSECOND)),
    },
    Signal {
        name: "insufficient_capacity_events_count",
        unit: Unit::Count,
        about: "Words of the endpoint that say InsufficientInstanceCapacity.",
        doc: "Of the endpoint's failure reason, the states of its variants, and the scaling \
              activities that touch the span.",
        source: "sagemaker",
        families: &[],
        derive: Derive::Span(scaling::no_capacity),
    },
    Signal {
        name: "quota_exceeded_events_count",
        unit: Unit::Count,
        about: "Words of the endpoint that say ResourceLimitExceeded.",
        doc: "Or that tell of an account-level service limit; from the same places as \
              insufficient_capacity_events_count.",
        source: "sagemaker",
        families: &[],
        derive: Derive::Span(scaling::over_quota),
    },
    Signal {
        name: "instances_missing_count",
        unit: Unit::Count,
        about: "Instances wanted and not there.",
        doc: "Desired less current instances, over the endpoint's variants; those of a \
              deployment under way, where there is one.",
        source: "sagemaker",
        families: &[],
        derive: Derive::Span(scaling::missing),
    },
    Signal {
        name: "instances_missing_seconds",
        unit: Unit::Seconds,
        about: "How long fewer instances than wanted have been there.",
        doc: "Since the variant, the deployment or the scaling activity began, or the first of \
              the runs that saw it. 0 where none is missing.",
        source: "sagemaker",
        families: &[],
        derive: Derive::Span(scaling::missing_seconds),
    },
    Signal {
        name: "cold_starts_count",
        unit: Unit::Count,
        about: "Instances that are missing and start cold.",
        doc: "An endpoint of SageMaker keeps no instance ready, so all that are missing start \
              cold; 0 where a warm pool of EC2 has ready ones.",
        source: "sagemaker",
        families: &[],
        derive: Derive::Span(scaling::cold_starts),
    },
    Signal {
        name: "instance_unhealthy_seconds",
        unit: Unit::Seconds,
        about: "How long the newest instance has failed its health check.",
        doc: "Where the endpoint or an activity says so: as long as that took. Else, while \
              instances are missing, since the log told that a new start failed; without such a \
              line it is not known, and 0 where none is missing.",
        source: "sagemaker",
        families: &[],
        derive: Derive::Span(scaling::unhealthy_seconds),
    },
    Signal {
        name: "scaling_alarm_seconds",
        unit: Unit::Seconds,
        about: "How long the alarm that should scale has been firing.",
        doc: "The longest of the alarms whose action is a scaling policy that adds instances; 0 \
              where none fires.",
        source: "cloudwatch",
        families: &[],
        derive: Derive::Span(scaling::alarm_seconds),
    },
    Signal {
        name: "scaling_alarm_blind_seconds",
        unit: Unit::Seconds,
        about: "How long the alarm that should scale has had too few data.",
        doc: "The longest of the same alarms in the state INSUFFICIENT_DATA. Without requests \
              this is normal.",
        source: "cloudwatch",
        families: &[],
        derive: Derive::Span(scaling::blind_seconds),
    },
    Signal {
        name: "scaling_activities_count",
        unit: Unit::Count,
        about: "Scaling activities since the alarm fired.",
        doc: "Of every outcome, failed ones too, but not those that scaled nothing. Where no \
              alarm fires, those that touch the span.",
        source: "autoscaling",
        families: &[],
        derive: Derive::Span(scaling::activities_count),
    },
    Signal {
        name: "scaling_headroom_count",
        unit: Unit::Count,
        about: "Instances that the policy may still add.",
        doc: "The configured maximum less the desired count, of the variant with the \
              least; where the counts are not told, 0 if the last activity says \
              AlreadyAtMaxCapacity.",
        source: "autoscaling",
        families: &[],
        derive: Derive::Span(scaling::headroom),
    },
    Signal {
        name: "scaling_out_suspended",
        unit: Unit::Flag,
        about: "Whether scaling out is suspended.",
        doc: "DynamicScalingOutSuspended of one of the endpoint's scalable targets.",
        source: "autoscaling",
        families: &[],
        derive: Derive::Span(scaling::suspended),
    },
    Signal {
        name: "scaling_cooldown_left_seconds",
        unit: Unit::Seconds,
        about: "How long the policy still waits after it last scaled.",
        doc: "The longest cooldown of the policies, from the end of the last activity that \
              scaled; 0 where it is over.",
        source: "autoscaling",
        families: &[],
        derive: Derive::Span(scaling::cooldown_left),
    },
    Signal {
        name: "warm_pool_instances_count",
        unit: Unit::Count,
        about: "Instances kept ready in the warm pool.",
        doc: "Of the EC2 Auto Scaling group that is set; missing where no warm pool is \
              configured, and an endpoint of SageMaker has none.",
        source: "autoscaling",
        families: &[],
        derive: Derive::Span(scaling::warm_pool),
    },
];

/// Why a service told nothing; `unasked` where nobody asked it.
fn unread(frame: &Frame<'_>, service: &str, unasked: &str) -> Missing {
    let Some(source) = frame.evidence.source(service) else {
        return Missing::new(MissingKind::NotConfigured, unasked);
    };
    let kind = match source.status {
        SourceState::NotConfigured => MissingKind::NotConfigured,
        SourceState::Ok => {
            return Missing::new(MissingKind::Absent, format!("{service} does not tell it"));
        }
        _ => MissingKind::SourceFailed,
    };
    Missing::new(kind, source.detail.clone())
}
