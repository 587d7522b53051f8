//! The kernel's log: Xid errors of the GPU driver, processes killed for want of memory.

pub mod capture;

use jiff::{Timestamp, civil, fmt::strtime, tz::Offset};

use crate::evidence::{
    Event, EventKind, KernelEvent, KernelFact, KernelLog, SourceState, SourceStatus, Span, Time,
    bundle::Bundle,
};
use crate::unit::counted;

/// Lines that say the same within this many seconds are one burst.
const BURST: f64 = 60.0;

/// Most events kept; the newest are.
const MAX_EVENTS: usize = 1000;

/// Characters kept of a driver's line.
const MAX_TEXT: usize = 200;

/// Zones lie at most this many seconds from UTC: the doubt of a clock without a zone.
const ZONES: f64 = 14.0 * 3600.0;

/// Reads a kernel's log as `journalctl -k`, `dmesg` or a syslog file has it. Lines of no interest
/// are passed over. `ended` tells the year where a line has none.
pub fn read(log: &[u8], ended: Time) -> KernelLog {
    let mut events: Vec<KernelEvent> = Vec::new();
    let mut cgroup: Option<(u32, String)> = None;
    for line in log.split(|byte| *byte == b'\n') {
        let line = String::from_utf8_lossy(&line[..line.len().min(capture::MAX_LINE)]);
        if let Some(told) = victims_cgroup(&line) {
            cgroup = Some(told);
        } else if let Some(what) = fact(&line, cgroup.as_ref()) {
            add(&mut events, KernelEvent { when: date(&line, ended), count: 1, what });
        }
    }
    events.drain(..events.len().saturating_sub(MAX_EVENTS));
    KernelLog { events }
}

/// The log of a bundle, with its status.
pub(super) fn of_bundle(bundle: &Bundle, ended: Time) -> Option<(KernelLog, SourceStatus)> {
    let log = read(bundle.kernel_log.as_ref()?, ended);
    let count = |wanted: fn(&KernelFact) -> bool| {
        log.events.iter().filter(|event| wanted(&event.what)).map(|e| e.count as usize).sum()
    };
    let xids = count(|what| matches!(what, KernelFact::Xid { .. }));
    let kills = count(|what| matches!(what, KernelFact::OomKill { .. }));
    let detail = format!("{} and {}", counted(xids, "Xid error"), counted(kills, "OOM kill"));
    let (id, status) = ("kernel".into(), SourceState::Ok);
    Some((log, SourceStatus { id, status, detail, took_ms: None }))
}

/// What of the log belongs on the timeline: dated events within the day before `span` ends.
pub(super) fn events(log: &KernelLog, span: Span) -> Vec<Event> {
    let dated = |event: &KernelEvent| {
        let when = event.when.filter(|when| when.seconds() < BURST)?;
        let near = (span.to - DAY..=span.to + BURST).contains(&when.to);
        near.then(|| Event {
            at: when.to,
            not_before: when.from,
            kind: EventKind::Kernel,
            text: text(event),
            source: "kernel",
        })
    };
    log.events.iter().filter_map(dated).collect()
}

const DAY: f64 = 86_400.0;

fn text(event: &KernelEvent) -> String {
    let times = if event.count > 1 { format!(" ({} times)", event.count) } else { String::new() };
    let said = match &event.what {
        KernelFact::Xid { code, pci, process, pid } => {
            let by = match (process, pid) {
                (Some(process), Some(pid)) => format!(", process {process} ({pid})"),
                (_, Some(pid)) => format!(", process {pid}"),
                _ => String::new(),
            };
            format!("Xid {code} on GPU {pci}{by}")
        }
        KernelFact::SwitchXid { code, pci, .. } => format!("SXid {code} on switch {pci}"),
        KernelFact::OomKill { pid, name, .. } => {
            format!("the kernel killed {name} ({pid}) for want of memory")
        }
        KernelFact::Driver(line) => format!("GPU driver: {line}"),
    };
    said + &times
}

fn add(events: &mut Vec<KernelEvent>, new: KernelEvent) {
    let near = |old: &&mut KernelEvent| match (old.when, new.when) {
        (Some(old), Some(new)) => (new.to - old.to).abs() <= BURST,
        (None, None) => true,
        _ => false,
    };
    let same = events.iter_mut().rev().take(8).filter(|old| old.what == new.what).find(near);
    match same {
        Some(_) if matches!(new.what, KernelFact::OomKill { .. }) => {}
        Some(old) => old.count += 1,
        None => events.push(new),
    }
}

