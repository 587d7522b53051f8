//! Judges simulated cases: for the score, and for people who ask why.

use diagnose::{
    eval::{Label, Trial},
    report::Status,
    runbook::Library,
};

use super::{judging::judge, sim::Case};

/// Judges a case and compares the verdict with its truth.
pub fn trial(case: &Case, library: &Library) -> Trial {
    let ids = |ids: &[&str]| ids.iter().map(ToString::to_string).collect();
    let label = Label {
        causes: ids(&case.causes),
        also_accepted: ids(&case.also),
        onset: case.onset,
        outside: false,
    };
    Trial::new(&case.name, label, &judge(library, &case.bundle, None), library)
}

/// The answers that speak for and against each cause that is true or supported.
pub fn explained(case: &Case, library: &Library) -> String {
    let report = judge(library, &case.bundle, None);
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
