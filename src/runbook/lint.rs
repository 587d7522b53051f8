//! Mistakes in runbooks that no type can catch: names that lead nowhere, conditions that cannot be
//! answered, trees that never end.

mod advice;
mod tree;

use std::{collections::BTreeSet, ops::Range, sync::Arc};

use serde_saphyr::Spanned;

use super::{
    Cause, Check, Item, Kind, KnownChange, Library, Problem, SourceFile, Symptom, Threshold,
    expr::{Program, Scope, signal_of},
    problem::did_you_mean,
};
use crate::signals::{self, families::Version};

/// Commands of the tool: a runbook of such a name could never be run.
pub const RESERVED: [&str; 22] = [
    "verify",
    "baseline",
    "compare",
    "load",
    "slo",
    "alerts",
    "dashboard",
    "collector",
    "sweep",
    "prefix-diff",
    "collect",
    "explain",
    "eval",
    "runbook",
    "config",
    "completions",
    "man",
    "schema",
    "generate",
    "__nvml",
    "help",
    "exit-code",
];

/// Every mistake, in the order of files and lines.
pub fn lint(library: &Library) -> Vec<Problem> {
    lint_with(library, signals::registry().map(|signal| signal.name).collect())
}

/// The same against any set of signal names.
fn lint_with(library: &Library, signals: BTreeSet<&str>) -> Vec<Problem> {
    let mut linter = Linter { library, signals, scope: Scope::default(), problems: Vec::new() };
    linter.duplicates();
    linter.ids();
    library.checks.values().for_each(|check| linter.check(check));
    library.causes.values().for_each(|cause| linter.cause(cause));
    library.runbooks.values().for_each(|runbook| linter.runbook(runbook));
    library.versions.values().for_each(|change| linter.known_change(change));
    linter.unused_checks();
    let mut problems = linter.problems;
    problems.sort_by(|one, other| {
        let key = |problem: &Problem| (problem.file.layer, problem.file.path.clone(), problem.line);
        key(one).cmp(&key(other))
    });
    problems
}

struct Linter<'a> {
    library: &'a Library,
    signals: BTreeSet<&'a str>,
    scope: Scope,
    problems: Vec<Problem>,
}

/// A file and a place in it, at which problems point.
#[derive(Clone, Copy)]
struct Place<'a> {
    file: &'a Arc<SourceFile>,
    /// End of the item's id: texts without a span of their own are searched from here.
    from: usize,
}

impl Place<'_> {
    fn of(&self, text: &Spanned<String>) -> Range<usize> {
        self.file.span(text.referenced)
    }

    /// Where a text stands, as far as it stands there unquoted and on one line.
    fn find(&self, text: &str) -> Range<usize> {
        let first_line = text.lines().next().unwrap_or(text);
        let found = self.file.find_from(self.from, first_line).filter(|found| !found.is_empty());
        found.unwrap_or(self.from.saturating_sub(1)..self.from)
    }
}

