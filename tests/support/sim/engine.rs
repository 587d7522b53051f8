//! One engine: a scheduler over KV blocks that runs step after step.

mod finish;
mod schedule;

use std::collections::{HashSet, VecDeque};

use super::{kv::Pool, rng::Rng, stats::Stats, workload::Request};

/// What the engine is started with.
#[derive(Debug, Clone)]
pub struct Config {
    pub max_num_seqs: usize,
    pub max_batched: u32,
    pub max_model_len: u32,
    pub blocks: usize,
    pub block_size: u32,
    pub caching: bool,
    /// Whether lookups of preempted requests stay out of the counters (0.11.1 on).
    pub preempted_apart: bool,
    /// Whether a step counts only computed prompt tokens (0.23.0 on).
    pub computed_only: bool,
    /// Tokens that a small model guesses ahead for each step; 0 is no speculation.
    pub drafts: u32,
    /// Adapters that can be live at once; 0 is no adapters.
    pub max_loras: usize,
    /// Seconds that loading an adapter into a slot takes.
    pub adapter_load: f64,
    /// Share of the accelerator's memory, where it is not the default.
    pub gpu_memory: Option<f64>,
}

/// Seconds that a step costs.
#[derive(Debug, Clone, Copy)]
pub struct Cost {
    /// On the host, per step.
    pub host: f64,
    /// On the accelerator, per step: reading the weights.
    pub base: f64,
    pub per_prefill_token: f64,
    pub per_sequence: f64,
    /// Reading one token of context during decode.
    pub per_context_token: f64,
    pub noise: f64,
}

/// A request inside the engine.
#[derive(Debug, Clone)]
pub struct Sequence {
    pub request: Request,
    generated: u32,
    computed: u32,
    held: Vec<u32>,
    want: u32,
    cached: Option<u32>,
    /// Until when something outside the engine keeps it from being scheduled.
    held_until: f64,
    /// Whether it was passed over although there was room.
    deferred: bool,
    queued: f64,
    scheduled: Option<f64>,
    first: f64,
    last: f64,
    preempted: u32,
}

impl Sequence {
    pub fn new(request: Request) -> Self {
        Self {
            request,
            generated: 0,
            computed: 0,
            held: Vec::new(),
            want: 0,
            cached: None,
            held_until: 0.0,
            deferred: false,
            queued: 0.0,
            scheduled: None,
            first: 0.0,
            last: 0.0,
            preempted: 0,
        }
    }

    fn tokens(&self) -> u32 {
        self.request.prompt + self.generated
    }

    /// Tokens that its answer still lacks.
    fn left(&self) -> u32 {
        self.request.output.saturating_sub(self.generated)
    }
}

/// A request that ended, for those who look from outside.
#[derive(Debug, Clone, Copy)]
pub struct Done {
    pub id: u64,
    pub arrived: f64,
    pub queue: f64,
    pub e2e: f64,
    /// Mean seconds per token after the first.
    pub per_token: f64,
}

/// What a step brought about.
#[derive(Debug, Default)]
pub struct Outcome {
    /// Requests that got their first token: id, arrival, and time to it.
    pub firsts: Vec<(u64, f64, f64)>,
    pub done: Vec<Done>,
    pub itl: (f64, f64),
    /// Sum of the logarithms of the same gaps, and of their squares.
    pub itl_shape: (f64, f64),
    /// Answers that were streamed, each of one token or more.
    pub outputs: f64,
    pub tokens: f64,
}

/// The part of the front-end's CPU that engines and requests share.
#[derive(Debug, Clone, Copy, Default)]
pub struct FrontEnd {
    pub free_at: f64,
    pub busy: f64,
}

impl FrontEnd {
    /// When work that comes at `now` is done.
    pub fn work(&mut self, now: f64, seconds: f64) -> f64 {
        self.free_at = self.free_at.max(now) + seconds;
        self.busy += seconds;
        self.free_at
    }
}

