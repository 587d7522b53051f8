//! What happened when, what is not known, and how each source answered.

use super::{Group, Section, cell, code, links};
use crate::report::{
    Report, TimelineEntry,
    markup::{Html, made},
    text::{clean, sentence},
    words,
};

/// Events listed at most, by the number that charts mark them with.
pub(super) const MAX_EVENTS: usize = 300;

/// Events in order; charts carry their numbers.
pub(super) fn timeline(report: &Report) -> Option<Section> {
    let (shown, left) = super::first(&report.timeline, MAX_EVENTS);
    let blocks = shown.iter().map(entry).collect();
    let mut groups = vec![Group::of("<ol class=\"timeline\">\n", blocks, "</ol>\n")];
    let rest = made(|html| super::left_out(html, left));
    let clocks = report.clocks.iter().filter_map(words::clock_skew);
    let clocks = clocks.map(|skew| {
        made(|html| {
            html.raw("<p class=\"note\">").text(&sentence(&skew)).raw("</p>\n");
        })
    });
    groups.push(Group::bare(std::iter::once(rest).chain(clocks).collect()));
    let any = !report.timeline.is_empty();
    any.then_some(Section { id: "timeline", title: "Timeline", groups })
}

fn entry(entry: &TimelineEntry) -> Html {
    let onset = entry.kind == "onset";
    let mut html = Html::new();
    html.raw(if onset { "<li class=\"onset\">" } else { "<li>" }).raw("<span class=\"when\">");
    html.text(&words::date_and_time(&entry.at)).raw("</span> <span class=\"tag\">");
    match onset {
        true => html.raw("onset"),
        false => html.text(&words::lead(entry)),
    };
    html.raw("</span> ").raw(if entry.struck { "<s>" } else { "" });
    html.text(&sentence(&clean(&entry.text))).raw(if entry.struck { "</s>" } else { "" });
    if !entry.source.is_empty() {
        html.raw(" <span class=\"faint\">").text(&entry.source).raw("</span>");
    }
    html.raw("</li>\n");
    html
}

/// What could not be looked at, and what to do about it.
pub(super) fn gaps(report: &Report) -> Option<Section> {
    let gaps = words::gaps(report);
    let blocks: Vec<Html> = gaps
        .iter()
        .map(|gap| {
            made(|html| {
                html.raw("<li><strong>").text(&gap.what).raw("</strong>: ");
                links::linked(html, &sentence(&clean(&gap.why)));
                html.raw("</li>\n");
            })
        })
        .collect();
    let groups = vec![Group::of("<ul class=\"gaps\">\n", blocks, "</ul>\n")];
    (!gaps.is_empty()).then_some(Section { id: "not-known", title: "Not known", groups })
}

/// Findings that somebody answers for.
pub(super) fn waivers(report: &Report) -> Option<Section> {
    let item = |text: &String| {
        made(|html| {
            html.raw("<li>").text(text).raw("</li>\n");
        })
    };
    let blocks: Vec<Html> = words::waivers(report).iter().map(item).collect();
    let any = !blocks.is_empty();
    let groups = vec![Group::of("<ul>\n", blocks, "</ul>\n")];
    any.then_some(Section { id: "waived", title: "Waived", groups })
}

/// How each source answered.
pub(super) fn sources(report: &Report) -> Option<Section> {
    let blocks: Vec<Html> = report
        .sources
        .iter()
        .map(|source| {
            made(|html| {
                html.raw("<tr><th scope=\"row\">");
                code(html, &source.id);
                html.raw("</th>");
                cell(html, "Answer").raw(words::source_state(source.status)).raw("</td>");
                cell(html, "Detail").text(&sentence(&clean(&source.detail))).raw("</td></tr>\n");
            })
        })
        .collect();
    let open = "<table class=\"stack\"><caption>Sources asked, and how they answered</caption>\n\
        <thead><tr><th scope=\"col\">Source</th><th scope=\"col\">Answer</th>\
        <th scope=\"col\">Detail</th></tr></thead>\n<tbody>\n";
    let groups = vec![Group::of(open, blocks, "</tbody></table>\n")];
    (!report.sources.is_empty()).then_some(Section { id: "sources", title: "Sources", groups })
}
