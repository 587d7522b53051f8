//! Sample reports, one for each screen that an engineer may meet.

use diagnose::{
    evidence::{SourceState, SourceStatus, Target},
    report::*,
    runbook::{Action, Help, Risk, Severity},
    unit::Unit,
};

fn interval(lo: f64, hi: f64) -> Number {
    Number::Interval { lo, hi: Some(hi) }
}

fn gap(what: &str, why: &str) -> Gap {
    Gap { what: what.into(), why: why.into() }
}

fn fact(check: &str, text: &str, because: &str) -> Evidenced {
    Evidenced { check: check.into(), text: text.into(), because: because.into() }
}

fn source(id: &str, status: SourceState, detail: &str) -> SourceStatus {
    SourceStatus { id: id.into(), status, detail: detail.into(), took_ms: Some(12) }
}

fn symptom(signal: &str, severity: Severity, statement: &str) -> SymptomFound {
    SymptomFound {
        signal: signal.into(),
        now: Some(interval(2.5, 5.0)),
        baseline: Some(interval(0.6, 0.8)),
        unit: Unit::Seconds,
        threshold: Some(2.0),
        severity,
        statement: statement.into(),
        readings: vec![],
    }
}

fn cause(id: &str, family: &str, title: &str, status: Status, probability: f64) -> CauseFound {
    CauseFound {
        id: id.into(),
        family: family.into(),
        title: title.into(),
        status,
        probability,
        severity: Severity::Warning,
        claim: format!("{title}."),
        in_favour: vec![],
        against: vec![],
        missing: vec![],
        decided_by: None,
        leads_to: vec![],
        not_told_from: Vec::new(),
        consequence_of: None,
        track_record: None,
        fixes: vec![],
        not_advised: vec![],
        replicas: None,
    }
}

fn reading(signal: &str, unit: Unit, now: Number, baseline: Number, change: Number) -> ReadingRow {
    ReadingRow {
        signal: signal.into(),
        now: Some(now),
        baseline: Some(baseline),
        change: Some(change),
        unit,
        n: Some(1240.0),
        source: "metrics".into(),
        missing: None,
        note: None,
    }
}

fn step(step: &str, question: &str, answer: AnswerWord, because: &str) -> PathStep {
    PathStep {
        runbook: "high-ttft".into(),
        step: step.into(),
        check: step.into(),
        question: question.into(),
        answer,
        because: because.into(),
        conclusion: None,
    }
}

fn part(part: &str, ms: f64, n: f64) -> Part {
    Part { part: part.into(), ms, n }
}

