//! A healthy vLLM, a Prometheus and an MLflow that tell of it, and each way in which they fail.

use std::{
    fmt::Write as _,
    io::Write as _,
    net::{Shutdown, TcpListener, TcpStream},
    sync::{
        Arc, LazyLock,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use diagnose::{
    evidence::bundle::{Bundle, Limits},
    sources::exposition,
};
use serde_json::{Value, json};

use super::{
    cli::incident,
    support::{self, Request, Server, respond, respond_with},
};

/// Pages of a healthy server, five seconds apart.
pub(super) static PAGES: LazyLock<Vec<Vec<u8>>> = LazyLock::new(|| {
    let bundle = Bundle::load(&[incident("healthy").into()], &Limits::default());
    bundle.unwrap().scrapes.into_values().collect()
});

/// Values that no server means.
const ODD: [&str; 6] = ["NaN", "+Inf", "-Inf", "-1", "1e308", "-1e308"];

/// A day, in seconds: a clock that was set.
const DAY: f64 = 86_400.0;

pub(super) fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs_f64()
}

/// What fails, and how: a source and the id of a fault.
pub(super) type Failing<'a> = (&'a str, &'a str);

/// Three servers, of which one may fail.
pub(super) struct World {
    pub(super) vllm: String,
    pub(super) prometheus: String,
    pub(super) mlflow: String,
}

impl World {
    pub(super) fn start((source, fault): Failing<'_>) -> Self {
        let of = |own: &[&str]| match own.contains(&source) {
            true => (source.to_owned(), fault.to_owned()),
            false => Default::default(),
        };
        Self {
            vllm: server(of(&["metrics", "probes"]), vllm),
            prometheus: server(of(&["prometheus"]), prometheus),
            mlflow: server(of(&["mlflow"]), mlflow),
        }
    }
}

/// What a server answers where nothing fails: status and body. The fault shapes its numbers.
type Answer = fn(&Request, fault: &str, asked: usize) -> (&'static str, Vec<u8>);

/// An answer where nothing fails.
pub(super) struct Good<'a> {
    pub(super) status: &'a str,
    /// Header lines beside that of the length.
    pub(super) headers: &'a str,
    pub(super) body: Vec<u8>,
}

fn server((source, fault): (String, String), good: Answer) -> String {
    if fault == "refused" {
        return nobody();
    }
    let asked = Arc::new(AtomicUsize::new(0));
    let answer = move |request: &Request, stream: &mut TcpStream| {
        let is_page = request.path.starts_with("/metrics");
        let concerned = match source.as_str() {
            "metrics" => is_page,
            "probes" => !is_page,
            other => !other.is_empty(),
        };
        let count = asked.fetch_add(usize::from(is_page), Ordering::Relaxed);
        let fault = if concerned { fault.as_str() } else { "" };
        let (status, body) = good(request, fault, count);
        let good = Good { status, headers: "", body };
        fail(fault, request, stream, good, count);
    };
    Server::start("127.0.0.1:0", answer).unwrap().url()
}

/// Where nobody listens.
pub(super) fn nobody() -> String {
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    format!("http://{closed}")
}

/// Answers in the way of a fault; a fault of the content alone is in the body already.
pub(super) fn fail(
    fault: &str,
    request: &Request,
    stream: &mut TcpStream,
    Good { status, headers, body }: Good<'_>,
    count: usize,
) {
    match fault {
        "reset" => reset(stream, &body),
        "drip" => drip(stream),
        "error" => respond(stream, "500 Internal Server Error", b"oops"),
        "unauthorized" => respond(stream, "401 Unauthorized", b"who are you"),
        "throttled" => {
            respond_with(stream, "429 Too Many Requests", "retry-after: 3600\r\n", b"slow down");
        }
        "type" => {
            let kept = headers.lines().filter(|line| !line.starts_with("content-type"));
            let kept: String = kept.map(|line| format!("{line}\r\n")).collect();
            respond_with(stream, status, &format!("{kept}content-type: image/png\r\n"), &body);
        }
        "page" => {
            let html = "content-type: text/html\r\n";
            respond_with(stream, "200 OK", html, b"<!doctype html><h1>Sign in</h1>");
        }
        "bomb" => respond_with(stream, "200 OK", "content-encoding: gzip\r\n", &BOMB),
        "redirect" => {
            let location = format!("location: {}\r\n", request.path);
            respond_with(stream, "302 Found", &location, b"");
        }
        "huge" => huge(stream),
        "utf8" => respond_with(stream, status, headers, &invalid(&body)),
        "head" => head(stream),
        "informed" => informed(stream),
        "clock" => {
            let at = now() + if count.is_multiple_of(2) { DAY } else { -DAY };
            let date = jiff::Timestamp::from_second(at as i64).unwrap();
            let date = date.strftime("%a, %d %b %Y %H:%M:%S GMT");
            respond_with(stream, status, &format!("{headers}date: {date}\r\n"), &body);
        }
        "empty" => respond_with(stream, "200 OK", headers, b""),
        _ => respond_with(stream, status, headers, &body),
    }
}

/// 80 MiB in few bytes.
static BOMB: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(&vec![b'\n'; 80 << 20]).unwrap();
    encoder.finish().unwrap()
});

