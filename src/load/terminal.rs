//! The result on a terminal: one screen, and more behind `-v`.

use super::{
    result::{Bottleneck, Distribution, GateAnswer, GateRow, LoadResult, Measured, Since, Verdict},
    verdict,
};
use crate::{
    report::{
        terminal::Style,
        text::{clean, pad, shorten_end, shorten_middle, width, wrap},
    },
    unit::{Unit, counted},
};

/// Lines on the first screen.
const SCREEN_LINES: usize = 25;
/// Columns of the label before the text.
const GUTTER: usize = 10;

/// Writes the result for a terminal.
pub fn render(result: &LoadResult, style: &Style) -> String {
    let columns = style.width.max(60);
    if style.quiet {
        return shorten_end(&result.statement, columns) + "\n";
    }
    let head = head(result, columns, style);
    let tables = [latency_table(result), gate_table(result, columns, style)].concat();
    let mut notes = notes(result, columns);
    let room = SCREEN_LINES.saturating_sub(head.len() + tables.len());
    if style.verbose == 0 {
        notes.truncate(room);
    }
    let mut lines = [head, notes, tables].concat();
    if style.verbose > 0 {
        lines.extend(details(result, columns));
    }
    lines.iter().map(|line| line.trim_end().to_owned() + "\n").collect()
}

/// The verdict, what was tested, and why.
fn head(result: &LoadResult, columns: usize, style: &Style) -> Vec<String> {
    let word = result.verdict.word().to_uppercase();
    let tested = format!("{}  {}", result.scenario.id, clean(&result.target));
    let first = format!("{}{}", pad(&word, GUTTER), shorten_middle(&tested, columns - GUTTER));
    let mut lines = vec![first.replacen(&word, &paint(&word, result.verdict, style.color), 1)];
    let reason = result.statement.split_once(": ").map_or(&*result.statement, |(_, it)| it);
    let partial = if result.statement.starts_with("partial") { "(partial) " } else { "" };
    let shown = wrap(&format!("{partial}{reason}"), columns - GUTTER);
    lines.extend(shown.into_iter().take(3).map(|line| format!("{}{line}", pad("", GUTTER))));
    lines.extend(why(result, columns));
    lines
}

fn why(result: &LoadResult, columns: usize) -> Vec<String> {
    if let Some(why) = &result.without_evidence {
        return labelled("why", &format!("no evidence of the server: {}", clean(why)), columns, 2);
    }
    let Some(first) = result.why.first() else {
        let told = |it: &&Bottleneck| !result.statement.contains(&clean(&it.text));
        return match result.bottlenecks.first().filter(told) {
            Some(it) => labelled("limit", &clean(&it.text), columns, 2),
            None if matches!(result.verdict, Verdict::Passed) => Vec::new(),
            None => {
                labelled("why", "no known cause is supported by the server's evidence", columns, 1)
            }
        };
    };
    let percent = Unit::Ratio.show(first.probability);
    let text = format!("{} ({percent}): {}", clean(&first.cause), clean(&first.because));
    let mut lines = labelled("why", &text, columns, 2);
    if let Some(fix) = &first.fix {
        lines.extend(labelled("do", &clean(fix), columns, 1));
    }
    lines
}

/// What stands between the verdict and the tables, the most important first.
fn notes(result: &LoadResult, columns: usize) -> Vec<String> {
    let mut lines = labelled("sent", &sent(result), columns, 2);
    for row in result.errors.iter().take(1) {
        let others: u64 = result.errors.iter().skip(1).map(|row| row.count).sum();
        let more = if others > 0 { format!("; {others} others") } else { String::new() };
        let example = row.example.as_deref().map(|text| format!(" ({})", clean(text)));
        let text =
            format!("{} {}{}{more}", row.count, row.outcome.words(), example.unwrap_or_default());
        lines.extend(labelled("errors", &text, columns, 1));
    }
    lines.extend(labelled("client", &client(result), columns, 1));
    if let Some(wait) = &result.counts.slot_wait {
        let (slots, p99) = (result.scenario.concurrency, Unit::Seconds.show(wait.p99));
        let waited = counted(result.counts.waited as usize, "request");
        let text = format!("{waited} waited for one of {slots} slots, P99 {p99}");
        lines.extend(labelled("slots", &text, columns, 1));
    }
    lines.extend(labelled("through", &through(result), columns, 1));
    if let Some(it) = &result.first_token {
        let show = |seconds| Unit::Seconds.show(seconds);
        let text = format!(
            "mean TTFT {} here, {} at the server, {} on the way",
            show(it.client),
            show(it.server),
            show(it.between.max(0.0))
        );
        lines.extend(labelled("server", &text, columns, 1));
    }
    lines
}

