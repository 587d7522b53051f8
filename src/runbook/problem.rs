//! What is wrong with a runbook file, shown under the line it stands on.

use std::{ops::Range, sync::Arc};

use annotate_snippets::{AnnotationKind, Level, Renderer, Snippet};
use serde_saphyr::Location;

use super::Severity;
use crate::hazard;

/// A YAML file with its text, kept so that every message can point into it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct SourceFile {
    /// Path as people know it; embedded files begin with `runbooks/`.
    pub path: String,
    /// The text.
    pub text: String,
    /// The directory it was loaded from: 0 for the embedded files, then in order of loading.
    pub layer: usize,
    /// The same as JSON, where the build parsed it.
    pub compiled: Option<&'static str>,
}

impl SourceFile {
    /// A file as it was read.
    pub fn new(path: impl Into<String>, text: impl Into<String>, layer: usize) -> Self {
        Self { path: path.into(), text: text.into(), layer, compiled: None }
    }

    /// The byte span of a parsed value. Values without one (a block scalar's inside) give the
    /// first character of their line and column.
    pub fn span(&self, location: Location) -> Range<usize> {
        let start = location.span().byte_offset().map_or_else(
            || self.offset(location.line() as usize, location.column() as usize),
            |offset| offset as usize,
        );
        let length = location.span().byte_len().unwrap_or(1).max(1) as usize;
        let start = self.boundary(start);
        let end = self.boundary(start + length);
        let end = start + self.text[start..end].trim_end().len();
        start..end
    }

    /// Where `needle` stands at or after `from`.
    pub fn find_from(&self, from: usize, needle: &str) -> Option<Range<usize>> {
        let from = self.boundary(from);
        let start = from + self.text[from..].find(needle)?;
        Some(start..start + needle.len())
    }

    fn offset(&self, line: usize, column: usize) -> usize {
        let lines = self.text.split_inclusive('\n').take(line.saturating_sub(1));
        let before: usize = lines.map(str::len).sum();
        let rest = &self.text[before..];
        let inside = rest.char_indices().nth(column.saturating_sub(1));
        before + inside.map_or(rest.len(), |(offset, _)| offset)
    }

    /// The nearest character boundary at or before `offset`.
    fn boundary(&self, offset: usize) -> usize {
        let mut offset = offset.min(self.text.len());
        while !self.text.is_char_boundary(offset) {
            offset -= 1;
        }
        offset
    }
}

/// One thing wrong with a file.
#[derive(Debug, Clone, PartialEq)]
pub struct Problem {
    /// The file.
    pub file: Arc<SourceFile>,
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    /// Bytes of the file that are meant.
    pub span: Range<usize>,
    /// What is wrong, a lower-case fragment.
    pub message: String,
    /// What to do about it.
    pub help: Option<String>,
    /// `Warning`, or `Critical` where the file cannot be used.
    pub severity: Severity,
}

impl Problem {
    /// An error: the files cannot be used as they are.
    pub fn error(file: &Arc<SourceFile>, span: Range<usize>, message: impl Into<String>) -> Self {
        let before = &file.text[..span.start];
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        Self {
            file: Arc::clone(file),
            line: before.matches('\n').count() + 1,
            column: before[line_start..].chars().count() + 1,
            span,
            message: message.into(),
            help: None,
            severity: Severity::Critical,
        }
    }

    /// The same as a warning.
    #[must_use]
    pub fn as_warning(self) -> Self {
        Self { severity: Severity::Warning, ..self }
    }

    /// Adds what to do about it.
    #[must_use]
    pub fn with_help(self, help: Option<String>) -> Self {
        Self { help, ..self }
    }

    /// Whether the files cannot be used.
    pub fn is_error(&self) -> bool {
        self.severity == Severity::Critical
    }

    /// The message over the line it is about, with a caret.
    pub fn render(&self, color: bool) -> String {
        let renderer = if color { Renderer::styled() } else { Renderer::plain() };
        let level = if self.is_error() { Level::ERROR } else { Level::WARNING };
        let snippet = Snippet::source(hazard::marked(&self.file.text))
            .path(hazard::spelt(&self.file.path))
            .annotation(AnnotationKind::Primary.span(self.span.clone()));
        let mut group = level.primary_title(hazard::spelt(&self.message)).element(snippet);
        if let Some(help) = &self.help {
            group = group.element(Level::HELP.message(hazard::spelt(help)));
        }
        renderer.render(&[group])
    }
}

/// Longest word that is taken for a typo, in bytes.
const LONGEST_TYPO: usize = 64;

/// The name nearest to `word`, where one is near enough to be meant.
pub fn nearest<'a>(word: &str, names: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let allowed = (word.chars().count() / 3).clamp(1, 4);
    let names = names.into_iter().filter(|_| word.len() <= LONGEST_TYPO);
    names
        .map(|name| (distance(word, name), name))
        .filter(|(distance, _)| *distance <= allowed)
        .min()
        .map(|(_, name)| name)
}

/// "did you mean `x`?", where a name is near enough.
pub fn did_you_mean<'a>(word: &str, names: impl IntoIterator<Item = &'a str>) -> Option<String> {
    nearest(word, names).map(|name| format!("did you mean `{name}`?"))
}

/// Edits (insert, delete, replace, swap of neighbours) that turn one word into the other: the
/// optimal string alignment distance.
fn distance(from: &str, to: &str) -> usize {
    let from: Vec<char> = from.chars().collect();
    let to: Vec<char> = to.chars().collect();
    let mut rows = vec![vec![0; to.len() + 1]; from.len() + 1];
    for (i, row) in rows.iter_mut().enumerate() {
        row[0] = i;
    }
    for (j, cell) in rows[0].iter_mut().enumerate() {
        *cell = j;
    }
    for i in 1..=from.len() {
        for j in 1..=to.len() {
            let replaced = rows[i - 1][j - 1] + usize::from(from[i - 1] != to[j - 1]);
            let mut best = replaced.min(rows[i - 1][j] + 1).min(rows[i][j - 1] + 1);
            let swapped = i > 1 && j > 1 && from[i - 1] == to[j - 2] && from[i - 2] == to[j - 1];
            if swapped {
                best = best.min(rows[i - 2][j - 2] + 1);
            }
            rows[i][j] = best;
        }
    }
    rows[from.len()][to.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_typo_finds_its_name_and_a_stranger_finds_none() {
        let names = ["high-ttft", "oom", "slow-decode"];
        assert_eq!(nearest("high-tfft", names), Some("high-ttft"));
        assert_eq!(nearest("slow_decod", names), Some("slow-decode"));
        assert_eq!(nearest("banana", names), None);
    }

    #[test]
    fn swapped_neighbours_are_one_edit() {
        assert_eq!(distance("ttft", "tftt"), 1);
        assert_eq!(distance("", "abc"), 3);
    }

    #[test]
    fn a_problem_points_at_its_line_and_column() {
        let text = "a: 1\nquestion: Ähm\n".to_string();
        let file = Arc::new(SourceFile::new("x.yaml", text, 0));
        let span = file.find_from(0, "Ähm").unwrap();
        let problem = Problem::error(&file, span, "no question mark");
        assert_eq!((problem.line, problem.column), (2, 11));
        let shown = problem.render(false);
        assert!(shown.contains("x.yaml:2:11") && shown.contains("^^^"), "{shown}");
    }
}
