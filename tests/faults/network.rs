//! Servers that fail.

use std::{fs, path::Path};

use super::{
    Cell, MATRIX, Sources, assert_table, calm,
    cli::{Ran, run},
    judged,
    servers::{World, now},
    sources,
};
use crate::support::respond;

/// Files that are fine, beside the servers.
struct Beside {
    folder: tempfile::TempDir,
}

impl Beside {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let stamp = |seconds: f64| {
            jiff::Timestamp::from_second((now() - seconds) as i64).unwrap().to_string()
        };
        let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
        write("server.log", &format!("{} INFO: a line\n", stamp(5.0)));
        write("kernel.log", &format!("{} host kernel: a line\n", stamp(5.0)));
        write("gateway.jsonl", &format!("{{\"t\":{},\"status\":200}}\n", now() - 5.0));
        write("kube.json", r#"{"items":[{"kind":"Pod","metadata":{"name":"p"}}]}"#);
        Self { folder }
    }

    fn args(&self) -> Vec<String> {
        let flags = [
            ("--log", "server.log"),
            ("--kernel-log", "kernel.log"),
            ("--gateway", "gateway.jsonl"),
            ("--kube", "kube.json"),
        ];
        let path = |name: &str| Path::new(self.folder.path()).join(name).display().to_string();
        flags.iter().flat_map(|(flag, name)| [(*flag).to_owned(), path(name)]).collect()
    }
}

pub(super) const USUAL: [&str; 4] = ["--format", "json", "--window", "1s"];

/// The deadline of one request, which is long where nothing should come to it, and a largest body
/// that is soon unpacked.
pub(super) fn deadline(fault: &str) -> [String; 4] {
    let waits = MATRIX.network.fault(fault).is_some_and(|it| it.waits);
    let timeout = if waits { MATRIX.network.deadline } else { LONG };
    ["--max-body", "8MiB", "--timeout", &format!("{timeout}s")].map(str::to_owned)
}

/// A deadline that nothing comes to but what never ends, seconds.
const LONG: f64 = 20.0;

/// A sweep over the live server with all that tells of it.
fn everything(world: &World, beside: &Beside, fault: &str) -> Ran {
    let servers =
        ["--url", &world.vllm, "--prometheus", &world.prometheus, "--mlflow", &world.mlflow];
    let servers = servers.iter().map(|it| (*it).to_owned()).chain(beside.args());
    let more = ["--history", "10m", "--skip", "nvml,host"];
    let usual = USUAL.iter().copied().chain(more).map(str::to_owned).chain(deadline(fault));
    run(["sweep".to_owned()].into_iter().chain(servers).chain(usual))
}

/// A sweep over the live server alone, or over Prometheus alone: what is needed then is missed.
fn alone(flag: &str, url: &str, fault: &str) -> Ran {
    let usual = if flag == "--url" { &USUAL[..] } else { &USUAL[..2] };
    let words = ["sweep", flag, url].into_iter().chain(usual.iter().copied());
    run(words.map(str::to_owned).chain(deadline(fault)))
}

fn fine(ran: &Ran) -> Sources {
    ran.json();
    sources(&ran.json())
}

#[test]
fn servers_that_fail() {
    let beside = Beside::new();
    let world = World::start(("", ""));
    let all = everything(&world, &beside, "");
    let fine = fine(&all);
    for id in ["metrics", "probes", "prometheus", "mlflow", "log", "kernel", "gateway", "kube"] {
        assert_eq!(fine[id].0, "ok", "{id}: {:?}", fine[id]);
    }
    for (flag, url) in [("--url", &world.vllm), ("--prometheus", &world.prometheus)] {
        let ran = alone(flag, url, "");
        assert_eq!(
            (ran.json()["verdict"].as_str(), ran.code),
            (Some("healthy"), 0),
            "{}",
            ran.said()
        );
    }
    assert_table(&MATRIX.network, |source, fault| {
        let world = World::start((source, &fault.id));
        let ran = everything(&world, &beside, &fault.id);
        // What is refused is the address, which all paths share.
        let vllm = ["metrics", "probes"];
        let shared = fault.id == "refused" && vllm.contains(&source);
        let own = [source];
        let concerns: &[&str] = if shared { &vllm } else { &own };
        let needed = vllm.contains(&source);
        let cell = Cell { source, id: source, fault, concerns, needed };
        calm(&ran, &MATRIX.network, &cell)?;
        judged(&ran, &fine, &cell)?;
        let (flag, url) = match source {
            "prometheus" => ("--prometheus", &world.prometheus),
            "mlflow" => ("--mlflow", &world.mlflow),
            _ => return Ok(()),
        };
        let ran = alone(flag, url, &fault.id);
        calm(&ran, &MATRIX.network, &cell)?;
        judged(&ran, &Sources::new(), &Cell { needed: true, ..cell })
    });
}

#[test]
fn a_throttled_server_is_asked_no_more_and_nobody_waits_for_it() {
    let server = crate::support::Server::start("127.0.0.1:0", |_, stream| {
        respond(stream, "429 Too Many Requests", b"slow down");
    });
    let server = server.unwrap();
    let ran = alone("--mlflow", &server.url(), "");
    assert_eq!(ran.code, 3, "{}", ran.said());
    assert!(server.requests().len() <= 2, "{} requests", server.requests().len());
}
