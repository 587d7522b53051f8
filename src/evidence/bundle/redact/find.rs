//! Where secrets stand in a text.

use std::net::IpAddr;
use std::sync::OnceLock;

use aho_corasick::{AhoCorasick, MatchKind};

use super::is_token;

/// Names whose assigned value is a secret, in lower case.
const NAMES: [&str; 14] = [
    "api_key",
    "api-key",
    "apikey",
    "hf_token",
    "hf-token",
    "hub_token",
    "access_token",
    "auth_token",
    "session_token",
    "secret_access_key",
    "client_secret",
    "password",
    "passwd",
    "authorization",
];

/// What begins a secret by itself, with the least number of characters after it.
const BEGINS: [(&str, usize); 12] = [
    ("hf_", 20),
    ("sk-", 16),
    ("akia", 16),
    ("asia", 16),
    ("ghp_", 20),
    ("gho_", 20),
    ("ghs_", 20),
    ("ghu_", 20),
    ("github_pat_", 20),
    ("glpat-", 16),
    ("xoxb-", 16),
    ("eyj", 40),
];

/// What stands before a secret in the next word.
const BEFORE: [&str; 2] = ["bearer ", "basic "];

/// Names of what users wrote and models answered.
const TEXTS: [&str; 6] =
    ["prompt", "output", "content", "prompt_token_ids", "output_token_ids", "messages"];

/// A secret in a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Found {
    /// What it is: `secret`, `mail`, `address` or `text`.
    pub(super) kind: &'static str,
    pub(super) start: usize,
    pub(super) end: usize,
}

/// Every secret in a text, in order, without overlap.
pub(super) fn secrets(line: &str, addresses: bool) -> Vec<Found> {
    let mut found = marked(line);
    mails(line, &mut found);
    if addresses {
        ips(line, &mut found);
    }
    found.retain(|it| it.start < it.end && !is_token(&line[it.start..it.end]));
    found.sort_by_key(|it| (it.start, std::cmp::Reverse(it.end)));
    let mut reached = 0;
    found.retain(|it| {
        let apart = it.start >= reached;
        reached = if apart { it.end } else { reached };
        apart
    });
    found
}

/// Secrets that a name, a beginning or a word before them tells.
fn marked(line: &str) -> Vec<Found> {
    static MARKS: OnceLock<Option<AhoCorasick>> = OnceLock::new();
    let marks = MARKS.get_or_init(|| {
        let begins = BEGINS.iter().map(|(begin, _)| *begin);
        let words = NAMES.into_iter().chain(begins).chain(BEFORE).chain(TEXTS).chain(["://"]);
        AhoCorasick::builder()
            .ascii_case_insensitive(true)
            .match_kind(MatchKind::LeftmostLongest)
            .build(words)
            .ok()
    });
    let Some(marks) = marks else { return Vec::new() };
    let mut found = Vec::new();
    for hit in marks.find_iter(line) {
        let (index, start, end) = (hit.pattern().as_usize(), hit.start(), hit.end());
        let begins = NAMES.len() + BEGINS.len();
        let words = begins + BEFORE.len();
        found.extend(match index {
            index if index < NAMES.len() => named(line, start, end),
            index if index < begins => begun(line, start, end, BEGINS[index - NAMES.len()].1),
            index if index < words => worded(line, end),
            index if index < words + TEXTS.len() => written(line, start, end),
            _ => credentials(line, end),
        });
    }
    found
}

fn at(line: &str, index: usize) -> Option<u8> {
    line.as_bytes().get(index).copied()
}

/// Bytes from `from` on for which `is` holds.
fn run(line: &str, from: usize, is: impl Fn(u8) -> bool) -> usize {
    line.as_bytes()[from..].iter().take_while(|byte| is(**byte)).count()
}

/// Where the value of a name begins: `=v`, `': 'v'`, `: v`, `=['v'`, and `--name v`.
fn value_at(line: &str, start: usize, end: usize) -> Option<(usize, Option<u8>)> {
    let gap = run(line, end, |byte| b"'\"\\: =".contains(&byte));
    let between = &line[end..end + gap];
    let flag = line[..start].ends_with("--") && gap > 0;
    (flag || between.contains([':', '='])).then_some(())?;
    let open = line.as_bytes()[end..end + gap].last().copied();
    Some((end + gap, open.filter(|byte| b"'\"".contains(byte))))
}

fn named(line: &str, start: usize, end: usize) -> Option<Found> {
    let (from, open) = value_at(line, start, end)?;
    let list = at(line, from) == Some(b'[');
    let from = from + usize::from(list);
    let length = match (list, open) {
        (true, _) => run(line, from, |byte| !b"]\r\n".contains(&byte)),
        (false, Some(quote)) => run(line, from, |byte| byte != quote && byte != b'\n'),
        (false, None) => run(line, from, |byte| !b"'\",]})\r\n &;".contains(&byte)),
    };
    let value = &line[from..from + length];
    let scheme = BEFORE.iter().any(|word| value.eq_ignore_ascii_case(word.trim_end()));
    let unset = matches!(value, "" | "None" | "null" | "True" | "False" | "true" | "false");
    let listed = list && value.split(", ").all(|one| is_token(one.trim_matches(['\'', '"'])));
    (!scheme && !unset && !listed).then_some(Found {
        kind: "secret",
        start: from,
        end: from + length,
    })
}

