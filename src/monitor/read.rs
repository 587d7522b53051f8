//! Measures read from evidence: what an alert would have seen at a moment.

use crate::{
    evidence::{
        Evidence, Series, Span, Time,
        cloud::CloudSeries,
        gateway::GatewayRecord,
        series::{Labels, Point},
    },
    signals::{Estimate, Frame, Missing, MissingKind, Value, endpoint},
    unit::Unit,
};

use super::{Across, CloudQuery, Measure, Part, Per, Query, RecordQuery};

/// Seconds after which a gauge's last sample says nothing of the present, as in Prometheus.
const LOOKBACK: f64 = 300.0;

/// One value of a measure, of one model or of one set of dimensions. Values of different ones are
/// never merged.
#[derive(Debug, Clone, PartialEq)]
pub struct Told {
    /// Labels or dimensions that it is told apart by; empty where there is one only.
    pub of: Labels,
    /// The value over the window.
    pub value: Value,
    /// The source that gave it: `metrics`, `gateway`, `cloudwatch` or `probes`.
    pub source: &'static str,
}

/// What evidence tells of a measure over the `window` seconds up to `at`: from the first source that
/// has it. Never empty: with no source there is one value, missing.
pub fn read(measure: &Measure, evidence: &Evidence, at: Time, window: f64) -> Vec<Told> {
    let span = Span { from: at - window, to: at };
    let frame = Frame::new(evidence, span);
    let mut told = Vec::new();
    if let Some(query) = &measure.metrics {
        told.extend(of_metrics(query, &frame));
    }
    if let (Some(query), Some(log)) = (&measure.records, &evidence.gateway) {
        let value = of_records(query, log.within(span), window);
        told.push(Told { of: Vec::new(), value, source: "gateway" });
    }
    if let (Some(query), Some(cloud)) = (&measure.cloudwatch, &evidence.cloud) {
        told.extend(of_cloud(query, measure.unit, &cloud.metrics, span));
    }
    if !measure.probe.is_empty() {
        let value = answering(evidence, span, &measure.probe);
        told.push(Told { of: Vec::new(), value, source: "probes" });
    }
    let best = told.iter().find(|it| it.value.is_ok()).map(|it| it.source);
    match best {
        Some(source) => told.into_iter().filter(|it| it.source == source).collect(),
        None if told.is_empty() => vec![unasked(measure)],
        None => told.into_iter().take(1).collect(),
    }
}

fn unasked(measure: &Measure) -> Told {
    let needed = match (&measure.metrics, &measure.cloudwatch) {
        (Some(_), _) => "vLLM's metrics",
        (None, Some(_)) => "CloudWatch (--cloudwatch)",
        (None, None) => "a source",
    };
    let why = format!("it takes {needed}, which was not read");
    let value = Err(Missing::new(MissingKind::NotConfigured, why));
    Told { of: Vec::new(), value, source: "none" }
}

/// One value a model, as a fast small model can hide a regression of a larger one.
fn of_metrics(query: &Query, frame: &Frame<'_>) -> Vec<Told> {
    let told = |of: Labels, value| Told { of, value, source: "metrics" };
    if let Err(missing) = frame.name(family(query)) {
        return vec![told(Vec::new(), Err(missing))];
    }
    let each = |of: Labels| {
        let keep = |series: &Series| {
            of.iter().all(|(name, value)| series.label(name) == Some(value.as_str()))
        };
        let value = value(query, frame, &keep);
        told(of, value)
    };
    models(query, frame).into_iter().map(each).collect()
}

/// The models that a query tells apart; one without labels where there are none or only one.
pub(super) fn models(query: &Query, frame: &Frame<'_>) -> Vec<Labels> {
    let Ok(name) = frame.name(family(query)) else { return vec![Labels::new()] };
    let all = frame.view.set().iter().filter(|series| series.name.starts_with(name));
    let mut models: Vec<&str> = all.filter_map(|series| series.label("model_name")).collect();
    models.sort_unstable();
    models.dedup();
    if models.len() < 2 {
        return vec![Labels::new()];
    }
    models.into_iter().map(|model| vec![("model_name".into(), model.into())]).collect()
}

/// The family that a query stands and falls with.
pub fn family(query: &Query) -> &str {
    match query {
        Query::Quantile { of, .. } | Query::Mean { of } | Query::Gauge { of, .. } => of,
        Query::Rate { of, .. } => of.first().map_or("", String::as_str),
        Query::Ratio { to, .. } => &to.family,
    }
}

type Keep<'a> = &'a dyn Fn(&Series) -> bool;

