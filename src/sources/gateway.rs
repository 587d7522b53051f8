//! Records of the gateway before the engine: JSON lines, or an access log in combined format.

use std::collections::BTreeMap;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;

use jiff::{Timestamp, fmt::strtime};
use serde_json::Value;

use crate::evidence::{
    Event, EventKind, SourceState, SourceStatus, Span, Time,
    bundle::Bundle,
    gateway::{GatewayFields, GatewayLog, GatewayRecord},
};
use crate::{input, unit::counted};

use super::state_of;

/// Bytes read of one line; a longer one is skipped.
const MAX_LINE: usize = 1 << 20;
/// Bytes kept of all records.
const MAX_KEPT: usize = 32 << 20;
/// Most records read of a bundle.
const MAX_RECORDS: usize = 500_000;
/// Characters kept of an id or a name.
const MAX_TEXT: usize = 128;
/// Seconds kept before the evidence begins: what it is compared with.
const BEFORE: f64 = 3600.0;
/// Seconds by which the gateway's clock may run ahead.
const SKEW: f64 = 60.0;
/// Versions told apart; more are no versions but ids.
const MAX_VERSIONS: usize = 100;
/// Requests that must come before a version for it to be new.
const SEEN_BEFORE: usize = 20;
/// Requests of a new version that make it more than a try.
const SENT_SINCE: usize = 5;

/// Records what `file` tells of the bundle's time. Only the fields that are named are kept, so no
/// prompt and no key comes along.
pub fn from_file(bundle: &mut Bundle, file: &Path, fields: &GatewayFields) {
    let kept = input::open(file).and_then(|file| {
        let mut reader = BufReader::with_capacity(1 << 16, file);
        kept(&mut reader, fields, reach(bundle))
    });
    match kept {
        Ok(Kept { lines, read, skipped }) => {
            bundle.gateway = Some(lines);
            match (read, skipped) {
                (_, 0) => {}
                (0, _) => note(bundle, SourceState::BadData, none_of(skipped)),
                _ => {
                    let lines = counted(skipped, "line");
                    note(bundle, SourceState::Partial, format!("{lines} could not be read"));
                }
            }
        }
        Err(error) => {
            note(bundle, state_of(&error), format!("{} cannot be read: {error}", file.display()));
        }
    }
}

fn note(bundle: &mut Bundle, status: SourceState, detail: String) {
    bundle.notes.push(SourceStatus { id: "gateway".into(), status, detail, took_ms: None });
}

/// The time whose records matter: that of the bundle and an hour before.
fn reach(bundle: &Bundle) -> Span {
    match bundle.span_ms() {
        Some((from, to)) => Span { from: from as f64 / 1e3 - BEFORE, to: to as f64 / 1e3 + SKEW },
        None => Span { from: f64::NEG_INFINITY, to: f64::INFINITY },
    }
}

/// What was kept of a file.
struct Kept {
    /// The records within reach, a JSON line each.
    lines: Vec<u8>,
    /// Records, also those out of reach.
    read: usize,
    /// Lines that could not be read, or were too many.
    skipped: usize,
}

fn kept(reader: &mut dyn BufRead, fields: &GatewayFields, reach: Span) -> io::Result<Kept> {
    let (mut kept, mut read, mut lost) = (Vec::new(), 0, 0);
    let skipped = each(reader, fields, |record| {
        read += 1;
        if !reach.contains(record.at) {
            return Ok(());
        }
        if kept.len() >= MAX_KEPT {
            lost += 1;
            return Ok(());
        }
        serde_json::to_writer(&mut kept, &record)?;
        kept.push(b'\n');
        Ok(())
    })?;
    Ok(Kept { lines: kept, read, skipped: skipped + lost })
}

fn none_of(lines: usize) -> String {
    let lines = counted(lines, "line");
    let why = "give JSON lines, with `gateway_fields` in diagnose.toml, or combined format";
    format!("none of {lines} is a gateway record: {why}")
}

/// Hands over the records of a stream one by one, however long it is, and tells how many lines
/// could not be read. Ends with the first error of the reader or of `take`.
pub fn each(
    reader: &mut dyn BufRead,
    fields: &GatewayFields,
    mut take: impl FnMut(GatewayRecord) -> io::Result<()>,
) -> io::Result<usize> {
    let (mut line, mut skipped) = (Vec::new(), 0);
    loop {
        line.clear();
        let read = reader.take(MAX_LINE as u64).read_until(b'\n', &mut line)?;
        if read == 0 {
            return Ok(skipped);
        }
        if read == MAX_LINE && !line.ends_with(b"\n") {
            reader.skip_until(b'\n')?;
            line.clear();
            skipped += 1;
        }
        match record(&line, fields) {
            Line::Record(record) => take(*record)?,
            Line::Nothing => {}
            Line::Garbage => skipped += 1,
        }
    }
}