fn fact(line: &str, cgroup: Option<&(u32, String)>) -> Option<KernelFact> {
    if let Some((_, rest)) = line.split_once("SXid (") {
        let (pci, rest) = bracketed(rest)?;
        let fatal = line.contains("Fatal") && !line.contains("Non-fatal");
        return Some(KernelFact::SwitchXid { code: leading(rest)?, pci, fatal });
    }
    if let Some((_, rest)) = line.split_once("Xid (") {
        let (pci, rest) = bracketed(rest)?;
        let (pid, process) = (pid_of(rest), process_of(rest));
        return Some(KernelFact::Xid { code: leading(rest)?, pci, pid, process });
    }
    if let Some((_, rest)) = line.split_once("Killed process ") {
        let (pid, name) = killed(rest)?;
        let cgroup = cgroup.filter(|(victim, _)| *victim == pid).map(|(_, cgroup)| cgroup.clone());
        return Some(KernelFact::OomKill { pid, name, cgroup });
    }
    let (_, rest) = line.split_once("NVRM: ")?;
    Some(KernelFact::Driver(rest.trim().chars().take(MAX_TEXT).collect()))
}

/// `PCI:0000:3b:00): 79, …` as the address without function, and what follows.
fn bracketed(rest: &str) -> Option<(String, &str)> {
    let (inside, rest) = rest.split_once(')')?;
    let address = inside.strip_prefix("PCI:").unwrap_or(inside);
    let address = address.split('.').next().unwrap_or(address);
    let plain = |c: char| c.is_ascii_hexdigit() || c == ':';
    let sound = (4..=20).contains(&address.len()) && address.chars().all(plain);
    sound.then(|| (address.to_ascii_lowercase(), rest.trim_start_matches([':', ' '])))
}

fn leading(text: &str) -> Option<u32> {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    text[..end].parse().ok()
}

fn pid_of(rest: &str) -> Option<u32> {
    leading(rest.split_once("pid=")?.1.trim_start_matches('\''))
}

fn process_of(rest: &str) -> Option<String> {
    let (_, name) = rest.split_once("name=")?;
    let name = name.split(',').next()?.trim_matches(['\'', ' ']);
    (!name.is_empty() && name != "<unknown>").then(|| name.chars().take(64).collect())
}

/// `1234 (python3) total-vm:…`, or `1234, UID 0, (python3) …` as some kernels have it.
fn killed(rest: &str) -> Option<(u32, String)> {
    let (_, name) = rest.split_once('(')?;
    let (name, _) = name.split_once(") ").or_else(|| name.split_once(')'))?;
    Some((leading(rest)?, name.chars().take(64).collect()))
}

/// Process and cgroup of a line such as `oom-kill:constraint=…,task_memcg=/a/b,task=x,pid=7,uid=0`.
fn victims_cgroup(line: &str) -> Option<(u32, String)> {
    let (_, fields) = line.split_once("oom-kill:")?;
    let field = |name: &str| {
        fields.split(',').find_map(|field| field.trim().strip_prefix(name)?.strip_prefix('='))
    };
    Some((leading(field("pid")?)?, field("task_memcg")?.chars().take(512).collect()))
}

/// The interval in which a line was written, by its stamp.
fn date(line: &str, ended: Time) -> Option<Span> {
    let exact = |at: Time| Some(Span { from: at, to: at });
    let stamp = line.get(..40).unwrap_or(line).trim_start_matches('[');
    if let Some(at) = iso(stamp) {
        return exact(at);
    }
    let doubtful = dmesg_clock(stamp).or_else(|| syslog_clock(stamp, ended))?;
    Some(Span { from: doubtful - ZONES, to: doubtful + ZONES })
}

/// `2026-11-22T05:49:01+0000 …`, with a fraction after `.` or `,`, and the zone with or without `:`.
fn iso(stamp: &str) -> Option<Time> {
    let word = stamp.split([' ', ']']).next()?.replace(',', ".");
    let bytes = word.as_bytes();
    let n = bytes.len();
    if n < 20 || bytes.get(10) != Some(&b'T') || !word.is_ascii() {
        return None;
    }
    let bare_zone = matches!(bytes[n - 5], b'+' | b'-') && bytes[n - 3] != b':';
    let word = if bare_zone { format!("{}:{}", &word[..n - 2], &word[n - 2..]) } else { word };
    let at: Timestamp = word.parse().ok()?;
    Some(at.as_millisecond() as f64 / 1e3)
}

/// `Sun Nov 22 05:49:01 2026]` of `dmesg -T`, read as if it were UTC.
fn dmesg_clock(stamp: &str) -> Option<Time> {
    let (stamp, _) = stamp.split_once(']')?;
    utc(strtime::parse("%a %b %e %H:%M:%S %Y", stamp).ok()?.to_datetime().ok()?)
}

/// `Nov 22 05:49:01 host …` of a syslog file, read as if it were UTC, in the year that puts it
/// before `ended`.
fn syslog_clock(stamp: &str, ended: Time) -> Option<Time> {
    let stamp = stamp.get(..15)?;
    let year = Timestamp::from_second(ended as i64).ok()?.to_zoned(jiff::tz::TimeZone::UTC).year();
    let in_year = |year: i16| {
        let text = format!("{year} {stamp}");
        utc(strtime::parse("%Y %b %e %H:%M:%S", &text).ok()?.to_datetime().ok()?)
    };
    in_year(year).filter(|at| *at <= ended + 2.0 * ZONES).or_else(|| in_year(year - 1))
}

