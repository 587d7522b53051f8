//! Every reading as a row: those with a number first, the missing ones folded with their reasons.

use super::{Group, Section, cell, dash, links, number};
use crate::{
    report::{
        ReadingRow, Report,
        markup::{Html, made},
        words,
    },
    unit::significant,
};

/// All readings.
pub(super) fn section(report: &Report) -> Option<Section> {
    if report.readings.is_empty() {
        return None;
    }
    let (had, missing): (Vec<&ReadingRow>, Vec<&ReadingRow>) =
        report.readings.iter().partition(|row| row.now.is_some());
    let open = "<table class=\"stack readings\"><caption>Readings with a number: over the time \
        judged, before, and the change between them</caption>\n<thead><tr>\
        <th scope=\"col\">Signal</th><th scope=\"col\">Now</th><th scope=\"col\">Before</th>\
        <th scope=\"col\">Change</th><th scope=\"col\">Seen</th><th scope=\"col\">Source</th>\
        </tr></thead>\n<tbody>\n";
    let rows = had.into_iter().map(row).collect();
    let mut groups = vec![Group::of(open, rows, "</tbody></table>\n")];
    if !missing.is_empty() {
        groups.push(folded(&missing));
    }
    Some(Section { id: "readings", title: "Readings", groups })
}

fn row(row: &ReadingRow) -> Html {
    let mut html = Html::new();
    html.raw("<tr><th scope=\"row\">");
    links::name(&mut html, &row.signal);
    if let Some(note) = &row.note {
        html.raw("<br><span class=\"faint\">").text(note).raw("</span>");
    }
    html.raw("</th>");
    number(cell(&mut html, "Now"), row.now, row.unit);
    html.raw("</td>");
    number(cell(&mut html, "Before"), row.baseline, row.unit);
    html.raw("</td>");
    cell(&mut html, "Change");
    match row.change {
        Some(change) => {
            html.text(&words::change(change));
        }
        None => dash(&mut html),
    }
    html.raw("</td>");
    cell(&mut html, "Seen");
    match row.n {
        Some(n) => {
            html.text(&significant(n));
        }
        None => dash(&mut html),
    }
    html.raw("</td>");
    cell(&mut html, "Source").text(&row.source).raw("</td></tr>\n");
    html
}

fn folded(missing: &[&ReadingRow]) -> Group {
    let open = made(|html| {
        html.raw("<details><summary>").count(missing.len());
        html.raw(" without a number, and why</summary>\n<table class=\"stack\"><caption>Missing ");
        html.raw("readings: none of them counts as zero or as fine</caption>\n<thead><tr>");
        html.raw("<th scope=\"col\">Signal</th><th scope=\"col\">Why</th><th scope=\"col\">Source");
        html.raw("</th></tr></thead>\n<tbody>\n");
    });
    let rows = missing.iter().map(|row| {
        made(|html| {
            html.raw("<tr><th scope=\"row\">");
            links::name(html, &row.signal);
            html.raw("</th>");
            cell(html, "Why").text(row.missing.as_deref().unwrap_or("not known"));
            html.raw("</td>");
            cell(html, "Source").text(&row.source).raw("</td></tr>\n");
        })
    });
    Group { open, blocks: rows.collect(), close: "</tbody></table></details>\n" }
}
