//! What to do about a cause: fixes, and whether more replicas would help.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_saphyr::Spanned;

use super::XidAction;

/// Whether more replicas would help against a cause.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Replicas {
    /// The answer.
    pub help: Help,
    /// Why, one sentence fragment that can stand behind `Yes:` or `No:`.
    pub why: String,
}

/// The answer to "would more replicas help?".
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Help {
    /// They take away what hurts.
    Yes,
    /// They carry the load while the cause stays.
    Partly,
    /// They change nothing, or they cannot come.
    No,
}

/// Something to do about a cause.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Fix {
    /// Kind of action, from a closed set that tools may read.
    pub action: Action,
    /// CEL over signals: the fix is advised only where this is known to hold.
    #[serde(default)]
    #[schemars(with = "Option<String>")]
    pub when: Option<Spanned<String>>,
    /// The fix is advised only where an Xid of one of these action groups was seen, once for each;
    /// `{xid}`, `{meaning}`, `{gpu}` and `{catalogue}` in it quote the row of xid.yaml.
    #[serde(default)]
    pub xid: Vec<XidAction>,
    /// Said in the report where `when` keeps the fix from being advised; without it, nothing is.
    #[serde(default)]
    pub otherwise: Option<String>,
    /// What to do, one sentence. In it, in `command` and in `effect`, `{signal}` stands for what
    /// the signal reads now, and `{signal|words}` for `<words>` where it is missing.
    pub text: String,
    /// The exact command or setting, where there is one. A number is written bare, an interval as
    /// `<1 to 3>`.
    #[serde(default)]
    pub command: Option<String>,
    /// What it may cost.
    pub risk: Risk,
    /// What to expect.
    pub effect: String,
    /// How to take it back.
    pub undo: String,
}

/// Kinds of action.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)]
pub enum Action {
    Observe,
    RollBackPrompt,
    ChangePrompt,
    LimitTraffic,
    ScaleOut,
    ChangeFlag,
    RestartEngine,
    RollBackRelease,
    FixClient,
    FixGateway,
    FreeHost,
    ReplaceHost,
    ResetGpu,
    RestartHost,
    CoolHost,
}

/// What an action may cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Risk {
    /// Nothing is interrupted.
    Safe,
    /// The server restarts.
    Restart,
    /// Less is served meanwhile, or more is paid.
    Capacity,
    /// State may be lost.
    Data,
}

/// A `{signal}` or `{signal|words}` in a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Placeholder<'a> {
    /// As it stands, braces included.
    pub whole: &'a str,
    /// The signal's name, with or without a view such as `_baseline`.
    pub signal: &'a str,
    /// What to write where the signal is missing.
    pub fallback: Option<&'a str>,
}

impl<'a> Placeholder<'a> {
    /// Every placeholder of a text, in order.
    pub fn all(text: &'a str) -> impl Iterator<Item = Self> {
        text.match_indices('{').filter_map(|(start, _)| {
            let length = text[start..].find('}')? + 1;
            let whole = &text[start..start + length];
            let inner = &whole[1..length - 1];
            let (signal, fallback) = match inner.split_once('|') {
                Some((signal, words)) => (signal, Some(words)),
                None => (inner, None),
            };
            Some(Self { whole, signal, fallback })
        })
    }

    /// What is written for a missing value.
    pub fn words(&self) -> String {
        format!("<{}>", self.fallback.unwrap_or("not known"))
    }
}
