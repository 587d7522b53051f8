//! What each kind of incident changes in the engine or the workload.

use super::{
    cases::{Site, site, site_of},
    engine::Config,
    kinds::Kind,
    plan::Fault,
    rng::Rng,
};

/// More requests come than can be done.
pub fn overload(rng: &mut Rng) -> Site {
    let mut site = site(rng);
    site.load(rng.between(0.3, 0.6), rng.between(1.15, 1.9));
    site
}

/// All prompts get longer.
pub fn prompts(rng: &mut Rng) -> Site {
    let mut site = site(rng);
    let factor = rng.between(1.6, 3.5);
    let old = site.capacity;
    let usual = site.shape().clone();
    site.shape_mut().own.0 += (factor - 1.0) * usual.mean_prompt();
    site.measure();
    // From clearly slower up to a little more than can be done.
    let load = (site.capacity * rng.between(0.4, 1.1) / old).min(0.55);
    site.plan.config.blocks *= 4;
    let grown = std::mem::replace(site.shape_mut(), usual);
    site.change(|shape| *shape = grown);
    site.measure();
    site.load(load, load);
    site
}

/// Answers get longer, until the slots are taken.
pub fn outputs(rng: &mut Rng) -> Site {
    let mut site = site(rng);
    let load = rng.between(0.35, 0.6);
    site.load(load, load);
    let factor = rng.between(1.3, 1.9) / load;
    site.change(|shape| {
        shape.output.0 *= factor;
        shape.max_tokens = (f64::from(shape.max_tokens) * factor) as u32;
    });
    site.plan.config.blocks *= 3;
    site
}

/// A few very long prompts get in.
pub fn bypass(rng: &mut Rng) -> Site {
    let mut site = site(rng);
    let load = rng.between(0.3, 0.55);
    site.load(load, load);
    let limit = f64::from(site.plan.config.max_model_len) * 0.6;
    let long = (site.shape().mean_prompt() * rng.between(6.0, 20.0)).min(limit);
    let share = rng.between(0.01, 0.08);
    site.change(|shape| shape.oversize = (share, long));
    site.plan.config.blocks *= 3;
    site
}

