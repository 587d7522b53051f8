//! Gateway records as evidence, through the program: what callers met before the engine.
#![allow(missing_docs, clippy::unwrap_used)]

#[allow(dead_code)]
#[path = "support/cli.rs"]
mod cli;

use std::{fmt::Write as _, fs, path::Path};

use cli::{Ran, incident, run};
use diagnose::{
    evidence::{
        bundle::{Bundle, Limits},
        gateway::{GatewayFields, GatewayRecord},
    },
    sources::gateway,
};
use serde_json::{Value, json};

/// Start and end of a shipped recording, Unix seconds, and its onset where it has one.
fn times(recording: &str) -> (f64, f64, Option<f64>) {
    let path = incident(recording);
    let label = fs::read_to_string(Path::new(&path).join("label.json")).unwrap();
    let label: Value = serde_json::from_str(&label).unwrap();
    let bundle = Bundle::load(&[path.into()], &Limits::default()).unwrap();
    let (from, to) = bundle.span_ms().unwrap();
    (from as f64 / 1e3, to as f64 / 1e3, label["onset"].as_f64())
}

/// A record every half second over a recording, each told by `record` from its number, and whether
/// the last half of the recording has begun.
fn records(recording: &str, record: impl Fn(usize, bool) -> Value) -> String {
    let (from, to, onset) = times(recording);
    let onset = onset.unwrap_or(f64::midpoint(from, to));
    let mut lines = String::new();
    for number in 0..((to - from) * 2.0) as usize {
        let at = from + number as f64 / 2.0;
        let mut line = record(number, at >= onset);
        line["t"] = json!(at);
        writeln!(lines, "{line}").unwrap();
    }
    lines
}

/// A sweep over a shipped recording beside gateway records.
fn sweep(recording: &str, lines: &str) -> Ran {
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), lines).unwrap();
    let path = file.path().display().to_string();
    run(["sweep", "--format", "json", "--replay", &incident(recording), "--gateway", &path])
}

fn first_cause(report: &Value) -> &str {
    let first = &report["causes"][0];
    assert_eq!(first["status"], "supported", "{first}");
    first["id"].as_str().unwrap()
}

fn reading<'a>(report: &'a Value, signal: &str) -> &'a Value {
    report["readings"].as_array().unwrap().iter().find(|row| row["signal"] == signal).unwrap()
}

/// Every fourth request ends with `status`, in the later part of the recording.
fn failing(recording: &str, status: u16) -> Value {
    let lines = records(recording, |number, later| {
        let bad = later && number % 4 == 0;
        json!({"request_id": number, "status": if bad { status } else { 200 }})
    });
    sweep(recording, &lines).json()
}

#[test]
fn a_gateway_that_sheds_load_is_named() {
    assert_eq!(first_cause(&failing("healthy", 503)), "overloaded-routing");
}

#[test]
fn a_gateway_that_refuses_credentials_is_named() {
    for status in [401, 429] {
        assert_eq!(first_cause(&failing("healthy", status)), "auth-or-quota-rejections");
    }
}

#[test]
fn a_gateway_whose_time_out_is_too_short_is_named() {
    assert_eq!(first_cause(&failing("healthy", 504)), "gateway-timeout-too-short");
}

#[test]
fn requests_that_end_well_change_no_verdict() {
    let lines = records("healthy", |number, _| json!({"request_id": number, "status": 200}));
    let report = sweep("healthy", &lines).json();
    assert_eq!(report["verdict"], "healthy");
    let offered = reading(&report, "offered_requests_per_second");
    assert!((offered["now"].as_f64().unwrap() - 2.0).abs() < 0.05, "{offered}");
    let cause = report["causes"].as_array().unwrap();
    assert!(cause.iter().all(|cause| cause["status"] != "supported"));
}

#[test]
fn a_prompt_version_at_the_onset_is_an_event_and_is_counted() {
    let lines = records(
        "prefix-broken",
        |_, later| json!({"status": 200, "prompt_version": if later { "p2" } else { "p1" }}),
    );
    let report = sweep("prefix-broken", &lines).json();
    let timeline = report["timeline"].as_array().unwrap();
    let event = timeline.iter().find(|entry| entry["kind"] == "prompt_version").unwrap();
    assert_eq!(event["text"], "prompt version p1 → p2");
    assert_eq!(reading(&report, "prompt_version_changes_count")["now"], 1.0);
    let bare = run(["sweep", "--format", "json", "--replay", &incident("prefix-broken")]).json();
    let family = |report: &Value| report["causes"][0]["family"].clone();
    assert_eq!((family(&bare), family(&report)), (json!("prefix"), json!("prefix")));
}

