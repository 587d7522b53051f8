//! `diagnose config check`: the settings that are in force, and whether every source answers.

mod sources;

use std::{fmt::Write, path::PathBuf, time::Duration};

use super::write;
use crate::{
    cli::{CheckArgs, RunArgs, Source},
    config::{self, Environment, HistorySettings, Origin, Settings},
    evidence::bundle::{HIDDEN, url_without_credentials},
    exit::Exit,
    report::text::{clean, width, wrap},
    runbook::Library,
    unit::{Unit, counted},
};

/// Columns of the names before the values.
const NAMES: usize = 22;

/// Reads every setting and every runbook, prints what is in force, and asks every source once.
pub fn check(args: &CheckArgs, env: &Environment) -> anyhow::Result<Exit> {
    let settings = config::settings(&args.run, env)?;
    let library = Library::load(&settings.runbook_dirs)?;
    write::print(&table(&settings, &args.run, &library))?;
    if args.offline { Ok(Exit::Clean) } else { sources::check(settings) }
}

/// A setting by its key in the file, with its value in words.
type Row = (String, String);

fn table(settings: &Settings, args: &RunArgs, library: &Library) -> String {
    let flags = flags(args);
    let from = |key: &str| match flags.contains(&key) {
        true => Origin::Flag,
        false => settings.origins.of(key),
    };
    let mut out = line("settings file", &file(settings), settings.width);
    for (key, value) in general(settings).into_iter().chain(history(&settings.history)) {
        let origin = from(&key);
        let value = if value.is_empty() { "none" } else { &value };
        out += &line(&key, &format!("{value} ({origin})"), settings.width);
    }
    let secret = if settings.live.api_key.is_some() { "set (hidden)" } else { "none" };
    out += &line("api key", secret, settings.width);
    out + &line("loaded", &loaded(library), settings.width)
}

/// A name and a text, which is wrapped under itself.
fn line(name: &str, text: &str, columns: usize) -> String {
    let room = columns.saturating_sub(NAMES).max(20);
    let mut out = String::new();
    for (row, part) in wrap(&clean(text), room).iter().enumerate() {
        let name = if row == 0 { name } else { "" };
        let gap = " ".repeat(NAMES.saturating_sub(width(name)).max(1));
        // Writing to a String cannot fail.
        let _ = writeln!(out, "{name}{gap}{part}");
    }
    out
}

fn file(settings: &Settings) -> String {
    let path = settings.file.as_ref().map(|path| path.display().to_string());
    let profile = settings.profile.as_ref().map(|name| format!("profile {name}"));
    let said: Vec<String> = path.into_iter().chain(profile).collect();
    if said.is_empty() { "none".into() } else { said.join(", ") }
}

fn general(settings: &Settings) -> Vec<Row> {
    let live = &settings.live;
    let yes = |on: bool| if on { "yes" } else { "no" }.to_owned();
    let url = live.url.as_deref().map(url_without_credentials);
    let none = || match settings.history.is_asked() {
        true => "none: history alone is judged".into(),
        false => "looked for on this host".into(),
    };
    let insecure = if live.insecure { "yes: certificates are NOT verified" } else { "no" };
    let names = |sources: &[Source]| {
        let names = sources.iter().map(|source| format!("{source:?}").to_lowercase());
        names.collect::<Vec<_>>().join(", ")
    };
    let fields = live.gateway_fields.iter().map(|(meaning, name)| format!("{meaning} = {name}"));
    let waived = settings.waivers.iter().map(|it| format!("{} until {}", it.finding, it.expires));
    let fail_on = settings.fail_on.map_or("critical (sweep: warning)".into(), |severity| {
        format!("{severity:?}").to_lowercase()
    });
    let window = settings.window.unwrap_or(super::live::WINDOW);
    [
        ("url", url.unwrap_or_else(none)),
        ("timeout", span(live.timeout)),
        ("window", span(window)),
        ("ca", paths(live.ca.as_slice())),
        ("insecure", insecure.into()),
        ("adapter_dir", paths(&live.adapter_dirs)),
        ("log", paths(&live.logs)),
        ("journal_unit", live.journal_unit.clone().unwrap_or_default()),
        ("kube", paths(live.kube.as_slice())),
        ("redact_addresses", yes(live.redact_addresses)),
        ("kernel_log", paths(live.kernel_log.as_slice())),
        ("gateway", paths(live.gateway.as_slice())),
        ("gateway_fields", fields.collect::<Vec<_>>().join(", ")),
        ("nvml_library", paths(live.nvml_library.as_slice())),
        ("max_body", Unit::Bytes.show(live.max_body as f64)),
        ("sources", names(&live.sources)),
        ("fail_on", fail_on),
        ("min_coverage", settings.min_coverage.unwrap_or(config::MIN_COVERAGE).to_string()),
        ("waive", waived.collect::<Vec<_>>().join(", ")),
        ("format", format!("{:?}", settings.format).to_lowercase()),
        ("runbooks", paths(&settings.runbook_dirs)),
        ("baseline", settings.fallback_baseline.clone().unwrap_or_default()),
        ("history", span(settings.history.back)),
    ]
    .map(|(key, value)| (key.to_owned(), value))
    .into()
}