fn begun(line: &str, start: usize, end: usize, least: usize) -> Option<Found> {
    let before = start.checked_sub(1).and_then(|index| at(line, index));
    if before.is_some_and(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte)) {
        return None;
    }
    let length = run(line, end, |byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte));
    (length >= least).then_some(Found { kind: "secret", start, end: end + length })
}

fn worded(line: &str, end: usize) -> Option<Found> {
    let length = run(line, end, |byte| byte.is_ascii_graphic() && !b"'\",}])".contains(&byte));
    (length >= 4).then_some(Found { kind: "secret", start: end, end: end + length })
}

/// A prompt or an answer: a quoted string with escapes, or a list.
fn written(line: &str, start: usize, end: usize) -> Option<Found> {
    let before = start.checked_sub(1).and_then(|index| at(line, index));
    if before.is_some_and(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte)) {
        return None;
    }
    let gap = run(line, end, |byte| b"'\"\\: =".contains(&byte));
    let between = &line[end..end + gap];
    between.contains([':', '=']).then_some(())?;
    // The first quote after the colon opens; an empty text has its own end in the gap.
    let after = between.rfind([':', '='])? + 1;
    let open = between[after..].find(['\'', '"']).map(|index| end + after + index);
    if let Some(open) = open {
        let quote = at(line, open)?;
        let length = quoted(line, open + 1, quote);
        return Some(Found { kind: "text", start: open + 1, end: open + 1 + length });
    }
    (at(line, end + gap) == Some(b'[')).then_some(())?;
    let from = end + gap + 1;
    let length = bracketed(line, from);
    Some(Found { kind: "text", start: from, end: from + length })
}

/// Length of a string up to its closing quote, or to its line's end.
fn quoted(line: &str, from: usize, quote: u8) -> usize {
    let mut escaped = false;
    run_mut(line, from, |byte| {
        let inside = escaped || byte != quote;
        escaped = !escaped && byte == b'\\';
        inside
    })
}

/// Length of a list up to its closing bracket, or to its line's end.
fn bracketed(line: &str, from: usize) -> usize {
    let mut depth = 1;
    run_mut(line, from, |byte| {
        depth += i32::from(byte == b'[') - i32::from(byte == b']');
        depth > 0
    })
}

fn run_mut(line: &str, from: usize, mut is: impl FnMut(u8) -> bool) -> usize {
    let bytes = line.as_bytes()[from..].iter();
    bytes.take_while(|byte| **byte != b'\n' && is(**byte)).count()
}

/// `user:password` between `://` and `@`.
fn credentials(line: &str, end: usize) -> Option<Found> {
    let length = run(line, end, |byte| byte.is_ascii_graphic() && !b"/'\"?#,".contains(&byte));
    let at = line[end..end + length].rfind('@')?;
    Some(Found { kind: "secret", start: end, end: end + at })
}

fn mails(line: &str, found: &mut Vec<Found>) {
    for at in memchr::memchr_iter(b'@', line.as_bytes()) {
        let local = line.as_bytes()[..at].iter().rev();
        let is_local = |byte: u8| byte.is_ascii_alphanumeric() || b".+-_%".contains(&byte);
        let before = local.take_while(|byte| is_local(**byte)).count();
        let is_host = |byte: u8| byte.is_ascii_alphanumeric() || b".-".contains(&byte);
        let after = run(line, at + 1, is_host);
        let host = line[at + 1..at + 1 + after].trim_end_matches(['.', '-']);
        let top = host.rsplit_once('.').map(|(_, top)| top).unwrap_or_default();
        if before > 0 && top.len() >= 2 && top.bytes().all(|byte| byte.is_ascii_alphabetic()) {
            found.push(Found { kind: "mail", start: at - before, end: at + 1 + host.len() });
        }
    }
}

fn ips(line: &str, found: &mut Vec<Found>) {
    let is = |byte: u8| byte.is_ascii_hexdigit() || b".:".contains(&byte);
    let mut from = 0;
    while from < line.len() {
        let length = run(line, from, is);
        let word = &line[from..from + length];
        if let Some(length) = ip(word) {
            found.push(Found { kind: "address", start: from, end: from + length });
        }
        from += length;
        from += run(line, from, |byte| !is(byte));
    }
}

/// Length of the address at the start of a word, which a port may follow.
fn ip(word: &str) -> Option<usize> {
    let word = word.trim_end_matches(['.', ':']);
    let whole = word.parse::<IpAddr>().ok().map(|ip| (ip, word.len()));
    let v4 = || {
        let (head, _) = word.split_once(':')?;
        Some((head.parse::<IpAddr>().ok()?, head.len()))
    };
    let (ip, length) = whole.or_else(v4)?;
    (!ip.is_loopback() && !ip.is_unspecified()).then_some(length)
}
