//! The report on a terminal: one screen that an engineer can act on, and more behind `-v`.

mod details;
mod screen;
mod without_cause;

use super::{
    Report, Verdict,
    text::{clean, shorten_end, shorten_middle, wrap},
    words,
};

/// Lines on the first screen, so that it fits a terminal of 25 lines.
const SCREEN_LINES: usize = 25;
/// Columns of the label before the text.
const GUTTER: usize = 10;
/// Narrower terminals than this are written to as if they had this width.
const MIN_WIDTH: usize = 40;

/// How to write for a terminal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Style {
    /// Columns.
    pub width: usize,
    /// Whether to colour. No colour carries a meaning that the words do not.
    pub color: bool,
    /// 0 writes one screen, more writes everything.
    pub verbose: u8,
    /// One line only.
    pub quiet: bool,
}

impl Style {
    fn columns(&self) -> usize {
        self.width.max(MIN_WIDTH)
    }
}

/// Writes the report for a terminal.
pub fn render(report: &Report, style: &Style) -> String {
    if style.quiet {
        return quiet(report, style.columns()) + "\n";
    }
    let room = if style.verbose > 0 { usize::MAX } else { SCREEN_LINES };
    let mut lines = fit(screen::blocks(report, style), room);
    if style.verbose > 0 {
        lines.extend(details::lines(report, style.columns()));
    }
    lines.iter().map(|line| line.paint(style) + "\n").collect()
}

/// Verdict, cause, impact and coverage on one line; what matters least is cut first.
fn quiet(report: &Report, columns: usize) -> String {
    let mut parts = vec![words::verdict(report.verdict).to_string()];
    match words::top_cause(report) {
        Some(cause) => {
            parts.push(format!("{} {}", clean(&cause.id), words::percent(cause.probability)));
        }
        None if !report.symptoms.is_empty() && report.verdict != Verdict::Healthy => {
            parts.push("not in the catalogue".into());
        }
        None => {}
    }
    parts.push(format!("{}/{} checks", report.coverage.answered, report.coverage.asked));
    if let Some(impact) = report.impact.as_ref().filter(|impact| words::hurts(impact)) {
        let share = words::share_of_requests(impact.requests_over_objective, impact.requests);
        parts.push(format!("{share} slow"));
    }
    let line = shorten_end(&parts.join("  "), columns);
    let left = columns.saturating_sub(super::text::width(&line) + 2);
    if left < 12 {
        return line;
    }
    format!("{line}  {}", shorten_middle(&clean(&report.target.name), left))
}

/// What a line is, for its colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Tone {
    Plain,
    Strong,
    Faint,
    Command,
    Verdict(Verdict),
}

/// One line: a label in the gutter, then text. Colour is added last, so that widths stay true.
#[derive(Debug, Clone)]
struct Line {
    label: String,
    text: String,
    tone: Tone,
}

impl Line {
    /// A line over the whole width.
    fn bare(text: impl Into<String>, tone: Tone) -> Self {
        Self { label: String::new(), text: text.into(), tone }
    }

    fn paint(&self, style: &Style) -> String {
        let text = paint(&self.text, self.tone, style.color);
        let line = match (self.label.trim().is_empty(), self.tone) {
            (true, _) => format!("{}{text}", self.label),
            (false, Tone::Verdict(_)) => {
                format!("{}{}", paint(&self.label, self.tone, style.color), self.text)
            }
            (false, _) => format!("{}{text}", paint(&self.label, Tone::Faint, style.color)),
        };
        line.trim_end().to_string()
    }
}

fn paint(text: &str, tone: Tone, color: bool) -> String {
    let code = match tone {
        Tone::Plain => return text.to_string(),
        _ if !color || text.is_empty() => return text.to_string(),
        Tone::Strong => "1",
        Tone::Faint => "2",
        Tone::Command => "36",
        Tone::Verdict(Verdict::Healthy) => "1;32",
        Tone::Verdict(Verdict::Degraded) => "1;33",
        Tone::Verdict(Verdict::Critical) => "1;31",
        Tone::Verdict(Verdict::Inconclusive) => "1;35",
    };
    format!("\u{1b}[{code}m{text}\u{1b}[0m")
}

/// Lines that belong together. Where the screen is too short, blocks of high `rank` lose their last
/// lines first, down to `keep`.
#[derive(Debug, Clone)]
struct Block {
    rank: u8,
    keep: usize,
    lines: Vec<Line>,
}

/// Lays out labelled text: the label in the gutter, the text wrapped beside it.
fn labelled(label: &str, text: &str, tone: Tone, columns: usize) -> Vec<Line> {
    let gutter = super::text::pad(label, GUTTER);
    wrap(text, columns - GUTTER)
        .into_iter()
        .enumerate()
        .map(|(row, text)| Line {
            label: if row == 0 { gutter.clone() } else { " ".repeat(GUTTER) },
            text,
            tone,
        })
        .collect()
}

/// Takes lines away until the screen has `room` for the rest.
fn fit(mut blocks: Vec<Block>, room: usize) -> Vec<Line> {
    let mut surplus =
        blocks.iter().map(|block| block.lines.len()).sum::<usize>().saturating_sub(room);
    let mut order: Vec<usize> = (0..blocks.len()).collect();
    order.sort_by_key(|index| std::cmp::Reverse((blocks[*index].rank, *index)));
    for index in order {
        let block = &mut blocks[index];
        let cut = surplus.min(block.lines.len().saturating_sub(block.keep));
        if cut == 0 {
            continue;
        }
        surplus -= cut;
        block.lines.truncate(block.lines.len() - cut);
        if let Some(last) = block.lines.last_mut() {
            mark_as_cut(last);
        }
    }
    blocks.into_iter().flat_map(|block| block.lines).collect()
}

/// Ends a line at its last full sentence, else with an ellipsis in place of its last word, so that
/// it grows no wider and no number is cut in two.
fn mark_as_cut(line: &mut Line) {
    if let Some(end) = line.text.rfind(". ").filter(|end| end * 3 > line.text.len()) {
        line.text.truncate(end + 1);
        return;
    }
    if let Some((words, last)) = line.text.rsplit_once(' ') {
        line.text = if last.is_empty() { words.to_string() } else { format!("{words} …") };
    } else {
        line.text = shorten_end(&format!("{}……", line.text), super::text::width(&line.text).max(2));
    }
}
