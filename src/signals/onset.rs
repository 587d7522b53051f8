//! When did it begin: change-point detection over the recorded history.

use super::{Ask, Baseline, Windows};
use crate::evidence::Evidence;

/// Decides what is judged and what it is compared with.
pub fn windows(evidence: &Evidence, _ask: &Ask) -> Windows {
    Windows { now: evidence.span, baseline: Baseline::None, onset: None }
}
