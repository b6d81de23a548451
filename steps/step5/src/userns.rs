//! The user namespace: which ids of the host the container's ids stand for.

use std::fs;
use std::io::{self, IsTerminal};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};

use clap::ValueEnum;
use nix::errno::Errno;
use nix::unistd::{Pid, getegid, geteuid, getuid, setgroups};
use shared::{Error, Explain};

use crate::restrictions::{APPARMOR, Restrictions};
use crate::subordinate::{Range, Subordinate};

/// Which ids a container gets.
#[derive(Clone, Copy, PartialEq, ValueEnum)]
pub enum Userns {
    /// `range` if the caller has one and the programs for it, else `single`
    Auto,
    /// 0 is the caller; from 1 on, the caller's ranges in /etc/subuid and /etc/subgid
    Range,
    /// 0 is the caller, and there is no other
    Single,
}

/// Writes the maps of the child's user namespace (user_namespaces(7), "User and group ID mappings").
///
/// This is for the parent to do, once. The child has all capabilities from the start, but only in
/// its namespace, and these files ask for powers in the one around it.
pub fn map_ids(child: Pid, userns: Userns) -> Result<(), Error> {
    if userns == Userns::Single {
        return map_single(child);
    }
    if geteuid().is_root() {
        return map_all(child);
    }
    match Subordinate::of(getuid())? {
        Ok(ids) => {
            let (uid, gid) = (geteuid().as_raw(), getegid().as_raw());
            map_range(&ids.newuidmap, child, uid, &ids.uids)?;
            map_range(&ids.newgidmap, child, gid, &ids.gids)
        }
        Err(missing) if userns == Userns::Range => {
            Err(Error::new(format!("cannot map more than one id: {missing}")))
        }
        Err(missing) => {
            // For a person; a script's standard error belongs to the command.
            if io::stderr().is_terminal() {
                shared::note(format_args!(
                    "note: no id but 0 in this container, so chown fails ({missing})"
                ));
            }
            map_single(child)
        }
    }
}

/// Root inside is the caller outside. Anybody may write this.
fn map_single(child: Pid) -> Result<(), Error> {
    // Without this the kernel refuses the gid map. Some files keep a group *out*; who could leave
    // that group by setgroups(2) would get at them (user_namespaces(7), "Interaction with …").
    write_map(child, "setgroups", "deny")?;
    write_map(child, "uid_map", &format!("0 {} 1\n", geteuid()))?;
    write_map(child, "gid_map", &format!("0 {} 1\n", getegid()))
}

/// For root: every id that root has, each standing for itself.
fn map_all(child: Pid) -> Result<(), Error> {
    for file in ["uid_map", "gid_map"] {
        let path = format!("/proc/self/{file}");
        let own = fs::read_to_string(&path).explain(format_args!("read {path}"))?;
        // A line is "INSIDE OUTSIDE COUNT", and the ids inside *our* namespace are our child's outside.
        let map: String = own
            .lines()
            .filter_map(|line| {
                let mut fields = line.split_whitespace();
                let (inside, _outside, count) = (fields.next()?, fields.next()?, fields.next()?);
                Some(format!("{inside} {inside} {count}\n"))
            })
            .collect();
        write_map(child, file, &map)?;
    }
    Ok(())
}

/// Has a program of root's map an id to 0 and ranges to what follows. One of the ids is the caller's
/// own, and it looks in /etc/subuid whether the others are the caller's to use (newuidmap(1),
/// newgidmap(1)).
pub fn map_range(newidmap: &Path, child: Pid, root: u32, ranges: &[Range]) -> Result<(), Error> {
    let mut command = Command::new(newidmap);
    command.arg(child.to_string()).args(["0", &root.to_string(), "1"]);
    let mut inside = 1;
    for Range { first, count } in ranges {
        command.args([inside, *first, *count].map(|number| number.to_string()));
        inside = inside.saturating_add(*count);
    }
    // Not in the terminal's foreground group: a Ctrl-C is for the container.
    let command = command.stdin(Stdio::null()).process_group(0);
    let output = command.output().explain(format_args!("run {newidmap:?}"))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let said = said.lines().last().map_or_else(|| output.status.to_string(), str::to_string);
    let cure = if said.contains("Operation not permitted") {
        "it lost its privilege: sudo apt install --reinstall uidmap; or --userns single"
    } else {
        "--userns single works without it"
    };
    Err(Error::new(format!("cannot map the container's ids: {said} ({cure})")))
}

/// All of a map in one write, as the kernel asks for: there is no second one.
pub fn write_map(child: Pid, file: &str, map: &str) -> Result<(), Error> {
    let path = format!("/proc/{child}/{file}");
    fs::write(&path, map).explain(format_args!("write {path}"))
}

/// Leaves the caller's supplementary groups: they still count outside, mapped or not.
///
/// Where setgroups is denied they stay.
pub fn drop_groups() -> Result<(), Error> {
    match setgroups(&[]) {
        Err(Errno::EPERM) => Ok(()),
        result => result.explain("setgroups"),
    }
}

/// Adds to an error why there can be no user namespace, and the cure.
pub fn explain_refusal(error: Error) -> Error {
    let Some(errno) = error.errno() else { return error };
    match Restrictions::here().explain(errno) {
        Some((reason, cure)) => error.cure(errno, &format!("{reason}: {cure}")),
        None => error,
    }
}

/// The same for the first call that needs a capability: AppArmor may let everybody make a user
/// namespace, and take the capabilities away.
pub fn explain_powerless(error: Error) -> Error {
    if Restrictions::here().apparmor {
        error.cure(Errno::EPERM, &format!("{}: {}", APPARMOR.0, APPARMOR.1))
    } else {
        error
    }
}

/// Adds to an error of mounting /proc what stands in its way.
///
/// Whoever covers a part of /proc wants it hidden, so the kernel lets a user namespace mount a new
/// one only where an old one is to be seen in full (user_namespaces(7), mount_namespaces(7)).
pub fn explain_proc(error: Error) -> Error {
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let covered = mounts
        .lines()
        .filter_map(|line| line.split(' ').nth(4))
        .find(|place| place.starts_with("/proc/") && !place.ends_with("/binfmt_misc"));
    let reason = covered.map_or("there is no whole /proc here".to_string(), |place| {
        format!("{place} covers a part of the /proc here")
    });
    let cure =
        "docker run --security-opt systempaths=unconfined, or leave the container, or ./just vm";
    error.cure(Errno::EPERM, &format!("{reason}: {cure}"))
}
