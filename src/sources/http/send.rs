//! Requests that write something, and servers that want them later.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use reqwest::{Method, Response};

use super::{Client, Failure, failure, read_body};

/// Most bytes read of what a server says of a write.
const MAX_ANSWER: usize = 1 << 20;

/// A request to write something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// Path below the base URL.
    pub path: String,
    /// Headers, without those of the connection and the login.
    pub headers: Vec<(&'static str, String)>,
    /// What is sent.
    pub body: Vec<u8>,
}

/// What a server says of a write.
#[derive(Debug, Clone, PartialEq)]
pub struct Sent {
    /// HTTP status.
    pub status: u16,
    /// The decoded body.
    pub body: Vec<u8>,
    /// How long it wants to be left alone (RFC 9110, §10.2.3).
    pub retry_after: Option<Duration>,
}

impl Client {
    /// Posts once.
    pub async fn send(&self, request: &Request) -> Result<Sent, Failure> {
        let post = self.request(Method::POST, &request.path);
        let post =
            request.headers.iter().fold(post, |post, (name, value)| post.header(*name, value));
        let post = post.body(request.body.clone());
        let sent = self.within(self.options.timeout, async {
            let mut answer = post.send().await.map_err(|error| (None, failure(&error)))?;
            let (status, retry_after) = (answer.status().as_u16(), retry_after(&answer));
            let body = read_body(&mut answer, MAX_ANSWER).await.map_err(|it| (Some(status), it))?;
            Ok(Sent { status, body, retry_after })
        });
        sent.await.map(|(sent, _)| sent)
    }
}

/// Seconds, or a date.
fn retry_after(answer: &Response) -> Option<Duration> {
    let text = answer.headers().get("retry-after")?.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let date = jiff::fmt::rfc2822::DateTimeParser::new().parse_timestamp(text).ok()?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let at = Duration::from_secs(u64::try_from(date.as_second()).ok()?);
    Some(at.saturating_sub(now))
}