fn value(query: &Query, frame: &Frame<'_>, keep: Keep<'_>) -> Value {
    match query {
        Query::Quantile { q, of } => {
            let histogram = frame.view.histogram_where(frame.name(of)?, keep);
            let histogram = histogram.ok_or_else(|| Missing::no_samples("two samples"))?;
            let bucket = histogram.quantile(*q);
            let (lo, hi) = bucket.ok_or_else(|| Missing::no_samples("finished observation"))?;
            Ok(Estimate::bucket(lo, hi, histogram.count))
        }
        Query::Mean { of } => {
            let histogram = frame.view.histogram_where(frame.name(of)?, keep);
            let histogram = histogram.filter(|it| it.count > 0.0);
            let histogram = histogram.ok_or_else(|| Missing::no_samples("finished observation"))?;
            Ok(Estimate::exact(histogram.sum / histogram.count, Some(histogram.count)))
        }
        Query::Gauge { of, across } => gauge(frame, frame.name(of)?, *across, keep),
        Query::Rate { of, per } => rate(frame, of, *per, keep),
        Query::Ratio { of, to } => {
            let (top, bottom) = (growth(frame, of, keep)?, growth(frame, to, keep)?);
            Estimate::share(top.min(bottom), bottom).ok_or_else(|| Missing::no_samples("event"))
        }
    }
}

/// The last value of each replica, if it is of the present.
fn gauge(frame: &Frame<'_>, name: &str, across: Across, keep: Keep<'_>) -> Value {
    let at = frame.view.span().to;
    let recent = Span { from: at - LOOKBACK, to: at };
    let last = |series: &Series| series.within(recent).last().map(|point| point.value);
    let values: Vec<f64> =
        frame.view.set().named(name).filter(|it| keep(it)).filter_map(last).collect();
    let value = match across {
        Across::Sum => Some(values.iter().sum()).filter(|_| !values.is_empty()),
        Across::Max => values.iter().copied().reduce(f64::max),
    };
    value.map(|value| Estimate::exact(value, None)).ok_or_else(|| Missing::no_samples("sample"))
}

fn rate(frame: &Frame<'_>, families: &[String], per: Per, keep: Keep<'_>) -> Value {
    let (mut grown, mut seen) = (0.0, Span::default());
    for family in families {
        let name = frame.name(family)?;
        let part = Part { family: family.clone(), label: None, starts_with: String::new() };
        grown += growth(frame, &part, keep)?;
        seen = covered(frame, name);
    }
    if seen.seconds() <= 0.0 {
        return Err(Missing::no_samples("two samples"));
    }
    Ok(Estimate::exact(grown / seen.seconds() * per.seconds(), Some(grown)))
}

/// The part of the span from the first sample of a name to its last.
fn covered(frame: &Frame<'_>, name: &str) -> Span {
    let points = frame.view.set().named(name).flat_map(|it| it.within(frame.view.span()));
    let times: Vec<Time> = points.map(|point: &Point| point.at).collect();
    let from = times.iter().copied().reduce(f64::min).unwrap_or_default();
    Span { from, to: times.iter().copied().reduce(f64::max).unwrap_or_default() }
}

pub(super) fn growth(frame: &Frame<'_>, part: &Part, keep: Keep<'_>) -> Result<f64, Missing> {
    let name = frame.name(&part.family)?;
    let all = |series: &Series| keep(series) && endpoint::is_inference(series);
    let any = frame.view.increase_where(name, all);
    any.ok_or_else(|| Missing::no_samples(&format!("two samples of {name}")))?;
    let wanted = |series: &Series| {
        part.label.as_deref().is_none_or(|label| {
            series
                .label(label)
                .is_some_and(|value| value.starts_with(|c| part.starts_with.contains(c)))
        })
    };
    Ok(frame.view.increase_where(name, |series| all(series) && wanted(series)).unwrap_or(0.0))
}

fn of_records(query: &RecordQuery, records: &[GatewayRecord], window: f64) -> Value {
    let none = || Missing::no_samples("gateway record");
    match query {
        RecordQuery::Rate {} if records.is_empty() => Err(none()),
        RecordQuery::Rate {} => {
            Ok(Estimate::exact(records.len() as f64 / window, Some(records.len() as f64)))
        }
        RecordQuery::Failed {} => {
            let told: Vec<bool> = records.iter().filter_map(failed).collect();
            let bad = told.iter().filter(|bad| **bad).count();
            Estimate::share(bad as f64, told.len() as f64).ok_or_else(none)
        }
        RecordQuery::Quantile { q, of } => {
            let mut values: Vec<f64> = records.iter().filter_map(|it| of.read(it)).collect();
            values.sort_by(f64::total_cmp);
            let rank = (q * values.len() as f64).ceil().max(1.0) as usize;
            let value = values.get(rank - 1).ok_or_else(none)?;
            Ok(Estimate::exact(value / 1e3, Some(values.len() as f64)))
        }
    }
}

