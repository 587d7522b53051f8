//! Parts of a whole, one bar under the other on a common scale.

use super::open;
use crate::report::markup::Html;

/// A bar.
#[derive(Debug, Clone)]
pub struct Bar<'a> {
    /// What it is the whole of.
    pub title: &'a str,
    /// The whole in words.
    pub total: String,
    /// Its parts, in order.
    pub segments: Vec<Segment<'a>>,
}

/// A part of a bar.
#[derive(Debug, Clone)]
pub struct Segment<'a> {
    /// Which colour and pattern it has, the same on every bar.
    pub class: &'static str,
    /// What it is.
    pub title: &'a str,
    /// Its letter in the table.
    pub letter: &'static str,
    /// Its length; what is not above zero is not drawn.
    pub value: f64,
    /// Its length in words.
    pub shown: String,
}

const WIDTH: f64 = 560.0;
const ROW: f64 = 46.0;

/// Draws the bars.
pub fn bars(id: usize, title: &str, bars: &[Bar<'_>]) -> Html {
    let drawn = |bar: &Bar<'_>| bar.segments.iter().map(length).sum::<f64>();
    let longest = bars.iter().map(drawn).fold(0.0, f64::max);
    let size = (WIDTH, ROW * bars.len() as f64);
    let mut svg = Html::new();
    open(&mut svg, size, ("bars", id), title, &description(bars));
    for (row, bar) in bars.iter().enumerate() {
        let top = row as f64 * ROW;
        svg.raw("<text x=\"0\" y=\"").at(top + 14.0).raw("\">").text(bar.title).raw(": ");
        svg.text(&bar.total).raw("</text>\n");
        let mut left = 0.0;
        for segment in &bar.segments {
            let share = if longest > 0.0 { length(segment) / longest } else { 0.0 };
            let width = share * WIDTH;
            part(&mut svg, segment, (left, top + 20.0), width);
            left += width;
        }
    }
    svg.raw("</svg>");
    svg
}

fn length(segment: &Segment<'_>) -> f64 {
    if segment.value.is_finite() { segment.value.max(0.0) } else { 0.0 }
}

fn part(svg: &mut Html, segment: &Segment<'_>, (left, top): (f64, f64), width: f64) {
    if width < 0.2 {
        return;
    }
    svg.raw("<rect class=\"").raw(segment.class).raw("\" x=\"").at(left).raw("\" y=\"").at(top);
    svg.raw("\" width=\"").at(width).raw("\" height=\"18\"><title>").text(segment.title);
    svg.raw(": ").text(&segment.shown).raw("</title></rect>");
    if width > 14.0 {
        svg.raw("<text class=\"on middle\" x=\"").at(left + width / 2.0).raw("\" y=\"");
        svg.at(top + 13.5).raw("\">").raw(segment.letter).raw("</text>");
    }
    svg.raw("\n");
}

fn description(bars: &[Bar<'_>]) -> String {
    let told = bars.iter().map(|bar| {
        let parts = bar.segments.iter().map(|it| format!("{} {}", it.title, it.shown));
        format!("{} {}: {}.", bar.title, bar.total, parts.collect::<Vec<_>>().join(", "))
    });
    told.collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_share_the_width_and_what_is_below_zero_is_not_drawn() {
        let part = |value: f64| Segment {
            class: "p0",
            title: "queue",
            letter: "A",
            value,
            shown: "1 ms".into(),
        };
        let bar = |values: &[f64]| Bar {
            title: "t",
            total: "1 s".into(),
            segments: values.iter().map(|value| part(*value)).collect(),
        };
        let svg = bars(1, "t", &[bar(&[1.0, 3.0]), bar(&[2.0, -1.0, f64::NAN])]).finish();
        let widths = ["width=\"140\"", "width=\"420\"", "width=\"280\""];
        assert!(widths.iter().all(|width| svg.contains(width)), "{svg}");
        assert_eq!(svg.matches("<rect").count(), 3);
    }
}
