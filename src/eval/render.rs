//! The score for people and for programs.

use std::fmt::Write as _;

use super::{Evaluation, Miss, Named, Rate, Score};
use crate::report::{
    json::escape_hazards,
    text::{clean, pad},
};

/// Columns of the first column, and of each judge's.
const HEAD: usize = 18;
const COLUMN: usize = 29;

/// The score as JSON: indented, deterministic, one line feed at the end.
pub fn json(evaluation: &Evaluation) -> String {
    // There are no maps with keys other than text in it, so serializing cannot fail.
    let json = serde_json::to_string_pretty(evaluation).unwrap_or_default();
    escape_hazards(&json) + "\n"
}

/// The score as plain text.
pub fn terminal(evaluation: &Evaluation) -> String {
    let tool = evaluation.tool();
    let parts = [cases(evaluation), figures(evaluation), reliability(tool), confusion(tool)];
    parts.join("\n") + "\n" + &misses(tool)
}

fn cases(evaluation: &Evaluation) -> String {
    format!(
        "{} cases: {} incidents, {} healthy, {} outside the catalogue\n",
        evaluation.cases, evaluation.incidents, evaluation.healthy, evaluation.outside
    )
}

/// One row a figure, one column a judge.
fn figures(evaluation: &Evaluation) -> String {
    let judges = &evaluation.judges;
    let row = |name: &str, cell: &dyn Fn(&Score) -> String| {
        let cells: String = judges.iter().map(|score| pad(&cell(score), COLUMN)).collect();
        format!("{}{}", pad(name, HEAD), cells).trim_end().to_owned() + "\n"
    };
    [
        row("", &|score| score.judge.clone()),
        row("top-1", &|score| rate(score.top1)),
        row("top-3", &|score| rate(score.top3)),
        row("set score", &|score| rate(score.set_score)),
        row("wrong firm cause", &|score| rate(score.wrong_firm)),
        row("false alarms", &|score| rate(score.false_alarms)),
        row("abstained outside", &|score| rate(score.abstained)),
        row("Brier", &|score| number(score.brier, 3, "")),
        row("ECE", &|score| number(score.ece, 3, "")),
        row("onset found", &|score| match score.onset.found {
            0 => "-".into(),
            found => format!("{found}/{}", score.onset.known),
        }),
        row("onset, median", &|score| number(score.onset.median_seconds, 1, " s off")),
        row("onset, worst", &|score| number(score.onset.max_seconds, 1, " s off")),
        row("coverage", &|score| number(score.coverage.map(|share| share * 100.0), 1, " %")),
    ]
    .concat()
}

/// `7/8 87.5 % [52.9–97.8]`: the interval is Wilson's at 95 %.
pub(super) fn rate(rate: Rate) -> String {
    let (Some(share), Some(lo), Some(hi)) = (rate.rate, rate.lo, rate.hi) else {
        return "- (n 0)".into();
    };
    let hits = (rate.hits * 10.0).round() / 10.0;
    let [share, lo, hi] = [share, lo, hi].map(|share| share * 100.0);
    format!("{hits}/{} {share:.1} % [{lo:.1}–{hi:.1}]", rate.n)
}

fn number(value: Option<f64>, digits: usize, unit: &str) -> String {
    value.map_or("-".into(), |value| format!("{value:.digits$}{unit}"))
}

fn reliability(score: &Score) -> String {
    let mut out = String::from("probability claimed   right      n\n");
    for bin in &score.reliability {
        // Writing to a String cannot fail.
        let _ = writeln!(
            out,
            "{:.1}–{:.1}      {:5.1} %  {:5.1} %  {:4}",
            bin.from,
            bin.to,
            bin.claimed * 100.0,
            bin.right * 100.0,
            bin.n
        );
    }
    out
}

fn confusion(score: &Score) -> String {
    let mut out = format!("{}  {}    n\n", pad("truth", 30), pad("named first", 30));
    for cell in &score.confusion {
        let (truth, first) = (clean(&cell.truth), clean(&cell.first));
        let _ = writeln!(out, "{}  {} {:4}", pad(&truth, 30), pad(&first, 30), cell.n);
    }
    out
}

fn misses(score: &Score) -> String {
    let lines = score.misses.iter().map(miss);
    match score.misses.len() {
        0 => "no misses\n".into(),
        n => format!("{n} misses\n{}", lines.collect::<String>()),
    }
}

fn miss(miss: &Miss) -> String {
    let name = |named: &Named| format!("{} {:.2}", named.id, named.probability);
    let list = |ids: Vec<String>, none: &str| match ids.is_empty() {
        true => none.to_owned(),
        false => clean(&ids.join(", ")),
    };
    format!(
        "{}: {}; true: {}; named: {}\n",
        clean(&miss.name),
        miss.what,
        list(miss.truth.clone(), "none"),
        list(miss.named.iter().map(name).collect(), "none")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_stands_with_its_count_and_interval() {
        assert_eq!(rate(Rate::of(7.0, 8)), "7/8 87.5 % [52.9–97.8]");
        assert_eq!(rate(Rate::of(0.0, 0)), "- (n 0)");
    }

    #[test]
    fn nothing_judged_is_shown_without_a_number() {
        let text = terminal(&Evaluation::of(&[]));
        assert!(text.starts_with("0 cases") && text.ends_with("no misses\n"), "{text}");
        assert!(!text.contains("NaN"), "{text}");
        assert!(json(&Evaluation::of(&[])).ends_with("}\n"));
    }
}
