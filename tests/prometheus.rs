//! The past from a Prometheus: real ones, and ones that do not answer well.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

#[path = "support/cli.rs"]
#[allow(dead_code)]
mod cli;
#[path = "support/judge.rs"]
#[allow(dead_code)]
mod judging;
#[path = "support/prometheus.rs"]
mod real;
#[allow(dead_code)]
mod support;
#[path = "support/tools.rs"]
mod tools;

use std::path::Path;

use cli::{Ran, diagnose, finish, run};
use diagnose::evidence::bundle::{Bundle, FORMAT_VERSION, Limits};
use judging::recordings;
use real::{Prometheus, sample, scraped};
use serde_json::Value;
use support::{Server, respond, respond_with};
use tempfile::tempdir;

const LABELS: &str = r#"job="vllm",instance="10.0.0.7:8000",pod="chat-0",cluster="eu""#;

/// The pages of a recording alone: all that Prometheus has of it.
fn pages_of(bundle: &Bundle) -> Bundle {
    let mut pages = Bundle { scrapes: bundle.scrapes.clone(), ..Bundle::default() };
    pages.meta.format_version = FORMAT_VERSION;
    let (from, to) = pages.span_ms().unwrap();
    pages.meta.started = Some(from as f64 / 1e3);
    pages.meta.ended = Some(to as f64 / 1e3);
    pages
}

fn stored(bundle: &Bundle, labels: &str) -> String {
    let each = bundle
        .scrapes
        .iter()
        .map(|(&ms, page)| scraped(page, labels, ms) + &sample("up", labels, 1.0, ms));
    each.collect()
}

fn stamp(ms: u64) -> String {
    jiff::Timestamp::from_millisecond(ms as i64).unwrap().to_string()
}

/// A sweep over what Prometheus has up to a moment.
fn sweep(url: &str, at: u64, more: &[&str]) -> Ran {
    let at = stamp(at);
    let args = ["sweep", "--prometheus", url, "--at", &at, "--format", "json"];
    let back = ["--history", "20m"].iter().filter(|_| !more.contains(&"--history"));
    run(args.iter().chain(back).chain(more))
}

fn causes(report: &Value) -> Vec<(String, String, f64)> {
    let of = |it: &Value| {
        let text = |key: &str| it[key].as_str().unwrap().to_owned();
        (text("id"), text("status"), it["probability"].as_f64().unwrap())
    };
    report["causes"].as_array().unwrap().iter().map(of).collect()
}

fn source<'a>(report: &'a Value, id: &str) -> &'a Value {
    let sources = report["sources"].as_array().unwrap();
    sources.iter().find(|it| it["id"] == id).unwrap_or(&Value::Null)
}

#[test]
fn every_recording_is_judged_through_prometheus_as_from_its_pages() {
    for recording in recordings() {
        let pages = pages_of(&recording.bundle);
        let folder = tempdir().unwrap();
        let saved = folder.path().join("pages");
        pages.save(&saved).unwrap();
        let plain = run(["sweep", "--replay", saved.to_str().unwrap(), "--format", "json"]).json();
        let prometheus = Prometheus::with(&stored(&recording.bundle, LABELS));
        let (_, to) = pages.span_ms().unwrap();
        let ran = sweep(&prometheus.url(), to, &["--selector", "job=\"vllm\""]);
        let report = ran.json();
        let name = &recording.name;
        assert_eq!(source(&report, "prometheus")["status"], "ok", "{name}: {}", ran.said());
        assert_eq!(report["verdict"], plain["verdict"], "{name}");
        assert_eq!(report["onset"], plain["onset"], "{name}");
        let (seen, wanted) = (causes(&report), causes(&plain));
        assert_eq!(seen.len(), wanted.len(), "{name}");
        for (seen, wanted) in seen.iter().zip(&wanted) {
            assert_eq!((&seen.0, &seen.1), (&wanted.0, &wanted.1), "{name}");
            assert!((seen.2 - wanted.2).abs() <= 0.05, "{name}: {seen:?} {wanted:?}");
        }
    }
}

/// Answers the API with one body, whatever is asked.
fn always(status: &'static str, body: &'static str) -> Server {
    Server::start("127.0.0.1:0", move |_, stream| respond(stream, status, body.as_bytes())).unwrap()
}

fn now_ms() -> u64 {
    jiff::Timestamp::now().as_millisecond() as u64
}

