//! A server with its engines, clients and observer: one queue of events in simulated time.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};

use diagnose::evidence::bundle::Bundle;

use super::{
    engine::{Config, Done, Engine, FrontEnd, Sequence},
    log::{self, Log, Pace},
    page::{Template, View},
    plan::{Fault, LOADING, Plan, Recording, Tally},
    rng::Rng,
    stats::Http,
    workload::Request,
};

type At = Reverse<(u64, u64)>;

fn at(seconds: f64, id: u64) -> At {
    Reverse(((seconds * 1e9) as u64, id))
}

fn add(sum: (f64, f64), more: (f64, f64)) -> (f64, f64) {
    (sum.0 + more.0, sum.1 + more.1)
}

struct Server<'a> {
    plan: &'a Plan,
    rng: Rng,
    template: Template,
    engines: Vec<Engine>,
    front: FrontEnd,
    http: Http,
    config: Config,
    gpu: f64,
    host: f64,
    skew: Option<f64>,
    started: f64,
    /// While it is down: when it comes back.
    down_until: Option<f64>,
    log: Log,
    paced: Vec<(f64, f64)>,
    /// Requests without a first token: the engine, and the request for a second try.
    unanswered: HashMap<u64, (usize, Request)>,
    deadlines: BinaryHeap<At>,
    again: Vec<Request>,
    next_id: u64,
    probes: f64,
    epoch: f64,
    bundle: Bundle,
    tallies: [Tally; 2],
    seen: [f64; 3],
}

/// Runs a plan.
pub fn run(plan: &Plan, seed: u64) -> Recording {
    let mut rng = Rng::new(seed);
    let end = plan.warmup + plan.length;
    let requests = plan.workload.requests(end, plan.config.max_model_len, &mut rng.fork());
    let epoch = 1_795_000_000.0 + (rng.below(300_000) as f64) + (rng.unit() * 1e3).round() / 1e3;
    let several = plan.engines > 1 && ["0.23.0", "0.32.0"].contains(&plan.version);
    let mut server = Server {
        plan,
        template: Template::new(plan.version, several),
        engines: (0..plan.engines).map(|_| Engine::new(plan.config.clone())).collect(),
        front: FrontEnd::default(),
        http: Http::default(),
        config: plan.config.clone(),
        gpu: 1.0,
        host: 1.0,
        skew: None,
        started: epoch,
        down_until: None,
        log: Log::default(),
        paced: vec![(0.0, 0.0); plan.engines],
        unanswered: HashMap::new(),
        deadlines: BinaryHeap::new(),
        again: Vec::new(),
        next_id: requests.len() as u64,
        probes: 1.0,
        epoch,
        bundle: Bundle::default(),
        tallies: [Tally::default(), Tally::default()],
        seen: [0.0; 3],
        rng,
    };
    server.log.started(epoch, plan.version);
    server.go(requests, end);
    server.into_recording(end)
}

