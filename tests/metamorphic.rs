//! What does not change an incident does not change its verdict, and what is not seen does not
//! make it surer.
#![allow(clippy::unwrap_used, clippy::expect_used)]

#[allow(dead_code, reason = "parts are judged by other tests")]
#[path = "support/judge.rs"]
mod judging;
#[allow(dead_code, unused_imports, reason = "the corpus looks deeper")]
#[path = "support/sim/mod.rs"]
mod sim;
#[path = "support/transform.rs"]
mod transform;

use std::{sync::LazyLock, thread};

use diagnose::{
    evidence::bundle::Bundle,
    report::{Report, Status, Verdict},
    runbook::Library,
};
use judging::{judge, recordings, supported};
use sim::{Kind, case};

/// An incident with its truth and the verdict on it as it was recorded.
struct Specimen {
    name: String,
    bundle: Bundle,
    accepted: Vec<String>,
    report: Report,
}

static LIBRARY: LazyLock<Library> = LazyLock::new(|| Library::embedded().unwrap());

/// Recordings of a real server, and simulated cases of what they lack.
static SPECIMENS: LazyLock<Vec<Specimen>> = LazyLock::new(|| {
    let recorded = recordings().into_iter().map(|recording| {
        let label = recording.label;
        let accepted = label.causes.into_iter().chain(label.also_accepted).collect();
        specimen(recording.name, recording.bundle, accepted)
    });
    recorded.chain(simulated()).collect()
});

const KINDS: [Kind; 9] = [
    Kind::Steady,
    Kind::BudgetBypass,
    Kind::VolatileHalf,
    Kind::GivingUp,
    Kind::Dead,
    Kind::Wedged,
    Kind::FewerSlots,
    Kind::Unauthorized,
    Kind::Imbalance,
];

fn simulated() -> Vec<Specimen> {
    in_parallel(&KINDS, |kind| {
        let case = case(*kind, SEED);
        let accepted = case.causes.iter().chain(&case.also).map(ToString::to_string).collect();
        specimen(case.name, case.bundle, accepted)
    })
}

/// The seed of the simulated cases.
const SEED: u64 = 200;

fn specimen(name: String, bundle: Bundle, accepted: Vec<String>) -> Specimen {
    let report = judge(&LIBRARY, &bundle, None);
    Specimen { name, bundle, accepted, report }
}

fn in_parallel<T: Sync, R: Send>(items: &[T], work: impl Fn(&T) -> R + Sync) -> Vec<R> {
    let workers = thread::available_parallelism().map_or(1, usize::from);
    thread::scope(|scope| {
        let work = &work;
        let threads: Vec<_> = (0..workers)
            .map(|first| {
                let mine = items.iter().skip(first).step_by(workers);
                scope.spawn(move || mine.map(work).collect::<Vec<R>>())
            })
            .collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    })
}

/// The causes named, with their probability.
fn named(report: &Report) -> Vec<(&str, f64)> {
    supported(report).iter().map(|cause| (cause.id.as_str(), cause.probability)).collect()
}

/// Checks every specimen after a change, and tells all that fail at once.
#[track_caller]
fn check(
    change: impl Fn(&Bundle) -> Bundle + Sync,
    wrong: fn(&Specimen, &Report) -> Option<String>,
) {
    let failures = in_parallel(&SPECIMENS, |specimen| {
        let after = judge(&LIBRARY, &change(&specimen.bundle), None);
        wrong(specimen, &after).map(|what| format!("{}: {what}\n", specimen.name))
    });
    let failures: String = failures.into_iter().flatten().collect();
    assert!(failures.is_empty(), "\n{failures}");
}

/// Verdict and causes are what they were; probabilities too, but for rounding.
fn moved(before: &Specimen, after: &Report) -> Option<String> {
    let (old, new) = (named(&before.report), named(after));
    let same = before.report.verdict == after.verdict
        && old.len() == new.len()
        && old.iter().zip(&new).all(|(a, b)| a.0 == b.0 && (a.1 - b.1).abs() < 0.01);
    (!same)
        .then(|| format!("{:?} {old:?} became {:?} {new:?}", before.report.verdict, after.verdict))
}

