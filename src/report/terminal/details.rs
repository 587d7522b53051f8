//! Everything behind `-v`: all causes, the path, where the time goes, the timeline, the readings.

use comfy_table::{ColumnConstraint, ContentArrangement, Table, Width, presets};

use super::{GUTTER, Line, Tone, labelled};
use crate::{
    report::{
        CauseFound, Evidenced, Report,
        text::{clean, pad, sentence, shorten_end, shorten_middle, width, wrap},
        words,
    },
    unit::Unit,
};

/// All sections, each under its heading.
pub(super) fn lines(report: &Report, columns: usize) -> Vec<Line> {
    let sections = [
        ("Whom it hurt, by model", impact(report, columns)),
        ("Symptoms", symptoms(report, columns)),
        ("Causes", causes(report, columns)),
        ("Path", path(report, columns)),
        ("Where the time goes (mean of finished requests)", decomposition(report, columns)),
        ("Timeline", timeline(report, columns)),
        ("Readings", readings(report, columns)),
        ("Not known", gaps(report, columns)),
        ("Sources", sources(report, columns)),
    ];
    let mut out = Vec::new();
    for (title, lines) in sections {
        if lines.is_empty() {
            continue;
        }
        out.push(Line::bare("", Tone::Plain));
        out.push(heading(title, columns));
        out.extend(lines);
    }
    out
}

fn heading(title: &str, columns: usize) -> Line {
    let rule = "─".repeat(columns.saturating_sub(width(title) + 1));
    Line::bare(shorten_end(&format!("{title} {rule}"), columns), Tone::Strong)
}

/// Wrapped text behind a marker; further lines stand under the text.
fn hanging(marker: &str, text: &str, columns: usize) -> Vec<Line> {
    let indent = width(marker);
    wrap(text, columns - indent)
        .into_iter()
        .enumerate()
        .map(|(row, text)| match row {
            0 => Line::bare(format!("{marker}{text}"), Tone::Plain),
            _ => Line::bare(format!("{}{text}", " ".repeat(indent)), Tone::Plain),
        })
        .collect()
}

fn impact(report: &Report, columns: usize) -> Vec<Line> {
    let models = report.impact.iter().flat_map(|impact| &impact.per_model);
    models
        .flat_map(|model| {
            let share = words::share_of_requests(model.requests_over_objective, model.requests);
            let name = shorten_middle(&clean(&model.model), columns / 2);
            hanging("", &format!("{name}: {share} over the objective."), columns)
        })
        .collect()
}

fn symptoms(report: &Report, columns: usize) -> Vec<Line> {
    let texts = report.symptoms.iter().map(|symptom| {
        let text = sentence(&clean(&symptom.statement));
        let mut values = vec![clean(&symptom.signal)];
        values.extend(symptom.threshold.map(|at| format!("threshold {}", symptom.unit.show(at))));
        (words::severity(symptom.severity), format!("{text} ({})", values.join(", ")))
    });
    let mut lines: Vec<Line> =
        texts.flat_map(|(label, text)| labelled(label, &text, Tone::Plain, columns)).collect();
    for reading in report.symptoms.iter().flat_map(|symptom| &symptom.readings) {
        let label = format!("  {}", words::answer(reading.answer));
        lines.extend(labelled(&label, &words::reading(reading), Tone::Plain, columns));
    }
    lines
}

fn causes(report: &Report, columns: usize) -> Vec<Line> {
    report.causes.iter().flat_map(|cause| self::cause(cause, columns)).collect()
}

fn cause(cause: &CauseFound, columns: usize) -> Vec<Line> {
    let likely = words::likely(cause).map_or_else(String::new, |likely| format!("{likely}, "));
    let head = format!(
        "{likely}{}: {} ({}, {})",
        words::status(cause.status),
        clean(&cause.title),
        clean(&cause.id),
        words::severity(cause.severity),
    );
    let marker = if cause.consequence_of.is_some() { "  → " } else { "" };
    let mut lines = hanging(marker, &head, columns);
    lines.iter_mut().for_each(|line| line.tone = Tone::Strong);
    lines.extend(evidence("  for", &cause.in_favour, columns));
    lines.extend(evidence("  against", &cause.against, columns));
    for gap in &cause.missing {
        lines.extend(labelled("  missing", &words::gap(gap), Tone::Plain, columns));
    }
    if !cause.not_told_from.is_empty() {
        let kin = format!("Not told from {}.", clean(&cause.not_told_from.join(", ")));
        lines.extend(labelled("  kin", &kin, Tone::Plain, columns));
    }
    if let Some(check) = words::decided(cause) {
        lines.extend(labelled("  decides", &check, Tone::Plain, columns));
    }
    if let Some(record) = &cause.track_record {
        lines.extend(labelled("  record", &sentence(&clean(record)), Tone::Plain, columns));
    }
    if cause.status == crate::report::Status::Supported {
        lines.extend(fixes(cause, columns));
    }
    for rejected in &cause.not_advised {
        let text = words::fact(&rejected.text, &rejected.because);
        lines.extend(labelled("  not", &text, Tone::Plain, columns));
    }
    if let Some(replicas) = &cause.replicas {
        lines.extend(labelled("  scaling", &words::replicas(replicas), Tone::Plain, columns));
    }
    lines
}

