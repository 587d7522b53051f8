//! Recordings in every form that `--replay` takes, whole and damaged.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::fs;
use std::io::Write;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use diagnose::evidence::bundle::{Bundle, BundleError, Limits};
use diagnose::evidence::{Probe, SourceState, SourceStatus};
use tempfile::{TempDir, tempdir};

const START: u64 = 1_795_304_318_444;

fn sample() -> Bundle {
    let mut bundle = Bundle::default();
    bundle.meta.format_version = 1;
    bundle.meta.target = Some("http://127.0.0.1:8000".into());
    bundle.meta.started = Some(1_795_304_318.444_248_4);
    bundle.meta.ended = Some(1_795_304_328.5);
    bundle.meta.server_args = vec!["--model".into(), "m".into()];
    let took_ms = Some(12);
    let status = SourceState::Ok;
    let source = SourceStatus { id: "metrics".into(), status, detail: "2 scrapes".into(), took_ms };
    bundle.meta.sources.push(source.clone());
    bundle.notes.push(SourceStatus { id: "bundle".into(), took_ms: None, ..source });
    for at in [START, START + 5000] {
        bundle.scrapes.insert(at, format!("vllm:x {at}\n").into_bytes());
        let probe = Probe { status: Some(200), ms: Some(0.1 + 0.2), ..Probe::default() };
        let refused = Probe { error: Some("refused".into()), ..Probe::default() };
        let round = [("/health".to_owned(), probe), ("/ping".to_owned(), refused)];
        bundle.probes.insert(at, round.into());
    }
    bundle.log = Some(b"INFO started\n".to_vec());
    bundle
}

fn load(path: impl AsRef<Path>) -> Result<Bundle, BundleError> {
    Bundle::load(&[path.as_ref().to_owned()], &Limits::default())
}

fn load_all(paths: &[PathBuf]) -> Bundle {
    Bundle::load(paths, &Limits::default()).unwrap()
}

/// A `.tar.zst` of the given entries; links are given by a target.
fn archive(entries: &[(&str, &[u8])]) -> Vec<u8> {
    let mut tar = tar::Builder::new(Vec::new());
    for (name, body) in entries {
        let mut header = tar::Header::new_gnu();
        header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
        header.set_size(body.len() as u64);
        header.set_entry_type(tar::EntryType::Regular);
        header.set_cksum();
        tar.append(&header, *body).unwrap();
    }
    zstd::encode_all(tar.into_inner().unwrap().as_slice(), 1).unwrap()
}

fn write(dir: &TempDir, name: &str, body: &[u8]) -> PathBuf {
    let path = dir.path().join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(&path, body).unwrap();
    path
}

fn bodies(bundle: &Bundle) -> Vec<&str> {
    bundle.scrapes.values().map(|body| std::str::from_utf8(body).unwrap()).collect()
}

fn notes(bundle: &Bundle) -> String {
    bundle.notes.iter().map(|note| format!("{}: {}\n", note.id, note.detail)).collect()
}

#[test]
fn a_saved_bundle_loads_as_it_was_from_both_forms() {
    let dir = tempdir().unwrap();
    for name in ["b.tar.zst", "b"] {
        let path = dir.path().join(name);
        sample().save(&path).unwrap();
        assert_eq!(load(&path).unwrap(), sample(), "{name}");
    }
    let left: Vec<_> = fs::read_dir(dir.path()).unwrap().collect();
    assert_eq!(left.len(), 2, "no temporary files stay behind");
}

#[test]
fn equal_bundles_give_equal_bytes_that_only_the_owner_reads() {
    let dir = tempdir().unwrap();
    let (one, two) = (dir.path().join("1.tar.zst"), dir.path().join("2.tar.zst"));
    sample().save(&one).unwrap();
    sample().save(&two).unwrap();
    sample().save(&two).unwrap();
    assert_eq!(fs::read(&one).unwrap(), fs::read(&two).unwrap());
    assert_eq!(fs::metadata(&one).unwrap().permissions().mode() & 0o777, 0o600);
}

#[test]
fn nothing_of_another_is_overwritten_and_unknown_formats_are_refused() {
    let dir = tempdir().unwrap();
    write(&dir, "taken/file", b"mine");
    let taken = sample().save(&dir.path().join("taken")).unwrap_err().to_string();
    assert!(taken.contains("choose another name"), "{taken}");
    let format = sample().save(&dir.path().join("b.zip")).unwrap_err().to_string();
    assert!(format.contains(".tar.zst"), "{format}");
    let absent = sample().save(&dir.path().join("no/such/b.tar.zst")).unwrap_err().to_string();
    assert!(absent.contains("folder that exists"), "{absent}");
}

