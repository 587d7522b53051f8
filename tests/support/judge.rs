//! From a recording to its report, as the commands do it.

use std::path::Path;

use diagnose::{
    evidence::bundle::{Bundle, Limits},
    report::{
        CauseFound, Report, Status,
        build::{Case, build},
    },
    runbook::{Library, Severity},
    signals::{self, Ask},
    sources,
};

/// A labelled recording under fixtures/incidents.
pub struct Recording {
    /// Name of its folder.
    pub name: String,
    /// What was recorded.
    pub bundle: Bundle,
    /// True causes, most important first; none for a healthy system.
    pub causes: Vec<String>,
    /// Causes that are right too.
    pub also: Vec<String>,
    /// When it began, Unix seconds.
    pub onset: Option<f64>,
}

impl Recording {
    /// Whether naming `cause` is right.
    pub fn accepts(&self, cause: &str) -> bool {
        self.causes.iter().chain(&self.also).any(|right| right == cause)
    }
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
    let label: serde_json::Value = serde_json::from_str(&label).unwrap();
    let ids = |key: &str| {
        let list = label[key].as_array().cloned().unwrap_or_default();
        list.iter().map(|id| id.as_str().unwrap().to_string()).collect()
    };
    Recording {
        name: path.file_name().unwrap().to_string_lossy().into(),
        bundle: Bundle::load(&[path.to_path_buf()], &Limits::default()).unwrap(),
        causes: ids("causes"),
        also: ids("also_accepted"),
        onset: label["onset"].as_f64(),
    }
}

/// The report on a bundle: of one runbook, or of a sweep for `None`.
pub fn judge(library: &Library, bundle: &Bundle, runbook: Option<&str>) -> Report {
    let evidence = sources::read(bundle);
    let windows = signals::onset::windows(&evidence, &Ask::default());
    let readings = signals::read_all(&evidence, &windows);
    build(&Case {
        command: runbook.unwrap_or("sweep"),
        runbook: runbook.map(|id| &library.runbooks[id]),
        library,
        evidence: &evidence,
        windows: &windows,
        readings: &readings,
        min_coverage: 0.5,
    })
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
