//! Series of samples, and views of them over a span of time.
//!
//! Counters restart at 0 with their process, so every increase here is reset-aware: a decrease
//! between two samples counts the later value as the growth since the restart, as Prometheus does.

use std::{
    collections::{BTreeMap, HashMap},
    hash::BuildHasher,
};

use super::{Span, Time, histogram::Histogram};

/// The label that tells replicas apart, where several servers were looked at together.
pub const REPLICA: &str = "instance";

/// The label that tells engines (data-parallel ranks) of one server apart; V0 has none.
pub const ENGINE: &str = "engine";

/// An engine: its replica and its rank, as far as a series names them.
pub type Engine<'a> = (Option<&'a str>, Option<&'a str>);

/// Labels sorted by name.
pub type Labels = Vec<(String, String)>;

/// Largest size of a value that counts as one. No counter of a server gets there, and sums and
/// squares of what is smaller stay finite, so that no reading can become infinite or NaN.
pub const LARGEST: f64 = 1e18;

/// One sample.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Point {
    /// Unix seconds.
    pub at: Time,
    /// The value; finite, and at most [`LARGEST`] in size.
    pub value: f64,
}

/// All samples of one metric with one set of labels, in time order.
#[derive(Debug, Clone, PartialEq)]
pub struct Series {
    /// Sample name in canonical spelling (`vllm:…` with a colon), with its `_total`, `_bucket`, ….
    pub name: String,
    /// Labels, sorted by name.
    pub labels: Labels,
    /// Samples, in time order.
    pub points: Vec<Point>,
}

impl Series {
    /// The value of a label.
    pub fn label(&self, name: &str) -> Option<&str> {
        self.labels.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// The engine that it is of.
    pub fn engine(&self) -> Engine<'_> {
        (self.label(REPLICA), self.label(ENGINE))
    }

    /// Its samples inside a span.
    pub fn within(&self, span: Span) -> &[Point] {
        let start = self.points.partition_point(|point| point.at < span.from);
        let end = self.points.partition_point(|point| point.at <= span.to);
        &self.points[start.min(end)..end]
    }
}

/// A set of series that grows page by page.
#[derive(Debug, Clone, Default)]
pub struct SeriesSet {
    series: Vec<Series>,
    by_name: BTreeMap<String, Vec<usize>>,
    by_key: HashMap<String, usize, foldhash::fast::RandomState>,
    /// Series by the hash of name and labels, as a page may hold a hundred thousand of one name.
    by_hash: HashMap<u64, Vec<usize>, foldhash::fast::RandomState>,
    pages: Vec<Time>,
    /// When each replica was first seen, where several were looked at together.
    first_seen: BTreeMap<String, Time>,
}

impl SeriesSet {
    /// Notes that a page was read at `at`. Call once a page, in time order, before its samples.
    pub fn begin_page(&mut self, at: Time) {
        self.pages.push(at);
    }

    /// Adds a sample. `key` is any text that is the same for the same series (e.g. the raw line up
    /// to the value); `describe` gives name and labels and is called only when the key is new.
    /// NaN says "no value", and infinite or absurd values are none either: all are dropped, so that
    /// what rests on them is missing instead of wrong.
    pub fn record(
        &mut self,
        key: &str,
        at: Time,
        value: f64,
        describe: impl FnOnce() -> (String, Labels),
    ) {
        if value.is_nan() || value.abs() > LARGEST {
            return;
        }
        let index = match self.by_key.get(key) {
            Some(&index) => index,
            None => self.intern(key, describe()),
        };
        self.note_replica(index, at);
        let points = &mut self.series[index].points;
        match points.last_mut() {
            Some(last) if last.at >= at => last.value = last.value.max(value),
            _ => points.push(Point { at, value }),
        }
    }

    fn note_replica(&mut self, index: usize, at: Time) {
        let series = &self.series[index];
        let Some(replica) = series.label(REPLICA).filter(|_| series.points.is_empty()) else {
            return;
        };
        match self.first_seen.get_mut(replica) {
            Some(first) => *first = first.min(at),
            None => {
                self.first_seen.insert(replica.to_owned(), at);
            }
        }
    }