/// A site whose prompts rest on a long shared beginning.
fn on_prefixes(rng: &mut Rng) -> Site {
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

fn restart(site: &mut Site, config: Option<Config>, rng: &mut Rng) {
    let seconds = rng.between(25.0, 50.0);
    site.plan.faults.push((site.onset, Fault::Restart(seconds, config)));
}

/// A restart empties a cache that takes long to fill.
pub fn cold(rng: &mut Rng) -> Site {
    let mut site = on_prefixes(rng);
    let size = f64::from(site.plan.config.block_size);
    let rate = site.capacity * 0.4;
    let shape = site.shape_mut();
    // As many tenants as make the cache fill for a minute or more.
    shape.tenants = (rate * rng.between(40.0, 120.0)) as usize + 4;
    shape.skew = 0.0;
    let stock = shape.tenants as f64 * shape.prefix * 1.3 / size;
    site.plan.config.blocks += stock as usize;
    site.load(0.4, 0.4);
    site.plan.warmup = 340.0;
    site.onset = site.plan.warmup + site.plan.length * rng.between(0.4, 0.6);
    site.plan.onset = Some(site.onset);
    restart(&mut site, None, rng);
    site
}

/// The running requests come to need more blocks than there are.
pub fn kv(kind: Kind, rng: &mut Rng) -> Site {
    let mut site = site(rng);
    site.plan.config.max_num_seqs = 256;
    site.shape_mut().tenants = 2;
    let rate = site.capacity * rng.between(0.4, 0.6);
    let calm = site.running_at(rate, site.shape());
    // Twice what is needed before, and room for the largest request.
    let room = (site.shape().mean_prompt() * 3.0 / f64::from(site.plan.config.block_size)) as usize;
    let more = if kind == Kind::KvArrivals { 1.5 } else { 2.0 };
    let running = calm * more * rng.between(0.9, 1.2) + 2.0;
    site.plan.config.blocks = site.blocks_for(running, site.shape()) + room;
    let factor = rng.between(1.8, 3.0) * more / 2.0 + if more < 2.0 { 1.2 } else { 0.0 };
    let share = rate / site.capacity;
    site.load(share, share);
    match kind {
        Kind::KvOutputs => site.change(|shape| {
            shape.output.0 *= factor;
            shape.max_tokens = (f64::from(shape.max_tokens) * factor) as u32;
        }),
        Kind::KvPrompts => site.change(|shape| shape.own.0 += 0.6 * factor * shape.mean_prompt()),
        _ => site.load(share, share * factor),
    }
    site
}

/// Longer answers take the blocks in which idle prefixes lay.
pub fn evicting(rng: &mut Rng) -> Site {
    let mut site = site_of(false, rng);
    site.plan.config.max_num_seqs = 256;
    site.plan.cost.per_prefill_token = rng.scale(4e-5, 1e-4);
    site.plan.cost.per_context_token = 1e-8;
    let factor = rng.between(4.0, 6.0);
    let shape = site.shape_mut();
    shape.prefix = rng.between(300.0, 600.0);
    shape.own.0 = rng.between(30.0, 70.0);
    shape.output.0 = rng.between(50.0, 80.0);
    shape.max_tokens = 600;
    shape.skew = 0.0;
    let usual = shape.clone();
    let mut grown = usual.clone();
    grown.output.0 *= factor;
    site.measure();
    let running = rng.between(90.0, 150.0);
    let mut rate = 0.1;
    while site.running_at(rate, &grown) < running {
        rate *= 1.03;
    }
    // Before, all prefixes fit with what lies between two uses of one; after, hardly any does.
    let own = usual.mean_computed() + usual.output.0;
    let each = usual.prefix + grown.mean_computed() + grown.output.0 * 0.6;
    let pool = running * each * rng.between(1.0, 1.4);
    let tenants = (pool * 0.9 / (usual.prefix + own)) as usize;
    site.plan.config.blocks = (pool / f64::from(site.plan.config.block_size)) as usize;
    site.shape_mut().tenants = tenants;
    grown.tenants = tenants;
    site.change(|shape| *shape = grown);
    let share = rate / site.capacity;
    site.load(share, share);
    site
}

/// A neighbour takes the host's CPU.
pub fn host_busy(rng: &mut Rng) -> Site {
    let mut site = site(rng);
    let load = rng.between(0.2, 0.45);
    let factor = if site.on_cpu { rng.between(1.8, 3.5) } else { rng.between(4.0, 8.0) };
    if !site.on_cpu {
        // A small model: the host's share of a step is not small.
        site.plan.cost.base *= 0.5;
        site.plan.cost.host = rng.between(1e-3, 2.5e-3);
        site.measure();
    }
    site.load(load, load);
    site.plan.faults.push((site.onset, Fault::Host(factor)));
    if site.on_cpu {
        site.plan.faults.push((site.onset, Fault::Gpu(factor)));
    }
    site
}

/// The accelerator gets slower.
pub fn slow_gpu(rng: &mut Rng) -> Site {
    let mut site = site_of(false, rng);
    let load = rng.between(0.15, 0.4);
    site.load(load, load);
    site.plan.faults.push((site.onset, Fault::Gpu(rng.between(1.8, 3.5))));
    site
}

/// So many decode at once that each step takes longer, and slots are left.
pub fn big_batches(rng: &mut Rng) -> Site {
    let mut site = site_of(false, rng);
    site.plan.config.max_num_seqs = 256;
    site.plan.cost.base = rng.between(4e-3, 7e-3);
    site.plan.cost.per_sequence = rng.scale(5e-5, 1.2e-4);
    site.plan.cost.per_prefill_token *= 0.4;
    site.measure();
    site.plan.config.blocks = site.blocks_for(256.0, site.shape()) * 2;
    site.load(rng.between(0.2, 0.4), rng.between(0.75, 0.95));
    site
}

/// Too much load for clients with little patience.
pub fn giving_up(rng: &mut Rng) -> Site {
    let mut site = overload(rng);
    let patience = rng.scale(4.0, 20.0);
    let retry = rng.pick(&[0.0, 0.0, 0.5]);
    let shape = site.shape_mut();
    shape.patience = patience;
    shape.retry = retry;
    site
}

/// The engine ends, or stands still.
pub fn dies(fault: Fault, rng: &mut Rng) -> Site {
    let mut site = site(rng);
    let load = rng.between(0.3, 0.6);
    site.load(load, load);
    if rng.chance(0.6) {
        site.shape_mut().patience = rng.scale(10.0, 60.0);
    }
    site.plan.faults.push((site.onset, fault));
    site
}

/// A restart brings fewer slots.
pub fn fewer_slots(rng: &mut Rng) -> Site {
    let mut site = site(rng);
    let load = rng.between(0.45, 0.65);
    site.load(load, load);
    let mut config = site.plan.config.clone();
    config.max_num_seqs = (config.max_num_seqs as f64 * rng.between(0.15, 0.4)) as usize;
    restart(&mut site, Some(config), rng);
    site
}

/// Requests come that the front-end refuses.
pub fn refused(statuses: &'static [u16], rng: &mut Rng) -> Site {
    let mut site = site(rng);
    let load = rng.between(0.2, 0.5);
    let share = rng.between(0.1, 0.6);
    // Either good requests turn bad, or bad ones come on top.
    let more = if rng.chance(0.5) { 1.0 / (1.0 - share) } else { 1.0 };
    site.load(load, load * more);
    site.change(|shape| shape.refused = (share, statuses));
    site
}

/// The router sends most requests to one engine.
pub fn imbalance(rng: &mut Rng) -> Site {
    let mut site = site(rng);
    if site.plan.version == "0.8.5" {
        site.plan.version = "0.12.0";
        site.plan.config.preempted_apart = true;
    }
    site.plan.engines = rng.pick(&[2, 3, 4]);
    let n = site.plan.engines as f64;
    // The share that overloads the first engine.
    let share = rng.between(0.75, 0.95);
    let load = (rng.between(1.15, 1.6) / (share * n)).min(0.7);
    site.load(load, load);
    site.plan.faults.push((site.onset, Fault::Skew(share)));
    site
}
