//! The answer for people and for programs. Nothing of a prompt is shown but a short, redacted
//! excerpt around the difference.

use std::ops::Range;

use serde::Serialize;

use super::{Interval, Scale, many::Many, pair::Pair, volatile::Kind};
use crate::{
    report::text::{clean, shorten_end, wrap},
    unit::Unit,
};

/// Bytes shown on each side of a field.
const AROUND: usize = 36;
/// Columns of the label before the text.
const GUTTER: usize = 10;

/// What was compared.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// Two prompts.
    Pair(Box<Pair>),
    /// Many requests.
    Many(Box<Many>),
}

/// All that is said.
#[derive(Debug, Clone, Serialize)]
pub struct Page {
    /// Grows when a field changes its meaning.
    pub schema_version: u32,
    /// `prefix-diff`.
    pub command: &'static str,
    /// How tokens were estimated.
    pub scale: Scale,
    /// The answer.
    #[serde(flatten)]
    pub answer: Answer,
    /// What limits it.
    pub notes: Vec<String>,
}

impl Page {
    /// Whether a volatile field breaks the prefix.
    pub fn broken(&self) -> bool {
        match &self.answer {
            Answer::Pair(pair) => pair.broken,
            Answer::Many(many) => many.broken,
        }
    }

    /// For programs.
    pub fn json(&self) -> Result<String, serde_json::Error> {
        serde_json::to_string_pretty(self)
    }

    /// For people, on one screen.
    pub fn terminal(&self, columns: usize) -> String {
        let mut screen = Screen { columns: columns.max(40), text: String::new() };
        match &self.answer {
            Answer::Pair(pair) => of_pair(&mut screen, pair),
            Answer::Many(many) => of_many(&mut screen, many),
        }
        let (fewest, most) = (self.scale.fewest(), self.scale.most());
        screen.field(
            "Estimate",
            &format!(
                "Bytes are exact. Tokens are not: {fewest} to {most} characters of Latin text each, \
                 in blocks of {}; the server's block_size is in vllm:cache_config_info.",
                self.scale.block_size
            ),
        );
        self.notes.iter().for_each(|note| screen.field("Note", note));
        screen.text
    }
}

struct Screen {
    columns: usize,
    text: String,
}

impl Screen {
    fn title(&mut self, text: &str) {
        self.text.push_str(&shorten_end(text, self.columns));
        self.text.push('\n');
    }

    fn field(&mut self, label: &str, text: &str) {
        for (index, line) in wrap(text, self.columns - GUTTER).iter().enumerate() {
            let label = if index == 0 { label } else { "" };
            self.text.push_str(&format!("{label:GUTTER$}{line}\n"));
        }
    }

    fn quote(&mut self, label: &str, text: &str) {
        let line = shorten_end(text, self.columns - GUTTER);
        self.text.push_str(&format!("{label:GUTTER$}{line}\n"));
    }
}

fn of_pair(screen: &mut Screen, pair: &Pair) {
    if pair.identical && !pair.broken {
        screen.title("PREFIX INTACT  the two prompts are the same, byte for byte");
        screen.field("Blocks", &format!("{} of them can be reused", range(pair.cacheable)));
        return;
    }
    let verdict = if pair.broken { "PREFIX BROKEN" } else { "PREFIX INTACT" };
    screen.title(&format!("{verdict}  {} stands at byte {}", pair.kind.title(), pair.byte));
    screen.field(
        "Where",
        &format!(
            "{}, line {}, column {} (byte {} in it)",
            clean(&pair.part),
            pair.line,
            pair.column,
            pair.byte_in_part
        ),
    );
    let (tokens, block) = (range(pair.tokens), range(pair.block));
    screen.field("Tokens", &format!("{tokens} stand before it, so it is in KV block {block}"));
    let (cacheable, blocks) = (range(pair.cacheable), range(pair.blocks));
    let moved = pair.if_moved.map(|moved| format!("; {} with it moved", range(moved)));
    let moved = moved.unwrap_or_default();
    screen.field("Blocks", &format!("{cacheable} of {blocks} stay cacheable{moved}"));
    screen.quote("Old", &pair.old);
    screen.quote("New", &pair.new);
    screen.field("Because", &clean(&pair.because));
    then(screen, &pair.then);
    screen.field("Do", &pair.advice);
}