fn paths(paths: &[PathBuf]) -> String {
    let shown: Vec<_> = paths.iter().map(|path| path.display().to_string()).collect();
    shown.join(", ")
}

fn span(duration: Duration) -> String {
    format!("{:#}", jiff::SignedDuration::try_from(duration).unwrap_or_default())
}

/// The tables of sources that keep history, key by key.
fn history(settings: &HistorySettings) -> Vec<Row> {
    let table = |value: Option<toml::Value>| value.unwrap_or(toml::Value::String(String::new()));
    let parts = [
        ("prometheus", settings.prometheus.as_ref().and_then(|it| toml::Value::try_from(it).ok())),
        ("aws", settings.aws.as_ref().and_then(|it| toml::Value::try_from(it).ok())),
        ("mlflow", settings.mlflow.as_ref().and_then(|it| toml::Value::try_from(it).ok())),
    ];
    parts.into_iter().flat_map(|(name, value)| leaves(name, &table(value))).collect()
}

/// The values of a table, by dotted key; values of headers may be secrets.
fn leaves(key: &str, value: &toml::Value) -> Vec<Row> {
    let text = match value {
        toml::Value::Table(table) => {
            let inner =
                table.iter().flat_map(|(name, value)| leaves(&format!("{key}.{name}"), value));
            return inner.collect();
        }
        _ if key.contains(".headers.") => HIDDEN.into(),
        toml::Value::String(text) if text.contains("://") => url_without_credentials(text),
        toml::Value::String(text) => text.clone(),
        toml::Value::Array(items) => {
            let items = items.iter().flat_map(|item| leaves(key, item)).map(|(_, text)| text);
            items.collect::<Vec<_>>().join(", ")
        }
        other => other.to_string(),
    };
    vec![(key.to_owned(), text)]
}

fn loaded(library: &Library) -> String {
    format!(
        "{}, {}, {}, {} of policy",
        counted(library.runbooks.len(), "runbook"),
        counted(library.checks.len(), "check"),
        counted(library.causes.len(), "cause"),
        counted(library.policy.len(), "value")
    )
}

/// The keys that flags set.
fn flags(args: &RunArgs) -> Vec<&'static str> {
    let (live, history, judge) = (&args.live, &args.history, &args.judge);
    let given = [
        ("url", live.url.is_some()),
        ("timeout", live.timeout.is_some()),
        ("window", args.replay.window.is_some()),
        ("ca", live.ca.is_some()),
        ("insecure", live.insecure),
        ("adapter_dir", !live.adapter_dir.is_empty()),
        ("log", !live.log.is_empty()),
        ("journal_unit", live.journal_unit.is_some()),
        ("kube", live.kube.is_some()),
        ("redact_addresses", live.redact_addresses),
        ("kernel_log", live.kernel_log.is_some()),
        ("gateway", live.gateway.is_some()),
        ("nvml_library", live.nvml_library.is_some()),
        ("max_body", live.max_body.is_some()),
        ("sources", !live.only.is_empty() || !live.skip.is_empty()),
        ("fail_on", judge.fail_on.is_some()),
        ("min_coverage", judge.min_coverage.is_some()),
        ("format", args.output.format.is_some()),
        ("runbooks", !judge.runbooks.is_empty()),
        ("history", history.history.is_some()),
        ("prometheus.url", history.prometheus.is_some()),
        ("prometheus.selector", history.selector.is_some()),
        ("aws.sagemaker", history.sagemaker.is_some()),
        ("aws.region", history.region.is_some()),
        ("aws.cloudwatch", history.cloudwatch),
        ("mlflow.url", history.mlflow.is_some()),
        ("mlflow.experiments", !history.experiment.is_empty()),
    ];
    given.into_iter().filter(|(_, given)| *given).map(|(key, _)| key).collect()
}
