//! `docs/coverage.md`: what the two guides ask for, row by row, and what carries each row.
//!
//! The rows lie in `fixtures/requirements/` and are read from there; the binary holds none.

use std::{
    collections::BTreeMap,
    fmt::Debug,
    path::{Path, PathBuf},
};

use anyhow::Context;
use serde::Deserialize;

/// Where the page lies, from the root of the repository.
pub const PAGE: &str = "docs/coverage.md";

const FOLDER: &str = "fixtures/requirements";

/// One section of a guide.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Section {
    /// The guide's letter and the section's number, e.g. `a8.1`.
    pub id: String,
    /// What it is about.
    pub title: String,
    /// Its rows, in the guide's order.
    pub rows: Vec<Row>,
}

/// One thing that a guide asks for.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Row {
    /// The section's id and a name, e.g. `a8.1-step-2`.
    pub id: String,
    /// What kind of line it is in the guide.
    pub kind: Kind,
    /// What is asked for, one sentence.
    pub says: String,
    /// What carries it, by kind.
    #[serde(default)]
    pub by: BTreeMap<Carrier, Vec<String>>,
    /// Coming parts that it still waits for.
    #[serde(default)]
    pub planned: Vec<Part>,
}

/// Kinds of line in a guide.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
#[allow(missing_docs)]
pub enum Kind {
    Metric,
    Attribute,
    Reading,
    Query,
    Question,
    Alert,
    Alarm,
    Objective,
    Experience,
    Budget,
    Panel,
    Symptom,
    Step,
    Cause,
    Advice,
    Command,
    Load,
    Criterion,
    Checklist,
}

/// Kinds of thing that carry a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Carrier {
    /// A signal of the registry.
    Signal,
    /// A metric family, by id; the registry of families holds its names in each version.
    Family,
    /// A check.
    Check,
    /// A check that is a symptom.
    Symptom,
    /// A cause.
    Cause,
    /// `cause/action`.
    Fix,
    /// A runbook, or `runbook/step`.
    Runbook,
    /// A threshold.
    Policy,
    /// A known change of vLLM.
    Version,
    /// A kind of event on the timeline.
    Event,
    /// A top-level field of the report.
    Report,
    /// A measure that alerts, objectives and dashboards watch.
    Measure,
    /// An alert rule.
    Alert,
    /// An objective, or `objective/rule` or `objective/tier`.
    Slo,
    /// A panel of the dashboard, or a row of panels.
    Panel,
    /// A metric that gateway records become in CloudWatch.
    Emf,
    /// A scenario of a load test, or `scenario/kind of request`.
    Scenario,
    /// A row of the gate of load tests.
    Gate,
    /// A command as typed after `diagnose`, with a flag where the flag does it.
    Command,
}

/// Parts of the product that are still to come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "lowercase")]
#[allow(missing_docs)]
pub enum Part {
    Host,
    Cloud,
    History,
    Traces,
    Slo,
    Alerts,
    Dashboards,
    Load,
    Compare,
    Verify,
    Report,
}

/// How far a row is carried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// All of it.
    Carried,
    /// The judgement is there, and a source or a command is to come.
    Partly,
    /// A coming part will.
    Planned,
}

impl Row {
    /// How far it is carried.
    pub fn status(&self) -> Status {
        match (self.by.is_empty(), self.planned.is_empty()) {
            (_, true) => Status::Carried,
            (false, false) => Status::Partly,
            (true, false) => Status::Planned,
        }
    }
}

impl Part {
    const ALL: [Self; 11] = [
        Self::Host,
        Self::Cloud,
        Self::History,
        Self::Traces,
        Self::Slo,
        Self::Alerts,
        Self::Dashboards,
        Self::Load,
        Self::Compare,
        Self::Verify,
        Self::Report,
    ];

    fn about(self) -> &'static str {
        match self {
            Self::Host => "GPU state (NVML), kernel log, processes, faults in the server's log",
            Self::Cloud => "CloudWatch metrics, SageMaker endpoint, auto scaling",
            Self::History => "past values from Prometheus",
            Self::Traces => "request spans (MLflow) and the gateway's records",
            Self::Slo => "objectives, error budgets and burn rates",
            Self::Alerts => "alert rules, written from the thresholds",
            Self::Dashboards => "dashboard panels, written from the signals",
            Self::Load => "load tests with scenarios and pass or fail",
            Self::Compare => "two releases on the same work",
            Self::Verify => "whether a fix has helped",
            Self::Report => "further parts of the report",
        }
    }
}