fn sent(result: &LoadResult) -> String {
    let counts = &result.counts;
    let mut text = format!(
        "{} of {} due in {}; {} judged: {} answered, {} failed",
        counts.sent,
        counts.due,
        Unit::Seconds.show(result.seconds),
        counts.judged,
        counts.ok,
        counts.failed,
    );
    if counts.counted_tokens > 0 {
        text += "; tokens are chunks that were counted, as the server gave no usage";
    }
    if let Some(cut) = &result.cut_short {
        text = format!("{text}; cut short: {}", clean(&cut.why));
    }
    text
}

fn client(result: &LoadResult) -> String {
    let row = |id: &str| {
        let row = result.client.rows.iter().find(|row| row.id == id)?;
        row.value.map(|value| row.unit.show(value))
    };
    let shown = |id| row(id).unwrap_or_else(|| "unknown".into());
    format!(
        "{}: timer lag P99 {}, late P99 {}, {} CPU",
        if result.client.valid { "kept up" } else { "did NOT keep up" },
        shown("loop_lag_p99"),
        shown("send_late_p99"),
        shown("cpu_share"),
    )
}

fn through(result: &LoadResult) -> String {
    let it = &result.throughput;
    let good = it
        .goodput_ratio
        .map_or(String::new(), |good| format!("; {} met every objective", Unit::Ratio.show(good)));
    format!(
        "{}, {}{good}",
        Unit::RequestsPerSecond.show(it.ok_per_second),
        Unit::TokensPerSecond.show(it.output_tokens_per_second)
    )
}

/// The latencies, a line each.
fn latency_table(result: &LoadResult) -> Vec<String> {
    if result.latency.is_empty() {
        return vec![String::new(), "no request was answered".into()];
    }
    let cells = ["latency", "mean", "p50", "p95", "p99", "max"].map(String::from);
    let mut lines = vec![String::new(), line(&cells)];
    lines.extend(result.latency.iter().map(|row| line(&cells_of(row))));
    lines
}

fn cells_of(row: &Distribution) -> [String; 6] {
    let show = |seconds| Unit::Seconds.show(seconds);
    [name(row).into(), show(row.mean), show(row.p50), show(row.p95), show(row.p99), show(row.max)]
}

/// What a row of latencies is, for people.
pub(super) fn name(row: &Distribution) -> &'static str {
    match (row.of, row.since) {
        (Measured::Ttft, Since::Intended) => "first token, from when due",
        (Measured::Ttft, _) => "first token, from sending",
        (Measured::Gap, _) => "gap between chunks",
        (Measured::Tpot, _) => "time per output token",
        (Measured::Total, Since::Intended) => "total, from when due",
        (Measured::Total, _) => "total, from sending",
        (Measured::SlotWait, _) => "wait for a slot",
    }
}

fn line(cells: &[String; 6]) -> String {
    let rest: String = cells[1..]
        .iter()
        .map(|cell| format!("{}{cell}", pad("", 10 - width(cell).min(10))))
        .collect();
    format!("{}{rest}", pad(&cells[0], 28))
}

/// The gate, a line each.
fn gate_table(result: &LoadResult, columns: usize, style: &Style) -> Vec<String> {
    let mut lines = vec![String::new()];
    for row in &result.gate {
        let word = answer(row.answer);
        let text = shorten_end(&gate_text(row), columns - 9);
        let verdict = match row.answer {
            GateAnswer::Pass => Verdict::Passed,
            GateAnswer::Warning => Verdict::Warning,
            GateAnswer::Fail => Verdict::Failed,
            GateAnswer::NotDecidable => Verdict::TooFew,
        };
        let gap = pad("", 9 - width(word));
        lines.push(format!("{}{gap}{text}", paint(word, verdict, style.color)));
    }
    lines
}

