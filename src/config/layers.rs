//! The settings file, a profile over it, and the environment over both.
//!
//! One rule names the variable of a key: `DIAGNOSE_` and the key in capitals, with `_` for the dot
//! of a table's key. A table with a `url` stands for it: `DIAGNOSE_PROMETHEUS` is `prometheus.url`.

use std::{
    collections::BTreeMap,
    fmt,
    path::{Path, PathBuf},
};

use anyhow::{Context, anyhow, bail};
use serde::Deserialize;
use serde_json::Value as Json;
use toml::{Table, Value};

use super::{Environment, FileConfig};
use crate::{cli::ConfigArgs, input, runbook::problem::did_you_mean};

/// What every variable of this program begins with.
pub(super) const PREFIX: &str = "DIAGNOSE_";

/// The variable that chooses a profile.
pub(super) const PROFILE: &str = "DIAGNOSE_PROFILE";

/// Variables of this program that are no keys of the file: secrets, the profile, and where its own
/// tests find programs.
pub(super) const OTHERS: [&str; 6] = [
    "DIAGNOSE_API_KEY",
    "DIAGNOSE_MLFLOW_TOKEN",
    PROFILE,
    "DIAGNOSE_PROMETHEUS_TOKEN",
    "DIAGNOSE_RECEIVE_TOKEN",
    "DIAGNOSE_TEST_TOOLS",
];

/// Where a setting comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// A flag.
    Flag,
    /// A variable of the environment.
    Variable(String),
    /// A profile of the settings file.
    Profile(String),
    /// The settings file outside of profiles.
    File,
    /// Nobody set it.
    Default,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flag => f.write_str("flag"),
            Self::Variable(name) => f.write_str(name),
            Self::Profile(name) => write!(f, "profile {name}"),
            Self::File => f.write_str("file"),
            Self::Default => f.write_str("default"),
        }
    }
}

/// Where each key that was set comes from; keys of tables are dotted.
#[derive(Debug, Clone, Default)]
pub struct Origins(BTreeMap<String, Origin>);

impl Origins {
    /// The origin of a key, or of the last entry of a table.
    pub fn of(&self, key: &str) -> Origin {
        let inside = |known: &str| known.strip_prefix(key).is_some_and(|it| it.starts_with('.'));
        let found = self.0.get(key);
        let found = found.or_else(|| self.0.iter().find(|it| inside(it.0)).map(|it| it.1));
        found.cloned().unwrap_or(Origin::Default)
    }

    fn note(&mut self, table: &Table, above: &str, origin: &Origin) {
        for (key, value) in table {
            let key = format!("{above}{key}");
            match value {
                Value::Table(inner) => self.note(inner, &format!("{key}."), origin),
                _ => drop(self.0.insert(key, origin.clone())),
            }
        }
    }
}

/// What file, profile and environment say together.
#[derive(Debug, Default)]
pub(super) struct Given {
    /// The file that was read.
    pub(super) path: Option<PathBuf>,
    /// The profile in force.
    pub(super) profile: Option<String>,
    /// The settings.
    pub(super) file: FileConfig,
    /// Who set them.
    pub(super) origins: Origins,
}

/// Reads all layers, the weakest first.
pub(super) fn read(args: &ConfigArgs, env: &Environment) -> anyhow::Result<Given> {
    let path = args.config.clone().or_else(|| super::default_file(env));
    let mut file = path.as_deref().map(file_table).transpose()?.unwrap_or_default();
    let profiles = take_profiles(&mut file);
    let chosen = chosen(args, env);
    let profile =
        chosen.map(|(name, by)| pick(&profiles, name, by, path.as_deref())).transpose()?;
    let mut given =
        Given { path, profile: chosen.map(|(name, _)| name.into()), ..Given::default() };
    let mut merged = Table::new();
    let mut lay = |table: Table, origin: Origin| {
        given.origins.note(&table, "", &origin);
        merge(&mut merged, table);
    };
    lay(file, Origin::File);
    if let Some((name, _)) = chosen {
        lay(profile.cloned().unwrap_or_default(), Origin::Profile(name.into()));
    }
    for (name, table) in from_variables(&env.settings)? {
        lay(table, Origin::Variable(name));
    }
    given.file = FileConfig::deserialize(merged).context("in the settings")?;
    if let Origin::Variable(_) = given.origins.of("gateway") {
        // A variable names a file as the shell sees it, and not as the settings file does.
        given.file.gateway =
            given.file.gateway.map(|gateway| std::path::absolute(&gateway).unwrap_or(gateway));
    }
    Ok(given)
}

