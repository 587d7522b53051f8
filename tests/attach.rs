//! `--attach`: what trackers of tickets get, by their published interfaces, and what happens where
//! they do not take it.
#![allow(missing_docs, dead_code, clippy::unwrap_used, clippy::expect_used)]

#[path = "support/cli.rs"]
mod cli;
mod support;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::sync::atomic::{AtomicUsize, Ordering};

use cli::{Ran, diagnose, finish, incident};
use serde_json::Value;
use support::{Request, Server, respond, respond_with};
use tempfile::tempdir;

const TOKEN: &str = "s3cret-t0ken";

fn attach(places: &[&str], env: &[(&str, &str)], more: &[&str]) -> Ran {
    let mut command = diagnose();
    let recording = incident("prefix-broken");
    command.args(["high-ttft", "--fail-on", "warning", "--replay", &recording]);
    command.envs(env.iter().copied());
    for place in places {
        command.args(["--attach", place]);
    }
    let path = std::env::var_os("PATH").unwrap();
    finish(command.args(more).env("PATH", path))
}

fn jira(
    answer: impl Fn(&Request) -> (&'static str, &'static str) + Send + Sync + 'static,
) -> Server {
    Server::start("127.0.0.1:0", move |request, stream| {
        let (status, body) = answer(request);
        respond(stream, status, body.as_bytes());
    })
    .unwrap()
}

