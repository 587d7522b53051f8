//! Limits of the server that were reached over a test: plain readings, which need no baseline.

use super::{limits::BottleneckRule, result::Bottleneck};
use crate::{
    report::{Number, ReadingRow, Report},
    signals,
};

/// The limits that were reached, in the order of the rules.
pub fn reached(rules: &[BottleneckRule], report: &Report) -> Vec<Bottleneck> {
    let of = |rule: &BottleneckRule| {
        let value = lowest(reading(report, &rule.signal)?.now?);
        (value > rule.above).then(|| Bottleneck {
            id: rule.id.clone(),
            signal: rule.signal.clone(),
            value,
            text: filled(&rule.says, &rule.signal, report),
        })
    };
    rules.iter().filter_map(of).collect()
}

fn reading<'a>(report: &'a Report, signal: &str) -> Option<&'a ReadingRow> {
    report.readings.iter().find(|row| row.signal == signal)
}

/// The value that is sure.
fn lowest(number: Number) -> f64 {
    match number {
        Number::Point(value) => value,
        Number::Interval { lo, .. } => lo,
    }
}

/// Puts values in place of `{now}`, `{signal}` and `{signal|words where it is missing}`.
fn filled(says: &str, own: &str, report: &Report) -> String {
    let mut out = String::new();
    let mut rest = says;
    while let Some((before, after)) = rest.split_once('{') {
        let (field, tail) = after.split_once('}').unwrap_or((after, ""));
        let (name, otherwise) = field.split_once('|').unwrap_or((field, "an unknown number"));
        let name = if name == "now" { own } else { name };
        out.push_str(before);
        out.push_str(&shown(name, report).unwrap_or_else(|| otherwise.to_owned()));
        rest = tail;
    }
    out + rest
}

fn shown(name: &str, report: &Report) -> Option<String> {
    let row = reading(report, name)?;
    let unit = signals::find(name)?.unit;
    Some(match row.now? {
        Number::Point(value) => unit.show(value),
        Number::Interval { lo, hi } => unit.show_interval(lo, hi.unwrap_or(f64::INFINITY)),
    })
}
