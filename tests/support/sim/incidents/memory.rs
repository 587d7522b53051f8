//! Too few KV blocks.

use super::compute::dies;
use crate::sim::{
    cases::{Site, site, site_of},
    kinds::Kind,
    plan::Fault,
    rng::Rng,
};

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

/// Last words of a start for which the KV cache is too small.
pub const DOES_NOT_FIT: &[&str] = &[
    "[core.py:700] EngineCore failed to start.",
    "[core.py:700] ValueError: To serve at least one request with the model's max seq len \
     (131072), (16.00 GiB KV cache is needed, which is larger than the available KV cache memory \
     (9.31 GiB). Based on the available memory, the estimated maximum model length is 76272. Try \
     increasing `gpu_memory_utilization` or decreasing `max_model_len` when initializing the \
     engine.",
    "RuntimeError: Engine core initialization failed. See root cause above. Failed core proc(s): \
     {'EngineCore_DP0': 1}",
];

const OUT_OF_MEMORY: &[&str] = &[
    "[core.py:900] EngineCore encountered a fatal error.",
    "[core.py:900] torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 1.16 GiB. GPU 0 \
     has a total capacity of 79.11 GiB of which 512.00 MiB is free.",
    "[async_llm.py:480] AsyncLLM output_handler failed.",
];

/// A server that leaves the accelerator no head-room is ended by a failed allocation.
pub fn out_of_memory(rng: &mut Rng) -> Site {
    let mut site = dies(Fault::Die(OUT_OF_MEMORY), rng);
    site.plan.config.gpu_memory = Some(rng.pick(&[0.96, 0.97, 0.98]));
    site
}

/// A part of each finished request's blocks is lost, until there are too few.
pub fn leak(rng: &mut Rng) -> Site {
    let mut site = site(rng);
    let load = rng.between(0.25, 0.5);
    site.load(load, load);
    let rate = site.capacity * load;
    let size = f64::from(site.plan.config.block_size);
    let answer = site.shape().output.0;
    // The ends are lost first, and only they are a request's own.
    let share = rng.between(0.05, 0.3);
    let each =
        (share * (site.shape().mean_prompt() + answer)).min(site.shape().mean_computed() + answer);
    let time = site.plan.warmup + site.plan.length - site.onset;
    let lost = rate * time * each / size * rng.between(0.7, 0.95);
    let need = site.blocks_for(site.running_at(rate, site.shape()), site.shape());
    let room = site.shape().mean_prompt() * 3.0 / size;
    site.plan.config.blocks = need + (lost + room) as usize;
    site.plan.faults.push((site.onset, Fault::Leak(share)));
    site
}