#[test]
fn a_record_without_a_field_leaves_its_signal_missing_and_not_zero() {
    let report = sweep("healthy", &records("healthy", |_, _| json!({}))).json();
    for signal in ["gateway_error_ratio", "repeated_requests_ratio", "prompt_version_changes_count"]
    {
        let row = reading(&report, signal);
        assert!(row["now"].is_null(), "{row}");
        assert!(row["missing"].as_str().unwrap().contains("have no"), "{row}");
    }
}

#[test]
fn hostile_lines_are_skipped_and_counted() {
    let good = records("healthy", |number, _| json!({"request_id": number, "status": 200}));
    let bad = "{\"t\": \"never\"}\n{\n[1]\n\u{1}\u{2}\n{\"status\": 200}\n";
    let ran = sweep("healthy", &format!("{bad}{good}"));
    let report = ran.json();
    let sources = report["sources"].as_array().unwrap();
    let source = sources.iter().find(|source| source["id"] == "gateway").unwrap();
    assert_eq!(source["status"], "partial");
    assert!(source["detail"].as_str().unwrap().contains("5 lines"), "{source}");
    assert!(reading(&report, "gateway_error_ratio")["now"] == 0.0);
}

#[test]
fn an_access_log_in_combined_format_tells_the_codes() {
    let (from, to, _) = times("healthy");
    let line = |second: i64, request: &str, code: u16| {
        let at = jiff::Timestamp::from_second(second).unwrap().strftime("%d/%b/%Y:%H:%M:%S +0000");
        format!("10.0.0.7 - - [{at}] \"{request} HTTP/1.1\" {code} 17 \"-\" \"curl/8\"\n")
    };
    let mut lines = String::new();
    for second in from as i64 + 1..to as i64 {
        lines += &line(second, "POST /v1/chat/completions?key=k", 502);
        lines += &line(second, "GET /health", 200);
    }
    let report = sweep("healthy", &lines).json();
    assert_eq!(reading(&report, "gateway_unavailable_ratio")["now"], 1.0);
}

#[test]
fn fields_are_named_in_the_settings_and_records_beside_a_recording_are_found() {
    let folder = tempfile::tempdir().unwrap();
    let archive = Path::new(&incident("healthy")).join("capture.tar.zst");
    fs::copy(archive, folder.path().join("capture.tar.zst")).unwrap();
    let plain = records("healthy", |_, _| json!({"status": 503}));
    fs::write(folder.path().join("gateway.jsonl"), &plain).unwrap();
    let at = folder.path().display().to_string();
    let found = run(["sweep", "--format", "json", "--replay", &at]).json();
    let unavailable = |report: &Value| reading(report, "gateway_unavailable_ratio")["now"].clone();
    assert_eq!(unavailable(&found), 1.0);

    let named = records("healthy", |_, _| json!({"http": {"code": 503}}));
    let file = folder.path().join("named.jsonl").display().to_string();
    fs::write(&file, named.replace("\"t\"", "\"ts\"")).unwrap();
    let config = folder.path().join("diagnose.toml").display().to_string();
    fs::write(&config, "gateway_fields = { time = 'ts', status = 'http.code' }").unwrap();
    let given = run([
        "sweep",
        "--format",
        "json",
        "--replay",
        &incident("healthy"),
        "--gateway",
        &file,
        "--config",
        &config,
    ]);
    assert_eq!(unavailable(&given.json()), unavailable(&found));
    fs::write(&config, "gateway_fields = { tyme = 'ts' }").unwrap();
    let healthy = incident("healthy");
    let refused = run(["sweep", "--replay", &healthy, "--gateway", &file, "--config", &config]);
    refused.assert_code(2);
    refused.assert_says("tyme");
}

#[test]
fn requests_sent_again_are_counted_once_each() {
    let lines = records("healthy", |number, _| json!({"request_id": number / 2, "status": 200}));
    let report = sweep("healthy", &lines).json();
    let now = &reading(&report, "repeated_requests_ratio")["now"];
    assert!((now.as_f64().unwrap() - 0.5).abs() < 0.01, "{now}");
}

