//! Whose process holds GPU memory: a vLLM server's, or a stranger's.

use std::fs;
use std::path::Path;

use crate::sources::local;

/// Generations looked back: a worker is a child or grandchild of the server.
const MAX_PARENTS: usize = 8;

/// A process's name, and whether it belongs to a vLLM server. `driver_name` is how the driver
/// calls it, which counts where the process lives in a namespace that cannot be seen from here.
pub(super) fn identify(proc: &Path, pid: u32, driver_name: Option<&str>) -> (Option<String>, bool) {
    let own = local::command_line(&proc.join(pid.to_string()).join("cmdline"));
    let name = own.as_ref().and_then(|args| args.first()).map(String::as_str).or(driver_name);
    let name = name.map(program).filter(|name| !name.is_empty());
    let named = [name.as_deref(), driver_name].into_iter().flatten().any(is_vllm);
    (name, named || descends_from_server(proc, pid))
}

/// vLLM names its processes `VLLM::EngineCore`, `VLLM::Worker_TP0` and the like.
fn is_vllm(name: &str) -> bool {
    name.to_ascii_lowercase().contains("vllm")
}

/// The program without its folder and arguments: those may hold secrets.
fn program(argument: &str) -> String {
    let first = argument.split_whitespace().next().unwrap_or_default();
    first.rsplit('/').next().unwrap_or_default().into()
}

fn descends_from_server(proc: &Path, pid: u32) -> bool {
    let mut next = Some(pid);
    for _ in 0..MAX_PARENTS {
        let Some(pid) = next.filter(|pid| *pid > 1) else { return false };
        let folder = proc.join(pid.to_string());
        if local::command_line(&folder.join("cmdline")).is_some_and(|args| local::is_server(&args))
        {
            return true;
        }
        next = parent(&folder.join("stat"));
    }
    false
}

/// The parent stands second behind the name, which ends at the last parenthesis.
fn parent(stat: &Path) -> Option<u32> {
    let text = fs::read_to_string(stat).ok()?;
    text.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn process(root: &Path, pid: u32, parent: u32, line: &str) {
        let folder = root.join(pid.to_string());
        fs::create_dir(&folder).unwrap();
        fs::write(folder.join("cmdline"), line.replace(' ', "\0")).unwrap();
        fs::write(folder.join("stat"), format!("{pid} (a ) b) S {parent} 1 1")).unwrap();
    }

    #[test]
    fn a_worker_belongs_to_the_server_that_started_it() {
        let root = tempfile::tempdir().unwrap();
        process(root.path(), 10, 1, "/usr/bin/python3 /opt/bin/vllm serve m --api-key sk-1");
        process(root.path(), 11, 10, "python3 -c spawn_main");
        process(root.path(), 12, 1, "/opt/jupyter/python3 train.py");
        let who = |pid, name| identify(root.path(), pid, name);
        assert_eq!(who(11, None), (Some("python3".into()), true));
        assert_eq!(who(12, None), (Some("python3".into()), false));
        assert_eq!(who(99, Some("VLLM::Worker_TP1")), (Some("VLLM::Worker_TP1".into()), true));
        assert_eq!(who(98, Some("/usr/bin/ollama serve")), (Some("ollama".into()), false));
        assert_eq!(who(97, None), (None, false));
    }
}
