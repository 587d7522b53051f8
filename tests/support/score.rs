//! Judges simulated cases: for the score, for the fit, and for people who ask why.

use std::{ops::Range, thread};

use diagnose::{
    commands::run::Asked,
    eval::{Label, Trial},
    evidence::bundle::Bundle,
    report::{
        Status,
        build::{self, Case as Judged},
    },
    runbook::{
        Library,
        rank::{Answers, Gate},
    },
    signals, sources,
};

use super::{
    judging::judge,
    sim::{Case, Kind, case},
};

/// Seeds on which the fitted numbers are fitted.
pub const TUNE: Range<u64> = 0..6;
/// Seeds on which the score is given; nothing is fitted on them.
pub const TEST: Range<u64> = 1000..1016;

/// The truth of a case.
pub fn label(case: &Case) -> Label {
    let ids = |ids: &[&str]| ids.iter().map(ToString::to_string).collect();
    Label {
        causes: ids(&case.causes),
        also_accepted: ids(&case.also),
        onset: case.onset,
        outside: case.outside,
    }
}

/// Judges a case and compares the verdict with its truth.
pub fn trial(case: &Case, library: &Library) -> Trial {
    Trial::new(&case.name, label(case), &judge(library, &case.bundle, None), library)
}

/// What the ranking starts from.
pub fn answers(bundle: &Bundle, library: &Library) -> (Answers, Gate) {
    let evidence = sources::read(bundle);
    let asked = Asked::sweep();
    let windows = signals::onset::windows(&evidence, &asked.ask);
    let readings = signals::read_all(&evidence, &windows);
    build::answers(&Judged {
        command: "sweep",
        runbook: None,
        library,
        evidence: &evidence,
        windows: &windows,
        readings: &readings,
        min_coverage: asked.min_coverage,
        kept: None,
    })
}

/// Generates these seeds of every kind, and keeps what `look` sees in each; in the order of kinds.
pub fn each<T: Send>(kinds: &[Kind], seeds: Range<u64>, look: impl Fn(Case) -> T + Sync) -> Vec<T> {
    let jobs: Vec<(Kind, u64)> =
        kinds.iter().flat_map(|kind| seeds.clone().map(move |seed| (*kind, seed))).collect();
    let workers = thread::available_parallelism().map_or(1, usize::from);
    let mut seen: Vec<(usize, T)> = thread::scope(|scope| {
        let threads: Vec<_> = (0..workers)
            .map(|worker| {
                let (jobs, look) = (&jobs, &look);
                scope.spawn(move || {
                    let mine = jobs.iter().enumerate().skip(worker).step_by(workers);
                    mine.map(|(at, (kind, seed))| (at, look(case(*kind, *seed))))
                        .collect::<Vec<_>>()
                })
            })
            .collect();
        threads.into_iter().flat_map(|worker| worker.join().unwrap()).collect()
    });
    seen.sort_by_key(|(at, _)| *at);
    seen.into_iter().map(|(_, one)| one).collect()
}

/// Judges these seeds of every kind.
pub fn trials(kinds: &[Kind], seeds: Range<u64>, library: &Library) -> Vec<Trial> {
    each(kinds, seeds, |case| trial(&case, library))
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
