//! The dashboard for Grafana: JSON that it imports as it is, for any Prometheus.

use serde_json::{Value, json};

use super::{
    Measure,
    dashboard::{COLUMNS, Line, Panel, PanelKind, Place, Row, Side},
    load::Rules,
    promql::{Dialect, Unavailable},
    read,
    state::Policy,
    target::Target,
};
use crate::{signals::families, unit::Unit};

/// Version of the dashboard's JSON: that of Grafana 11, which later ones lift by themselves.
const SCHEMA_VERSION: u64 = 39;
/// Height of a panel.
const HEIGHT: u64 = 8;
/// NVIDIA's own dashboard, which shows each GPU of each pod.
const GPU_DASHBOARD: &str = "https://grafana.com/grafana/dashboards/12239";

/// What a dashboard is made of.
#[derive(Debug, Clone, Copy)]
pub struct Case<'a> {
    /// What is shown.
    pub rules: &'a Rules,
    /// Thresholds.
    pub policy: &'a Policy,
    /// The target's names; its selector narrows every series, beside the variables.
    pub target: &'a Target,
}

/// The dashboard.
pub fn render(case: Case<'_>) -> Value {
    let mut panels: Vec<Value> = Vec::new();
    let mut y = 0;
    for row in &case.rules.rows {
        panels.push(json!({
            "id": panels.len() + 1, "type": "row", "title": row.title, "collapsed": false,
            "panels": [], "gridPos": { "h": 1, "w": COLUMNS, "x": 0, "y": y },
        }));
        let places = row.places();
        for (panel, place) in row.panels.iter().zip(&places) {
            let at = grid(*place, y + 1);
            panels.push(render_panel(case, row, panel, panels.len() + 1, &at));
        }
        y += 1 + HEIGHT * places.last().map_or(0, |place| place.line + 1);
    }
    let refresh = case.rules.rows.iter().find_map(|row| row.refresh.as_deref());
    json!({
        "uid": "diagnose-inference",
        "title": "vLLM inference",
        "description": format!(
            "Names of {}. Panels stand from the most urgent to the least.",
            case.target.name
        ),
        "tags": ["vllm"],
        "timezone": "browser",
        "editable": true,
        "graphTooltip": 1,
        "schemaVersion": SCHEMA_VERSION,
        "refresh": refresh.unwrap_or("1m"),
        "time": { "from": "now-3h", "to": "now" },
        "annotations": { "list": [] },
        "links": links(),
        "templating": { "list": variables(case.target) },
        "panels": panels,
    })
}

fn grid(place: Place, top: u64) -> Value {
    json!({ "h": HEIGHT, "w": place.width, "x": place.x, "y": top + HEIGHT * place.line })
}

fn link(title: &str, kind: &str, url: &str, tags: &[&str]) -> Value {
    json!({
        "title": title, "type": kind, "icon": "external link", "tooltip": title, "url": url,
        "tags": tags, "asDropdown": false, "targetBlank": true, "includeVars": true,
        "keepTime": true,
    })
}

/// Dashboards of the GPUs of each pod: NVIDIA's own, and those of this Grafana with its tag.
fn links() -> Value {
    json!([
        link("NVIDIA DCGM exporter: GPUs by pod", "link", GPU_DASHBOARD, &[]),
        link("GPU dashboards here", "dashboards", "", &["gpu"]),
    ])
}

fn datasource() -> Value {
    json!({ "type": "prometheus", "uid": "${datasource}" })
}

fn variables(target: &Target) -> Value {
    let series = target.dialect.name("running").unwrap_or_else(|_| "up".into());
    let series = series.replace("vllm:", target.prefix);
    let label = |name: &str, matchers: &str| {
        json!({
            "type": "query", "name": name, "datasource": datasource(), "multi": true,
            "includeAll": true, "allValue": ".*", "refresh": 2, "sort": 1,
            "current": { "selected": true, "text": ["All"], "value": ["$__all"] },
            "query": match matchers {
                "" => format!("label_values({series}, {name})"),
                matchers => format!("label_values({series}{{{matchers}}}, {name})"),
            },
        })
    };
    let own = &target.dialect.selector;
    let with = |matchers: &str| join(own, matchers);
    json!([
        { "type": "datasource", "name": "datasource", "label": "Data source", "query": "prometheus" },
        label("job", own),
        label("instance", &with("job=~\"$job\"")),
        label("model_name", &with("job=~\"$job\",instance=~\"$instance\"")),
    ])
}

fn join(own: &str, matchers: &str) -> String {
    if own.is_empty() { matchers.into() } else { format!("{own},{matchers}") }
}