/// Requests of two adapters in turn, the second of which may change.
fn two_adapters(changed: impl Fn(bool) -> Value) -> Value {
    let lines = records("prefix-broken", |number, later| match number % 2 {
        0 => json!({"status": 200, "adapter_id": "a", "total_ms": 300 + number % 7, "ttft_ms": 50,
                    "input_tokens": 1000, "output_tokens": 50}),
        _ => changed(later),
    });
    sweep("prefix-broken", &lines).json()
}

#[test]
fn an_adapter_is_compared_with_its_own_past() {
    let report = two_adapters(|later| {
        let (total, ttft) = if later { (900, 150) } else { (300, 50) };
        json!({"status": 200, "adapter_id": "b", "total_ms": total, "ttft_ms": ttft,
               "input_tokens": 1000, "output_tokens": 50})
    });
    let now = |signal: &str| reading(&report, signal)["now"].as_f64().unwrap();
    assert!((now("adapter_slowdown_factor") - 3.0).abs() < 1e-9);
    assert!((now("adapter_others_factor") - 1.0).abs() < 0.05);
    assert!((now("adapter_prompt_factor") - 1.0).abs() < 0.05);
    assert!((now("adapter_token_cost_factor") - 3.0).abs() < 0.2);
}

#[test]
fn a_refused_request_is_not_a_fast_one() {
    let report = two_adapters(
        |later| json!({"status": if later { 503 } else { 200 }, "adapter_id": "b", "total_ms": 1}),
    );
    let row = reading(&report, "adapter_others_factor");
    assert!(row["now"].is_null() && row["missing"].as_str().unwrap().contains("too few"), "{row}");
}

#[test]
fn callers_that_send_again_and_again_are_named() {
    let lines = records("load-exceeds-capacity", |number, later| match later {
        true => {
            json!({"request_id": number / 3, "status": if number % 3 == 2 { 200 } else { 504 }})
        }
        false => json!({"request_id": number, "status": 200}),
    });
    assert_eq!(first_cause(&sweep("load-exceeds-capacity", &lines).json()), "retry-storm");
}

#[test]
fn new_kinds_of_prompt_are_counted() {
    let lines = records("prefix-broken", |number, later| {
        let tenant = if later { number % 8 } else { number % 2 };
        json!({"status": 200, "tenant_id": tenant})
    });
    let report = sweep("prefix-broken", &lines).json();
    let factor = reading(&report, "traffic_diversity_factor")["now"].as_f64().unwrap();
    assert!(factor > 3.0 && factor < 4.2, "{factor}");
}

#[test]
fn the_walk_over_http_errors_ends_at_the_time_out() {
    let lines = records(
        "healthy",
        |number, later| json!({"status": if later && number % 3 == 0 { 504 } else { 200 }}),
    );
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), lines).unwrap();
    let path = file.path().display().to_string();
    let healthy = incident("healthy");
    let ran = run(["http-errors", "--format", "json", "--replay", &healthy, "--gateway", &path]);
    let report = ran.json();
    let last = report["path"].as_array().unwrap().last().unwrap();
    assert_eq!((last["step"].as_str(), last["answer"].as_str()), (Some("timed-out"), Some("yes")));
    assert_eq!(first_cause(&report), "gateway-timeout-too-short");
}

#[test]
fn neither_prompts_nor_keys_nor_other_times_reach_a_bundle() {
    let (from, to, _) = times("healthy");
    let record = |at: f64| {
        let secret = "the-secret-text";
        let line = json!({"t": at, "status": 200, "prompt": secret, "api_key": secret,
                          "messages": [{"content": secret}], "adapter_id": "a"});
        format!("{line}\n")
    };
    let lines = [from - 4000.0, from - 10.0, to - 10.0, to + 4000.0].map(record).concat();
    let lines = lines + "10.0.0.7 - - [x] \"POST /v1?key=the-secret-text\" 200\n";
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), lines).unwrap();
    let mut bundle = Bundle::load(&[incident("healthy").into()], &Limits::default()).unwrap();
    gateway::from_file(&mut bundle, file.path(), &GatewayFields::default());
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("b.tar.zst");
    bundle.save(&path).unwrap();
    let again = Bundle::load(&[path], &Limits::default()).unwrap();
    let kept = String::from_utf8(again.gateway.unwrap()).unwrap();
    assert_eq!(kept.lines().count(), 2, "{kept}");
    assert!(!kept.contains("secret") && kept.contains("adapter_id"), "{kept}");
}

