//! What is rendered is put into CloudWatch through the true client, and nothing else is touched.
#![cfg(feature = "aws")]
#![allow(missing_docs, clippy::unwrap_used)]

mod alarms;
#[path = "../support/aws/mod.rs"]
mod aws;
#[allow(dead_code)]
#[path = "../support/cli.rs"]
mod cli;
#[allow(dead_code)]
#[path = "../support/cloud/mod.rs"]
mod cloud;
mod dashboards;
mod moto;
#[path = "../support/moto_server.rs"]
mod moto_server;
#[path = "../support/tools.rs"]
mod tools;

use std::{
    fs,
    process::{Command, Stdio},
};

use aws::{
    account::{Account, Shared},
    stub::{Fault, Stub},
};
use cli::{Ran, diagnose, finish, words};
use cloud::{Metrics, Minute};
use diagnose::evidence::{SourceState, SourceStatus, bundle::Bundle};
use serde_json::Value;
use tempfile::TempDir;

/// A machine with credentials, and a recording in which the gateway's metrics are.
pub struct Machine {
    folder: TempDir,
}

/// Serves an account, but for what fails.
pub fn serve(account: &Shared, faults: &[(&'static str, Fault)]) -> Stub {
    let account = account.clone();
    Stub::answering(faults, move |operation, input| {
        let answer = account.lock().unwrap().answer(operation, input);
        answer.unwrap_or_else(|| Err((400, "InvalidAction".into(), operation.to_owned())))
    })
}

impl Machine {
    /// CloudWatch told everything.
    pub fn whole() -> Self {
        Self::told(SourceState::Ok)
    }

    pub fn told(status: SourceState) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut metrics = Metrics::default();
        metrics.adapter("base", |_| Some(Minute::default()));
        metrics.invocations(|_| (120.0, 0.0, 0.0));
        let mut bundle = Bundle::default();
        bundle.meta.format_version = 1;
        let end = cloud::FROM + 60 * cloud::MINUTES as i64;
        (bundle.meta.started, bundle.meta.ended) = (Some(cloud::FROM as f64), Some(end as f64));
        let detail = "said so".into();
        let source = SourceStatus { id: "cloudwatch".into(), status, detail, took_ms: None };
        bundle.meta.sources = vec![source];
        let record = cloud::record([metrics.answer()]).to_string();
        bundle.record("aws", end as u64 * 1000, record.into_bytes());
        bundle.save(&folder.path().join("bundle")).unwrap();
        Self { folder }
    }

    fn set(&self, url: &str) {
        let settings = format!("[aws]\nendpoint_url = '{url}'\nregion = 'eu-west-1'\n");
        fs::write(self.folder.path().join("diagnose.toml"), settings).unwrap();
    }

    fn credentials(&self, command: &mut Command) {
        command
            .current_dir(self.folder.path())
            .env("HOME", self.folder.path())
            .env("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE")
            .env("AWS_SECRET_ACCESS_KEY", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY");
    }

    /// Runs the program against services at `url`.
    pub fn run(&self, url: &str, line: &str) -> Ran {
        self.set(url);
        let mut command = diagnose();
        self.credentials(&mut command);
        finish(command.args(words(line)))
    }

    /// The same on a terminal, where somebody types.
    pub fn type_in(&self, url: &str, line: &str, typed: &str) -> Ran {
        self.set(url);
        let program = env!("CARGO_BIN_EXE_diagnose");
        let mut command = Command::new("script");
        self.credentials(&mut command);
        let mut child = command
            .args(["-qec", &format!("{program} {line}"), "/dev/null"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        std::io::Write::write_all(child.stdin.as_mut().unwrap(), typed.as_bytes()).unwrap();
        cli::wait(child)
    }
}

/// Operations that change something, in order, with what they were about.
pub fn changes(stub: &Stub) -> Vec<(String, Value)> {
    let asked = stub.asked().into_iter();
    asked.filter(|(name, _)| ["Put", "Del", "Tag"].contains(&&name[..3])).collect()
}

pub fn account() -> Shared {
    Shared::new(Account::default().into())
}
