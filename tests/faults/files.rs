//! Files that are not what they should be.

use std::{
    fs,
    io::Write,
    os::unix::fs::{PermissionsExt, symlink},
    path::{Path, PathBuf},
};

use diagnose::{
    evidence::bundle::{Bundle, Limits},
    input,
};
use tempfile::TempDir;

use super::{
    Cell, MATRIX, Sources, assert_table, calm,
    cli::{Ran, incident, run},
    judged, sources,
};

/// A healthy recording, of which each source of files is a part or stands beside.
fn recording() -> Bundle {
    Bundle::load(&[incident("healthy").into()], &Limits::default()).unwrap()
}

/// Files that are fine, and one place for the file that is not.
struct Files {
    folder: TempDir,
    end: u64,
}

/// Each source with the name of its file; the bundles are replayed, the others stand beside.
const SOURCES: [(&str, &str, &str); 8] = [
    ("log", "--log", "server.log"),
    ("kernel", "--kernel-log", "kernel.log"),
    ("gateway", "--gateway", "gateway.jsonl"),
    ("kube", "--kube", "kube.json"),
    ("archive", "--replay", "recording.tar.zst"),
    ("folder", "--replay", "recording"),
    ("settings", "--config", "diagnose.toml"),
    ("runbook", "--runbooks", "books"),
];

impl Files {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let bundle = Bundle { log: None, ..recording() };
        let files = Self { folder, end: bundle.span_ms().unwrap().1 };
        bundle.save(&files.at("recording")).unwrap();
        bundle.save(&files.at("recording.tar.zst")).unwrap();
        for (source, _, name) in
            SOURCES.into_iter().filter(|it| !["archive", "folder"].contains(&it.0))
        {
            match source {
                "runbook" => {
                    fs::create_dir(files.at(name)).unwrap();
                    fs::write(files.at(name).join("policy.yaml"), files.good(source)).unwrap();
                }
                _ => fs::write(files.at(name), files.good(source)).unwrap(),
            }
        }
        files
    }

    fn at(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A file as it should be.
    fn good(&self, source: &str) -> Vec<u8> {
        let at = self.end as f64 / 1e3 - 5.0;
        let stamp = jiff::Timestamp::from_second(at as i64).unwrap();
        let text = match source {
            "log" => format!("{stamp} INFO: a line\n").repeat(40),
            "kernel" => format!("{stamp} host kernel: NVRM: a line\n").repeat(40),
            "gateway" => format!("{{\"t\":{at},\"status\":200,\"request_id\":\"r\"}}\n").repeat(40),
            "kube" => r#"{"items":[{"kind":"Pod","metadata":{"name":"p"}}]}"#.into(),
            "settings" => "min_coverage = 0.5\n# a comment\nfail_on = \"warning\"\n".into(),
            "runbook" => "queue_wait_p50_seconds:\n  value: 1.0\n".into(),
            _ => return fs::read(self.at("recording.tar.zst")).unwrap(),
        };
        text.into_bytes()
    }

    /// All of them, with `path` in the place of one.
    fn sweep(&self, faulty: Option<(&str, &Path)>) -> Ran {
        let bundle = if faulty.is_some_and(|it| it.0 == "archive") { "archive" } else { "folder" };
        let used = SOURCES.iter().filter(|it| it.1 != "--replay" || it.0 == bundle);
        let path = |source: &str, name: &str| match faulty {
            Some((own, path)) if own == source => path.display().to_string(),
            _ => self.at(name).display().to_string(),
        };
        let flags = used.flat_map(|(source, flag, name)| [(*flag).to_owned(), path(source, name)]);
        let usual = ["sweep", "--format", "json"].map(str::to_owned);
        run(usual.into_iter().chain(flags))
    }
}