#[test]
fn keys_are_replaced_before_writing() {
    let dir = tempdir().unwrap();
    let mut bundle = sample();
    bundle.meta.target = Some("http://user:s3cret@host:8000".into());
    bundle.meta.server_args = vec!["--api-key".into(), "s3cret".into()];
    bundle.save(&dir.path().join("b")).unwrap();
    let meta = fs::read_to_string(dir.path().join("b/meta.json")).unwrap();
    assert!(meta.contains("http://***@host:8000") && !meta.contains("s3cret"), "{meta}");
}

#[test]
fn a_recording_may_lie_in_a_folder_or_under_capture() {
    let dir = tempdir().unwrap();
    write(&dir, "run/label.json", b"{}");
    write(&dir, "run/gateway.jsonl", b"{}");
    sample().save(&dir.path().join("run/capture")).unwrap();
    let beside = Bundle { gateway: Some(b"{}".to_vec()), ..sample() };
    assert_eq!(load(dir.path().join("run")).unwrap(), beside);
    for root in ["", "./", "top/", "capture/", "top/capture/"] {
        let scrape = format!("{root}scrapes/{START}.prom");
        let log = format!("{root}server.log");
        let packed = archive(&[("label.json", b"{}"), (&scrape, b"a 1\n"), (&log, b"x\n")]);
        let bundle = load(write(&dir, "packed.tar.zst", &packed)).unwrap();
        assert_eq!(bodies(&bundle), ["a 1\n"], "{root}");
        assert_eq!(bundle.log.as_deref(), Some(b"x\n".as_slice()), "{root}");
    }
}

#[test]
fn an_archive_of_several_recordings_is_refused_with_their_names() {
    let dir = tempdir().unwrap();
    let packed = archive(&[("a/scrapes/1.prom", b"a 1\n"), ("b/scrapes/1.prom", b"a 1\n")]);
    let error = load(write(&dir, "x.tar.zst", &packed)).unwrap_err().to_string();
    assert!(error.contains("a/, b/"), "{error}");
}

#[test]
fn saved_pages_take_their_times_from_their_names() {
    let dir = tempdir().unwrap();
    let later = write(&dir, "1795304323.prom", b"a 2\n");
    let first = write(&dir, "1795304318444.prom", b"a 1\n");
    let bundle = load_all(&[later.clone(), first]);
    assert_eq!(bundle.scrapes.keys().copied().collect::<Vec<_>>(), [START, 1_795_304_323_000]);
    assert!(bundle.notes.is_empty());
    assert_eq!(load(dir.path()).unwrap(), bundle, "a folder of pages is the same");
}

#[test]
fn saved_pages_without_a_time_keep_the_order_given_and_say_so() {
    let dir = tempdir().unwrap();
    let (b, a) = (write(&dir, "b.prom", b"a 1\n"), write(&dir, "a.prom", b"a 2\n"));
    let bundle = load_all(&[b, a]);
    assert_eq!(bodies(&bundle), ["a 1\n", "a 2\n"]);
    assert!(notes(&bundle).contains("order given"), "{}", notes(&bundle));
}

#[test]
fn pages_may_be_compressed() {
    let dir = tempdir().unwrap();
    let zst = zstd::encode_all(b"a 1\n".as_slice(), 1).unwrap();
    let mut gz = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gz.write_all(b"a 2\n").unwrap();
    let zst = write(&dir, "1795304318.prom.zst", &zst);
    let gz = write(&dir, "1795304323.prom.gz", &gz.finish().unwrap());
    assert_eq!(bodies(&load_all(&[gz, zst])), ["a 1\n", "a 2\n"]);
}

#[test]
fn several_bundles_are_merged_in_time_order() {
    let dir = tempdir().unwrap();
    let mut later = sample();
    later.notes.clear();
    later.meta.ended = Some(1_795_304_999.0);
    later.log = Some(b"INFO later\n".to_vec());
    later.scrapes = [(START + 10_000, b"a 3\n".to_vec()), (START, b"other\n".to_vec())].into();
    later.probes = [(START + 10_000, Default::default())].into();
    let (one, two) = (dir.path().join("1"), dir.path().join("2.tar.zst"));
    later.save(&one).unwrap();
    sample().save(&two).unwrap();
    let merged = load_all(&[one, two]);
    let times = [START, START + 1, START + 5000, START + 10_000];
    assert_eq!(merged.scrapes.keys().copied().collect::<Vec<_>>(), times);
    assert_eq!(merged.meta.ended, Some(1_795_304_999.0));
    assert_eq!(merged.probes.len(), 3);
}

