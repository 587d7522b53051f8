//! LoRA adapters on disk: what lies in their folders, bounded in size and in time.

use std::collections::BTreeSet;
use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, UNIX_EPOCH};

use serde_json::{Map, Value};

use super::http;
use crate::evidence::adapter::{self, Card, cards};
use crate::evidence::bundle::Bundle;
use crate::evidence::{
    AdapterFolder, Event, EventKind, ProbeRound, SourceState, SourceStatus, Time,
};
use crate::input;
use crate::unit::counted;

/// Most entries looked at in one folder, and most bytes read of an adapter_config.json.
const MAX_ENTRIES: usize = 10_000;
const MAX_CONFIG: u64 = 1 << 20;

/// What is kept of adapter_config.json.
const KEYS: [&str; 4] = ["r", "lora_alpha", "target_modules", "base_model_name_or_path"];

/// Records the adapters under `dirs`, and those that a server on this host says it loaded. Folders
/// that do not answer within `deadline` (a dead network share) are noted as lost.
pub fn record(bundle: &mut Bundle, dirs: &[PathBuf], deadline: Duration) {
    let roots = local_roots(bundle);
    if dirs.is_empty() && roots.is_empty() {
        return;
    }
    let (send, receive) = mpsc::channel();
    let dirs = dirs.to_vec();
    // Nobody listens any more after the deadline.
    thread::spawn(move || drop(send.send(scan(&dirs, &roots))));
    let note = |status, detail: String| SourceStatus {
        id: "adapters".into(),
        status,
        detail,
        took_ms: None,
    };
    let Ok((folders, unread)) = receive.recv_timeout(deadline) else {
        let detail = format!("the folders did not answer within {deadline:?}");
        return bundle.notes.push(note(SourceState::TimedOut, detail));
    };
    if let Some(first) = unread.first() {
        bundle.notes.push(note(SourceState::Partial, first.clone()));
    }
    let at = bundle.span_ms().map_or(0, |(_, to)| to);
    bundle.adapters.insert(at, folders);
}

/// Adapters by the path that a server on this host says they have.
fn local_roots(bundle: &Bundle) -> Vec<(String, PathBuf)> {
    let target = bundle.meta.target.as_deref().and_then(|url| http::parse_target(url).ok());
    let here = target.is_some_and(|url| {
        matches!(url.host_str(), Some("localhost" | "127.0.0.1" | "[::1]" | "::1"))
    });
    let rounds = bundle.probes.iter().filter(|_| here);
    let known = rounds.flat_map(|(_, paths)| {
        let round = ProbeRound { at: 0.0, paths: paths.clone() };
        cards(&round).unwrap_or_default()
    });
    let root = |card: Card| {
        let path = PathBuf::from(card.root?);
        path.is_absolute().then_some((card.id, path))
    };
    let unique: BTreeSet<_> = known.filter_map(root).collect();
    unique.into_iter().collect()
}

type Scan = (Vec<AdapterFolder>, Vec<String>);

fn scan(dirs: &[PathBuf], roots: &[(String, PathBuf)]) -> Scan {
    let mut folders = Vec::new();
    let mut unread = Vec::new();
    for (id, root) in roots {
        folders.extend(look(root).map(|it| AdapterFolder { served_as: Some(id.clone()), ..it }));
    }
    for dir in dirs {
        match subfolders(dir) {
            Ok(found) => folders.extend(found.iter().filter_map(|path| look(path))),
            Err(why) => unread.push(format!("{} cannot be listed: {why}", dir.display())),
        }
    }
    let broken =
        folders.iter().filter_map(|it| Some(format!("{}: {}", it.folder, it.error.as_ref()?)));
    unread.extend(broken);
    (folders, unread)
}

#[expect(clippy::disallowed_methods, reason = "a folder that the user named")]
fn subfolders(dir: &Path) -> std::io::Result<Vec<PathBuf>> {
    let entries = fs::read_dir(dir)?.take(MAX_ENTRIES).flatten();
    let mut paths: Vec<PathBuf> =
        entries.map(|entry| entry.path()).filter(|path| path.is_dir()).collect();
    paths.sort();
    Ok(paths)
}

