//! Alerts as alarms of CloudWatch: what `aws cloudwatch put-metric-alarm --cli-input-json` takes, and
//! `put-composite-alarm` where there is an `AlarmRule`.
//!
//! An alarm without dimensions watches a metric without dimensions. The gateway's metrics have some,
//! so each alarm names one whole set of them: nothing else would ever fire.

use std::collections::BTreeSet;

use serde::Serialize;

use super::{
    Alert, CloudQuery, Condition, Measure, MissingMeans, Slo, SloRule, Threshold,
    burn::{Objective, Tier},
    cloudwatch_burn,
    load::Rules,
    names::CloudNames,
    objective, seconds,
    state::Policy,
};
use crate::{
    evidence::{Evidence, series::Labels},
    report::json::escape_hazards,
};

/// How the name of every alarm begins.
pub const PREFIX: &str = "vllm-";

/// Length of a period of a rule that an objective has beside its tiers, seconds.
const PERIOD: f64 = 300.0;

/// One alarm.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
#[allow(missing_docs)]
pub struct Alarm {
    pub alarm_name: String,
    pub alarm_description: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub alarm_actions: Vec<String>,
    #[serde(flatten)]
    pub watched: Watched,
    pub evaluation_periods: u64,
    pub threshold: f64,
    pub comparison_operator: &'static str,
    pub treat_missing_data: &'static str,
    /// Whether a composite alarm looks at it, which then is the one that acts.
    #[serde(skip)]
    pub is_part: bool,
}

/// An alarm over others.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
#[allow(missing_docs)]
pub struct Composite {
    pub alarm_name: String,
    pub alarm_description: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub alarm_actions: Vec<String>,
    pub alarm_rule: String,
}

/// What an alarm compares.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
#[allow(missing_docs)]
pub enum Watched {
    Metric(Stat),
    #[serde(rename_all = "PascalCase")]
    Math {
        metrics: Vec<MathQuery>,
    },
}

/// One statistic of one metric, as an alarm spells it.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
#[allow(missing_docs)]
pub struct Stat {
    pub namespace: String,
    pub metric_name: String,
    pub dimensions: Vec<Dimension>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub statistic: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub extended_statistic: Option<String>,
    pub period: u64,
}

/// One dimension.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
#[allow(missing_docs)]
pub struct Dimension {
    pub name: String,
    pub value: String,
}

/// A line of metric math: a statistic, or an expression over others.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
#[allow(missing_docs)]
pub struct MathQuery {
    pub id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expression: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metric_stat: Option<serde_json::Value>,
    pub return_data: bool,
}

/// What is written, and what is not.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Alarms {
    /// The alarms.
    pub alarms: Vec<Alarm>,
    /// Those over others, which must be there first.
    pub composites: Vec<Composite>,
    /// Rows that have no alarm, with the reason.
    pub left: Vec<(String, String)>,
    /// Whether dimensions stand for those of your own.
    pub template: bool,
}

/// Settings of the alarms.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// What the gateway's metrics are called.
    pub names: CloudNames,
    /// What each alarm does.
    pub actions: Vec<String>,
}

impl Alarms {
    /// All of them as JSON.
    pub fn json(&self) -> String {
        escape_hazards(&serde_json::to_string_pretty(&self.rows()).unwrap_or_default()) + "\n"
    }

    /// Each alarm as it is put, those over others last.
    pub fn rows(&self) -> Vec<serde_json::Value> {
        // There are no maps with keys other than text in them, so serializing cannot fail.
        let alarms = self.alarms.iter().map(|it| serde_json::to_value(it).unwrap_or_default());
        let over = self.composites.iter().map(|it| serde_json::to_value(it).unwrap_or_default());
        alarms.chain(over).collect()
    }

    /// Drops alarms on dimensions that were not seen.
    pub fn leave_unseen(&mut self) {
        let is_seen = |name: &str| !name.contains('<');
        let unseen = self.acting().filter(|name| !is_seen(name)).map(ToOwned::to_owned);
        let why = "its dimensions were not seen in CloudWatch";
        let left: Vec<_> = unseen.map(|name| (name, why.to_owned())).collect();
        self.left.extend(left);
        self.alarms.retain(|it| is_seen(&it.alarm_name));
        self.composites.retain(|it| is_seen(&it.alarm_name));
        self.template = false;
    }

