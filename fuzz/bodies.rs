//! What each fuzz target does with its bytes. The fuzzer's binaries and `tests/corpora.rs` both call
//! these functions, so every input that was kept is also an ordinary test.

#![allow(clippy::unwrap_used, missing_docs)]

#[path = "../tests/support/harmless.rs"]
mod harmless;
#[path = "../tests/support/reports.rs"]
#[allow(dead_code)]
mod reports;

use std::{fs, path::Path, sync::LazyLock};

use diagnose::{
    cli::RunArgs,
    commands::run::{self, Asked},
    config::{self, Environment},
    evidence::{
        Evidence, KernelFact, SeriesSet,
        bundle::{Bundle, Limits, shown},
        series::LARGEST,
    },
    report::{
        Report, Verdict, json, markdown,
        terminal::{self, Style},
    },
    runbook::{
        Library, SourceFile,
        expr::{Names, Program, Scope, Truth},
        lint::lint,
    },
    signals::{self, Ask, Estimate, Missing, Value},
    sources::{self, exposition, fuzzing, gateway, kernel, logs},
};

/// What a target does with bytes.
pub type Target = fn(&[u8]);

/// Every target by its name, which is also that of its corpus.
pub const ALL: [(&str, Target); 12] = [
    ("aws", aws),
    ("bundle", bundle),
    ("cel", cel),
    ("config", config),
    ("exposition", exposition),
    ("gateway", gateway),
    ("kernel_log", kernel_log),
    ("log", log),
    ("mlflow", mlflow),
    ("prometheus", prometheus),
    ("render", render),
    ("runbook", runbook),
];

/// A moment at which all recordings of the corpora end, Unix milliseconds.
const NOW_MS: u64 = 1_795_305_520_000;

static LIBRARY: LazyLock<Library> = LazyLock::new(|| Library::embedded_for(None).unwrap());

/// Any body: the reader of metrics pages must not lose count.
pub fn exposition(body: &[u8]) {
    let mut seen = 0;
    let summary = exposition::parse(body, |sample| {
        seen += 1;
        assert!(sample.key.starts_with(sample.raw_name));
        assert!(sample.labels().all(|(name, _)| !name.is_empty()));
    });
    assert_eq!(summary.samples, seen);
    let mut set = SeriesSet::default();
    let recorded = exposition::record_page(&mut set, 0.0, body).is_ok();
    assert_eq!(set.pages().len(), usize::from(recorded));
    assert_sound_series(&set);
}

/// Any log: what is kept of a line stays short.
pub fn log(log: &[u8]) {
    let lines = log.split(|&byte| byte == b'\n').count();
    let read = logs::read(log, NOW_MS as f64 / 1e3);
    assert!(read.access.len() + read.log.matches.len() <= lines);
    assert!(read.log.matches.iter().all(|seen| seen.text.chars().count() <= 240));
    assert!(read.log.stats.iter().all(|line| line.at.is_finite()));
    shown(&String::from_utf8_lossy(log));
}

/// Any bytes: the reader of the kernel's log must not make up numbers.
pub fn kernel_log(log: &[u8]) {
    let events = kernel::read(log, 1.8e9).events;
    assert!(events.len() <= 1000);
    for event in events {
        assert!(event.count >= 1);
        assert!(event.when.is_none_or(|when| when.from <= when.to && when.to.is_finite()));
        if let KernelFact::Xid { pci, .. } = &event.what {
            assert!(pci.chars().all(|c| c.is_ascii_hexdigit() || c == ':'));
        }
    }
}

/// Any lines: the reader of gateway records must not make up numbers.
pub fn gateway(lines: &[u8]) {
    let log = gateway::read(lines);
    let count = lines.split(|byte| *byte == b'\n').count();
    assert!(log.records.len() + log.skipped <= count);
    assert!(log.records.windows(2).all(|pair| pair[0].at <= pair[1].at));
    for record in &log.records {
        assert!((1e9..1e11).contains(&record.at));
        let numbers = [record.ttft_ms, record.total_ms, record.input_tokens, record.queue_wait_ms];
        assert!(numbers.iter().flatten().all(|number| number.is_finite() && *number >= 0.0));
        assert!(record.status.is_none_or(|status| (100..600).contains(&status)));
    }
}

/// A recording, from file to report. A first byte of `=` begins files of an archive, each after a
/// line `=name`; anything else is the file that `--replay` names.
pub fn bundle(bytes: &[u8]) {
    let packed = bytes.starts_with(b"=").then(|| archive(bytes));
    let limits = Limits { total: 4 << 20, body: 1 << 20, log: 1 << 20, files: 64 };
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(if packed.is_some() { "b.tar" } else { "b" });
    fs::write(&path, packed.as_deref().unwrap_or(bytes)).unwrap();
    let Ok(bundle) = Bundle::load(&[path], &limits) else { return };
    let evidence = sources::read(&bundle);
    assert_sound(&evidence);
    let report = run::judge(&Asked::sweep(), &LIBRARY, &evidence);
    if bundle.scrapes.is_empty() && bundle.records.is_empty() {
        assert_ne!(report.verdict, Verdict::Healthy, "nothing was measured");
    }
    assert_harmless(&report);
    // Writing waits for the disk.
    if bytes.len().is_multiple_of(64) {
        assert_comes_back(&bundle, folder.path());
    }
}

