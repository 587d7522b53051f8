//! One engine: a scheduler over KV blocks that runs step after step.

use std::collections::{BTreeSet, HashSet, VecDeque};

use super::{
    kv::Pool,
    rng::{Rng, mix},
    stats::Stats,
    workload::Request,
};

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

/// How many drafted tokens a decoding sequence may keep: up to the first wrong one.
fn accepted(sequence: &Sequence, drafts: u32, acceptance: f64) -> u32 {
    if drafts == 0 || sequence.generated == 0 {
        return 0;
    }
    let seed = sequence.request.id << 20 ^ u64::from(sequence.generated);
    let mut rng = Rng::new(mix(seed));
    let most = drafts.min(sequence.left().saturating_sub(1));
    (0..most).take_while(|_| rng.chance(acceptance)).count() as u32
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

    fn schedule(&mut self, now: f64) {
        let mut budget = self.config.max_batched;
        let preempted = self.schedule_running(&mut budget);
        let mut live = self.live_adapters();
        let mut next = 0;
        while !preempted && budget > 0 && self.running.len() < self.config.max_num_seqs {
            let Some(sequence) = self.waiting.get_mut(next) else { break };
            let adapter = sequence.request.adapter;
            let slotless =
                adapter > 0 && !live.contains(&adapter) && live.len() >= self.config.max_loras;
            sequence.deferred = slotless || sequence.held_until > now;
            if sequence.deferred {
                next += 1;
                continue;
            }
            let Some(mut sequence) = self.waiting.remove(next) else { break };
            if now < self.next_admission || !self.admit(&mut sequence, &mut budget, now) {
                self.waiting.insert(next, sequence);
                break;
            }
            self.next_admission = now + self.trickle;
            if adapter > 0 {
                live.insert(adapter);
                self.give_slot(adapter, &live);
            }
            self.running.push(sequence);
        }
    }

    fn live_adapters(&self) -> BTreeSet<usize> {
        let adapters = self.running.iter().map(|sequence| sequence.request.adapter);
        adapters.filter(|adapter| *adapter > 0).collect()
    }

    /// Puts an adapter into a slot, and out the one that rested longest.
    fn give_slot(&mut self, adapter: usize, live: &BTreeSet<usize>) {
        if let Some(place) = self.resident.iter().position(|known| *known == adapter) {
            self.resident.remove(place);
        } else {
            self.loading += self.config.adapter_load;
            if self.resident.len() >= self.config.max_loras
                && let Some(idle) = self.resident.iter().position(|known| !live.contains(known))
            {
                self.resident.remove(idle);
            }
        }
        self.resident.push(adapter);
    }

    /// Notes which adapters run and which wait; from 0.11.1 both lists hold all of them.
    pub fn note_adapters(&mut self, now: f64) {
        if self.config.max_loras == 0 {
            return;
        }
        let mut running = self.live_adapters();
        let waits = self.waiting.iter().map(|sequence| sequence.request.adapter);
        let mut waiting: BTreeSet<usize> = waits.filter(|adapter| *adapter > 0).collect();
        if self.config.preempted_apart {
            running.extend(&waiting);
            waiting.clone_from(&running);
        }
        self.stats.adapters.insert((running, waiting), now);
    }

    /// Lets the running ones go on; who finds no block takes those of the last one.
    fn schedule_running(&mut self, budget: &mut u32) -> bool {
        let mut preempted = false;
        let mut index = 0;
        while index < self.running.len() {
            let sequence = &mut self.running[index];
            let want = (sequence.tokens() - sequence.computed).min(*budget);
            let need = sequence.computed + want;
            let ahead = if sequence.generated > 0 { self.config.drafts } else { 0 };
            if want == 0 || self.pool.grow(&mut sequence.held, need + ahead) {
                sequence.want = want;
                *budget -= want;
                index += 1;
                continue;
            }
            preempted = true;
            let Some(mut victim) = self.running.pop() else { break };
            self.pool.release(&mut victim.held);
            (victim.computed, victim.want) = (0, 0);
            victim.preempted += 1;
            self.stats.preemptions += 1.0;
            self.waiting.push_front(victim);
        }
        preempted
    }

    fn admit(&mut self, sequence: &mut Sequence, budget: &mut u32, now: f64) -> bool {
        let size = self.config.block_size;
        let tokens = sequence.tokens();
        let hit = self.pool.lookup(&sequence.request.content, tokens);
        let known = hit.len() as u32 * size;
        if self.config.caching && (sequence.preempted == 0 || !self.config.preempted_apart) {
            self.stats.queries += f64::from(tokens);
            self.stats.hits += f64::from(known);
            self.stats.query_blocks += f64::from(tokens / size);
            self.stats.hit_blocks += hit.len() as f64;
        }
        let want = (tokens - known).min(*budget);
        let Some(held) = self.pool.admit(&hit, known + want) else { return false };
        sequence.held = held;
        sequence.computed = known;
        sequence.want = want;
        sequence.cached.get_or_insert(known);
        sequence.scheduled.get_or_insert(now);
        *budget -= want;
        true
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

    /// Ends the step: tokens come out, requests finish, gauges are set.
    pub fn finish(&mut self, end: f64, front: &mut FrontEnd, per_token: f64) -> Outcome {
        let mut outcome = Outcome::default();
        let mut gaps: Vec<(f64, f64)> = Vec::new();
        let mut prompts = 0.0;
        for sequence in &mut self.running {
            let before = sequence.computed;
            sequence.computed += sequence.want;
            let out = sequence.want > 0 && sequence.computed == sequence.tokens();
            let ahead =
                if out { accepted(sequence, self.config.drafts, self.acceptance) } else { 0 };
            if out && self.config.drafts > 0 && sequence.generated > 0 {
                self.stats.drafted(self.config.drafts, ahead);
            }
            sequence.computed += ahead;
            let known = &sequence.request.content;
            self.pool.fill(known, &sequence.held, before, sequence.computed);
            sequence.want = 0;
            if !out {
                continue;
            }
            sequence.generated += 1 + ahead;
            outcome.outputs += 1.0;
            outcome.tokens += f64::from(1 + ahead);
            if sequence.generated == 1 {
                sequence.first = end;
                let (all, cached) = (sequence.request.prompt, sequence.cached.unwrap_or(0));
                self.stats.prompt_tokens += f64::from(all);
                self.stats.cached_tokens += f64::from(cached.min(all));
                let computed = all - cached.min(all);
                prompts += f64::from(if self.config.computed_only { computed } else { all });
            } else {
                let gap = end - sequence.last;
                match gaps.last_mut() {
                    Some(last) if last.0 == gap => last.1 += 1.0,
                    _ => gaps.push((gap, 1.0)),
                }
            }
            sequence.last = end;
        }
        let seen = front.work(end, per_token * outcome.outputs) + self.link;
        self.count_step(&gaps, prompts, &mut outcome);
        self.first_tokens(end, seen, &mut outcome);
        self.leave(seen, &mut outcome);
        self.stats.running = self.running.len() as f64;
        self.stats.waiting = self.waiting.len() as f64;
        self.stats.deferred = self.waiting.iter().filter(|waits| waits.deferred).count() as f64;
        self.stats.kv_usage = self.pool.usage();
        outcome
    }

    fn count_step(&mut self, gaps: &[(f64, f64)], prompts: f64, outcome: &mut Outcome) {
        if outcome.outputs == 0.0 {
            return;
        }
        self.stats.generation_tokens += outcome.tokens;
        self.stats.hist("iteration_tokens_total").add(prompts + outcome.tokens);
        let hist = self.stats.hist("inter_token_latency_seconds");
        for &(gap, n) in gaps {
            hist.add_many(gap, n);
            outcome.itl = (outcome.itl.0 + gap * n, outcome.itl.1 + n);
            let shape = outcome.itl_shape;
            outcome.itl_shape = (shape.0 + gap.ln() * n, shape.1 + gap * gap * n);
        }
    }

    fn first_tokens(&mut self, end: f64, seen: f64, outcome: &mut Outcome) {
        for sequence in &self.running {
            if sequence.generated == 1 && sequence.last == end {
                let ttft = seen - sequence.request.at;
                self.stats.hist("time_to_first_token_seconds").add(ttft);
                outcome.firsts.push((sequence.request.id, sequence.request.at, ttft));
            }
        }
    }

    /// Takes out the finished ones and counts them.
    fn leave(&mut self, seen: f64, outcome: &mut Outcome) {
        let finished = |sequence: &Sequence| sequence.left() == 0;
        if !self.running.iter().any(finished) {
            return;
        }
        let (done, stay) = std::mem::take(&mut self.running).into_iter().partition(finished);
        self.running = stay;
        let done: Vec<Sequence> = done;
        for mut sequence in done {
            let kept = sequence.held.len() as f64 * (1.0 - self.leak);
            sequence.held.truncate(kept.ceil() as usize);
            self.pool.release(&mut sequence.held);
            outcome.done.push(self.count_finish(&sequence, seen));
        }
    }

    fn count_finish(&mut self, sequence: &Sequence, seen: f64) -> Done {
        let request = &sequence.request;
        let scheduled = sequence.scheduled.unwrap_or(sequence.queued);
        let queue = scheduled - sequence.queued;
        let e2e = seen - request.at;
        let decode = sequence.last - sequence.first;
        let per_token = decode / f64::from(sequence.generated.max(2) - 1);
        let prompt = f64::from(request.prompt);
        let cached = f64::from(sequence.cached.unwrap_or(0));
        let values = [
            ("request_prompt_tokens", prompt),
            ("request_generation_tokens", f64::from(sequence.generated)),
            ("request_max_num_generation_tokens", f64::from(sequence.generated)),
            ("request_params_max_tokens", f64::from(request.max_tokens)),
            ("request_prefill_kv_computed_tokens", (prompt - cached).max(0.0)),
            ("request_params_n", 1.0),
            ("request_time_per_output_token_seconds", per_token),
            ("e2e_request_latency_seconds", e2e),
            ("request_queue_time_seconds", queue),
            ("request_inference_time_seconds", sequence.last - scheduled),
            ("request_prefill_time_seconds", sequence.first - scheduled),
            ("request_decode_time_seconds", decode),
            ("request_num_preemptions", f64::from(sequence.preempted)),
        ];
        for (name, value) in values {
            self.stats.hist(name).add(value);
        }
        if request.output >= request.max_tokens {
            self.stats.length += 1.0;
        } else {
            self.stats.stop += 1.0;
        }
        Done { id: request.id, arrived: request.at, queue, e2e, per_token }
    }
}
