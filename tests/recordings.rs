//! Verdicts on recordings of a real server in known incidents.
#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "support/judge.rs"]
mod support;

use diagnose::{
    report::{AnswerWord, Status, Verdict, json},
    runbook::Library,
};
use support::{Recording, cut, judge, recordings, supported};

fn library() -> Library {
    Library::embedded().unwrap()
}

#[test]
fn a_sweep_names_the_cause_of_every_incident_first() {
    let library = library();
    for recording in recordings().iter().filter(|recording| !recording.label.causes.is_empty()) {
        let report = judge(&library, &recording.bundle, None);
        let first = supported(&report)[0];
        assert!(recording.label.accepts(&first.id), "{}: {}", recording.name, first.id);
        assert!(first.probability >= 0.5, "{}: {}", recording.name, first.probability);
        assert_ne!(report.verdict, Verdict::Healthy, "{}", recording.name);
        for cause in supported(&report) {
            assert!(
                recording.label.accepts(&cause.id),
                "{} also names {}",
                recording.name,
                cause.id
            );
        }
    }
}

#[test]
fn a_healthy_server_is_called_healthy() {
    let library = library();
    for recording in recordings().iter().filter(|recording| recording.label.causes.is_empty()) {
        let report = judge(&library, &recording.bundle, None);
        assert_eq!(report.verdict, Verdict::Healthy, "{}", recording.name);
        assert!(supported(&report).is_empty() && report.symptoms.is_empty(), "{}", recording.name);
    }
}

#[test]
fn the_onset_lies_within_a_scrape_interval_of_the_truth() {
    for recording in recordings() {
        let report = judge(&library(), &recording.bundle, None);
        let found = report.onset.map(|onset| onset.at.parse::<jiff::Timestamp>().unwrap());
        let found = found.map(|at| at.as_millisecond() as f64 / 1e3);
        match (recording.label.onset, found) {
            (Some(truth), Some(found)) => {
                assert!((truth - found).abs() <= 5.0, "{}: {}", recording.name, found - truth);
            }
            (truth, found) => assert_eq!(truth.is_some(), found.is_some(), "{}", recording.name),
        }
    }
}

/// Right, or no firm cause: never sure of the wrong thing.
fn assert_not_wrongly_sure(recording: &Recording, what: &str, range: std::ops::Range<usize>) {
    let report = judge(&library(), &cut(&recording.bundle, range), None);
    if let Some(first) = supported(&report).first() {
        assert!(
            recording.label.accepts(&first.id),
            "{} {what}: names {}",
            recording.name,
            first.id
        );
    }
}

#[test]
fn two_scrapes_are_right_or_inconclusive() {
    let library = library();
    for recording in recordings() {
        let pages = recording.bundle.scrapes.len();
        assert_not_wrongly_sure(&recording, "with two scrapes", pages - 2..pages);
        let report = judge(&library, &cut(&recording.bundle, pages - 2..pages), None);
        assert_ne!(report.verdict, Verdict::Healthy, "{}", recording.name);
        if report.verdict == Verdict::Inconclusive {
            assert!(!report.coverage.missing.is_empty(), "{}", recording.name);
        }
    }
}

#[test]
fn any_part_of_a_recording_is_judged_rightly_or_not_at_all() {
    for recording in recordings() {
        let pages = recording.bundle.scrapes.len();
        for (from, to) in
            [(0, 12), (0, 18), (0, 24), (6, pages), (10, pages), (16, pages), (20, pages)]
        {
            assert_not_wrongly_sure(&recording, &format!("pages {from} to {to}"), from..to);
        }
    }
}

#[test]
fn the_same_bundle_gives_the_same_bytes() {
    let library = library();
    let recording = &recordings()[0];
    let first = json::render(&judge(&library, &recording.bundle, None));
    for _ in 0..100 {
        assert_eq!(json::render(&judge(&library, &recording.bundle, None)), first);
    }
}

#[test]
fn the_high_ttft_walk_ends_at_the_cause() {
    let library = library();
    for recording in recordings() {
        let report = judge(&library, &recording.bundle, Some("high-ttft"));
        let rose = report.symptoms.iter().any(|symptom| symptom.signal.starts_with("ttft"));
        if !rose {
            continue;
        }
        let end = report.path.last().and_then(|step| step.conclusion.clone()).unwrap();
        assert!(end.contains(&recording.label.causes[0]), "{}: {end}", recording.name);
        assert!(report.path.iter().all(|step| !step.question.is_empty()), "{}", recording.name);
        let first = supported(&report)[0];
        assert!(recording.label.accepts(&first.id), "{}: {}", recording.name, first.id);
    }
}

#[test]
fn a_walk_says_what_each_answer_rests_on() {
    let recordings = recordings();
    let broken = recordings.iter().find(|recording| recording.name == "prefix-broken").unwrap();
    let report = judge(&library(), &broken.bundle, Some("high-ttft"));
    let stock = report.path.iter().find(|step| step.check == "cached-tokens-fell").unwrap();
    assert_eq!(stock.answer, AnswerWord::Yes);
    assert!(stock.because.contains("cached_per_request_tokens 0 tokens"), "{}", stock.because);
}

/// What becomes of the known-version cause where the version changes at the onset.
fn known_version(before: &str, after: &str) -> (Status, String) {
    let mut slow = recordings().into_iter().find(|it| it.name == "decode-slow").unwrap();
    let onset = (slow.label.onset.unwrap() * 1e3) as u64;
    for (at, paths) in &mut slow.bundle.probes {
        let version = if *at < onset { before } else { after };
        paths.get_mut("/version").unwrap().body = Some(format!("{{\"version\":\"{version}\"}}"));
    }
    let report = judge(&library(), &slow.bundle, None);
    let cause = report.causes.iter().find(|it| it.id == "known-version-regression").unwrap();
    (cause.status, format!("{:?} {:?}", cause.in_favour, cause.fixes))
}

#[test]
fn a_known_fault_counts_where_the_upgrade_brought_it_and_not_else() {
    let (status, told) = known_version("0.11.0", "0.12.0");
    assert_eq!(status, Status::Supported, "{told}");
    assert!(told.contains("user report from 0.12.0") && told.contains("rolled back"), "{told}");
    assert!(told.contains("#31030") && !told.contains("{remedy}"), "{told}");
    for (before, after) in [("0.12.0", "0.12.0"), ("0.12.0", "0.12.1"), ("0.11.0", "0.11.1")] {
        let (status, told) = known_version(before, after);
        assert_eq!(status, Status::Refuted, "{before} to {after}: {told}");
    }
}
