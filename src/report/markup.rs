//! The only way to make HTML and SVG: markup stands in the source code, all else is escaped.

use super::text::{clean, shorten_end};

/// Longest outside text in one place, in columns.
const MAX_TEXT: usize = 400;

/// HTML or SVG in the making.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Html {
    out: String,
}

impl Html {
    /// Nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Markup of our own: what comes from outside is no `&'static str`.
    pub fn raw(&mut self, markup: &'static str) -> &mut Self {
        self.out.push_str(markup);
        self
    }

    /// Text, for content and for quoted attributes alike: on one line, bounded, every hazard spelt
    /// out, and without a character that HTML reads as markup.
    pub fn text(&mut self, text: &str) -> &mut Self {
        self.escaped(&shorten_end(&clean(text), MAX_TEXT))
    }

    /// The same for what loses its use when it is cut at 400 columns: up to 1000 characters.
    pub fn long_text(&mut self, text: &str) -> &mut Self {
        self.escaped(&clean(text))
    }

    fn escaped(&mut self, text: &str) -> &mut Self {
        for c in text.chars() {
            match c {
                '&' => self.out.push_str("&amp;"),
                '<' => self.out.push_str("&lt;"),
                '>' => self.out.push_str("&gt;"),
                '"' => self.out.push_str("&quot;"),
                '\'' => self.out.push_str("&#39;"),
                c => self.out.push(c),
            }
        }
        self
    }

    /// A coordinate with one decimal. What is not finite has no place on paper: leave it out before.
    pub fn at(&mut self, coordinate: f64) -> &mut Self {
        let tenths = (coordinate.clamp(-1e6, 1e6) * 10.0).round() / 10.0;
        let text = if tenths == 0.0 { "0".into() } else { format!("{tenths}") };
        self.escaped(&text)
    }

    /// A whole number.
    pub fn count(&mut self, number: usize) -> &mut Self {
        self.escaped(&number.to_string())
    }

    /// Markup that was made in the same way.
    pub fn append(&mut self, part: &Self) -> &mut Self {
        self.out.push_str(&part.out);
        self
    }

    /// What stands there so far.
    pub fn as_str(&self) -> &str {
        &self.out
    }

    /// Bytes so far.
    pub fn len(&self) -> usize {
        self.out.len()
    }

    /// Whether there is nothing yet.
    pub fn is_empty(&self) -> bool {
        self.out.is_empty()
    }

    /// The finished text.
    pub fn finish(self) -> String {
        self.out
    }
}

/// Markup made by a function, for use in the middle of an expression.
pub fn made(make: impl FnOnce(&mut Html)) -> Html {
    let mut html = Html::new();
    make(&mut html);
    html
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(text: &str) -> String {
        made(|html| {
            html.text(text);
        })
        .finish()
    }

    #[test]
    fn outside_text_opens_no_tag_and_ends_no_attribute() {
        assert_eq!(written("<script>a</script>"), "&lt;script&gt;a&lt;/script&gt;");
        assert_eq!(written("\" onload='x' a=\""), "&quot; onload=&#39;x&#39; a=&quot;");
        assert_eq!(written("&lt;b&gt;"), "&amp;lt;b&amp;gt;");
        assert_eq!(written("]]>--><!--"), "]]&gt;--&gt;&lt;!--");
    }

    #[test]
    fn characters_that_hide_or_reorder_are_spelt_out() {
        assert_eq!(written("a\u{202e}b\u{1b}[31mc\u{0}"), "a\\u{202e}b\\u{1b}[31mc\\u{0}");
        assert_eq!(written("one\ntwo\u{2028}"), "one two");
    }

    #[test]
    fn text_is_bounded_and_coordinates_are_short() {
        assert!(written(&"x".repeat(5_000)).chars().count() <= 400);
        let html = made(|html| {
            html.at(1.0 / 3.0).raw(" ").at(-0.01).raw(" ").at(120.0).raw(" ").count(7);
        });
        assert_eq!(html.finish(), "0.3 0 120 7");
    }
}