    /// Names of the alarms that act: the parts of others do not.
    pub fn acting(&self) -> impl Iterator<Item = &str> {
        let alarms = self.alarms.iter().filter(|it| !it.is_part).map(|it| &it.alarm_name);
        alarms.chain(self.composites.iter().map(|it| &it.alarm_name)).map(String::as_str)
    }
}

/// Every alert and every rule of an objective that CloudWatch can watch, once for each set of
/// dimensions that was seen.
pub fn render(
    rules: &Rules,
    policy: &Policy,
    evidence: Option<&Evidence>,
    options: &Options,
) -> Alarms {
    let writer = Writer { rules, policy, evidence, options };
    let mut out = Alarms::default();
    for alert in &rules.alerts {
        out.put(&alert.id, writer.alert(alert));
    }
    for slo in &rules.slos {
        for rule in &slo.rules {
            out.put(&rule.id, writer.slo_rule(slo, rule));
        }
        cloudwatch_burn::tiers(&writer, slo, &mut out);
    }
    out.template = out.alarms.iter().any(|alarm| alarm.alarm_name.contains('<'));
    out
}

impl Alarms {
    fn put(&mut self, id: &str, made: Result<Vec<Alarm>, String>) {
        match made {
            Ok(alarms) => self.alarms.extend(alarms),
            Err(why) => self.left.push((id.to_owned(), why)),
        }
    }
}

/// What alarms of all sets of dimensions have in common.
struct Shape<'a> {
    id: &'a str,
    about: String,
    measure: &'a Measure,
    window: f64,
    lasting: f64,
    missing: MissingMeans,
}

/// A threshold in the measure's unit, with the side that fires.
#[derive(Clone, Copy)]
enum Fires {
    Above(f64),
    AtLeast(f64),
    Below(f64),
    AboveBaseline(f64),
}

pub(super) struct Writer<'a> {
    pub(super) rules: &'a Rules,
    policy: &'a Policy,
    evidence: Option<&'a Evidence>,
    pub(super) options: &'a Options,
}

