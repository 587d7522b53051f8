//! Limits and counters of the server's cgroup, version 1 or 2.

use std::path::{Path, PathBuf};

use super::{field, text};
use crate::evidence::host::Cgroup;

/// Memory limits from here on are version 1's way to say that there is none.
const NO_LIMIT: u64 = 1 << 60;

/// The cgroup of a process. A limit may stand at any group above it, so the nearest group that has
/// one tells.
pub(super) fn of(root: &Path, pid: u32) -> Option<Cgroup> {
    let listed = text(&root.join("proc").join(pid.to_string()).join("cgroup"))?;
    let mount = root.join("sys/fs/cgroup");
    let unified = path_of(&listed, "").filter(|_| mount.join("cgroup.controllers").exists());
    match unified {
        Some(path) => Some(version_2(&mount, &path)),
        None => version_1(&mount, &listed),
    }
}

/// The path of a controller in lines such as `4:memory:/a/b`; version 2 has no controller's name.
fn path_of(listed: &str, controller: &str) -> Option<String> {
    listed.lines().find_map(|line| {
        let (_, rest) = line.split_once(':')?;
        let (names, path) = rest.split_once(':')?;
        let sound = !path.split('/').any(|part| part == "..");
        let path = if sound { path } else { "/" };
        names.split(',').any(|name| name == controller).then(|| path.to_owned())
    })
}

/// The group and those above it, up to the mount.
fn upwards(mount: &Path, path: &str) -> Vec<PathBuf> {
    let group = mount.join(path.trim_start_matches('/'));
    group.ancestors().take_while(|folder| folder.starts_with(mount)).map(Into::into).collect()
}

fn version_2(mount: &Path, path: &str) -> Cgroup {
    let groups = upwards(mount, path);
    let limited =
        groups.iter().find_map(|group| Some((group, quota(&text(&group.join("cpu.max"))?)?)));
    let stat = limited.as_ref().and_then(|(group, _)| text(&group.join("cpu.stat")));
    let memory = groups.iter().find_map(|group| {
        Some((group, number(&group.join("memory.max")).filter(|limit| *limit < NO_LIMIT)?))
    });
    let used =
        memory.as_ref().and_then(|(group, _)| used(group, "memory.current", "inactive_file "));
    let events = groups.first().and_then(|group| text(&group.join("memory.events")));
    Cgroup {
        path: path.to_owned(),
        cpu_limit: limited.map(|(_, limit)| limit),
        cpu_periods: stat.as_deref().and_then(|stat| field(stat, "nr_periods ")),
        cpu_throttled_periods: stat.as_deref().and_then(|stat| field(stat, "nr_throttled ")),
        memory_used_bytes: used,
        memory_limit_bytes: memory.map(|(_, limit)| limit),
        oom_kills: events.and_then(|events| field(&events, "oom_kill ")),
    }
}

fn version_1(mount: &Path, listed: &str) -> Option<Cgroup> {
    let cpu = path_of(listed, "cpu");
    let memory = path_of(listed, "memory");
    let path = cpu.clone().or(memory.clone())?;
    let cpu = cpu.iter().flat_map(|path| {
        ["cpu", "cpu,cpuacct"].iter().flat_map(|name| upwards(&mount.join(name), path))
    });
    let limited = cpu.into_iter().find_map(|group| {
        let quota = number(&group.join("cpu.cfs_quota_us"))?;
        let period = number(&group.join("cpu.cfs_period_us")).filter(|period| *period > 0)?;
        Some((group, quota as f64 / period as f64))
    });
    let stat = limited.as_ref().and_then(|(group, _)| text(&group.join("cpu.stat")));
    let groups: Vec<PathBuf> =
        memory.iter().flat_map(|path| upwards(&mount.join("memory"), path)).collect();
    let memory = groups.iter().find_map(|group| {
        let limit = number(&group.join("memory.limit_in_bytes"))?;
        (limit < NO_LIMIT).then_some((group, limit))
    });
    let used = memory
        .as_ref()
        .and_then(|(group, _)| used(group, "memory.usage_in_bytes", "total_inactive_file "));
    let events = groups.first().and_then(|group| text(&group.join("memory.oom_control")));
    Some(Cgroup {
        path,
        cpu_limit: limited.map(|(_, limit)| limit),
        cpu_periods: stat.as_deref().and_then(|stat| field(stat, "nr_periods ")),
        cpu_throttled_periods: stat.as_deref().and_then(|stat| field(stat, "nr_throttled ")),
        memory_used_bytes: used,
        memory_limit_bytes: memory.map(|(_, limit)| limit),
        oom_kills: events.and_then(|events| field(&events, "oom_kill ")),
    })
}

/// CPUs of `200000 100000`; none for `max 100000`.
fn quota(text: &str) -> Option<f64> {
    let (quota, period) = text.trim().split_once(' ')?;
    let (quota, period): (f64, f64) = (quota.parse().ok()?, period.parse().ok()?);
    (quota > 0.0 && period > 0.0).then(|| quota / period)
}

fn number(path: &Path) -> Option<u64> {
    text(path)?.trim().parse().ok()
}

/// Memory in use less the part of the page cache that can be dropped at once.
fn used(group: &Path, current: &str, droppable: &str) -> Option<u64> {
    let stat = text(&group.join("memory.stat"));
    let cache = stat.and_then(|stat| field(&stat, droppable)).unwrap_or(0);
    Some(number(&group.join(current))?.saturating_sub(cache))
}
