//! The condition of a check as people read it: each threshold with its unit.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    runbook::{Check, PolicyEntry, expr::signal_of},
    signals,
    unit::{Unit, significant},
};

/// When a check says yes, in Markdown, e.g. `` `x_change` ≥ 1.5× ``.
pub(super) fn in_words(check: &Check, policy: &BTreeMap<String, PolicyEntry>) -> String {
    match &check.when {
        Some(when) => words(&when.value, policy),
        None => without_condition(check).into(),
    }
}

/// When a check says yes that reads a table in place of signals.
pub(super) fn without_condition(check: &Check) -> &'static str {
    if check.xid.is_empty() {
        "all checks of a row of versions.yaml say yes, and it concerns the version that runs"
    } else {
        "the kernel's log holds an Xid of these kinds, by xid.yaml"
    }
}

/// Names of the signals that a condition reads.
pub(super) fn signals_of(condition: &str) -> BTreeSet<&str> {
    let names = tokens(condition).into_iter().map(signal_of);
    names.filter(|name| signals::find(name).is_some()).collect()
}

/// Whether the condition of a check reads a signal.
pub(super) fn reads(check: &Check, signal: &str) -> bool {
    check.when.as_ref().is_some_and(|when| signals_of(&when.value).contains(signal))
}

/// What a check reads, as the registry names sources.
pub(super) fn sources(check: &Check) -> Vec<&'static str> {
    let Some(when) = &check.when else {
        return vec![if check.xid.is_empty() { "metrics" } else { "kernel" }];
    };
    let read = signals_of(&when.value);
    let sources: BTreeSet<_> =
        read.into_iter().filter_map(signals::find).map(|signal| signal.source).collect();
    sources.into_iter().collect()
}

/// A condition in Markdown.
pub(super) fn words(condition: &str, policy: &BTreeMap<String, PolicyEntry>) -> String {
    let (mut out, mut left) = (String::new(), Left::default());
    for token in tokens(condition) {
        let word = left.word(token, policy);
        let tight = out.is_empty() || out.ends_with('(') || word == ")";
        out.push_str(if tight { "" } else { " " });
        out.push_str(&word);
    }
    out
}

/// What stands to the left of an operator.
#[derive(Default)]
struct Left<'a> {
    /// Its name.
    name: &'a str,
    /// Its unit, while it is a signal and nothing else.
    unit: Option<Unit>,
    /// What it is compared with, where it is a flag and the number is but the middle of no and yes.
    flag: Option<f64>,
}

impl<'a> Left<'a> {
    fn word(&mut self, token: &'a str, policy: &BTreeMap<String, PolicyEntry>) -> String {
        let is_flag = self.unit == Some(Unit::Flag);
        match token {
            "&&" | "||" => {
                *self = Self::default();
                return if token == "&&" { "and" } else { "or" }.into();
            }
            "*" => self.unit = None,
            _ => {}
        }
        match token {
            "*" => "×".into(),
            "!" => "not".into(),
            ">" | ">=" if is_flag => self.is(true),
            "<" | "<=" if is_flag => self.is(false),
            ">=" => "≥".into(),
            "<=" => "≤".into(),
            "<" => "&lt;".into(),
            ">" => "&gt;".into(),
            "(" | ")" => token.into(),
            _ => self.operand(token, policy),
        }
    }

    fn is(&mut self, yes: bool) -> String {
        self.flag = Some(f64::from(u8::from(yes)));
        "is".into()
    }

    fn operand(&mut self, token: &'a str, policy: &BTreeMap<String, PolicyEntry>) -> String {
        if let Ok(number) = token.parse::<f64>() {
            return self.number(number);
        }
        let entry = token.strip_prefix("policy_").and_then(|name| Some((name, policy.get(name)?)));
        if let Some((name, entry)) = entry {
            let whose = if name == self.name { String::new() } else { format!(" `{name}`") };
            return format!("{} (policy{whose})", self.number(entry.value));
        }
        *self = Self { name: token, unit: unit_of(token), flag: None };
        format!("`{token}`")
    }

    fn number(&self, number: f64) -> String {
        let number = self.flag.unwrap_or(number);
        self.unit.map_or_else(|| significant(number), |unit| unit.show(number))
    }
}

/// The unit of a signal in one of its views.
fn unit_of(variable: &str) -> Option<Unit> {
    let signal = signals::find(signal_of(variable))?;
    Some(if variable.ends_with("_change") { Unit::Factor } else { signal.unit })
}

/// Names and numbers, operators, and brackets.
fn tokens(condition: &str) -> Vec<&str> {
    let kind = |c: char| match c {
        _ if c.is_whitespace() => 0,
        '(' | ')' => 1,
        _ if c.is_ascii_alphanumeric() || matches!(c, '_' | '.') => 2,
        _ => 3,
    };
    let (mut found, mut start) = (Vec::new(), 0);
    let mut before = 0;
    for (at, c) in condition.char_indices().chain([(condition.len(), ' ')]) {
        let now = kind(c);
        if now != before || now == 1 {
            found.push(&condition[start..at]);
            start = at;
        }
        before = now;
    }
    found.retain(|token| !token.trim().is_empty());
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runbook::Library;

    fn shown(condition: &str) -> String {
        words(condition, &Library::embedded().unwrap().policy)
    }

    #[test]
    fn thresholds_have_the_unit_of_their_signal() {
        assert_eq!(
            shown("ttft_p95_seconds > policy_ttft_p95_seconds"),
            "`ttft_p95_seconds` &gt; 500 ms (policy)"
        );
        assert_eq!(
            shown("ttft_mean_seconds_change >= policy_ttft_change && !(hit_ratio < 0.2)"),
            "`ttft_mean_seconds_change` ≥ 1.5× (policy `ttft_change`) and not (`hit_ratio` &lt; 0.2)"
        );
        assert_eq!(shown("prefix_caching_enabled < 0.5"), "`prefix_caching_enabled` is no");
        assert_eq!(
            shown("arrivals_requests_per_second * 60.0 < 10.0"),
            "`arrivals_requests_per_second` × 60 &lt; 10"
        );
    }

    #[test]
    fn every_shipped_condition_reads_signals_and_keeps_all_its_words() {
        let library = Library::embedded().unwrap();
        for check in library.checks.values() {
            let Some(when) = &check.when else { continue };
            assert!(!signals_of(&when.value).is_empty(), "{}", check.id.value);
            let said = in_words(check, &library.policy);
            for name in signals_of(&when.value) {
                assert!(said.contains(name), "{}: {said}", check.id.value);
            }
            assert!(!said.contains("policy_"), "{}: {said}", check.id.value);
        }
    }
}
