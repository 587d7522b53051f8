//! The kinds of case: what each changes in the engine or the workload, and how to tell that it
//! really came about.

use super::{
    cases::{Drawn, Site, site},
    incidents::{
        big_batches, bypass, caching_off, cold, dies, evicting, fewer_slots, giving_up, host_busy,
        imbalance, kv, outputs, overload, prompts, refused, slow_gpu, volatile,
    },
    plan::{Fault, Recording, Tally},
    rng::Rng,
    workload::Curve,
};

macro_rules! kinds {
    ($($kind:ident $name:literal),* $(,)?) => {
        /// Kinds of case.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Kind { $($kind),* }

        impl Kind {
            pub const ALL: &'static [Self] = &[$(Self::$kind),*];

            pub fn name(self) -> &'static str {
                match self { $(Self::$kind => $name),* }
            }
        }
    };
}

kinds! {
    Steady "healthy-steady",
    Bursty "healthy-bursty",
    Ramp "healthy-ramp",
    Idle "healthy-idle",
    WarmedUp "healthy-warmed-up",
    LongBatch "healthy-long-batch",
    NoPrefix "healthy-no-prefix",
    LostScrape "healthy-lost-scrape",
    ShortWindow "healthy-short-window",
    Overload "load-exceeds-capacity",
    PromptsGrew "prompts-grew",
    OutputsGrew "outputs-grew",
    BudgetBypass "context-budget-bypass",
    Volatile "volatile-prefix",
    VolatileHalf "volatile-prefix-half",
    CachingOff "prefix-caching-disabled",
    ColdCache "cache-cold-after-restart",
    KvOutputs "kv-working-set-outputs",
    KvPrompts "kv-working-set-prompts",
    KvArrivals "kv-working-set-arrivals",
    Evicting "kv-pressure-evicts",
    HostBusy "host-cpu-contention",
    SlowGpu "compute-degraded",
    BigBatches "excess-concurrency",
    GivingUp "clients-giving-up",
    Dead "engine-dead",
    Wedged "engine-wedged",
    FewerSlots "engine-config-changed",
    Malformed "malformed-requests",
    Unauthorized "auth-rejections",
    Imbalance "replica-imbalance",
}

impl Kind {
    pub fn is_healthy(self) -> bool {
        self.name().starts_with("healthy")
    }
}

/// Draws a plan of a kind.
pub fn plan(kind: Kind, rng: &mut Rng) -> Drawn {
    if kind.is_healthy() {
        return healthy(kind, rng);
    }
    let (site, causes, also): (Site, &[&'static str], &[&'static str]) = match kind {
        Kind::Overload => (overload(rng), &["load-exceeds-capacity"], &[]),
        Kind::PromptsGrew => (prompts(rng), &["prompts-grew"], &[]),
        Kind::OutputsGrew => (outputs(rng), &["outputs-grew"], &[]),
        Kind::BudgetBypass => (bypass(rng), &["context-budget-bypass"], &[]),
        Kind::Volatile => (volatile(1.0, rng), &["volatile-prompt-prefix"], &[]),
        Kind::VolatileHalf => (volatile(0.5, rng), &["volatile-prompt-prefix"], &[]),
        Kind::CachingOff => {
            (caching_off(rng), &["prefix-caching-disabled"], &["engine-config-changed"])
        }
        Kind::ColdCache => (cold(rng), &["cache-cold-after-restart"], &[]),
        Kind::KvOutputs => (kv(kind, rng), &["kv-working-set-too-large"], &["outputs-grew"]),
        Kind::KvPrompts => (kv(kind, rng), &["kv-working-set-too-large"], &["prompts-grew"]),
        Kind::KvArrivals => {
            (kv(kind, rng), &["kv-working-set-too-large"], &["load-exceeds-capacity"])
        }
        Kind::Evicting => {
            let also = &["kv-working-set-too-large", "outputs-grew"];
            (evicting(rng), &["kv-pressure-evicts-prefixes"], also)
        }
        Kind::HostBusy => (host_busy(rng), &["host-cpu-contention"], &["compute-degraded"]),
        Kind::SlowGpu => (slow_gpu(rng), &["compute-degraded"], &[]),
        Kind::BigBatches => (big_batches(rng), &["excess-concurrency"], &[]),
        Kind::GivingUp => {
            (giving_up(rng), &["load-exceeds-capacity", "clients-giving-up"], &["retry-storm"])
        }
        Kind::Dead => (dies(Fault::Die, rng), &["engine-dead"], &[]),
        Kind::Wedged => (dies(Fault::Wedge, rng), &["engine-dead"], &[]),
        Kind::FewerSlots => (fewer_slots(rng), &["engine-config-changed"], &[]),
        Kind::Malformed => (refused(&[400, 404, 422], rng), &["malformed-requests"], &[]),
        Kind::Unauthorized => (refused(&[401], rng), &["auth-or-quota-rejections"], &[]),
        _ => (imbalance(rng), &["replica-imbalance"], &[]),
    };
    Drawn { plan: site.plan, causes: causes.to_vec(), also: also.to_vec() }
}