impl<'a> Linter<'a> {
    fn place(&self, kind: Kind, id: &str) -> Option<Place<'a>> {
        let origin = self.library.origins.get(&(kind, id.to_owned()))?;
        Some(Place { file: &origin.file, from: origin.span.end })
    }

    fn error(
        &mut self,
        place: Place<'_>,
        span: Range<usize>,
        message: String,
        help: Option<String>,
    ) {
        self.problems.push(Problem::error(place.file, span, message).with_help(help));
    }

    fn warn(&mut self, place: Place<'_>, span: Range<usize>, message: String) {
        self.problems.push(Problem::error(place.file, span, message).as_warning());
    }

    fn duplicates(&mut self) {
        for ((kind, id), earlier) in &self.library.duplicates {
            let Some(later) = self.library.origins.get(&(*kind, id.clone())) else { continue };
            let first = Problem::error(&earlier.file, earlier.span.clone(), "");
            let help = format!("the other one is at {}:{}", first.file.path, first.line);
            let message = format!("`{id}` stands twice in one directory");
            let problem = Problem::error(&later.file, later.span.clone(), message);
            self.problems.push(problem.with_help(Some(help)));
        }
    }

    /// Ids are typed by people and parsed by tools.
    fn ids(&mut self) {
        for ((kind, id), origin) in &self.library.origins {
            let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
            let joint = if *kind == Kind::Policy { '_' } else { '-' };
            let well_formed = id.starts_with(plain) && id.chars().all(|c| plain(c) || c == joint);
            let place = Place { file: &origin.file, from: origin.span.end };
            if !well_formed {
                let message =
                    format!("`{id}` is not made of lower-case letters, digits and `{joint}`");
                self.error(place, origin.span.clone(), message, None);
            }
            if *kind == Kind::Runbook && RESERVED.contains(&id.as_str()) {
                let message =
                    format!("`{id}` is a command of the tool, so this runbook cannot be run");
                self.error(place, origin.span.clone(), message, None);
            }
        }
    }

    fn check(&mut self, check: &Check) {
        let Some(place) = self.place(Kind::Check, &check.id.value) else { return };
        if !check.question.trim_end().ends_with('?') {
            let span = place.find(&check.question);
            self.error(place, span, "the question does not end in a question mark".into(), None);
        }
        match &check.when {
            Some(_) if check.versions || !check.xid.is_empty() => {
                let message = "`when` and a table both answer this check: keep one".into();
                self.error(place, place.of(&check.id), message, None);
            }
            Some(when) => self.condition(place, when),
            None if check.versions || !check.xid.is_empty() => {}
            None => {
                let message = "nothing answers this check: give it `when`".into();
                self.error(place, place.of(&check.id), message, None);
            }
        }
        if let Some(symptom) = &check.symptom {
            self.symptom(place, symptom);
        }
    }

    fn condition(&mut self, place: Place<'_>, text: &Spanned<String>) {
        let span = place.of(text);
        let program = match Program::compile(&text.value) {
            Ok(program) => program,
            Err(why) => {
                return self.error(place, span, format!("not a CEL condition: {why}"), None);
            }
        };
        let known = self.problems.len();
        for name in program.variables() {
            self.variable(place, span.clone(), name);
        }
        if self.problems.len() > known {
            return;
        }
        if let Err(why) = program.dry_run(&self.scope) {
            let help = "numbers are floating-point: write 2.0 where you calculate, and compare to \
                        get yes or no";
            let message = format!("the condition cannot be answered: {why}");
            self.error(place, span, message, Some(help.into()));
        }
    }

    /// A variable of a condition: a signal in one of its views, or a policy entry.
    fn variable(&mut self, place: Place<'_>, within: Range<usize>, name: &str) {
        let policy = name.strip_prefix("policy_");
        let known = match policy {
            Some(entry) => self.library.policy.contains_key(entry),
            None => self.signals.contains(signal_of(name)),
        };
        if known {
            return;
        }
        let span = place.file.find_from(within.start, name).filter(|span| span.end <= within.end);
        let (message, help) = match policy {
            Some(entry) => {
                let entries = self.library.policy.keys().map(String::as_str);
                let help =
                    did_you_mean(entry, entries).map(|text| text.replacen('`', "`policy_", 1));
                (format!("unknown policy entry `{entry}`"), help)
            }
            None => {
                let help = did_you_mean(signal_of(name), self.signals.iter().copied());
                (format!("unknown signal `{}`", signal_of(name)), help)
            }
        };
        self.error(place, span.unwrap_or(within), message, help);
    }

    fn symptom(&mut self, place: Place<'_>, symptom: &Symptom) {
        let signal = &symptom.signal.value;
        if !self.signals.contains(signal.as_str()) {
            let help = did_you_mean(signal, self.signals.iter().copied());
            let span = place.of(&symptom.signal);
            self.error(place, span, format!("unknown signal `{signal}`"), help);
        }
        if let Some(Threshold::Policy(name)) = &symptom.threshold
            && !self.library.policy.contains_key(name)
        {
            let help = did_you_mean(name, self.library.policy.keys().map(String::as_str));
            self.error(place, place.find(name), format!("unknown policy entry `{name}`"), help);
        }
        for condition in symptom.critical.iter().chain(&symptom.expected) {
            self.condition(place, condition);
        }
        for meaning in &symptom.readings {
            self.condition(place, &meaning.when);
            meaning.causes.iter().for_each(|cause| self.known_cause(place, cause));
        }
        for word in placeholders(&symptom.statement) {
            let span = place.find(&format!("{{{word}}}"));
            if !PLACEHOLDERS.contains(&word) {
                let help = did_you_mean(word, PLACEHOLDERS);
                self.error(place, span, format!("unknown placeholder `{{{word}}}`"), help);
            } else if word == "threshold" && symptom.threshold.is_none() {
                self.error(place, span, "this symptom has no `threshold`".into(), None);
            }
        }
    }

    fn cause(&mut self, cause: &Cause) {
        let Some(place) = self.place(Kind::Cause, &cause.id.value) else { return };
        let id = place.of(&cause.id);
        if cause.decisive.is_empty() {
            let message = "no decisive check, so this cause can never be supported".into();
            self.error(place, id.clone(), message, None);
        }
        if cause.fixes.is_empty() {
            self.warn(
                place,
                id,
                "no fix: an engineer reads what is wrong and not what to do".into(),
            );
        }
        self.advice(place, cause);
        for item in items(cause) {
            self.known_check(place, &item.check);
        }
        if let Some(check) = &cause.decided_by {
            self.known_check(place, check);
        }
        for other in &cause.leads_to {
            self.known_cause(place, other);
        }
    }

    /// A range must be one, and its symptom must be looked for.
    fn known_change(&mut self, change: &KnownChange) {
        let Some(place) = self.place(Kind::Versions, &change.id.value) else { return };
        for bound in [Some(&change.from), change.until.as_ref()].into_iter().flatten() {
            if Version::parse(&bound.value).is_none() {
                let message = format!("`{}` is no version", bound.value);
                self.error(place, place.of(bound), message, None);
            }
        }
        if let (Some(until), Some(from)) = (&change.until, Version::parse(&change.from.value))
            && Version::parse(&until.value).is_some_and(|until| until <= from)
        {
            let message = "the range holds no version: `until` is not after `from`".into();
            self.error(place, place.of(until), message, None);
        }
        for check in &change.checks {
            self.known_check(place, check);
            if self.library.checks.get(&check.value).is_some_and(|check| check.versions) {
                let message = format!("`{}` asks this table itself", check.value);
                self.error(place, place.of(check), message, None);
            }
        }
    }

    fn known_check(&mut self, place: Place<'_>, check: &Spanned<String>) {
        if !self.library.checks.contains_key(&check.value) {
            let help = did_you_mean(&check.value, self.library.checks.keys().map(String::as_str));
            self.error(place, place.of(check), format!("unknown check `{}`", check.value), help);
        }
    }

    fn known_cause(&mut self, place: Place<'_>, cause: &Spanned<String>) {
        self.known_cause_at(place, place.of(cause), &cause.value);
    }

    fn known_cause_at(&mut self, place: Place<'_>, span: Range<usize>, cause: &str) {
        if !self.library.causes.contains_key(cause) {
            let help = did_you_mean(cause, self.library.causes.keys().map(String::as_str));
            self.error(place, span, format!("unknown cause `{cause}`"), help);
        }
    }

    /// A check that is a symptom opens the gate of a sweep, so it is used even if nothing names it.
    fn unused_checks(&mut self) {
        let mut used: BTreeSet<&str> = BTreeSet::new();
        for cause in self.library.causes.values() {
            used.extend(items(cause).map(|item| item.check.value.as_str()));
            used.extend(cause.decided_by.iter().map(|check| check.value.as_str()));
        }
        for runbook in self.library.runbooks.values() {
            used.extend(runbook.gate.iter().map(|check| check.value.as_str()));
            used.extend(runbook.steps.values().map(|step| step.check.value.as_str()));
        }
        for change in self.library.versions.values() {
            used.extend(change.checks.iter().map(|check| check.value.as_str()));
        }
        for check in self.library.checks.values() {
            let id = check.id.value.as_str();
            if let Some(place) = self.place(Kind::Check, id)
                && check.symptom.is_none()
                && !used.contains(id)
            {
                let message = format!("no cause and no runbook uses `{id}`");
                self.warn(place, place.of(&check.id), message);
            }
        }
    }
}

const PLACEHOLDERS: [&str; 5] = ["now", "baseline", "era", "change", "threshold"];

/// The words in braces.
fn placeholders(statement: &str) -> impl Iterator<Item = &str> {
    statement.split('{').skip(1).filter_map(|rest| rest.split_once('}')).map(|(word, _)| word)
}

fn items(cause: &Cause) -> impl Iterator<Item = &Item> {
    cause.requires.iter().chain(&cause.decisive).chain(&cause.supports).chain(&cause.against)
}

#[cfg(test)]
mod tests;