/// Reads the rows of all guides, in the order of their files.
#[expect(clippy::disallowed_methods, reason = "reads files of the repository, for developers")]
pub fn read(root: &Path) -> anyhow::Result<Vec<Section>> {
    let folder = root.join(FOLDER);
    let failed = || format!("failed to read {}", folder.display());
    let entries = std::fs::read_dir(&folder).with_context(failed)?;
    let mut paths: Vec<PathBuf> = entries
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<Result<_, _>>()
        .with_context(failed)?;
    paths.sort();
    let mut sections = Vec::new();
    for path in paths {
        let failed = || format!("failed to read {}", path.display());
        let text = std::fs::read_to_string(&path).with_context(failed)?;
        let read: Vec<Section> = serde_saphyr::from_str(&text).with_context(failed)?;
        sections.extend(read);
    }
    Ok(sections)
}

/// The page, in Markdown.
pub fn page(sections: &[Section]) -> String {
    let parts = sections.iter().map(section_table).collect::<String>();
    format!("{HEAD}\n{}\n{}{parts}", summary(sections), waiting(sections))
}

const HEAD: &str = "# What the guides ask for, and what carries it

Guide A is a guide to monitoring and troubleshooting one vLLM service: metrics, alerts, objectives,
dashboards, runbooks, load tests. Guide B is one to vLLM in production: latency, load, cache,
alerts, scenarios. Each row is one thing that they ask for, in our words. It is *carried* where the
tool has all of it, *partly* where the judgement is there and a source or a command is to come, and
*planned* where a coming part will bring it. The rows lie in `fixtures/requirements/`, and this page
is generated from them.
";

fn summary(sections: &[Section]) -> String {
    let of = |letter: &str| {
        let ours = sections.iter().filter(|section| section.id.starts_with(letter));
        ours.flat_map(|section| &section.rows).collect::<Vec<_>>()
    };
    let line = |name: &str, rows: &[&Row]| format!("| {name} | {} |\n", counts(rows).join(" | "));
    let all: String = [("guide A", "a"), ("guide B", "b"), ("**both**", "")]
        .map(|(name, letter)| line(name, &of(letter)))
        .concat();
    format!("| | rows | carried | partly | planned |\n|---|---|---|---|---|\n{all}")
}

/// All rows, and how many of them are carried, carried in part, and planned.
fn counts(rows: &[&Row]) -> [String; 4] {
    let with = |status| rows.iter().filter(|row| row.status() == status).count();
    [rows.len(), with(Status::Carried), with(Status::Partly), with(Status::Planned)]
        .map(|count| count.to_string())
}

fn waiting(sections: &[Section]) -> String {
    let rows = || sections.iter().flat_map(|section| &section.rows);
    let lines = Part::ALL.map(|part| {
        let count = rows().filter(|row| row.planned.contains(&part)).count();
        format!("| {} | {} | {count} |\n", word(part), part.about())
    });
    format!("| coming part | what it brings | rows that wait |\n|---|---|---|\n{}", lines.concat())
}

fn section_table(section: &Section) -> String {
    let rows: Vec<&Row> = section.rows.iter().collect();
    let [all, carried, partly, planned] = counts(&rows);
    let lines: String = rows.into_iter().map(row_line).collect();
    format!(
        "\n## {}: {}\n\n{all} rows: {carried} carried, {partly} partly, {planned} planned.\n\n\
         | id | kind | requirement | carried by |\n|---|---|---|---|\n{lines}",
        section.id.to_uppercase(),
        section.title,
    )
}

fn row_line(row: &Row) -> String {
    let mut carried: Vec<String> = row
        .by
        .iter()
        .map(|(carrier, names)| format!("{} `{}`", word(carrier), names.join("`, `")))
        .collect();
    if !row.planned.is_empty() {
        let parts: Vec<String> = row.planned.iter().map(word).collect();
        carried.push(format!("*planned: {}*", parts.join(", ")));
    }
    let (kind, carried) = (word(row.kind), carried.join("; "));
    format!("| `{}` | {kind} | {} | {carried} |\n", row.id, row.says)
}

/// A variant as it stands in the files.
fn word(variant: impl Debug) -> String {
    format!("{variant:?}").to_lowercase()
}