    fn intern(&mut self, key: &str, (name, mut labels): (String, Labels)) -> usize {
        labels.sort();
        let hash = self.by_hash.hasher().hash_one((&name, &labels));
        let alike = self.by_hash.entry(hash).or_default();
        let same = |series: &Series| series.name == name && series.labels == labels;
        let known = alike.iter().copied().find(|&index| same(&self.series[index]));
        let index = known.unwrap_or_else(|| {
            alike.push(self.series.len());
            self.by_name.entry(name.clone()).or_default().push(self.series.len());
            self.series.push(Series { name, labels, points: Vec::new() });
            self.series.len() - 1
        });
        self.by_key.insert(key.to_owned(), index);
        index
    }

    /// Times of the pages read, in order.
    pub fn pages(&self) -> &[Time] {
        &self.pages
    }

    /// Every series of one sample name.
    pub fn named<'a>(&'a self, name: &str) -> impl Iterator<Item = &'a Series> + use<'a> {
        self.by_name.get(name).into_iter().flatten().map(|&index| &self.series[index])
    }

    /// When the server's own process started, or the first of its replicas.
    pub fn process_start(&self) -> Option<&Series> {
        self.process_starts().next()
    }

    /// When the server's own processes started, one a replica. A page may carry other processes
    /// too; theirs have a label that the server's metrics lack.
    pub fn process_starts(&self) -> impl Iterator<Item = &Series> {
        let engines = ["vllm:num_requests_running", "vllm:prompt_tokens_total"];
        let own = move |label: &(String, String)| {
            engines.iter().flat_map(|name| self.named(name)).any(|it| it.labels.contains(label))
        };
        self.named("process_start_time_seconds").filter(move |it| it.labels.iter().all(own))
    }

    /// Whether any page had a sample of this name.
    pub fn has(&self, name: &str) -> bool {
        self.by_name.contains_key(name)
    }

    /// All sample names, sorted.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.by_name.keys().map(String::as_str)
    }

    /// All series, in the order they were first seen.
    pub fn iter(&self) -> impl Iterator<Item = &Series> {
        self.series.iter()
    }
}

/// Series seen over one span of time.
#[derive(Debug, Clone, Copy)]
pub struct View<'a> {
    set: &'a SeriesSet,
    span: Span,
    since_start: bool,
}

impl<'a> View<'a> {
    /// The samples inside `span`.
    pub fn new(set: &'a SeriesSet, span: Span) -> Self {
        Self { set, span, since_start: false }
    }

    /// What the counters say of the time between the process's start and the first page at or
    /// after `until`: they began at 0. Gauges say nothing of that time.
    pub fn lifetime(set: &'a SeriesSet, until: Time) -> Self {
        let first = set.pages.iter().copied().find(|&at| at >= until).unwrap_or(until);
        Self { set, span: Span { from: first, to: first }, since_start: true }
    }

    /// The span looked at.
    pub fn span(&self) -> Span {
        self.span
    }

    /// Whether this view is the time from process start to the first page.
    pub fn is_lifetime(&self) -> bool {
        self.since_start
    }