/// Puts a faulty file where `--flag` will look for it; `None` where the fault makes no sense there.
fn broken(files: &Files, source: &str, fault: &str, dir: &Path) -> PathBuf {
    let name = SOURCES.iter().find(|it| it.0 == source).unwrap().2;
    let given = dir.join(name);
    if fault == "missing" {
        return given;
    }
    let inside = match source {
        "folder" => {
            copy(&files.at("recording"), &given);
            if fault == "empty" {
                fs::remove_dir_all(&given).unwrap();
                fs::create_dir(&given).unwrap();
                return given;
            }
            let mut pages: Vec<_> =
                fs::read_dir(given.join("scrapes")).unwrap().map(|it| it.unwrap().path()).collect();
            pages.sort();
            pages.pop().unwrap()
        }
        "runbook" => {
            fs::create_dir(&given).unwrap();
            given.join("checks.yaml")
        }
        _ => given.clone(),
    };
    let good = match source {
        "folder" => fs::read(&inside).unwrap(),
        _ => files.good(source),
    };
    if inside.exists() {
        fs::remove_file(&inside).unwrap();
    }
    spoil(source, fault, &inside, &good);
    given
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir(to).unwrap();
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
        let target = to.join(entry.file_name());
        match entry.path().is_dir() {
            true => copy(&entry.path(), &target),
            false => drop(fs::copy(entry.path(), target).unwrap()),
        }
    }
}

fn spoil(source: &str, fault: &str, path: &Path, good: &[u8]) {
    let write = |bytes: &[u8]| fs::write(path, bytes).unwrap();
    match fault {
        "unreadable" => unreadable(path, good),
        "directory" => fs::create_dir(path).unwrap(),
        "empty" => write(b""),
        "garbage" => write(&garbage()),
        "truncated" => write(&good[..good.len() / 2]),
        "bomb" => write(&bomb(source)),
        "line" => write(&long_line(source)),
        "utf8" => {
            write(&[&good[..good.len() / 2], b"\xff\xfe\xc0\x80", &good[good.len() / 2..]].concat())
        }
        "loop" => symlink(path, path).unwrap(),
        "pipe" => nix::unistd::mkfifo(path, nix::sys::stat::Mode::S_IRWXU).unwrap(),
        "device" => symlink("/dev/zero", path).unwrap(),
        "null" => symlink("/dev/null", path).unwrap(),
        "socket" => drop(std::os::unix::net::UnixListener::bind(path).unwrap()),
        "outside" => write(&archive("../../etc/x", b"x")),
        "types" => write(&wrong_types(source)),
        other => panic!("no such fault: {other}"),
    }
}

/// Root reads every file, so that a file is taken there whose read fails.
fn unreadable(path: &Path, good: &[u8]) {
    fs::write(path, good).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o000)).unwrap();
    if fs::File::open(path).is_ok() {
        fs::remove_file(path).unwrap();
        symlink("/proc/self/mem", path).unwrap();
    }
}

/// 64 KiB of every byte, in no order.
fn garbage() -> Vec<u8> {
    let mut state = 1_u32;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    };
    (0..65_536).map(|_| next()).collect()
}

/// Few bytes that unpack to 80 MiB, packed as the source may be.
fn bomb(source: &str) -> Vec<u8> {
    let zeros = vec![b'\n'; 80 << 20];
    if source == "archive" {
        return archive("scrapes/1795304318444.prom", &zeros);
    }
    if source == "folder" {
        return zeros;
    }
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(&zeros).unwrap();
    encoder.finish().unwrap()
}

fn long_line(source: &str) -> Vec<u8> {
    let line = vec![b'x'; 8 << 20];
    match source {
        "archive" => archive("scrapes/1795304318444.prom", &line),
        "kube" => [b"{\"items\":[{\"kind\":\"", line.as_slice(), b"\"}]}"].concat(),
        "settings" => [b"url = \"", line.as_slice(), b"\"\n"].concat(),
        "runbook" => [b"id: \"", line.as_slice(), b"\"\n"].concat(),
        _ => line,
    }
}

