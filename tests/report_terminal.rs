//! The terminal report: what an engineer reads first, and what can never go wrong on the way.

#![allow(clippy::expect_used, clippy::unwrap_used)]

#[path = "support/reports.rs"]
mod reports;

use diagnose::report::{
    Report,
    terminal::{Style, render},
};
use unicode_width::UnicodeWidthStr;

const PLAIN: Style = Style { width: 80, color: false, verbose: 0, quiet: false };

#[test]
fn first_screens() {
    for (name, report) in reports::all() {
        insta::assert_snapshot!(name.replace(' ', "_"), render(&report, &PLAIN));
    }
}

#[test]
fn everything_behind_verbose() {
    let style = Style { verbose: 1, ..PLAIN };
    insta::assert_snapshot!("verbose", render(&reports::prefix_broken(), &style));
}

#[test]
fn one_line_for_scripts() {
    let line = render(&reports::overloaded(), &Style { width: 120, quiet: true, ..PLAIN });
    let expected = "CRITICAL  load-exceeds-capacity 91 %  38/44 checks  \
                    at least 2,210 of 3,480 requests slow  http://gpu-07:8000\n";
    assert_eq!(line, expected);
}

#[test]
fn each_screen_says_what_it_must() {
    let says = |report: Report, words: &[&str]| {
        let text = render(&report, &PLAIN);
        let mut rest = text.as_str();
        for word in words {
            let at = rest.find(word).unwrap_or_else(|| panic!("{word:?} in this order in\n{text}"));
            rest = &rest[at + word.len()..];
        }
    };
    says(
        reports::prefix_broken(),
        &[
            "DEGRADED",
            "38 of 44",
            "± 15 s",
            "82 % likely",
            "1. ",
            "2. ",
            "3. ",
            "Against",
            "Or else",
            "Decides",
            "Do now",
            "Risk",
            "Undo",
            "-v",
        ],
    );
    says(reports::overloaded(), &["CRITICAL", "91 % likely", "→ leads to", "77 % likely"]);
    says(reports::inconclusive(), &["INCONCLUSIVE", "Missing", "--url"]);
    says(reports::not_in_the_catalogue(), &["not in the catalogue", "Moved", "Unchecked"]);
}

fn every_style() -> Vec<Style> {
    let mut styles = Vec::new();
    for width in [60, 80, 120] {
        for verbose in [0, 1] {
            styles.push(Style { width, verbose, ..PLAIN });
        }
        styles.push(Style { width, quiet: true, ..PLAIN });
    }
    styles
}

#[test]
fn no_line_is_wider_than_the_terminal() {
    for (name, report) in reports::all() {
        for style in every_style() {
            for line in render(&report, &style).lines() {
                assert!(line.width() <= style.width, "{name} {style:?}: {} {line:?}", line.width());
            }
        }
    }
}

#[test]
fn the_first_screen_fits_and_quiet_is_one_line() {
    for (name, report) in reports::all() {
        for width in [60, 80, 120] {
            let text = render(&report, &Style { width, ..PLAIN });
            assert!(text.lines().count() <= 25, "{name} at {width}:\n{text}");
            let quiet = render(&report, &Style { width, quiet: true, ..PLAIN });
            assert_eq!(quiet.lines().count(), 1, "{name} at {width}: {quiet}");
        }
    }
}

#[test]
fn nothing_hostile_reaches_the_terminal() {
    for (name, report) in reports::all() {
        for style in every_style() {
            let text = render(&report, &style);
            let hazard = text.chars().find(|c| *c != '\n' && diagnose::report::text::is_hazard(*c));
            assert_eq!(hazard, None, "{name} {style:?}");
        }
    }
}

#[test]
fn colour_changes_nothing_but_colour() {
    let plain = |text: &str| -> String {
        let mut pieces = text.split('\u{1b}');
        let first = pieces.next().unwrap_or_default().to_string();
        pieces.fold(first, |out, piece| out + piece.split_once('m').map_or("", |(_, rest)| rest))
    };
    for (name, report) in reports::all() {
        let coloured = render(&report, &Style { color: true, verbose: 1, ..PLAIN });
        assert!(coloured.contains('\u{1b}'), "{name}");
        let trimmed: String =
            plain(&coloured).lines().map(|line| format!("{}\n", line.trim_end())).collect();
        assert_eq!(trimmed, render(&report, &Style { verbose: 1, ..PLAIN }), "{name}");
    }
}

#[test]
fn impact_comes_first_and_gaps_come_before_reassurance() {
    let first = |report: &Report| render(report, &PLAIN).lines().next().unwrap_or("").to_string();
    assert!(first(&reports::prefix_broken()).starts_with("412 to 520 of 1,240 requests"));
    assert!(first(&reports::overloaded()).starts_with("At least 2,210 of 3,480 requests"));
    let text = render(&reports::healthy(), &PLAIN);
    let gap = text.find("Not known").expect("the gap is named");
    assert!(gap < text.find("No symptom holds").expect("the result is named"));
}

#[test]
fn the_same_report_gives_the_same_bytes() {
    for (_, report) in reports::all() {
        let style = Style { verbose: 1, ..PLAIN };
        assert_eq!(render(&report, &style), render(&report.clone(), &style));
    }
}