#[test]
fn a_prometheus_that_does_not_answer_well_is_never_a_healthy_server() {
    let empty = r#"{"status":"success","data":{"resultType":"vector","result":[]}}"#;
    let error = r#"{"status":"error","errorType":"bad_data","error":"parse error"}"#;
    let slow = r#"{"status":"error","errorType":"timeout","error":"query timed out"}"#;
    let huge = Server::start("127.0.0.1:0", |_, stream| {
        respond_with(stream, "200 OK", "x-note: lies about its length\r\n", &[b' '; 70 << 20]);
    });
    let hanging = Server::start("127.0.0.1:0", |_, _| {
        std::thread::sleep(std::time::Duration::from_secs(20));
    });
    for (server, word) in [
        (always("401 Unauthorized", "no"), "unauthorized"),
        (always("500 Internal Server Error", "oops"), "bad_data"),
        (always("404 Not Found", "nothing here"), "unsupported"),
        (always("200 OK", "<html>sign in</html>"), "bad_data"),
        (always("200 OK", empty), "unsupported"),
        (always("400 Bad Request", error), "bad_data"),
        (always("503 Service Unavailable", slow), "timed_out"),
        (huge.unwrap(), "bad_data"),
        (hanging.unwrap(), "timed_out"),
    ] {
        let ran = sweep(&server.url(), now_ms(), &["--timeout", "1s"]);
        let report = ran.json();
        assert_eq!(source(&report, "prometheus")["status"], word, "{}", ran.said());
        assert_eq!(report["verdict"], "inconclusive", "{word}");
        ran.assert_code(3);
    }
    let gone = sweep("http://127.0.0.1:9", now_ms(), &["--timeout", "1s"]);
    assert_eq!(source(&gone.json(), "prometheus")["status"], "unreachable");
}

#[test]
fn a_partial_answer_of_a_cluster_is_said() {
    let server = Server::start("127.0.0.1:0", |_, stream| {
        let at = jiff::Timestamp::now().as_second();
        let body = format!(
            r#"{{"status":"success","warnings":["store 10.1.1.1 did not answer"],"data":{{"result":[
            {{"metric":{{"__name__":"vllm:num_requests_running","instance":"a"}},
              "values":[[{},"1"],[{at},"1"]]}}]}}}}"#,
            at - 5
        );
        respond(stream, "200 OK", body.as_bytes());
    });
    let report = sweep(&server.unwrap().url(), now_ms() + 9000, &[]).json();
    let told = source(&report, "prometheus");
    assert_eq!(told["status"], "partial");
    assert!(told["detail"].as_str().unwrap().contains("store 10.1.1.1 did not answer"));
    assert_eq!(report["verdict"], "inconclusive");
}

#[test]
fn credentials_reach_prometheus_and_nothing_else() {
    let token = "s3cr3t-t0ken-of-prometheus";
    let server = Server::start("127.0.0.1:0", move |_, stream| {
        respond(stream, "500 Oops", format!("refused {token}").as_bytes());
    })
    .unwrap();
    let settings = tempdir().unwrap();
    let file = settings.path().join("diagnose.toml");
    let url = server.url();
    let text = format!("[prometheus]\nurl = '{url}'\nheaders = {{ X-Scope-OrgID = 'team' }}\n");
    std::fs::write(&file, &text).unwrap();
    let sweep = |file: &Path| {
        let mut command = diagnose();
        command.env("DIAGNOSE_PROMETHEUS_TOKEN", token).arg("sweep").arg("--config").arg(file);
        command.env("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE").env("AWS_SECRET_ACCESS_KEY", "wJalrXUtn");
        finish(&mut command)
    };
    let ran = sweep(&file);
    let head = &server.requests()[0].head;
    assert!(head.contains(&format!("authorization: Bearer {token}")), "{head}");
    assert!(head.contains("x-scope-orgid: team"), "{head}");
    assert!(!ran.said().contains(token), "{}", ran.said());
}

#[cfg(feature = "aws")]
#[test]
fn requests_to_amazon_are_signed() {
    let server = always("403 Forbidden", "no");
    let settings = tempdir().unwrap();
    let file = settings.path().join("diagnose.toml");
    let text = format!("[prometheus]\nurl = '{}'\nsigv4_region = 'eu-west-1'\n", server.url());
    std::fs::write(&file, text).unwrap();
    let mut command = diagnose();
    command.arg("sweep").arg("--config").arg(&file);
    command.env("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE").env("AWS_SECRET_ACCESS_KEY", "wJalrXUtn");
    let ran = finish(&mut command);
    let head = server.requests()[0].head.clone();
    let scope = "/eu-west-1/aps/aws4_request";
    assert!(head.contains("AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/"), "{head}");
    assert!(head.contains(scope), "{head}");
    assert!(!ran.said().contains("wJalrXUtn"));
}