fn of_many(screen: &mut Screen, many: &Many) {
    match &many.first {
        Some(first) => screen.title(&format!(
            "PREFIX BROKEN  {} stands at byte {} of {}",
            first.kind.title(),
            first.byte,
            share(first.requests, many.requests)
        )),
        None => screen.title("PREFIX INTACT  no volatile field stands above a shared text"),
    }
    screen
        .field("Requests", &format!("{} compared, each with the one most like it", many.requests));
    let [least, low, middle, high, most] = many.shared_bytes;
    screen.field(
        "Shared",
        &format!("{middle} bytes in the middle; quarters {least}, {low}, {high}, {most}"),
    );
    let names = ["no block", "1 to 3", "4 to 15", "16 to 63", "64 or more"];
    let rows: Vec<String> = names
        .iter()
        .zip(many.by_blocks)
        .filter(|(_, count)| *count > 0)
        .map(|(name, count)| format!("{name}: {}", share(count, many.requests)))
        .collect();
    screen.field("Blocks", &rows.join("; "));
    screen.field("Hit ratio", &format!("{} at best as it is", ratio(many.hit_ratio)));
    let Some(first) = &many.first else { return };
    screen.field("", &format!("{} at best with the field moved", ratio(first.hit_ratio_if_moved)));
    screen.field("Where", &format!("{}, byte {}", clean(&first.part), first.byte));
    screen.quote("Example", &first.example);
    screen.field("Because", &clean(&first.because));
    then(screen, &first.then);
    screen.field("Do", &first.advice);
}

fn then(screen: &mut Screen, kinds: &[Kind]) {
    if !kinds.is_empty() {
        let names: Vec<_> = kinds.iter().take(4).map(|kind| kind.title()).collect();
        screen.field("Then", &format!("{} behind it; move all of them", names.join(", ")));
    }
}

fn share(count: usize, of: usize) -> String {
    let ratio = if of == 0 { 0.0 } else { count as f64 / of as f64 };
    format!("{count} of {of} requests ({})", Unit::Ratio.show(ratio))
}

fn ratio(ratio: Interval) -> String {
    Unit::Ratio.show_interval(ratio.lo, ratio.hi)
}

fn range(interval: Interval) -> String {
    let (lo, hi) = (interval.lo.floor(), interval.hi.ceil());
    if lo == hi { format!("{lo}") } else { format!("{lo} to {hi}") }
}

/// The text around a field: one line, harmless, and without what could be a secret.
pub fn excerpt(text: &[u8], field: &Range<usize>, at: usize, kind: Kind) -> String {
    let start = field.start.min(at).min(text.len());
    let end = field.end.clamp(start, text.len()).min(start + AROUND * 2);
    let low = word_start(text, start.saturating_sub(AROUND), start);
    let high = text.len().min(end + AROUND);
    let piece = |range: Range<usize>| redact(&String::from_utf8_lossy(&text[range]));
    let value = match kind {
        Kind::Personal => "personal".into(),
        _ => piece(start..end),
    };
    let dots = |cut: bool| if cut { "…" } else { "" };
    let (before, after) = (piece(low..start), piece(end..high));
    let line = format!("{}{before}‹{value}›{after}{}", dots(low > 0), dots(high < text.len()));
    clean(&line)
}

/// The first start of a word from `low` on, so that no half of a key escapes its redaction.
fn word_start(text: &[u8], low: usize, high: usize) -> usize {
    if low == 0 {
        return 0;
    }
    let gap = text[low..high].iter().position(u8::is_ascii_whitespace);
    gap.map_or(high, |gap| low + gap)
}

/// Shortens long numbers, keys and ids, and hides addresses.
fn redact(text: &str) -> String {
    let mut out = String::new();
    let mut word = String::new();
    for c in text.chars() {
        if c.is_alphanumeric() || "@._-+".contains(c) {
            word.push(c);
            continue;
        }
        out.push_str(&redact_word(&word));
        word.clear();
        out.push(c);
    }
    out + &redact_word(&word)
}

fn redact_word(word: &str) -> String {
    if word.contains('@') {
        return "…@…".into();
    }
    let digits = word.chars().filter(char::is_ascii_digit).count();
    let long = word.chars().count() > 10;
    let key = word.starts_with("sk-") || word.starts_with("hf_");
    let dated = word.len() <= 20 && word.starts_with("20") && word.as_bytes().get(4) == Some(&b'-');
    if dated || !(key || (long && digits > 2) || digits > 6) {
        return word.to_string();
    }
    word.chars().take(4).chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_shortened_and_times_are_not() {
        assert_eq!(redact("id db5b5fab8f4d3e27, sk-abcdefg"), "id db5b…, sk-a…");
        assert_eq!(redact("call 01701234567 or a.b@c.de"), "call 0170… or …@…");
        assert_eq!(redact("at 2026-11-22T10:00:01Z"), "at 2026-11-22T10:00:01Z");
    }

    #[test]
    fn an_excerpt_is_harmless_bounded_and_marks_the_field() {
        let text = "a\u{1b}[31m Customer: Anna Berg\nmore text here".as_bytes();
        let shown = excerpt(text, &(17..26), 17, Kind::Personal);
        assert!(shown.contains("‹personal›") && shown.contains("\\u{1b}"), "{shown}");
        assert!(!shown.contains('\u{1b}') && !shown.contains("Anna"), "{shown}");
        let long = vec![b'x'; 10_000];
        assert!(excerpt(&long, &(0..10_000), 5_000, Kind::Template).len() < 300);
    }
}
