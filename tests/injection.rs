//! Text from outside in every place where it can come in, through every format of the report: it is
//! shown, and it acts on nothing.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

#[path = "support/cli.rs"]
#[allow(dead_code)]
mod cli;
#[path = "support/harmless.rs"]
mod harmless;

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    thread,
    time::Duration,
};

use clap::ValueEnum;
use cli::{Ran, incident, run};
use diagnose::{
    cli::Format,
    evidence::{
        AdapterFolder, Probe, SourceState, SourceStatus,
        bundle::{Bundle, Limits},
    },
};
use serde_json::{Value, json};

const BOUND: Duration = Duration::from_secs(60);

/// What an attacker writes. `T` is the name of the place, by which it is found again.
fn payloads() -> Vec<String> {
    let long = format!("T{}", "A".repeat(1 << 20));
    [
        "T\u{1b}[2J\u{1b}[31mred\u{1b}]0;owned\u{7}",
        "T\u{1b}]8;;http://evil.example\u{1b}\\click\u{1b}]8;;\u{1b}\\",
        "T\u{9b}31m\u{90}q\u{9c}",
        "T\u{202e}gpj.exe\u{2066}\u{200f}",
        "T\u{200b}z\u{feff}w\u{2060}n\u{ad}\u{e0041}",
        "T<script>alert(1)</script><img src=x onerror=alert(1)></details>",
        "T [x](javascript:alert(1)) ![y](http://evil.example/y.png) <http://evil.example>",
        "T @T @org/team #1 &lt; **b** ~~s~~",
        "T | a | `b` ``` ~~~ $x$ \\",
        "T\r\n# heading\r\n- item\n\n<details>\n| a | b |\n",
        "T {now} {xid} {{T}} ${T} %s %00 \0",
        &long,
    ]
    .map(str::to_owned)
    .into()
}

/// Puts a text into a bundle at one place.
type Put = fn(&mut Bundle, &str);

/// Every place, and whether its text stands in the report.
const PLACES: [(&str, bool, Put); 22] = [
    ("target", true, |it, text| it.meta.target = Some(text.into())),
    ("version", false, |it, text| it.meta.vllm_version = Some(text.into())),
    ("tool", false, |it, text| it.meta.tool_version = Some(text.into())),
    ("flag", false, |it, text| {
        it.meta.server_args =
            vec!["vllm".into(), "serve".into(), "--max-num-seqs".into(), text.into()];
    }),
    ("status", true, |it, text| it.meta.sources.push(status("host", text))),
    ("source", true, |it, text| it.meta.sources.push(status(text, "x"))),
    ("note", true, |it, text| it.notes.push(status("bundle", text))),
    ("model", true, |it, text| add_line(it, "vllm:num_requests_running", "model_name", text)),
    ("engine", true, |it, text| add_line(it, "vllm:num_requests_running", "engine", text)),
    ("config", false, |it, text| add_line(it, "vllm:cache_config_info", "block_size", text)),
    ("garbage", true, |it, text| {
        let page = it.scrapes.values_mut().next_back().unwrap();
        page.extend(format!("{}\n", text.replace(['\n', '\r'], " ")).bytes());
    }),
    ("served", false, |it, text| probe(it, "/v1/models", &json!({"data": [{"id": text}]}))),
    ("release", true, |it, text| probe(it, "/version", &json!({"version": text}))),
    ("error", true, |it, text| {
        let last = it.probes.values_mut().next_back().unwrap();
        last.insert("/health".into(), Probe { error: Some(text.into()), ..Probe::default() });
    }),
    ("log", true, |it, text| {
        let line = format!("ERROR x: CUDA out of memory occurred when warming up {text}\n");
        it.log.get_or_insert_default().extend(line.bytes());
    }),
    ("kernel", true, |it, text| {
        let text = text.replace('\n', " ");
        let line =
            format!("NVRM: Xid (PCI:0000:3b:00): 79, pid=1, name={text}, GPU has fallen off\n");
        it.kernel_log = Some(line.into_bytes());
    }),
    ("gateway", true, |it, text| it.gateway = Some(requests(it, text).into_bytes())),
    ("kube", true, |it, text| {
        let ended = json!({"reason": "OOMKilled", "exitCode": 137, "message": text,
            "finishedAt": stamp(it, 60)});
        let state = json!([{"restartCount": 3, "lastState": {"terminated": ended}}]);
        let pod = json!({"kind": "Pod", "metadata": {"name": text}, "status": {"containerStatuses": state}});
        record(it, "kube", &json!({ "items": [pod] }));
    }),
    ("aws", true, |it, text| {
        let activity = json!({"Description": text, "Cause": text, "StartTime": stamp(it, 60),
            "StatusCode": "Failed", "StatusMessage": text});
        let alarm = json!({"AlarmName": text, "StateValue": "ALARM",
            "StateUpdatedTimestamp": stamp(it, 60)});
        let answer = |service: &str, operation: &str, output: Value| json!({"service": service, "operation": operation, "output": output});
        let answers = json!([
            answer("application-autoscaling", "DescribeScalingActivities",
                json!({"ScalingActivities": [activity]})),
            answer("cloudwatch", "DescribeAlarms", json!({"MetricAlarms": [alarm]})),
            {"service": "sagemaker", "operation": text, "error": text},
        ]);
        record(it, "aws", &json!({ "answers": answers }));
    }),
    ("prometheus", true, |it, text| {
        let end = it.span_ms().unwrap().1;
        let first = it.span_ms().unwrap().0;
        let series = |labels: Value| json!({"labels": labels, "samples": "1000 1 2000 1"});
        let answers = json!([
            {"part": "metrics", "query": text, "series": [series(json!({
                "__name__": "vllm:num_requests_running", "instance": text, "job": "vllm"}))]},
            {"part": "alerts", "query": text, "series": [series(json!({"alertname": text}))]},
        ]);
        record(
            it,
            "prometheus",
            &json!({"from_ms": first - 60_000, "to_ms": end,
            "lost": [text], "answers": answers}),
        );
    }),
    ("mlflow", false, |it, text| {
        let traces: Vec<Value> =
            requests(it, text).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        record(it, "mlflow", &json!({ "traces": traces }));
    }),
    ("adapter", false, |it, text| {
        let folder =
            AdapterFolder { folder: text.into(), error: Some(text.into()), ..Default::default() };
        it.adapters.insert(it.span_ms().unwrap().1, vec![folder]);
    }),
];