#[test]
fn samples_that_end_early_are_not_the_present() {
    let recordings = recordings();
    let healthy = recordings.iter().find(|it| it.name == "healthy").unwrap();
    let (_, to) = pages_of(&healthy.bundle).span_ms().unwrap();
    let down = sample("up", LABELS, 0.0, to + 5000);
    let prometheus = Prometheus::with(&(stored(&healthy.bundle, LABELS) + &down));
    let report = sweep(&prometheus.url(), to + 300_000, &[]).json();
    let told = source(&report, "prometheus");
    assert_eq!(told["status"], "partial");
    let detail = told["detail"].as_str().unwrap();
    assert!(detail.contains("300 s older") && detail.contains("up is 0"), "{detail}");
    assert_ne!(report["verdict"], "healthy");
}

/// Pages of a recording, moved to end now.
fn moved(name: &str) -> (Vec<(u64, Vec<u8>)>, u64) {
    let recordings = recordings();
    let bundle = &recordings.iter().find(|it| it.name == name).unwrap().bundle;
    let (last, now) = (*bundle.scrapes.keys().last().unwrap(), now_ms());
    (bundle.scrapes.iter().map(|(at, page)| (at + now - last, page.clone())).collect(), now)
}

fn filled(pages: &[(u64, Vec<u8>)], labels: &str) -> String {
    pages.iter().map(|(at, page)| scraped(page, labels, *at)).collect()
}

#[test]
fn what_is_collected_replays_to_the_same_bytes_and_its_queries_are_sound() {
    let (pages, _) = moved("prefix-broken");
    let prometheus = Prometheus::with(&filled(&pages, LABELS));
    let folder = tempdir().unwrap();
    let kept = folder.path().join("kept");
    let args = ["collect", "--prometheus", &prometheus.url(), "--history", "20m", "-o"];
    let kept = kept.to_str().unwrap();
    run(args.iter().chain(&[kept])).assert_code(0);
    let replay = || run(["sweep", "--replay", kept, "--format", "json"]);
    let first = replay();
    assert_eq!(first.stdout, replay().stdout);
    let again = folder.path().join("again.tar.zst");
    let bundle = Bundle::load(&[kept.into()], &Limits::default()).unwrap();
    bundle.save(&again).unwrap();
    let again = run(["sweep", "--replay", again.to_str().unwrap(), "--format", "json"]);
    assert_eq!(first.stdout, again.stdout);
    let causes = causes(&first.json());
    assert_eq!(
        (causes[0].1.as_str(), causes[0].0.as_str()),
        ("supported", "volatile-prompt-prefix")
    );
    let record: Value =
        serde_json::from_slice(bundle.recorded("prometheus").next().unwrap().1).unwrap();
    for answer in record["answers"].as_array().unwrap() {
        prometheus.promtool(&["query", "instant"], answer["query"].as_str().unwrap()).unwrap();
    }
}

/// Replicas of a healthy server, scraped at times of their own; the last is overloaded.
fn replicas(many: u64) -> (String, u64) {
    let (pages, now) = moved("healthy");
    let replica = |index: u64| {
        let labels = format!("job=\"vllm\",instance=\"10.0.0.{}:8000\"", 7 + index);
        let shifted: Vec<_> =
            pages.iter().map(|(at, page)| (at - 300 * index, page.clone())).collect();
        filled(&shifted, &labels)
    };
    let crowded = |line: &str| {
        let full = line.starts_with("vllm:num_requests_running");
        let words: Vec<_> = line.rsplitn(3, ' ').collect();
        format!("{} {} {}\n", words[2], if full { "90" } else { words[1] }, words[0])
    };
    let last: String = replica(many - 1).lines().map(crowded).collect();
    ((0..many - 1).map(replica).chain([last]).collect(), now)
}

fn reading(report: &Value, signal: &str) -> f64 {
    let all = report["readings"].as_array().unwrap();
    let found = all.iter().find(|it| it["signal"] == signal).unwrap();
    found["now"].as_f64().unwrap_or_else(|| found["now"]["lo"].as_f64().unwrap())
}