impl Server<'_> {
    fn go(&mut self, requests: Vec<Request>, end: f64) {
        let mut arrivals = requests.into_iter().peekable();
        let mut faults = self.plan.faults.clone().into_iter().peekable();
        let mut scrape = 0_usize;
        let mut pace = LOADING;
        loop {
            let scrape_at = self.plan.warmup + scrape as f64 * self.plan.interval;
            let mut now = end + 1.0;
            let mut which = 0;
            let mut offer = |time: Option<f64>, id: usize| {
                if let Some(time) = time.filter(|time| *time < now) {
                    (now, which) = (time, id);
                }
            };
            offer(arrivals.peek().map(|request| request.at), 1);
            offer(faults.peek().map(|fault| fault.0), 2);
            offer(Some(scrape_at), 3);
            offer(self.deadlines.peek().map(|next| next.0.0 as f64 / 1e9), 4);
            offer(self.again.last().map(|request| request.at), 5);
            offer(Some(pace), 6);
            offer(self.down_until, 7);
            for (index, engine) in self.engines.iter().enumerate() {
                offer(engine.next(), 8 + index);
            }
            if now > end {
                return;
            }
            match which {
                1 => arrivals.next().into_iter().for_each(|request| self.arrive(request)),
                2 => faults.next().into_iter().for_each(|fault| self.fault(now, fault.1)),
                3 => {
                    self.scrape(now, scrape);
                    scrape += 1;
                }
                4 => self.deadline(now),
                5 => self.again.pop().into_iter().for_each(|request| self.arrive(request)),
                6 => {
                    self.pace(now);
                    pace += 10.0;
                }
                7 => self.up(now),
                engine => self.step(now, engine - 8),
            }
        }
    }

    fn tally(&mut self, time: f64) -> Option<&mut Tally> {
        let after = self.plan.onset.is_some_and(|onset| time >= onset);
        (time >= self.plan.warmup).then(|| &mut self.tallies[usize::from(after)])
    }

    fn log_answer(&mut self, now: f64, id: u64, status: u16) {
        if now >= self.plan.warmup - 5.0 {
            self.log.access(id, status);
        }
    }

    fn arrive(&mut self, request: Request) {
        let now = request.at;
        if self.down_until.is_some() || now < LOADING {
            return;
        }
        if let Some(tally) = self.tally(now) {
            tally.arrived += 1.0;
        }
        if let Some(status) = request.refused {
            let share = if status == 401 { 0.1 } else { 0.5 };
            let ready = self.front.work(now, self.plan.front.per_request * self.host * share);
            self.http.ended(status, ready - now);
            if let Some(line) = request.complaint {
                self.log.error(self.epoch + now, line);
            }
            self.log_answer(now, request.id, status);
            if let Some(tally) = self.tally(now) {
                tally.refused += 1.0;
            }
            return;
        }
        let size = f64::from(request.prompt) / 1000.0;
        let work = self.plan.front.per_request * self.host * (0.5 + size);
        let engine = self.route();
        let ready = self.front.work(now, work) + self.engines[engine].link;
        if request.patience.is_finite() {
            self.deadlines.push(at(now + request.patience, request.id));
        }
        self.unanswered.insert(request.id, (engine, request.clone()));
        self.engines[engine].inbox.push_back((ready, Sequence::new(request)));
    }

    fn route(&mut self) -> usize {
        let n = self.engines.len();
        if let Some(share) = self.skew {
            return if self.rng.chance(share) { 0 } else { 1 + self.rng.below(n - 1) };
        }
        (0..n).min_by_key(|index| self.engines[*index].load()).unwrap_or(0)
    }

    fn step(&mut self, now: f64, index: usize) {
        let slow = (self.gpu, self.host);
        if self.engines[index].step_end.is_some() {
            let per_token = self.plan.front.per_token * self.host;
            let outcome = self.engines[index].finish(now, &mut self.front, per_token);
            for &(id, arrived, ttft) in &outcome.firsts {
                self.unanswered.remove(&id);
                if let Some(tally) = self.tally(arrived) {
                    tally.ttft = (tally.ttft.0 + ttft, tally.ttft.1 + 1.0);
                }
            }
            if let Some(tally) = self.tally(now) {
                tally.itl = add(tally.itl, outcome.itl);
                tally.itl_shape = add(tally.itl_shape, outcome.itl_shape);
            }
            outcome.done.iter().for_each(|done| self.answer(now, done));
            self.look(now, index);
        }
        let engine = &mut self.engines[index];
        engine.begin(now, &self.plan.cost, slow, &mut self.rng);
        engine.step_end = engine.step_end.map(|end| self.plan.end_of(now, end - now));
    }

    /// Notes what the engine is like, weighted by steps.
    fn look(&mut self, now: f64, index: usize) {
        let stats = &self.engines[index].stats;
        let (waiting, usage) = (stats.waiting, stats.kv_usage);
        let totals: [f64; 3] = {
            let sum = |pick: fn(&super::stats::Stats) -> f64| {
                self.engines.iter().map(|engine| pick(&engine.stats)).sum::<f64>()
            };
            [sum(|s| s.preemptions), sum(|s| s.cached_tokens), sum(|s| s.prompt_tokens)]
        };
        let seen = std::mem::replace(&mut self.seen, totals);
        let Some(tally) = self.tally(now) else { return };
        tally.waiting = (tally.waiting.0 + waiting, tally.waiting.1 + 1.0);
        tally.kv_peak = tally.kv_peak.max(usage);
        tally.preemptions += (totals[0] - seen[0]).max(0.0);
        tally.cached.0 += (totals[1] - seen[1]).max(0.0);
        tally.cached.1 += (totals[2] - seen[2]).max(0.0);
    }

    fn answer(&mut self, now: f64, done: &Done) {
        self.http.ended(200, done.e2e);
        self.log_answer(now, done.id, 200);
        if let Some(tally) = self.tally(done.arrived) {
            tally.finished += 1.0;
            tally.queue = add(tally.queue, (done.queue, 1.0));
            tally.per_token = add(tally.per_token, (done.per_token, 1.0));
        }
    }

    /// A client's patience ends: it hangs up if no token has come, and may try again.
    fn deadline(&mut self, now: f64) {
        let Some(Reverse((_, id))) = self.deadlines.pop() else { return };
        let Some((engine, mut request)) = self.unanswered.remove(&id) else { return };
        self.engines[engine].abort(id);
        self.http.ended(200, now - request.at);
        self.log_answer(now, id, 200);
        if let Some(tally) = self.tally(now) {
            tally.aborted += 1.0;
        }
        if request.retries > 0 {
            request.retries -= 1;
            request.at = now + self.rng.between(0.2, 2.0);
            request.id = self.next_id;
            self.next_id += 1;
            let place = self.again.partition_point(|other| other.at > request.at);
            self.again.insert(place, request);
        }
    }

    fn fault(&mut self, now: f64, fault: Fault) {
        match fault {
            Fault::Gpu(factor) => self.gpu = factor,
            Fault::Host(factor) => self.host = factor,
            Fault::Skew(share) => self.skew = Some(share),
            Fault::Trickle(seconds) => {
                self.engines.iter_mut().for_each(|engine| engine.trickle = seconds);
            }
            Fault::Acceptance(chance) => {
                self.engines.iter_mut().for_each(|engine| engine.acceptance = chance);
            }
            Fault::Wedge => self.engines.iter_mut().for_each(|engine| engine.wedged = true),
            Fault::Restart(seconds, config) => {
                self.go_down(now + seconds);
                self.config = config.unwrap_or_else(|| self.config.clone());
            }
            Fault::Leak(share) => {
                self.engines.iter_mut().for_each(|engine| engine.leak = share);
            }
            Fault::Link(seconds) => {
                self.engines.iter_mut().for_each(|engine| engine.link = seconds);
            }
            Fault::Die(words) => self.die(now, words),
            Fault::FailStart(words) => {
                self.log.started(self.epoch + now + 5.0, self.plan.version);
                self.die(now + LOADING, words);
            }
        }
    }

    fn die(&mut self, now: f64, words: &[&str]) {
        words.iter().for_each(|line| self.log.error(self.epoch + now, line));
        self.go_down(f64::INFINITY);
    }

    fn go_down(&mut self, until: f64) {
        self.down_until = Some(until);
        self.engines.clear();
        self.unanswered.clear();
        self.deadlines.clear();
    }

    fn up(&mut self, now: f64) {
        self.down_until = None;
        let config = &self.config;
        self.engines = (0..self.plan.engines).map(|_| Engine::new(config.clone())).collect();
        self.front = FrontEnd { free_at: now, busy: 0.0 };
        self.http = Http::default();
        self.paced = vec![(0.0, 0.0); self.plan.engines];
        self.probes = 1.0;
        self.started = self.epoch + now - LOADING;
        self.seen = [0.0; 3];
        self.log.started(self.epoch + now - LOADING, self.plan.version);
    }

    /// The stats line of every ten seconds; an idle engine writes none.
    fn pace(&mut self, now: f64) {
        for (index, engine) in self.engines.iter().enumerate() {
            let stats = &engine.stats;
            let tokens = (stats.prompt_tokens - stats.cached_tokens, stats.generation_tokens);
            let before = std::mem::replace(&mut self.paced[index], tokens);
            let (prompt, generation) = ((tokens.0 - before.0) / 10.0, (tokens.1 - before.1) / 10.0);
            if now < self.plan.warmup - 10.0 || (prompt, generation) == (0.0, 0.0) {
                continue;
            }
            self.log.pace(
                self.epoch + now,
                &Pace {
                    engine: index,
                    prompt,
                    generation,
                    running: stats.running,
                    waiting: stats.waiting,
                    kv_usage: stats.kv_usage,
                    hit_ratio: stats.hits / stats.queries.max(1.0),
                },
            );
        }
    }

    fn scrape(&mut self, now: f64, index: usize) {
        let ms = ((self.epoch + now) * 1e3) as u64;
        if self.down_until.is_some() {
            self.bundle.probes.insert(ms, log::refused());
            return;
        }
        self.probes += 1.0;
        let wait = (self.front.free_at - now).max(0.0) * 1e3;
        let (page, host) = (self.plan.front.page * 1e3, self.host);
        let noise = [0; 4].map(|_| self.rng.lognormal(1.0, 0.25));
        let took = |path: usize| {
            let own = if path == 0 { page } else { page * 0.1 };
            own * noise[path] * host + if path == 0 { wait } else { 0.0 }
        };
        let round = log::answered(self.plan.version, self.plan.model, took);
        self.bundle.probes.insert(ms, round);
        if self.plan.lost == Some(index) {
            return;
        }
        self.engines.iter_mut().for_each(|engine| engine.note_adapters(now));
        let stats: Vec<_> = self.engines.iter().map(|engine| &engine.stats).collect();
        let view = View {
            model: self.plan.model,
            config: &self.config,
            engines: &stats,
            http: &self.http,
            probes: self.probes,
            in_blocks: self.plan.version == "0.8.5",
            started: self.started,
            epoch: self.epoch,
            cpu_seconds: self.front.busy + (self.epoch + now - self.started) * 0.02,
        };
        self.bundle.scrapes.insert(ms, self.template.render(&view));
    }

    fn into_recording(mut self, end: f64) -> Recording {
        let meta = &mut self.bundle.meta;
        meta.format_version = 1;
        meta.target = Some("http://127.0.0.1:8000".into());
        meta.started = Some(self.epoch + self.plan.warmup);
        meta.ended = Some(self.epoch + end);
        meta.vllm_version = Some(self.plan.version.into());
        if self.plan.args_known {
            meta.server_args = self.plan.args();
        }
        self.bundle.log = Some(self.log.into_bytes());
        let [before, after] = self.tallies;
        Recording { bundle: self.bundle, epoch: self.epoch, before, after }
    }
}
