//! Exit codes: one documented table, used by `--help`, `explain`, the README and the gate itself.

use crate::{
    report::{CauseFound, Report, Status, Verdict},
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
            Self::Finding => "a finding at or above `--fail-on`; a failed lint or runbook test",
            Self::Failed => "usage, configuration or internal error",
            Self::Inconclusive => {
                "inconclusive: no server, a needed source is missing, or coverage is under \
                 `--min-coverage`"
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

fn worst_finding(report: &Report) -> Option<Severity> {
    let causes = report.causes.iter().filter(|cause| cause.status == Status::Supported);
    let symptoms = report.symptoms.iter().map(|symptom| symptom.severity);
    causes.map(|cause| cause.severity).chain(symptoms).max()
}

/// Whether something is wrong and no cause in the catalogue explains it: an incident that the tool
/// does not know must not pass a gate, however mild it looks.
fn abstains(report: &Report) -> bool {
    let wrong = matches!(report.verdict, Verdict::Degraded | Verdict::Critical);
    let known = |cause: &CauseFound| cause.status == Status::Supported;
    wrong && !report.causes.iter().any(known)
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
