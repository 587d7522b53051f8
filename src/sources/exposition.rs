//! A reader of Prometheus text 0.0.4 and OpenMetrics 1.0 pages.
//!
//! Pure and without copies: a [`Sample`] borrows from the page, and its labels are decoded only
//! when asked for. A line that cannot be read is counted and the rest goes on, because half a page
//! in an incident is worth more than none.
//!
//! Formats: <https://prometheus.io/docs/instrumenting/exposition_formats/> and
//! <https://prometheus.io/docs/specs/om/open_metrics_spec/>.

use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet},
};

use memchr::{memchr, memchr2};

use crate::evidence::{SeriesSet, Time, series};

/// Bad lines and bodies are quoted in errors up to this many characters.
const EXCERPT_CHARS: usize = 80;

/// One sample, as the page has it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sample<'a> {
    /// The name as the page spells it.
    pub raw_name: &'a str,
    /// The text of name and labels: the same for the same series on every page of one exporter.
    pub key: &'a str,
    /// The value; may be NaN or infinite.
    pub value: f64,
}

impl<'a> Sample<'a> {
    /// The name in canonical spelling, see [`canonical`].
    pub fn name(&self) -> Cow<'a, str> {
        canonical(self.raw_name)
    }

    /// The labels in the page's order, values unescaped.
    pub fn labels(&self) -> Labels<'a> {
        let rest = self.key[self.raw_name.len()..].trim_start_matches(BLANKS);
        Labels { text: rest.strip_prefix('{').unwrap_or(rest) }
    }
}

/// The labels of one sample.
#[derive(Debug, Clone)]
pub struct Labels<'a> {
    text: &'a str,
}

impl<'a> Iterator for Labels<'a> {
    type Item = (&'a str, Cow<'a, str>);

    fn next(&mut self) -> Option<Self::Item> {
        let pair = next_label(self.text, 0).ok()??;
        self.text = &self.text[pair.end..];
        Some((pair.name, unescape(pair.raw_value)))
    }
}

/// What a page was like.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Summary {
    /// Samples read.
    pub samples: usize,
    /// Metric families announced by a `# TYPE` line.
    pub families: usize,
    /// Lines that could not be read.
    pub bad_lines: usize,
    /// The first of them.
    pub first_bad: Option<BadLine>,
    /// Whether the page is OpenMetrics rather than text 0.0.4.
    pub openmetrics: bool,
    /// Whether the page ends with `# EOF`.
    pub eof: bool,
    /// Whether the page was cut short: OpenMetrics without its `# EOF`, or a last line that has
    /// no newline and cannot be read.
    pub truncated: bool,
    /// Whether the last line is a sample without a newline: a page that broke off inside a number
    /// looks like that.
    pub unterminated: bool,
}

/// A line that could not be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadLine {
    /// Line number, from 1.
    pub line: usize,
    /// Its beginning, with control characters and invalid UTF-8 replaced.
    pub excerpt: String,
    /// What is wrong with it.
    pub why: &'static str,
}

