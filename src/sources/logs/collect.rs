//! Logs as they are gathered: the window only, from files of any size, archives, pipes and journald.
//!
//! What is kept begins each dated line with its time in UTC, so that a replay need not guess the
//! year and the zone again.

use std::{
    fs::File,
    io::{self, BufRead, BufReader, Read, Seek, SeekFrom},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::mpsc,
    thread,
    time::{Duration, UNIX_EPOCH},
};

use flate2::bufread::MultiGzDecoder;

use super::line::{Clock, Line};
use crate::{
    evidence::{SourceState, SourceStatus, Span, Time, bundle::Bundle},
    input::{self, Input},
    sources::state_of,
};

/// Seconds before the first look at the server that are read too: they are the history, and they
/// tell why a server was dead when somebody looked.
const BEFORE: f64 = 3600.0;

/// Seconds after the last look: lines are written late.
const AFTER: f64 = 60.0;

/// Most bytes kept of one log, counted from the end of the window.
const KEPT: usize = 4 << 20;

/// Bytes read at once.
const BLOCK: usize = 64 << 10;

/// Bytes without any dated line after which a search gives up there.
const UNDATED: u64 = 8 << 20;

/// Bytes that a packed log may unpack to whatever its size, and how many times its size beyond: text
/// is packed to a hundredth at best.
const UNPACKED: u64 = 32 << 20;
const RATIO: u64 = 200;

/// Which logs to gather.
#[derive(Debug, Clone, Default)]
pub struct Asked {
    /// Files, packed ones too; `-` is standard input.
    pub files: Vec<PathBuf>,
    /// A unit of systemd.
    pub unit: Option<String>,
    /// Deadline of journalctl.
    pub deadline: Duration,
}

/// What was kept of one log.
#[derive(Debug, Default)]
struct Kept {
    text: Vec<u8>,
    /// Whether the window holds more than is kept.
    cut: bool,
    /// Why its writer was not waited for any longer.
    late: Option<String>,
}

/// Adds the asked logs to the bundle, cut to the time of its pages and probes and an hour before.
/// A log that cannot be read becomes a note.
pub fn record(bundle: &mut Bundle, asked: &Asked) {
    let span = window(bundle);
    for path in &asked.files {
        let stdin = path.as_os_str() == "-";
        let name = if stdin { "standard input".into() } else { path.display().to_string() };
        add(bundle, &name, of_path(path, span));
    }
    if let Some(unit) = &asked.unit {
        let kept = journal(unit, span, asked.deadline);
        add(bundle, &format!("the journal of {unit}"), kept);
    }
}

fn window(bundle: &Bundle) -> Span {
    let seconds = |ms: u64| ms as f64 / 1e3;
    let seen = bundle.span_ms().map(|(from, to)| (seconds(from), seconds(to)));
    let (from, to) = seen.unwrap_or((Time::MIN, Time::MAX));
    Span { from: from - BEFORE, to: bundle.meta.ended.map_or(to, |ended| to.max(ended)) + AFTER }
}

fn add(bundle: &mut Bundle, name: &str, kept: io::Result<Kept>) {
    let note = |status, detail| SourceStatus { id: "log".into(), status, detail, took_ms: None };
    match kept {
        Ok(kept) => {
            if kept.cut {
                let detail =
                    format!("{name} is long: of the window, the last {} MiB were read", KEPT >> 20);
                bundle.notes.push(note(SourceState::Partial, detail));
            }
            if let Some(late) = kept.late {
                let detail = format!("the rest of {name} is missing: {late}");
                bundle.notes.push(note(SourceState::Partial, detail));
            }
            bundle.log.get_or_insert_default().extend(kept.text);
        }
        Err(error) => {
            bundle.notes.push(note(state_of(&error), format!("{name} cannot be read: {error}")));
        }
    }
}

/// What begins a packed log.
const PACKED: [u8; 2] = [0x1f, 0x8b];

/// Reads what a path names: a file, a pipe or standard input.
fn of_path(path: &Path, span: Span) -> io::Result<Kept> {
    let mut reader = match input::open(path)? {
        Input::File(plain) => return file(plain, span),
        other => other,
    };
    let mut start = Vec::new();
    match (&mut reader).take(PACKED.len() as u64).read_to_end(&mut start) {
        // What came is told apart from nothing by what follows.
        Err(error) if start.is_empty() => return Err(error),
        _ => {}
    }
    let packed = start == PACKED;
    let whole = io::Cursor::new(start).chain(reader);
    match packed {
        true => stream(unpacked(BufReader::new(whole), UNPACKED), span, None),
        false => stream(whole, span, None),
    }
}

/// Reads a file: a plain one by seeking, a packed one from its start.
fn file(mut file: File, span: Span) -> io::Result<Kept> {
    let meta = file.metadata()?;
    let written = meta.modified().ok().and_then(|at| at.duration_since(UNIX_EPOCH).ok());
    let written = written.map(|at| at.as_secs_f64());
    let mut magic = [0; 2];
    let packed = file.read(&mut magic)? == 2 && magic == PACKED;
    file.seek(SeekFrom::Start(0))?;
    if packed {
        let most = UNPACKED.max(meta.len().saturating_mul(RATIO));
        return stream(unpacked(BufReader::new(file), most), span, written);
    }
    seek(&mut file, meta.len(), span, written)
}

