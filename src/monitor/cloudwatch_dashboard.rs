//! The dashboard for CloudWatch: the body that `PutDashboard` takes.
//!
//! Series are found by `SEARCH`, one for each set of dimensions, so that percentiles of different
//! adapters or releases are never merged.

use serde_json::{Value, json};

use super::{
    Across, CloudQuery, Measure, Per, Query,
    cloudwatch::Alarms,
    dashboard::{COLUMNS, Line, Panel, PanelKind, Place, Row, Side},
    load::Rules,
    names::CloudNames,
    promql::{Dialect, Unavailable},
    state::Policy,
};
use crate::unit::Unit;

/// Dimensions under which the CloudWatch agent writes vLLM's own metrics.
pub const AGENT_DIMENSIONS: [&str; 2] = ["model_name", "instance"];
/// Height of a widget.
const HEIGHT: u64 = 6;
/// Least period of a metric, seconds.
const LEAST_PERIOD: f64 = 60.0;

/// What a dashboard is made of.
#[derive(Debug, Clone, Copy)]
pub struct Case<'a> {
    /// What is shown.
    pub rules: &'a Rules,
    /// Thresholds.
    pub policy: &'a Policy,
    /// Names of vLLM's metrics at the target.
    pub target: &'a Dialect,
    /// Names of the gateway's metrics.
    pub names: &'a CloudNames,
    /// Region of the metrics.
    pub region: &'a str,
    /// ARNs of the alarms whose states stand on top.
    pub alarms: &'a [String],
}

/// The body of the dashboard.
pub fn render(case: Case<'_>) -> Value {
    let mut widgets: Vec<Value> = Vec::new();
    let mut y = 0;
    if !case.alarms.is_empty() {
        let place = Place { x: 0, line: 0, width: COLUMNS };
        widgets.push(at(
            "alarm",
            place,
            0,
            3,
            &json!({ "title": "Alarms", "alarms": case.alarms }),
        ));
        y += 3;
    }
    for row in &case.rules.rows {
        let heading = format!("## {} ({})", row.title, row.period);
        widgets.push(text(&heading, Place { x: 0, line: 0, width: COLUMNS }, y, 1));
        let places = row.places();
        for (panel, place) in row.panels.iter().zip(&places) {
            widgets.push(widget(case, row, panel, *place, y + 1));
        }
        y += 1 + HEIGHT * places.last().map_or(0, |place| place.line + 1);
    }
    let whole = Place { x: 0, line: 0, width: COLUMNS };
    widgets.push(text(&notes(case), whole, y, 2 * HEIGHT));
    json!({ "start": "-PT3H", "periodOverride": "inherit", "widgets": widgets })
}

/// What each panel is for, what to do when its alert fires, and what it lacks here.
fn notes(case: Case<'_>) -> String {
    let mut text = String::from("## What the panels are for\n");
    for row in &case.rules.rows {
        for panel in &row.panels {
            let note = panel.note(case.rules).replace("\n\n", " ");
            text.push_str(&format!("\n- **{}**: {note}", panel.title));
            for measure in panel.measures(case.rules) {
                if let Err(why) = expression(case, measure, panel.kind, row.seconds()) {
                    text.push_str(&format!(" Not in CloudWatch: {} ({why}).", measure.title));
                }
            }
        }
    }
    text
}

fn at(kind: &str, place: Place, top: u64, height: u64, properties: &Value) -> Value {
    json!({
        "type": kind, "x": place.x, "y": top + height * place.line, "width": place.width,
        "height": height, "properties": properties,
    })
}

fn text(markdown: &str, place: Place, top: u64, height: u64) -> Value {
    at("text", place, top, height, &json!({ "markdown": markdown }))
}

/// ARNs of the alarms that act and watch dimensions which exist, and not a stand-in for them.
pub fn arns(alarms: &Alarms, region: &str, account: &str) -> Vec<String> {
    let names = alarms.acting().filter(|name| !name.contains('<'));
    names.map(|name| format!("arn:aws:cloudwatch:{region}:{account}:alarm:{name}")).collect()
}