/// Whether the run became what its kind says, by what requests went through.
pub fn is_real(kind: Kind, recording: &Recording) -> bool {
    let (before, after) = (&recording.before, &recording.after);
    let grew = |pick: fn(&Tally) -> (f64, f64)| {
        Tally::mean(pick(after)) / Tally::mean(pick(before)).max(1e-9)
    };
    let slower = grew(|t| t.ttft) >= 1.7;
    let streams_slower = grew(|t| t.itl) >= 1.7;
    let queued = Tally::mean(after.waiting) >= 2.0;
    let calm = Tally::mean(before.waiting) < 0.5 && before.preemptions == 0.0;
    let lost = grew(|t| t.cached) < 0.75;
    let preempted = after.preemptions / after.finished.max(1.0);
    let enough = before.finished >= 40.0 && after.arrived >= 40.0;
    let same = grew(|t| t.ttft) < 1.4 && grew(|t| t.itl) < 1.3;
    let rare = before.refused / before.arrived.max(1.0) < 0.02;
    match kind {
        Kind::Idle => true,
        Kind::Bursty => after.preemptions == 0.0 && rare,
        kind if kind.is_healthy() => {
            same && Tally::mean(before.waiting) < 0.5 && Tally::mean(after.waiting) < 0.5
        }
        Kind::Overload | Kind::OutputsGrew | Kind::FewerSlots => {
            calm && enough && queued && slower && after.preemptions == 0.0
        }
        Kind::PromptsGrew | Kind::BudgetBypass => calm && enough && slower && preempted == 0.0,
        Kind::Volatile | Kind::VolatileHalf | Kind::CachingOff => calm && enough && slower && lost,
        Kind::ColdCache => calm && enough && lost,
        Kind::KvOutputs | Kind::KvPrompts | Kind::KvArrivals => {
            calm && enough && preempted > 0.1 && slower
        }
        Kind::Evicting => {
            calm && enough && grew(|t| t.cached) < 0.8 && slower && after.kv_peak > 0.95
        }
        Kind::HostBusy | Kind::SlowGpu => {
            calm && enough && streams_slower && Tally::mean(after.waiting) < 20.0
        }
        Kind::BigBatches => {
            calm && enough && streams_slower && Tally::mean(after.waiting) < 0.5 && preempted == 0.0
        }
        Kind::GivingUp => calm && enough && after.aborted / after.arrived > 0.08,
        Kind::Dead | Kind::Wedged => calm && before.finished >= 40.0,
        Kind::Malformed | Kind::Unauthorized => {
            calm && enough && after.refused / after.arrived > 0.07
        }
        _ => calm && enough && queued && slower,
    }
}

fn healthy(kind: Kind, rng: &mut Rng) -> Drawn {
    let mut site = site(rng);
    let load = rng.between(0.15, 0.6);
    site.load(load, load);
    match kind {
        Kind::Bursty => {
            let size = site.plan.config.max_num_seqs / 2 + 2;
            site.load(0.2, 0.2);
            site.plan.workload.bursts = Some((rng.between(15.0, 40.0), size));
        }
        Kind::Ramp => {
            let (low, high) = (site.capacity * 0.2, site.capacity * rng.between(0.4, 0.6));
            let start = site.plan.warmup;
            let end = start + site.plan.length;
            site.plan.workload.rate = Curve(vec![(start, low), (end, high)]);
        }
        Kind::Idle => {
            let rate = rng.pick(&[0.0, 0.02]);
            site.plan.workload.rate = Curve(vec![(0.0, rate)]);
        }
        Kind::WarmedUp => {
            site.plan.warmup = rng.between(60.0, 90.0);
            site.plan.length = rng.between(90.0, 150.0).round();
            site.plan.onset = Some(site.plan.warmup + site.plan.length / 2.0);
        }
        Kind::LongBatch => {
            let long = site.shape().mean_prompt() * rng.between(2.0, 5.0);
            let share = rng.between(0.05, 0.3);
            site.shape_mut().oversize = (share, long);
            site.measure();
            site.load(load, load);
        }
        Kind::NoPrefix => {
            let shape = site.shape_mut();
            shape.own.0 += shape.prefix / 2.0;
            shape.prefix = 0.0;
            site.measure();
            site.load(load, load);
        }
        Kind::LostScrape => {
            let scrapes = (site.plan.length / site.plan.interval) as usize;
            site.plan.lost = Some(3 + rng.below(scrapes - 6));
        }
        Kind::ShortWindow => {
            site.plan.warmup = rng.between(240.0, 400.0);
            site.plan.length = rng.between(30.0, 50.0).round();
            site.plan.interval = 5.0;
            site.plan.onset = Some(site.plan.warmup + site.plan.length / 2.0);
        }
        _ => {}
    }
    Drawn { plan: site.plan, causes: Vec::new(), also: Vec::new() }
}
