//! Getting at the kernel's log: a file, `/dev/kmsg`, or `journalctl -k`. What is kept is bounded.

use std::collections::VecDeque;
use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use memchr::memmem::Finder;

use crate::{
    evidence::{SourceState, SourceStatus, bundle::Bundle},
    input::{self, Input},
    sources::state_of,
};

/// Bytes read of one line; the rest of it is passed over.
pub(super) const MAX_LINE: usize = 4096;
/// Bytes read of a file, from its end.
const MAX_READ: u64 = 64 << 20;
/// Bytes kept; the newest lines are.
const MAX_KEPT: usize = 2 << 20;
/// Most records of /dev/kmsg.
const MAX_RECORDS: usize = 100_000;

/// The kernel's own log.
const DEVICE: &str = "/dev/kmsg";

/// What marks a line that is kept.
const MARKS: [&[u8]; 9] = [
    b"NVRM",
    b"Xid (",
    b"oom-kill:",
    b"Killed process",
    b"out of memory",
    b"blocked for more than",
    b"mce: ",
    b"AER: ",
    b"nvidia-nvswitch",
];

/// Records the lines of `file` that matter.
pub fn from_file(bundle: &mut Bundle, file: &Path) {
    match of_file(file) {
        Ok((kept, skipped)) => {
            bundle.kernel_log = Some(kept);
            if skipped > 0 {
                let detail = format!("its end was read, {skipped} bytes before that were not");
                note(bundle, SourceState::Partial, detail);
            }
        }
        Err(error) => {
            note(bundle, state_of(&error), format!("{} cannot be read: {error}", file.display()));
        }
    }
}

/// Records the log of this machine's kernel, at best. Where it may not be read, nobody asked for
/// it: the status says how to give it.
pub fn from_machine(bundle: &mut Bundle, deadline: Duration) {
    let kept = kmsg(Path::new(DEVICE), boot_time()).or_else(|_| journal(deadline));
    match kept {
        Ok(kept) => bundle.kernel_log = Some(kept),
        Err(error) => {
            let detail = format!(
                "the kernel's log could not be read ({error}); run as root, or give it with \
                 --kernel-log FILE"
            );
            note(bundle, SourceState::NotConfigured, detail);
        }
    }
}

fn note(bundle: &mut Bundle, status: SourceState, detail: String) {
    bundle.notes.push(SourceStatus { id: "kernel".into(), status, detail, took_ms: None });
}

/// What matters of a file, of a pipe or of the device itself, and how many bytes were not read.
fn of_file(path: &Path) -> io::Result<(Vec<u8>, u64)> {
    if path == Path::new(DEVICE) {
        return Ok((kmsg(path, boot_time())?, 0));
    }
    match input::open(path)? {
        Input::File(file) => kept_of_file(file),
        stream => Ok((kept(&mut BufReader::with_capacity(1 << 16, stream))?, 0)),
    }
}

/// The lines of a file that matter, and how many bytes before them were not read.
fn kept_of_file(mut file: File) -> io::Result<(Vec<u8>, u64)> {
    let skipped = file.metadata()?.len().saturating_sub(MAX_READ);
    if skipped > 0 {
        file.seek(SeekFrom::Start(skipped))?;
    }
    let kept = kept(&mut BufReader::with_capacity(1 << 16, file.take(MAX_READ)))?;
    Ok((kept, skipped))
}

/// The lines that matter, the newest within bounds.
fn kept(reader: &mut dyn BufRead) -> io::Result<Vec<u8>> {
    let mut ring = Ring::new();
    let mut line = Vec::new();
    loop {
        line.clear();
        let read = reader.take(MAX_LINE as u64).read_until(b'\n', &mut line)?;
        if read == 0 {
            return Ok(ring.finish());
        }
        ring.add(line.trim_ascii_end());
        if read == MAX_LINE && !line.ends_with(b"\n") {
            reader.skip_until(b'\n')?;
        }
    }
}

struct Ring {
    marks: [Finder<'static>; MARKS.len()],
    lines: VecDeque<Vec<u8>>,
    bytes: usize,
}

impl Ring {
    fn new() -> Self {
        Self { marks: MARKS.map(Finder::new), lines: VecDeque::new(), bytes: 0 }
    }

    fn add(&mut self, line: &[u8]) {
        if !self.marks.iter().any(|mark| mark.find(line).is_some()) {
            return;
        }
        self.bytes += line.len() + 1;
        self.lines.push_back(line.to_vec());
        while self.bytes > MAX_KEPT
            && let Some(oldest) = self.lines.pop_front()
        {
            self.bytes -= oldest.len() + 1;
        }
    }

