//! Labelled cases: a plan drawn from a seed, run, and kept only if it really is what it says.

use diagnose::evidence::bundle::Bundle;

use super::{
    engine::{Config, Cost},
    kinds, machine,
    page::VERSIONS,
    plan::{FrontCost, Plan},
    real::is_real,
    rng::Rng,
    server::run,
    workload::{Curve, Shape, Workload},
};

pub use super::kinds::Kind;

/// A bundle with the truth about it.
#[derive(Debug, Clone, PartialEq)]
pub struct Case {
    pub name: String,
    /// The true causes, most important first; empty is healthy.
    pub causes: Vec<&'static str>,
    /// Right too, given only this evidence.
    pub also: Vec<&'static str>,
    /// Whether something is wrong that no known cause claims.
    pub outside: bool,
    /// When it began, Unix seconds.
    pub onset: Option<f64>,
    pub bundle: Bundle,
}

/// Draws before a kind counts as impossible.
const DRAWS: u64 = 60;

/// The most important true cause of a kind's cases, if any.
pub fn main_cause(kind: Kind) -> Option<&'static str> {
    kinds::plan(kind, &mut Rng::new(0)).causes.first().copied()
}

/// The case of a kind and a seed; equal seeds give equal cases.
pub fn case(kind: Kind, seed: u64) -> Case {
    for draw in 0..DRAWS {
        let mut rng = Rng::new(seed.wrapping_mul(1000) + draw + ((kind as u64) << 32));
        let mut drawn = kinds::plan(kind, &mut rng);
        fit_context(&mut drawn.plan.config);
        let mut recording = run(&drawn.plan, rng.bits());
        if !is_real(kind, &recording) {
            continue;
        }
        machine::record(&drawn.plan, &mut recording);
        let onset = drawn.plan.onset.filter(|_| !kind.is_healthy());
        return Case {
            name: format!("{}/{seed}", kind.name()),
            causes: drawn.causes,
            also: drawn.also,
            outside: kind.is_outside(),
            onset: onset.map(|onset| recording.epoch + onset),
            bundle: recording.bundle,
        };
    }
    panic!("{kind:?} with seed {seed}: no draw of {DRAWS} became what it should");
}

/// As at vLLM's start, a single request must fit into the blocks there are.
fn fit_context(config: &mut Config) {
    let tokens = config.blocks as u32 * config.block_size;
    config.max_model_len = config.max_model_len.min(tokens - config.block_size);
}

/// A plan with its truth.
#[derive(Debug)]
pub struct Drawn {
    pub plan: Plan,
    pub causes: Vec<&'static str>,
    pub also: Vec<&'static str>,
}

impl Drawn {
    pub fn new(site: Site, causes: &[&'static str], also: &[&'static str]) -> Self {
        Self { plan: site.plan, causes: causes.to_vec(), also: also.to_vec() }
    }
}

/// A server at work with room to spare: what every kind starts from.
#[derive(Debug)]
pub struct Site {
    pub plan: Plan,
    /// Requests per second that one engine can do with its slots.
    pub capacity: f64,
    /// Onset, in the plan's clock.
    pub onset: f64,
    /// Whether the host's CPU is also what computes.
    pub on_cpu: bool,
}

impl Site {
    pub fn shape(&self) -> &Shape {
        &self.plan.workload.phases[0].1
    }

    pub fn shape_mut(&mut self) -> &mut Shape {
        &mut self.plan.workload.phases[0].1
    }

    /// Uses this share of the capacity from the start, and later another one.
    pub fn load(&mut self, before: f64, after: f64) {
        let all = self.capacity * self.plan.engines as f64;
        let (before, after) = (before * all, after * all);
        let points = vec![(0.0, before), (self.onset, before), (self.onset + 0.001, after)];
        self.plan.workload.rate = Curve(points);
    }

    /// Requests look different from the onset on.
    pub fn change(&mut self, change: impl FnOnce(&mut Shape)) {
        self.change_at(self.onset, change);
    }

    /// Requests look different from a moment on, which no earlier change may come after.
    pub fn change_at(&mut self, at: f64, change: impl FnOnce(&mut Shape)) {
        let mut shape = self.plan.workload.shape(at).clone();
        change(&mut shape);
        self.plan.workload.phases.push((at, shape));
    }

    /// Computes the capacity anew after the shape or the costs were set.
    pub fn measure(&mut self) {
        let (shape, config, cost) = (self.shape(), &self.plan.config, &self.plan.cost);
        self.capacity = capacity(shape, config, cost);
    }

    /// Sequences that run at once at a rate per engine, while slots and blocks last.
    pub fn running_at(&self, rate: f64, shape: &Shape) -> f64 {
        let cost = &self.plan.cost;
        let busy = (rate * work(shape, cost)).min(0.95);
        rate * shape.output.0 * (cost.base + cost.host) / (1.0 - busy)
    }

    /// Blocks for so many such requests at once, beside the prefixes of all tenants.
    pub fn blocks_for(&self, running: f64, shape: &Shape) -> usize {
        let size = f64::from(self.plan.config.block_size);
        let own = shape.mean_computed() + shape.output.0;
        let stock = shape.tenants as f64 * shape.prefix;
        ((running * own * 1.1 + stock) / size + running) as usize
    }
}

/// Seconds of batch time that a request takes, apart from the share in each step's fixed cost.
fn work(shape: &Shape, cost: &Cost) -> f64 {
    let context = shape.mean_prompt() + shape.output.0 / 2.0;
    let token = cost.per_sequence + cost.per_context_token * context;
    shape.output.0 * token + shape.mean_computed() * cost.per_prefill_token
}

