//! A comparison for people and for programs.

use crate::{
    report::{
        Status,
        json::escape_hazards,
        text::{clean, pad, sentence, shorten_end, shorten_middle, wrap},
    },
    unit::{Unit, significant},
};

use super::{
    About, Answer, Change, Comparison, Effect, Fairness, LoadRow, Scale, Upgrade, Verdict,
};
use crate::report::AnswerWord;

/// Lines of one screen.
const SCREEN: usize = 25;

/// Columns of a label.
const LABEL: usize = 9;

/// A comparison as JSON: indented, deterministic, one line feed at the end. Numbers that JSON cannot
/// hold become null.
pub fn json(comparison: &Comparison) -> String {
    escape_hazards(&serde_json::to_string_pretty(comparison).unwrap_or_default()) + "\n"
}

/// One screen of at most 25 lines.
pub fn terminal(it: &Comparison, columns: usize) -> String {
    let columns = columns.clamp(60, 100);
    let mut lines = vec![verdict(it.verdict).to_owned()];
    lines.extend(labelled("Verdict", &it.statement, columns, 3));
    for (label, side) in [("A", Some(&it.a)), ("B", Some(&it.b)), ("eager", it.eager.as_ref())] {
        lines.extend(side.map(|side| format!("{}{}", pad(label, LABEL), about(side, columns))));
    }
    lines.extend(labelled("Work", &work(it), columns, 2));
    lines.push(String::new());
    lines.push(format!("{}{:>10} {:>10}  B to A (95 %)", pad("", 20), "A", "B"));
    lines.extend(it.effects.iter().map(|effect| row(effect, columns)));
    lines.extend(labelled("Unseen", &unseen(it), columns, 4));
    if !it.differences.is_empty() {
        lines.extend(labelled("Differ", &it.differences.join("; "), columns, 2));
    }
    if let Some(upgrade) = &it.upgrade {
        lines.extend(labelled("Upgrade", &upgrade.statement, columns, 2));
    }
    for note in &it.notes {
        let note = labelled("Note", note, columns, 3);
        if lines.len() + note.len() <= SCREEN {
            lines.extend(note);
        }
    }
    lines.truncate(SCREEN);
    lines.iter().map(|line| line.trim_end().to_owned() + "\n").collect()
}

fn verdict(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::NotWorse => "NOT WORSE",
        Verdict::Worse => "WORSE",
        Verdict::CannotTell => "CANNOT TELL",
        Verdict::NotComparable => "NOT COMPARABLE",
    }
}

/// Text beside a label, cut to `most` lines.
fn labelled(label: &str, text: &str, columns: usize, most: usize) -> Vec<String> {
    let mut rows = wrap(&clean(text), columns - LABEL);
    if rows.len() > most {
        let rest = rows.split_off(most - 1).join(" ");
        rows.push(shorten_end(&rest, columns - LABEL));
    }
    let lines = rows.into_iter().enumerate();
    lines
        .map(|(row, text)| format!("{}{text}", pad(if row == 0 { label } else { "" }, LABEL)))
        .collect()
}

fn about(side: &About, columns: usize) -> String {
    let mut parts = vec![Unit::Seconds.show(side.seconds)];
    parts.extend(side.requests.map(|requests| Unit::Requests.show(requests)));
    parts.push(side.version.as_deref().map_or("vLLM unknown".into(), |it| format!("vLLM {it}")));
    let tail = clean(&parts.join(", "));
    let room = columns.saturating_sub(LABEL + tail.chars().count() + 2).max(12);
    format!("{}, {tail}", shorten_middle(&clean(&side.name), room))
}

fn work(it: &Comparison) -> String {
    let row = |row: &LoadRow| match row.a.zip(row.b) {
        Some((a, b)) if a > 0.0 => format!("{} {}", row.title, Unit::Factor.show(b / a)),
        _ => format!("{} unknown", row.title),
    };
    let rows: Vec<String> = it.load.iter().map(row).collect();
    format!("{}; B to A: {}", fairness(it.fairness), rows.join(", "))
}

fn fairness(fairness: Fairness) -> &'static str {
    match fairness {
        Fairness::Identical => "the same requests",
        Fairness::Alike => "alike, not identical",
        Fairness::HarderForB => "B had more to do",
        Fairness::EasierForB => "B had less to do",
        Fairness::Other => "other work",
        Fairness::Unknown => "not known whether alike",
    }
}

fn row(effect: &Effect, columns: usize) -> String {
    let value = |value: Option<f64>| value.map_or("-".into(), |it| number(effect.unit, it));
    let change = effect.change.map_or(String::new(), |change| moved(effect.unit, &change));
    let head = format!(
        "{}{:>10} {:>10}  {}",
        pad(&effect.title, 20),
        value(effect.a),
        value(effect.b),
        pad(&change, 20)
    );
    let word = match effect.answer {
        _ if effect.change.is_none() => "not compared",
        Answer::Worse => "worse",
        Answer::Better => "better",
        Answer::NotWorse => "not worse",
        Answer::CannotTell => "cannot tell",
        Answer::NotJudged => "follows load",
    };
    shorten_end(&format!("{head} {word}"), columns)
}