/// One adapter's folder; `None` where it holds no adapter_config.json.
fn look(path: &Path) -> Option<AdapterFolder> {
    let config = path.join("adapter_config.json");
    fs::symlink_metadata(&config).ok()?;
    let folder = path.file_name()?.to_string_lossy().into_owned();
    let (config, error) = match read_config(&config) {
        Ok(config) => (config, None),
        Err(why) => (Map::new(), Some(format!("adapter_config.json {why}"))),
    };
    let (weight_bytes, modified) = weights(path);
    Some(AdapterFolder { folder, served_as: None, config, weight_bytes, modified, error })
}

/// Only a plain file is opened: a pipe would block.
fn read_config(path: &Path) -> Result<Map<String, Value>, String> {
    let unread = |why: io::Error| format!("cannot be read: {why}");
    let file = input::file(path).map_err(unread)?;
    if file.metadata().map_err(unread)?.len() > MAX_CONFIG {
        return Err(format!("is larger than {MAX_CONFIG} bytes"));
    }
    let mut text = Vec::new();
    file.take(MAX_CONFIG).read_to_end(&mut text).map_err(unread)?;
    let json: Map<String, Value> =
        serde_json::from_slice(&text).map_err(|why| format!("is no JSON object: {why}"))?;
    Ok(json.into_iter().filter(|(key, _)| KEYS.contains(&key.as_str())).collect())
}

/// Size of the weight files together, and the newest of their times; `None` without any.
#[expect(clippy::disallowed_methods, reason = "an adapter that the user or the server named")]
fn weights(path: &Path) -> (Option<u64>, Option<Time>) {
    let Ok(entries) = fs::read_dir(path) else { return (None, None) };
    let is_weight = |name: &str| {
        name.starts_with("adapter_model")
            && (name.ends_with(".safetensors") || name.ends_with(".bin"))
    };
    let files: Vec<fs::Metadata> = entries
        .take(MAX_ENTRIES)
        .flatten()
        .filter(|entry| is_weight(&entry.file_name().to_string_lossy()))
        .filter_map(|entry| fs::metadata(entry.path()).ok().filter(fs::Metadata::is_file))
        .collect();
    let seconds = |meta: &fs::Metadata| {
        Some(meta.modified().ok()?.duration_since(UNIX_EPOCH).ok()?.as_secs() as Time)
    };
    let bytes = files.iter().fold(0_u64, |sum, meta| sum.saturating_add(meta.len()));
    let newest = files.iter().filter_map(seconds).reduce(f64::max);
    ((!files.is_empty()).then_some(bytes), newest)
}

/// How the recorded folders are to be told; `None` where nobody looked.
pub(super) fn status(bundle: &Bundle) -> Option<SourceStatus> {
    let folders = bundle.adapters.values().next_back()?;
    let detail = counted(folders.len(), "adapter folder");
    Some(SourceStatus { id: "adapters".into(), status: SourceState::Ok, detail, took_ms: None })
}

/// Adapters that `/v1/models` began or ceased to list between two rounds.
pub(super) fn changes(probes: &[ProbeRound]) -> Vec<Event> {
    let listed: Vec<(Time, BTreeSet<String>)> = probes
        .iter()
        .filter_map(|round| Some((round.at, cards(round)?.into_iter().map(|it| it.id).collect())))
        .collect();
    let mut events = Vec::new();
    for pair in listed.windows(2) {
        let ((not_before, old), (at, new)) = (&pair[0], &pair[1]);
        let mut tell = |names: Vec<&String>, kind, text: fn(&str) -> String| {
            events.extend(names.into_iter().map(|name| Event {
                at: *at,
                not_before: *not_before,
                kind,
                text: text(name),
                source: "probes",
            }));
        };
        tell(new.difference(old).collect(), EventKind::AdapterLoaded, adapter::loaded);
        tell(old.difference(new).collect(), EventKind::AdapterUnloaded, adapter::unloaded);
    }
    events
}
