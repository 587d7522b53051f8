//! An endpoint that should grow.

use super::{
    Expect, Scenario,
    answers::{Alarm, Endpoint, activity, firing, not_scaled},
    line,
    metrics::{Metrics, Minute},
    record,
};

/// Demand doubles in the fortieth minute.
fn demand() -> Metrics {
    let mut metrics = Metrics::default();
    metrics.adapter("base", |minute| {
        let (requests, queue_ms) = if minute < 40 { (120.0, 8.0) } else { (260.0, 60.0) };
        Some(Minute { requests, queue_ms, ..Minute::default() })
    });
    metrics.invocations(|minute| (if minute < 40 { 120.0 } else { 260.0 }, 0.0, 0.0));
    metrics
}

fn scenario(
    name: &'static str,
    endpoint: &Endpoint,
    log: Option<String>,
    expect: Expect,
) -> Scenario {
    let record = record(endpoint.answers().into_iter().chain([demand().answer()]));
    Scenario { name, runbook: "scaling-failure", record, log, expect }
}

const NO_CAPACITY: &str = "Failed to set desired instance count to 4: Unable to provision requested \
    ML compute capacity due to InsufficientInstanceCapacity error. Please retry using a different \
    ML instance type or after some time.";

const QUOTA: &str = "Failed to set desired instance count to 4: ResourceLimitExceeded: The \
    account-level service limit 'ml.g5.xlarge for endpoint usage' is 2 Instances, with current \
    utilization of 2 Instances and a request delta of 2 Instances.";

fn limits() -> Vec<Scenario> {
    let refused = |says: &str| Endpoint {
        alarm: firing(43),
        activities: vec![activity(44, Some(48), "Failed", says)],
        ..Endpoint::default()
    };
    vec![
        scenario(
            "no such instance",
            &refused(NO_CAPACITY),
            None,
            Expect {
                cause: Some("insufficient-instance-capacity"),
                not: &["scaling-policy-not-triggered", "account-quota-exceeded", "warm-pool-empty"],
                path: &["capacity"],
                exits: (1, 1),
            },
        ),
        scenario(
            "the account's limit",
            &refused(QUOTA),
            None,
            Expect {
                cause: Some("account-quota-exceeded"),
                not: &["insufficient-instance-capacity", "scaling-policy-not-triggered"],
                path: &["capacity", "quota"],
                exits: (1, 1),
            },
        ),
        scenario(
            "the policy's own maximum",
            &Endpoint {
                max: 2,
                alarm: firing(43),
                activities: vec![not_scaled(44, "AlreadyAtMaxCapacity")],
                ..Endpoint::default()
            },
            None,
            Expect {
                cause: Some("scaling-limit-reached"),
                not: &["scaling-policy-not-triggered", "insufficient-instance-capacity"],
                path: &["quota", "limit"],
                exits: (0, 1),
            },
        ),
    ]
}

fn idle_policy() -> Vec<Scenario> {
    let expect = |path| Expect {
        cause: Some("scaling-policy-not-triggered"),
        not: &["scaling-limit-reached", "warm-pool-empty", "insufficient-instance-capacity"],
        path,
        exits: (0, 1),
    };
    let fires = Endpoint { alarm: firing(43), ..Endpoint::default() };
    let suspended = Endpoint { suspended: true, ..fires.clone() };
    // It scaled shortly before the alarm fired again, which is not yet five minutes after that.
    let cooling = Endpoint {
        activities: vec![activity(46, Some(53), "Successful", "Successfully set to 2.")],
        alarm: firing(54),
        cooldown: 900,
        ..Endpoint::default()
    };
    let blind = Alarm { state: "INSUFFICIENT_DATA", before: "OK", since: 41 };
    let blind = Endpoint { alarm: blind, ..Endpoint::default() };
    vec![
        scenario(
            "the policy does not act",
            &fires,
            None,
            expect(&["acting", "suspended", "cooling"]),
        ),
        scenario("the policy cools down", &cooling, None, expect(&["suspended", "cooling"])),
        scenario("scaling out is suspended", &suspended, None, expect(&["acting", "suspended"])),
        scenario("the alarm is blind", &blind, None, expect(&["acting", "blind"])),
    ]
}