    /// The set behind the view.
    pub fn set(&self) -> &'a SeriesSet {
        self.set
    }

    /// The same view over the interval between each two neighbouring pages inside the span.
    pub fn intervals(&self) -> Vec<Self> {
        let inside: Vec<Time> =
            self.set.pages.iter().copied().filter(|&at| self.span.contains(at)).collect();
        inside
            .windows(2)
            .map(|pair| Self::new(self.set, Span { from: pair[0], to: pair[1] }))
            .collect()
    }

    /// Growth of all counters of `name` whose labels pass `keep`; `None` where no series has the
    /// two samples (one, for a lifetime view) that it takes.
    ///
    /// A series that appears inside the span, while others of its server were there before, began
    /// at 0: labelled children are created at their first event.
    pub fn increase_where(&self, name: &str, keep: impl Fn(&Series) -> bool) -> Option<f64> {
        let mut total = None;
        for series in self.set.named(name).filter(|series| keep(series)) {
            if let Some(growth) = self.growth(series) {
                *total.get_or_insert(0.0) += growth;
            }
        }
        total
    }

    /// Growth of all counters of `name`.
    pub fn increase(&self, name: &str) -> Option<f64> {
        self.increase_where(name, |_| true)
    }

    fn growth(&self, series: &Series) -> Option<f64> {
        let points = series.within(self.span);
        if self.since_start {
            return points.first().map(|point| point.value);
        }
        let first = points.first()?;
        let born_inside = series.points[0].at == first.at
            && self.page_before(first.at)
            && self.replica_before(series, first.at);
        if points.len() < 2 && !born_inside {
            return None;
        }
        let steps = points.windows(2).map(|pair| {
            let step = pair[1].value - pair[0].value;
            if step < 0.0 { pair[1].value } else { step }
        });
        Some(steps.sum::<f64>() + if born_inside { first.value } else { 0.0 })
    }

    fn replica_before(&self, series: &Series, at: Time) -> bool {
        let first = series.label(REPLICA).and_then(|name| self.set.first_seen.get(name));
        first.is_none_or(|&first| first < at)
    }

    fn page_before(&self, at: Time) -> bool {
        let first = self.set.pages.partition_point(|&page| page < self.span.from);
        self.set.pages.get(first).is_some_and(|&page| page < at && self.span.contains(page))
    }

    /// The sum, at each page of the span, of the gauges of `name` that pass `keep`. Samples that
    /// differ only in `pid` are one value reported by several processes: the largest counts.
    pub fn gauge_where(&self, name: &str, keep: impl Fn(&Series) -> bool) -> Vec<Point> {
        if self.since_start {
            return Vec::new();
        }
        self.sum_of(self.set.named(name).filter(|series| keep(series)))
    }

    fn sum_of(&self, gauges: impl Iterator<Item = &'a Series>) -> Vec<Point> {
        let mut replicas: BTreeMap<Vec<&(String, String)>, BTreeMap<u64, f64>> = BTreeMap::new();
        for series in gauges {
            let identity = series.labels.iter().filter(|(key, _)| key != "pid").collect();
            let by_time = replicas.entry(identity).or_default();
            for point in series.within(self.span) {
                by_time
                    .entry(point.at.to_bits())
                    .and_modify(|value| *value = value.max(point.value))
                    .or_insert(point.value);
            }
        }
        let mut sums: BTreeMap<u64, f64> = BTreeMap::new();
        for (at, value) in replicas.into_values().flatten() {
            *sums.entry(at).or_insert(0.0) += value;
        }
        sums.into_iter().map(|(at, value)| Point { at: f64::from_bits(at), value }).collect()
    }

    /// The gauge of `name` by engine, summed page by page within each.
    pub fn gauge_by_engine(&self, name: &str) -> BTreeMap<Engine<'a>, Vec<Point>> {
        let mut engines: BTreeMap<Engine<'a>, Vec<&Series>> = BTreeMap::new();
        for series in self.set.named(name).filter(|_| !self.since_start) {
            engines.entry(series.engine()).or_default().push(series);
        }
        let summed = |(engine, group): (Engine<'a>, Vec<&'a Series>)| {
            (engine, self.sum_of(group.into_iter()))
        };
        engines.into_iter().map(summed).collect()
    }

    /// The sum over replicas, page by page.
    pub fn gauge(&self, name: &str) -> Vec<Point> {
        self.gauge_where(name, |_| true)
    }

    /// The growth of a histogram (`base` without `_bucket`), summed over all its series.
    pub fn histogram(&self, base: &str) -> Option<Histogram> {
        self.histogram_where(base, |_| true)
    }

    /// The growth of the histogram series whose labels pass `keep`.
    pub fn histogram_where(&self, base: &str, keep: impl Fn(&Series) -> bool) -> Option<Histogram> {
        let count = self.increase_where(&format!("{base}_count"), &keep)?;
        let sum = self.increase_where(&format!("{base}_sum"), &keep)?;
        let mut buckets: BTreeMap<u64, (f64, f64)> = BTreeMap::new();
        let name = format!("{base}_bucket");
        for series in self.set.named(&name).filter(|series| keep(series)) {
            let bound = series.label("le").and_then(|le| le.parse::<f64>().ok());
            let bound = bound.filter(|bound| !bound.is_nan());
            if let (Some(bound), Some(growth)) = (bound, self.growth(series)) {
                let slot = buckets.entry(order_bits(bound)).or_insert((bound, 0.0));
                slot.1 += growth;
            }
        }
        Some(Histogram::new(buckets.into_values().collect(), sum, count))
    }

    /// Values of one label over the series of `name`, sorted, without repeats.
    pub fn label_values(&self, name: &str, label: &str) -> Vec<String> {
        let mut values: Vec<String> =
            self.set.named(name).filter_map(|series| series.label(label)).map(Into::into).collect();
        values.sort();
        values.dedup();
        values
    }
}

