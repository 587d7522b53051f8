//! Rows of the report that are copied rather than judged.

use std::collections::BTreeMap;

use crate::{
    evidence::{Event, Span, Time},
    report::{
        BaselineKind, CauseFound, ClockSkew, Impact, ModelImpact, Number, OnsetTime, PARTS, Part,
        ReadingRow, SeriesRow, Status, SymptomFound, TimelineEntry, WindowTimes,
    },
    runbook::expr::signal_of,
    signals::{
        self, Baseline, Derive, Estimate, Readings, Signal, Value, Windows,
        clocks::Skew,
        course::{self, Course},
        triggers::{self, Relation},
    },
    unit::Unit,
};

use super::Case;

/// An estimate for a person: buckets as intervals, anything else as its point.
pub(super) fn shown(estimate: &Estimate, unit: Unit) -> String {
    if estimate.bucket {
        return unit.show_interval(estimate.lo, estimate.hi);
    }
    unit.show(estimate.point)
}

/// A value for JSON; `None` where it is missing.
pub(super) fn number(value: &Value) -> Option<Number> {
    let estimate = value.as_ref().ok()?;
    if estimate.bucket {
        return Some(interval(estimate));
    }
    estimate.point.is_finite().then_some(Number::Point(estimate.point))
}

fn interval(estimate: &Estimate) -> Number {
    Number::Interval { lo: estimate.lo, hi: Some(estimate.hi).filter(|hi| hi.is_finite()) }
}

fn stamp(at: Time) -> String {
    let time = jiff::Timestamp::from_millisecond((at * 1e3).round() as i64).unwrap_or_default();
    format!("{time:.3}")
}

pub(super) fn window(case: &Case<'_>) -> WindowTimes {
    let windows = case.windows;
    let baseline = match windows.baseline {
        Baseline::Recorded(span) | Baseline::Kept(span) => Some(span),
        Baseline::Lifetime(_) | Baseline::Unchanged | Baseline::None => None,
    };
    let until = match windows.baseline {
        Baseline::Lifetime(until) => Some(until),
        _ => baseline.map(|span| span.to),
    };
    let known = |at: Time| (at > 0.0).then(|| stamp(at));
    WindowTimes {
        from: known(windows.now.from),
        to: known(windows.now.to),
        baseline_from: baseline.and_then(|span| known(span.from)),
        baseline_to: until.and_then(known),
        baseline_kind: match windows.baseline {
            Baseline::Recorded(_) | Baseline::Kept(_) => BaselineKind::Recorded,
            Baseline::Lifetime(_) => BaselineKind::Lifetime,
            Baseline::Unchanged => BaselineKind::Unchanged,
            Baseline::None => BaselineKind::None,
        },
        kept_baseline: case.kept.map(|kept| kept.about.clone()),
    }
}

pub(super) fn onset(windows: &Windows) -> Option<OnsetTime> {
    let onset = windows.onset?;
    let plus_minus_seconds = (onset.plus_minus * 10.0).round() / 10.0;
    Some(OnsetTime { at: stamp(onset.at), plus_minus_seconds })
}

/// Models told apart at most: each costs a pass over the pages, and no one reads more.
const MAX_MODELS: usize = 50;

pub(super) fn impact(case: &Case<'_>) -> Option<Impact> {
    let objective = case.library.policy.get("ttft_p95_seconds")?.value;
    let span = case.windows.now;
    let all = signals::impact::over(case.evidence, span, objective, None)?;
    let number = |over: &signals::impact::Over| {
        if over.lo == over.hi {
            Number::Point(over.lo)
        } else {
            Number::Interval { lo: over.lo, hi: Some(over.hi) }
        }
    };
    let per_model = case
        .evidence
        .target
        .models
        .iter()
        .take(MAX_MODELS)
        .filter_map(|model| {
            let over = signals::impact::over(case.evidence, span, objective, Some(model))?;
            Some(ModelImpact {
                model: model.clone(),
                requests_over_objective: number(&over),
                requests: over.requests,
            })
        })
        .collect();
    Some(Impact {
        requests_over_objective: number(&all),
        requests: all.requests,
        objective_seconds: objective,
        since: stamp(span.from),
        per_model,
    })
}

