//! The terminal report: what an engineer reads first, and what can never go wrong on the way.

#[path = "support/reports.rs"]
mod reports;

use diagnose::report::{
    Report,
    terminal::{Style, render},
};
use unicode_width::UnicodeWidthStr;

const PLAIN: Style = Style { width: 80, color: false, verbose: 0, quiet: false };

#[test]
fn show() {
    for (name, report) in reports::all() {
        eprintln!("=== {name}\n{}", render(&report, &PLAIN));
    }
    eprintln!("{}", render(&reports::prefix_broken(), &Style { verbose: 1, ..PLAIN }));
    eprintln!("{}", render(&reports::overloaded(), &Style { width: 60, ..PLAIN }));
    for (_, report) in reports::all() {
        eprint!("{}", render(&report, &Style { quiet: true, ..PLAIN }));
    }
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
    assert!(first(&reports::overloaded()).starts_with("2,210 to 3,480 of 3,480 requests"));
    let text = render(&reports::healthy(), &PLAIN);
    let gap = text.find("Not looked at").expect("the gap is named");
    assert!(gap < text.find("No symptom holds").expect("the result is named"));
}

#[test]
fn the_same_report_gives_the_same_bytes() {
    for (_, report) in reports::all() {
        let style = Style { verbose: 1, ..PLAIN };
        assert_eq!(render(&report, &style), render(&report.clone(), &style));
    }
}
