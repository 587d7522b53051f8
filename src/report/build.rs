//! From answers to the report: findings, coverage, verdict.

mod advice;
mod causes;
mod coverage;
mod facts;
mod symptoms;

use std::collections::BTreeSet;

use crate::{
    evidence::Evidence,
    runbook::{
        Library, Next, Runbook, Severity,
        expr::Facts,
        rank::{self, Answers, Gate},
        walk::{self, Seen, Walked},
    },
    signals::{Baseline, Readings, Windows, families, kernel, release},
};

use super::{AnswerWord, KeptBaseline, Report, Status, Tool, Verdict};

/// All that a report is made of.
#[derive(Debug, Clone, Copy)]
pub struct Case<'a> {
    /// The runbook's id, or `sweep`.
    pub command: &'a str,
    /// The runbook walked; `None` for a sweep, which walks none.
    pub runbook: Option<&'a Runbook>,
    /// What judges.
    pub library: &'a Library,
    /// What was seen.
    pub evidence: &'a Evidence,
    /// What was compared.
    pub windows: &'a Windows,
    /// What it reads.
    pub readings: &'a Readings,
    /// The baseline that was kept, where it is the one compared with.
    pub kept: Option<Kept<'a>>,
    /// Share of the checks asked that must be answered for a system to be called healthy.
    pub min_coverage: f64,
}

/// A baseline that was kept.
#[derive(Debug, Clone, Copy)]
pub struct Kept<'a> {
    /// What was seen then.
    pub evidence: &'a Evidence,
    /// Where it comes from.
    pub about: &'a KeptBaseline,
}

/// What the ranking starts from: the answer of every check, and whether a symptom holds.
pub fn answers(case: &Case<'_>) -> (Answers, Gate) {
    let names = Facts { readings: case.readings, policy: &case.library.policy };
    let releases = release::releases(case.evidence, case.windows, case.kept.map(|it| it.evidence));
    let seen = Seen { releases, xids: kernel::xids(case.evidence, case.windows.now) };
    let answers = walk::answer_all(case.library, &names, &seen);
    let gate = symptoms::gate(case, &answers, &symptoms::found(case, &answers));
    (answers, gate)
}

/// Builds the report.
pub fn build(case: &Case<'_>) -> Report {
    let (answers, gate) = answers(case);
    let symptoms = symptoms::found(case, &answers);
    let scope = scope(case.runbook);
    let ranked = rank::rank(case.library, &answers, gate, &scope);
    let causes = causes::found(case, &answers, &ranked);
    let coverage = coverage::of(case, &answers);
    let worst = worst(&symptoms, &causes);
    let vetoed = coverage::vetoes(case, &answers);
    let enough = coverage::is_met(&coverage, case.min_coverage) && vetoed.is_empty();
    let (by_part, by_part_left_out) = facts::by_part(case);
    let mut report = Report {
        schema_version: 1,
        tool: Tool { name: "diagnose".into(), version: env!("CARGO_PKG_VERSION").into() },
        command: case.command.into(),
        target: target(case.evidence),
        verdict: verdict(worst, enough),
        coverage,
        window: facts::window(case),
        onset: facts::onset(case.windows),
        impact: if gate == Gate::Open { facts::impact(case) } else { None },
        path: path(case, &answers),
        timeline: facts::timeline(case),
        clocks: facts::clocks(case.windows),
        decomposition: facts::decomposition(case.readings),
        readings: facts::readings(case),
        series: facts::series(case, &symptoms, &causes),
        by_part,
        by_part_left_out,
        sources: case.evidence.sources.clone(),
        waivers: Vec::new(),
        symptoms,
        causes,
    };
    report.coverage.missing.splice(0..0, vetoed);
    report
}

fn scope(runbook: Option<&Runbook>) -> BTreeSet<&str> {
    runbook.into_iter().flat_map(|book| &book.causes).map(|cause| cause.value.as_str()).collect()
}

fn target(evidence: &Evidence) -> crate::evidence::Target {
    let version = evidence.target.version.as_deref();
    let engine = families::engine(&evidence.series, version);
    crate::evidence::Target { engine: engine.map(|e| e.to_string()), ..evidence.target.clone() }
}

fn worst(symptoms: &[super::SymptomFound], causes: &[super::CauseFound]) -> Option<Severity> {
    let supported = causes.iter().filter(|cause| cause.status == Status::Supported);
    let severities = supported.map(|cause| cause.severity);
    severities.chain(symptoms.iter().map(|symptom| symptom.severity)).max()
}

fn verdict(worst: Option<Severity>, enough: bool) -> Verdict {
    match worst {
        Some(Severity::Critical) => Verdict::Critical,
        Some(Severity::Warning) => Verdict::Degraded,
        _ if enough => Verdict::Healthy,
        _ => Verdict::Inconclusive,
    }
}

fn path(case: &Case<'_>, answers: &Answers) -> Vec<super::PathStep> {
    let Some(runbook) = case.runbook else { return Vec::new() };
    walk::walk(runbook, answers)
        .into_iter()
        .map(|walked| {
            let check = case.library.checks.get(walked.check);
            super::PathStep {
                runbook: runbook.id.value.clone(),
                step: walked.step.into(),
                check: walked.check.into(),
                question: check.map_or_else(String::new, |check| check.question.clone()),
                answer: causes::word(walked.answer),
                because: check
                    .map_or_else(String::new, |check| causes::because(case, check, walked.answer)),
                conclusion: walked.end.map(|end| conclusion(case.library, end)),
                not_taken: not_taken(case.library, runbook, &walked),
            }
        })
        .collect()
}

/// The branches that the other answers open.
fn not_taken(library: &Library, runbook: &Runbook, walked: &Walked<'_>) -> Vec<super::Branch> {
    let Some(step) = runbook.steps.get(walked.step) else { return Vec::new() };
    let taken = causes::word(walked.answer);
    let branches = [
        (AnswerWord::Yes, &step.then),
        (AnswerWord::No, &step.otherwise),
        (AnswerWord::Unknown, &step.unknown),
    ];
    let others = branches.into_iter().filter(|(answer, _)| *answer != taken);
    others.filter_map(|(answer, next)| branch(library, runbook, answer, next)).collect()
}

fn branch(
    library: &Library,
    runbook: &Runbook,
    answer: AnswerWord,
    next: &Next,
) -> Option<super::Branch> {
    let question = |step: &str| {
        let check = &runbook.steps.get(step)?.check.value;
        library.checks.get(check).map(|check| check.question.clone())
    };
    let to = match (&next.goto, walk::end(next)) {
        (Some(goto), _) => question(&goto.value)?,
        (None, Some(end)) => conclusion(library, end),
        (None, None) => return None,
    };
    Some(super::Branch { answer, to })
}

fn conclusion(library: &Library, end: walk::End<'_>) -> String {
    match end {
        walk::End::Done(text) => text.into(),
        walk::End::Cause(id) => {
            let title = library.causes.get(id).map_or(id, |cause| cause.title.as_str());
            format!("{title} ({id})")
        }
    }
}

/// Whether history was recorded and nothing changed in it.
fn unchanged(windows: &Windows) -> bool {
    windows.baseline == Baseline::Unchanged
}
