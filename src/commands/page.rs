//! Plain pages of 80 columns: headings, fields and wrapped sentences.

use unicode_width::UnicodeWidthStr;

use crate::report::text::wrap;

const WIDTH: usize = 80;

/// A page that grows line by line.
#[derive(Debug, Default)]
pub(super) struct Page(String);

impl Page {
    /// A wrapped paragraph; the first line begins with `first`, the others are indented alike.
    pub(super) fn text(&mut self, first: &str, text: &str) -> &mut Self {
        let indent = " ".repeat(first.width());
        let room = WIDTH.saturating_sub(first.width()).max(20);
        for (index, line) in wrap(text, room).iter().enumerate() {
            let lead = if index == 0 { first } else { &indent };
            self.0.push_str(format!("{lead}{line}").trim_end());
            self.0.push('\n');
        }
        self
    }

    /// A line that is not wrapped: a command stays in one piece.
    pub(super) fn line(&mut self, first: &str, text: &str) -> &mut Self {
        self.0.push_str(first);
        self.0.push_str(text);
        self.0.push('\n');
        self
    }

    /// A wrapped comment above a command, each line of it marked.
    pub(super) fn comment(&mut self, text: &str) -> &mut Self {
        for line in wrap(text, WIDTH - 6) {
            self.line("    # ", &line);
        }
        self
    }

    /// A field: `key`, then the value in a column of its own; nothing for an empty value.
    pub(super) fn field(&mut self, key: &str, value: &str) -> &mut Self {
        if value.is_empty() {
            return self;
        }
        self.text(&format!("  {key:<12} "), value)
    }

    /// An empty line.
    pub(super) fn gap(&mut self) -> &mut Self {
        self.0.push('\n');
        self
    }

    /// The page.
    pub(super) fn finish(self) -> String {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_line_is_wider_than_the_page_and_the_indent_stays() {
        let mut page = Page::default();
        page.text("  yes → ", &"word ".repeat(40));
        let text = page.finish();
        assert!(text.lines().all(|line| line.width() <= WIDTH), "{text}");
        assert!(text.lines().nth(1).unwrap().starts_with("        word"), "{text}");
    }

    #[test]
    fn a_field_without_a_value_is_left_out() {
        let mut page = Page::default();
        page.field("undo", "").field("risk", "safe");
        assert_eq!(page.finish(), "  risk         safe\n");
    }
}
