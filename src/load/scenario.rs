//! Scenarios, gate and limits as data: the embedded ones, then the user's own `load/`.

use std::{collections::BTreeMap, path::PathBuf, sync::Arc};

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, de::Error};

use super::{limits::Limits, result::Measured};
use crate::{
    runbook::{
        load::{Embedded, LoadError, files_of, parse},
        problem::{Problem, SourceFile},
    },
    unit::Unit,
};

/// The files in the binary, by path.
static EMBEDDED: &[Embedded] = include!(concat!(env!("OUT_DIR"), "/load.rs"));

/// `<scenario>.yaml`: what is sent to a server, and which rows of the gate judge it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Scenario {
    /// Stable id.
    pub id: String,
    /// A few words.
    pub title: String,
    /// What it validates, a fragment.
    pub validates: String,
    /// Requests per second after the warm-up.
    pub rate: f64,
    /// Requests per second at the end of a ramp.
    #[serde(default)]
    pub rate_to: Option<f64>,
    /// How requests follow each other.
    #[serde(default)]
    pub arrivals: Arrivals,
    /// Time of sending, the warm-up included, e.g. `5m`.
    #[serde(deserialize_with = "seconds")]
    #[schemars(with = "String")]
    pub duration: f64,
    /// Time over which the rate rises; its requests are not judged.
    #[serde(deserialize_with = "seconds", default = "half_a_minute")]
    #[schemars(with = "String")]
    pub warmup: f64,
    /// Most requests at once.
    pub concurrency: u32,
    /// Time after which a request counts as timed out.
    #[serde(deserialize_with = "seconds", default = "two_minutes")]
    #[schemars(with = "String")]
    pub timeout: f64,
    /// Which API is asked.
    #[serde(default)]
    pub api: Api,
    /// Tokens of a system prompt that all requests share, roughly.
    #[serde(default)]
    pub prefix_tokens: u32,
    /// Turns of a conversation, from and to; without it each request stands alone.
    #[serde(default)]
    pub turns: Option<(u32, u32)>,
    /// Adapters that the server must have.
    #[serde(default)]
    pub least_adapters: usize,
    /// Rows of the gate, by id.
    pub gate: Vec<String>,
    /// Other limits for some of them.
    #[serde(default)]
    pub bounds: BTreeMap<String, Bounds>,
    /// Kinds of request with their weights.
    pub mix: Vec<Kind>,
    /// Further fields of each request's body, e.g. `temperature: 0`.
    #[serde(default)]
    pub body: BTreeMap<String, serde_json::Value>,
}

/// How requests follow each other.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Arrivals {
    /// At even distances.
    #[default]
    Constant,
    /// By chance, as independent users come.
    Poisson,
    /// At a rate that goes evenly from `rate` to `rate_to`.
    Ramp,
}

/// Which API is asked.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Api {
    /// `/v1/chat/completions`.
    #[default]
    Chat,
    /// `/v1/completions`.
    Completions,
}

/// A kind of request.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Kind {
    /// Stable id.
    pub id: String,
    /// How often it comes, beside the weights of the others.
    pub weight: f64,
    /// What every prompt of it begins with.
    #[serde(default)]
    pub text: String,
    /// Tokens of generated text that follow, from and to, roughly; other ones each time.
    #[serde(default)]
    pub prompt_tokens: (u32, u32),
    /// Most tokens of an answer.
    pub max_tokens: u32,
    /// `none`, `first`, `second` or `random` of the server's adapters, or a name. Where there is no
    /// second one, the first; where there is none, the base model.
    #[serde(default = "no_adapter")]
    pub adapter: String,
}

/// Limits of a row of the gate.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Bounds {
    /// Passes up to here, or from here where more is better.
    pub pass: f64,
    /// Fails beyond here.
    pub fail: f64,
}

/// A row of `gate.yaml`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// Stable id.
    pub id: String,
    /// What is measured.
    pub title: String,
    /// Unit of all numbers here.
    pub unit: Unit,
    /// What it reads.
    pub of: Subject,
    /// Passes up to here, or from here where more is better.
    pub pass: f64,
    /// Fails beyond here.
    pub fail: f64,
    /// Whether more is better.
    #[serde(default)]
    pub more_is_better: bool,
    /// Whether a result without an answer is inconclusive.
    #[serde(default = "yes")]
    pub needed: bool,
}

