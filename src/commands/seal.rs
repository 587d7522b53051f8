//! Sealed bundles: keeping evidence, report and runbooks together, and judging by what was kept.

use std::path::Path;

use super::{Failure, run::Judged, write};
use crate::{
    cli::WithRunbooks,
    config::Settings,
    evidence::bundle::{Bundle, Seal, SealedAsk},
    exit::Exit,
    report::{Report, json, words},
    runbook::Library,
    signals::Ask,
};

/// Refuses a destination before anything is gathered for it: evidence is never overwritten.
pub(super) fn check_destination(path: &Path) -> anyhow::Result<()> {
    if path.exists() {
        return Err(Failure {
            tried: format!("write {}", path.display()),
            happened: "it exists already, and recorded evidence is never overwritten".into(),
            next: "another --bundle".into(),
            exit: Exit::Failed,
        }
        .into());
    }
    write::check_destination(path)?;
    Ok(Bundle::check_format(path)?)
}

/// Seals what was judged, where that was asked for.
pub(super) fn keep(judged: &Judged, settings: &Settings) -> anyhow::Result<()> {
    let Some(path) = &settings.bundle else { return Ok(()) };
    let Judged { report, library, ask, min_coverage, .. } = judged;
    sealed(judged.bundle.clone(), report, library, ask, *min_coverage).save(path)?;
    write::note(&format!("sealed evidence, report and runbooks in {}", path.display()));
    Ok(())
}

/// Evidence with its report, what judged it, and what was asked.
pub(super) fn sealed(
    mut bundle: Bundle,
    report: &Report,
    library: &Library,
    ask: &Ask,
    min_coverage: f64,
) -> Bundle {
    let asked = SealedAsk {
        command: report.command.clone(),
        tool_version: report.tool.version.clone(),
        at: ask.at,
        window: ask.window,
        baseline: ask.baseline,
        min_coverage: Some(min_coverage),
    };
    let json = json::render(report).into_bytes();
    bundle.seal = Some(Seal::new(asked, json, library.to_sealed()));
    bundle
}

/// The runbooks sealed in a recording, where they are to judge and are whole.
pub(super) fn library(seal: &Seal, settings: &Settings) -> Option<Library> {
    let wanted = settings.with_runbooks == WithRunbooks::Sealed;
    wanted.then(|| seal.whole.then(|| Library::from_sealed(&seal.runbooks).ok())).flatten()?
}

/// The times that the sealed run compared.
pub(super) fn ask(sealed: &SealedAsk) -> Ask {
    Ask { at: sealed.at, window: sealed.window, baseline: sealed.baseline }
}

/// Says by what a sealed recording was judged, where that is not what was sealed, and whether the
/// answer is another one.
pub(super) fn tell(seal: &Seal, report: &Report, settings: &Settings) {
    if settings.quiet {
        return;
    }
    if settings.with_runbooks == WithRunbooks::Sealed && library(seal, settings).is_none() {
        write::note(
            "the runbooks sealed in the recording cannot be used, as files are changed or lost: \
             it was judged by the installed ones",
        );
    }
    let Ok(sealed) = serde_json::from_slice::<Report>(&seal.report) else {
        return write::note("the report sealed in the recording cannot be read");
    };
    if sealed.command != report.command {
        return;
    }
    let by = &sealed.tool.version;
    if let Some(text) = difference(&sealed, report) {
        write::note(&format!("sealed by diagnose {by}: {text}"));
    }
}

/// How the sealed answer differs from the one given now; nothing where it is the same.
fn difference(sealed: &Report, now: &Report) -> Option<String> {
    let answer = |report: &Report| {
        let cause = words::top_cause(report).map_or("no cause", |cause| cause.id.as_str());
        format!("{}, {cause}", words::verdict(report.verdict))
    };
    let (was, is) = (answer(sealed), answer(now));
    match sealed == now {
        true => None,
        false if was == is => Some(format!("{was}; the same now, with other details")),
        false => Some(format!("{was}; now: {is}")),
    }
}
