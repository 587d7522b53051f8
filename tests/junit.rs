//! JUnit's XML: valid by the schema that Jenkins' plugin reads it by, and red where the gate is
//! closed, only there.
#![allow(missing_docs, dead_code, clippy::unwrap_used, clippy::expect_used)]

#[path = "support/cli.rs"]
mod cli;
mod support;
#[path = "support/tools.rs"]
mod tools;

use std::fs;
use std::net::TcpListener;
use std::process::Command;

use cli::{Ran, incident, run};
use support::Server;
use tempfile::tempdir;
use tools::tool;

/// Asserts that it is valid, and gives what an expression of XPath finds in it.
struct Xml {
    dir: tempfile::TempDir,
}

impl Xml {
    #[track_caller]
    fn valid(ran: &Ran) -> Self {
        let dir = tempdir().unwrap();
        let file = dir.path().join("junit.xml");
        fs::write(&file, &ran.stdout).unwrap();
        let output = Command::new(tool("xmllint"))
            .args(["--nonet", "--noout", "--schema"])
            .args([&tool("junit-10.xsd"), &file])
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{said}\n{}", ran.said());
        Self { dir }
    }

    fn find(&self, xpath: &str) -> String {
        let output = Command::new(tool("xmllint"))
            .args(["--nonet", "--xpath", &format!("string({xpath})")])
            .arg(self.dir.path().join("junit.xml"))
            .output()
            .unwrap();
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    fn count(&self, xpath: &str) -> usize {
        self.find(&format!("count({xpath})")).parse().unwrap()
    }

    /// The counters say what is there.
    fn assert_adds_up(&self) {
        for (attribute, cases) in [
            ("tests", "//testcase"),
            ("failures", "//testcase[failure]"),
            ("errors", "//testcase[error]"),
        ] {
            let told: usize = self.find(&format!("/testsuites/@{attribute}")).parse().unwrap();
            assert_eq!(told, self.count(cases), "{attribute}");
        }
    }

    fn red(&self) -> usize {
        self.count("//failure | //error")
    }
}

fn judged(command: &str, recording: &str, more: &[&str]) -> Ran {
    let recording = incident(recording);
    run([command, "--replay", &recording, "--format", "junit"].iter().chain(more))
}

#[test]
fn every_shipped_recording_gives_a_valid_file_that_is_red_where_the_gate_is_closed() {
    for name in ["healthy", "kv-pressure", "bad-requests", "decode-slow"] {
        for command in ["sweep", "high-ttft"] {
            let ran = judged(command, name, &[]);
            let xml = Xml::valid(&ran);
            xml.assert_adds_up();
            assert_eq!(xml.red() > 0, ran.code != 0, "{command} on {name}: {}", ran.said());
        }
    }
}

#[test]
fn a_cause_is_a_failed_case_with_its_evidence_and_a_refuted_one_passes() {
    let ran = judged("sweep", "kv-pressure", &[]);
    let xml = Xml::valid(&ran);
    let failure = "//testcase[@name='kv-working-set-too-large']/failure";
    assert!(xml.find(&format!("{failure}/@message")).contains("likely:"), "{}", ran.said());
    assert!(xml.find(failure).contains("Do now:"), "{}", ran.said());
    assert!(xml.count("//testcase[not(failure or error or skipped)]") > 0);
    assert!(xml.count("//testcase/skipped") > 0, "what could not be looked at is skipped");
}

#[test]
fn too_little_seen_is_an_error_and_no_pass() {
    let ran = judged("sweep", "healthy", &["--min-coverage", "1"]);
    ran.assert_code(3);
    let xml = Xml::valid(&ran);
    assert_eq!(xml.count("//testcase[@name='gate']/error"), 1, "{}", ran.said());
}

#[test]
fn a_waived_finding_is_skipped_with_who_answers_for_it() {
    let recording = incident("kv-pressure");
    let report = run(["sweep", "--replay", &recording, "--format", "json"]).json();
    let causes = report["causes"].as_array().unwrap().iter();
    let supported: Vec<&str> = causes
        .filter(|cause| cause["status"] == "supported")
        .map(|cause| cause["id"].as_str().unwrap())
        .collect();
    let dir = tempdir().unwrap();
    let config = dir.path().join("diagnose.toml");
    let waiver = |id: &&str| {
        format!(
            "[[waive]]\nfinding = '{id}'\nowner = 'a <b>&\"c\"'\nreason = 'GPUs ]]> come'\n\
             expires = '2100-01-31'\n"
        )
    };
    fs::write(&config, supported.iter().map(waiver).collect::<String>()).unwrap();
    let ran = judged("sweep", "kv-pressure", &["--config", config.to_str().unwrap()]);
    ran.assert_code(0);
    let xml = Xml::valid(&ran);
    assert_eq!(xml.red(), 0, "{}", ran.said());
    let told = xml.find(&format!("//testcase[@name='{}']/skipped/@message", supported[0]));
    assert_eq!(told, "a <b>&\"c\" answers for it until 2100-01-31 (GPUs ]]> come)");
}

#[test]
fn a_fleet_is_a_suite_for_each_replica_and_hostile_names_stay_inside() {
    const HOSTILE: &str = "# TYPE vllm:num_requests_running gauge\n\
         vllm:num_requests_running{engine=\"0\",model_name=\"a\u{1}<!--]]>&\"} 3.0\n";
    let server = Server::vllm(|stream| support::respond(stream, "200 OK", HOSTILE.as_bytes()));
    let gone = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let dir = tempdir().unwrap();
    let list = dir.path().join("targets.yaml");
    let labels = "  labels: {zone: \"<z>&\\u0007\"}\n";
    fs::write(&list, format!("- targets: ['{}', '{gone}']\n{labels}", server.address)).unwrap();
    let path = list.to_str().unwrap();
    let ran = run(["sweep", "--targets", path, "--window", "1s", "--format", "junit"]);
    assert_ne!(ran.code, 0, "{}", ran.said());
    let xml = Xml::valid(&ran);
    xml.assert_adds_up();
    assert_eq!(xml.count("/testsuites/testsuite"), 3);
    let suite = format!("//testsuite[@name='{gone}']");
    assert!(xml.count(&format!("{suite}//error | {suite}//failure")) > 0, "{}", ran.said());
    assert!(xml.find("//property[@name='zone']/@value").contains("<z>&"), "{}", ran.said());
}