/// An instance on its way since a minute.
fn starting(since: i64) -> Endpoint {
    Endpoint {
        desired: 3,
        since,
        alarm: firing(since - 1),
        activities: vec![activity(since, None, "InProgress", "")],
        ..Endpoint::default()
    }
}

fn starts() -> Vec<Scenario> {
    vec![
        scenario(
            "a cold start in time",
            &starting(56),
            None,
            Expect {
                cause: Some("warm-pool-empty"),
                not: &["scaling-policy-not-triggered", "container-startup-failure"],
                path: &["pool", "fresh", "within-time"],
                exits: (0, 3),
            },
        ),
        scenario(
            "a cold start that is overdue",
            &starting(48),
            None,
            Expect {
                cause: None,
                not: &[
                    "warm-pool-empty",
                    "container-startup-failure",
                    "scaling-policy-not-triggered",
                ],
                path: &["pool", "fresh", "within-time"],
                exits: (1, 1),
            },
        ),
    ]
}

/// The newest instance does not come up, and its log says why.
fn broken(name: &'static str, says: &str) -> Scenario {
    scenario(
        name,
        &starting(48),
        Some(line(51, says) + &line(53, says)),
        Expect {
            cause: Some("container-startup-failure"),
            not: &[
                "warm-pool-empty",
                "insufficient-instance-capacity",
                "scaling-policy-not-triggered",
            ],
            path: &["comes-up", "logged"],
            exits: (1, 1),
        },
    )
}

fn breakages() -> Vec<Scenario> {
    let ping = "The primary container for production variant main did not pass the ping health \
        check. Please check CloudWatch logs for this endpoint.";
    vec![
        broken(
            "a corrupt model file",
            "safetensors_rust.SafetensorError: Error while deserializing header: HeaderTooLarge",
        ),
        broken(
            "a driver too old for CUDA",
            "RuntimeError: The NVIDIA driver on your system is too old (found version 11040).",
        ),
        broken(
            "weights that do not fit",
            "Failed to load model - not enough GPU memory. Try lowering --gpu-memory-utilization",
        ),
        scenario(
            "a health check that fails without a log",
            &Endpoint { failure: Some(ping), ..starting(48) },
            None,
            Expect {
                cause: None,
                not: &["warm-pool-empty", "insufficient-instance-capacity"],
                path: &["comes-up", "logged"],
                exits: (1, 1),
            },
        ),
    ]
}

/// Scaling that works, and an endpoint that needs none.
fn well() -> Vec<Scenario> {
    let nothing = || Expect {
        not: &["warm-pool-empty", "scaling-policy-not-triggered", "insufficient-instance-capacity"],
        exits: (0, 3),
        ..Expect::default()
    };
    let scaled = Endpoint {
        current: 3,
        desired: 3,
        alarm: Alarm { state: "OK", before: "ALARM", since: 50 },
        activities: vec![activity(42, Some(48), "Successful", "Successfully set to 3.")],
        ..Endpoint::default()
    };
    let second_try = Endpoint {
        activities: vec![
            activity(42, Some(44), "Failed", NO_CAPACITY),
            activity(45, Some(50), "Successful", "Successfully set to 3."),
        ],
        ..scaled.clone()
    };
    vec![
        scenario("scaling works at the second try", &second_try, None, nothing()),
        scenario("scaling works", &scaled, None, nothing()),
        scenario("nothing to scale", &Endpoint::default(), None, nothing()),
    ]
}

pub fn scenarios() -> Vec<Scenario> {
    [limits(), idle_policy(), starts(), breakages(), well()].into_iter().flatten().collect()
}