fn status(id: &str, detail: &str) -> SourceStatus {
    let status = SourceState::BadData;
    SourceStatus { id: id.into(), status, detail: detail.into(), took_ms: None }
}

/// A new series on the last two pages, with a label of this text.
fn add_line(bundle: &mut Bundle, name: &str, label: &str, text: &str) {
    let text = text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
    for page in bundle.scrapes.values_mut().rev().take(2) {
        page.extend(format!("{name}{{{label}=\"{text}\"}} 1\n").bytes());
    }
}

fn probe(bundle: &mut Bundle, path: &str, body: &Value) {
    let last = bundle.probes.values_mut().next_back().unwrap();
    let body = Some(body.to_string());
    last.insert(path.into(), Probe { status: Some(200), body, ..Probe::default() });
}

fn record(bundle: &mut Bundle, folder: &'static str, body: &Value) {
    let at = bundle.span_ms().unwrap().1;
    bundle.record(folder, at, body.to_string().into_bytes());
}

fn stamp(bundle: &Bundle, before_end: i64) -> String {
    let end = bundle.span_ms().unwrap().1 as i64 / 1000;
    jiff::Timestamp::from_second(end - before_end).unwrap().to_string()
}

/// Requests of which the later ones have versions and adapters of this name.
fn requests(bundle: &Bundle, text: &str) -> String {
    let (from, to) = bundle.span_ms().unwrap();
    let line = |number: u64| {
        let at = from as f64 / 1e3 + (to - from) as f64 / 1e3 * number as f64 / 80.0;
        let own = if number > 40 { &text[..text.len().min(200)] } else { "1" };
        let own = if text.len() > 4096 && number == 60 { text } else { own };
        json!({"t": at, "status": 200, "prompt_version": own, "adapter_id": own,
            "backend_version": own, "request_id": own, "ttft_ms": 5.0, "input_tokens": 9})
        .to_string()
    };
    (0..80).map(line).collect::<Vec<_>>().join("\n")
}

/// A recording with another payload in each place; over all rounds each place has had them all.
fn hostile(round: usize, payloads: &[String]) -> Bundle {
    let mut bundle = Bundle::load(&[incident("kv-pressure").into()], &Limits::default()).unwrap();
    for (index, (place, _, put)) in PLACES.iter().enumerate() {
        let payload = &payloads[(index + round) % payloads.len()];
        put(&mut bundle, &payload.replace('T', &token(place)));
    }
    bundle
}

/// How a place's text is found again.
fn token(place: &str) -> String {
    format!("Zq{place}qZ")
}

/// The flags of every way to show a report.
fn shown() -> Vec<(Format, Vec<&'static str>)> {
    let all = Format::value_variants().iter().map(|format| (*format, vec![]));
    all.chain([(Format::Terminal, vec!["-v"]), (Format::Terminal, vec!["--quiet"])]).collect()
}

