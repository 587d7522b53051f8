//! Sampling live servers: honest, sick and hostile ones.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::io::Write;
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use diagnose::evidence::bundle::{Bundle, Limits};
use diagnose::evidence::{Probe, SourceState, SourceStatus};
use diagnose::sources::http::block_on;
use diagnose::sources::vllm::{Live, Progress, discover, sample};
use support::{PAGE, Server, page, respond, respond_with};

/// One round, and no waiting.
fn once(url: impl Into<String>) -> Live {
    Live { window: Duration::ZERO, ..Live::new(url) }
}

fn run(live: &Live) -> Bundle {
    block_on(sample(live, std::future::pending(), &mut |_| {})).unwrap()
}

fn source<'a>(bundle: &'a Bundle, id: &str) -> &'a SourceStatus {
    bundle.meta.sources.iter().find(|source| source.id == id).unwrap()
}

fn probe<'a>(bundle: &'a Bundle, path: &str) -> &'a Probe {
    &bundle.probes.values().next().unwrap()[path]
}

/// Asserts how `/metrics` failed, that its detail helps, and that nothing else was hurt.
#[track_caller]
fn assert_fails(bundle: &Bundle, state: SourceState, word: Option<&str>, detail: &str) {
    let metrics = source(bundle, "metrics");
    assert_eq!((metrics.status, bundle.scrapes.len()), (state, 0), "{metrics:?}");
    assert!(metrics.detail.contains(detail), "{}", metrics.detail);
    assert!(metrics.detail.contains("http://127.0.0.1:"), "{}", metrics.detail);
    assert_eq!(probe(bundle, "/metrics").error.as_deref(), word);
    assert_eq!(source(bundle, "probes").status, SourceState::Ok, "{:?}", bundle.probes);
    assert_eq!(probe(bundle, "/health").status, Some(200));
    assert_eq!(bundle.meta.vllm_version.as_deref(), Some("0.23.0"));
}

#[test]
fn a_healthy_server_gives_raw_pages_and_probes() {
    let server = Server::vllm(|stream| respond(stream, "200 OK", PAGE.as_bytes()));
    let live = Live { window: Duration::from_millis(60), ..Live::new(server.url()) };
    let mut seen = Vec::new();
    let bundle = block_on(sample(&live, std::future::pending(), &mut |it| seen.push(it))).unwrap();
    assert!(bundle.scrapes.values().all(|body| body == PAGE.as_bytes()));
    assert_eq!((bundle.scrapes.len(), bundle.probes.len()), (2, 2));
    assert_eq!(source(&bundle, "metrics").status, SourceState::Ok);
    let metrics = probe(&bundle, "/metrics");
    assert!(metrics.status == Some(200) && metrics.ms.is_some() && metrics.body.is_none());
    assert_eq!(probe(&bundle, "/v1/models").body.as_deref(), Some(support::MODELS));
    assert_eq!(seen.first(), Some(&Progress::Round { number: 1, of: 2 }));
    assert!(server.requests().iter().all(|request| request.head.starts_with("GET ")));
    let accept = "text/plain;version=0.0.4";
    assert!(server.requests().iter().any(|request| request.head.contains(accept)));
}

#[test]
fn what_was_sampled_can_be_saved_and_read_again() {
    let server = Server::vllm(|stream| respond(stream, "200 OK", PAGE.as_bytes()));
    let bundle = run(&once(server.url()));
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("live.tar.zst");
    bundle.save(&path).unwrap();
    assert_eq!(Bundle::load(&[path], &Limits::default()).unwrap(), bundle);
}

#[test]
fn a_refused_connection_asks_whether_vllm_is_up_and_does_not_wait() {
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let start = Instant::now();
    let bundle = run(&Live::new(closed.to_string()));
    assert!(start.elapsed() < Duration::from_secs(10), "there is nothing to wait for");
    for id in ["metrics", "probes"] {
        let source = source(&bundle, id);
        assert_eq!(source.status, SourceState::Unreachable);
        let expected = format!("nothing listens on http://{closed}: is vLLM up");
        assert!(source.detail.starts_with(&expected), "{}", source.detail);
    }
    assert_eq!(probe(&bundle, "/health").error.as_deref(), Some("refused"));
}

