//! Two incidents at once that have nothing to do with each other, or of which one follows.

use super::{
    compute::{big_batches, fewer_slots, host_busy, restart, slow_gpu},
    load::{bypass, prompts},
    prefix::{on_prefixes, volatile},
};
use crate::sim::{
    cases::{Drawn, Site},
    kinds::Kind,
    rng::Rng,
};

const BAD: &[u16] = &[400, 404, 422];

/// Where neither leads to the other, either may be named first.
pub fn plan(kind: Kind, rng: &mut Rng) -> Drawn {
    match kind {
        Kind::VolatileMalformed => {
            independent(volatile(1.0, rng), "volatile-prompt-prefix", BAD, rng)
        }
        Kind::SlowGpuUnauthorized => independent(slow_gpu(rng), "compute-degraded", &[401], rng),
        Kind::BypassMalformed => independent(bypass(rng), "context-budget-bypass", BAD, rng),
        Kind::HostUnauthorized => {
            let mut drawn = independent(host_busy(rng), "host-cpu-contention", &[401], rng);
            drawn.also.push("compute-degraded");
            drawn
        }
        Kind::BatchesMalformed => independent(big_batches(rng), "excess-concurrency", BAD, rng),
        Kind::SlotsMalformed => independent(fewer_slots(rng), "engine-config-changed", BAD, rng),
        Kind::PromptsGivingUp => {
            let causes = &["prompts-grew", "clients-giving-up"];
            Drawn::new(prompts_giving_up(rng), causes, &["retry-storm"])
        }
        _ => {
            let causes = &["prefix-caching-disabled", "outputs-grew"];
            let also = &["outputs-grew", "engine-config-changed"];
            Drawn::new(outputs_without_cache(rng), causes, also)
        }
    }
}

/// Refused requests come on top, with the first incident or a while after it.
fn independent(
    mut site: Site,
    cause: &'static str,
    statuses: &'static [u16],
    rng: &mut Rng,
) -> Drawn {
    let later = if rng.chance(0.5) { 0.0 } else { rng.between(20.0, 50.0) };
    let at = site.onset + later;
    let share = rng.between(0.15, 0.5);
    site.change_at(at, |shape| shape.refused = (share, statuses));
    site.plan.workload.rate.scale_from(at, 1.0 / (1.0 - share));
    let refused = if statuses == BAD { "malformed-requests" } else { "auth-or-quota-rejections" };
    Drawn::new(site, &[cause, refused], &[refused])
}

/// Longer prompts make clients wait longer than they will.
fn prompts_giving_up(rng: &mut Rng) -> Site {
    let mut site = prompts(rng);
    let share = rng.between(1.2, 1.6);
    let grown = site.plan.workload.shape(site.onset).clone();
    let usual = std::mem::replace(site.shape_mut(), grown);
    let old = site.capacity;
    site.measure();
    let rate = site.capacity * share;
    site.capacity = old;
    *site.shape_mut() = usual;
    site.load(rate / old, rate / old);
    let patience = rng.scale(2.0, 8.0);
    for phase in &mut site.plan.workload.phases {
        phase.1.patience = patience;
    }
    site
}

/// A restart turns the prefix cache off, and at that time answers get longer.
fn outputs_without_cache(rng: &mut Rng) -> Site {
    let mut site = on_prefixes(rng);
    let mut config = site.plan.config.clone();
    config.caching = false;
    config.blocks *= 3;
    site.plan.config.blocks *= 3;
    restart(&mut site, Some(config), rng);
    let load = site.plan.workload.rate.at(site.onset) / site.capacity;
    let factor = rng.between(1.3, 1.9) / load.max(0.3);
    site.change(|shape| {
        shape.output.0 *= factor;
        shape.max_tokens = (f64::from(shape.max_tokens) * factor) as u32;
    });
    site
}
