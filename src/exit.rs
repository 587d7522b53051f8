//! Exit codes: one documented table, used by `--help`, `explain`, the README and the gate itself.

use crate::{
    report::{CauseFound, Report, Status, SymptomFound, Verdict, WaiverState},
    runbook::Severity,
};

/// How the process ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// Nothing at or above `--fail-on`, and enough was looked at.
    Clean,
    /// A finding at or above `--fail-on`.
    Finding,
    /// The tool could not do what was asked.
    Failed,
    /// Too little could be looked at.
    Inconclusive,
    /// SIGINT.
    Interrupted,
    /// SIGTERM.
    Terminated,
}

impl Exit {
    /// All of them, by code.
    pub const ALL: [Self; 6] = [
        Self::Clean,
        Self::Finding,
        Self::Failed,
        Self::Inconclusive,
        Self::Interrupted,
        Self::Terminated,
    ];

    /// The number that the shell sees.
    pub fn code(self) -> u8 {
        match self {
            Self::Clean => 0,
            Self::Finding => 1,
            Self::Failed => 2,
            Self::Inconclusive => 3,
            Self::Interrupted => 130,
            Self::Terminated => 143,
        }
    }

    /// What it means, for tables and help.
    pub fn meaning(self) -> &'static str {
        match self {
            Self::Clean => "nothing at or above `--fail-on`, and coverage is met",
            Self::Finding => {
                "a finding at or above `--fail-on`; a failed lint, runbook or load test; what \
                 `apply --dry-run` would change"
            }
            Self::Failed => {
                "usage, configuration or internal error; an `apply` that was refused or is not whole"
            }
            Self::Inconclusive => {
                "inconclusive: no server, a needed source is missing, coverage is under \
                 `--min-coverage`, or a load test tells too little"
            }
            Self::Interrupted => "interrupted (SIGINT); what was seen until then is reported",
            Self::Terminated => "terminated (SIGTERM); what was seen until then is reported",
        }
    }

    /// Looks one up by its number.
    pub fn from_code(code: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|exit| exit.code().to_string() == code)
    }
}

/// What a gate does with a report. Of several reasons the strongest wins: 2, then 1, 3, 0.
pub fn of(report: &Report, fail_on: Severity, min_coverage: f64) -> Exit {
    if worst_finding(report).is_some_and(|worst| worst >= fail_on) {
        return Exit::Finding;
    }
    if report.verdict == Verdict::Inconclusive || share_answered(report) < min_coverage {
        return Exit::Inconclusive;
    }
    if abstains(report) { Exit::Finding } else { Exit::Clean }
}

/// The worst finding that nobody answers for.
fn worst_finding(report: &Report) -> Option<Severity> {
    let causes = supported(report).filter(|cause| !is_waived(report, &cause.id));
    let symptoms = counted_symptoms(report).map(|symptom| symptom.severity);
    causes.map(|cause| cause.severity).chain(symptoms).max()
}

fn supported(report: &Report) -> impl Iterator<Item = &CauseFound> {
    report.causes.iter().filter(|cause| cause.status == Status::Supported)
}

/// Symptoms that nobody answers for: who answers for every supported cause answers for what they
/// do, too.
fn counted_symptoms(report: &Report) -> impl Iterator<Item = &SymptomFound> {
    let explained = supported(report).next().is_some()
        && supported(report).all(|cause| is_waived(report, &cause.id));
    let counts = move |it: &&SymptomFound| !explained && !is_waived(report, &it.signal);
    report.symptoms.iter().filter(counts)
}

/// Whether a symptom counts for the gate: nobody answers for it, nor for all that causes it.
pub fn counts(report: &Report, symptom: &SymptomFound) -> bool {
    counted_symptoms(report).any(|counted| std::ptr::eq(counted, symptom))
}

fn is_waived(report: &Report, finding: &str) -> bool {
    let in_force = |state| state == WaiverState::InForce;
    report.waivers.iter().any(|it| it.finding == finding && in_force(it.state))
}

/// Whether something is wrong and no cause in the catalogue explains it: an incident that the tool
/// does not know must not pass a gate, however mild it looks.
fn abstains(report: &Report) -> bool {
    let wrong = matches!(report.verdict, Verdict::Degraded | Verdict::Critical);
    let waived = !report.symptoms.is_empty() && counted_symptoms(report).next().is_none();
    wrong && !waived && supported(report).next().is_none()
}

/// Nothing asked is nothing known.
fn share_answered(report: &Report) -> f64 {
    if report.coverage.asked == 0 {
        return 0.0;
    }
    f64::from(report.coverage.answered) / f64::from(report.coverage.asked)
}