/// What was saved is what is read again.
fn assert_comes_back(bundle: &Bundle, folder: &Path) {
    let again = folder.join("again.tar.zst");
    bundle.save(&again).unwrap();
    if let Ok(read) = Bundle::load(std::slice::from_ref(&again), &Limits::default()) {
        assert_eq!(read.scrapes.len(), bundle.scrapes.len());
        assert_eq!(read.probes.len(), bundle.probes.len());
        assert_eq!(read.records.keys().len(), bundle.records.keys().len());
    } else {
        assert!(bundle.is_empty());
    }
}

fn archive(bytes: &[u8]) -> Vec<u8> {
    let mut tar = tar::Builder::new(Vec::new());
    for file in bytes[1..].split(|&byte| byte == b'=').take(64) {
        let end = file.iter().position(|&byte| byte == b'\n').unwrap_or(file.len());
        let (name, body) = (&file[..end.min(90)], &file[(end + 1).min(file.len())..]);
        let mut header = tar::Header::new_gnu();
        header.as_old_mut().name[..name.len()].copy_from_slice(name);
        header.set_size(body.len() as u64);
        header.set_entry_type(tar::EntryType::Regular);
        header.set_cksum();
        tar.append(&header, body).unwrap();
    }
    tar.into_inner().unwrap()
}

/// A runbook file: its kind, then its text.
pub fn runbook(bytes: &[u8]) {
    const PATHS: [&str; 6] =
        ["checks/x.yaml", "causes/x.yaml", "x.yaml", "policy.yaml", "versions.yaml", "xid.yaml"];
    let Some((kind, text)) = bytes.split_first() else { return };
    let path = PATHS[usize::from(*kind) % PATHS.len()];
    let text = String::from_utf8_lossy(text).into_owned();
    let (shown, sound) = match Library::from_files(vec![SourceFile::new(path, text, 1)]) {
        Ok(library) => {
            let problems = lint(&library);
            let told: String = problems.iter().map(|problem| problem.render(false)).collect();
            (told, problems.iter().all(|problem| !problem.is_error()).then_some(library))
        }
        Err(error) => (error.render(false), None),
    };
    harmless::assert_no_escape(&shown);
    let Some(library) = sound else { return };
    let evidence = Evidence::default();
    for runbook in library.runbooks.values().map(Some).chain([None]) {
        let asked = Asked { runbook, ..Asked::sweep() };
        let report = run::judge(&asked, &library, &evidence);
        assert_ne!(report.verdict, Verdict::Healthy, "there is no evidence");
        assert_harmless(&report);
    }
}

/// Names with an interval around each of three values; what is longer is missing.
struct Wide;

impl Names for Wide {
    fn value(&self, name: &str) -> Value {
        match name.len() {
            1 => Ok(Estimate::bucket(0.5, 2.0, 100.0)),
            2 => Ok(Estimate::exact(1.0, None)),
            3 => Ok(Estimate::bucket(0.0, f64::INFINITY, 100.0)),
            _ => Err(Missing::no_samples(name)),
        }
    }
    fn long_run(&self, _: &str) -> bool {
        false
    }
}

/// The same values with nothing unsure about them.
struct Lower;

impl Names for Lower {
    fn value(&self, name: &str) -> Value {
        Wide.value(name).map(|it| Estimate::exact(it.lo, None))
    }
    fn long_run(&self, _: &str) -> bool {
        false
    }
}

/// A condition: it must end, and an answer over intervals must hold at their ends.
pub fn cel(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let Ok(program) = Program::compile(text) else { return };
    let scope = Scope::default();
    let _ = program.dry_run(&scope);
    let wide = program.evaluate(&scope, &Wide).truth;
    let lower = program.evaluate(&scope, &Lower).truth;
    match wide {
        Truth::Yes => assert_eq!(lower, Truth::Yes, "{text}"),
        Truth::No => assert_ne!(lower, Truth::Yes, "{text}"),
        Truth::Unknown(_) => {}
    }
}

/// Kept answers of Prometheus, or one answer of its API after a `@`.
pub fn prometheus(bytes: &[u8]) {
    let record = match bytes.strip_prefix(b"@") {
        Some(answer) => fuzzing::prometheus_record(&String::from_utf8_lossy(answer), NOW_MS),
        None => Some(bytes.to_vec()),
    };
    record.into_iter().for_each(|record| read_record("prometheus", record));
}

/// Kept answers of AWS.
pub fn aws(bytes: &[u8]) {
    read_record("aws", bytes.to_vec());
}

/// Kept traces of MLflow, or the spans of one trace after a `@`.
pub fn mlflow(bytes: &[u8]) {
    let record = match bytes.strip_prefix(b"@") {
        Some(spans) => fuzzing::mlflow_record(spans),
        None => Some(bytes.to_vec()),
    };
    record.into_iter().for_each(|record| read_record("mlflow", record));
}

