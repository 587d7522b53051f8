//! Judges simulated cases: for the score, and for people who ask why.

use std::thread;

use diagnose::{
    eval::{Label, Trial},
    report::Status,
    runbook::Library,
};

use super::{
    judging::judge,
    sim::{Case, Kind, case},
};

/// Judges a case and compares the verdict with its truth.
pub fn trial(case: &Case, library: &Library) -> Trial {
    let ids = |ids: &[&str]| ids.iter().map(ToString::to_string).collect();
    let label = Label {
        causes: ids(&case.causes),
        also_accepted: ids(&case.also),
        onset: case.onset,
        outside: case.outside,
    };
    Trial::new(&case.name, label, &judge(library, &case.bundle, None), library)
}

/// Judges these seeds of every kind.
pub fn trials(kinds: &[Kind], seeds: std::ops::Range<u64>) -> Vec<Trial> {
    let library = Library::embedded().unwrap();
    let jobs: Vec<(Kind, u64)> =
        kinds.iter().flat_map(|kind| seeds.clone().map(move |seed| (*kind, seed))).collect();
    let workers = thread::available_parallelism().map_or(1, usize::from);
    thread::scope(|scope| {
        let threads: Vec<_> = (0..workers)
            .map(|worker| {
                let (jobs, library) = (&jobs, &library);
                scope.spawn(move || {
                    let mine = jobs.iter().skip(worker).step_by(workers);
                    mine.map(|(kind, seed)| trial(&case(*kind, *seed), library)).collect::<Vec<_>>()
                })
            })
            .collect();
        let mut all: Vec<Trial> = threads.into_iter().flat_map(|t| t.join().unwrap()).collect();
        all.sort_by(|a, b| a.name.cmp(&b.name));
        all
    })
}

/// The answers that speak for and against each cause that is true or supported.
#[allow(dead_code, reason = "asked for by `cargo bench --bench accuracy` only")]
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
