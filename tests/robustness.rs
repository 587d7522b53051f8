//! Taking a source away may cost an answer, but never gives a wrong one.
#![allow(missing_docs, dead_code, clippy::unwrap_used)]

#[path = "support/judge.rs"]
mod judging;

use std::collections::BTreeSet;
use std::sync::LazyLock;

use diagnose::{
    evidence::bundle::Bundle,
    report::{Report, Status, Verdict},
    runbook::Library,
};
use judging::{Recording, judge, recordings, supported};

type TakeAway = fn(&mut Bundle);

/// The sources of a recording, with how each is taken away.
const SOURCES: [(&str, TakeAway); 3] = [
    ("log", |bundle| bundle.log = None),
    ("probes", |bundle| bundle.probes.clear()),
    ("metrics", |bundle| bundle.scrapes.clear()),
];

fn ids(report: &Report, status: Status) -> BTreeSet<String> {
    let causes = report.causes.iter().filter(|cause| cause.status == status);
    causes.map(|cause| cause.id.clone()).collect()
}

/// A recording, its whole report, and the report without each source.
type Reports = (Recording, Report, Vec<(&'static str, Report)>);

/// All of them, judged once for all tests.
static REPORTS: LazyLock<Vec<Reports>> = LazyLock::new(|| {
    let library = Library::embedded().unwrap();
    let without = |recording: &Recording, take_away: TakeAway| {
        let mut bundle = recording.bundle.clone();
        take_away(&mut bundle);
        judge(&library, &bundle, None)
    };
    let reports = |recording: Recording| {
        let whole = judge(&library, &recording.bundle, None);
        let parts = SOURCES.map(|(source, take_away)| (source, without(&recording, take_away)));
        (recording, whole, parts.into())
    };
    recordings().into_iter().map(reports).collect()
});

/// Calls `look` with each recording, its whole report, a source, and the report without it.
fn without_each(look: impl Fn(&Recording, &Report, &str, &Report)) {
    for (recording, whole, parts) in REPORTS.iter() {
        parts.iter().for_each(|(source, part)| look(recording, whole, source, part));
    }
}

#[test]
fn an_incident_never_becomes_healthy() {
    without_each(|recording, _, source, part| {
        let incident = !recording.label.causes.is_empty();
        let said = (&recording.name, source, part.verdict);
        assert!(!(incident && part.verdict == Verdict::Healthy), "{said:?}");
    });
}

#[test]
fn a_healthy_server_never_becomes_an_incident() {
    without_each(|recording, _, source, part| {
        let wrong = matches!(part.verdict, Verdict::Degraded | Verdict::Critical);
        let said = (&recording.name, source, part.verdict);
        assert!(!(recording.label.causes.is_empty() && wrong), "{said:?}");
    });
}

#[test]
fn without_the_metrics_nothing_is_sure() {
    without_each(|recording, _, source, part| {
        let inconclusive = part.verdict == Verdict::Inconclusive && supported(part).is_empty();
        assert!(source != "metrics" || inconclusive, "{}", recording.name);
    });
}

#[test]
fn no_wrong_cause_takes_the_place_of_one_that_lost_its_source() {
    without_each(|recording, _, source, part| {
        for cause in supported(part) {
            let said = (&recording.name, source, &cause.id);
            assert!(recording.label.accepts(&cause.id), "{said:?} {}", cause.probability);
        }
    });
}

#[test]
fn a_missing_source_refutes_no_cause_that_is_true() {
    without_each(|recording, whole, source, part| {
        let before = ids(whole, Status::Refuted);
        let grown: BTreeSet<String> =
            ids(part, Status::Refuted).difference(&before).cloned().collect();
        let wrong: Vec<_> = grown.iter().filter(|cause| recording.label.accepts(cause)).collect();
        assert!(wrong.is_empty(), "{} without {source}: {wrong:?}", recording.name);
        // The whole time is judged without the metrics, so the log may then say a firmer no.
        assert!(source == "metrics" || grown.is_empty(), "{} -{source}: {grown:?}", recording.name);
    });
}

/// Counters at infinity make every mean NaN, and NaN would answer each check with no.
#[test]
fn latencies_that_are_no_numbers_are_missing_and_never_healthy() {
    let library = Library::embedded().unwrap();
    let healthy =
        recordings().into_iter().find(|recording| recording.label.causes.is_empty()).unwrap();
    for value in ["+Inf", "1.7e308"] {
        let mut bundle = healthy.bundle.clone();
        for body in bundle.scrapes.values_mut() {
            let page = String::from_utf8_lossy(body);
            let broken = |line: &str| match line.rsplit_once(' ') {
                Some((key, _)) if line.starts_with("vllm:") && line.contains("_seconds_") => {
                    format!("{key} {value}\n")
                }
                _ => format!("{line}\n"),
            };
            *body = page.lines().map(broken).collect::<String>().into_bytes();
        }
        let report = judge(&library, &bundle, None);
        assert_ne!(report.verdict, Verdict::Healthy, "{value}");
        for row in report.readings.iter().filter(|row| row.now.is_none()) {
            assert!(row.missing.is_some(), "{value}: {}", row.signal);
        }
    }
}

#[test]
fn a_runbook_whose_own_symptom_has_no_source_calls_nothing_healthy() {
    let library = Library::embedded().unwrap();
    let healthy = recordings().into_iter().find(|recording| recording.name == "healthy").unwrap();
    let own = |runbook: &str| {
        let first = library.runbooks[runbook].gate[0].value.as_str();
        library.checks[first].question.clone()
    };
    for (runbook, verdict, gap) in [
        ("scaling-failure", Verdict::Inconclusive, Some("sagemaker".to_owned())),
        ("oom", Verdict::Inconclusive, Some(own("oom"))),
        ("adapter-regression", Verdict::Inconclusive, Some(own("adapter-regression"))),
        ("slow-decode", Verdict::Healthy, None),
    ] {
        let report = judge(&library, &healthy.bundle, Some(runbook));
        assert_eq!(report.verdict, verdict, "{runbook}");
        let first = report.coverage.missing.first().map(|gap| gap.what.clone());
        assert_eq!(first == gap, gap.is_some(), "{runbook}: {first:?}");
    }
}