/// The first cause is what it was, and so is the verdict.
fn first_moved(before: &Specimen, after: &Report) -> Option<String> {
    let (old, new) = (named(&before.report), named(after));
    let first = |of: &[(&str, f64)]| of.first().map(|cause| cause.0.to_owned());
    let healthy = |report: &Report| report.verdict == Verdict::Healthy;
    let same = first(&old) == first(&new) && healthy(&before.report) == healthy(after);
    let symptoms: Vec<_> = after.symptoms.iter().map(|symptom| &symptom.statement).collect();
    (!same).then(|| format!("{old:?} became {:?} {new:?}, {symptoms:?}", after.verdict))
}

/// With less to look at, nothing false is named, what is true is not refuted, and nothing is surer.
fn surer_or_wrong(before: &Specimen, after: &Report) -> Option<String> {
    let was = |id: &str| before.report.causes.iter().find(|cause| cause.id == id);
    let held = |id: &str| was(id).is_some_and(|cause| cause.status == Status::Supported);
    for (id, probability) in named(after) {
        if !before.accepted.iter().any(|truth| truth == id) && !held(id) {
            return Some(format!("names {id} ({probability})"));
        }
        let old = was(id).map_or(0.0, |cause| cause.probability);
        if held(id) && probability > old + 0.01 {
            return Some(format!("{id} rose from {old} to {probability}"));
        }
    }
    let refuted = after.causes.iter().find(|cause| {
        cause.status == Status::Refuted && held(&cause.id) && before.accepted.contains(&cause.id)
    });
    refuted.map(|cause| format!("{} is refuted", cause.id))
}

#[test]
fn other_metrics_on_the_page_change_nothing() {
    check(transform::loud_strangers, moved);
}

#[test]
fn talk_in_the_log_changes_nothing() {
    check(transform::chatty_log, moved);
}

#[test]
fn names_of_models_and_engines_change_nothing() {
    check(transform::renamed, moved);
}

#[test]
fn the_order_of_a_page_changes_nothing() {
    check(transform::shuffled, moved);
}

#[test]
fn the_date_changes_nothing() {
    check(|bundle| transform::later(bundle, 3 * 86_400_000 + 417), moved);
}

#[test]
fn the_turn_of_the_year_changes_nothing() {
    check(|bundle| transform::later(bundle, transform::to_new_year(bundle)), moved);
}

#[test]
fn ten_times_the_traffic_on_a_server_ten_times_as_large_is_the_same_incident() {
    check(
        |bundle| transform::larger(bundle, 10.0),
        |before, after| {
            // More requests may make a baseline of what were too few.
            let compared = before.report.window.baseline_kind == after.window.baseline_kind;
            compared.then(|| first_moved(before, after)).flatten()
        },
    );
}

#[test]
fn a_twin_of_every_engine_changes_nothing_but_the_numbers() {
    check(transform::doubled, first_moved);
}

#[test]
fn without_the_log_nothing_is_surer_or_wrong() {
    check(transform::without_log, surer_or_wrong);
}

#[test]
fn without_probes_nothing_is_surer_or_wrong() {
    check(transform::without_probes, surer_or_wrong);
}

#[test]
fn without_the_flags_nothing_is_surer_or_wrong() {
    check(transform::without_flags, surer_or_wrong);
}

#[test]
fn with_half_of_the_pages_nothing_is_surer_or_wrong() {
    check(transform::every_second_page, surer_or_wrong);
}

/// Whether a healthy server is called dead once its engine stands still.
#[track_caller]
fn called_dead(cancelled: bool, expected: bool) {
    for specimen in SPECIMENS.iter().filter(|s| s.report.verdict == Verdict::Healthy) {
        let after = judge(&LIBRARY, &transform::standing_still(&specimen.bundle, cancelled), None);
        let dead = named(&after).iter().any(|cause| cause.0 == "engine-dead");
        assert_eq!(dead, expected, "{}: {:?}", specimen.name, named(&after));
    }
}

#[test]
fn a_stuck_engine_is_dead_though_every_endpoint_answers() {
    called_dead(false, true);
}

#[test]
fn an_idle_engine_whose_gauges_are_left_over_is_not_dead() {
    called_dead(true, false);
}
