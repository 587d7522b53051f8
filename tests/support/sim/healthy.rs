//! Servers with which nothing is wrong, however odd they look.

use super::{
    cases::{Drawn, Site, site, site_of},
    incidents::{adapters::with_adapters, compute::at_work},
    kinds::Kind,
    machine::Trouble,
    plan::Fault,
    rng::Rng,
    workload::Curve,
};

pub fn plan(kind: Kind, rng: &mut Rng) -> Drawn {
    match kind {
        Kind::Adapters => return Drawn::new(with_adapters(rng), &[], &[]),
        Kind::SoundMachine | Kind::HarmlessXid => {
            let mut site = at_work(rng);
            let harmless = Trouble::Xid(63, "Row Remapper: New row marked for remapping");
            let xid = (kind == Kind::HarmlessXid).then_some(harmless);
            site.plan.machine = Some(xid.into_iter().collect());
            return Drawn::new(site, &[], &[]);
        }
        _ => {}
    }
    let mut site = if kind == Kind::Speculating { site_of(false, rng) } else { site(rng) };
    let load = rng.between(0.15, 0.6);
    site.load(load, load);
    match kind {
        Kind::Bursty
        | Kind::Ramp
        | Kind::RampDown
        | Kind::Doubling
        | Kind::Idle
        | Kind::Sparse
        | Kind::Lull => of_traffic(kind, &mut site, rng),
        Kind::WarmedUp | Kind::LostScrape | Kind::ShortWindow | Kind::Young => {
            of_time(kind, &mut site, rng);
        }
        Kind::LongBatch | Kind::NoPrefix | Kind::CacheChurn => {
            of_requests(kind, &mut site, load, rng)
        }
        Kind::MixChanged | Kind::ShorterAnswers | Kind::LongerAnswers | Kind::HugePrompt => {
            of_changes(kind, &mut site, load, rng);
        }
        Kind::FewRefusals | Kind::FewHangUps => of_clients(kind, &mut site, rng),
        _ => of_engine(kind, &mut site, load, rng),
    }
    Drawn::new(site, &[], &[])
}

fn of_traffic(kind: Kind, site: &mut Site, rng: &mut Rng) {
    let start = site.plan.warmup;
    let end = start + site.plan.length;
    match kind {
        Kind::Bursty => {
            let size = site.plan.config.max_num_seqs / 2 + 2;
            site.load(0.2, 0.2);
            site.plan.workload.bursts = Some((rng.between(15.0, 40.0), size));
        }
        Kind::Ramp => {
            let (low, high) = (site.capacity * 0.2, site.capacity * rng.between(0.4, 0.6));
            site.plan.workload.rate = Curve(vec![(start, low), (end, high)]);
        }
        Kind::RampDown => {
            let (low, high) = (site.capacity * 0.1, site.capacity * rng.between(0.4, 0.6));
            site.plan.workload.rate = Curve(vec![(start, high), (end, low)]);
        }
        Kind::Doubling => {
            let night = rng.between(0.1, 0.25);
            site.load(night, 2.0 * night);
        }
        Kind::Lull => {
            let usual = site.plan.workload.rate.at(start);
            let rest = rng.between(20.0, 60.0);
            let (from, to) = (site.onset, site.onset + rest);
            let points = vec![(from, usual), (from + 1.0, usual / 10.0), (to, usual / 10.0)];
            site.plan.workload.rate = Curve(points);
            site.plan.workload.rate.scale_from(to, 10.0);
        }
        Kind::Sparse => {
            let rate = rng.between(4.0, 9.0) / 60.0;
            site.shape_mut().tenants = 20 + rng.below(40);
            site.plan.workload.rate = Curve(vec![(0.0, rate)]);
        }
        _ => {
            let rate = rng.pick(&[0.0, 0.02]);
            site.plan.workload.rate = Curve(vec![(0.0, rate)]);
        }
    }
}

