//! The simulated corpus: its bundles are sound, and the judge gets them right.
#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "support/score.rs"]
mod score;
#[path = "support/sim/mod.rs"]
mod sim;

use std::thread;

use diagnose::runbook::Library;
use score::{Outcome, Scored, score, table};
use sim::{Kind, case};

/// Judges these seeds of every kind.
fn run(kinds: &[Kind], seeds: std::ops::Range<u64>) -> Vec<Scored> {
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
                    mine.map(|(kind, seed)| score(&case(*kind, *seed), library)).collect::<Vec<_>>()
                })
            })
            .collect();
        let mut all: Vec<_> = threads.into_iter().flat_map(|t| t.join().unwrap()).collect();
        all.sort_by(|a, b| a.name.cmp(&b.name));
        all
    })
}

#[test]
fn equal_seeds_give_equal_bundles() {
    for kind in [Kind::Bursty, Kind::KvOutputs] {
        assert_eq!(case(kind, 5), case(kind, 5));
    }
}

#[test]
fn corpus_slice() {
    let scored = run(Kind::ALL, 0..2);
    println!("{}", table(&scored));
    let wrong = |healthy: bool| {
        let is = |one: &&Scored| one.healthy == healthy && one.outcome == Outcome::Wrong;
        scored.iter().filter(is).count()
    };
    assert_eq!(wrong(true), 0, "a healthy case was given a cause");
}

/// All kinds over more seeds: `SEEDS=6 cargo test --test corpus -- --ignored --nocapture`.
#[test]
#[ignore = "takes minutes"]
fn corpus_whole() {
    let seeds = std::env::var("SEEDS").ok().and_then(|text| text.parse().ok()).unwrap_or(6);
    let only = std::env::var("KIND").unwrap_or_default();
    let kinds: Vec<Kind> =
        Kind::ALL.iter().copied().filter(|kind| kind.name().contains(&only)).collect();
    println!("{}", table(&run(&kinds, 0..seeds)));
}
#[test]
#[ignore = "tmp"]
fn tmp_draws() {
    let only = std::env::var("KIND").unwrap_or_default();
    for kind in Kind::ALL.iter().filter(|kind| kind.name().contains(&only)) {
        let mut ok = 0;
        let n = 8;
        let mut text = String::new();
        for draw in 0..n {
            let mut rng = sim::rng::Rng::new(9000 + draw + ((*kind as u64) << 32));
            let drawn = sim::kinds::plan(*kind, &mut rng);
            let r = sim::server::run(&drawn.plan, rng.bits());
            let real = sim::kinds::is_real(*kind, &r);
            ok += usize::from(real);
            let m = sim::server::Tally::mean;
            let (b, a) = (&r.before, &r.after);
            text += &format!(
                "   {real} arr {}->{} fin {}->{} ttft {:.3}->{:.3} itl {:.4}->{:.4} wait {:.2}->{:.1} cached {:.2}->{:.2} pre {}->{} kv {:.2}->{:.2} ab {} ref {} v {} S {} cpu {:.3}\n",
                b.arrived,
                a.arrived,
                b.finished,
                a.finished,
                m(b.ttft),
                m(a.ttft),
                m(b.itl),
                m(a.itl),
                m(b.waiting),
                m(a.waiting),
                m(b.cached),
                m(a.cached),
                b.preemptions,
                a.preemptions,
                b.kv_peak,
                a.kv_peak,
                a.aborted,
                a.refused,
                drawn.plan.version,
                drawn.plan.config.max_num_seqs,
                drawn.plan.cost.base
            );
        }
        println!("{} {ok}/{n}", kind.name());
        if ok < 6 {
            println!("{text}");
        }
    }
}
