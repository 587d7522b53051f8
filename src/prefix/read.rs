//! From files to prompts: plain text, JSON bodies, and lines of bodies or of records around them.

use std::{
    fmt,
    io::{self, BufRead},
};

use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, SeqAccess, Visitor},
};

use super::{Chars, Part, Prompt};

/// Longest line or document that is read; the rest of it is left out.
pub const MAX_TEXT: usize = 64 << 20;
/// Bytes of prompts kept at once. Beyond it only the beginning of each prompt is kept.
const MAX_KEPT: usize = 512 << 20;
/// Fields that may hold a body, in the order asked.
const AROUND: [&str; 3] = ["request", "body", "inputs"];

/// What a file held.
#[derive(Debug, Default)]
pub struct Input {
    /// The prompts, in the order of the file.
    pub prompts: Vec<Prompt>,
    /// Records without a prompt in them, such as those of a gateway that logs none.
    pub without_prompt: usize,
    /// Lines that are no JSON, or too long.
    pub unreadable: usize,
    /// Bytes kept of each prompt, where not all could be.
    pub kept: Option<usize>,
    total: usize,
}

impl Input {
    fn add(&mut self, json: &Json) {
        match json {
            Json::Array(items) if items.iter().all(|item| matches!(item, Json::Object(_))) => {
                items.iter().for_each(|item| self.add_record(item));
            }
            other => self.add_record(other),
        }
    }

    fn add_record(&mut self, json: &Json) {
        match prompt_of(json, 0) {
            Some(prompt) => self.keep(prompt),
            None => self.without_prompt += 1,
        }
    }

    fn add_line(&mut self, line: &[u8]) {
        if line.trim_ascii().is_empty() {
            return;
        }
        match serde_json::from_slice(line) {
            Ok(json) => self.add_record(&json),
            Err(_) => self.unreadable += 1,
        }
    }

    /// Keeps a prompt; where all of them take too much, each is cut to half of what was kept.
    fn keep(&mut self, mut prompt: Prompt) {
        cut(&mut prompt, self.kept.unwrap_or(MAX_TEXT));
        self.total += prompt.bytes.len();
        self.prompts.push(prompt);
        while self.total > MAX_KEPT {
            let room = self.kept.unwrap_or(MAX_TEXT) / 2;
            self.kept = Some(room);
            self.prompts.iter_mut().for_each(|prompt| cut(prompt, room));
            self.total = self.prompts.iter().map(|prompt| prompt.bytes.len()).sum();
        }
    }
}

fn cut(prompt: &mut Prompt, room: usize) {
    if prompt.bytes.len() > room {
        prompt.bytes.truncate(room);
        prompt.bytes.shrink_to_fit();
        prompt.cut = true;
    }
}

/// Reads a file to its end, whatever it is.
pub fn read(input: &mut dyn BufRead) -> io::Result<Input> {
    let mut read = Input::default();
    let mut text = Vec::new();
    while text.trim_ascii().is_empty() && text.len() < MAX_TEXT {
        if !next_line(input, &mut text, MAX_TEXT)?.0 {
            break;
        }
    }
    if !matches!(text.trim_ascii_start().first(), Some(b'{' | b'[')) {
        return rest_as_text(input, text, read);
    }
    match serde_json::from_slice::<Json>(&text) {
        Ok(first) => {
            read.add(&first);
            lines(input, &mut read)?;
            Ok(read)
        }
        Err(_) => document(input, text, read),
    }
}

fn lines(input: &mut dyn BufRead, read: &mut Input) -> io::Result<()> {
    let mut line = Vec::new();
    loop {
        line.clear();
        match next_line(input, &mut line, MAX_TEXT)? {
            (false, _) => return Ok(()),
            (true, true) => read.unreadable += 1,
            (true, false) => read.add_line(&line),
        }
    }
}

