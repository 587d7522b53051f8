//! What a GPU reports as broken, and what held it back between two looks.

use super::{Field, Gpu, GpuLink, GpuSnapshot, Reason};

/// A state that the driver itself calls a fault, or a repair that waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// It fell off the bus.
    Lost,
    /// It needs a reset, as it or the driver says.
    ResetRequired,
    /// The host needs a restart, as the driver says.
    RebootRequired,
    /// It had memory errors that cannot be corrected since the driver loaded.
    UncorrectableErrors,
    /// Bad memory rows could not be remapped.
    RemapFailed,
    /// Bad rows or pages are taken out of use at the next reset.
    RepairPending,
}

impl Fault {
    /// All of them, the worst first.
    pub const ALL: [Self; 6] = [
        Self::Lost,
        Self::ResetRequired,
        Self::RebootRequired,
        Self::UncorrectableErrors,
        Self::RemapFailed,
        Self::RepairPending,
    ];

    /// Whether work goes on unharmed until it is dealt with.
    pub fn waits(self) -> bool {
        self == Self::RepairPending
    }

    /// Whether `gpu` has it; `None` where the driver does not tell.
    pub fn of(self, gpu: &Gpu) -> Option<bool> {
        let errors = &gpu.errors;
        match self {
            Self::Lost => gpu.answers(&Reason::GpuLost),
            Self::ResetRequired => {
                let asks = gpu.answers(&Reason::ResetRequired);
                either(asks, gpu.recovery_action.get().map(|action| matches!(action, 1 | 4)))
            }
            Self::RebootRequired => gpu.recovery_action.get().map(|action| action == 2),
            Self::UncorrectableErrors => errors.uncorrected.get().map(|count| count > 0),
            Self::RemapFailed => errors.remap_failed.get(),
            Self::RepairPending => {
                either(errors.remap_pending.get(), errors.retirement_pending.get())
            }
        }
    }

    /// What the GPU reports, a fragment behind its name.
    pub fn words(self, gpu: &Gpu) -> String {
        match self {
            Self::Lost => "it fell off the bus".into(),
            Self::ResetRequired => "it needs a reset".into(),
            Self::RebootRequired => "the driver asks for a restart of the host".into(),
            Self::UncorrectableErrors => {
                let count = gpu.errors.uncorrected.get().unwrap_or_default();
                format!("memory errors that cannot be corrected since the driver loaded: {count}")
            }
            Self::RemapFailed => "bad memory rows could not be remapped".into(),
            Self::RepairPending => "bad memory waits for a reset to be taken out of use".into(),
        }
    }
}

/// Yes where one says yes, else what is known.
fn either(one: Option<bool>, other: Option<bool>) -> Option<bool> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one || other),
        (one, other) => one.or(other),
    }
}

impl Gpu {
    /// Whether questions that every GPU answers end with this reason; `None` where all of them end
    /// with another.
    fn answers(&self, wanted: &Reason) -> Option<bool> {
        if let Some(reason) = &self.unreachable {
            return (reason == wanted).then_some(true);
        }
        let asked = [
            self.memory.reason(),
            self.temperature.core.reason(),
            self.utilisation_percent.reason(),
            self.pcie.replays.reason(),
            self.errors.uncorrected.reason(),
        ];
        if asked.contains(&Some(wanted)) {
            return Some(true);
        }
        asked.contains(&None).then_some(false)
    }

    /// The faults it has.
    pub fn faults(&self) -> Vec<Fault> {
        Fault::ALL.into_iter().filter(|fault| fault.of(self) == Some(true)).collect()
    }
}

/// One GPU at two moments.
#[derive(Debug, Clone, Copy)]
pub struct Between<'a> {
    /// The earlier look.
    pub before: &'a Gpu,
    /// The later look.
    pub after: &'a Gpu,
    /// Seconds between them, above 0.
    pub seconds: f64,
}

impl GpuSnapshot {
    /// Each GPU that stands in this snapshot and in an earlier one.
    pub fn since<'a>(&'a self, before: &'a Self) -> Vec<Between<'a>> {
        let seconds = self.at - before.at;
        let pair = |after: &'a Gpu| Some(Between { before: before.same(after)?, after, seconds });
        if seconds > 0.0 { self.gpus.iter().filter_map(pair).collect() } else { Vec::new() }
    }
}

