//! The kinds of case: what each changes in the engine or the workload, and how to tell that it
//! really came about.

use super::{
    cases::{Drawn, Site, site, site_of},
    rng::Rng,
    server::{Fault, Recording, Tally},
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

fn overload(rng: &mut Rng) -> Site {
    let mut site = site(rng);
    site.load(rng.between(0.3, 0.6), rng.between(1.15, 1.9));
    site
}

fn prompts(rng: &mut Rng) -> Site {
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

fn outputs(rng: &mut Rng) -> Site {
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

fn bypass(rng: &mut Rng) -> Site {
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

fn volatile(share: f64, rng: &mut Rng) -> Site {
    let mut site = on_prefixes(rng);
    site.change(|shape| shape.volatile = share);
    site
}

fn caching_off(rng: &mut Rng) -> Site {
    let mut site = on_prefixes(rng);
    let mut config = site.plan.config.clone();
    config.caching = false;
    restart(&mut site, Some(config), rng);
    site
}

fn restart(site: &mut Site, config: Option<super::engine::Config>, rng: &mut Rng) {
    let seconds = rng.between(25.0, 50.0);
    site.plan.faults.push((site.onset, Fault::Restart(seconds, config)));
}

fn cold(rng: &mut Rng) -> Site {
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

fn kv(kind: Kind, rng: &mut Rng) -> Site {
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
        Kind::KvPrompts => site.change(|shape| shape.own.0 += factor * shape.mean_prompt()),
        _ => site.load(share, share * factor),
    }
    site
}

fn evicting(rng: &mut Rng) -> Site {
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

fn host_busy(rng: &mut Rng) -> Site {
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

fn slow_gpu(rng: &mut Rng) -> Site {
    let mut site = site_of(false, rng);
    let load = rng.between(0.15, 0.4);
    site.load(load, load);
    site.plan.faults.push((site.onset, Fault::Gpu(rng.between(1.8, 3.5))));
    site
}

fn big_batches(rng: &mut Rng) -> Site {
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

fn giving_up(rng: &mut Rng) -> Site {
    let mut site = overload(rng);
    let patience = rng.scale(4.0, 20.0);
    let retry = rng.pick(&[0.0, 0.0, 0.5]);
    let shape = site.shape_mut();
    shape.patience = patience;
    shape.retry = retry;
    site
}

fn dies(fault: Fault, rng: &mut Rng) -> Site {
    let mut site = site(rng);
    let load = rng.between(0.3, 0.6);
    site.load(load, load);
    site.shape_mut().patience = rng.scale(10.0, 60.0);
    site.plan.faults.push((site.onset, fault));
    site
}

fn fewer_slots(rng: &mut Rng) -> Site {
    let mut site = site(rng);
    let load = rng.between(0.45, 0.65);
    site.load(load, load);
    let mut config = site.plan.config.clone();
    config.max_num_seqs = (config.max_num_seqs as f64 * rng.between(0.15, 0.4)) as usize;
    restart(&mut site, Some(config), rng);
    site
}

fn refused(statuses: &'static [u16], rng: &mut Rng) -> Site {
    let mut site = site(rng);
    let load = rng.between(0.2, 0.5);
    let share = rng.between(0.1, 0.6);
    // Either good requests turn bad, or bad ones come on top.
    let more = if rng.chance(0.5) { 1.0 / (1.0 - share) } else { 1.0 };
    site.load(load, load * more);
    site.change(|shape| shape.refused = (share, statuses));
    site
}

fn imbalance(rng: &mut Rng) -> Site {
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
