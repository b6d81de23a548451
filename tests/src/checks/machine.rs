//! The machine that the containers run on, before and after: they must not change it.

use std::collections::BTreeSet;
use std::fs;

use nix::mount::{MntFlags, umount2};
use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, gethostname, sethostname};

use super::failure::{Verdict, require};
use super::running::eventually;

/// What a container could leave behind.
#[derive(Clone, PartialEq)]
pub struct Machine {
    hostname: String,
    facts: BTreeSet<String>,
    processes: BTreeSet<(i32, String)>,
}

impl Machine {
    /// Looks at the machine as it is now.
    pub fn now() -> Machine {
        let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
        // Their ids and their parents' come and go; the rest of a line names a mount.
        let mounts = mounts.lines().map(|line| {
            let fields: Vec<&str> = line.split(' ').skip(2).collect();
            format!("mount {}", fields.join(" "))
        });
        let folders = ["/tmp", "/run", "/slipway", "/sys/fs/cgroup"].into_iter().flat_map(names);
        let hostname = gethostname().unwrap_or_default().to_string_lossy().into_owned();
        Machine { hostname, facts: mounts.chain(folders).collect(), processes: processes() }
    }

    /// Requires that the machine is, after a moment, as it was.
    pub fn is_unchanged(&self) -> Verdict {
        let same = eventually(|| Machine::now() == *self);
        require(same, "all of this check", "a machine that is as before", self.changes())
    }

    /// The first few differences between then and now.
    fn changes(&self) -> String {
        let now = Machine::now();
        let mut changes = Vec::new();
        if now.hostname != self.hostname {
            changes.push(format!("the host's name is {:?} now", now.hostname));
        }
        let new = now.processes.difference(&self.processes);
        changes.extend(new.map(|(_, name)| format!("still there: process {name}")));
        changes.extend(now.facts.difference(&self.facts).map(|fact| format!("new: {fact}")));
        changes.extend(self.facts.difference(&now.facts).map(|fact| format!("gone: {fact}")));
        // Ten left-over processes of one name say no more than one.
        changes.dedup();
        changes.truncate(4);
        changes.join("; ")
    }

    /// Makes the machine what it was, so that the next check does not suffer from this one.
    pub fn restore(&self) {
        let _ = sethostname(&self.hostname);
        for (pid, _) in processes().difference(&self.processes) {
            let _ = kill(Pid::from_raw(*pid), Signal::SIGKILL);
        }
        let now = Machine::now();
        for fact in now.facts.difference(&self.facts) {
            if let Some(target) = fact.strip_prefix("mount ").and_then(|m| m.split(' ').nth(2)) {
                let _ = umount2(target, MntFlags::MNT_DETACH);
            }
        }
        eventually(|| processes().is_subset(&self.processes));
    }
}

fn names(folder: &str) -> Vec<String> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.map(|entry| format!("file {}", entry.path().display())).collect()
}

/// All processes but the kernel's own threads, which come and go.
fn processes() -> BTreeSet<(i32, String)> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries
        .filter_map(|entry| {
            let pid: i32 = entry.file_name().to_str()?.parse().ok()?;
            let stat = fs::read_to_string(entry.path().join("stat")).ok()?;
            let (name, rest) = stat.split_once('(')?.1.rsplit_once(") ")?;
            let parent: i32 = rest.split(' ').nth(1)?.parse().ok()?;
            (pid != 2 && parent != 2).then(|| (pid, name.to_string()))
        })
        .collect()
}
