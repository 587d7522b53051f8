//! Causes with what speaks for and against each, and what to do about them.

use super::{Group, Section, cell, code, dash, first, links};
use crate::{
    report::{
        CauseFound, Evidenced, Fix, Gap, Report, Status,
        markup::{Html, made},
        text::{clean, sentence},
        words,
    },
    runbook::Risk,
};

/// Sentences for or against one cause, at most.
const MAX_FACTS: usize = 20;

/// The causes: those supported in full, the others folded.
pub(super) fn section(report: &Report) -> Option<Section> {
    if report.causes.is_empty() {
        return None;
    }
    let supported = words::supported(report).enumerate();
    let articles = supported.map(|(index, cause)| article(report, index + 1, cause)).collect();
    let mut groups = vec![Group::bare(articles)];
    groups.extend(others(report, Status::NotExaminable, "could not be examined"));
    groups.extend(others(report, Status::Refuted, "refuted"));
    Some(Section { id: "causes", title: "Causes", groups })
}

fn article(report: &Report, rank: usize, cause: &CauseFound) -> Html {
    let mut html = Html::new();
    html.raw("<article class=\"cause\">\n<h3><span class=\"rank\">").count(rank).raw("</span> ");
    html.text(&cause.title).raw("</h3>\n<p class=\"meta\"><a class=\"how\" href=\"#how-likely\">");
    html.text(&words::percent(cause.probability)).raw(" likely</a>, severity ");
    html.raw(words::severity(cause.severity)).raw(", family ").text(&cause.family).raw(", ");
    code(&mut html, &cause.id);
    html.raw("</p>\n<p>").text(&sentence(&clean(&cause.claim))).raw("</p>\n");
    html.raw("<div class=\"weighed\">\n");
    facts(&mut html, "For", "+", &cause.in_favour, "Nothing.");
    facts(&mut html, "Against", "−", &cause.against, "Nothing that was looked at.");
    missing(&mut html, &cause.missing);
    html.raw("</div>\n");
    more(&mut html, report, cause);
    html.raw("</article>\n");
    html
}

fn facts(
    html: &mut Html,
    title: &'static str,
    sign: &'static str,
    facts: &[Evidenced],
    none: &'static str,
) {
    column(html, title, sign);
    let (shown, left) = first(facts, MAX_FACTS);
    if shown.is_empty() {
        html.raw("<p class=\"faint\">").raw(none).raw("</p></div>\n");
        return;
    }
    html.raw("<ul>\n");
    for fact in shown {
        html.raw("<li>");
        links::fact(html, fact);
        html.raw("</li>\n");
    }
    html.raw("</ul>");
    super::left_out(html, left);
    html.raw("</div>\n");
}

fn missing(html: &mut Html, gaps: &[Gap]) {
    column(html, "Missing", "?");
    let (shown, left) = first(gaps, MAX_FACTS);
    if shown.is_empty() {
        html.raw("<p class=\"faint\">Nothing that it needs.</p></div>\n");
        return;
    }
    html.raw("<ul>\n");
    for gap in shown {
        html.raw("<li>");
        links::linked(html, &words::gap(gap));
        html.raw("</li>\n");
    }
    html.raw("</ul>");
    super::left_out(html, left);
    html.raw("</div>\n");
}

fn column(html: &mut Html, title: &'static str, sign: &'static str) {
    html.raw("<div><h4><span class=\"sign\" aria-hidden=\"true\">").raw(sign).raw("</span> ");
    html.raw(title).raw("</h4>");
}

