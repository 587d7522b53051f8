//! One signal over time: its line, the range before, the onset, and what happened.

use super::{
    axis, open, place,
    thin::{joined, last_gap, runs, thinned},
};
use crate::{
    report::markup::Html,
    unit::{Unit, counted},
};

/// What is drawn.
#[derive(Debug, Clone)]
pub struct Line<'a> {
    /// Number of the chart on its page.
    pub id: usize,
    /// The signal.
    pub title: &'a str,
    /// Unit of the values.
    pub unit: Unit,
    /// Time and value, in time order.
    pub points: &'a [(f64, f64)],
    /// Time, least and most, where only an interval is known; drawn in place of the points.
    pub buckets: &'a [(f64, f64, Option<f64>)],
    /// Times without a value.
    pub gaps: &'a [(f64, f64)],
    /// Start and end of the chart, Unix seconds.
    pub span: (f64, f64),
    /// The time before, which the values are compared with.
    pub before: Option<(f64, f64)>,
    /// When it began.
    pub onset: Option<Onset>,
    /// The value that is not to be crossed.
    pub threshold: Option<f64>,
    /// What happened, with its number in the list of events.
    pub marks: &'a [Mark],
}

/// A change point.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Onset {
    /// Unix seconds.
    pub at: f64,
    /// Half the width of the interval that holds it, seconds.
    pub plus_minus: f64,
}

/// An event.
#[derive(Debug, Clone, PartialEq)]
pub struct Mark {
    /// Unix seconds.
    pub at: f64,
    /// Its number in the list.
    pub number: usize,
    /// What it is.
    pub text: String,
}

const SIZE: (f64, f64) = (560.0, 196.0);
/// Left and right, then bottom and top of the plot.
const X: (f64, f64) = (56.0, 548.0);
const Y: (f64, f64) = (166.0, 34.0);
/// Points drawn at most: neighbours give way to the least and the most of them.
const MAX_POINTS: usize = 400;
/// Pieces of a line at most, before its values are drawn without one.
const MAX_RUNS: usize = 100;
/// Boxes drawn at most: neighbours give way to one that holds them all.
const MAX_BUCKETS: usize = 250;
/// Events marked at most, as more would cover the line.
const MAX_MARKS: usize = 24;

/// Draws one signal over time.
pub fn line(chart: &Line<'_>) -> Html {
    let plot = Plot::of(chart);
    let mut svg = Html::new();
    open(&mut svg, SIZE, ("line", chart.id), chart.title, &description(chart, &plot));
    plot.time_before(&mut svg, chart);
    plot.grid(&mut svg);
    plot.range_before(&mut svg);
    plot.threshold(&mut svg, chart);
    plot.buckets(&mut svg, chart);
    plot.values(&mut svg, chart);
    plot.onset(&mut svg, chart);
    plot.marks(&mut svg, chart);
    svg.raw("</svg>");
    svg
}

/// Values and times as places on paper.
struct Plot {
    scale: axis::Scale,
    ticks: Vec<f64>,
    span: (f64, f64),
    before: Option<(f64, f64)>,
}

impl Plot {
    fn of(chart: &Line<'_>) -> Self {
        let before = chart.before.and_then(|time| range(chart, time));
        let tops = chart.buckets.iter().filter_map(|(_, _, most)| *most);
        let lows = chart.buckets.iter().map(|(_, least, _)| *least);
        let values = chart.points.iter().map(|point| point.1).chain(lows).chain(tops);
        let (least, most) = values
            .filter(|value| value.is_finite())
            .fold((0.0, 0.0), |(least, most): (f64, f64), v| (least.min(v), most.max(v)));
        // A threshold far away would press the line flat.
        let near = chart.threshold.filter(|at| *at <= most * 2.0 && *at >= least * 2.0);
        let most = most.max(near.unwrap_or(most));
        let most = if most > least { most } else { least + 1.0 };
        let scale = axis::scale(chart.unit, most);
        let ticks = axis::ticks(least * scale.factor, most * scale.factor, 4);
        Self { scale, ticks, span: chart.span, before }
    }

    fn x(&self, at: f64) -> f64 {
        place(at, self.span, X).clamp(X.0, X.1)
    }

    fn y(&self, value: f64) -> f64 {
        let ends = (self.ticks.first(), self.ticks.last());
        let (Some(lo), Some(hi)) = ends else { return Y.0 };
        place(value * self.scale.factor, (*lo, *hi), Y).clamp(Y.1, Y.0)
    }

