//! `diagnose compare`: two servers, releases or times beside each other.

use std::{
    fs::File,
    io::Read,
    path::{Path, PathBuf},
};

use anyhow::Context;

use super::{
    Failure, baseline, load,
    run::{gather, sound_library},
    write,
};
use crate::{
    cli::{
        At, CompareArgs, Format, JudgeArgs, LiveArgs, LoadArgs, OutputArgs, ReplayArgs, RunArgs,
        TrafficArgs,
    },
    compare::{self, Comparison, Side, Verdict},
    config::{self, Environment, Settings},
    evidence::{
        Evidence, Span, Time,
        bundle::{Bundle, Limits},
    },
    exit::Exit,
    load::result::LoadResult,
    signals::{Ask, onset},
    sources,
};

/// Compares, writes the answer, and tells by the exit code whether B is worse.
pub fn run(args: &CompareArgs, env: &Environment) -> anyhow::Result<Exit> {
    super::check_form("a comparison", args.format, &super::OF_REPORTS)?;
    args.output.as_deref().map_or(Ok(()), write::check_destination)?;
    if args.scenario.is_some() {
        return shadow(args, env);
    }
    let settings = config::settings(&as_run(args), env)?;
    let library = sound_library(&settings.runbook_dirs, None)?;
    let [a, b] = sides(args, &settings)?;
    let eager = args.eager.as_deref().map(|path| side(path, &settings)).transpose()?;
    let comparison = compare::compare(&a, &b, eager.as_ref(), false, &library);
    put(args, &settings, &comparison)?;
    Ok(exit_of(comparison.verdict))
}

/// The same load on both servers at once.
fn shadow(args: &CompareArgs, env: &Environment) -> anyhow::Result<Exit> {
    let of = |url: &Option<PathBuf>, model: &Option<String>| LoadArgs {
        scenario: args.scenario.clone().unwrap_or_default(),
        traffic: TrafficArgs {
            yes: args.yes,
            duration: args.duration,
            rate: args.rate,
            seed: args.seed,
            model: model.clone(),
            ..TrafficArgs::default()
        },
        live: LiveArgs {
            url: url.as_ref().map(|url| url.display().to_string()),
            ..LiveArgs::default()
        },
        judge: JudgeArgs { runbooks: args.runbooks.clone(), ..JudgeArgs::default() },
        output: OutputArgs { output: args.output.clone(), ..OutputArgs::default() },
        config: args.config.clone(),
    };
    let both = [of(&args.a, &args.model_a), of(&args.b, &args.model_b)];
    let (results, settings, signal) = load::shadow(&both, env)?;
    let library = sound_library(&settings.runbook_dirs, None)?;
    let [a, b] = [0, 1].map(|index| {
        let model = both[index].traffic.model.as_deref();
        let model = model.map_or(String::new(), |model| format!(", {model}"));
        Side::of_load(format!("{}{model}", results[index].target), &results[index])
    });
    let comparison = compare::compare(&a, &b, None, true, &library);
    put(args, &settings, &comparison)?;
    Ok(signal.unwrap_or_else(|| exit_of(comparison.verdict)))
}

fn exit_of(verdict: Verdict) -> Exit {
    match verdict {
        Verdict::NotWorse => Exit::Clean,
        Verdict::Worse => Exit::Finding,
        Verdict::CannotTell | Verdict::NotComparable => Exit::Inconclusive,
    }
}

fn put(args: &CompareArgs, settings: &Settings, comparison: &Comparison) -> anyhow::Result<()> {
    let text = match args.format {
        Format::Terminal => compare::terminal(comparison, settings.width),
        Format::Markdown => compare::markdown(comparison),
        Format::Json | Format::Html | Format::Junit => compare::json(comparison),
    };
    match &args.output {
        Some(path) => write::file(path, &text),
        None => write::print(&text),
    }
}

fn as_run(args: &CompareArgs) -> RunArgs {
    let replay = match (&args.a, &args.b) {
        (Some(a), Some(b)) => vec![a.clone(), b.clone()],
        _ => args.replay.clone(),
    };
    RunArgs {
        replay: ReplayArgs { replay, ..ReplayArgs::default() },
        history: args.history.clone(),
        judge: JudgeArgs { runbooks: args.runbooks.clone(), ..JudgeArgs::default() },
        output: OutputArgs { quiet: true, ..OutputArgs::default() },
        config: args.config.clone(),
        ..RunArgs::default()
    }
}