fn render_panel(case: Case<'_>, row: &Row, panel: &Panel, id: usize, at: &Value) -> Value {
    let (mut shown, mut targets, mut lacking) = (Vec::new(), Vec::new(), Vec::new());
    for measure in panel.measures(case.rules) {
        match target(case.target, measure, row, panel, targets.len()) {
            Ok(target) => {
                targets.push(target);
                shown.push(measure);
            }
            Err(why) => lacking.push(format!("- {}: {why}", measure.title)),
        }
    }
    let Some(first) = shown.first() else { return text(case, panel, id, at, &lacking) };
    let lines = panel.lines(&shown, case.rules, case.policy);
    json!({
        "id": id, "type": plugin(panel.kind), "title": panel.title,
        "description": description(case, panel, &shown, &lines, &lacking),
        "datasource": datasource(), "gridPos": at, "interval": row.period, "targets": targets,
        "fieldConfig": { "defaults": field(panel, first.unit, &lines), "overrides": [] },
        "options": options(panel.kind),
    })
}

/// What stands where nothing of a panel is at the target: why, and who has it.
fn text(case: Case<'_>, panel: &Panel, id: usize, at: &Value, lacking: &[String]) -> Value {
    let note = panel.note(case.rules);
    let content = format!("**Not at this target:**\n\n{}\n\n{note}", lacking.join("\n"));
    json!({
        "id": id, "type": "text", "title": panel.title, "gridPos": at,
        "options": { "mode": "markdown", "content": content },
    })
}

fn target(
    names: &Target,
    measure: &Measure,
    row: &Row,
    panel: &Panel,
    index: usize,
) -> Result<Value, Unavailable> {
    let dialect = told_apart(names, measure);
    let expression = dialect.expression(measure, row.seconds()).map_err(|why| {
        let elsewhere = measure.cloudwatch.as_ref().filter(|_| measure.metrics.is_some());
        elsewhere.map_or(why.clone(), |it| format!("{why}; CloudWatch has it as {}", it.metric))
    })?;
    let by = measure.exporter.as_ref().map_or(&dialect.by, |exporter| &exporter.by);
    let labels: Vec<String> = by.iter().map(|label| format!("{{{{{label}}}}}")).collect();
    let now = matches!(panel.kind, PanelKind::Number | PanelKind::Gauge | PanelKind::Status);
    let letter = char::from(b'A' + u8::try_from(index).unwrap_or(0));
    Ok(json!({
        "refId": letter.to_string(), "datasource": datasource(), "editorMode": "code",
        "expr": expression.replace("vllm:", names.prefix), "legendFormat": format!("{} {}", measure.title, labels.join(" ")),
        "instant": now, "range": !now,
    }))
}

/// Series of the HTTP server and of the scrape itself do not carry the model.
fn told_apart(target: &Target, measure: &Measure) -> Dialect {
    let by_scrape = "job=~\"$job\",instance=~\"$instance\"";
    let family = measure.metrics.as_ref().and_then(|query| families::family(read::family(query)));
    let of_engine = family.is_some_and(|it| it.names.iter().any(|n| n.name.starts_with("vllm:")));
    if of_engine {
        let matchers = format!("{by_scrape},model_name=~\"$model_name\"");
        let selector = join(&target.dialect.selector, &matchers);
        return Dialect { selector, ..target.dialect.clone() };
    }
    let http = target.without_model();
    let mut by = http.by.clone();
    let labels: &[&str] = if measure.probe.is_empty() { &["job"] } else { &["job", "instance"] };
    by.extend(
        labels.iter().filter(|it| !http.by.iter().any(|by| by == *it)).map(|it| (*it).into()),
    );
    Dialect { selector: join(&http.selector, by_scrape), by, ..http }
}

fn description(
    case: Case<'_>,
    panel: &Panel,
    shown: &[&Measure],
    lines: &[Line],
    lacking: &[String],
) -> String {
    let unit = shown.first().map_or(Unit::Count, |measure| measure.unit);
    let drawn = lines.iter().map(|line| format!("\n- {} at {}", line.label, unit.show(line.at)));
    let needs = shown.iter().filter_map(|measure| {
        let exporter = measure.exporter.as_ref()?;
        let needs = exporter.needs.as_ref()?;
        Some(format!("\n- {} needs {needs} ({})", exporter.metric, exporter.exporter))
    });
    let extra: String = drawn.chain(needs).collect();
    let not_here = match lacking {
        [] => String::new(),
        lacking => format!("\n\nNot at this target:\n\n{}", lacking.join("\n")),
    };
    format!("{}\n{extra}{not_here}", panel.note(case.rules)).trim_end().to_owned()
}

fn plugin(kind: PanelKind) -> &'static str {
    match kind {
        PanelKind::Number | PanelKind::Status => "stat",
        PanelKind::Gauge => "gauge",
        PanelKind::Lines | PanelKind::Stacked | PanelKind::Bars => "timeseries",
    }
}