/// Half of a body, and then a reset.
fn reset(stream: &mut TcpStream, body: &[u8]) {
    use nix::sys::socket::{setsockopt, sockopt::Linger};
    let _ = write!(stream, "HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", body.len() + 10);
    let _ = stream.write_all(&body[..body.len() / 2]);
    thread::sleep(Duration::from_millis(30));
    let now = nix::libc::linger { l_onoff: 1, l_linger: 0 };
    setsockopt(stream, Linger, &now).unwrap();
}

fn drip(stream: &mut TcpStream) {
    let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\n");
    while stream.write_all(b" ").is_ok() {
        thread::sleep(Duration::from_millis(50));
    }
}

/// Header lines without an end, as far as anybody reads them.
fn head(stream: &mut TcpStream) {
    let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n");
    let lines = b"x-more: of the same\r\n".repeat(4096);
    while stream.write_all(&lines).is_ok() {}
}

/// Word that the answer is on its way, again and again.
fn informed(stream: &mut TcpStream) {
    while stream.write_all(b"HTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\n").is_ok() {
        thread::sleep(Duration::from_millis(20));
    }
}

/// A body without an end, as far as anybody reads it.
fn huge(stream: &mut TcpStream) {
    let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n");
    let lines = b"vllm:garbage 1\n".repeat(70_000);
    // More than anybody may keep, and not so much that a fault of the program is one of the machine.
    for _ in 0..400 {
        if stream.write_all(&lines).is_err() {
            break;
        }
    }
    let _ = stream.shutdown(Shutdown::Both);
}

/// Bytes that are no text, in a label or a name wherever it stands.
fn invalid(body: &[u8]) -> Vec<u8> {
    let text = String::from_utf8_lossy(body);
    let places = ["engine=\"", "\"job\":\"", "\"name\":\""];
    let marked = places
        .iter()
        .fold(text.into_owned(), |text, place| text.replace(place, &format!("{place}\u{1}")));
    let bytes = marked.bytes();
    bytes.flat_map(|byte| if byte == 1 { vec![0xff, 0xfe] } else { vec![byte] }).collect()
}

fn vllm(request: &Request, fault: &str, asked: usize) -> (&'static str, Vec<u8>) {
    let body = match request.path.as_str() {
        "/metrics" => page(fault, asked),
        "/health" | "/ping" => Vec::new(),
        "/version" if fault == "numbers" => br#"{"version":-1e308}"#.to_vec(),
        "/version" => br#"{"version":"0.23.0"}"#.to_vec(),
        "/v1/models" if fault == "duplicates" => {
            br#"{"object":"list","data":[{"id":"m"},{"id":"m"},{"id":"m"}]}"#.to_vec()
        }
        "/v1/models" => support::MODELS.into(),
        "/load" if fault == "numbers" => br#"{"server_load":-1e999}"#.to_vec(),
        "/load" => br#"{"server_load":0}"#.to_vec(),
        _ => return ("404 Not Found", b"{}".to_vec()),
    };
    ("200 OK", body)
}

/// A page at the middle of the recording, then one at its end.
fn page(fault: &str, asked: usize) -> Vec<u8> {
    let (early, late) = (&PAGES[PAGES.len() / 2], &PAGES[PAGES.len() - 1]);
    let first = asked.is_multiple_of(2) != (fault == "reset-counters");
    let page = String::from_utf8_lossy(if first { early } else { late });
    let mut out = String::new();
    for (index, line) in page.lines().enumerate() {
        let value = line.rsplit_once(' ').filter(|_| !line.starts_with('#'));
        let _ = match (fault, value) {
            ("numbers", Some((key, _))) => writeln!(out, "{key} {}", ODD[index % ODD.len()]),
            ("duplicates", Some(_)) => writeln!(out, "{line}\n{line}"),
            _ => writeln!(out, "{line}"),
        };
    }
    out.into_bytes()
}

/// A series with its values on each page.
struct Column {
    labels: serde_json::Map<String, Value>,
    /// The labels as JSON.
    text: String,
    values: Vec<(usize, f64)>,
}

static COLUMNS: LazyLock<Vec<Column>> = LazyLock::new(|| {
    let mut columns: std::collections::BTreeMap<String, Column> = Default::default();
    for (index, page) in PAGES.iter().enumerate() {
        exposition::parse(page, |sample| {
            let column = columns.entry(sample.key.to_owned()).or_insert_with(|| {
                let pairs = sample.labels().map(|(name, value)| (name.to_owned(), json!(value)));
                let own = [("__name__", sample.raw_name), ("job", "vllm"), ("instance", "a:8000")];
                let own = own.map(|(name, value)| (name.to_owned(), json!(value)));
                let labels = pairs.chain(own).collect();
                let text = json!(labels).to_string();
                Column { labels, text, values: Vec::new() }
            });
            column.values.push((index, sample.value));
        });
    }
    columns.into_values().collect()
});

