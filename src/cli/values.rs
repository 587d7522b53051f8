//! Values of flags: durations, times, sizes and closed sets of words.

use std::time::Duration;

use clap::ValueEnum;

use crate::runbook::Severity;

/// Sources of evidence.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, ValueEnum, serde::Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "lowercase")]
#[value(rename_all = "lowercase")]
pub enum Source {
    /// The /metrics page.
    Metrics,
    /// /health, /version and the other endpoints.
    Probes,
    /// The server's log.
    Log,
    /// What kubectl printed.
    Kube,
    /// The kernel's log.
    Kernel,
    /// The gateway's records.
    Gateway,
    /// The machine and the process: CPU, memory, cgroup, open files.
    Host,
    /// The GPU driver on this host.
    Nvml,
    /// Series of Prometheus.
    Prometheus,
    /// Metrics and alarms of CloudWatch.
    Cloudwatch,
    /// The endpoint of SageMaker.
    Sagemaker,
    /// Scaling activities of the endpoint.
    Autoscaling,
    /// Traces of MLflow.
    Mlflow,
}

/// Report formats.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, ValueEnum, serde::Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "lowercase")]
#[value(rename_all = "lowercase")]
pub enum Format {
    /// For people, on a screen.
    Terminal,
    /// For a ticket.
    Markdown,
    /// For a browser: one page with charts, which needs no network and no script.
    Html,
    /// For programs: the frozen report, version 1.
    Json,
    /// For Jenkins, GitLab and their kin: what was looked at, as test cases.
    Junit,
}

/// Formats of answers that are no report.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "lowercase")]
pub enum PlainFormat {
    /// For people, on a screen.
    #[default]
    Terminal,
    /// For programs.
    Json,
}

/// Severity at which the gate closes.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, ValueEnum, serde::Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "lowercase")]
#[value(rename_all = "lowercase")]
pub enum FailOn {
    /// Degraded service.
    Warning,
    /// Users are failing.
    Critical,
}

impl From<FailOn> for Severity {
    fn from(value: FailOn) -> Self {
        match value {
            FailOn::Warning => Self::Warning,
            FailOn::Critical => Self::Critical,
        }
    }
}

/// What a JSON Schema describes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum SchemaOf {
    /// The JSON report, version 1.
    Report,
    /// The JSON report on many servers, version 1.
    Fleet,
    /// `<runbook>.yaml`.
    Runbook,
    /// `checks/<family>.yaml`.
    Checks,
    /// `causes/<family>.yaml`.
    Causes,
    /// `diagnose.toml`.
    Config,
    /// The JSON result of a load test, version 1.
    Load,
    /// The JSON comparison, version 1.
    Comparison,
    /// The JSON answer of `verify`, version 1.
    Verification,
}

/// The end of the time judged.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum At {
    /// Unix seconds.
    Time(f64),
    /// Seconds before the end of the evidence.
    BeforeEnd(f64),
}

/// Reads `15s`, `1h30m` or `30d`; a day has 24 hours.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    let hint = "write it with a unit, e.g. 15s, 10m or 1h30m";
    let days = text.strip_suffix('d').and_then(|days| days.parse::<u32>().ok());
    let signed: jiff::SignedDuration = match days {
        Some(days) => jiff::SignedDuration::from_hours(24 * i64::from(days)),
        None => text.parse().map_err(|_| format!("`{text}` is not a duration; {hint}"))?,
    };
    let duration = Duration::try_from(signed).map_err(|_| format!("it is negative; {hint}"))?;
    if duration.is_zero() {
        return Err(format!("it is zero; {hint}"));
    }
    Ok(duration)
}

/// Reads RFC 3339, or `-10m` before the end.
pub(super) fn parse_at(text: &str) -> Result<At, String> {
    if let Some(before) = text.strip_prefix('-') {
        return parse_duration(before).map(|duration| At::BeforeEnd(duration.as_secs_f64()));
    }
    let time: jiff::Timestamp = text.parse().map_err(|_| {
        format!("`{text}` is neither RFC 3339 (2026-11-21T03:14:00Z) nor like -10m")
    })?;
    Ok(At::Time(time.as_millisecond() as f64 / 1000.0))
}

