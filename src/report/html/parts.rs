//! What one replica, engine or GPU does, where a sum over all of them hides it.

use super::{Group, Section, cell, first, links};
use crate::{
    report::{
        Report, SeriesRow,
        markup::{Html, made},
        svg, words,
    },
    signals,
    unit::Unit,
};

/// Rows before the fold.
const OPEN_ROWS: usize = 8;
/// Rows of one signal, at most.
const MAX_ROWS: usize = 256;

/// The impact by model, then each signal by replica, engine or GPU.
pub(super) fn section(report: &Report) -> Option<Section> {
    let mut groups: Vec<Group> = per_model(report).into_iter().collect();
    let mut id = 0;
    for rows in report.by_part.chunk_by(|a, b| a.signal == b.signal) {
        groups.extend(of_signal(rows, &mut id));
    }
    if report.by_part_left_out > 0 {
        groups.push(Group::bare(vec![made(|html| {
            html.raw("<p class=\"note\">").count(report.by_part_left_out as usize);
            html.raw(" rows of less full ones are left out, here and in the JSON report.</p>\n");
        })]));
    }
    (!groups.is_empty()).then_some(Section {
        id: "parts",
        title: "By model, replica and GPU",
        groups,
    })
}

fn per_model(report: &Report) -> Option<Group> {
    let models = &report.impact.as_ref()?.per_model;
    let row = |model: &crate::report::ModelImpact| {
        made(|html| {
            html.raw("<tr><th scope=\"row\">");
            super::code(html, &model.model);
            html.raw("</th>");
            let share = words::share_of_requests(model.requests_over_objective, model.requests);
            cell(html, "Over the objective").text(&share).raw("</td></tr>\n");
        })
    };
    let open = "<table class=\"stack\"><caption>Requests over the objective for the time to first \
        token, by model</caption>\n<thead><tr><th scope=\"col\">Model</th><th scope=\"col\">\
        <a class=\"how\" href=\"#how-impact\">Over the objective</a></th></tr></thead>\n<tbody>\n";
    let rows: Vec<Html> = models.iter().map(row).collect();
    (rows.len() > 1).then(|| Group::of(open, rows, "</tbody></table>\n"))
}

/// What all rows of a signal share.
struct Frame {
    unit: Unit,
    span: (f64, f64),
    most: f64,
}

fn of_signal(rows: &[SeriesRow], id: &mut usize) -> Vec<Group> {
    let points = || rows.iter().flat_map(|row| &row.points).filter(|it| it.1.is_finite());
    let Some(name) = rows.first().map(|row| row.signal.as_str()) else { return Vec::new() };
    let from = points().map(|point| point.0).fold(f64::INFINITY, f64::min);
    let to = points().map(|point| point.0).fold(f64::NEG_INFINITY, f64::max);
    let most = points().map(|point| point.1).fold(0.0, f64::max);
    let unit = signals::find(name).map(|signal| signal.unit).or_else(|| Unit::of_name(name));
    let frame = Frame { unit: unit.unwrap_or(Unit::Count), span: (from, to), most };
    let (shown, left) = first(rows, MAX_ROWS);
    let mut lines: Vec<Html> = shown
        .iter()
        .map(|row| {
            *id += 1;
            line(row, &frame, *id)
        })
        .collect();
    let folded = lines.split_off(lines.len().min(OPEN_ROWS));
    let mut groups = vec![Group { open: table(name, None), blocks: lines, close: TABLE_END }];
    if !folded.is_empty() {
        let open = table(name, Some(folded.len()));
        groups.push(Group { open, blocks: folded, close: FOLD_END });
    }
    groups.push(Group::bare(vec![made(|html| super::left_out(html, left))]));
    groups
}

const TABLE_END: &str = "</tbody></table>\n";
const FOLD_END: &str = "</tbody></table></details>\n";

fn table(name: &str, folded: Option<usize>) -> Html {
    made(|html| {
        if let Some(count) = folded {
            html.raw("<details><summary>").count(count).raw(" more</summary>\n");
        }
        html.raw("<table class=\"strips\"><caption>");
        links::name(html, name);
        html.raw(if folded.is_some() { ", the others" } else { ", the fullest first" });
        html.raw("</caption>\n<thead><tr><th scope=\"col\">Which</th><th scope=\"col\">Over time");
        html.raw("</th><th scope=\"col\">Last</th><th scope=\"col\">Most</th></tr></thead>\n");
        html.raw("<tbody>\n");
    })
}

fn line(row: &SeriesRow, frame: &Frame, id: usize) -> Html {
    let labels = row.labels.iter().map(|(name, value)| format!("{name} {value}"));
    let title = labels.collect::<Vec<_>>().join(", ");
    let points: Vec<(f64, f64)> =
        row.points.iter().copied().filter(|it| it.0.is_finite() && it.1.is_finite()).collect();
    let most = points.iter().map(|point| point.1).reduce(f64::max);
    let mut html = Html::new();
    html.raw("<tr><th scope=\"row\">").text(&title).raw("</th>");
    cell(&mut html, "Over time");
    html.append(&svg::strip(id, &title, &points, frame.span, frame.most)).raw("</td>");
    for (name, value) in [("Last", points.last().map(|point| point.1)), ("Most", most)] {
        let value = value.map(crate::report::Number::Point);
        super::number(cell(&mut html, name), value, frame.unit);
        html.raw("</td>");
    }
    html.raw("</tr>\n");
    html
}
