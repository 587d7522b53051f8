//! Runs the judge over a bundle and compares its word with the truth.

use std::collections::BTreeMap;

use diagnose::{
    evidence::bundle::Bundle,
    report::{
        Report, Status, Verdict,
        build::{self, build},
    },
    runbook::{Library, Severity},
    signals::{self, Ask},
    sources,
};

use super::sim::Case;

/// How the first supported cause compares with the truth.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Outcome {
    /// The true cause, or for a healthy case none above info.
    Right,
    /// A cause that is not true.
    Wrong,
    /// No cause at all though there is one.
    Abstained,
}

/// One judged case.
#[derive(Debug, Clone)]
pub struct Scored {
    pub name: String,
    pub outcome: Outcome,
    /// All supported causes with their probability, first one first.
    pub supported: Vec<(String, f64)>,
    pub verdict: Verdict,
    pub healthy: bool,
    /// Seconds from the true onset to the one found.
    pub onset_error: Option<f64>,
    pub found_onset: bool,
}

/// The whole report of a sweep.
pub fn judge(bundle: &Bundle, library: &Library) -> Report {
    let evidence = sources::read(bundle);
    let windows = signals::onset::windows(&evidence, &Ask::default());
    let readings = signals::read_all(&evidence, &windows);
    build(&build::Case {
        command: "sweep",
        runbook: None,
        library,
        evidence: &evidence,
        windows: &windows,
        readings: &readings,
        min_coverage: 0.6,
    })
}

/// Judges a case.
pub fn score(case: &Case, library: &Library) -> Scored {
    let report = judge(&case.bundle, library);
    let causes: Vec<_> =
        report.causes.iter().filter(|cause| cause.status == Status::Supported).collect();
    let healthy = case.causes.is_empty();
    let firm = |severity: Severity| severity > Severity::Info;
    let outcome = match causes.first() {
        _ if healthy => match causes.iter().any(|cause| firm(cause.severity)) {
            true => Outcome::Wrong,
            false => Outcome::Right,
        },
        Some(first) if case.causes.iter().chain(&case.also).any(|id| *id == first.id) => {
            Outcome::Right
        }
        Some(_) => Outcome::Wrong,
        None => Outcome::Abstained,
    };
    let found = report.onset.as_ref().and_then(|onset| {
        let at: jiff::Timestamp = onset.at.parse().ok()?;
        Some(at.as_millisecond() as f64 / 1e3)
    });
    Scored {
        name: case.name.clone(),
        outcome,
        supported: causes.iter().map(|c| (c.id.clone(), c.probability)).collect(),
        verdict: report.verdict,
        healthy,
        onset_error: case.onset.and_then(|onset| Some(found? - onset)),
        found_onset: found.is_some(),
    }
}

/// One line a kind, and one a miss.
pub fn table(scored: &[Scored]) -> String {
    let mut kinds: BTreeMap<&str, Vec<&Scored>> = BTreeMap::new();
    for one in scored {
        let kind = one.name.split('/').next().unwrap_or_default();
        kinds.entry(kind).or_default().push(one);
    }
    let mut text = format!("{:28} right wrong none  first causes [verdicts]\n", "kind");
    for (kind, cases) in &kinds {
        let count = |outcome| cases.iter().filter(|one| one.outcome == outcome).count();
        let mut firsts: BTreeMap<&str, usize> = BTreeMap::new();
        for one in cases {
            let first = one.supported.first().map_or("-", |(id, _)| id.as_str());
            *firsts.entry(first).or_default() += 1;
        }
        let mut verdicts: BTreeMap<String, usize> = BTreeMap::new();
        for one in cases {
            *verdicts.entry(format!("{:?}", one.verdict)).or_default() += 1;
        }
        let verdicts: Vec<_> = verdicts.iter().map(|(word, n)| format!("{word} {n}")).collect();
        let firsts: Vec<_> = firsts.iter().map(|(id, n)| format!("{id} {n}")).collect();
        text += &format!(
            "{kind:28} {:5} {:5} {:4}  {}  [{}]\n",
            count(Outcome::Right),
            count(Outcome::Wrong),
            count(Outcome::Abstained),
            firsts.join(", "),
            verdicts.join(", ")
        );
    }
    for one in scored.iter().filter(|one| one.outcome != Outcome::Right) {
        text += &format!(
            "{:30} {:?} {:?} {:?} onset {:?}{}\n",
            one.name,
            one.outcome,
            one.verdict,
            one.supported,
            one.onset_error,
            if one.found_onset { "" } else { " none found" }
        );
    }
    text
}

/// The answers that speak for and against each cause that is true or supported.
pub fn explained(case: &Case, library: &Library) -> String {
    let report = judge(&case.bundle, library);
    let vllm = report.target.version.unwrap_or_default();
    let mut text = format!("{} vLLM {vllm} {:?} {:?}\n", case.name, report.verdict, case.onset);
    text += &format!("  onset {:?}\n  window {:?}\n", report.onset, report.window);
    for symptom in &report.symptoms {
        text += &format!("  symptom {}\n", symptom.statement);
    }
    let named = |id: &str| case.causes.iter().chain(&case.also).any(|truth| *truth == id);
    for cause in &report.causes {
        if cause.status != Status::Supported && !named(&cause.id) {
            continue;
        }
        let of = cause.consequence_of.as_deref().unwrap_or("-");
        text += &format!("  {} {:?} {:.2} of {of}\n", cause.id, cause.status, cause.probability);
        for (sign, told) in [("+", &cause.in_favour), ("-", &cause.against)] {
            for one in told {
                text += &format!("    {sign} {}: {}\n", one.check, one.because);
            }
        }
        for gap in &cause.missing {
            text += &format!("    ? {}: {}\n", gap.what, gap.why);
        }
    }
    text
}
