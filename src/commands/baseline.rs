//! Evidence of healthy times, kept as plain files for its owner: one folder a name, with the bundle
//! or the result of a load test as it was, and what is known of it in `about.json`.

use std::{
    fs::{self, DirBuilder, OpenOptions, Permissions},
    io::Write as _,
    os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
};

use anyhow::Context;
use serde::{Deserialize, Serialize};

use super::{
    Failure, compare, history,
    run::{Asked, judge, sound_library},
    write,
};
use crate::{
    cli::{BaselineCommand, BaselineOf, SaveArgs, parse_name},
    config::{self, Environment, Settings},
    evidence::{
        Evidence, Time,
        bundle::{Bundle, Limits},
    },
    exit::Exit,
    input,
    load::result::{LoadResult, Verdict as LoadVerdict},
    report::{KeptBaseline, Report, Verdict, text},
    sources,
    unit::Unit,
};

/// Files of a baseline.
const ABOUT: &str = "about.json";
const BUNDLE: &str = "bundle.tar.zst";
const LOAD: &str = "load.json";

/// `about.json`.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct About {
    schema_version: u32,
    name: String,
    saved: String,
    tool_version: String,
    /// What it is: the verdict, and whether it was kept in spite of it.
    verdict: String,
    forced: bool,
    target: String,
    vllm_version: Option<String>,
}

/// `diagnose baseline`.
pub fn run(command: BaselineCommand, env: &Environment) -> anyhow::Result<Exit> {
    match command {
        BaselineCommand::Save(args) => save(&args, env),
        BaselineCommand::List => list(env),
        BaselineCommand::Show { name } => show(&name, env),
        BaselineCommand::Remove { name } => remove(&name, env),
    }
}

/// The folder of all baselines.
fn folder(state_home: Option<&Path>) -> Result<PathBuf, Failure> {
    let home = state_home.ok_or_else(|| Failure {
        tried: "find where baselines are kept".into(),
        happened: "neither XDG_STATE_HOME nor HOME is set".into(),
        next: "XDG_STATE_HOME=FOLDER".into(),
        exit: Exit::Failed,
    })?;
    Ok(home.join("diagnose").join("baselines"))
}

/// The folder of one that is there. Names are checked where they are typed; here they are again, as
/// nothing else keeps a path from leading elsewhere.
fn existing(state_home: Option<&Path>, name: &str) -> Result<PathBuf, Failure> {
    let all = folder(state_home)?;
    let own = parse_name(name).ok().map(|name| all.join(name));
    own.filter(|own| own.join(ABOUT).is_file()).ok_or_else(|| Failure {
        tried: format!("find the baseline `{}`", text::clean(name)),
        happened: format!("there is none in {}", all.display()),
        next: "`diagnose baseline list`".into(),
        exit: Exit::Failed,
    })
}

/// A baseline that a run compares with.
pub(super) struct Wanted {
    pub(super) evidence: Evidence,
    /// Whether it was asked for by a flag, and not as a fallback.
    pub(super) always: bool,
    about: About,
}

/// The baseline that the settings name, if any.
pub(super) fn wanted(settings: &Settings) -> anyhow::Result<Option<Wanted>> {
    let (name, always) = match (&settings.baseline, &settings.fallback_baseline) {
        (Some(BaselineOf::Kept(name)), _) => (name, true),
        (None, Some(name)) => (name, false),
        _ => return Ok(None),
    };
    let own = existing(settings.state_home.as_deref(), name)?;
    let bundle = own.join(BUNDLE);
    if !bundle.is_file() {
        return Err(Failure {
            tried: format!("compare with the baseline `{name}`"),
            happened: "it holds the result of a load test and no recording".into(),
            next: format!("`diagnose compare {name} B`, or keep a recording with it"),
            exit: Exit::Failed,
        }
        .into());
    }
    let limits = Limits { body: settings.live.max_body, ..Limits::default() };
    let evidence = sources::read(&Bundle::load(&[bundle], &limits)?);
    Ok(Some(Wanted { evidence, always, about: read_about(&own)? }))
}

impl Wanted {
    /// What the report says of it, beside what is judged.
    pub(super) fn about(&self, now: &Evidence) -> KeptBaseline {
        KeptBaseline {
            name: self.about.name.clone(),
            saved: self.about.saved.clone(),
            age_seconds: (now.span.to - self.evidence.span.to).round(),
            differs: differs(&self.evidence, now),
        }
    }
}

/// Release and settings that were others then.
fn differs(then: &Evidence, now: &Evidence) -> Vec<String> {
    let mut told = Vec::new();
    let (before, after) = (&then.target.version, &now.target.version);
    if let (Some(before), Some(after)) = (before, after)
        && before != after
    {
        told.push(format!("vLLM {before}, now {after}"));
    }
    let facts = then.facts.iter().filter(|(name, _)| name.as_str() != "version");
    told.extend(facts.filter_map(|(name, fact)| {
        let value = now.fact(name).filter(|value| *value != fact.value)?;
        Some(format!("{name} {}, now {value}", fact.value))
    }));
    told
}

