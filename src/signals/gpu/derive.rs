//! The arithmetic over snapshots.

use crate::evidence::gpu::{Between, Fault, Field, Gpu, GpuSnapshot};
use crate::evidence::{SourceState, Span};
use crate::signals::{Estimate, Frame, Missing, MissingKind, Value};

/// Remapped rows and retired pages at which the spares of the hardware end, as NVIDIA's DCGM has
/// them (`DCGM_LIMIT_MAX_ROW_REMAP_UNCORRECTABLE`, `DCGM_LIMIT_MAX_RETIRED_PAGES` plus one).
const MAX_REMAPPED_ROWS: f64 = 512.0;
const MAX_RETIRED_PAGES: f64 = 64.0;

/// The snapshots of a span; those before the first and after the last page belong to its ends.
fn looks<'a>(frame: &Frame<'a>) -> Result<Vec<&'a GpuSnapshot>, Missing> {
    let all = &frame.evidence.gpus;
    if all.is_empty() {
        return Err(not_asked(frame));
    }
    if frame.view.is_lifetime() {
        let why = "how the GPUs were before the window is not known";
        return Err(Missing::new(MissingKind::NoBaseline, why));
    }
    let span = widened(frame.view.span(), frame.evidence.span);
    let inside: Vec<_> = all.iter().filter(|snapshot| span.contains(snapshot.at)).collect();
    if inside.is_empty() { Err(Missing::no_samples("look at the GPUs")) } else { Ok(inside) }
}

fn widened(span: Span, all: Span) -> Span {
    Span {
        from: if span.from <= all.from { f64::MIN } else { span.from },
        to: if span.to >= all.to { f64::MAX } else { span.to },
    }
}

fn not_asked(frame: &Frame<'_>) -> Missing {
    let status = frame.evidence.source("nvml");
    match status.map(|source| (source.status, source.detail.clone())) {
        Some((SourceState::NotConfigured | SourceState::Unsupported, why)) => {
            Missing::new(MissingKind::NotConfigured, why)
        }
        Some((_, why)) => Missing::new(MissingKind::SourceFailed, why),
        None => Missing::new(MissingKind::NotConfigured, "the GPU (NVML) could not be looked at"),
    }
}

fn last<'a>(frame: &Frame<'a>) -> Result<&'a GpuSnapshot, Missing> {
    let looks = looks(frame)?;
    looks.last().copied().ok_or_else(|| Missing::no_samples("look at the GPUs"))
}

/// The server's GPUs at the first and the last look.
fn pairs<'a>(frame: &Frame<'a>) -> Result<Vec<Between<'a>>, Missing> {
    let looks = looks(frame)?;
    let (Some(first), Some(last)) = (looks.first(), looks.last()) else {
        return Err(Missing::no_samples("look at the GPUs"));
    };
    let own = last.of_server();
    let mut pairs = last.since(first);
    pairs.retain(|pair| own.iter().any(|gpu| gpu.index == pair.after.index));
    if pairs.is_empty() { Err(Missing::no_samples("second look at the GPUs")) } else { Ok(pairs) }
}

/// One number out of those that GPUs tell.
fn of(values: impl Iterator<Item = Option<f64>>, what: &str, pick: fn(f64, f64) -> f64) -> Value {
    let known = values.flatten().reduce(pick).ok_or_else(|| untold(what))?;
    Ok(Estimate::exact(known, None))
}

fn untold(what: &str) -> Missing {
    Missing::new(MissingKind::Absent, format!("no GPU or driver here tells {what}"))
}

