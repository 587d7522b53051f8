use std::fs;

use super::*;

/// A tree of files as a machine has them.
fn tree(files: &[(&str, &str)]) -> tempfile::TempDir {
    let root = tempfile::tempdir().unwrap();
    for (path, text) in files {
        let path = root.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    root
}

const STAT: &str = " S 1 1 1 0 -1 0 0 0 0 0 0 0 0 0 20 0 7 0 500 0 0";

fn server(more: &[(&str, &str)]) -> tempfile::TempDir {
    let stat = format!("12 (vllm){STAT}");
    let child = format!("13 (VLLM::Engine) (x)){}", STAT.replacen("S 1 ", "S 12 ", 1));
    let mut files = vec![
        ("proc/stat", "cpu  1 2\ncpu0 1 2\ncpu1 1 2\nbtime 1000\n"),
        ("proc/loadavg", "3.50 1.0 0.5 1/2 3\n"),
        ("proc/meminfo", "MemTotal:  1000 kB\nMemAvailable:   250 kB\n"),
        ("proc/pressure/cpu", "some avg10=0.00 avg60=62.50 avg300=0.00 total=9000000\n"),
        ("proc/12/cmdline", "vllm\0serve\0/models/m\0--port\09001\0--api-key\0hunter2\0"),
        ("proc/12/stat", &stat),
        ("proc/12/status", "Name: vllm\nVmRSS:\t  2048 kB\n"),
        ("proc/12/limits", "Max open files            4            524288            files\n"),
        ("proc/12/fd/0", ""),
        ("proc/12/fd/1", ""),
        ("proc/12/environ", "VLLM_API_KEY=hunter2\0VLLM_USE_V1=1\0HOME=/root\0PATH=/bin\0"),
        ("proc/13/cmdline", ""),
        ("proc/13/stat", &child),
    ];
    files.extend(more);
    tree(&files)
}

#[test]
fn the_machine_and_the_family_of_the_server_are_read() {
    let root = server(&[]);
    let seen = read(root.path(), Some(9001), 7.0);
    assert_eq!((seen.cpus, seen.load_1m, seen.at), (Some(2), Some(3.5), 7.0));
    assert_eq!(seen.memory_available_bytes, Some(256_000));
    assert_eq!(seen.pressure["cpu"], Pressure { some_avg60: 62.5, some_total_us: 9_000_000 });
    let [server, engine] = &seen.processes[..] else { panic!("{:?}", seen.processes) };
    assert_eq!((server.pid, server.threads, server.started), (12, Some(7), Some(1005.0)));
    assert_eq!(server.resident_bytes, Some(2 << 20));
    assert_eq!((server.open_files, server.open_files_limit), (Some(2), Some(4)));
    assert_eq!((engine.pid, engine.parent, &*engine.name), (13, 12, "VLLM::Engine) (x)"));
}

#[test]
fn names_of_variables_are_kept_and_secrets_are_not() {
    let root = server(&[]);
    let seen = read(root.path(), Some(9001), 0.0);
    let env = &seen.processes[0].env;
    assert_eq!(env["VLLM_USE_V1"].as_deref(), Some("1"));
    assert_eq!(env["VLLM_API_KEY"], None);
    assert!(!env.contains_key("PATH"));
    assert!(!serde_json::to_string(&seen).unwrap().contains("hunter2"));
}

#[test]
fn another_port_is_the_only_server_or_none_of_several() {
    let root = server(&[]);
    assert_eq!(read(root.path(), Some(8000), 0.0).processes.len(), 2);
    let two = server(&[
        ("proc/20/cmdline", "vllm\0serve\0m\0--port\09002\0"),
        ("proc/20/stat", "20 (vllm) S 1"),
    ]);
    assert!(read(two.path(), Some(8000), 0.0).processes.is_empty());
}

#[test]
fn limits_of_version_2_are_found_above_the_group() {
    let root = server(&[
        ("proc/12/cgroup", "0::/pod/main\n"),
        ("sys/fs/cgroup/cgroup.controllers", "cpu memory"),
        ("sys/fs/cgroup/pod/cpu.max", "200000 100000\n"),
        ("sys/fs/cgroup/pod/cpu.stat", "usage_usec 5\nnr_periods 100\nnr_throttled 40\n"),
        ("sys/fs/cgroup/pod/main/cpu.max", "max 100000\n"),
        ("sys/fs/cgroup/pod/main/memory.max", "1000\n"),
        ("sys/fs/cgroup/pod/main/memory.current", "900\n"),
        ("sys/fs/cgroup/pod/main/memory.stat", "anon 1\ninactive_file 300\n"),
        ("sys/fs/cgroup/pod/main/memory.events", "oom 2\noom_kill 1\n"),
    ]);
    let group = read(root.path(), Some(9001), 0.0).cgroup.unwrap();
    assert_eq!((group.cpu_limit, group.cpu_throttled_periods), (Some(2.0), Some(40)));
    assert_eq!((group.memory_used_bytes, group.memory_limit_bytes), (Some(600), Some(1000)));
    assert_eq!(group.oom_kills, Some(1));
}

#[test]
fn limits_of_version_1_are_read() {
    let root = server(&[
        ("proc/12/cgroup", "4:memory:/d\n1:cpu,cpuacct:/d\n0::/\n"),
        ("sys/fs/cgroup/cpu,cpuacct/d/cpu.cfs_quota_us", "150000\n"),
        ("sys/fs/cgroup/cpu,cpuacct/d/cpu.cfs_period_us", "100000\n"),
        ("sys/fs/cgroup/cpu,cpuacct/d/cpu.stat", "nr_periods 10\nnr_throttled 3\n"),
        ("sys/fs/cgroup/memory/d/memory.limit_in_bytes", "9223372036854771712\n"),
    ]);
    let group = read(root.path(), Some(9001), 0.0).cgroup.unwrap();
    assert_eq!((group.cpu_limit, group.cpu_throttled_periods), (Some(1.5), Some(3)));
    assert_eq!(group.memory_limit_bytes, None);
}

#[test]
fn hostile_files_leave_gaps_and_no_numbers() {
    let long = "9".repeat(3 << 20);
    let root = server(&[
        ("proc/loadavg", "NaN"),
        ("proc/meminfo", &long),
        ("proc/pressure/cpu", "some avg60=-3 total=x"),
        ("proc/12/stat", "12 (vllm"),
        ("proc/12/cgroup", "0::/../../etc\n"),
        ("proc/12/limits", "\u{0}\u{1}"),
    ]);
    fs::remove_file(root.path().join("proc/stat")).unwrap();
    fs::create_dir(root.path().join("proc/stat")).unwrap();
    let seen = read(root.path(), Some(9001), 0.0);
    assert_eq!((seen.cpus, seen.load_1m, seen.memory_total_bytes), (None, None, None));
    assert!(seen.pressure.is_empty());
    assert_eq!(read(Path::new("/no/such/root"), None, 0.0), HostRound::default());
}