#[derive(Debug)]
pub struct Engine {
    pub config: Config,
    pub stats: Stats,
    pub inbox: VecDeque<(f64, Sequence)>,
    /// End of the step that runs.
    pub step_end: Option<f64>,
    /// It makes no step any more.
    pub wedged: bool,
    /// Seconds that must pass between two admissions.
    pub trickle: f64,
    /// Chance that a drafted token is accepted.
    pub acceptance: f64,
    /// Share of a finished request's blocks that is never given back.
    pub leak: f64,
    /// Seconds that a token takes from the engine to the front-end, and a request the other way.
    pub link: f64,
    next_admission: f64,
    /// Adapters in slots, the least recently used first.
    resident: Vec<usize>,
    /// Seconds of loading adapters that the next step begins with.
    loading: f64,
    pool: Pool,
    waiting: VecDeque<Sequence>,
    running: Vec<Sequence>,
    aborting: HashSet<u64>,
}

impl Engine {
    pub fn new(config: Config) -> Self {
        Self {
            stats: Stats::new(config.max_model_len),
            pool: Pool::new(config.blocks, config.block_size, config.caching),
            config,
            inbox: VecDeque::new(),
            step_end: None,
            wedged: false,
            trickle: 0.0,
            acceptance: 0.75,
            leak: 0.0,
            link: 0.0,
            next_admission: 0.0,
            resident: Vec::new(),
            loading: 0.0,
            waiting: VecDeque::new(),
            running: Vec::new(),
            aborting: HashSet::new(),
        }
    }

    pub fn load(&self) -> usize {
        self.running.len() + self.waiting.len() + self.inbox.len()
    }

    pub fn abort(&mut self, id: u64) {
        self.aborting.insert(id);
    }

    /// When something happens next by itself.
    pub fn next(&self) -> Option<f64> {
        if self.wedged {
            return None;
        }
        self.step_end.or_else(|| self.inbox.front().map(|entry| entry.0))
    }

    /// Takes in what has come and starts a step, if there is anything to do. `slow` are the
    /// factors of accelerator and host.
    pub fn begin(&mut self, now: f64, cost: &Cost, slow: (f64, f64), rng: &mut Rng) {
        while self.inbox.front().is_some_and(|entry| entry.0 <= now) {
            let Some((_, mut sequence)) = self.inbox.pop_front() else { break };
            sequence.queued = now;
            sequence.held_until = now + sequence.request.held;
            self.waiting.push_back(sequence);
        }
        self.drop_aborted();
        self.step_end = None;
        if self.running.is_empty() && self.waiting.is_empty() {
            return;
        }
        self.schedule(now);
        let noise = rng.lognormal(1.0, cost.noise);
        let loading = std::mem::take(&mut self.loading);
        self.step_end = Some(now + self.seconds(cost, slow) * noise + loading);
    }

    fn drop_aborted(&mut self) {
        if self.aborting.is_empty() {
            return;
        }
        let gone = std::mem::take(&mut self.aborting);
        let keep = |sequence: &Sequence| !gone.contains(&sequence.request.id);
        for sequence in &mut self.running {
            if !keep(sequence) {
                self.pool.release(&mut sequence.held);
            }
        }
        self.running.retain(keep);
        self.waiting.retain(keep);
        self.inbox.retain(|entry| keep(&entry.1));
    }

    fn seconds(&self, cost: &Cost, (gpu, host): (f64, f64)) -> f64 {
        let (mut prefill, mut context, mut decoding) = (0_u32, 0.0, 0_u32);
        for sequence in &self.running {
            if sequence.generated > 0 && sequence.want == 1 {
                decoding += 1;
                context += f64::from(sequence.computed);
            } else {
                prefill += sequence.want;
            }
        }
        let compute = cost.base
            + cost.per_prefill_token * f64::from(prefill)
            + cost.per_sequence * f64::from(decoding)
            + cost.per_context_token * context;
        let drafting = 1.0 + 0.05 * f64::from(self.config.drafts);
        gpu * drafting * compute + host * cost.host
    }
}
