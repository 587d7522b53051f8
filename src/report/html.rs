//! The report as one HTML page: no network, no script, light and dark, and fit for paper.

mod banner;
mod causes;
mod charts;
mod glossary;
mod links;
mod lists;
mod parts;
mod readings;
mod walk;

use super::{
    Report,
    markup::{Html, made},
    words,
};

/// Largest page without its glossary: what does not fit is counted instead.
const LIMIT: usize = 1_500_000;

/// Forbids all that this page does not need, should an escape ever fail.
const POLICY: &str = "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; \
    style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'\">\n";

/// The page's style, also read by the test that computes its contrasts.
pub const STYLE: &str = include_str!("html/style.css");

/// A part of the page under a heading.
#[derive(Debug)]
struct Section {
    /// Where the list of contents leads.
    id: &'static str,
    title: &'static str,
    groups: Vec<Group>,
}

/// Blocks in a common element: rows of a table, items of a list.
#[derive(Debug, Default)]
struct Group {
    open: Html,
    blocks: Vec<Html>,
    close: &'static str,
}

impl Group {
    /// Blocks that stand by themselves.
    fn bare(blocks: Vec<Html>) -> Self {
        Self { blocks, ..Self::default() }
    }

    fn of(open: &'static str, blocks: Vec<Html>, close: &'static str) -> Self {
        let open = made(|html| {
            html.raw(open);
        });
        Self { open, blocks, close }
    }
}

/// Writes the report for a browser.
pub fn render(report: &Report) -> String {
    let sections: Vec<Section> = [
        causes::section(report),
        causes::fixes(report),
        lists::waivers(report),
        charts::section(report),
        parts::section(report),
        charts::latency(report),
        walk::section(report),
        lists::timeline(report),
        lists::gaps(report),
        lists::sources(report),
    ]
    .into_iter()
    .flatten()
    .collect();
    let readings = readings::section(report);
    let mut page = Page { html: banner::head(report) };
    contents(&mut page.html, sections.iter().chain(&readings));
    page.html.raw("<main id=\"main\">\n");
    for section in &sections {
        page.section(section);
    }
    let cited = links::signals_of(&page.html);
    readings.iter().for_each(|section| page.section(section));
    let linked = links::signals_of(&page.html);
    glossary::write(&mut page.html, &linked, &cited);
    page.html.raw("</main>\n<footer>Written by ").text(&report.tool.name).raw(" ");
    page.html.text(&report.tool.version).raw(
        ". Read-only: nothing was changed, and this page asks nothing of any server.</footer>\n\
         </body>\n</html>\n",
    );
    page.html.finish()
}

fn contents<'a>(html: &mut Html, sections: impl Iterator<Item = &'a Section>) {
    html.raw("<nav aria-label=\"On this page\"><ul>");
    for section in sections {
        html.raw("<li><a href=\"#").raw(section.id).raw("\">").raw(section.title).raw("</a></li>");
    }
    html.raw("<li><a href=\"#glossary\">What the words mean</a></li></ul></nav>\n");
}

/// A page that never grows past its limit.
struct Page {
    html: Html,
}

impl Page {
    fn section(&mut self, section: &Section) {
        self.html.raw("<section aria-labelledby=\"").raw(section.id).raw("\">\n<h2 id=\"");
        self.html.raw(section.id).raw("\">").raw(section.title).raw("</h2>\n");
        section.groups.iter().for_each(|group| self.group(group));
        self.html.raw("</section>\n");
    }

    /// A block is written whole or not at all.
    fn group(&mut self, group: &Group) {
        let mut used = self.html.len() + group.open.len();
        let fits = |block: &&Html| {
            used += block.len();
            used <= LIMIT
        };
        let shown = group.blocks.iter().take_while(fits).count();
        if shown > 0 {
            self.html.append(&group.open);
            group.blocks[..shown].iter().for_each(|block| {
                self.html.append(block);
            });
            self.html.raw(group.close);
        }
        left_out(&mut self.html, group.blocks.len() - shown);
    }
}

/// Says how many entries are left out.
fn left_out(html: &mut Html, count: usize) {
    if count > 0 {
        html.raw("<p class=\"note\">").count(count);
        html.raw(" more left out for length; the JSON report has all.</p>\n");
    }
}

/// The first `most` of a list, and how many follow.
fn first<T>(list: &[T], most: usize) -> (&[T], usize) {
    let shown = &list[..list.len().min(most)];
    (shown, list.len() - shown.len())
}

/// The class that a verdict is painted by; its word stands beside the colour.
fn verdict_class(report: &Report) -> &'static str {
    match report.verdict {
        super::Verdict::Healthy => "ok",
        super::Verdict::Degraded => "warning",
        super::Verdict::Critical => "critical",
        super::Verdict::Inconclusive => "unknown",
    }
}

/// Outside text in code letters.
fn code(html: &mut Html, text: &str) {
    html.raw("<code>").text(text).raw("</code>");
}

/// A cell that has a name of its own on narrow screens.
fn cell<'a>(html: &'a mut Html, name: &'static str) -> &'a mut Html {
    html.raw("<td data-name=\"").raw(name).raw("\">")
}

fn dash(html: &mut Html) {
    html.raw("<span class=\"faint\">–</span>");
}

/// A number of a signal in its unit, or a dash.
fn number(html: &mut Html, value: Option<super::Number>, unit: crate::unit::Unit) {
    match value {
        Some(value) => {
            html.text(&words::number(value, unit));
        }
        None => dash(html),
    }
}
