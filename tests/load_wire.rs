//! What a load test puts on the wire, and what it makes of servers that answer badly.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

#[path = "support/cli.rs"]
#[allow(dead_code)]
mod cli;
#[path = "support/loading.rs"]
mod loading;
#[path = "support/openai/mod.rs"]
mod openai;

use std::fs;
use std::time::Duration;

use diagnose::evidence::exchange::Outcome;
use diagnose::load::result::{GateAnswer, LoadResult, Measured, Since, Verdict};
use loading::{command, latency, limits, load, row};
use openai::{Behaviour, Fault, Server, Tls};

const KEY: &str = "sk-secret-0123456789";

/// Seconds between the first request and each, as the server saw them.
fn seen(server: &Server) -> Vec<f64> {
    let asked = server.asked.lock().unwrap();
    asked.iter().map(|it| (it.at - asked[0].at).as_secs_f64()).collect()
}

/// The median distance between two lists of times.
#[track_caller]
fn apart(a: &[f64], b: &[f64]) -> f64 {
    assert_eq!(a.len(), b.len());
    let mut all: Vec<f64> = a.iter().zip(b).map(|(a, b)| (a - b).abs()).collect();
    all.sort_by(f64::total_cmp);
    all[all.len() / 2]
}

#[test]
fn a_server_behind_tls_is_measured_once_its_authority_is_trusted() {
    let tls = Tls::new();
    let gap = Duration::from_millis(50);
    let how = Behaviour { tls: Some(tls.clone()), gap, tokens: 11, ..Behaviour::default() };
    let server = Server::start(how);
    let own = limits();
    let (right, wrong) = (own.path().join("right.pem"), own.path().join("wrong.pem"));
    fs::write(&right, &tls.authority).unwrap();
    fs::write(&wrong, Tls::new().authority).unwrap();
    let flags = "--rate 50 --requests 60 --warmup 0s";
    for more in ["", " --model m", &format!(" --ca {}", wrong.display())] {
        let ran =
            cli::finish(&mut command(&server, "baseline", &format!("{flags}{more}"), own.path()));
        ran.assert_code(3);
        ran.assert_says("--ca FILE");
        assert_eq!(ran.stdout, "", "no result");
    }
    assert!(server.asked.lock().unwrap().is_empty(), "nothing was sent");
    let flags = format!("{flags} --ca {}", right.display());
    let mut command = command(&server, "baseline", &flags, own.path());
    let ran = cli::finish(command.env("DIAGNOSE_API_KEY", KEY));
    assert!(!ran.said().contains(KEY), "the key came through");
    let result: LoadResult = serde_json::from_value(ran.json()).unwrap();
    assert_eq!((result.counts.ok, result.counts.failed), (60, 0), "{}", result.statement);
    // Never before it was written, and, however busy this machine is, long before the last one: half
    // a second lies between the two.
    assert!(result.records.iter().all(|it| it.ttft.unwrap() >= 0.0195 && it.chunks == 11));
    let (ttft, total) = (Measured::Ttft, Measured::Total);
    let median = |of| latency(&result, of, Since::Sent).p50;
    assert!(median(total) - median(ttft) > 0.25, "{:?}", result.latency);
    assert!(result.first_token.unwrap().server_n >= 60.0, "the pages came through TLS too");
    let asked = server.asked.lock().unwrap();
    let login = format!("Bearer {KEY}");
    assert!(asked.iter().all(|it| it.login.as_deref() == Some(&login)), "{:?}", asked[0]);
}

#[test]
fn a_scenario_of_completions_sends_prompts_and_times_them() {
    let server = Server::start(Behaviour::default());
    let own = limits();
    let chat = include_str!("../runbooks/load/baseline.yaml");
    let plain = chat.replace("id: baseline", "id: plain\napi: completions");
    fs::write(own.path().join("load/plain.yaml"), plain).unwrap();
    let flags = "--rate 50 --requests 40 --warmup 0s";
    let ran = cli::finish(&mut command(&server, "plain", flags, own.path()));
    let result: LoadResult = serde_json::from_value(ran.json()).unwrap();
    assert_eq!((result.scenario.api.as_str(), result.counts.ok), ("completions", 40));
    for it in &result.records {
        assert_eq!((it.output_tokens, it.chunks, it.counted), (Some(5), 5, false));
        assert!(it.ttft.unwrap() >= 0.0195 && it.prompt_tokens > Some(60), "{it:?}");
    }
    assert!(server.asked.lock().unwrap().iter().all(|it| it.path == "/v1/completions"));
    let bodies = server.bodies.lock().unwrap();
    assert!(bodies.iter().all(|it| it["prompt"].is_string() && it.get("messages").is_none()));
}

