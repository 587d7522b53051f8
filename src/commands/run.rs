//! `diagnose <runbook>` and `diagnose sweep`: evidence in, verdict out.

use std::path::PathBuf;

use super::{
    Failure,
    attach::{self, Pages},
    baseline, given, junit,
    live::{self, Gathered},
    seal, wait, waive, watch, write,
};
use crate::{
    cli::{At, BaselineOf, Format, RunArgs, Source},
    config::{self, Environment, Settings},
    evidence::{
        Evidence, SourceState, SourceStatus, Span,
        bundle::{Bundle, Limits, Redact},
    },
    exit::{self, Exit},
    report::{
        Report,
        build::{self, Case, build},
        html, json, markdown,
        terminal::{self, Style},
    },
    runbook::{Library, Problem, Runbook, Severity, lint, problem::did_you_mean},
    signals::{self, Ask, Baseline},
    sources::{
        self,
        aws::{self, Service},
    },
};

/// What is judged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scope {
    /// One runbook, by id.
    Runbook(String),
    /// Everything.
    Sweep,
}

impl Scope {
    fn runbook(&self) -> Option<&str> {
        match self {
            Self::Runbook(id) => Some(id),
            Self::Sweep => None,
        }
    }

    /// The command's name, as the report has it.
    pub(super) fn id(&self) -> &str {
        self.runbook().unwrap_or("sweep")
    }

    /// A sweep gates deploys, so it is stricter.
    pub(super) fn fail_on(&self) -> Severity {
        match self {
            Self::Runbook(_) => Severity::Critical,
            Self::Sweep => Severity::Warning,
        }
    }
}

/// Gathers, judges, and writes the report.
pub fn run(scope: &Scope, args: &RunArgs, env: &Environment) -> anyhow::Result<Exit> {
    run_with(scope, &config::settings(args, env)?)
}

/// The same with settings that are put together already.
pub(super) fn run_with(scope: &Scope, settings: &Settings) -> anyhow::Result<Exit> {
    settings.output.as_deref().map_or(Ok(()), write::check_destination)?;
    settings.bundle.as_deref().map_or(Ok(()), seal::check_destination)?;
    attach::check(settings)?;
    if let Some(interval) = settings.watch {
        return watch::run(scope, settings, interval);
    }
    let judged = judged(scope, settings)?;
    deliver(&judged, settings)?;
    seal::keep(&judged, settings)?;
    if let Some((name, force)) = &settings.save_baseline {
        baseline::keep(settings, name, *force, &judged.bundle, &judged.report)?;
    }
    attach::all(settings, || pages(&judged.report), judged.exit)
}

/// The report in every form that tickets take.
fn pages(report: &Report) -> Pages {
    let style = Style { width: attach::COLUMNS, color: false, verbose: 0, quiet: false };
    Pages {
        json: json::render(report),
        markdown: markdown::render(report),
        html: Some(html::render(report)),
        text: terminal::render(report, &style),
    }
}

/// A report, and what it was made of.
pub(super) struct Judged {
    /// The report.
    pub(super) report: Report,
    /// The evidence.
    pub(super) bundle: Bundle,
    /// What judged it.
    pub(super) library: Library,
    /// The times compared.
    pub(super) ask: Ask,
    /// Share of the checks that had to be answered.
    pub(super) min_coverage: f64,
    /// Severity from which a finding closes the gate.
    pub(super) fail_on: Severity,
    /// How the run ends.
    pub(super) exit: Exit,
    /// Whether gathering was cut short by a signal.
    pub(super) cut_short: bool,
}

/// Gathers and judges. What is wrong with the runbooks is told before a server is sampled.
pub(super) fn judged(scope: &Scope, settings: &Settings) -> anyhow::Result<Judged> {
    let installed = || sound_library(&settings.runbook_dirs, scope.runbook());
    let live = settings.replay.is_empty();
    let early = (live || !settings.runbook_dirs.is_empty()).then(installed).transpose()?;
    if let Some(library) = early.as_ref().filter(|_| live) {
        find_runbook(scope, library)?;
    }
    let wanted = baseline::wanted(settings)?;
    let mut gathered = match (settings.wait, &early) {
        (Some(time), Some(library)) => wait::gather(settings, library, time)?,
        _ => gather(settings)?,
    };
    let sealed = gathered.bundle.seal.take();
    let own = sealed.as_ref().and_then(|seal| seal::library(seal, settings));
    let library = own.or(early).map_or_else(installed, Ok)?;
    let runbook = find_runbook(scope, &library)?;
    let evidence = sources::read(&gathered.bundle);
    let before = sealed.as_ref().map(|seal| &seal.asked).filter(|it| it.command == scope.id());
    let ask = match ask(settings, &evidence)? {
        nothing if nothing == Ask::default() => before.map_or(nothing, seal::ask),
        asked => asked,
    };
    let min_coverage = settings.min_coverage.or_else(|| before?.min_coverage);
    let min_coverage = min_coverage.unwrap_or(config::MIN_COVERAGE);
    let about = wanted.as_ref().map(|it| it.about(&evidence));
    let kept = wanted.as_ref().zip(about.as_ref()).map(|(wanted, about)| Kept {
        baseline: build::Kept { evidence: &wanted.evidence, about },
        always: wanted.always,
    });
    let asked = Asked { runbook, ask, min_coverage, kept };
    let mut report = judge(&asked, &library, &evidence);
    report.waivers = waive::applied(&report, &settings.waivers, &library, &evidence)?;
    if let Some(seal) = &sealed {
        seal::tell(seal, &report, settings);
    }
    let fail_on = settings.fail_on.unwrap_or_else(|| scope.fail_on());
    let exit = match exit::of(&report, fail_on, min_coverage) {
        Exit::Clean if wait::was_too_short(&gathered.bundle) => Exit::Inconclusive,
        exit => gathered.cut_short.unwrap_or(exit),
    };
    let cut_short = gathered.cut_short.is_some();
    let bundle = gathered.bundle;
    Ok(Judged { report, bundle, library, ask, min_coverage, fail_on, exit, cut_short })
}

