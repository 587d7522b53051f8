//! What prompts share at their beginning, and which volatile field ends it: the question that no
//! metric answers, as a server never says where a prefix broke.
//!
//! vLLM caches whole blocks of tokens from the first one on, so one byte that differs makes every
//! block from there on a miss. Bytes are compared exactly; tokens are estimated, as an interval.

pub mod many;
pub mod pair;
pub mod read;
pub mod render;
pub mod volatile;

use serde::Serialize;

/// A part of a prompt: a message, the tools, or the whole text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// Such as `messages[0] system`.
    pub label: String,
    /// Where its heading begins.
    pub start: usize,
    /// Where its content begins.
    pub body: usize,
}

/// One prompt as text: of a chat, the tools and the messages joined in the order that templates
/// give them, each under a line that names it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Prompt {
    /// The bytes compared.
    pub bytes: Vec<u8>,
    /// Its parts, in order.
    pub parts: Vec<Part>,
    /// Model and salt: requests that differ in them never share a block.
    pub scope: String,
    /// All characters, those that were not kept too.
    pub chars: Chars,
    /// Whether not all of it was kept.
    pub cut: bool,
}

impl Prompt {
    /// The part that holds a byte.
    pub fn part(&self, at: usize) -> Option<&Part> {
        let before = self.parts.partition_point(|part| part.start <= at);
        before.checked_sub(1).map(|index| &self.parts[index])
    }

    /// Where the content that holds a byte begins, so that nothing is read across messages.
    fn floor(&self, at: usize) -> usize {
        self.part(at).map_or(0, |part| if at >= part.body { part.body } else { part.start })
    }
}

/// Characters by how they become tokens.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Chars {
    /// Plain ASCII, of which several make a token.
    pub ascii: usize,
    /// All others, of which one may be several tokens.
    pub other: usize,
}

impl Chars {
    /// Counts the characters that begin in the bytes.
    pub fn of(bytes: &[u8]) -> Self {
        let ascii = bytes.iter().filter(|byte| byte.is_ascii()).count();
        let other = bytes.iter().filter(|byte| **byte >= 0xC0).count();
        Self { ascii, other }
    }
}

/// An estimate between two ends.
#[derive(Debug, Clone, Copy, Default, PartialEq, PartialOrd, Serialize)]
pub struct Interval {
    /// The low end.
    pub lo: f64,
    /// The high end.
    pub hi: f64,
}

impl Interval {
    fn sorted(a: f64, b: f64) -> Self {
        Self { lo: a.min(b), hi: a.max(b) }
    }
}

/// From bytes to tokens and blocks.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Scale {
    /// Tokens of a KV block.
    pub block_size: u32,
    /// Characters of a token: the middle of an interval of a quarter to both sides.
    pub chars_per_token: f64,
}

impl Scale {
    /// The fewest and the most tokens that the characters make. A character beyond ASCII may be
    /// part of a token, or two of them.
    pub fn tokens(&self, chars: Chars) -> Interval {
        let (ascii, other) = (chars.ascii as f64, chars.other as f64);
        Interval { lo: (ascii + other) / self.most(), hi: ascii / self.fewest() + other * 2.0 }
    }

    /// The fewest characters of a token.
    pub fn fewest(&self) -> f64 {
        self.chars_per_token * 0.75
    }

    /// The most characters of a token.
    pub fn most(&self) -> f64 {
        self.chars_per_token * 1.25
    }

    /// Whole blocks in a prompt's first characters that a later request can reuse. The last token
    /// is always computed, so a prompt is never cached to its end.
    pub fn cacheable(&self, shared: Chars, all: Chars) -> Interval {
        let (shared, all) = (self.tokens(shared), self.tokens(all));
        let blocks = |shared: f64, all: f64| self.whole(shared.min((all - 1.0).max(0.0)));
        Interval { lo: blocks(shared.lo, all.lo), hi: blocks(shared.hi, all.hi) }
    }

    /// Whole blocks of a prompt.
    pub fn blocks(&self, chars: Chars) -> Interval {
        let tokens = self.tokens(chars);
        Interval { lo: self.whole(tokens.lo), hi: self.whole(tokens.hi) }
    }

    fn whole(&self, tokens: f64) -> f64 {
        (tokens / f64::from(self.block_size.max(1))).floor()
    }

    /// Whether the bytes surely fill a block.
    fn fills_block(&self, bytes: &[u8]) -> bool {
        self.blocks(Chars::of(bytes)).lo >= 1.0
    }
}

/// How many bytes two texts have in common at their beginning; it is also where they first differ.
pub fn common(a: &[u8], b: &[u8]) -> usize {
    const STEP: usize = 64;
    let steps = a.chunks_exact(STEP).zip(b.chunks_exact(STEP)).take_while(|(a, b)| a == b);
    let at = steps.count() * STEP;
    at + a[at..].iter().zip(&b[at..]).take_while(|(a, b)| a == b).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(crate) const SCALE: Scale = Scale { block_size: 16, chars_per_token: 4.0 };

    #[test]
    fn a_token_is_three_to_five_characters() {
        let tokens = SCALE.tokens(Chars { ascii: 300, other: 0 });
        assert_eq!((tokens.lo, tokens.hi), (60.0, 100.0));
        assert_eq!(SCALE.tokens(Chars { ascii: 0, other: 5 }).hi, 10.0);
    }

    #[test]
    fn the_last_token_is_never_cached() {
        let all = Chars { ascii: 240, other: 0 };
        assert_eq!(SCALE.cacheable(all, all), Interval { lo: 2.0, hi: 4.0 });
        assert_eq!(SCALE.blocks(all), Interval { lo: 3.0, hi: 5.0 });
    }

    proptest::proptest! {
        #[test]
        fn the_offset_is_the_first_difference(
            head in proptest::collection::vec(0u8..4, 0..200),
            a in proptest::collection::vec(0u8..4, 0..9),
            b in proptest::collection::vec(0u8..4, 0..9),
        ) {
            let (a, b) = ([head.clone(), a].concat(), [head, b].concat());
            let at = common(&a, &b);
            proptest::prop_assert_eq!(&a[..at], &b[..at]);
            proptest::prop_assert!(at == a.len() || at == b.len() || a[at] != b[at]);
        }
    }
}