/// What a row of the gate reads.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Subject {
    /// Share of the requests judged that failed.
    Errors,
    /// How many of the trends grew.
    Trends,
    /// A quantile of a latency at the client, from the intended time.
    #[serde(untagged)]
    Quantile {
        /// Which latency.
        latency: Measured,
        /// Which quantile, 0 to 1.
        quantile: f64,
    },
    /// The largest of those signals of the server that can be read.
    #[serde(untagged)]
    Signals {
        /// Their names.
        signals: Vec<String>,
        /// Further ones that can fail the row; by themselves they do not pass it.
        #[serde(default)]
        also: Vec<String>,
    },
}

/// Everything that load tests are made of.
#[derive(Debug, Clone, Default)]
pub struct Loads {
    /// Scenarios, by id.
    pub scenarios: BTreeMap<String, Scenario>,
    /// Rows of the gate.
    pub gate: Vec<Rule>,
    /// Limits; the last file wins as a whole.
    pub limits: Option<Limits>,
    /// Where each scenario stands.
    files: BTreeMap<String, Arc<SourceFile>>,
}

impl Loads {
    /// What ships in the binary, overridden id by id by `load/` in each of `dirs`.
    pub fn load(dirs: &[PathBuf]) -> Result<Self, LoadError> {
        let mut files: Vec<SourceFile> = EMBEDDED.iter().map(Embedded::compiled).collect();
        let mut unreadable = Vec::new();
        for (index, dir) in dirs.iter().enumerate() {
            match files_of(dir, "load", index + 1) {
                Ok(found) => files.extend(found),
                Err(failure) => unreadable.push(failure),
            }
        }
        let mut loads = Self::default();
        let mut problems = Vec::new();
        for file in files.into_iter().map(Arc::new) {
            problems.extend(loads.add(&file).err().map(|problem| *problem));
        }
        let wrong =
            loads.scenarios.values().filter_map(|it| Some((it, it.check(&loads.gate).err()?)));
        problems.extend(wrong.map(|(scenario, why)| {
            let why = format!("scenario `{}`: {why}", scenario.id);
            Problem::error(&loads.files[&scenario.id], 0..0, why)
        }));
        if unreadable.is_empty() && problems.is_empty() {
            return Ok(loads);
        }
        Err(LoadError { unreadable, problems })
    }

    fn add(&mut self, file: &Arc<SourceFile>) -> Result<(), Box<Problem>> {
        let name = file.path.rsplit(['/', '\\']).next().unwrap_or_default();
        match name.split('.').next().unwrap_or_default() {
            "gate" => {
                for rule in parse::<Vec<Rule>>(file)? {
                    match self.gate.iter_mut().find(|known| known.id == rule.id) {
                        Some(known) => *known = rule,
                        None => self.gate.push(rule),
                    }
                }
            }
            "limits" => self.limits = Some(parse(file)?),
            _ => {
                let scenario: Scenario = parse(file)?;
                self.files.insert(scenario.id.clone(), Arc::clone(file));
                self.scenarios.insert(scenario.id.clone(), scenario);
            }
        }
        Ok(())
    }

    /// The rows that judge a scenario, with its own bounds.
    pub fn rules(&self, scenario: &Scenario) -> Vec<Rule> {
        let named = |id: &String| self.gate.iter().find(|rule| rule.id == *id).cloned();
        let bounded = |rule: Rule| match scenario.bounds.get(&rule.id) {
            Some(bounds) => Rule { pass: bounds.pass, fail: bounds.fail, ..rule },
            None => rule,
        };
        scenario.gate.iter().filter_map(named).map(bounded).collect()
    }
}

impl Scenario {
    /// What makes no sense, in words.
    pub fn check(&self, gate: &[Rule]) -> Result<(), String> {
        let known = |id: &&String| gate.iter().any(|rule| rule.id == **id);
        if let Some(id) = self.gate.iter().chain(self.bounds.keys()).find(|id| !known(id)) {
            return Err(format!("the gate has no row `{id}`"));
        }
        let positive = |value: f64| value.is_finite() && value > 0.0;
        let weights: f64 = self.mix.iter().map(|kind| kind.weight).sum();
        let turns_fit = self.turns.is_none_or(|(from, to)| from >= 1 && from <= to);
        let rules = [
            (positive(self.rate) && self.rate_to.is_none_or(positive), "`rate` must be above 0"),
            (self.rate <= 1e5, "`rate` is above 100,000 requests per second"),
            (self.duration <= 86_400.0, "`duration` is above a day"),
            (self.warmup < self.duration, "`warmup` must be shorter than `duration`"),
            (self.concurrency > 0, "`concurrency` must be above 0"),
            (positive(weights), "the weights of `mix` must add up to more than 0"),
            (turns_fit, "`turns` must go from 1 or more upwards"),
            (self.turns.is_none() || self.api == Api::Chat, "conversations take `api: chat`"),
            (
                (self.arrivals == Arrivals::Ramp) == self.rate_to.is_some(),
                "`rate_to` and `arrivals: ramp` go together",
            ),
        ];
        rules.iter().find(|(kept, _)| !kept).map_or(Ok(()), |(_, why)| Err((*why).into()))
    }
}

