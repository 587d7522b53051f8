//! The registry of families: one row each, in reading order. See [`super::Family`] for the columns.

use super::{Family, Kind, Life, Name};
use crate::unit::Unit;

type Names = &'static [Name];

const fn name(name: &'static str, v0: Option<Life>, v1: Option<Life>) -> Name {
    Name { name, v0, v1, note: None }
}

const fn noted(name: Name, note: &'static str) -> Name {
    Name { note: Some(note), ..name }
}

const fn since(first: &'static str) -> Option<Life> {
    Some(Life { first, last: None, hidden_from: None })
}

const fn between(first: &'static str, last: &'static str) -> Option<Life> {
    Some(Life { first, last: Some(last), hidden_from: None })
}

const fn hidden(first: &'static str, from: &'static str, last: &'static str) -> Option<Life> {
    Some(Life { first, last: Some(last), hidden_from: Some(from) })
}

const fn gauge(id: &'static str, unit: Unit, about: &'static str, names: Names) -> Family {
    Family { id, kind: Kind::Gauge, unit, about, needs: None, python_only: false, names }
}

const fn counter(id: &'static str, unit: Unit, about: &'static str, names: Names) -> Family {
    Family { kind: Kind::Counter, ..gauge(id, unit, about, names) }
}

const fn histogram(id: &'static str, unit: Unit, about: &'static str, names: Names) -> Family {
    Family { kind: Kind::Histogram, ..gauge(id, unit, about, names) }
}

const fn summary(id: &'static str, unit: Unit, about: &'static str, names: Names) -> Family {
    Family { kind: Kind::Summary, ..gauge(id, unit, about, names) }
}

const fn info(id: &'static str, unit: Unit, about: &'static str, names: Names) -> Family {
    Family { kind: Kind::Info, ..gauge(id, unit, about, names) }
}

impl Family {
    const fn needs(self, needs: &'static str) -> Self {
        Self { needs: Some(needs), ..self }
    }

    const fn python_only(self) -> Self {
        Self { python_only: true, ..self }
    }
}

const ONE_PROCESS: &str =
    "one API-server process: not several, not V0's separate engine, not the Rust front-end";
const ONE_REQUEST: &str = "a first request to a path that is counted";