/// With `S` slots full, a step takes its fixed cost and the work of its requests: solved for the
/// rate at which as many finish as arrive.
fn capacity(shape: &Shape, config: &Config, cost: &Cost) -> f64 {
    let slots = config.max_num_seqs as f64;
    slots / (shape.output.0 * (cost.base + cost.host) + slots * work(shape, cost))
}

/// Draws a server, fast or slow.
pub fn site(rng: &mut Rng) -> Site {
    let on_cpu = rng.chance(0.35);
    site_of(on_cpu, rng)
}

pub fn site_of(on_cpu: bool, rng: &mut Rng) -> Site {
    let version = rng.pick(&VERSIONS);
    let shape = if on_cpu { slow_shape(rng) } else { fast_shape(rng) };
    let cost = if on_cpu { slow_cost(rng) } else { fast_cost(rng) };
    let config = Config {
        max_num_seqs: if on_cpu { rng.pick(&[8, 16]) } else { rng.pick(&[24, 32, 48, 64]) },
        max_batched: rng.pick(&[2048, 4096, 8192]),
        max_model_len: if on_cpu { 4096 } else { rng.pick(&[8192, 16384, 32768]) },
        blocks: 0,
        block_size: if on_cpu { rng.pick(&[16, 32, 128]) } else { 16 },
        caching: true,
        preempted_apart: !["0.8.5", "0.10.2"].contains(&version),
        computed_only: ["0.23.0", "0.32.0"].contains(&version),
        drafts: 0,
        max_loras: 0,
        adapter_load: 0.0,
        gpu_memory: None,
    };
    let (length, interval) = if rng.chance(0.2) {
        (rng.between(400.0, 600.0).round(), 15.0)
    } else {
        (rng.between(180.0, if on_cpu { 500.0 } else { 330.0 }).round(), 5.0)
    };
    let warmup = rng.between(130.0, 240.0);
    let front = if on_cpu {
        FrontCost { per_request: 2e-3, per_token: 8e-5, page: rng.between(4e-3, 9e-3) }
    } else {
        FrontCost {
            per_request: rng.between(5e-4, 1.5e-3),
            per_token: rng.between(1e-5, 3e-5),
            page: rng.between(2e-3, 6e-3),
        }
    };
    let onset = warmup + length * rng.between(0.35, 0.55);
    let plan = Plan {
        version,
        model: rng.pick(&["chat-large", "Qwen/Qwen2.5-7B-Instruct", "support_bot_v2"]),
        config,
        cost,
        front,
        engines: 1,
        workload: Workload {
            rate: Curve(vec![(0.0, 1.0)]),
            bursts: None,
            phases: vec![(0.0, shape)],
        },
        warmup,
        length,
        interval,
        faults: Vec::new(),
        pauses: Vec::new(),
        lost: None,
        machine: None,
        args_known: rng.chance(0.6),
        onset: Some(onset),
    };
    let mut site = Site { plan, capacity: 0.0, onset, on_cpu };
    site.measure();
    let slots = site.plan.config.max_num_seqs as f64;
    site.plan.config.blocks = (site.blocks_for(slots, site.shape()) as f64 * 2.0) as usize;
    site.load(0.4, 0.4);
    site
}

fn fast_shape(rng: &mut Rng) -> Shape {
    let output = rng.scale(50.0, 160.0);
    Shape {
        tenants: 1 + rng.below(12),
        skew: rng.between(0.0, 1.0),
        prefix: rng.scale(300.0, 1500.0),
        own: (rng.scale(80.0, 400.0), rng.between(0.3, 0.7)),
        output: (output, rng.between(0.3, 0.6)),
        max_tokens: (output * rng.between(3.0, 6.0)) as u32,
        oversize: (0.0, 0.0),
        volatile: 0.0,
        volatile_at: rng.below(24) as u32,
        refused: (if rng.chance(0.3) { 0.005 } else { 0.0 }, &[400, 404]),
        patience: f64::INFINITY,
        retry: 0.0,
        hasty: 0.0,
        held: (0.0, 0.0),
        adapters: 0,
        edition: 0,
        complaint: None,
    }
}

fn slow_shape(rng: &mut Rng) -> Shape {
    let output = rng.scale(20.0, 60.0);
    Shape {
        tenants: 1 + rng.below(4),
        prefix: rng.scale(260.0, 900.0),
        own: (rng.scale(30.0, 120.0), rng.between(0.2, 0.6)),
        output: (output, rng.between(0.2, 0.5)),
        max_tokens: (output * rng.between(3.0, 6.0)) as u32,
        ..fast_shape(rng)
    }
}

fn fast_cost(rng: &mut Rng) -> Cost {
    Cost {
        host: rng.between(5e-4, 1.5e-3),
        base: rng.scale(6e-3, 14e-3),
        per_prefill_token: rng.scale(2.5e-5, 8e-5),
        per_sequence: rng.scale(1.5e-5, 4e-5),
        per_context_token: rng.scale(1e-8, 4e-8),
        noise: rng.between(0.02, 0.12),
    }
}

fn slow_cost(rng: &mut Rng) -> Cost {
    Cost {
        host: rng.between(1e-3, 3e-3),
        base: rng.scale(12e-3, 35e-3),
        per_prefill_token: rng.scale(1.5e-4, 5e-4),
        per_sequence: rng.scale(8e-4, 2.5e-3),
        per_context_token: rng.scale(1e-7, 6e-7),
        noise: rng.between(0.03, 0.2),
    }
}
