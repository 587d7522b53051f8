//! From kept answers to series and events. Live runs and replays pass through here alike.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    ID, alerts, query,
    record::{Column, Grain, Metric, Part, Record},
    replicas::Replicas,
};
use crate::{
    evidence::{
        Event, EventKind, SeriesSet, SourceState, SourceStatus, Time,
        bundle::Bundle,
        series::{Labels, REPLICA},
    },
    sources::exposition,
    unit::counted,
};

/// Spacings without a sample after which Prometheus lags, or lost the server.
const LAGGING: f64 = 3.0;

/// What the answers tell beside series.
#[derive(Debug, Default)]
pub(in crate::sources) struct Known {
    /// How it went; none where Prometheus was not asked.
    pub(in crate::sources) status: Option<SourceStatus>,
    /// Alerts and failed scrapes.
    pub(in crate::sources) events: Vec<Event>,
}

/// Adds the samples of a bundle's answers to `set`, up to the first page that the server itself
/// gave. Call it before those pages are added, as pages come in time order.
pub(in crate::sources) fn read(bundle: &Bundle, set: &mut SeriesSet) -> Known {
    let page = bundle.scrapes.iter().next().map(|(&ms, body)| Page::of(ms, body));
    let mut known = Known::default();
    for (_, body) in bundle.recorded(ID) {
        match serde_json::from_slice::<Record>(body) {
            Ok(record) if record.answers.is_empty() => {}
            Ok(record) => add(&record, page.as_ref(), set, &mut known),
            Err(error) => {
                let detail = format!("the kept answers cannot be read: {error}");
                known.status = Some(status(SourceState::BadData, detail));
            }
        }
    }
    known
}

fn status(status: SourceState, detail: String) -> SourceStatus {
    SourceStatus { id: ID.into(), status, detail, took_ms: None }
}

/// The first page that the server itself gave.
struct Page {
    at: Time,
    labels: BTreeSet<String>,
    models: BTreeSet<String>,
}

impl Page {
    fn of(ms: u64, body: &[u8]) -> Self {
        let (mut labels, mut models) = (BTreeSet::new(), BTreeSet::new());
        let presence = presence();
        exposition::parse(body, |sample| {
            if sample.name() == presence {
                for (name, value) in sample.labels() {
                    labels.insert(name.to_owned());
                    if name == "model_name" {
                        models.insert(value.into_owned());
                    }
                }
            }
        });
        Self { at: ms as f64 / 1e3, labels, models }
    }
}

fn presence() -> String {
    format!("vllm:{}", query::PRESENCE)
}

fn add(record: &Record, page: Option<&Page>, set: &mut SeriesSet, known: &mut Known) {
    let present: Vec<&Metric> = record.of(Part::Replicas).map(|it| &it.labels).collect();
    let on_page = page.map(|page| page.labels.clone()).unwrap_or_default();
    let replicas = Replicas::of(present.iter().copied(), &on_page);
    if let Some(why) = page.and_then(|page| not_the_same(page, &present, &replicas)) {
        known.status = Some(status(SourceState::Partial, why));
        return;
    }
    let after = set.pages().last().copied().unwrap_or(f64::NEG_INFINITY);
    let before = page.map_or(f64::INFINITY, |page| page.at);
    let reader = Reader { record, replicas: &replicas, after, before };
    let pages = reader.pages();
    pages.iter().for_each(|&at| set.begin_page(at));
    let read = reader.series(set);
    let down = reader.scrapes();
    known.events.extend(alerts::events(record));
    known.events.extend(down.events);
    known.status = Some(reader.status(read, down.still));
}

/// Why history cannot be put before the server's own pages.
fn not_the_same(page: &Page, present: &[&Metric], replicas: &Replicas) -> Option<String> {
    if replicas.are_several() {
        let (many, first) = (replicas.each.len(), &replicas.each[0].1);
        return Some(format!(
            "its {many} replicas are left out, as the live pages are those of one: choose it with \
             --selector, e.g. '{REPLICA}=\"{first}\"'"
        ));
    }
    let models: BTreeSet<&String> = present.iter().filter_map(|it| it.get("model_name")).collect();
    // A page whose names cannot be read is of no other model.
    let named = !models.is_empty() && !page.models.is_empty();
    let foreign = named && !models.iter().any(|name| page.models.contains(*name));
    foreign.then(|| {
        "it is left out, as its series are of another model than the live pages: check --selector"
            .into()
    })
}

struct Reader<'a> {
    record: &'a Record,
    replicas: &'a Replicas,
    after: Time,
    before: Time,
}

/// Series and samples read.
struct Count {
    series: usize,
    samples: usize,
}

/// Scrapes that failed.
struct Down {
    events: Vec<Event>,
    /// Replicas whose last scrape failed.
    still: Vec<String>,
}