    fn time_before(&self, svg: &mut Html, chart: &Line<'_>) {
        let Some((from, to)) = chart.before else { return };
        let (left, right) = (self.x(from), self.x(to));
        if right - left < 1.0 {
            return;
        }
        rect(svg.raw("<rect class=\"before\" "), (left, right), (Y.0, Y.1)).raw("/>");
        if right - left > 90.0 {
            label(svg, "small", left + 4.0, Y.1 + 11.0).raw("compared with").raw("</text>\n");
        }
    }

    fn grid(&self, svg: &mut Html) {
        for tick in &self.ticks {
            let y = self.y(tick / self.scale.factor);
            svg.raw("<path class=\"grid\" d=\"M").at(X.0).raw(" ").at(y).raw("H").at(X.1);
            svg.raw("\"/>");
            label(svg, "right", X.0 - 6.0, y + 4.0).text(&axis::label(*tick)).raw("</text>\n");
        }
        label(svg, "small", 0.0, 12.0).raw(self.scale.unit).raw("</text>\n");
        for (at, text) in axis::times(self.span.0, self.span.1, 5) {
            let x = self.x(at);
            svg.raw("<path class=\"tick\" d=\"M").at(x).raw(" ").at(Y.0).raw("v5\"/>");
            // Clear of both edges, so that no label is cut.
            label(svg, "middle", x.clamp(X.0 + 8.0, X.1 - 22.0), Y.0 + 20.0).text(&text);
            svg.raw("</text>\n");
        }
    }

    fn range_before(&self, svg: &mut Html) {
        let Some((least, most)) = self.before else { return };
        let (bottom, top) = (self.y(least), self.y(most));
        // Where the values hardly moved, the range is still to be seen.
        let (bottom, top) = if bottom - top < 2.0 {
            (f64::midpoint(bottom, top) + 1.0, f64::midpoint(bottom, top) - 1.0)
        } else {
            (bottom, top)
        };
        rect(svg.raw("<rect class=\"range\" "), X, (bottom, top)).raw("/>\n");
    }

    fn threshold(&self, svg: &mut Html, chart: &Line<'_>) {
        let ceiling = self.ticks.last().copied().unwrap_or(0.0);
        let fits = |at: &f64| at.is_finite() && at * self.scale.factor <= ceiling;
        let Some(at) = chart.threshold.filter(fits) else { return };
        let y = self.y(at);
        svg.raw("<path class=\"threshold\" d=\"M").at(X.0).raw(" ").at(y).raw("H").at(X.1);
        svg.raw("\"/>");
        let above = if y - Y.1 > 14.0 { y - 4.0 } else { y + 13.0 };
        label(svg, "right", X.1 - 2.0, above).raw("limit ").text(&chart.unit.show(at));
        svg.raw("</text>\n");
    }

    fn buckets(&self, svg: &mut Html, chart: &Line<'_>) {
        let mut from = chart.span.0;
        for (at, least, most) in &joined(chart.buckets, MAX_BUCKETS) {
            let start = last_gap(chart.gaps, *at).map_or(from, |gap| gap.1.max(from));
            let top = most.map_or(Y.1, |most| self.y(most));
            let (left, right) = (self.x(start), self.x(*at).max(self.x(start) + 1.0));
            rect(svg.raw("<rect class=\"bucket\" "), (left, right), (self.y(*least), top));
            svg.raw("/>\n");
            from = *at;
        }
    }

    fn values(&self, svg: &mut Html, chart: &Line<'_>) {
        if !chart.buckets.is_empty() {
            return;
        }
        let runs = runs(chart.points, chart.gaps);
        if runs.len() > MAX_RUNS {
            return self.columns(svg, chart);
        }
        let share = MAX_POINTS / runs.len().max(1);
        let thin = |run: &&[(f64, f64)]| thinned(run, share);
        let runs: Vec<Vec<(f64, f64)>> = runs.iter().map(thin).collect();
        svg.raw("<path class=\"value\" d=\"");
        for run in runs.iter().filter(|run| run.len() > 1) {
            for (index, (at, value)) in run.iter().enumerate() {
                svg.raw(if index == 0 { "M" } else { "L" });
                svg.at(self.x(*at)).raw(" ").at(self.y(*value));
            }
        }
        svg.raw("\"/>\n");
        for (at, value) in runs.iter().filter(|run| run.len() == 1).flatten() {
            svg.raw("<circle class=\"dot\" r=\"2.5\" cx=\"").at(self.x(*at)).raw("\" cy=\"");
            svg.at(self.y(*value)).raw("\"/>\n");
        }
    }

