//! `diagnose slo suggest`: thresholds from your own healthy load.

use std::path::Path;

use super::{
    baseline, compare,
    run::{Asked, judge, sound_library},
    write,
};
use crate::{
    cli::{LiveArgs, PlainFormat, RunArgs, SuggestArgs},
    config::{self, Environment, Settings},
    evidence::bundle::{Bundle, Limits},
    exit::Exit,
    load::result::Verdict as LoadVerdict,
    monitor::suggest::{self, Healthy},
    report::Verdict,
    runbook::Library,
    sources,
};

/// Proposes thresholds. Exit 3 where too little was seen for any.
pub fn run(args: &SuggestArgs, env: &Environment) -> anyhow::Result<Exit> {
    args.answer.output.as_deref().map_or(Ok(()), write::check_destination)?;
    let run = RunArgs {
        live: LiveArgs::default(),
        config: args.library.config.clone(),
        judge: crate::cli::JudgeArgs {
            runbooks: args.library.runbooks.clone(),
            ..Default::default()
        },
        ..RunArgs::default()
    };
    let settings = config::settings(&run, env)?;
    let library = sound_library(&settings.runbook_dirs, None)?;
    let healthy: Vec<Healthy> = args
        .from
        .iter()
        .map(|path| read(path, &settings, &library))
        .collect::<anyhow::Result<_>>()?;
    let suggestions = suggest::suggest(&healthy, &library);
    let text = match args.answer.format {
        PlainFormat::Terminal => suggest::terminal(&suggestions, settings.width),
        PlainFormat::Json => suggest::json(&suggestions),
    };
    match &args.answer.output {
        Some(path) => write::file(path, &text)?,
        None => write::print(&text)?,
    }
    let any = suggestions.iter().any(|it| it.value.is_some());
    Ok(if any { Exit::Clean } else { Exit::Inconclusive })
}

/// A healthy time. What is not healthy is used too, as it was asked for, and said.
fn read(path: &Path, settings: &Settings, library: &Library) -> anyhow::Result<Healthy> {
    let name = path.display().to_string();
    let kept = baseline::find(path, settings)?;
    let path = kept.as_deref().unwrap_or(path);
    let sick = |verdict: String| {
        write::note(&format!("WARNING: {name} is {verdict}: its numbers are no aim"));
    };
    if let Some(result) = compare::load_result(path, settings.live.max_body)? {
        if result.verdict != LoadVerdict::Passed {
            sick(format!("{:?}", result.verdict).to_lowercase());
        }
        return Ok(Healthy::Tested(name, Box::new(result)));
    }
    let limits = Limits { body: settings.live.max_body, ..Limits::default() };
    let evidence = sources::read(&Bundle::load(&[path.into()], &limits)?);
    let report = judge(&Asked::sweep(), library, &evidence);
    if report.verdict != Verdict::Healthy {
        sick(format!("{:?}", report.verdict).to_lowercase());
    }
    Ok(Healthy::Recorded(name, Box::new(evidence)))
}
