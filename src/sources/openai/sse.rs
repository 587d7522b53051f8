//! Streams of server-sent events: only as much of each event is read as a load test needs.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use serde::de::{IgnoredAny, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

/// Bytes of one line; a longer one is no event.
const MAX_LINE: usize = 4 << 20;

/// Lines out of chunks that end anywhere.
#[derive(Debug, Default)]
pub(super) struct Lines {
    rest: Vec<u8>,
}

impl Lines {
    /// Hands over each line that is whole now, without its end. False where a line is too long.
    pub(super) fn feed(&mut self, mut chunk: &[u8], mut each: impl FnMut(&[u8])) -> bool {
        while let Some(end) = memchr::memchr(b'\n', chunk) {
            if self.rest.is_empty() {
                each(trimmed(&chunk[..end]));
            } else {
                self.rest.extend_from_slice(&chunk[..end]);
                each(trimmed(&self.rest));
                self.rest.clear();
            }
            chunk = &chunk[end + 1..];
        }
        self.rest.extend_from_slice(chunk);
        self.rest.len() <= MAX_LINE
    }
}

fn trimmed(line: &[u8]) -> &[u8] {
    line.strip_suffix(b"\r").unwrap_or(line)
}

/// What a line of a stream says.
#[derive(Debug, PartialEq)]
pub(super) enum Event<'a> {
    /// Nothing: a comment, an empty line, another field.
    Nothing,
    /// `[DONE]`.
    Done,
    /// A chunk of an answer.
    Chunk(Chunk<'a>),
    /// The server reports an error, in its own words.
    Error(String),
    /// It cannot be read.
    Garbage,
}

/// A chunk of an answer.
#[derive(Debug, Default, PartialEq, Deserialize)]
pub(super) struct Chunk<'a> {
    #[serde(borrow, default)]
    choices: Option<First<Choice<'a>>>,
    /// The server's own count of tokens.
    #[serde(default)]
    pub(super) usage: Option<Usage>,
    #[serde(default)]
    error: Option<Present>,
}

/// Tokens by the server's own count.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
pub(super) struct Usage {
    /// Of the prompt.
    #[serde(default)]
    pub(super) prompt_tokens: Option<u64>,
    /// Of the answer.
    #[serde(default)]
    pub(super) completion_tokens: Option<u64>,
    #[serde(default)]
    prompt_tokens_details: Option<PromptDetails>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
struct PromptDetails {
    #[serde(default)]
    cached_tokens: Option<u64>,
}

impl Usage {
    /// Tokens of the prompt that were cached.
    pub(super) fn cached(&self) -> Option<u64> {
        self.prompt_tokens_details?.cached_tokens
    }
}

#[derive(Debug, Default, PartialEq, Deserialize)]
struct Choice<'a> {
    #[serde(borrow, default)]
    delta: Option<Delta<'a>>,
    #[serde(borrow, default)]
    text: Option<Text<'a>>,
    #[serde(borrow, default)]
    finish_reason: Option<Text<'a>>,
}

#[derive(Debug, Default, PartialEq, Deserialize)]
struct Delta<'a> {
    #[serde(borrow, default)]
    content: Option<Text<'a>>,
    #[serde(borrow, default)]
    reasoning_content: Option<Text<'a>>,
    #[serde(borrow, default)]
    reasoning: Option<Text<'a>>,
    #[serde(default)]
    tool_calls: Option<First<Present>>,
}

/// A text that is copied only where it holds escapes.
#[derive(Debug, PartialEq, Deserialize)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

/// Something that is not looked into.
#[derive(Debug, PartialEq)]
struct Present;

impl<'de> Deserialize<'de> for Present {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        IgnoredAny::deserialize(from).map(|_| Self)
    }
}

/// The first item of a list.
#[derive(Debug, PartialEq)]
struct First<T>(Option<T>);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for First<T> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_seq(FirstOf(PhantomData))
    }
}

struct FirstOf<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for FirstOf<T> {
    type Value = First<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<First<T>, A::Error> {
        let first = items.next_element()?;
        while items.next_element::<IgnoredAny>()?.is_some() {}
        Ok(First(first))
    }
}

