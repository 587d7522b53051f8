//! `diagnose config check`: the settings that are in force.

use std::fmt::Write;

use super::write;
use crate::{
    cli::{RunArgs, Source},
    config::{self, Environment, Settings},
    evidence::bundle::url_without_credentials,
    exit::Exit,
    runbook::Library,
    unit::counted,
};

/// Reads every setting and every runbook, and prints what is in force.
pub fn check(args: &RunArgs, env: &Environment) -> anyhow::Result<Exit> {
    let settings = config::settings(args, env)?;
    let library = Library::load(&settings.runbook_dirs)?;
    write::print(&table(&settings, &library))?;
    Ok(Exit::Clean)
}

fn table(settings: &Settings, library: &Library) -> String {
    let live = &settings.live;
    let paths = |paths: &[std::path::PathBuf]| {
        let shown: Vec<_> = paths.iter().map(|path| path.display().to_string()).collect();
        if shown.is_empty() { "none".into() } else { shown.join(", ") }
    };
    let path = |path: &Option<std::path::PathBuf>| paths(path.as_slice());
    let seconds = |duration: std::time::Duration| {
        format!("{:#}", jiff::SignedDuration::try_from(duration).unwrap_or_default())
    };
    let window = settings.window.unwrap_or(super::live::WINDOW);
    let fail_on = settings.fail_on.map_or("critical (sweep: warning)".into(), |severity| {
        format!("{severity:?}").to_lowercase()
    });
    let rows = [
        ("settings file", path(&settings.file)),
        (
            "url",
            live.url
                .as_deref()
                .map_or_else(|| "looked for on this host".into(), url_without_credentials),
        ),
        ("timeout", seconds(live.timeout)),
        ("window (live)", seconds(window)),
        ("api key", if live.api_key.is_some() { "set (hidden)" } else { "none" }.into()),
        ("ca", path(&live.ca)),
        ("certificates", if live.insecure { "NOT verified" } else { "verified" }.into()),
        ("adapter folders", paths(&live.adapter_dirs)),
        ("logs", paths(&live.logs)),
        ("journal unit", live.journal_unit.clone().unwrap_or_else(|| "none".into())),
        ("pods and events", path(&live.kube)),
        ("addresses", if live.redact_addresses { "hidden" } else { "kept" }.into()),
        ("max body", crate::unit::Unit::Bytes.show(live.max_body as f64)),
        ("sources", source_names(&live.sources)),
        ("fail on", fail_on),
        ("min coverage", settings.min_coverage.to_string()),
        ("format", format!("{:?}", settings.format).to_lowercase()),
        ("runbook folders", paths(&settings.runbook_dirs)),
        (
            "loaded",
            format!(
                "{}, {}, {}, {} of policy",
                counted(library.runbooks.len(), "runbook"),
                counted(library.checks.len(), "check"),
                counted(library.causes.len(), "cause"),
                counted(library.policy.len(), "value")
            ),
        ),
    ];
    rows.iter().fold(String::new(), |mut out, (key, value)| {
        // Writing to a String cannot fail.
        let _ = writeln!(out, "{key:<16} {value}");
        out
    })
}

fn source_names(sources: &[Source]) -> String {
    let names: Vec<_> = sources.iter().map(|source| format!("{source:?}").to_lowercase()).collect();
    names.join(", ")
}