/// What Jira answers where it takes all.
fn taken(request: &Request) -> (&'static str, &'static str) {
    match request.path.as_str() {
        "/jira/rest/api/2/issue/OPS-7/comment" => ("201 Created", r#"{"id":"10000"}"#),
        "/jira/rest/api/2/issue/OPS-7/attachments" => ("200 OK", r#"[{"id":"10001"}]"#),
        _ => ("404 Not Found", "{}"),
    }
}

#[test]
fn jira_gets_a_comment_and_the_files() {
    let server = jira(taken);
    let url = format!("{}/jira/", server.url());
    let env = [("JIRA_URL", url.as_str()), ("JIRA_USER", "me@x.org"), ("JIRA_TOKEN", TOKEN)];
    let dir = tempdir().unwrap();
    let bundle = dir.path().join("kept.tar.zst");
    let ran = attach(&["jira:OPS-7"], &env, &["--bundle", bundle.to_str().unwrap()]);
    ran.assert_code(1);
    ran.assert_says("attached to jira:OPS-7");
    let requests = server.requests();
    assert_eq!(requests.len(), 2);
    // Basic of me@x.org:s3cret-t0ken
    let login = "authorization: Basic bWVAeC5vcmc6czNjcmV0LXQwa2Vu";
    assert!(requests.iter().all(|it| it.head.contains(login)), "{}", requests[0].head);
    let comment: Value = serde_json::from_slice(&requests[0].body).unwrap();
    let text = comment["body"].as_str().unwrap();
    assert!(text.starts_with("{noformat}") && text.ends_with("{noformat}"), "{text}");
    assert!(text.contains("DEGRADED") && text.chars().count() <= 32_767);
    assert!(requests[1].head.contains("x-atlassian-token: no-check"), "{}", requests[1].head);
    let kind = requests[1].head.lines().find(|it| it.starts_with("content-type:")).unwrap();
    let boundary = kind.split_once("boundary=").unwrap().1.to_owned();
    let parts = parts(&requests[1].body, &boundary);
    let names: Vec<&str> = parts.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["report.json", "report.md", "report.html", "kept.tar.zst"]);
    let report: Value = serde_json::from_slice(&parts[0].1).unwrap();
    assert_eq!(report["schema_version"], 1);
    assert_eq!(parts[3].1, fs::read(&bundle).unwrap());
}

/// Names and contents of a form's files.
fn parts(body: &[u8], boundary: &str) -> Vec<(String, Vec<u8>)> {
    let mark = format!("--{boundary}");
    let at: Vec<usize> =
        (0..body.len()).filter(|at| body[*at..].starts_with(mark.as_bytes())).collect();
    assert!(body.ends_with(format!("{mark}--\r\n").as_bytes()));
    let part = |pair: &[usize]| {
        let part = &body[pair[0] + mark.len() + 2..pair[1] - 2];
        let end = part.windows(4).position(|it| it == b"\r\n\r\n").unwrap();
        let head = String::from_utf8(part[..end].to_vec()).unwrap();
        assert!(head.contains("form-data; name=\"file\"; filename="), "{head}");
        let name = head.split("filename=\"").nth(1).unwrap().split('"').next().unwrap();
        (name.to_owned(), part[end + 4..].to_vec())
    };
    at.windows(2).map(part).collect()
}

#[test]
fn a_personal_token_is_sent_as_bearer_and_a_page_to_log_in_is_no_success() {
    let server = jira(|_| ("200 OK", "<html>log in"));
    let url = server.url();
    let env = [("JIRA_URL", url.as_str()), ("JIRA_TOKEN", TOKEN)];
    let ran = attach(&["jira:OPS-7"], &env, &[]);
    ran.assert_code(2);
    ran.assert_says("it is no API: give its base URL");
    assert!(server.requests()[0].head.contains(&format!("authorization: Bearer {TOKEN}")));
}

#[test]
fn github_gets_markdown_and_says_that_files_are_left_out() {
    let server = Server::start("127.0.0.1:0", |request, stream| match request.path.as_str() {
        "/api/v3/repos/acme/serving/issues/12/comments" => {
            respond(stream, "201 Created", br#"{"id":1}"#);
        }
        _ => respond(stream, "404 Not Found", br#"{"message":"Not Found"}"#),
    })
    .unwrap();
    let api = format!("{}/api/v3", server.url());
    let env = [("GITHUB_API_URL", api.as_str()), ("GITHUB_TOKEN", TOKEN)];
    let ran = attach(&["github:acme/serving#12"], &env, &[]);
    ran.assert_code(1);
    let request = &server.requests()[0];
    for header in [
        "authorization: Bearer s3cret-t0ken",
        "accept: application/vnd.github+json",
        "x-github-api-version: 2022-11-28",
        "user-agent: diagnose/",
    ] {
        assert!(request.head.contains(header), "{header}\n{}", request.head);
    }
    let body: Value = serde_json::from_slice(&request.body).unwrap();
    let text = body["body"].as_str().unwrap();
    assert!(text.starts_with("# DEGRADED") && text.chars().count() <= 65_536, "{text}");
    assert!(text.ends_with("GitHub takes no files by its API._"), "{text}");
    let wrong = attach(&["github:acme/other#12"], &env, &[]);
    wrong.assert_code(2);
    wrong.assert_says("there is no such issue, or the token may not see it");
}

#[test]
fn a_busy_tracker_is_asked_again_as_it_wants_and_not_for_ever() {
    let asked = AtomicUsize::new(0);
    let server = Server::start("127.0.0.1:0", move |_, stream| {
        match asked.fetch_add(1, Ordering::Relaxed) {
            0 => respond_with(stream, "429 Too Many Requests", "retry-after: 1\r\n", b"{}"),
            1 => respond_with(stream, "503 Service Unavailable", "retry-after: 0\r\n", b"{}"),
            _ => respond(stream, "201 Created", b"{}"),
        }
    })
    .unwrap();
    let url = server.url();
    let env = [("GITHUB_API_URL", url.as_str()), ("GITHUB_TOKEN", TOKEN)];
    let ran = attach(&["github:a/b#1"], &env, &[]);
    ran.assert_code(1);
    assert!(ran.took.as_secs_f64() >= 1.0, "{:?}", ran.took);
    assert_eq!(server.requests().len(), 3);
    let later = Server::start("127.0.0.1:0", |_, stream| {
        respond_with(stream, "429 Too Many Requests", "retry-after: 3600\r\n", b"slow down");
    })
    .unwrap();
    let url = later.url();
    let ran = attach(&["github:a/b#1"], &[("GITHUB_API_URL", &url), ("GITHUB_TOKEN", TOKEN)], &[]);
    ran.assert_code(2);
    ran.assert_says("to be asked again in 3600 s, which is too late");
    assert_eq!(later.requests().len(), 1);
    let never = Server::start("127.0.0.1:0", |_, stream| {
        respond_with(stream, "500 Internal Server Error", "retry-after: 0\r\n", b"oops");
    })
    .unwrap();
    let url = never.url();
    let ran = attach(&["github:a/b#1"], &[("GITHUB_API_URL", &url), ("GITHUB_TOKEN", TOKEN)], &[]);
    ran.assert_code(2);
    assert_eq!(never.requests().len(), 4);
}

#[test]
fn a_place_that_fails_loses_no_report_and_no_other_place_and_shows_no_secret() {
    let server = jira(|request| match request.head.contains("s3cret") {
        true => ("401 Unauthorized", "your token s3cret-t0ken is bad"),
        false => ("400 Bad Request", "{}"),
    });
    let url = server.url();
    let dir = tempdir().unwrap();
    let folder = dir.path().join("incident");
    let place = format!("file:{}", folder.display());
    let env = [("GITHUB_API_URL", url.as_str()), ("GITHUB_TOKEN", TOKEN)];
    let ran = attach(&["github:a/b#1", &place], &env, &["--format", "json"]);
    ran.assert_code(2);
    assert_eq!(ran.json()["verdict"], "degraded", "the report is on stdout all the same");
    ran.assert_says("failed to attach to github:a/b#1");
    ran.assert_says("the token is not taken");
    assert!(!ran.said().contains(TOKEN), "{}", ran.said());
    let mode = |path: &std::path::Path| path.metadata().unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&folder), 0o700);
    for name in ["report.json", "report.md"] {
        assert_eq!(mode(&folder.join(name)), 0o600, "{name}");
    }
    assert_eq!(fs::read_to_string(folder.join("report.json")).unwrap(), ran.stdout);
}

#[test]
fn a_command_reads_the_report_and_nothing_of_it_is_run() {
    let dir = tempdir().unwrap();
    let out = dir.path().join("out.json");
    let place = format!("command:cat > {} && echo heard", out.display());
    let ran = attach(&[&place], &[], &[]);
    ran.assert_code(1);
    assert!(!ran.stdout.contains("heard") && ran.stderr.contains("heard"), "{}", ran.said());
    let report: Value = serde_json::from_str(&fs::read_to_string(out).unwrap()).unwrap();
    assert_eq!(report["command"], "high-ttft");
    let ran = attach(&["command:exit 7"], &[], &[]);
    ran.assert_code(2);
    ran.assert_says("exit status: 7");
}

#[test]
fn a_dry_run_shows_what_would_be_sent_and_sends_nothing() {
    let server = jira(taken);
    let url = server.url();
    let env = [
        ("JIRA_URL", url.as_str()),
        ("JIRA_USER", "me"),
        ("JIRA_TOKEN", TOKEN),
        ("GITHUB_API_URL", url.as_str()),
        ("GITHUB_TOKEN", TOKEN),
    ];
    let dir = tempdir().unwrap();
    let folder = dir.path().join("x");
    let place = format!("file:{}", folder.display());
    let places = ["jira:OPS-7", "github:a/b#1", &place, "command:false"];
    let ran = attach(&places, &env, &["--attach-dry-run"]);
    ran.assert_code(1);
    for part in [
        "/rest/api/2/issue/OPS-7/comment",
        "/rest/api/2/issue/OPS-7/attachments",
        "/repos/a/b/issues/1/comments",
        "authorization: Basic (hidden)",
        "would run `false`",
        "would write into",
    ] {
        ran.assert_says(part);
    }
    assert!(!ran.said().contains(TOKEN) && server.requests().is_empty() && !folder.exists());
}

#[test]
fn what_is_missing_is_told_before_anything_is_looked_at() {
    for (place, name) in
        [("jira:OPS-7", "JIRA_URL is not set"), ("github:a/b#1", "GITHUB_TOKEN is not set")]
    {
        let ran = attach(&[place], &[], &[]);
        ran.assert_code(2);
        ran.assert_says(name);
        assert_eq!(ran.stdout, "");
    }
    let ran = attach(&["jira:../../x-1"], &[], &[]);
    ran.assert_code(2);
    ran.assert_says("is no key of an issue");
}
