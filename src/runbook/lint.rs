//! Mistakes in runbooks that no type can catch.

use super::{Library, Problem};

/// Every mistake, in the order of files and lines.
pub fn lint(_library: &Library) -> Vec<Problem> {
    Vec::new()
}