/// The largest of a number over the server's GPUs, between two looks.
pub(super) fn between(
    frame: &Frame<'_>,
    what: &str,
    value: impl Fn(&Between<'_>) -> Option<f64>,
) -> Value {
    of(pairs(frame)?.iter().map(value), what, f64::max)
}

/// The largest of a number over the server's GPUs, at the last look.
fn largest(frame: &Frame<'_>, what: &str, value: impl Fn(&Gpu) -> Option<f64>) -> Value {
    of(last(frame)?.of_server().into_iter().map(value), what, f64::max)
}

fn over(part: &Field<f64>, whole: &Field<f64>) -> Option<f64> {
    Some(part.get()? / whole.get().filter(|whole| *whole > 0.0)?)
}

fn degrees(now: &Field<u32>, limits: [&Field<u32>; 2]) -> Option<f64> {
    let limit = limits.into_iter().find_map(Field::get).filter(|limit| *limit > 0)?;
    Some(f64::from(now.get()?) / f64::from(limit))
}

pub(super) fn count(frame: &Frame<'_>) -> Value {
    let looks = last(frame)?;
    if looks.gpus.is_empty() {
        return Err(Missing::new(MissingKind::NotConfigured, "the driver lists no GPU"));
    }
    Ok(Estimate::exact(looks.of_server().len() as f64, None))
}

pub(super) fn driver_timeouts(frame: &Frame<'_>) -> Value {
    let status = frame.evidence.source("nvml").map(|source| source.status);
    if status == Some(SourceState::TimedOut) {
        return Ok(Estimate::exact(1.0, None));
    }
    looks(frame).map(|_| Estimate::exact(0.0, None))
}

/// GPUs that have a fault, where any tells.
pub(super) fn having(frame: &Frame<'_>, fault: Fault) -> Value {
    let told: Vec<bool> = last(frame)?.gpus.iter().filter_map(|gpu| fault.of(gpu)).collect();
    if told.is_empty() {
        return Err(untold("that of itself"));
    }
    Ok(Estimate::exact(told.into_iter().filter(|has| *has).count() as f64, None))
}

/// GPUs that are lost, or that were listed first and are not any more.
pub(super) fn lost(frame: &Frame<'_>) -> Result<f64, Missing> {
    let looks = looks(frame)?;
    let last = last(frame)?;
    let gone = looks[0].gpus.iter().filter(|gpu| last.same(gpu).is_none()).count();
    match having(frame, Fault::Lost) {
        Ok(lost) => Ok(lost.point + gone as f64),
        Err(_) if gone > 0 => Ok(gone as f64),
        Err(untold) => Err(untold),
    }
}

pub(super) fn fault_count(frame: &Frame<'_>) -> Value {
    let acute = Fault::ALL.into_iter().filter(|fault| !fault.waits() && *fault != Fault::Lost);
    let told: Vec<f64> = acute
        .filter_map(|fault| Some(having(frame, fault).ok()?.point))
        .chain(lost(frame).ok())
        .collect();
    if told.is_empty() {
        return having(frame, Fault::UncorrectableErrors);
    }
    Ok(Estimate::exact(told.iter().sum(), None))
}

pub(super) fn uncorrectable(frame: &Frame<'_>) -> Value {
    let counts = last(frame)?.gpus.iter().map(|gpu| Some(gpu.errors.uncorrected.get()? as f64));
    of(counts, "its memory errors", |a, b| a + b)
}

pub(super) fn repair_budget(frame: &Frame<'_>) -> Value {
    let used = |gpu: &Gpu| {
        let errors = &gpu.errors;
        let rows = errors.remapped_uncorrected.get().map(|rows| rows as f64 / MAX_REMAPPED_ROWS);
        let pages = || {
            let retired = errors.retired_single.get()? + errors.retired_double.get()?;
            Some(retired as f64 / MAX_RETIRED_PAGES)
        };
        rows.or_else(pages)
    };
    let ratio = of(last(frame)?.gpus.iter().map(used), "how its memory was repaired", f64::max)?;
    Ok(Estimate::exact(ratio.point.min(1.0), None))
}

/// A GPU's clock over the one set; `None` for one without work.
fn clock_of(gpu: &Gpu) -> Option<f64> {
    in_use(gpu).then_some(())?;
    let set = [&gpu.clocks.sm_target_mhz, &gpu.clocks.sm_max_mhz].into_iter().find_map(Field::get);
    Some(f64::from(gpu.clocks.sm_mhz.get()?) / f64::from(set.filter(|set| *set > 0)?))
}

fn in_use(gpu: &Gpu) -> bool {
    gpu.utilisation_percent.get().is_some_and(|percent| percent > 0)
}

pub(super) fn clock(frame: &Frame<'_>) -> Value {
    let looks = looks(frame)?;
    let gpus = looks.iter().flat_map(|look| look.of_server());
    of(gpus.map(clock_of), "its clocks under work", f64::min)
}

pub(super) fn clock_peers(frame: &Frame<'_>) -> Value {
    let gpus = last(frame)?.of_server();
    let clocks = gpus.into_iter().filter(|gpu| in_use(gpu));
    let clocks: Vec<f64> =
        clocks.filter_map(|gpu| gpu.clocks.sm_mhz.get().map(f64::from)).collect();
    if clocks.len() < 2 {
        return Err(untold("a clock to compare with: it needs two GPUs in use"));
    }
    let slowest = clocks.iter().copied().fold(f64::INFINITY, f64::min);
    let fastest = clocks.iter().copied().fold(0.0, f64::max);
    Ok(Estimate::exact(slowest / fastest, None))
}

pub(super) fn slowdown(frame: &Frame<'_>) -> Value {
    let held = |pair: &Between<'_>| {
        [pair.throttled(), pair.power_capped()].into_iter().flatten().reduce(f64::max)
    };
    let held = between(frame, "how long its clocks were held", held)?.point;
    if held == 0.0 {
        return Ok(Estimate::exact(1.0, None));
    }
    let ratio = clock(frame)?.point.min(1.0);
    let most = 1.0 / (1.0 - held + held * ratio);
    Ok(Estimate { point: most, lo: 1.0, hi: most, n: None, bucket: true })
}