fn unpacked<R: BufRead>(packed: R, most: u64) -> Unpacked<MultiGzDecoder<R>> {
    Unpacked { inner: MultiGzDecoder::new(packed), left: most }
}

/// A packed log, which ends with an error once it is no log.
struct Unpacked<R> {
    inner: R,
    left: u64,
}

impl<R: Read> Read for Unpacked<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.left = self
            .left
            .checked_sub(read as u64)
            .ok_or_else(|| io::Error::other("it unpacks to more than a log of its size does"))?;
        Ok(read)
    }
}

/// Finds the window in a file by halving, so that its size does not matter.
fn seek(file: &mut File, len: u64, span: Span, written: Option<Time>) -> io::Result<Kept> {
    let tail = len.saturating_sub(BLOCK as u64);
    let last = block(file, tail, BLOCK)?;
    let clock = Clock::new(&last, written.unwrap_or(span.to));
    let (_, end) = turn(file, len, clock, span.to)?;
    let (start, _) = turn(file, end, clock, span.from - 1.0)?;
    let bounded = end.saturating_sub(KEPT as u64).max(start);
    file.seek(SeekFrom::Start(bounded))?;
    let mut reader = BufReader::with_capacity(BLOCK, file).take(end - bounded);
    if bounded > start {
        reader.read_until(b'\n', &mut Vec::new())?;
    }
    // Lines before the first date belong to a line that was not read, unless the file begins so.
    let text = normal(reader, clock, span, start == 0 || bounded > start)?;
    Ok(Kept { text, cut: bounded > start, late: None })
}

/// Two offsets, a block apart or less, between which the lines begin to be later than `at`.
fn turn(file: &mut File, len: u64, clock: Clock, at: Time) -> io::Result<(u64, u64)> {
    let (mut low, mut high) = (0, len);
    while high - low > BLOCK as u64 {
        let middle = low + (high - low) / 2;
        match dated_from(file, middle, high, clock)? {
            Some(time) if time <= at => low = middle,
            _ => high = middle,
        }
    }
    Ok((low, high))
}

/// The time of the first whole dated line from an offset on.
fn dated_from(file: &mut File, from: u64, to: u64, clock: Clock) -> io::Result<Option<Time>> {
    let mut at = from;
    while at < to.min(from + UNDATED) {
        let bytes = block(file, at, BLOCK)?;
        if bytes.is_empty() {
            break;
        }
        if let Some(time) =
            bytes.split(|&byte| byte == b'\n').skip(1).find_map(|raw| time(raw, clock))
        {
            return Ok(Some(time));
        }
        at += bytes.len() as u64;
    }
    Ok(None)
}

fn time(raw: &[u8], clock: Clock) -> Option<Time> {
    clock.time(Line::read(&String::from_utf8_lossy(raw)).stamp?)
}

