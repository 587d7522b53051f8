//! vLLM's own log: the access lines, which hold the status codes that `/metrics` lacks, the lines
//! that say what failed, the periodic stats line, and what each start says of its settings.

pub mod collect;
mod line;
mod settings;
mod stats;

use crate::evidence::{
    AccessLine, Event, EventKind, Time,
    bundle::shown,
    log::{LogKind, LogMatch, ServerLog},
};

use super::log_patterns::{Pattern, Patterns};
use line::{Clock, Line};

/// The same known line within so many seconds is told once.
const BURST_SECONDS: f64 = 10.0;

/// Characters of a line that are kept.
const EXCERPT: usize = 240;

/// Everything that a log tells.
#[derive(Default)]
pub struct Read {
    /// Known lines, stats and starts.
    pub log: ServerLog,
    /// Finished POST requests in the log's order.
    pub access: Vec<AccessLine>,
}

/// Reads a log in one pass. `ended` is when the recording ended: it tells the year and the time
/// zone that the lines leave out.
pub fn read(bytes: &[u8], ended: Time) -> Read {
    let clock = Clock::new(bytes, ended);
    let patterns = Patterns::shipped();
    let mut read =
        Read { log: ServerLog { read: true, ..ServerLog::default() }, ..Read::default() };
    let mut starts = settings::Starts::default();
    let mut now = None;
    for raw in bytes.split(|&byte| byte == b'\n') {
        let raw = String::from_utf8_lossy(raw);
        let line = Line::read(&raw);
        now = line.stamp.and_then(|stamp| clock.time(stamp)).or(now);
        if let Some((path, status)) = access(&line.text) {
            read.access.push(AccessLine { at: now, path: path.to_string(), status });
            continue;
        }
        if let Some(at) = now {
            read.log.stats.extend(stats::read(&line.text, at));
        }
        starts.see(&line.text, now);
        if let Some(pattern) = patterns.find(&line.text) {
            keep(&mut read.log.matches, pattern, now, line.words());
        }
    }
    read.log.settings = starts.changes();
    read
}

/// The first dated moment of a log.
pub fn first_moment(bytes: &[u8], ended: Time) -> Option<Time> {
    let clock = Clock::new(bytes, ended);
    bytes
        .split(|&byte| byte == b'\n')
        .find_map(|raw| clock.time(Line::read(&String::from_utf8_lossy(raw)).stamp?))
}

fn keep(matches: &mut Vec<LogMatch>, pattern: &Pattern, at: Option<Time>, words: &str) {
    let near = |seen: &&mut LogMatch| match (seen.at, at) {
        (Some(before), Some(now)) => (now - before).abs() <= BURST_SECONDS,
        (before, now) => before.is_none() && now.is_none(),
    };
    let same = matches.iter_mut().rev().take(RECENT).find(|seen| seen.pattern == pattern.id);
    if let Some(seen) = same.filter(near) {
        seen.times += 1;
        return;
    }
    let text = shown(words);
    let text = text.char_indices().nth(EXCERPT).map_or(&*text, |(end, _)| &text[..end]);
    matches.push(LogMatch {
        at,
        pattern: pattern.id.clone(),
        feeds: pattern.feeds.clone(),
        text: text.to_owned(),
        times: 1,
    });
}

/// Matches looked back over for the same line.
const RECENT: usize = 32;

/// Moments for the timeline: what failed, and nothing of daily life.
pub(super) fn events(log: &ServerLog) -> Vec<Event> {
    let tells = |seen: &&LogMatch| {
        !seen.feeds.iter().all(|kind| matches!(kind, LogKind::Ready | LogKind::PromptTooLong))
    };
    let event = |seen: &LogMatch| {
        let at = seen.at?;
        let times = if seen.times > 1 { format!(" ({} times)", seen.times) } else { String::new() };
        let text = format!("the server's log: {}{times}", seen.text);
        Some(Event { at, not_before: at, kind: EventKind::LogLine, text, source: "log" })
    };
    log.matches.iter().filter(tells).filter_map(event).chain(log.settings.iter().cloned()).collect()
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
        let lines = read(LOG.as_bytes(), 1_795_305_520.0).access;
        assert_eq!(lines.len(), 1);
        assert_eq!((lines[0].path.as_str(), lines[0].status), ("/v1/chat/completions", 404));
        assert_eq!(lines[0].at, Some(1_795_305_517.0));
    }

    #[test]
    fn a_local_clock_is_moved_to_utc_by_whole_quarters_of_an_hour() {
        let ended = 1_795_305_520.0 - 5.5 * 3600.0;
        let lines = read(LOG.as_bytes(), ended).access;
        assert_eq!(lines[0].at, Some(1_795_305_517.0 - 5.5 * 3600.0));
    }

    #[test]
    fn a_traceback_is_one_match_and_keeps_no_secret() {
        let log = "\
(EngineCore pid=9) ERROR 11-21 23:58:37 [core.py:900] EngineCore encountered a fatal error.
(EngineCore pid=9) ERROR 11-21 23:58:37 [core.py:900] torch.OutOfMemoryError: CUDA out of memory. hf_abcdefghijklmnopqrstuvwxyz0123
(EngineCore pid=9) ERROR 11-21 23:58:38 [core.py:900] torch.OutOfMemoryError: CUDA out of memory.
(APIServer pid=9) ERROR 11-21 23:59:38 [core.py:900] torch.OutOfMemoryError: CUDA out of memory.
";
        let log = read(log.as_bytes(), 1_795_305_600.0).log;
        let seen: Vec<_> = log.matches.iter().map(|it| (it.pattern.as_str(), it.times)).collect();
        assert_eq!(seen, [("engine-died", 1), ("cuda-oom", 2), ("cuda-oom", 1)]);
        assert!(!log.matches[1].text.contains("abcdefgh"), "{}", log.matches[1].text);
        assert!(log.matches[1].text.starts_with("torch.OutOfMemoryError"));
        assert_eq!(events(&log).len(), 3);
    }
}
