//! Answers of the HTTP API.
//!
//! <https://prometheus.io/docs/prometheus/latest/querying/api/>

use std::fmt::Write;

use serde::Deserialize;

use super::record::{Column, Metric};
use crate::{
    evidence::SourceState,
    sources::http::{Answer, Failure, FailureKind},
};

/// Why a query has no answer.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Trouble {
    /// The word of the source's status.
    pub(super) state: SourceState,
    /// What happened and what to try.
    pub(super) why: String,
}

/// The series of an answer, and the warnings that came with it.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Answers {
    pub(super) series: Vec<Column>,
    pub(super) warnings: Vec<String>,
}

#[derive(Deserialize)]
struct Envelope<'a> {
    status: &'a str,
    #[serde(borrow)]
    data: Option<Data<'a>>,
    #[serde(default, rename = "errorType")]
    error_type: Option<String>,
    #[serde(default)]
    error: Option<String>,
    #[serde(default)]
    warnings: Vec<String>,
}

#[derive(Deserialize)]
struct Data<'a> {
    #[serde(borrow)]
    result: Vec<Raw<'a>>,
}

#[derive(Deserialize)]
struct Raw<'a> {
    metric: Metric,
    #[serde(borrow, default)]
    values: Vec<(f64, &'a str)>,
    #[serde(borrow, default)]
    value: Option<(f64, &'a str)>,
}

/// Longest excerpt of what Prometheus said, in characters.
const EXCERPT: usize = 200;

/// Reads an answer; times become milliseconds after `from_ms`.
pub(super) fn read(answer: &Answer, text: &str, from_ms: i64) -> Result<Answers, Trouble> {
    let envelope = serde_json::from_str::<Envelope<'_>>(text);
    match (answer.status, envelope) {
        (401 | 403, _) => Err(Trouble {
            state: SourceState::Unauthorized,
            why: format!(
                "it answered {}: set DIAGNOSE_PROMETHEUS_TOKEN, user and password in the URL, or \
                 `headers` and `client_cert` under [prometheus]",
                answer.status
            ),
        }),
        (_, Ok(Envelope { status: "success", data: Some(data), warnings, .. })) => {
            let series = data.result.iter().map(|raw| column(raw, from_ms)).collect();
            Ok(Answers { series, warnings })
        }
        (404, _) => Err(Trouble {
            state: SourceState::Unsupported,
            why: "it has no /api/v1 there: give the path before it too, e.g. \
                  http://mimir/prometheus"
                .into(),
        }),
        (_, Ok(Envelope { status: "error", error_type, error, .. })) => {
            Err(refused(&error_type.unwrap_or_default(), &error.unwrap_or_default()))
        }
        (200, _) => Err(Trouble {
            state: SourceState::BadData,
            why: format!("its answer is not that of a Prometheus: `{}`", excerpt(text)),
        }),
        (status, _) => Err(Trouble {
            state: SourceState::BadData,
            why: format!("it answered {status}: `{}`", excerpt(text)),
        }),
    }
}

/// What Prometheus says itself of a query that it did not answer.
fn refused(kind: &str, said: &str) -> Trouble {
    let state = match kind {
        "timeout" | "canceled" => SourceState::TimedOut,
        "unavailable" => SourceState::Unreachable,
        _ => SourceState::BadData,
    };
    Trouble { state, why: format!("it refused the query ({kind}): {}", excerpt(said)) }
}

/// Why a request did not come to an answer.
pub(super) fn failed(failure: &Failure, shown: &str) -> Trouble {
    let Failure { kind, detail, .. } = failure;
    let why = match kind {
        FailureKind::TimedOut => {
            format!("{shown} timed out ({detail}): try a shorter --history or a longer --timeout")
        }
        FailureKind::TooLarge => {
            format!("the answer of {shown} is too large ({detail}): narrow it with --selector")
        }
        FailureKind::Credentials => detail.clone(),
        kind => format!("{shown}: {} ({detail})", kind.word()),
    };
    Trouble { state: kind.state(), why }
}

fn column(raw: &Raw<'_>, from_ms: i64) -> Column {
    let points = raw.values.iter().chain(&raw.value);
    let mut samples = String::with_capacity(raw.values.len() * 12);
    for (at, value) in points {
        let gap = if samples.is_empty() { "" } else { " " };
        let ms = ((at * 1e3).round() as i64).saturating_sub(from_ms);
        // Writing to a String cannot fail.
        let _ = write!(samples, "{gap}{ms} {value}");
    }
    Column { labels: raw.metric.clone(), samples }
}

fn excerpt(text: &str) -> String {
    let visible = |char: char| if char.is_control() { ' ' } else { char };
    text.trim().chars().take(EXCERPT).map(visible).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(status: u16, text: &str) -> Result<Answers, Trouble> {
        read(&Answer { status, body: Vec::new(), ms: 1.0, date: None }, text, 1_000)
    }

    #[test]
    fn samples_keep_their_time_and_their_digits() {
        let body = r#"{"status":"success","warnings":["slow"],"data":{"resultType":"matrix",
            "result":[{"metric":{"__name__":"up"},"values":[[1.5,"1"],[2,"NaN"]]}]}}"#;
        let read = said(200, body).unwrap();
        assert_eq!(read.series[0].samples, "500 1 1000 NaN");
        assert_eq!(read.warnings, ["slow"]);
        let points: Vec<_> = read.series[0].points(1_000).map(|(at, _)| at).collect();
        assert_eq!(points, [1.5, 2.0]);
    }

    #[test]
    fn every_refusal_has_its_word() {
        let state = |status, text: &str| said(status, text).unwrap_err().state;
        let error = |kind| format!(r#"{{"status":"error","errorType":"{kind}","error":"x"}}"#);
        assert_eq!(state(401, "no"), SourceState::Unauthorized);
        assert_eq!(state(404, "<html>"), SourceState::Unsupported);
        assert_eq!(state(503, &error("timeout")), SourceState::TimedOut);
        assert_eq!(state(400, &error("bad_data")), SourceState::BadData);
        assert_eq!(state(200, "<html>sign in"), SourceState::BadData);
        assert_eq!(state(500, ""), SourceState::BadData);
    }
}