fn evidence(label: &str, facts: &[Evidenced], columns: usize) -> Vec<Line> {
    let text = |fact: &Evidenced| words::fact(&fact.text, &fact.because);
    facts.iter().flat_map(|fact| labelled(label, &text(fact), Tone::Plain, columns)).collect()
}

fn fixes(cause: &CauseFound, columns: usize) -> Vec<Line> {
    let mut lines = Vec::new();
    for (index, fix) in cause.fixes.iter().enumerate() {
        let label = format!("  fix {}", index + 1);
        lines.extend(labelled(&label, &sentence(&clean(&fix.text)), Tone::Plain, columns));
        if let Some(command) = &fix.command {
            lines.extend(labelled("", &clean(command), Tone::Command, columns));
        }
        let cost = format!(
            "Risk: {}. Expect: {} Undo: {}",
            words::risk(fix.risk),
            sentence(&clean(&fix.effect)),
            clean(&fix.undo),
        );
        lines.extend(labelled("", &cost, Tone::Plain, columns));
    }
    lines
}

fn path(report: &Report, columns: usize) -> Vec<Line> {
    let mut lines = Vec::new();
    for (index, step) in report.path.iter().enumerate() {
        lines.extend(hanging(&format!("{}. ", index + 1), &words::step(step), columns));
        if let Some(end) = &step.conclusion {
            lines.extend(hanging("   → ", &sentence(&clean(end)), columns));
        }
    }
    lines
}

/// Bars that continue one another: the end of the last one is the whole.
fn decomposition(report: &Report, columns: usize) -> Vec<Line> {
    let full = columns.saturating_sub(54).clamp(4, 40);
    let is_whole = |part: &str| matches!(part, "end to end" | "time to first token");
    let rows: Vec<_> = report.decomposition.iter().filter(|part| part.ms.is_finite()).collect();
    let sum: f64 = rows.iter().filter(|row| !is_whole(&row.part)).map(|row| row.ms).sum();
    let whole = rows.iter().map(|row| row.ms).fold(sum, f64::max).max(f64::MIN_POSITIVE);
    let cell = |ms: f64| ((ms / whole * full as f64).round().max(0.0) as usize).min(full);
    let mut before = 0.0;
    let mut lines = Vec::new();
    for row in rows {
        let start = if is_whole(&row.part) { 0.0 } else { before };
        let end = start + row.ms;
        // Rounding the running sum, not the parts, makes the parts shown add up to the sum shown.
        let shown = end.round() - start.round();
        let bar = "█".repeat(cell(end).saturating_sub(cell(start)));
        let bar = format!("{}{bar}", " ".repeat(cell(start.min(end))));
        let n = Unit::Requests.show(row.n);
        let part = pad(&shorten_end(&clean(&row.part), 19), 20);
        let line = format!("{part}{:>9} ms  {bar:<full$}  {n}", grouped(shown));
        lines.push(Line::bare(shorten_end(&line, columns), Tone::Plain));
        if !is_whole(&row.part) {
            before = end;
        }
    }
    lines
}

/// A whole number with its thousands grouped and every digit kept.
fn grouped(value: f64) -> String {
    let digits = format!("{:.0}", value.abs());
    let mut out = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index) % 3 == 0 {
            out.push(',');
        }
        out.push(digit);
    }
    if value < 0.0 { format!("-{out}") } else { out }
}

