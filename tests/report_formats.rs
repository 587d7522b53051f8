//! The report as Markdown and JSON.

#![allow(clippy::expect_used, clippy::unwrap_used)]

#[path = "support/reports.rs"]
mod reports;

use diagnose::report::{Number, OnsetTime, Report, json, markdown};

fn validator() -> jsonschema::Validator {
    let schema: serde_json::Value = serde_json::from_str(&json::schema()).expect("schema is JSON");
    jsonschema::validator_for(&schema).expect("schema is a schema")
}

#[test]
fn every_sample_validates_and_comes_back_as_it_was() {
    let validator = validator();
    for (name, report) in reports::all() {
        let text = json::render(&report);
        let value = serde_json::from_str(&text).expect("valid JSON");
        let errors: Vec<String> =
            validator.iter_errors(&value).map(|error| error.to_string()).collect();
        assert!(errors.is_empty(), "{name}: {errors:?}");
        let back: Report = serde_json::from_str(&text).expect("a report");
        assert_eq!(back, report, "{name}");
        assert_eq!(text, json::render(&back), "{name}");
        assert!(text.ends_with("}\n"), "{name}");
    }
}

#[test]
fn the_schema_refuses_what_is_no_report() {
    let validator = validator();
    let mut value: serde_json::Value =
        serde_json::from_str(&json::render(&reports::healthy())).expect("valid JSON");
    value["added_later"] = true.into();
    assert!(validator.is_valid(&value), "fields may be added");
    value["verdict"] = "fine".into();
    assert!(!validator.is_valid(&value));
}

#[test]
fn numbers_that_json_cannot_hold_are_left_out() {
    let mut report = reports::prefix_broken();
    let infinite = Number::Interval { lo: 1.0, hi: Some(f64::INFINITY) };
    report.readings[0].now = Some(infinite);
    report.readings[0].baseline = Some(Number::Point(f64::NAN));
    report.readings[0].change = Some(Number::Interval { lo: f64::NAN, hi: None });
    report.readings[0].n = Some(f64::NEG_INFINITY);
    report.causes[0].probability = f64::NAN;
    report.decomposition[0].ms = f64::NAN;
    report.symptoms[0].threshold = Some(f64::INFINITY);
    report.onset = Some(OnsetTime { plus_minus_seconds: f64::INFINITY, ..report.onset.unwrap() });
    if let Some(impact) = &mut report.impact {
        impact.requests_over_objective = infinite;
        impact.per_model[0].requests = f64::NAN;
    }
    let value = serde_json::from_str(&json::render(&report)).expect("valid JSON");
    let errors: Vec<String> =
        validator().iter_errors(&value).map(|error| error.to_string()).collect();
    assert!(errors.is_empty(), "{errors:?}");
    assert_eq!(value["readings"][0]["now"]["hi"], serde_json::Value::Null);
    assert_eq!(value["impact"]["per_model"], serde_json::json!([]));
}

#[test]
fn json_carries_no_character_that_acts_on_a_terminal() {
    let text = json::render(&reports::hostile());
    let hazard = text.chars().find(|c| *c != '\n' && diagnose::report::text::is_hazard(*c));
    assert_eq!(hazard, None);
}

#[test]
fn markdown_stays_small_enough_for_a_ticket() {
    for (name, mut report) in reports::all() {
        let row = report
            .readings
            .first()
            .cloned()
            .unwrap_or_else(|| reports::healthy().readings.remove(0));
        report.readings = vec![row; 2000];
        report.causes =
            report.causes.iter().cycle().take(report.causes.len() * 30).cloned().collect();
        let text = markdown::render(&report);
        assert!(text.len() < 60_000, "{name}: {}", text.len());
        let fences = text.lines().filter(|line| line.trim_start().starts_with("```")).count();
        assert_eq!(fences % 2, 0, "{name}: a code block stays open");
        assert_eq!(text.matches("<details>").count(), text.matches("</details>").count(), "{name}");
    }
    let text = markdown::render(&Report {
        readings: vec![reports::healthy().readings.remove(0); 2000],
        ..reports::healthy()
    });
    assert!(text.contains("more left out for length"));
}

#[test]
fn markdown_runs_nothing_that_came_from_outside() {
    let text = markdown::render(&reports::hostile());
    assert!(!text.contains("<img") || text.lines().filter(|l| l.contains("<img")).all(in_code));
    assert!(
        !text.contains("[x](javascript")
            || text.lines().filter(|l| l.contains("[x](j")).all(in_code)
    );
    assert!(!text.lines().any(|line| line.starts_with("# h")));
    let hazard = text
        .chars()
        .find(|c| !matches!(c, '\n' | '\u{2060}') && diagnose::report::text::is_hazard(*c));
    assert_eq!(hazard, None);
    let table = text.lines().filter(|line| line.starts_with("| ") && line.contains("supported"));
    for row in table {
        assert_eq!(row.replace("\\|", "").matches('|').count(), 5, "{row}");
    }
}

/// Whether a line's outside text stands in a code span or a code block.
fn in_code(line: &str) -> bool {
    let spans: String = line.split('`').step_by(2).collect();
    line.starts_with("   ") || (!spans.contains("<img") && !spans.contains("[x]("))
}

#[test]
fn a_ticket_reads_like_this() {
    insta::assert_snapshot!("markdown", markdown::render(&reports::prefix_broken()));
}
