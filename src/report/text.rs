//! Text on its way out: made harmless, measured, shortened and wrapped.
//!
//! Model names, labels, log lines, addresses and errors come from outside and may be hostile. Every
//! renderer passes them through [`clean`] before anything else.

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

pub use crate::hazard::is_hazard;

/// Longest outside text that a page for people shows.
const MAX_CHARS: usize = 1000;

/// Makes outside text harmless on one line: white space becomes a space, and each hazard is spelt
/// out (`\u{1b}`), so that an attempt stays visible. Text beyond 1000 characters is cut.
pub fn clean(text: &str) -> String {
    let mut out = String::new();
    for (index, c) in text.trim().chars().enumerate() {
        if index >= MAX_CHARS {
            out.push('…');
            break;
        }
        match c {
            '\n' | '\r' | '\t' => out.push(' '),
            c if is_hazard(c) => out.extend(c.escape_unicode()),
            c => out.push(c),
        }
    }
    out
}

/// Columns that a text takes on a terminal.
pub fn width(text: &str) -> usize {
    text.width()
}

/// Fills a text with spaces up to `columns`.
pub fn pad(text: &str, columns: usize) -> String {
    format!("{text}{}", " ".repeat(columns.saturating_sub(width(text))))
}

/// Cuts the middle out of a text that is wider than `max`, as both ends of a name tell most.
pub fn shorten_middle(text: &str, max: usize) -> String {
    if width(text) <= max {
        return text.to_string();
    }
    let room = max.saturating_sub(1);
    let head = take(text.chars(), room.div_ceil(2));
    let tail: String = take(text.chars().rev(), room / 2).chars().rev().collect();
    format!("{head}…{tail}")
}

/// Cuts the end off a text that is wider than `max`: between words where it can, as half a number
/// would be another number.
pub fn shorten_end(text: &str, max: usize) -> String {
    if width(text) <= max {
        return text.to_string();
    }
    let head = take(text.chars(), max.saturating_sub(1));
    match head.rsplit_once(' ') {
        Some((words, _)) if width(words) * 2 > max => format!("{} …", words.trim_end()),
        _ => format!("{}…", head.trim_end()),
    }
}

/// As many characters as surely fit: emoji sequences count their widest reading.
fn take(chars: impl Iterator<Item = char>, max: usize) -> String {
    let mut used = 0;
    chars
        .take_while(|c| {
            used += widest(*c);
            used <= max
        })
        .collect()
}

/// A variation selector may widen the character before it by one column.
fn widest(c: char) -> usize {
    if c == '\u{fe0f}' { 1 } else { c.width().unwrap_or(0) }
}

/// Breaks a text into lines of at most `max` columns. A number stays with its unit.
pub fn wrap(text: &str, max: usize) -> Vec<String> {
    let max = max.max(2);
    let mut lines = Vec::new();
    let mut line = String::new();
    for word in glued_words(text) {
        let gap = usize::from(!line.is_empty());
        if width(&line) + gap + width(&word) <= max {
            if gap == 1 {
                line.push(' ');
            }
            line.push_str(&word);
            continue;
        }
        if !line.is_empty() {
            lines.push(std::mem::take(&mut line));
        }
        let mut pieces = broken(&word, max);
        line = pieces.pop().unwrap_or_default();
        lines.append(&mut pieces);
    }
    if !line.is_empty() {
        lines.push(line);
    }
    lines
}

/// Words, where `34 s`, `82 %` and `± 15 s` count as one.
fn glued_words(text: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        let glue = words.last().is_some_and(|before| sticks(before, word));
        match words.last_mut() {
            Some(before) if glue => {
                before.push(' ');
                before.push_str(word);
            }
            _ => words.push(word.to_string()),
        }
    }
    words
}

fn sticks(before: &str, word: &str) -> bool {
    const UNITS: [&str; 12] =
        ["%", "s", "ms", "µs", "min", "h", "B", "KiB", "MiB", "GiB", "TiB", "UTC"];
    let bare = word.trim_end_matches(['.', ',', ';', ':', ')']);
    let number = before.ends_with(|c: char| c.is_ascii_digit()) && before.len() < 20;
    (number && (UNITS.contains(&bare) || bare == "±")) || before.ends_with('±')
}

/// Pieces of a word that is wider than a line.
fn broken(word: &str, max: usize) -> Vec<String> {
    let mut pieces = vec![String::new()];
    let mut used = 0;
    for c in word.chars() {
        if used + widest(c) > max {
            pieces.push(String::new());
            used = 0;
        }
        used += widest(c);
        if let Some(piece) = pieces.last_mut() {
            piece.push(c);
        }
    }
    pieces
}

/// Ends a text as a sentence: with a full stop, unless it has an end already.
pub fn sentence(text: &str) -> String {
    let text = text.trim();
    if text.is_empty() || text.ends_with(['.', '?', '!', '…', ':']) {
        return text.to_string();
    }
    format!("{text}.")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hazards_are_spelt_out_and_never_passed_on() {
        assert_eq!(clean("a\u{1b}[31mb"), "a\\u{1b}[31mb");
        assert_eq!(clean("x\u{202e}y\u{9b}z"), "x\\u{202e}y\\u{9b}z");
        assert_eq!(clean(" one\r\n\ttwo "), "one   two");
    }

    #[test]
    fn names_lose_their_middle_and_sentences_their_end() {
        assert_eq!(shorten_middle("abcdefghij", 5), "ab…ij");
        assert_eq!(shorten_end("abcdefghij", 5), "abcd…");
        assert_eq!(shorten_end("before 4.1 requests/s", 9), "before …");
        assert_eq!(shorten_middle("日本語日本語", 6), "日…語");
    }

    proptest::proptest! {
        #[test]
        fn whatever_comes_it_fits(text in "\\PC{0,60}|(\\p{Emoji}\u{fe0f}?|[\\p{Arabic}日 ]){0,40}", max in 2usize..30) {
            let text = clean(&text);
            for line in wrap(&text, max) {
                proptest::prop_assert!(width(&line) <= max, "{line:?}");
            }
            proptest::prop_assert!(width(&shorten_end(&text, max)) <= max);
            proptest::prop_assert!(width(&shorten_middle(&text, max)) <= max);
        }
    }

    #[test]
    fn lines_fit_and_a_number_keeps_its_unit() {
        assert_eq!(wrap("it took 34 s today", 10), ["it took", "34 s today"]);
        assert_eq!(wrap("abcdefgh", 3), ["abc", "def", "gh"]);
        assert!(wrap("日本語 ❤\u{fe0f}❤\u{fe0f}❤\u{fe0f}", 3).iter().all(|line| width(line) <= 3));
    }
}
