//! GPUs through the driver's library: the real wrapper, the program's own child process, and a
//! simulated library that answers from fixtures/nvml/.
#![cfg(all(feature = "nvml", target_os = "linux"))]
#![allow(dead_code, clippy::unwrap_used, clippy::expect_used)]

#[path = "support/cli.rs"]
mod cli;
mod support;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::Duration;

use cli::Ran;
use serde_json::Value;
use support::{Server, respond};

const PAGE: &[u8] = include_bytes!("../fixtures/exposition/vllm-0.23.0.prom");

/// The simulated library, built where this test was built.
fn library() -> &'static Path {
    static LIBRARY: OnceLock<PathBuf> = OnceLock::new();
    LIBRARY.get_or_init(|| {
        let binary = Path::new(env!("CARGO_BIN_EXE_diagnose"));
        let profile = binary.parent().unwrap();
        let mut build = Command::new(env!("CARGO"));
        build.args(["build", "--package", "nvml-sim", "--target-dir"]);
        build.arg(profile.parent().unwrap());
        if profile.ends_with("release") {
            build.arg("--release");
        }
        let built = build.current_dir(env!("CARGO_MANIFEST_DIR")).output().unwrap();
        assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
        profile.join("libnvml_sim.so")
    })
}

fn scenario(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("fixtures/nvml/{name}.yaml"))
}

fn vllm() -> Server {
    Server::vllm(|stream| respond(stream, "200 OK", PAGE))
}

/// Runs a command against a live server whose host has the GPUs of a scenario.
fn live(command: &str, scene: &str, more: &[&str]) -> Ran {
    live_with(command, scene, library(), more)
}

fn live_with(command: &str, scene: &str, library: &Path, more: &[&str]) -> Ran {
    let server = vllm();
    let mut run = cli::diagnose();
    run.env("NVML_SIM_SCENARIO", scenario(scene));
    run.args([command, "--url", &server.url(), "--nvml-library"]).arg(library).args(more);
    cli::finish(&mut run)
}

fn sweep(scene: &str) -> Value {
    live("sweep", scene, &["--window", "2s", "--format", "json"]).json()
}

fn source<'a>(report: &'a Value, id: &str) -> &'a Value {
    report["sources"].as_array().unwrap().iter().find(|source| source["id"] == id).unwrap()
}

fn reading(report: &Value, signal: &str) -> Option<f64> {
    let rows = report["readings"].as_array().unwrap();
    rows.iter().find(|row| row["signal"] == signal)?["now"].as_f64()
}

/// Asserts the first cause, that it is supported, its first action, and the sentence of the
/// timeline that names the card.
#[track_caller]
fn assert_first(report: &Value, cause: &str, action: &str, told: &str) {
    let first = &report["causes"][0];
    assert_eq!((&first["id"], &first["status"]), (&cause.into(), &"supported".into()), "{first:#}");
    assert_eq!(first["fixes"][0]["action"], action, "{:#}", first["fixes"]);
    let timeline = report["timeline"].as_array().unwrap();
    let texts: Vec<&str> = timeline.iter().filter_map(|entry| entry["text"].as_str()).collect();
    assert!(texts.iter().any(|text| text.contains(told)), "{told} is not in {texts:#?}");
}

#[track_caller]
fn assert_no_cause(report: &Value) {
    let causes = report["causes"].as_array().unwrap();
    let named: Vec<_> = causes.iter().filter(|cause| cause["status"] == "supported").collect();
    assert!(named.is_empty(), "{named:#?}");
}