fn sweep(bundle: &Path, format: Format, more: &[&str]) -> Ran {
    let word = format.to_possible_value().unwrap().get_name().to_owned();
    let path = bundle.display().to_string();
    let args = ["sweep", "--replay", &path, "--format", &word];
    let ran = run(args.iter().chain(more));
    ran.assert_calm(BOUND);
    ran
}

#[track_caller]
fn assert_harmless(ran: &Ran, format: Format) {
    harmless::assert_no_escape(&ran.stderr);
    match format {
        Format::Terminal => harmless::assert_terminal(&ran.stdout),
        Format::Markdown => harmless::assert_markdown(&ran.stdout),
        Format::Json => harmless::assert_json(&ran.stdout),
        #[allow(unreachable_patterns)]
        _ => harmless::assert_page(&ran.stdout),
    }
}

#[test]
fn nothing_from_outside_acts_in_any_report() {
    let payloads = payloads();
    let seen: Vec<BTreeSet<&str>> = thread::scope(|scope| {
        let rounds: Vec<_> = (0..payloads.len())
            .map(|round| {
                let payloads = &payloads;
                scope.spawn(move || {
                    let folder = tempfile::tempdir().unwrap();
                    let path = folder.path().join("hostile");
                    hostile(round, payloads).save(&path).unwrap();
                    let mut text = String::new();
                    for (format, more) in shown() {
                        let ran = sweep(&path, format, &more);
                        assert_harmless(&ran, format);
                        text += &ran.stdout;
                    }
                    let places = PLACES.iter().map(|(place, ..)| *place);
                    places.filter(|place| text.contains(&token(place))).collect()
                })
            })
            .collect();
        rounds.into_iter().map(|round| round.join().unwrap()).collect()
    });
    let seen: BTreeSet<&str> = seen.into_iter().flatten().collect();
    let told = PLACES.iter().map(|(place, shown, _)| (*place, *shown));
    let seen: BTreeMap<&str, bool> =
        PLACES.iter().map(|(place, ..)| (*place, seen.contains(place))).collect();
    assert_eq!(seen, told.collect(), "which places are shown at all");
}

#[test]
fn a_sealed_recording_says_nothing_harmful_on_the_way() {
    let folder = tempfile::tempdir().unwrap();
    let sealed = folder.path().join("sealed");
    let kept = sealed.display().to_string();
    run(["sweep", "--quiet", "--replay", &incident("kv-pressure"), "--bundle", &kept]);
    let report = sealed.join("report.json");
    let mut json: Value = serde_json::from_slice(&std::fs::read(&report).unwrap()).unwrap();
    let evil = "\u{1b}[2J\u{202e}owned";
    json["causes"][0]["id"] = evil.into();
    json["tool"]["version"] = evil.into();
    std::fs::write(&report, json.to_string()).unwrap();
    let ran = sweep(&sealed, Format::Terminal, &[]);
    assert!(ran.stderr.contains("owned"), "{}", ran.stderr);
    assert_harmless(&ran, Format::Terminal);
}

#[test]
fn nothing_on_the_command_line_acts_when_it_is_repeated() {
    let evil = "x\u{1b}[2J\u{202e}\u{9b}31m";
    let folder = tempfile::tempdir().unwrap();
    let named = folder.path().join(evil);
    std::fs::create_dir(&named).unwrap();
    std::fs::write(named.join("x.yaml"), format!("id: \"{}\"\nfoo: 1\n", "\\e[2J")).unwrap();
    std::fs::write(named.join("diagnose.toml"), format!("u = '{}'", '\u{202e}')).unwrap();
    let path = |name: &str| named.join(name).display().to_string();
    let recording = incident("kv-pressure");
    for args in [
        vec![evil],
        vec!["sweep", "--url", evil],
        vec!["sweep", "--replay", &path("nothing")],
        vec!["sweep", "--replay", &path("x.yaml")],
        vec!["sweep", "--replay", &recording, "--runbooks", &path("")],
        vec!["sweep", "--replay", &recording, "--log", &path("nothing")],
        vec!["sweep", "--replay", &recording, "--kube", &path("x.yaml")],
        vec!["sweep", "--replay", &recording, "--config", &path("diagnose.toml")],
        vec!["sweep", "--replay", &recording, "--format", evil],
        vec!["runbook", "lint", "--runbooks", &path("")],
        vec!["explain", evil],
        vec!["collect", "--url", "http://127.0.0.1:9", "--duration", "1ms", "-o", &path("b.zip")],
    ] {
        let ran = run(&args);
        ran.assert_calm(BOUND);
        harmless::assert_no_escape(&ran.stdout);
        harmless::assert_no_escape(&ran.stderr);
    }
}
