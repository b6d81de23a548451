//! With which flags, modes and sizes the container's own mounts are mounted.

use crate::checks::engine::Engine;
use crate::checks::failure::{Verdict, require};

/// What must stand among the options of each, as the kernel tells them (proc_pid_mounts(5)), and what must not.
const OPTIONS: [(&str, &str, &[&str], &[&str]); 4] = [
    ("/proc", "proc", &["rw", "nosuid", "nodev", "noexec"], &[]),
    ("/dev", "tmpfs", &["rw", "nosuid", "nodev", "noexec", "mode=755", "size=64k"], &[]),
    ("/dev/pts", "devpts", &["rw", "nosuid", "noexec", "mode=620", "ptmxmode=666"], &["nodev"]),
    ("/dev/shm", "tmpfs", &["rw", "nosuid", "nodev", "noexec", "size=65536k"], &[]),
];

pub fn are_strict(engine: &Engine) -> Verdict {
    let outcome = engine.run(["/bin/cat", "/proc/mounts"])?;
    outcome.ends_with(0)?;
    let mounts: Vec<Vec<&str>> =
        outcome.stdout.lines().map(|line| line.split(' ').collect()).collect();
    for (place, kind, wanted, unwanted) in OPTIONS {
        let is_it =
            |mount: &&Vec<&str>| mount.get(1) == Some(&place) && mount.get(2) == Some(&kind);
        let line = mounts.iter().find(is_it).map(|mount| mount.join(" ")).unwrap_or_default();
        let options: Vec<&str> = line.split(' ').nth(3).unwrap_or_default().split(',').collect();
        for option in wanted {
            let expected = format!("{kind} on {place} with {option}");
            require(options.contains(option), &outcome.tried, expected, format!("{line:?}"))?;
        }
        for option in unwanted {
            let expected = format!("{kind} on {place} without {option}");
            require(!options.contains(option), &outcome.tried, expected, format!("{line:?}"))?;
        }
    }
    Ok(())
}
