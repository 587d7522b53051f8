//! What each kind of incident changes in the engine or the workload, by theme.

pub mod compute;
pub mod http;
pub mod load;
pub mod memory;
pub mod outside;
pub mod pairs;
pub mod prefix;

use super::{cases::Drawn, kinds::Kind, plan::Fault, rng::Rng};

/// Draws an incident with one cause of the catalogue.
pub fn single(kind: Kind, rng: &mut Rng) -> Drawn {
    match kind {
        Kind::Overload => Drawn::new(load::overload(rng), &["load-exceeds-capacity"], &[]),
        Kind::PromptsGrew => Drawn::new(load::prompts(rng), &["prompts-grew"], &[]),
        Kind::OutputsGrew => Drawn::new(load::outputs(rng), &["outputs-grew"], &[]),
        Kind::BudgetBypass => Drawn::new(load::bypass(rng), &["context-budget-bypass"], &[]),
        Kind::Imbalance => Drawn::new(load::imbalance(rng), &["replica-imbalance"], &[]),
        Kind::GivingUp => {
            let causes = &["load-exceeds-capacity", "clients-giving-up"];
            Drawn::new(load::giving_up(rng), causes, &["retry-storm"])
        }
        Kind::Malformed => {
            Drawn::new(http::refused(&[400, 404, 422], rng), &["malformed-requests"], &[])
        }
        Kind::Unauthorized => {
            Drawn::new(http::refused(&[401], rng), &["auth-or-quota-rejections"], &[])
        }
        Kind::HostBusy => {
            Drawn::new(compute::host_busy(rng), &["host-cpu-contention"], &["compute-degraded"])
        }
        Kind::SlowGpu => Drawn::new(compute::slow_gpu(rng), &["compute-degraded"], &[]),
        Kind::BigBatches => Drawn::new(compute::big_batches(rng), &["excess-concurrency"], &[]),
        Kind::Dead => Drawn::new(compute::dies(Fault::Die, rng), &["engine-dead"], &[]),
        Kind::Wedged => Drawn::new(compute::dies(Fault::Wedge, rng), &["engine-dead"], &[]),
        Kind::FewerSlots => Drawn::new(compute::fewer_slots(rng), &["engine-config-changed"], &[]),
        kind => of_memory(kind, rng),
    }
}

fn of_memory(kind: Kind, rng: &mut Rng) -> Drawn {
    let too_large = &["kv-working-set-too-large"];
    match kind {
        Kind::Volatile => Drawn::new(prefix::volatile(1.0, rng), &["volatile-prompt-prefix"], &[]),
        Kind::VolatileHalf => {
            Drawn::new(prefix::volatile(0.5, rng), &["volatile-prompt-prefix"], &[])
        }
        Kind::CachingOff => {
            let also = &["engine-config-changed"];
            Drawn::new(prefix::caching_off(rng), &["prefix-caching-disabled"], also)
        }
        Kind::ColdCache => Drawn::new(prefix::cold(rng), &["cache-cold-after-restart"], &[]),
        Kind::KvOutputs => Drawn::new(memory::kv(kind, rng), too_large, &["outputs-grew"]),
        Kind::KvPrompts => Drawn::new(memory::kv(kind, rng), too_large, &["prompts-grew"]),
        Kind::KvArrivals => {
            Drawn::new(memory::kv(kind, rng), too_large, &["load-exceeds-capacity"])
        }
        Kind::Evicting => {
            let also = &["kv-working-set-too-large", "outputs-grew"];
            Drawn::new(memory::evicting(rng), &["kv-pressure-evicts-prefixes"], also)
        }
        _ => unreachable!("{kind:?} is no single incident"),
    }
}
