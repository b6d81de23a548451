//! A cgroup for the container: made, limited, watched, removed. All of it is reading and writing
//! files (cgroups(7); "cgroup-v2" in the kernel's documentation).

use std::ffi::{OsStr, OsString};
use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Read, Seek, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, OFlag, openat};
use nix::mount::MsFlags;
use nix::poll::{PollFd, PollFlags, poll};
use nix::sched::{CloneFlags, unshare};
use nix::sys::signal::{Signal, kill};
use nix::sys::stat::Mode;
use nix::sys::statfs::{CGROUP2_SUPER_MAGIC, statfs};
use nix::sys::statvfs::FsFlags;
use nix::unistd::{AccessFlags, Pid, UnlinkatFlags, eaccess, getpid, unlinkat};
use shared::{Error, Explain, size};
use step4::rootfs;

use crate::limits::Limits;

/// Asks clone3 for a child in a cgroup. (linux/sched.h; libc's constant of this name is cut off.)
const CLONE_INTO_CGROUP: u64 = 1 << 33;

/// Where cgroups are mounted.
const ROOT: &str = "/sys/fs/cgroup";

/// How deep the groups in the outer one may lie inside each other, at most. At 255 bytes a name, the
/// path of each is still one that programs of the host can open.
const DEEPEST: &str = "10";

/// How many there may be. systemd in a container makes a hundred.
const MOST: &str = "1000";

/// The status of a command that SIGKILL ended.
const KILLED: u8 = 128 + libc::SIGKILL as u8;

/// A group with limits, and in it the one that the container lives in. Dropped, both are gone.
///
/// Root in the container may mount a cgroup file system of its own and write to every file that it
/// finds there. It finds the inner group and what is below. So the limits that hold are those of the
/// outer group; the inner one repeats them, for programs that look how much memory they have.
pub struct Cgroup {
    outer: PathBuf,
    /// The inner group's directory.
    inner: File,
}

impl Cgroup {
    /// Makes the groups that `limits` need; none without limits.
    ///
    /// Here also goes what is left of containers whose engine was killed.
    pub fn make(limits: &Limits) -> Result<Option<Cgroup>, Error> {
        remove_stale();
        if !limits.are_given() {
            return Ok(None);
        }
        require_version_2()?;
        let settings = limits.settings();
        let outer = make_in_best_place(&controllers(&settings))?;
        let furnished = furnish(&outer, &settings).inspect_err(|_| _ = remove(&outer));
        furnished.map(|inner| Some(Cgroup { outer, inner }))
    }

    /// Lets clone3 make the child inside the group: it is never anywhere else (clone(2), since 5.7).
    pub fn receive(&self, args: &mut libc::clone_args) {
        args.flags |= CLONE_INTO_CGROUP;
        args.cgroup = self.inner.as_raw_fd() as u64;
    }

    /// The end: gives the command's status, or says what the kernel killed it for.
    pub fn end(self, limits: &Limits, status: u8) -> Result<u8, Error> {
        let (Some(bytes), KILLED) = (limits.memory, status) else { return Ok(status) };
        let path = self.outer.join("memory.events");
        let events = fs::read_to_string(&path).explain(format_args!("read {path:?}"))?;
        if events.lines().any(|line| line == "oom_kill 0") {
            Ok(status)
        } else {
            let message = format!("killed: memory limit of {} reached", size::text(bytes));
            Err(Error::new(message).with_status(KILLED))
        }
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        // If it fails, the next container's start tries again.
        let _ = remove(&self.outer);
    }
}

/// Makes the cgroup namespace: the group that the process is in becomes `/` (cgroup_namespaces(7)).
///
/// For the child to call: a flag of clone3 would make the parent's group the root.
pub fn make_own_group_root() -> Result<(), Error> {
    unshare(CloneFlags::CLONE_NEWCGROUP).explain("unshare CLONE_NEWCGROUP")
}

/// Shows the container its group, read-only, in the place where programs look for it.
pub fn mount_cgroup(rootfs: &Path) -> Result<(), Error> {
    // The rest of /sys is the machine's, and not for a container to see.
    let sys = rootfs::mount_point(rootfs, "sys")?;
    rootfs::mount_new("tmpfs", &sys, rootfs::STRICT, "mode=0755,size=4k")?;
    let place = sys.join("fs/cgroup");
    fs::create_dir_all(&place).explain(format_args!("make the directory {place:?}"))?;
    rootfs::mount_new("cgroup2", &place, rootfs::STRICT | MsFlags::MS_RDONLY, "")
}