impl Writer<'_> {
    fn alert(&self, alert: &Alert) -> Result<Vec<Alarm>, String> {
        let [condition] = alert.all.as_slice() else {
            return Err("one alarm watches one condition, and it has several".into());
        };
        let window = condition.window.as_ref().unwrap_or(&alert.window);
        let shape = Shape {
            id: &alert.id,
            about: format!("{}. {} Run: diagnose {}", alert.title, alert.action, alert.runbook),
            measure: self.measure(&condition.measure)?,
            window: seconds(window).unwrap_or(PERIOD),
            lasting: seconds(&alert.lasting).unwrap_or(0.0),
            missing: alert.missing,
        };
        self.alarms(&shape, self.fires(condition)?)
    }

    fn fires(&self, condition: &Condition) -> Result<Fires, String> {
        let bound = |it: &Option<Threshold>| it.as_ref()?.value(self.policy);
        let above = bound(&condition.above).map(Fires::Above);
        let below = || bound(&condition.below).map(Fires::Below);
        let baseline = || condition.above_baseline.map(Fires::AboveBaseline);
        above.or_else(below).or_else(baseline).ok_or("its threshold is not in the policy".into())
    }

    fn measure(&self, id: &str) -> Result<&Measure, String> {
        self.rules.measures.get(id).ok_or_else(|| format!("there is no measure `{id}`"))
    }

    fn slo_rule(&self, slo: &Slo, rule: &SloRule) -> Result<Vec<Alarm>, String> {
        let measure = objective::measure(slo, self.rules).ok_or("its measure is not known")?;
        let within = rule.within.as_deref().and_then(seconds);
        let (fires, window) = match (rule.spends, rule.ratio_above, rule.above, within) {
            (Some(spends), _, _, Some(long)) => {
                let period = seconds(&slo.period).ok_or("its period is no time")?;
                let objective = Objective { share: slo.objective, period };
                (Fires::AtLeast(objective.threshold(Tier { spends, long, short: long })), long)
            }
            (_, Some(bound), _, Some(window)) => (Fires::Above(bound), window),
            (.., Some(bound), _) => (Fires::Above(bound), PERIOD),
            _ => return Err("it has no threshold".into()),
        };
        let shape = Shape {
            id: &rule.id,
            about: format!("{}. Users say: \"{}\"", rule.title, slo.users),
            measure,
            window,
            lasting: rule.lasting.as_deref().and_then(seconds).unwrap_or(0.0),
            missing: MissingMeans::Fine,
        };
        self.alarms(&shape, fires)
    }

    fn alarms(&self, shape: &Shape<'_>, fires: Fires) -> Result<Vec<Alarm>, String> {
        let Some(query) = &shape.measure.cloudwatch else {
            return Err(nothing_there(shape.measure));
        };
        let sets = self.sets(query);
        let made =
            sets.iter().map(|of| Ok(self.alarm(shape, query, of, self.bound(shape, fires, of)?)));
        made.collect()
    }

    /// The sets of dimensions that were seen, or one that stands for them.
    pub(super) fn sets(&self, query: &CloudQuery) -> Vec<Labels> {
        let metrics =
            self.evidence.and_then(|it| it.cloud.as_ref()).map(|it| it.metrics.as_slice());
        let watched = metrics.unwrap_or_default().iter().filter(|it| it.name == query.metric);
        let seen: BTreeSet<Labels> = watched.map(|it| it.dimensions.clone()).collect();
        if !seen.is_empty() {
            return seen.into_iter().collect();
        }
        let placeholder = |name: &str| (name.to_owned(), format!("<{name}>"));
        vec![query.dimensions().into_iter().map(placeholder).collect()]
    }

    /// The number compared, in the metric's unit, with the operator.
    fn bound(
        &self,
        shape: &Shape<'_>,
        fires: Fires,
        of: &Labels,
    ) -> Result<(f64, &'static str), String> {
        Ok(match fires {
            Fires::Above(bound) => (bound, "GreaterThanThreshold"),
            Fires::AtLeast(bound) => (bound, "GreaterThanOrEqualToThreshold"),
            Fires::Below(bound) => (bound, "LessThanThreshold"),
            Fires::AboveBaseline(factor) => {
                let bound = factor * self.baseline(shape.measure, of)?;
                (two_digits(bound), "GreaterThanThreshold")
            }
        })
    }

    /// An alarm cannot look at its own past, so the baseline is what was recorded.
    fn baseline(&self, measure: &Measure, of: &Labels) -> Result<f64, String> {
        let none = "no baseline was recorded: give --cloudwatch or --replay with such a recording";
        let evidence = self.evidence.ok_or(none)?;
        let span = evidence.span;
        let told = super::read::read(measure, evidence, span.to, span.seconds());
        let same = told.into_iter().find(|it| it.of == *of).and_then(|it| it.value.ok());
        same.map(|value| value.point).ok_or_else(|| none.into())
    }

    fn alarm(
        &self,
        shape: &Shape<'_>,
        query: &CloudQuery,
        of: &Labels,
        (bound, operator): (f64, &'static str),
    ) -> Alarm {
        let period = ((shape.window / 60.0).ceil() * 60.0).max(60.0);
        Alarm {
            alarm_name: name(shape.id, of),
            alarm_description: format!("{}{}", shape.about, to_replace(of)),
            alarm_actions: self.options.actions.clone(),
            watched: self.watched(query, of, period as u64),
            evaluation_periods: (shape.lasting / period).ceil().max(1.0) as u64,
            threshold: tidy(bound / query.scale()),
            comparison_operator: operator,
            treat_missing_data: match shape.missing {
                MissingMeans::Fine => "notBreaching",
                MissingMeans::Breach => "breaching",
            },
            is_part: false,
        }
    }

    fn watched(&self, query: &CloudQuery, of: &Labels, period: u64) -> Watched {
        let stat = |metric: &str| self.stat(query, metric, &query.statistic, of, period);
        let Some(over) = &query.over else { return Watched::Metric(stat(&query.metric)) };
        // A period without errors has no datapoint for them, which is 0; one without requests stays
        // without a value.
        let metrics = vec![
            MathQuery::result("FILL(bad, 0) / total".into()),
            MathQuery::counted("bad", &stat(&query.metric)),
            MathQuery::counted("total", &stat(over)),
        ];
        Watched::Math { metrics }
    }

    /// A statistic under the names that the metric has there: only those of the gateway may be its
    /// own.
    pub(super) fn stat(
        &self,
        query: &CloudQuery,
        metric: &str,
        statistic: &str,
        of: &Labels,
        period: u64,
    ) -> Stat {
        let names = &self.options.names;
        let own = query.namespace.is_none();
        let dimension = |(name, value): &(String, String)| Dimension {
            name: if own { names.dimension(name).to_owned() } else { name.clone() },
            value: value.clone(),
        };
        let simple = ["Average", "Sum", "SampleCount", "Maximum", "Minimum"].contains(&statistic);
        Stat {
            namespace: query.namespace.clone().unwrap_or_else(|| names.namespace.clone()),
            metric_name: if own { names.metric(metric).to_owned() } else { metric.to_owned() },
            dimensions: of.iter().map(dimension).collect(),
            statistic: simple.then(|| statistic.to_owned()),
            extended_statistic: (!simple).then(|| statistic.to_owned()),
            period,
        }
    }
}

