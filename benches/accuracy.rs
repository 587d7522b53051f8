//! The score on simulated cases, for people: it takes longer than a test may.
//!
//! `SEED_FROM=200 SEEDS=6 KIND=kv cargo bench --bench accuracy` scores seeds of choice;
//! `CASE=engine-wedged/1,healthy-steady/0 cargo bench --bench accuracy` says why cases are judged
//! as they are.
#![allow(clippy::print_stdout, clippy::unwrap_used, clippy::expect_used)]

#[allow(dead_code, reason = "recordings are judged by the tests")]
#[path = "../tests/support/judge.rs"]
mod judging;
#[path = "../tests/support/score.rs"]
mod score;
#[allow(dead_code, reason = "the tests look deeper")]
#[path = "../tests/support/sim/mod.rs"]
mod sim;

use diagnose::{
    eval::{Evaluation, render},
    runbook::Library,
};
use sim::{Kind, case};

fn main() {
    match std::env::var("CASE") {
        Ok(cases) => cases.split(',').for_each(explain),
        Err(_) => whole(),
    }
}

fn whole() {
    let (from, seeds) = (setting("SEED_FROM", 200), setting("SEEDS", 6));
    let only = std::env::var("KIND").unwrap_or_default();
    let kinds: Vec<Kind> =
        Kind::ALL.iter().copied().filter(|kind| kind.name().contains(&only)).collect();
    let trials = score::trials(&kinds, from..from + seeds);
    println!("{}", render::terminal(&Evaluation::of(&trials)));
}

fn explain(wanted: &str) {
    let (name, seed) = wanted.split_once('/').expect("CASE is KIND/SEED");
    let kind = *Kind::ALL.iter().find(|kind| kind.name() == name).expect("such a kind");
    let library = Library::embedded().unwrap();
    println!("{}", score::explained(&case(kind, seed.parse().unwrap()), &library));
}

/// A number from the environment.
fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}
