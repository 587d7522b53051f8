//! What the answers of all rounds together say of a source, and what to try.

use std::collections::BTreeMap;

use super::Outcome;
use crate::evidence::{SourceState, SourceStatus};
use crate::sources::http::{Client, Failure, FailureKind};

/// As much of a body as tells what it is.
pub(super) const START: usize = 4096;

/// Whether an answer is a page to keep. Whatever is text passes; its meaning is read later.
pub(super) fn is_page(outcome: &Outcome) -> bool {
    outcome.as_ref().is_ok_and(|answer| answer.status == 200 && oddity(&answer.body).is_none())
}

/// Why a body cannot be a `/metrics` page.
fn oddity(body: &[u8]) -> Option<&'static str> {
    let body = &body[..body.len().min(START)];
    match body.trim_ascii_start().first() {
        None => Some("with an empty page"),
        Some(b'<') => Some("with HTML, so it is probably not vLLM's own port"),
        Some(b'{' | b'[') => Some("with JSON, so it is probably not vLLM's own port"),
        _ if memchr::memchr(0, body).is_some() => Some("with something that is not text"),
        _ => None,
    }
}

/// The status of `/metrics`.
pub(super) fn of_metrics(client: &Client, outcomes: &[Outcome]) -> SourceStatus {
    let url = client.shown("/metrics");
    let good = outcomes.iter().filter(|outcome| is_page(outcome)).count();
    let bad = outcomes.iter().rev().find(|outcome| !is_page(outcome));
    let asked = outcomes.len();
    let (status, detail) = match bad {
        _ if asked == 0 => (SourceState::NotConfigured, format!("{url} was not asked yet")),
        None => (SourceState::Ok, format!("{good} scrapes of {url}")),
        Some(outcome) => {
            let (state, why) = verdict(client, &url, outcome);
            match good {
                0 => (state, why),
                _ => {
                    let lost = asked - good;
                    (SourceState::Partial, format!("{lost} of {asked} scrapes failed: {why}"))
                }
            }
        }
    };
    SourceStatus { id: "metrics".into(), status, detail, took_ms: longest(outcomes.iter()) }
}

/// The status of the other paths. An HTTP status of any kind is an answer: not every version and
/// not every front end has all paths.
pub(super) fn of_probes(
    client: &Client,
    outcomes: &BTreeMap<&'static str, Vec<Outcome>>,
) -> SourceStatus {
    let all = || outcomes.values().flatten();
    let failed: Vec<(&str, &Failure)> = outcomes
        .iter()
        .flat_map(|(path, all)| all.iter().filter_map(|it| Some((*path, it.as_ref().err()?))))
        .collect();
    let asked = all().count();
    let (status, detail) = match failed.last() {
        _ if asked == 0 => (SourceState::NotConfigured, "no probe was sent yet".to_owned()),
        None => (SourceState::Ok, format!("{asked} probes answered")),
        Some((_, failure)) if failed.len() == asked => {
            (failure.kind.state(), explain(client, &client.shown(""), failure))
        }
        Some(_) => {
            let mut words: Vec<String> =
                failed.iter().map(|(path, it)| format!("{path} {}", it.kind.word())).collect();
            words.dedup();
            let detail = format!("{} of {asked} probes failed: {}", failed.len(), words.join(", "));
            (SourceState::Partial, detail)
        }
    };
    SourceStatus { id: "probes".into(), status, detail, took_ms: longest(all()) }
}

fn longest<'a>(outcomes: impl Iterator<Item = &'a Outcome>) -> Option<u64> {
    let times = outcomes.map(|outcome| match outcome {
        Ok(answer) => answer.ms,
        Err(failure) => failure.ms,
    });
    times.reduce(f64::max).map(|ms| ms.round() as u64)
}

fn verdict(client: &Client, url: &str, outcome: &Outcome) -> (SourceState, String) {
    let answer = match outcome {
        Ok(answer) => answer,
        Err(failure) => return (failure.kind.state(), explain(client, url, failure)),
    };
    let status = answer.status;
    match status {
        200 => {
            let what = oddity(&answer.body).unwrap_or("oddly");
            let detail = format!("{url} answered 200 {what}; give the server's own address");
            (SourceState::BadData, detail)
        }
        401 | 403 => {
            let detail = format!(
                "{url} answered {status}: it wants credentials; give --api-key, or user and \
                 password in the URL"
            );
            (SourceState::Unauthorized, detail)
        }
        404 | 405 => {
            let detail = format!(
                "{url} answered {status}: no /metrics there; is it vLLM, and not a gateway or \
                 another --port? try --url"
            );
            (SourceState::Unsupported, detail)
        }
        500.. => {
            let detail = format!(
                "{url} answered {status}: the server fails itself; look into its log, and whether \
                 PROMETHEUS_MULTIPROC_DIR lies on a local disk"
            );
            (SourceState::BadData, detail)
        }
        _ => (SourceState::BadData, format!("{url} answered {status}, which is not a page")),
    }
}

/// One sentence: where, what, and what to try.
fn explain(client: &Client, url: &str, failure: &Failure) -> String {
    let detail = &failure.detail;
    match failure.kind {
        FailureKind::Refused => format!(
            "nothing listens on {}: is vLLM up (it listens only once its model is loaded), or is \
             it another --port? try --url",
            client.shown("")
        ),
        FailureKind::TimedOut => format!(
            "{url} timed out after {} s: the server hangs or is overloaded; try a longer --timeout",
            client.timeout().as_secs_f64()
        ),
        FailureKind::Reset => format!(
            "{url} closed the connection without a whole answer ({detail}): did it just crash, or \
             does it want https?"
        ),
        FailureKind::Dns => {
            format!(
                "the name in {url} does not resolve ({detail}): check its spelling, or give an address"
            )
        }
        FailureKind::Unreachable => {
            format!(
                "{url} cannot be reached ({detail}): check the network, or run this on its host"
            )
        }
        FailureKind::Tls => format!(
            "no trusted TLS connection to {url} ({detail}): give --ca with the authority's \
             certificate, or use http"
        ),
        FailureKind::TooLarge => {
            format!("{url} is too large ({detail}): is it vLLM, and does a label grow without end?")
        }
        FailureKind::Redirect => format!("{url}: {detail}; give the final address as --url"),
        FailureKind::Truncated => {
            format!("{url} was truncated ({detail}): did the server crash, or a proxy cut it off?")
        }
        FailureKind::NotHttp => {
            format!("{url} does not speak HTTP ({detail}): is it another port, or https?")
        }
        FailureKind::Credentials => format!("{url}: {detail}"),
    }
}
