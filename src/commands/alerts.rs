//! `diagnose alerts render` and `diagnose alerts lint`: rules for other systems, and rules of others.

use std::{path::Path, sync::Arc, time::Duration};

use anyhow::Context;

use super::{Failure, dashboard::names, monitor, run::gather, write};
use crate::{
    cli::{HistoryArgs, LintArgs, RenderArgs, ReplayArgs, RuleTargetArgs, RulesFor, RunArgs},
    config::{self, Environment, Settings},
    evidence::Evidence,
    exit::Exit,
    input,
    monitor::{
        cloudwatch, lint, prometheus,
        target::{Target, matchers},
    },
    runbook::{Library, problem::SourceFile},
    signals::families::Version,
    sources,
};

/// One page tells all names, so a server is not looked at for long.
const LOOK: Duration = Duration::from_secs(1);

/// Writes all rules for one system.
pub fn render(args: &RenderArgs, env: &Environment) -> anyhow::Result<Exit> {
    with_effect(args)?;
    args.output.as_deref().map_or(Ok(()), write::check_destination)?;
    let settings = settings(&args.target, env)?;
    let rules = monitor::rules(&args.target.look.runbooks, &args.target.look.config, env)?;
    let policy = Library::load(&settings.runbook_dirs)?.policy;
    let text = match args.to {
        RulesFor::Prometheus => {
            let target = target(&args.target, &settings)?.map_err(unknown)?;
            prometheus::render(&rules, &policy, &target)
        }
        RulesFor::Cloudwatch => {
            let seen = args.target.names_evidence().then(|| look(&settings)).transpose()?;
            let (aws, _) = config::gateway(&args.target.look.config, env)?;
            let options =
                cloudwatch::Options { names: names(&aws), actions: args.alarm_action.clone() };
            let alarms = cloudwatch::render(&rules, &policy, seen.as_ref(), &options);
            say(&alarms);
            alarms.json()
        }
    };
    match &args.output {
        Some(path) => write::file(path, &text)?,
        None => write::print(&text)?,
    }
    Ok(Exit::Clean)
}

/// JSON has no comments, so what is left out is said beside it.
fn say(alarms: &cloudwatch::Alarms) {
    say_left(alarms);
    if alarms.template {
        write::note(
            "Dimensions in <> stand for your own: an alarm without them watches a metric without \
             them, of which there is none, and never fires. --cloudwatch finds them.",
        );
    }
}

/// What has no alarm, and why.
pub(super) fn say_left(alarms: &cloudwatch::Alarms) {
    for (id, why) in &alarms.left {
        write::note(&format!("{id} is left out: {why}."));
    }
}

/// A flag that would do nothing is refused.
fn with_effect(args: &RenderArgs) -> anyhow::Result<()> {
    match args.to {
        RulesFor::Prometheus if !args.alarm_action.is_empty() => {
            anyhow::bail!("--alarm-action needs --to cloudwatch")
        }
        RulesFor::Cloudwatch if args.target.vllm_version.is_some() => {
            anyhow::bail!(
                "--vllm-version needs --to prometheus: CloudWatch has the gateway's names"
            )
        }
        _ => Ok(()),
    }
}

/// Looks for mistakes in rules and dashboards of the user.
pub fn lint(args: &LintArgs, env: &Environment) -> anyhow::Result<Exit> {
    let settings = settings(&args.target, env)?;
    let rules = monitor::rules(&args.target.look.runbooks, &args.target.look.config, env)?;
    let files = args.files.iter().map(|path| read(path)).collect::<anyhow::Result<Vec<_>>>()?;
    let asked = args.target.vllm_version.is_some() || args.target.names_evidence();
    let target = if asked { Some(target(&args.target, &settings)?) } else { None };
    let known = target.as_ref().and_then(|target| target.as_ref().ok());
    let problems = lint::lint(&files, known, &rules);
    let shown: String = problems.iter().map(|it| it.render(settings.color) + "\n").collect();
    write::print(if shown.is_empty() { "No mistake was found.\n" } else { &shown })?;
    match &target {
        Some(Err(why)) => write::note(&format!("Names were not compared with a server: {why}.")),
        Some(Ok(target)) => write::note(&format!("Compared with {}.", target.name)),
        None => write::note("Compared with all releases of vLLM: name a server to be precise."),
    }
    Ok(match target {
        _ if !problems.is_empty() => Exit::Finding,
        Some(Err(_)) => Exit::Inconclusive,
        _ => Exit::Clean,
    })
}

/// Largest file of rules that is read, bytes.
const MOST_RULES: u64 = 16 << 20;

fn read(path: &Path) -> anyhow::Result<Arc<SourceFile>> {
    let text = input::text(path, MOST_RULES);
    let text = text.with_context(|| format!("failed to read {}", path.display()))?;
    Ok(Arc::new(SourceFile::new(path.display().to_string(), text, 0)))
}

pub(super) fn settings(args: &RuleTargetArgs, env: &Environment) -> anyhow::Result<Settings> {
    let run = args.look.as_run()?;
    let replay = ReplayArgs { window: run.replay.window.or(Some(LOOK)), ..run.replay.clone() };
    // The labels also narrow rules that are written without a look at Prometheus.
    let selector = run.history.selector.clone().filter(|_| run.history.prometheus.is_some());
    let history = HistoryArgs { selector, ..run.history.clone() };
    config::settings(&RunArgs { replay, history, ..run }, env)
}

/// The server, or why nothing is known of it.
pub(super) fn target(
    args: &RuleTargetArgs,
    settings: &Settings,
) -> anyhow::Result<Result<Target, String>> {
    let own = settings.history.prometheus.as_ref().and_then(|it| it.selector.clone());
    let selector = args.look.history.selector.clone().or(own).unwrap_or_default();
    let labels = matchers(&selector).map_err(|why| Failure {
        tried: format!("read the labels of --selector {selector}"),
        happened: why,
        next: "e.g. --selector 'job=\"vllm\"'".into(),
        exit: Exit::Failed,
    })?;
    let Some(version) = &args.vllm_version else {
        return Ok(Target::of_evidence(&look(settings)?, &labels));
    };
    let parsed = Version::parse(version).ok_or_else(|| Failure {
        tried: format!("read the version `{version}`"),
        happened: "it is none".into(),
        next: "e.g. --vllm-version 0.23.0".into(),
        exit: Exit::Failed,
    })?;
    Ok(Ok(Target::of_version(parsed, &labels)))
}

pub(super) fn look(settings: &Settings) -> anyhow::Result<Evidence> {
    Ok(sources::read(&gather(settings)?.bundle))
}

pub(super) fn unknown(why: String) -> Failure {
    Failure {
        tried: "write rules for this server".into(),
        happened: why,
        next: "--vllm-version, which needs no server".into(),
        exit: Exit::Inconclusive,
    }
}
