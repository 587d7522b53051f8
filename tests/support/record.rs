//! The track record: how often each cause stood first in its own incidents.

use std::{collections::BTreeMap, fmt::Write as _};

use diagnose::{
    eval::{Trial, Truth},
    report::Report,
    runbook::{CauseRecord, Library, Tally, TrackRecord},
};

use super::{
    judging::{judge, recordings, supported},
    score::{TEST, TUNE},
    sim::{Kind, main_cause},
};

/// By cause, on the recordings that ship with the project.
pub fn recorded(library: &Library) -> BTreeMap<String, Tally> {
    let mut counted: BTreeMap<String, Tally> = BTreeMap::new();
    for recording in recordings().iter().filter(|recording| !recording.label.causes.is_empty()) {
        let report: Report = judge(library, &recording.bundle, None);
        let truth = &recording.label.causes[0];
        let first = supported(&report).first().is_some_and(|first| first.id == *truth);
        count(counted.entry(truth.clone()).or_default(), first);
    }
    counted
}

/// The record before anything is judged: how many cases there will be of each cause.
pub fn expected(fitted: &TrackRecord, recorded: &BTreeMap<String, Tally>) -> TrackRecord {
    let mut causes: BTreeMap<String, CauseRecord> = BTreeMap::new();
    for (cause, tally) in recorded {
        causes.entry(cause.clone()).or_default().recorded = *tally;
    }
    for truth in Kind::ALL.iter().filter_map(|kind| main_cause(*kind)) {
        let kept = causes.entry(truth.into()).or_default();
        kept.simulated.of += TEST.count() as u32;
        kept.tuned += TUNE.count() as u32;
    }
    TrackRecord { causes, ..fitted.clone() }
}

/// By cause, on simulated cases, beside what the recordings gave; the fitted numbers stay.
pub fn counted(
    fitted: &TrackRecord,
    recorded: &BTreeMap<String, Tally>,
    trials: &[Trial],
) -> TrackRecord {
    let mut causes: BTreeMap<String, CauseRecord> = BTreeMap::new();
    for (cause, tally) in recorded {
        causes.entry(cause.clone()).or_default().recorded = *tally;
    }
    for truth in Kind::ALL.iter().filter_map(|kind| main_cause(*kind)) {
        causes.entry(truth.into()).or_default().tuned += TUNE.count() as u32;
    }
    for trial in trials.iter().filter(|trial| trial.truth == Truth::Incident) {
        let truth = &trial.label.causes[0];
        let first = trial.answer.named.first().is_some_and(|first| first.id == *truth);
        count(&mut causes.entry(truth.clone()).or_default().simulated, first);
    }
    let healthy = || trials.iter().filter(|trial| trial.truth == Truth::Healthy);
    for named in healthy().flat_map(|trial| &trial.answer.named) {
        causes.entry(named.id.clone()).or_default().false_alarms += 1;
    }
    TrackRecord { healthy: healthy().count() as u32, causes, ..fitted.clone() }
}

fn count(tally: &mut Tally, right: bool) {
    tally.of += 1;
    tally.right += u32::from(right);
}

/// `runbooks/track-record.yaml`.
pub fn yaml(record: &TrackRecord) -> String {
    let mut out = format!(
        "# Written by `FIT=1 WRITE=1 cargo bench --bench accuracy`: numbers fitted on simulated cases, and\n\
         # how often each cause stood first in its own labelled incidents. A test fails when it is stale.\n\
         temperature: {:.2}\noutside_score: {:.2}\nhealthy: {}\ncauses:\n",
        record.temperature, record.outside_score, record.healthy
    );
    for (cause, kept) in &record.causes {
        let json = serde_json::to_string(kept).unwrap();
        // Writing to a String cannot fail.
        let _ = writeln!(
            out,
            "  {cause}: {}",
            json.replace('"', "").replace(':', ": ").replace(',', ", ")
        );
    }
    out
}