/// Why a body is not a page of vLLM metrics.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PageError {
    /// Nothing came.
    #[error(
        "the metrics page is empty; ask again, and check that no proxy stands between this tool \
         and vLLM's own port"
    )]
    Empty,
    /// A web page came.
    #[error(
        "a web page came instead of metrics (`{excerpt}`); the URL leads to a proxy, a login page \
         or another service: try vLLM's own port, path /metrics"
    )]
    Html {
        /// The beginning of the body.
        excerpt: String,
    },
    /// JSON came.
    #[error(
        "JSON came instead of metrics (`{excerpt}`); try the path /metrics on the port that \
         serves /v1/models"
    )]
    Json {
        /// The beginning of the body.
        excerpt: String,
    },
    /// No line is a sample, and some line is not even a comment.
    #[error(
        "the body is no metrics page: line {} reads `{}` ({}); try the path /metrics on vLLM's own \
         port, without compression",
        first.line, first.excerpt, first.why
    )]
    Garbage {
        /// The first line that could not be read.
        first: BadLine,
    },
    /// Lines of vLLM came, and none of them can be read.
    #[error(
        "no line of vLLM on the page can be read: line {} reads `{}` ({}); does a proxy rewrite it, \
         or do names of models hold bytes that are no text? try the path /metrics on vLLM's own port",
        first.line, first.excerpt, first.why
    )]
    Torn {
        /// The first line that could not be read.
        first: BadLine,
    },
    /// Metrics are announced, but none has a value.
    #[error(
        "the metrics page announces {families} metrics and has no sample of any; the server may \
         still be starting: ask again once /health answers 200"
    )]
    NoSamples {
        /// Families announced.
        families: usize,
    },
    /// Samples came, but none is vLLM's, and they look like those of vLLM's own process.
    #[error(
        "the page has {seen} but not one vllm: metric; the server may run with \
         --disable-log-stats, be vLLM 0.5.4 (which exports none), or still be building its engine"
    )]
    NoStats {
        /// What the page has, by name prefix.
        seen: String,
    },
    /// Samples came, but they are another program's.
    #[error(
        "the page has {seen} but not one vllm: metric; it belongs to another exporter: try vLLM's \
         own port"
    )]
    OtherExporter {
        /// What the page has, by name prefix.
        seen: String,
    },
}

/// Reads a page, line by line, and hands over each sample in order.
pub fn parse<'a>(body: &'a [u8], mut each: impl FnMut(Sample<'a>)) -> Summary {
    let body = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body);
    let mut page = Page::default();
    let mut rest = body;
    while !rest.is_empty() {
        let (line, next) = match memchr(b'\n', rest) {
            Some(end) => (&rest[..end], &rest[end + 1..]),
            None => (rest, &rest[rest.len()..]),
        };
        if let Some(sample) = page.read_line(line) {
            each(sample);
        }
        rest = next;
    }
    page.finish(body.ends_with(b"\n"))
}

/// Reads a page into `set` as of time `at`: the samples of vLLM, of its HTTP layer and of its
/// process. Start-time samples (`_created`) and those of the Python runtime are left out, as is the
/// last one of a page that ends inside its line: half a number is another number. `set` is untouched
/// where the body is not a page of vLLM metrics.
pub fn record_page(set: &mut SeriesSet, at: Time, body: &[u8]) -> Result<Summary, PageError> {
    check_form(body)?;
    let mut kept = Vec::with_capacity(body.len() / 80);
    let (mut is_vllms, mut keeps_last) = (false, false);
    let summary = parse(body, |sample| {
        let origin = Origin::of(sample.raw_name);
        is_vllms |= origin == Origin::Vllm;
        keeps_last = origin != Origin::Other && !sample.raw_name.ends_with("_created");
        if keeps_last {
            kept.push(sample);
        }
    });
    if summary.unterminated && keeps_last {
        kept.pop();
    }
    if !is_vllms {
        return Err(without_vllm(body, summary));
    }
    set.begin_page(at);
    for sample in &kept {
        set.record(sample.key, at, sample.value, || describe(sample));
    }
    Ok(summary)
}

/// The canonical spelling of a sample name. Colons do not survive Ray and OpenTelemetry, so
/// `vllm_x` and `ray_vllm_x` stand for `vllm:x`; all other names stay as they are.
pub fn canonical(name: &str) -> Cow<'_, str> {
    match underscored(name) {
        Some(rest) => Cow::Owned(format!("vllm:{rest}")),
        None => Cow::Borrowed(name),
    }
}

fn underscored(name: &str) -> Option<&str> {
    let rest = name.strip_prefix("vllm_").or_else(|| name.strip_prefix("ray_vllm_"))?;
    (!rest.is_empty() && !rest.contains(':')).then_some(rest)
}

/// Whose a sample is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Origin {
    Vllm,
    Server,
    Other,
}