/// The table of the README, in Markdown.
pub fn markdown_table() -> String {
    let rows = Exit::ALL.map(|exit| format!("| {} | {} |\n", exit.code(), exit.meaning()));
    let precedence = "Of several reasons the strongest wins: 2, then 1, then 3, then 0.\n";
    format!("| code | meaning |\n|---|---|\n{}\n{precedence}", rows.concat())
}

/// The table of `--help` and `explain exit-code`.
pub fn help_table() -> String {
    let rows = Exit::ALL.map(|exit| format!("  {:>3}  {}\n", exit.code(), exit.meaning()));
    format!("Exit codes:\n{}", rows.concat().replace('`', ""))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::{Coverage, SymptomFound, Tool, WindowTimes};

    fn report(verdict: Verdict, (answered, asked): (u32, u32), worst: Option<Severity>) -> Report {
        let symptom = |severity| SymptomFound {
            signal: "x".into(),
            now: None,
            baseline: None,
            unit: crate::unit::Unit::Ratio,
            threshold: None,
            severity,
            statement: String::new(),
            readings: vec![],
        };
        Report {
            schema_version: 1,
            tool: Tool { name: "diagnose".into(), version: "0".into() },
            command: "sweep".into(),
            target: Default::default(),
            verdict,
            coverage: Coverage { answered, asked, missing: Vec::new() },
            window: WindowTimes {
                from: None,
                to: None,
                baseline_from: None,
                baseline_to: None,
                baseline_kind: crate::report::BaselineKind::None,
                kept_baseline: None,
            },
            onset: None,
            impact: None,
            symptoms: worst.into_iter().map(symptom).collect(),
            causes: Vec::new(),
            path: Vec::new(),
            timeline: Vec::new(),
            clocks: Vec::new(),
            decomposition: Vec::new(),
            readings: Vec::new(),
            series: Vec::new(),
            by_part: Vec::new(),
            by_part_left_out: 0,
            sources: Vec::new(),
            waivers: Vec::new(),
        }
    }

    #[test]
    fn a_finding_beats_poor_coverage_and_poor_coverage_beats_clean() {
        let poor = report(Verdict::Degraded, (1, 10), Some(Severity::Warning));
        assert_eq!(of(&poor, Severity::Warning, 0.5), Exit::Finding);
        assert_eq!(of(&poor, Severity::Critical, 0.5), Exit::Inconclusive);
    }

    #[test]
    fn an_incident_outside_the_catalogue_never_passes_the_gate() {
        let unknown = report(Verdict::Degraded, (9, 10), Some(Severity::Warning));
        assert_eq!(of(&unknown, Severity::Critical, 0.5), Exit::Finding);
    }

    fn waiver(finding: &str, state: WaiverState) -> crate::report::Waiver {
        crate::report::Waiver {
            finding: finding.into(),
            owner: "ops".into(),
            reason: "ordered".into(),
            expires: "2027-01-31".into(),
            state,
        }
    }

    #[test]
    fn a_waived_finding_does_not_close_the_gate_until_it_expires() {
        let mut found = report(Verdict::Critical, (9, 10), Some(Severity::Critical));
        found.waivers = vec![waiver("x", WaiverState::Expired), waiver("y", WaiverState::InForce)];
        assert_eq!(of(&found, Severity::Warning, 0.5), Exit::Finding);
        found.waivers = vec![waiver("x", WaiverState::InForce)];
        assert_eq!(of(&found, Severity::Warning, 0.5), Exit::Clean);
        found.coverage.answered = 1;
        assert_eq!(of(&found, Severity::Warning, 0.5), Exit::Inconclusive);
    }

    #[test]
    fn nothing_asked_is_never_clean() {
        let empty = report(Verdict::Healthy, (0, 0), None);
        assert_eq!(of(&empty, Severity::Critical, 0.5), Exit::Inconclusive);
        let unmet = report(Verdict::Inconclusive, (10, 10), None);
        assert_eq!(of(&unmet, Severity::Critical, 0.5), Exit::Inconclusive);
    }

    #[test]
    fn an_explanation_of_severity_info_does_not_fail_a_gate() {
        let info = report(Verdict::Healthy, (10, 10), Some(Severity::Info));
        assert_eq!(of(&info, Severity::Warning, 0.5), Exit::Clean);
    }

    #[test]
    fn codes_are_distinct_and_found_by_number() {
        for exit in Exit::ALL {
            assert_eq!(Exit::from_code(&exit.code().to_string()), Some(exit));
        }
    }
}
