//! What a gate says of a report, as test cases: a failure or an error stands in the file if and
//! only if the gate is closed.

use crate::{
    exit::{self, Exit},
    report::{
        CauseFound, Report, Status, Waiver, WaiverState,
        fleet::{Fleet, Replica},
        junit::{Case, Outcome, Suite, render},
        text::sentence,
        words,
    },
    runbook::Severity,
};

/// The report on one server: a case for each symptom and each cause.
pub(super) fn of_report(report: &Report, fail_on: Severity, exit: Exit) -> String {
    let class = format!("diagnose.{}", report.command);
    let closes = |severity: Severity, counts: bool| counts && severity >= fail_on;
    let symptoms = words::symptoms(report).into_iter().map(|symptom| {
        let counts = exit::counts(report, symptom);
        let outcome =
            match (closes(symptom.severity, counts), waiver(&report.waivers, &symptom.signal)) {
                (true, _) => failed(symptom.severity, &symptom.statement),
                (false, Some(waiver)) => Outcome::Skipped(waived(waiver)),
                (false, None) => Outcome::Passed,
            };
        let shown = format!("{}: {}", words::severity(symptom.severity), symptom.statement);
        Case {
            class: format!("{class}.symptoms"),
            name: symptom.signal.clone(),
            outcome,
            output: vec![shown],
        }
    });
    let causes = report.causes.iter().map(|cause| Case {
        class: format!("{class}.{}", cause.family),
        name: cause.id.clone(),
        outcome: of_cause(report, cause, fail_on),
        output: evidence(cause),
    });
    let cases = symptoms.chain(causes).collect();
    let coverage = format!("{} of {}", report.coverage.answered, report.coverage.asked);
    let version = report.target.version.clone().unwrap_or_else(|| "unknown".into());
    let properties = [
        ("verdict", words::verdict(report.verdict).to_lowercase()),
        ("checks answered", coverage),
        ("vllm version", version),
        ("diagnose version", report.tool.version.clone()),
    ];
    let suite = Suite {
        name: format!("{} on {}", report.command, report.target.name),
        properties: properties.map(|(name, value)| (name.to_owned(), value)).into(),
        cases,
    };
    render(&[with_gate(suite, &class, exit, &why(report))])
}

fn of_cause(report: &Report, cause: &CauseFound, fail_on: Severity) -> Outcome {
    let waiver = waiver(&report.waivers, &cause.id);
    match cause.status {
        Status::Refuted => Outcome::Passed,
        Status::NotExaminable => {
            let gap = cause.missing.first().map(words::gap);
            Outcome::Skipped(gap.unwrap_or_else(|| "it could not be examined".into()))
        }
        Status::Supported => match waiver {
            Some(waiver) => Outcome::Skipped(waived(waiver)),
            None if cause.severity >= fail_on => {
                failed(cause.severity, &titled(&cause.title, cause.probability))
            }
            None => Outcome::Passed,
        },
    }
}

/// What speaks for and against a supported cause, and what to do first.
fn evidence(cause: &CauseFound) -> Vec<String> {
    if cause.status != Status::Supported {
        return Vec::new();
    }
    let mut lines = vec![sentence(&cause.claim)];
    lines.extend(
        cause.in_favour.iter().map(|it| format!("For: {}", words::fact(&it.text, &it.because))),
    );
    lines.extend(
        cause.against.iter().map(|it| format!("Against: {}", words::fact(&it.text, &it.because))),
    );
    lines.extend(cause.fixes.first().map(|fix| format!("Do now: {}", sentence(&fix.text))));
    lines
}

