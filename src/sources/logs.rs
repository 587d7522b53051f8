//! vLLM's own log: the access lines, which hold the status codes that `/metrics` lacks.

use jiff::{
    civil,
    tz::{Offset, TimeZone},
};

use crate::evidence::{AccessLine, Time};

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
    fn a_local_clock_is_moved_to_utc_by_whole_quarters_of_an_hour() {
        let ended = 1_795_305_520.0 - 5.5 * 3600.0;
        let lines = access_lines(LOG.as_bytes(), ended);
        assert_eq!(lines[0].at, Some(1_795_305_517.0 - 5.5 * 3600.0));
    }
}
