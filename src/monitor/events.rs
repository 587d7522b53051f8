//! Good and bad events of an objective, from the source that reaches back furthest.

use crate::{
    evidence::{Evidence, Series, Span, Time, cloud::CloudSeries, series::Labels},
    signals::{Frame, Missing, MissingKind, families},
};

use super::{
    CloudQuery, Measure, Query, RecordQuery, Slo,
    burn::Events,
    duration,
    read::{failed, family, growth, models},
};

/// Seconds by which a source must reach back further to take the place of a nearer one.
const FURTHER: f64 = 60.0;

/// Where events are counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The server's metrics, live or from Prometheus.
    Metrics,
    /// The gateway's records.
    Gateway,
    /// CloudWatch.
    CloudWatch,
}

impl Kind {
    /// Its name for programs, as other values of a measure have it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Metrics => "metrics",
            Self::Gateway => "gateway",
            Self::CloudWatch => "cloudwatch",
        }
    }
}

/// The events of one objective, of one model where several are told apart.
pub struct Source<'a> {
    /// Where they are counted.
    pub kind: Kind,
    /// The model, where there are several.
    pub of: Labels,
    /// Since when they are.
    pub since: Time,
    slo: &'a Slo,
    measure: &'a Measure,
    evidence: &'a Evidence,
}

/// The sources of an objective's events: one, or one for each model. Of those that count them the one
/// that reaches back furthest from `at` is taken, as a budget is that of a month.
pub fn sources<'a>(
    slo: &'a Slo,
    measure: &'a Measure,
    evidence: &'a Evidence,
    at: Time,
) -> Vec<Source<'a>> {
    let mut best: Option<(Kind, Time)> = None;
    for (kind, since) in candidates(measure, evidence).into_iter().filter(|it| it.1 < at) {
        if best.is_none_or(|(_, known)| since < known - FURTHER) {
            best = Some((kind, since));
        }
    }
    let (kind, since) = best.unwrap_or((unread(measure), evidence.span.from));
    let parts = match (kind, &measure.metrics) {
        (Kind::Metrics, Some(query)) => models(query, &Frame::new(evidence, evidence.span)),
        _ => vec![Labels::new()],
    };
    let source = |of| Source { kind, of, since, slo, measure, evidence };
    parts.into_iter().map(source).collect()
}

/// What counts the events of a measure, nearest first, with the begin of its history.
fn candidates(measure: &Measure, evidence: &Evidence) -> Vec<(Kind, Time)> {
    let set = &evidence.series;
    let exported = |query: &Query| families::exported(family(query), set).is_some();
    let pages = || set.pages().first().copied();
    let metrics = measure.metrics.as_ref().filter(|query| exported(query)).and_then(|_| pages());
    let records = measure.records.as_ref().and(evidence.gateway.as_ref());
    let cloud = measure.cloudwatch.as_ref().zip(evidence.cloud.as_ref());
    let cloud = cloud.and_then(|(query, cloud)| {
        let counted = cloud.metrics.iter().any(|series| series.name == query.metric);
        let firsts = cloud.metrics.iter().filter_map(|series| Some(series.points.first()?.at));
        firsts.reduce(f64::min).filter(|_| counted)
    });
    let found = [
        (Kind::Metrics, metrics),
        (Kind::Gateway, records.and_then(|log| Some(log.span()?.from))),
        (Kind::CloudWatch, cloud),
    ];
    found.into_iter().filter_map(|(kind, since)| Some((kind, since?))).collect()
}

/// The source that is missed first, where none was read.
fn unread(measure: &Measure) -> Kind {
    if measure.metrics.is_some() { Kind::Metrics } else { Kind::CloudWatch }
}

