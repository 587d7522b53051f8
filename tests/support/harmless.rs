//! What no output may hold, whatever came from outside.
#![allow(dead_code)]

use diagnose::report::text::is_hazard;
use pulldown_cmark::{Event, Options, Parser, Tag};

/// No character that moves the cursor, hides itself or reorders its neighbours, but line feeds.
#[track_caller]
pub fn assert_no_escape(text: &str) {
    let hazard = text.char_indices().find(|(_, c)| *c != '\n' && is_hazard(*c));
    assert_eq!(hazard, None, "{}", around(text, hazard.map_or(0, |(at, _)| at)));
}

/// A terminal report: text and line feeds.
#[track_caller]
pub fn assert_terminal(text: &str) {
    assert_no_escape(text);
}

/// JSON of one value, all of whose hazards are spelt out.
#[track_caller]
pub fn assert_json(text: &str) {
    assert_no_escape(text);
    assert!(serde_json::from_str::<serde_json::Value>(text).is_ok(), "{text}");
}

/// Tags that a report writes itself.
const OWN_TAGS: [&str; 4] = ["<details>", "</details>", "<summary>", "</summary>"];

/// A page whose only tags are the report's own, and which links, shows and calls nobody.
#[track_caller]
pub fn assert_markdown(page: &str) {
    // A word joiner keeps names from being called.
    assert_no_escape(&page.replace('\u{2060}', ""));
    let options = Options::ENABLE_TABLES | Options::ENABLE_STRIKETHROUGH;
    let mut in_code = false;
    for event in Parser::new_ext(page, options) {
        match event {
            Event::Html(html) | Event::InlineHtml(html) => {
                let rest = OWN_TAGS.iter().fold(html.to_string(), |it, tag| it.replace(tag, ""));
                assert!(!rest.contains('<'), "{html}");
            }
            Event::Start(Tag::Link { dest_url, .. } | Tag::Image { dest_url, .. }) => {
                panic!("{dest_url} is linked or shown");
            }
            Event::Start(Tag::CodeBlock(_)) => in_code = true,
            Event::End(pulldown_cmark::TagEnd::CodeBlock) => in_code = false,
            Event::Text(text) if !in_code => assert_calls_nobody(&text),
            _ => {}
        }
    }
}

/// `@name` in running text would notify somebody.
#[track_caller]
fn assert_calls_nobody(text: &str) {
    let called = text.char_indices().find(|(at, c)| {
        *c == '@' && text[at + 1..].starts_with(|c: char| c.is_ascii_alphanumeric())
    });
    assert_eq!(called, None, "{text}");
}

/// Any other format: no tag that runs or shows something of an attacker's.
#[track_caller]
pub fn assert_page(text: &str) {
    assert_no_escape(text);
    let lower = text.to_lowercase();
    for tag in
        ["<script>alert", "<img src=x", "<http://evil", "href=\"javascript:", "href='javascript:"]
    {
        assert!(!lower.contains(tag), "{tag}: {text}");
    }
}

fn around(text: &str, at: usize) -> String {
    let from = text[..at].char_indices().rev().nth(60).map_or(0, |(at, _)| at);
    text[from..].chars().take(120).collect::<String>().escape_debug().to_string()
}
