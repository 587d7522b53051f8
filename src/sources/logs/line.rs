//! One line of a log: its time and its words, whatever wrote them down.

use std::borrow::Cow;

use jiff::{
    Timestamp, civil,
    tz::{Offset, TimeZone},
};
use serde::Deserialize;

use crate::evidence::Time;

/// A log's clock is local time without a zone; zones differ from UTC by quarters of an hour.
const QUARTER_HOUR: f64 = 900.0;

/// No zone is further from UTC. A larger distance is a pause or a copy, and tells no zone.
const FURTHEST_ZONE: f64 = 14.0 * 3600.0;

/// Where the date of a line must stand, bytes from its start.
const HEAD: usize = 96;

/// When a line was written, as it tells.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Stamp {
    /// With a zone: Unix seconds.
    Exact(Time),
    /// Without one, read as if it were UTC: Unix seconds.
    Local(Time),
    /// Without zone and year.
    NoYear { month: i8, day: i8, hour: i8, minute: i8, second: i8 },
}

/// A line without what a container runtime, journald or a JSON formatter puts around it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Line<'a> {
    pub(super) stamp: Option<Stamp>,
    pub(super) text: Cow<'a, str>,
}

/// How a log's own clock becomes Unix time.
#[derive(Debug, Clone, Copy)]
pub(super) struct Clock {
    /// When the log ended: it tells the year.
    ended: Time,
    /// Seconds to add to local time.
    shift: f64,
}

impl Clock {
    /// The clock of a log whose last dated line was written about `ended`.
    pub(super) fn new(log: &[u8], ended: Time) -> Self {
        let utc = Self { ended, shift: 0.0 };
        let dated = |raw: &[u8]| {
            let text = String::from_utf8_lossy(raw);
            let stamp = Line::read(&text).stamp?;
            let zone = !matches!(stamp, Stamp::Exact(_));
            Some((zone, utc.time(stamp)?))
        };
        let last = log.rsplit(|&byte| byte == b'\n').take(MANY).find_map(dated);
        let shift = match last {
            Some((true, at)) => zone(ended - at),
            _ => 0.0,
        };
        Self { ended, shift }
    }

    /// Unix seconds of a stamp. A date without a year lies in the year that puts it last before
    /// the end.
    pub(super) fn time(self, stamp: Stamp) -> Option<Time> {
        match stamp {
            Stamp::Exact(at) => Some(at),
            Stamp::Local(at) => Some(at + self.shift),
            Stamp::NoYear { month, day, hour, minute, second } => {
                let latest = self.ended + FURTHEST_ZONE + QUARTER_HOUR;
                let year = year_of(latest);
                let in_year = |year| {
                    let when = civil::DateTime::new(year, month, day, hour, minute, second, 0);
                    Some(Offset::UTC.to_timestamp(when.ok()?).ok()?.as_second() as f64)
                };
                let at = in_year(year).filter(|at| *at <= latest).or_else(|| in_year(year - 1))?;
                Some(at + self.shift)
            }
        }
    }
}

/// The zone in which a log's last line is so many seconds old; none where it is a pause or a copy.
fn zone(distance: f64) -> f64 {
    let shift = (distance / QUARTER_HOUR).round() * QUARTER_HOUR;
    let fits = (distance - shift).abs() <= FRESH && shift.abs() <= FURTHEST_ZONE;
    if fits { shift } else { 0.0 }
}

/// How old the last line of a log in use may be, seconds.
const FRESH: f64 = 120.0;

/// Lines looked at from the end for one with a date.
const MANY: usize = 10_000;

fn year_of(at: Time) -> i16 {
    Timestamp::from_second(at as i64).unwrap_or_default().to_zoned(TimeZone::UTC).year()
}

/// What JSON lines hold: those of container runtimes (`log`), and those of vLLM and common
/// formatters.
#[derive(Deserialize)]
struct JsonLine {
    log: Option<String>,
    #[serde(alias = "msg")]
    message: Option<String>,
    #[serde(alias = "timestamp", alias = "asctime", alias = "ts")]
    time: Option<String>,
    #[serde(alias = "exc_info", alias = "exc_text", alias = "stack_trace")]
    exception: Option<String>,
}

