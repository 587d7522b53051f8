//! What each kind of incident changes in the engine or the workload, by theme.

pub mod adapters;
pub mod compute;
pub mod http;
pub mod load;
pub mod memory;
pub mod outside;
pub mod pairs;
pub mod prefix;

use super::{cases::Drawn, kinds::Kind, machine::Trouble, plan::Fault, rng::Rng};

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
        _ => of_machine(kind, rng),
    }
}

/// Faults of the machine, which its own sources tell.
fn of_machine(kind: Kind, rng: &mut Rng) -> Drawn {
    match kind {
        Kind::HotGpu => {
            let site =
                compute::troubled(Trouble::Heat(rng.between(0.3, 0.9)), compute::slow_gpu, rng);
            Drawn::new(site, &["gpu-throttled"], &["compute-degraded"])
        }
        Kind::LostGpu => {
            let xid = rng.pick(&[
                Trouble::Xid(79, "GPU has fallen off the bus."),
                Trouble::Xid(95, "Uncontained: memory error"),
                Trouble::Xid(119, "Timeout after 6s of waiting for RPC response from GPU0 GSP!"),
            ]);
            let dies = |rng: &mut Rng| compute::dies(Fault::Die(compute::DIED), rng);
            let also = &["engine-dead", "cuda-fault"];
            Drawn::new(compute::troubled(xid, dies, rng), &["gpu-hardware-degraded"], also)
        }
        Kind::QuotaUsed => {
            let quota = Trouble::Quota(rng.between(0.4, 0.9));
            let site = compute::troubled(quota, compute::host_busy, rng);
            Drawn::new(site, &["host-cpu-contention"], &["compute-degraded"])
        }
        Kind::Stranger => {
            let stranger = Trouble::Stranger(rng.between(0.03, 0.15));
            let site = compute::troubled(stranger, compute::at_work, rng);
            Drawn::new(site, &["foreign-gpu-process"], &[])
        }
        _ => unreachable!("{kind:?} is no single incident"),
    }
}
