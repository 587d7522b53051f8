//! `diagnose <runbook>` and `diagnose sweep`: evidence in, verdict out.

use std::{cell::Cell, future::Future, io::IsTerminal, path::PathBuf, time::Duration};

use anyhow::Context;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::{Failure, write};
use crate::{
    cli::{At, Format, RunArgs, Source},
    config::{self, Environment, LiveSettings, Settings},
    evidence::{Evidence, SourceState, SourceStatus, bundle::Bundle},
    exit::{self, Exit},
    report::Report,
    runbook::{Library, Runbook, Severity, problem::did_you_mean},
    signals::{self, Ask, Readings, Windows},
    sources,
};

/// How long a live server is sampled where nobody says otherwise.
pub const LIVE_WINDOW: Duration = Duration::from_secs(15);

/// What is judged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scope {
    /// One runbook, by id.
    Runbook(String),
    /// Everything.
    Sweep,
}

impl Scope {
    fn command(&self) -> &str {
        match self {
            Self::Runbook(id) => id,
            Self::Sweep => "sweep",
        }
    }

    /// A sweep gates deploys, so it is stricter.
    fn fail_on(&self) -> Severity {
        match self {
            Self::Runbook(_) => Severity::Critical,
            Self::Sweep => Severity::Warning,
        }
    }
}

/// Raw evidence, and whether gathering it was cut short.
pub(super) struct Gathered {
    pub(super) bundle: Bundle,
    pub(super) cut_short: Option<Exit>,
}

/// Gathers, judges, and writes the report.
pub fn run(scope: &Scope, args: &RunArgs, env: &Environment) -> anyhow::Result<Exit> {
    let settings = config::settings(args, env)?;
    let library = Library::load(&settings.runbook_dirs)?;
    let runbook = find_runbook(scope, &library)?;
    let gathered = gather(&settings)?;
    let evidence = sources::read(&gathered.bundle);
    let ask = ask(&settings, &evidence);
    let windows = signals::onset::windows(&evidence, &ask);
    let readings = signals::read_all(&evidence, &windows);
    let report = judge(scope, runbook, &library, &evidence, &windows, &readings)?;
    let text = render(&report, &settings);
    match &settings.output {
        Some(path) => write::file(path, &text)?,
        None => write::print(&text)?,
    }
    let fail_on = settings.fail_on.unwrap_or_else(|| scope.fail_on());
    let exit = exit::of(&report, fail_on, settings.min_coverage);
    Ok(gathered.cut_short.unwrap_or(exit))
}

fn find_runbook<'a>(scope: &Scope, library: &'a Library) -> anyhow::Result<Option<&'a Runbook>> {
    let Scope::Runbook(id) = scope else { return Ok(None) };
    if let Some(runbook) = library.runbooks.get(id) {
        return Ok(Some(runbook));
    }
    let commands = crate::cli::command();
    let names = commands.get_subcommands().map(clap::Command::get_name);
    let names: Vec<_> = names.chain(library.runbooks.keys().map(String::as_str)).collect();
    let known = "`diagnose runbook list` shows the runbooks, `diagnose --help` the commands";
    Err(Failure {
        tried: format!("run `{id}`"),
        happened: "there is no such command or runbook".into(),
        next: did_you_mean(id, names).map_or(known.into(), |guess| format!("{guess} {known}")),
        exit: Exit::Failed,
    }
    .into())
}

fn ask(settings: &Settings, evidence: &Evidence) -> Ask {
    if settings.replay.is_empty() {
        return Ask::default();
    }
    Ask {
        at: settings.at.map(|at| match at {
            At::Time(time) => time,
            At::BeforeEnd(seconds) => evidence.span.to - seconds,
        }),
        window: settings.window.map(|window| window.as_secs_f64()),
        baseline: settings.baseline.map(|baseline| baseline.as_secs_f64()),
    }
}

fn gather(settings: &Settings) -> anyhow::Result<Gathered> {
    let mut gathered = if settings.replay.is_empty() {
        let window = settings.window.unwrap_or(LIVE_WINDOW);
        sample_live(&settings.live, window, settings.quiet)?
    } else {
        let bundle = replay(&settings.replay, settings.live.max_body)?;
        Gathered { bundle, cut_short: None }
    };
    leave_out(&mut gathered.bundle, &settings.live.sources);
    Ok(gathered)
}

/// Drops what `--only` or `--skip` left out, and says so.
pub(super) fn leave_out(bundle: &mut Bundle, keep: &[Source]) {
    let mut drop = |source: Source, id: &str, clear: &mut dyn FnMut(&mut Bundle)| {
        if keep.contains(&source) {
            return;
        }
        clear(bundle);
        bundle.notes.push(SourceStatus {
            id: id.into(),
            status: SourceState::NotConfigured,
            detail: "left out by --only, --skip or the settings file".into(),
            took_ms: None,
        });
    };
    drop(Source::Metrics, "metrics", &mut |bundle| bundle.scrapes.clear());
    drop(Source::Probes, "probes", &mut |bundle| bundle.probes.clear());
    drop(Source::Log, "log", &mut |bundle| bundle.log = None);
}

