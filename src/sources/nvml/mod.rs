//! NVIDIA GPUs, through the driver's own library (NVML).
//!
//! The library is loaded in a child process of this program: a driver that hangs hangs every
//! caller, also beyond the reach of time-outs, and a child can be left behind.

#[cfg(feature = "nvml")]
mod ask;
#[cfg(feature = "nvml")]
mod device;
mod events;
#[cfg(feature = "nvml")]
mod owner;

use std::io::Read;
use std::net::{IpAddr, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::http;
use crate::evidence::bundle::Bundle;
use crate::evidence::{GpuSnapshot, SourceState, SourceStatus};
use crate::unit::counted;

pub(super) use events::events;

/// Name of the hidden command that asks the driver once.
pub const COMMAND: &str = "__nvml";

/// Time between two reads where the sampling takes long.
const BETWEEN: Duration = Duration::from_secs(60);

/// Most bytes of one answer.
const MAX_ANSWER: u64 = 8 << 20;

/// What the child prints: one line of JSON.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// What the driver said.
    Snapshot(GpuSnapshot),
    /// Why it said nothing.
    Failed {
        /// The class of failure.
        status: SourceState,
        /// In words.
        detail: String,
    },
}

/// How to reach the driver.
#[derive(Debug, Clone)]
pub struct Options {
    /// The library; none for the driver's own.
    pub library: Option<PathBuf>,
    /// How long it may take to answer.
    pub deadline: Duration,
}

/// Asks the driver. This runs in the child, and may hang.
pub fn ask(library: Option<&Path>) -> Answer {
    #[cfg(feature = "nvml")]
    return ask::ask(library);
    #[cfg(not(feature = "nvml"))]
    return failed(
        SourceState::NotConfigured,
        format!("this build cannot read GPUs (feature nvml), {library:?} included"),
    );
}

fn failed(status: SourceState, detail: impl Into<String>) -> Answer {
    Answer::Failed { status, detail: detail.into() }
}

/// Whether the host of `url` is this machine: its GPUs are those of the server then. No name is
/// resolved for that, because a name server that hangs would hold up the run.
pub fn is_here(url: &str) -> bool {
    let Ok(url) = http::parse_target(url) else { return false };
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
    let own = |address: IpAddr| UdpSocket::bind((address, 0)).is_ok();
    host == "localhost" || host.parse().is_ok_and(own)
}

/// Said where the server is not known to be on this machine.
pub fn elsewhere() -> SourceStatus {
    SourceStatus {
        id: "nvml".into(),
        status: SourceState::NotConfigured,
        detail: "the server is on another host; run this there, or give --nvml-library where its \
                 GPUs are those of this host"
            .into(),
        took_ms: None,
    }
}

/// What a run of reads gave.
#[derive(Debug, Default)]
struct Reads {
    bodies: Vec<(u64, Vec<u8>)>,
    failure: Option<SourceStatus>,
}

/// Reads beside the sampling of the server: at its start, at its end, and between.
#[derive(Debug)]
pub struct Sampler {
    stop: mpsc::Sender<()>,
    reads: JoinHandle<Reads>,
}

impl Sampler {
    /// Starts the first read.
    pub fn start(options: Options) -> Self {
        let (stop, stopped) = mpsc::channel();
        Self { stop, reads: thread::spawn(move || read_until(&stopped, &options)) }
    }

    /// Takes the last read, waits for it no longer than its deadline, and records all.
    pub fn finish(self, bundle: &mut Bundle) {
        // Where the thread has ended already, its failure is what there is.
        let _ = self.stop.send(());
        let reads = self.reads.join().unwrap_or_default();
        for (at, body) in reads.bodies {
            bundle.record("nvml", at, body);
        }
        bundle.meta.sources.extend(reads.failure);
    }
}

/// Reads until told to stop, and once more then; the first failure ends it.
fn read_until(stopped: &mpsc::Receiver<()>, options: &Options) -> Reads {
    let mut reads = Reads::default();
    let mut last = false;
    loop {
        let start = Instant::now();
        match read_once(options) {
            Answer::Snapshot(snapshot) => {
                let body = serde_json::to_vec(&snapshot).unwrap_or_default();
                reads.bodies.push(((snapshot.at * 1e3) as u64, body));
            }
            Answer::Failed { status, detail } => {
                let took_ms = Some(start.elapsed().as_millis() as u64);
                reads.failure = Some(SourceStatus { id: "nvml".into(), status, detail, took_ms });
                return reads;
            }
        }
        if last {
            return reads;
        }
        last = !matches!(stopped.recv_timeout(BETWEEN), Err(mpsc::RecvTimeoutError::Timeout));
    }
}

