//! A tiny streamed completion, timed to its first token. It is work for the server.

use std::time::Duration;

use serde_json::{Value, json};

use crate::evidence::Probe;
use crate::sources::http::Client;

/// How long a first token may take: a user would have left long before.
const PATIENCE: Duration = Duration::from_secs(30);

/// The base model that `/v1/models` names first.
pub(super) fn model(body: &[u8]) -> Option<String> {
    let json: Value = serde_json::from_slice(body).ok()?;
    let cards = json.get("data")?.as_array()?;
    let base = cards.iter().find(|card| card.get("parent").is_none_or(Value::is_null));
    base.or(cards.first())?.get("id")?.as_str().map(Into::into)
}

/// Sends one completion and measures until its first token came. Models without `/v1/completions`
/// are asked to chat.
pub(super) async fn time_to_first_token(client: &Client, model: &str) -> Probe {
    let plain = json!({
        "model": model, "prompt": "Hello", "max_tokens": 5, "stream": true, "temperature": 0
    });
    let probe = ask(client, "/v1/completions", &plain).await;
    if probe.status != Some(404) {
        return probe;
    }
    let chat = json!({
        "model": model, "messages": [{"role": "user", "content": "Hello"}],
        "max_tokens": 5, "stream": true, "temperature": 0
    });
    ask(client, "/v1/chat/completions", &chat).await
}

async fn ask(client: &Client, path: &str, json: &Value) -> Probe {
    let patience = PATIENCE.max(client.timeout());
    match client.post_until(path, json, patience, has_token).await {
        Ok(answer) => {
            let is_stream = answer.status == 200 && has_token(&answer.body);
            let text = client.text(&answer.body);
            Probe {
                status: Some(answer.status),
                error: (answer.status == 200 && !is_stream).then(|| "no token".into()),
                ms: Some(answer.ms),
                body: (!is_stream).then(|| text.chars().take(super::PROBE_CHARS).collect()),
                date: None,
            }
        }
        Err(failure) => Probe {
            status: failure.status,
            error: Some(failure.kind.word().into()),
            ms: Some(failure.ms),
            body: None,
            date: None,
        },
    }
}

/// Whether a stream has come to its first token. A chat begins with an event of a role alone.
fn has_token(body: &[u8]) -> bool {
    let whole = body.iter().rposition(|&byte| byte == b'\n').map_or(0, |at| at + 1);
    body[..whole].split(|&byte| byte == b'\n').any(|line| {
        let event = line.strip_prefix(b"data:").and_then(|it| serde_json::from_slice(it).ok());
        event.is_some_and(|event: Value| has_text(&event))
    })
}

fn has_text(event: &Value) -> bool {
    let choice = event.pointer("/choices/0");
    let fields = ["/text", "/delta/content", "/delta/reasoning_content", "/delta/reasoning"];
    let text = |field: &str| choice?.pointer(field)?.as_str();
    let ended = choice.and_then(|it| it.get("finish_reason")).is_some_and(Value::is_string);
    ended || fields.iter().any(|field| text(field).is_some_and(|text| !text.is_empty()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_token_is_the_first_whole_event_with_text() {
        let role =
            "data: {\"choices\":[{\"delta\":{\"role\":\"assistant\",\"content\":\"\"}}]}\n\n";
        let text = "data: {\"choices\":[{\"delta\":{\"content\":\"Hi\"}}]}\n";
        assert!(!has_token(role.as_bytes()));
        assert!(!has_token(&text.as_bytes()[..text.len() - 1]));
        assert!(has_token(format!("{role}{text}").as_bytes()));
        assert!(has_token(b"data: {\"choices\":[{\"text\":\" a\"}]}\n"));
    }

    #[test]
    fn the_base_model_is_asked_and_not_an_adapter() {
        let body = br#"{"data":[{"id":"a","parent":"m"},{"id":"m","parent":null}]}"#;
        assert_eq!(model(body).as_deref(), Some("m"));
    }
}
