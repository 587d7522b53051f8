//! A sweep over 1,000 live servers on this machine: wall time beside the sampling window, CPU time
//! and memory of the whole run. Each server is an address of its own, 127.1.0.1 to 127.1.3.232, and
//! one listener answers for all of them: `cargo bench --bench sweep`.
#![allow(clippy::print_stdout, clippy::unwrap_used, clippy::expect_used, missing_docs)]

use std::{
    fmt::Write as _,
    fs,
    process::{Command, Stdio},
    sync::OnceLock,
    thread::{self, sleep},
    time::{Duration, Instant},
};

use nix::sys::resource::{UsageWho, getrusage};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

const PAGE: &str =
    include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/exposition/vllm-0.23.0.prom"));
const TARGETS: usize = 1_000;
const BYTES: usize = 60_000;
const WINDOW: Duration = Duration::from_secs(3);
/// Every so many servers, one is full.
const FULL: usize = 50;

static ANSWERS: OnceLock<[Vec<u8>; 3]> = OnceLock::new();

fn main() {
    ANSWERS.get_or_init(|| {
        let full = PAGE
            .lines()
            .map(|line| match line {
                it if it.starts_with("vllm:num_requests_waiting{") => gauge(it, "60.0"),
                it if it.starts_with("vllm:kv_cache_usage_perc{") => gauge(it, "0.99"),
                it => it.to_owned() + "\n",
            })
            .collect::<String>();
        [answer(&padded(PAGE)), answer(&padded(&full)), answer(r#"{"version":"0.23.0"}"#)]
    });
    let port = serve();
    let list = list(port);
    println!("{:>26} {:>10} {:>10}", "wall s beside the window", "cpu s", "peak MiB");
    for _ in 0..3 {
        let (wall, cpu, peak) = run(list.path().to_str().unwrap());
        println!("{:>26.2} {cpu:>10.2} {peak:>10.1}", wall - WINDOW.as_secs_f64());
    }
}

fn gauge(line: &str, value: &str) -> String {
    let (series, _) = line.rsplit_once(' ').unwrap();
    format!("{series} {value}\n")
}

/// As large as pages of busy servers are.
fn padded(page: &str) -> String {
    let mut page = page.to_owned();
    let mut number = 0;
    while page.len() < BYTES {
        let _ = writeln!(page, "other_total{{number=\"{number}\"}} {number}.0");
        number += 1;
    }
    page
}

fn answer(body: &str) -> Vec<u8> {
    let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", body.len());
    (head + body).into_bytes()
}

/// Listens on every address of this machine.
fn serve() -> u16 {
    let listener = std::net::TcpListener::bind("0.0.0.0:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let listener = TcpListener::from_std(listener).unwrap();
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                tokio::spawn(one(stream));
            }
        })
    });
    port
}

async fn one(mut stream: TcpStream) {
    let mut request = [0_u8; 1024];
    let read = stream.read(&mut request).await.unwrap_or(0);
    let [well, full, version] = ANSWERS.get().unwrap();
    let full_one = index(&stream).is_some_and(|index| index % FULL == 0);
    let body: &[u8] = match &request[..read] {
        it if it.starts_with(b"GET /metrics ") && full_one => full,
        it if it.starts_with(b"GET /metrics ") => well,
        it if it.starts_with(b"GET /version ") => version,
        _ => b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n",
    };
    let _ = stream.write_all(body).await;
}

fn index(stream: &TcpStream) -> Option<usize> {
    let std::net::IpAddr::V4(ip) = stream.local_addr().ok()?.ip() else { return None };
    let [_, _, high, low] = ip.octets();
    Some(usize::from(high) * 250 + usize::from(low) - 1)
}

/// A list of file_sd, with a zone that tells nothing.
fn list(port: u16) -> tempfile::NamedTempFile {
    let group = |index: usize| {
        let address = format!("127.1.{}.{}:{port}", index / 250, index % 250 + 1);
        serde_json::json!({"targets": [address], "labels": {"zone": format!("z{}", index % 3)}})
    };
    let file = tempfile::NamedTempFile::new().unwrap();
    let groups: Vec<_> = (0..TARGETS).map(group).collect();
    fs::write(file.path(), serde_json::to_string(&groups).unwrap()).unwrap();
    file
}

/// Wall seconds, CPU seconds and largest resident set in MiB of one run.
fn run(list: &str) -> (f64, f64, f64) {
    let (before, start) = (cpu(), Instant::now());
    let window = format!("{}s", WINDOW.as_secs());
    let child = Command::new(env!("CARGO_BIN_EXE_diagnose"))
        .args(["sweep", "--targets", list, "--window", &window, "--format", "json"])
        .stdout(Stdio::piped())
        .spawn()
        .expect("the binary starts");
    let status = format!("/proc/{}/status", child.id());
    let reader = thread::spawn(move || child.wait_with_output().unwrap());
    let mut peak = 0.0_f64;
    while !reader.is_finished() {
        peak = peak.max(high_water(&status).unwrap_or(0.0));
        sleep(Duration::from_millis(20));
    }
    let wall = start.elapsed().as_secs_f64();
    let report: serde_json::Value = serde_json::from_slice(&reader.join().unwrap().stdout).unwrap();
    assert_eq!(report["counts"]["replicas"], TARGETS, "{}", report["counts"]);
    assert_eq!(report["counts"]["silent"], 0, "{}", report["counts"]);
    (wall, cpu() - before, peak)
}

fn cpu() -> f64 {
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN).unwrap();
    let seconds =
        |time: nix::sys::time::TimeVal| time.tv_sec() as f64 + time.tv_usec() as f64 / 1e6;
    seconds(usage.user_time()) + seconds(usage.system_time())
}

/// Largest resident set so far, MiB.
fn high_water(status: &str) -> Option<f64> {
    let text = fs::read_to_string(status).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    Some(line.trim().trim_end_matches(" kB").parse::<f64>().ok()? / 1024.0)
}
