//! `diagnose collect`: the evidence only, to be judged elsewhere.

use std::path::Path;

use super::{Failure, live, run::leave_out, write};
use crate::{
    cli::CollectArgs,
    config::{self, Environment},
    evidence::bundle::Bundle,
    exit::Exit,
    sources,
    unit::counted,
};

/// Samples a live server and saves the bundle. A server that did not answer is evidence too, but
/// nobody shall take it for a good recording.
pub fn run(args: &CollectArgs, env: &Environment) -> anyhow::Result<Exit> {
    let (settings, past, window) = config::live(&args.live, &args.history, &args.config, env)?;
    if args.output.exists() {
        return Err(occupied(&args.output).into());
    }
    write::check_destination(&args.output)?;
    Bundle::check_format(&args.output)?;
    let window = args.duration.or(window).unwrap_or(live::WINDOW);
    let mut gathered = live::sample(&settings, &past, window, args.quiet)?;
    leave_out(&mut gathered.bundle, &settings.sources);
    gathered.bundle.save(&args.output)?;
    write::note(&format!(
        "recorded {} and {} in {}",
        counted(gathered.bundle.scrapes.len(), "scrape"),
        counted(gathered.bundle.probes.len(), "probe round"),
        args.output.display()
    ));
    let past_alone = past.is_asked() && settings.url.is_none();
    let exit = match unusable(&gathered.bundle, past_alone) {
        None => Exit::Clean,
        Some(why) => {
            write::note(&format!("no vLLM metrics are in it: {why}"));
            Exit::Inconclusive
        }
    };
    Ok(gathered.cut_short.unwrap_or(exit))
}

/// Why a bundle cannot be judged by its metrics; where history alone was asked, any answer of it
/// counts.
fn unusable(bundle: &Bundle, past_alone: bool) -> Option<String> {
    let evidence = sources::read(bundle);
    if past_alone && evidence.sources.iter().any(|source| source.status.answered()) {
        return None;
    }
    match evidence.source("metrics") {
        Some(metrics) if metrics.status.answered() => None,
        Some(metrics) => Some(metrics.detail.clone()),
        None => Some("no /metrics page was read".into()),
    }
}

/// Evidence is never overwritten.
fn occupied(path: &Path) -> Failure {
    Failure {
        tried: format!("write {}", path.display()),
        happened: "it exists already, and recorded evidence is never overwritten".into(),
        next: "another --output".into(),
        exit: Exit::Failed,
    }
}