    /// Where gaps are all over, each column of the paper shows the least and the most of its values,
    /// and no line joins them.
    fn columns(&self, svg: &mut Html, chart: &Line<'_>) {
        let column = |point: &(f64, f64)| (self.x(point.0) / 2.0).floor();
        svg.raw("<path class=\"value\" d=\"");
        for group in chart.points.chunk_by(|a, b| column(a) == column(b)) {
            let places = || group.iter().map(|point| self.y(point.1));
            let (top, bottom) = places().fold((Y.0, Y.1), |(a, b), y| (a.min(y), b.max(y)));
            svg.raw("M")
                .at(column(&group[0]) * 2.0)
                .raw(" ")
                .at(top - 0.5)
                .raw("V")
                .at(bottom + 0.5);
        }
        svg.raw("\"/>\n");
    }

    fn onset(&self, svg: &mut Html, chart: &Line<'_>) {
        let Some(onset) = chart.onset else { return };
        let x = self.x(onset.at);
        let sides = (self.x(onset.at - onset.plus_minus), self.x(onset.at + onset.plus_minus));
        rect(svg.raw("<rect class=\"about\" "), sides, (Y.0, Y.1)).raw("/>");
        svg.raw("<path class=\"onset\" d=\"M").at(x).raw(" ").at(Y.0).raw("V").at(Y.1 - 6.0);
        svg.raw("\"/>");
        let (class, at) = if x > 400.0 { ("right strong", x - 4.0) } else { ("strong", x + 4.0) };
        label(svg, class, at, Y.1 - 4.0).raw("began ").text(&axis::time(onset.at, "%H:%M:%S"));
        svg.raw("</text>\n");
    }

    /// Events as numbered marks on the axis; of those on top of each other the first has a number.
    fn marks(&self, svg: &mut Html, chart: &Line<'_>) {
        let mut last = f64::NEG_INFINITY;
        for mark in inside(chart) {
            let x = self.x(mark.at);
            svg.raw("<g class=\"mark\"><title>").count(mark.number).raw(": ").text(&mark.text);
            svg.raw("</title><path d=\"M").at(x).raw(" ").at(Y.0).raw("V").at(Y.1).raw("\"/>");
            if x - last > 16.0 {
                svg.raw("<circle r=\"8\" cx=\"").at(x).raw("\" cy=\"").at(Y.0).raw("\"/>");
                label(svg, "middle", x, Y.0 + 4.0).count(mark.number).raw("</text>");
                last = x;
            }
            svg.raw("</g>\n");
        }
    }
}

fn inside<'a>(chart: &'a Line<'_>) -> impl Iterator<Item = &'a Mark> {
    let (from, to) = chart.span;
    chart.marks.iter().filter(move |mark| mark.at >= from && mark.at <= to).take(MAX_MARKS)
}

fn rect(svg: &mut Html, (left, right): (f64, f64), (bottom, top): (f64, f64)) -> &mut Html {
    svg.raw("x=\"").at(left).raw("\" y=\"").at(top).raw("\" width=\"");
    svg.at((right - left).max(0.0)).raw("\" height=\"").at((bottom - top).max(0.0)).raw("\"")
}

fn label<'a>(svg: &'a mut Html, class: &'static str, x: f64, y: f64) -> &'a mut Html {
    svg.raw("<text class=\"").raw(class).raw("\" x=\"").at(x).raw("\" y=\"").at(y).raw("\">")
}

/// The least and the most of the values in a time.
fn range(chart: &Line<'_>, (from, to): (f64, f64)) -> Option<(f64, f64)> {
    let inside = |at: f64| at >= from && at <= to;
    let ends = chart.buckets.iter().filter(|bucket| inside(bucket.0));
    let ends = ends.flat_map(|(_, least, most)| [Some(*least), *most]).flatten();
    let points = chart.points.iter().filter(|point| inside(point.0)).map(|point| point.1);
    let values: Vec<f64> = if chart.buckets.is_empty() { points.collect() } else { ends.collect() };
    let least = values.iter().copied().reduce(f64::min)?;
    Some((least, values.into_iter().reduce(f64::max)?))
}

