//! What the words and numbers of the page mean: the registry's own sentences, where links lead.

use std::collections::BTreeSet;

use crate::{
    report::markup::Html,
    signals::{self, Signal},
};

/// How numbers that are no signals are to be read.
const HOW: [(&str, &str, &str); 4] = [
    (
        "how-likely",
        "Likely",
        "A probability, calibrated on labelled incidents: of the verdicts that said 80 %, about four \
         in five were right. Causes that cannot be told apart share theirs.",
    ),
    (
        "how-coverage",
        "Checks answered",
        "Checks answered yes or no, of those whose source was asked. A check without an answer \
         counts neither for nor against anything, and a number that is missing is never zero.",
    ),
    (
        "how-onset",
        "Began",
        "The moment at which the course of the symptoms changed, with half the width of the \
         interval that holds it. Changes after it are no cause.",
    ),
    (
        "how-impact",
        "Requests over the objective",
        "Requests answered since the onset whose time to first token was over the objective; an \
         interval where the objective lies inside a bucket of the histogram.",
    ),
];

/// Writes the glossary of all signals linked to. Those cited by a finding stay on paper too.
pub(super) fn write(
    html: &mut Html,
    linked: &BTreeSet<&'static str>,
    cited: &BTreeSet<&'static str>,
) {
    html.raw("<section class=\"glossary\" aria-labelledby=\"glossary\">\n");
    html.raw("<h2 id=\"glossary\">What the words mean</h2>\n<dl>\n");
    for (id, title, about) in HOW {
        html.raw("<div class=\"cited\"><dt id=\"").raw(id).raw("\">").raw(title).raw("</dt><dd>");
        html.raw(about).raw("</dd></div>\n");
    }
    for signal in linked.iter().filter_map(|name| signals::find(name)) {
        entry(html, signal, cited.contains(signal.name));
    }
    html.raw("</dl>\n</section>\n");
}

fn entry(html: &mut Html, signal: &'static Signal, cited: bool) {
    html.raw(if cited { "<div class=\"cited\">" } else { "<div>" });
    html.raw("<dt id=\"").raw(signal.name).raw("\"><code>").raw(signal.name);
    html.raw("</code></dt><dd>").long_text(signal.about).raw(" <span class=\"doc\">");
    html.long_text(signal.doc).raw(" Source: ").raw(signal.source);
    html.raw(".</span></dd></div>\n");
}
