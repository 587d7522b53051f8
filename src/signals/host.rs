//! The server's machine beside its GPUs: CPU, memory, files, disk.

use crate::{
    evidence::{HostRound, host::HostProcess},
    unit::Unit,
};

use super::{Derive, Estimate, Frame, Missing, MissingKind, Signal, Value, cloud::metrics};

/// Rows of this family.
pub(super) static SIGNALS: &[Signal] = &[
    Signal {
        name: "cpu_pressure_ratio",
        unit: Unit::Ratio,
        about: "Share of time in which some task of the machine waited for a CPU.",
        doc: "From the kernel's pressure-stall counter, read twice; with one look, its average over the last minute.",
        source: "host",
        families: &[],
        derive: Derive::Span(cpu_pressure),
    },
    Signal {
        name: "load_per_cpu_factor",
        unit: Unit::Factor,
        about: "Load average over one minute, per CPU of the machine.",
        doc: "Above 1, more wants to run (or waits for a disk) than there are CPUs. Of the last look.",
        source: "host",
        families: &[],
        derive: Derive::Span(load_per_cpu),
    },
    Signal {
        name: "cgroup_throttled_ratio",
        unit: Unit::Ratio,
        about: "Share of the periods of the CPU quota in which the server used it up and was stopped.",
        doc: "From cpu.stat of the nearest cgroup of the server with a quota, read twice; 0 where none has one.",
        source: "host",
        families: &[],
        derive: Derive::Span(throttled),
    },
    Signal {
        name: "host_memory_available_ratio",
        unit: Unit::Ratio,
        about: "Share of the memory of the machine, or of the server's cgroup limit, that can still be had.",
        doc: "The smaller of both, of the last look; page cache that can be dropped counts as available. Without a look, what MemoryUtilization of /aws/sagemaker/Endpoints leaves.",
        source: "host",
        families: &[],
        derive: Derive::Span(memory_available),
    },
    Signal {
        name: "open_files_ratio",
        unit: Unit::Ratio,
        about: "Open files of the server's process with the largest share of its limit.",
        doc: "Of the last look. Each connection of a client is one open file.",
        source: "host",
        families: &[],
        derive: Derive::Span(open_files),
    },
    Signal {
        name: "model_disk_free_ratio",
        unit: Unit::Ratio,
        about: "Free share of the file system that holds the model or its cache.",
        doc: "The server's download folder, model folder, or Hugging Face cache, of the last look. Without a look, what DiskUtilization of /aws/sagemaker/Endpoints leaves.",
        source: "host",
        families: &[],
        derive: Derive::Span(disk_free),
    },
    Signal {
        name: "server_resident_bytes",
        unit: Unit::Bytes,
        about: "Resident memory of the server's processes together.",
        doc: "Pages that several of them share are counted for each. Of the last look.",
        source: "host",
        families: &[],
        derive: Derive::Span(resident),
    },
    Signal {
        name: "server_age_seconds",
        unit: Unit::Seconds,
        about: "How long the server's process had run at the last look.",
        doc: "By its start time; a short age beside an old symptom tells of restarts.",
        source: "host",
        families: &[],
        derive: Derive::Span(age),
    },
];

/// Seconds by which a look may lie outside of the pages that it stands beside.
const SLACK: f64 = 10.0;

fn looks<'a>(frame: &Frame<'a>) -> Result<Vec<&'a HostRound>, Missing> {
    let span = frame.view.span();
    let inside = |round: &&HostRound| round.at >= span.from - SLACK && round.at <= span.to + SLACK;
    let rounds: Vec<&HostRound> = frame.evidence.host.iter().filter(inside).collect();
    if rounds.is_empty() {
        return Err(Missing::new(MissingKind::NotConfigured, "the machine was not looked at"));
    }
    Ok(rounds)
}

/// A value of the last look that has it.
fn last(frame: &Frame<'_>, what: &str, of: impl Fn(&HostRound) -> Option<f64>) -> Value {
    let found = looks(frame)?.iter().rev().find_map(|round| of(round));
    found.map(|value| Estimate::exact(value, None)).ok_or_else(|| unread(what))
}

fn unread(what: &str) -> Missing {
    Missing::new(MissingKind::Absent, format!("the machine does not show {what}"))
}

