//! What GPUs report, as sentences for the timeline: which card, and whose work it carries.

use crate::evidence::gpu::Between;
use crate::evidence::gpu::Gpu;
use crate::evidence::{Event, EventKind, GpuSnapshot, Time};
use crate::unit::Unit;

/// Events of all snapshots. A state is told when it is seen first; since when it holds is known
/// only where an earlier snapshot did not have it.
pub(crate) fn events(snapshots: &[GpuSnapshot]) -> Vec<Event> {
    let mut events: Vec<Event> = Vec::new();
    let mut before: Option<&GpuSnapshot> = None;
    for snapshot in snapshots {
        for text in sentences(snapshot, before) {
            if events.iter().all(|event| event.text != text) {
                let not_before = before.map_or(0.0, |before| before.at);
                events.push(event(snapshot.at, not_before, text));
            }
        }
        before = Some(snapshot);
    }
    events
}

fn event(at: Time, not_before: Time, text: String) -> Event {
    Event { at, not_before, kind: EventKind::GpuState, text, source: "nvml" }
}

fn sentences(snapshot: &GpuSnapshot, before: Option<&GpuSnapshot>) -> Vec<String> {
    let faults = snapshot.gpus.iter().flat_map(|gpu| {
        let known = before.and_then(|before| before.same(gpu)).unwrap_or(gpu);
        let faults = gpu.faults().into_iter();
        faults.map(move |fault| format!("{}: {}", carrying(known), fault.words(gpu)))
    });
    let links = snapshot
        .links_down()
        .into_iter()
        .map(|(gpu, down)| format!("{}: links to other GPUs that are down: {down}", carrying(gpu)));
    let pairs = before.map(|before| snapshot.since(before)).unwrap_or_default();
    faults.chain(links).chain(strangers(snapshot)).chain(pairs.iter().filter_map(held)).collect()
}

/// The card, with the server's process on it.
fn carrying(gpu: &Gpu) -> String {
    let Some(process) = gpu.server_processes().next() else { return gpu.label() };
    let name = process.name.as_deref().unwrap_or("unnamed");
    format!("{}, which runs process {} ({name})", gpu.label(), process.pid)
}

/// What held a card's clocks between two looks.
fn held(pair: &Between<'_>) -> Option<String> {
    let shown = |share: f64| Unit::Ratio.show(share);
    let (by_heat, by_power) = (pair.throttled(), pair.power_capped());
    let (share, what) = match (by_heat.filter(|it| *it > 0.0), by_power.filter(|it| *it > 0.0)) {
        (Some(share), _) => (share, "heat or the power brake"),
        (None, Some(share)) => (share, "the power limit"),
        (None, None) => return None,
    };
    let label = carrying(pair.after);
    Some(format!("{label}: {what} held its clocks {} of the time", shown(share)))
}

fn strangers(snapshot: &GpuSnapshot) -> Vec<String> {
    let all = || snapshot.gpus.iter().flat_map(|gpu| gpu.processes.value().into_iter().flatten());
    if !all().any(|process| process.of_server) {
        return Vec::new();
    }
    let mut told = Vec::new();
    for gpu in &snapshot.gpus {
        for process in gpu.processes.value().into_iter().flatten().filter(|it| !it.of_server) {
            let name = process.name.as_deref().unwrap_or("unnamed");
            let held = process
                .memory_bytes
                .get()
                .map_or("an unknown amount".into(), |bytes| Unit::Bytes.show(bytes as f64));
            told.push(format!("{}: process {} ({name}) holds {held}", gpu.label(), process.pid));
        }
    }
    told
}