fn read_once(options: &Options) -> Answer {
    let child = match spawn(options) {
        Ok(child) => child,
        Err(why) => {
            let detail = format!("the process that asks the driver could not be started: {why}");
            return failed(SourceState::BadData, detail);
        }
    };
    wait(child, options.deadline)
}

fn spawn(options: &Options) -> std::io::Result<Child> {
    let mut command = Command::new(std::env::current_exe()?);
    command.arg(COMMAND).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    if let Some(library) = &options.library {
        command.arg("--library").arg(library);
    }
    command.spawn()
}

/// The child's answer. One that hangs is killed; one that hangs inside the kernel outlives that,
/// so nothing waits for its end.
fn wait(mut child: Child, deadline: Duration) -> Answer {
    let Some(stdout) = child.stdout.take() else {
        return failed(SourceState::BadData, "the process that asks the driver has no output");
    };
    let (send, receive) = mpsc::channel();
    thread::spawn(move || {
        let mut text = String::new();
        let read = stdout.take(MAX_ANSWER).read_to_string(&mut text);
        // Nobody listens any more after the deadline.
        drop(send.send(read.map(|_| text)));
    });
    let Ok(text) = receive.recv_timeout(deadline) else {
        let _ = child.kill();
        let _ = child.try_wait();
        let seconds = deadline.as_secs_f64();
        return failed(
            SourceState::TimedOut,
            format!("the GPU driver did not answer in {seconds} s; nvidia-smi will hang as well"),
        );
    };
    let ended = child.wait().map_or_else(|why| why.to_string(), |status| status.to_string());
    let answer = text.ok().and_then(|text| serde_json::from_str(&text).ok());
    answer.unwrap_or_else(|| {
        let detail = format!("asking the GPU driver's library ended without an answer ({ended})");
        failed(SourceState::BadData, detail)
    })
}

/// Snapshots of a bundle, in time order, and how that source did as a whole.
pub(super) fn read(bundle: &Bundle) -> (Vec<GpuSnapshot>, Option<SourceStatus>) {
    let parsed: Vec<Result<GpuSnapshot, String>> = bundle
        .recorded("nvml")
        .map(|(at, body)| {
            serde_json::from_slice(body).map_err(|why| format!("the record {at} is damaged: {why}"))
        })
        .collect();
    if parsed.is_empty() {
        return (Vec::new(), None);
    }
    let damaged = parsed.iter().find_map(|one| one.as_ref().err().cloned());
    let mut snapshots: Vec<GpuSnapshot> = parsed.into_iter().flatten().collect();
    snapshots.retain(|snapshot| snapshot.at.is_finite());
    snapshots.sort_by(|a, b| a.at.total_cmp(&b.at));
    let (status, detail) = match damaged {
        Some(why) if snapshots.is_empty() => (SourceState::BadData, why),
        Some(why) => (SourceState::Partial, why),
        None => state(&snapshots),
    };
    (snapshots, Some(SourceStatus { id: "nvml".into(), status, detail, took_ms: None }))
}

fn state(snapshots: &[GpuSnapshot]) -> (SourceState, String) {
    let Some(last) = snapshots.last() else {
        return (SourceState::BadData, "no snapshot could be read".into());
    };
    if last.gpus.is_empty() {
        return (SourceState::NotConfigured, "the driver lists no GPU".into());
    }
    let closed = last.gpus.iter().find_map(|gpu| gpu.unreachable.as_ref().map(|why| (gpu, why)));
    let mut detail =
        format!("{} of {}", counted(snapshots.len(), "read"), counted(last.gpus.len(), "GPU"));
    for (what, version) in [("driver", &last.driver_version), ("CUDA", &last.cuda_version)] {
        if let Some(version) = version.value() {
            detail.push_str(&format!(", {what} {version}"));
        }
    }
    match closed {
        Some((gpu, why)) => (SourceState::Partial, format!("{detail}; GPU {}: {why}", gpu.index)),
        None => (SourceState::Ok, detail),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_address_of_this_machine_is_here() {
        for url in ["http://127.0.0.1:8000", "localhost:8000"] {
            assert!(is_here(url), "{url}");
        }
        for url in ["http://192.0.2.7:8000", "https://vllm.example.com"] {
            assert!(!is_here(url), "{url}");
        }
    }
}
