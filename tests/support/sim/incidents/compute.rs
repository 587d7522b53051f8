//! Steps that take longer, or do not come.

use crate::sim::{
    cases::{Site, site, site_of},
    engine::Config,
    machine::Trouble,
    plan::Fault,
    rng::Rng,
};

/// Last words of an engine that ended.
pub const DIED: &[&str] = &["[core.py:900] EngineCore encountered a fatal error."];

pub const ILLEGAL_ACCESS: &[&str] = &[
    "[core.py:900] EngineCore encountered a fatal error.",
    "[core.py:900] torch.AcceleratorError: CUDA error: an illegal memory access was encountered",
    "[core.py:900] CUDA kernel errors might be asynchronously reported at some other API call, so \
     the stacktrace below might be incorrect.",
    "[async_llm.py:480] AsyncLLM output_handler failed.",
];

pub const NCCL_WATCHDOG: &[&str] = &[
    "[rank0]:[E1122 ProcessGroupNCCL.cpp:607] [Rank 0] Watchdog caught collective operation \
     timeout: WorkNCCL(SeqNum=8123, OpType=ALLREDUCE, NumelIn=4096, NumelOut=4096, \
     Timeout(ms)=600000) ran for 600013 milliseconds before timing out.",
    "To avoid data inconsistency, we are taking the entire process down.",
    "[core.py:900] EngineCore encountered a fatal error.",
];

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

/// A server whose machine is looked at, and has a trouble.
pub fn troubled(trouble: Trouble, site: impl FnOnce(&mut Rng) -> Site, rng: &mut Rng) -> Site {
    let mut site = site(rng);
    site.plan.machine = Some(vec![trouble]);
    site
}

/// A server at work.
pub fn at_work(rng: &mut Rng) -> Site {
    let mut site = site(rng);
    let load = rng.between(0.2, 0.5);
    site.load(load, load);
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

/// The process restarts, perhaps with other settings.
pub fn restart(site: &mut Site, config: Option<Config>, rng: &mut Rng) {
    let seconds = rng.between(25.0, 50.0);
    site.plan.faults.push((site.onset, Fault::Restart(seconds, config)));
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
