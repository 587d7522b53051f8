//! What an engine and its front-end count, as vLLM counts it.

use std::collections::{BTreeMap, BTreeSet};

/// A histogram with cumulative buckets to be.
#[derive(Debug, Clone, Default)]
pub struct Hist {
    pub bounds: &'static [f64],
    /// One more than bounds: the last is beyond all of them.
    pub counts: Vec<f64>,
    pub sum: f64,
    pub count: f64,
}

impl Hist {
    pub fn new(bounds: &'static [f64]) -> Self {
        Self { bounds, counts: vec![0.0; bounds.len() + 1], sum: 0.0, count: 0.0 }
    }

    pub fn add(&mut self, value: f64) {
        self.add_many(value, 1.0);
    }

    /// The same value seen `n` times.
    pub fn add_many(&mut self, value: f64, n: f64) {
        let slot = self.bounds.partition_point(|bound| *bound < value);
        self.counts[slot] += n;
        self.sum += value * n;
        self.count += n;
    }
}

pub const TTFT: &[f64] = &[
    0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0,
    20.0, 40.0, 80.0, 160.0, 640.0, 2560.0,
];
pub const ITL: &[f64] = &[
    0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0, 20.0,
    40.0, 80.0,
];
pub const LATENCY: &[f64] = &[
    0.3, 0.5, 0.8, 1.0, 1.5, 2.0, 2.5, 5.0, 10.0, 15.0, 20.0, 30.0, 40.0, 50.0, 60.0, 120.0, 240.0,
    480.0, 960.0, 1920.0, 7680.0,
];
pub const STEP: &[f64] =
    &[1.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0, 1024.0, 2048.0, 4096.0, 8192.0, 16384.0];
pub const TIMES: &[f64] = &[1.0, 2.0, 3.0, 4.0, 5.0, 10.0, 20.0];
pub const PARAM_N: &[f64] = &[1.0, 2.0, 5.0, 10.0, 20.0];
pub const HTTP: &[f64] = &[0.1, 0.5, 1.0];
pub const HTTP_FINE: &[f64] = &[
    0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 1.5, 2.0, 2.5, 3.0, 3.5, 4.0, 4.5, 5.0,
    7.5, 10.0, 30.0, 60.0,
];
const TOKENS: &[f64] = &[
    1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1000.0, 2000.0, 5000.0, 10000.0, 20000.0,
    50000.0, 100_000.0,
];

/// The 1-2-5 series up to the longest context.
pub fn token_bounds(max_model_len: u32) -> &'static [f64] {
    let n = TOKENS.partition_point(|bound| *bound <= f64::from(max_model_len));
    &TOKENS[..n]
}

/// Counters, gauges and histograms of one engine.
#[derive(Debug, Clone)]
pub struct Stats {
    pub running: f64,
    pub waiting: f64,
    /// Of those that wait: they could not run if there were room.
    pub deferred: f64,
    pub kv_usage: f64,
    pub queries: f64,
    pub hits: f64,
    pub query_blocks: f64,
    pub hit_blocks: f64,
    pub preemptions: f64,
    pub prompt_tokens: f64,
    pub cached_tokens: f64,
    pub generation_tokens: f64,
    pub stop: f64,
    pub length: f64,
    pub drafts: f64,
    pub draft_tokens: f64,
    /// Accepted drafted tokens by their place in the draft.
    pub accepted: Vec<f64>,
    /// Adapters that ran and that waited, and when they last did so.
    pub adapters: BTreeMap<(BTreeSet<usize>, BTreeSet<usize>), f64>,
    /// Histograms by the exported name without `vllm:`.
    pub hists: BTreeMap<&'static str, Hist>,
}

impl Stats {
    pub fn new(max_model_len: u32) -> Self {
        let tokens = token_bounds(max_model_len);
        let hists = [
            ("request_prompt_tokens", tokens),
            ("request_generation_tokens", tokens),
            ("request_max_num_generation_tokens", tokens),
            ("request_params_max_tokens", tokens),
            ("request_prefill_kv_computed_tokens", tokens),
            ("request_params_n", PARAM_N),
            ("iteration_tokens_total", STEP),
            ("time_to_first_token_seconds", TTFT),
            ("inter_token_latency_seconds", ITL),
            ("request_time_per_output_token_seconds", ITL),
            ("e2e_request_latency_seconds", LATENCY),
            ("request_queue_time_seconds", LATENCY),
            ("request_inference_time_seconds", LATENCY),
            ("request_prefill_time_seconds", LATENCY),
            ("request_decode_time_seconds", LATENCY),
            ("request_num_preemptions", TIMES),
        ];
        Self {
            running: 0.0,
            waiting: 0.0,
            deferred: 0.0,
            kv_usage: 0.0,
            queries: 0.0,
            hits: 0.0,
            query_blocks: 0.0,
            hit_blocks: 0.0,
            preemptions: 0.0,
            prompt_tokens: 0.0,
            cached_tokens: 0.0,
            generation_tokens: 0.0,
            stop: 0.0,
            length: 0.0,
            drafts: 0.0,
            draft_tokens: 0.0,
            accepted: Vec::new(),
            adapters: BTreeMap::new(),
            hists: hists.map(|(name, bounds)| (name, Hist::new(bounds))).into(),
        }
    }

    /// Counts one draft of which so many tokens held.
    pub fn drafted(&mut self, tokens: u32, held: u32) {
        self.drafts += 1.0;
        self.draft_tokens += f64::from(tokens);
        self.accepted.resize(tokens as usize, 0.0);
        self.accepted.iter_mut().take(held as usize).for_each(|place| *place += 1.0);
    }

    pub fn hist(&mut self, name: &str) -> &mut Hist {
        self.hists.get_mut(name).expect("a histogram that was declared")
    }
}

/// What the HTTP layer counts.
#[derive(Debug, Clone)]
pub struct Http {
    /// Finished POST requests by class of status; a class shows once it was seen.
    pub posts: BTreeMap<&'static str, f64>,
    pub duration: Hist,
    pub duration_fine: Hist,
}

impl Default for Http {
    fn default() -> Self {
        Self {
            posts: BTreeMap::new(),
            duration: Hist::new(HTTP),
            duration_fine: Hist::new(HTTP_FINE),
        }
    }
}

impl Http {
    pub fn ended(&mut self, status: u16, seconds: f64) {
        let class = match status {
            200..=299 => "2xx",
            400..=499 => "4xx",
            _ => "5xx",
        };
        *self.posts.entry(class).or_default() += 1.0;
        self.duration.add(seconds);
        self.duration_fine.add(seconds);
    }
}