fn widget(case: Case<'_>, row: &Row, panel: &Panel, place: Place, top: u64) -> Value {
    let period = row.seconds().max(LEAST_PERIOD);
    let (mut shown, mut metrics, mut lacking) = (Vec::new(), Vec::new(), Vec::new());
    for measure in panel.measures(case.rules) {
        match expression(case, measure, panel.kind, period) {
            Ok((expression, label)) => {
                let id = format!("e{}", metrics.len() + 1);
                metrics.push(json!([{ "expression": expression, "label": label, "id": id }]));
                shown.push(measure);
            }
            Err(why) => lacking.push(format!("- {}: {why}", measure.title)),
        }
    }
    let Some(first) = shown.first() else {
        let lacking = lacking.join("\n");
        let note = panel.note(case.rules);
        let text_of = format!("### {}\n\nNot in CloudWatch:\n\n{lacking}\n\n{note}", panel.title);
        return text(&text_of, place, top, HEIGHT);
    };
    let mut properties = json!({
        "title": panel.title, "region": case.region, "period": period as u64, "metrics": metrics,
        "view": view(panel.kind), "stacked": stacked(panel.kind), "liveData": row.refresh.is_some(),
        "yAxis": { "left": scale_of(panel.kind, first.unit) },
    });
    let mut lines = panel.lines(&shown, case.rules, case.policy);
    if panel.kind == PanelKind::Status {
        lines.push(Line { at: 1.0, label: "down".into(), bad: Some(Side::Below) });
    }
    if !lines.is_empty() {
        let drawn: Vec<Value> = lines.iter().map(|line| annotation(line, first)).collect();
        properties["annotations"] = json!({ "horizontal": drawn });
    }
    at("metric", place, top, HEIGHT, &properties)
}

fn view(kind: PanelKind) -> &'static str {
    match kind {
        PanelKind::Number => "singleValue",
        PanelKind::Gauge | PanelKind::Status => "gauge",
        PanelKind::Lines | PanelKind::Stacked => "timeSeries",
        PanelKind::Bars => "bar",
    }
}

fn stacked(kind: PanelKind) -> bool {
    matches!(kind, PanelKind::Stacked | PanelKind::Bars)
}

fn scale_of(kind: PanelKind, unit: Unit) -> Value {
    match (kind, unit) {
        (PanelKind::Gauge | PanelKind::Status, _) => json!({ "min": 0, "max": 100 }),
        (_, Unit::Ratio) => json!({ "min": 0, "label": "%", "showUnits": false }),
        _ => json!({ "min": 0 }),
    }
}

/// A line, in the unit in which CloudWatch shows the measure.
fn annotation(line: &Line, measure: &Measure) -> Value {
    let mut drawn = json!({ "label": line.label, "value": round(line.at / shown_scale(measure)) });
    match line.bad {
        Some(Side::Above) => (drawn["color"], drawn["fill"]) = (json!("#d62728"), json!("above")),
        Some(Side::Below) => (drawn["color"], drawn["fill"]) = (json!("#d62728"), json!("below")),
        None => drawn["color"] = json!("#2ca02c"),
    }
    drawn
}

/// Factor from what CloudWatch shows to the measure's unit: shares are shown as per cent, all else in
/// the metric's own unit.
fn shown_scale(measure: &Measure) -> f64 {
    match measure.unit {
        Unit::Ratio => 0.01,
        _ => measure.cloudwatch.as_ref().map_or(1.0, CloudQuery::scale),
    }
}

/// Without the noise of a division by a decimal.
fn round(value: f64) -> f64 {
    (value * 1e6).round() / 1e6
}

/// The expression of a measure, and the label of its series.
fn expression(
    case: Case<'_>,
    measure: &Measure,
    kind: PanelKind,
    period: f64,
) -> Result<(String, String), Unavailable> {
    if let Some(query) = &measure.cloudwatch {
        return Ok(of_gateway(case, measure, query, period));
    }
    if let Some(exporter) = &measure.exporter {
        let (name, metric) = (&exporter.exporter, &exporter.metric);
        return Err(format!("only Prometheus has it, from {name} as {metric}"));
    }
    let Some(query) = &measure.metrics else {
        return Err("it is asked of the server itself (`diagnose alerts check`)".into());
    };
    let agent = Agent { case, kind, period };
    let expression = agent.expression(query)?;
    let expression = per_cent(measure.unit, 1.0, expression);
    Ok((expression, measure.title.clone()))
}

/// A metric that the gateway or AWS writes, one series for each set of dimensions.
fn of_gateway(
    case: Case<'_>,
    measure: &Measure,
    query: &CloudQuery,
    period: f64,
) -> (String, String) {
    let names = case.names;
    let dimensions: Vec<&str> =
        query.dimensions().into_iter().map(|name| names.dimension(name)).collect();
    let namespace = query.namespace.as_deref().unwrap_or(&names.namespace);
    let found = |metric: &str| {
        search(namespace, &dimensions, names.metric(metric), &query.statistic, period)
    };
    let counts = matches!(query.statistic.as_str(), "Sum" | "SampleCount");
    let expression = match (measure.unit, &query.over) {
        (Unit::RequestsPerSecond | Unit::TokensPerSecond, _) if counts => {
            format!("{} / {period}", found(&query.metric))
        }
        (unit, None) => per_cent(unit, query.scale(), found(&query.metric)),
        (unit, Some(over)) => {
            let ratio = format!("SUM({}) / SUM({})", found(&query.metric), found(over));
            return (per_cent(unit, 1.0, ratio), measure.title.clone());
        }
    };
    let told: Vec<String> =
        dimensions.iter().map(|name| format!("${{PROP('Dim.{name}')}}")).collect();
    (expression, format!("{} {}", measure.title, told.join(" ")))
}

