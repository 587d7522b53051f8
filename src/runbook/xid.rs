//! NVIDIA's catalogue of Xid errors, matched with what the kernel's log holds.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_saphyr::Spanned;

use super::{
    Check, Library,
    expr::{Answer, Truth},
    rank::NO_ANSWER,
};
use crate::signals::{Missing, kernel::XidSeen};

/// `xid.yaml`: the catalogue with where it stands written.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Catalogue {
    /// Where it stands written, and its date.
    pub(super) source: String,
    /// The rows.
    pub(super) codes: Vec<XidText>,
}

/// A row as it is written.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct XidText {
    pub(super) code: Spanned<u32>,
    meaning: String,
    action: XidAction,
    hits: XidHits,
}

/// One code of the catalogue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct XidRow {
    /// The code, e.g. 79.
    pub code: u32,
    /// What it means, a fragment.
    pub meaning: String,
    /// What the catalogue says to do at once.
    pub action: XidAction,
    /// What cannot go on working.
    pub hits: XidHits,
    /// Where it stands written.
    pub source: String,
}

/// Immediate action groups of the catalogue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum XidAction {
    /// Restart the application.
    RestartApp,
    /// Reset the GPU.
    ResetGpu,
    /// Restart the machine.
    RestartMachine,
    /// Follow the workflow of the code.
    FollowWorkflow,
    /// Nothing at once.
    Ignore,
    /// Check cables and seating.
    Mechanical,
    /// Update driver or firmware.
    UpdateSoftware,
    /// Contact the vendor's support.
    ContactSupport,
    /// The catalogue names no action.
    Unlisted,
}

/// What an Xid keeps from working.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum XidHits {
    /// The process that met it; the GPU serves the next one.
    Process,
    /// The GPU.
    Gpu,
    /// Links between GPUs.
    Links,
    /// Nothing by itself.
    Nothing,
}

impl Catalogue {
    /// The rows, each with its source.
    pub(super) fn rows(self) -> impl Iterator<Item = (Spanned<u32>, XidRow)> {
        let source = self.source;
        self.codes.into_iter().map(move |text| {
            let row = XidRow {
                code: text.code.value,
                meaning: text.meaning,
                action: text.action,
                hits: text.hits,
                source: source.clone(),
            };
            (text.code, row)
        })
    }
}

/// The id of a row, as `explain` and answers name it.
pub fn id(code: u32) -> String {
    format!("xid-{code}")
}

/// What the kernel's log holds of Xid errors, or why it is not known.
pub type Seen = Result<Vec<XidSeen>, Missing>;

/// Whether the kernel's log holds an Xid that hits one of the things that the check asks for.
pub fn answer(library: &Library, check: &Check, seen: &Seen) -> Answer {
    let seen = match seen {
        Ok(seen) => seen,
        Err(missing) => {
            let why = BTreeMap::from([("gpu_xid_events_count".into(), missing.clone())]);
            return Answer { truth: Truth::Unknown(why), ..NO_ANSWER.clone() };
        }
    };
    let row = |seen: &XidSeen| library.xids.get(&id(seen.code));
    let rows: Vec<String> = seen
        .iter()
        .filter_map(row)
        .filter(|row| check.xid.contains(&row.hits))
        .map(|row| id(row.code))
        .collect();
    let truth = if rows.is_empty() { Truth::No } else { Truth::Yes };
    Answer { truth, rows, ..NO_ANSWER.clone() }
}

impl XidRow {
    /// The row as evidence, with where it was seen.
    pub fn quoted(&self, seen: &XidSeen) -> String {
        let action = self.action_words();
        let place = seen.shown();
        format!("Xid {}, {}, {place}; {action} ({})", self.code, self.meaning, self.source)
    }

    /// The action group in words.
    pub fn action_words(&self) -> String {
        let json = serde_json::to_value(self.action).unwrap_or_default();
        format!("action: {}", json.as_str().unwrap_or_default().replace('_', " "))
    }

    /// Fills `{xid}`, `{meaning}`, `{gpu}` and `{catalogue}` in the text of a fix.
    pub fn fill(&self, seen: &XidSeen, text: &str) -> String {
        let code = self.code.to_string();
        let values = [&code, &self.meaning, &seen.pci, &self.source];
        QUOTES
            .iter()
            .zip(values)
            .fold(text.to_owned(), |text, (name, value)| text.replace(*name, value))
    }
}

const QUOTES: [&str; 4] = ["{xid}", "{meaning}", "{gpu}", "{catalogue}"];

/// Whether a text quotes a row of the catalogue.
pub fn quotes(text: &str) -> bool {
    QUOTES.iter().any(|name| text.contains(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(code: u32) -> Vec<XidHits> {
        let library = Library::embedded().unwrap();
        let seen = Ok(vec![XidSeen { code, ..XidSeen::default() }]);
        let asking = library.checks.values().filter(|check| !check.xid.is_empty());
        let yes = asking.filter(|check| answer(&library, check, &seen).is_yes());
        yes.flat_map(|check| check.xid.clone()).collect()
    }

    #[test]
    fn errors_of_an_application_do_not_blame_the_hardware() {
        for code in [8, 13, 31, 43, 94] {
            assert_eq!(asked(code), [XidHits::Process], "{code}");
        }
        for code in [46, 48, 62, 64, 79, 95, 119, 120, 140, 143] {
            assert_eq!(asked(code), [XidHits::Gpu], "{code}");
        }
        for code in [45, 63, 92, 154, 999] {
            assert_eq!(asked(code), [], "{code}");
        }
        assert_eq!(asked(74), [XidHits::Links]);
    }

    #[test]
    fn the_groups_of_the_catalogue_are_kept() {
        let library = Library::embedded().unwrap();
        let action = |code| library.xids[&id(code)].action;
        assert_eq!(action(79), XidAction::RestartMachine);
        assert_eq!(action(31), XidAction::RestartApp);
        assert_eq!(action(95), XidAction::ResetGpu);
        assert_eq!(action(48), XidAction::FollowWorkflow);
        assert_eq!(action(54), XidAction::Mechanical);
        assert_eq!(action(142), XidAction::ContactSupport);
        assert_eq!(action(63), XidAction::Ignore);
    }

    #[test]
    fn a_log_that_was_not_read_is_no_log_without_errors() {
        let library = Library::embedded().unwrap();
        let why = Missing::new(crate::signals::MissingKind::NotConfigured, "not read");
        let check = library.checks.values().find(|check| !check.xid.is_empty()).unwrap();
        assert!(matches!(answer(&library, check, &Err(why)).truth, Truth::Unknown(_)));
    }
}
