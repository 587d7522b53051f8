//! The built program as a user runs it: without settings, environment or terminal of its own.

use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

/// How a run ended, and all that it said.
pub struct Ran {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
    pub took: Duration,
}

impl Ran {
    /// Everything it said.
    pub fn said(&self) -> String {
        format!("{}{}", self.stdout, self.stderr)
    }

    /// The report on stdout.
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.stdout)
            .unwrap_or_else(|error| panic!("{error}: {}", self.said()))
    }

    #[track_caller]
    pub fn assert_code(&self, code: i32) {
        assert_eq!(self.code, code, "{}", self.said());
    }

    #[track_caller]
    pub fn assert_says(&self, part: &str) {
        assert!(self.said().contains(part), "`{part}` is missing in\n{}", self.said());
    }

    /// Whatever happened, it was foreseen.
    #[track_caller]
    pub fn assert_calm(&self, bound: Duration) {
        assert!((0..=3).contains(&self.code), "exit {}\n{}", self.code, self.said());
        assert!(!self.said().contains("panicked"), "{}", self.said());
        assert!(self.took < bound, "{:?}\n{}", self.took, self.said());
    }
}

/// The program, far from anybody's settings.
pub fn diagnose() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_diagnose"));
    let nowhere = std::env::temp_dir().join("diagnose-no-settings");
    command.env_clear().env("XDG_CONFIG_HOME", nowhere).stdin(Stdio::null());
    command
}

/// Runs it with arguments.
pub fn run<S: AsRef<std::ffi::OsStr>>(args: impl IntoIterator<Item = S>) -> Ran {
    finish(diagnose().args(args))
}

/// Runs a command to its end.
pub fn finish(command: &mut Command) -> Ran {
    let start = Instant::now();
    ran(command.output().unwrap(), start)
}

/// Waits for a child that was started with piped output.
pub fn wait(child: Child) -> Ran {
    let start = Instant::now();
    ran(child.wait_with_output().unwrap(), start)
}

fn ran(output: Output, start: Instant) -> Ran {
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Ran {
        code: output.status.code().unwrap_or(-1),
        stdout: text(output.stdout),
        stderr: text(output.stderr),
        took: start.elapsed(),
    }
}

/// A shipped recording.
pub fn incident(name: &str) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    root.join("fixtures/incidents").join(name).display().to_string()
}

/// Words of a command line.
pub fn words(line: &str) -> Vec<String> {
    line.split_whitespace().map(Into::into).collect()
}
