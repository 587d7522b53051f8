//! The tables of faults in `docs/reliability.md`: what the program says of each source that fails.
//!
//! The tables lie in `fixtures/faults.yaml`. `tests/faults` runs each cell of them through the
//! program; the binary holds none.

use std::{collections::BTreeMap, path::Path, time::Duration};

use anyhow::Context;
use serde::Deserialize;

const FILE: &str = "fixtures/faults.yaml";

/// All tables.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Matrix {
    /// Servers.
    pub network: Table,
    /// Services of AWS.
    pub cloud: Table,
    /// Files.
    pub files: Table,
}

/// Sources with their faults.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Table {
    /// The sources, in order.
    pub sources: Vec<Source>,
    /// The deadline of one request, or of a pipe, seconds.
    pub deadline: f64,
    /// What a run may take beside its deadlines, seconds.
    pub slack: f64,
    /// The faults.
    pub faults: Vec<Fault>,
}

/// One source.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Source {
    /// Its id.
    pub id: String,
    /// As people call it.
    pub title: String,
    /// How many deadlines, one after the other, a run has for it.
    pub deadlines: f64,
}

/// One way to fail.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fault {
    /// Its id.
    pub id: String,
    /// What happens, a fragment.
    pub title: String,
    /// Whether nothing but a deadline ends it.
    #[serde(default)]
    pub waits: bool,
    /// Words of which the detail of the status must hold one, where the source gave nothing.
    #[serde(default)]
    pub says: Vec<String>,
    /// Source → states of which it must have one; `refused` is an error of the command line that
    /// names the file, exit 2.
    pub gives: BTreeMap<String, Vec<String>>,
    /// Why sources are not in `gives`.
    #[serde(default)]
    pub not: String,
}

/// Reads the tables of the repository at `root`.
pub fn read(root: &Path) -> anyhow::Result<Matrix> {
    let path = root.join(FILE);
    #[expect(clippy::disallowed_methods, reason = "reads files of the repository, for developers")]
    let text = std::fs::read_to_string(&path);
    let text = text.with_context(|| format!("failed to read {}", path.display()))?;
    let options = serde_saphyr::options! { with_snippet: false };
    serde_saphyr::from_str_with_options(&text, options).with_context(|| format!("in {FILE}"))
}

impl Table {
    /// The fault with this id.
    pub fn fault(&self, id: &str) -> Option<&Fault> {
        self.faults.iter().find(|fault| fault.id == id)
    }

    /// How long a run may take while a source fails in a way.
    pub fn bound(&self, source: &str, fault: &Fault) -> Duration {
        let own = self.sources.iter().find(|it| it.id == source);
        let deadlines = own.filter(|_| fault.waits).map_or(0.0, |it| it.deadlines);
        Duration::from_secs_f64(self.slack + deadlines * self.deadline)
    }

    /// The table in Markdown: a row for each fault, a column for each source.
    pub fn markdown(&self) -> String {
        let titles: Vec<&str> = self.sources.iter().map(|it| it.title.as_str()).collect();
        let head =
            format!("| fault | {} |\n|---|{}\n", titles.join(" | "), "---|".repeat(titles.len()));
        let rows = self.faults.iter().map(|fault| {
            let cell = |source: &Source| {
                fault.gives.get(&source.id).map_or("–".into(), |states| states.join(" or "))
            };
            let cells: Vec<String> = self.sources.iter().map(cell).collect();
            format!("| {} | {} |\n", fault.title, cells.join(" | "))
        });
        let reasons = self.faults.iter().filter(|fault| !fault.not.is_empty());
        let reasons = reasons.map(|fault| format!("- {}: {}.\n", fault.title, fault.not));
        let (rows, reasons): (String, String) = (rows.collect(), reasons.collect());
        let cells = self.faults.iter().map(|fault| fault.gives.len()).sum::<usize>();
        format!("{head}{rows}{}\n{cells} cells. A dash is no cell:\n\n{reasons}", self.times())
    }

    /// The last row: how long a run may take.
    fn times(&self) -> String {
        let waits = self.faults.iter().find(|fault| fault.waits);
        let Some(fault) = waits else { return String::new() };
        let seconds =
            |source: &Source| format!("{} s", self.bound(&source.id, fault).as_secs_f64());
        let cells: Vec<String> = self.sources.iter().map(seconds).collect();
        format!("| *longest run, where a deadline must end it* | {} |\n", cells.join(" | "))
    }
}
