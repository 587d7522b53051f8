//! Incidents as AWS tells them: records of an hour, built and not recorded, so that no fault is in
//! them but the one that is named.

mod answers;
mod metrics;
mod scaling;
mod serving;

use diagnose::evidence::bundle::Bundle;
use jiff::Timestamp;
use serde_json::{Value, json};

#[allow(unused_imports)]
pub use metrics::{Metrics, Minute};

/// Start of the hour, Unix seconds.
pub const FROM: i64 = 1_795_305_600;

/// Minutes of it.
pub const MINUTES: usize = 60;

/// One incident, or none, with what must be said of it.
pub struct Scenario {
    pub name: &'static str,
    /// The runbook that an engineer would walk.
    pub runbook: &'static str,
    /// `aws/<ms>.json`.
    pub record: Value,
    /// `server.log`.
    pub log: Option<String>,
    pub expect: Expect,
}

/// What the runbook and the sweep must say.
#[derive(Default)]
pub struct Expect {
    /// The cause that stands first; none where nothing of the catalogue may be named.
    pub cause: Option<&'static str>,
    /// Causes that must not be supported.
    pub not: &'static [&'static str],
    /// Steps of the runbook that are walked last.
    pub path: &'static [&'static str],
    /// Exit codes of the runbook and of the sweep. Without the server's own pages nothing but an
    /// endpoint's scaling is known well enough to call it healthy.
    pub exits: (i32, i32),
}

/// All of them.
pub fn scenarios() -> Vec<Scenario> {
    scaling::scenarios().into_iter().chain(serving::scenarios()).collect()
}

impl Scenario {
    /// End of the time judged, Unix seconds.
    pub fn at(&self) -> i64 {
        FROM + 60 * MINUTES as i64
    }

    /// As a run without a server would record it.
    pub fn bundle(&self) -> Bundle {
        let mut bundle = Bundle::default();
        bundle.meta.format_version = 1;
        bundle.meta.target = Some("SageMaker endpoint chat".into());
        (bundle.meta.started, bundle.meta.ended) = (Some(FROM as f64), Some(self.at() as f64));
        bundle.record("aws", self.at() as u64 * 1000, self.record.to_string().into_bytes());
        bundle.log = self.log.as_ref().map(|log| log.clone().into_bytes());
        bundle
    }
}

/// A minute of the hour as AWS writes a time.
pub fn moment(minute: i64) -> Value {
    json!(Timestamp::from_second(FROM + 60 * minute).unwrap().to_string())
}

/// A dated line of vLLM's log.
pub fn line(minute: i64, text: &str) -> String {
    let at = Timestamp::from_second(FROM + 60 * minute).unwrap();
    format!("(EngineCore pid=7) ERROR {} [core.py:1] {text}\n", at.strftime("%m-%d %H:%M:%S"))
}

/// A record of answers.
pub fn record(answers: impl IntoIterator<Item = Value>) -> Value {
    json!({ "answers": answers.into_iter().collect::<Vec<_>>() })
}