#[test]
fn replicas_are_added_up_and_the_overloaded_one_is_named() {
    let (samples, now) = replicas(3);
    let prometheus = Prometheus::with(&samples);
    let all = sweep(&prometheus.url(), now, &[]).json();
    let one = sweep(&prometheus.url(), now, &["--selector", "instance=\"10.0.0.7:8000\""]).json();
    let ratio = reading(&all, "finished_requests") / reading(&one, "finished_requests");
    assert!((2.6..3.1).contains(&ratio), "{ratio}");
    assert!(reading(&all, "kv_cache_usage_max_ratio") <= 1.0);
    assert!(reading(&all, "replica_spread_factor") >= 1.8);
    let text = all.to_string();
    assert!(text.contains(r#"(fullest: instance=\"10.0.0.9:8000\")"#), "{text}");
    let told = source(&all, "prometheus")["detail"].as_str().unwrap();
    assert!(told.contains("3 replicas, one in 10 s"), "{told}");
}

#[test]
fn a_fleet_is_summed_by_the_server_and_its_outlier_is_named() {
    let (samples, now) = replicas(12);
    let prometheus = Prometheus::with(&samples);
    let url = prometheus.url();
    let all = sweep(&url, now, &["--history", "2h"]).json();
    let one = sweep(&url, now, &["--selector", "instance=\"10.0.0.7:8000\""]).json();
    let told = source(&all, "prometheus")["detail"].as_str().unwrap();
    assert!(told.contains("12 replicas, summed over the replicas in steps of 25 s"), "{told}");
    let ratio = reading(&all, "finished_requests") / reading(&one, "finished_requests");
    assert!((9.0..14.0).contains(&ratio), "{ratio}");
    let ttft = |report| reading(report, "ttft_mean_seconds");
    assert!((ttft(&all) / ttft(&one) - 1.0).abs() < 0.15, "{} {}", ttft(&all), ttft(&one));
    assert!(all.to_string().contains(r#"(fullest: instance=\"10.0.0.18:8000\")"#));
}

#[test]
fn history_goes_before_the_pages_of_a_live_server_and_only_its_own() {
    let (pages, _) = moved("healthy");
    let last = pages.last().unwrap().1.clone();
    let server = Server::vllm(move |stream| respond(stream, "200 OK", &last));
    let live = |samples: &str, window: &str| {
        let prometheus = Prometheus::with(samples);
        let args = ["sweep", "--url", &server.url(), "--prometheus", &prometheus.url(), "--format"];
        run(args.iter().chain(&["json", "--window", window, "--history", "20m"])).json()
    };
    let report = live(&filled(&pages, LABELS), "10m");
    assert_eq!(source(&report, "prometheus")["status"], "ok", "{}", report["sources"]);
    let rows = report["readings"].as_array().unwrap();
    let finished = rows.iter().find(|it| it["signal"] == "finished_requests").unwrap();
    assert!(finished["baseline"].as_f64().unwrap() >= 30.0, "the past is what it compares with");
    let report = live(&replicas(3).0, "2s");
    let told = source(&report, "prometheus");
    assert_eq!(told["status"], "partial");
    assert!(told["detail"].as_str().unwrap().contains("--selector, e.g. 'instance="), "{told}");
}

#[test]
fn alerts_that_fired_stand_in_the_timeline() {
    let recordings = recordings();
    let healthy = recordings.iter().find(|it| it.name == "healthy").unwrap();
    let (from, to) = pages_of(&healthy.bundle).span_ms().unwrap();
    let labels = r#"alertname="SlowTTFT",alertstate="firing",instance="10.0.0.7:8000""#;
    let other = r#"alertname="DiskFull",alertstate="firing",job="node""#;
    let times = (from + 30_000..from + 90_000).step_by(5000);
    let fired: String = times
        .map(|at| sample("ALERTS", labels, 1.0, at) + &sample("ALERTS", other, 1.0, at))
        .collect();
    let prometheus = Prometheus::with(&(stored(&healthy.bundle, LABELS) + &fired));
    let report = sweep(&prometheus.url(), to, &[]).json();
    let timeline = report["timeline"].as_array().unwrap();
    let told: Vec<_> = timeline.iter().map(|it| it["text"].as_str().unwrap()).collect();
    let name = "the alert SlowTTFT (instance=\"10.0.0.7:8000\")";
    assert_eq!(told, [format!("{name} began to fire"), format!("{name} ended")]);
}
