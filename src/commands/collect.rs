//! `diagnose collect`: the evidence only, to be judged elsewhere.

use std::path::Path;

use super::{
    Failure,
    run::{LIVE_WINDOW, leave_out, sample_live},
    write,
};
use crate::{
    cli::CollectArgs,
    config::{self, Environment},
    evidence::bundle::Bundle,
    exit::Exit,
};

/// Samples a live server and saves the bundle.
pub fn run(args: &CollectArgs, env: &Environment) -> anyhow::Result<Exit> {
    let (live, window) = config::live(&args.live, &args.config, env)?;
    if args.output.exists() {
        return Err(occupied(&args.output).into());
    }
    let window = args.duration.or(window).unwrap_or(LIVE_WINDOW);
    let mut gathered = sample_live(&live, window, args.quiet)?;
    leave_out(&mut gathered.bundle, &live.sources);
    save(&gathered.bundle, &args.output)?;
    write::note(&format!(
        "{} scrapes and {} probe rounds are in {}",
        gathered.bundle.scrapes.len(),
        gathered.bundle.probes.len(),
        args.output.display()
    ));
    Ok(gathered.cut_short.unwrap_or(Exit::Clean))
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

/// Joint: `Bundle::save`.
fn save(_bundle: &Bundle, path: &Path) -> anyhow::Result<()> {
    anyhow::bail!("saving is not joined yet, so {} was not written", path.display())
}