/// Largest settings file, bytes.
const MOST: u64 = 1 << 20;

/// The file as it is written, checked as a whole: a mistake is shown under its line.
fn file_table(path: &Path) -> anyhow::Result<Table> {
    let text = input::text(path, MOST)
        .with_context(|| format!("failed to read the settings file {}", path.display()))?;
    let inside = || format!("in the settings file {}", path.display());
    let checked: FileConfig = toml::from_str(&text).with_context(inside)?;
    if let Some((name, _)) = checked.profile.iter().find(|(_, it)| !it.profile.is_empty()) {
        return Err(anyhow!("profile `{name}` holds a profile of its own")).with_context(inside);
    }
    text.parse().with_context(inside)
}

fn take_profiles(file: &mut Table) -> Table {
    match file.remove("profile") {
        Some(Value::Table(profiles)) => profiles,
        _ => Table::new(),
    }
}

/// The profile asked for, and by what.
fn chosen<'a>(args: &'a ConfigArgs, env: &'a Environment) -> Option<(&'a str, &'static str)> {
    let flag = args.profile.as_deref().map(|name| (name, "--profile"));
    flag.or_else(|| Some((env.profile.as_deref()?, PROFILE)))
}

fn pick<'a>(
    profiles: &'a Table,
    name: &str,
    by: &str,
    path: Option<&Path>,
) -> anyhow::Result<&'a Table> {
    if let Some(Value::Table(found)) = profiles.get(name) {
        return Ok(found);
    }
    let Some(path) = path else {
        bail!("{by} asks for profile `{name}`, but there is no settings file");
    };
    let names: Vec<&str> = profiles.keys().map(String::as_str).collect();
    let known = match names.is_empty() {
        true => "none, as it has no table [profile.NAME]".into(),
        false => names.join(", "),
    };
    let path = path.display();
    let guess = did_you_mean(name, names).map(|guess| format!("; {guess}")).unwrap_or_default();
    bail!("{by} asks for profile `{name}`; the profiles in {path} are: {known}{guess}");
}

/// Lays one table over another, key by key.
fn merge(under: &mut Table, over: Table) {
    for (key, value) in over {
        match (under.get_mut(&key), value) {
            (Some(Value::Table(under)), Value::Table(over)) => merge(under, over),
            (_, value) => drop(under.insert(key, value)),
        }
    }
}

/// Each variable as a table with one key.
fn from_variables(set: &BTreeMap<String, String>) -> anyhow::Result<Vec<(String, Table)>> {
    if set.is_empty() {
        return Ok(Vec::new());
    }
    let known = variables();
    set.iter().map(|(name, text)| Ok((name.clone(), one(&known, name, text)?))).collect()
}

fn one(known: &BTreeMap<String, Key>, name: &str, text: &str) -> anyhow::Result<Table> {
    let Some(key) = known.get(name) else {
        let names = known.keys().map(String::as_str).chain(OTHERS);
        let guess = did_you_mean(name, names);
        let guess = guess.unwrap_or_else(|| "`diagnose schema config` shows the keys".into());
        bail!("the variable `{name}` is no setting; {guess}");
    };
    let value = match key.kind {
        Kind::Text => Value::String(text.into()),
        Kind::Number => text
            .parse()
            .map(Value::Float)
            .map_err(|_| anyhow!("not a number"))
            .with_context(|| format!("in the variable {name}"))?,
        Kind::Switch => Value::Boolean(
            switch(text)
                .with_context(|| format!("the variable {name} is neither true nor false"))?,
        ),
        Kind::Several => bail!(
            "the variable `{name}` cannot be used: `{}` holds several values, which the settings \
             file gives",
            key.path.join(".")
        ),
    };
    let leaf = |value, part: &String| Value::Table([(part.clone(), value)].into_iter().collect());
    let Value::Table(table) = key.path.iter().rev().fold(value, leaf) else {
        bail!("the variable `{name}` names no key");
    };
    FileConfig::deserialize(table.clone()).with_context(|| format!("in the variable {name}"))?;
    Ok(table)
}

