//! What grows over a test: the sign of a leak.

use super::{
    limits::{TrendLimits, TrendRule},
    result::{Interval, Trend},
};
use crate::{
    evidence::{Evidence, Span},
    signals::{self, course::over_time as course},
    stats::{mann_kendall, theil_sen},
    unit::Unit,
};

/// Seconds of an hour.
const HOUR: f64 = 3600.0;

/// The trends that the evidence shows within a span. What was sampled too seldom is left out.
pub fn trends(evidence: &Evidence, span: Span, limits: &TrendLimits) -> Vec<Trend> {
    let of = |rule: &TrendRule| {
        let signal = signals::find(&rule.signal)?;
        trend(rule, signal.unit, &course(evidence, signal, span).points, limits)
    };
    limits.of.iter().filter_map(of).collect()
}

fn trend(
    rule: &TrendRule,
    unit: Unit,
    points: &[(f64, f64)],
    limits: &TrendLimits,
) -> Option<Trend> {
    if points.len() < limits.least_samples {
        return None;
    }
    let values: Vec<f64> = points.iter().map(|point| point.1).collect();
    let (first, last) = (*values.first()?, *values.last()?);
    let p_value = mann_kendall(&values)?;
    let slope = theil_sen(points)?;
    let level = values.iter().sum::<f64>() / values.len() as f64;
    let matters = slope.slope * HOUR > rule.matters * level.abs();
    Some(Trend {
        id: rule.id.clone(),
        title: rule.title.clone(),
        unit,
        n: values.len() as u64,
        first,
        last,
        per_hour: slope.slope * HOUR,
        per_hour_interval: Some(Interval { lo: slope.lo * HOUR, hi: slope.hi * HOUR }),
        p_value,
        grew: p_value < limits.p_value && matters,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::scenario::Loads;

    fn of(value: impl Fn(f64) -> f64) -> Trend {
        let limits = Loads::load(&[]).unwrap().limits.unwrap().trends;
        let rule = limits.of.iter().find(|it| it.id == "server_memory").unwrap();
        let points: Vec<_> =
            (0..60).map(|it| (f64::from(it) * 60.0, value(f64::from(it)))).collect();
        trend(rule, Unit::Bytes, &points, &limits).unwrap()
    }

    #[test]
    fn a_leak_is_told_from_noise_and_from_what_does_not_matter() {
        let leak = of(|minute| 1e9 * (1.0 + 0.002 * minute) + 1e6 * (minute * 7.0).sin());
        assert!(leak.grew && leak.p_value < 0.001 && (leak.per_hour / 1e9 - 0.12).abs() < 0.01);
        let noise = of(|minute| 1e9 + 1e8 * (minute * 7.0).sin());
        assert!(!noise.grew);
        let slight = of(|minute| 1e9 + 1e3 * minute);
        assert!(!slight.grew && slight.p_value < 0.001);
    }
}