/// Every family that a diagnosis may read.
pub const FAMILIES: &[Family] = &[
    // The scheduler's queues.
    gauge(
        "running",
        Unit::Requests,
        "Requests in the running batch.",
        &[name("vllm:num_requests_running", between("0.4.0", "0.10.2"), since("0.7.1"))],
    ),
    gauge(
        "waiting",
        Unit::Requests,
        "Requests waiting to be scheduled.",
        &[noted(
            name("vllm:num_requests_waiting", between("0.4.0", "0.10.2"), since("0.7.1")),
            "Deferred requests count from 0.18.0 on.",
        )],
    ),
    gauge(
        "waiting_by_reason",
        Unit::Requests,
        "Waiting requests by reason: capacity, or deferred by something else.",
        &[name("vllm:num_requests_waiting_by_reason", None, since("0.20.0"))],
    ),
    gauge(
        "kv_fetch_by_stage",
        Unit::Requests,
        "Requests whose KV blocks are fetched from elsewhere, by stage.",
        &[name("vllm:num_requests_kv_fetch_by_stage", None, since("0.32.0"))],
    )
    .needs("a KV connector that receives")
    .python_only(),
    gauge(
        "swapped",
        Unit::Requests,
        "Requests whose KV blocks were moved to host memory.",
        &[name("vllm:num_requests_swapped", hidden("0.4.0", "0.8.3", "0.9.0.1"), None)],
    ),
    gauge(
        "engine_sleep_state",
        Unit::Flag,
        "Whether the engine is awake, or asleep and how deeply.",
        &[name("vllm:engine_sleep_state", None, since("0.11.1"))],
    )
    .python_only(),
    info(
        "lora_requests_info",
        Unit::Count,
        "Adapters with requests, in labels; the value is the time of the last update.",
        &[noted(
            name("vllm:lora_requests_info", between("0.6.4", "0.10.2"), since("0.8.0")),
            "From 0.11.1 both lists hold the same adapters.",
        )],
    )
    .needs("--enable-lora"),
    gauge(
        "prompt_throughput",
        Unit::TokensPerSecond,
        "Prompt tokens per second since the last log line.",
        &[name("vllm:avg_prompt_throughput_toks_per_s", between("0.4.0", "0.6.6.post1"), None)],
    ),
    gauge(
        "generation_throughput",
        Unit::TokensPerSecond,
        "Generated tokens per second since the last log line.",
        &[name("vllm:avg_generation_throughput_toks_per_s", between("0.4.0", "0.6.6.post1"), None)],
    ),
    gauge(
        "sleep_operations_in_flight",
        Unit::Count,
        "Sleep and wake operations under way.",
        &[name("vllm:sleep_mode_operations_in_flight", None, since("0.32.0"))],
    )
    .needs("a first sleep or wake call"),
    histogram(
        "sleep_operation_duration",
        Unit::Seconds,
        "Duration of sleep and wake operations.",
        &[name("vllm:sleep_mode_operation_duration_seconds", None, since("0.32.0"))],
    )
    .needs("a first sleep or wake call"),
    gauge(
        "weight_updates_in_flight",
        Unit::Count,
        "Weight updates of reinforcement learning under way.",
        &[name("vllm:rl_weight_update_operations_in_flight", None, since("0.32.0"))],
    )
    .needs("a first weight update"),
    histogram(
        "weight_update_duration",
        Unit::Seconds,
        "Duration of weight updates of reinforcement learning.",
        &[name("vllm:rl_weight_update_operation_duration_seconds", None, since("0.32.0"))],
    )
    .needs("a first weight update"),
    gauge(
        "websocket_connections_active",
        Unit::Count,
        "Open connections of the realtime API.",
        &[name("vllm:websocket_connections_active", None, since("0.18.0"))],
    )
    .needs("use of the realtime API"),
    // The KV cache and the prefix cache.
    gauge(
        "kv_cache_usage",
        Unit::Ratio,
        "Share of KV blocks in use; cached blocks that may be evicted count as free.",
        &[
            name("vllm:kv_cache_usage_perc", None, since("0.9.2")),
            name(
                "vllm:gpu_cache_usage_perc",
                between("0.4.0", "0.10.2"),
                hidden("0.7.1", "0.11.0", "0.11.2"),
            ),
        ],
    ),
    gauge(
        "cpu_cache_usage",
        Unit::Ratio,
        "Share of the swap space in use.",
        &[name("vllm:cpu_cache_usage_perc", hidden("0.4.0", "0.8.3", "0.9.0.1"), None)],
    ),
    gauge(
        "prefix_cache_hit_rate",
        Unit::Ratio,
        "Hit rate of the prefix cache as V0 computed it; -1 means that caching is off.",
        &[name("vllm:gpu_prefix_cache_hit_rate", hidden("0.5.5", "0.8.3", "0.9.0.1"), None)],
    ),
    gauge(
        "cpu_prefix_cache_hit_rate",
        Unit::Ratio,
        "Hit rate of the prefix cache in host memory; -1 means that caching is off.",
        &[name("vllm:cpu_prefix_cache_hit_rate", hidden("0.5.5", "0.8.3", "0.9.0.1"), None)],
    ),
    counter(
        "prefix_cache_queries",
        Unit::Tokens,
        "Tokens looked up in the prefix cache.",
        &[
            name("vllm:prefix_cache_queries_total", None, since("0.9.2")),
            noted(
                name(
                    "vllm:gpu_prefix_cache_queries_total",
                    None,
                    hidden("0.7.3", "0.11.0", "0.11.2"),
                ),
                "Counts blocks before 0.9.0 and tokens from 0.9.0 on.",
            ),
        ],
    ),
    counter(
        "prefix_cache_hits",
        Unit::Tokens,
        "Tokens found in the prefix cache.",
        &[
            noted(
                name("vllm:prefix_cache_hits_total", None, since("0.9.2")),
                "Requests resumed after preemption count before 0.11.1.",
            ),
            noted(
                name("vllm:gpu_prefix_cache_hits_total", None, hidden("0.7.3", "0.11.0", "0.11.2")),
                "Counts blocks before 0.9.0 and tokens from 0.9.0 on.",
            ),
        ],
    ),
    counter(
        "external_prefix_cache_queries",
        Unit::Tokens,
        "Tokens looked up in a cache outside the engine, through a KV connector.",
        &[name("vllm:external_prefix_cache_queries_total", None, since("0.11.1"))],
    ),
    counter(
        "external_prefix_cache_hits",
        Unit::Tokens,
        "Tokens found in a cache outside the engine.",
        &[name("vllm:external_prefix_cache_hits_total", None, since("0.11.1"))],
    ),
    counter(
        "mm_cache_queries",
        Unit::Count,
        "Items looked up in the cache of processed images and sounds.",
        &[name("vllm:mm_cache_queries_total", None, since("0.11.1"))],
    )
    .python_only(),
    counter(
        "mm_cache_hits",
        Unit::Count,
        "Items found in the cache of processed images and sounds.",
        &[name("vllm:mm_cache_hits_total", None, since("0.11.1"))],
    )
    .python_only(),
    histogram(
        "kv_block_lifetime",
        Unit::Seconds,
        "How long KV blocks live, over a sample of them.",
        &[name("vllm:kv_block_lifetime_seconds", None, since("0.12.0"))],
    )
    .needs("--kv-cache-metrics"),
    histogram(
        "kv_block_idle",
        Unit::Seconds,
        "How long KV blocks lie unused before they are evicted.",
        &[name("vllm:kv_block_idle_before_evict_seconds", None, since("0.12.0"))],
    )
    .needs("--kv-cache-metrics"),
    histogram(
        "kv_block_reuse_gap",
        Unit::Seconds,
        "Time between two uses of a KV block.",
        &[name("vllm:kv_block_reuse_gap_seconds", None, since("0.12.0"))],
    )
    .needs("--kv-cache-metrics"),
    counter(
        "preemptions",
        Unit::Count,
        "Requests thrown out of the running batch for lack of KV blocks.",
        &[noted(
            name("vllm:num_preemptions_total", between("0.4.3", "0.10.2"), since("0.8.0")),
            "V1 computes a preempted request again; V0 could swap it.",
        )],
    ),
    histogram(
        "request_preemptions",
        Unit::Count,
        "Preemptions of each finished request.",
        &[noted(
            name("vllm:request_num_preemptions", None, since("0.30.0")),
            "The first bucket, le 1, holds none and one.",
        )],
    ),
    info(
        "cache_config_info",
        Unit::Count,
        "The cache's configuration, in labels.",
        &[noted(
            name("vllm:cache_config_info", between("0.4.0", "0.10.2"), since("0.8.0")),
            "num_gpu_blocks is the sum over all engines of the server.",
        )],
    )
    .python_only(),
    counter(
        "kv_offload_load_bytes",
        Unit::Bytes,
        "KV bytes loaded back from the offloading tier.",
        &[name("vllm:kv_offload_load_bytes_total", None, since("0.24.0"))],
    )
    .needs("KV offloading")
    .python_only(),
    counter(
        "kv_offload_store_bytes",
        Unit::Bytes,
        "KV bytes stored to the offloading tier.",
        &[name("vllm:kv_offload_store_bytes_total", None, since("0.24.0"))],
    )
    .needs("KV offloading")
    .python_only(),
    counter(
        "kv_offload_total_bytes",
        Unit::Bytes,
        "KV bytes moved between tiers, both ways.",
        &[noted(
            name("vllm:kv_offload_total_bytes_total", None, since("0.16.0")),
            "Deprecated from 0.24.0 on.",
        )],
    )
    .needs("KV offloading")
    .python_only(),
    histogram(
        "kv_transfer_time",
        Unit::Seconds,
        "Time of a KV transfer between instances over NIXL.",
        &[name("vllm:nixl_xfer_time_seconds", None, since("0.11.1"))],
    )
    .needs("the NIXL connector"),
    counter(
        "kv_transfer_failures",
        Unit::Count,
        "Failed KV transfers between instances over NIXL.",
        &[name("vllm:nixl_num_failed_transfers_total", None, since("0.11.1"))],
    )
    .needs("the NIXL connector"),
    counter(
        "kv_transfer_expired",
        Unit::Count,
        "Requests whose KV blocks expired before the decoding instance fetched them.",
        &[name("vllm:nixl_num_kv_expired_reqs_total", None, since("0.15.0"))],
    )
    .needs("the NIXL connector"),
    // Tokens and requests.
    counter(
        "prompt_tokens",
        Unit::Tokens,
        "Prompt tokens, cached and transferred ones included.",
        &[name("vllm:prompt_tokens_total", between("0.4.0", "0.10.2"), since("0.7.1"))],
    ),
    counter(
        "generation_tokens",
        Unit::Tokens,
        "Generated tokens, counted at every step.",
        &[name("vllm:generation_tokens_total", between("0.4.0", "0.10.2"), since("0.7.1"))],
    ),
    counter(
        "all_tokens",
        Unit::Tokens,
        "Prompt and generated tokens together.",
        &[name("vllm:tokens_total", between("0.6.4", "0.7.3"), None)],
    ),
    counter(
        "prompt_tokens_by_source",
        Unit::Tokens,
        "Prompt tokens by origin of their KV: computed here, cached here, or transferred.",
        &[name("vllm:prompt_tokens_by_source_total", None, since("0.16.0"))],
    ),
    counter(
        "prompt_tokens_cached",
        Unit::Tokens,
        "Prompt tokens that needed no computing.",
        &[name("vllm:prompt_tokens_cached_total", None, since("0.16.0"))],
    ),
    counter(
        "prompt_tokens_cached_by_source",
        Unit::Tokens,
        "Cached prompt tokens by the tier that had them.",
        &[name("vllm:prompt_tokens_cached_by_source_total", None, since("0.32.0"))],
    ),
    counter(
        "prompt_tokens_recomputed",
        Unit::Tokens,
        "Cached prompt tokens computed again all the same.",
        &[name("vllm:prompt_tokens_recomputed_total", None, between("0.16.0", "0.19.1"))],
    ),
    counter(
        "request_success",
        Unit::Requests,
        "Finished requests by the reason they finished.",
        &[noted(
            name("vllm:request_success_total", between("0.4.2", "0.10.2"), since("0.7.2")),
            "V1's Python front-end never counts aborted requests.",
        )],
    ),
    counter(
        "admission_rejections",
        Unit::Requests,
        "Requests refused with 503 because the queue was full.",
        &[name("vllm:admission_rejections_total", None, since("0.32.0"))],
    )
    .python_only(),
    counter(
        "corrupted_requests",
        Unit::Requests,
        "Requests with NaN among their logits.",
        &[name("vllm:corrupted_requests_total", None, since("0.11.1"))],
    )
    .needs("VLLM_COMPUTE_NANS_IN_LOGITS=1"),
    counter(
        "watermark_requests",
        Unit::Requests,
        "Requests by the outcome of the queue's watermark.",
        &[name("vllm:watermark_requests_total", None, since("0.32.0"))],
    )
    .needs("a watermark configuration")
    .python_only(),
    counter(
        "tool_call_parsing",
        Unit::Count,
        "Runs of the tool-call parser by outcome.",
        &[name("vllm:tool_call_parser_invocations_total", None, since("0.24.0"))],
    )
    .needs("a first request with tools")
    .python_only(),
    counter(
        "spec_decode_drafts",
        Unit::Count,
        "Drafts proposed by speculative decoding.",
        &[name("vllm:spec_decode_num_drafts_total", None, since("0.8.5"))],
    )
    .needs("speculative decoding"),
    counter(
        "spec_decode_draft_tokens",
        Unit::Tokens,
        "Tokens proposed by speculative decoding.",
        &[name(
            "vllm:spec_decode_num_draft_tokens_total",
            between("0.5.3", "0.9.2"),
            since("0.8.3"),
        )],
    )
    .needs("speculative decoding"),
    counter(
        "spec_decode_accepted_tokens",
        Unit::Tokens,
        "Proposed tokens that were accepted.",
        &[name(
            "vllm:spec_decode_num_accepted_tokens_total",
            between("0.5.3", "0.9.2"),
            since("0.8.3"),
        )],
    )
    .needs("speculative decoding"),
    counter(
        "spec_decode_accepted_per_position",
        Unit::Tokens,
        "Accepted tokens by their position in the draft.",
        &[name("vllm:spec_decode_num_accepted_tokens_per_pos_total", None, since("0.8.5"))],
    )
    .needs("speculative decoding"),
    counter(
        "spec_decode_emitted_tokens",
        Unit::Tokens,
        "Tokens emitted by speculative decoding.",
        &[name("vllm:spec_decode_num_emitted_tokens_total", between("0.5.3", "0.9.2"), None)],
    )
    .needs("speculative decoding"),
    gauge(
        "spec_decode_acceptance_rate",
        Unit::Ratio,
        "Share of proposed tokens accepted, as V0 computed it.",
        &[name("vllm:spec_decode_draft_acceptance_rate", between("0.5.3", "0.9.2"), None)],
    )
    .needs("speculative decoding"),
    gauge(
        "spec_decode_efficiency",
        Unit::Ratio,
        "Emitted tokens over the most that the drafts could give.",
        &[name("vllm:spec_decode_efficiency", between("0.5.3", "0.9.2"), None)],
    )
    .needs("speculative decoding"),
    counter(
        "flops_per_gpu",
        Unit::Count,
        "Estimated floating-point operations per GPU.",
        &[name("vllm:estimated_flops_per_gpu_total", None, since("0.17.0"))],
    )
    .needs("--enable-mfu-metrics"),
    counter(
        "read_bytes_per_gpu",
        Unit::Bytes,
        "Estimated bytes read from memory per GPU.",
        &[name("vllm:estimated_read_bytes_per_gpu_total", None, since("0.17.0"))],
    )
    .needs("--enable-mfu-metrics"),
    counter(
        "write_bytes_per_gpu",
        Unit::Bytes,
        "Estimated bytes written to memory per GPU.",
        &[name("vllm:estimated_write_bytes_per_gpu_total", None, since("0.17.0"))],
    )
    .needs("--enable-mfu-metrics"),
    // Latencies and sizes.
    histogram(
        "ttft",
        Unit::Seconds,
        "Time from a request's arrival to its first output, queueing included.",
        &[name("vllm:time_to_first_token_seconds", between("0.4.0", "0.10.2"), since("0.7.1"))],
    ),
    histogram(
        "itl",
        Unit::Seconds,
        "Time between two streamed outputs; one output may hold several tokens.",
        &[
            name("vllm:inter_token_latency_seconds", between("0.10.2", "0.10.2"), since("0.10.2")),
            noted(
                name(
                    "vllm:time_per_output_token_seconds",
                    between("0.4.0", "0.10.2"),
                    hidden("0.7.1", "0.12.0", "0.14.1"),
                ),
                "The same quantity under its old, misleading name.",
            ),
        ],
    ),
    histogram(
        "request_tpot",
        Unit::Seconds,
        "Mean time per token after the first, of each finished request.",
        &[noted(
            name("vllm:request_time_per_output_token_seconds", None, since("0.11.0")),
            "0 for answers of one token, which draws averages down.",
        )],
    ),
    histogram(
        "e2e",
        Unit::Seconds,
        "Time from a request's arrival to its end.",
        &[name("vllm:e2e_request_latency_seconds", between("0.4.0", "0.10.2"), since("0.7.3"))],
    ),
    histogram(
        "queue_time",
        Unit::Seconds,
        "Time from first queued to first scheduled, recorded when the request ends.",
        &[
            name("vllm:request_queue_time_seconds", between("0.6.4", "0.10.2"), since("0.7.3")),
            name("vllm:time_in_queue_requests", hidden("0.6.4", "0.8.3", "0.9.0.1"), None),
        ],
    ),
    histogram(
        "prefill_time",
        Unit::Seconds,
        "Time from first scheduled to first token, recorded when the request ends.",
        &[name("vllm:request_prefill_time_seconds", between("0.6.4", "0.10.2"), since("0.7.3"))],
    ),
    histogram(
        "decode_time",
        Unit::Seconds,
        "Time from first to last token, recorded when the request ends.",
        &[name("vllm:request_decode_time_seconds", between("0.6.4", "0.10.2"), since("0.7.3"))],
    ),
    histogram(
        "inference_time",
        Unit::Seconds,
        "Time from first scheduled to last token, recorded when the request ends.",
        &[name("vllm:request_inference_time_seconds", between("0.6.4", "0.10.2"), since("0.7.3"))],
    ),
    histogram(
        "request_prompt_tokens",
        Unit::Tokens,
        "Prompt length of each finished request.",
        &[name("vllm:request_prompt_tokens", between("0.4.2", "0.10.2"), since("0.7.1"))],
    ),
    histogram(
        "request_generation_tokens",
        Unit::Tokens,
        "Answer length of each finished request.",
        &[name("vllm:request_generation_tokens", between("0.4.2", "0.10.2"), since("0.7.1"))],
    ),
    histogram(
        "request_max_generation_tokens",
        Unit::Tokens,
        "Longest answer among the samples of each finished request.",
        &[name(
            "vllm:request_max_num_generation_tokens",
            between("0.6.4", "0.10.2"),
            since("0.8.0"),
        )],
    ),
    histogram(
        "request_max_tokens",
        Unit::Tokens,
        "The max_tokens parameter of each finished request.",
        &[name("vllm:request_params_max_tokens", between("0.6.4", "0.10.2"), since("0.8.0"))],
    ),
    histogram(
        "request_n",
        Unit::Count,
        "The n parameter of each finished request.",
        &[name("vllm:request_params_n", between("0.4.2", "0.10.2"), since("0.8.0"))],
    ),
    histogram(
        "request_prefill_kv_computed",
        Unit::Tokens,
        "Prompt tokens of each finished request that had to be computed.",
        &[name("vllm:request_prefill_kv_computed_tokens", None, since("0.13.0"))],
    ),
    histogram(
        "iteration_tokens",
        Unit::Tokens,
        "Tokens in each step of the engine.",
        &[noted(
            name("vllm:iteration_tokens_total", between("0.6.4", "0.10.2"), since("0.7.3")),
            "From 0.23.0 on, only prompt tokens computed here count.",
        )],
    ),
    histogram(
        "model_forward_time",
        Unit::Seconds,
        "Time in the model's forward pass, in milliseconds on the page.",
        &[name("vllm:model_forward_time_milliseconds", hidden("0.6.4", "0.8.3", "0.9.0.1"), None)],
    )
    .needs("--collect-detailed-traces"),
    histogram(
        "model_execute_time",
        Unit::Seconds,
        "Time in the model's step, sampling included, in milliseconds on the page.",
        &[name("vllm:model_execute_time_milliseconds", hidden("0.6.4", "0.8.3", "0.9.0.1"), None)],
    )
    .needs("--collect-detailed-traces"),
    // HTTP and the server's process.
    counter(
        "http_requests",
        Unit::Requests,
        "Finished HTTP requests by path, method and class of status.",
        &[name("http_requests_total", between("0.8.3", "0.10.2"), since("0.8.5"))],
    )
    .needs(ONE_REQUEST),
    histogram(
        "http_request_duration",
        Unit::Seconds,
        "Duration of HTTP requests by path, the whole stream included.",
        &[name("http_request_duration_seconds", between("0.8.3", "0.10.2"), since("0.8.5"))],
    )
    .needs(ONE_REQUEST),
    histogram(
        "http_request_duration_highr",
        Unit::Seconds,
        "Duration of all HTTP requests together, in fine buckets.",
        &[name("http_request_duration_highr_seconds", between("0.8.3", "0.10.2"), since("0.8.5"))],
    )
    .needs(ONE_REQUEST),
    summary(
        "http_request_size",
        Unit::Bytes,
        "Size of HTTP requests by path, as their headers say.",
        &[name("http_request_size_bytes", between("0.8.3", "0.10.2"), since("0.8.5"))],
    )
    .needs(ONE_REQUEST)
    .python_only(),
    summary(
        "http_response_size",
        Unit::Bytes,
        "Size of HTTP responses by path; streams have none.",
        &[name("http_response_size_bytes", between("0.8.3", "0.10.2"), since("0.8.5"))],
    )
    .needs(ONE_REQUEST)
    .python_only(),
    gauge(
        "process_start_time",
        Unit::Seconds,
        "When the API server started, in Unix seconds.",
        &[name("process_start_time_seconds", between("0.4.0", "0.10.2"), since("0.7.1"))],
    )
    .needs(ONE_PROCESS)
    .python_only(),
    gauge(
        "process_resident_memory",
        Unit::Bytes,
        "Memory of the API server; the engine's processes are not in it.",
        &[name("process_resident_memory_bytes", between("0.4.0", "0.10.2"), since("0.7.1"))],
    )
    .needs(ONE_PROCESS)
    .python_only(),
    gauge(
        "process_virtual_memory",
        Unit::Bytes,
        "Address space of the API server.",
        &[name("process_virtual_memory_bytes", between("0.4.0", "0.10.2"), since("0.7.1"))],
    )
    .needs(ONE_PROCESS)
    .python_only(),
    counter(
        "process_cpu",
        Unit::Seconds,
        "CPU time of the API server.",
        &[name("process_cpu_seconds_total", between("0.4.0", "0.10.2"), since("0.7.1"))],
    )
    .needs(ONE_PROCESS)
    .python_only(),
    gauge(
        "process_open_fds",
        Unit::Count,
        "Open files and sockets of the API server.",
        &[name("process_open_fds", between("0.4.0", "0.10.2"), since("0.7.1"))],
    )
    .needs(ONE_PROCESS)
    .python_only(),
    gauge(
        "process_max_fds",
        Unit::Count,
        "The most files and sockets that the API server may open.",
        &[name("process_max_fds", between("0.4.0", "0.10.2"), since("0.7.1"))],
    )
    .needs(ONE_PROCESS)
    .python_only(),
];
