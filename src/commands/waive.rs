//! Waivers of the settings file against what was found.

use super::Failure;
use crate::{
    config,
    evidence::Evidence,
    exit::Exit,
    report::{Report, Status, Waiver, WaiverState},
    runbook::{Library, problem::did_you_mean},
    signals,
};

/// What became of each waiver, at the end of the time judged: a replay gives the same answer on
/// another day.
pub(super) fn applied(
    report: &Report,
    waivers: &[config::Waiver],
    library: &Library,
    evidence: &Evidence,
) -> Result<Vec<Waiver>, Failure> {
    let today = jiff::Timestamp::from_second(evidence.span.to as i64).unwrap_or_default();
    let today = today.to_zoned(jiff::tz::TimeZone::UTC).date();
    let state = |waiver: &config::Waiver| match waiver.expires.parse::<jiff::civil::Date>() {
        _ if !is_found(report, &waiver.finding) => WaiverState::Unused,
        Ok(last) if today <= last => WaiverState::InForce,
        _ => WaiverState::Expired,
    };
    let one = |waiver: &config::Waiver| {
        known(&waiver.finding, library)?;
        let config::Waiver { finding, owner, reason, expires } = waiver.clone();
        Ok(Waiver { state: state(waiver), finding, owner, reason, expires })
    };
    waivers.iter().map(one).collect()
}

/// Refuses waivers of what does not exist, before anything is sampled.
pub(super) fn check(waivers: &[config::Waiver], library: &Library) -> Result<(), Failure> {
    waivers.iter().try_for_each(|waiver| known(&waiver.finding, library))
}

fn is_found(report: &Report, finding: &str) -> bool {
    let causes = report.causes.iter().filter(|cause| cause.status == Status::Supported);
    let symptoms = report.symptoms.iter().map(|symptom| &symptom.signal);
    causes.map(|cause| &cause.id).chain(symptoms).any(|id| id == finding)
}

/// A waiver of something that can never be found would hide its own mistake.
fn known(finding: &str, library: &Library) -> Result<(), Failure> {
    let signals = || signals::registry().map(|signal| signal.name);
    if library.causes.contains_key(finding) || signals().any(|name| name == finding) {
        return Ok(());
    }
    let ids = library.causes.keys().map(String::as_str).chain(signals());
    let all = "`diagnose explain` knows all causes and signals";
    Err(Failure {
        tried: format!("waive `{finding}`, as the settings file says"),
        happened: "there is no such cause or signal".into(),
        next: did_you_mean(finding, ids).map_or(all.into(), |guess| format!("{guess} {all}")),
        exit: Exit::Failed,
    })
}
