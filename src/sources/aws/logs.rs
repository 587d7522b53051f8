//! The log of the endpoint's containers.

use aws_sdk_cloudwatchlogs::{Client, types::FilteredLogEvent};
use jiff::Timestamp;
use serde_json::{Value, json};

use super::{
    asking::{Asking, Page},
    fetch::millis,
    permissions::FILTER_LOG_EVENTS,
};
use crate::evidence::Span;

/// Bytes of the log that are kept, counted from its end.
const MOST_BYTES: usize = 8 << 20;

/// Events that are kept.
const MOST_EVENTS: usize = 100_000;

/// Where SageMaker puts the log of an endpoint.
pub(super) fn group(endpoint: &str) -> String {
    format!("/aws/sagemaker/Endpoints/{endpoint}")
}

/// Reads the log of the time asked, from its end backwards, until there is enough of it.
pub(super) async fn ask(
    asking: &Asking,
    client: &Client,
    group: &str,
    reach: Span,
    log: &mut Vec<(i64, String)>,
) {
    let mut pages = client
        .filter_log_events()
        .log_group_name(group)
        .start_time(millis(reach.from))
        .end_time(millis(reach.to))
        .start_from_head(false)
        .into_paginator()
        .send();
    let mut bytes = 0;
    let next = async || pages.next().await;
    let input = json!({ "logGroupName": group });
    asking
        .pages(&FILTER_LOG_EVENTS, input, next, |page| {
            let events = page.events.unwrap_or_default().into_iter().filter_map(event);
            for (at, text) in events {
                bytes += text.len();
                log.push((at, text));
            }
            let enough = bytes > MOST_BYTES || log.len() > MOST_EVENTS;
            if enough && page.next_token.is_some() {
                asking.lose("only the newest part of the log was read".into());
            }
            Page { output: Value::Null, more: !enough }
        })
        .await;
}

fn event(it: FilteredLogEvent) -> Option<(i64, String)> {
    Some((it.timestamp?, it.message?))
}

/// The events in order of time as lines, each with its time; `None` where there are none.
pub(super) fn text(mut events: Vec<(i64, String)>) -> Option<Vec<u8>> {
    events.sort_by_key(|(at, _)| *at);
    let lines = events.iter().flat_map(|(at, message)| {
        let at = Timestamp::from_millisecond(*at).unwrap_or_default();
        message.lines().map(move |line| format!("{at} {line}\n"))
    });
    let text: String = lines.collect();
    (!text.is_empty()).then(|| text.into_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_become_lines_in_order_each_with_its_time() {
        let at = 1_795_305_517_000;
        let events = vec![(at + 1_500, "b\nc".into()), (at, "a\n".into())];
        let text = String::from_utf8(text(events).unwrap()).unwrap();
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(
            lines,
            ["2026-11-21T23:58:37Z a", "2026-11-21T23:58:38.5Z b", "2026-11-21T23:58:38.5Z c"]
        );
        assert_eq!(super::text(Vec::new()), None);
    }
}