pub(super) fn timeline(case: &Case<'_>) -> Vec<TimelineEntry> {
    let events = &case.evidence.events;
    let mut entries: Vec<(Time, TimelineEntry)> =
        events.iter().map(|event| (event.at, entry(case, event))).collect();
    if let Some(onset) = case.windows.onset {
        let entry = TimelineEntry {
            at: stamp(onset.at),
            kind: "onset".into(),
            text: format!("the incident began, give or take {:.1} s", onset.plus_minus),
            relation: "at".into(),
            source: String::new(),
            lead_seconds: None,
            change: false,
            struck: false,
        };
        entries.push((onset.at, entry));
    }
    entries.sort_by(|a, b| a.0.total_cmp(&b.0));
    entries.into_iter().map(|(_, entry)| entry).collect()
}

fn entry(case: &Case<'_>, event: &Event) -> TimelineEntry {
    let relation = triggers::relation(case.evidence, case.windows, event);
    let change = event.kind.is_change();
    let kind = serde_json::to_value(event.kind).ok();
    TimelineEntry {
        at: stamp(event.at),
        kind: kind.and_then(|kind| kind.as_str().map(Into::into)).unwrap_or_default(),
        text: event.text.clone(),
        relation: word(relation).into(),
        source: event.source.into(),
        lead_seconds: lead(relation),
        change,
        struck: change && relation == Relation::After,
    }
}

fn word(relation: Relation) -> &'static str {
    match relation {
        Relation::Before(..) => "before",
        Relation::At => "at",
        Relation::After => "after",
        Relation::Unrelated => "unrelated",
    }
}

/// Pages are seconds apart, so tenths are all that is known.
fn lead(relation: Relation) -> Option<Number> {
    let Relation::Before(least, most) = relation else { return None };
    Some(tenths(least, most))
}

fn tenths(lo: f64, hi: f64) -> Number {
    let (lo, hi) = ((lo * 10.0).round() / 10.0, (hi * 10.0).round() / 10.0);
    if lo == hi { Number::Point(lo) } else { Number::Interval { lo, hi: Some(hi) } }
}

pub(super) fn clocks(windows: &Windows) -> Vec<ClockSkew> {
    let shown = |skew: &Skew| ClockSkew {
        clock: skew.clock.into(),
        ahead_seconds: tenths(skew.lo, skew.hi),
        sure: skew.is_sure(),
        by: skew.by.into(),
    };
    windows.clocks.iter().map(shown).collect()
}

/// What a count of triggers leaves out.
pub(super) fn left_out(case: &Case<'_>, signal: &Signal) -> Option<String> {
    let Derive::Triggers(kind, _) = signal.derive else { return None };
    let late = triggers::too_late(case.evidence, case.windows, kind);
    (late > 0).then(|| format!("{late} after the onset: no cause"))
}

pub(super) fn decomposition(readings: &Readings) -> Vec<Part> {
    PARTS
        .iter()
        .filter_map(|(part, signal)| {
            let estimate = readings.get(signal)?.now.as_ref().ok()?;
            let ms = estimate.point * 1e3;
            Some(Part { part: (*part).into(), ms, n: estimate.n.unwrap_or(0.0) })
        })
        .collect()
}

pub(super) fn readings(case: &Case<'_>) -> Vec<ReadingRow> {
    signals::registry()
        .filter_map(|signal| Some((signal, case.readings.get(signal.name)?)))
        .map(|(signal, reading)| ReadingRow {
            signal: signal.name.into(),
            now: number(&reading.now),
            baseline: number(&reading.baseline),
            change: reading.change.as_ref().ok().filter(|change| change.lo.is_finite()).map(
                |change| {
                    let exact = change.lo == change.hi;
                    if exact { Number::Point(change.point) } else { interval(change) }
                },
            ),
            unit: signal.unit,
            n: reading.now.as_ref().ok().and_then(|now| now.n),
            source: signal.source.into(),
            missing: match &reading.now {
                Err(missing) => Some(missing.why.clone()),
                Ok(_) if number(&reading.now).is_none() => Some("the values give no number".into()),
                Ok(_) => None,
            },
            note: left_out(case, signal),
        })
        .collect()
}

