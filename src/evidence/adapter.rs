//! LoRA adapters: their folders as they lay on disk, their names, and which are served.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{ProbeRound, Time};

/// The folder of one adapter as the collector saw it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct AdapterFolder {
    /// The folder's name.
    pub folder: String,
    /// The name under which the server serves it, where the server told the folder.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub served_as: Option<String>,
    /// `r`, `lora_alpha`, `target_modules` and `base_model_name_or_path` of adapter_config.json.
    pub config: Map<String, Value>,
    /// Size of the weight files together, bytes.
    pub weight_bytes: Option<u64>,
    /// Last change of the newest weight file, Unix seconds.
    pub modified: Option<Time>,
    /// Why something of it could not be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

impl AdapterFolder {
    /// The adapter's name: as it is served, else that of its folder.
    pub fn id(&self) -> &str {
        self.served_as.as_deref().unwrap_or(&self.folder)
    }

    /// The rank.
    pub fn rank(&self) -> Option<u64> {
        self.config.get("r")?.as_u64().filter(|rank| *rank > 0)
    }
}

/// An adapter's name with its version: `billing_v3`, `billing-v3`, `billing@3` or `billing:v3`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Name<'a> {
    /// What all versions have in common.
    pub base: &'a str,
    /// The version, e.g. `[3]` or `[1, 2]`.
    pub version: Vec<u64>,
}

impl<'a> Name<'a> {
    /// Splits a name; `None` where it names no version.
    pub fn of(name: &'a str) -> Option<Self> {
        let at = name.rfind(['_', '-', '@', ':'])?;
        let (base, ending) = (&name[..at], &name[at + 1..]);
        let digits = ending.strip_prefix(['v', 'V']);
        let marked = digits.is_some() || name[at..].starts_with(['@', ':']);
        let parts = digits.unwrap_or(ending).split('.').map(|part| part.parse().ok());
        let version = parts.collect::<Option<Vec<u64>>>()?;
        (marked && !base.is_empty()).then_some(Self { base, version })
    }

    /// The name of the newest earlier version among `names`.
    pub fn before<'n>(&self, names: &'n BTreeSet<String>) -> Option<&'n str> {
        let versions = names.iter().filter_map(|name| Some((Name::of(name)?, name)));
        let earlier = versions.filter(|(it, _)| it.base == self.base && it.version < self.version);
        let newest = earlier.max_by(|(one, _), (other, _)| one.version.cmp(&other.version));
        newest.map(|(_, name)| name.as_str())
    }
}

/// An adapter in the list of `/v1/models`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Card {
    /// The name under which it is served.
    pub id: String,
    /// Where the server says that it lies.
    pub root: Option<String>,
}

/// The adapters that `/v1/models` lists: the models that have a parent.
pub fn listed(round: &ProbeRound) -> Vec<Card> {
    cards(round).unwrap_or_default()
}

/// The same; `None` where the list was not answered or cannot be read.
pub fn cards(round: &ProbeRound) -> Option<Vec<Card>> {
    let probe = round.paths.get("/v1/models").filter(|probe| probe.status == Some(200))?;
    let json: Value = serde_json::from_str(probe.body.as_deref()?).ok()?;
    let text = |card: &Value, key: &str| Some(card.get(key)?.as_str()?.to_owned());
    let adapters = json.get("data")?.as_array()?.iter();
    let adapters = adapters.filter(|card| card.get("parent").is_some_and(Value::is_string));
    let card = |card: &Value| Some(Card { id: text(card, "id")?, root: text(card, "root") });
    Some(adapters.filter_map(card).collect())
}

/// What the timeline says of an adapter that began to be served.
pub fn loaded(name: &str) -> String {
    format!("adapter {name} was loaded")
}

/// What the timeline says of one that is served no longer.
pub fn unloaded(name: &str) -> String {
    format!("adapter {name} was unloaded")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_the_marked_ending_of_a_name() {
        let version = |name| Name::of(name).map(|it| (it.base, it.version));
        for name in ["billing_v3", "billing-v3", "billing@3", "billing:v3"] {
            assert_eq!(version(name), Some(("billing", vec![3])), "{name}");
        }
        assert_eq!(version("a-b_v1.12"), Some(("a-b", vec![1, 12])));
        for name in ["billing", "llama-3", "run_7", "_v3", "x_vnext", "x_v", ""] {
            assert_eq!(version(name), None, "{name}");
        }
    }

    #[test]
    fn the_version_before_is_the_newest_earlier_one_of_the_same_name() {
        let names = ["a_v2", "a_v10", "a_v9", "b_v11", "a_v12"].map(String::from).into();
        assert_eq!(Name::of("a_v11").unwrap().before(&names), Some("a_v10"));
        assert_eq!(Name::of("c_v2").unwrap().before(&names), None);
    }
}