/// Keeps the evidence of a run.
pub(super) fn keep(
    settings: &Settings,
    name: &str,
    force: bool,
    bundle: &Bundle,
    report: &Report,
) -> anyhow::Result<()> {
    healthy(report.verdict == Verdict::Healthy, force, name, &verdict(report), "--force-baseline")?;
    let about = about(name, verdict(report), force, &report.target.name);
    let about = About { vllm_version: report.target.version.clone(), ..about };
    let kept = Kept { about, bundle: Some(bundle), load: None };
    let path = store(settings.state_home.as_deref(), &kept)?;
    write::note(&format!("kept as the baseline `{name}` in {}", path.display()));
    Ok(())
}

/// Keeps the result of a load test.
pub(super) fn keep_result(
    settings: &Settings,
    name: &str,
    force: bool,
    result: &LoadResult,
) -> anyhow::Result<()> {
    let mut kept =
        Kept { about: about(name, "healthy".into(), force, ""), bundle: None, load: None };
    put_result(&mut kept, result, name, force, "--force-baseline")?;
    let path = store(settings.state_home.as_deref(), &kept)?;
    write::note(&format!("kept as the baseline `{name}` in {}", path.display()));
    Ok(())
}

fn verdict(report: &Report) -> String {
    format!("{:?}", report.verdict).to_lowercase()
}

fn about(name: &str, verdict: String, force: bool, target: &str) -> About {
    About {
        schema_version: 1,
        name: name.into(),
        saved: stamp(history::now()),
        tool_version: env!("CARGO_PKG_VERSION").into(),
        forced: force && verdict != "healthy",
        verdict,
        target: target.into(),
        vllm_version: None,
    }
}

fn stamp(at: Time) -> String {
    jiff::Timestamp::from_second(at as i64).map_or_else(|_| "?".into(), |it| it.to_string())
}

/// What is not healthy would hide the next incident.
fn healthy(is: bool, force: bool, name: &str, verdict: &str, flag: &str) -> Result<(), Failure> {
    if is || force {
        return Ok(());
    }
    Err(Failure {
        tried: format!("keep the baseline `{name}`"),
        happened: format!(
            "the verdict is {verdict}, and only what is healthy can be compared with"
        ),
        next: format!("a healthy time, or {flag} where this is how it should be"),
        exit: Exit::Finding,
    })
}

/// What is written.
struct Kept<'a> {
    about: About,
    bundle: Option<&'a Bundle>,
    load: Option<Vec<u8>>,
}

/// Writes a baseline as a whole in place of one of the same name; only its owner may read it.
fn store(state_home: Option<&Path>, kept: &Kept<'_>) -> anyhow::Result<PathBuf> {
    let all = folder(state_home)?;
    let failed = || format!("failed to keep a baseline in {}", all.display());
    DirBuilder::new().recursive(true).mode(0o700).create(&all).with_context(failed)?;
    let new = tempfile::Builder::new()
        .prefix(".new-")
        .permissions(Permissions::from_mode(0o700))
        .tempdir_in(&all)
        .with_context(failed)?;
    let put = |name: &str, body: &[u8]| {
        let mut options = OpenOptions::new();
        options.write(true).create_new(true).mode(0o600);
        options.open(new.path().join(name)).and_then(|mut file| file.write_all(body))
    };
    put(ABOUT, &serde_json::to_vec_pretty(&kept.about)?).with_context(failed)?;
    kept.load.as_deref().map_or(Ok(()), |body| put(LOAD, body)).with_context(failed)?;
    if let Some(bundle) = kept.bundle {
        bundle.save(&new.path().join(BUNDLE))?;
    }
    let own = all.join(&kept.about.name);
    if own.exists() {
        fs::remove_dir_all(&own).with_context(failed)?;
    }
    fs::rename(new.keep(), &own).with_context(failed)?;
    Ok(own)
}

/// Largest file that says what a baseline is, bytes.
const MOST_ABOUT: u64 = 1 << 20;

fn read_about(own: &Path) -> anyhow::Result<About> {
    let path = own.join(ABOUT);
    let text = input::text(&path, MOST_ABOUT)
        .with_context(|| format!("failed to read {}", path.display()))?;
    serde_json::from_str(&text).with_context(|| format!("failed to read {}", path.display()))
}