/// Whether the service failed a request: a client's own mistake is none of it.
pub fn failed(record: &GatewayRecord) -> Option<bool> {
    let timed_out = record.timed_out.filter(|timed_out| *timed_out);
    timed_out.or_else(|| record.status.map(|status| status >= 500))
}

fn of_cloud(query: &CloudQuery, unit: Unit, metrics: &[CloudSeries], span: Span) -> Vec<Told> {
    let named = |series: &&CloudSeries, metric: &str| {
        series.name == metric
            && series.statistic == query.statistic
            && query.by.iter().all(|name| series.dimension(name).is_some())
    };
    let one = |series: &CloudSeries| {
        let value = match &query.over {
            None => cloud_value(series, span).and_then(|value| {
                let time = if is_rate(unit) { counted_over(series, span)? } else { 1.0 };
                Some(Estimate::exact(value * query.scale() / time, None))
            }),
            Some(over) => metrics
                .iter()
                .find(|it| named(it, over) && it.dimensions == series.dimensions)
                .and_then(|total| {
                    // Nothing counted above the line is 0 where something is counted below.
                    let bad = cloud_value(series, span).unwrap_or(0.0);
                    Estimate::share(bad, cloud_value(total, span)?)
                }),
        };
        let value = value.ok_or_else(|| Missing::no_samples("datapoint of CloudWatch"));
        Told { of: series.dimensions.clone(), value, source: "cloudwatch" }
    };
    metrics.iter().filter(|series| named(series, &query.metric)).map(one).collect()
}

fn cloud_value(series: &CloudSeries, span: Span) -> Option<f64> {
    let points = series.within(span);
    match series.statistic.as_str() {
        "Sum" | "SampleCount" if points.is_empty() => None,
        "Sum" | "SampleCount" => Some(points.iter().map(|point| point.value).sum()),
        // Percentiles and means of periods cannot be put together: the last one stands.
        _ => points.last().map(|point| point.value),
    }
}

fn is_rate(unit: Unit) -> bool {
    matches!(unit, Unit::RequestsPerSecond | Unit::TokensPerSecond)
}

/// Seconds of the whole periods of a span that CloudWatch had counted by then: a period without a
/// point in between is one in which nothing happened. Only counts become rates.
fn counted_over(series: &CloudSeries, span: Span) -> Option<f64> {
    if !matches!(series.statistic.as_str(), "Sum" | "SampleCount") {
        return Some(1.0);
    }
    let (period, first, last) = (series.period, series.points.first()?, series.points.last()?);
    let from = ((span.from / period).ceil() * period).max(first.at);
    let to = ((span.to / period).floor() * period).min(last.at + period);
    (to > from).then_some(to - from)
}