pub(super) fn power_limit(frame: &Frame<'_>) -> Value {
    let ratio = |gpu: &Gpu| over(&gpu.power.limit_watts, &gpu.power.default_limit_watts);
    of(last(frame)?.of_server().into_iter().map(ratio), "its power limit", f64::min)
}

pub(super) fn power(frame: &Frame<'_>) -> Value {
    largest(frame, "its power", |gpu| over(&gpu.power.draw_watts, &gpu.power.limit_watts))
}

pub(super) fn temperature(frame: &Frame<'_>) -> Value {
    largest(frame, "its temperature and the limit of it", |gpu| {
        let at = &gpu.temperature;
        degrees(&at.core, [&at.core_max, &at.slowdown])
    })
}

pub(super) fn memory_temperature(frame: &Frame<'_>) -> Value {
    largest(frame, "its memory's temperature and the limit of it", |gpu| {
        let at = &gpu.temperature;
        degrees(&at.memory, [&at.memory_max, &at.memory_max])
    })
}

pub(super) fn utilisation(frame: &Frame<'_>) -> Value {
    let gpus = last(frame)?.of_server();
    let shares: Vec<f64> = gpus
        .iter()
        .filter_map(|gpu| Some(f64::from(gpu.utilisation_percent.get()?) / 100.0))
        .collect();
    if shares.is_empty() {
        return Err(untold("its utilisation"));
    }
    Ok(Estimate::exact(shares.iter().sum::<f64>() / shares.len() as f64, None))
}

pub(super) fn memory_used(frame: &Frame<'_>) -> Value {
    largest(frame, "its memory", |gpu| {
        let memory = gpu.memory.get().filter(|memory| memory.total > 0)?;
        Some(memory.used as f64 / memory.total as f64)
    })
}

pub(super) fn foreign_memory(frame: &Frame<'_>) -> Value {
    let gpus = last(frame)?.of_server();
    let listed: Vec<_> = gpus.iter().filter_map(|gpu| gpu.processes.value()).flatten().collect();
    if listed.is_empty() {
        return Err(untold("the processes on it; those of other containers are hidden"));
    }
    if !listed.iter().any(|process| process.of_server) {
        let why = "none of the processes on the GPUs is known to be vLLM's";
        return Err(Missing::new(MissingKind::Undecided, why));
    }
    of(gpus.into_iter().map(foreign_share), "how much memory each process holds", f64::max)
}

fn foreign_share(gpu: &Gpu) -> Option<f64> {
    let total = gpu.memory.get().filter(|memory| memory.total > 0)?.total;
    let strangers = gpu.processes.value()?.iter().filter(|process| !process.of_server);
    let held: Option<Vec<u64>> = strangers.map(|process| process.memory_bytes.get()).collect();
    Some(held?.iter().sum::<u64>() as f64 / total as f64)
}

pub(super) fn link_faults(frame: &Frame<'_>) -> Value {
    let last = last(frame)?;
    if last.gpus.iter().all(|gpu| gpu.links.is_empty()) {
        let why = "the GPUs have no NVLink that the driver would tell of";
        return Err(Missing::new(MissingKind::NotConfigured, why));
    }
    let down: usize = last.links_down().iter().map(|(_, down)| down).sum();
    let disturbed: usize =
        pairs(frame).unwrap_or_default().iter().map(Between::disturbed_links).sum();
    Ok(Estimate::exact(down.max(disturbed) as f64, None))
}

pub(super) fn pcie_faults(frame: &Frame<'_>) -> Value {
    let fault = |gpu: &Gpu| {
        let pcie = &gpu.pcie;
        let narrow = pcie.width.get()? < pcie.width_max.get()?;
        let slow = in_use(gpu) && pcie.generation.get()? < pcie.generation_max.get()?;
        Some(if narrow || slow { 1.0 } else { 0.0 })
    };
    of(last(frame)?.gpus.iter().map(fault), "the link to its host", |a, b| a + b)
}
