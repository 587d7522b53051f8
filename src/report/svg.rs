//! Charts as SVG: pure functions from numbers to markup, with the same bytes for the same numbers.
//!
//! No chart needs a script, a font or a colour to be read: each has a title, a description in words,
//! and its values stand in a table nearby.

pub mod axis;
mod bar;
mod line;
mod strip;
mod thin;

pub use bar::{Bar, Segment, bars};
pub use line::{Line, Mark, Onset, line};
pub use strip::strip;

use super::markup::Html;

/// Opens an SVG with its title and description. `id` must be unique on the page.
fn open(svg: &mut Html, size: (f64, f64), id: (&'static str, usize), title: &str, desc: &str) {
    svg.raw("<svg class=\"").raw(id.0).raw("\" role=\"img\" viewBox=\"0 0 ");
    svg.at(size.0).raw(" ").at(size.1).raw("\" aria-labelledby=\"");
    name(svg, id).raw("-t ");
    name(svg, id).raw("-d\"><title id=\"");
    name(svg, id).raw("-t\">").text(title).raw("</title><desc id=\"");
    name(svg, id).raw("-d\">").long_text(desc).raw("</desc>\n");
}

fn name<'a>(svg: &'a mut Html, id: (&'static str, usize)) -> &'a mut Html {
    svg.raw(id.0).raw("-").count(id.1)
}

/// A place on a scale: `value` of `from..=to` as a coordinate of `at..=until`.
fn place(value: f64, (from, to): (f64, f64), (at, until): (f64, f64)) -> f64 {
    let share = (value - from) / (to - from);
    let share = if share.is_finite() { share } else { 0.5 };
    at + share * (until - at)
}
