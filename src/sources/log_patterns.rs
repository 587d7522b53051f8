//! The known lines of vLLM's log: data in `runbooks/log-patterns.yaml`, matched in one pass.

use std::sync::OnceLock;

use aho_corasick::{AhoCorasick, AhoCorasickKind, MatchKind};
use memchr::memmem;
use serde::Deserialize;

use crate::evidence::log::LogKind;

/// Where the patterns stand. They are compiled in: sources read them without seeing runbooks.
pub const TEXT: &str = include_str!("../../runbooks/log-patterns.yaml");

/// One kind of line.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pattern {
    /// Stable name.
    pub id: String,
    /// Fragments, any of which fits; `*` stands for anything in between.
    pub text: Vec<String>,
    /// What a line counts for.
    pub feeds: Vec<LogKind>,
    /// One sentence for the timeline.
    pub means: String,
    /// First version that prints it; none where the line is not vLLM's own.
    #[serde(default)]
    pub from: Option<String>,
    /// First version that does not print it any more.
    #[serde(default)]
    pub until: Option<String>,
    /// Where it was read.
    pub source: String,
}

/// Finds the pattern of a line.
#[derive(Debug)]
pub struct Patterns {
    rows: Vec<Pattern>,
    /// The first part of every fragment.
    firsts: Option<AhoCorasick>,
    /// For each first part: the row, and the parts that must follow.
    owners: Vec<(usize, Vec<String>)>,
}

impl Patterns {
    /// Those that ship in the binary, parsed on first use.
    pub fn shipped() -> &'static Self {
        static SHIPPED: OnceLock<Patterns> = OnceLock::new();
        // A file that does not parse fails the tests; a line less is no reason to end a run.
        SHIPPED.get_or_init(|| Self::parse(TEXT).unwrap_or_else(|_| Self::of(Vec::new())))
    }

    /// Reads a patterns file.
    pub fn parse(text: &str) -> Result<Self, String> {
        serde_saphyr::from_str(text).map(Self::of).map_err(|error| error.to_string())
    }

    fn of(rows: Vec<Pattern>) -> Self {
        let fragments = rows.iter().enumerate();
        let fragments = fragments.flat_map(|(row, it)| it.text.iter().map(move |text| (row, text)));
        let (mut firsts, mut owners) = (Vec::new(), Vec::new());
        for (row, text) in fragments {
            let mut parts = text.split('*').map(str::to_owned);
            firsts.push(parts.next().unwrap_or_default());
            owners.push((row, parts.collect()));
        }
        // The faster kind takes longer to build than most logs take to read with this one.
        let kind = Some(AhoCorasickKind::ContiguousNFA);
        let standard =
            AhoCorasick::builder().kind(kind).match_kind(MatchKind::Standard).build(firsts);
        Self { rows, firsts: standard.ok(), owners }
    }

    /// All rows, in the order in which they count.
    pub fn rows(&self) -> &[Pattern] {
        &self.rows
    }

    /// The first row that fits a line.
    pub fn find(&self, line: &str) -> Option<&Pattern> {
        let firsts = self.firsts.as_ref()?;
        let hits = firsts.find_overlapping_iter(line).filter_map(|hit| {
            let (row, rest) = self.owners.get(hit.pattern().as_usize())?;
            follow(line.as_bytes().get(hit.end()..)?, rest).then_some(*row)
        });
        self.rows.get(hits.min()?)
    }
}

/// Whether all parts stand in the text, one after the other.
fn follow(mut text: &[u8], parts: &[String]) -> bool {
    parts.iter().all(|part| {
        let Some(at) = memmem::find(text, part.as_bytes()) else { return false };
        text = &text[at + part.len()..];
        true
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn the_shipped_file_parses_and_every_row_is_sound() {
        let patterns = Patterns::parse(TEXT).unwrap();
        let mut seen = BTreeSet::new();
        for row in patterns.rows() {
            let id = &row.id;
            assert!(seen.insert(id), "{id} stands twice");
            assert!(!row.feeds.is_empty() && row.means.ends_with('.'), "{id}");
            let version = |text: &String| text.split('.').all(|part| part.parse::<u32>().is_ok());
            assert!(row.from.iter().chain(&row.until).all(version), "{id}");
            assert!(row.until.is_none() || row.from.is_some(), "{id} ends and never began");
            assert!(
                row.text.iter().all(|text| text.split('*').all(|part| part.len() >= 4)),
                "{id}"
            );
        }
    }

    #[test]
    fn every_fragment_is_found_and_no_row_hides_behind_another() {
        let patterns = Patterns::shipped();
        for row in patterns.rows() {
            for text in &row.text {
                let line = format!("(EngineCore pid=7) ERROR x: {} y", text.replace('*', " 7 "));
                assert_eq!(patterns.find(&line).map(|it| &it.id), Some(&row.id), "{text}");
            }
        }
    }

    #[test]
    fn the_special_row_wins_over_the_general_one() {
        let id = |line: &str| Patterns::shipped().find(line).map(|row| row.id.as_str());
        let warm_up = "RuntimeError: CUDA out of memory occurred when warming up sampler with 256";
        assert_eq!(id(warm_up), Some("oom-sampler-warm-up"));
        assert_eq!(id("LoRA rank 64 is greater than max_lora_rank 16"), Some("adapter-rank"));
        assert_eq!(id("LoRA rank 8 is fine"), None);
        assert_eq!(id("torch.AcceleratorError: CUDA error: out of memory"), Some("cuda-oom"));
    }
}
