//! Whom it hurt: requests over the objective.

use crate::evidence::{Evidence, Span};

use super::Frame;

/// Requests whose time to first token missed an objective.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Over {
    /// At least so many.
    pub lo: f64,
    /// At most so many; equal to `lo` where the objective is a bucket bound.
    pub hi: f64,
    /// Requests that got a first token.
    pub requests: f64,
}

/// Counts the requests of `span` (of one model, or of all) over `objective` seconds. `None` where
/// no request got a first token.
pub fn over(evidence: &Evidence, span: Span, objective: f64, model: Option<&str>) -> Option<Over> {
    let frame = Frame::new(evidence, span);
    let name = frame.name("ttft").ok()?;
    let histogram = frame.view.histogram_where(name, |series| {
        model.is_none_or(|model| series.label("model_name") == Some(model))
    })?;
    let above = histogram.bound_at_or_above(objective)?;
    let below = histogram.bounds().filter(|bound| *bound <= objective).last();
    let lo = histogram.above(above)?;
    let hi = below.map_or(Some(histogram.count), |bound| histogram.above(bound))?;
    (histogram.count > 0.0).then_some(Over { lo, hi, requests: histogram.count })
}
