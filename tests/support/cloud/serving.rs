//! What the gateway's metrics and the endpoint's tell of requests.

use super::{
    Expect, Scenario,
    answers::Endpoint,
    line,
    metrics::{Metrics, Minute},
    record,
};

/// When what is wrong begins.
const ONSET: usize = 35;

fn scenario(
    name: &'static str,
    runbook: &'static str,
    metrics: &Metrics,
    log: Option<String>,
    expect: Expect,
) -> Scenario {
    let record = record(Endpoint::default().answers().into_iter().chain([metrics.answer()]));
    Scenario { name, runbook, record, log, expect }
}

/// Two adapters beside the one that is told by `slow`; their requests are all alike.
fn adapters(slow: impl Fn(&mut Metrics)) -> Metrics {
    let mut metrics = Metrics::default();
    for (adapter, requests) in [("general_support_v2", 40.0), ("reviews_v1", 25.0)] {
        metrics.adapter(adapter, |_| Some(Minute { requests, ..Minute::default() }));
    }
    slow(&mut metrics);
    metrics
}

const BEFORE: &str = "manga_domain_v3";

/// A new version from the onset on, that computes `cost` times as long.
fn updated(cost: f64) -> Metrics {
    adapters(|metrics| {
        metrics.adapter(BEFORE, |minute| (minute < ONSET).then(Minute::default));
        metrics.adapter("manga_domain_v4", |minute| {
            let usual = Minute::default();
            let generation_ms = usual.generation_ms * cost;
            (minute >= ONSET).then_some(Minute { generation_ms, ..usual })
        });
    })
}

/// The same adapter, whose callers send prompts `times` as long from the onset on.
fn longer(times: f64) -> Metrics {
    adapters(|metrics| {
        metrics.adapter(BEFORE, |minute| {
            let usual = Minute::default();
            Some(match minute < ONSET {
                true => usual,
                false => Minute {
                    input: usual.input * times,
                    ttft_ms: usual.ttft_ms * times,
                    output: usual.output * times,
                    generation_ms: usual.generation_ms * times,
                    ..usual
                },
            })
        });
    })
}

fn of_adapters() -> Vec<Scenario> {
    let adapter = "adapter-regression";
    let all_slow = {
        let mut metrics = Metrics::default();
        for name in [BEFORE, "general_support_v2", "reviews_v1"] {
            metrics.adapter(name, |minute| {
                let usual = Minute::default();
                let cost = if minute < ONSET { 1.0 } else { 2.6 };
                Some(Minute { generation_ms: usual.generation_ms * cost, ..usual })
            });
        }
        metrics
    };
    let none: &[&str] =
        &["adapter-update-regressed", "adapter-longer-prompts", "adapter-rank-grew"];
    vec![
        scenario(
            "a new version of an adapter is slower",
            adapter,
            &updated(2.6),
            None,
            Expect {
                cause: Some("adapter-update-regressed"),
                not: &["adapter-longer-prompts", "adapter-rank-grew"],
                path: &["updated", "size", "clean"],
                exits: (3, 1),
            },
        ),
        scenario(
            "an adapter's prompts grew",
            adapter,
            &longer(2.6),
            None,
            Expect {
                cause: Some("adapter-longer-prompts"),
                not: &["adapter-update-regressed", "adapter-rank-grew"],
                path: &["updated", "prompts"],
                exits: (3, 1),
            },
        ),
        scenario(
            "all adapters are slower",
            adapter,
            &all_slow,
            None,
            Expect { not: none, exits: (3, 3), ..Expect::default() },
        ),
        scenario(
            "a new version of an adapter is fine",
            adapter,
            &updated(1.0),
            None,
            Expect { not: none, exits: (3, 3), ..Expect::default() },
        ),
    ]
}

/// All requests of one adapter, with a share of prefix hits from the onset on.
fn hits(hits: f64, ttft_ms: f64) -> Metrics {
    let mut metrics = Metrics::default();
    metrics.adapter("base", |minute| {
        let usual = Minute::default();
        Some(if minute < ONSET { usual } else { Minute { hits, ttft_ms, ..usual } })
    });
    metrics
}

fn of_requests() -> Vec<Scenario> {
    let failing = |share: f64| {
        let mut metrics = Metrics::default();
        metrics
            .invocations(|minute| (240.0, 0.0, if minute < ONSET { 0.0 } else { 240.0 * share }));
        metrics
    };
    let fault = line(
        ONSET as i64,
        "torch.AcceleratorError: CUDA error: an illegal memory access was encountered",
    );
    let mut bypass = failing(0.05);
    let gateway = "MangaAssist/Inference";
    bypass.add((gateway, "vllm:num_requests_waiting"), &[], "Average", |minute| {
        Some(if minute < ONSET { 0.0 } else { 160.0 })
    });
    bypass.add((gateway, "AdmissionRejected"), &[("Reason", "queue_full")], "Sum", |_| None);
    let mut shed = failing(0.05);
    shed.add((gateway, "vllm:num_requests_waiting"), &[], "Average", |minute| {
        Some(if minute < ONSET { 0.0 } else { 160.0 })
    });
    shed.add((gateway, "AdmissionRejected"), &[("Reason", "queue_full")], "Sum", |minute| {
        (minute >= ONSET).then_some(40.0)
    });
    let errors = "http-errors";
    vec![
        scenario(
            "prefix hits collapse",
            "prefix-cache-collapse",
            &hits(0.1, 420.0),
            None,
            Expect {
                not: &["volatile-prompt-prefix", "prompts-grew"],
                exits: (3, 1),
                ..Expect::default()
            },
        ),
        scenario(
            "a CUDA fault behind the endpoint",
            errors,
            &failing(0.6),
            Some(fault),
            Expect {
                cause: Some("cuda-fault"),
                not: &["malformed-requests", "overloaded-routing"],
                path: &["fault"],
                exits: (1, 1),
            },
        ),
        scenario(
            "the queue limit is passed by",
            errors,
            &bypass,
            None,
            Expect {
                cause: Some("admission-control-bypass"),
                not: &["malformed-requests", "overloaded-routing"],
                path: &["bypass"],
                exits: (3, 1),
            },
        ),
        scenario(
            "admission control refuses",
            errors,
            &shed,
            None,
            Expect { not: &["admission-control-bypass"], exits: (3, 1), ..Expect::default() },
        ),
    ]
}

pub fn scenarios() -> Vec<Scenario> {
    of_adapters().into_iter().chain(of_requests()).collect()
}
