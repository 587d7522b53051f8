//! The course of one part as a strip in a table row, on the scale of all parts.

use super::{open, place};
use crate::report::markup::Html;

const SIZE: (f64, f64) = (160.0, 22.0);

/// Draws a strip. `span` are the ends of the time, `most` the largest value of all strips.
pub fn strip(id: usize, title: &str, points: &[(f64, f64)], span: (f64, f64), most: f64) -> Html {
    let mut svg = Html::new();
    open(&mut svg, SIZE, ("strip", id), title, "Its values stand beside it.");
    svg.raw("<path class=\"grid\" d=\"M0 21H160\"/><path class=\"value\" d=\"");
    for (index, (at, value)) in points.iter().enumerate() {
        let x = place(*at, span, (1.0, SIZE.0 - 1.0)).clamp(0.0, SIZE.0);
        let y = place(*value, (0.0, most.max(f64::MIN_POSITIVE)), (21.0, 2.0)).clamp(1.0, 21.0);
        svg.raw(if index == 0 { "M" } else { "L" }).at(x).raw(" ").at(y);
        // One point alone has no length.
        if points.len() == 1 {
            svg.raw("h3");
        }
    }
    svg.raw("\"/></svg>");
    svg
}