impl Chunk<'_> {
    fn choice(&self) -> Option<&Choice<'_>> {
        self.choices.as_ref()?.0.as_ref()
    }

    /// Whether it carries tokens. A chat begins with a chunk of a role alone, which does not.
    pub(super) fn has_text(&self) -> bool {
        let Some(choice) = self.choice() else { return false };
        let delta = choice.delta.as_ref();
        let texts = [
            choice.text.as_ref(),
            delta.and_then(|it| it.content.as_ref()),
            delta.and_then(|it| it.reasoning_content.as_ref()),
            delta.and_then(|it| it.reasoning.as_ref()),
        ];
        let calls = delta.and_then(|it| it.tool_calls.as_ref());
        texts.into_iter().flatten().any(|text| !text.0.is_empty())
            || calls.is_some_and(|calls| calls.0.is_some())
    }

    /// The text of the answer proper, without what was thought.
    pub(super) fn answer(&self) -> &str {
        let Some(choice) = self.choice() else { return "" };
        let content = choice.delta.as_ref().and_then(|it| it.content.as_ref());
        content.or(choice.text.as_ref()).map_or("", |text| &text.0)
    }

    /// Why the answer ends, on its last chunk.
    pub(super) fn finish(&self) -> Option<&str> {
        self.choice()?.finish_reason.as_ref().map(|text| text.0.as_ref())
    }
}

/// Reads one line.
pub(super) fn event(line: &[u8]) -> Event<'_> {
    let Some(data) = line.strip_prefix(b"data:") else { return Event::Nothing };
    let data = data.trim_ascii();
    if data == b"[DONE]" {
        return Event::Done;
    }
    match serde_json::from_slice::<Chunk<'_>>(data) {
        Ok(chunk) if chunk.error.is_some() => Event::Error(error_text(data)),
        Ok(chunk) if chunk.choices.is_some() || chunk.usage.is_some() => Event::Chunk(chunk),
        // Older servers put the error's fields into the event itself.
        Ok(_) => Event::Error(error_text(data)),
        Err(_) => Event::Garbage,
    }
}

/// The message of an error, or all of it.
pub(super) fn error_text(body: &[u8]) -> String {
    let json: Option<serde_json::Value> = serde_json::from_slice(body).ok();
    let message = json.as_ref().and_then(|json| {
        let paths = ["/error/message", "/message", "/detail", "/error"];
        paths.iter().find_map(|path| json.pointer(path)?.as_str())
    });
    message.map_or_else(|| String::from_utf8_lossy(body).into_owned(), Into::into)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chunk(data: &str) -> Chunk<'_> {
        match event(data.as_bytes()) {
            Event::Chunk(chunk) => chunk,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn lines_are_whole_wherever_chunks_end() {
        let text = b"data: a\r\n\r\ndata: bc\n\n: note\ndata: d";
        for size in 1..text.len() {
            let (mut lines, mut seen) = (Lines::default(), Vec::new());
            for part in text.chunks(size) {
                assert!(lines.feed(part, |line| seen.push(line.to_vec())));
            }
            assert_eq!(seen, [&b"data: a"[..], b"", b"data: bc", b"", b": note"], "{size}");
        }
    }

    #[test]
    fn a_role_is_no_token_and_every_kind_of_text_is() {
        let role = r#"data: {"choices":[{"delta":{"role":"assistant","content":""},"index":0}]}"#;
        assert!(!chunk(role).has_text());
        for text in [
            r#"data: {"choices":[{"delta":{"content":"a\n"}}]}"#,
            r#"data:{"choices":[{"delta":{"reasoning_content":"hm"}}],"usage":null}"#,
            r#"data: {"choices":[{"delta":{"reasoning":"hm"}}]}"#,
            r#"data: {"choices":[{"text":" a","logprobs":null}]}"#,
            r#"data: {"choices":[{"delta":{"tool_calls":[{"index":0}]}}]}"#,
        ] {
            assert!(chunk(text).has_text(), "{text}");
        }
        let content =
            chunk(r#"data: {"choices":[{"delta":{"content":"a\n"},"finish_reason":"stop"}]}"#);
        assert_eq!((content.answer(), content.finish()), ("a\n", Some("stop")));
    }

    #[test]
    fn usage_errors_and_garbage_are_told_apart() {
        let usage = chunk(
            r#"data: {"choices":[],"usage":{"prompt_tokens":9,"completion_tokens":4,"prompt_tokens_details":{"cached_tokens":8}}}"#,
        );
        let counts = usage.usage.unwrap();
        assert_eq!((counts.prompt_tokens, counts.completion_tokens), (Some(9), Some(4)));
        assert_eq!(counts.cached(), Some(8));
        assert!(!usage.has_text());
        let error = |text: &str| Event::Error(text.into());
        assert_eq!(event(br#"data: {"error":{"message":"out","code":500}}"#), error("out"));
        assert_eq!(event(br#"data: {"object":"error","message":"old"}"#), error("old"));
        assert_eq!(event(b"data: [DONE]"), Event::Done);
        assert_eq!(event(b"data: {\"choices\":[{"), Event::Garbage);
        assert_eq!(event(b"event: x"), Event::Nothing);
    }
}
