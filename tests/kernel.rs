//! The kernel's log as evidence, through the program: what it blames and what it advises.
#![allow(missing_docs, clippy::unwrap_used)]

#[allow(dead_code)]
#[path = "support/cli.rs"]
mod cli;

use std::{io::Write, path::Path};

use cli::{Ran, incident, run};
use diagnose::{evidence::Span, sources::kernel::read};
use serde_json::Value;

const HEALTHY: &str = "healthy";

/// A sweep over a healthy recording beside a kernel's log that ends within it.
fn sweep(recording: &str, log: &str) -> Ran {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(log.as_bytes()).unwrap();
    let path = file.path().display().to_string();
    run(["sweep", "--format", "json", "--replay", &incident(recording), "--kernel-log", &path])
}

fn first(report: &Value) -> &Value {
    let first = &report["causes"][0];
    assert_eq!(first["status"], "supported", "{first}");
    first
}

#[track_caller]
fn assert_advises(cause: &Value, action: &str, words: &str) {
    let fixes = cause["fixes"].as_array().unwrap();
    let says = |fix: &&Value| {
        fix["action"] == action && fix["text"].as_str().is_some_and(|text| text.contains(words))
    };
    assert!(fixes.iter().any(|fix| says(&fix)), "no {action} with `{words}` in {fixes:#?}");
}

const XID_79: &str =
    "kernel: NVRM: Xid (PCI:0000:3b:00): 79, pid=1234, name=python3, GPU has fallen off the bus.\n";
const XID_31: &str = "kernel: NVRM: Xid (PCI:0000:3b:00): 31, pid=1234, name=VLLM::EngineCor, Ch 00000008, intr 00000000. MMU Fault: ENGINE GRAPHICS\n";

#[test]
fn a_gpu_off_the_bus_is_broken_hardware_and_the_machine_is_to_be_restarted() {
    let ran = sweep(HEALTHY, &XID_79.repeat(3));
    let report = ran.json();
    ran.assert_code(1);
    let cause = first(&report);
    assert_eq!(cause["id"], "gpu-hardware-degraded");
    assert_advises(cause, "replace_host", "restart its machine: Xid 79");
    let said = cause["for"].to_string();
    for part in ["on GPU 0000:3b:00 3 times", "python3 (1234)", "2025-10-29"] {
        assert!(said.contains(part), "`{part}` is missing in {said}");
    }
    let fixes = cause["fixes"].to_string();
    assert!(!fixes.contains("gpu-reset") && !fixes.contains("{xid}"), "{fixes}");
}

#[test]
fn a_page_fault_blames_the_application_and_not_the_hardware() {
    let report = sweep(HEALTHY, XID_31).json();
    let cause = first(&report);
    assert_eq!(cause["id"], "cuda-fault");
    assert_advises(cause, "restart_engine", "Xid 31");
    let blamed =
        report["causes"].as_array().unwrap().iter().find(|it| it["id"] == "gpu-hardware-degraded");
    assert_ne!(blamed.unwrap()["status"], "supported");
}

#[test]
fn what_the_catalogue_says_to_ignore_changes_no_verdict() {
    for code in [45, 63, 92, 154] {
        let line = format!("kernel: NVRM: Xid (PCI:0000:3b:00): {code}, x\n");
        let report = sweep(HEALTHY, &line).json();
        assert_eq!(report["verdict"], sweep(HEALTHY, "\n").json()["verdict"], "Xid {code}");
        assert!(report["symptoms"].as_array().unwrap().is_empty(), "Xid {code}");
    }
}

#[test]
fn a_memory_error_asks_for_a_reset_of_the_gpu_that_had_it() {
    let report = sweep(HEALTHY, "NVRM: Xid (PCI:0000:5e:00): 95, pid=7, name=x, y\n").json();
    let cause = first(&report);
    assert_eq!(cause["id"], "gpu-hardware-degraded");
    assert_advises(cause, "replace_host", "reset GPU 0000:5e:00");
    assert!(cause["fixes"].to_string().contains("nvidia-smi --gpu-reset -i 0000:5e:00"));
}

#[test]
fn a_killed_engine_is_named_and_another_victim_is_not_blamed() {
    let kill = |name: &str| {
        format!("kernel: Memory cgroup out of memory: Killed process 88 ({name}) total-vm:1kB\n")
    };
    let report = sweep(HEALTHY, &kill("VLLM::EngineCor")).json();
    let cause = first(&report);
    assert_eq!(cause["id"], "host-memory-exhausted");
    assert_advises(cause, "free_host", "more host memory");
    let other = sweep(HEALTHY, &kill("chrome")).json();
    assert!(other["symptoms"].as_array().unwrap().is_empty(), "{}", other["symptoms"]);
}

#[test]
fn what_the_kernel_said_days_ago_is_history() {
    let report = sweep(HEALTHY, &format!("2020-01-01T00:00:00+0000 h {XID_79}")).json();
    assert!(report["symptoms"].as_array().unwrap().is_empty(), "{}", report["symptoms"]);
}

#[test]
fn a_large_log_is_read_within_bounds() {
    let mut log =
        "usb 1-1: a line of no interest, and there are many of its kind\n".repeat(800_000);
    log.push_str(XID_79);
    let ran = sweep(HEALTHY, &log);
    assert_eq!(first(&ran.json())["id"], "gpu-hardware-degraded");
    ran.assert_calm(std::time::Duration::from_secs(20));
}

/// Replays every file of the fuzzer's seed corpus, so that a stable toolchain runs them too, and each
/// of them cut at every byte.
#[test]
fn the_fuzzing_corpus_is_read_without_panic() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus/kernel_log");
    let seeds: Vec<_> = std::fs::read_dir(folder).unwrap().collect();
    assert!(!seeds.is_empty());
    for seed in seeds {
        let log = std::fs::read(seed.unwrap().path()).unwrap();
        for end in 0..=log.len() {
            for event in read(&log[..end], 1.8e9).events {
                let sound = |when: Span| when.from <= when.to && when.to.is_finite();
                assert!(event.count >= 1 && event.when.is_none_or(sound), "{event:?}");
            }
        }
    }
}

#[test]
fn a_code_is_explained() {
    for id in [vec!["explain", "xid", "79"], vec!["explain", "xid-79"]] {
        let ran = run(id);
        ran.assert_code(0);
        ran.assert_says("fallen off the bus");
        ran.assert_says("restart machine");
    }
    run(["explain", "xid", "9999"]).assert_code(2);
}