/// A fine system, which the others are variations of.
pub fn healthy() -> Report {
    Report {
        schema_version: 1,
        tool: Tool { name: "diagnose".into(), version: "0.1.0".into() },
        command: "sweep".into(),
        target: Target {
            name: "http://gpu-07:8000".into(),
            models: vec!["meta-llama/Llama-3.1-8B-Instruct".into()],
            version: Some("0.33.0".into()),
            engine: Some("V1".into()),
        },
        verdict: Verdict::Healthy,
        coverage: Coverage {
            answered: 41,
            asked: 44,
            missing: vec![gap("GPU clocks and ECC", "no NVML here; run on the GPU host")],
        },
        window: WindowTimes {
            from: Some("2026-11-21T02:40:00Z".into()),
            to: Some("2026-11-21T02:46:00Z".into()),
            baseline_from: Some("2026-11-21T01:40:00Z".into()),
            baseline_to: Some("2026-11-21T02:40:00Z".into()),
            baseline_kind: BaselineKind::Recorded,
        },
        onset: None,
        impact: Some(Impact {
            requests_over_objective: Number::Point(0.0),
            requests: 1240.0,
            objective_seconds: 2.0,
            since: "2026-11-21T02:40:00Z".into(),
            per_model: vec![],
        }),
        symptoms: vec![],
        causes: vec![],
        path: vec![],
        timeline: vec![],
        clocks: vec![],
        decomposition: vec![
            part("queue", 4.0, 1240.0),
            part("prefill", 62.0, 1240.0),
            part("decode", 2210.0, 1240.0),
            part("front-end residual", 11.0, 1240.0),
            part("end to end", 2287.0, 1240.0),
            part("time to first token", 78.0, 1251.0),
        ],
        readings: vec![
            reading(
                "ttft_p95_seconds",
                Unit::Seconds,
                interval(0.1, 0.25),
                interval(0.1, 0.25),
                interval(0.9, 1.1),
            ),
            reading(
                "waiting_requests",
                Unit::Requests,
                Number::Point(0.0),
                Number::Point(0.2),
                interval(0.0, 1.2),
            ),
            reading(
                "prefix_cache_hit_ratio",
                Unit::Ratio,
                Number::Point(0.871),
                Number::Point(0.868),
                Number::Point(1.0),
            ),
            ReadingRow {
                signal: "gpu_clock_throttled_ratio".into(),
                now: None,
                baseline: None,
                change: None,
                unit: Unit::Ratio,
                n: None,
                source: "nvml".into(),
                missing: Some("NVML is not configured".into()),
                note: None,
            },
        ],
        series: vec![],
        sources: vec![
            source("metrics", SourceState::Ok, "72 scrapes in 6 min"),
            source("probes", SourceState::Ok, "/health 200 in 2 ms"),
            source("log", SourceState::Ok, "1,204 lines"),
            source("nvml", SourceState::NotConfigured, "NVML did not load"),
        ],
        waivers: vec![],
    }
}

