//! From a number to what it means: names of signals become links to the glossary of the page.

use std::collections::BTreeSet;

use crate::{
    report::{
        Evidenced,
        markup::Html,
        text::{clean, sentence, shorten_end},
    },
    signals::{self, Signal},
};

const OPEN: &str = "<a class=\"sig\" href=\"#";

/// The name of a signal as a link; any other name as it is.
pub(super) fn name(html: &mut Html, name: &str) {
    match signals::find(name) {
        Some(signal) => {
            open(html, signal).raw("<code>").raw(signal.name).raw("</code></a>");
        }
        None => super::code(html, name),
    }
}

/// A sentence whose numbers are those of `signal`.
pub(super) fn sentence_of(html: &mut Html, signal: &str, text: &str) {
    match signals::find(signal) {
        Some(signal) => {
            open(html, signal).text(text).raw("</a>");
        }
        None => {
            html.text(text);
        }
    }
}

/// A fact and the values that it rests on.
pub(super) fn fact(html: &mut Html, fact: &Evidenced) {
    html.text(&sentence(&clean(&fact.text)));
    because(html, &fact.because);
}

/// The values that an answer rests on, or what is missing.
pub(super) fn because(html: &mut Html, text: &str) {
    if text.trim().is_empty() {
        return;
    }
    html.raw(" <span class=\"because\">");
    linked(html, text);
    html.raw("</span>");
}

/// Outside text in which each value `name number …; name number …` leads to its signal.
pub(super) fn linked(html: &mut Html, text: &str) {
    let text = shorten_end(&clean(text), 400);
    for (index, value) in text.split("; ").enumerate() {
        if index > 0 {
            html.raw("; ");
        }
        let Some((start, signal)) = first_signal(value) else {
            html.text(value);
            continue;
        };
        let (before, value) = value.split_at(start);
        html.text(before);
        if before.ends_with(' ') {
            html.raw(" ");
        }
        open(html, signal).text(value).raw("</a>");
    }
}

/// The first word that names a signal, in any of its views, and where it begins.
fn first_signal(text: &str) -> Option<(usize, &'static Signal)> {
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let mut from = 0;
    for word in text.split_inclusive(|c| !is_name(c)) {
        let name = word.trim_end_matches(|c| !is_name(c));
        let base = name.strip_suffix("_baseline").or_else(|| name.strip_suffix("_change"));
        let known = || signals::find(base.unwrap_or(name));
        if let Some(signal) = name.contains('_').then(known).flatten() {
            return Some((from, signal));
        }
        from += word.len();
    }
    None
}

fn open<'a>(html: &'a mut Html, signal: &'static Signal) -> &'a mut Html {
    html.raw(OPEN).raw(signal.name).raw("\">")
}

/// The signals that a page links to. What comes from outside cannot write the opening of a link.
pub(super) fn signals_of(html: &Html) -> BTreeSet<&'static str> {
    let starts = html.as_str().split(OPEN).skip(1);
    let names = starts.filter_map(|rest| rest.split('"').next());
    names.filter_map(signals::find).map(|signal| signal.name).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_leads_to_its_signal() {
        let mut html = Html::new();
        linked(&mut html, "restarts_count 0; Xid 79 on uptime_seconds_baseline 4 min; <b> 3");
        let text = html.as_str();
        assert!(text.contains("href=\"#restarts_count\">restarts_count 0</a>; Xid 79 on <a"));
        assert!(text.contains("href=\"#uptime_seconds\">uptime_seconds_baseline 4 min</a>"));
        assert!(text.ends_with("; &lt;b&gt; 3"));
        let known: Vec<_> = signals_of(&html).into_iter().collect();
        assert_eq!(known, ["restarts_count", "uptime_seconds"]);
    }

    #[test]
    fn no_text_can_forge_a_link() {
        let mut html = Html::new();
        linked(&mut html, "<a class=\"sig\" href=\"#restarts_count\"> and a_b");
        assert_eq!(html.as_str().matches("<a ").count(), 1, "{}", html.as_str());
    }
}
