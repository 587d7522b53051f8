//! Time from raw bodies to a verdict, on a five-minute bundle of 60 scrapes (about 3 MB).

use std::path::Path;

use diagnose::{
    evidence::bundle::{Bundle, Limits},
    report::{
        build::{Case, build},
        json,
    },
    runbook::Library,
    signals::{self, Ask},
    sources,
};

const PAGES: usize = 60;

fn main() {
    divan::main();
}

/// A recorded incident with every page twice, half an interval apart, cut to 60 pages.
fn bundle() -> Bundle {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/incidents/kv-pressure");
    let Ok(recorded) = Bundle::load(&[path], &Limits::default()) else {
        return Bundle::default();
    };
    let mut twice = recorded.clone();
    let later = recorded.scrapes.iter().map(|(at, body)| (at + 2500, body.clone()));
    twice.scrapes.extend(later);
    twice.scrapes = twice.scrapes.into_iter().take(PAGES).collect();
    twice
}

#[divan::bench]
fn read(bencher: divan::Bencher<'_, '_>) {
    let bundle = bundle();
    bencher.bench(|| sources::read(&bundle));
}

#[divan::bench]
fn signals(bencher: divan::Bencher<'_, '_>) {
    let evidence = sources::read(&bundle());
    bencher.bench(|| {
        let windows = signals::onset::windows(&evidence, &Ask::default());
        signals::read_all(&evidence, &windows)
    });
}

#[divan::bench]
fn load_library() -> Option<Library> {
    Library::embedded().ok()
}

#[divan::bench]
fn whole_analysis(bencher: divan::Bencher<'_, '_>) {
    let bundle = bundle();
    bencher.bench(|| {
        let library = Library::embedded().ok()?;
        let evidence = sources::read(&bundle);
        let windows = signals::onset::windows(&evidence, &Ask::default());
        let readings = signals::read_all(&evidence, &windows);
        let report = build(&Case {
            kept: None,
            command: "sweep",
            runbook: None,
            library: &library,
            evidence: &evidence,
            windows: &windows,
            readings: &readings,
            min_coverage: 0.5,
        });
        Some(json::render(&report))
    });
}