impl Origin {
    fn of(raw_name: &str) -> Self {
        if raw_name.starts_with("vllm:") || underscored(raw_name).is_some() {
            Self::Vllm
        } else if raw_name.starts_with("http_") || raw_name.starts_with("process_") {
            Self::Server
        } else {
            Self::Other
        }
    }
}

fn describe(sample: &Sample<'_>) -> (String, series::Labels) {
    let labels = sample.labels().map(|(name, value)| (name.to_owned(), value.into_owned()));
    (sample.name().into_owned(), labels.collect())
}

fn check_form(body: &[u8]) -> Result<(), PageError> {
    let text = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body).trim_ascii();
    match text.first() {
        None => Err(PageError::Empty),
        Some(b'<') => Err(PageError::Html { excerpt: excerpt(text) }),
        Some(b'{' | b'[' | b'"') => Err(PageError::Json { excerpt: excerpt(text) }),
        Some(_) => Ok(()),
    }
}

fn without_vllm(body: &[u8], summary: Summary) -> PageError {
    let torn = summary.first_bad.as_ref().is_some_and(|line| line.excerpt.starts_with("vllm"));
    if summary.samples > 0 && !torn {
        return foreign_samples(body);
    }
    match summary.first_bad {
        Some(first) if torn => PageError::Torn { first },
        Some(first) => PageError::Garbage { first },
        None => PageError::NoSamples { families: summary.families },
    }
}

fn foreign_samples(body: &[u8]) -> PageError {
    let mut names: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    parse(body, |sample| {
        let prefix = sample.raw_name.split_inclusive(['_', ':']).next().unwrap_or_default();
        names.entry(prefix).or_default().insert(sample.raw_name);
    });
    let own = ["python_", "process_", "http_"];
    let all_own = names.keys().all(|prefix| own.contains(prefix));
    let mut seen: Vec<String> = names.keys().take(4).map(|prefix| format!("{prefix}*")).collect();
    if names.len() > seen.len() {
        seen.push("more".into());
    }
    let seen = seen.join(", ");
    if all_own { PageError::NoStats { seen } } else { PageError::OtherExporter { seen } }
}

/// The state of a page being read.
#[derive(Default)]
struct Page<'a> {
    summary: Summary,
    line: usize,
    last_is_bad: bool,
    last_is_sample: bool,
    /// The counter announced last, if its name lacks `_total`: OpenMetrics puts that on samples
    /// alone, so the next sample tells the formats apart on a page that lost its `# EOF`.
    bare_counter: Option<&'a str>,
}