fn sides(args: &CompareArgs, settings: &Settings) -> anyhow::Result<[Side; 2]> {
    if let (Some(a), Some(b)) = (&args.a, &args.b) {
        return Ok([side(a, settings)?, side(b, settings)?]);
    }
    let (Some(a), Some(b)) = (args.window_a, args.window_b) else {
        anyhow::bail!("give A and B, or --window-a and --window-b");
    };
    if settings.replay.is_empty() && !settings.history.is_asked() {
        anyhow::bail!(
            "two times need a recording (--replay) or a source of history (--prometheus URL)"
        );
    }
    let evidence = sources::read(&gather(settings)?.bundle);
    let of = |(from, to): (At, At)| {
        let span = span(&evidence, from, to)?;
        let name = format!("{} to {}", stamp(span.from), stamp(span.to));
        Ok::<Side, Failure>(Side::of_evidence(name, &evidence, span))
    };
    Ok([of(a)?, of(b)?])
}

fn span(evidence: &Evidence, from: At, to: At) -> Result<Span, Failure> {
    let time = |at: At| match at {
        At::Time(time) => time,
        At::BeforeEnd(seconds) => evidence.span.to - seconds,
    };
    let span = Span { from: time(from), to: time(to) };
    let whole = evidence.span;
    let overlaps = span.to > whole.from && span.from < whole.to;
    if span.from < span.to && overlaps {
        return Ok(span);
    }
    Err(Failure {
        tried: format!("compare the time from {} to {}", stamp(span.from), stamp(span.to)),
        happened: format!("what was read goes from {} to {}", stamp(whole.from), stamp(whole.to)),
        next: "times inside of it; --history 6h reaches further back".into(),
        exit: Exit::Failed,
    })
}

fn stamp(at: Time) -> String {
    jiff::Timestamp::from_second(at as i64).map_or("?".into(), |stamp| stamp.to_string())
}

/// The result of a load test, or a recording: from its onset on, where it holds one.
pub(super) fn side(path: &Path, settings: &Settings) -> anyhow::Result<Side> {
    let name = path.display().to_string();
    let kept = baseline::find(path, settings)?;
    let path = kept.as_deref().unwrap_or(path);
    if let Some(result) = load_result(path, settings.live.max_body)? {
        return Ok(Side::of_load(name, &result));
    }
    let limits = Limits { body: settings.live.max_body, ..Limits::default() };
    let paths: [PathBuf; 1] = [path.into()];
    let evidence = sources::read(&Bundle::load(&paths, &limits)?);
    let windows = onset::windows(&evidence, &Ask::default());
    let name = match windows.onset {
        Some(_) => format!("{name} since its onset"),
        None => name,
    };
    Ok(Side::of_evidence(name, &evidence, windows.now))
}

/// Reads a result of `load`; `None` where the file is something else.
#[expect(clippy::disallowed_methods, reason = "a file that the command line names")]
pub(super) fn load_result(path: &Path, most: u64) -> anyhow::Result<Option<LoadResult>> {
    if !path.is_file() {
        return Ok(None);
    }
    let read = || -> std::io::Result<Vec<u8>> {
        let mut body = Vec::new();
        let mut file = File::open(path)?;
        Read::by_ref(&mut file).take(1).read_to_end(&mut body)?;
        if body == b"{" {
            file.take(most.saturating_mul(16)).read_to_end(&mut body)?;
        }
        Ok(body)
    };
    let body = read().with_context(|| format!("failed to read {}", path.display()))?;
    if !body.starts_with(b"{") {
        return Ok(None);
    }
    let result: LoadResult = serde_json::from_slice(&body).map_err(|error| Failure {
        tried: format!("read {} as the result of a load test", path.display()),
        happened: error.to_string(),
        next: "the JSON that `diagnose load --format json` wrote, or a recording".into(),
        exit: Exit::Failed,
    })?;
    Ok(Some(result))
}
