//! Settings: profiles, the environment, what is in force, and whether every source answers.
#![allow(missing_docs, clippy::unwrap_used)]

#[allow(dead_code)]
#[path = "support/cli.rs"]
mod cli;
#[allow(dead_code)]
#[path = "support/mod.rs"]
mod support;

use std::{fs, path::Path, process::Command, time::Duration};

use cli::{Ran, diagnose, finish};
use support::{Server, page, respond};

const FILE: &str = "\
timeout = '1s'
format = 'json'
[aws]
region = 'eu-west-1'
namespace = 'Top'
[prometheus]
headers = { X-Scope-OrgID = 'tenant-s3cret' }
[profile.prod]
timeout = '2s'
url = 'http://prod:8000'
[profile.prod.aws]
region = 'us-east-1'
sagemaker = 'chat'
[profile.staging]
timeout = '3s'
";

/// The program in a folder with these settings.
fn with(folder: &Path, settings: &str, line: &str) -> Command {
    fs::write(folder.join("diagnose.toml"), settings).unwrap();
    let mut command = diagnose();
    command.current_dir(folder).args(line.split_whitespace());
    command
}

/// What is in force, by key.
fn in_force(command: &mut Command) -> impl Fn(&str) -> String + use<> {
    let ran = finish(command);
    ran.assert_code(0);
    move |key| {
        let row = ran.stdout.lines().find(|row| row.split_whitespace().next() == Some(key));
        let row = row.unwrap_or_else(|| panic!("no `{key}` in\n{}", ran.stdout));
        row[key.len()..].trim().to_owned()
    }
}

#[test]
fn flag_wins_over_variable_over_profile_over_file() {
    let folder = tempfile::tempdir().unwrap();
    let run = |line: &str| with(folder.path(), FILE, &format!("config check --offline {line}"));
    let file = in_force(&mut run(""));
    assert_eq!(file("timeout"), "1s (file)");
    assert_eq!(file("window"), "15s (default)");
    assert_eq!(file("format"), "json (file)");
    let prod = in_force(&mut run("--profile prod"));
    assert_eq!(prod("timeout"), "2s (profile prod)");
    assert_eq!(prod("url"), "http://prod:8000 (profile prod)");
    assert_eq!(prod("aws.region"), "us-east-1 (profile prod)");
    assert_eq!(prod("aws.namespace"), "Top (file)", "tables merge key by key");
    let chosen = in_force(run("").env("DIAGNOSE_PROFILE", "staging"));
    assert_eq!(chosen("timeout"), "3s (profile staging)");
    let flag = in_force(run("--profile prod").env("DIAGNOSE_PROFILE", "staging"));
    assert_eq!(flag("timeout"), "2s (profile prod)");
    let variables = [("DIAGNOSE_TIMEOUT", "4s"), ("DIAGNOSE_AWS_REGION", "ap-south-1")];
    let named = in_force(run("--profile prod").envs(variables));
    assert_eq!(named("timeout"), "4s (DIAGNOSE_TIMEOUT)");
    assert_eq!(named("aws.region"), "ap-south-1 (DIAGNOSE_AWS_REGION)");
    let typed = in_force(run("--profile prod --timeout 5s").envs(variables));
    assert_eq!(typed("timeout"), "5s (flag)");
    let table = in_force(run("").env("DIAGNOSE_PROMETHEUS", "http://u:pw@prom:9090"));
    assert_eq!(table("prometheus.url"), "http://***@prom:9090 (DIAGNOSE_PROMETHEUS)");
    assert!(!table("prometheus.headers.X-Scope-OrgID").contains("s3cret"));
}

