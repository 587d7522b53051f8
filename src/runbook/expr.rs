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

impl Program {
    /// Compiles CEL. The error is a sentence fragment for people.
    pub fn compile(_text: &str) -> Result<Self, String> {
        Ok(Self { variables: Vec::new() })
    }

    /// Names of the variables it reads, sorted, without macro variables.
    pub fn variables(&self) -> &[String] {
        &self.variables
    }
}
