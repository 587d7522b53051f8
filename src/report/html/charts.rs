//! The decisive signals over time, and where the time of a request goes.

use super::{Group, Section, cell, links, lists::MAX_EVENTS};
use crate::{
    report::{
        PARTS, Part, Report, SeriesRow,
        markup::{Html, made},
        svg::{self, Bar, Line, Mark, Onset, Segment, axis},
        text::clean,
        words,
    },
    signals,
    unit::Unit,
};

/// Charts on a page, at most.
const MAX_CHARTS: usize = 12;

/// A chart for each series that moves; the others are told in a sentence.
pub(super) fn section(report: &Report) -> Option<Section> {
    let (moving, still): (Vec<&SeriesRow>, Vec<&SeriesRow>) =
        report.series.iter().partition(|row| moves(row));
    let span = span(report)?;
    let marks = marks(report);
    let (shown, left) = super::first(&moving, MAX_CHARTS);
    let charts = shown.iter().enumerate();
    let figures: Vec<Html> =
        charts.map(|(index, row)| figure(report, row, index + 1, span, &marks)).collect();
    let mut groups = vec![
        Group::bare(vec![legend(span, !figures.is_empty())]),
        Group::of("<div class=\"charts\">\n", figures, "</div>\n"),
        Group::bare(vec![made(|html| super::left_out(html, left))]),
    ];
    if !still.is_empty() {
        groups.push(Group::bare(vec![unmoved(&still)]));
    }
    Some(Section { id: "charts", title: "Over time", groups })
}

fn moves(row: &SeriesRow) -> bool {
    let first = row.points.first().map(|point| point.1);
    row.points.iter().any(|point| Some(point.1) != first)
}

/// Start and end of all charts.
fn span(report: &Report) -> Option<(f64, f64)> {
    let points = report.series.iter().flat_map(|row| &row.points);
    let times: Vec<f64> = points.map(|point| point.0).filter(|at| at.is_finite()).collect();
    let from = times.iter().copied().reduce(f64::min)?;
    Some((from, times.into_iter().reduce(f64::max)?))
}

fn legend(span: (f64, f64), any: bool) -> Html {
    made(|html| {
        html.raw("<p class=\"legend\">").text(&axis::days(span.0, span.1)).raw(". ");
        html.raw(if any {
            "Grey background: the time compared with. Band: the range of its values. Upright line: \
             when it began. Numbered circles: events of the timeline. A break in a line: no \
             value, which is not zero. Boxes: only an interval is known.</p>\n"
        } else {
            "</p>\n"
        });
    })
}

/// Signals that stayed as they were need no chart.
fn unmoved(rows: &[&SeriesRow]) -> Html {
    made(|html| {
        html.raw("<p>The same at all times: ");
        for (index, row) in rows.iter().enumerate() {
            html.raw(if index > 0 { "; " } else { "" });
            let value = row.points.first().map_or("unknown".into(), |it| unit(row).show(it.1));
            links::linked(html, &format!("{} {value}", clean(&row.signal)));
        }
        html.raw(".</p>\n");
    })
}

fn unit(row: &SeriesRow) -> Unit {
    let known = signals::find(&row.signal).map(|signal| signal.unit);
    known.or_else(|| Unit::of_name(&row.signal)).unwrap_or(Unit::Count)
}

fn marks(report: &Report) -> Vec<Mark> {
    let entries = report.timeline.iter().take(MAX_EVENTS).enumerate();
    let events = entries.filter(|(_, entry)| entry.kind != "onset");
    let mark = |(index, entry): (usize, &crate::report::TimelineEntry)| {
        Some(Mark { at: seconds(&entry.at)?, number: index + 1, text: clean(&entry.text) })
    };
    events.filter_map(mark).collect()
}

fn seconds(at: &str) -> Option<f64> {
    let at: jiff::Timestamp = at.parse().ok()?;
    Some(at.as_millisecond() as f64 / 1e3)
}

fn figure(report: &Report, row: &SeriesRow, id: usize, span: (f64, f64), marks: &[Mark]) -> Html {
    let time = |at: &Option<String>| at.as_deref().and_then(seconds);
    let window = &report.window;
    let onset = report.onset.as_ref();
    let threshold = report.symptoms.iter().find(|symptom| symptom.signal == row.signal);
    let points: Vec<(f64, f64)> =
        row.points.iter().copied().filter(|it| it.0.is_finite() && it.1.is_finite()).collect();
    let svg = svg::line(&Line {
        id,
        title: &row.signal,
        unit: unit(row),
        points: &points,
        buckets: &row.buckets,
        gaps: &row.gaps,
        span,
        before: time(&window.baseline_from).zip(time(&window.baseline_to)),
        onset: onset.and_then(|onset| {
            let plus_minus = onset.plus_minus_seconds;
            seconds(&onset.at).filter(|_| plus_minus.is_finite()).map(|at| Onset { at, plus_minus })
        }),
        threshold: threshold.and_then(|symptom| symptom.threshold).filter(|at| at.is_finite()),
        marks,
    });
    made(|html| {
        html.raw("<figure><figcaption>");
        links::name(html, &row.signal);
        if let Some(signal) = signals::find(&row.signal) {
            html.raw("<br>").text(signal.about);
        }
        reading(html, report, row);
        html.raw("</figcaption>\n").append(&svg).raw("</figure>\n");
    })
}