fn of_time(kind: Kind, site: &mut Site, rng: &mut Rng) {
    match kind {
        Kind::WarmedUp => {
            site.plan.warmup = rng.between(60.0, 90.0);
            site.plan.length = rng.between(90.0, 150.0).round();
        }
        Kind::ShortWindow => {
            site.plan.warmup = rng.between(240.0, 400.0);
            site.plan.length = rng.between(30.0, 50.0).round();
            site.plan.interval = 5.0;
        }
        Kind::Young => {
            let at = site.plan.warmup - rng.between(70.0, 90.0);
            site.plan.faults.push((at, Fault::Restart(rng.between(25.0, 40.0), None)));
            return;
        }
        _ => {
            let scrapes = (site.plan.length / site.plan.interval) as usize;
            site.plan.lost = Some(3 + rng.below(scrapes - 6));
            return;
        }
    }
    site.plan.onset = Some(site.plan.warmup + site.plan.length / 2.0);
}

fn of_requests(kind: Kind, site: &mut Site, load: f64, rng: &mut Rng) {
    match kind {
        Kind::LongBatch => {
            let long = site.shape().mean_prompt() * rng.between(2.0, 5.0);
            let share = rng.between(0.05, 0.3);
            site.shape_mut().oversize = (share, long);
        }
        Kind::CacheChurn => {
            let shape = site.shape_mut();
            shape.tenants = 400 + rng.below(800);
            shape.skew = rng.between(0.0, 0.5);
            shape.own.0 += shape.prefix * 0.5;
            shape.prefix *= 0.5;
        }
        _ => {
            let shape = site.shape_mut();
            shape.own.0 += shape.prefix / 2.0;
            shape.prefix = 0.0;
        }
    }
    site.measure();
    site.load(load, load);
}

/// Requests look different from a moment on, and the server has room for them.
fn of_changes(kind: Kind, site: &mut Site, load: f64, rng: &mut Rng) {
    match kind {
        Kind::MixChanged => {
            site.change(|shape| {
                shape.tenants += 2;
                shape.prefix *= 0.93;
                shape.own.0 *= 1.1;
            });
        }
        Kind::ShorterAnswers | Kind::LongerAnswers => {
            let longer = kind == Kind::LongerAnswers;
            let factor = if longer { rng.between(1.3, 1.6) } else { rng.between(0.3, 0.6) };
            site.change(|shape| shape.output.0 *= factor);
            let load = if longer { load * 0.6 } else { load };
            site.load(load, load);
        }
        _ => {
            let rate = site.plan.workload.rate.at(site.onset);
            let usual = site.shape().clone();
            let long = usual.mean_prompt() * rng.between(4.0, 8.0);
            site.change(|shape| shape.oversize = (1.0, long));
            site.change_at(site.onset + 1.0 / rate, |shape| *shape = usual);
        }
    }
}

/// A few callers who do wrong or leave, always.
fn of_clients(kind: Kind, site: &mut Site, rng: &mut Rng) {
    let share = rng.between(0.008, 0.018);
    let shape = site.shape_mut();
    if kind == Kind::FewRefusals {
        shape.refused = (share, &[400, 401, 404, 422]);
    } else {
        shape.patience = rng.between(0.005, 0.02);
        shape.hasty = share;
    }
}

fn of_engine(kind: Kind, site: &mut Site, load: f64, rng: &mut Rng) {
    match kind {
        Kind::DataParallel => {
            if site.plan.version == "0.8.5" {
                site.plan.version = "0.12.0";
                site.plan.config.preempted_apart = true;
            }
            site.plan.engines = rng.pick(&[2, 3, 4]);
            site.load(load, load);
        }
        Kind::FullKv => {
            let rate = site.capacity * load;
            let running = site.running_at(rate, site.shape());
            site.plan.config.blocks = site.blocks_for(running * 1.4 + 3.0, site.shape());
        }
        Kind::Speculating => {
            site.plan.config.drafts = 2 + rng.below(4) as u32;
            site.plan.faults.push((0.0, Fault::Acceptance(rng.between(0.5, 0.85))));
        }
        Kind::NeverCached => {
            site.plan.config.caching = false;
            let shape = site.shape_mut();
            shape.own.0 += shape.prefix * 0.3;
            shape.prefix = 0.0;
            site.measure();
            site.load(load, load);
        }
        _ => {}
    }
}
