//! The server's processes.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use super::super::local;
use super::{field, port as port_of, text};
use crate::evidence::bundle::args_without_secrets;
use crate::evidence::host::HostProcess;

/// Ticks of a second in /proc/*/stat, on every Linux in use.
const TICKS: f64 = 100.0;
/// Most processes and most open files looked at.
const MAX_ENTRIES: usize = 100_000;
/// Most processes of a server that are kept.
const MAX_KEPT: usize = 64;

/// Beginnings of variables that configure vLLM and its libraries.
const NAMED: [&str; 5] = ["SM_VLLM_", "VLLM_", "CUDA_", "NCCL_", "NVIDIA_VISIBLE_DEVICES"];

/// Variables whose values are nobody's secret.
const SHOWN: [&str; 18] = [
    "CUDA_DEVICE_ORDER",
    "CUDA_LAUNCH_BLOCKING",
    "CUDA_VISIBLE_DEVICES",
    "NCCL_DEBUG",
    "NCCL_IB_DISABLE",
    "NCCL_P2P_DISABLE",
    "NCCL_SHM_DISABLE",
    "NVIDIA_VISIBLE_DEVICES",
    "SM_VLLM_ENFORCE_EAGER",
    "SM_VLLM_GPU_MEMORY_UTILIZATION",
    "SM_VLLM_MAX_LORAS",
    "SM_VLLM_MAX_MODEL_LEN",
    "SM_VLLM_MAX_NUM_SEQS",
    "SM_VLLM_TENSOR_PARALLEL_SIZE",
    "VLLM_ATTENTION_BACKEND",
    "VLLM_LOGGING_LEVEL",
    "VLLM_USE_V1",
    "VLLM_WORKER_MULTIPROC_METHOD",
];

/// The server that listens on `port`, or the only one (a container may map its port), first; then
/// the processes that it started.
pub(super) fn find(proc: &Path, port: Option<u16>) -> Vec<HostProcess> {
    let servers = local::servers(proc);
    let listens = |server: &&local::LocalServer| port.is_some() && port_of(&server.url) == port;
    let only = servers.first().filter(|_| servers.len() == 1);
    let Some(server) = servers.iter().find(listens).or(only) else { return Vec::new() };
    let boot = text(&proc.join("stat")).and_then(|stat| field(&stat, "btime "));
    family(proc, server.pid)
        .into_iter()
        .filter_map(|pid| one(&proc.join(pid.to_string()), pid, boot))
        .take(MAX_KEPT)
        .collect()
}

/// A process and all that descend from it, itself first.
fn family(proc: &Path, root: u32) -> Vec<u32> {
    let entries = fs::read_dir(proc).into_iter().flatten().flatten().take(MAX_ENTRIES);
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let parents: BTreeMap<u32, u32> =
        pids.filter_map(|pid| Some((pid, stat(&proc.join(pid.to_string()))?.parent))).collect();
    let mut seen = BTreeSet::from([root]);
    let mut family = vec![root];
    let mut next = 0;
    while let Some(parent) = family.get(next).copied() {
        let children = parents.iter().filter(|(_, of)| **of == parent).map(|(pid, _)| *pid);
        family.extend(children.filter(|pid| seen.insert(*pid)));
        next += 1;
    }
    family
}

struct Stat {
    name: String,
    parent: u32,
    threads: u32,
    ticks: f64,
}

/// `12 (VLLM::EngineCor) S 1 …`; the name may hold blanks and brackets itself.
fn stat(folder: &Path) -> Option<Stat> {
    let text = text(&folder.join("stat"))?;
    let (_, rest) = text.split_once('(')?;
    let (name, rest) = rest.rsplit_once(") ")?;
    let fields: Vec<&str> = rest.split(' ').collect();
    Some(Stat {
        name: name.chars().take(64).collect(),
        parent: fields.get(1)?.parse().ok()?,
        threads: fields.get(17)?.parse().ok()?,
        ticks: fields.get(19)?.parse().ok()?,
    })
}

fn one(folder: &Path, pid: u32, boot: Option<u64>) -> Option<HostProcess> {
    let stat = stat(folder)?;
    let status = text(&folder.join("status"));
    let args =
        args_without_secrets(&local::command_line(&folder.join("cmdline")).unwrap_or_default());
    let limits = text(&folder.join("limits"));
    Some(HostProcess {
        pid,
        parent: stat.parent,
        name: stat.name,
        args,
        started: boot.map(|boot| boot as f64 + stat.ticks / TICKS),
        resident_bytes: status.and_then(|status| Some(field(&status, "VmRSS:")? * 1024)),
        threads: Some(stat.threads),
        open_files: open_files(folder),
        open_files_limit: limits.and_then(|limits| field(&limits, "Max open files")),
        env: shown(&environment(folder)),
    })
}

fn open_files(folder: &Path) -> Option<u64> {
    Some(fs::read_dir(folder.join("fd")).ok()?.take(MAX_ENTRIES * 10).count() as u64)
}

fn environment(folder: &Path) -> BTreeMap<String, String> {
    let raw = text(&folder.join("environ")).unwrap_or_default();
    let pair = |entry: &str| entry.split_once('=').map(|(name, value)| (name.into(), value.into()));
    raw.split('\0').filter_map(pair).collect()
}

fn shown(environment: &BTreeMap<String, String>) -> BTreeMap<String, Option<String>> {
    let named = environment.iter().filter(|(name, _)| NAMED.iter().any(|it| name.starts_with(it)));
    let value = |name: &String, value: &String| {
        SHOWN.contains(&name.as_str()).then(|| value.chars().take(100).collect())
    };
    named.map(|(name, text)| (name.clone(), value(name, text))).collect()
}

/// Where the server's model lies, by its flags and variables.
pub(super) fn model_folder(proc: &Path, pid: u32) -> Option<PathBuf> {
    let folder = proc.join(pid.to_string());
    let args = local::command_line(&folder.join("cmdline"))?;
    let env = environment(&folder);
    let local = args.iter().find(|arg| arg.starts_with('/') && !arg.contains("/bin/")).cloned();
    let chosen = local::flag(&args, "--download-dir").map(str::to_owned);
    let cache = ["HF_HUB_CACHE", "HF_HOME"].iter().find_map(|name| env.get(*name).cloned());
    let home = env.get("HOME").map(|home| format!("{home}/.cache/huggingface"));
    let path = PathBuf::from(chosen.or(local).or(cache).or(home)?);
    path.is_absolute().then_some(path)
}