/// Samples a live server, with progress on a terminal, until done or told to stop.
pub(super) fn sample_live(
    live: &LiveSettings,
    window: Duration,
    quiet: bool,
) -> anyhow::Result<Gathered> {
    if live.insecure {
        write::note(
            "WARNING: --insecure: the server's certificate is NOT verified. Whoever sits \
                     on the way can read the API key and forge every answer.",
        );
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("failed to start the runtime")?;
    let bar = progress_bar(quiet);
    let cut_short = Cell::new(None);
    let stop = async {
        let exit = stop_signal().await;
        cut_short.set(Some(exit));
    };
    let bundle = runtime.block_on(sample(live, window, &bar, stop));
    bar.finish_and_clear();
    let bundle = bundle?;
    if cut_short.get().is_some() {
        write::note(&format!(
            "interrupted: what follows rests on {} of the scrapes planned",
            bundle.scrapes.len()
        ));
    }
    Ok(Gathered { bundle, cut_short: cut_short.get() })
}

/// A bar on stderr where a person looks at it, else nothing.
fn progress_bar(quiet: bool) -> ProgressBar {
    let bar = ProgressBar::new(0);
    if quiet || !std::io::stderr().is_terminal() {
        bar.set_draw_target(ProgressDrawTarget::hidden());
    }
    if let Ok(style) = ProgressStyle::with_template("sampling {bar:30} {pos}/{len} {msg}") {
        bar.set_style(style);
    }
    bar
}

/// Resolves at the first SIGINT or SIGTERM with the exit code of it.
async fn stop_signal() -> Exit {
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

// The joints: one small function for each part that others provide.

/// Joint: `sources::vllm::sample`.
async fn sample(
    live: &LiveSettings,
    _window: Duration,
    _bar: &ProgressBar,
    _stop: impl Future<Output = ()>,
) -> anyhow::Result<Bundle> {
    let tried = live.url.clone().unwrap_or_else(|| "this host".into());
    Err(no_server(&[(tried, "live sampling is not joined yet".into())]).into())
}

/// Joint: `Bundle::load`.
fn replay(paths: &[PathBuf], _max_body: u64) -> anyhow::Result<Bundle> {
    for path in paths {
        if !path.exists() {
            return Err(Failure {
                tried: format!("replay {}", path.display()),
                happened: "there is no such file or folder".into(),
                next: "a bundle folder, a .tar.zst, or a saved /metrics page".into(),
                exit: Exit::Failed,
            }
            .into());
        }
    }
    Ok(Bundle::default())
}

/// Joint: walk, rank and the building of the report.
fn judge(
    scope: &Scope,
    _runbook: Option<&Runbook>,
    _library: &Library,
    _evidence: &Evidence,
    _windows: &Windows,
    _readings: &Readings,
) -> anyhow::Result<Report> {
    anyhow::bail!("judging is not joined yet, so `{}` has no verdict", scope.command())
}

/// Joint: the renderers.
fn render(report: &Report, settings: &Settings) -> String {
    match settings.format {
        Format::Terminal | Format::Markdown => format!("{:?}", report.verdict),
        Format::Json => serde_json::to_string_pretty(report).unwrap_or_default(),
    }
}

/// No server answered: what was tried and how each try ended. That is never "healthy".
pub(super) fn no_server(tries: &[(String, String)]) -> Failure {
    let lines = tries.iter().map(|(what, how)| format!("\n    {what}: {how}"));
    Failure {
        tried: "find a vLLM server".into(),
        happened: lines.collect(),
        next: "--url http://HOST:PORT for a server elsewhere, or --replay PATH for a recording"
            .into(),
        exit: Exit::Inconclusive,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_out_is_gone_and_said() {
        let mut bundle = Bundle { log: Some(b"x".to_vec()), ..Bundle::default() };
        bundle.scrapes.insert(1, Vec::new());
        leave_out(&mut bundle, &[Source::Metrics]);
        assert!(bundle.log.is_none() && bundle.scrapes.len() == 1);
        let said: Vec<_> = bundle.notes.iter().map(|note| note.id.as_str()).collect();
        assert_eq!(said, ["probes", "log"]);
    }

    #[test]
    fn an_unknown_runbook_is_refused_with_the_name_meant() {
        let library = Library::embedded().unwrap();
        let error = find_runbook(&Scope::Runbook("high-tfft".into()), &library).unwrap_err();
        assert!(error.to_string().contains("did you mean `high-ttft`?"), "{error}");
        let error = find_runbook(&Scope::Runbook("swep".into()), &library).unwrap_err();
        assert!(error.to_string().contains("did you mean `sweep`?"), "{error}");
    }

    #[test]
    fn no_server_is_inconclusive_and_lists_what_was_tried() {
        let failure = no_server(&[("http://127.0.0.1:8000".into(), "refused".into())]);
        assert_eq!(failure.exit, Exit::Inconclusive);
        assert!(failure.to_string().contains("http://127.0.0.1:8000: refused"), "{failure}");
    }
}