/// Writes the report to where it was asked for.
pub(super) fn deliver(judged: &Judged, settings: &Settings) -> anyhow::Result<()> {
    let text = render(judged, settings);
    match &settings.output {
        Some(path) => write::file(path, &text),
        None => write::print(&text),
    }
}

/// What is asked of the evidence.
#[derive(Debug, Clone)]
pub struct Asked<'a> {
    /// The runbook walked; none for a sweep.
    pub runbook: Option<&'a Runbook>,
    /// The times compared.
    pub ask: Ask,
    /// Share of the checks that must be answered.
    pub min_coverage: f64,
    /// A baseline of another time.
    pub kept: Option<Kept<'a>>,
}

/// A baseline of another time.
#[derive(Debug, Clone, Copy)]
pub struct Kept<'a> {
    /// What was seen then.
    pub baseline: build::Kept<'a>,
    /// Whether it is compared with even where a healthy time before was recorded.
    pub always: bool,
}

impl Asked<'_> {
    /// A sweep over all of a recording, as without any flag.
    pub fn sweep() -> Self {
        Self { runbook: None, ask: Ask::default(), min_coverage: config::MIN_COVERAGE, kept: None }
    }
}

/// From evidence to report: the same for every command that judges.
pub fn judge(asked: &Asked<'_>, library: &Library, evidence: &Evidence) -> Report {
    let mut windows = signals::onset::windows(evidence, &asked.ask);
    let recorded = matches!(windows.baseline, Baseline::Recorded(_));
    let kept = asked.kept.filter(|kept| kept.always || !recorded).map(|kept| kept.baseline);
    if let Some(kept) = kept {
        windows.baseline = Baseline::Kept(kept.evidence.span);
    }
    let readings = signals::read_against(evidence, &windows, kept.map(|kept| kept.evidence));
    build(&Case {
        command: asked.runbook.map_or("sweep", |runbook| &runbook.id.value),
        runbook: asked.runbook,
        library,
        evidence,
        windows: &windows,
        readings: &readings,
        min_coverage: asked.min_coverage,
        kept,
    })
}

