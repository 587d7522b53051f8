//! The target of a rendering: which metrics it exports, under which names.

use std::time::Duration;

use super::{Failure, run::gather};
use crate::{
    cli::{HistoryArgs, JudgeArgs, LiveArgs, OutputArgs, ReplayArgs, RunArgs, TargetArgs},
    config::{self, Environment},
    evidence::{Evidence, SeriesSet},
    exit::Exit,
    monitor::promql::Dialect,
    signals::families::{Version, fingerprint},
    sources,
};

/// Long enough for one page, which has all names.
const LOOK: Duration = Duration::from_secs(1);

/// What a target exports.
pub(super) struct Target {
    /// Its names.
    pub(super) names: Dialect,
    /// Its series; `None` where only its release is known.
    pub(super) page: Option<SeriesSet>,
}

/// Looks at the target, unless only its release is given.
pub(super) fn find(args: &TargetArgs, env: &Environment) -> anyhow::Result<Target> {
    if let Some(text) = &args.vllm_version {
        let version = Version::parse(text).ok_or_else(|| no_version(text))?;
        let names = Dialect { version, exported: None, selector: String::new(), by: Vec::new() };
        return Ok(Target { names, page: None });
    }
    let settings = config::settings(&as_run(args), env)?;
    let evidence = sources::read(&gather(&settings)?.bundle);
    let exported: Vec<String> = evidence.series.names().map(Into::into).collect();
    if exported.is_empty() {
        return Err(nothing_read(&evidence).into());
    }
    let selector = settings.history.prometheus.and_then(|it| it.selector).unwrap_or_default();
    let version = version(&evidence).ok_or_else(|| nothing_read(&evidence))?;
    let names = Dialect { version, exported: Some(exported), selector, by: Vec::new() };
    Ok(Target { names, page: Some(evidence.series) })
}

fn as_run(args: &TargetArgs) -> RunArgs {
    RunArgs {
        replay: ReplayArgs {
            replay: args.replay.clone(),
            window: Some(LOOK),
            ..ReplayArgs::default()
        },
        live: LiveArgs { url: args.url.clone(), ..LiveArgs::default() },
        history: HistoryArgs {
            prometheus: args.prometheus.clone(),
            selector: args.selector.clone(),
            ..HistoryArgs::default()
        },
        judge: JudgeArgs { runbooks: args.runbooks.clone(), ..JudgeArgs::default() },
        output: OutputArgs { quiet: true, ..OutputArgs::default() },
        config: args.config.clone(),
    }
}

/// What the server says, else the first release that has all the names seen.
fn version(evidence: &Evidence) -> Option<Version> {
    let told = evidence.target.version.as_deref().and_then(Version::parse);
    let hint = || fingerprint(&evidence.series, None, false).version_hint;
    let least = || Version::parse(hint().map_or("0.4.0", |hint| hint.first));
    told.or_else(least)
}

fn no_version(text: &str) -> Failure {
    Failure {
        tried: format!("read the release `{text}`"),
        happened: "it is no version".into(),
        next: "one like --vllm-version 0.23.0".into(),
        exit: Exit::Failed,
    }
}

fn nothing_read(evidence: &Evidence) -> Failure {
    let told = evidence.sources.iter().find(|source| !source.status.answered());
    Failure {
        tried: "see which metrics the target exports".into(),
        happened: told
            .map_or("no series was read".into(), |it| format!("{}: {}", it.id, it.detail)),
        next: "--vllm-version VERSION, to go by the release alone".into(),
        exit: Exit::Inconclusive,
    }
}
