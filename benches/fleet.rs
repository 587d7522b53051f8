//! A fleet of 200 replicas over 24 hours through a real Prometheus, as a user asks for it: wall time
//! and memory of the whole run. Takes minutes to fill: `cargo bench --bench fleet`.
#![allow(clippy::print_stdout, clippy::unwrap_used, clippy::expect_used, missing_docs)]

#[path = "../tests/support/prometheus.rs"]
mod prometheus;
#[path = "../tests/support/tools.rs"]
mod tools;

use std::{
    fmt::Write as _,
    fs,
    process::{Command, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};

use diagnose::sources::exposition;
use prometheus::Prometheus;

const PAGE: &[u8] =
    include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/exposition/vllm-0.23.0.prom"));
const REPLICAS: usize = 200;
const HOURS: u64 = 24;
const EVERY_MS: u64 = 300_000;
/// The replica that is full while the others idle.
const OUTLIER: usize = 117;

fn main() {
    // Whole steps of five minutes, in the past of any machine this runs on.
    let end_ms = 1_795_305_600_000_u64;
    let samples = samples(end_ms);
    println!("{} samples", samples.lines().count());
    let server = Prometheus::with(&samples);
    drop(samples);
    println!("{:>8} {:>10}", "wall s", "peak MiB");
    for _ in 0..3 {
        let (wall, peak, report) = run(&server.url(), end_ms);
        println!("{wall:>8.2} {peak:>10.1}");
        let outlier = format!("10.0.0.{OUTLIER}:8000");
        assert!(report.contains(&outlier), "the report does not name {outlier}");
    }
}

/// Every series of a page for every replica, counters growing and gauges as they are.
fn samples(end_ms: u64) -> String {
    let mut page = Vec::new();
    exposition::parse(PAGE, |sample| {
        let labels = sample.key[sample.raw_name.len()..].trim();
        let labels = labels.trim_start_matches('{').trim_end_matches('}').to_owned();
        page.push((sample.raw_name.to_owned(), labels, sample.value));
    });
    let steps = HOURS * 3_600_000 / EVERY_MS;
    let mut text = String::new();
    // A block takes series by series, so each stands together.
    for (name, labels, value) in &page {
        let counts = ["_total", "_bucket", "_sum", "_count"].iter().any(|end| name.ends_with(end));
        for replica in 0..REPLICAS {
            for step in 0..=steps {
                let at = end_ms - (steps - step) * EVERY_MS;
                let value = match name.as_str() {
                    "vllm:num_requests_waiting" if replica == OUTLIER => 60.0,
                    "vllm:num_requests_running" if replica == OUTLIER => 8.0,
                    "vllm:kv_cache_usage_perc" if replica == OUTLIER => 0.97,
                    "vllm:num_requests_running" => 2.0,
                    _ if counts => value * (step + 1) as f64,
                    _ => *value,
                };
                let comma = if labels.is_empty() { "" } else { "," };
                let _ = writeln!(
                    text,
                    "{name}{{{labels}{comma}instance=\"10.0.0.{replica}:8000\",job=\"vllm\"}} \
                     {value} {}",
                    at / 1000
                );
            }
        }
    }
    text
}

fn run(url: &str, end_ms: u64) -> (f64, f64, String) {
    let at = jiff::Timestamp::from_millisecond(end_ms as i64).unwrap().to_string();
    let start = Instant::now();
    let child = Command::new(env!("CARGO_BIN_EXE_diagnose"))
        .args(["sweep", "--prometheus", url, "--at", &at, "--history", "24h", "--timeout", "60s"])
        .args(["--format", "json"])
        .stdout(Stdio::piped())
        .spawn()
        .expect("the binary starts");
    let status = format!("/proc/{}/status", child.id());
    let reader = std::thread::spawn(move || child.wait_with_output().unwrap());
    let mut peak = 0.0_f64;
    while !reader.is_finished() {
        peak = peak.max(high_water(&status).unwrap_or(0.0));
        sleep(Duration::from_millis(5));
    }
    let wall = start.elapsed().as_secs_f64();
    (wall, peak, String::from_utf8_lossy(&reader.join().unwrap().stdout).into_owned())
}

/// Largest resident set so far, MiB.
fn high_water(status: &str) -> Option<f64> {
    let text = fs::read_to_string(status).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    Some(line.trim().trim_end_matches(" kB").parse::<f64>().ok()? / 1024.0)
}
