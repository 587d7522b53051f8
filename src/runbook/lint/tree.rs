//! Mistakes in decision trees.

use std::collections::{BTreeMap, BTreeSet};

use super::{Kind, Linter, Place, did_you_mean};
use crate::runbook::{Next, Runbook, Step, Test};

impl Linter<'_> {
    pub(super) fn runbook(&mut self, runbook: &Runbook) {
        let Some(place) = self.place(Kind::Runbook, &runbook.id.value) else { return };
        self.gate(place, runbook);
        for cause in &runbook.causes {
            self.known_cause(place, cause);
        }
        let start = &runbook.start;
        if !runbook.steps.contains_key(&start.value) {
            let help = did_you_mean(&start.value, step_names(runbook));
            self.error(place, place.of(start), format!("unknown step `{}`", start.value), help);
        }
        for step in runbook.steps.values() {
            self.step(place, runbook, step);
        }
        self.ends(place, runbook);
        self.unreachable(place, runbook);
        for test in &runbook.tests {
            self.test(place, runbook, test);
        }
    }

    fn gate(&mut self, place: Place<'_>, runbook: &Runbook) {
        if runbook.gate.is_empty() {
            let message = "empty gate: nothing says whether this runbook's symptom holds";
            self.error(place, place.of(&runbook.id), message.into(), None);
        }
        for id in &runbook.gate {
            self.known_check(place, id);
            let check = self.library.checks.get(&id.value);
            if check.is_some_and(|check| check.symptom.is_none()) {
                let message =
                    format!("`{}` has no `symptom` block, so it cannot be a gate", id.value);
                self.error(place, place.of(id), message, None);
            }
        }
    }

    fn step(&mut self, place: Place<'_>, runbook: &Runbook, step: &Step) {
        self.known_check(place, &step.check);
        for (answer, next) in answers(step) {
            let fields = [next.goto.is_some(), next.cause.is_some(), next.done.is_some()];
            if fields.iter().filter(|set| **set).count() != 1 {
                let message = format!("`{answer}` needs exactly one of `goto`, `cause` and `done`");
                self.error(place, place.of(&step.check), message, None);
            }
            if let Some(goto) = &next.goto
                && !runbook.steps.contains_key(&goto.value)
            {
                let help = did_you_mean(&goto.value, step_names(runbook));
                self.error(place, place.of(goto), format!("unknown step `{}`", goto.value), help);
            }
            if let Some(cause) = &next.cause {
                self.known_cause(place, cause);
                let ranked = runbook.causes.iter().any(|ranked| ranked.value == cause.value);
                if !runbook.causes.is_empty() && !ranked {
                    let message = format!("`{}` is not among this runbook's `causes`", cause.value);
                    self.error(place, place.of(cause), message, None);
                }
            }
        }
    }

    /// A walk must end whatever the answers are, so the tree may have no cycle.
    fn ends(&mut self, place: Place<'_>, runbook: &Runbook) {
        let Some(cycle) = find_cycle(runbook) else { return };
        let shown: Vec<_> = cycle.iter().map(|name| format!("`{name}`")).collect();
        let span = cycle
            .first()
            .and_then(|name| runbook.steps.get(*name))
            .map_or(place.of(&runbook.start), |step| place.of(&step.check));
        let message = format!("the walk can go in a circle: {}", shown.join(" → "));
        let help = "end one of these answers with `cause` or `done`";
        self.error(place, span, message, Some(help.into()));
        for name in trapped(runbook) {
            if let Some(step) = runbook.steps.get(name) {
                let message = format!("no answer of `{name}` ever leads to an end");
                self.error(place, place.of(&step.check), message, None);
            }
        }
    }

    fn unreachable(&mut self, place: Place<'_>, runbook: &Runbook) {
        let mut reached = BTreeSet::new();
        let mut open = vec![runbook.start.value.as_str()];
        while let Some(name) = open.pop() {
            if reached.insert(name) {
                open.extend(runbook.steps.get(name).into_iter().flat_map(gotos));
            }
        }
        for (name, step) in &runbook.steps {
            if !reached.contains(name.as_str()) {
                let message = format!("no answer leads to the step `{name}`");
                self.error(place, place.of(&step.check), message, None);
            }
        }
    }

    fn test(&mut self, place: Place<'_>, runbook: &Runbook, test: &Test) {
        let from = place.find(&test.name).start;
        let here = Place { from, ..place };
        for name in test.given.keys() {
            self.variable(here, here.find(name), name);
        }
        for step in test.expect.path.iter().flatten() {
            if !runbook.steps.contains_key(step) {
                let help = did_you_mean(step, step_names(runbook));
                self.error(here, here.find(step), format!("unknown step `{step}`"), help);
            }
        }
        for cause in test.expect.cause.iter().chain(&test.expect.not) {
            self.known_cause_at(here, here.find(cause), cause);
        }
    }
}

fn answers(step: &Step) -> [(&'static str, &Next); 3] {
    [("then", &step.then), ("else", &step.otherwise), ("unknown", &step.unknown)]
}

fn gotos(step: &Step) -> impl Iterator<Item = &str> {
    answers(step).into_iter().filter_map(|(_, next)| Some(next.goto.as_ref()?.value.as_str()))
}

fn step_names(runbook: &Runbook) -> impl Iterator<Item = &str> {
    runbook.steps.keys().map(String::as_str)
}

/// Steps in a circle, the first one again at the end. Depth first, without recursion, so that a
/// hostile file cannot exhaust the stack.
fn find_cycle(runbook: &Runbook) -> Option<Vec<&str>> {
    let mut done = BTreeSet::new();
    for start in step_names(runbook) {
        let mut path: Vec<(&str, Vec<&str>)> = vec![(start, next_steps(runbook, start))];
        while let Some((name, open)) = path.last_mut() {
            let Some(next) = open.pop() else {
                done.insert(*name);
                path.pop();
                continue;
            };
            if let Some(position) = path.iter().position(|(on_path, _)| *on_path == next) {
                let circle = path[position..].iter().map(|(name, _)| *name);
                return Some(circle.chain([next]).collect());
            }
            if !done.contains(next) {
                path.push((next, next_steps(runbook, next)));
            }
        }
    }
    None
}

fn next_steps<'a>(runbook: &'a Runbook, name: &str) -> Vec<&'a str> {
    runbook.steps.get(name).into_iter().flat_map(gotos).collect()
}

/// Steps from which no answers lead to an end.
fn trapped(runbook: &Runbook) -> Vec<&str> {
    let ends = |step: &Step| answers(step).iter().any(|(_, next)| next.goto.is_none());
    let mut leaves: BTreeMap<&str, bool> =
        runbook.steps.iter().map(|(name, step)| (name.as_str(), ends(step))).collect();
    loop {
        let more: Vec<&str> = runbook
            .steps
            .iter()
            .filter(|(name, step)| {
                !leaves[name.as_str()] && gotos(step).any(|next| leaves.get(next) == Some(&true))
            })
            .map(|(name, _)| name.as_str())
            .collect();
        if more.is_empty() {
            return leaves.into_iter().filter(|(_, out)| !out).map(|(name, _)| name).collect();
        }
        leaves.extend(more.into_iter().map(|name| (name, true)));
    }
}