fn read_record(folder: &'static str, body: Vec<u8>) {
    let mut bundle = Bundle::default();
    bundle.meta.started = Some((NOW_MS - 3_600_000) as f64 / 1e3);
    bundle.meta.ended = Some(NOW_MS as f64 / 1e3);
    bundle.record(folder, NOW_MS, body);
    let evidence = sources::read(&bundle);
    assert_sound(&evidence);
    assert!(!evidence.sources.is_empty() || folder == "prometheus" || folder == "aws");
}

/// A settings file: what it puts in force stays within its bounds.
pub fn config(bytes: &[u8]) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("diagnose.toml");
    fs::write(&path, bytes).unwrap();
    let mut args = RunArgs::default();
    args.config.config = Some(path);
    let Ok(settings) = config::settings(&args, &Environment::default()) else { return };
    assert!(settings.min_coverage.is_none_or(|share| (0.0..=1.0).contains(&share)));
    assert!(settings.live.max_body > 0 && !settings.live.timeout.is_zero());
    assert!(!format!("{settings:?}").contains("s3cret-of-the-corpus"));
}

/// Places in the sample reports that hold free text or numbers, with the reports as JSON.
static SAMPLES: LazyLock<Vec<(serde_json::Value, Vec<String>)>> = LazyLock::new(|| {
    let samples = [reports::overloaded(), reports::prefix_broken(), reports::inconclusive()];
    let of = |report: Report| {
        let json = serde_json::to_value(report).unwrap();
        let mut places = Vec::new();
        leaves(&json, &mut String::new(), &mut places);
        places.retain(|place| {
            let mut changed = json.clone();
            let leaf = changed.pointer_mut(place).unwrap();
            *leaf = if leaf.is_number() { 1e300.into() } else { "x".into() };
            serde_json::from_value::<Report>(changed).is_ok()
        });
        (json, places)
    };
    samples.map(of).into()
});

fn leaves(value: &serde_json::Value, path: &mut String, places: &mut Vec<String>) {
    use serde_json::Value;
    let children: Vec<(String, &Value)> = match value {
        Value::Object(map) => map.iter().map(|(key, value)| (key.clone(), value)).collect(),
        Value::Array(list) => list.iter().enumerate().map(|(n, it)| (n.to_string(), it)).collect(),
        Value::String(_) | Value::Number(_) => return places.push(path.clone()),
        _ => return,
    };
    for (key, child) in children {
        let length = path.len();
        *path += &format!("/{key}");
        leaves(child, path, places);
        path.truncate(length);
    }
}

/// A report with texts and numbers of the fuzzer's choice: lines of two bytes that choose the place,
/// and what is put there.
pub fn render(bytes: &[u8]) {
    let Some((which, lines)) = bytes.split_first() else { return };
    let (sample, places) = &SAMPLES[usize::from(*which) % SAMPLES.len()];
    let mut json = sample.clone();
    for line in lines.split(|&byte| byte == 0).filter(|line| line.len() > 2).take(32) {
        let place = &places[usize::from(u16::from_le_bytes([line[0], line[1]])) % places.len()];
        let text = String::from_utf8_lossy(&line[2..]);
        let leaf = json.pointer_mut(place).unwrap();
        match (leaf.is_number(), text.parse::<f64>()) {
            (true, Ok(number)) if number.is_finite() => *leaf = number.into(),
            (true, _) => {}
            (false, _) => *leaf = text.into(),
        }
    }
    // A number that the place cannot hold makes no report.
    let Ok(report) = serde_json::from_value::<Report>(json) else { return };
    assert_harmless(&report);
}

/// No renderer lets anything act that came from outside.
fn assert_harmless(report: &Report) {
    for (width, verbose, quiet) in [(80, 1, false), (40, 0, false), (100, 0, true)] {
        let style = Style { width, color: false, verbose, quiet };
        harmless::assert_terminal(&terminal::render(report, &style));
    }
    harmless::assert_markdown(&markdown::render(report));
    harmless::assert_json(&json::render(report));
}

/// Series hold finite values only, and no reading is NaN.
fn assert_sound(evidence: &Evidence) {
    assert_sound_series(&evidence.series);
    assert!(evidence.events.iter().all(|event| event.at.is_finite()));
    let windows = signals::onset::windows(evidence, &Ask::default());
    for (name, reading) in signals::read_all(evidence, &windows) {
        for value in [&reading.now, &reading.baseline, &reading.change] {
            let Ok(it) = value else { continue };
            assert!(!(it.lo.is_nan() || it.point.is_nan() || it.hi.is_nan()), "{name}: {it:?}");
            assert!(it.lo <= it.hi, "{name}: {it:?}");
        }
    }
}

fn assert_sound_series(set: &SeriesSet) {
    let points = || set.iter().flat_map(|series| &series.points);
    assert!(points().all(|point| point.at.is_finite() && point.value.abs() <= LARGEST));
}