#[test]
fn a_setting_that_is_none_is_refused_with_the_one_meant() {
    let folder = tempfile::tempdir().unwrap();
    let fails = |profile: &str, name: &str, value: &str, parts: &[&str]| {
        let line = format!("sweep {profile}");
        let ran: Ran = finish(with(folder.path(), FILE, &line).env(name, value));
        ran.assert_code(2);
        parts.iter().for_each(|part| ran.assert_says(part));
    };
    let tools = ("DIAGNOSE_TEST_TOOLS", "/x");
    fails("--profile prd", tools.0, tools.1, &["`prd`", "prod, staging", "did you mean `prod`?"]);
    fails("", "DIAGNOSE_PROFILE", "qa", &["DIAGNOSE_PROFILE", "`qa`", "prod, staging"]);
    fails("", "DIAGNOSE_TIMOUT", "1s", &["DIAGNOSE_TIMOUT", "did you mean `DIAGNOSE_TIMEOUT`?"]);
    fails("", "DIAGNOSE_TIMEOUT", "1", &["DIAGNOSE_TIMEOUT", "write it with a unit"]);
    fails("", "DIAGNOSE_INSECURE", "maybe", &["DIAGNOSE_INSECURE", "neither true nor false"]);
    fails("", "DIAGNOSE_MIN_COVERAGE", "7", &["DIAGNOSE_MIN_COVERAGE", "between 0 and 1"]);
    fails("", "DIAGNOSE_SKIP", "log", &["DIAGNOSE_SKIP", "`skip`", "several values"]);
    let mistake = FILE.replace("timeout = '3s'", "timout = '3s'");
    let ran = finish(&mut with(folder.path(), &mistake, "sweep"));
    ran.assert_code(2);
    ["line 15", "timout"].iter().for_each(|part| ran.assert_says(part));
    let nested = "[profile.a.profile.b]\nurl = 'x'\n";
    finish(&mut with(folder.path(), nested, "sweep")).assert_code(2);
    let bare = finish(diagnose().current_dir("/").args(["sweep", "--profile", "prod"]));
    bare.assert_code(2);
    bare.assert_says("no settings file");
}

/// `config check` against a server, beside a log.
fn check(server: &Server, log: &Path) -> Ran {
    let url = server.url();
    let log = log.display().to_string();
    let ran = finish(diagnose().args(["config", "check", "--url", &url, "--log", &log]));
    ran.assert_calm(Duration::from_secs(30));
    assert!(ran.stdout.lines().all(|line| line.chars().count() <= 80), "{}", ran.stdout);
    ran
}

#[test]
fn every_source_is_asked_once_and_one_that_is_silent_is_exit_3() {
    let log = tempfile::NamedTempFile::new().unwrap();
    fs::write(log.path(), "INFO 11-21 23:58:37 [loggers.py:271] Engine 000: Running: 0 reqs\n")
        .unwrap();
    let well = Server::vllm(|stream| page("/metrics", stream));
    let ran = check(&well, log.path());
    ran.assert_code(0);
    ran.assert_says("1 page of /metrics");
    ran.assert_says("answered.");
    let asked = well.requests().iter().filter(|it| it.path == "/metrics").count();
    assert_eq!(asked, 1, "the server is asked once");

    let locked = Server::vllm(|stream| respond(stream, "401 Unauthorized", b"no"));
    let ran = check(&locked, Path::new("/no/such/log"));
    ran.assert_code(3);
    ran.assert_says("unauthorized");
    let last = ran.stdout.lines().last().unwrap_or_default();
    assert!(last.contains("did not answer: log, metrics"), "{last}");

    let before = well.requests().len();
    let offline = finish(diagnose().args(["config", "check", "--offline", "--url", &well.url()]));
    offline.assert_code(0);
    assert_eq!(well.requests().len(), before, "--offline asks nobody");
}

#[test]
fn the_schema_of_the_settings_accepts_the_example() {
    let ran = cli::run(["schema", "config"]);
    let schema = jsonschema::validator_for(&ran.json()).unwrap();
    let validate = |text: &str| {
        let table: toml::Table = text.parse().unwrap();
        schema.is_valid(&serde_json::to_value(table).unwrap())
    };
    assert!(validate(FILE));
    assert!(!validate("timout = '3s'"));
    assert!(!validate("[profile.a]\ntimout = '3s'"), "profiles are described too");
}