/// The chart in words.
fn description(chart: &Line<'_>, plot: &Plot) -> String {
    let show = |value: f64| chart.unit.show(value);
    let clock = |at: f64| axis::time(at, "%H:%M:%S");
    let mut told = Vec::new();
    let whole = range(chart, (f64::NEG_INFINITY, f64::INFINITY));
    if let (Some((from, _)), Some((to, last))) = (chart.points.first(), chart.points.last()) {
        let points = counted(chart.points.len(), "value");
        told.push(format!("{points} from {} to {} UTC.", clock(*from), clock(*to)));
        if chart.buckets.is_empty() {
            told.push(format!("The last is {}.", show(*last)));
        }
    }
    if let Some((least, most)) = whole {
        told.push(format!("They lie between {} and {}.", show(least), show(most)));
    }
    if let Some((least, most)) = plot.before {
        told.push(format!("Before, they lay between {} and {}.", show(least), show(most)));
    }
    if let Some(onset) = chart.onset {
        told.push(format!("The incident began at {} UTC.", clock(onset.at)));
    }
    if let Some(limit) = chart.threshold {
        told.push(format!("The limit is {}.", show(limit)));
    }
    if !chart.gaps.is_empty() {
        told.push(format!("{} without a value.", counted(chart.gaps.len(), "time")));
    }
    told.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chart<'a>(points: &'a [(f64, f64)], gaps: &'a [(f64, f64)]) -> Line<'a> {
        Line {
            id: 1,
            title: "ttft_mean_seconds",
            unit: Unit::Seconds,
            points,
            buckets: &[],
            gaps,
            span: (0.0, 100.0),
            before: Some((0.0, 40.0)),
            onset: Some(Onset { at: 50.0, plus_minus: 5.0 }),
            threshold: Some(0.5),
            marks: &[],
        }
    }

    #[test]
    fn a_gap_breaks_the_line_and_is_never_zero() {
        let points = [(10.0, 0.1), (20.0, 0.2), (60.0, 0.4), (70.0, 0.4)];
        let whole = line(&chart(&points, &[])).finish();
        let parted = line(&chart(&points, &[(20.0, 50.0)])).finish();
        let starts = |svg: &str| {
            let path = svg.split("class=\"value\" d=\"").nth(1).unwrap().split('"').next().unwrap();
            path.matches('M').count()
        };
        assert_eq!((starts(&whole), starts(&parted)), (1, 2));
        assert!(parted.contains("1 time without a value."));
    }

    #[test]
    fn a_value_alone_between_gaps_is_a_dot() {
        let points = [(10.0, 0.1), (60.0, 0.4)];
        let svg = line(&chart(&points, &[(10.0, 50.0)])).finish();
        assert_eq!(svg.matches("<circle").count(), 2);
    }

    #[test]
    fn events_are_marked_by_their_number_and_say_what_they_are() {
        let mark = |at, number| Mark { at, number, text: format!("<{number}> went out") };
        let marks = [mark(30.0, 4), mark(30.1, 5), mark(200.0, 6)];
        let points = [(10.0, 0.1), (60.0, 0.4)];
        let svg = line(&Line { marks: &marks, ..chart(&points, &[]) }).finish();
        assert!(svg.contains("<title>5: &lt;5&gt; went out</title>"));
        assert_eq!(
            svg.matches("<circle").count(),
            1,
            "one number where two would cover each other"
        );
        assert!(!svg.contains("<title>6"), "what lies outside of the chart is not drawn");
    }

    #[test]
    fn a_bucket_is_a_band_and_draws_no_false_point() {
        let buckets = [(10.0, 0.1, Some(0.25)), (20.0, 0.25, None)];
        let points = [(10.0, 0.175), (20.0, 0.25)];
        let svg = line(&Line { buckets: &buckets, ..chart(&points, &[]) }).finish();
        assert_eq!(svg.matches("class=\"bucket\"").count(), 2);
        assert!(!svg.contains("class=\"value\""));
    }

    #[test]
    fn absurd_numbers_give_finite_places() {
        let points = [(10.0, 1e18), (20.0, -1e18), (f64::MAX, 3.0)];
        for span in [(0.0, 0.0), (0.0, 100.0), (f64::MIN, f64::MAX)] {
            let svg = line(&Line { span, ..chart(&points, &[]) }).finish();
            assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
        }
    }

    #[test]
    fn many_points_keep_their_peaks() {
        let points: Vec<(f64, f64)> = (0..10_000)
            .map(|at| (f64::from(at) / 100.0, if at == 5_003 { 9.0 } else { 1.0 }))
            .collect();
        let few = thinned(&points, MAX_POINTS);
        assert!(few.len() <= MAX_POINTS && few.contains(&(50.03, 9.0)));
        assert!(line(&chart(&points, &[])).len() < 12_000);
        let gaps: Vec<(f64, f64)> = points.windows(2).map(|pair| (pair[0].0, pair[1].0)).collect();
        let parted = line(&chart(&points, &gaps));
        assert!(parted.len() < 12_000 && !parted.as_str().contains('L'), "{}", parted.len());
        let buckets: Vec<_> = points.iter().map(|(at, value)| (*at, *value, None)).collect();
        let boxes = line(&Line { buckets: &buckets, ..chart(&points, &[]) });
        assert!(boxes.len() < 40_000, "{}", boxes.len());
    }
}