/// The right form, with other things in it than belong there.
fn wrong_types(source: &str) -> Vec<u8> {
    match source {
        "gateway" => b"{\"t\":\"soon\",\"status\":[1],\"request_id\":{}}\n[1]\n7\n".repeat(9),
        "kube" => b"{\"items\":{\"kind\":[\"Pod\"]}}".to_vec(),
        "archive" => archive("probes/1795304318444.json", b"[[{\"/health\":7}]]"),
        "folder" => b"{\"scrape\":[1]}".to_vec(),
        "settings" => b"timeout = [1]\nfail_on = 7\n".to_vec(),
        "runbook" => b"id: [1]\nsteps: 7\n".to_vec(),
        _ => b"[{\"a\":1},null,7,\"x\"]\n".to_vec(),
    }
}

/// A `.tar.zst` of one entry, whatever its name.
fn archive(name: &str, body: &[u8]) -> Vec<u8> {
    let mut header = tar::Header::new_gnu();
    header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
    header.set_size(body.len() as u64);
    header.set_entry_type(tar::EntryType::Regular);
    header.set_cksum();
    let mut tar = tar::Builder::new(Vec::new());
    tar.append(&header, body).unwrap();
    zstd::encode_all(tar.into_inner().unwrap().as_slice(), 1).unwrap()
}

#[test]
fn files_that_are_not_what_they_should_be() {
    let files = Files::new();
    let ran = files.sweep(None);
    let fine = sources(&ran.json());
    assert_eq!(input::SILENCE.as_secs_f64(), MATRIX.files.deadline);
    for id in ["metrics", "probes", "log", "kernel", "gateway", "kube"] {
        assert_eq!(fine[id].0, "ok", "{id}: {:?}", fine[id]);
    }
    assert_eq!((ran.json()["verdict"].as_str(), ran.code), (Some("healthy"), 0), "{}", ran.said());
    assert_table(&MATRIX.files, |source, fault| {
        let dir = tempfile::tempdir().unwrap();
        let path = broken(&files, source, &fault.id, dir.path());
        let ran = files.sweep(Some((source, &path)));
        let cell = Cell { source, id: source, fault, concerns: &[source], needed: false };
        calm(&ran, &MATRIX.files, &cell)?;
        if ran.code == 2 {
            return refused(&ran, source, fault, &path);
        }
        let none = Sources::new();
        // The report calls a recording's files by what they hold.
        let fine = if ["archive", "folder"].contains(&source) { &none } else { &fine };
        inside(&ran, fine, &cell)
    });
}

/// An error of the command line: it names the file, and there is no report.
fn refused(
    ran: &Ran,
    source: &str,
    fault: &diagnose::commands::faults::Fault,
    path: &Path,
) -> Result<(), String> {
    let wanted = &fault.gives[source];
    if !wanted.iter().any(|it| it == "refused") {
        return Err(format!("it is refused, not {wanted:?}: {}", ran.said()));
    }
    let named = ran.stderr.contains(&path.display().to_string());
    match named && ran.stdout.is_empty() {
        true => Ok(()),
        false => Err(format!("{} is not named: {}", path.display(), ran.said())),
    }
}

/// A recording's fault shows as that of the recording or of its pages; what is gone as a whole must
/// not read as healthy.
fn inside(ran: &Ran, fine: &Sources, cell: &Cell<'_>) -> Result<(), String> {
    if !["archive", "folder"].contains(&cell.source) {
        return match cell.fault.gives[cell.source].iter().any(|it| it == "used") {
            true => Ok(()),
            false => judged(ran, fine, cell),
        };
    }
    let now = sources(&ran.json());
    let of = |id: &str| now.get(id).map(|(status, _)| status.clone()).unwrap_or_default();
    let seen = [of("bundle"), of("metrics")];
    let wanted = &cell.fault.gives[cell.source];
    if !seen.iter().any(|status| wanted.contains(status)) {
        return Err(format!("bundle and metrics are {seen:?}, not {wanted:?}: {now:?}"));
    }
    let gone = !["ok", "partial"].contains(&seen[1].as_str());
    match gone && ran.code == 0 {
        true => Err(format!("without pages it is healthy: {now:?}")),
        false => Ok(()),
    }
}