#[test]
fn a_healthy_gpu_is_no_cause_and_all_of_it_is_read() {
    let report = sweep("healthy-h100");
    assert_no_cause(&report);
    let nvml = source(&report, "nvml");
    assert_eq!(nvml["status"], "ok", "{nvml}");
    assert_eq!(nvml["detail"], "2 reads of 1 GPU, driver 535.183.01, CUDA 12.2");
    for (signal, expected) in [
        ("gpu_count", 1.0),
        ("gpu_fault_count", 0.0),
        ("gpu_throttle_ratio", 0.0),
        ("gpu_power_cap_ratio", 0.0),
        ("gpu_repairs_pending_count", 0.0),
        ("gpu_pcie_faults_count", 0.0),
        ("foreign_gpu_memory_ratio", 0.0),
        ("gpu_utilisation_ratio", 0.98),
        ("gpu_clock_ratio", 1965.0 / 1980.0),
        ("gpu_power_limit_ratio", 1.0),
        ("gpu_power_ratio", 412.0 / 700.0),
        ("gpu_temperature_ratio", 54.0 / 87.0),
        ("gpu_memory_temperature_ratio", 66.0 / 95.0),
    ] {
        let read = reading(&report, signal).unwrap_or_else(|| panic!("{signal} is missing"));
        assert!((read - expected).abs() < 1e-3, "{signal}: {read} and not {expected}");
    }
}

#[test]
fn each_fault_is_named_with_the_action_against_it() {
    let fault = "gpu-hardware-degraded";
    let card = "GPU 0 (NVIDIA H100 80GB HBM3, 00000000:1B:00.0), which runs process 4190001";
    for (scene, cause, action, told) in [
        ("uncorrectable-ecc", fault, "reset_gpu", "cannot be corrected since the driver loaded: 2"),
        ("remap-pending", fault, "reset_gpu", "waits for a reset to be taken out of use"),
        ("remap-failure", fault, "replace_host", "bad memory rows could not be remapped"),
        ("reset-required", fault, "reset_gpu", "GPU 0: it needs a reset"),
        ("lost-gpu", fault, "restart_host", "GPU 1: it fell off the bus"),
        ("t4-retired-pages", fault, "reset_gpu", "GPU 0 (Tesla T4"),
        ("uncorrectable-ecc", fault, "reset_gpu", card),
        ("foreign-process", "foreign-gpu-process", "free_host", "4190777 (jupyter-kernel) holds"),
        ("nvlink-down", "distributed-overhead", "observe", "4190004 (VLLM::Worker_TP3): links"),
    ] {
        assert_first(&sweep(scene), cause, action, told);
    }
}

#[test]
fn a_repair_that_waits_wakes_nobody() {
    let (pending, failed) = (sweep("remap-pending"), sweep("remap-failure"));
    assert_eq!((&pending["verdict"], &failed["verdict"]), (&"degraded".into(), &"critical".into()));
    let text = pending["causes"][0]["fixes"][0]["text"].as_str().unwrap();
    assert!(text.contains("next maintenance"), "{text}");
}

#[test]
fn heat_is_measured_as_a_share_of_time_and_says_what_it_explains() {
    let report = sweep("thermal-throttling");
    assert_first(&report, "gpu-throttled", "cool_host", "heat or the power brake held its clocks");
    let share = reading(&report, "gpu_throttle_ratio").unwrap();
    assert!((share - 0.41).abs() < 0.05, "{share}");
    let fixes = report["causes"][0]["fixes"].as_array().unwrap();
    let explained =
        fixes.iter().find(|fix| fix["action"] == "observe").unwrap()["text"].to_string();
    // 41 % of the time at 1200 of 1980 MHz: 1 / (0.59 + 0.41 × 0.606) = 1.19.
    assert!(explained.contains("1.1") || explained.contains("1.2"), "{explained}");
    assert!(explained.contains("do not explain longer prompts"), "{explained}");
}

#[test]
fn a_power_limit_is_a_fault_only_where_it_cuts_deep() {
    let report = sweep("power-throttling");
    assert_first(&report, "gpu-throttled", "change_flag", "the power limit held its clocks");
    let share = reading(&report, "gpu_power_cap_ratio").unwrap();
    assert!((share - 0.75).abs() < 0.08, "{share}");
    let first = report["causes"][0]["fixes"][0]["text"].as_str().unwrap();
    assert!(first.contains("50 %"), "{first}");
}

