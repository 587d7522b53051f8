//! The machine of the server: load, pressure, cgroup limits, and the server's processes.
//!
//! Every path lies under a root, so that a recorded tree reads like the machine itself.

mod cgroup;
mod process;

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use jiff::Timestamp;

use super::http;
use crate::evidence::bundle::Bundle;
use crate::evidence::host::{Disk, HostRound, Pressure};
use crate::evidence::{SourceState, SourceStatus, Time};
use crate::unit::counted;

/// Most bytes read of one file.
const MAX_FILE: u64 = 1 << 20;

/// Reads the machine under `root` (`/`) within `deadline`: a dead network share can hold up a look
/// at the disk. `port` is that of the server.
pub fn look(root: PathBuf, port: Option<u16>, deadline: Duration) -> Option<HostRound> {
    let at = Timestamp::now().as_millisecond() as f64 / 1e3;
    let (send, receive) = mpsc::channel();
    // Nobody listens any more after the deadline.
    thread::spawn(move || drop(send.send(read(&root, port, at))));
    receive.recv_timeout(deadline).ok()
}

/// The port of a server's address.
pub fn port(target: &str) -> Option<u16> {
    http::parse_target(target).ok()?.port_or_known_default()
}

/// Keeps what was seen before and after sampling. A look that did not end in time is noted.
pub fn record(bundle: &mut Bundle, looks: [Option<HostRound>; 2]) {
    let Some((from, to)) = bundle.span_ms() else { return };
    let lost = looks.iter().filter(|look| look.is_none()).count();
    let keys = [from, to.max(from + 1)];
    for (key, round) in keys.into_iter().zip(looks) {
        let body = round.and_then(|round| serde_json::to_vec(&round).ok());
        if let Some(body) = body {
            bundle.record("host", key, body);
        }
    }
    if lost > 0 {
        let detail = format!("{} of the machine did not end in time", counted(lost, "look"));
        bundle.notes.push(status(SourceState::Partial, detail));
    }
}

/// Keeps looks from between those.
pub fn record_between(bundle: &mut Bundle, looks: Vec<HostRound>) {
    for round in looks {
        if let Ok(body) = serde_json::to_vec(&round) {
            bundle.record("host", (round.at * 1e3) as u64, body);
        }
    }
}

/// What a bundle recorded of the machine, in time order, with its status.
pub(super) fn of_bundle(bundle: &Bundle) -> (Vec<HostRound>, Option<SourceStatus>) {
    let mut rounds: Vec<HostRound> = Vec::new();
    let mut wrong = None;
    for (at, body) in bundle.recorded("host") {
        match serde_json::from_slice(body) {
            Ok(round) => rounds.push(round),
            Err(error) => wrong = Some(format!("host/{at}.json cannot be read: {error}")),
        }
    }
    rounds.sort_by(|a, b| a.at.total_cmp(&b.at));
    let told = match (wrong, rounds.last()) {
        (Some(why), _) => Some(status(SourceState::BadData, why)),
        (None, Some(last)) => Some(status(SourceState::Ok, detail(rounds.len(), last))),
        (None, None) => None,
    };
    (rounds, told)
}

fn detail(looks: usize, last: &HostRound) -> String {
    let looks = counted(looks, "look");
    match &last.processes[..] {
        [] => format!("{looks} at the machine; the server's process was not found"),
        [server, rest @ ..] => {
            format!("{looks} at the machine; process {} and {} more", server.pid, rest.len())
        }
    }
}

fn status(status: SourceState, detail: String) -> SourceStatus {
    SourceStatus { id: "host".into(), status, detail, took_ms: None }
}

/// Reads the machine under `root`. What cannot be read is left out.
pub fn read(root: &Path, port: Option<u16>, at: Time) -> HostRound {
    let proc = root.join("proc");
    let memory = text(&proc.join("meminfo"));
    let bytes = |name: &str| Some(field(memory.as_deref()?, name)? * 1024);
    let pressure = ["cpu", "memory", "io"].into_iter().filter_map(|kind| {
        Some((kind.to_owned(), pressure(&text(&proc.join("pressure").join(kind))?)?))
    });
    let found = process::find(&proc, port);
    HostRound {
        at,
        cpus: text(&proc.join("stat")).map(|stat| cpus(&stat)).filter(|count| *count > 0),
        load_1m: text(&proc.join("loadavg"))
            .and_then(|load| load.split(' ').next()?.parse().ok())
            .filter(|load: &f64| load.is_finite() && *load >= 0.0),
        pressure: pressure.collect(),
        memory_total_bytes: bytes("MemTotal:"),
        memory_available_bytes: bytes("MemAvailable:"),
        cgroup: found.first().and_then(|server| cgroup::of(root, server.pid)),
        model_disk: found.first().and_then(|server| model_disk(&proc, server.pid)),
        processes: found,
    }
}

/// A text file, cut at its bound; bytes that are no text are replaced.
fn text(path: &Path) -> Option<String> {
    let mut raw = Vec::new();
    File::open(path).ok()?.take(MAX_FILE).read_to_end(&mut raw).ok()?;
    Some(String::from_utf8_lossy(&raw).into_owned())
}

/// The number behind a name at the start of a line.
fn field(text: &str, name: &str) -> Option<u64> {
    let rest = text.lines().find_map(|line| line.strip_prefix(name))?;
    rest.split_whitespace().next()?.parse().ok()
}

/// Lines `cpu0`, `cpu1`, … of /proc/stat.
fn cpus(stat: &str) -> u32 {
    let numbered = |line: &&str| {
        line.strip_prefix("cpu").is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
    };
    stat.lines().filter(numbered).count() as u32
}

/// `some avg10=0.00 avg60=1.50 avg300=0.00 total=12`
fn pressure(text: &str) -> Option<Pressure> {
    let some = text.lines().find_map(|line| line.strip_prefix("some "))?;
    let value = |name: &str| some.split(' ').find_map(|word| word.strip_prefix(name));
    let some_avg60: f64 = value("avg60=")?.parse().ok()?;
    let some_total_us = value("total=")?.parse().ok()?;
    (0.0..=100.0).contains(&some_avg60).then_some(Pressure { some_avg60, some_total_us })
}

/// The file system of the model, as the server's process sees it.
fn model_disk(proc: &Path, pid: u32) -> Option<Disk> {
    let path = process::model_folder(proc, pid)?;
    let inside = proc.join(pid.to_string()).join("root");
    let there = path.ancestors().find_map(|folder| {
        let seen = inside.join(folder.strip_prefix("/").unwrap_or(folder));
        rustix::fs::statvfs(&seen).ok()
    })?;
    Some(Disk {
        path: path.display().to_string(),
        total_bytes: there.f_blocks.saturating_mul(there.f_frsize),
        free_bytes: there.f_bavail.saturating_mul(there.f_frsize),
    })
}

#[cfg(test)]
mod tests;
