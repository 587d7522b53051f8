//! Evidence of the server over a load test, on a thread of its own, and what the runbooks say of it.

use std::{
    sync::mpsc,
    thread::{self, JoinHandle},
    time::Duration,
};

use super::super::{live, run};
use crate::{
    config::{self, LiveSettings, Settings},
    evidence::{Span, bundle::Bundle},
    load::{limits::Limits, result::Trend, trends},
    report::Report,
    runbook::Library,
    signals::Ask,
    sources,
};

/// Longest time between two looks at the server, and the shortest.
const INTERVALS: (f64, f64) = (5.0, 0.5);

/// Looks at the server that a test should have at least.
const LOOKS: f64 = 12.0;

/// The thread that looks at the server.
pub(super) struct Watch {
    done: tokio::sync::oneshot::Sender<()>,
    watched: JoinHandle<anyhow::Result<Bundle>>,
}

impl Watch {
    /// Starts it, and waits until it has looked once: what follows is the test's doing.
    pub(super) fn start(
        settings: &LiveSettings,
        url: &str,
        seconds: Option<f64>,
    ) -> anyhow::Result<Self> {
        let (done, told) = tokio::sync::oneshot::channel();
        let (begun, has_begun) = mpsc::channel();
        let between = (seconds.unwrap_or(0.0) / LOOKS).clamp(INTERVALS.1, INTERVALS.0);
        let (settings, url) = (settings.clone(), url.to_owned());
        let patience = settings.timeout * 2;
        let watched = thread::Builder::new().name("watch".into()).spawn(move || {
            // Where nobody waits any more, nobody need be told.
            let begun = move || {
                let _ = begun.send(());
            };
            let told = async { drop(told.await) };
            live::watch(&settings, &url, Duration::from_secs_f64(between), begun, told)
        })?;
        // A server that does not answer in time is evidence too.
        let _ = has_begun.recv_timeout(patience);
        Ok(Self { done, watched })
    }

    /// Looks a last time, and judges: the report over the test, or why there is none, and what grew.
    pub(super) fn finish(
        self,
        settings: &Settings,
        library: &Library,
        limits: &Limits,
        warmup: f64,
    ) -> (Result<Report, String>, Vec<Trend>) {
        // Where the thread has ended already, its failure is what there is.
        let _ = self.done.send(());
        let mut bundle = match self.watched.join() {
            Ok(Ok(bundle)) => bundle,
            Ok(Err(error)) => return (Err(error.to_string()), Vec::new()),
            Err(_) => return (Err("looking at the server broke off".into()), Vec::new()),
        };
        run::leave_out(&mut bundle, &settings.live.sources);
        if bundle.scrapes.len() < 2 {
            return (Err(no_pages(&bundle)), Vec::new());
        }
        let evidence = sources::read(&bundle);
        let from = (evidence.span.from + warmup).min(evidence.span.to);
        let judged = Span { from, to: evidence.span.to };
        let window = Some(evidence.span.seconds());
        let asked = run::Asked {
            runbook: None,
            ask: Ask { at: None, window, baseline: None },
            min_coverage: settings.min_coverage.unwrap_or(config::MIN_COVERAGE),
            kept: None,
        };
        let report = run::judge(&asked, library, &evidence);
        (Ok(report), trends::trends(&evidence, judged, &limits.trends))
    }
}

/// Why /metrics told nothing.
fn no_pages(bundle: &Bundle) -> String {
    let told = bundle.meta.sources.iter().chain(&bundle.notes).find(|it| it.id == "metrics");
    told.map_or_else(|| "/metrics was not read".into(), |it| it.detail.clone())
}
