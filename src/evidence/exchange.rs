//! Requests to an OpenAI-compatible server as their sender saw them.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One request of a load test. Times are seconds; offsets count from the start of the test, spans
/// from the moment the request was really sent. What is not known is absent, and never 0.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Exchange {
    /// Offset at which the request should have been sent.
    pub intended: f64,
    /// Offset at which it was sent; absent where it never was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sent: Option<f64>,
    /// Seconds that it waited for a free slot, where it had to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slot_wait: Option<f64>,
    /// Span until the first token came.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ttft: Option<f64>,
    /// Span until the last token came.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_token: Option<f64>,
    /// Span until the answer had ended, well or not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub total: Option<f64>,
    /// Tokens of the prompt, by the server's own count.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prompt_tokens: Option<u64>,
    /// Tokens of the prompt that came from the prefix cache, by the server's own count.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cached_tokens: Option<u64>,
    /// Tokens of the answer: the server's own count where it gave one, else the chunks with text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output_tokens: Option<u64>,
    /// Whether `output_tokens` are chunks that were counted, as the server gave no usage.
    #[serde(default, skip_serializing_if = "is_false")]
    pub counted: bool,
    /// Chunks with text.
    #[serde(default)]
    pub chunks: u32,
    /// How it ended.
    pub outcome: Outcome,
    /// HTTP status, where one came.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// Why the server ended the answer, e.g. `stop` or `length`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finish: Option<String>,
    /// Model or adapter, as an index into the list of models beside the records.
    #[serde(default)]
    pub model: u32,
    /// Kind of request, as an index into the mix beside the records.
    #[serde(default)]
    pub kind: u32,
    /// Turn of its conversation, from 1.
    #[serde(default)]
    pub turn: u32,
    /// Whether it belongs to the warm-up, which is not judged.
    #[serde(default, skip_serializing_if = "is_false")]
    pub warmup: bool,
}

/// A request that is to be sent.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Order {
    /// Where it goes, e.g. `/v1/chat/completions`.
    pub path: &'static str,
    /// The body, JSON.
    pub body: Vec<u8>,
    /// As in [`Exchange`].
    pub model: u32,
    /// As in [`Exchange`].
    pub kind: u32,
    /// As in [`Exchange`].
    pub turn: u32,
    /// The conversation that waits for the answer's text.
    pub conversation: Option<u64>,
}

fn is_false(flag: &bool) -> bool {
    !flag
}

/// How a request ended.
#[derive(
    Debug,
    Clone,
    Copy,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// The whole answer came.
    Ok,
    /// No connection could be made.
    Connect,
    /// The answer did not end in time.
    Timeout,
    /// The server refused it, with a status from 400 to 499 or another that is no success.
    Refused,
    /// The server failed, with a status from 500 to 599.
    ServerStatus,
    /// The connection broke before the answer had ended.
    Reset,
    /// The answer was no stream of events as it should be.
    BadStream,
    /// The server sent an error inside the stream.
    ServerError,
    /// The answer ended well and held no token.
    NoToken,
    /// The client itself could not send it, e.g. without a free file descriptor.
    Client,
    /// The test ended before the answer did: neither well nor failed.
    #[default]
    Cut,
}

impl Outcome {
    /// All of them, from good to bad.
    pub const ALL: [Self; 11] = [
        Self::Ok,
        Self::Connect,
        Self::Timeout,
        Self::Refused,
        Self::ServerStatus,
        Self::Reset,
        Self::BadStream,
        Self::ServerError,
        Self::NoToken,
        Self::Client,
        Self::Cut,
    ];

    /// Whether the server, or the way to it, failed the request.
    pub fn failed(self) -> bool {
        !matches!(self, Self::Ok | Self::Client | Self::Cut)
    }

    /// What happened, for people.
    pub fn words(self) -> &'static str {
        match self {
            Self::Ok => "answered",
            Self::Connect => "no connection",
            Self::Timeout => "timed out",
            Self::Refused => "refused (4xx)",
            Self::ServerStatus => "server error (5xx)",
            Self::Reset => "connection broke",
            Self::BadStream => "no event stream",
            Self::ServerError => "error in the stream",
            Self::NoToken => "no token",
            Self::Client => "client failed",
            Self::Cut => "cut off by the end of the test",
        }
    }
}

impl Exchange {
    /// Seconds that it was sent later than it should have been.
    pub fn late(&self) -> Option<f64> {
        self.sent.map(|sent| (sent - self.intended).max(0.0))
    }

    /// Seconds of those that the client itself is to blame for.
    pub fn send_late(&self) -> Option<f64> {
        Some((self.late()? - self.slot_wait.unwrap_or(0.0)).max(0.0))
    }

    /// Seconds to the first token from when the request should have been sent.
    pub fn ttft_intended(&self) -> Option<f64> {
        Some(self.ttft? + self.late()?)
    }

    /// Seconds to the end of the answer from when the request should have been sent.
    pub fn total_intended(&self) -> Option<f64> {
        Some(self.total? + self.late()?)
    }

    /// Mean seconds for each token after the first; takes two tokens.
    pub fn tpot(&self) -> Option<f64> {
        let after_first = self.output_tokens?.checked_sub(1).filter(|&count| count > 0)?;
        Some((self.last_token? - self.ttft?).max(0.0) / after_first as f64)
    }
}