#[test]
fn what_the_driver_does_not_tell_is_missing_and_costs_nothing_else() {
    let old = sweep("old-driver");
    assert_no_cause(&old);
    assert_eq!(reading(&old, "foreign_gpu_memory_ratio"), None);
    assert_eq!(reading(&old, "gpu_temperature_ratio"), Some(54.0 / 87.0));
    assert_eq!(reading(&old, "gpu_fault_count"), Some(0.0), "errors are counted all the same");
    let split = sweep("mig");
    assert_no_cause(&split);
    assert_eq!(reading(&split, "gpu_remap_failures_count"), None);
    assert_eq!(reading(&split, "gpu_uncorrectable_errors_count"), Some(0.0));
}

#[test]
fn a_gpu_that_may_not_be_looked_at_is_not_called_well() {
    let report = sweep("no-permission");
    assert_no_cause(&report);
    let nvml = source(&report, "nvml");
    assert_eq!(nvml["status"], "partial", "{nvml}");
    assert!(nvml["detail"].as_str().unwrap().contains("refuses it to this user"), "{nvml}");
    assert_eq!(reading(&report, "gpu_fault_count"), None);
}

#[test]
fn a_driver_that_hangs_delays_the_run_by_its_deadline_and_is_a_finding() {
    let ran = live("sweep", "hangs", &["--window", "1s", "--timeout", "3s", "--format", "json"]);
    assert!(ran.took < Duration::from_secs(6), "{:?}", ran.took);
    let report = ran.json();
    assert_eq!(source(&report, "nvml")["status"], "timed_out");
    assert_eq!(source(&report, "metrics")["status"], "ok", "the rest answers");
    let first = &report["causes"][0];
    assert_eq!(
        (&first["id"], &first["status"]),
        (&"gpu-hardware-degraded".into(), &"supported".into())
    );
    assert_eq!(first["fixes"][0]["action"], "restart_host");
    ran.assert_code(1);
}

#[test]
fn a_library_that_is_none_is_a_status() {
    for library in [&scenario("healthy-h100"), Path::new(env!("CARGO_BIN_EXE_diagnose"))] {
        let more = ["--window", "1s", "--format", "json"];
        let report = live_with("sweep", "healthy-h100", library, &more).json();
        assert_eq!(source(&report, "nvml")["status"], "bad_data");
        assert_eq!(source(&report, "metrics")["status"], "ok");
        assert_no_cause(&report);
    }
}

#[test]
fn no_driver_costs_only_coverage_and_a_source_left_out_is_not_asked() {
    let server = vllm();
    let none = ["sweep", "--url", &server.url(), "--window", "1s", "--format", "json"];
    let report = cli::run(none).json();
    if !Path::new("/dev/nvidiactl").exists() {
        assert_eq!(source(&report, "nvml")["status"], "not_configured");
    }
    let skipped =
        live("sweep", "lost-gpu", &["--window", "1s", "--format", "json", "--skip", "nvml"]);
    assert_no_cause(&skipped.json());
    assert_eq!(source(&skipped.json(), "nvml")["status"], "not_configured");
}

#[test]
fn a_collected_bundle_gives_the_verdict_of_the_live_run() {
    let dir = tempfile::tempdir().unwrap();
    for scene in ["thermal-throttling", "foreign-process", "hangs"] {
        let path = dir.path().join(format!("{scene}.tar.zst"));
        let bundle = path.to_str().unwrap();
        let more = ["--duration", "1s", "--timeout", "3s", "--output", bundle];
        live("collect", scene, &more).assert_code(0);
        let replayed = cli::run(["sweep", "--replay", bundle, "--format", "json"]).json();
        let live =
            live("sweep", scene, &["--window", "1s", "--timeout", "3s", "--format", "json"]).json();
        let verdict = |report: &Value| {
            let first = &report["causes"][0];
            let actions: Vec<Value> = first["fixes"]
                .as_array()
                .unwrap()
                .iter()
                .map(|fix| fix["action"].clone())
                .collect();
            (report["verdict"].clone(), first["id"].clone(), first["status"].clone(), actions)
        };
        assert_eq!(verdict(&replayed), verdict(&live), "{scene}");
    }
}
