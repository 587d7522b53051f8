//! Axes: few round ticks, one unit for all of them, times in UTC.

use jiff::Timestamp;

use crate::unit::{Unit, significant};

/// A unit that all ticks of an axis share.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Scale {
    /// What a tick counts, e.g. `ms` or `thousand tokens`.
    pub unit: &'static str,
    /// Ticks per base unit.
    pub factor: f64,
}

/// The unit in which values up to `largest` are short to write.
pub fn scale(unit: Unit, largest: f64) -> Scale {
    let steps: &[(f64, &'static str, f64)] = match unit {
        Unit::Seconds => &[
            (7200.0, "hours", 1.0 / 3600.0),
            (120.0, "minutes", 1.0 / 60.0),
            (1.0, "seconds", 1.0),
            (1e-3, "milliseconds", 1e3),
            (0.0, "microseconds", 1e6),
        ],
        Unit::Bytes => &[
            (1_099_511_627_776.0, "TiB", 1.0 / 1_099_511_627_776.0),
            (1_073_741_824.0, "GiB", 1.0 / 1_073_741_824.0),
            (1_048_576.0, "MiB", 1.0 / 1_048_576.0),
            (1024.0, "KiB", 1.0 / 1024.0),
            (0.0, "bytes", 1.0),
        ],
        Unit::Ratio => &[(0.0, "per cent", 100.0)],
        Unit::Flag => &[(0.0, "1 is yes, 0 is no", 1.0)],
        Unit::Tokens => {
            &[(1e7, "million tokens", 1e-6), (1e4, "thousand tokens", 1e-3), (0.0, "tokens", 1.0)]
        }
        Unit::TokensPerSecond => &[
            (1e7, "million tokens per second", 1e-6),
            (1e4, "thousand tokens per second", 1e-3),
            (0.0, "tokens per second", 1.0),
        ],
        Unit::Requests => &[(1e4, "thousand requests", 1e-3), (0.0, "requests", 1.0)],
        Unit::RequestsPerSecond => {
            &[(1e4, "thousand requests per second", 1e-3), (0.0, "requests per second", 1.0)]
        }
        Unit::PerMinute => &[(1e4, "thousand per minute", 1e-3), (0.0, "per minute", 1.0)],
        Unit::Count => &[(1e7, "millions", 1e-6), (1e4, "thousands", 1e-3), (0.0, "count", 1.0)],
        Unit::Factor => &[(0.0, "times", 1.0)],
    };
    let fits = |step: &&(f64, &'static str, f64)| largest.abs() >= step.0;
    let (_, unit, factor) = steps.iter().find(fits).copied().unwrap_or((0.0, "", 1.0));
    Scale { unit, factor }
}

/// Round values from `lo` to `hi` and a little beyond, about `count` of them.
pub fn ticks(lo: f64, hi: f64, count: usize) -> Vec<f64> {
    let rough = (hi - lo) / count.max(1) as f64;
    if !rough.is_finite() || rough <= 0.0 {
        return vec![lo];
    }
    let power = 10f64.powf(rough.log10().floor());
    let round = [1.0, 2.0, 2.5, 5.0, 10.0].map(|step| step * power);
    let step = round.into_iter().find(|step| *step >= rough * 0.999).unwrap_or(10.0 * power);
    let (first, last) = ((lo / step).floor(), (hi / step - 1e-9).ceil());
    (0..=(last - first) as usize).map(|index| (first + index as f64) * step).collect()
}

/// A tick's number.
pub fn label(tick: f64) -> String {
    significant(tick)
}

/// Steps of a time axis, seconds.
const STEPS: [f64; 19] = [
    1.0, 2.0, 5.0, 10.0, 15.0, 30.0, 60.0, 120.0, 300.0, 600.0, 900.0, 1800.0, 3600.0, 7200.0,
    10_800.0, 21_600.0, 43_200.0, 86_400.0, 604_800.0,
];

/// Round times inside a span, at most `most` of them, with their labels in UTC.
pub fn times(from: f64, to: f64, most: usize) -> Vec<(f64, String)> {
    let fits = |step: &f64| (to - from) / step <= most as f64;
    let Some(step) = STEPS.into_iter().find(fits) else { return Vec::new() };
    let format = match step {
        s if s >= 86_400.0 => "%m-%d",
        s if s >= 60.0 => "%H:%M",
        _ => "%H:%M:%S",
    };
    let first = (from / step).ceil();
    let ticks = (0..most).map(|index| (first + index as f64) * step);
    ticks.take_while(|at| *at <= to).map(|at| (at, time(at, format))).collect()
}

/// A Unix time in words, cut to whole seconds as everywhere in the report.
pub fn time(at: f64, format: &str) -> String {
    Timestamp::from_second(at.floor() as i64)
        .map_or_else(|_| "unknown".into(), |at| at.strftime(format).to_string())
}

/// The day or days of a span, as a caption says them.
pub fn days(from: f64, to: f64) -> String {
    let (first, last) = (time(from, "%Y-%m-%d"), time(to, "%Y-%m-%d"));
    if first == last { format!("{first}, UTC") } else { format!("{first} to {last}, UTC") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round_and_hold_the_values() {
        assert_eq!(ticks(0.0, 235.0, 4), [0.0, 100.0, 200.0, 300.0]);
        assert_eq!(ticks(0.0, 1.0, 4), [0.0, 0.25, 0.5, 0.75, 1.0]);
        assert_eq!(ticks(3.0, 3.0, 4), [3.0]);
        assert_eq!(ticks(f64::NAN, 1.0, 4).len(), 1);
    }

    #[test]
    fn a_scale_keeps_numbers_short() {
        assert_eq!(scale(Unit::Seconds, 0.235), Scale { unit: "milliseconds", factor: 1e3 });
        assert_eq!(scale(Unit::Seconds, 0.0).unit, "microseconds");
        assert_eq!(scale(Unit::Tokens, 64_000.0).unit, "thousand tokens");
    }

    #[test]
    fn times_are_round_and_few() {
        let ticks = times(1_795_304_323.4, 1_795_304_486.5, 5);
        let labels: Vec<&str> = ticks.iter().map(|(_, label)| label.as_str()).collect();
        assert_eq!(labels, ["23:39", "23:40", "23:41"]);
        assert_eq!(times(0.0, 1e12, 5), []);
        assert_eq!(days(0.0, 90_000.0), "1970-01-01 to 1970-01-02, UTC");
    }
}