fn cpu_pressure(frame: &Frame<'_>) -> Value {
    let rounds = looks(frame)?;
    let seen: Vec<_> =
        rounds.iter().filter_map(|it| Some((it.at, *it.pressure.get("cpu")?))).collect();
    match (seen.first(), seen.last()) {
        (Some((from, before)), Some((to, after)))
            if to - from >= 1.0 && after.some_total_us >= before.some_total_us =>
        {
            let waited = (after.some_total_us - before.some_total_us) as f64 / 1e6;
            Ok(Estimate::exact((waited / (to - from)).min(1.0), None))
        }
        (_, Some((_, only))) => Ok(Estimate::exact(only.some_avg60 / 100.0, None)),
        _ => Err(unread("pressure for CPU (PSI)")),
    }
}

fn load_per_cpu(frame: &Frame<'_>) -> Value {
    last(frame, "its load", |round| {
        Some(round.load_1m? / f64::from(round.cpus.filter(|count| *count > 0)?))
    })
}

fn throttled(frame: &Frame<'_>) -> Value {
    let rounds = looks(frame)?;
    let groups: Vec<_> = rounds.iter().filter_map(|round| round.cgroup.as_ref()).collect();
    let (Some(first), Some(last)) = (groups.first(), groups.last()) else {
        return Err(unread("the cgroup of the server"));
    };
    if last.cpu_limit.is_none() {
        return Ok(Estimate::exact(0.0, None));
    }
    let growth =
        |of: fn(&crate::evidence::host::Cgroup) -> Option<u64>| of(last)?.checked_sub(of(first)?);
    match (growth(|it| it.cpu_periods), growth(|it| it.cpu_throttled_periods)) {
        (Some(periods), Some(throttled)) if periods > 0 && throttled <= periods => {
            let ratio = throttled as f64 / periods as f64;
            Ok(Estimate::exact(ratio, Some(periods as f64)))
        }
        _ => Err(Missing::no_samples("two looks at cpu.stat of the server's cgroup")),
    }
}

/// By a look at the machine, else by what the endpoint of SageMaker sends of its instances.
fn or_endpoint(frame: &Frame<'_>, own: Value, metric: &str) -> Value {
    own.or_else(|why| metrics::left(frame, metric).map_err(|_| why))
}

fn memory_available(frame: &Frame<'_>) -> Value {
    let own = last(frame, "its memory", |round| {
        let share = |part: u64, of: u64| (of > 0).then(|| part as f64 / of as f64);
        let machine = share(round.memory_available_bytes?, round.memory_total_bytes?);
        let limited = round.cgroup.as_ref().and_then(|group| {
            let limit = group.memory_limit_bytes?;
            share(limit.saturating_sub(group.memory_used_bytes?), limit)
        });
        machine.into_iter().chain(limited).reduce(f64::min)
    });
    or_endpoint(frame, own, "MemoryUtilization")
}

fn open_files(frame: &Frame<'_>) -> Value {
    last(frame, "the open files of the server", |round| {
        let share = |it: &HostProcess| {
            let limit = it.open_files_limit.filter(|limit| *limit > 0)?;
            Some(it.open_files? as f64 / limit as f64)
        };
        round.processes.iter().filter_map(share).reduce(f64::max)
    })
}

fn disk_free(frame: &Frame<'_>) -> Value {
    let own = last(frame, "the file system of the model", |round| {
        let disk = round.model_disk.as_ref().filter(|disk| disk.total_bytes > 0)?;
        Some(disk.free_bytes as f64 / disk.total_bytes as f64)
    });
    or_endpoint(frame, own, "DiskUtilization")
}

fn resident(frame: &Frame<'_>) -> Value {
    last(frame, "the memory of the server", |round| {
        let bytes = round.processes.iter().filter_map(|it| it.resident_bytes);
        bytes.reduce(u64::saturating_add).map(|bytes| bytes as f64)
    })
}

fn age(frame: &Frame<'_>) -> Value {
    last(frame, "the process of the server", |round| {
        Some((round.at - round.processes.first()?.started?).max(0.0))
    })
}

/// Nobody asked for what the source would tell.
pub(super) fn not_read(what: &str) -> Value {
    Err(Missing::new(MissingKind::NotConfigured, format!("{what} could not be looked at")))
}
