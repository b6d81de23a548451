//! The machine that the containers run on, before and after: they must not change it.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use nix::mount::{MntFlags, umount2};
use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, gethostname, sethostname};

use super::failure::{Verdict, require};
use super::images::merged;
use super::running::eventually;

/// Processes of the checks' own that stay from one check to the next.
static OURS: Mutex<BTreeSet<i32>> = Mutex::new(BTreeSet::new());

/// Takes note that a process is the checks' own, and will stay.
pub fn keep(pid: u32) {
    ours().insert(pid as i32);
}

fn ours() -> MutexGuard<'static, BTreeSet<i32>> {
    OURS.lock().unwrap_or_else(PoisonError::into_inner)
}

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
        // Their ids and their parents' come and go; the rest of a line names a mount. Images that the
        // checks look at are theirs.
        let mounts = mounts.lines().filter(|line| !line.contains(merged::EXTENSION)).map(|line| {
            let fields: Vec<&str> = line.split(' ').skip(2).collect();
            format!("mount {}", fields.join(" "))
        });
        let folders = ["/tmp", "/run", "/slipway"].into_iter().flat_map(names);
        let mut cgroups = Vec::new();
        add_cgroups(Path::new("/sys/fs/cgroup"), &mut cgroups);
        let hostname = gethostname().unwrap_or_default().to_string_lossy().into_owned();
        Machine {
            hostname,
            facts: mounts.chain(folders).chain(cgroups).collect(),
            processes: processes(),
        }
    }

    /// Requires that the machine is, after a moment, as it was.
    pub fn is_unchanged(&self) -> Verdict {
        let same = eventually(|| Machine::now() == *self);
        let changes = self.changes().join("; ");
        require(same, "all of this check", "a machine that is as before", changes)
    }

    /// Whether, after a moment, no process is there that was not.
    pub fn has_no_more_processes(&self) -> bool {
        eventually(|| processes().is_subset(&self.processes))
    }

    /// The cgroups that were not there before.
    pub fn new_cgroups(&self, before: &Machine) -> Vec<String> {
        let new = self.facts.difference(&before.facts);
        new.filter_map(|fact| fact.strip_prefix("cgroup ")).map(str::to_string).collect()
    }

    /// The first few differences between then and now.
    pub fn changes(&self) -> Vec<String> {
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
        changes
    }

    /// Makes the machine what it was, so that the next check does not suffer from this one.
    pub fn restore(&self) {
        let _ = sethostname(&self.hostname);
        for (pid, _) in processes().difference(&self.processes) {
            let _ = kill(Pid::from_raw(*pid), Signal::SIGKILL);
        }
        let now = Machine::now();
        for fact in now.facts.difference(&self.facts) {
            if let Some(group) = fact.strip_prefix("cgroup ") {
                let _ = fs::write(format!("{group}/cgroup.kill"), "1");
            }
            if let Some(target) = fact.strip_prefix("mount ").and_then(|m| m.split(' ').nth(2)) {
                let _ = umount2(target, MntFlags::MNT_DETACH);
            }
        }
        eventually(|| processes().is_subset(&self.processes));
        // The inner ones come after those that they lie in.
        let new: Vec<&String> = now.facts.difference(&self.facts).collect();
        for group in new.iter().rev().filter_map(|fact| fact.strip_prefix("cgroup ")) {
            let _ = fs::remove_dir(group);
        }
    }
}

fn names(folder: &str) -> Vec<String> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.map(|entry| format!("file {}", entry.path().display())).collect()
}

/// The cgroups in `group`, and in these.
fn add_cgroups(group: &Path, all: &mut Vec<String>) {
    for entry in fs::read_dir(group).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            all.push(format!("cgroup {}", entry.path().display()));
            add_cgroups(&entry.path(), all);
        }
    }
}

/// All processes but the kernel's own threads, which come and go, and those that are ours.
fn processes() -> BTreeSet<(i32, String)> {
    let ours = ours();
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries
        .filter_map(|entry| {
            let pid: i32 = entry.file_name().to_str()?.parse().ok()?;
            let stat = fs::read_to_string(entry.path().join("stat")).ok()?;
            let (name, rest) = stat.split_once('(')?.1.rsplit_once(") ")?;
            let parent: i32 = rest.split(' ').nth(1)?.parse().ok()?;
            (pid != 2 && parent != 2 && !ours.contains(&pid)).then(|| (pid, name.to_string()))
        })
        .collect()
}
