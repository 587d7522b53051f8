//! The report as JSON, version 1, and its schema.

use std::fmt::Write as _;

use super::{Impact, Number, Report, SeriesRow, text::is_hazard};

/// Writes the report as JSON: indented, deterministic, one line feed at the end.
///
/// JSON knows no infinity: an unbounded end is absent, and an entry without a finite number is left
/// out. Characters that could act on a terminal are written as `\uXXXX`, which changes no value.
pub fn render(report: &Report) -> String {
    // A report holds no maps with keys other than text, so serializing it cannot fail.
    let json = serde_json::to_string_pretty(&finite(report)).unwrap_or_default();
    escape_hazards(&json) + "\n"
}

/// The JSON Schema of a report, as it is checked in and published.
pub fn schema() -> String {
    let mut schema = schemars::schema_for!(Report);
    schema.insert("$id".into(), "urn:diagnose:report-v1".into());
    schema.insert("title".into(), "diagnose report, version 1".into());
    serde_json::to_string_pretty(&schema).unwrap_or_default() + "\n"
}

/// Spells out characters that could act on a terminal, which changes no value.
pub fn escape_hazards(json: &str) -> String {
    let mut out = String::with_capacity(json.len());
    for c in json.chars() {
        if c == '\n' || !is_hazard(c) {
            out.push(c);
            continue;
        }
        for unit in c.encode_utf16(&mut [0; 2]) {
            let _ = write!(out, "\\u{unit:04x}");
        }
    }
    out
}

/// The report without any number that JSON cannot hold.
pub fn finite(report: &Report) -> Report {
    let mut report = report.clone();
    report.onset = report.onset.filter(|onset| onset.plus_minus_seconds.is_finite());
    report.impact = report.impact.and_then(finite_impact);
    for symptom in &mut report.symptoms {
        symptom.now = symptom.now.and_then(finite_number);
        symptom.baseline = symptom.baseline.and_then(finite_number);
        symptom.threshold = symptom.threshold.filter(|at| at.is_finite());
    }
    for cause in &mut report.causes {
        let probability = cause.probability;
        cause.probability = if probability.is_nan() { 0.0 } else { probability.clamp(0.0, 1.0) };
    }
    report.decomposition.retain(|part| part.ms.is_finite() && part.n.is_finite());
    for row in &mut report.readings {
        row.now = row.now.and_then(finite_number);
        row.baseline = row.baseline.and_then(finite_number);
        row.change = row.change.and_then(finite_number);
        row.n = row.n.filter(|n| n.is_finite());
    }
    report.series.iter_mut().chain(&mut report.by_part).for_each(finite_series);
    report
}

fn finite_impact(mut impact: Impact) -> Option<Impact> {
    if !(impact.requests.is_finite() && impact.objective_seconds.is_finite()) {
        return None;
    }
    impact.requests_over_objective = finite_number(impact.requests_over_objective)?;
    impact.per_model.retain_mut(|model| {
        let over = finite_number(model.requests_over_objective);
        model.requests_over_objective = over.unwrap_or(Number::Point(0.0));
        over.is_some() && model.requests.is_finite()
    });
    Some(impact)
}

fn finite_series(series: &mut SeriesRow) {
    series.points.retain(|(at, value)| at.is_finite() && value.is_finite());
    series.buckets.retain(|(at, least, _)| at.is_finite() && least.is_finite());
    for (_, _, most) in &mut series.buckets {
        *most = most.filter(|most| most.is_finite());
    }
    series.gaps.retain(|(from, to)| from.is_finite() && to.is_finite());
}

fn finite_number(number: Number) -> Option<Number> {
    match number {
        Number::Point(point) => point.is_finite().then_some(number),
        Number::Interval { lo, hi } => {
            lo.is_finite().then(|| Number::Interval { lo, hi: hi.filter(|hi| hi.is_finite()) })
        }
    }
}
