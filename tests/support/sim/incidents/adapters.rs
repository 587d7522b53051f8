//! Adapters that do not get in.

use super::http::refused;
use crate::sim::{
    cases::{Site, site_of},
    rng::Rng,
};

/// A server with adapters that all fit into their slots.
pub fn with_adapters(rng: &mut Rng) -> Site {
    let mut site = site_of(false, rng);
    let slots = 2 + rng.below(4);
    site.plan.config.max_loras = slots;
    site.plan.config.adapter_load = rng.between(0.02, 0.12);
    let shape = site.shape_mut();
    shape.adapters = slots;
    shape.tenants = slots;
    shape.skew = 0.3;
    let load = rng.between(0.25, 0.5);
    site.load(load, load);
    site
}

/// Requests come for more adapters than have slots.
pub fn too_many(rng: &mut Rng) -> Site {
    let mut site = with_adapters(rng);
    let load = rng.between(0.15, 0.35);
    site.load(load, load);
    let live = site.plan.config.max_loras * (3 + rng.below(3));
    site.plan.config.blocks *= 3;
    site.change(|shape| {
        shape.adapters = live;
        shape.tenants = live;
        shape.skew = 0.0;
    });
    site
}

/// Requests come for an adapter whose files are not there.
pub fn missing(rng: &mut Rng) -> Site {
    let mut site = refused(&[404], rng);
    site.plan.config.max_loras = 4;
    let line =
        "[serving_models.py:312] Loading lora sql-v7 failed: No adapter found for /adapters/sql-v7";
    if let Some(last) = site.plan.workload.phases.last_mut() {
        last.1.complaint = Some(line);
    }
    site
}