type Points = Vec<(Time, f64)>;

impl Reader<'_> {
    /// Times at which some replica was seen.
    fn pages(&self) -> Vec<Time> {
        let presence = presence();
        let seen = |it: &&Column| self.record.usual(it.name()) == presence;
        let columns = self.record.of(Part::Metrics).filter(seen);
        let columns = columns.filter(|it| self.replica(&it.labels).is_some());
        let mut times: Vec<Time> = columns.flat_map(|it| self.points(it)).map(|it| it.0).collect();
        times.sort_by(f64::total_cmp);
        times.dedup();
        times
    }

    fn points<'b>(&self, column: &'b Column) -> impl Iterator<Item = (Time, f64)> + use<'b> {
        let (after, before) = (self.after, self.before);
        column.points(self.record.from_ms).filter(move |&(at, _)| at > after && at < before)
    }

    /// The replica of a series, `Some(None)` for a sum over all of them, and `None` for a stranger.
    fn replica(&self, labels: &Metric) -> Option<Option<&str>> {
        if self.replicas.added.iter().any(|name| labels.contains_key(name)) {
            return self.replicas.of_series(labels).map(Some);
        }
        Some(None)
    }

    fn series(&self, set: &mut SeriesSet) -> Count {
        let mut all: BTreeMap<(String, Labels), Points> = BTreeMap::new();
        for part in [Part::Metrics, Part::Server, Part::Sums] {
            for column in self.record.of(part).filter(|it| it.name() != "up") {
                let Some(replica) = self.replica(&column.labels) else { continue };
                let key =
                    (self.record.usual(column.name()).into_owned(), self.labels(column, replica));
                let mut points: Points = self.points(column).collect();
                if part == Part::Sums {
                    accumulate(&mut points);
                }
                all.entry(key).or_default().extend(points);
            }
        }
        let mut count = Count { series: all.len(), samples: 0 };
        for (index, ((name, labels), mut points)) in all.into_iter().enumerate() {
            points.sort_by(|a, b| a.0.total_cmp(&b.0));
            points.dedup_by_key(|point| point.0);
            count.samples += points.len();
            // A new key for each series, so that no text need be built for all its labels.
            let key = format!("{ID} {index} {}", self.record.to_ms);
            let mut described = Some((name, labels));
            for (at, value) in points {
                set.record(&key, at, value, || described.take().unwrap_or_default());
            }
        }
        count
    }

    /// Labels as the server's own page has them, and the replica where there are several.
    fn labels(&self, column: &Column, replica: Option<&str>) -> Labels {
        let own = |name: &&String| *name != "__name__" && !self.replicas.added.contains(*name);
        let own = column.labels.iter().filter(|(name, _)| own(name));
        let mut labels: Labels =
            own.map(|(name, value)| (name.clone(), spelled(name, value))).collect();
        if let Some(replica) = replica.filter(|_| self.replicas.are_several()) {
            labels.push((REPLICA.into(), replica.into()));
        }
        labels.sort();
        labels
    }

    fn scrapes(&self) -> Down {
        let mut down = Down { events: Vec::new(), still: Vec::new() };
        for column in self.record.of(Part::Server).filter(|it| it.name() == "up") {
            let Some(Some(replica)) = self.replica(&column.labels) else { continue };
            let points: Points = self.points(column).collect();
            if points.last().is_some_and(|point| point.1 == 0.0) {
                down.still.push(replica.to_owned());
            }
            let turns = points.windows(2).filter(|pair| pair[0].1 != pair[1].1);
            down.events.extend(turns.map(|pair| self.turn(replica, pair[0].0, pair[1])));
        }
        down
    }

    /// One replica of many that cannot be scraped is no break of the service.
    fn turn(&self, replica: &str, not_before: Time, (at, up): (Time, f64)) -> Event {
        let kind = match (self.replicas.are_several(), up == 0.0) {
            (true, _) => EventKind::Alarm,
            (false, true) => EventKind::ProbeFailed,
            (false, false) => EventKind::ProbeRecovered,
        };
        let what = if up == 0.0 { "could not be scraped (up is 0)" } else { "was scraped again" };
        let text = format!("{REPLICA}=\"{replica}\" {what}");
        Event { at, not_before, kind, text, source: "prometheus" }
    }

    fn status(&self, read: Count, still_down: Vec<String>) -> SourceStatus {
        let mut parts = self.record.lost.clone();
        if let Some(first) = still_down.first() {
            let more = still_down.len() - 1;
            let more = if more > 0 { format!(" and {more} more") } else { String::new() };
            parts.push(format!("its scrapes of {REPLICA}=\"{first}\"{more} fail (up is 0)"));
        }
        parts.extend(self.lag());
        let how = match self.record.grain {
            Grain::Samples => "as they were scraped".to_owned(),
            Grain::Steps(step) => format!("one in {step} s"),
            Grain::Fleet(step) => format!("summed over the replicas in steps of {step} s"),
        };
        let got = format!(
            "{} of {} from {}, {how}",
            counted(read.samples, "sample"),
            if read.series == 1 { "1 series".into() } else { format!("{} series", read.series) },
            counted(self.replicas.each.len(), "replica"),
        );
        let state = if parts.is_empty() { SourceState::Ok } else { SourceState::Partial };
        parts.push(got);
        status(state, parts.join("; "))
    }

    /// Samples that end before the time asked for are not the present.
    fn lag(&self) -> Option<String> {
        let columns = self.record.of(Part::Metrics);
        let newest = columns.flat_map(|it| it.points(self.record.from_ms).last()).map(|it| it.0);
        let lag = self.record.to_ms as f64 / 1e3 - newest.reduce(f64::max)?;
        let seconds = lag.round();
        (lag > LAGGING * self.record.spacing()).then(|| {
            format!(
                "its newest sample is {seconds} s older than the end of the time asked for: it lags, \
                 or has lost the server"
            )
        })
    }
}