fn switch(text: &str) -> Option<bool> {
    match text {
        "true" | "1" => Some(true),
        "false" | "0" => Some(false),
        _ => None,
    }
}

/// A key of the settings as a variable can set it.
#[derive(Debug)]
struct Key {
    path: Vec<String>,
    kind: Kind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Text,
    Number,
    Switch,
    /// A list or a table of free names, which no variable sets.
    Several,
}

/// Every key by the name of its variable, from the schema of the file.
fn variables() -> BTreeMap<String, Key> {
    let schema = schemars::schema_for!(FileConfig).to_value();
    let mut all = BTreeMap::new();
    walk(&schema, &schema, &[], &mut all);
    all
}

fn walk(root: &Json, at: &Json, above: &[String], all: &mut BTreeMap<String, Key>) {
    let Some(properties) = at["properties"].as_object() else { return };
    for (name, schema) in properties {
        if above.is_empty() && name == "profile" {
            continue;
        }
        let path = [above, std::slice::from_ref(name)].concat();
        let schema = resolved(root, schema);
        if schema["properties"].is_object() {
            walk(root, schema, &path, all);
            continue;
        }
        let full = path.join("_").to_uppercase();
        let key = || Key { path: path.clone(), kind: kind(schema) };
        if let Some(table) = full.strip_suffix("_URL").filter(|_| name == "url") {
            all.insert(format!("{PREFIX}{table}"), key());
        }
        all.insert(format!("{PREFIX}{full}"), key());
    }
}

/// The schema behind a reference, also where it may be absent.
fn resolved<'a>(root: &'a Json, schema: &'a Json) -> &'a Json {
    let reference = schema["$ref"].as_str().or_else(|| schema["anyOf"][0]["$ref"].as_str());
    let target = reference.and_then(|it| root.pointer(it.trim_start_matches('#')));
    target.unwrap_or(schema)
}

fn kind(schema: &Json) -> Kind {
    let is = |word: &str| match &schema["type"] {
        Json::Array(words) => words.iter().any(|it| it == word),
        one => one == word,
    };
    match () {
        () if is("array") || is("object") => Kind::Several,
        () if is("boolean") => Kind::Switch,
        () if is("number") || is("integer") => Kind::Number,
        () => Kind::Text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_has_a_variable_by_one_rule() {
        let all = variables();
        let kind = |name: &str| all[name].kind;
        assert_eq!(kind("DIAGNOSE_TIMEOUT"), Kind::Text);
        assert_eq!(kind("DIAGNOSE_FAIL_ON"), Kind::Text);
        assert_eq!(kind("DIAGNOSE_INSECURE"), Kind::Switch);
        assert_eq!(kind("DIAGNOSE_MIN_COVERAGE"), Kind::Number);
        assert_eq!(kind("DIAGNOSE_SKIP"), Kind::Several);
        assert_eq!(kind("DIAGNOSE_GATEWAY_FIELDS"), Kind::Several);
        assert_eq!(all["DIAGNOSE_AWS_REGION"].path, ["aws", "region"]);
        assert_eq!(all["DIAGNOSE_AWS_PROFILE"].path, ["aws", "profile"]);
        assert_eq!(all["DIAGNOSE_PROMETHEUS"].path, ["prometheus", "url"]);
        assert_eq!(all["DIAGNOSE_URL"].path, ["url"]);
        assert!(OTHERS.iter().all(|name| !all.contains_key(*name)), "a setting hides another");
    }

    #[test]
    fn tables_are_laid_over_each_other_key_by_key() {
        let mut under: Table = "url = 'a'\n[aws]\nregion = 'r'\nprofile = 'p'".parse().unwrap();
        merge(&mut under, "[aws]\nregion = 's'".parse().unwrap());
        assert_eq!(under, "url = 'a'\n[aws]\nregion = 's'\nprofile = 'p'".parse().unwrap());
    }
}