impl MathQuery {
    /// The expression that is compared.
    pub(super) fn result(expression: String) -> Self {
        let id = "ratio".into();
        Self { id, expression: Some(expression), metric_stat: None, return_data: true }
    }

    /// A statistic that an expression names.
    pub(super) fn counted(id: &str, stat: &Stat) -> Self {
        let metric_stat = Some(metric_stat(stat));
        Self { id: id.into(), expression: None, metric_stat, return_data: false }
    }
}

/// Name of an alarm on one set of dimensions.
pub(super) fn name(id: &str, of: &Labels) -> String {
    let values: Vec<&str> = of.iter().map(|(_, value)| value.as_str()).collect();
    format!("{PREFIX}{id}-{}", values.join("-"))
}

/// What is said of dimensions that stand for others.
pub(super) fn to_replace(of: &Labels) -> &'static str {
    match of.iter().any(|(_, value)| value.starts_with('<')) {
        true => " Replace what stands in <>: one alarm for each set.",
        false => "",
    }
}

/// The same as metric math spells it.
fn metric_stat(stat: &Stat) -> serde_json::Value {
    serde_json::json!({
        "Metric": {
            "Namespace": stat.namespace,
            "MetricName": stat.metric_name,
            "Dimensions": stat.dimensions,
        },
        "Period": stat.period,
        "Stat": stat.statistic.as_ref().or(stat.extended_statistic.as_ref()),
    })
}

fn nothing_there(measure: &Measure) -> String {
    match (&measure.metrics, measure.probe.is_empty()) {
        (Some(_), _) => {
            "vLLM exports it, and nothing writes it to CloudWatch: use Prometheus".into()
        }
        (None, false) => {
            "CloudWatch does not ask paths: use a canary, or Prometheus with a probe".into()
        }
        (None, true) => "no metric of CloudWatch has it".into(),
    }
}

/// A baseline moves a little each time, which is no reason for another alarm.
fn two_digits(value: f64) -> f64 {
    format!("{value:.1e}").parse().unwrap_or(value)
}