#[test]
fn nothing_to_judge_by_is_an_error_that_says_what_was_looked_for() {
    let dir = tempdir().unwrap();
    write(&dir, "meta.json", b"{}");
    write(&dir, "probes/5.json", b"not json");
    let error = load(dir.path()).unwrap_err().to_string();
    assert!(error.contains("looked for scrapes/<unix_ms>.prom"), "{error}");
    assert!(error.contains("probes/5.json is no probe round"), "{error}");
    let absent = load(dir.path().join("gone")).unwrap_err().to_string();
    assert!(absent.contains("check that it exists"), "{absent}");
    let zip = load(write(&dir, "b.zip", b"PK\x03\x04\0\0")).unwrap_err().to_string();
    assert!(zip.contains("binary file"), "{zip}");
    assert!(matches!(Bundle::load(&[], &Limits::default()), Err(BundleError::NoPath)));
}

#[test]
fn a_meta_that_does_not_parse_is_a_note() {
    let dir = tempdir().unwrap();
    write(&dir, "meta.json", b"{\"started\": ");
    write(&dir, "scrapes/5.prom", b"a 1\n");
    let bundle = load(dir.path()).unwrap();
    assert_eq!(
        (bundle.notes[0].id.as_str(), bundle.notes[0].status),
        ("meta", SourceState::BadData)
    );
    assert_eq!(bundle.scrapes.len(), 1);
}

#[test]
fn a_huge_meta_is_left_out() {
    let dir = tempdir().unwrap();
    write(&dir, "meta.json", &vec![b'['; 2 << 20]);
    write(&dir, "scrapes/5.prom", b"a 1\n");
    let limits = Limits { body: 1 << 20, ..Limits::default() };
    let bundle = Bundle::load(&[dir.path().to_owned()], &limits).unwrap();
    assert!(notes(&bundle).contains("meta.json is larger"), "{}", notes(&bundle));
    let bundle = load(dir.path()).unwrap();
    assert!(notes(&bundle).contains("meta.json cannot be read"), "{}", notes(&bundle));
}

#[test]
fn the_same_recording_twice_is_itself() {
    let dir = tempdir().unwrap();
    let path = dir.path().join("b");
    sample().save(&path).unwrap();
    let twice = load_all(&[path.clone(), path]);
    assert_eq!((twice.scrapes, twice.log), (sample().scrapes, sample().log));
}

#[test]
fn entries_that_point_out_of_an_archive_are_refused_by_name() {
    let dir = tempdir().unwrap();
    for name in ["../scrapes/1.prom", "/etc/cron.d/x", "a/../../scrapes/1.prom", "..\\x"] {
        let packed = archive(&[("scrapes/1.prom", b"a 1\n"), (name, b"x")]);
        let error = load(write(&dir, "x.tar.zst", &packed)).unwrap_err();
        assert!(matches!(error, BundleError::Unsafe { .. }), "{name}");
        assert!(error.to_string().contains(name), "{error}");
    }
    assert!(!dir.path().join("../scrapes").exists());
}

#[test]
fn links_in_an_archive_are_refused() {
    let dir = tempdir().unwrap();
    let mut tar = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(tar::EntryType::Symlink);
    header.set_size(0);
    tar.append_link(&mut header, "server.log", "/etc/passwd").unwrap();
    let packed = zstd::encode_all(tar.into_inner().unwrap().as_slice(), 1).unwrap();
    let error = load(write(&dir, "x.tar.zst", &packed)).unwrap_err().to_string();
    assert!(error.contains("`server.log` is a link"), "{error}");
}