/// The records of a bundle, with their status.
pub(super) fn of_bundle(bundle: &Bundle) -> Option<(GatewayLog, SourceStatus)> {
    let log = read(bundle.gateway.as_ref()?);
    let requests = counted(log.records.len(), "request");
    let (status, detail) = match (log.records.len(), log.skipped) {
        (_, 0) => (SourceState::Ok, requests),
        (0, lost) => (SourceState::BadData, none_of(lost)),
        (_, lost) => {
            (SourceState::Partial, format!("{requests}; {} skipped", counted(lost, "line")))
        }
    };
    Some((log, SourceStatus { id: "gateway".into(), status, detail, took_ms: None }))
}

/// Reads records; lines that are none are counted.
pub fn read(lines: &[u8]) -> GatewayLog {
    let fields = GatewayFields::default();
    let mut log = GatewayLog::default();
    for line in lines.split(|byte| *byte == b'\n') {
        match record(&line[..line.len().min(MAX_LINE)], &fields) {
            Line::Record(record) if log.records.len() < MAX_RECORDS => log.records.push(*record),
            Line::Nothing => {}
            Line::Record(_) | Line::Garbage => log.skipped += 1,
        }
    }
    log.records.sort_by(|a, b| a.at.total_cmp(&b.at));
    log
}

/// What a line is.
enum Line {
    Record(Box<GatewayRecord>),
    /// Empty, or a request for something else than inference.
    Nothing,
    Garbage,
}

fn record(line: &[u8], fields: &GatewayFields) -> Line {
    let line = line.trim_ascii();
    if line.is_empty() {
        return Line::Nothing;
    }
    if line.starts_with(b"{") {
        let read = serde_json::from_slice(line).ok().and_then(|line| from_json(&line, fields));
        return read.map_or(Line::Garbage, |record| Line::Record(Box::new(record)));
    }
    match access_line(&String::from_utf8_lossy(line)) {
        Some((record, true)) => Line::Record(Box::new(record)),
        Some((_, false)) => Line::Nothing,
        None => Line::Garbage,
    }
}

