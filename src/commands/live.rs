//! Sampling a live server, with progress for people and a clean end on signals.

use std::{cell::Cell, io::IsTerminal, path::PathBuf, time::Duration};

use anyhow::Context;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::{Failure, given, history, write};
use crate::{
    cli::Source,
    config::{HistorySettings, LiveSettings, Secret},
    evidence::{
        HostRound, SourceState, SourceStatus,
        bundle::{Bundle, Redact},
    },
    exit::Exit,
    sources::{
        adapters, host,
        http::{self, Options},
        kernel, nvml,
        vllm::{self, Live, Progress, Tried},
    },
};

/// How long a live server is sampled where nobody says otherwise.
pub(super) const WINDOW: Duration = Duration::from_secs(15);

/// What `--insecure` gives away.
pub(super) const INSECURE: &str = "WARNING: certificates are NOT verified (--insecure): whoever \
     sits on the way can read the API key and forge every answer.";

/// Deadline of each address tried while looking for a server.
const LOOK: Duration = Duration::from_secs(2);

/// Raw evidence, and whether gathering it was cut short.
pub(super) struct Gathered {
    /// What was gathered.
    pub(super) bundle: Bundle,
    /// The exit code of the signal that cut it short.
    pub(super) cut_short: Option<Exit>,
}

/// Samples a server until done or told to stop. Only a server that cannot even be looked for is
/// an error; one that does not answer is evidence.
pub(super) fn sample(
    settings: &LiveSettings,
    past: &HistorySettings,
    window: Duration,
    quiet: bool,
) -> anyhow::Result<Gathered> {
    if settings.insecure {
        write::note(INSECURE);
    }
    if past.is_asked() && (past.at.is_some() || settings.url.is_none()) {
        return history::recall(past, settings);
    }
    let cut_short = Cell::new(None);
    let mut bundle = http::block_on(async {
        let stop = async { cut_short.set(Some(stop_signal().await)) };
        let mut stop = std::pin::pin!(stop);
        let url = tokio::select! {
            biased;
            () = &mut stop => return Err(stopped(cut_short.get())),
            url = find(settings) => url?,
        };
        let gpus = gpus(settings, &url);
        let live = live(settings, url, window);
        vllm::check(&live).map_err(unusable)?;
        let gpus = gpus.map(nvml::Sampler::start);
        let bar = progress_bar(quiet);
        let before = look(settings, &live.url);
        let reach = history::reach(past, history::now());
        let mut shown = |progress| show(&bar, &progress);
        let (mut bundle, (fetched, _)) = tokio::join!(
            vllm::sample(&live, stop, &mut shown),
            history::ask(past, settings, reach)
        );
        history::keep(&mut bundle, fetched, reach);
        match gpus {
            Some(gpus) => gpus.finish(&mut bundle),
            None => bundle.meta.sources.push(nvml::elsewhere()),
        }
        bar.finish_and_clear();
        if let Some(before) = before {
            let after = look(settings, &live.url).flatten();
            host::record(&mut bundle, [before, after]);
        }
        Ok(bundle)
    })
    .context("failed to start the runtime")??;
    kernel_log(&mut bundle, settings);
    note_elsewhere(&mut bundle, settings);
    adapters::record(&mut bundle, &settings.adapter_dirs, settings.timeout);
    given::add(&mut bundle, settings)?;
    bundle.redact(Redact { addresses: settings.redact_addresses });
    if cut_short.get().is_some() {
        let scrapes = bundle.scrapes.len();
        write::note(&format!("interrupted: what follows rests on {scrapes} scrapes only"));
    }
    Ok(Gathered { bundle, cut_short: cut_short.get() })
}

/// A look at the machine, where the server runs on it: none where it does not, and an empty one
/// where it did not end in time.
fn look(settings: &LiveSettings, url: &str) -> Option<Option<HostRound>> {
    let wanted = settings.sources.contains(&Source::Host);
    let here = settings.host_root.is_some() || http::is_local(Some(url));
    let root = settings.host_root.clone().unwrap_or_else(|| PathBuf::from("/"));
    (wanted && here).then(|| host::look(root, host::port(url), settings.timeout))
}

/// Says that the machine cannot be looked at from here, where the server runs elsewhere.
fn note_elsewhere(bundle: &mut Bundle, settings: &LiveSettings) {
    let here = settings.host_root.is_some() || http::is_local(bundle.meta.target.as_deref());
    if !here && settings.sources.contains(&Source::Host) {
        bundle.notes.push(SourceStatus {
            id: "host".into(),
            status: SourceState::NotConfigured,
            detail: "the server is not on this machine".into(),
            took_ms: None,
        });
    }
}

