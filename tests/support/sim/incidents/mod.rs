//! What each kind of incident changes in the engine or the workload, by theme.

pub mod adapters;
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
        Kind::Interference => {
            let also = &["context-budget-bypass"];
            Drawn::new(load::interference(rng), &["prefill-interference"], also)
        }
        Kind::Dead => {
            Drawn::new(compute::dies(Fault::Die(compute::DIED), rng), &["engine-dead"], &[])
        }
        Kind::Wedged => Drawn::new(compute::dies(Fault::Wedge, rng), &["engine-dead"], &[]),
        Kind::FewerSlots => Drawn::new(compute::fewer_slots(rng), &["engine-config-changed"], &[]),
        kind => of_prefix(kind, rng),
    }
}

fn of_prefix(kind: Kind, rng: &mut Rng) -> Drawn {
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
        Kind::NewPrompts => {
            let also = &["traffic-mix-diversified"];
            Drawn::new(prefix::new_edition(rng), &["prompt-version-broke-prefix"], also)
        }
        kind => of_memory(kind, rng),
    }
}

fn of_memory(kind: Kind, rng: &mut Rng) -> Drawn {
    let too_large = &["kv-working-set-too-large"];
    match kind {
        Kind::KvOutputs => Drawn::new(memory::kv(kind, rng), too_large, &["outputs-grew"]),
        Kind::KvPrompts => Drawn::new(memory::kv(kind, rng), too_large, &["prompts-grew"]),
        Kind::KvArrivals => {
            Drawn::new(memory::kv(kind, rng), too_large, &["load-exceeds-capacity"])
        }
        Kind::Evicting => {
            let also = &["kv-working-set-too-large", "outputs-grew"];
            Drawn::new(memory::evicting(rng), &["kv-pressure-evicts-prefixes"], also)
        }
        Kind::Leak => Drawn::new(memory::leak(rng), &["kv-block-leak"], &["engine-dead"]),
        Kind::OutOfMemory => {
            let also = &["engine-dead"];
            Drawn::new(memory::out_of_memory(rng), &["memory-config-too-aggressive"], also)
        }
        Kind::DoesNotFit => {
            let also = &["engine-dead", "container-startup-failure", "engine-config-changed"];
            let fault = Fault::FailStart(memory::DOES_NOT_FIT);
            Drawn::new(compute::dies(fault, rng), &["kv-cache-does-not-fit"], also)
        }
        Kind::CudaFault => {
            let words = rng.pick(&[compute::ILLEGAL_ACCESS, compute::NCCL_WATCHDOG]);
            Drawn::new(compute::dies(Fault::Die(words), rng), &["cuda-fault"], &["engine-dead"])
        }
        Kind::AdapterMissing => {
            let also = &["malformed-requests"];
            Drawn::new(adapters::missing(rng), &["adapter-load-failed"], also)
        }
        Kind::SlotsThrash => Drawn::new(adapters::too_many(rng), &["adapter-slots-thrash"], &[]),
        _ => unreachable!("{kind:?} is no single incident"),
    }
}
