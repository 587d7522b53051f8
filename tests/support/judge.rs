//! From a recording to its report, as the commands do it.

use std::path::Path;

use diagnose::{
    commands::run::{self, Asked},
    eval::Label,
    evidence::bundle::{Bundle, Limits},
    report::{CauseFound, Report, Status},
    runbook::{Library, Severity},
    sources,
};

/// A labelled recording under fixtures/incidents.
pub struct Recording {
    /// Name of its folder.
    pub name: String,
    /// What was recorded.
    pub bundle: Bundle,
    /// The truth.
    pub label: Label,
}

/// Every labelled recording that ships with the project.
pub fn recordings() -> Vec<Recording> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/incidents");
    let mut names: Vec<_> =
        std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    names.sort();
    names.iter().map(|path| recording(path)).collect()
}

fn recording(path: &Path) -> Recording {
    let label = std::fs::read_to_string(path.join("label.json")).unwrap();
    Recording {
        name: path.file_name().unwrap().to_string_lossy().into(),
        bundle: Bundle::load(&[path.to_path_buf()], &Limits::default()).unwrap(),
        label: serde_json::from_str(&label).unwrap(),
    }
}

/// The report on a bundle: of one runbook, or of a sweep for `None`.
pub fn judge(library: &Library, bundle: &Bundle, runbook: Option<&str>) -> Report {
    let runbook = runbook.map(|id| &library.runbooks[id]);
    run::judge(&Asked { runbook, ..Asked::sweep() }, library, &sources::read(bundle))
}

/// The causes that a report supports with a severity above info, in its order.
pub fn supported(report: &Report) -> Vec<&CauseFound> {
    let firm =
        |cause: &&CauseFound| cause.status == Status::Supported && cause.severity > Severity::Info;
    report.causes.iter().filter(firm).collect()
}

/// The part of a bundle whose scrapes and probes have an index in `range`.
pub fn cut(bundle: &Bundle, range: std::ops::Range<usize>) -> Bundle {
    let kept: Vec<u64> =
        bundle.scrapes.keys().copied().skip(range.start).take(range.len()).collect();
    let (Some(&first), Some(&last)) = (kept.first(), kept.last()) else {
        return Bundle::default();
    };
    let mut part = bundle.clone();
    part.scrapes.retain(|at, _| (first..=last).contains(at));
    part.probes.retain(|at, _| (first..=last).contains(at));
    part.meta.started = Some(first as f64 / 1e3);
    part.meta.ended = Some(last as f64 / 1e3);
    part
}
