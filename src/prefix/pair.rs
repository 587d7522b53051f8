//! Two prompts: where they part, what stands there, and what would be shared without it.

use serde::Serialize;

use super::{
    Chars, Interval, Prompt, Scale, common,
    render::excerpt,
    volatile::{Field, Kind, classify},
};

/// Fields that are skipped to see whether the text goes on alike behind them.
const MAX_FIELDS: usize = 8;

/// What two prompts share.
#[derive(Debug, Clone, Serialize)]
pub struct Pair {
    /// Whether a volatile field breaks the prefix.
    pub broken: bool,
    /// Whether all bytes are the same.
    pub identical: bool,
    /// Bytes in common, which is the offset of the first byte that differs.
    pub byte: usize,
    /// The message that holds it.
    pub part: String,
    /// Its offset in the message.
    pub byte_in_part: usize,
    /// Its line in the message, from 1.
    pub line: usize,
    /// Its column in characters, from 1.
    pub column: usize,
    /// Tokens before it.
    pub tokens: Interval,
    /// The KV block that it stands in, from 1.
    pub block: Interval,
    /// Leading blocks that stay cacheable.
    pub cacheable: Interval,
    /// Blocks of the new prompt.
    pub blocks: Interval,
    /// Leading blocks that would be cacheable with the volatile fields moved to the end.
    pub if_moved: Option<Interval>,
    /// What stands there.
    pub kind: Kind,
    /// What it was known by.
    pub because: String,
    /// Volatile fields that follow before the texts part for good.
    pub then: Vec<Kind>,
    /// What to do.
    pub advice: String,
    /// The old text around it, redacted.
    pub old: String,
    /// The new text around it, redacted.
    pub new: String,
}

/// The fields in which two prompts differ until they part for good.
#[derive(Debug, Clone, Default)]
pub struct Walk {
    /// Bytes in common at the beginning.
    pub shared: usize,
    /// The first field, then those behind it, with ranges in both texts.
    pub fields: Vec<Field>,
    /// Ranges of the first text that both share behind a volatile field.
    pub behind: Vec<std::ops::Range<usize>>,
}

impl Walk {
    /// Leaves out what differs behind the last text of some length: it is the question, not a field
    /// that has to move.
    fn forget_the_end(&mut self) {
        let short = |range: Option<&std::ops::Range<usize>>| range.is_none_or(|r| r.len() < 64);
        while self.fields.len() > 1 && short(self.behind.get(self.fields.len() - 1)) {
            self.fields.pop();
        }
    }

    /// Characters that would be shared too if the volatile fields stood at the end.
    pub fn gained(&self, text: &[u8]) -> Chars {
        self.behind.iter().fold(Chars::default(), |sum, range| {
            let chars = Chars::of(&text[range.clone()]);
            Chars { ascii: sum.ascii + chars.ascii, other: sum.other + chars.other }
        })
    }
}

/// Walks over both texts, past volatile fields, until they part for good.
pub fn walk(old: &Prompt, new: &Prompt) -> Walk {
    let mut walk = Walk { shared: common(&old.bytes, &new.bytes), ..Walk::default() };
    let (mut i, mut j) = (0, 0);
    while walk.fields.len() < MAX_FIELDS {
        let (a, b) = (&old.bytes[i..], &new.bytes[j..]);
        let at = common(a, b);
        if i > 0 || j > 0 {
            walk.behind.push(i..i + at);
        }
        if at == a.len() && at == b.len() {
            break;
        }
        let floor = old.floor(i + at).saturating_sub(i).min(at);
        let mut field = classify(a, b, at, floor);
        let ended = !field.kind.is_volatile() || (field.old.end == 0 && field.new.end == 0);
        field.old = field.old.start + i..field.old.end + i;
        field.new = field.new.start + j..field.new.end + j;
        let stuck = field.old.end <= i && field.new.end <= j;
        (i, j) = (field.old.end, field.new.end);
        walk.fields.push(field);
        if ended || stuck {
            break;
        }
    }
    walk.forget_the_end();
    walk
}

