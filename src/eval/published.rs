//! The published score: what documents and the track record quote, kept as a file so that every
//! number in them can be traced to the case it was counted on.

use std::{collections::BTreeMap, fmt::Write as _};

use serde::{Deserialize, Serialize};

use super::{Evaluation, Named, Score, Trial, render::rate};

/// `fixtures/accuracy.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Published {
    /// The score on simulated cases on which nothing was fitted.
    pub simulated: Evaluation,
    /// The tool's score on the same cases, each time without one source.
    pub without: BTreeMap<String, Score>,
    /// The causes named in each simulated case with their probabilities, first one first.
    pub named: BTreeMap<String, String>,
}

impl Published {
    /// What was named in each case.
    pub fn named(trials: &[Trial]) -> BTreeMap<String, String> {
        let one = |named: &Named| format!("{} {:.3}", named.id, named.probability);
        let all = |trial: &Trial| trial.answer.named.iter().map(one).collect::<Vec<_>>().join(", ");
        trials.iter().map(|trial| (trial.name.clone(), all(trial))).collect()
    }

    /// The figures that README quotes, in Markdown.
    pub fn summary(&self) -> String {
        let score = self.simulated.tool();
        let naive = &self.simulated.judges[1];
        let mut out =
            String::from("| figure | `diagnose` | one threshold per symptom |\n|---|---|---|\n");
        for (figure, own, other) in [
            ("right cause first", score.top1, naive.top1),
            ("right cause among the first three", score.top3, naive.top3),
            ("false alarms on healthy cases", score.false_alarms, naive.false_alarms),
            ("no cause named where none is known", score.abstained, naive.abstained),
        ] {
            // Writing to a String cannot fail.
            let _ = writeln!(out, "| {figure} | {} | {} |", rate(own), rate(other));
        }
        out
    }

    /// What leaving a source out costs, in Markdown.
    pub fn without_table(&self) -> String {
        let all = ("none", self.simulated.tool());
        let rows = self.without.iter().map(|(source, score)| (source.as_str(), score));
        let mut out = String::from(
            "| left out | top-1 | wrong firm cause | false alarms | Brier |\n|---|---|---|---|---|\n",
        );
        for (source, score) in std::iter::once(all).chain(rows) {
            let cells = [score.top1, score.wrong_firm, score.false_alarms].map(rate);
            let brier = score.brier.map_or("-".into(), |brier| format!("{brier:.3}"));
            let _ = writeln!(out, "| {source} | {} | {brier} |", cells.join(" | "));
        }
        out
    }
}
