//! Characters that act on a screen instead of being read there.

use std::borrow::Cow;

/// Whether a character can move the cursor, hide itself or reorder its neighbours.
pub fn is_hazard(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{feff}'
            | '\u{200b}'..='\u{200f}'
            | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{fff9}'..='\u{fffb}'
            | '\u{e0000}'..='\u{e0fff}')
}

/// Whether a text of lines holds such a character.
pub fn acts(text: &str) -> bool {
    text.contains(acts_in_lines)
}

/// A text of lines in which each such character is spelt out: `\u{1b}`.
pub fn spelt(text: &str) -> Cow<'_, str> {
    if !acts(text) {
        return text.into();
    }
    let spell = |mut out: String, c: char| {
        if acts_in_lines(c) {
            out.extend(c.escape_unicode())
        } else {
            out.push(c)
        }
        out
    };
    text.chars().fold(String::with_capacity(text.len()), spell).into()
}

/// The same in as many bytes, so that places in the text stay where they are: each such character
/// becomes a mark.
pub fn marked(text: &str) -> Cow<'_, str> {
    if !acts(text) {
        return text.into();
    }
    let mark = |c: char| match c.len_utf8() {
        _ if !acts_in_lines(c) => c,
        1 => '?',
        2 => '¿',
        3 => '\u{fffd}',
        _ => '🚫',
    };
    text.chars().map(mark).collect::<String>().into()
}

fn acts_in_lines(c: char) -> bool {
    is_hazard(c) && !matches!(c, '\n' | '\t')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_could_act_is_spelt_out_or_marked() {
        let text = "it's\u{1b}[2J\u{9f}\u{202e}\u{e0041}b\n\tc";
        assert_eq!(spelt(text), "it's\\u{1b}[2J\\u{9f}\\u{202e}\\u{e0041}b\n\tc");
        assert_eq!(marked(text), "it's?[2J¿\u{fffd}🚫b\n\tc");
        assert_eq!(marked(text).len(), text.len());
        assert!(matches!(spelt("plain"), Cow::Borrowed("plain")));
    }
}
