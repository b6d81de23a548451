//! Files that the checks look for, on the host's side and in the root filesystem.

use std::collections::BTreeSet;
use std::env;
use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::{PermissionsExt, lchown, symlink};
use std::path::{Path, PathBuf};

use nix::mount::{MsFlags, mount};

use super::engine::Caller;
use super::{draw, samples};

/// The default root filesystem, where the checks run.
pub const ROOTFS: &str = "/slipway/rootfs";

/// A cgroup that belongs to ada, as systemd's user@1000.service does.
const DELEGATED: &str = "/sys/fs/cgroup/ada";

/// What is in the file /fixture/where on the host.
pub fn outside() -> String {
    draw::word("on the host")
}

/// What is in the file /fixture/where of the root filesystem.
pub fn inside() -> String {
    draw::word("in the root filesystem")
}

/// Makes the files, again if need be. The machine must be the VM.
pub fn prepare() -> io::Result<()> {
    // As systemd does on real machines: otherwise a missing MS_PRIVATE would go unnoticed.
    let flags = MsFlags::MS_REC | MsFlags::MS_SHARED;
    mount(None::<&str>, "/", None::<&str>, flags, None::<&str>)?;
    // mount(8) keeps its notes there, and would make it in the middle of a check.
    fs::create_dir_all("/run/mount")?;
    for (root, place) in [("/", outside()), (ROOTFS, inside())] {
        let root = Path::new(root);
        let put = |name: &str, mode: u32, text: &[u8]| {
            let path = root.join(name);
            fs::write(&path, text)?;
            fs::set_permissions(&path, Permissions::from_mode(mode))
        };
        fs::create_dir_all(root.join("fixture"))?;
        put("fixture/where", 0o644, place.as_bytes())?;
        put("fixture/text", 0o644, b"not a program\n")?;
        put("fixture/nothing", 0o755, b"#!/bin/sh\n")?;
        put("fixture/no-interpreter", 0o755, b"#!/no/such/interpreter\n")?;
        put("fixture/closed-interpreter", 0o755, b"#!/fixture/text\n")?;
        put("fixture/no-format", 0o755, b"echo a shell was started\n")?;
        fs::create_dir_all(root.join("fixture/second"))?;
        put("fixture/second/no-format", 0o755, b"#!/bin/sh\necho the second one\n")?;
        put("fixture/another-processor", 0o755, &another_processors())?;
        fs::create_dir_all(root.join("fixture/decoy/probe"))?;
        put("bin/probe", 0o755, &fs::read("/slipway/bin/probe")?)?;
    }
    let inside = Path::new(ROOTFS);
    fs::copy("/bin/true", inside.join("fixture/dynamic"))?;
    fs::copy("/bin/true", "/fixture/dynamic")?;
    fs::copy(inside.join("bin/probe"), inside.join("bin/only-inside"))?;
    match symlink("/bin/true", "/bin/only-outside") {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        _ => Ok(()),
    }
}

/// The header of a program for a processor that this machine's is not (elf(5)).
fn another_processors() -> Vec<u8> {
    let machine: u16 = if cfg!(target_arch = "aarch64") { 62 } else { 183 };
    let mut header = b"\x7fELF\x02\x01\x01".to_vec();
    header.resize(16, 0);
    header.extend([2, 0]); // ET_EXEC
    header.extend(machine.to_le_bytes());
    header.resize(64, 0);
    header
}

/// Where containers put files, below the root filesystem.
const FOLDERS: [&str; 4] = ["", "dev", "etc", "tmp"];

/// What is in the root filesystem, where containers put files.
pub fn contents() -> BTreeSet<PathBuf> {
    let folders = FOLDERS.into_iter().map(|folder| Path::new(ROOTFS).join(folder));
    let entries = folders.filter_map(|folder| fs::read_dir(folder).ok()).flatten().flatten();
    entries.map(|entry| entry.path()).collect()
}

/// Removes what has come since: a file that one check leaves, such as a /dev/null in steps that have no /dev, must not
/// decide what comes of the next.
pub fn tidy(before: &BTreeSet<PathBuf>) {
    for path in contents().difference(before) {
        let _ = fs::remove_file(path).or_else(|_| fs::remove_dir(path));
    }
}

/// Gives the root filesystem to the one who will call the engine, and moves this process to where
/// such a caller is: root in the root cgroup, ada in one that is delegated to her. Images have a
/// place of the caller's, too.
pub fn hand_over(caller: Caller) -> io::Result<()> {
    own(Path::new(ROOTFS), caller)?;
    samples::make_store(caller)?;
    // SAFETY: nothing reads the environment meanwhile.
    unsafe { env::set_var("SLIPWAY_HOME", samples::store(caller)) };
    let session = Path::new(DELEGATED).join("session");
    let group = match caller {
        Caller::Root => Path::new("/sys/fs/cgroup"),
        Caller::Ada => &session,
    };
    if !group.exists() {
        fs::create_dir_all(group)?;
        fs::write("/sys/fs/cgroup/cgroup.subtree_control", "+memory +cpu +pids")?;
        // What systemd hands over (cgroups(7), "Cgroups delegation").
        for name in ["", "cgroup.procs", "cgroup.subtree_control", "cgroup.threads"] {
            lchown(Path::new(DELEGATED).join(name), Some(caller.id()), Some(caller.id()))?;
        }
    }
    fs::write(group.join("cgroup.procs"), "0")
}

/// Makes a file, or a directory and all that is in it, somebody's.
pub fn own(path: &Path, owner: Caller) -> io::Result<()> {
    let metadata = path.symlink_metadata()?;
    lchown(path, Some(owner.id()), Some(owner.id()))?;
    if metadata.is_dir() {
        return fs::read_dir(path)?.try_for_each(|entry| own(&entry?.path(), owner));
    }
    // A change of the owner takes the set-user-ID bit away.
    if metadata.is_file() { fs::set_permissions(path, metadata.permissions()) } else { Ok(()) }
}