fn timeline(report: &Report, columns: usize) -> Vec<Line> {
    let mut lines = Vec::new();
    for entry in &report.timeline {
        let at = shorten_end(&words::clock(report, &entry.at), 24);
        let relation = match entry.kind.as_str() {
            "onset" => "▶ onset".to_string(),
            _ => shorten_end(&clean(&entry.relation), 9),
        };
        let gap = " ".repeat(GUTTER.saturating_sub(width(&relation)).max(1));
        let text = sentence(&match entry.lead_seconds.is_some() || entry.struck {
            true => {
                format!("{} ({})", clean(&entry.text).trim_end_matches('.'), words::lead(entry))
            }
            false => clean(&entry.text),
        });
        lines.extend(hanging(&format!("{relation}{gap}{at}  "), &text, columns));
    }
    let clocks = report.clocks.iter().filter_map(words::clock_skew);
    lines.extend(clocks.flat_map(|text| hanging("! ", &sentence(&text), columns)));
    lines
}

fn readings(report: &Report, columns: usize) -> Vec<Line> {
    let measured: Vec<_> = report.readings.iter().filter(|row| row.now.is_some()).collect();
    let mut lines = Vec::new();
    if !measured.is_empty() {
        let mut table = table(columns);
        table.set_header(["signal", "now", "before", "change", "n"]);
        for row in measured {
            let show = |value: Option<_>| {
                let unit = unit_in_table(row.unit);
                value.map_or_else(|| "–".to_string(), |value| words::number(value, unit))
            };
            table.add_row([
                clean(&row.signal),
                show(row.now),
                show(row.baseline),
                row.change.map_or_else(|| "–".to_string(), words::change_in_short),
                row.n.map_or_else(|| "–".to_string(), crate::unit::significant),
            ]);
        }
        keep_names_whole(&mut table, columns);
        lines.extend(table.trim_fmt().lines().map(|line| Line::bare(line, Tone::Plain)));
    }
    lines.extend(missing_readings(report, columns));
    lines
}

/// The unit to write where the signal's name stands beside the value: not what it ends with, unless
/// the value may be scaled.
fn unit_in_table(unit: Unit) -> Unit {
    match unit {
        Unit::Tokens
        | Unit::TokensPerSecond
        | Unit::Requests
        | Unit::RequestsPerSecond
        | Unit::PerMinute => Unit::Count,
        unit => unit,
    }
}

/// Signals without a value, gathered by the reason.
fn missing_readings(report: &Report, columns: usize) -> Vec<Line> {
    let mut reasons: Vec<(String, Vec<String>)> = Vec::new();
    for row in report.readings.iter().filter(|row| row.now.is_none()) {
        let why = clean(row.missing.as_deref().unwrap_or("no reason recorded"));
        match reasons.iter_mut().find(|(known, _)| *known == why) {
            Some((_, signals)) => signals.push(clean(&row.signal)),
            None => reasons.push((why, vec![clean(&row.signal)])),
        }
    }
    reasons
        .iter()
        .flat_map(|(why, signals)| {
            let why = why.trim_end_matches('.');
            hanging("", &format!("Not measured ({why}): {}", signals.join(", ")), columns)
        })
        .collect()
}

fn table(columns: usize) -> Table {
    let mut table = Table::new();
    table
        .load_style(presets::NOTHING)
        .set_content_arrangement(ContentArrangement::Dynamic)
        .set_width(u16::try_from(columns).unwrap_or(u16::MAX));
    table
}

/// Gives the names up to half of the page, and takes the space before them away.
fn keep_names_whole(table: &mut Table, columns: usize) {
    let longest = table.column_max_content_widths().first().copied().unwrap_or(0) + 2;
    let half = u16::try_from(columns / 2).unwrap_or(u16::MAX);
    table.column_iter_mut().for_each(|column| {
        column.set_padding((0, 2));
    });
    if let Some(names) = table.column_mut(0) {
        names.set_constraint(ColumnConstraint::LowerBoundary(Width::Fixed(longest.min(half))));
    }
}

fn gaps(report: &Report, columns: usize) -> Vec<Line> {
    let gaps = words::gaps(report);
    gaps.iter().flat_map(|gap| hanging("- ", &words::gap(gap), columns)).collect()
}

fn sources(report: &Report, columns: usize) -> Vec<Line> {
    report
        .sources
        .iter()
        .flat_map(|source| {
            let took = source.took_ms.map_or_else(String::new, |ms| format!(", {ms} ms"));
            let state = words::source_state(source.status);
            let text = format!("{state}{took}: {}", sentence(&clean(&source.detail)));
            let id = shorten_end(&clean(&source.id), GUTTER - 1);
            labelled(&pad(&id, GUTTER), &text, Tone::Plain, columns)
        })
        .collect()
}
