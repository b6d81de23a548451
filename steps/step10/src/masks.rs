//! What of /proc is the host's: hidden, or only to be read.
//!
//! A new /proc shows the container's processes, but the rest of it is the whole machine's. Most
//! files of the host's belong to its root, and root in a user namespace is another. It is not the
//! only rule that should hold: some can be read by everybody, and /proc/sys asks for capabilities.

use std::fs::{self, File, OpenOptions};
use std::io::ErrorKind;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use nix::libc;
use nix::mount::{MsFlags, mount};
use nix::sys::stat::makedev;
use nix::sys::statfs::{PROC_SUPER_MAGIC, statfs};
use shared::{Error, Explain};
use step4::rootfs::{STRICT, mount_new};

/// What nobody in a container needs to see: the host's memory, keys, timers and hardware. As
/// containerd and podman have it.
const HIDDEN: [&str; 9] = [
    "/proc/acpi",
    "/proc/asound",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/proc/timer_list",
    "/proc/timer_stats",
];

/// What changes the machine when it is written.
const READ_ONLY: [&str; 5] =
    ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"];

const NOTHING: Option<&str> = None;

/// Hides what is to be hidden, and protects the rest. To be called in the container, after
/// pivot_root and before anything of the image runs. What this kernel does not have needs no mask;
/// whatever else fails is an error.
pub fn mount_all() -> Result<(), Error> {
    require_proc(Path::new("/proc"))?;
    for path in HIDDEN.map(Path::new) {
        if exists(path)? {
            hide(path)?;
        }
    }
    for path in READ_ONLY.map(Path::new) {
        if exists(path)? {
            protect(path)?;
        }
    }
    Ok(())
}

/// Whether this kernel has it. No other error says that there is nothing to hide.
fn exists(path: &Path) -> Result<bool, Error> {
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
        found => found.map(|_| true).explain(format_args!("stat {path:?}")),
    }
}

/// Masks on anything else would hide nothing of the kernel's (CVE-2019-19921).
fn require_proc(path: &Path) -> Result<(), Error> {
    let found = statfs(path).explain(format_args!("statfs {path:?}"))?;
    if found.filesystem_type() == PROC_SUPER_MAGIC {
        Ok(())
    } else {
        Err(Error::new(format!("{path:?} is no proc file system")))
    }
}

/// Mounts nothing over it: over a file the null device, over a directory an empty one.
fn hide(path: &Path) -> Result<(), Error> {
    if path.is_dir() {
        // The root directory is an inode, too. A block is the least that can be asked for.
        let flags = STRICT | MsFlags::MS_RDONLY;
        return mount_new("tmpfs", path, flags, "mode=0555,nr_blocks=1,nr_inodes=1");
    }
    let null = null_device()?;
    let source = PathBuf::from(format!("/proc/self/fd/{}", null.as_raw_fd()));
    mount(Some(&source), path, NOTHING, MsFlags::MS_BIND, NOTHING)
        .explain(format_args!("bind /dev/null to {path:?}"))
}

/// The null device, open, so that what was looked at is what is mounted. Where a name is looked at
/// first and mounted afterwards, another container can exchange it (CVE-2025-31133).
fn null_device() -> Result<File, Error> {
    let mut how = OpenOptions::new();
    let opened = how.read(true).custom_flags(libc::O_PATH | libc::O_NOFOLLOW).open("/dev/null");
    let file = opened.explain("open /dev/null")?;
    let found = file.metadata().explain("stat /dev/null")?;
    if found.file_type().is_char_device() && found.rdev() == makedev(1, 3) {
        Ok(file)
    } else {
        Err(Error::new("/dev/null is not the null device"))
    }
}

/// Makes it a mount of its own, which can only be read.
fn protect(path: &Path) -> Result<(), Error> {
    mount(Some(path), path, NOTHING, MsFlags::MS_BIND | MsFlags::MS_REC, NOTHING)
        .explain(format_args!("bind {path:?} to itself"))?;
    // The flags that it has from /proc have to be said again: one that is left out is taken away.
    let flags = MsFlags::MS_REMOUNT | MsFlags::MS_BIND | MsFlags::MS_RDONLY | STRICT;
    mount(NOTHING, path, NOTHING, flags, NOTHING).explain(format_args!("remount {path:?}"))
}