/// A body over many lines; or lines of which the first is torn; or a text that begins with a brace.
fn document(input: &mut dyn BufRead, mut text: Vec<u8>, mut read: Input) -> io::Result<Input> {
    let cut = rest(input, &mut text)?;
    if let Ok(json) = serde_json::from_slice::<Json>(&text) {
        read.add(&json);
        return Ok(read);
    }
    let mut objects = text.split(|byte| *byte == b'\n').skip(1).filter(|line| line.len() > 2);
    if objects.next().is_some_and(|line| serde_json::from_slice::<Json>(line).is_ok()) {
        text.split(|byte| *byte == b'\n').for_each(|line| read.add_line(line));
        return Ok(read);
    }
    Ok(plain(text, cut, read))
}

fn rest_as_text(input: &mut dyn BufRead, mut text: Vec<u8>, read: Input) -> io::Result<Input> {
    let cut = rest(input, &mut text)?;
    Ok(plain(text, cut, read))
}

fn plain(bytes: Vec<u8>, cut: bool, mut read: Input) -> Input {
    if bytes.is_empty() {
        return read;
    }
    let chars = Chars::of(&bytes);
    let parts = vec![Part { label: "text".into(), start: 0, body: 0 }];
    read.keep(Prompt { bytes, parts, scope: String::new(), chars, cut });
    read
}

/// Reads up to the bound, and says whether something was left out.
fn rest(input: &mut dyn BufRead, text: &mut Vec<u8>) -> io::Result<bool> {
    loop {
        match next_line(input, text, MAX_TEXT)? {
            (false, _) => return Ok(false),
            (true, true) => return Ok(true),
            (true, false) => {}
        }
    }
}

/// Appends a line with its end, up to `max` bytes in all. Says whether there was one, and whether
/// a part of it was left out.
fn next_line(input: &mut dyn BufRead, text: &mut Vec<u8>, max: usize) -> io::Result<(bool, bool)> {
    let (mut any, mut cut) = (false, false);
    loop {
        let there = match input.fill_buf() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            other => other?,
        };
        if there.is_empty() {
            return Ok((any, cut));
        }
        any = true;
        let end = memchr::memchr(b'\n', there);
        let taken = end.map_or(there.len(), |end| end + 1);
        let room = max.saturating_sub(text.len()).min(taken);
        text.extend_from_slice(&there[..room]);
        cut |= room < taken;
        input.consume(taken);
        if end.is_some() {
            return Ok((any, cut));
        }
    }
}

/// The prompt of a body, or of a record that holds a body.
fn prompt_of(json: &Json, depth: usize) -> Option<Prompt> {
    if depth > 4 {
        return None;
    }
    if let Some(Json::Array(messages)) = json.get("messages") {
        return Some(chat(json, messages));
    }
    let text = match json.get("prompt") {
        Some(Json::String(text)) => Some(text.as_str()),
        Some(Json::Array(texts)) => texts.first().and_then(Json::text),
        Some(inner @ Json::Object(_)) => return prompt_of(inner, depth + 1),
        _ => None,
    };
    if let Some(text) = text {
        return Some(Builder::new(json).text("prompt", text));
    }
    AROUND.iter().find_map(|field| match json.get(field)? {
        inner @ Json::Object(_) => prompt_of(inner, depth + 1),
        Json::Array(items) => prompt_of(items.first()?, depth + 1),
        Json::String(text) => match serde_json::from_str(text) {
            Ok(inner @ Json::Object(_)) => prompt_of(&inner, depth + 1),
            _ => (*field == "inputs").then(|| Builder::new(json).text(field, text)),
        },
        _ => None,
    })
}

fn chat(body: &Json, messages: &[Json]) -> Prompt {
    let mut builder = Builder::new(body);
    if let Some(tools @ Json::Array(_)) = body.get("tools") {
        builder.part("tools".into(), "tools", &tools.compact());
    }
    for (index, message) in messages.iter().enumerate() {
        let role = message.get("role").and_then(Json::text).unwrap_or("message");
        let mut content = message.get("content").map(content).unwrap_or_default();
        if let Some(calls @ Json::Array(_)) = message.get("tool_calls") {
            content.push_str(&calls.compact());
        }
        builder.part(format!("messages[{index}] {role}"), role, &content);
    }
    builder.finish()
}