fn utc(at: civil::DateTime) -> Option<Time> {
    Some(Offset::UTC.to_timestamp(at).ok()?.as_second() as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ENDED: Time = 1_795_326_600.0; // 2026-11-22T05:50:00Z

    fn one(line: &str) -> KernelEvent {
        let mut events = read(line.as_bytes(), ENDED).events;
        assert_eq!(events.len(), 1, "{line}");
        events.remove(0)
    }

    #[test]
    fn an_xid_is_read_with_gpu_process_and_time() {
        let line = "2026-11-22T05:49:01+0000 h kernel: NVRM: Xid (PCI:0000:3B:00): 31, pid=1234, \
                    name=VLLM::EngineCor, Ch 00000008, intr 00000000. MMU Fault";
        let event = one(line);
        assert_eq!(event.when, Some(Span { from: ENDED - 59.0, to: ENDED - 59.0 }));
        let (pid, process) = (Some(1234), Some("VLLM::EngineCor".into()));
        assert_eq!(
            event.what,
            KernelFact::Xid { code: 31, pci: "0000:3b:00".into(), pid, process }
        );
        let unknown = one("NVRM: Xid (PCI:0000:3b:00): 79, pid='<unknown>', name=<unknown>, GPU");
        let what = KernelFact::Xid { code: 79, pci: "0000:3b:00".into(), pid: None, process: None };
        assert_eq!((unknown.what, unknown.when), (what, None));
        let old = one("[ 12.5] NVRM: Xid (0000:03:00): 48, An uncorrectable double bit error");
        assert!(matches!(old.what, KernelFact::Xid { code: 48, .. }));
    }

    #[test]
    fn clocks_are_read_and_those_without_a_zone_stay_doubtful() {
        let rest = "kernel: NVRM: Xid (PCI:0000:3b:00): 79, x";
        for stamp in ["2026-11-22T05:49:01.250+00:00", "2026-11-22T06:49:01,250000+01:00"] {
            assert_eq!(one(&format!("{stamp} {rest}")).when.unwrap().to, ENDED - 58.75, "{stamp}");
        }
        for stamp in ["[Sun Nov 22 05:49:01 2026]", "Nov 22 05:49:01 host"] {
            let when = one(&format!("{stamp} {rest}")).when.unwrap();
            assert_eq!((when.from, when.to), (ENDED - 59.0 - ZONES, ENDED - 59.0 + ZONES));
        }
        assert!(one(&format!("Dec 24 05:49:01 host {rest}")).when.unwrap().to < ENDED);
    }

    #[test]
    fn a_kill_is_named_once_with_its_cgroup() {
        let log = "\
2026-11-22T05:49:01+0000 h kernel: oom-kill:constraint=CONSTRAINT_MEMCG,nodemask=(null),cpuset=/,oom_memcg=/kubepods/x,task_memcg=/kubepods/x,task=python3,pid=77,uid=0
2026-11-22T05:49:01+0000 h kernel: Memory cgroup out of memory: Killed process 77 (python3) total-vm:9kB, anon-rss:8kB
2026-11-22T05:49:02+0000 h kernel: Memory cgroup out of memory: Killed process 77 (python3) total-vm:9kB, anon-rss:8kB
";
        let events = read(log.as_bytes(), ENDED).events;
        let cgroup = Some("/kubepods/x".into());
        assert_eq!(events.len(), 1);
        assert_eq!(events[0].what, KernelFact::OomKill { pid: 77, name: "python3".into(), cgroup });
        assert_eq!(events[0].count, 1);
    }

    #[test]
    fn a_burst_is_one_event_with_its_count_and_another_gpu_is_another() {
        let line = |minute: u32, gpu: &str| {
            format!(
                "2026-11-22T05:{minute:02}:01+0000 h kernel: NVRM: Xid (PCI:0000:{gpu}:00): 94, x\n"
            )
        };
        let log = [line(1, "3b"), line(1, "3b"), line(1, "5e"), line(1, "3b"), line(9, "3b")];
        let counts: Vec<u32> =
            read(log.concat().as_bytes(), ENDED).events.iter().map(|e| e.count).collect();
        assert_eq!(counts, [3, 1, 1]);
    }

    #[test]
    fn switches_tell_whether_it_was_fatal() {
        let fatal = |word: &str| {
            let line = format!("nvidia-nvswitch3: SXid (PCI:0000:c1:00.0): 12028, {word}, Link 32");
            matches!(one(&line).what, KernelFact::SwitchXid { code: 12028, fatal: true, .. })
        };
        assert!(fatal("Fatal") && !fatal("Non-fatal"));
    }

    #[test]
    fn garbage_is_no_event() {
        for line in
            ["", "Xid (", "NVRM: Xid (PCI:zz): 79", "Xid (PCI:0000:3b:00): ", "Killed process"]
        {
            let events = read(line.as_bytes(), ENDED).events;
            assert!(events.iter().all(|e| matches!(e.what, KernelFact::Driver(_))), "{line}");
        }
        assert!(read(&[0xff; 70_000], ENDED).events.is_empty());
        assert!(read("é".repeat(50).as_bytes(), f64::INFINITY).events.is_empty());
    }
}