#[test]
fn a_bomb_is_read_up_to_the_limits() {
    let dir = tempdir().unwrap();
    let zeros = vec![b' '; 3 << 20];
    let names: Vec<String> = (0..8).map(|n| format!("scrapes/{n}.prom")).collect();
    let mut entries: Vec<(&str, &[u8])> = vec![("scrapes/9.prom", b"a 1\n")];
    entries.extend(names.iter().map(|name| (name.as_str(), zeros.as_slice())));
    let path = write(&dir, "x.tar.zst", &archive(&entries));
    let limits = Limits { total: 10 << 20, body: 4 << 20, ..Limits::default() };
    let bundle = Bundle::load(std::slice::from_ref(&path), &limits).unwrap();
    assert_eq!(bundle.scrapes.len(), 4);
    assert!(notes(&bundle).contains("after the limit"), "{}", notes(&bundle));
    let limits = Limits { body: 1 << 20, ..Limits::default() };
    let bundle = Bundle::load(std::slice::from_ref(&path), &limits).unwrap();
    assert_eq!(bodies(&bundle), ["a 1\n"]);
    assert!(notes(&bundle).contains("and 7 more"), "{}", notes(&bundle));
    let bundle = Bundle::load(&[path], &Limits { files: 2, ..Limits::default() }).unwrap();
    assert_eq!(bundle.scrapes.len(), 2);
}

#[test]
fn a_bomb_in_an_unknown_file_is_bounded_too() {
    let dir = tempdir().unwrap();
    let zeros = vec![0; 8 << 20];
    let packed = archive(&[("scrapes/1.prom", b"a 1\n"), ("core", &zeros)]);
    let path = write(&dir, "x.tar.zst", &packed);
    let bundle = Bundle::load(&[path], &Limits { total: 1 << 20, ..Limits::default() }).unwrap();
    assert_eq!(bodies(&bundle), ["a 1\n"]);
    assert!(notes(&bundle).contains("after the limit"), "{}", notes(&bundle));
}

#[test]
fn a_cut_archive_gives_what_stood_before_the_cut() {
    let dir = tempdir().unwrap();
    let mut bundle = sample();
    let noise = |n: u64| (0..40_000).map(|i: u64| (i * i * (n + 7) % 251) as u8).collect();
    bundle.scrapes = (0..40).map(|n| (START + n * 5000, noise(n))).collect();
    let whole = dir.path().join("whole.tar.zst");
    bundle.save(&whole).unwrap();
    let bytes = fs::read(&whole).unwrap();
    for share in [1, 25, 50, 75, 99] {
        let cut = write(&dir, "cut.tar.zst", &bytes[..bytes.len() * share / 100]);
        match load(&cut) {
            Ok(part) => {
                assert!(notes(&part).contains("breaks off"), "{share} %: {}", notes(&part));
                assert!(part.scrapes.iter().all(|(at, body)| bundle.scrapes[at] == *body));
            }
            Err(error) => assert!(error.to_string().contains("breaks off"), "{share} %: {error}"),
        }
    }
}

#[test]
fn garbage_never_panics() {
    let dir = tempdir().unwrap();
    let good = archive(&[("scrapes/1.prom", b"a 1\n"), ("meta.json", b"{}")]);
    for at in 0..good.len() {
        let mut bad = good.clone();
        bad[at] ^= 0x55;
        let _ = load(write(&dir, "x.tar.zst", &bad));
    }
    let tar = zstd::decode_all(good.as_slice()).unwrap();
    for at in (0..tar.len().min(1536)).step_by(3) {
        let mut bad = tar.clone();
        bad[at] ^= 0x55;
        let _ = load(write(&dir, "x.tar", &bad));
    }
}

#[test]
fn a_folder_that_holds_itself_does_not_hang() {
    let dir = tempdir().unwrap();
    write(&dir, "b/scrapes/5.prom", b"a 1\n");
    symlink(".", dir.path().join("b/capture")).unwrap();
    symlink("../..", dir.path().join("b/scrapes/6.prom")).unwrap();
    symlink("loop", dir.path().join("b/loop")).unwrap();
    assert_eq!(bodies(&load(dir.path().join("b")).unwrap()), ["a 1\n"]);
}

#[test]
fn a_long_log_is_read_from_its_end_by_whole_lines() {
    let dir = tempdir().unwrap();
    let log = b"first line\nsecond line\nlast line\n";
    write(&dir, "b/server.log", log);
    let packed = write(&dir, "x.tar.zst", &archive(&[("server.log", log)]));
    for path in [dir.path().join("b"), packed] {
        let bundle = Bundle::load(&[path], &Limits { log: 15, ..Limits::default() }).unwrap();
        assert_eq!(bundle.log.as_deref(), Some(b"last line\n".as_slice()));
        assert_eq!(
            (bundle.notes[0].id.as_str(), bundle.notes[0].status),
            ("log", SourceState::Partial)
        );
    }
}
