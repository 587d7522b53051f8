//! What the kernel's log holds: errors of the GPU driver, processes killed for want of memory.

use std::collections::BTreeMap;

use crate::{
    evidence::{Evidence, HostRound, KernelEvent, KernelFact, KernelLog, Span},
    unit::{Unit, counted},
};

use super::{Derive, Estimate, Frame, Missing, MissingKind, Signal, Value};

/// Seconds before the end of the time judged in which what the kernel said still counts: hardware
/// does not heal by itself, and a restart of the machine empties the log.
const LOOK_BACK: f64 = 86_400.0;

/// Seconds by which the kernel's clock may run ahead of ours.
const SKEW: f64 = 60.0;

/// Names that vLLM gives its processes; the kernel keeps 15 characters of them.
const OWN_NAMES: [&str; 2] = ["VLLM::", "vllm"];

/// Rows of this family.
pub(super) static SIGNALS: &[Signal] = &[
    Signal {
        name: "gpu_xid_events_count",
        unit: Unit::Count,
        about: "Xid errors of the GPU driver in the kernel's log.",
        doc: "Of the day up to the end of the time judged, each line of a burst counted. The \
              kernel's log is the only place that has them; what a code means stands in \
              xid.yaml. Lines without a date are counted too.",
        source: "kernel",
        families: &[],
        derive: Derive::Span(xid_events),
    },
    Signal {
        name: "gpu_switch_faults_count",
        unit: Unit::Count,
        about: "Fatal errors of the switches between GPUs (SXid) in the kernel's log.",
        doc: "Of the day up to the end of the time judged; those that the line calls non-fatal \
              are left out.",
        source: "kernel",
        families: &[],
        derive: Derive::Span(switch_faults),
    },
    Signal {
        name: "host_oom_kills_count",
        unit: Unit::Count,
        about: "Processes that the kernel killed for want of memory.",
        doc: "From the kernel's log, of the day up to the end of the time judged, whichever \
              process it was.",
        source: "kernel",
        families: &[],
        derive: Derive::Span(|frame| kills(frame, |_, _| true)),
    },
    Signal {
        name: "server_oom_kills_count",
        unit: Unit::Count,
        about: "Processes of the server that the kernel killed for want of memory.",
        doc: "Victims in the kernel's log of the day up to the end of the time judged that are \
              named as vLLM names its processes, that have the number of one of them, or that \
              lived in the cgroup of the server.",
        source: "kernel",
        families: &[],
        derive: Derive::Span(|frame| kills(frame, is_own)),
    },
];

/// An Xid code as the kernel's log holds it, all its lines together.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct XidSeen {
    /// The code.
    pub code: u32,
    /// Lines.
    pub count: u32,
    /// PCI addresses of the GPUs, joined by commas.
    pub pci: String,
    /// Processes that met it, with their ids.
    pub processes: Vec<String>,
}

impl XidSeen {
    /// Where it was seen, how often, and by whom.
    pub fn shown(&self) -> String {
        let times = counted(self.count as usize, "time");
        let by = match &self.processes[..] {
            [] => String::new(),
            processes => format!(", by {}", processes.join(", ")),
        };
        format!("on GPU {} {times}{by}", self.pci)
    }
}

/// The Xid codes that count at the end of `span`, the most frequent first.
pub fn xids(evidence: &Evidence, span: Span) -> Result<Vec<XidSeen>, Missing> {
    let mut by_code: BTreeMap<u32, XidSeen> = BTreeMap::new();
    for event in recent(log(evidence)?, span) {
        let KernelFact::Xid { code, pci, pid, process } = &event.what else { continue };
        let seen =
            by_code.entry(*code).or_insert_with(|| XidSeen { code: *code, ..XidSeen::default() });
        seen.count += event.count;
        if !seen.pci.split(", ").any(|known| known == pci) {
            seen.pci =
                if seen.pci.is_empty() { pci.clone() } else { format!("{}, {pci}", seen.pci) };
        }
        let named = pid.map(|pid| match process {
            Some(name) => format!("{name} ({pid})"),
            None => format!("process {pid}"),
        });
        seen.processes.extend(named.filter(|named| !seen.processes.contains(named)));
    }
    let mut seen: Vec<XidSeen> = by_code.into_values().collect();
    seen.sort_by_key(|seen| std::cmp::Reverse(seen.count));
    Ok(seen)
}

fn log(evidence: &Evidence) -> Result<&KernelLog, Missing> {
    evidence.kernel.as_ref().ok_or_else(|| {
        let told = evidence.source("kernel").map(|source| source.detail.clone());
        let why = told.unwrap_or_else(|| "the kernel's log could not be looked at".into());
        Missing::new(MissingKind::NotConfigured, why)
    })
}

/// What the kernel said in the day before `span` ends, or may have.
fn recent(log: &KernelLog, span: Span) -> impl Iterator<Item = &KernelEvent> {
    log.events.iter().filter(move |event| {
        event.when.is_none_or(|when| when.to >= span.to - LOOK_BACK && when.from <= span.to + SKEW)
    })
}

fn count(frame: &Frame<'_>, wanted: impl Fn(&KernelFact) -> bool) -> Value {
    let events = recent(log(frame.evidence)?, frame.view.span());
    let total: u32 = events.filter(|event| wanted(&event.what)).map(|event| event.count).sum();
    Ok(Estimate::exact(f64::from(total), None))
}

fn xid_events(frame: &Frame<'_>) -> Value {
    count(frame, |what| matches!(what, KernelFact::Xid { .. }))
}

fn switch_faults(frame: &Frame<'_>) -> Value {
    count(frame, |what| matches!(what, KernelFact::SwitchXid { fatal: true, .. }))
}

fn kills(frame: &Frame<'_>, wanted: fn(&Evidence, &KernelFact) -> bool) -> Value {
    count(frame, |what| matches!(what, KernelFact::OomKill { .. }) && wanted(frame.evidence, what))
}

fn is_own(evidence: &Evidence, what: &KernelFact) -> bool {
    let KernelFact::OomKill { name, pid, cgroup } = what else { return false };
    let same_group = |round: &HostRound| {
        let own = round.cgroup.as_ref().map(|group| group.path.as_str());
        own.is_some_and(|own| own.len() > 1 && cgroup.as_deref() == Some(own))
    };
    let same_pid = |round: &HostRound| round.processes.iter().any(|it| it.pid == *pid);
    OWN_NAMES.iter().any(|own| name.starts_with(own))
        || evidence.host.iter().any(|round| same_pid(round) || same_group(round))
}