/// `diagnose baseline save`.
fn save(args: &SaveArgs, env: &Environment) -> anyhow::Result<Exit> {
    let dirs = config::directories(&args.library.runbooks, &args.library.config, env)?;
    let library = sound_library(&dirs, None)?;
    let mut kept =
        Kept { about: about(&args.name, "healthy".into(), false, ""), bundle: None, load: None };
    let mut recordings = Vec::new();
    for path in &args.paths {
        match compare::load_result(path, Limits::default().body)? {
            Some(result) => put_result(&mut kept, &result, &args.name, args.force, "--force")?,
            None => recordings.push(path.clone()),
        }
    }
    let bundle = match recordings.is_empty() {
        true => None,
        false => Some(Bundle::load(&recordings, &Limits::default())?),
    };
    if let Some(bundle) = &bundle {
        let report = judge(&Asked::sweep(), &library, &sources::read(bundle));
        let is = report.verdict == Verdict::Healthy;
        healthy(is, args.force, &args.name, &verdict(&report), "--force")?;
        let verdict = verdict(&report);
        kept.about.forced |= !is;
        kept.about = About {
            verdict,
            target: report.target.name,
            vllm_version: report.target.version,
            ..kept.about
        };
    }
    let path = store(env.state_home.as_deref(), &Kept { bundle: bundle.as_ref(), ..kept })?;
    write::print(&format!("kept as the baseline `{}` in {}", args.name, path.display()))?;
    Ok(Exit::Clean)
}

fn put_result(
    kept: &mut Kept<'_>,
    result: &LoadResult,
    name: &str,
    force: bool,
    flag: &str,
) -> anyhow::Result<()> {
    let passed = result.verdict == LoadVerdict::Passed;
    let verdict = format!("{:?}", result.verdict).to_lowercase();
    healthy(passed, force, name, &verdict, flag)?;
    kept.about.forced |= !passed;
    kept.about.target = result.target.clone();
    kept.about.vllm_version = result.server_version.clone();
    if !passed {
        kept.about.verdict = verdict;
    }
    kept.load = Some(serde_json::to_vec(result)?);
    Ok(())
}

/// Every baseline, by name.
#[expect(clippy::disallowed_methods, reason = "the only reader of baselines")]
fn all(env: &Environment) -> anyhow::Result<Vec<(PathBuf, About)>> {
    let folder = folder(env.state_home.as_deref())?;
    let Ok(entries) = fs::read_dir(&folder) else { return Ok(Vec::new()) };
    let mut own: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    own.retain(|path| path.join(ABOUT).is_file());
    own.sort();
    let read = |path: PathBuf| read_about(&path).ok().map(|about| (path, about));
    Ok(own.into_iter().filter_map(read).collect())
}

fn list(env: &Environment) -> anyhow::Result<Exit> {
    let now = history::now();
    let row = |(path, about): &(PathBuf, About)| {
        let saved = about.saved.parse::<jiff::Timestamp>().ok();
        let age = saved.map_or("?".into(), |it| Unit::Seconds.show(now - it.as_second() as f64));
        format!(
            "{}  {} ago  {}  {}  {}\n",
            text::pad(&text::clean(&about.name), 20),
            text::pad(&age, 8),
            text::pad(&holds(path), 18),
            text::clean(about.vllm_version.as_deref().unwrap_or("version unknown")),
            if about.forced { "NOT healthy" } else { "" }
        )
    };
    let rows: String = all(env)?.iter().map(row).collect();
    let text = if rows.is_empty() { "no baseline is kept\n".into() } else { rows };
    write::print(&text)?;
    Ok(Exit::Clean)
}

fn holds(path: &Path) -> String {
    let parts = [(BUNDLE, "recording"), (LOAD, "load test")];
    let there = parts.iter().filter(|(file, _)| path.join(file).is_file());
    there.map(|(_, word)| *word).collect::<Vec<_>>().join(", ")
}

fn show(name: &str, env: &Environment) -> anyhow::Result<Exit> {
    let own = existing(env.state_home.as_deref(), name)?;
    let about = read_about(&own)?;
    let forced = if about.forced { ", kept by force" } else { "" };
    let rows = [
        ("name", about.name.clone()),
        ("kept", about.saved.clone()),
        ("holds", holds(&own)),
        ("verdict", format!("{}{forced}", about.verdict)),
        ("target", about.target.clone()),
        ("vLLM", about.vllm_version.clone().unwrap_or_else(|| "unknown".into())),
        ("folder", own.display().to_string()),
    ];
    let row =
        |(name, value): &(&str, String)| format!("{}{}\n", text::pad(name, 10), text::clean(value));
    write::print(&rows.iter().map(row).collect::<String>())?;
    Ok(Exit::Clean)
}

fn remove(name: &str, env: &Environment) -> anyhow::Result<Exit> {
    let own = existing(env.state_home.as_deref(), name)?;
    fs::remove_dir_all(&own).with_context(|| format!("failed to delete {}", own.display()))?;
    write::note(&format!("deleted {}", own.display()));
    Ok(Exit::Clean)
}

/// The file of a baseline, where a path is the name of one and nothing lies there: the result of a
/// load test where it holds one, as that tells single requests.
pub(super) fn find(path: &Path, settings: &Settings) -> anyhow::Result<Option<PathBuf>> {
    let name = path.to_str().filter(|name| !path.exists() && parse_name(name).is_ok());
    let Some(name) = name else { return Ok(None) };
    let Ok(own) = existing(settings.state_home.as_deref(), name) else { return Ok(None) };
    let load = own.join(LOAD);
    Ok(Some(if load.is_file() { load } else { own.join(BUNDLE) }))
}
