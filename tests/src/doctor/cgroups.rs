//! Cgroups: which version, and which controllers hold a process to a limit.

use std::fs;
use std::path::PathBuf;

use step6::cgroup::Cgroup;
use step6::limits::Limits;

use super::{Finding, Verdict};

#[derive(Debug, PartialEq)]
enum Version {
    /// Where it is mounted.
    V2(PathBuf),
    Hybrid,
    V1,
    None,
}

/// The version, and the controllers by setting a limit of each.
pub fn findings() -> [Finding; 2] {
    let boot = "boot with systemd.unified_cgroup_hierarchy=1 on the kernel's command line; or use the VM: ./just vm";
    let (detail, cure) = match version(&fs::read_to_string("/proc/self/mounts").unwrap_or_default())
    {
        Version::V2(root) => {
            let detail = format!("version 2, mounted on {}", root.display());
            return [Finding::new(Verdict::Yes, "cgroups", detail), controllers()];
        }
        Version::Hybrid => ("hybrid: the controllers are in version 1's hierarchies", boot),
        Version::V1 => ("version 1", boot),
        Version::None => {
            ("not mounted", "sudo mount -t cgroup2 none /sys/fs/cgroup; or use the VM: ./just vm")
        }
    };
    [
        Finding::new(Verdict::No, "cgroups", detail).cure(cure),
        Finding::new(Verdict::NotTried, "controllers", "they need version 2"),
    ]
}

/// Reads it off a mount table (/proc/self/mounts).
fn version(mounts: &str) -> Version {
    let mut v2 = None;
    let mut v1 = false;
    for line in mounts.lines() {
        let mut fields = line.split(' ').skip(1);
        match (fields.next(), fields.next()) {
            (Some(target), Some("cgroup2")) => v2 = v2.or(Some(PathBuf::from(target))),
            (_, Some("cgroup")) => v1 = true,
            _ => {}
        }
    }
    match v2 {
        Some(root) if !v1 => Version::V2(root),
        Some(_) => Version::Hybrid,
        None if v1 => Version::V1,
        None => Version::None,
    }
}

/// Gives each limit as step 6 does, to nobody.
fn controllers() -> Finding {
    let limits = [
        ("memory", Limits { memory: Some(64 << 20), ..Limits::default() }),
        ("cpu", Limits { cpus: Some(0.5), ..Limits::default() }),
        ("pids", Limits { pids: Some(64), ..Limits::default() }),
    ];
    let mut worked = Vec::new();
    let mut failed = None;
    for (controller, limits) in limits {
        match Cgroup::make(&limits) {
            Ok(_) => worked.push(controller),
            Err(error) => failed = Some((controller, error)),
        }
    }
    let worked = if worked.is_empty() { "none".into() } else { worked.join(", ") };
    match failed {
        None => Finding::new(Verdict::Yes, "controllers", format!("limits hold: {worked}")),
        Some((controller, error)) => {
            let detail = format!("limits hold: {worked}; not {controller}: {error}");
            Finding::new(Verdict::No, "controllers", detail).cure("use the VM: ./just vm")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Version, version};

    #[test]
    fn versions() {
        let v2 = "cgroup2 /sys/fs/cgroup cgroup2 rw,nosuid 0 0\n";
        let v1 = "tmpfs /sys/fs/cgroup tmpfs ro 0 0\ncgroup /sys/fs/cgroup/memory cgroup rw,memory 0 0\n";
        let unified = "cgroup2 /sys/fs/cgroup/unified cgroup2 rw 0 0\n";
        assert_eq!(version(v2), Version::V2("/sys/fs/cgroup".into()));
        assert_eq!(version(v1), Version::V1);
        assert_eq!(version(&format!("{v1}{unified}")), Version::Hybrid);
        assert_eq!(version("proc /proc proc rw 0 0\n"), Version::None);
    }
}