/// The prompt prefix changed: TTFT is four times what it was.
pub fn prefix_broken() -> Report {
    let mut broken = cause(
        "volatile-prompt-prefix",
        "prefix",
        "a volatile field stands above the prompt's prefix boundary",
        Status::Supported,
        0.82,
    );
    broken.claim = "A timestamp, id or flag near the top of the prompt differs in every request, \
                    so no request can reuse cached tokens."
        .into();
    broken.in_favour = vec![
        fact(
            "cached-tokens-per-request-fell",
            "Requests reuse almost no cached tokens",
            "12 tokens per request, before 1,880",
        ),
        fact(
            "cached-tokens-stay-low",
            "Reuse has not come back, as it would after a new version warmed up",
            "12 to 16 tokens over 4.6 min",
        ),
        fact(
            "prompt-length-alike",
            "Prompts are as long as before",
            "median 2,050 tokens, before 2,040",
        ),
        fact("no-restart", "The server did not restart", "start time unchanged"),
    ];
    broken.against = vec![fact(
        "new-traffic",
        "Some traffic is new",
        "arrivals 3.9 requests/s, before 3.5 requests/s",
    )];
    broken.missing = vec![gap(
        "gateway log",
        "no gateway.jsonl was given; add --gateway-log FILE to compare prompt versions",
    )];
    broken.decided_by = Some(
        "Does one prompt version keep a stable prefix? `diagnose prefix-diff` on two requests shows \
         the first byte that differs."
            .into(),
    );
    broken.track_record = Some("38 of 40 right on labelled incidents".into());
    broken.fixes = vec![
        Fix {
            action: Action::RollBackPrompt,
            text: "Roll the prompt template back to the version before 02:41 UTC".into(),
            command: Some(
                "mlflow: set alias production of prompt support-agent to version 41".into(),
            ),
            risk: Risk::Safe,
            effect: "cached tokens per request return to about 1,900 within two minutes".into(),
            undo: "set the alias back to version 42".into(),
        },
        Fix {
            action: Action::ChangePrompt,
            text: "Move volatile fields below the shared instructions".into(),
            command: None,
            risk: Risk::Safe,
            effect: "the shared part is cached again".into(),
            undo: "restore the former template".into(),
        },
    ];
    let mut version = cause(
        "prompt-version-broke-prefix",
        "prefix",
        "a new prompt version has another prefix",
        Status::NotExaminable,
        0.49,
    );
    version.missing = vec![gap("prompt version per request", "no gateway.jsonl was given")];
    let mut load = cause(
        "load-exceeds-capacity",
        "load",
        "more work is offered than the engine can do",
        Status::Refuted,
        0.02,
    );
    load.against = vec![fact("at-ceiling", "The engine is below its ceiling", "34 of 256 slots")];
    let mut path = vec![
        step(
            "ttft",
            "Is TTFT p95 over its objective?",
            AnswerWord::Yes,
            "ttft_p95_seconds 2.5 s to 5 s, threshold 2 s",
        ),
        step("queue", "Do requests wait in the queue?", AnswerWord::No, "12 ms, threshold 200 ms"),
        step(
            "cache",
            "Did cached tokens per request collapse?",
            AnswerWord::Yes,
            "12 tokens, before 1,880 tokens",
        ),
    ];
    path[2].conclusion = Some("a volatile field stands above the prefix boundary".into());
    let entry = |at: &str, kind: &str, text: &str, relation: &str| TimelineEntry {
        at: at.into(),
        kind: kind.into(),
        text: text.into(),
        relation: relation.into(),
        source: if kind == "onset" { "" } else { "log" }.into(),
        lead_seconds: (relation == "before").then_some(Number::Point(12.0)),
        change: kind == "config_changed",
        struck: false,
    };
    Report {
        command: "high-ttft".into(),
        verdict: Verdict::Degraded,
        onset: Some(OnsetTime { at: "2026-11-21T02:41:10Z".into(), plus_minus_seconds: 15.0 }),
        coverage: Coverage {
            answered: 38,
            asked: 44,
            missing: vec![
                gap("GPU clocks and ECC", "no NVML here; run on the GPU host"),
                gap("host CPU", "not on the server's host"),
                gap("CloudWatch", "AWS is not configured"),
            ],
        },
        impact: Some(Impact {
            requests_over_objective: interval(412.0, 520.0),
            requests: 1240.0,
            objective_seconds: 2.0,
            since: "2026-11-21T02:41:10Z".into(),
            per_model: vec![ModelImpact {
                model: "meta-llama/Llama-3.1-8B-Instruct".into(),
                requests_over_objective: interval(412.0, 520.0),
                requests: 1240.0,
            }],
        }),
        symptoms: vec![symptom(
            "ttft_p95_seconds",
            Severity::Warning,
            "TTFT p95 is 2.5 s to 5 s, before 600 ms to 800 ms (objective 2 s).",
        )],
        causes: vec![broken, version, load],
        path,
        timeline: vec![
            entry(
                "2026-11-21T02:40:58Z",
                "config_changed",
                "Prompt support-agent went to version 42.",
                "before",
            ),
            entry("2026-11-21T02:41:10Z", "onset", "TTFT p95 began to rise.", "at"),
            entry("2026-11-21T02:44:02Z", "log_line", "A request was aborted.", "after"),
        ],
        clocks: vec![],
        decomposition: vec![
            part("queue", 12.4, 1240.0),
            part("prefill", 2470.3, 1240.0),
            part("decode", 2230.2, 1240.0),
            part("front-end residual", 14.6, 1240.0),
            part("end to end", 4727.5, 1240.0),
            part("time to first token", 2496.0, 1251.0),
        ],
        readings: [
            vec![reading(
                "cached_tokens_per_request_mean_tokens",
                Unit::Tokens,
                Number::Point(12.0),
                Number::Point(1880.0),
                interval(0.004, 0.009),
            )],
            healthy().readings,
        ]
        .concat(),
        ..healthy()
    }
}

