//! The mount that the root filesystem becomes: it is like the one that it lies on, and nobody's peer.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use nix::mount::{MsFlags, mount, umount};

use super::with_small_rootfs;
use crate::checks::engine::{Engine, Outcome};
use crate::checks::failure::{Failure, Verdict, equal, require};
use crate::checks::fixture::ROOTFS;

const NOTHING: Option<&str> = None;

/// Runs the engine with the root filesystem where its mount forbids something.
fn on_mount_with(flags: MsFlags, engine: &Engine, command: &[&str]) -> Result<Outcome, Failure> {
    let place = Path::new("/tmp/protected");
    fs::create_dir(place)?;
    mount(Some(ROOTFS), place, NOTHING, MsFlags::MS_BIND, NOTHING)?;
    let flags = MsFlags::MS_BIND | MsFlags::MS_REMOUNT | flags;
    mount(NOTHING, place, NOTHING, flags, NOTHING)?;
    let outcome = engine.run([&["--rootfs", "/tmp/protected"], command].concat());
    umount(place)?;
    fs::remove_dir(place)?;
    outcome
}

pub fn keeps_flags(engine: &Engine) -> Verdict {
    let script = "grep -o ' / .* ro,nosuid,nodev,' /proc/mounts; echo > /fixture/new";
    let flags = MsFlags::MS_RDONLY | MsFlags::MS_NOSUID;
    let outcome = on_mount_with(flags, engine, &["/bin/sh", "-c", script])?;
    outcome.ends_with(1)?.complains_of(&["/fixture/new", "Read-only"])?;
    let kept = outcome.stdout.ends_with(" ro,nosuid,nodev,\n");
    require(kept, &outcome.tried, "/ mounted with ro,nosuid,nodev", &outcome.stdout)?;
    let outcome = on_mount_with(MsFlags::MS_NOEXEC, engine, &["/bin/echo", "started"])?;
    outcome.ends_with(126)?.prints("")?.complains_of(&["/bin/echo"])
}

/// A set-user-ID program works in the container unless the host's mount forbids it: only device files do not.
pub fn forbids_no_more(engine: &Engine) -> Verdict {
    let options = |flags: MsFlags| {
        let script = "while read -r _ place _ options _; do \
            [ $place != / ] || echo $options; done < /proc/mounts";
        let outcome = on_mount_with(flags, engine, &["/bin/sh", "-c", script])?;
        outcome.ends_with(0)?;
        let forbidden = ["ro", "nosuid", "nodev", "noexec"];
        let seen = outcome.stdout.trim_end().split(',').filter(|option| forbidden.contains(option));
        Ok::<_, Failure>((outcome.tried.clone(), seen.collect::<Vec<_>>().join(",")))
    };
    for (flags, expected) in [
        (MsFlags::empty(), "nodev"),
        (MsFlags::MS_RDONLY, "ro,nodev"),
        (MsFlags::MS_NOSUID, "nosuid,nodev"),
    ] {
        let (tried, seen) = options(flags)?;
        equal(&tried, "what the mount on / forbids", expected, seen.as_str())?;
    }
    Ok(())
}

/// What comes after the container has begun.
pub fn hosts_later_mounts(engine: &Engine) -> Verdict {
    let (running, _) = engine.start_catching(0)?;
    let place = Path::new(ROOTFS).join("home");
    mount(NOTHING, &place, Some("tmpfs"), MsFlags::empty(), NOTHING)?;
    let table = running
        .inner()
        .and_then(|inner| Ok(fs::read_to_string(format!("/proc/{inner}/mountinfo"))?));
    umount(&place)?;
    let table = table?;
    let came = table.lines().find(|line| line.split(' ').nth(4) == Some("/home"));
    require(came.is_none(), &running.tried, "no mount on /home", came.unwrap_or_default())
}

/// Wherever it leads: away from the root filesystem, back into it, or to nothing.
pub fn refuses_link(engine: &Engine, name: &str) -> Verdict {
    for target in ["/fixture", "inner", "../../fixture", "no/such"] {
        with_small_rootfs(engine, |rootfs| {
            let link = rootfs.join(name);
            fs::create_dir(rootfs.join("inner"))?;
            symlink(target, &link)?;
            let outcome = engine.run(["--rootfs", "/tmp/small", "/probe", "exit", "0"])?;
            outcome.ends_with(125)?.complains_of(&[&link.to_string_lossy(), "symbolic link"])
        })?;
    }
    Ok(())
}

pub fn refuses_hosts(engine: &Engine) -> Verdict {
    for root in ["/", "/tmp/..", "//"] {
        let outcome = engine.run(["--rootfs", root, "/bin/true"])?;
        outcome.ends_with(125)?.complains_of(&["/", "root directory"])?;
    }
    Ok(())
}