/// Bits that sort as the numbers do.
fn order_bits(value: f64) -> u64 {
    let bits = value.to_bits();
    if bits >> 63 == 0 { bits ^ (1 << 63) } else { !bits }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(name: &str, label: (&str, &str), values: &[(f64, f64)]) -> SeriesSet {
        let mut set = SeriesSet::default();
        add(&mut set, name, label, values);
        set
    }

    fn add(set: &mut SeriesSet, name: &str, label: (&str, &str), values: &[(f64, f64)]) {
        for &(at, value) in values {
            if !set.pages.contains(&at) {
                set.begin_page(at);
            }
            let labels = vec![(label.0.to_string(), label.1.to_string())];
            set.record(&format!("{name}{label:?}"), at, value, || (name.into(), labels));
        }
    }

    fn whole() -> Span {
        Span { from: 0.0, to: 100.0 }
    }

    #[test]
    fn a_counter_that_falls_was_restarted_and_its_later_value_is_growth() {
        let set = set("c", ("engine", "0"), &[(0.0, 90.0), (5.0, 100.0), (10.0, 7.0), (15.0, 9.0)]);
        assert_eq!(View::new(&set, whole()).increase("c"), Some(10.0 + 7.0 + 2.0));
    }

    #[test]
    fn one_sample_shows_no_growth_and_is_not_zero() {
        let set = set("c", ("engine", "0"), &[(0.0, 90.0)]);
        assert_eq!(View::new(&set, whole()).increase("c"), None);
        assert_eq!(View::lifetime(&set, 0.0).increase("c"), Some(90.0));
    }

    #[test]
    fn a_child_born_inside_the_window_grew_from_zero() {
        let mut set = set("c", ("status", "2xx"), &[(0.0, 90.0), (5.0, 100.0)]);
        add(&mut set, "c", ("status", "4xx"), &[(5.0, 3.0)]);
        assert_eq!(View::new(&set, whole()).increase("c"), Some(13.0));
    }

    #[test]
    fn a_value_that_no_server_counts_is_no_value() {
        let values = [(0.0, f64::INFINITY), (5.0, 1.7e308), (10.0, f64::NAN), (15.0, 1.0)];
        let set = set("c", ("engine", "0"), &values);
        let points: Vec<&Point> = set.iter().flat_map(|series| &series.points).collect();
        assert_eq!(points, [&Point { at: 15.0, value: 1.0 }]);
    }

    #[test]
    fn the_start_of_another_process_is_not_the_servers() {
        let started = "process_start_time_seconds";
        let mut set = set(started, ("service", "sidecar"), &[(0.0, 50.0)]);
        add(&mut set, "vllm:prompt_tokens_total", ("instance", "a:8000"), &[(0.0, 1.0)]);
        assert_eq!(set.process_start(), None);
        add(&mut set, started, ("instance", "a:8000"), &[(0.0, 70.0)]);
        assert_eq!(set.process_start().map(|own| own.points[0].value), Some(70.0));
    }

    #[test]
    fn one_series_under_two_spellings_is_one() {
        let mut set = SeriesSet::default();
        let labels = || vec![("b".to_string(), "2".to_string()), ("a".into(), "1".into())];
        for (key, at) in [("x{b,a}", 0.0), ("x{a,b}", 5.0)] {
            set.begin_page(at);
            set.record(key, at, 1.0, || ("x".into(), labels()));
        }
        assert_eq!(set.named("x").count(), 1);
    }

    #[test]
    fn a_gauge_reported_by_several_processes_counts_once() {
        let mut set = set("g", ("pid", "1"), &[(0.0, 0.5)]);
        add(&mut set, "g", ("pid", "2"), &[(0.0, 0.7)]);
        assert_eq!(View::new(&set, whole()).gauge("g"), [Point { at: 0.0, value: 0.7 }]);
    }

    #[test]
    fn replicas_of_a_gauge_are_summed() {
        let mut set = set("g", ("engine", "0"), &[(0.0, 3.0)]);
        add(&mut set, "g", ("engine", "1"), &[(0.0, 4.0)]);
        assert_eq!(View::new(&set, whole()).gauge("g"), [Point { at: 0.0, value: 7.0 }]);
    }
}