/// Looks whether there are cgroups to work with: not those of version 1, and not a container's.
fn require_version_2() -> Result<(), Error> {
    let why = match statfs(ROOT) {
        Ok(found) if found.filesystem_type() == CGROUP2_SUPER_MAGIC => {
            if !found.flags().contains(FsFlags::ST_RDONLY) {
                return Ok(());
            }
            "a writable /sys/fs/cgroup: a container has none, so limit the outermost one"
        }
        Ok(_) | Err(Errno::ENOENT) => {
            "cgroup v2 on /sys/fs/cgroup: here only the VM has it (./just vm)"
        }
        Err(errno) => return Err(errno).explain("statfs /sys/fs/cgroup"),
    };
    Err(Error::new(format!("a limit needs {why}")))
}

/// Puts the limits on the outer group, and on an inner one, which it gives.
fn furnish(outer: &Path, settings: &[(&'static str, String)]) -> Result<File, Error> {
    limit(outer, settings)?;
    // Root in the container may make groups in the inner one.
    write(&outer.join("cgroup.max.depth"), DEEPEST)?;
    write(&outer.join("cgroup.max.descendants"), MOST)?;
    hand_down(outer, &controllers(settings))?;
    let inner = outer.join("container");
    fs::create_dir(&inner).explain(format_args!("mkdir {inner:?}"))?;
    limit(&inner, settings)?;
    File::open(&inner).explain(format_args!("open {inner:?}"))
}

/// The names before the dots: memory, cpu, pids.
fn controllers(settings: &[(&'static str, String)]) -> Vec<&'static str> {
    let mut names: Vec<_> =
        settings.iter().filter_map(|(file, _)| file.split('.').next()).collect();
    names.dedup();
    names
}

/// Makes a group below the caller's, or, where that has processes in it, as near above as can be: a
/// group that hands down controllers must not have any ("no internal processes").
fn make_in_best_place(controllers: &[&str]) -> Result<PathBuf, Error> {
    let mut refusal: Option<Error> = None;
    for place in places()? {
        let outer = place.join(format!("{}{}", prefix(), getpid()));
        let made = hand_down(&place, controllers).and_then(|()| {
            // Who moves a process needs this right in the group above both.
            let procs = place.join("cgroup.procs");
            eaccess(&procs, AccessFlags::W_OK).explain(format_args!("write {procs:?}"))?;
            fs::create_dir(&outer).explain(format_args!("mkdir {outer:?}"))
        });
        let Err(error) = made else { return Ok(outer) };
        // That it has processes in it says less than why the group above did not do, either.
        refusal = refusal.filter(|first| first.errno() != Some(Errno::EBUSY)).or(Some(error));
    }
    let delegate = if Path::new("/run/systemd/system").exists() {
        "systemd-run --user --scope --property=Delegate=yes ./just step …, or as root"
    } else {
        "as root, or where a cgroup is delegated to you; or in the VM: ./just vm"
    };
    Err(refusal
        .expect("there is at least the caller's group")
        .cure(Errno::EACCES, delegate)
        .cure(Errno::EBUSY, delegate))
}

/// The caller's group and those that it lies in, from below.
fn places() -> Result<Vec<PathBuf>, Error> {
    let own = fs::read_to_string("/proc/self/cgroup").explain("read /proc/self/cgroup")?;
    let path = own.lines().find_map(|line| line.strip_prefix("0::/")).unwrap_or_default();
    let groups = Path::new(path).ancestors().map(|group| Path::new(ROOT).join(group));
    Ok(groups.collect())
}

/// Lets the groups below `group` have controllers. A group can hand down only what it was handed
/// itself, so this goes from the top to the bottom.
fn hand_down(group: &Path, controllers: &[&str]) -> Result<(), Error> {
    if has_processes(group) {
        return Err(Errno::EBUSY).explain(format_args!("divide {group:?}, which has processes"));
    }
    let path = group.join("cgroup.subtree_control");
    let on = fs::read_to_string(&path).explain(format_args!("read {path:?}"))?;
    let is_off = |name: &&str| !on.split_whitespace().any(|other| other == *name);
    let missing: Vec<&str> = controllers.iter().copied().filter(is_off).collect();
    if missing.is_empty() {
        return Ok(());
    }
    if let Some(above) = group.parent().filter(|above| above.starts_with(ROOT)) {
        hand_down(above, &missing)?;
    }
    write(&path, &format!("+{}", missing.join(" +")))
}

/// Whether a group has processes of its own. The root of all groups may, so for it the answer is no.
///
/// We don't wait for the kernel to say EBUSY. From a group with processes it would hand down `pids`
/// and `cpu`, and turn it into the top of a "threaded" tree, whose groups are for single threads.
fn has_processes(group: &Path) -> bool {
    let read = |file| fs::read_to_string(group.join(file));
    // The root has no type (cgroups(7), "Threaded mode").
    let Ok(kind) = read("cgroup.type") else { return false };
    kind.trim_end() != "domain" || read("cgroup.procs").is_ok_and(|text| !text.is_empty())
}

/// Writes limits, and reads back whether they are kept.
fn limit(group: &Path, settings: &[(&str, String)]) -> Result<(), Error> {
    for (file, value) in settings {
        let path = group.join(file);
        write(&path, value)?;
        let kept = fs::read_to_string(&path).explain(format_args!("read {path:?}"))?;
        if kept.trim_end() != value {
            let kept = kept.trim_end();
            return Err(Error::new(format!("{path:?} reads {kept:?} after {value:?} was written")));
        }
    }
    Ok(())
}

fn write(path: &Path, text: &str) -> Result<(), Error> {
    put(path, text).explain(format_args!("write {text:?} to {path:?}"))
}

/// Writes without creating. In something that is no cgroup the limit would be a plain file.
fn put(path: &Path, text: &str) -> io::Result<()> {
    OpenOptions::new().write(true).open(path)?.write_all(text.as_bytes())
}

/// The start of the names of groups that engines in this PID namespace make; their own process id
/// follows.
fn prefix() -> String {
    let namespace = fs::metadata("/proc/self/ns/pid").map_or(0, |metadata| metadata.ino());
    format!("slipway-{namespace}-")
}

/// Removes the groups whose engine is no more, with what still lives in them.
fn remove_stale() {
    let prefix = prefix();
    let entries = places().into_iter().flatten().filter_map(|place| fs::read_dir(place).ok());
    for entry in entries.flatten().flatten() {
        let name = entry.file_name();
        let pid = name.to_str().and_then(|name| name.strip_prefix(&prefix)?.parse().ok());
        // A group of our own number was made by one that had it before us.
        let is_gone = |pid| pid == getpid() || kill(pid, None) == Err(Errno::ESRCH);
        if pid.map(Pid::from_raw).is_some_and(is_gone) {
            let _ = remove(&entry.path());
        }
    }
}

/// Kills what lives in a group, and removes it with the groups inside.
fn remove(group: &Path) -> io::Result<()> {
    // A killed process takes a moment to die. When the last one has, the kernel wakes who has read
    // this file and polls it.
    let mut events = File::open(group.join("cgroup.events"))?;
    for _ in 0..50 {
        kill_all(group)?;
        let mut text = String::new();
        events.rewind()?;
        events.read_to_string(&mut text)?;
        if text.contains("populated 0") {
            break;
        }
        poll(&mut [PollFd::new(events.as_fd(), PollFlags::POLLPRI)], 100u16)?;
    }
    remove_empty(AT_FDCWD, group.as_os_str())
}

/// Kills what lives in a group, and in those inside.
fn kill_all(group: &Path) -> io::Result<()> {
    match put(&group.join("cgroup.kill"), "1") {
        // Linux before 5.14. What is frozen can't fork, and a kill ends it all the same.
        Err(error) if error.kind() == ErrorKind::NotFound => {
            put(&group.join("cgroup.freeze"), "1")?;
            kill_each(AT_FDCWD, group.as_os_str())
        }
        written => written,
    }
}

/// The same, process by process.
fn kill_each(above: BorrowedFd, name: &OsStr) -> io::Result<()> {
    let group = open(above, name, OFlag::O_DIRECTORY)?;
    let mut procs = String::new();
    // A group for single threads lists none: the group above it does.
    let _ = File::from(open(group.as_fd(), OsStr::new("cgroup.procs"), OFlag::O_RDONLY)?)
        .read_to_string(&mut procs);
    // A process outside of our PID namespace is listed as 0. To kill(2) that is our own group.
    for pid in procs.lines().filter_map(|pid| pid.parse().ok()).filter(|pid| *pid > 0) {
        let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
    }
    groups_in(&group)?.iter().try_for_each(|inner| kill_each(group.as_fd(), inner))
}

/// Removes a group without processes, and before that those inside.
///
/// It goes from directory to directory. A container may nest names that are too long for any path.
fn remove_empty(above: BorrowedFd, name: &OsStr) -> io::Result<()> {
    let group = open(above, name, OFlag::O_DIRECTORY)?;
    groups_in(&group)?.iter().try_for_each(|inner| remove_empty(group.as_fd(), inner))?;
    Ok(unlinkat(above, name, UnlinkatFlags::RemoveDir)?)
}

fn open(above: BorrowedFd, name: &OsStr, flags: OFlag) -> nix::Result<OwnedFd> {
    openat(above, name, flags | OFlag::O_CLOEXEC, Mode::empty())
}

/// The names of the groups in an open one.
fn groups_in(group: &OwnedFd) -> io::Result<Vec<OsString>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(format!("/proc/self/fd/{}", group.as_raw_fd()))? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            names.push(entry.file_name());
        }
    }
    Ok(names)
}
