//! The head of the page: the verdict, what it rests on, and first of all what was not looked at.

use super::{POLICY, STYLE, code, links, verdict_class};
use crate::{
    report::{
        BaselineKind, Report, Verdict,
        markup::{Html, made},
        text::{clean, sentence, shorten_middle},
        words,
    },
    unit::Unit,
};

/// What could not be looked at, named in the banner.
const NAMED_GAPS: usize = 4;
/// Further models listed, at most.
const MAX_MODELS: usize = 50;

/// From the first byte to the banner.
pub(super) fn head(report: &Report) -> Html {
    let mut html = Html::new();
    html.raw("<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n").raw(POLICY);
    html.raw("<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n");
    html.raw("<meta name=\"color-scheme\" content=\"light dark\">\n<title>");
    html.raw(words::verdict(report.verdict)).raw(": ").text(&report.command).raw(" on ");
    html.text(&shorten_middle(&clean(&report.target.name), 80)).raw("</title>\n<style>\n");
    html.raw(STYLE).raw("</style>\n</head>\n<body>\n");
    html.raw("<a class=\"skip\" href=\"#main\">Skip to the findings</a>\n<header>\n");
    title(&mut html, report);
    lead(&mut html, report);
    symptoms(&mut html, report);
    coverage(&mut html, report);
    facts(&mut html, report);
    html.raw("</header>\n");
    html
}

fn title(html: &mut Html, report: &Report) {
    let sign = match report.verdict {
        Verdict::Healthy => "✓",
        Verdict::Degraded => "▲",
        Verdict::Critical => "✖",
        Verdict::Inconclusive => "?",
    };
    html.raw("<h1><span class=\"verdict ").raw(verdict_class(report));
    html.raw("\"><span aria-hidden=\"true\">").raw(sign).raw("</span> ");
    html.raw(words::verdict(report.verdict)).raw("</span> <span class=\"what\">");
    html.text(&report.command).raw(" on ").text(&report.target.name).raw("</span></h1>\n");
}

fn lead(html: &mut Html, report: &Report) {
    html.raw("<p class=\"lead\">");
    match (words::without_cause(report), words::top_cause(report)) {
        (Some(told), _) => {
            html.text(&told);
        }
        (None, Some(cause)) => {
            html.raw("<a class=\"how\" href=\"#how-likely\">");
            html.text(&words::percent(cause.probability)).raw(" likely</a>: <strong>");
            html.text(&sentence(&clean(&cause.title))).raw("</strong> ");
            html.text(&sentence(&clean(&cause.claim)));
        }
        (None, None) => {}
    }
    html.raw("</p>\n");
    if let Some(impact) = report.impact.as_ref().filter(|impact| words::hurts(impact)) {
        html.raw("<p class=\"hurt\"><a class=\"how\" href=\"#how-impact\">");
        html.text(&words::impact(report, impact)).raw("</a></p>\n");
    }
}

/// Symptoms, the worst first.
fn symptoms(html: &mut Html, report: &Report) {
    let symptoms = words::symptoms(report);
    let (shown, left) = super::first(&symptoms, 8);
    if shown.is_empty() {
        return;
    }
    html.raw("<ul class=\"symptoms\" aria-label=\"Symptoms\">\n");
    for symptom in shown {
        html.raw("<li>");
        links::sentence_of(html, &symptom.signal, &sentence(&clean(&symptom.statement)));
        html.raw(" <span class=\"tag ").raw(words::severity(symptom.severity)).raw("\">");
        html.raw(words::severity(symptom.severity)).raw("</span>");
        let told = symptom.readings.iter().filter(|it| words::holds(it));
        for reading in told {
            html.raw("<br>").text(&words::reading(reading));
        }
        html.raw("</li>\n");
    }
    html.raw("</ul>\n");
    super::left_out(html, left);
}

/// How much was looked at, and what was not.
fn coverage(html: &mut Html, report: &Report) {
    let (answered, asked) = (report.coverage.answered as usize, report.coverage.asked as usize);
    html.raw("<p class=\"seen\"><a class=\"how\" href=\"#how-coverage\"><strong>").count(answered);
    html.raw(" of ").count(asked).raw(" checks answered.</strong></a>");
    let gaps = words::gaps(report);
    let (named, left) = super::first(&gaps, NAMED_GAPS);
    for (index, gap) in named.iter().enumerate() {
        html.raw(if index == 0 { " Not looked at: " } else { "; " });
        html.text(&crate::report::text::shorten_end(&clean(&gap.what), 120));
    }
    if left > 0 {
        html.raw("; and ").count(left).raw(" more");
    }
    if !gaps.is_empty() {
        html.raw(". <a href=\"#not-known\">Why, and what to do about it</a>");
    }
    html.raw("</p>\n");
}

fn facts(html: &mut Html, report: &Report) {
    html.raw("<dl class=\"facts\">\n");
    row(
        html,
        "Server",
        &made(|html| {
            html.text(&words::model_and_version(report, 120));
        }),
    );
    if let Some(onset) = &report.onset {
        let within = Unit::Seconds.show(onset.plus_minus_seconds);
        row(
            html,
            "Began",
            &made(|html| {
                html.raw("<a class=\"how\" href=\"#how-onset\">");
                html.text(&words::date_and_time(&onset.at)).raw(" ± ").text(&within).raw("</a>");
            }),
        );
    }
    let window = &report.window;
    if let (Some(from), Some(to)) = (&window.from, &window.to) {
        row(html, "Judged", &span(from, to));
    }
    row(html, "Compared with", &compared(report));
    html.raw("</dl>\n");
    models(html, report);
}

/// Further models, folded.
fn models(html: &mut Html, report: &Report) {
    let (shown, left) = super::first(report.target.models.get(1..).unwrap_or_default(), MAX_MODELS);
    if shown.is_empty() {
        return;
    }
    html.raw("<details class=\"models\"><summary>").count(shown.len() + left);
    html.raw(" more served</summary>\n<ul>\n");
    for model in shown {
        html.raw("<li>");
        code(html, &shorten_middle(&clean(model), 120));
        html.raw("</li>\n");
    }
    html.raw("</ul>");
    super::left_out(html, left);
    html.raw("</details>\n");
}

fn row(html: &mut Html, name: &'static str, value: &Html) {
    html.raw("<div><dt>").raw(name).raw("</dt><dd>").append(value).raw("</dd></div>\n");
}

fn span(from: &str, to: &str) -> Html {
    made(|html| {
        html.text(&words::date_and_time(from)).raw(" to ").text(&words::date_and_time(to));
    })
}

fn compared(report: &Report) -> Html {
    let window = &report.window;
    match (window.baseline_kind, &window.baseline_from, &window.baseline_to) {
        (BaselineKind::Recorded, Some(from), Some(to)) => span(from, to),
        (BaselineKind::Lifetime, _, Some(to)) => made(|html| {
            html.raw("the process's life up to ").text(&words::date_and_time(to));
        }),
        (BaselineKind::Unchanged, ..) => made(|html| {
            html.raw("nothing: history was recorded, and nothing changed in it");
        }),
        _ => made(|html| {
            html.raw("nothing: no healthy time before was seen");
        }),
    }
}