impl Between<'_> {
    /// Share of the time in which heat or the power brake held the clocks.
    pub fn throttled(&self) -> Option<f64> {
        let (before, after) = (&self.before.held, &self.after.held);
        let shares = [
            self.share(&before.thermal_ns, &after.thermal_ns),
            self.share(&before.software_thermal_ns, &after.software_thermal_ns),
            self.share(&before.hardware_thermal_ns, &after.hardware_thermal_ns),
            self.share(&before.power_brake_ns, &after.power_brake_ns),
        ];
        shares.into_iter().flatten().reduce(f64::max)
    }

    /// Share of the time in which the power limit held the clocks.
    pub fn power_capped(&self) -> Option<f64> {
        self.share(&self.before.held.power_cap_ns, &self.after.held.power_cap_ns)
    }

    /// A counter of nanoseconds as a share; a counter that fell has started anew.
    fn share(&self, before: &Field<u64>, after: &Field<u64>) -> Option<f64> {
        let grown = after.get()?.checked_sub(before.get()?)?;
        Some((grown as f64 / 1e9 / self.seconds).min(1.0))
    }

    /// Packets that the host link sent again, a minute.
    pub fn replays_per_minute(&self) -> Option<f64> {
        let grown = self.after.pcie.replays.get()?.checked_sub(self.before.pcie.replays.get()?)?;
        Some(grown as f64 * 60.0 / self.seconds)
    }

    /// Links between GPUs that went down, or counted errors.
    pub fn disturbed_links(&self) -> usize {
        let disturbed = |after: &&GpuLink| {
            let before = self.before.links.iter().find(|before| before.link == after.link);
            before.is_some_and(|before| is_disturbed(before, after))
        };
        self.after.links.iter().filter(disturbed).count()
    }
}

fn is_disturbed(before: &GpuLink, after: &GpuLink) -> bool {
    let grew = |before: &Field<u64>, after: &Field<u64>| matches!((before.get(), after.get()), (Some(before), Some(after)) if after > before);
    (before.up.get(), after.up.get()) == (Some(true), Some(false))
        || grew(&before.replays, &after.replays)
        || grew(&before.recoveries, &after.recoveries)
        || grew(&before.crc_errors, &after.crc_errors)
}

impl GpuSnapshot {
    /// Links that are down on a GPU whose peers have more of them up. A link that no GPU has up
    /// has nothing at its other end.
    pub fn links_down(&self) -> Vec<(&Gpu, usize)> {
        let up = |gpu: &Gpu| gpu.links.iter().filter(|link| link.up.get() == Some(true)).count();
        let most = self.gpus.iter().map(up).max().unwrap_or_default();
        let short = self.gpus.iter().map(|gpu| (gpu, most - up(gpu)));
        short.filter(|(gpu, down)| *down > 0 && !gpu.links.is_empty()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn held(software: u64) -> Gpu {
        let mut gpu = Gpu::default();
        gpu.held.software_thermal_ns = Field::Value(software);
        gpu
    }

    #[test]
    fn a_share_of_time_needs_two_looks_of_one_driver() {
        let look = |at, ns| GpuSnapshot { at, gpus: vec![held(ns)], ..GpuSnapshot::default() };
        let share = |a: &GpuSnapshot, b: &GpuSnapshot| b.since(a)[0].throttled();
        assert_eq!(share(&look(10.0, 1_000), &look(20.0, 4_000_001_000)), Some(0.4));
        assert_eq!(share(&look(10.0, 9_000), &look(20.0, 1_000)), None, "the driver started anew");
        assert!(look(10.0, 1).since(&look(10.0, 1)).is_empty(), "no time passed");
    }

    #[test]
    fn a_link_without_another_end_is_not_down() {
        let links = |ups: &[bool]| {
            let link = |up: &bool| GpuLink { up: Field::Value(*up), ..GpuLink::default() };
            Gpu { links: ups.iter().map(link).collect(), ..Gpu::default() }
        };
        let of = |gpus: Vec<Gpu>| GpuSnapshot { gpus, ..GpuSnapshot::default() };
        let bridged = of(vec![links(&[true, false]), links(&[true, false])]);
        assert!(bridged.links_down().is_empty(), "half of the bridge was never fitted");
        let broken = of(vec![links(&[true, true]), links(&[true, false])]);
        assert_eq!(broken.links_down()[0].1, 1);
    }

    #[test]
    fn a_gpu_that_cannot_be_asked_is_neither_well_nor_lost() {
        let closed = |reason| Gpu { unreachable: Some(reason), ..Gpu::default() };
        assert_eq!(Fault::Lost.of(&closed(Reason::NoPermission)), None);
        assert_eq!(Fault::Lost.of(&closed(Reason::GpuLost)), Some(true));
        assert_eq!(Fault::UncorrectableErrors.of(&Gpu::default()), None);
    }
}
