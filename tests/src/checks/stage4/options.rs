//! With which flags, modes and sizes the container's own mounts are mounted.

use crate::checks::engine::{Engine, Outcome};
use crate::checks::failure::{Verdict, require};

/// What must stand among the options of a mount, as the kernel tells them (proc_pid_mounts(5)), and what must not.
type Options<'a> = (&'a str, &'a str, &'a [&'a str], &'a [&'a str]);

/// Those of each container.
pub const OF_ALL: [Options; 4] = [
    ("/proc", "proc", &["rw", "nosuid", "nodev", "noexec"], &[]),
    ("/dev", "tmpfs", &["rw", "nosuid", "nodev", "noexec", "mode=755", "size=64k"], &[]),
    ("/dev/pts", "devpts", &["rw", "nosuid", "noexec", "mode=620", "ptmxmode=666"], &["nodev"]),
    ("/dev/shm", "tmpfs", &["rw", "nosuid", "nodev", "noexec", "size=65536k"], &[]),
];

/// Requires them of a container that is started with `args`.
pub fn are_strict(engine: &Engine, args: &[&str], all: &[Options]) -> Verdict {
    let outcome = engine.run([args, &["/bin/cat", "/proc/mounts"]].concat())?;
    outcome.ends_with(0)?;
    let mounts: Vec<Vec<&str>> =
        outcome.stdout.lines().map(|line| line.split(' ').collect()).collect();
    for (place, kind, wanted, unwanted) in all {
        let is_it = |mount: &&Vec<&str>| mount.get(1) == Some(place) && mount.get(2) == Some(kind);
        let line = mounts.iter().find(is_it).map(|mount| mount.join(" ")).unwrap_or_default();
        let options: Vec<&str> = line.split(' ').nth(3).unwrap_or_default().split(',').collect();
        for option in *wanted {
            let expected = format!("{kind} on {place} with {option}");
            require(options.contains(option), &outcome.tried, expected, format!("{line:?}"))?;
        }
        for option in *unwanted {
            let expected = format!("{kind} on {place} without {option}");
            require(!options.contains(option), &outcome.tried, expected, format!("{line:?}"))?;
        }
    }
    Ok(())
}

/// Where nothing can be made in the root filesystem, as where it is somebody else's.
pub fn no_place_for_proc(engine: &Engine) -> Verdict {
    let mut strace =
        engine.strace(["-qq", "-o", "/dev/null", "--inject=mkdir,mkdirat:error=EACCES"]);
    strace.args(engine.line(["/bin/echo", "started"]));
    let outcome = Outcome::of(strace, b"")?;
    let cure = ["rootfs/proc", "Permission denied", "./just rootfs"];
    outcome.ends_with(125)?.prints("")?.complains_of(&cure)
}