/// Signals drawn over time, at most.
const MAX_SERIES: usize = 6;

/// The symptoms and the decisive signals of the first cause over the whole evidence.
pub(super) fn series(
    case: &Case<'_>,
    symptoms: &[SymptomFound],
    causes: &[CauseFound],
) -> Vec<SeriesRow> {
    let mut names: Vec<String> = symptoms.iter().map(|symptom| symptom.signal.clone()).collect();
    let first = causes.first().filter(|cause| cause.status == Status::Supported);
    for evidenced in first.map_or(&[][..], |cause| &cause.in_favour) {
        let program = case.library.programs.get(&evidenced.check);
        let variables = program.iter().flat_map(|program| program.variables());
        names.extend(variables.map(|variable| signal_of(variable).to_string()));
    }
    let mut seen = std::collections::BTreeSet::new();
    names.retain(|name| seen.insert(name.clone()));
    let whole = Span { from: f64::MIN, to: f64::MAX };
    names
        .into_iter()
        .filter_map(|name| {
            let course = course::over_time(case.evidence, signals::find(&name)?, whole);
            Some(row(name, course))
        })
        .filter(|row| !row.points.is_empty())
        .take(MAX_SERIES)
        .collect()
}

fn row(signal: String, course: Course) -> SeriesRow {
    let most = |most: f64| Some(most).filter(|most| most.is_finite());
    let buckets = course.buckets.into_iter().map(|(at, lo, hi)| (at, lo, most(hi)));
    SeriesRow {
        signal,
        labels: BTreeMap::new(),
        points: course.points,
        buckets: buckets.collect(),
        gaps: course.gaps,
    }
}

/// Replicas and GPUs shown of each signal, at most.
const MAX_PARTS: usize = 64;
/// Points of a part, at most: neighbours give way to the largest of them.
const MAX_PART_POINTS: usize = 40;

/// Signals by replica, engine and GPU, and how many rows are left out.
pub(super) fn by_part(case: &Case<'_>) -> (Vec<SeriesRow>, u32) {
    let mut shown: BTreeMap<&str, usize> = BTreeMap::new();
    let mut rows = Vec::new();
    let mut left_out = 0;
    for part in course::by_part(case.evidence) {
        let seen = shown.entry(part.signal).or_default();
        *seen += 1;
        if *seen > MAX_PARTS {
            left_out += 1;
            continue;
        }
        rows.push(SeriesRow {
            signal: part.signal.into(),
            labels: part.labels,
            points: thinned(&part.points, MAX_PART_POINTS),
            buckets: Vec::new(),
            gaps: Vec::new(),
        });
    }
    (rows, left_out)
}

/// At most `most` points: each is the largest of its neighbourhood, so that no peak is lost.
fn thinned(points: &[(Time, f64)], most: usize) -> Vec<(Time, f64)> {
    let largest = |group: &[(Time, f64)]| group.iter().copied().max_by(|a, b| a.1.total_cmp(&b.1));
    points.chunks(points.len().div_ceil(most).max(1)).filter_map(largest).collect()
}

#[cfg(test)]
mod tests {
    use super::thinned;

    #[test]
    fn no_peak_is_lost_where_points_are_left_out() {
        let points: Vec<(f64, f64)> =
            (0..100).map(|at| (f64::from(at), if at == 57 { 9.0 } else { 1.0 })).collect();
        let few = thinned(&points, 40);
        assert!(few.len() <= 40 && few.contains(&(57.0, 9.0)));
        assert_eq!(thinned(&points[..3], 40), points[..3]);
    }
}
