//! Faults that users feel and that no known cause claims, and one that needs to know the callers:
//! pages of /metrics alone cannot tell a wider mix of tenants from a broken prefix.

use crate::sim::{
    cases::{Drawn, Site, site, site_of},
    kinds::Kind,
    plan::Fault,
    rng::Rng,
};

pub fn plan(kind: Kind, rng: &mut Rng) -> Drawn {
    let site = match kind {
        Kind::RegularPauses => regular_pauses(rng),
        Kind::RandomPauses => random_pauses(rng),
        Kind::OneFreeze => one_freeze(rng),
        Kind::RemoteStore => remote_store(rng),
        Kind::GrammarCompile => grammar_compile(rng),
        Kind::SlowLink => slow_link(rng),
        Kind::SlowAdmission => slow_admission(rng),
        Kind::MixDiversified => super::prefix::diversified(rng),
        _ => drafts_rejected(rng),
    };
    Drawn::new(site, &[], &[])
}

fn at_work(rng: &mut Rng) -> Site {
    let mut site = site(rng);
    let load = rng.between(0.2, 0.5);
    site.load(load, load);
    site
}

/// Something stops the whole machine again and again: a backup, a snapshot.
fn regular_pauses(rng: &mut Rng) -> Site {
    let mut site = at_work(rng);
    let (every, length) = (rng.between(12.0, 35.0), rng.between(1.5, 4.0));
    let end = site.plan.warmup + site.plan.length;
    let n = ((end - site.onset) / every) as usize + 1;
    site.plan.pauses = (0..n).map(|n| (site.onset + n as f64 * every, length)).collect();
    site
}

/// Short stops at moments that follow no rule: a storage or a neighbour that hangs.
fn random_pauses(rng: &mut Rng) -> Site {
    let mut site = at_work(rng);
    let end = site.plan.warmup + site.plan.length;
    let every = rng.between(4.0, 9.0);
    let mut at = site.onset;
    while at < end {
        let length = rng.between(0.5, 1.5);
        site.plan.pauses.push((at, length));
        at += length + rng.exponential(every);
    }
    site
}

/// One long stop, after which all goes on: a machine that was moved while it ran.
fn one_freeze(rng: &mut Rng) -> Site {
    let mut site = at_work(rng);
    site.plan.pauses = vec![(site.onset, rng.between(15.0, 30.0))];
    site
}

/// A store of KV blocks outside the server answers late, and every request waits for it.
fn remote_store(rng: &mut Rng) -> Site {
    let mut site = at_work(rng);
    let usual = rng.between(0.002, 0.01);
    site.shape_mut().held = (1.0, usual);
    let late = rng.scale(0.5, 2.5);
    site.change(|shape| shape.held = (1.0, late));
    site
}

/// Clients begin to ask for answers in a form whose grammar is compiled for each request.
fn grammar_compile(rng: &mut Rng) -> Site {
    let mut site = at_work(rng);
    let held = (rng.between(0.3, 0.8), rng.scale(1.0, 4.0));
    site.change(|shape| shape.held = held);
    site
}

/// The way between the front-end and the engine gets slow, as between two machines.
fn slow_link(rng: &mut Rng) -> Site {
    let mut site = at_work(rng);
    site.plan.faults.push((site.onset, Fault::Link(rng.scale(0.25, 1.0))));
    site
}

/// The scheduler lets requests in one by one although there is room.
fn slow_admission(rng: &mut Rng) -> Site {
    let mut site = at_work(rng);
    let rate = site.plan.workload.rate.at(site.onset);
    let seconds = rng.between(0.95, 1.3) / rate;
    site.plan.faults.push((site.onset, Fault::Trickle(seconds)));
    site
}

/// What the small model guesses is not accepted any more.
fn drafts_rejected(rng: &mut Rng) -> Site {
    let mut site = site_of(false, rng);
    site.plan.config.drafts = 3 + rng.below(4) as u32;
    let load = rng.between(0.25, 0.5);
    site.load(load, load);
    site.plan.faults.push((0.0, Fault::Acceptance(rng.between(0.75, 0.9))));
    site.plan.faults.push((site.onset, Fault::Acceptance(rng.between(0.0, 0.15))));
    site
}
