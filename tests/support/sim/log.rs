//! The server's log and its probes, as a recording holds them.

use std::{collections::BTreeMap, fmt::Write};

use diagnose::evidence::Probe;
use jiff::Timestamp;

/// Lines of a log that grows in time order.
#[derive(Debug, Default)]
pub struct Log(String);

/// What the stats line tells.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    pub engine: usize,
    pub prompt: f64,
    pub generation: f64,
    pub running: f64,
    pub waiting: f64,
    pub kv_usage: f64,
    pub hit_ratio: f64,
}

impl Log {
    fn dated(&mut self, at: f64, level: &str, text: &str) {
        let stamp = Timestamp::from_second(at as i64).unwrap_or_default();
        let stamp = stamp.strftime("%m-%d %H:%M:%S");
        _ = writeln!(self.0, "(APIServer pid=77) {level} {stamp} {text}");
    }

    pub fn started(&mut self, at: f64, version: &str) {
        self.dated(at, "INFO", &format!("[api_server.py:1] vLLM API server version {version}"));
    }

    pub fn error(&mut self, at: f64, text: &str) {
        self.dated(at, "ERROR", text);
    }

    pub fn pace(&mut self, at: f64, pace: &Pace) {
        let text = format!(
            "[loggers.py:271] Engine {:03}: Avg prompt throughput: {:.1} tokens/s, Avg generation \
             throughput: {:.1} tokens/s, Running: {} reqs, Waiting: {} reqs, GPU KV cache usage: \
             {:.1}%, Prefix cache hit rate: {:.1}%",
            pace.engine,
            pace.prompt,
            pace.generation,
            pace.running,
            pace.waiting,
            pace.kv_usage * 100.0,
            pace.hit_ratio * 100.0,
        );
        self.dated(at, "INFO", &text);
    }

    pub fn access(&mut self, port: u64, status: u16) {
        let phrase = match status {
            200 => "OK",
            400 => "Bad Request",
            401 => "Unauthorized",
            404 => "Not Found",
            422 => "Unprocessable Entity",
            _ => "Error",
        };
        let port = 30000 + port % 30000;
        _ = writeln!(
            self.0,
            "(APIServer pid=77) INFO:     10.0.0.7:{port} - \"POST /v1/chat/completions \
             HTTP/1.1\" {status} {phrase}"
        );
    }

    pub fn into_bytes(self) -> Vec<u8> {
        self.0.into_bytes()
    }
}

/// A round in which nothing listens.
pub fn refused() -> BTreeMap<String, Probe> {
    let probe = Probe { error: Some("connection refused".into()), ..Probe::default() };
    let paths = ["/health", "/metrics", "/version", "/v1/models"];
    paths.map(|path| (path.to_owned(), probe.clone())).into()
}

/// A round that is answered; `ms` says how long each path took.
pub fn answered(version: &str, model: &str, ms: impl Fn(usize) -> f64) -> BTreeMap<String, Probe> {
    let models = format!(
        "{{\"object\":\"list\",\"data\":[{{\"id\":\"{model}\",\"object\":\"model\",\
         \"root\":\"{model}\",\"parent\":null}}]}}"
    );
    let bodies = [
        ("/metrics", None),
        ("/health", Some(String::new())),
        ("/version", Some(format!("{{\"version\":\"{version}\"}}"))),
        ("/v1/models", Some(models)),
    ];
    let probe = |(index, (path, body)): (usize, (&str, Option<String>))| {
        let ms = (ms(index) * 100.0).round() / 100.0;
        (path.to_owned(), Probe { status: Some(200), ms: Some(ms), body, ..Probe::default() })
    };
    bodies.into_iter().enumerate().map(probe).collect()
}