impl<'a> Page<'a> {
    fn read_line(&mut self, line: &'a [u8]) -> Option<Sample<'a>> {
        self.line += 1;
        self.last_is_bad = false;
        self.last_is_sample = false;
        match read_line(line) {
            Ok(Line::Blank) => None,
            Ok(Line::Comment(text)) => {
                self.read_comment(text);
                None
            }
            Ok(Line::Sample(sample)) => {
                self.summary.samples += 1;
                self.last_is_sample = true;
                if let Some(counter) = self.bare_counter.take() {
                    let suffix = sample.raw_name.strip_prefix(counter);
                    self.summary.openmetrics |= suffix == Some("_total");
                }
                Some(sample)
            }
            Err(why) => {
                self.note_bad(line, why);
                None
            }
        }
    }

    fn read_comment(&mut self, text: &'a str) {
        let Some(text) = text.strip_prefix("# ") else { return };
        if text == "EOF" {
            self.summary.eof = true;
            self.summary.openmetrics = true;
        } else if let Some(rest) = text.strip_prefix("TYPE ") {
            self.summary.families += 1;
            let mut words = rest.split_ascii_whitespace();
            let (name, kind) = (words.next(), words.next());
            self.bare_counter = name.filter(|name| kind == Some("counter") && !is_total(name));
            let new_kinds = ["unknown", "info", "stateset", "gaugehistogram"];
            self.summary.openmetrics |= kind.is_some_and(|kind| new_kinds.contains(&kind));
        } else if text.starts_with("UNIT ") {
            self.summary.openmetrics = true;
        }
    }

    #[cold]
    fn note_bad(&mut self, line: &[u8], why: &'static str) {
        self.last_is_bad = true;
        self.summary.bad_lines += 1;
        let number = self.line;
        self.summary.first_bad.get_or_insert_with(|| BadLine {
            line: number,
            excerpt: excerpt(line),
            why,
        });
    }

    fn finish(mut self, ends_with_newline: bool) -> Summary {
        self.summary.unterminated = self.last_is_sample && !ends_with_newline;
        let cut_line = self.last_is_bad && !ends_with_newline;
        self.summary.truncated = cut_line || (self.summary.openmetrics && !self.summary.eof);
        self.summary
    }
}

fn is_total(name: &str) -> bool {
    name.ends_with("_total")
}

enum Line<'a> {
    Blank,
    Comment(&'a str),
    Sample(Sample<'a>),
}

/// What is wrong with a line.
type Why = &'static str;

const BLANKS: [char; 2] = [' ', '\t'];

fn read_line(line: &[u8]) -> Result<Line<'_>, Why> {
    let text = std::str::from_utf8(line.trim_ascii()).map_err(|_| "it is not UTF-8")?;
    match text.as_bytes().first() {
        None => Ok(Line::Blank),
        Some(b'#') => Ok(Line::Comment(text)),
        Some(_) => read_sample(text).map(Line::Sample),
    }
}

fn read_sample(text: &str) -> Result<Sample<'_>, Why> {
    let bytes = text.as_bytes();
    let name_end = name_length(bytes, is_metric_byte);
    if name_end == 0 {
        return Err("it begins with no metric name");
    }
    let after_name = skip_blanks(bytes, name_end);
    let key_end = match bytes.get(after_name) {
        None => return Err("it has no value"),
        Some(b'{') => labels_end(text, after_name + 1)?,
        Some(_) if after_name == name_end => return Err("its name has a character no metric has"),
        Some(_) => name_end,
    };
    let value = read_value(&text[skip_blanks(bytes, key_end)..])?;
    Ok(Sample { raw_name: &text[..name_end], key: &text[..key_end], value })
}

/// Reads a value and checks what stands after it: a timestamp, an exemplar, or nothing. The page
/// is judged by the time it was read at, so timestamps are not kept.
fn read_value(text: &str) -> Result<f64, Why> {
    let (value, tail) = split_word(text);
    if value.is_empty() {
        return Err("it has no value");
    }
    let value = value.parse().map_err(|_| "its value is not a number")?;
    if !tail.is_empty() {
        check_tail(tail)?;
    }
    Ok(value)
}

fn check_tail(tail: &str) -> Result<(), Why> {
    let (time, exemplar) = match tail.split_once('#') {
        Some((time, exemplar)) => (time.trim_ascii(), Some(exemplar.trim_ascii_start())),
        None => (tail, None),
    };
    if !time.is_empty() && time.parse::<f64>().is_err() {
        return Err("what follows its value is no timestamp");
    }
    match exemplar {
        Some(exemplar) => check_exemplar(exemplar),
        None => Ok(()),
    }
}

fn check_exemplar(text: &str) -> Result<(), Why> {
    if !text.starts_with('{') {
        return Err("its exemplar has no labels");
    }
    let end = labels_end(text, 1)?;
    let (value, time) = split_word(text[end..].trim_ascii_start());
    let is_number = |word: &str| word.parse::<f64>().is_ok();
    if is_number(value) && (time.is_empty() || is_number(time)) {
        return Ok(());
    }
    Err("its exemplar has no readable value")
}

fn split_word(text: &str) -> (&str, &str) {
    match memchr2(b' ', b'\t', text.as_bytes()) {
        Some(end) => (&text[..end], text[end..].trim_start_matches(BLANKS)),
        None => (text, ""),
    }
}

