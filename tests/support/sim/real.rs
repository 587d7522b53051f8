//! Whether a run became what its kind says, by what requests went through.

use super::{
    kinds::Kind,
    plan::{Recording, Tally},
};

/// What changed between the two parts of a run.
struct Seen<'a> {
    before: &'a Tally,
    after: &'a Tally,
}

impl Seen<'_> {
    fn grew(&self, pick: impl Fn(&Tally) -> (f64, f64)) -> f64 {
        Tally::mean(pick(self.after)) / Tally::mean(pick(self.before)).max(1e-9)
    }

    fn slower(&self) -> bool {
        self.grew(|t| t.ttft) >= 1.7
    }

    fn streams_slower(&self) -> bool {
        self.grew(|t| t.itl) >= 1.7
    }

    /// How much the usual gap between tokens grew, by its geometric mean.
    fn typical(&self) -> f64 {
        let usual = |tally: &Tally| (tally.itl_shape.0 / tally.itl.1.max(1.0)).exp();
        usual(self.after) / usual(self.before)
    }

    /// How much the long gaps grew, by the root of the mean square.
    fn tails(&self) -> f64 {
        let long = |tally: &Tally| (tally.itl_shape.1 / tally.itl.1.max(1.0)).sqrt();
        long(self.after) / long(self.before)
    }

    fn same(&self) -> bool {
        self.grew(|t| t.ttft) < 1.4 && self.grew(|t| t.itl) < 1.3
    }

    fn waiting(&self) -> f64 {
        Tally::mean(self.after.waiting)
    }

    fn calm(&self) -> bool {
        Tally::mean(self.before.waiting) < 0.5 && self.before.preemptions == 0.0
    }

    fn enough(&self) -> bool {
        self.before.finished >= 40.0 && self.after.arrived >= 40.0
    }

    fn lost(&self) -> bool {
        self.grew(|t| t.cached) < 0.75
    }

    fn preempted(&self) -> f64 {
        self.after.preemptions / self.after.finished.max(1.0)
    }

    fn cooled(&self) -> bool {
        self.grew(|t| t.cached) < 0.8 && self.grew(|t| t.ttft) >= 2.0
    }

    fn refused(&self) -> f64 {
        self.after.refused / self.after.arrived.max(1.0)
    }

    fn gave_up(&self) -> bool {
        self.after.aborted / self.after.arrived.max(1.0) > 0.08
    }
}

pub fn is_real(kind: Kind, recording: &Recording) -> bool {
    let seen = Seen { before: &recording.before, after: &recording.after };
    if kind.is_healthy() {
        return is_well(kind, &seen);
    }
    use Kind::{CudaFault, Dead, DoesNotFit, LostGpu, OutOfMemory, Wedged};
    if matches!(kind, Dead | Wedged | CudaFault | OutOfMemory | DoesNotFit | LostGpu) {
        return seen.calm() && seen.before.finished >= 40.0;
    }
    if !seen.calm() || !seen.enough() {
        return false;
    }
    if kind.is_outside() {
        return is_felt(kind, &seen);
    }
    if kind.is_pair() { are_both(kind, &seen) } else { is_one(kind, &seen) }
}

fn is_well(kind: Kind, seen: &Seen<'_>) -> bool {
    let calm = |tally: &Tally| Tally::mean(tally.waiting) < 0.5 && tally.preemptions == 0.0;
    let fine = seen.same() && Tally::mean(seen.before.waiting) < 0.5 && seen.waiting() < 0.5;
    let share = |part: f64| part / seen.after.arrived.max(1.0);
    match kind {
        Kind::Idle => true,
        Kind::Sparse => calm(seen.before) && calm(seen.after),
        Kind::Bursty => {
            let rare = seen.before.refused / seen.before.arrived.max(1.0) < 0.02;
            seen.after.preemptions == 0.0 && rare && Tally::mean(seen.after.ttft) < 0.3
        }
        Kind::FewRefusals => fine && (0.003..0.03).contains(&seen.refused()),
        Kind::FewHangUps => fine && (0.003..0.03).contains(&share(seen.after.aborted)),
        Kind::FullKv => fine && calm(seen.after) && calm(seen.before) && seen.after.kv_peak > 0.75,
        Kind::ShorterAnswers | Kind::LongerAnswers => fine && calm(seen.after) && seen.enough(),
        _ => fine,
    }
}

fn is_one(kind: Kind, seen: &Seen<'_>) -> bool {
    let (slower, preempted) = (seen.slower(), seen.preempted());
    let queued = seen.waiting() >= 2.0;
    match kind {
        Kind::Overload | Kind::OutputsGrew | Kind::FewerSlots => {
            queued && slower && seen.after.preemptions == 0.0
        }
        Kind::PromptsGrew | Kind::BudgetBypass => slower && preempted == 0.0,
        Kind::Volatile | Kind::VolatileHalf | Kind::CachingOff => slower && seen.lost(),
        Kind::ColdCache => seen.lost() && slower,
        Kind::Stranger => seen.same(),
        Kind::NewPrompts => seen.cooled(),
        Kind::Interference => seen.tails() >= 2.0 && seen.typical() < 1.25 && preempted == 0.0,
        Kind::Leak => seen.waiting() >= 1.0 && seen.after.kv_peak > 0.97,
        Kind::KvOutputs | Kind::KvPrompts | Kind::KvArrivals => preempted > 0.1 && slower,
        Kind::Evicting => seen.grew(|t| t.cached) < 0.8 && slower && seen.after.kv_peak > 0.95,
        Kind::HostBusy | Kind::SlowGpu | Kind::HotGpu | Kind::QuotaUsed => {
            seen.streams_slower() && seen.waiting() < 20.0
        }
        Kind::BigBatches => seen.streams_slower() && seen.waiting() < 0.5 && preempted == 0.0,
        Kind::GivingUp => seen.gave_up(),
        Kind::Malformed | Kind::Unauthorized | Kind::AdapterMissing => seen.refused() > 0.07,
        _ => queued && slower,
    }
}

fn are_both(kind: Kind, seen: &Seen<'_>) -> bool {
    let (slower, refused) = (seen.slower(), seen.refused() > 0.08);
    match kind {
        Kind::VolatileMalformed => refused && slower && seen.lost(),
        Kind::SlowGpuUnauthorized | Kind::HostUnauthorized => {
            refused && seen.streams_slower() && seen.waiting() < 20.0
        }
        Kind::BypassMalformed => refused && slower && seen.after.preemptions == 0.0,
        Kind::BatchesMalformed => refused && seen.streams_slower() && seen.waiting() < 0.5,
        Kind::SlotsMalformed => refused && slower && seen.waiting() >= 2.0,
        Kind::PromptsGivingUp => slower && seen.gave_up(),
        _ => slower && seen.lost() && seen.waiting() >= 2.0,
    }
}

/// Users feel it, and none of the usual reasons is there.
fn is_felt(kind: Kind, seen: &Seen<'_>) -> bool {
    let usual = seen.after.preemptions == 0.0 && !seen.lost() && seen.refused() < 0.02;
    match kind {
        Kind::MixDiversified => seen.cooled(),
        Kind::DraftsRejected => usual && seen.grew(|t| t.per_token) >= 1.7 && seen.waiting() < 0.5,
        Kind::RegularPauses | Kind::RandomPauses | Kind::OneFreeze => {
            usual && seen.slower() && !seen.streams_slower()
        }
        _ => usual && seen.slower() && seen.grew(|t| t.itl) < 1.3,
    }
}