impl Source<'_> {
    /// The events of the `window` seconds up to `at`.
    pub fn events(&self, at: Time, window: f64) -> Result<Events, Missing> {
        match self.kind {
            Kind::Metrics => self.of_metrics(Span { from: at - window, to: at }),
            Kind::Gateway => self.of_records(Span { from: at - window, to: at }),
            Kind::CloudWatch => self.of_cloud(at, window),
        }
    }

    fn of_metrics(&self, span: Span) -> Result<Events, Missing> {
        let frame = Frame::new(self.evidence, span);
        let keep = |series: &Series| {
            self.of.iter().all(|(name, value)| series.label(name) == Some(value.as_str()))
        };
        match &self.measure.metrics {
            Some(Query::Ratio { of, to }) => {
                let (bad, total) = (growth(&frame, of, &keep)?, growth(&frame, to, &keep)?);
                Ok(Events { bad, total })
            }
            Some(Query::Quantile { of, .. }) => {
                let histogram = frame.view.histogram_where(frame.name(of)?, keep);
                let histogram = histogram.ok_or_else(|| Missing::no_samples("two samples"))?;
                let bound = histogram.bound_at_or_above(self.good_under());
                let bound = bound.filter(|bound| bound.is_finite()).ok_or_else(|| {
                    Missing::no_samples("bucket that reaches the bound of the objective")
                })?;
                let bad = histogram.above(bound).ok_or_else(|| Missing::no_samples("bucket"))?;
                Ok(Events { bad, total: histogram.count })
            }
            _ => Err(Missing::no_samples("event that this measure counts")),
        }
    }

    fn of_records(&self, span: Span) -> Result<Events, Missing> {
        let records =
            self.evidence.gateway.as_ref().map(|log| log.within(span)).unwrap_or_default();
        let bad: Vec<bool> = match &self.measure.records {
            Some(RecordQuery::Quantile { of, .. }) => {
                let late = self.good_under() * 1e3;
                records.iter().filter_map(|it| of.read(it)).map(|ms| ms > late).collect()
            }
            _ => records.iter().filter_map(failed).collect(),
        };
        if bad.is_empty() {
            return Err(Missing::no_samples("gateway record"));
        }
        let late = bad.iter().filter(|bad| **bad).count();
        Ok(Events { bad: late as f64, total: bad.len() as f64 })
    }

    /// Counts of whole periods: those of all sets of dimensions add up, as percentiles never do.
    fn of_cloud(&self, at: Time, window: f64) -> Result<Events, Missing> {
        let (Some(query), Some(cloud)) = (&self.measure.cloudwatch, &self.evidence.cloud) else {
            return Err(Missing::no_samples("event that this measure counts"));
        };
        let counts = Counts { query, metrics: &cloud.metrics, at, window };
        match (&query.over, self.slo.latency.is_some()) {
            (Some(over), _) => counts.ratio(over),
            (None, true) => counts.rank(self.good_under()),
            (None, false) => Err(Missing::no_samples("event that this measure counts")),
        }
    }

    fn good_under(&self) -> f64 {
        self.slo.latency.as_ref().map_or(f64::INFINITY, |it| it.good_under)
    }

    /// The bound used instead, where the asked one is no bucket's; seconds.
    pub fn snapped(&self) -> Option<f64> {
        let Some(Query::Quantile { of, .. }) = &self.measure.metrics else { return None };
        if self.kind != Kind::Metrics {
            return None;
        }
        let frame = Frame::new(self.evidence, self.evidence.span);
        let histogram = frame.view.histogram(frame.name(of).ok()?)?;
        let bound = histogram.bound_at_or_above(self.good_under())?;
        (bound != self.good_under() && bound.is_finite()).then_some(bound)
    }
}

/// Counting in CloudWatch.
struct Counts<'a> {
    query: &'a CloudQuery,
    metrics: &'a [CloudSeries],
    at: Time,
    window: f64,
}

impl Counts<'_> {
    /// Bad events over all events.
    fn ratio(&self, over: &str) -> Result<Events, Missing> {
        let totals = self.series(over, "Sum");
        if totals.is_empty() {
            return Err(not_read(&format!("the sum of {over}")));
        }
        let sum = |series: Vec<&CloudSeries>| -> Result<f64, Missing> {
            let each = series.into_iter().map(|it| {
                Ok(it.within(self.span(it)?).iter().map(|point| point.value).sum::<f64>())
            });
            each.sum()
        };
        // No sum of errors is none, where requests were counted.
        let bad = sum(self.series(&self.query.metric, "Sum"))?;
        Ok(Events { bad, total: sum(totals)? })
    }

    /// The share of samples up to a bound, times their number. Percentiles cannot tell it.
    fn rank(&self, bound: f64) -> Result<Events, Missing> {
        let statistic = self.query.rank(bound);
        let ranks = self.series(&self.query.metric, &statistic);
        if ranks.is_empty() {
            let metric = &self.query.metric;
            return Err(not_read(&format!(
                "{statistic} of {metric} (its percentiles cannot tell it, as a budget takes counts)"
            )));
        }
        let counts = self.series(&self.query.metric, "SampleCount");
        let mut events = Events::default();
        for rank in ranks {
            let same = |it: &&&CloudSeries| it.dimensions == rank.dimensions;
            let Some(count) = counts.iter().find(same) else { continue };
            for point in rank.within(self.span(rank)?) {
                let samples = count.points.iter().find(|it| it.at == point.at);
                let samples = samples.map_or(0.0, |it| it.value);
                events.total += samples;
                events.bad += (samples * (1.0 - point.value / 100.0)).round();
            }
        }
        Ok(events)
    }

    /// Series of one metric and statistic, under the dimensions that it is asked for by; under those
    /// of the first one where nobody writes them so. Two sets of names would count events twice.
    fn series(&self, metric: &str, statistic: &str) -> Vec<&CloudSeries> {
        let found =
            || self.metrics.iter().filter(|it| it.name == metric && it.statistic == statistic);
        let names = |it: &CloudSeries| -> Vec<String> {
            it.dimensions.iter().map(|(name, _)| name.clone()).collect()
        };
        let mut asked: Vec<String> =
            self.query.dimensions().into_iter().map(ToOwned::to_owned).collect();
        asked.sort();
        let wanted = match found().any(|it| names(it) == asked) {
            true => asked,
            false => found().next().map(names).unwrap_or_default(),
        };
        found().filter(|it| names(it) == wanted).collect()
    }

    /// The window, moved back to the last whole period.
    fn span(&self, series: &CloudSeries) -> Result<Span, Missing> {
        if series.period > self.window / 2.0 {
            let (period, window) = (duration(series.period), duration(self.window));
            let why = format!(
                "CloudWatch gave a point every {period}, too few for {window}: ask for less history"
            );
            return Err(Missing::new(MissingKind::Undecided, why));
        }
        let to = (self.at / series.period).floor() * series.period;
        Ok(Span { from: to - self.window, to })
    }
}

fn not_read(what: &str) -> Missing {
    Missing::new(MissingKind::NotConfigured, format!("CloudWatch was not asked for {what}"))
}