/// The kernel's log, where it was given or the server runs on this machine.
fn kernel_log(bundle: &mut Bundle, settings: &LiveSettings) {
    let wanted = settings.sources.contains(&Source::Kernel);
    match &settings.kernel_log {
        Some(file) => kernel::capture::from_file(bundle, file),
        None if wanted && http::is_local(bundle.meta.target.as_deref()) => {
            kernel::capture::from_machine(bundle, settings.timeout);
        }
        None => {}
    }
}

/// The given server, or the one on this host.
async fn find(settings: &LiveSettings) -> Result<String, Failure> {
    if let Some(url) = &settings.url {
        return Ok(url.clone());
    }
    let discovery = vllm::discover(settings.timeout.min(LOOK)).await;
    discovery.found.ok_or_else(|| no_server(&discovery.tried))
}

/// How to ask for this host's GPUs, unless they are none of the server's.
fn gpus(settings: &LiveSettings, url: &str) -> Option<nvml::Options> {
    let wanted = settings.sources.contains(&Source::Nvml)
        && (settings.nvml_library.is_some() || nvml::is_here(url));
    let library = settings.nvml_library.clone();
    wanted.then_some(nvml::Options { library, deadline: settings.timeout })
}

pub(super) fn live(settings: &LiveSettings, url: String, window: Duration) -> Live {
    let http = Options {
        timeout: settings.timeout,
        max_body: usize::try_from(settings.max_body).unwrap_or(usize::MAX),
        api_key: settings.api_key.as_ref().map(Secret::reveal).map(Into::into),
        extra_ca: settings.ca.iter().cloned().collect(),
        insecure: settings.insecure,
        ..Options::default()
    };
    Live { window, http, probe: settings.probe.unwrap_or(0), ..Live::new(url) }
}

/// No server answered: what was tried and how each try ended. That is never "healthy".
fn no_server(tried: &[Tried]) -> Failure {
    let lines = tried.iter().map(|one| {
        let pid = one.pid.map(|pid| format!(" (process {pid})")).unwrap_or_default();
        format!("\n    {}{pid}: {}", one.url, one.outcome)
    });
    Failure {
        tried: "find a vLLM server on this host".into(),
        happened: lines.collect(),
        next: "--url http://HOST:PORT for a server elsewhere, or --replay PATH for a recording"
            .into(),
        exit: Exit::Inconclusive,
    }
}

/// A target or a key that no request can be made with is a mistake of the command line.
pub(super) fn unusable(why: String) -> Failure {
    Failure {
        tried: "reach the server as asked".into(),
        happened: why,
        next: "`diagnose config check` shows what is in force".into(),
        exit: Exit::Failed,
    }
}

fn stopped(exit: Option<Exit>) -> Failure {
    Failure {
        tried: "find a vLLM server on this host".into(),
        happened: "interrupted before anything was read".into(),
        next: "run it again, or give the server with --url".into(),
        exit: exit.unwrap_or(Exit::Interrupted),
    }
}

/// A bar on stderr where a person looks at it, else nothing.
fn progress_bar(quiet: bool) -> ProgressBar {
    let bar = ProgressBar::new(0);
    if quiet || !std::io::stderr().is_terminal() {
        bar.set_draw_target(ProgressDrawTarget::hidden());
    }
    if let Ok(style) = ProgressStyle::with_template("sampling {bar:24} {pos}/{len} {msg}") {
        bar.set_style(style);
    }
    bar
}

fn show(bar: &ProgressBar, progress: &Progress) {
    match progress {
        Progress::Round { number, of } => {
            bar.set_length(*of as u64);
            bar.set_position(*number as u64);
            bar.set_message("asking");
        }
        Progress::Failed { why } => bar.set_message(format!("/metrics: {why}")),
        Progress::Waiting { time } => {
            bar.set_message(format!("next round in {} s", time.as_secs_f64().ceil()));
        }
        Progress::Completion { number } => bar.set_message(format!("completion {number}")),
    }
}

/// Resolves at the first SIGINT or SIGTERM with the exit code of it.
pub(super) async fn stop_signal() -> Exit {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        if let Ok(mut terminate) = signal(SignalKind::terminate()) {
            return tokio::select! {
                _ = tokio::signal::ctrl_c() => Exit::Interrupted,
                _ = terminate.recv() => Exit::Terminated,
            };
        }
    }
    // Without a handler the signal ends the process by itself.
    let _ = tokio::signal::ctrl_c().await;
    Exit::Interrupted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_server_is_inconclusive_and_lists_what_was_tried() {
        let url = "http://127.0.0.1:8000".to_owned();
        let failure = no_server(&[Tried { url, pid: Some(7), outcome: "refused".into() }]);
        assert_eq!(failure.exit, Exit::Inconclusive);
        let text = failure.to_string();
        assert!(text.contains("http://127.0.0.1:8000 (process 7): refused"), "{text}");
    }
}