    fn finish(self) -> Vec<u8> {
        self.lines.into_iter().flat_map(|line| line.into_iter().chain([b'\n'])).collect()
    }
}

/// The records of /dev/kmsg, dated by the time of boot.
fn kmsg(path: &Path, boot: Option<f64>) -> io::Result<Vec<u8>> {
    let flags = rustix::fs::OFlags::NONBLOCK.bits() as i32;
    let mut device = OpenOptions::new().read(true).custom_flags(flags).open(path)?;
    let mut ring = Ring::new();
    let mut record = vec![0; 16 << 10];
    for _ in 0..MAX_RECORDS {
        match device.read(&mut record) {
            Ok(0) => break,
            Ok(length) => ring.add(&dated(&record[..length], boot)),
            // The record was overwritten before it was read; the next one may be whole.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
            Err(error) => return Err(error),
        }
    }
    Ok(ring.finish())
}

/// A record such as `6,1234,5678901,-;text` as a line with a date, where the time of boot is known.
fn dated(record: &[u8], boot: Option<f64>) -> Vec<u8> {
    let text = String::from_utf8_lossy(record);
    let Some((head, message)) = text.split_once(';') else { return Vec::new() };
    let message = message.lines().next().unwrap_or_default();
    let since_boot = head.split(',').nth(2).and_then(|micros| micros.parse::<f64>().ok());
    let at = boot.zip(since_boot).map(|(boot, micros)| ((boot + micros / 1e6) * 1e3) as i64);
    let at = at.and_then(|ms| Timestamp::from_millisecond(ms).ok());
    let stamp = at.map_or_else(String::new, |at| format!("{at:.3} "));
    format!("{stamp}kernel: {message}").into_bytes()
}

/// When this machine booted, Unix seconds.
fn boot_time() -> Option<f64> {
    let up: f64 = std::fs::read_to_string("/proc/uptime").ok()?.split(' ').next()?.parse().ok()?;
    Some(Timestamp::now().as_millisecond() as f64 / 1e3 - up)
}

/// The journal of the present boot, of the last day.
fn journal(deadline: Duration) -> io::Result<Vec<u8>> {
    let mut child = Command::new("journalctl")
        .args(["-k", "-o", "short-iso", "--since", "-24h", "--no-pager", "-q"])
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()?;
    let output = child.stdout.take().ok_or(io::ErrorKind::BrokenPipe)?;
    let (send, receive) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let bounded = output.take(MAX_READ);
        drop(send.send(kept(&mut BufReader::new(bounded))));
    });
    let kept = receive.recv_timeout(deadline);
    end(&mut child);
    let kept = kept.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
    // Without the right to read it, journalctl prints nothing and succeeds.
    if kept.is_empty() { Err(io::ErrorKind::PermissionDenied.into()) } else { Ok(kept) }
}

fn end(child: &mut Child) {
    let began = Instant::now();
    while began.elapsed() < Duration::from_millis(200) {
        if !matches!(child.try_wait(), Ok(None)) {
            return;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    let _ = child.kill();
    let _ = child.wait();
}

#[cfg(test)]
mod tests {
    use super::*;

    const XID: &str = "kernel: NVRM: Xid (PCI:0000:3b:00): 79, x";

    #[test]
    fn only_lines_that_matter_are_kept_and_long_ones_are_cut() {
        let long = "x".repeat(1 << 20);
        let text = format!("usb 1-1: new device\n{XID}\n{long}\n{XID} {long}\nmce: broken\n");
        let kept = kept(&mut text.as_bytes()).unwrap();
        let lines: Vec<_> = kept.split(|byte| *byte == b'\n').map(<[u8]>::len).collect();
        assert_eq!(lines, [XID.len(), MAX_LINE, 11, 0]);
    }

    #[test]
    fn the_newest_lines_stay_within_the_bound() {
        let text: String = (0..100_000).map(|number| format!("{XID} {number}\n")).collect();
        let kept = kept(&mut text.as_bytes()).unwrap();
        assert!(kept.len() <= MAX_KEPT && kept.len() > MAX_KEPT / 2, "{}", kept.len());
        assert!(kept.ends_with(b"x 99999\n"));
    }

    #[test]
    fn a_record_is_dated_from_boot() {
        let line =
            dated(b"3,99,5250000,-;NVRM: Xid (PCI:0000:3b:00): 79, x\n SUB=pci\n", Some(1.0e9));
        let expected = "2001-09-09T01:46:45.250Z kernel: NVRM: Xid (PCI:0000:3b:00): 79, x";
        assert_eq!(String::from_utf8(line).unwrap(), expected);
    }

    #[test]
    fn a_file_that_is_not_there_is_a_status() {
        let mut bundle = Bundle::default();
        from_file(&mut bundle, Path::new("/no/such/log"));
        assert!(bundle.kernel_log.is_none());
        assert_eq!(bundle.notes[0].status, SourceState::Unreachable);
    }
}
