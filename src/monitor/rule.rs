//! Rules of Prometheus as YAML.

use std::fmt::Write as _;

use super::target::Target;
use crate::{report::text::wrap, runbook::Severity};

/// Columns of a comment.
const WIDTH: usize = 92;

/// One alerting rule.
#[derive(Debug, Clone, PartialEq)]
pub struct Rule {
    /// Its name.
    pub id: String,
    /// What holds where it fires.
    pub expr: String,
    /// How long that must hold.
    pub lasting: Option<String>,
    /// Whether it pages.
    pub severity: Severity,
    /// Labels beside the severity.
    pub labels: Vec<(&'static str, String)>,
    /// A short title.
    pub summary: String,
    /// What its value means.
    pub description: String,
    /// The command to run.
    pub command: String,
    /// The runbook's id.
    pub runbook: Option<String>,
    /// What to do first.
    pub action: String,
    /// What must be said of it.
    pub notes: Vec<String>,
}

/// A rule, or why there is none.
#[derive(Debug, Clone, PartialEq)]
pub enum Row {
    /// The rule.
    Rule(Rule),
    /// There is none.
    Left {
        /// The name that it would have.
        id: String,
        /// Why.
        why: String,
    },
}

/// The file with its groups.
pub fn yaml(target: &Target, groups: &[(&str, Vec<Row>)]) -> String {
    let mut out = String::new();
    comment(&mut out, "", &format!("Alert rules for {}.", target.name));
    comment(&mut out, "", HEAD);
    out.push_str(INHIBIT);
    out.push_str("groups:\n");
    for (name, rows) in groups {
        let _ = writeln!(out, "  - name: {name}");
        let any = rows.iter().any(|row| matches!(row, Row::Rule(_)));
        let _ = writeln!(out, "    rules:{}", if any { "" } else { " []" });
        rows.iter().for_each(|row| put(&mut out, row, target));
    }
    out
}

const HEAD: &str = "Written by `diagnose alerts render`: write them again after an upgrade of vLLM, \
                    as names and buckets change. Only what the server exports is asked for.";

/// Label-wise inhibition is a setting of the Alertmanager, not of a rule.
const INHIBIT: &str = "# For the Alertmanager, so that a fast tier of an objective silences its slower ones:
# inhibit_rules:
#   - {source_matchers: [tier=\"fast\"], target_matchers: [tier=~\"slow|day|trickle\"], equal: [slo, model_name]}
#   - {source_matchers: [tier=\"slow\"], target_matchers: [tier=~\"day|trickle\"], equal: [slo, model_name]}
#   - {source_matchers: [tier=\"day\"], target_matchers: [tier=\"trickle\"], equal: [slo, model_name]}
";

fn put(out: &mut String, row: &Row, target: &Target) {
    let rule = match row {
        Row::Rule(rule) => rule,
        Row::Left { id, why } => {
            let stop = if why.ends_with('?') { "" } else { "." };
            return comment(out, "      ", &format!("{id} is left out: {why}{stop}"));
        }
    };
    rule.notes.iter().for_each(|note| comment(out, "      ", note));
    let expr = rule.expr.replace("vllm:", target.prefix).replace('\n', "\n          ");
    let _ = write!(out, "      - alert: {}\n        expr: |-\n          {expr}\n", rule.id);
    if let Some(lasting) = &rule.lasting {
        let _ = writeln!(out, "        for: {lasting}");
    }
    let _ = writeln!(out, "        labels:\n          severity: {}", word(rule.severity));
    for (label, value) in &rule.labels {
        let _ = writeln!(out, "          {label}: {value}");
    }
    out.push_str("        annotations:\n");
    let annotations = [
        ("summary", Some(&rule.summary)),
        ("description", Some(&rule.description)),
        ("runbook", Some(&rule.command)),
        ("diagnose_runbook", rule.runbook.as_ref()),
        ("action", Some(&rule.action)),
    ];
    for (name, text) in annotations {
        if let Some(text) = text {
            let _ = writeln!(out, "          {name}: {}", quoted(text));
        }
    }
}

fn comment(out: &mut String, indent: &str, text: &str) {
    for line in wrap(text, WIDTH.saturating_sub(indent.len())) {
        let _ = writeln!(out, "{indent}# {line}");
    }
}

/// A severity as labels have it.
pub fn word(severity: Severity) -> String {
    format!("{severity:?}").to_lowercase()
}

/// A YAML scalar in single quotes, in which only they are special.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// A number as PromQL has it, without the noise of its last digits.
pub fn number(value: f64) -> String {
    let rounded: f64 = format!("{value:.9e}").parse().unwrap_or(value);
    rounded.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_no_noise() {
        assert_eq!(number(14.4 * (1.0 - 0.999)), "0.0144");
        assert_eq!((number(80.0), number(0.5)), ("80".into(), "0.5".to_owned()));
    }

    #[test]
    fn quotes_inside_are_doubled() {
        assert_eq!(quoted("it's \"x\""), "'it''s \"x\"'");
    }
}
