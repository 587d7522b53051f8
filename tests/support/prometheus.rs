//! A real Prometheus, filled with pages as if it had scraped them.
#![allow(dead_code)]

use std::fmt::Write as _;
use std::fs;
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

use diagnose::sources::exposition;
use tempfile::TempDir;

use super::tools::{free_port, tool};

/// Runs until it is dropped.
pub struct Prometheus {
    child: Child,
    port: u16,
    _data: TempDir,
}

impl Prometheus {
    /// Starts one with these samples, which are text of OpenMetrics without its end.
    pub fn with(samples: &str) -> Self {
        let data = tempfile::tempdir().unwrap();
        let text = data.path().join("samples.om");
        fs::write(&text, format!("{samples}# EOF\n")).unwrap();
        let blocks = data.path().join("data");
        let made = Command::new(tool("promtool"))
            .args(["tsdb", "create-blocks-from", "openmetrics"])
            .args([&text, &blocks])
            .output()
            .unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        Self::on(data, &blocks)
    }

    fn on(data: TempDir, blocks: &Path) -> Self {
        let config = data.path().join("prometheus.yml");
        fs::write(&config, "global: {}\n").unwrap();
        let port = free_port();
        let child = Command::new(tool("prometheus"))
            .arg(format!("--config.file={}", config.display()))
            .arg(format!("--storage.tsdb.path={}", blocks.display()))
            .arg("--storage.tsdb.retention.time=100y")
            .arg(format!("--web.listen-address=127.0.0.1:{port}"))
            .arg("--log.level=error")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let started = Self { child, port, _data: data };
        let ready = |_: &u32| {
            let answered = started.promtool(&["query", "instant"], "1").is_ok();
            if !answered {
                sleep(Duration::from_millis(100));
            }
            answered
        };
        assert!((0..300).any(|n| ready(&n)), "Prometheus did not start");
        started
    }

    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// What promtool says to a query; `Err` where it refuses.
    pub fn promtool(&self, command: &[&str], query: &str) -> Result<String, String> {
        TcpStream::connect(("127.0.0.1", self.port)).map_err(|error| error.to_string())?;
        let asked = Command::new(tool("promtool"))
            .args(command)
            .args([self.url().as_str(), query])
            .output()
            .unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        if asked.status.success() { Ok(text(&asked.stdout)) } else { Err(text(&asked.stderr)) }
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A page as Prometheus stores it: with labels of its own, at Unix milliseconds.
pub fn scraped(page: &[u8], labels: &str, ms: u64) -> String {
    let mut text = String::new();
    exposition::parse(page, |sample| {
        let inner = sample.key[sample.raw_name.len()..].trim();
        let inner = inner.trim_start_matches('{').trim_end_matches('}');
        let comma = if inner.is_empty() || labels.is_empty() { "" } else { "," };
        let at = format!("{}.{:03}", ms / 1000, ms % 1000);
        let _ =
            writeln!(text, "{}{{{inner}{comma}{labels}}} {} {at}", sample.raw_name, sample.value);
    });
    text
}

/// One sample.
pub fn sample(name: &str, labels: &str, value: f64, ms: u64) -> String {
    format!("{name}{{{labels}}} {value} {}.{:03}\n", ms / 1000, ms % 1000)
}