/// Too much load: a root with consequences, another cause besides, and a rival.
pub fn overloaded() -> Report {
    let mut root = cause(
        "load-exceeds-capacity",
        "load",
        "more work is offered than the engine can do",
        Status::Supported,
        0.91,
    );
    root.severity = Severity::Critical;
    root.claim =
        "Arrivals grew past what one replica can serve, so requests wait for a slot.".into();
    root.in_favour = vec![
        fact("arrivals-grew", "Arrivals grew", "11.2 requests/s, before 4.1 requests/s"),
        fact("waiting-grew", "The queue grows", "143 requests wait, before 0"),
        fact(
            "at-ceiling",
            "The engine runs at its ceiling",
            "256 of 256 slots for 94 % of the time",
        ),
    ];
    root.decided_by = Some("Does the wait end once arrivals fall below 5 requests/s?".into());
    root.leads_to = vec!["kv-working-set-too-large".into(), "clients-giving-up".into()];
    root.fixes = vec![Fix {
        action: Action::ScaleOut,
        text: "Add a replica".into(),
        command: Some("kubectl scale deployment/vllm-llama --replicas=3".into()),
        risk: Risk::Capacity,
        effect: "waiting requests return to 0 within 6 minutes, once the replica is warm".into(),
        undo: "kubectl scale deployment/vllm-llama --replicas=2".into(),
    }];
    root.not_advised = vec![NotAdvised {
        text: "More slots are not advised: the KV cache is full".into(),
        because: "kv_cache_usage_max_ratio 99 %".into(),
    }];
    root.replicas = Some(Replicas {
        helps: Help::Yes,
        how_many: Some(ReplicaCount { lo: 3, hi: 4 }),
        arithmetic: Some("11.2 requests/s come, one does 3.5 at most; that takes 4.1".into()),
        why: "each replica takes its share of the arrivals".into(),
    });
    let mut kv = cause(
        "kv-working-set-too-large",
        "memory",
        "active requests do not fit into the KV cache",
        Status::Supported,
        0.77,
    );
    kv.consequence_of = Some("load-exceeds-capacity".into());
    kv.in_favour = vec![fact("preempting", "Requests are preempted", "14 /min, before 0 /min")];
    let mut giving_up = cause(
        "clients-giving-up",
        "load",
        "callers cancel while they wait",
        Status::Supported,
        0.64,
    );
    giving_up.consequence_of = Some("load-exceeds-capacity".into());
    let retry = cause(
        "retry-storm",
        "load",
        "callers repeat failed requests and amplify the load",
        Status::NotExaminable,
        0.22,
    );
    let retry = CauseFound {
        missing: vec![gap("request ids at the gateway", "no gateway log was given")],
        ..retry
    };
    Report {
        verdict: Verdict::Critical,
        impact: Some(Impact {
            requests_over_objective: Number::Interval { lo: 2210.0, hi: None },
            requests: 3480.0,
            objective_seconds: 2.0,
            since: "2026-11-21T02:41:10Z".into(),
            per_model: vec![],
        }),
        symptoms: vec![
            symptom(
                "ttft_p95_seconds",
                Severity::Critical,
                "TTFT p95 is 34 s, before 600 ms to 800 ms (objective 2 s).",
            ),
            symptom("waiting_requests", Severity::Warning, "143 requests wait, before 0."),
        ],
        causes: vec![root, kv, giving_up, retry],
        ..prefix_broken()
    }
}

/// Almost nothing could be looked at.
pub fn inconclusive() -> Report {
    Report {
        verdict: Verdict::Inconclusive,
        target: Target { name: "http://gpu-07:8000".into(), ..Target::default() },
        coverage: Coverage {
            answered: 3,
            asked: 44,
            missing: vec![
                gap(
                    "vLLM metrics",
                    "connection refused at http://gpu-07:8000/metrics; give the server's address \
                     with --url, or a recording with --replay PATH",
                ),
                gap("baseline", "one scrape only; sample longer with --window 60s"),
                gap("GPU clocks and ECC", "no NVML here; run on the GPU host"),
            ],
        },
        impact: None,
        readings: vec![],
        decomposition: vec![],
        sources: vec![
            source("metrics", SourceState::Unreachable, "connection refused"),
            source("probes", SourceState::Unreachable, "connection refused"),
            source("log", SourceState::Ok, "1,204 lines of server.log"),
        ],
        ..healthy()
    }
}

