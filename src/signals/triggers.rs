//! What can have led to the incident: what began after it cannot.

use crate::evidence::{Event, EventKind, Evidence, Span, Time};

use super::{Frame, Windows};

/// Seconds before the onset in which what went out may still be behind it.
const JUST_BEFORE: f64 = 300.0;

/// How an event stands to the onset.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Relation {
    /// It was over by then: at least and at most so many seconds before.
    Before(f64, f64),
    /// Which of both came first cannot be told.
    At,
    /// It began later, so it is no cause.
    After,
    /// There is no onset.
    Unrelated,
}

/// How an event stands to the onset. Where its source's clock is known to be wrong, by so much less
/// is known.
pub fn relation(evidence: &Evidence, windows: &Windows, event: &Event) -> Relation {
    let Some(onset) = windows.onset else { return Relation::Unrelated };
    let slack = windows.slack(event.source);
    let (from, to) = (began(evidence, event) - slack, event.at + slack);
    let (lower, upper) = (onset.at - onset.plus_minus, onset.at + onset.plus_minus);
    match () {
        () if to < lower => Relation::Before(lower - to, upper - from),
        () if from > upper => Relation::After,
        () => Relation::At,
    }
}

/// What shows in a restart came with it: it may have begun as early.
fn began(evidence: &Evidence, event: &Event) -> Time {
    let around = evidence.events.iter().filter(|restart| {
        let took = Span { from: restart.not_before, to: restart.at };
        restart.kind == EventKind::Restart && took.contains(event.at)
    });
    around.map(|restart| restart.not_before).fold(event.not_before, f64::min)
}

/// Events of a kind that may be behind what a frame shows.
pub(super) fn count(frame: &Frame<'_>, kind: EventKind) -> f64 {
    let span = frame.view.span();
    let near = Span { from: span.from - JUST_BEFORE, to: span.to };
    let counts = |event: &&Event| match frame.windows {
        None => span.contains(event.at),
        Some(windows) => match relation(frame.evidence, windows, event) {
            Relation::Before(least, _) => least <= JUST_BEFORE,
            Relation::At => true,
            Relation::After => false,
            Relation::Unrelated => near.contains(event.at),
        },
    };
    let of_kind = frame.evidence.events.iter().filter(|event| event.kind == kind);
    of_kind.filter(counts).count() as f64
}

/// How many events of a kind came after the onset, up to the end of the time judged.
pub fn too_late(evidence: &Evidence, windows: &Windows, kind: EventKind) -> usize {
    let events = evidence.events.iter().filter(|event| event.kind == kind);
    let judged = events.filter(|event| event.at <= windows.now.to);
    judged.filter(|event| relation(evidence, windows, event) == Relation::After).count()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::signals::{Baseline, Onset, clocks::Skew};

    fn windows(clocks: Vec<Skew>) -> Windows {
        let onset = Onset { at: 1000.0, plus_minus: 2.0, gain: 9.0 };
        let now = Span { from: 1002.0, to: 1300.0 };
        Windows { now, baseline: Baseline::None, onset: Some(onset), clocks }
    }

    fn event(kind: EventKind, not_before: Time, at: Time) -> Event {
        Event { at, not_before, kind, text: String::new(), source: "gateway" }
    }

    #[test]
    fn only_what_did_not_begin_after_the_onset_counts() {
        let kind = EventKind::PromptVersion;
        let mut evidence = Evidence::default();
        let windows = windows(Vec::new());
        for (not_before, at, counted, expected) in [
            (979.0, 980.0, 1.0, Relation::Before(18.0, 23.0)),
            (979.0, 999.0, 1.0, Relation::At),
            (1001.0, 1100.0, 1.0, Relation::At),
            (1003.0, 1100.0, 0.0, Relation::After),
            (100.0, 101.0, 0.0, Relation::Before(897.0, 902.0)),
        ] {
            evidence.events = vec![event(kind, not_before, at)];
            assert_eq!(relation(&evidence, &windows, &evidence.events[0]), expected);
            let frame = Frame { windows: Some(&windows), ..Frame::new(&evidence, windows.now) };
            assert_eq!(count(&frame, kind), counted, "{not_before} to {at}");
        }
    }

    #[test]
    fn a_setting_logged_during_a_restart_is_as_old_as_the_restart() {
        let (restart, setting) = (EventKind::Restart, EventKind::ConfigChanged);
        let events = vec![event(setting, 1020.0, 1020.0)];
        let mut evidence = Evidence { events, ..Evidence::default() };
        let windows = windows(Vec::new());
        assert_eq!(too_late(&evidence, &windows, setting), 1);
        evidence.events.push(event(restart, 995.0, 1030.0));
        assert_eq!(too_late(&evidence, &windows, setting), 0);
    }

    #[test]
    fn a_clock_that_is_wrong_leaves_the_order_open_by_so_much() {
        let evidence = Evidence::default();
        let late = event(EventKind::PromptVersion, 1010.0, 1010.0);
        let skew = Skew { clock: "gateway", lo: 11.0, hi: 13.0, by: "arrivals" };
        assert_eq!(relation(&evidence, &windows(Vec::new()), &late), Relation::After);
        assert_eq!(relation(&evidence, &windows(vec![skew]), &late), Relation::At);
        let unsure = Skew { lo: -1.0, ..skew };
        assert_eq!(relation(&evidence, &windows(vec![unsure]), &late), Relation::After);
    }
}
