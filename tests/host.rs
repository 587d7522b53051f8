//! The server's machine as evidence, through the program.
#![allow(missing_docs, clippy::unwrap_used)]

#[allow(dead_code)]
#[path = "support/cli.rs"]
mod cli;
#[allow(dead_code)]
#[path = "support/mod.rs"]
mod support;

use std::{fs, path::Path};

use cli::{Ran, incident, run};
use diagnose::{
    evidence::{
        HostRound,
        bundle::{Bundle, Limits},
        host::{Cgroup, Pressure},
    },
    sources::host,
};
use serde_json::Value;

/// A sweep over a recording of slow decoding that keeps no durations of probes, so that only the
/// machine, as `shape` makes it every ten seconds, can tell why.
fn sweep(shape: impl Fn(f64, &mut HostRound)) -> Ran {
    let mut bundle = Bundle::load(&[incident("decode-slow").into()], &Limits::default()).unwrap();
    let probes = bundle.probes.values_mut().flat_map(|round| round.values_mut());
    probes.for_each(|probe| probe.ms = None);
    let (from, to) = bundle.span_ms().unwrap();
    for ms in (from..=to).step_by(10_000) {
        let seconds = (ms - from) as f64 / 1e3;
        let mut round = HostRound { at: ms as f64 / 1e3, cpus: Some(8), ..HostRound::default() };
        round.load_1m = Some(1.0);
        round.pressure.insert("cpu".into(), Pressure { some_avg60: 1.0, some_total_us: 0 });
        shape(seconds, &mut round);
        bundle.record("host", ms, serde_json::to_vec(&round).unwrap());
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("bundle");
    bundle.save(&path).unwrap();
    run(["sweep", "--format", "json", "--replay", path.to_str().unwrap()])
}

fn first(report: &Value) -> &Value {
    let first = &report["causes"][0];
    assert_eq!(first["status"], "supported", "{first}");
    first
}

#[test]
fn a_throttled_cgroup_is_the_cause_of_slow_steps_and_its_share_is_told() {
    let report = sweep(|seconds, round| {
        let periods = (seconds * 10.0) as u64;
        let (cpu_periods, cpu_throttled_periods) = (Some(periods), Some(periods * 6 / 10));
        let cpu_limit = Some(2.0);
        round.cgroup =
            Some(Cgroup { cpu_limit, cpu_periods, cpu_throttled_periods, ..Cgroup::default() });
    })
    .json();
    let cause = first(&report);
    assert_eq!(cause["id"], "host-cpu-contention");
    let said = cause.to_string();
    assert!(said.contains("quota was used up in 60 % of its periods"), "{said}");
}

#[test]
fn a_machine_short_of_cpu_time_is_the_cause_of_slow_steps() {
    let report = sweep(|seconds, round| {
        let some_total_us = (seconds * 0.9e6) as u64;
        round.pressure.insert("cpu".into(), Pressure { some_avg60: 90.0, some_total_us });
    })
    .json();
    assert_eq!(first(&report)["id"], "host-cpu-contention");
}

#[test]
fn a_machine_with_time_to_spare_is_not_blamed() {
    let report = sweep(|_, round| {
        round.cgroup = Some(Cgroup { cpu_limit: None, ..Cgroup::default() });
    })
    .json();
    let causes = report["causes"].as_array().unwrap();
    let host = causes.iter().find(|cause| cause["id"] == "host-cpu-contention").unwrap();
    assert_ne!(host["status"], "supported", "{host}");
    assert_eq!(first(&report)["id"], "compute-degraded");
}

fn tree(files: &[(&str, &str)]) -> tempfile::TempDir {
    let root = tempfile::tempdir().unwrap();
    for (path, text) in files {
        let path = root.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    root
}

fn live(url: &str, root: &Path, more: &[&str]) -> Ran {
    let root = root.to_str().unwrap();
    let given = ["sweep", "--format", "json", "--window", "1s", "--url", url, "--host-root", root];
    run(given.iter().chain(more))
}

fn reading<'a>(report: &'a Value, signal: &str) -> &'a Value {
    let rows = report["readings"].as_array().unwrap();
    rows.iter().find(|row| row["signal"] == signal).unwrap()
}

#[test]
fn the_machine_of_a_live_server_is_read_and_a_victim_is_joined_to_it() {
    let root = tree(&[
        ("proc/stat", "cpu0 1\ncpu1 1\nbtime 1000\n"),
        ("proc/loadavg", "5.00 1.0 0.5 1/2 3\n"),
        ("proc/meminfo", "MemTotal: 1000 kB\nMemAvailable: 250 kB\n"),
        ("proc/12/cmdline", "vllm\0serve\0m\0--max-num-seqs\x0077\0--api-key\0hunter2\0"),
        ("proc/12/stat", "12 (python3) S 1 1 1 0 -1 0 0 0 0 0 0 0 0 0 20 0 7 0 500 0 0"),
        ("proc/12/environ", "HF_TOKEN=hunter2\0VLLM_API_KEY=hunter2\0"),
    ]);
    let log = tempfile::NamedTempFile::new().unwrap();
    fs::write(log.path(), "Out of memory: Killed process 12 (python3) total-vm:1kB\n").unwrap();
    let server = support::Server::vllm(|stream| support::page("/metrics", stream));
    let ran = live(&server.url(), root.path(), &["--kernel-log", log.path().to_str().unwrap()]);
    let report = ran.json();
    assert_eq!(reading(&report, "load_per_cpu_factor")["now"], 2.5);
    assert_eq!(reading(&report, "host_memory_available_ratio")["now"], 0.25);
    assert!(reading(&report, "cgroup_throttled_ratio")["missing"].is_string());
    assert_eq!(first(&report)["id"], "host-memory-exhausted");
    assert!(!ran.said().contains("hunter2"));
}

#[test]
fn a_tree_without_anything_costs_nothing_but_coverage() {
    let root = tree(&[("proc/loadavg", "\u{0}garbage")]);
    let server = support::Server::vllm(|stream| support::page("/metrics", stream));
    let report = live(&server.url(), root.path(), &["--skip", "kernel"]).json();
    let missing = reading(&report, "load_per_cpu_factor");
    assert!(missing["now"].is_null() && missing["missing"].is_string(), "{missing}");
}

#[test]
fn what_was_left_out_is_not_read() {
    let server = support::Server::vllm(|stream| support::page("/metrics", stream));
    let root = tree(&[("proc/loadavg", "5.00 1.0 0.5 1/2 3\n")]);
    let report = live(&server.url(), root.path(), &["--only", "metrics"]).json();
    for id in ["host", "kernel"] {
        let source = report["sources"].as_array().unwrap().iter().find(|it| it["id"] == id);
        assert_eq!(source.unwrap()["status"], "not_configured", "{id}");
    }
}

#[test]
fn this_machine_can_be_read_at_all() {
    let seen = host::read(Path::new("/"), None, 1.0);
    assert!(seen.cpus.is_some_and(|count| count > 0) && seen.load_1m.is_some(), "{seen:?}");
}
