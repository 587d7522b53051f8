//! Requests as the gateway before the engine saw them: also those that never reached it.

use serde::{Deserialize, Serialize};

use super::{Span, Time};

/// Records of requests, in order of arrival.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct GatewayLog {
    /// The requests, by `at`.
    pub records: Vec<GatewayRecord>,
    /// Lines that could not be read.
    pub skipped: usize,
}

/// One request. What a record does not say is `None`, which is neither 0 nor no.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct GatewayRecord {
    /// When it arrived, or ended where the gateway notes only that; Unix seconds.
    #[serde(rename = "t")]
    pub at: Time,
    /// HTTP status, 100 to 599.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// Milliseconds until the first token.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ttft_ms: Option<f64>,
    /// Milliseconds until the end of the answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub total_ms: Option<f64>,
    /// Tokens of the prompt.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub input_tokens: Option<f64>,
    /// Tokens of the answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output_tokens: Option<f64>,
    /// The adapter asked for.
    #[serde(rename = "adapter_id", skip_serializing_if = "Option::is_none")]
    pub adapter: Option<String>,
    /// Version of the prompt template.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prompt_version: Option<String>,
    /// Why admission control refused it, where it did.
    #[serde(rename = "rejection_reason", skip_serializing_if = "Option::is_none")]
    pub rejected: Option<String>,
    /// The customer behind it.
    #[serde(rename = "tenant_id", skip_serializing_if = "Option::is_none")]
    pub tenant: Option<String>,
    /// The conversation it belongs to.
    #[serde(rename = "session_id", skip_serializing_if = "Option::is_none")]
    pub session: Option<String>,
    /// Its own id; a repeated one was sent again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
    /// Whether the client went away.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cancelled: Option<bool>,
    /// Whether the gateway gave up.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timed_out: Option<bool>,
    /// Milliseconds in the engine's queue.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub queue_wait_ms: Option<f64>,
    /// Milliseconds of generation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub generation_ms: Option<f64>,
    /// Version of the server that answered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub backend_version: Option<String>,
    /// Version of the adapter.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub adapter_version: Option<String>,
    /// Whether its prefix was found in the cache.
    #[serde(rename = "prefix_cache_hit", skip_serializing_if = "Option::is_none")]
    pub prefix_hit: Option<bool>,
    /// Whether its prompt was cut to the token budget.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trimmed: Option<bool>,
    /// Chunks that retrieval put into its prompt.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retrieved_chunks: Option<f64>,
    /// Why generation ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub finish_reason: Option<String>,
}

impl GatewayRecord {
    /// Whether the client went away, by its flag or status 499.
    pub fn was_cancelled(&self) -> Option<bool> {
        self.cancelled.or_else(|| self.status.map(|status| status == 499))
    }

    /// Whether time ran out, by its flag or status 408 or 504.
    pub fn ran_out_of_time(&self) -> Option<bool> {
        self.timed_out.or_else(|| self.status.map(|status| matches!(status, 408 | 504)))
    }

    /// Whether memory ran out while it was answered, by why generation ended.
    pub fn ran_out_of_memory(&self) -> Option<bool> {
        let reason = self.finish_reason.as_ref()?.to_lowercase();
        let word = |word: &str| matches!(word, "oom" | "outofmemory");
        Some(reason.contains("out_of_memory") || reason.split(['_', '-', ' ']).any(word))
    }

    /// Whether it ended with an error or a time-out.
    pub fn failed(&self) -> Option<bool> {
        let error = self.status.map(|status| status >= 400);
        match (error, self.timed_out) {
            (None, None) => None,
            (error, timed_out) => Some(error == Some(true) || timed_out == Some(true)),
        }
    }
}

impl GatewayLog {
    /// The records of a span.
    pub fn within(&self, span: Span) -> &[GatewayRecord] {
        let from = self.records.partition_point(|record| record.at < span.from);
        let to = self.records.partition_point(|record| record.at <= span.to);
        self.records.get(from..to).unwrap_or_default()
    }

    /// The span from the first record to the last.
    pub fn span(&self) -> Option<Span> {
        Some(Span { from: self.records.first()?.at, to: self.records.last()?.at })
    }
}

/// Names of the fields in a gateway's JSON lines; a dot leads into an object, as in `user.id`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct GatewayFields {
    /// Unix seconds or milliseconds, or RFC 3339.
    pub time: String,
    /// HTTP status.
    pub status: String,
    /// Milliseconds until the first token.
    pub ttft_ms: String,
    /// Milliseconds until the end.
    pub total_ms: String,
    /// Tokens of the prompt.
    pub input_tokens: String,
    /// Tokens of the answer.
    pub output_tokens: String,
    /// The adapter.
    pub adapter: String,
    /// Version of the prompt template.
    pub prompt_version: String,
    /// Why admission control refused the request.
    pub rejected: String,
    /// The customer.
    pub tenant: String,
    /// The conversation.
    pub session: String,
    /// The request's id.
    pub request_id: String,
    /// Whether the client went away: true or false.
    pub cancelled: String,
    /// Whether the gateway gave up: true or false.
    pub timed_out: String,
    /// Milliseconds in the engine's queue.
    pub queue_wait_ms: String,
    /// Milliseconds of generation.
    pub generation_ms: String,
    /// Version of the server that answered.
    pub backend_version: String,
    /// Version of the adapter.
    pub adapter_version: String,
    /// Whether the prefix was cached: true or false.
    pub prefix_hit: String,
    /// Whether the prompt was cut to the token budget: true or false.
    pub trimmed: String,
    /// Chunks that retrieval put into the prompt.
    pub retrieved_chunks: String,
    /// Why generation ended.
    pub finish_reason: String,
}

impl Default for GatewayFields {
    fn default() -> Self {
        Self {
            time: "t".into(),
            status: "status".into(),
            ttft_ms: "ttft_ms".into(),
            total_ms: "total_ms".into(),
            input_tokens: "input_tokens".into(),
            output_tokens: "output_tokens".into(),
            adapter: "adapter_id".into(),
            prompt_version: "prompt_version".into(),
            rejected: "rejection_reason".into(),
            tenant: "tenant_id".into(),
            session: "session_id".into(),
            request_id: "request_id".into(),
            cancelled: "cancelled".into(),
            timed_out: "timed_out".into(),
            queue_wait_ms: "queue_wait_ms".into(),
            generation_ms: "generation_ms".into(),
            backend_version: "backend_version".into(),
            adapter_version: "adapter_version".into(),
            prefix_hit: "prefix_cache_hit".into(),
            trimmed: "trimmed".into(),
            retrieved_chunks: "retrieved_chunks".into(),
            finish_reason: "finish_reason".into(),
        }
    }
}