#[test]
fn http_errors_say_what_to_try() {
    let failing = |status: &'static str| {
        let server = Server::vllm(move |stream| respond(stream, status, b"sorry"));
        run(&once(server.url()))
    };
    let bundle = failing("500 Internal Server Error");
    assert_fails(&bundle, SourceState::BadData, None, "PROMETHEUS_MULTIPROC_DIR");
    assert_eq!(probe(&bundle, "/metrics").body.as_deref(), Some("sorry"));
    assert_fails(&failing("401 Unauthorized"), SourceState::Unauthorized, None, "--api-key");
    assert_fails(&failing("404 Not Found"), SourceState::Unsupported, None, "no /metrics there");
}

#[test]
fn pages_that_are_no_metrics_are_told() {
    let answering = |body: &'static [u8]| {
        run(&once(Server::vllm(move |stream| respond(stream, "200 OK", body)).url()))
    };
    let word = Some("not metrics");
    let html = answering(b"<!doctype html><h1>Grafana</h1>");
    assert_fails(&html, SourceState::BadData, word, "with HTML");
    assert_fails(&answering(b""), SourceState::BadData, word, "empty page");
    assert_fails(&answering(b"\x89PNG\0\0\0"), SourceState::BadData, word, "not text");
}

#[test]
fn invalid_utf_8_is_kept_as_it_is() {
    let body = b"vllm:x{model_name=\"\xff\xfe\"} 1\n";
    let server = Server::vllm(move |stream| respond(stream, "200 OK", body));
    let bundle = run(&once(server.url()));
    assert_eq!(bundle.scrapes.values().next().map(Vec::as_slice), Some(body.as_slice()));
}

#[test]
fn a_slow_drip_times_out_and_delays_nothing_else() {
    let server = Server::vllm(|stream| {
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n");
        while stream.write_all(b"#").is_ok() {
            thread::sleep(Duration::from_millis(50));
        }
    });
    let mut live = once(server.url());
    live.http.timeout = Duration::from_millis(900);
    let start = Instant::now();
    let bundle = run(&live);
    assert!(start.elapsed() < Duration::from_secs(4));
    assert_fails(&bundle, SourceState::TimedOut, Some("timed out"), "timed out after 0.9 s");
    assert!(probe(&bundle, "/health").ms.unwrap() < 850.0);
}

#[test]
fn a_server_that_accepts_and_says_nothing_times_out_everywhere() {
    let server = Server::start("127.0.0.1:0", |_, _| thread::sleep(Duration::from_secs(5)));
    let mut live = once(server.unwrap().url());
    live.http.timeout = Duration::from_millis(300);
    let start = Instant::now();
    let bundle = run(&live);
    assert!(start.elapsed() < Duration::from_secs(3));
    assert_eq!(source(&bundle, "probes").status, SourceState::TimedOut);
    assert_eq!(probe(&bundle, "/version").error.as_deref(), Some("timed out"));
}

#[test]
fn slow_rounds_do_not_add_up_beyond_the_window() {
    let server = Server::start("127.0.0.1:0", |_, _| thread::sleep(Duration::from_secs(9)));
    let interval = Some(Duration::from_millis(20));
    let window = Duration::from_millis(400);
    let mut live = Live { window, interval, ..Live::new(server.unwrap().url()) };
    live.http.timeout = Duration::from_millis(300);
    let start = Instant::now();
    let bundle = run(&live);
    assert!(start.elapsed() < Duration::from_secs(3), "{:?}", start.elapsed());
    assert!((2..=4).contains(&bundle.probes.len()), "{} rounds", bundle.probes.len());
}

#[test]
fn a_truncated_body_is_not_taken_for_a_page() {
    let server = Server::vllm(|stream| {
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\nvllm:x 1\n");
    });
    let bundle = run(&once(server.url()));
    assert_fails(&bundle, SourceState::BadData, Some("truncated"), "did the server crash");
}

#[test]
fn a_reset_in_the_middle_of_a_body_is_a_reset() {
    // Closing a socket that holds unread bytes resets the connection.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let head = b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\nvllm:x 1\n";
            let mut first = [0; 1];
            let _ = std::io::Read::read(&mut stream, &mut first);
            let _ = stream.write_all(head);
            thread::sleep(Duration::from_millis(30));
        }
    });
    let bundle = run(&once(url));
    assert_eq!(probe(&bundle, "/metrics").error.as_deref(), Some("reset"));
    assert_eq!(source(&bundle, "metrics").status, SourceState::Unreachable);
}