/// A symptom that no known cause explains.
pub fn not_in_the_catalogue() -> Report {
    let mut gpu = cause(
        "gpu-throttled",
        "compute",
        "clocks are held down by power or heat",
        Status::NotExaminable,
        0.2,
    );
    gpu.missing = vec![gap("GPU clocks", "no NVML here; run on the GPU host")];
    let mut readings = healthy().readings;
    readings[0].now = Some(interval(0.5, 1.0));
    readings[0].change = Some(interval(3.6, 5.0));
    Report {
        causes: vec![gpu],
        symptoms: vec![
            symptom(
                "itl_mean_seconds",
                Severity::Warning,
                "ITL is 84 ms, before 21 ms to 24 ms (threshold 50 ms).",
            ),
            symptom("ttft_p95_seconds", Severity::Warning, "TTFT p95 is 2.5 s to 5 s."),
        ],
        readings,
        path: vec![],
        ..prefix_broken()
    }
}

/// Names, labels and errors as an attacker would choose them.
pub fn hostile() -> Report {
    let evil = format!(
        "\u{1b}[2J\u{1b}]0;owned\u{7}<img src=x onerror=alert(1)> | `rm -rf` [x](javascript:1)\n# h \
         \u{202e}\u{9b}31m @here {}日本語{}",
        "m".repeat(300),
        "❤\u{fe0f}".repeat(90)
    );
    let mut report = overloaded();
    report.target.name = evil.clone();
    report.target.models = vec![evil.clone(), evil.clone()];
    report.target.version = Some(evil.clone());
    report.target.engine = Some(evil.clone());
    report.command = evil.clone();
    for cause in &mut report.causes {
        cause.title = evil.clone();
        cause.claim = evil.clone();
        cause.decided_by = Some(evil.clone());
        cause.track_record = Some(evil.clone());
        cause.in_favour = vec![fact(&evil, &evil, &evil); 4];
        cause.against = cause.in_favour.clone();
        cause.missing = vec![gap(&evil, &evil); 3];
        for fix in &mut cause.fixes {
            fix.text = evil.clone();
            fix.command = Some(evil.clone());
            fix.effect = evil.clone();
            fix.undo = evil.clone();
        }
    }
    for symptom in &mut report.symptoms {
        symptom.statement = evil.clone();
        symptom.signal = evil.clone();
    }
    for entry in &mut report.timeline {
        entry.text = evil.clone();
        entry.at = evil.clone();
        entry.relation = evil.clone();
    }
    for step in &mut report.path {
        step.question = evil.clone();
        step.because = evil.clone();
        step.conclusion = Some(evil.clone());
    }
    for source in &mut report.sources {
        source.id = evil.clone();
        source.detail = evil.clone();
    }
    for row in &mut report.readings {
        row.signal = evil.clone();
        row.missing = Some(evil.clone());
    }
    for part in &mut report.decomposition {
        part.part = format!("{evil}{}", part.part);
    }
    let mut second = report.causes[0].clone();
    second.id = "second-root".into();
    report.causes.insert(1, second);
    report.coverage.missing = vec![gap(&evil, &evil), gap(&evil[1..], &evil)];
    report
}

/// All samples by name.
pub fn all() -> Vec<(&'static str, Report)> {
    vec![
        ("prefix broken", prefix_broken()),
        ("overloaded", overloaded()),
        ("healthy", healthy()),
        ("inconclusive", inconclusive()),
        ("not in the catalogue", not_in_the_catalogue()),
        ("hostile", hostile()),
    ]
}