impl<'a> Line<'a> {
    /// Takes a line apart.
    pub(super) fn read(raw: &'a str) -> Self {
        let raw = raw.trim_end_matches(['\r', '\n']);
        if raw.starts_with('{')
            && let Some(line) = json(raw)
        {
            return line;
        }
        if let Some((at, rest)) = zoned(raw) {
            let inner = Line::read(without_runtime(rest));
            return Line { stamp: Some(Stamp::Exact(at)), text: inner.text };
        }
        let text = without_colour(raw);
        Line { stamp: dated(&text), text }
    }

    /// What the line says, without process, level, date and place.
    pub(super) fn words(&self) -> &str {
        let text = &*self.text;
        let head = floor(text, HEAD + 64);
        match text[..head].find("] ").filter(|_| level_end(text).is_some()) {
            Some(at) => &text[at + 2..],
            None => text.trim_start(),
        }
    }
}

fn json(raw: &str) -> Option<Line<'static>> {
    let line: JsonLine = serde_json::from_str(raw).ok()?;
    let stamp = line.time.as_deref().and_then(any_time);
    if let Some(log) = line.log {
        let inner = Line::read(&log);
        let text = Cow::Owned(inner.text.into_owned());
        return Some(Line { stamp: stamp.or(inner.stamp), text });
    }
    let message = line.message?;
    let text = match line.exception {
        Some(exception) => format!("{message} {}", exception.replace('\n', " ")),
        None => message,
    };
    Some(Line { stamp, text: text.into() })
}

fn any_time(text: &str) -> Option<Stamp> {
    if let Ok(at) = text.parse::<Timestamp>() {
        return Some(Stamp::Exact(seconds(at)));
    }
    let text = text.replace(',', ".");
    if let Ok(when) = text.parse::<civil::DateTime>() {
        return Some(Stamp::Local(seconds(Offset::UTC.to_timestamp(when).ok()?)));
    }
    bare(&text)
}

fn seconds(at: Timestamp) -> Time {
    at.as_millisecond() as f64 / 1e3
}

/// A line that begins with a time in RFC 3339 or as journalctl's short-iso has it.
fn zoned(raw: &str) -> Option<(Time, &str)> {
    let bytes = raw.as_bytes();
    if bytes.get(4) != Some(&b'-') || bytes.get(10) != Some(&b'T') {
        return None;
    }
    let (stamp, rest) = raw.split_once(' ')?;
    Some((seconds(stamp.parse().ok()?), rest))
}

/// Leaves out the stream and the tag of container runtimes, or host and unit of journald.
fn without_runtime(rest: &str) -> &str {
    for stream in ["stdout ", "stderr "] {
        if let Some(tagged) = rest.strip_prefix(stream) {
            return tagged.strip_prefix("F ").or(tagged.strip_prefix("P ")).unwrap_or(tagged);
        }
    }
    match rest.split_once(": ") {
        Some((head, text)) if head.ends_with(']') && head.matches(' ').count() == 1 => text,
        _ => rest,
    }
}

/// A line without the sequences that colour it.
fn without_colour(raw: &str) -> Cow<'_, str> {
    if !raw.contains('\u{1b}') {
        return raw.into();
    }
    let mut parts = raw.split('\u{1b}');
    let mut text = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let end = part.find(|c: char| c.is_ascii_alphabetic()).map_or(0, |at| at + 1);
        text.push_str(&part[end..]);
    }
    text.into()
}

/// The largest boundary of a character up to `at`.
fn floor(text: &str, at: usize) -> usize {
    (0..=at.min(text.len())).rev().find(|&at| text.is_char_boundary(at)).unwrap_or(0)
}

/// Where the level of a line such as `(APIServer pid=1) INFO 11-21 23:58:37 [loggers.py:271] …`
/// ends.
fn level_end(text: &str) -> Option<usize> {
    let head = &text[..floor(text, HEAD)];
    let levels = ["INFO ", "WARNING ", "ERROR ", "DEBUG ", "CRITICAL "];
    levels.iter().find_map(|word| Some(head.find(word)? + word.len()))
}

