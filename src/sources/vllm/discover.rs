//! Finding the server of this machine when no address is given.

use std::path::Path;
use std::time::Duration;

use futures_util::future::join_all;
use memchr::memmem;

use super::ACCEPT;
use crate::sources::http::{Client, Options};
use crate::sources::local::{self, LocalServer};

/// Ports where a vLLM server is usual: its default, that of SageMaker containers, and one more.
const USUAL_PORTS: [u16; 3] = [8000, 8080, 9090];

/// What came of looking for a server.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Discovery {
    /// The first address that answers with a page of vLLM.
    pub found: Option<String>,
    /// Every address tried, in order of preference.
    pub tried: Vec<Tried>,
}

/// An address tried.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tried {
    /// The address.
    pub url: String,
    /// The process that names it, where one does.
    pub pid: Option<u32>,
    /// What happened there, in a few words.
    pub outcome: String,
}

/// Looks for a local server: running processes first, then the usual ports. All are asked at once
/// and without any key, so this takes no longer than `timeout`.
pub async fn discover(timeout: Duration) -> Discovery {
    discover_among(candidates(local::servers(Path::new("/proc"))), timeout).await
}

fn candidates(servers: Vec<LocalServer>) -> Vec<(String, Option<u32>)> {
    let running = servers.into_iter().map(|server| (server.url, Some(server.pid)));
    let usual = USUAL_PORTS.iter().map(|port| (format!("http://127.0.0.1:{port}"), None));
    let mut all: Vec<(String, Option<u32>)> = Vec::new();
    for (url, pid) in running.chain(usual) {
        if !all.iter().any(|(known, _)| *known == url) {
            all.push((url, pid));
        }
    }
    all
}

async fn discover_among(candidates: Vec<(String, Option<u32>)>, timeout: Duration) -> Discovery {
    let options = Options { timeout, ..Options::default() };
    let asked = candidates.into_iter().map(async |(url, pid)| {
        let (is_vllm, outcome) = look(&url, pid.is_some(), &options).await;
        (is_vllm, Tried { url, pid, outcome })
    });
    let all = join_all(asked).await;
    let found = all.iter().find(|(is_vllm, _)| *is_vllm).map(|(_, tried)| tried.url.clone());
    Discovery { found, tried: all.into_iter().map(|(_, tried)| tried).collect() }
}

/// Whether a page of vLLM is there. Other services answer on these ports too, Prometheus on 9090,
/// so a page without vLLM's series counts only where a running vLLM names the address.
async fn look(url: &str, is_running: bool, options: &Options) -> (bool, String) {
    let client = match Client::new(url, options) {
        Ok(client) => client,
        Err(why) => return (false, why),
    };
    match client.get("/metrics", ACCEPT, usize::MAX).await {
        Ok(answer) if answer.status != 200 => {
            (false, format!("/metrics answered {}", answer.status))
        }
        Ok(answer) if memmem::find(&answer.body, b"vllm").is_some() => (true, "vLLM".into()),
        Ok(_) => (is_running, "/metrics has no vLLM series".into()),
        Err(failure) => (false, failure.kind.word().into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn running_servers_come_first_and_no_address_twice() {
        let server = |pid, port| LocalServer {
            pid,
            url: format!("http://127.0.0.1:{port}"),
            args: Vec::new(),
        };
        let all = candidates(vec![server(7, 8080), server(9, 9001), server(10, 9001)]);
        let ports: Vec<&str> = all.iter().map(|(url, _)| &url[url.len() - 4..]).collect();
        assert_eq!(ports, ["8080", "9001", "8000", "9090"]);
        assert_eq!((all[0].1, all[2].1), (Some(7), None));
    }
}