/// Share of the probe rounds in which one of the paths answered 200. Before the first round nobody
/// asked, which is no silence of the server.
fn answering(evidence: &Evidence, span: Span, paths: &[String]) -> Value {
    if evidence.probes.first().is_none_or(|first| span.to < first.at) {
        return Err(Missing::new(MissingKind::NotConfigured, "nobody probed the server then"));
    }
    let rounds = evidence.probes.iter().filter(|round| span.contains(round.at));
    let outcomes = rounds.filter_map(|round| {
        let asked: Vec<_> = paths.iter().filter_map(|path| round.paths.get(path)).collect();
        (!asked.is_empty()).then(|| asked.iter().any(|probe| probe.status == Some(200)))
    });
    let outcomes: Vec<bool> = outcomes.collect();
    let well = outcomes.iter().filter(|well| **well).count();
    let n = outcomes.len() as f64;
    match outcomes.len() {
        0 => Err(Missing::no_samples("probe round")),
        _ => Ok(Estimate::exact(well as f64 / n, Some(n))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::SeriesSet;

    /// Name, labels, and a value a minute.
    type Line<'a> = (&'a str, &'a [(&'a str, &'a str)], &'a [f64]);

    fn evidence(lines: &[Line<'_>]) -> Evidence {
        let mut series = SeriesSet::default();
        for step in 0..lines[0].2.len() {
            let at = step as f64 * 60.0;
            series.begin_page(at);
            for (name, labels, values) in lines {
                let owned = || labels.iter().map(|(k, v)| (k.to_string(), v.to_string())).collect();
                series.record(&format!("{name}{labels:?}"), at, values[step], || {
                    (name.to_string(), owned())
                });
            }
        }
        Evidence { series, ..Evidence::default() }
    }

    fn measure(query: Query) -> Measure {
        Measure {
            id: "m".into(),
            title: "M".into(),
            unit: crate::unit::Unit::Ratio,
            metrics: Some(query),
            records: None,
            cloudwatch: None,
            exporter: None,
            probe: Vec::new(),
        }
    }

    #[test]
    fn models_are_told_apart_and_replicas_of_one_are_not_added_where_the_largest_counts() {
        let name = "vllm:num_requests_waiting";
        let evidence = evidence(&[
            (name, &[("model_name", "a"), ("instance", "1")], &[3.0, 5.0]),
            (name, &[("model_name", "a"), ("instance", "2")], &[4.0, 2.0]),
            (name, &[("model_name", "b")], &[1.0, 9.0]),
        ]);
        let waiting = measure(Query::Gauge { of: "waiting".into(), across: Across::Max });
        let told = read(&waiting, &evidence, 60.0, 60.0);
        let values: Vec<f64> = told.iter().map(|it| it.value.as_ref().unwrap().point).collect();
        assert_eq!(values, [5.0, 9.0]);
        assert!(read(&waiting, &evidence, 600.0, 60.0)[0].value.is_err(), "it is of the past");
    }

    #[test]
    fn tokenising_does_not_water_down_errors() {
        let chat = [("handler", "/v1/chat/completions"), ("method", "POST")];
        let with = |status| [chat[0], chat[1], ("status", status)];
        let tokenize = [("handler", "/tokenize"), ("method", "POST"), ("status", "2xx")];
        let name = "http_requests_total";
        let evidence = evidence(&[
            (name, &with("2xx"), &[0.0, 90.0]),
            (name, &with("5xx"), &[0.0, 10.0]),
            (name, &tokenize, &[0.0, 900.0]),
        ]);
        let part = |label: Option<&str>, starts_with: &str| Part {
            family: "http_requests".into(),
            label: label.map(Into::into),
            starts_with: starts_with.into(),
        };
        let errors = measure(Query::Ratio { of: part(Some("status"), "5"), to: part(None, "") });
        let told = read(&errors, &evidence, 60.0, 60.0);
        assert_eq!(told[0].value.as_ref().unwrap().point, 0.1);
    }

    #[test]
    fn what_was_not_asked_is_missing_and_not_zero() {
        let ooms = Measure {
            metrics: None,
            cloudwatch: Some(CloudQuery {
                metric: "OOMCaught".into(),
                statistic: "Sum".into(),
                over: None,
                by: Vec::new(),
                namespace: None,
                scale: None,
            }),
            ..measure(Query::Mean { of: "ttft".into() })
        };
        let told = read(&ooms, &Evidence::default(), 60.0, 60.0);
        let why = &told[0].value.as_ref().unwrap_err().why;
        assert!(why.contains("CloudWatch"), "{why}");
    }

    /// 60 requests in each minute are one a second, over a window that begins within a minute.
    #[test]
    fn a_count_of_cloudwatch_is_told_as_a_rate() {
        let points = (0..10).filter(|minute| *minute != 4);
        let points = points.map(|minute| Point { at: f64::from(minute) * 60.0, value: 60.0 });
        let series = CloudSeries {
            namespace: "N".into(),
            name: "TTFTMs".into(),
            dimensions: vec![("AdapterId".into(), "a".into())],
            statistic: "SampleCount".into(),
            period: 60.0,
            points: points.collect(),
        };
        let query = CloudQuery {
            metric: "TTFTMs".into(),
            statistic: "SampleCount".into(),
            over: None,
            by: vec!["AdapterId".into()],
            namespace: None,
            scale: None,
        };
        let span = Span { from: 90.0, to: 425.0 };
        let told = of_cloud(&query, Unit::RequestsPerSecond, std::slice::from_ref(&series), span);
        // Five minutes, in one of which there was nothing.
        assert_eq!(told[0].value.as_ref().unwrap().point, 4.0 * 60.0 / 300.0);
        let told = of_cloud(&query, Unit::Requests, &[series], span);
        assert_eq!(told[0].value.as_ref().unwrap().point, 240.0);
    }

    #[test]
    fn a_server_that_nobody_probed_is_not_down() {
        let ping = Measure {
            metrics: None,
            probe: vec!["/ping".into()],
            ..measure(Query::Mean { of: "ttft".into() })
        };
        let kind = |evidence: &Evidence| {
            read(&ping, evidence, 60.0, 60.0)[0].value.as_ref().unwrap_err().kind
        };
        assert_eq!(kind(&Evidence::default()), MissingKind::NotConfigured);
        let round = |at| crate::evidence::ProbeRound { at, ..Default::default() };
        let later = Evidence { probes: vec![round(90.0)], ..Evidence::default() };
        assert_eq!(kind(&later), MissingKind::NotConfigured);
        let before = Evidence { probes: vec![round(-90.0)], ..Evidence::default() };
        assert_eq!(kind(&before), MissingKind::NoSamples, "the server may have been down");
    }
}
