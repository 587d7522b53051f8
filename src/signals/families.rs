//! stub
use crate::evidence::SeriesSet;
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Engine {
    V0,
    V1,
}
impl Engine {
    pub fn parse(s: &str) -> Option<Self> {
        match s {
            "V0" => Some(Self::V0),
            "V1" => Some(Self::V1),
            _ => None,
        }
    }
}
const T: &[(&str, &str)] = &[
    ("kv_cache_usage", "vllm:kv_cache_usage_perc"),
    ("prefix_cache_queries", "vllm:prefix_cache_queries_total"),
    ("prefix_cache_hits", "vllm:prefix_cache_hits_total"),
    ("running", "vllm:num_requests_running"),
    ("waiting", "vllm:num_requests_waiting"),
    ("waiting_by_reason", "vllm:num_requests_waiting_by_reason"),
    ("ttft", "vllm:time_to_first_token_seconds"),
    ("itl", "vllm:inter_token_latency_seconds"),
    ("tpot", "vllm:request_time_per_output_token_seconds"),
    ("e2e", "vllm:e2e_request_latency_seconds"),
    ("queue_time", "vllm:request_queue_time_seconds"),
    ("prefill_time", "vllm:request_prefill_time_seconds"),
    ("decode_time", "vllm:request_decode_time_seconds"),
    ("inference_time", "vllm:request_inference_time_seconds"),
    ("prompt_tokens", "vllm:prompt_tokens_total"),
    ("generation_tokens", "vllm:generation_tokens_total"),
    ("prompt_tokens_by_source", "vllm:prompt_tokens_by_source_total"),
    ("prompt_tokens_cached", "vllm:prompt_tokens_cached_total"),
    ("request_success", "vllm:request_success_total"),
    ("preemptions", "vllm:num_preemptions_total"),
    ("request_prompt_tokens", "vllm:request_prompt_tokens"),
    ("request_generation_tokens", "vllm:request_generation_tokens"),
    ("request_max_tokens", "vllm:request_params_max_tokens"),
    ("request_prefill_kv_computed", "vllm:request_prefill_kv_computed_tokens"),
    ("iteration_tokens", "vllm:iteration_tokens_total"),
    ("cache_config_info", "vllm:cache_config_info"),
    ("http_requests", "http_requests_total"),
    ("http_response_size", "http_response_size_bytes"),
    ("process_start_time", "process_start_time_seconds"),
];
pub fn exported(id: &str, set: &SeriesSet) -> Option<&'static str> {
    T.iter().find(|(i, n)| *i == id && (set.has(n) || set.has(&format!("{n}_count")))).map(|x| x.1)
}
pub fn why_absent(id: &str, _v: Option<&str>, _e: Option<Engine>) -> String {
    format!("no {id}")
}