/// Growth of each step, added up.
fn accumulate(points: &mut Points) {
    let mut sum = 0.0;
    for (_, value) in points.iter_mut() {
        sum += if value.is_finite() { *value } else { 0.0 };
        *value = sum;
    }
}

/// Prometheus 3 writes the bound `1` as `1.0`, as vLLM does itself.
fn spelled(name: &str, value: &str) -> String {
    let whole = !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit());
    if whole && matches!(name, "le" | "quantile") { format!("{value}.0") } else { value.into() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::{Span, View, bundle::Bundle};
    use serde_json::json;

    fn read_series(
        series: serde_json::Value,
        part: &str,
        grain: serde_json::Value,
    ) -> (SeriesSet, Known) {
        let running = json!({"labels": {"__name__": "vllm:num_requests_running", "instance": "a:1"},
                             "samples": "0 1 10000 1 20000 1"});
        let record = json!({"from_ms": 0, "to_ms": 20000, "grain": grain, "interval": 10.0, "answers": [
            {"part": "replicas", "query": "", "series": [{"labels": {"instance": "a:1"}, "samples": ""}]},
            {"part": "metrics", "query": "", "series": [running]},
            {"part": part, "query": "", "series": series},
        ]});
        let mut bundle = Bundle::default();
        bundle.record(ID, 20000, serde_json::to_vec(&record).unwrap());
        let mut set = SeriesSet::default();
        let known = read(&bundle, &mut set);
        (set, known)
    }

    #[test]
    fn labels_that_prometheus_added_are_gone_and_bounds_are_spelled_alike() {
        let buckets = json!([
            {"labels": {"__name__": "vllm_x_bucket", "instance": "a:1", "le": "1"}, "samples": "0 1"},
            {"labels": {"__name__": "vllm:x_bucket", "instance": "a:1", "le": "1.0"}, "samples": "10000 4"},
            {"labels": {"__name__": "vllm:x_bucket", "instance": "b:1", "le": "1.0"}, "samples": "10000 9"},
        ]);
        let (set, known) = read_series(buckets, "metrics", json!("samples"));
        let bucket: Vec<_> = set.named("vllm:x_bucket").collect();
        assert_eq!(bucket.len(), 1);
        assert_eq!(bucket[0].labels, [("le".to_owned(), "1.0".to_owned())]);
        assert_eq!(bucket[0].points.len(), 2);
        assert_eq!(set.pages(), [0.0, 10.0, 20.0]);
        assert_eq!(known.status.unwrap().status, SourceState::Ok);
    }

    #[test]
    fn sums_of_growth_become_a_counter() {
        let sums =
            json!([{"labels": {"__name__": "vllm:c_total"}, "samples": "0 5 10000 2.5 20000 NaN"}]);
        let (set, _) = read_series(sums, "sums", json!({"fleet": 10.0}));
        let whole = View::new(&set, Span { from: 0.0, to: 20.0 });
        assert_eq!(whole.increase("vllm:c_total"), Some(2.5));
    }

    #[test]
    fn failed_scrapes_are_events_and_said() {
        let up =
            json!([{"labels": {"__name__": "up", "instance": "a:1"}, "samples": "0 1 10000 0"}]);
        let (_, known) = read_series(up, "server", json!("samples"));
        assert_eq!(known.events[0].kind, EventKind::ProbeFailed);
        let status = known.status.unwrap();
        assert_eq!(status.status, SourceState::Partial);
        assert!(status.detail.contains("up is 0"), "{}", status.detail);
    }
}