/// One request; `None` where its time is not told.
pub(super) fn from_json(line: &Value, fields: &GatewayFields) -> Option<GatewayRecord> {
    let field = |name: &str| {
        let whole = line.get(name);
        whole.or_else(|| name.split('.').try_fold(line, |value, part| value.get(part)))
    };
    let number = |name: &str| {
        let value = field(name)?;
        let number = value.as_f64().or_else(|| value.as_str()?.parse().ok());
        number.filter(|number| number.is_finite() && *number >= 0.0)
    };
    let text = |name: &str| match field(name)? {
        Value::String(text) if !text.is_empty() => Some(text.chars().take(MAX_TEXT).collect()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    };
    Some(GatewayRecord {
        at: time(field(&fields.time)?)?,
        status: field(&fields.status).and_then(status),
        ttft_ms: number(&fields.ttft_ms),
        total_ms: number(&fields.total_ms),
        input_tokens: number(&fields.input_tokens),
        output_tokens: number(&fields.output_tokens),
        adapter: text(&fields.adapter),
        prompt_version: text(&fields.prompt_version),
        rejected: text(&fields.rejected),
        tenant: text(&fields.tenant),
        session: text(&fields.session),
        request_id: text(&fields.request_id),
        cancelled: field(&fields.cancelled).and_then(flag),
        timed_out: field(&fields.timed_out).and_then(flag),
        queue_wait_ms: number(&fields.queue_wait_ms),
        generation_ms: number(&fields.generation_ms),
        backend_version: text(&fields.backend_version),
        adapter_version: text(&fields.adapter_version),
        prefix_hit: field(&fields.prefix_hit).and_then(flag),
        trimmed: field(&fields.trimmed).and_then(flag),
        retrieved_chunks: number(&fields.retrieved_chunks),
        finish_reason: text(&fields.finish_reason),
    })
}

/// True or false, which some write as 1 or 0.
fn flag(value: &Value) -> Option<bool> {
    match value.as_str() {
        Some("true" | "True") => Some(true),
        Some("false" | "False") => Some(false),
        _ => value.as_bool().or_else(|| value.as_f64().map(|number| number != 0.0)),
    }
}

fn status(value: &Value) -> Option<u16> {
    let code = value.as_u64().or_else(|| value.as_str()?.parse().ok())?;
    u16::try_from(code).ok().filter(|code| (100..600).contains(code))
}

/// Unix seconds from 2001 to 5138, milliseconds of the same, or RFC 3339.
fn time(value: &Value) -> Option<Time> {
    let stamp = |text: &str| Some(text.parse::<Timestamp>().ok()?.as_millisecond() as f64 / 1e3);
    let at = value.as_f64().or_else(|| value.as_str().and_then(stamp))?;
    match at {
        1e9..1e11 => Some(at),
        1e12..1e14 => Some(at / 1e3),
        _ => None,
    }
}

/// `… [22/Nov/2026:05:49:01 +0000] "POST /v1/completions HTTP/1.1" 200 …`, and whether it is a
/// request for inference.
fn access_line(line: &str) -> Option<(GatewayRecord, bool)> {
    let (_, rest) = line.split_once('[')?;
    let (stamp, rest) = rest.split_once(']')?;
    let at = strtime::parse("%d/%b/%Y:%H:%M:%S %z", stamp).ok()?.to_timestamp().ok()?;
    let (request, rest) = rest.split_once('"')?.1.split_once("\" ")?;
    let code = rest.split(' ').next()?.parse().ok().filter(|code| (100..600).contains(code))?;
    let at = Some(at.as_millisecond() as f64 / 1e3).filter(|at| (1e9..1e11).contains(at))?;
    let record = GatewayRecord { at, status: Some(code), ..GatewayRecord::default() };
    Some((record, request.starts_with("POST ")))
}

/// A version that a record may tell.
type Version = fn(&GatewayRecord) -> Option<&str>;

/// Versions that went out, by the gateway's records, else by traces.
pub(super) fn events(gateway: Option<&GatewayLog>, traces: Option<&GatewayLog>) -> Vec<Event> {
    let telling = |version: Version| {
        let mut logs = [gateway, traces].into_iter().flatten();
        let log = logs.find(|log| log.records.iter().any(|record| version(record).is_some()));
        log.map(|log| log.records.iter().collect::<Vec<_>>()).unwrap_or_default()
    };
    let (prompt, backend): (Version, Version) =
        (|it| it.prompt_version.as_deref(), |it| it.backend_version.as_deref());
    let adapter: Version = |it| it.adapter_version.as_deref();
    let mut events = released(&telling(prompt), EventKind::PromptVersion, "prompt version", prompt);
    events.extend(released(
        &telling(backend),
        EventKind::VersionChanged,
        "backend version",
        backend,
    ));
    for (name, records) in by_adapter(telling(adapter)) {
        let what = format!("version of adapter {name}");
        events.extend(released(&records, EventKind::AdapterLoaded, &what, adapter));
    }
    events
}

fn by_adapter(records: Vec<&GatewayRecord>) -> BTreeMap<&str, Vec<&GatewayRecord>> {
    let mut adapters: BTreeMap<&str, Vec<&GatewayRecord>> = BTreeMap::new();
    for record in records {
        if let Some(name) = record.adapter.as_deref() {
            adapters.entry(name).or_default().push(record);
        }
    }
    adapters
}

/// Versions first seen after others, and not for a try only.
fn released(
    records: &[&GatewayRecord],
    kind: EventKind,
    what: &str,
    version: Version,
) -> Vec<Event> {
    let mut seen: Vec<(&str, usize, usize)> = Vec::new();
    for (index, record) in records.iter().enumerate() {
        let Some(version) = version(record) else { continue };
        match seen.iter().position(|(known, ..)| *known == version) {
            Some(known) => seen[known].2 += 1,
            None if seen.len() < MAX_VERSIONS => seen.push((version, index, 1)),
            None => {}
        }
    }
    let is_new =
        |(_, first, sent): &&(&str, usize, usize)| *first >= SEEN_BEFORE && *sent >= SENT_SINCE;
    seen.iter()
        .filter(is_new)
        .filter_map(|&(new, first, _)| {
            let before = records[..first].iter().rev();
            let (at, old) = before.filter_map(|it| Some((it.at, version(it)?))).next()?;
            let text = format!("{what} {old} → {new}");
            Some(Event { at: records[first].at, not_before: at, kind, text, source: "gateway" })
        })
        .collect()
}
