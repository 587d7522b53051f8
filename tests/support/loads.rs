//! Results of load tests as a server of known speed would give them.

use diagnose::{
    evidence::exchange::{Exchange, Outcome},
    load::result::{ClientCheck, Counts, LoadResult, Throughput, Used, Verdict},
    report::Tool,
    stats::{bootstrap::Random, student::normal_quantile},
};

/// A server under test.
#[derive(Debug, Clone)]
pub struct Server {
    pub version: &'static str,
    /// Median seconds to the first token.
    pub ttft: f64,
    /// Seconds for each further token.
    pub gap: f64,
    /// Share of the requests that fail.
    pub failing: f64,
    /// Mean tokens of a prompt.
    pub prompt: f64,
    pub fingerprint: &'static str,
    pub requests: usize,
}

impl Default for Server {
    fn default() -> Self {
        Self {
            version: "0.22.0",
            ttft: 0.1,
            gap: 0.02,
            failing: 0.0,
            prompt: 500.0,
            fingerprint: "same",
            requests: 1200,
        }
    }
}

/// Seconds between two requests.
const EVERY: f64 = 0.25;

/// The result of a test with equal seeds giving equal results.
pub fn result(server: &Server, seed: u64) -> LoadResult {
    let mut random = Random::new(seed);
    let mut spread = |sigma: f64| {
        let uniform = ((random.bits() >> 11) as f64 / (1_u64 << 53) as f64).clamp(1e-9, 1.0 - 1e-9);
        (uniform, (sigma * normal_quantile(uniform)).exp())
    };
    let records: Vec<Exchange> = (0..server.requests)
        .map(|index| {
            let ttft = server.ttft * spread(0.4).1;
            let tokens = (60.0 * spread(0.3).1).round().max(2.0);
            let last = ttft + (tokens - 1.0) * server.gap * spread(0.1).1;
            let failed = spread(1.0).0 < server.failing;
            Exchange {
                intended: index as f64 * EVERY,
                sent: Some(index as f64 * EVERY),
                ttft: (!failed).then_some(ttft),
                last_token: (!failed).then_some(last),
                total: Some(last),
                prompt_tokens: Some((server.prompt * spread(0.2).1) as u64),
                cached_tokens: Some((server.prompt * 0.5) as u64),
                output_tokens: (!failed).then_some(tokens as u64),
                outcome: if failed { Outcome::ServerStatus } else { Outcome::Ok },
                warmup: index < 40,
                ..Exchange::default()
            }
        })
        .collect();
    whole(server, seed, records)
}

fn whole(server: &Server, seed: u64, records: Vec<Exchange>) -> LoadResult {
    let judged = records.iter().filter(|it| !it.warmup).count() as u64;
    let failed = records.iter().filter(|it| !it.warmup && it.outcome.failed()).count() as u64;
    let seconds = server.requests as f64 * EVERY;
    LoadResult {
        schema_version: 1,
        command: "load".into(),
        tool: Tool { name: "diagnose".into(), version: "0.1.0".into() },
        target: "http://10.0.0.7:8000".into(),
        server_version: Some(server.version.into()),
        scenario: Used {
            id: "baseline".into(),
            title: "Usual traffic".into(),
            seed,
            api: "chat".into(),
            arrivals: "poisson".into(),
            rate: Some(1.0 / EVERY),
            duration: seconds,
            warmup: 40.0 * EVERY,
            concurrency: 20,
            most_requests: None,
            timeout: 60.0,
            models: vec!["m".into()],
            mix: Vec::new(),
            fingerprint: server.fingerprint.into(),
        },
        started: "2026-11-22T10:00:00Z".into(),
        ended: "2026-11-22T10:05:00Z".into(),
        seconds,
        verdict: Verdict::Passed,
        statement: "All objectives are met.".into(),
        cut_short: None,
        client: ClientCheck { valid: true, rows: Vec::new() },
        counts: Counts { judged, failed, ok: judged - failed, ..Counts::default() },
        errors: Vec::new(),
        latency: Vec::new(),
        throughput: Throughput { seconds, due_per_second: 1.0 / EVERY, ..Throughput::default() },
        gate: Vec::new(),
        slices: Vec::new(),
        trends: Vec::new(),
        bottlenecks: Vec::new(),
        first_token: None,
        why: Vec::new(),
        without_evidence: None,
        report: None,
        records,
        records_cut: 0,
    }
}