/// What else is to be said of a cause.
fn more(html: &mut Html, report: &Report, cause: &CauseFound) {
    let title = |id: &str| {
        let known = report.causes.iter().find(|cause| cause.id == id);
        known.map_or_else(|| clean(id), |cause| format!("{} ({id})", clean(&cause.title)))
    };
    let titles = |ids: &[String]| ids.iter().map(|id| title(id)).collect::<Vec<_>>().join("; ");
    let mut rows: Vec<(&'static str, String)> = Vec::new();
    rows.extend(cause.consequence_of.iter().map(|root| ("Follows from", title(root))));
    if !cause.leads_to.is_empty() {
        rows.push(("Leads to", titles(&cause.leads_to)));
    }
    if !cause.not_told_from.is_empty() {
        rows.push(("Not told from", titles(&cause.not_told_from)));
    }
    rows.extend(words::decided(cause).map(|by| ("Decides", by)));
    rows.extend(cause.replicas.iter().map(|it| ("More replicas?", words::replicas(it))));
    let rejected = cause.not_advised.iter().take(MAX_FACTS);
    rows.extend(rejected.map(|it| ("Not advised", words::fact(&it.text, &it.because))));
    rows.extend(cause.track_record.iter().map(|kept| ("Track record", clean(kept))));
    if rows.is_empty() {
        return;
    }
    html.raw("<dl class=\"more\">\n");
    for (name, value) in rows {
        html.raw("<div><dt>").raw(name).raw("</dt><dd>");
        links::linked(html, &value);
        html.raw("</dd></div>\n");
    }
    html.raw("</dl>\n");
}

/// Causes of one status, folded.
fn others(report: &Report, status: Status, word: &'static str) -> Option<Group> {
    let causes: Vec<&CauseFound> =
        report.causes.iter().filter(|cause| cause.status == status).collect();
    if causes.is_empty() {
        return None;
    }
    let open = made(|html| {
        html.raw("<details><summary>").count(causes.len());
        html.raw(if causes.len() == 1 { " cause " } else { " causes " }).raw(word);
        html.raw("</summary>\n<table class=\"stack\"><caption>Causes ").raw(word);
        html.raw(
            "</caption>\n<thead><tr><th scope=\"col\">Cause</th><th scope=\"col\">Likely</th>",
        );
        html.raw("<th scope=\"col\">Because</th></tr></thead>\n<tbody>\n");
    });
    let blocks = causes.into_iter().map(other).collect();
    Some(Group { open, blocks, close: "</tbody></table></details>\n" })
}

fn other(cause: &CauseFound) -> Html {
    let mut html = Html::new();
    html.raw("<tr><th scope=\"row\">").text(&cause.title).raw("<br>");
    code(&mut html, &cause.id);
    html.raw("</th>");
    cell(&mut html, "Likely");
    match words::likely(cause) {
        Some(likely) => {
            html.text(&likely);
        }
        None => dash(&mut html),
    }
    html.raw("</td>");
    cell(&mut html, "Because");
    let gaps = || cause.missing.iter().take(2);
    match cause.against.first() {
        Some(fact) if cause.status == Status::Refuted => links::fact(&mut html, fact),
        _ if gaps().next().is_some() => gaps().enumerate().for_each(|(index, gap)| {
            html.raw(if index > 0 { " " } else { "" });
            links::linked(&mut html, &words::gap(gap));
        }),
        _ => {
            html.raw("Nothing speaks for it.");
        }
    }
    html.raw("</td></tr>\n");
    html
}

/// What to do about the causes that no other supported cause explains, safest first for each.
pub(super) fn fixes(report: &Report) -> Option<Section> {
    let roots: Vec<&CauseFound> = words::supported(report)
        .filter(|cause| cause.consequence_of.is_none() && !cause.fixes.is_empty())
        .collect();
    let several = roots.len() > 1;
    let groups: Vec<Group> = roots
        .into_iter()
        .map(|cause| {
            let open = made(|html| {
                if several {
                    html.raw("<h3>").text(&cause.title).raw("</h3>\n");
                }
                html.raw("<ol class=\"fixes\">\n");
            });
            let blocks = cause.fixes.iter().map(fix).collect();
            Group { open, blocks, close: "</ol>\n" }
        })
        .collect();
    let title = "What to do, safest first";
    (!groups.is_empty()).then_some(Section { id: "fixes", title, groups })
}

fn fix(fix: &Fix) -> Html {
    let class = match fix.risk {
        Risk::Safe => "tag ok",
        Risk::Restart | Risk::Capacity => "tag warning",
        Risk::Data => "tag critical",
    };
    let mut html = Html::new();
    html.raw("<li><p><strong>").text(&sentence(&clean(&fix.text))).raw("</strong></p>\n");
    if let Some(command) = &fix.command {
        html.raw("<pre><code>").long_text(command).raw("</code></pre>\n");
    }
    html.raw("<dl class=\"more\"><div><dt>Risk</dt><dd><span class=\"").raw(class).raw("\">");
    html.raw(words::risk(fix.risk)).raw("</span></dd></div>\n<div><dt>Expect</dt><dd>");
    html.text(&fix.effect).raw("</dd></div>\n<div><dt>Undo</dt><dd>").text(&fix.undo);
    html.raw("</dd></div></dl></li>\n");
    html
}