/// Losses that may be there and could not have been seen.
fn unseen(it: &Comparison) -> String {
    let same = it.effects.iter().filter_map(|effect| {
        let limit = effect.because.split_once("(would have detected ")?.1.strip_suffix(')')?;
        Some(format!("{} {limit}", effect.title.trim()))
    });
    let same: Vec<String> = same.collect();
    match same.is_empty() {
        true => String::new(),
        false => format!("no difference shown; would have detected: {}", same.join(", ")),
    }
}

/// A value without the unit where the title tells it.
fn number(unit: Unit, value: f64) -> String {
    match unit {
        Unit::TokensPerSecond => format!("{} tok/s", significant(value)),
        unit => unit.show(value),
    }
}

/// `2.1× 1.9 to 2.4`, or `+12 ms -1 ms to +25 ms`.
fn moved(unit: Unit, change: &Change) -> String {
    let Change { point, lo, hi, .. } = *change;
    if change.scale == Scale::Factor {
        return format!("{} ({} to {})", Unit::Factor.show(point), two(lo), two(hi));
    }
    let (factor, name) = match unit {
        Unit::Ratio => (100.0, "pt"),
        _ if point.abs().max(lo.abs()).max(hi.abs()) < 1.0 => (1e3, "ms"),
        _ => (1.0, "s"),
    };
    let signed = |value: f64| {
        let sign = if value > 0.0 { "+" } else { "" };
        format!("{sign}{}", two(value * factor))
    };
    format!("{} {name} ({} to {})", signed(point), signed(lo), signed(hi))
}

/// Two decimals at most: an interval is no more precise.
fn two(value: f64) -> String {
    let text = match value.abs() {
        size if size >= 100.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    };
    if text.trim_start_matches('-').chars().all(|c| matches!(c, '0' | '.')) {
        "0".into()
    } else {
        text
    }
}

/// All of it, for a ticket.
pub fn markdown(it: &Comparison) -> String {
    let mut out = format!(
        "# Comparison: {}\n\n{}\n\n",
        verdict(it.verdict).to_lowercase(),
        cell(&it.statement)
    );
    for (label, side) in [("A", Some(&it.a)), ("B", Some(&it.b)), ("Eager", it.eager.as_ref())] {
        out +=
            &side.map_or(String::new(), |side| format!("- {label}: {}\n", cell(&about(side, 500))));
    }
    out += &work_table(it);
    out += &measured_table(it);
    out += &list("What differs", &it.differences);
    out += &it.upgrade.as_ref().map_or(String::new(), upgraded);
    out + &list("Notes", &it.notes)
}

fn cell(text: &str) -> String {
    clean(text).replace('|', "\\|")
}

fn shown(unit: Unit, value: Option<f64>) -> String {
    value.map_or("unknown".into(), |it| unit.show(it))
}

fn work_table(it: &Comparison) -> String {
    let row = |row: &LoadRow| {
        let alike = match row.alike {
            Some(true) => "yes",
            Some(false) => "no",
            None => "unknown",
        };
        let (a, b) = (shown(row.unit, row.a), shown(row.unit, row.b));
        format!("| {} | {a} | {b} | {alike} |\n", row.title)
    };
    let rows: String = it.load.iter().map(row).collect();
    let head = "| what | A | B | alike |\n|---|---|---|---|";
    format!("\n## Work\n\n{}.\n\n{head}\n{rows}", fairness(it.fairness))
}

fn measured_table(it: &Comparison) -> String {
    let judged = |effect: &Effect| {
        let change = effect.change.map_or("-".into(), |change| moved(effect.unit, &change));
        let (a, b) = (shown(effect.unit, effect.a), shown(effect.unit, effect.b));
        let (title, because) = (effect.title.trim(), cell(&effect.because));
        format!("| {title} | {a} | {b} | {change} | {because} |\n")
    };
    let judged: String = it.effects.iter().map(judged).collect();
    let buckets = it.shown.iter().map(|row| {
        let (a, b) = (cell(&row.a), cell(&row.b));
        format!("| `{}` | {a} | {b} | - | a bucket: not judged |\n", row.signal)
    });
    let buckets: String = buckets.collect();
    let head = "| measure | A | B | B to A (95 %) | answer |\n|---|---|---|---|---|";
    format!("\n## What was measured\n\n{head}\n{judged}{buckets}")
}

fn upgraded(upgrade: &Upgrade) -> String {
    let mut out = format!("\n## Upgrade\n\n{}\n\n", cell(&sentence(&upgrade.statement)));
    for step in &upgrade.path {
        let answer = match step.answer {
            AnswerWord::Yes => "yes",
            AnswerWord::No => "no",
            AnswerWord::Unknown => "unknown",
        };
        out += &format!("1. {} {answer}\n", cell(&step.question));
    }
    let supported = upgrade.causes.iter().filter(|cause| cause.status == Status::Supported);
    let fixes: Vec<String> = supported.flat_map(|cause| cause.fixes.clone()).collect();
    out + &list("What to do", &fixes)
}

fn list(title: &str, rows: &[String]) -> String {
    if rows.is_empty() {
        return String::new();
    }
    let rows: String = rows.iter().map(|row| format!("- {}\n", cell(row))).collect();
    format!("\n## {title}\n\n{rows}")
}