fn block(file: &mut File, at: u64, length: usize) -> io::Result<Vec<u8>> {
    file.seek(SeekFrom::Start(at))?;
    let mut bytes = Vec::with_capacity(length);
    file.take(length as u64).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Reads a stream to its end, or until its writer is too late, and keeps its last bytes.
fn stream(mut reader: impl Read, span: Span, written: Option<Time>) -> io::Result<Kept> {
    let (mut tail, mut cut, mut late) = (Vec::new(), false, None);
    while late.is_none() {
        let before = tail.len();
        match (&mut reader).take(BLOCK as u64).read_to_end(&mut tail) {
            Ok(0) => break,
            Ok(_) => {}
            Err(why) if why.kind() == io::ErrorKind::TimedOut && !tail.is_empty() => {
                late = Some(why.to_string());
            }
            Err(why) => return Err(why),
        }
        if before > KEPT + KEPT / 4 {
            tail.drain(..before - KEPT);
            cut = true;
        }
    }
    let clock = Clock::new(&tail, written.unwrap_or(span.to));
    let first = tail.split(|&byte| byte == b'\n').skip(1).find_map(|raw| time(raw, clock));
    let cut = cut && first.is_none_or(|first| first > span.from);
    Ok(Kept { text: normal(tail.as_slice(), clock, span, true)?, cut, late })
}

/// The lines of the window, each that has a time with it in UTC at its head. Lines without one
/// belong to the line before, and where none is, `inside` says whether they count.
fn normal(
    mut reader: impl BufRead,
    clock: Clock,
    span: Span,
    mut inside: bool,
) -> io::Result<Vec<u8>> {
    let (mut text, mut raw) = (Vec::new(), Vec::new());
    while reader.read_until(b'\n', &mut raw)? > 0 {
        let shown = String::from_utf8_lossy(&raw);
        let line = Line::read(&shown);
        let at = line.stamp.and_then(|stamp| clock.time(stamp));
        inside = at.map_or(inside, |at| span.contains(at));
        if inside {
            let stamp = at.and_then(|at| jiff::Timestamp::from_millisecond((at * 1e3) as i64).ok());
            if let Some(stamp) = stamp {
                text.extend_from_slice(format!("{stamp} ").as_bytes());
            }
            text.extend_from_slice(line.text.trim_end().as_bytes());
            text.push(b'\n');
        }
        raw.clear();
    }
    Ok(text)
}

/// Asks journald; a journal that does not answer in time is given up.
fn journal(unit: &str, span: Span, deadline: Duration) -> io::Result<Kept> {
    let mut command = Command::new("journalctl");
    command.args(["--no-pager", "-q", "-o", "short-iso", "-u", unit]);
    if span.from > 0.0 {
        command.arg(format!("--since=@{}", span.from as i64));
        command.arg(format!("--until=@{}", span.to.ceil() as i64));
    }
    let mut child =
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    let (out, error) = (child.stdout.take(), child.stderr.take());
    let (send, receive) = mpsc::channel();
    // Nobody listens any more after the deadline.
    thread::spawn(move || {
        let kept = out.map_or_else(|| Ok(Kept::default()), |out| stream(out, span, None));
        let mut words = String::new();
        _ = error.map(|error| error.take(4096).read_to_string(&mut words));
        drop(send.send((kept, words)));
    });
    let Ok((kept, words)) = receive.recv_timeout(deadline) else {
        _ = child.kill();
        _ = child.wait();
        return Err(io::Error::new(
            io::ErrorKind::TimedOut,
            format!("journalctl did not answer within {deadline:?}"),
        ));
    };
    if child.wait()?.success() { kept } else { Err(io::Error::other(words.trim().to_owned())) }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    /// 2026-11-21T00:00:00Z.
    const DAY: Time = 1_795_219_200.0;

    fn stamp(second: u32) -> String {
        format!("11-21 {:02}:{:02}:{:02}", second / 3600, second / 60 % 60, second % 60)
    }

    /// A day's log of 9 MB, some lines without a date between.
    fn long() -> String {
        let line = |second: u32| {
            let stamp = stamp(second);
            let head = format!("(EngineCore pid=7) INFO {stamp} [a.py:1] line {second}\n");
            head + &"INFO:     10.0.0.7:3 - \"POST /v1 HTTP/1.1\" 200 OK\n".repeat(3)
        };
        (0..86_400).step_by(2).map(line).collect()
    }

    fn kept(path: &Path, from: f64, to: f64) -> Kept {
        of_path(path, Span { from: DAY + from, to: DAY + to }).unwrap()
    }

    fn write(text: &[u8]) -> tempfile::NamedTempFile {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(text).unwrap();
        let end = UNIX_EPOCH + Duration::from_secs_f64(DAY + 86_399.0);
        file.as_file().set_modified(end).unwrap();
        file
    }

    #[test]
    fn only_the_window_of_a_long_log_is_kept_wherever_it_lies() {
        let file = write(long().as_bytes());
        for (from, to) in [(0, 20), (43_000, 43_020), (86_380, 86_398)] {
            let kept = kept(file.path(), f64::from(from), f64::from(to));
            let text = String::from_utf8(kept.text).unwrap();
            let dated: Vec<&str> = text.lines().filter(|line| line.contains("line ")).collect();
            assert!(!kept.cut);
            assert!(dated[0].ends_with(&format!("line {from}")), "{}", dated[0]);
            assert!(dated[0].starts_with("2026-11-21T"), "{}", dated[0]);
            assert!(dated.last().unwrap().ends_with(&format!("line {to}")), "{text}");
            assert_eq!(text.lines().count(), 4 * dated.len());
        }
    }

    #[test]
    fn a_packed_log_gives_what_the_plain_one_gives() {
        let text: String = long().lines().take(4000).map(|line| format!("{line}\n")).collect();
        let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        packed.write_all(text.as_bytes()).unwrap();
        let (plain, packed) = (write(text.as_bytes()), write(&packed.finish().unwrap()));
        let (plain, packed) = (kept(plain.path(), 90.0, 120.0), kept(packed.path(), 90.0, 120.0));
        assert!(!plain.text.is_empty());
        assert_eq!(plain.text, packed.text);
    }

    #[test]
    fn a_window_with_too_much_in_it_is_cut_at_its_start_and_says_so() {
        let file = write(long().as_bytes());
        let all = kept(file.path(), 0.0, 86_400.0);
        assert!(all.cut && all.text.len() < 2 * KEPT);
        assert!(String::from_utf8(all.text).unwrap().contains("line 86398"));
    }

    #[test]
    fn what_cannot_be_read_is_a_note() {
        let mut bundle = Bundle::default();
        let asked = Asked { files: vec!["/nowhere/x.log".into()], ..Asked::default() };
        record(&mut bundle, &asked);
        assert!(bundle.log.is_none());
        assert_eq!(bundle.notes[0].status, SourceState::Unreachable);
    }
}
