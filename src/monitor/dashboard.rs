//! The dashboard as data: rows of panels, with the lines that alerts and objectives draw on them.

use serde::Deserialize;

use super::{Alert, Measure, Threshold, load::Rules, seconds, state::Policy};
use crate::runbook::Severity;

/// Columns of a dashboard, in Grafana and in CloudWatch.
pub const COLUMNS: u64 = 24;

/// Panels that stand side by side at most.
const ABREAST: usize = 4;

/// A row of panels that answer one question.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Row {
    /// Its id, in kebab case.
    pub id: String,
    /// A short title.
    pub title: String,
    /// Time that one point covers, e.g. `5m`.
    pub period: String,
    /// How often it renews where a backend can be told, e.g. `10s`.
    #[serde(default)]
    pub refresh: Option<String>,
    /// Its panels, from left to right.
    pub panels: Vec<Panel>,
}

/// A panel.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Panel {
    /// Its id, in kebab case.
    pub id: String,
    /// A short title.
    pub title: String,
    /// How it is drawn.
    pub kind: PanelKind,
    /// The measures that it shows.
    pub measures: Vec<String>,
    /// A line to be reached.
    #[serde(default)]
    pub target: Option<Threshold>,
    /// A bound above which values are red.
    #[serde(default)]
    pub red_above: Option<Threshold>,
    /// The alert that watches the same thing.
    #[serde(default)]
    pub alert: Option<String>,
    /// The objective that is promised for it.
    #[serde(default)]
    pub slo: Option<String>,
    /// Grafana's name of the unit, where the measure's own has none.
    #[serde(default)]
    pub axis: Option<String>,
    /// What the panel is for.
    pub why: String,
}

/// How a panel is drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PanelKind {
    /// The present value as a number.
    Number,
    /// The present value on a scale from 0 to 100 %.
    Gauge,
    /// Green where all is well, else red.
    Status,
    /// A line for each series.
    Lines,
    /// Areas on top of each other.
    Stacked,
    /// Bars on top of each other.
    Bars,
}

/// A horizontal line of a panel.
#[derive(Debug, Clone, PartialEq)]
pub struct Line {
    /// Where it lies, in the base unit of the panel's measures.
    pub at: f64,
    /// What it is.
    pub label: String,
    /// Which side of it is bad; `None` for a target.
    pub bad: Option<Side>,
}

/// A side of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// Values above.
    Above,
    /// Values below.
    Below,
}

/// Where a panel stands on the grid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// Columns from the left.
    pub x: u64,
    /// Lines of panels of the row above it.
    pub line: u64,
    /// Columns that it covers.
    pub width: u64,
}

impl Row {
    /// Seconds that one point covers.
    pub fn seconds(&self) -> f64 {
        seconds(&self.period).unwrap_or(300.0)
    }

    /// The places of its panels, which fill each line.
    pub fn places(&self) -> Vec<Place> {
        let lines = self.panels.len().div_ceil(ABREAST).max(1);
        let abreast = self.panels.len().div_ceil(lines).max(1);
        let of_line = |(line, panels): (usize, &[Panel])| {
            let width = COLUMNS / panels.len() as u64;
            let place = move |x: usize| Place { x: x as u64 * width, line: line as u64, width };
            (0..panels.len()).map(place).collect::<Vec<_>>()
        };
        self.panels.chunks(abreast).enumerate().flat_map(of_line).collect()
    }
}

impl Panel {
    /// The lines drawn on it: its own, that of its objective, and that of its alert where what it
    /// watches is among what is `shown`. From the lowest to the highest.
    pub fn lines(&self, shown: &[&Measure], rules: &Rules, policy: &Policy) -> Vec<Line> {
        let value = |threshold: &Threshold| threshold.value(policy);
        let target = self.target.as_ref().and_then(value).map(|at| Line {
            at,
            label: "target".into(),
            bad: None,
        });
        let objective = self.objective(rules).map(|at| Line {
            at,
            label: format!("objective {}", self.slo.as_deref().unwrap_or_default()),
            bad: None,
        });
        let red = self.red_above.as_ref().and_then(value).map(|at| Line {
            at,
            label: "watch".into(),
            bad: Some(Side::Above),
        });
        let alarm = self.alert(rules).and_then(|alert| alarm(alert, shown, policy));
        let mut lines: Vec<Line> = [target, objective, red, alarm].into_iter().flatten().collect();
        lines.sort_by(|a, b| a.at.total_cmp(&b.at));
        lines
    }