/// Compares two prompts.
pub fn compare(old: &Prompt, new: &Prompt, scale: &Scale) -> Pair {
    let walk = walk(old, new);
    let byte = walk.shared;
    let identical = walk.fields.is_empty();
    let shared = Chars::of(&new.bytes[..byte]);
    let first = walk.fields.first();
    let apart = old.scope != new.scope;
    let kind = if apart { Kind::Scope } else { first.map_or(Kind::End, |field| field.kind) };
    let gained = walk.gained(&old.bytes);
    let cacheable = if apart { Interval::default() } else { scale.cacheable(shared, new.chars) };
    let all = Chars { ascii: shared.ascii + gained.ascii, other: shared.other + gained.other };
    let moved = scale.cacheable(all, new.chars);
    let gain = kind.is_volatile() && moved.lo > cacheable.lo;
    let start = first.map_or(byte, |field| field.new.start);
    let tokens = scale.tokens(shared);
    let block = |tokens: f64| (tokens / f64::from(scale.block_size.max(1))).floor() + 1.0;
    let place = place(new, byte);
    Pair {
        broken: gain || apart || (kind == Kind::Template && cacheable.hi < 1.0),
        identical,
        byte,
        byte_in_part: place.1,
        line: place.2,
        column: place.3,
        part: place.0,
        tokens,
        block: Interval { lo: block(tokens.lo), hi: block(tokens.hi) },
        cacheable,
        blocks: scale.blocks(new.chars),
        if_moved: gain.then_some(moved),
        kind,
        because: match first {
            _ if apart => "the requests name different models or salts".into(),
            Some(field) => field.because.clone(),
            None => "all bytes are the same".into(),
        },
        then: walk
            .fields
            .iter()
            .skip(1)
            .map(|field| field.kind)
            .filter(|k| k.is_volatile())
            .collect(),
        advice: advice(kind, gain, &walk, start),
        old: first
            .map_or_else(String::new, |field| excerpt(&old.bytes, &field.old, byte, field.kind)),
        new: first
            .map_or_else(String::new, |field| excerpt(&new.bytes, &field.new, byte, field.kind)),
    }
}

fn advice(kind: Kind, gain: bool, walk: &Walk, start: usize) -> String {
    let end = walk.behind.iter().rfind(|range| !range.is_empty());
    match end {
        _ if kind.is_volatile() && !gain && kind != Kind::Scope => {
            "Nothing has to move: behind it, no block's worth of text is shared.".into()
        }
        Some(end) => kind.advice(&format!("from byte {start} to after byte {} of OLD", end.end)),
        None => kind.advice(&format!("from byte {start} to the end of the prompt")),
    }
}

/// Part, byte in it, line and column of a byte.
fn place(prompt: &Prompt, byte: usize) -> (String, usize, usize, usize) {
    let floor = prompt.floor(byte);
    let before = &prompt.bytes[floor.min(byte)..byte];
    let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
    let last =
        before.iter().rposition(|byte| *byte == b'\n').map_or(before, |end| &before[end + 1..]);
    let chars = String::from_utf8_lossy(last).chars().filter(|c| *c != '\u{fffd}').count();
    let label = prompt.part(byte).map_or("text", |part| part.label.as_str());
    (label.to_string(), before.len(), line, chars + 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::prefix::read::read;

    const SCALE: Scale = Scale { block_size: 16, chars_per_token: 4.0 };

    fn prompt(text: &str) -> Prompt {
        read(&mut text.as_bytes()).unwrap().prompts.remove(0)
    }

    #[test]
    fn two_volatile_fields_in_a_row_are_both_named_and_the_gain_lies_behind_them() {
        let rest = "You answer questions about books. ".repeat(20);
        let text = |time: &str, id: &str| prompt(&format!("Now {time}\nid {id}\n{rest}"));
        let old = text("10:00:01", "db5b5fab8f4d3e27");
        let pair = compare(&old, &text("10:00:07", "a3ea284d3bd03346"), &SCALE);
        assert_eq!((pair.kind, pair.then.as_slice()), (Kind::Timestamp, &[Kind::Id][..]));
        assert!(pair.broken && pair.if_moved.unwrap().lo >= 8.0, "{pair:?}");
        assert_eq!((pair.byte, pair.line, pair.column), (11, 1, 12));
        assert!(!pair.old.contains("db5b5fab8f4d3e27"), "{}", pair.old);
    }

    #[test]
    fn a_number_in_the_question_at_the_end_is_no_finding() {
        let head = "You answer questions about books. ".repeat(20);
        let text = |n: u32| prompt(&format!("{head}\nOrder {n}"));
        let pair = compare(&text(12), &text(13), &SCALE);
        assert!(!pair.broken && pair.kind == Kind::Number, "{pair:?}");
        assert!(compare(&text(12), &text(12), &SCALE).identical);
    }

    #[test]
    fn another_salt_shares_nothing() {
        let text = |salt: &str| prompt(&format!(r#"{{"prompt":"abc","cache_salt":"{salt}"}}"#));
        let pair = compare(&text("x"), &text("y"), &SCALE);
        assert!(pair.broken && pair.kind == Kind::Scope && pair.cacheable.hi == 0.0);
    }

    proptest::proptest! {
        #[test]
        fn any_two_texts_compare(old in "(\\PC|\n|[0-9:/. ]){0,80}", new in "(\\PC|\n|[0-9:/. ]){0,80}", head in ".{0,30}") {
            let text = |tail: String| {
                let bytes = format!("{head}{tail}").into_bytes();
                Prompt { chars: Chars::of(&bytes), bytes, ..Prompt::default() }
            };
            let (old, new) = (text(old), text(new));
            let pair = compare(&old, &new, &SCALE);
            proptest::prop_assert_eq!(&old.bytes[..pair.byte], &new.bytes[..pair.byte]);
            proptest::prop_assert_eq!(pair.identical, old.bytes == new.bytes);
            proptest::prop_assert!(pair.cacheable.hi <= pair.blocks.hi);
        }
    }
}
