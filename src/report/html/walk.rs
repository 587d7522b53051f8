//! The tree as it was walked: each question with the answer taken, and where the others lead.

use super::{Group, Section, links};
use crate::report::{
    AnswerWord, Branch, PathStep, Report,
    markup::Html,
    text::{clean, sentence},
    words,
};

/// The walk as a list.
pub(super) fn section(report: &Report) -> Option<Section> {
    let blocks: Vec<Html> = report.path.iter().map(step).collect();
    let groups = vec![Group::of("<ol class=\"walk\">\n", blocks, "</ol>\n")];
    (!report.path.is_empty()).then_some(Section { id: "walk", title: "The tree as walked", groups })
}

fn step(step: &PathStep) -> Html {
    let mut html = Html::new();
    html.raw("<li><p class=\"question\">").text(&step.question).raw("</p>\n<p>");
    answer(&mut html, step.answer);
    links::because(&mut html, &step.because);
    html.raw("</p>\n");
    if !step.not_taken.is_empty() {
        html.raw("<ul class=\"branches\" aria-label=\"Branches not taken\">\n");
        step.not_taken.iter().for_each(|branch| self::branch(&mut html, branch));
        html.raw("</ul>\n");
    }
    if let Some(end) = &step.conclusion {
        html.raw("<p class=\"end\"><span aria-hidden=\"true\">→ </span>");
        html.text(&sentence(&clean(end))).raw("</p>\n");
    }
    html.raw("</li>\n");
    html
}

fn answer(html: &mut Html, answer: AnswerWord) {
    let class = match answer {
        AnswerWord::Yes => "answer yes",
        AnswerWord::No => "answer no",
        AnswerWord::Unknown => "answer unknown",
    };
    html.raw("<span class=\"").raw(class).raw("\">").raw(words::answer(answer)).raw("</span>");
}

fn branch(html: &mut Html, branch: &Branch) {
    html.raw("<li><span class=\"if\">").raw(words::answer(branch.answer));
    html.raw("</span> <span aria-hidden=\"true\">⇢</span> ").text(&branch.to).raw("</li>\n");
}