impl Api {
    /// Where requests go.
    pub fn path(self) -> &'static str {
        match self {
            Self::Chat => "/v1/chat/completions",
            Self::Completions => "/v1/completions",
        }
    }

    /// Its name.
    pub fn word(self) -> &'static str {
        match self {
            Self::Chat => "chat",
            Self::Completions => "completions",
        }
    }
}

/// Reads e.g. `30s`.
pub(super) fn seconds<'de, D: Deserializer<'de>>(from: D) -> Result<f64, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Written {
        Text(String),
        Number(f64),
    }
    let text = match Written::deserialize(from)? {
        Written::Number(0.0) => return Ok(0.0),
        Written::Number(number) => number.to_string(),
        Written::Text(text) => text,
    };
    let read = text.parse::<jiff::SignedDuration>().ok().filter(|it| !it.is_negative());
    let wrong = || D::Error::custom(format!("`{text}` is not a duration like 30s or 5m"));
    read.map(|duration| duration.as_secs_f64()).ok_or_else(wrong)
}

fn half_a_minute() -> f64 {
    30.0
}

fn two_minutes() -> f64 {
    120.0
}

fn no_adapter() -> String {
    "none".into()
}

fn yes() -> bool {
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::signals;

    #[test]
    fn the_six_scenarios_are_those_of_the_method() {
        let loads = Loads::load(&[]).unwrap();
        let table = [
            ("baseline", 10.0, 5.0, 20),
            ("peak", 50.0, 10.0, 100),
            ("sustained", 30.0, 60.0, 50),
            ("long-conversations", 10.0, 30.0, 20),
            ("adapter-switching", 30.0, 10.0, 50),
            ("cache-validation", 20.0, 10.0, 30),
        ];
        assert_eq!(loads.scenarios.len(), table.len());
        for (id, rate, minutes, concurrency) in table {
            let it = &loads.scenarios[id];
            assert_eq!((it.rate, it.duration / 60.0, it.concurrency), (rate, minutes, concurrency));
            assert_eq!(it.warmup, 30.0, "{id}");
            assert_eq!(loads.rules(it).len(), it.gate.len(), "{id}");
        }
        assert!(loads.scenarios["long-conversations"].turns.unwrap().0 >= 8);
    }

    #[test]
    fn signals_that_gate_and_trends_name_exist_in_their_unit() {
        let loads = Loads::load(&[]).unwrap();
        for rule in &loads.gate {
            let Subject::Signals { signals: named, also } = &rule.of else { continue };
            for name in named.iter().chain(also) {
                assert_eq!(signals::find(name).map(|it| it.unit), Some(rule.unit), "{name}");
            }
        }
        let limits = loads.limits.unwrap();
        let trends = limits.trends.of.iter().map(|rule| &rule.signal);
        for signal in trends.chain(limits.bottlenecks.iter().map(|rule| &rule.signal)) {
            assert!(signals::find(signal).is_some(), "{signal}");
        }
    }

    #[test]
    fn what_makes_no_sense_is_named() {
        let loads = Loads::load(&[]).unwrap();
        let good = loads.scenarios["baseline"].clone();
        let check = |wrong: Scenario| wrong.check(&loads.gate).unwrap_err();
        assert!(check(Scenario { rate: 0.0, ..good.clone() }).contains("rate"));
        assert!(check(Scenario { warmup: 300.0, ..good.clone() }).contains("warmup"));
        assert!(check(Scenario { mix: Vec::new(), ..good.clone() }).contains("mix"));
        assert!(check(Scenario { rate_to: Some(9.0), ..good.clone() }).contains("ramp"));
        assert!(check(Scenario { gate: vec!["x".into()], ..good }).contains("`x`"));
    }
}