/// The text of a message; parts that are no text stand as the JSON they are.
fn content(json: &Json) -> String {
    match json {
        Json::String(text) => text.clone(),
        Json::Null => String::new(),
        Json::Array(parts) => parts.iter().map(part_text).collect(),
        other => other.compact(),
    }
}

fn part_text(part: &Json) -> String {
    match (part, part.get("text")) {
        (_, Some(Json::String(text))) | (Json::String(text), _) => text.clone(),
        _ => part.compact(),
    }
}

/// Puts a prompt together.
#[derive(Debug)]
struct Builder(Prompt);

impl Builder {
    fn new(body: &Json) -> Self {
        let field = |name| body.get(name).and_then(Json::text);
        let scope = ["model", "cache_salt"]
            .iter()
            .filter_map(|name| Some(format!("{name} {}\n", field(name)?)))
            .collect();
        Self(Prompt { scope, ..Prompt::default() })
    }

    fn part(&mut self, label: String, heading: &str, text: &str) {
        let prompt = &mut self.0;
        let start = prompt.bytes.len();
        prompt.bytes.extend_from_slice(heading.as_bytes());
        prompt.bytes.push(b'\n');
        prompt.parts.push(Part { label, start, body: prompt.bytes.len() });
        prompt.bytes.extend_from_slice(text.as_bytes());
        prompt.bytes.push(b'\n');
    }

    fn text(mut self, label: &str, text: &str) -> Prompt {
        self.0.parts.push(Part { label: label.into(), start: 0, body: 0 });
        self.0.bytes.extend_from_slice(text.as_bytes());
        self.finish()
    }

    fn finish(mut self) -> Prompt {
        self.0.chars = Chars::of(&self.0.bytes);
        self.0
    }
}

/// JSON with its keys in the order written, as templates print tools in that order.
#[derive(Debug, Clone, PartialEq)]
enum Json {
    Null,
    Bool(bool),
    Number(serde_json::Number),
    String(String),
    Array(Vec<Self>),
    Object(Vec<(String, Self)>),
}

impl Json {
    fn get(&self, name: &str) -> Option<&Self> {
        let Self::Object(fields) = self else { return None };
        fields.iter().find(|(key, _)| key == name).map(|(_, value)| value)
    }

    fn text(&self) -> Option<&str> {
        if let Self::String(text) = self { Some(text) } else { None }
    }

    fn compact(&self) -> String {
        let mut out = String::new();
        self.write(&mut out);
        out
    }

    fn write(&self, out: &mut String) {
        match self {
            Self::Null => out.push_str("null"),
            Self::Bool(value) => out.push_str(if *value { "true" } else { "false" }),
            Self::Number(number) => out.push_str(&number.to_string()),
            Self::String(text) => quote(text, out),
            Self::Array(items) => {
                out.push('[');
                for (index, item) in items.iter().enumerate() {
                    out.push_str(if index == 0 { "" } else { ", " });
                    item.write(out);
                }
                out.push(']');
            }
            Self::Object(fields) => {
                out.push('{');
                for (index, (key, value)) in fields.iter().enumerate() {
                    out.push_str(if index == 0 { "" } else { ", " });
                    quote(key, out);
                    out.push_str(": ");
                    value.write(out);
                }
                out.push('}');
            }
        }
    }
}

fn quote(text: &str, out: &mut String) {
    out.push_str(&serde_json::Value::from(text).to_string());
}

impl<'de> Deserialize<'de> for Json {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(JsonVisitor)
    }
}

struct JsonVisitor;