    /// The measures that it shows, in order.
    pub fn measures<'a>(&self, rules: &'a Rules) -> Vec<&'a Measure> {
        self.measures.iter().filter_map(|id| rules.measures.get(id)).collect()
    }

    /// The alert that watches the same thing.
    pub fn alert<'a>(&self, rules: &'a Rules) -> Option<&'a Alert> {
        let id = self.alert.as_ref()?;
        rules.alerts.iter().find(|alert| alert.id == *id)
    }

    /// What people read at the panel: what it is for, and what to do when its alert fires.
    pub fn note(&self, rules: &Rules) -> String {
        let Some(alert) = self.alert(rules) else { return self.why.clone() };
        let weight = match alert.severity {
            Severity::Critical => "pages",
            Severity::Warning | Severity::Info => "waits for the day",
        };
        let (why, id, runbook) = (&self.why, &alert.id, &alert.runbook);
        let action = &alert.action;
        format!("{why}\n\nAlert `{id}` {weight}. When it fires: `diagnose {runbook}`. {action}")
    }

    fn objective(&self, rules: &Rules) -> Option<f64> {
        let id = self.slo.as_ref()?;
        let slo = rules.slos.iter().find(|slo| slo.id == *id)?;
        slo.latency.as_ref().map(|latency| latency.good_under)
    }
}

fn alarm(alert: &Alert, shown: &[&Measure], policy: &Policy) -> Option<Line> {
    let is_shown = |id: &str| shown.iter().any(|measure| measure.id == id);
    let ours = alert.all.iter().find(|it| is_shown(&it.measure))?;
    let (bound, side) = match (&ours.above, &ours.below) {
        (Some(bound), _) => (bound, Side::Above),
        (None, Some(bound)) => (bound, Side::Below),
        (None, None) => return None,
    };
    let label = format!("alert {}", alert.id);
    Some(Line { at: bound.value(policy)?, label, bad: Some(side) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runbook::Library;

    fn panel(id: &str) -> (Panel, Rules, Policy) {
        let rules = Rules::embedded().unwrap();
        let panels = rules.rows.iter().flat_map(|row| &row.panels);
        let found = panels.into_iter().find(|panel| panel.id == id).unwrap().clone();
        (found, rules, Library::embedded().unwrap().policy)
    }

    #[test]
    fn lines_come_from_the_panel_its_alert_and_its_objective() {
        let at = |id: &str| {
            let (panel, rules, policy) = panel(id);
            let lines = panel.lines(&panel.measures(&rules), &rules, &policy);
            lines.into_iter().map(|line| (line.at, line.bad)).collect::<Vec<_>>()
        };
        assert_eq!(at("queued-requests"), [(50.0, Some(Side::Above)), (80.0, Some(Side::Above))]);
        assert_eq!(at("prefix-cache"), [(0.5, Some(Side::Below)), (0.7, None)]);
        assert_eq!(at("ttft"), [(0.2, None), (0.5, Some(Side::Above))]);
        assert_eq!(at("adapter-latency"), [], "its bound moves with the baseline");
    }

    #[test]
    fn a_note_names_the_runbook_of_the_alert() {
        let (panel, rules, _) = panel("kv-cache");
        assert!(panel.note(&rules).contains("`diagnose preemption-storm`"));
    }

    #[test]
    fn panels_fill_the_width_and_do_not_overlap() {
        for row in Rules::embedded().unwrap().rows {
            let places = row.places();
            assert_eq!(places.len(), row.panels.len());
            for line in 0..=places.last().unwrap().line {
                let of_line: Vec<_> = places.iter().filter(|it| it.line == line).collect();
                let ends = of_line.iter().map(|it| it.x + it.width);
                let starts = of_line.iter().map(|it| it.x).skip(1);
                assert!(ends.clone().zip(starts).all(|(end, start)| end == start), "{}", row.id);
                assert_eq!(ends.max(), Some(COLUMNS), "{}", row.id);
            }
        }
    }
}