#[test]
fn poisson_arrivals_come_by_chance_and_the_same_again_with_their_seed() {
    let run = |seed: u64| {
        let server = Server::start(Behaviour::default());
        let flags = format!(
            "--arrivals poisson --seed {seed} --rate 40 --requests 300 --duration 30s --warmup 0s \
             --concurrency 400 --no-early-stop"
        );
        let (_, result) = load(&server, "baseline", &flags);
        assert_eq!((result.scenario.arrivals.as_str(), result.counts.sent), ("poisson", 300));
        let intended: Vec<f64> = result.records.iter().map(|it| it.intended).collect();
        (intended, seen(&server))
    };
    let ((planned, first), (again, second), (other, _)) = (run(7), run(7), run(8));
    assert_eq!(planned, again);
    let from_first: Vec<f64> = planned.iter().map(|at| at - planned[0]).collect();
    let even: Vec<f64> = (0..300).map(|index| f64::from(index) * 0.025).collect();
    for wrong in [other, even] {
        assert!(apart(&wrong, &from_first) > 0.1, "{}", apart(&wrong, &from_first));
    }
    for seen in [first, second] {
        assert!(apart(&seen, &from_first) < 0.1, "{}", apart(&seen, &from_first));
    }
    let gaps: Vec<f64> = planned.windows(2).map(|it| it[1] - it[0]).collect();
    let mean = gaps.iter().sum::<f64>() / gaps.len() as f64;
    let variance = gaps.iter().map(|it| (it - mean).powi(2)).sum::<f64>() / gaps.len() as f64;
    let varies = variance.sqrt() / mean;
    assert!((0.022..0.028).contains(&mean), "mean gap {mean} s");
    assert!((0.85..1.15).contains(&varies), "coefficient of variation {varies}");
    let short = gaps.iter().filter(|gap| **gap < mean / 2.0).count() as f64 / gaps.len() as f64;
    assert!((0.3..0.48).contains(&short), "{short} of the gaps are under half the mean, not 39 %");
}

/// The fault of each request, what it is told as, and words of its example.
type Failing = (fn(usize) -> Fault, Outcome, &'static str);

#[test]
fn a_server_that_only_fails_never_passes_and_is_told_how() {
    let cases: [Failing; 5] = [
        (|_| Fault::Status(500), Outcome::ServerStatus, "status 500"),
        (|_| Fault::Status(503), Outcome::ServerStatus, "status 503"),
        (|_| Fault::Cut, Outcome::Reset, "ended before the answer did"),
        (|_| Fault::Reset, Outcome::Reset, ""),
        (|_| Fault::Hang, Outcome::Timeout, "no whole answer in 1 s"),
    ];
    for (fault, outcome, words) in cases {
        let server = Server::start(Behaviour { fault, ..Behaviour::default() });
        let flags = "--rate 40 --requests 40 --warmup 0s --concurrency 90 --request-timeout 1s";
        let (code, result) = load(&server, "baseline", flags);
        assert_eq!((code, result.verdict), (1, Verdict::Failed), "{}", result.statement);
        assert_eq!((result.counts.ok, result.counts.failed), (0, 40), "{:?}", result.errors);
        assert_eq!(result.errors.len(), 1, "{:?}", result.errors);
        let told = &result.errors[0];
        assert_eq!((told.outcome, told.count), (outcome, 40), "{told:?}");
        assert!(told.example.as_deref().unwrap_or("").contains(words), "{told:?}");
        assert_eq!(row(&result, "error_rate").answer, GateAnswer::Fail);
        for id in ["ttft_p50", "total_p99"] {
            let answer = row(&result, id);
            assert!(answer.value.is_none() && answer.answer != GateAnswer::Pass, "{answer:?}");
        }
    }
}

#[test]
fn a_trace_is_sent_when_it_was_and_to_the_adapters_that_it_names() {
    let own = limits();
    let trace = own.path().join("gateway.jsonl");
    let (mut lines, mut times, mut at) = (String::new(), Vec::new(), 0.0);
    for index in 0..60 {
        let adapter = ["a", "b", "m"][index * 7 % 3];
        lines += &format!(
            "{{\"t\": {}, \"adapter_id\": \"{adapter}\", \"input_tokens\": 20, \"output_tokens\": 3}}\n",
            1_764_000_000.0 + at
        );
        times.push(at / 2.0);
        at += [0.01, 0.2, 0.02, 0.05][index % 4];
    }
    fs::write(&trace, lines).unwrap();
    let server = Server::start(Behaviour {
        adapters: ["a", "b"].map(Into::into).into(),
        ..Behaviour::default()
    });
    let flags = format!("--trace {} --speed 2 --concurrency 90", trace.display());
    let (_, result) = load(&server, "baseline", &flags);
    assert_eq!((result.counts.ok, result.scenario.arrivals.as_str()), (60, "trace"));
    assert!(apart(&seen(&server), &times) < 0.15, "{}", apart(&seen(&server), &times));
    let bodies = server.bodies.lock().unwrap();
    let models: Vec<&str> = bodies.iter().filter_map(|it| it["model"].as_str()).collect();
    let count = |name: &str| models.iter().filter(|model| **model == name).count();
    assert_eq!((count("a"), count("b"), count("m")), (20, 20, 20));
    assert!(bodies.iter().all(|it| it["max_tokens"] == 3));
}

#[test]
fn an_access_log_of_a_proxy_is_a_trace_too() {
    let own = limits();
    let log = own.path().join("access.log");
    let line = |second: u32| {
        format!(
            "10.0.0.1 - - [22/Nov/2026:12:00:{second:02} +0000] \"POST /v1/chat/completions HTTP/1.1\" \
             200 512 \"-\" \"client\"\n"
        )
    };
    fs::write(&log, [0, 0, 2, 4].map(line).concat()).unwrap();
    let server = Server::start(Behaviour::default());
    let (_, result) = load(&server, "baseline", &format!("--trace {} --speed 8", log.display()));
    let intended: Vec<f64> = result.records.iter().map(|it| it.intended).collect();
    assert_eq!((intended, result.counts.ok), (vec![0.0, 0.0, 0.25, 0.5], 4));
    assert!(seen(&server)[3] > Duration::from_millis(480).as_secs_f64());
}