/// The reading that the chart shows the course of.
fn reading(html: &mut Html, report: &Report, row: &SeriesRow) {
    let Some(reading) = report.readings.iter().find(|reading| reading.signal == row.signal) else {
        return;
    };
    let Some(now) = reading.now else { return };
    html.raw(" <span class=\"because\">Now ").text(&words::number(now, reading.unit));
    if let Some(before) = reading.baseline {
        html.raw(", before ").text(&words::number(before, reading.unit));
    }
    if let Some(change) = reading.change {
        html.raw(", ").text(&words::change_in_short(change));
    }
    html.raw(".</span>");
}

const CLASSES: [(&str, &str); 5] =
    [("p0", "A"), ("p1", "B"), ("p2", "C"), ("p3", "D"), ("p4", "E")];

/// Where the time of finished requests goes.
pub(super) fn latency(report: &Report) -> Option<Section> {
    let parts: Vec<&Part> = report.decomposition.iter().filter(|it| it.ms.is_finite()).collect();
    if parts.is_empty() {
        return None;
    }
    let bars: Vec<Bar<'_>> =
        [end_to_end(&parts), first_token(&parts)].into_iter().flatten().collect();
    let chart = made(|html| {
        if !bars.is_empty() {
            html.raw("<figure class=\"wide\">");
            html.append(&svg::bars(1, "Where the time goes", &bars)).raw("</figure>\n");
        }
    });
    let rows = parts.iter().map(|part| row(part)).chain(rest_row(&parts)).collect();
    let open = "<table class=\"stack\"><caption>Mean times of finished requests, by part</caption>\n\
        <thead><tr><th scope=\"col\">Part</th><th scope=\"col\">Mean</th>\
        <th scope=\"col\">Requests</th></tr></thead>\n<tbody>\n";
    let groups = vec![Group::bare(vec![chart]), Group::of(open, rows, "</tbody></table>\n")];
    Some(Section { id: "latency", title: "Where the time goes", groups })
}

fn find<'a>(parts: &[&'a Part], name: &str) -> Option<&'a Part> {
    parts.iter().copied().find(|part| part.part == name)
}

fn segment(index: usize, title: &'static str, ms: f64) -> Segment<'static> {
    let (class, letter) = CLASSES[index];
    Segment { class, title, letter, value: ms, shown: shown(ms) }
}

fn shown(ms: f64) -> String {
    Unit::Seconds.show(ms / 1e3)
}

fn end_to_end<'a>(parts: &[&'a Part]) -> Option<Bar<'a>> {
    let whole = find(parts, "end to end")?;
    let names = PARTS.iter().take(4).enumerate();
    let segments: Vec<Segment<'_>> = names
        .filter_map(|(index, (name, _))| Some(segment(index, name, find(parts, name)?.ms)))
        .collect();
    Some(Bar { title: &whole.part, total: shown(whole.ms), segments })
}

/// The time to first token: queue, prefill, and what is left.
fn first_token<'a>(parts: &[&'a Part]) -> Option<Bar<'a>> {
    let whole = find(parts, "time to first token")?;
    let (queue, prefill) = (find(parts, "queue")?.ms, find(parts, "prefill")?.ms);
    let segments = vec![
        segment(0, "queue", queue),
        segment(1, "prefill", prefill),
        segment(4, REST, rest(parts)?),
    ];
    Some(Bar { title: &whole.part, total: shown(whole.ms), segments })
}

const REST: &str = "rest of the time to first token";

/// What neither queue nor prefill explains; none where they are longer than the whole, as its mean
/// is over requests of its own.
fn rest(parts: &[&Part]) -> Option<f64> {
    let whole = find(parts, "time to first token")?.ms;
    let rest = whole - find(parts, "queue")?.ms - find(parts, "prefill")?.ms;
    (rest >= 0.0).then_some(rest)
}

fn row(part: &Part) -> Html {
    let known = PARTS.iter().position(|(name, _)| *name == part.part);
    let letter = known.filter(|index| *index < 4).map(|index| CLASSES[index]);
    made(|html| {
        html.raw("<tr><th scope=\"row\">");
        key(html, letter);
        match known {
            Some(index) => links::sentence_of(html, PARTS[index].1, &part.part),
            None => {
                html.text(&part.part);
            }
        }
        html.raw("</th>");
        cell(html, "Mean").text(&shown(part.ms)).raw("</td>");
        cell(html, "Requests").text(&Unit::Count.show(part.n)).raw("</td></tr>\n");
    })
}

fn rest_row(parts: &[&Part]) -> Option<Html> {
    let rest = rest(parts)?;
    Some(made(|html| {
        html.raw("<tr><th scope=\"row\">");
        key(html, Some(CLASSES[4]));
        html.raw(REST).raw(": less queue and prefill, which are means of finished requests</th>");
        cell(html, "Mean").text(&shown(rest)).raw("</td>");
        super::dash(cell(html, "Requests"));
        html.raw("</td></tr>\n");
    }))
}

fn key(html: &mut Html, letter: Option<(&'static str, &'static str)>) {
    if let Some((class, letter)) = letter {
        html.raw("<span class=\"key ").raw(class).raw("\">").raw(letter).raw("</span> ");
    }
}