#[test]
fn a_body_without_end_is_cut_at_the_limit() {
    let sent = Arc::new(AtomicUsize::new(0));
    let counter = sent.clone();
    let server = Server::vllm(move |stream| {
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n");
        let line = b"vllm:garbage 1\n".repeat(4096);
        while counter.load(Ordering::Relaxed) < 100 << 20 && stream.write_all(&line).is_ok() {
            counter.fetch_add(line.len(), Ordering::Relaxed);
        }
    });
    let mut live = once(server.url());
    live.http.max_body = 1 << 20;
    let bundle = run(&live);
    assert_fails(&bundle, SourceState::BadData, Some("too large"), "more than 1048576 bytes");
    assert!(sent.load(Ordering::Relaxed) < 64 << 20, "the rest was not asked for");
}

fn gzip(body: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(body).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn gzip_is_understood_and_its_bombs_are_bounded() {
    let zipped = |body: Vec<u8>| {
        let body = gzip(&body);
        let headers = "content-encoding: gzip\r\n";
        let server = Server::vllm(move |stream| respond_with(stream, "200 OK", headers, &body));
        let mut live = once(server.url());
        live.http.max_body = 1 << 20;
        run(&live)
    };
    let bundle = zipped(PAGE.into());
    assert_eq!(bundle.scrapes.values().next().map(Vec::as_slice), Some(PAGE.as_bytes()));
    let bundle = zipped(vec![b'\n'; 16 << 20]);
    assert_fails(&bundle, SourceState::BadData, Some("too large"), "more than 1048576 bytes");
}

#[test]
fn the_redirect_of_old_versions_is_followed() {
    let server = Server::start("127.0.0.1:0", |request, stream| match request.path.as_str() {
        "/metrics" => {
            respond_with(stream, "307 Temporary Redirect", "location: /metrics/\r\n", b"")
        }
        path => page(path, stream),
    })
    .unwrap();
    assert_eq!(run(&once(server.url())).scrapes.len(), 1);
}

#[test]
fn a_redirect_loop_ends() {
    let server =
        Server::vllm(|stream| respond_with(stream, "302 Found", "location: /metrics\r\n", b""));
    let bundle = run(&once(server.url()));
    assert_fails(&bundle, SourceState::BadData, Some("redirect"), "more than 3 times");
    let asked = server.requests().iter().filter(|request| request.path == "/metrics").count();
    assert_eq!(asked, 4);
}

#[test]
fn a_key_never_follows_a_redirect_to_another_host() {
    let thief = Server::vllm(|stream| respond(stream, "200 OK", PAGE.as_bytes()));
    let location = format!("location: http://localhost:{}/metrics\r\n", thief.address.port());
    let server = Server::vllm(move |stream| respond_with(stream, "302 Found", &location, b""));
    let mut live = once(server.url());
    live.http.api_key = Some("s3cret".into());
    let bundle = run(&live);
    assert_fails(&bundle, SourceState::BadData, Some("redirect"), "was not followed");
    assert!(thief.requests().iter().all(|request| !request.head.contains("s3cret")));
    assert!(thief.requests().is_empty());
    let keyed = |request: &support::Request| request.head.contains("authorization: Bearer s3cret");
    assert!(server.requests().iter().all(keyed));
}

#[test]
fn credentials_in_the_url_are_sent_and_never_shown() {
    let server = Server::vllm(|stream| respond(stream, "401 Unauthorized", b""));
    let bundle = run(&once(format!("http://user:s3cret@{}", server.address)));
    let sent = |request: &support::Request| {
        request.head.contains("authorization: Basic dXNlcjpzM2NyZXQ=")
            && !request.head.contains("s3cret")
    };
    assert!(server.requests().iter().all(sent), "{:?}", server.requests());
    assert!(!format!("{bundle:?}").contains("s3cret"));
    assert_eq!(bundle.meta.target.as_deref(), Some(server.url().as_str()));
}

#[test]
fn ipv6_loopback_is_reached() {
    let Ok(server) = Server::start("[::1]:0", |request, stream| page(&request.path, stream)) else {
        return;
    };
    assert_eq!(run(&once(server.address.to_string())).scrapes.len(), 1);
}

#[test]
fn the_wrong_scheme_is_told_on_either_side() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut live = once(format!("https://{}", listener.local_addr().unwrap()));
    thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let _ = std::io::Read::read(&mut stream, &mut [0; 8192]);
            let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n");
        }
    });
    live.http.insecure = true;
    let bundle = run(&live);
    assert_eq!(probe(&bundle, "/metrics").error.as_deref(), Some("tls"));
    assert_eq!(source(&bundle, "metrics").status, SourceState::Unreachable);
    let tls = Server::start("127.0.0.1:0", |_, stream| {
        let _ = stream.write_all(b"\x15\x03\x01\x00\x02\x02\x46");
    });
    let bundle = run(&once(tls.unwrap().url()));
    assert_eq!(probe(&bundle, "/metrics").error.as_deref(), Some("not http"));
    assert!(source(&bundle, "metrics").detail.contains("https?"));
}

