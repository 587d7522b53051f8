//! The built binary as a user starts it: wall time, CPU time and memory of whole runs. With the path
//! of a built `vllm-doctor` in `PEER_VLLM_DOCTOR`, its runs on the same server stand below.
#![allow(clippy::print_stdout, clippy::unwrap_used, clippy::expect_used)]

use std::{
    io::{Read, Write},
    net::TcpListener,
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use nix::sys::resource::{UsageWho, getrusage};

const BINARY: &str = env!("CARGO_BIN_EXE_diagnose");
const INCIDENT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/incidents/kv-pressure");
const PAGE: &str =
    include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/exposition/vllm-0.23.0.prom"));

fn main() {
    let url = serve();
    println!("{:<44} {:>10} {:>10}", "run", "wall ms", "cpu ms");
    let report = |name, times, args: &[&str]| report(BINARY, name, times, args);
    report("--help", 50, &["--help"]);
    report("sweep --replay (35 scrapes)", 20, &["sweep", "--replay", INCIDENT]);
    report("high-ttft --replay (35 scrapes)", 20, &["high-ttft", "--replay", INCIDENT]);
    report("sweep --url, two scrapes 1 s apart", 10, &["sweep", "--url", &url, "--window", "1s"]);
    let bare = ["sweep", "--url", &url, "--window", "1s", "--skip", "host,nvml,kernel"];
    report("... metrics and probes only", 10, &bare);
    largest();
    if let Ok(peer) = std::env::var("PEER_VLLM_DOCTOR") {
        self::report(&peer, "vllm-doctor --help", 50, &["--help"]);
        let page = format!("{url}/metrics");
        self::report(&peer, "vllm-doctor diagnose, one scrape", 20, &["diagnose", &page]);
        largest();
    }
}

fn largest() {
    let largest = getrusage(UsageWho::RUSAGE_CHILDREN).unwrap().max_rss();
    println!("largest resident set of any run so far: {:.1} MiB", largest as f64 / 1024.0);
}

/// Medians over `times` runs.
fn report(program: &str, name: &str, times: usize, args: &[&str]) {
    let runs: Vec<(f64, f64)> = (0..times).map(|_| run(program, args)).collect();
    let median = |pick: fn(&(f64, f64)) -> f64| {
        let mut values: Vec<f64> = runs.iter().map(pick).collect();
        values.sort_by(f64::total_cmp);
        values[values.len() / 2]
    };
    println!("{name:<44} {:>10.1} {:>10.1}", median(|run| run.0), median(|run| run.1));
}

fn run(program: &str, args: &[&str]) -> (f64, f64) {
    let before = cpu();
    let start = Instant::now();
    let mut command = Command::new(program);
    command.args(args).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().expect("the binary starts");
    let wall = start.elapsed();
    (wall.as_secs_f64() * 1e3, (cpu() - before).as_secs_f64() * 1e3)
}

fn cpu() -> Duration {
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN).unwrap();
    let micros =
        |time: nix::sys::time::TimeVal| time.tv_sec() as u64 * 1_000_000 + time.tv_usec() as u64;
    Duration::from_micros(micros(usage.user_time()) + micros(usage.system_time()))
}

/// A server that answers every request with the same page.
fn serve() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            thread::spawn(move || answer(stream));
        }
    });
    url
}

fn answer(mut stream: std::net::TcpStream) {
    let mut request = [0_u8; 4096];
    let read = stream.read(&mut request).unwrap_or(0);
    let metrics = String::from_utf8_lossy(&request[..read]).starts_with("GET /metrics ");
    let body = if metrics { PAGE } else { "" };
    let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", body.len());
    let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(body.as_bytes()));
}
