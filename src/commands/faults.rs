//! The tables of faults in `docs/reliability.md`: what the program says of each source that fails.
//!
//! The tables lie in `fixtures/faults.yaml`. `tests/faults` runs each cell of them through the
//! program; the binary holds none.

use std::{collections::BTreeMap, path::Path};

use anyhow::Context;
use serde::Deserialize;

const FILE: &str = "fixtures/faults.yaml";

/// All tables.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Matrix {
    /// Servers.
    pub network: Table,
    /// Files.
    pub files: Table,
}

/// Sources with their faults.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Table {
    /// Ids of the sources with their titles, in order.
    pub sources: Vec<(String, String)>,
    /// The faults.
    pub faults: Vec<Fault>,
}

/// One way to fail.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fault {
    /// Its id.
    pub id: String,
    /// What happens, a fragment.
    pub title: String,
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
    /// The table in Markdown: a row for each fault, a column for each source.
    pub fn markdown(&self) -> String {
        let titles: Vec<&str> = self.sources.iter().map(|(_, title)| title.as_str()).collect();
        let head =
            format!("| fault | {} |\n|---|{}\n", titles.join(" | "), "---|".repeat(titles.len()));
        let rows = self.faults.iter().map(|fault| {
            let cell = |(id, _): &(String, String)| {
                fault.gives.get(id).map_or("–".into(), |states| states.join(" or "))
            };
            let cells: Vec<String> = self.sources.iter().map(cell).collect();
            format!("| {} | {} |\n", fault.title, cells.join(" | "))
        });
        let reasons = self.faults.iter().filter(|fault| !fault.not.is_empty());
        let reasons = reasons.map(|fault| format!("- {}: {}.\n", fault.title, fault.not));
        let rows: String = rows.collect();
        let reasons: String = reasons.collect();
        let cells = self.faults.iter().map(|fault| fault.gives.len()).sum::<usize>();
        format!("{head}{rows}\n{cells} cells. A dash is no cell:\n\n{reasons}")
    }
}
