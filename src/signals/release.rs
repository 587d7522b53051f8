//! Which release of the server ran when.

use crate::{
    evidence::{EventKind, Evidence, Span, Time},
    unit::Unit,
};

use super::{Baseline, Derive, Frame, Missing, MissingKind, Signal, Windows, families::Version};

/// Rows of this family.
pub(super) static SIGNALS: &[Signal] = &[Signal {
    name: "release_changes_count",
    unit: Unit::Count,
    about: "Releases of the server that went out before or at the onset.",
    doc: "Changes of what /version answers, counted as restarts_count is. Without two answers of /version it is 0 where the \
          process did not restart, and unknown else.",
    source: "probes",
    families: &[],
    derive: Derive::Triggers(EventKind::VersionChanged, seen),
}];

/// The releases that a verdict compares.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Releases {
    /// The one that runs at the end of the time judged.
    pub now: Option<Version>,
    /// The one that ran during the baseline.
    pub before: Option<Version>,
}

/// The releases of the time judged and of the baseline, by /version. A process has one release for
/// life, so without a restart both are the same. A kept baseline lies in evidence of its own.
pub fn releases(evidence: &Evidence, windows: &Windows, kept: Option<&Evidence>) -> Releases {
    let recorded = || Version::parse(evidence.target.version.as_deref()?);
    let now = last_told(evidence, windows.now.to).or_else(recorded);
    let before = match windows.baseline {
        Baseline::Recorded(span) => last_told(evidence, span.to)
            .or(now.filter(|_| !restarted(evidence, Span { from: span.from, ..windows.now }))),
        Baseline::Kept(_) => kept.and_then(|it| Version::parse(it.target.version.as_deref()?)),
        Baseline::Lifetime(_) | Baseline::Unchanged => now,
        Baseline::None => None,
    };
    Releases { now, before }
}

/// What /version answered last until `at`.
fn last_told(evidence: &Evidence, at: Time) -> Option<Version> {
    answers(evidence).take_while(|(time, _)| *time <= at).last().map(|(_, version)| version)
}

fn answers(evidence: &Evidence) -> impl Iterator<Item = (Time, Version)> {
    evidence.probes.iter().filter_map(|round| {
        let body = round.paths.get("/version")?.body.as_deref()?;
        let json: serde_json::Value = serde_json::from_str(body).ok()?;
        Some((round.at, Version::parse(json.get("version")?.as_str()?)?))
    })
}

fn restarted(evidence: &Evidence, span: Span) -> bool {
    let inside = |at: Time| span.contains(at);
    evidence.events.iter().any(|event| event.kind == EventKind::Restart && inside(event.at))
}

fn seen(frame: &Frame<'_>) -> Result<(), Missing> {
    let span = frame.view.span();
    let told = answers(frame.evidence).filter(|(at, _)| span.contains(*at)).count();
    if told < 2 && restarted(frame.evidence, span) {
        let why = "the process restarted, and /version was not asked before and after";
        return Err(Missing::new(MissingKind::NoSamples, why));
    }
    Ok(())
}