/// The word for an answer.
pub(super) fn answer(answer: GateAnswer) -> &'static str {
    match answer {
        GateAnswer::Pass => "pass",
        GateAnswer::Warning => "warning",
        GateAnswer::Fail => "FAIL",
        GateAnswer::NotDecidable => "unknown",
    }
}

fn gate_text(row: &GateRow) -> String {
    let (pass, fail) = limits(row);
    let why = row.why.as_deref().map(|why| format!(": {}", clean(why))).unwrap_or_default();
    match row.value {
        Some(_) => format!("{} (pass {pass}, fail {fail}){why}", verdict::told(row)),
        None => format!("{}{why}", row.title),
    }
}

/// Both limits with their signs.
pub(super) fn limits(row: &GateRow) -> (String, String) {
    let signs = if row.more_is_better { ("≥", "<") } else { ("≤", ">") };
    let show = |value| row.unit.show(value);
    (format!("{} {}", signs.0, show(row.pass)), format!("{} {}", signs.1, show(row.fail)))
}

/// What `-v` adds.
fn details(result: &LoadResult, columns: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for slice in &result.slices {
        let p = |of: Measured, pick: fn(&Distribution) -> f64| {
            let row = slice.latency.iter().find(|row| row.of == of);
            row.map_or("none".into(), |row| Unit::Seconds.show(pick(row)))
        };
        lines.push(format!(
            "{} {}: {} judged, {} failed; first token P50 {}, total P99 {}",
            slice.by,
            clean(&slice.name),
            slice.judged,
            slice.failed,
            p(Measured::Ttft, |row| row.p50),
            p(Measured::Total, |row| row.p99),
        ));
    }
    for trend in &result.trends {
        let grew = if trend.grew { "GREW" } else { "did not grow" };
        lines.push(format!(
            "{} {grew}: {} to {}, {} an hour (Theil-Sen), p {:.3} (Mann-Kendall), {} samples",
            trend.title,
            trend.unit.show(trend.first),
            trend.unit.show(trend.last),
            trend.unit.show(trend.per_hour),
            trend.p_value,
            trend.n,
        ));
    }
    for limit in &result.bottlenecks {
        lines.push(format!("limit {}: {}", limit.id, clean(&limit.text)));
    }
    for why in result.why.iter().skip(1) {
        let text = format!("also {} ({})", clean(&why.cause), Unit::Ratio.show(why.probability));
        lines.push(text);
    }
    for row in &result.errors {
        let example = row.example.as_deref().map(clean).unwrap_or_default();
        lines.push(format!("error {}: {} {example}", row.outcome.words(), row.count));
    }
    let used = &result.scenario;
    lines.push(format!("seed {}, fingerprint {}", used.seed, used.fingerprint));
    lines
        .iter()
        .flat_map(|line| if line.is_empty() { vec![String::new()] } else { wrap(line, columns) })
        .collect()
}

/// A label in the gutter and a text beside it, at most so many lines of it.
fn labelled(label: &str, text: &str, columns: usize, most: usize) -> Vec<String> {
    let room = columns - GUTTER;
    let mut parts = wrap(text, room);
    if parts.len() > most {
        let rest = parts.split_off(most - 1).join(" ");
        parts.push(shorten_end(&rest, room));
    }
    let label = |row: usize| pad(if row == 0 { label } else { "" }, GUTTER);
    parts.into_iter().enumerate().map(|(row, part)| format!("{}{part}", label(row))).collect()
}

fn paint(text: &str, verdict: Verdict, color: bool) -> String {
    let code = match verdict {
        _ if !color => return text.to_owned(),
        Verdict::Passed => "1;32",
        Verdict::Warning => "1;33",
        Verdict::Failed => "1;31",
        Verdict::TooFew | Verdict::Invalid => "1;35",
    };
    format!("\u{1b}[{code}m{text}\u{1b}[0m")
}
