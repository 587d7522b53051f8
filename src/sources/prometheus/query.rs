//! The queries, as text.

use std::collections::BTreeSet;

use super::{Kind, Metric};
use crate::{evidence::Span, sources::exposition};

/// Every server of vLLM exports it, in every version, one series an engine.
pub(super) const PRESENCE: &str = "num_requests_running";

/// What tells of a process whether it lives, and since when.
pub(super) const OF_LIFE: &str = "up|process_start_time_seconds";

/// What comes between the stem of a name and its ending where a pipeline adds units.
const UNITS: [&str; 5] = ["_ratio", "_seconds", "_milliseconds", "_bytes", "_tokens"];

/// What a histogram or summary has instead of samples under its own name.
const PARTS: [&str; 3] = ["_bucket", "_sum", "_count"];

/// Matchers as a user gives them, without the braces.
pub(super) fn bare(selector: &str) -> &str {
    let text = selector.trim();
    let text = text.strip_prefix('{').and_then(|it| it.strip_suffix('}')).unwrap_or(text);
    text.trim().trim_end_matches(',')
}

/// Series whose names match `names`, and whose labels match `matchers`.
pub(super) fn series(names: &str, matchers: &str) -> String {
    let comma = if matchers.is_empty() { "" } else { "," };
    format!("{{__name__=~\"{names}\"{comma}{matchers}}}")
}

/// Names of one metric of vLLM in every spelling, as a regular expression.
pub(super) fn presence() -> String {
    format!("(?:ray_)?vllm[:_]{PRESENCE}")
}

/// Names of vLLM's metrics in every spelling.
pub(super) fn of_vllm(metrics: &[Metric]) -> String {
    let stems = stems(metrics, |name| name.strip_prefix("vllm:"));
    format!("(?:ray_)?vllm[:_](?:{})(?:{})?{}", stems.join("|"), UNITS.join("|"), endings())
}

/// Names of the metrics of its HTTP layer and process.
pub(super) fn of_server(metrics: &[Metric]) -> String {
    let stems = stems(metrics, |name| (!name.starts_with("vllm:")).then_some(name));
    format!("up|(?:{}){}", stems.join("|"), endings())
}

fn endings() -> String {
    format!("(?:_total)?(?:{})?", PARTS.join("|"))
}

fn stems<'a>(metrics: &'a [Metric], of: fn(&'a str) -> Option<&'a str>) -> Vec<&'a str> {
    let stem = |metric: &'a Metric| {
        let name = of(metric.name)?;
        Some(if metric.kind == Kind::Counter { name.trim_end_matches("_total") } else { name })
    };
    let stems: BTreeSet<&str> = metrics.iter().filter_map(stem).collect();
    stems.into_iter().collect()
}

/// A range that reaches back over a span.
pub(super) fn range(span: Span) -> String {
    format!("{}s", span.seconds().ceil().max(1.0) as u64)
}

/// A label with one of several values, as a matcher.
pub(super) fn one_of(label: &str, values: &BTreeSet<&str>) -> String {
    let values: Vec<String> = values.iter().map(|value| quoted(&literal(value))).collect();
    format!("{label}=~\"{}\"", values.join("|"))
}

/// A text inside of a PromQL string.
pub(super) fn quoted(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

/// A regular expression that only this text matches.
fn literal(text: &str) -> String {
    let special = |char: char| r"\.+*?()|[]{}^$".contains(char);
    text.chars().fold(String::new(), |mut out, char| {
        if special(char) {
            out.push('\\');
        }
        out.push(char);
        out
    })
}

/// The usual name of a stored one: with the colon, without the units that pipelines add, counters
/// with `_total`. `None` for what is none of `metrics`.
pub(super) fn usual(stored: &str, metrics: &[Metric]) -> Option<String> {
    let name = exposition::canonical(stored);
    let (stem, part) = split(&name, &PARTS);
    let known = |stem: &str| {
        let plain = stem.trim_end_matches("_total");
        metrics.iter().find(|metric| match metric.kind {
            Kind::Counter => part.is_empty() && metric.name.trim_end_matches("_total") == plain,
            Kind::Histogram => !part.is_empty() && metric.name == stem,
            Kind::Gauge => part.is_empty() && metric.name == stem,
        })
    };
    let (base, total) = split(stem, &["_total"]);
    let (unitless, _) = split(base, &UNITS);
    let spelled = format!("{unitless}{total}");
    let metric = known(&name).or_else(|| known(stem)).or_else(|| known(&spelled))?;
    Some(format!("{}{part}", metric.name))
}

fn split<'a>(name: &'a str, endings: &[&'a str]) -> (&'a str, &'a str) {
    let cut = |ending: &&'a str| Some((name.strip_suffix(*ending)?, *ending));
    endings.iter().find_map(cut).unwrap_or((name, ""))
}

#[cfg(test)]
mod tests {
    use super::*;

    const METRICS: [Metric; 5] = [
        Metric { name: "vllm:kv_cache_usage_perc", kind: Kind::Gauge },
        Metric { name: "vllm:prompt_tokens_total", kind: Kind::Counter },
        Metric { name: "vllm:iteration_tokens_total", kind: Kind::Histogram },
        Metric { name: "vllm:request_prompt_tokens", kind: Kind::Histogram },
        Metric { name: "http_requests_total", kind: Kind::Counter },
    ];

    #[test]
    fn stored_names_lead_back_to_the_usual_ones() {
        for (stored, wanted) in [
            ("vllm:kv_cache_usage_perc", "vllm:kv_cache_usage_perc"),
            ("vllm_kv_cache_usage_perc_ratio", "vllm:kv_cache_usage_perc"),
            ("ray_vllm_prompt_tokens_total", "vllm:prompt_tokens_total"),
            ("vllm_prompt_tokens", "vllm:prompt_tokens_total"),
            ("vllm_prompt_tokens_bytes_total", "vllm:prompt_tokens_total"),
            ("vllm:iteration_tokens_total_bucket", "vllm:iteration_tokens_total_bucket"),
            ("vllm_request_prompt_tokens_sum", "vllm:request_prompt_tokens_sum"),
            ("http_requests_total", "http_requests_total"),
        ] {
            assert_eq!(usual(stored, &METRICS).as_deref(), Some(wanted), "{stored}");
        }
        for other in ["vllm:kv_cache_usage_perc_sum", "vllm:unknown", "up"] {
            assert_eq!(usual(other, &METRICS), None, "{other}");
        }
    }

    #[test]
    fn selectors_and_values_are_taken_as_they_are_typed() {
        assert_eq!(bare("{job=\"vllm\",}"), "job=\"vllm\"");
        assert_eq!(bare(" job=\"vllm\" "), "job=\"vllm\"");
        assert_eq!(series("a", ""), "{__name__=~\"a\"}");
        let values = BTreeSet::from(["10.0.0.7:8000", "a\"b"]);
        assert_eq!(one_of("instance", &values), r#"instance=~"10\\.0\\.0\\.7:8000|a\"b""#);
    }
}
