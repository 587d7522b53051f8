//! vLLM's own log: the access lines, which hold the status codes that `/metrics` lacks.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{
    civil,
    tz::{Offset, TimeZone},
};

use crate::evidence::{AccessLine, Event, EventKind, Time};

/// A log's clock is local time without a zone; zones differ from UTC by quarters of an hour.
const QUARTER_HOUR: f64 = 900.0;

/// Finished POST requests in a log, in its order. `ended` is when the recording ended: it tells
/// the year and the time zone that the lines leave out.
pub(super) fn access_lines(log: &[u8], ended: Time) -> Vec<AccessLine> {
    let text = String::from_utf8_lossy(log);
    let year = year_of(ended);
    let shift = zone_shift(&text, year, ended);
    let mut clock = None;
    let mut lines = Vec::new();
    for line in text.lines() {
        if let Some(at) = date(line, year) {
            clock = Some(at + shift);
        } else if let Some((path, status)) = access(line) {
            lines.push(AccessLine { at: clock, path: path.to_string(), status });
        }
    }
    lines
}

/// Settings that differ between one start of the server and the next, by the line in which vLLM
/// lists its arguments.
pub(super) fn argument_changes(log: &[u8], ended: Time) -> Vec<Event> {
    let text = String::from_utf8_lossy(log);
    let year = year_of(ended);
    let shift = zone_shift(&text, year, ended);
    let starts: Vec<(Time, BTreeMap<&str, &str>)> = text
        .lines()
        .filter_map(|line| {
            let (_, listed) = line.split_once(ARGUMENTS)?;
            Some((date(line, year)? + shift, arguments(listed)))
        })
        .collect();
    starts.windows(2).flat_map(|pair| differences(&pair[0].1, &pair[1])).collect()
}

/// What stands before the arguments in the log line of a start (0.8.0 on).
const ARGUMENTS: &str = "non-default args: ";

/// Entries of a Python dictionary such as `{'host': '127.0.0.1', 'max_num_seqs': 8}`.
fn arguments(listed: &str) -> BTreeMap<&str, &str> {
    let inner = listed.trim().trim_start_matches('{').trim_end_matches('}');
    inner
        .split(", '")
        .filter_map(|entry| entry.trim_start_matches('\'').split_once("': "))
        .filter(|(name, _)| !SECRET.iter().any(|word| name.contains(word)))
        .collect()
}

/// Arguments whose values are nobody's business.
const SECRET: [&str; 3] = ["key", "token", "password"];

fn differences(
    before: &BTreeMap<&str, &str>,
    (at, after): &(Time, BTreeMap<&str, &str>),
) -> Vec<Event> {
    let names: BTreeSet<&&str> = before.keys().chain(after.keys()).collect();
    let value = |of: &BTreeMap<&str, &str>, name: &str| {
        of.get(name).map_or("the default".to_string(), ToString::to_string)
    };
    names
        .into_iter()
        .map(|name| (name, value(before, name), value(after, name)))
        .filter(|(_, old, new)| old != new)
        .map(|(name, old, new)| Event {
            at: *at,
            not_before: *at,
            kind: EventKind::ConfigChanged,
            text: format!("the server was started with {name} {new} instead of {old}"),
        })
        .collect()
}

fn year_of(at: Time) -> i16 {
    let stamp = jiff::Timestamp::from_second(at as i64).unwrap_or_default();
    stamp.to_zoned(TimeZone::UTC).year()
}

/// Seconds to add to the log's clock to make it UTC, from its last dated line.
fn zone_shift(text: &str, year: i16, ended: Time) -> f64 {
    let last = text.lines().rev().find_map(|line| date(line, year));
    last.map_or(0.0, |at| ((ended - at) / QUARTER_HOUR).round() * QUARTER_HOUR)
}

/// The time of a line such as `(APIServer pid=1) INFO 11-21 23:58:37 [loggers.py:271] …`, read as
/// if it were UTC.
fn date(line: &str, year: i16) -> Option<Time> {
    let level = ["INFO ", "WARNING ", "ERROR ", "DEBUG ", "CRITICAL "];
    let start = level.iter().find_map(|word| {
        let at = line.find(word)?;
        (at < 80).then_some(at + word.len())
    })?;
    let stamp = line.get(start..start + 14)?;
    let bytes = stamp.as_bytes();
    if bytes[2] != b'-' || bytes[5] != b' ' || bytes[8] != b':' || bytes[11] != b':' {
        return None;
    }
    let number = |from: usize| stamp.get(from..from + 2)?.parse::<i8>().ok();
    let when =
        civil::DateTime::new(year, number(0)?, number(3)?, number(6)?, number(9)?, number(12)?, 0)
            .ok()?;
    Some(Offset::UTC.to_timestamp(when).ok()?.as_second() as f64)
}

/// Path and status of a line such as `INFO:     127.0.0.1:4 - "POST /v1/completions HTTP/1.1" 400
/// Bad Request`.
fn access(line: &str) -> Option<(&str, u16)> {
    let (_, rest) = line.split_once("\"POST ")?;
    let (target, rest) = rest.split_once(" HTTP/")?;
    let (_, status) = rest.split_once("\" ")?;
    let status = status.get(..3)?.parse().ok()?;
    let path = target.split('?').next().unwrap_or(target);
    Some((path, status))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOG: &str = "\
(APIServer pid=9) INFO 11-21 23:58:37 [loggers.py:271] Engine 000: Running: 0 reqs
(APIServer pid=9) INFO:     127.0.0.1:44906 - \"POST /v1/chat/completions?x=1 HTTP/1.1\" 404 Not Found
(APIServer pid=9) INFO:     127.0.0.1:44906 - \"GET /metrics HTTP/1.1\" 200 OK
";

    #[test]
    fn an_access_line_takes_the_time_of_the_dated_line_before_it() {
        let ended = 1_795_305_520.0;
        let lines = access_lines(LOG.as_bytes(), ended);
        assert_eq!(lines.len(), 1);
        assert_eq!((lines[0].path.as_str(), lines[0].status), ("/v1/chat/completions", 404));
        assert_eq!(lines[0].at, Some(1_795_305_517.0));
    }

    #[test]
    fn a_start_with_other_arguments_is_an_event_that_names_them() {
        let log = "\
(APIServer pid=9) INFO 11-21 23:50:00 [api_utils.py:273] non-default args: {'model': 'm', 'max_num_seqs': 64}
(APIServer pid=9) INFO 11-21 23:58:37 [api_utils.py:273] non-default args: {'model': 'm', 'max_num_seqs': 2, 'api_key': ['x']}
";
        let events = argument_changes(log.as_bytes(), 1_795_305_520.0);
        assert_eq!(events.len(), 1, "{events:?}");
        assert_eq!(events[0].text, "the server was started with max_num_seqs 2 instead of 64");
        assert_eq!(events[0].at, 1_795_305_517.0);
    }

    #[test]
    fn a_local_clock_is_moved_to_utc_by_whole_quarters_of_an_hour() {
        let ended = 1_795_305_520.0 - 5.5 * 3600.0;
        let lines = access_lines(LOG.as_bytes(), ended);
        assert_eq!(lines[0].at, Some(1_795_305_517.0 - 5.5 * 3600.0));
    }
}
