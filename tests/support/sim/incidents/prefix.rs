//! What makes prompts lose their cached beginning.

use super::compute::restart;
use crate::sim::{
    cases::{Site, site},
    rng::Rng,
};

/// A site whose prompts rest on a long shared beginning.
pub fn on_prefixes(rng: &mut Rng) -> Site {
    let mut site = site(rng);
    let shape = site.shape_mut();
    shape.prefix *= 1.6;
    shape.own.0 *= 0.6;
    shape.tenants = 4 + rng.below(8);
    site.measure();
    let slots = site.plan.config.max_num_seqs as f64;
    let whole = f64::from(site.plan.config.max_num_seqs as u32) * site.shape().mean_prompt();
    let size = f64::from(site.plan.config.block_size);
    site.plan.config.blocks = site.blocks_for(slots, site.shape()) + (2.0 * whole / size) as usize;
    let load = rng.between(0.25, 0.6);
    site.load(load, load);
    site
}

/// Something volatile gets into the prompts of this share of tenants.
pub fn volatile(share: f64, rng: &mut Rng) -> Site {
    let mut site = on_prefixes(rng);
    site.change(|shape| shape.volatile = share);
    site
}

/// A restart turns prefix caching off.
pub fn caching_off(rng: &mut Rng) -> Site {
    let mut site = on_prefixes(rng);
    let mut config = site.plan.config.clone();
    config.caching = false;
    restart(&mut site, Some(config), rng);
    site
}

/// A site with so many tenants that its cache takes so many seconds to fill.
fn many_tenants(fill: (f64, f64), rng: &mut Rng) -> Site {
    let mut site = on_prefixes(rng);
    let size = f64::from(site.plan.config.block_size);
    let rate = site.capacity * 0.4;
    let shape = site.shape_mut();
    shape.tenants = (rate * rng.between(fill.0, fill.1)) as usize + 4;
    shape.skew = 0.0;
    let stock = shape.tenants as f64 * shape.prefix * 1.3 / size;
    site.plan.config.blocks += stock as usize;
    site.load(0.4, 0.4);
    site.plan.warmup = 340.0;
    site.onset = site.plan.warmup + site.plan.length * rng.between(0.4, 0.6);
    site.plan.onset = Some(site.onset);
    site
}

/// A restart empties a cache that takes long to fill.
pub fn cold(rng: &mut Rng) -> Site {
    let mut site = many_tenants((40.0, 120.0), rng);
    restart(&mut site, None, rng);
    site
}

/// What heals by itself within two minutes is looked at before it has.
fn still_felt(site: &mut Site, rng: &mut Rng) {
    let ago = (site.plan.length * 0.5).min(rng.between(60.0, 110.0));
    site.onset = site.plan.warmup + site.plan.length - ago;
    site.plan.onset = Some(site.onset);
}

/// All callers get a new version of their prompt, which must become known anew.
pub fn new_edition(rng: &mut Rng) -> Site {
    let mut site = many_tenants((30.0, 60.0), rng);
    still_felt(&mut site, rng);
    site.load(0.4, 0.4);
    site.plan.config.blocks *= 2;
    site.change(|shape| shape.edition = 1);
    site
}

/// Many new callers with prompts of their own join the few that there were.
pub fn diversified(rng: &mut Rng) -> Site {
    let mut site = on_prefixes(rng);
    still_felt(&mut site, rng);
    let load = rng.between(0.15, 0.3);
    site.load(load, load);
    let old = site.shape().tenants as f64;
    let tenants = (site.capacity * load * rng.between(50.0, 120.0)) as usize + 40;
    // What the old ones keep of the traffic.
    let kept: f64 = rng.between(0.2, 0.5);
    let skew = (old / tenants as f64).ln() / kept.ln() - 1.0;
    let size = f64::from(site.plan.config.block_size);
    site.plan.config.blocks += (tenants as f64 * site.shape().prefix * 1.3 / size) as usize;
    site.change(|shape| {
        shape.tenants = tenants;
        shape.skew = skew;
    });
    site
}