impl Column {
    fn name(&self) -> &str {
        self.labels["__name__"].as_str().unwrap()
    }

    /// As a series of the API; the last sample is of now.
    fn json(&self, fault: &str, end: f64) -> String {
        let half = self.values.len() / 2;
        let counts = ["_total", "_sum", "_count", "_bucket"];
        let falls = fault == "reset-counters" && counts.iter().any(|it| self.name().ends_with(it));
        let lost = if falls { self.values[half].1 } else { 0.0 };
        let sample = |(number, (index, value)): (usize, &(usize, f64))| {
            let back = (PAGES.len() - 1 - index) as f64 * 5.0;
            let jump = if fault == "clock" && number % 2 == 1 { DAY } else { 0.0 };
            let at = end - back + jump;
            match fault {
                "numbers" => format!("[{at},\"{}\"]", ODD[number % ODD.len()]),
                _ => format!("[{at},\"{}\"]", value - if number > half { lost } else { 0.0 }),
            }
        };
        let values: Vec<String> = self.values.iter().enumerate().map(sample).collect();
        format!("{{\"metric\":{},\"values\":[{}]}}", self.text, values.join(","))
    }
}

/// Answers the few queries that are asked, told by a word of each.
fn prometheus(request: &Request, fault: &str, _: usize) -> (&'static str, Vec<u8>) {
    let query = String::from_utf8_lossy(&request.body);
    let has = |word: &str| query.contains(word);
    let end = now().floor();
    let value = |labels: Value, value: usize| {
        json!({ "metric": labels, "value": [end, value.to_string()] }).to_string()
    };
    let presence = || COLUMNS.iter().filter(|it| it.name() == "vllm:num_requests_running");
    let series: Vec<String> = match () {
        () if has("ALERTS") => Vec::new(),
        () if has("count_over_time") => {
            presence().map(|it| value(json!(it.labels), it.values.len())).collect()
        }
        () if has("count+by") || has("count%20by") => {
            let mut names: Vec<&str> = COLUMNS.iter().map(Column::name).collect();
            names.sort_unstable();
            let count = |name: &&str| COLUMNS.iter().filter(|it| it.name() == *name).count();
            let of = |name: &&str| value(json!({ "__name__": name }), count(name));
            names.dedup();
            names.iter().map(of).collect()
        }
        () if has("num_requests_running%22") => presence().map(|it| it.json(fault, end)).collect(),
        () => {
            let own = has("vllm%5B%3A_%5D");
            let wanted = |it: &&Column| it.name().starts_with("vllm") == own;
            COLUMNS.iter().filter(wanted).map(|it| it.json(fault, end)).collect()
        }
    };
    let twice = if fault == "duplicates" { series.clone() } else { Vec::new() };
    let series: Vec<String> = series.into_iter().chain(twice).collect();
    let data = format!("{{\"resultType\":\"matrix\",\"result\":[{}]}}", series.join(","));
    ("200 OK", format!("{{\"status\":\"success\",\"data\":{data}}}").into_bytes())
}

/// A server of the second generation with two requests in each part of the time.
fn mlflow(request: &Request, fault: &str, _: usize) -> (&'static str, Vec<u8>) {
    let path = request.path.split('?').next().unwrap_or_default();
    let jump = if fault == "clock" { 365.0 * DAY } else { 0.0 };
    let start = ((now() - 60.0 + jump) * 1e9) as u64;
    let number =
        |good: &str, odd: &str| if fault == "numbers" { odd.to_owned() } else { good.into() };
    let span = json!({
        "name": "vllm_inference", "start_time": start, "end_time": start + 400_000_000,
        "attributes": {
            "request_id": "\"r1\"", "ttft_ms": number("100.5", "-1e308"),
            "input_tokens": number("1000", "\"NaN\""), "queue_wait_ms": number("1", "1e999"),
            "prefix_cache_hit": "true",
        },
    });
    let spans = if fault == "duplicates" { vec![span; 9] } else { vec![span] };
    let answer = match path {
        "/api/2.0/mlflow/experiments/search" => {
            json!({ "experiments": [{ "experiment_id": "7", "name": "chat" }] })
        }
        "/api/2.0/mlflow/traces" => json!({ "traces": [{ "request_id": "tr-1" }] }),
        "/ajax-api/2.0/mlflow/get-trace-artifact" => json!({ "spans": spans }),
        _ => return ("404 Not Found", b"{}".to_vec()),
    };
    ("200 OK", answer.to_string().into_bytes())
}
