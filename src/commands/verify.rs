//! `diagnose verify`: did the fix work?

use std::{path::Path, time::Duration};

use anyhow::Context;

use super::{
    Failure, baseline,
    run::{ask, gather, sound_library},
    write,
};
use crate::{
    cli::{At, BaselineArgs, BaselineOf, Format, JudgeArgs, RunArgs, VerifyArgs},
    config::{self, Environment, Settings},
    evidence::{Evidence, Time},
    exit::Exit,
    input,
    report::{Report, Verdict, build},
    sources,
    verify::{self, Outcome, Verification},
};

/// Looks again at what a report found, and tells by the exit code whether it is gone.
pub fn run(args: &VerifyArgs, env: &Environment) -> anyhow::Result<Exit> {
    let before = read(&args.report)?;
    let settings = settings(args, &before, env)?;
    super::check_form("a verification", settings.format, &super::OF_REPORTS)?;
    settings.output.as_deref().map_or(Ok(()), write::check_destination)?;
    let library = sound_library(&settings.runbook_dirs, None)?;
    let wanted = baseline::wanted(&settings)?;
    let gathered = gather(&settings)?;
    let evidence = sources::read(&gathered.bundle);
    let about = wanted.as_ref().map(|it| it.about(&evidence));
    let kept = wanted.as_ref().zip(about.as_ref());
    let kept = kept.map(|(wanted, about)| build::Kept { evidence: &wanted.evidence, about });
    let to = ask(&settings, &evidence)?.at.unwrap_or(evidence.span.to);
    let since = since(args, &evidence, to);
    let asked =
        verify::Asked { before: &before, library: &library, evidence: &evidence, since, to, kept };
    let answer = verify::verify(&asked);
    put(&settings, &answer)?;
    Ok(gathered.cut_short.unwrap_or_else(|| exit_of(&answer)))
}

fn exit_of(answer: &Verification) -> Exit {
    match answer.outcome {
        Outcome::Fixed if answer.new_symptoms.is_empty() => Exit::Clean,
        Outcome::Fixed | Outcome::NotFixed => Exit::Finding,
        _ => Exit::Inconclusive,
    }
}

/// Nothing before these moments counts.
fn since(args: &VerifyArgs, evidence: &Evidence, to: Time) -> Option<Time> {
    let since = args.since.map(|at| match at {
        At::Time(time) => time,
        At::BeforeEnd(seconds) => evidence.span.to - seconds,
    });
    let window = args.replay.window.map(|window| to - window.as_secs_f64());
    since.into_iter().chain(window).reduce(f64::max)
}

fn put(settings: &Settings, answer: &Verification) -> anyhow::Result<()> {
    let text = match settings.format {
        Format::Terminal => verify::terminal(answer, settings.width),
        Format::Markdown => verify::markdown(answer),
        Format::Json | Format::Html | Format::Junit => verify::json(answer),
    };
    match &settings.output {
        Some(path) => write::file(path, &text),
        None => write::print(&text),
    }
}

/// The same target again, unless another way to the evidence is given.
fn settings(args: &VerifyArgs, before: &Report, env: &Environment) -> anyhow::Result<Settings> {
    let mut run = RunArgs {
        replay: args.replay.clone(),
        live: args.live.clone(),
        history: args.history.clone(),
        healthy: BaselineArgs { baseline: args.baseline.clone().map(BaselineOf::Kept) },
        judge: JudgeArgs { runbooks: args.runbooks.clone(), ..JudgeArgs::default() },
        output: args.output.clone(),
        config: args.config.clone(),
        ..RunArgs::default()
    };
    let history = &run.history;
    let given = !run.replay.replay.is_empty()
        || run.live.url.is_some()
        || history.prometheus.is_some()
        || history.sagemaker.is_some();
    let url = &before.target.name;
    if !given && ["http://", "https://"].iter().any(|scheme| url.starts_with(scheme)) {
        write::note(&format!("looking at {url} again, as in the report"));
        run.live.url = Some(url.clone());
    } else if !given {
        return Err(failed(&args.report, "it does not say where to look again").into());
    }
    let mut settings = config::settings(&run, env)?;
    settings.window = args.watch.or(settings.window).map(|it| it.max(Duration::from_secs(1)));
    Ok(settings)
}

/// Largest report that is read, bytes.
const MOST_REPORT: u64 = 64 << 20;

fn read(path: &Path) -> anyhow::Result<Report> {
    let text = input::text(path, MOST_REPORT)
        .with_context(|| format!("failed to read {}", path.display()))?;
    let report: Report =
        serde_json::from_str(&text).map_err(|error| failed(path, &error.to_string()))?;
    match report.verdict {
        Verdict::Degraded | Verdict::Critical => Ok(report),
        _ => Err(failed(path, "it found nothing wrong, so there is nothing to verify").into()),
    }
}

fn failed(path: &Path, happened: &str) -> Failure {
    Failure {
        tried: format!("verify the report {}", path.display()),
        happened: happened.into(),
        next:
            "a report of an incident, as `diagnose sweep --format json` writes it, with --url or \
               --replay"
                .into(),
        exit: Exit::Failed,
    }
}
