//! Mistakes in the user's own rules, dashboards and alarms, compared with what a server exports.

mod alarms;
mod expression;
mod files;

use std::{collections::BTreeSet, sync::Arc};

use super::{load::Rules, target::Target};
use crate::runbook::problem::{Problem, SourceFile};

/// Everything wrong with some files, in their order and that of their lines. Without a target, names
/// are compared with all releases of vLLM.
pub fn lint(files: &[Arc<SourceFile>], target: Option<&Target>, rules: &Rules) -> Vec<Problem> {
    let read: Vec<_> = files.iter().map(|file| (file, files::read(file))).collect();
    let found = read.iter().filter_map(|(_, read)| read.as_ref().ok());
    // A name that a rule records is the user's own, whatever it looks like.
    let recorded: BTreeSet<String> = found.flat_map(|it| it.records.iter().cloned()).collect();
    let mut problems = Vec::new();
    for (file, read) in read {
        let read = match read {
            Ok(read) => read,
            Err(problem) => {
                problems.push(*problem);
                continue;
            }
        };
        let mut here = Vec::new();
        for (expression, span) in read.expressions {
            let said = expression::check(&expression, target, &recorded);
            here.extend(said.into_iter().map(|it| {
                Problem::error(file, span.clone(), it.message).as_warning().with_help(it.help)
            }));
        }
        here.extend(alarms::check(file, &read.alarms, target, rules));
        here.sort_by_key(|problem| (problem.line, problem.column));
        problems.extend(here);
    }
    problems
}

/// One thing wrong, and what to do about it.
#[derive(Debug, Clone, PartialEq)]
struct Said {
    message: String,
    help: Option<String>,
}

impl Said {
    fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), help: None }
    }

    fn with_help(self, help: impl Into<String>) -> Self {
        Self { help: Some(help.into()), ..self }
    }
}