#[test]
fn a_file_that_is_not_there_is_a_status_and_the_run_goes_on() {
    let healthy = incident("healthy");
    let nowhere = "/no/such/gateway.jsonl";
    let ran = run(["sweep", "--format", "json", "--replay", &healthy, "--gateway", nowhere]);
    let report = ran.json();
    let sources = report["sources"].as_array().unwrap();
    let source = sources.iter().find(|source| source["id"] == "gateway").unwrap();
    assert_eq!(source["status"], "unreachable");
}

/// Replays every file of the fuzzer's seed corpus, so that a stable toolchain runs them too, and each
/// of them cut at every byte.
#[test]
fn the_fuzzing_corpus_is_read_without_panic() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus/gateway");
    let seeds: Vec<_> = fs::read_dir(folder).unwrap().collect();
    assert!(!seeds.is_empty());
    for seed in seeds {
        let lines = fs::read(seed.unwrap().path()).unwrap();
        for end in 0..=lines.len() {
            let log = gateway::read(&lines[..end]);
            let numbers = |it: &GatewayRecord| [it.ttft_ms, it.total_ms, it.input_tokens];
            let mut all = log.records.iter().flat_map(numbers).flatten();
            assert!(all.all(|number| number.is_finite() && number >= 0.0));
            assert!(log.records.iter().all(|it| (1e9..1e11).contains(&it.at)));
        }
    }
}

#[test]
fn records_beside_the_capture_in_one_archive_are_read() {
    let folder = tempfile::tempdir().unwrap();
    let packed = Path::new(&incident("healthy")).join("capture.tar.zst");
    let whole = folder.path().join("whole");
    let bundle = Bundle::load(&[packed], &Limits::default()).unwrap();
    fs::create_dir(&whole).unwrap();
    bundle.save(&whole.join("capture")).unwrap();
    let plain = records("healthy", |_, _| json!({"status": 503}));
    fs::write(whole.join("gateway.jsonl"), plain).unwrap();
    let archive = folder.path().join("whole.tar");
    let mut tar = tar::Builder::new(fs::File::create(&archive).unwrap());
    tar.append_dir_all("incident", &whole).unwrap();
    tar.finish().unwrap();
    let path = archive.display().to_string();
    let report = run(["sweep", "--format", "json", "--replay", &path]).json();
    assert_eq!(reading(&report, "gateway_unavailable_ratio")["now"], 1.0);
}

#[test]
fn an_adapter_that_was_replaced_under_its_own_name_is_seen() {
    let report = two_adapters(|later| {
        json!({"status": 200, "adapter_id": "b", "adapter_version": if later { 2 } else { 1 },
               "total_ms": if later { 900 } else { 300 }, "input_tokens": 1000})
    });
    assert_eq!(reading(&report, "adapter_version_changes_count")["now"], 1.0);
    let timeline = report["timeline"].as_array().unwrap();
    assert!(timeline.iter().any(|entry| entry["text"] == "version of adapter b 1 → 2"));
}

#[test]
fn prompts_that_grow_with_each_turn_are_told_from_longer_ones() {
    let growth = |later_step: usize| {
        let lines = records("prefix-broken", |number, later| {
            let step = if later { later_step } else { 10 };
            let tokens = 1000 + number / 20 % 10 * step;
            json!({"status": 200, "session_id": number % 20 + number / 200 * 20,
                   "input_tokens": tokens})
        });
        let report = sweep("prefix-broken", &lines).json();
        reading(&report, "session_prompt_growth_ratio")["now"].as_f64().unwrap()
    };
    assert!(growth(200) > 0.1);
    assert!(growth(10).abs() < 0.02);
}

#[test]
fn callers_that_cancel_at_the_gateway_are_a_symptom() {
    let lines = records(
        "healthy",
        |number, later| json!({"status": 200, "cancelled": later && number % 3 == 0}),
    );
    let report = sweep("healthy", &lines).json();
    let symptoms = report["symptoms"].to_string();
    assert!(symptoms.contains("gateway_cancelled_ratio"), "{symptoms}");
}

#[test]
fn a_gateway_that_is_told_nonsense_names_the_callers() {
    assert_eq!(first_cause(&failing("healthy", 400)), "malformed-requests");
}
