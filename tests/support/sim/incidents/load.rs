//! Requests that come in another number or size than the server is made for.

use crate::sim::{
    cases::{Site, site, site_of},
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

/// A job with long documents comes to a server that computes a whole prompt in one step.
pub fn interference(rng: &mut Rng) -> Site {
    let mut site = site_of(false, rng);
    site.plan.config.max_batched = 16384;
    site.plan.config.max_model_len = 32768;
    site.plan.cost.per_prefill_token = rng.scale(5e-5, 9e-5);
    site.measure();
    let load = rng.between(0.2, 0.4);
    site.load(load, load);
    let rate = site.capacity * load;
    let long = rng.between(6000.0, 11000.0);
    // Long prompts take this share of the accelerator's time.
    let busy = rng.between(0.1, 0.18);
    let share = busy / (rate * long * site.plan.cost.per_prefill_token);
    site.change(|shape| shape.oversize = (share.min(0.2), long));
    site.plan.config.blocks = site.plan.config.blocks * 2 + 3000;
    site
}
