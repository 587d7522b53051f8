//! Runs of `diagnose load` against a server of the tests.
#![allow(dead_code)]

use std::fs;
use std::path::Path;
use std::process::Command;

use diagnose::load::result::{Distribution, GateRow, LoadResult, Measured, Since};
use tempfile::TempDir;

use crate::cli;
use crate::openai::Server;

/// Limits that a busy machine keeps, with short pieces for the test of over-saturation.
const LIMITS: &str = "
client: {loop_lag_p99: 30, cpu_share: 9, send_late_p99: 30, client_errors: 0}
saturation: {bin: 500ms, least_bins: 8, most_bins: 24, p_value: 0.001, growth: 0.1}
trends:
  least_samples: 8
  p_value: 0.01
  of:
    - {id: kv, title: KV cache in use, signal: kv_cache_usage_max_ratio, matters: 0.1}
bottlenecks:
  - {id: slots-full, signal: slots_full_pages_ratio, above: 0.3, says: 'all slots were taken at {now} of the looks'}
  - {id: queue, signal: queue_share_ratio, above: 0.3, says: '{now} of the time to first token went by in the queue'}
";

pub fn limits() -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("load")).unwrap();
    fs::write(dir.path().join("load/limits.yaml"), LIMITS).unwrap();
    dir
}

pub fn command(server: &Server, scenario: &str, flags: &str, own: &Path) -> Command {
    let mut command = cli::diagnose();
    command.args(["load", scenario, "--url", &server.url(), "--format", "json", "--quiet"]);
    command.args(["--skip", "host,nvml,kernel", "--runbooks"]).arg(own);
    command.args(flags.split_whitespace());
    command
}

/// Runs a scenario; the exit code and the result.
#[track_caller]
pub fn load(server: &Server, scenario: &str, flags: &str) -> (i32, LoadResult) {
    let own = limits();
    let ran = cli::finish(&mut command(server, scenario, flags, own.path()));
    assert!(!ran.said().contains("panicked"), "{}", ran.stderr);
    (ran.code, serde_json::from_value(ran.json()).unwrap())
}

pub fn row<'a>(result: &'a LoadResult, id: &str) -> &'a GateRow {
    result.gate.iter().find(|row| row.id == id).unwrap()
}

pub fn latency(result: &LoadResult, of: Measured, since: Since) -> &Distribution {
    result.latency.iter().find(|row| (row.of, row.since) == (of, since)).unwrap()
}