/// Without the noise of the last digits.
pub(super) fn tidy(value: f64) -> f64 {
    format!("{value:.9e}").parse().unwrap_or(value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        evidence::{
            Span,
            cloud::{Cloud, CloudSeries},
            series::Point,
        },
        monitor::names::NAMESPACE,
        runbook::Library,
    };

    fn alarms(evidence: Option<&Evidence>) -> Alarms {
        let policy = Library::embedded().unwrap().policy;
        let options = Options { actions: vec!["arn:x".into()], ..Options::default() };
        render(&Rules::embedded().unwrap(), &policy, evidence, &options)
    }

    fn stat<'a>(alarms: &'a Alarms, id: &str) -> (&'a Alarm, &'a Stat) {
        let found =
            alarms.alarms.iter().find(|it| it.alarm_name.starts_with(&format!("vllm-{id}-")));
        let alarm = found.unwrap();
        let Watched::Metric(stat) = &alarm.watched else { panic!("{id} is metric math") };
        (alarm, stat)
    }

    /// Statistic, period, periods, threshold and operator as the usual alarms have them.
    #[test]
    fn the_usual_alarms_are_written_as_usual() {
        let alarms = alarms(None);
        for (id, metric, statistic, period, periods, threshold, operator) in [
            (
                "queue-overflow",
                "vllm:num_requests_waiting",
                "Maximum",
                60,
                2,
                80.0,
                "GreaterThanThreshold",
            ),
            ("oom-detected", "OOMCaught", "Sum", 300, 1, 0.0, "GreaterThanThreshold"),
            ("high-ttft", "TTFTMs", "p95", 300, 1, 500.0, "GreaterThanThreshold"),
            (
                "prefix-cache-degradation",
                "PrefixCacheHit",
                "Average",
                900,
                1,
                0.5,
                "LessThanThreshold",
            ),
            ("queue-wait-creep", "QueueWaitMs", "p95", 600, 1, 200.0, "GreaterThanThreshold"),
            ("ttft-p50-over", "TTFTMs", "p50", 300, 6, 300.0, "GreaterThanThreshold"),
        ] {
            let (alarm, stat) = stat(&alarms, id);
            assert_eq!(stat.metric_name, metric, "{id}");
            let said = stat.statistic.as_ref().or(stat.extended_statistic.as_ref()).unwrap();
            assert_eq!((said.as_str(), stat.period), (statistic, period), "{id}");
            assert_eq!(stat.extended_statistic.is_some(), statistic.starts_with('p'), "{id}");
            assert_eq!((alarm.evaluation_periods, alarm.threshold), (periods, threshold), "{id}");
            assert_eq!(alarm.comparison_operator, operator, "{id}");
            assert_eq!(alarm.treat_missing_data, "notBreaching", "{id}");
            assert_eq!(alarm.alarm_actions, ["arn:x"], "{id}");
            assert!(!stat.dimensions.is_empty(), "{id} would never fire");
        }
        assert!(alarms.template);
        let left: Vec<&str> = alarms.left.iter().map(|(id, _)| id.as_str()).collect();
        assert!(left.contains(&"endpoint-down") && left.contains(&"adapter-latency-regression"));
    }

    #[test]
    fn errors_are_a_ratio_of_sums_and_silence_is_no_error() {
        let alarms = alarms(None);
        let ratio = |id: &str| {
            alarms
                .alarms
                .iter()
                .find(|it| it.alarm_name.starts_with(&format!("vllm-{id}-")))
                .unwrap()
        };
        let json = serde_json::to_value(ratio("error-rate-spike")).unwrap();
        assert_eq!(json["Metrics"][0]["Expression"], "FILL(bad, 0) / total");
        assert_eq!(json["Metrics"][1]["MetricStat"]["Metric"]["MetricName"], "Invocation5XXErrors");
        assert_eq!(json["Metrics"][2]["MetricStat"]["Stat"], "Sum");
        assert!(json.get("MetricName").is_none() && json.get("Period").is_none());
        assert_eq!(ratio("availability-budget").threshold, 0.0072);
        assert_eq!(ratio("error-rate-over").threshold, 0.005);
    }

    #[test]
    fn the_gateways_own_names_are_watched() {
        let names = CloudNames {
            namespace: "Own/Gateway".into(),
            metrics: [("TTFTMs".into(), "FirstToken".into())].into(),
            dimensions: [("AdapterId".into(), "lora".into())].into(),
        };
        let policy = Library::embedded().unwrap().policy;
        let options = Options { names, ..Options::default() };
        let alarms = render(&Rules::embedded().unwrap(), &policy, None, &options);
        let (_, watched) = stat(&alarms, "high-ttft");
        let first = &watched.dimensions[0];
        assert_eq!((watched.namespace.as_str(), first.name.as_str()), ("Own/Gateway", "lora"));
        assert_eq!(watched.metric_name, "FirstToken");
    }

    #[test]
    fn each_set_of_dimensions_has_its_own_alarm_and_its_own_baseline() {
        let series = |name: &str, adapter: &str, value: f64| CloudSeries {
            namespace: NAMESPACE.into(),
            name: name.into(),
            dimensions: vec![
                ("AdapterId".into(), adapter.into()),
                ("BackendVersion".into(), "1".into()),
            ],
            statistic: "p95".into(),
            period: 60.0,
            points: vec![Point { at: 60.0, value }],
        };
        let metrics = vec![
            series("TTFTMs", "a", 100.0),
            series("TTFTMs", "b", 200.0),
            series("GenerationMs", "a", 900.0),
        ];
        let evidence = Evidence {
            cloud: Some(Cloud { metrics, ..Cloud::default() }),
            span: Span { from: 0.0, to: 120.0 },
            ..Evidence::default()
        };
        let alarms = alarms(Some(&evidence));
        let names: Vec<&str> = alarms.alarms.iter().map(|it| it.alarm_name.as_str()).collect();
        assert!(names.contains(&"vllm-high-ttft-a-1") && names.contains(&"vllm-high-ttft-b-1"));
        assert_eq!(stat(&alarms, "adapter-latency-regression").0.threshold, 1800.0);
    }
}