impl<'de> Visitor<'de> for JsonVisitor {
    type Value = Json;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Json, E> {
        Ok(Json::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Json, E> {
        Ok(Json::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Json, E> {
        Ok(Json::Number(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Json, E> {
        Ok(Json::Number(value.into()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Json, E> {
        Ok(serde_json::Number::from_f64(value).map_or(Json::Null, Json::Number))
    }

    fn visit_str<E>(self, value: &str) -> Result<Json, E> {
        Ok(Json::String(value.into()))
    }

    fn visit_string<E>(self, value: String) -> Result<Json, E> {
        Ok(Json::String(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Json, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = seq.next_element()? {
            items.push(item);
        }
        Ok(Json::Array(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Json, A::Error> {
        let mut fields = Vec::new();
        while let Some(field) = map.next_entry()? {
            fields.push(field);
        }
        Ok(Json::Object(fields))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(input: &str) -> Vec<String> {
        let read = read(&mut input.as_bytes()).unwrap();
        read.prompts.iter().map(|prompt| String::from_utf8_lossy(&prompt.bytes).into()).collect()
    }

    #[test]
    fn every_shape_of_a_request_gives_its_prompt() {
        let chat = r#"{"model":"m","messages":[{"role":"system","content":"S"},
            {"role":"user","content":[{"type":"text","text":"a"},{"type":"text","text":"b"}]}],
            "tools":[{"z":1,"a":2}]}"#;
        let joined = "tools\n[{\"z\": 1, \"a\": 2}]\nsystem\nS\nuser\nab\n";
        assert_eq!(texts(chat), [joined]);
        let line = chat.replace('\n', "");
        assert_eq!(texts(&format!("{line}\n\n{line}\n")), [joined, joined]);
        assert_eq!(texts(&format!("[{chat},{chat}]")), [joined, joined]);
        for around in ["request", "body", "inputs"] {
            assert_eq!(texts(&format!(r#"{{"t":1,"{around}":{line}}}"#)), [joined]);
            let quoted = serde_json::Value::from(line.clone());
            assert_eq!(texts(&format!(r#"{{"t":1,"{around}":{quoted}}}"#)), [joined]);
        }
        assert_eq!(texts(r#"{"prompt":"p"}"#), ["p"]);
        assert_eq!(texts(r#"{"inputs":"p"}"#), ["p"]);
        assert_eq!(texts("You are\n{x}\n"), ["You are\n{x}\n"]);
        assert_eq!(texts("{{system}}\nYou are"), ["{{system}}\nYou are"]);
    }

    #[test]
    fn records_without_a_prompt_and_torn_lines_are_counted() {
        let lines = "{\"t\": 1, \"status\": 200}\n{\"prompt\": \"p\"}\n{\"prom\n";
        let read = read(&mut lines.as_bytes()).unwrap();
        assert_eq!((read.prompts.len(), read.without_prompt, read.unreadable), (1, 1, 1));
        assert!(super::read(&mut &b""[..]).unwrap().prompts.is_empty());
    }

    #[test]
    fn a_byte_knows_its_message() {
        let chat =
            r#"{"messages":[{"role":"system","content":"S"},{"role":"user","content":"x"}]}"#;
        let prompt = &read(&mut chat.as_bytes()).unwrap().prompts[0];
        assert_eq!(prompt.part(7).unwrap().label, "messages[0] system");
        assert_eq!(prompt.part(14).unwrap().label, "messages[1] user");
        assert_eq!(prompt.floor(14), 14);
    }

    #[test]
    fn a_line_is_read_up_to_its_bound_and_the_next_one_is_whole() {
        let mut input = &b"abcdef\ngh\n"[..];
        let mut text = Vec::new();
        assert_eq!(next_line(&mut input, &mut text, 3).unwrap(), (true, true));
        assert_eq!(text, b"abc");
        text.clear();
        assert_eq!(next_line(&mut input, &mut text, 9).unwrap(), (true, false));
        assert_eq!(text, b"gh\n");
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_are_too_odd(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..200)) {
            read(&mut bytes.as_slice()).unwrap();
        }
    }
}