fn options(kind: PanelKind) -> Value {
    let last = json!({ "calcs": ["lastNotNull"], "fields": "", "values": false });
    match kind {
        PanelKind::Number => json!({
            "reduceOptions": last, "colorMode": "value", "graphMode": "none", "textMode": "auto",
            "justifyMode": "auto", "orientation": "auto",
        }),
        PanelKind::Status => json!({
            "reduceOptions": last, "colorMode": "background", "graphMode": "none",
            "textMode": "auto", "justifyMode": "auto", "orientation": "auto",
        }),
        PanelKind::Gauge => json!({
            "reduceOptions": last, "orientation": "auto", "showThresholdLabels": false,
            "showThresholdMarkers": true,
        }),
        PanelKind::Lines | PanelKind::Stacked | PanelKind::Bars => json!({
            "legend": { "displayMode": "list", "placement": "bottom", "showLegend": true, "calcs": [] },
            "tooltip": { "mode": "multi", "sort": "desc" },
        }),
    }
}

fn field(panel: &Panel, unit: Unit, lines: &[Line]) -> Value {
    let mut field = json!({
        "unit": panel.axis.as_deref().unwrap_or_else(|| grafana_unit(unit)),
        "noValue": "no series",
        "color": { "mode": if is_graph(panel.kind) { "palette-classic" } else { "thresholds" } },
        "thresholds": { "mode": "absolute", "steps": steps(panel.kind, lines) },
        "custom": custom(panel.kind, !lines.is_empty()),
    });
    if panel.kind == PanelKind::Gauge {
        field["max"] = json!(1);
    }
    if unit == Unit::Ratio {
        field["min"] = json!(0);
    }
    if panel.kind == PanelKind::Status {
        field["mappings"] = json!([{ "type": "value", "options": {
            "0": { "text": "down", "color": "red" }, "1": { "text": "up", "color": "green" },
        } }]);
    }
    field
}

fn is_graph(kind: PanelKind) -> bool {
    matches!(kind, PanelKind::Lines | PanelKind::Stacked | PanelKind::Bars)
}

fn custom(kind: PanelKind, has_lines: bool) -> Value {
    let (style, stacked, fill) = match kind {
        PanelKind::Lines => ("line", "none", 0),
        PanelKind::Stacked => ("line", "normal", 40),
        PanelKind::Bars => ("bars", "normal", 80),
        PanelKind::Number | PanelKind::Gauge | PanelKind::Status => return json!({}),
    };
    json!({
        "drawStyle": style, "lineWidth": 1, "fillOpacity": fill, "spanNulls": false,
        "stacking": { "mode": stacked, "group": "A" },
        "thresholdsStyle": { "mode": if has_lines { "line" } else { "off" } },
    })
}

/// Colours from the lowest value up: what lies beyond a bound is red, what misses a target yellow.
fn steps(kind: PanelKind, lines: &[Line]) -> Value {
    if kind == PanelKind::Status {
        return json!([{ "value": 0, "color": "red" }, { "value": 1, "color": "green" }]);
    }
    let high_is_good = lines.iter().any(|line| line.bad == Some(Side::Below));
    let first = if high_is_good { "red" } else { "green" };
    let step = |line: &Line| {
        let color = match (line.bad, high_is_good) {
            (Some(Side::Above), _) => "red",
            (Some(Side::Below), _) => "yellow",
            (None, true) => "green",
            (None, false) => "yellow",
        };
        json!({ "value": line.at, "color": color })
    };
    let base = json!({ "value": 0, "color": first });
    std::iter::once(base).chain(lines.iter().map(step)).collect()
}

/// Grafana's name of a unit.
fn grafana_unit(unit: Unit) -> &'static str {
    match unit {
        Unit::Seconds => "s",
        Unit::Bytes => "bytes",
        Unit::TokensPerSecond => "suffix: tokens/s",
        Unit::RequestsPerSecond => "reqps",
        Unit::Ratio => "percentunit",
        Unit::PerMinute => "cpm",
        Unit::Flag => "bool",
        Unit::Tokens | Unit::Requests | Unit::Count | Unit::Factor => "short",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_misses_a_target_is_yellow_and_what_breaks_a_bound_red() {
        let line = |at: f64, bad| Line { at, label: String::new(), bad };
        let colors = |lines: &[Line]| {
            let steps = steps(PanelKind::Lines, lines);
            let steps = steps.as_array().unwrap().clone();
            steps.iter().map(|it| it["color"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
        };
        let latency = [line(0.2, None), line(0.5, Some(Side::Above))];
        assert_eq!(colors(&latency), ["green", "yellow", "red"]);
        let hits = [line(0.5, Some(Side::Below)), line(0.7, None)];
        assert_eq!(colors(&hits), ["red", "yellow", "green"]);
        assert_eq!(colors(&[]), ["green"]);
    }
}