/// The runbooks in force. Those of the user are linted first: judging by a tree that goes in a
/// circle or by a check that does not exist would mislead.
pub(super) fn sound_library(dirs: &[PathBuf], runbook: Option<&str>) -> anyhow::Result<Library> {
    if dirs.is_empty() {
        return Ok(Library::embedded_for(runbook)?);
    }
    let library = Library::load(dirs)?;
    let problems = lint::lint(&library).into_iter().filter(Problem::is_error);
    let shown: Vec<_> = problems.map(|problem| problem.render(false)).collect();
    if shown.is_empty() {
        return Ok(library);
    }
    Err(Failure {
        tried: "judge by your runbooks, which have mistakes".into(),
        happened: format!("\n{}", shown.join("\n")),
        next: "`diagnose runbook lint` after each change, or run without --runbooks".into(),
        exit: Exit::Failed,
    }
    .into())
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

/// The times that the settings ask about.
pub(super) fn ask(settings: &Settings, evidence: &Evidence) -> Result<Ask, Failure> {
    let recorded = !settings.replay.is_empty();
    if !recorded && !settings.history.is_asked() {
        return Ok(Ask::default());
    }
    let at = settings.at.filter(|_| recorded).map(|at| match at {
        At::Time(time) => time,
        At::BeforeEnd(seconds) => evidence.span.to - seconds,
    });
    if at.is_some_and(|at| !evidence.span.contains(at)) {
        return Err(outside(evidence.span));
    }
    let before = match &settings.baseline {
        Some(BaselineOf::Before(duration)) => Some(duration.as_secs_f64()),
        _ => None,
    };
    let window = settings.window.map(|window| window.as_secs_f64());
    Ok(Ask { at, window, baseline: before })
}

/// A moment that nothing was recorded at cannot be judged.
fn outside(span: Span) -> Failure {
    let shown = |at: f64| {
        jiff::Timestamp::from_second(at as i64).map_or("?".into(), |stamp| stamp.to_string())
    };
    Failure {
        tried: "judge the time of --at".into(),
        happened: format!("the recording goes from {} to {}", shown(span.from), shown(span.to)),
        next: "an --at in between, or e.g. --at -1m before its end".into(),
        exit: Exit::Failed,
    }
}

/// The evidence that the settings ask for, live or recorded.
pub(super) fn gather(settings: &Settings) -> anyhow::Result<Gathered> {
    let mut gathered = if settings.replay.is_empty() {
        let window = settings.window.unwrap_or(live::WINDOW);
        let past = &settings.history;
        // With history, the window is the time judged, which sampling need not last.
        let window = if past.is_asked() { window.min(live::WINDOW) } else { window };
        live::sample(&settings.live, past, window, settings.quiet)?
    } else {
        let limits = Limits { body: settings.live.max_body, ..Limits::default() };
        let mut bundle = Bundle::load(&settings.replay, &limits)?;
        given::add(&mut bundle, &settings.live)?;
        if let Some(file) = &settings.live.kernel_log {
            sources::kernel::capture::from_file(&mut bundle, file);
        }
        Gathered { bundle, cut_short: None }
    };
    leave_out(&mut gathered.bundle, &settings.live.sources);
    if settings.bundle.is_some() {
        // What is judged must be what is kept.
        gathered.bundle.redact(Redact { addresses: settings.live.redact_addresses });
    }
    Ok(gathered)
}

/// Drops what `--only` or `--skip` left out, and says so.
pub(super) fn leave_out(bundle: &mut Bundle, keep: &[Source]) {
    let mut drop = |source: Source, id: &str, clear: &mut dyn FnMut(&mut Bundle)| {
        if keep.contains(&source) {
            return;
        }
        clear(bundle);
        bundle.meta.sources.retain(|status| status.id != id);
        bundle.notes.retain(|status| status.id != id);
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
    drop(Source::Kube, "kube", &mut |bundle| drop_records(bundle, "kube"));
    drop(Source::Kernel, "kernel", &mut |bundle| bundle.kernel_log = None);
    drop(Source::Gateway, "gateway", &mut |bundle| bundle.gateway = None);
    drop(Source::Host, "host", &mut |bundle| drop_records(bundle, "host"));
    drop(Source::Nvml, "nvml", &mut |bundle| drop_records(bundle, "nvml"));
    drop(Source::Sagemaker, "sagemaker", &mut |it| aws::leave_out(it, Service::Sagemaker));
    drop(Source::Autoscaling, "autoscaling", &mut |it| aws::leave_out(it, Service::Autoscaling));
    drop(Source::Cloudwatch, "cloudwatch", &mut |it| aws::leave_out(it, Service::Cloudwatch));
    drop(Source::Prometheus, "prometheus", &mut |bundle| drop_records(bundle, "prometheus"));
    drop(Source::Mlflow, "mlflow", &mut |bundle| drop_records(bundle, "mlflow"));
}

fn drop_records(bundle: &mut Bundle, folder: &str) {
    bundle.records.remove(folder);
}

fn render(judged: &Judged, settings: &Settings) -> String {
    let report = &judged.report;
    match settings.format {
        Format::Terminal => terminal::render(report, &style(settings)),
        Format::Markdown => markdown::render(report),
        Format::Html => html::render(report),
        Format::Json => json::render(report),
        Format::Junit => junit::of_report(report, judged.fail_on, judged.exit),
    }
}

/// How to write for the screen.
pub(super) fn style(settings: &Settings) -> Style {
    Style {
        width: settings.width,
        color: settings.color,
        verbose: settings.verbose,
        quiet: settings.quiet,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_out_is_gone_and_said() {
        let mut bundle = Bundle { log: Some(b"x".to_vec()), ..Bundle::default() };
        let (id, detail) = ("probes".into(), "they failed".into());
        let failed = SourceStatus { id, status: SourceState::TimedOut, detail, took_ms: None };
        bundle.meta.sources.push(failed);
        bundle.scrapes.insert(1, Vec::new());
        leave_out(&mut bundle, &[Source::Metrics]);
        assert!(bundle.log.is_none() && bundle.scrapes.len() == 1);
        let said: Vec<_> = bundle.notes.iter().map(|note| note.id.as_str()).collect();
        assert_eq!(
            said,
            [
                "probes",
                "log",
                "kube",
                "kernel",
                "gateway",
                "host",
                "nvml",
                "sagemaker",
                "autoscaling",
                "cloudwatch",
                "prometheus",
                "mlflow"
            ]
        );
        assert!(bundle.meta.sources.is_empty(), "how it failed is no answer to what was asked");
    }

    #[test]
    fn an_unknown_runbook_is_refused_with_the_name_meant() {
        let library = Library::embedded().unwrap();
        let error = find_runbook(&Scope::Runbook("high-tfft".into()), &library).unwrap_err();
        assert!(error.to_string().contains("did you mean `high-ttft`?"), "{error}");
        let error = find_runbook(&Scope::Runbook("swep".into()), &library).unwrap_err();
        assert!(error.to_string().contains("did you mean `sweep`?"), "{error}");
    }
}
