//! Servers that run on this machine, as their command lines tell. Nothing is changed.

use std::fs::{self, File};
use std::io::Read;
use std::path::Path;

/// Most bytes of one command line.
const MAX_CMDLINE: u64 = 64 << 10;

/// A vLLM server among the running processes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LocalServer {
    /// Process id.
    pub pid: u32,
    /// Where it listens, as its flags say.
    pub url: String,
    /// Its command line.
    pub args: Vec<String>,
}

/// The vLLM servers among the processes under `proc` (`/proc`), by process id. Processes that may
/// not be read are passed over.
pub fn servers(proc: &Path) -> Vec<LocalServer> {
    let Ok(entries) = fs::read_dir(proc) else { return Vec::new() };
    let mut pids: Vec<u32> =
        entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect();
    pids.sort_unstable();
    let server = |pid: u32| {
        let args = command_line(&proc.join(pid.to_string()).join("cmdline"))?;
        Some(LocalServer { pid, url: listens_at(&args)?, args })
    };
    pids.into_iter().filter_map(server).collect()
}

pub(super) fn command_line(path: &Path) -> Option<Vec<String>> {
    let mut raw = Vec::new();
    File::open(path).ok()?.take(MAX_CMDLINE).read_to_end(&mut raw).ok()?;
    let text = String::from_utf8_lossy(&raw);
    Some(text.trim_end_matches('\0').split('\0').map(Into::into).collect())
}

/// Where a command line's server listens; `None` where it is no vLLM server on TCP.
pub fn listens_at(args: &[String]) -> Option<String> {
    if !is_server(args) || flag(args, "--uds").is_some() {
        return None;
    }
    let port: u16 = flag(args, "--port").map_or(Some(8000), |port| port.parse().ok())?;
    let host = match flag(args, "--host").unwrap_or("127.0.0.1") {
        "" | "0.0.0.0" | "::" | "[::]" => "127.0.0.1".to_owned(),
        host if host.contains(':') && !host.starts_with('[') => format!("[{host}]"),
        host => host.to_owned(),
    };
    let scheme = if flag(args, "--ssl-certfile").is_some() { "https" } else { "http" };
    Some(format!("{scheme}://{host}:{port}"))
}

pub(super) fn is_server(args: &[String]) -> bool {
    let serves = |pair: &[String]| {
        let program = pair[0].rsplit('/').next();
        program == Some("vllm") && pair[1] == "serve"
            || pair[0] == "-m" && pair[1].starts_with("vllm.entrypoints.")
    };
    args.windows(2).any(serves)
        || args.iter().take(3).any(|arg| arg.ends_with("vllm/entrypoints/openai/api_server.py"))
}

pub(super) fn flag<'a>(args: &'a [String], name: &str) -> Option<&'a str> {
    let mut rest = args.iter();
    while let Some(arg) = rest.next() {
        if arg == name {
            return rest.next().map(String::as_str);
        }
        if let Some(value) = arg.strip_prefix(name).and_then(|tail| tail.strip_prefix('=')) {
            return Some(value);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(line: &str) -> Option<String> {
        listens_at(&line.split(' ').map(Into::into).collect::<Vec<_>>())
    }

    #[test]
    fn servers_are_known_by_how_they_were_started() {
        let module = "python3 -m vllm.entrypoints.openai.api_server --model m --port=8100";
        assert_eq!(at(module).as_deref(), Some("http://127.0.0.1:8100"));
        let script = "/opt/py /usr/bin/vllm serve m --host 0.0.0.0";
        assert_eq!(at(script).as_deref(), Some("http://127.0.0.1:8000"));
        let v6 = "vllm serve m --host ::1 --ssl-certfile c";
        assert_eq!(at(v6).as_deref(), Some("https://[::1]:8000"));
    }

    #[test]
    fn other_processes_are_not_servers() {
        assert_eq!(at("vim vllm serve.md"), None);
        assert_eq!(at("vllm bench serve"), None);
        assert_eq!(at("vllm serve m --uds /run/vllm.sock"), None);
        assert_eq!(at("grep vllm.entrypoints.openai.api_server"), None);
    }

    #[test]
    fn processes_are_read_from_their_command_lines() {
        let dir = tempfile::tempdir().unwrap();
        for (pid, line) in [("12", "vllm\0serve\0m\0--port\09001\0"), ("7", "bash\0"), ("x", "")] {
            fs::create_dir(dir.path().join(pid)).unwrap();
            fs::write(dir.path().join(pid).join("cmdline"), line).unwrap();
        }
        fs::create_dir(dir.path().join("13")).unwrap();
        let found = servers(dir.path());
        assert_eq!((found.len(), found[0].pid, found[0].args.len()), (1, 12, 5));
    }
}
