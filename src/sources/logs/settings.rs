//! What a start of the server says of its settings, and how two starts differ.

use std::collections::{BTreeMap, BTreeSet};

use crate::evidence::{Event, EventKind, Time, bundle::shown};

/// What stands before the arguments in the line of a start (0.8.0 on).
const ARGUMENTS: &str = "non-default args: ";

/// What stands before the engine's own settings, whose defaults are resolved.
const CONFIG: [&str; 2] = ["Initializing a", "with config: "];

/// Settings by name.
type Settings = BTreeMap<String, String>;

/// The starts in a log.
#[derive(Default)]
pub(super) struct Starts {
    arguments: Vec<(Time, Settings)>,
    configs: Vec<(Time, Settings)>,
}

impl Starts {
    /// Looks for a start in a line.
    pub(super) fn see(&mut self, text: &str, at: Option<Time>) {
        let Some(at) = at else { return };
        if let Some((_, listed)) = text.split_once(ARGUMENTS) {
            self.arguments.push((at, arguments(listed)));
        } else if let Some((_, rest)) = text.split_once(CONFIG[0])
            && let Some((_, listed)) = rest.split_once(CONFIG[1])
        {
            self.configs.push((at, config(listed)));
        }
    }

    /// What differs from one start to the next: by the arguments where versions print them, else
    /// by the engine's settings.
    pub(super) fn changes(&self) -> Vec<Event> {
        let starts = if self.arguments.len() > 1 { &self.arguments } else { &self.configs };
        starts.windows(2).flat_map(|pair| differences(&pair[0].1, &pair[1])).collect()
    }
}

/// Entries of a Python dictionary such as `{'host': '127.0.0.1', 'max_num_seqs': 8}`.
fn arguments(listed: &str) -> Settings {
    let inner = listed.trim().trim_start_matches('{').trim_end_matches('}');
    let entries =
        inner.split(", '").filter_map(|entry| entry.trim_start_matches('\'').split_once("': "));
    kept(entries)
}

/// Entries such as `model='m', tensor_parallel_size=1, pooler_config=Pooler(a=1, b=2)`.
fn config(listed: &str) -> Settings {
    kept(top_level(listed).into_iter().filter_map(|entry| entry.trim().split_once('=')))
}

fn kept<'a>(entries: impl Iterator<Item = (&'a str, &'a str)>) -> Settings {
    entries
        .filter(|(name, _)| !SECRET.iter().any(|word| name.contains(word)))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}

/// Splits at the commas that stand in no bracket and no quote.
fn top_level(text: &str) -> Vec<&str> {
    let (mut parts, mut start, mut depth, mut quote) = (Vec::new(), 0, 0i32, None);
    for (at, c) in text.char_indices() {
        match (quote, c) {
            (Some(open), _) if c == open => quote = None,
            (Some(_), _) => {}
            (None, '\'' | '"') => quote = Some(c),
            (None, '(' | '[' | '{') => depth += 1,
            (None, ')' | ']' | '}') => depth -= 1,
            (None, ',') if depth == 0 => {
                parts.push(&text[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.push(&text[start..]);
    parts
}

/// Arguments whose values are nobody's business.
const SECRET: [&str; 3] = ["key", "token", "password"];

fn differences(before: &Settings, (at, after): &(Time, Settings)) -> Vec<Event> {
    let names: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    let value = |of: &Settings, name: &str| {
        of.get(name).map_or("the default".to_string(), |value| shown(value).into_owned())
    };
    names
        .into_iter()
        .filter(|name| before.get(*name) != after.get(*name))
        .map(|name| (name, value(before, name), value(after, name)))
        .map(|(name, old, new)| Event {
            at: *at,
            not_before: *at,
            kind: EventKind::ConfigChanged,
            text: format!("the server was started with {name} {new} instead of {old}"),
            source: "log",
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn changes(lines: &[&str]) -> Vec<String> {
        let mut starts = Starts::default();
        for (at, line) in lines.iter().enumerate() {
            starts.see(line, Some(at as f64));
        }
        starts.changes().into_iter().map(|event| event.text).collect()
    }

    #[test]
    fn a_start_with_other_arguments_is_an_event_that_names_them() {
        let lines = [
            "non-default args: {'model': 'm', 'max_num_seqs': 64}",
            "non-default args: {'model': 'm', 'max_num_seqs': 2, 'api_key': ['x']}",
        ];
        assert_eq!(changes(&lines), ["the server was started with max_num_seqs 2 instead of 64"]);
    }

    #[test]
    fn engines_that_list_no_arguments_are_compared_by_their_settings() {
        let lines = [
            "Initializing an LLM engine (v0.5.0) with config: model='m', seed=0, pool=P(a=1, b=2)",
            "Initializing an LLM engine (v0.5.0) with config: model='m', seed=0, pool=P(a=1, b=3)",
        ];
        let said = ["the server was started with pool P(a=1, b=3) instead of P(a=1, b=2)"];
        assert_eq!(changes(&lines), said);
    }
}
