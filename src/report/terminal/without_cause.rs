//! Screens without a cause: a fine system, too little seen, or a symptom that nothing explains.

use super::{
    Block, Tone,
    screen::{Page, short},
};
use crate::report::{
    BaselineKind, CauseFound, Number, ReadingRow, Status,
    text::{clean, sentence},
    words,
};

impl Page<'_> {
    /// No known cause explains the symptom: show what was seen, not a guess.
    pub(super) fn not_in_the_catalogue(&self) -> Vec<Block> {
        let mut blocks = vec![self.blank()];
        blocks.push(self.whole("Cause", "not in the catalogue", Tone::Strong));
        blocks.push(self.whole("", &words::unexplained(self.report), Tone::Plain));
        for (index, symptom) in words::symptoms(self.report).iter().skip(1).take(3).enumerate() {
            let label = if index == 0 { "Seen" } else { "" };
            blocks.push(self.cuttable(9, 1, label, &sentence(&clean(&symptom.statement))));
        }
        blocks.push(self.blank());
        blocks.extend(self.moved());
        let open = self.report.causes.iter().filter(|cause| cause.status == Status::NotExaminable);
        for (index, cause) in open.take(3).enumerate() {
            let why = cause.missing.first().map_or_else(String::new, |gap| {
                format!(": {} ({})", short(&gap.what, 50), short(&gap.why, 120))
            });
            let label = if index == 0 { "Unchecked" } else { "" };
            let text = sentence(&format!("{}{why}", short(&cause.title, 60)));
            blocks.push(self.cuttable(9, 1, label, &text));
        }
        blocks
    }

    /// The readings that changed most.
    fn moved(&self) -> Vec<Block> {
        let mut rows: Vec<_> = self
            .report
            .readings
            .iter()
            .filter_map(|row| Some((row, distance(row.change?)?)))
            .filter(|(_, distance)| *distance > 0.0)
            .collect();
        rows.sort_by(|a, b| b.1.total_cmp(&a.1));
        rows.iter()
            .take(4)
            .enumerate()
            .map(|(index, (row, _))| {
                let label = if index == 0 { "Moved" } else { "" };
                self.cuttable(11, 1, label, &self.reading(row))
            })
            .collect()
    }

    /// What is missing, and which flag or command would supply it.
    pub(super) fn inconclusive(&self) -> Vec<Block> {
        let mut blocks = vec![self.whole(
            "",
            "Too little could be looked at to say whether anything is wrong.",
            Tone::Plain,
        )];
        blocks.push(self.blank());
        for (index, gap) in words::gaps(self.report).iter().take(5).enumerate() {
            let label = if index == 0 { "Missing" } else { "" };
            let why = sentence(&clean(&gap.why));
            let rank = 10 + index as u8;
            blocks.push(self.cuttable(rank, 1, label, &format!("{}: {why}", short(&gap.what, 50))));
        }
        blocks.push(self.blank());
        blocks.extend(self.seen());
        blocks.push(self.looked_at());
        blocks
    }

    /// A calm page: what was looked at, and how it looks.
    pub(super) fn healthy(&self, note: Option<&CauseFound>) -> Vec<Block> {
        let window = &self.report.window;
        let one_runbook = !self.report.path.is_empty();
        let mut text = match self.report.symptoms.is_empty() {
            true if one_runbook => format!("No symptom of {} holds", clean(&self.report.command)),
            true => "No symptom holds".into(),
            false => "Nothing holds that changes the verdict".into(),
        };
        if let (Some(from), Some(to)) = (&window.from, &window.to) {
            text += &format!(" from {} to {}", self.time(from), self.time(to));
        }
        text += match window.baseline_kind {
            _ if window.kept_baseline.is_some() => {
                ", judged by policy and against a kept baseline."
            }
            BaselineKind::Recorded => ", judged by policy and against the time before.",
            BaselineKind::Lifetime => ", judged by policy and against the process's life so far.",
            BaselineKind::Unchanged => ", judged by policy; nothing changed inside this time.",
            BaselineKind::None => {
                ", judged by policy alone: there is no time before to compare with."
            }
        };
        if one_runbook {
            text += " Nothing else was judged; `diagnose sweep` judges everything.";
        }
        let mut blocks = vec![self.blank(), self.cuttable(5, 3, "Result", &text)];
        if let Some(impact) = &self.report.impact {
            blocks.push(self.cuttable(8, 1, "", &words::impact(self.report, impact)));
        }
        let measured = self.report.readings.iter().filter(|row| row.now.is_some());
        for (index, row) in measured.take(5).enumerate() {
            let label = if index == 0 { "Measured" } else { "" };
            blocks.push(self.cuttable(9, 1, label, &self.reading(row)));
        }
        blocks.push(self.looked_at());
        for symptom in words::symptoms(self.report).iter().take(2) {
            let text = sentence(&clean(&symptom.statement));
            blocks.push(self.cuttable(8, 1, words::severity(symptom.severity), &text));
        }
        blocks.extend(self.meanings());
        if let Some(cause) = note {
            let text = format!(
                "{} ({} likely). {} It changes no verdict.",
                short(&cause.title, 60),
                words::percent(cause.probability),
                sentence(&clean(&cause.claim)),
            );
            blocks.push(self.cuttable(8, 1, "Note", &text));
        }
        blocks
    }

    /// Which sources answered, and which did not.
    fn looked_at(&self) -> Block {
        let one = |source: &crate::evidence::SourceStatus| {
            format!("{} ({})", short(&source.id, 20), short(&source.detail, 60))
        };
        let (yes, no): (Vec<_>, Vec<_>) =
            self.report.sources.iter().partition(|source| source.status.answered());
        let yes: Vec<String> = yes.into_iter().map(one).collect();
        let no: Vec<String> = no
            .into_iter()
            .map(|source| {
                format!("{} ({})", short(&source.id, 20), words::source_state(source.status))
            })
            .collect();
        let mut text = match yes.is_empty() {
            true => "no source answered".to_string(),
            false => yes.join(", "),
        };
        if !no.is_empty() {
            text += &format!("; not: {}", no.join(", "));
        }
        self.cuttable(10, 1, "Sources", &sentence(&text))
    }

    /// One reading in words: `ttft_p95_seconds 450 to 500 ms, before 430 ms, 1.1×`.
    fn reading(&self, row: &ReadingRow) -> String {
        let Some(now) = row.now else {
            return String::new();
        };
        let mut text = format!("{} {}", short(&row.signal, 60), words::number(now, row.unit));
        if let Some(before) = row.baseline {
            let era = match self.report.window.baseline_kind {
                BaselineKind::Lifetime => "since start",
                _ => "before",
            };
            text += &format!(", {era} {}", words::number(before, row.unit));
        }
        let moved = |change: &Number| distance(*change).is_some_and(|distance| distance > 0.0);
        if let Some(change) = row.change.filter(moved) {
            text += &format!(", {}", words::change(change));
        }
        text
    }
}

/// How far a change surely is from none, on a log scale; 0 where it may be none.
fn distance(change: Number) -> Option<f64> {
    let (lo, hi) = match change {
        Number::Point(point) => (point, point),
        Number::Interval { lo, hi } => (lo, hi.unwrap_or(f64::INFINITY)),
    };
    if lo > 1.0 {
        return Some(lo.ln());
    }
    (hi < 1.0).then(|| -hi.max(1e-6).ln())
}