/// What the time judged is compared with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BaselineOf {
    /// So long before it.
    Before(Duration),
    /// A baseline that was kept, by name.
    Kept(String),
}

/// Reads a duration, else the name of a baseline.
pub(super) fn parse_baseline(text: &str) -> Result<BaselineOf, String> {
    match parse_duration(text) {
        Ok(duration) => Ok(BaselineOf::Before(duration)),
        Err(why) if text.starts_with(|c: char| c.is_ascii_digit() || c == '-') => Err(why),
        Err(_) => parse_name(text).map(BaselineOf::Kept),
    }
}

/// Reads the name of a baseline, which becomes that of a folder: it begins with a letter, so that
/// it is no duration and no path.
pub fn parse_name(text: &str) -> Result<String, String> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    let fits = text.len() <= 64 && text.chars().all(plain);
    match fits && text.starts_with(|c: char| c.is_ascii_alphabetic()) {
        true => Ok(text.to_owned()),
        false => {
            Err("a name begins with a letter and has up to 64 letters, digits, `.`, `_` and `-`"
                .into())
        }
    }
}

/// Reads `64MiB`, `10kB` or a plain number of bytes.
pub fn parse_size(text: &str) -> Result<u64, String> {
    const UNITS: [(&str, u64); 7] = [
        ("KiB", 1 << 10),
        ("MiB", 1 << 20),
        ("GiB", 1 << 30),
        ("kB", 1000),
        ("MB", 1_000_000),
        ("GB", 1_000_000_000),
        ("B", 1),
    ];
    let unit = UNITS.iter().find(|(unit, _)| text.ends_with(unit));
    let (digits, factor) = match unit {
        Some((unit, factor)) => (text.trim_end_matches(unit).trim(), *factor),
        None => (text, 1),
    };
    let size = digits.parse::<u64>().ok().and_then(|number| number.checked_mul(factor));
    size.filter(|&size| size > 0)
        .ok_or_else(|| format!("`{text}` is not a size; write e.g. 64MiB, 10kB or 4096"))
}

/// Reads a share from 0 to 1.
pub(super) fn parse_share(text: &str) -> Result<f64, String> {
    let share = text.parse::<f64>().ok().filter(|share| (0.0..=1.0).contains(share));
    share.ok_or_else(|| format!("`{text}` is not a share from 0 to 1, e.g. 0.5"))
}

/// Reads the characters of a token.
pub(super) fn parse_chars(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(chars) if (0.25..=16.0).contains(&chars) => Ok(chars),
        _ => Err("between 0.25 and 16 characters, e.g. 4".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_baseline_is_a_duration_or_a_name_and_never_a_path() {
        assert_eq!(parse_baseline("10m"), Ok(BaselineOf::Before(Duration::from_secs(600))));
        assert_eq!(parse_baseline("nightly-0.23"), Ok(BaselineOf::Kept("nightly-0.23".into())));
        for hostile in ["../x", "/etc", "a/b", "..", ".hidden", "", "10", "-x", "a\0b", "ä", "a b"]
        {
            assert!(parse_baseline(hostile).is_err(), "{hostile}");
        }
    }

    #[test]
    fn times_durations_and_sizes() {
        assert_eq!(parse_at("-10m"), Ok(At::BeforeEnd(600.0)));
        assert_eq!(parse_at("1970-01-01T00:01:00Z"), Ok(At::Time(60.0)));
        assert!(parse_at("yesterday").is_err());
        assert_eq!(parse_duration("30d"), Ok(Duration::from_secs(30 * 86_400)));
        assert!(parse_duration("15").is_err() && parse_duration("-3s").is_err());
        assert_eq!(parse_size("64MiB"), Ok(67_108_864));
        assert!(parse_size("0").is_err() && parse_size("many").is_err());
    }
}