/// The date after the level.
fn dated(text: &str) -> Option<Stamp> {
    bare(text.get(level_end(text)?..)?)
}

/// A date such as `11-21 23:58:37` at the start of a text.
fn bare(text: &str) -> Option<Stamp> {
    let stamp = text.get(..14)?;
    let bytes = stamp.as_bytes();
    if bytes[2] != b'-' || bytes[5] != b' ' || bytes[8] != b':' || bytes[11] != b':' {
        return None;
    }
    let number = |from: usize| stamp.get(from..from + 2)?.parse::<i8>().ok();
    Some(Stamp::NoYear {
        month: number(0)?,
        day: number(3)?,
        hour: number(6)?,
        minute: number(9)?,
        second: number(12)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2026-11-21T23:58:37Z.
    const AT: Time = 1_795_305_517.0;

    fn read(raw: &str) -> (Option<Time>, String) {
        let line = Line::read(raw);
        let clock = Clock { ended: AT + 3.0, shift: 0.0 };
        (line.stamp.and_then(|stamp| clock.time(stamp)), line.words().to_owned())
    }

    #[test]
    fn every_way_to_write_a_line_gives_its_time_and_its_words() {
        let json = r#"{"log":"INFO 01-02 03:04:05 [a.py:1] hi\n","stream":"stderr","time":"2026-11-21T23:58:37.0Z"}"#;
        for raw in [
            "INFO 11-21 23:58:37 a.py:1] hi",
            "INFO 11-21 23:58:37 [a.py:1] hi",
            "INFO 11-21 23:58:37 [v1/a.py:1] hi",
            "(EngineCore_DP0 pid=7) INFO 11-21 23:58:37 [a.py:1] hi",
            "\u{1b}[0;36m(APIServer pid=7)\u{1b}[0;0m INFO 11-21 23:58:37 [a.py:1] hi",
            "2026-11-21T23:58:37Z INFO 01-02 03:04:05 [a.py:1] hi",
            "2026-11-21T23:58:37.000Z stderr F INFO 01-02 03:04:05 [a.py:1] hi",
            "2026-11-22T00:58:37+0100 gpu1 vllm[77]: INFO 11-22 00:58:37 [a.py:1] hi",
            r#"{"timestamp":"2026-11-21T23:58:37Z","level":"INFO","message":"hi"}"#,
            r#"{"asctime":"2026-11-21 23:58:37,000","levelname":"INFO","message":"hi"}"#,
            json,
        ] {
            assert_eq!(read(raw), (Some(AT), "hi".into()), "{raw}");
        }
        assert_eq!(read("  File \"x.py\", line 3").0, None);
    }

    #[test]
    fn a_line_before_new_year_lies_in_the_old_year() {
        // 2027-01-01T00:00:10Z.
        let ended = 1_798_761_610.0;
        let log = b"INFO 12-31 23:59:50 [a.py:1] old\nINFO 01-01 00:00:05 [a.py:1] new\n";
        let clock = Clock::new(log, ended);
        let at = |raw: &str| clock.time(Line::read(raw).stamp.unwrap()).unwrap();
        assert_eq!(at("INFO 12-31 23:59:50 [a.py:1] old"), ended - 20.0);
        assert_eq!(at("INFO 01-01 00:00:05 [a.py:1] new"), ended - 5.0);
    }

    #[test]
    fn a_distance_that_no_zone_has_moves_nothing() {
        let log = b"INFO 11-20 23:58:37 [a.py:1] hi\n";
        assert_eq!(Clock::new(log, AT).shift, 0.0);
        assert_eq!(Clock::new(b"INFO 11-21 23:50:37 [a.py:1] hi\n", AT).shift, 0.0);
        let zone = Clock::new(b"INFO 11-21 23:58:37 [a.py:1] hi\n", AT + 3.0 - 5.5 * 3600.0);
        assert_eq!(zone.shift, -5.5 * 3600.0);
    }
}
