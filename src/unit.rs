//! Units of measure: one place that knows suffixes and how a value is written for people.

use serde::{Deserialize, Serialize};

/// The base unit of a signal. Ratios are `0..1`; times are seconds; sizes are bytes or tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Unit {
    /// Seconds.
    Seconds,
    /// Bytes.
    Bytes,
    /// Tokens.
    Tokens,
    /// Tokens per second.
    TokensPerSecond,
    /// Requests.
    Requests,
    /// Requests per second.
    RequestsPerSecond,
    /// A share of a whole, `0..1`.
    Ratio,
    /// A plain number of events or things.
    Count,
    /// Events per minute.
    PerMinute,
    /// A factor: `2` means twice as much.
    Factor,
    /// 0 = no, 1 = yes.
    Flag,
}

impl Unit {
    /// The ending that a signal's name must carry, or `None` where the unit needs none.
    pub fn suffix(self) -> Option<&'static str> {
        Some(match self {
            Self::Seconds => "_seconds",
            Self::Bytes => "_bytes",
            Self::Tokens => "_tokens",
            Self::TokensPerSecond => "_tokens_per_second",
            Self::Requests => "_requests",
            Self::RequestsPerSecond => "_requests_per_second",
            Self::PerMinute => "_per_minute",
            Self::Factor => "_factor",
            Self::Ratio | Self::Count | Self::Flag => return None,
        })
    }

    /// The unit that a name's ending tells; a longer ending wins.
    pub fn of_name(name: &str) -> Option<Self> {
        const BY_ENDING: [Unit; 8] = [
            Unit::TokensPerSecond,
            Unit::RequestsPerSecond,
            Unit::PerMinute,
            Unit::Seconds,
            Unit::Bytes,
            Unit::Tokens,
            Unit::Requests,
            Unit::Factor,
        ];
        match name.rsplit('_').next() {
            Some("ratio") => return Some(Self::Ratio),
            Some("change") => return Some(Self::Factor),
            _ => {}
        }
        BY_ENDING.into_iter().find(|unit| unit.suffix().is_some_and(|end| name.ends_with(end)))
    }

    /// Writes `value` for a person, with at most three significant digits.
    pub fn show(self, value: f64) -> String {
        if !value.is_finite() {
            return if value > 0.0 { "unbounded".into() } else { "unknown".into() };
        }
        match self {
            Self::Seconds => show_seconds(value),
            Self::Bytes => show_bytes(value),
            Self::Tokens => format!("{} tokens", significant(value)),
            Self::TokensPerSecond => format!("{} tokens/s", significant(value)),
            Self::Requests => {
                let word = if value == 1.0 { "request" } else { "requests" };
                format!("{} {word}", significant(value))
            }
            Self::RequestsPerSecond => format!("{} requests/s", significant(value)),
            Self::Ratio => format!("{} %", significant(value * 100.0)),
            Self::Count => significant(value),
            Self::PerMinute => format!("{} /min", significant(value)),
            Self::Factor => format!("{}×", significant(value)),
            Self::Flag => if value >= 0.5 { "yes" } else { "no" }.into(),
        }
    }

    /// Writes an interval for a person, e.g. `100 to 250 ms`; one number where both ends agree.
    pub fn show_interval(self, lo: f64, hi: f64) -> String {
        let (low, high) = (self.show(lo), self.show(hi));
        if low == high {
            return low;
        }
        if !hi.is_finite() {
            return if lo > 0.0 { format!("over {low}") } else { "anything".into() };
        }
        if lo <= 0.0 {
            return format!("up to {high}");
        }
        match (low.rsplit_once(' '), high.rsplit_once(' ')) {
            (Some((number, unit)), Some((_, same))) if unit == same => {
                format!("{number} to {high}")
            }
            _ => format!("{low} to {high}"),
        }
    }
}

/// A number of things: `1 page`, `1,200 pages`.
pub fn counted(number: usize, thing: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{} {thing}{plural}", group_thousands(number as f64))
}

fn show_seconds(value: f64) -> String {
    let magnitude = value.abs();
    if magnitude == 0.0 {
        "0 ms".into()
    } else if magnitude < 0.001 {
        format!("{} µs", significant(value * 1e6))
    } else if magnitude < 1.0 {
        format!("{} ms", significant(value * 1e3))
    } else if magnitude < 120.0 {
        format!("{} s", significant(value))
    } else if magnitude < 7200.0 {
        format!("{} min", significant(value / 60.0))
    } else {
        format!("{} h", significant(value / 3600.0))
    }
}

fn show_bytes(value: f64) -> String {
    const STEPS: [(&str, f64); 4] = [
        ("TiB", 1_099_511_627_776.0),
        ("GiB", 1_073_741_824.0),
        ("MiB", 1_048_576.0),
        ("KiB", 1024.0),
    ];
    STEPS.iter().find(|(_, size)| value.abs() >= *size).map_or_else(
        || format!("{} B", significant(value)),
        |(name, size)| format!("{} {name}", significant(value / size)),
    )
}

/// Three significant digits, without trailing zeros; thousands are grouped.
pub fn significant(value: f64) -> String {
    let magnitude = value.abs();
    if magnitude >= 1000.0 {
        return group_thousands(round_to_three(value));
    }
    let decimals = match magnitude {
        m if m == 0.0 || m >= 99.95 => 0,
        m if m >= 9.995 => 1,
        m if m >= 0.9995 => 2,
        m if m >= 0.09995 => 3,
        _ => 4,
    };
    let text = format!("{value:.decimals$}");
    if text.contains('.') {
        text.trim_end_matches('0').trim_end_matches('.').to_string()
    } else {
        text
    }
}

fn round_to_three(value: f64) -> f64 {
    let scale = 10f64.powi(value.abs().log10().floor() as i32 - 2);
    (value / scale).round() * scale
}

fn group_thousands(value: f64) -> String {
    let digits = format!("{:.0}", value.abs());
    let mut out = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i) % 3 == 0 {
            out.push(',');
        }
        out.push(digit);
    }
    if value < 0.0 { format!("-{out}") } else { out }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_carry_three_significant_digits_and_the_natural_unit() {
        assert_eq!(Unit::Seconds.show(0.054_321), "54.3 ms");
        assert_eq!(Unit::Seconds.show(34.412), "34.4 s");
        assert_eq!(Unit::Seconds.show(0.000_171), "171 µs");
        assert_eq!(Unit::Tokens.show(262_144.0), "262,000 tokens");
        assert_eq!(Unit::Ratio.show(0.8312), "83.1 %");
        assert_eq!(Unit::Requests.show(1.0), "1 request");
        assert_eq!(Unit::Bytes.show(1_073_741_824.0), "1 GiB");
        assert_eq!(Unit::Count.show(0.0), "0");
        assert_eq!(
            (counted(1, "page").as_str(), counted(0, "page").as_str()),
            ("1 page", "0 pages")
        );
    }

    #[test]
    fn an_interval_is_written_as_one_and_never_as_a_false_point() {
        assert_eq!(Unit::Seconds.show_interval(0.1, 0.25), "100 to 250 ms");
        assert_eq!(Unit::Seconds.show_interval(0.8, 1.0), "800 ms to 1 s");
        assert_eq!(Unit::Seconds.show_interval(0.0, f64::INFINITY), "anything");
        assert_eq!(Unit::Seconds.show_interval(0.0, 0.3), "up to 300 ms");
        assert_eq!(Unit::Seconds.show_interval(2560.0, f64::INFINITY), "over 42.7 min");
        assert_eq!(Unit::Ratio.show_interval(0.5, 0.5), "50 %");
    }
}