/// Many servers: a suite for each, and one for what they have in common.
pub(super) fn of_fleet(fleet: &Fleet, fail_on: Severity) -> String {
    let class = format!("diagnose.{}", fleet.command);
    let common = Case {
        class: format!("{class}.fleet"),
        name: "in common".into(),
        outcome: Outcome::Passed,
        output: vec![fleet.common.statement.clone()],
    };
    let common = Suite {
        name: format!("{} over the fleet", fleet.command),
        properties: Vec::new(),
        cases: vec![common],
    };
    let replicas = fleet.replicas.iter().map(|replica| of_replica(replica, &class, fail_on));
    render(&std::iter::once(common).chain(replicas).collect::<Vec<_>>())
}

fn of_replica(replica: &Replica, class: &str, fail_on: Severity) -> Suite {
    // A waived cause answers for its symptoms, too; the gate has judged that already.
    let closed = replica.exit_code == Exit::Finding.code();
    let outcome = |id: &str, severity: Severity, text: String| match waiver(&replica.waivers, id) {
        Some(waiver) => Outcome::Skipped(waived(waiver)),
        None if closed && severity >= fail_on => failed(severity, &text),
        None => Outcome::Passed,
    };
    let case = |part: &str, name: &str, outcome, output| Case {
        class: format!("{class}.{part}"),
        name: name.into(),
        outcome,
        output,
    };
    let symptoms = replica.symptoms.iter().map(|it| {
        let found = outcome(&it.signal, it.severity, it.statement.clone());
        case("symptoms", &it.signal, found, Vec::new())
    });
    let causes = replica.causes.iter().map(|it| {
        case(
            "causes",
            &it.id,
            outcome(&it.id, it.severity, titled(&it.title, it.probability)),
            Vec::new(),
        )
    });
    let unknown = replica.not_examinable.iter().map(|id| {
        case("causes", id, Outcome::Skipped("it could not be examined".into()), Vec::new())
    });
    let labels = replica.labels.iter().chain(&replica.attributes);
    let suite = Suite {
        name: replica.name.clone(),
        properties: labels.map(|(name, value)| (name.clone(), value.clone())).collect(),
        cases: symptoms.chain(causes).chain(unknown).collect(),
    };
    let checks = format!("{} of {} checks answered", replica.answered_checks, replica.asked_checks);
    let why = replica.happened.clone().unwrap_or(checks);
    let exit = Exit::from_code(&replica.exit_code.to_string()).unwrap_or(Exit::Failed);
    with_gate(suite, class, exit, &why)
}

/// Adds the gate's own case: what no single finding says, such as that too little was seen.
fn with_gate(mut suite: Suite, class: &str, exit: Exit, why: &str) -> Suite {
    let failed = suite.cases.iter().any(|case| matches!(case.outcome, Outcome::Failed(..)));
    let outcome = match exit {
        Exit::Clean => Outcome::Passed,
        Exit::Finding if failed => Outcome::Passed,
        Exit::Finding => Outcome::Failed("finding".into(), why.into()),
        _ => Outcome::Error(why.into()),
    };
    let output = Vec::new();
    suite.cases.insert(0, Case { class: class.into(), name: "gate".into(), outcome, output });
    suite
}

/// Why the gate is closed where no single finding closes it.
fn why(report: &Report) -> String {
    match words::supported(report).next() {
        None if !report.symptoms.is_empty() => {
            format!("Not in the catalogue. {}", words::unexplained(report))
        }
        _ => format!(
            "{}: {} of {} checks answered",
            words::verdict(report.verdict),
            report.coverage.answered,
            report.coverage.asked
        ),
    }
}

fn failed(severity: Severity, text: &str) -> Outcome {
    Outcome::Failed(words::severity(severity).into(), text.into())
}

fn titled(title: &str, probability: f64) -> String {
    format!("{} likely: {title}", words::percent(probability))
}

fn waiver<'a>(waivers: &'a [Waiver], finding: &str) -> Option<&'a Waiver> {
    waivers.iter().find(|it| it.finding == finding && it.state == WaiverState::InForce)
}

fn waived(waiver: &Waiver) -> String {
    let Waiver { owner, reason, expires, .. } = waiver;
    format!("{owner} answers for it until {expires} ({reason})")
}