#[test]
fn one_failed_scrape_of_two_is_partial() {
    let asked = AtomicUsize::new(0);
    let server = Server::vllm(move |stream| match asked.fetch_add(1, Ordering::Relaxed) {
        0 => respond(stream, "200 OK", PAGE.as_bytes()),
        _ => respond(stream, "500 Internal Server Error", b""),
    });
    let bundle = run(&Live { window: Duration::from_millis(60), ..Live::new(server.url()) });
    let metrics = source(&bundle, "metrics");
    assert_eq!((metrics.status, bundle.scrapes.len()), (SourceState::Partial, 1));
    assert!(metrics.detail.starts_with("1 of 2 scrapes failed"), "{}", metrics.detail);
}

#[test]
fn an_interrupt_keeps_what_was_sampled() {
    let server = Server::vllm(|stream| respond(stream, "200 OK", PAGE.as_bytes()));
    let interrupted = AtomicBool::new(false);
    let stop = async {
        while !interrupted.load(Ordering::Relaxed) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let mut progress = |it| {
        if matches!(it, Progress::Waiting { .. }) {
            interrupted.store(true, Ordering::Relaxed);
        }
    };
    let start = Instant::now();
    let live = Live { window: Duration::from_secs(60), ..Live::new(server.url()) };
    let bundle = block_on(sample(&live, stop, &mut progress)).unwrap();
    assert!(start.elapsed() < Duration::from_secs(10));
    assert_eq!(bundle.scrapes.len(), 1);
    assert!(bundle.notes[0].detail.contains("interrupted in round 1"), "{:?}", bundle.notes);
}

#[test]
fn completions_are_sent_only_when_asked_for() {
    let server = Server::start("127.0.0.1:0", |request, stream| match request.path.as_str() {
        "/v1/completions" => {
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n");
            thread::sleep(Duration::from_millis(40));
            let _ = stream.write_all(b"data: {\"choices\":[{\"text\":\" a\"}]}\n\n");
            thread::sleep(Duration::from_secs(3));
        }
        path => page(path, stream),
    })
    .unwrap();
    let start = Instant::now();
    let bundle = run(&Live { probe: 2, ..once(server.url()) });
    assert!(start.elapsed() < Duration::from_millis(2900), "the rest of the answer is not awaited");
    let completions: Vec<&Probe> =
        bundle.probes.values().filter_map(|round| round.get("completion")).collect();
    assert_eq!(completions.len(), 2);
    assert!(completions.iter().all(|it| it.status == Some(200) && it.ms.unwrap() >= 40.0));
    let posts = server.requests().iter().filter(|it| it.head.starts_with("POST ")).count();
    assert_eq!(posts, 2);
}

#[test]
fn a_target_that_is_no_url_is_a_status_without_its_password() {
    let bundle = run(&once("ftp://u:s3cret@h"));
    assert_eq!(source(&bundle, "metrics").status, SourceState::NotConfigured);
    assert!(!format!("{bundle:?}").contains("s3cret"));
}

#[test]
fn a_key_that_no_header_may_have_is_told_and_not_shown() {
    let mut live = once("127.0.0.1:1");
    live.http.api_key = Some("s3cret\r\nx: y".into());
    let bundle = run(&live);
    assert!(source(&bundle, "metrics").detail.contains("API key"));
    assert!(!format!("{bundle:?}").contains("s3cret"));
}

#[test]
fn looking_for_a_local_server_is_bounded_and_says_what_was_tried() {
    let start = Instant::now();
    let found = block_on(discover(Duration::from_millis(300))).unwrap();
    assert!(start.elapsed() < Duration::from_secs(5));
    for port in ["8000", "8080", "9090"] {
        assert!(found.tried.iter().any(|it| it.url.ends_with(port) && !it.outcome.is_empty()));
    }
}
