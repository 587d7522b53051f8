//! The score on simulated cases, for people: it takes longer than a test may.
//!
//! `SEED_FROM=0 SEEDS=6 KIND=kv cargo bench --bench accuracy` scores seeds of choice;
//! `CASE=engine-wedged/1,healthy-steady/0` says why cases are judged as they are; `FIT=1` fits the
//! temperature and the outside score on the tuning seeds first; `WRITE=1` writes what is published:
//! fixtures/accuracy.json and runbooks/track-record.yaml.
#![allow(clippy::print_stdout, clippy::unwrap_used, clippy::expect_used)]

#[path = "../tests/support/fit.rs"]
mod fitting;
#[allow(dead_code, reason = "some is for the tests")]
#[path = "../tests/support/judge.rs"]
mod judging;
#[path = "../tests/support/record.rs"]
mod record;
#[path = "../tests/support/score.rs"]
mod score;
#[allow(dead_code, reason = "the tests look deeper")]
#[path = "../tests/support/sim/mod.rs"]
mod sim;

use std::collections::BTreeMap;

use diagnose::{
    eval::{Evaluation, Score, Trial, published::Published, render},
    evidence::bundle::Bundle,
    runbook::{Library, TrackRecord},
};
use fitting::Sample;
use score::{TEST, TUNE};
use sim::{Case, Kind, case};

fn main() {
    if let Ok(cases) = std::env::var("CASE") {
        return cases.split(',').for_each(explain);
    }
    let library = Library::embedded().unwrap();
    let record = record::expected(&library.track_record, &record::recorded(&library));
    let library = Library { track_record: record, ..library };
    let library = if asked("FIT") { fitted(&library) } else { library };
    if asked("WRITE") {
        return write(library);
    }
    let (from, seeds) = (setting("SEED_FROM", TEST.start), setting("SEEDS", 6));
    let only = std::env::var("KIND").unwrap_or_default();
    let kinds: Vec<Kind> =
        Kind::ALL.iter().copied().filter(|kind| kind.name().contains(&only)).collect();
    let trials = score::trials(&kinds, from..from + seeds, &library);
    println!("{}", render::terminal(&Evaluation::of(&trials)));
}

fn fitted(library: &Library) -> Library {
    let samples = score::each(Kind::ALL, TUNE, |case| {
        let (answers, gate) = score::answers(&case.bundle, library);
        Sample { label: score::label(&case), answers, gate }
    });
    let (temperature, outside) = fitting::fit(&samples, library);
    println!(
        "fitted on {} cases: temperature {temperature:.2}, outside {outside:.2}",
        samples.len()
    );
    fitting::with(library, temperature, outside)
}

/// Scores with the caps that so many cases of each cause allow, and counts how many came right.
fn write(library: Library) {
    let recorded = record::recorded(&library);
    let expected = record::expected(&library.track_record, &recorded);
    let library = Library { track_record: expected, ..library };
    let all = score::each(Kind::ALL, TEST, |case| {
        let rest = LEFT_OUT.map(|(source, drop)| (source, left_out(&case, drop, &library)));
        (score::trial(&case, &library), rest)
    });
    let (trials, rest): (Vec<Trial>, Vec<_>) = all.into_iter().unzip();
    let mut without: BTreeMap<String, Vec<Trial>> = BTreeMap::new();
    for (source, trial) in rest.into_iter().flatten() {
        without.entry(source.into()).or_default().push(trial);
    }
    let mut simulated = Evaluation::of(&trials);
    simulated.judges[1..].iter_mut().for_each(shorten);
    let score = |of: &[Trial]| {
        let mut score = Evaluation::of(of).judges.swap_remove(0);
        shorten(&mut score);
        score
    };
    let published = Published {
        simulated,
        without: without.iter().map(|(source, of)| (source.clone(), score(of))).collect(),
        named: Published::named(&trials),
    };
    save(&published, &record::counted(&library.track_record, &recorded, &trials));
    println!("{}\n{}", render::terminal(&published.simulated), published.without_table());
}

/// Leaves out what nobody reads of a score that is there to compare with.
fn shorten(score: &mut Score) {
    score.misses.clear();
    score.confusion.clear();
}

type Drop = fn(&mut Bundle);

/// Sources beside the metrics.
const LEFT_OUT: [(&str, Drop); 3] = [
    ("log", |bundle| bundle.log = None),
    ("probes", |bundle| bundle.probes.clear()),
    ("flags", |bundle| bundle.meta.server_args.clear()),
];

fn left_out(case: &Case, drop: Drop, library: &Library) -> Trial {
    let mut case = case.clone();
    drop(&mut case.bundle);
    score::trial(&case, library)
}

fn save(published: &Published, track_record: &TrackRecord) {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let json = serde_json::to_string_pretty(published).unwrap() + "\n";
    std::fs::write(root.join("fixtures/accuracy.json"), json).unwrap();
    std::fs::write(root.join("runbooks/track-record.yaml"), record::yaml(track_record)).unwrap();
}

fn explain(wanted: &str) {
    let (name, seed) = wanted.split_once('/').expect("CASE is KIND/SEED");
    let kind = *Kind::ALL.iter().find(|kind| kind.name() == name).expect("such a kind");
    let library = Library::embedded().unwrap();
    println!("{}", score::explained(&case(kind, seed.parse().unwrap()), &library));
}

fn asked(name: &str) -> bool {
    std::env::var_os(name).is_some()
}

/// A number from the environment.
fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}