/// Shares are shown as per cent; `scale` leads from the metric to the share.
fn per_cent(unit: Unit, scale: f64, expression: String) -> String {
    match unit {
        Unit::Ratio if scale != 0.01 => format!("{} * ({expression})", round(scale * 100.0)),
        _ => expression,
    }
}

fn search(
    namespace: &str,
    dimensions: &[&str],
    metric: &str,
    statistic: &str,
    period: f64,
) -> String {
    let dimensions: String = dimensions.iter().map(|name| format!(",\"{name}\"")).collect();
    format!(
        "SEARCH('{{\"{namespace}\"{dimensions}}} MetricName=\"{metric}\"', '{statistic}', {period})"
    )
}

/// vLLM's own metrics, as the CloudWatch agent writes them.
struct Agent<'a> {
    case: Case<'a>,
    kind: PanelKind,
    period: f64,
}

impl Agent<'_> {
    fn expression(&self, query: &Query) -> Result<String, Unavailable> {
        match query {
            Query::Gauge { of, across } => {
                let found = self.found(of, "Maximum")?;
                let fold = if *across == Across::Sum { "SUM" } else { "MAX" };
                let whole = self.kind != PanelKind::Lines;
                Ok(if whole { format!("{fold}({found})") } else { found })
            }
            Query::Rate { of, per } => {
                let parts = of.iter().map(|family| self.growth(family));
                let sum = parts.collect::<Result<Vec<_>, _>>()?.join(" + ");
                Ok(format!("({sum}) / {}", self.period / Per::seconds(*per)))
            }
            Query::Ratio { of, to } if of.label.is_none() && to.label.is_none() => {
                Ok(format!("{} / {}", self.growth(&of.family)?, self.growth(&to.family)?))
            }
            Query::Ratio { .. } => {
                Err("the CloudWatch agent keeps the model and the instance only; Prometheus has it"
                    .into())
            }
            Query::Quantile { of, .. } | Query::Mean { of } => {
                let name = self.case.target.name(of)?;
                Err(format!(
                    "the CloudWatch agent drops histograms; Prometheus has it as {name}_bucket"
                ))
            }
        }
    }

    /// The agent writes how much a counter grew.
    fn growth(&self, family: &str) -> Result<String, Unavailable> {
        Ok(format!("SUM({})", self.found(family, "Sum")?))
    }

    fn found(&self, family: &str, statistic: &str) -> Result<String, Unavailable> {
        let name = self.case.target.name(family)?;
        let namespace = &self.case.names.namespace;
        Ok(search(namespace, &AGENT_DIMENSIONS, &name, statistic, self.period))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        evidence::{Cloud, Evidence, cloud::CloudSeries},
        monitor::cloudwatch,
        runbook::Library,
    };

    #[test]
    fn only_alarms_of_dimensions_that_were_seen_have_an_arn() {
        let (rules, policy) = (Rules::embedded().unwrap(), Library::embedded().unwrap().policy);
        let options = cloudwatch::Options::default();
        let none = cloudwatch::render(&rules, &policy, None, &options);
        assert_eq!(arns(&none, "eu-west-1", "1"), Vec::<String>::new());
        let dimensions = vec![
            ("AdapterId".to_owned(), "manga".to_owned()),
            ("BackendVersion".to_owned(), "7".to_owned()),
        ];
        let series = CloudSeries {
            namespace: "MangaAssist/Inference".into(),
            name: "TTFTMs".into(),
            dimensions,
            statistic: "p95".into(),
            period: 300.0,
            points: Vec::new(),
        };
        let cloud = Some(Cloud { metrics: vec![series], ..Cloud::default() });
        let evidence = Evidence { cloud, ..Evidence::default() };
        let some = cloudwatch::render(&rules, &policy, Some(&evidence), &options);
        let found = arns(&some, "eu-west-1", "123456789012");
        let wanted = "arn:aws:cloudwatch:eu-west-1:123456789012:alarm:vllm-high-ttft-manga-7";
        assert!(found.iter().any(|arn| arn == wanted), "{found:?}");
    }
}