/// The place after the `}` that closes the labels beginning at `at`.
fn labels_end(text: &str, mut at: usize) -> Result<usize, Why> {
    while let Some(pair) = next_label(text, at)? {
        at = pair.end;
    }
    Ok(skip_blanks(text.as_bytes(), at) + 1)
}

struct Pair<'a> {
    name: &'a str,
    raw_value: &'a str,
    end: usize,
}

/// The label at `at` with the comma after it, or `None` at the closing brace.
#[inline]
fn next_label(text: &str, at: usize) -> Result<Option<Pair<'_>>, Why> {
    let bytes = text.as_bytes();
    let start = skip_blanks(bytes, at);
    if bytes.get(start) == Some(&b'}') {
        return Ok(None);
    }
    let name_end = start + name_length(&bytes[start..], is_label_byte);
    if name_end == start {
        return Err(if start < bytes.len() { "it has a label without a name" } else { UNCLOSED });
    }
    let equals = skip_blanks(bytes, name_end);
    let quote = skip_blanks(bytes, equals + 1);
    if bytes.get(equals) != Some(&b'=') || bytes.get(quote) != Some(&b'"') {
        return Err("it has a label without a quoted value");
    }
    let close = closing_quote(bytes, quote + 1).ok_or(UNCLOSED)?;
    let after = skip_blanks(bytes, close + 1);
    let end = match bytes.get(after) {
        Some(b',') => after + 1,
        Some(b'}') => after,
        Some(_) => return Err("its labels are not separated by commas"),
        None => return Err(UNCLOSED),
    };
    let raw_value = &text[quote + 1..close];
    Ok(Some(Pair { name: &text[start..name_end], raw_value, end }))
}

const UNCLOSED: Why = "its labels are not closed";

fn closing_quote(bytes: &[u8], mut at: usize) -> Option<usize> {
    loop {
        let found = at + memchr2(b'"', b'\\', bytes.get(at..)?)?;
        if bytes[found] == b'"' {
            return Some(found);
        }
        at = found + 2;
    }
}

#[inline]
fn name_length(bytes: &[u8], allowed: fn(u8) -> bool) -> usize {
    if bytes.first().is_none_or(u8::is_ascii_digit) {
        return 0;
    }
    bytes.iter().position(|&byte| !allowed(byte)).unwrap_or(bytes.len())
}

fn is_metric_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b':')
}

fn is_label_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

#[inline]
fn skip_blanks(bytes: &[u8], mut at: usize) -> usize {
    while matches!(bytes.get(at), Some(b' ' | b'\t')) {
        at += 1;
    }
    at
}

/// Decodes `\\`, `\"` and `\n`. Other escapes have no meaning in either format and stay.
fn unescape(raw: &str) -> Cow<'_, str> {
    if memchr(b'\\', raw.as_bytes()).is_none() {
        return Cow::Borrowed(raw);
    }
    let mut text = String::with_capacity(raw.len());
    let mut chars = raw.chars();
    while let Some(char) = chars.next() {
        if char != '\\' {
            text.push(char);
            continue;
        }
        match chars.next() {
            Some('n') => text.push('\n'),
            Some(escaped @ ('\\' | '"')) => text.push(escaped),
            Some(other) => text.extend(['\\', other]),
            None => text.push('\\'),
        }
    }
    Cow::Owned(text)
}

/// The beginning of a text, safe to print on a terminal.
fn excerpt(text: &[u8]) -> String {
    let head = &text[..text.len().min(4 * EXCERPT_CHARS)];
    let head = String::from_utf8_lossy(head);
    let visible = |char: char| if char.is_control() { char::REPLACEMENT_CHARACTER } else { char };
    let mut shown: String = head.trim().chars().take(EXCERPT_CHARS).map(visible).collect();
    if head.trim().chars().nth(EXCERPT_CHARS).is_some() {
        shown.push('…');
    }
    shown
}
