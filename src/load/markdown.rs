//! The result as Markdown, for a ticket.

use std::fmt::Write as _;

use super::{
    result::LoadResult,
    terminal::{answer, limits, name},
};
use crate::{report::text::clean, unit::Unit};

/// Writes the result as Markdown.
pub fn render(result: &LoadResult) -> String {
    let mut out = String::new();
    let used = &result.scenario;
    let _ = writeln!(out, "# Load test {}: {}\n", code(&used.id), result.verdict.word());
    let _ = writeln!(out, "{}\n", plain(&result.statement));
    let _ = writeln!(
        out,
        "Server {}, {} to {}. {} requests due, {} judged, {} answered, {} failed.\n",
        code(&result.target),
        result.started,
        result.ended,
        result.counts.due,
        result.counts.judged,
        result.counts.ok,
        result.counts.failed
    );
    gate(&mut out, result);
    latency(&mut out, result);
    why(&mut out, result);
    client(&mut out, result);
    out
}

fn gate(out: &mut String, result: &LoadResult) {
    let _ = writeln!(out, "## Gate\n\n| | objective | value | passes | fails | n | remark |");
    let _ = writeln!(out, "|---|---|---|---|---|---|---|");
    for row in &result.gate {
        let (pass, fail) = limits(row);
        let value = row.value.map_or("–".into(), |value| row.unit.show(value));
        let why = row.why.as_deref().map(plain).unwrap_or_default();
        let _ = writeln!(
            out,
            "| {} | {} | {value} | {pass} | {fail} | {} | {why} |",
            answer(row.answer),
            row.title,
            row.n
        );
    }
}

fn latency(out: &mut String, result: &LoadResult) {
    let _ = writeln!(out, "\n## Latency\n\n| | n | mean | P50 | P90 | P95 | P99 | max |");
    let _ = writeln!(out, "|---|---|---|---|---|---|---|---|");
    for row in &result.latency {
        let values = [row.mean, row.p50, row.p90, row.p95, row.p99, row.max];
        let cells = values.map(|value| Unit::Seconds.show(value)).join(" | ");
        let _ = writeln!(out, "| {} | {} | {cells} |", name(row), row.n);
    }
}

fn why(out: &mut String, result: &LoadResult) {
    let _ = writeln!(out, "\n## Why\n");
    if let Some(why) = &result.without_evidence {
        let _ = writeln!(out, "There is no evidence of the server: {}.", plain(why));
    } else if result.why.is_empty() {
        let _ = writeln!(out, "No known cause is supported by the server's evidence.");
    }
    for limit in &result.bottlenecks {
        let _ = writeln!(out, "- Limit reached: {}", plain(&limit.text));
    }
    for why in &result.why {
        let percent = Unit::Ratio.show(why.probability);
        let _ = writeln!(out, "- {} ({percent}): {}", plain(&why.title), plain(&why.because));
        if let Some(fix) = &why.fix {
            let _ = writeln!(out, "  - Do: {}", plain(fix));
        }
    }
}

fn client(out: &mut String, result: &LoadResult) {
    let _ = writeln!(out, "\n## Client\n");
    for row in &result.client.rows {
        let value = row.value.map_or("unknown".into(), |value| row.unit.show(value));
        let kept = if row.ok { "kept" } else { "**broken**" };
        let _ =
            writeln!(out, "- {}: {value}, limit {} {kept}", row.title, row.unit.show(row.limit));
    }
}

/// Outside text on one line, without what Markdown would act on.
fn plain(text: &str) -> String {
    let mut out = String::new();
    for c in clean(text).chars() {
        if matches!(c, '|' | '<' | '>' | '[' | ']' | '*' | '_' | '`' | '#' | '\\') {
            out.push('\\');
        }
        out.push(c);
    }
    out
}

fn code(text: &str) -> String {
    format!("`{}`", clean(text).replace('`', "'"))
}
