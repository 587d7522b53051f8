//! `/metrics` as vLLM 0.23.0 writes it, as far as a load test looks at it. The server has run for an
//! hour at one request a second before.

use std::fmt::Write;
use std::time::{SystemTime, UNIX_EPOCH};

const LABELS: &str = "engine=\"0\",model_name=\"m\"";
const BOUNDS: &[f64] = &[0.01, 0.02, 0.04, 0.08, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 10.0];
const COARSE: &[f64] = &[0.3, 0.5, 0.8, 1.0, 1.5, 2.0, 2.5, 5.0, 10.0, 60.0];
const TOKENS: &[f64] = &[1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1000.0, 2000.0];

/// Requests of the hour before.
const HOUR: f64 = 3600.0;

pub struct Hist {
    bounds: &'static [f64],
    counts: Vec<f64>,
    sum: f64,
}

impl Hist {
    fn add(&mut self, value: f64, times: f64) {
        self.counts[self.bounds.partition_point(|bound| *bound < value)] += times;
        self.sum += value * times;
    }

    fn write(&self, name: &str, out: &mut String) {
        _ = writeln!(out, "# TYPE vllm:{name} histogram");
        let mut below = 0.0;
        for (index, count) in self.counts.iter().enumerate() {
            below += count;
            let le = self.bounds.get(index).map_or("+Inf".into(), |bound| format!("{bound:?}"));
            _ = writeln!(
                out,
                "vllm:{name}_bucket{{engine=\"0\",le=\"{le}\",model_name=\"m\"}} {below:?}"
            );
        }
        _ = writeln!(out, "vllm:{name}_count{{{LABELS}}} {below:?}");
        _ = writeln!(out, "vllm:{name}_sum{{{LABELS}}} {:?}", self.sum);
    }
}

pub struct Tally {
    pub running: f64,
    pub waiting: f64,
    started: f64,
    before: f64,
    queries: f64,
    hits: f64,
    generated: f64,
    finished: f64,
    hists: Vec<(&'static str, Hist)>,
}

impl Tally {
    /// A server that has run for an hour.
    pub fn new() -> Self {
        Self::after(HOUR)
    }

    /// A server that has answered so many requests, one each second.
    pub fn after(before: f64) -> Self {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs_f64();
        let hist = |name, bounds: &'static [f64], usual| {
            let mut it = Hist { bounds, counts: vec![0.0; bounds.len() + 1], sum: 0.0 };
            it.add(usual, before);
            (name, it)
        };
        Self {
            running: 0.0,
            waiting: 0.0,
            started: now - before,
            before,
            queries: before * 50.0,
            hits: before * 40.0,
            generated: before * 5.0,
            finished: before,
            hists: vec![
                hist("time_to_first_token_seconds", BOUNDS, 0.02),
                hist("e2e_request_latency_seconds", COARSE, 0.03),
                hist("request_queue_time_seconds", COARSE, 0.0),
                hist("request_prefill_time_seconds", COARSE, 0.02),
                hist("request_decode_time_seconds", COARSE, 0.01),
                hist("request_inference_time_seconds", COARSE, 0.03),
                hist("inter_token_latency_seconds", BOUNDS, 0.002),
                hist("request_prompt_tokens", TOKENS, 50.0),
                hist("request_generation_tokens", TOKENS, 5.0),
                hist("request_prefill_kv_computed_tokens", TOKENS, 10.0),
            ],
        }
    }

    pub fn done(
        &mut self,
        queued: f64,
        ttft: f64,
        total: f64,
        (prompt, cached, tokens): (usize, usize, usize),
    ) {
        self.finished += 1.0;
        self.queries += prompt as f64;
        self.hits += cached as f64;
        self.generated += tokens as f64;
        let decode = total - ttft;
        let values = [
            ttft,
            total,
            queued,
            ttft - queued,
            decode,
            total - queued,
            decode / tokens.max(1) as f64,
            prompt as f64,
            tokens as f64,
            (prompt - cached) as f64,
        ];
        for ((_, hist), value) in self.hists.iter_mut().zip(values) {
            hist.add(value, 1.0);
        }
    }

    pub fn page(&self, slots: f64, leak: f64) -> String {
        let kept = leak * (self.finished - self.before);
        let mut out = String::new();
        let scalars = [
            ("num_requests_running", "gauge", self.running),
            ("num_requests_waiting", "gauge", self.waiting),
            ("kv_cache_usage_perc", "gauge", (self.running / slots * 0.5 + kept).min(1.0)),
            ("prefix_cache_queries_total", "counter", self.queries),
            ("prefix_cache_hits_total", "counter", self.hits),
            ("prompt_tokens_total", "counter", self.queries),
            ("generation_tokens_total", "counter", self.generated),
            ("num_preemptions_total", "counter", 0.0),
        ];
        for (name, kind, value) in scalars {
            _ = writeln!(out, "# TYPE vllm:{name} {kind}\nvllm:{name}{{{LABELS}}} {value:?}");
        }
        _ = writeln!(out, "# TYPE vllm:request_success_total counter");
        _ = writeln!(
            out,
            "vllm:request_success_total{{engine=\"0\",finished_reason=\"length\",model_name=\"m\"}} {:?}",
            self.finished
        );
        self.hists.iter().for_each(|(name, hist)| hist.write(name, &mut out));
        _ = writeln!(out, "# TYPE process_start_time_seconds gauge");
        _ = writeln!(out, "process_start_time_seconds {:?}", self.started);
        out
    }
}

impl Default for Tally {
    fn default() -> Self {
        Self::new()
    }
}
