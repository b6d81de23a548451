//! The container's mounts: what its mount namespace holds when the command starts.

use std::fs::{self, File};
use std::io::ErrorKind;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sys::statfs::statfs;
use nix::unistd::{chdir, pivot_root};
use shared::{Error, Explain};

/// The devices that programs expect everywhere (OCI runtime specification, "Default Devices").
const DEVICES: [&str; 6] = ["null", "zero", "full", "random", "urandom", "tty"];

/// For mounts that hold neither programs nor devices.
pub const STRICT: MsFlags = MsFlags::MS_NOSUID.union(MsFlags::MS_NOEXEC).union(MsFlags::MS_NODEV);

const NOTHING: Option<&str> = None;

/// Cuts every mount off from its peer on the host.
///
/// A new mount namespace starts with copies of the host's mounts, and where systemd made those
/// "shared", what is mounted or unmounted on a copy happens to the original as well
/// (mount_namespaces(7)). So this comes before any other mount.
pub fn make_mounts_private() -> Result<(), Error> {
    let flags = MsFlags::MS_REC | MsFlags::MS_PRIVATE;
    mount(NOTHING, "/", NOTHING, flags, NOTHING).explain("make the mounts private")
}

/// Makes `rootfs` a mount without devices, as pivot_root asks for one, and gives its absolute path.
pub fn bind_to_itself(rootfs: &Path) -> Result<PathBuf, Error> {
    // With "/." at its end, a file is not accepted for a directory.
    let found = rootfs.join(".").canonicalize().explain(format_args!("enter {rootfs:?}"));
    let path = found.map_err(|error| error.cure(Errno::ENOENT, "`./just rootfs` makes one"))?;
    if path == Path::new("/") {
        return Err(Error::new("cannot enter \"/\": it is the root directory already"));
    }
    bind(&path, &path)?;
    forbid_devices(&path)?;
    Ok(path)
}

/// Turns device files into mere names: those of an image may be the host's disks.
fn forbid_devices(target: &Path) -> Result<(), Error> {
    let found = statfs(target).explain(format_args!("statfs {target:?}"))?.flags();
    // A flag that is not said again is taken away, and in a user namespace that is refused
    // (mount_namespaces(7)). As bits they are the same in both calls.
    let kept = MsFlags::from_bits_truncate(found.bits()) & (STRICT | MsFlags::MS_RDONLY);
    let flags = MsFlags::MS_REMOUNT | MsFlags::MS_BIND | MsFlags::MS_NODEV | kept;
    mount(NOTHING, target, NOTHING, flags, NOTHING).explain(format_args!("remount {target:?}"))
}

/// Mounts the processes of this PID namespace on /proc.
pub fn mount_proc(rootfs: &Path) -> Result<(), Error> {
    mount_new("proc", &mount_point(rootfs, "proc")?, STRICT, "")
}

/// Mounts a small /dev: the host's has its disks in it.
pub fn mount_dev(rootfs: &Path) -> Result<(), Error> {
    let dev = mount_point(rootfs, "dev")?;
    mount_new("tmpfs", &dev, STRICT, "mode=0755,size=64k")?;
    for name in DEVICES {
        // Bound, not made by mknod, which an ordinary user's engine may not call. A bound file has
        // the flags of the mount it comes from: the host's /dev, where devices are devices.
        let device = dev.join(name);
        File::create(&device).explain(format_args!("create {device:?}"))?;
        bind(&Path::new("/dev").join(name), &device)?;
    }
    for (to, name) in [
        ("/proc/self/fd", "fd"),
        ("/proc/self/fd/0", "stdin"),
        ("/proc/self/fd/1", "stdout"),
        ("/proc/self/fd/2", "stderr"),
        ("pts/ptmx", "ptmx"),
    ] {
        symlink(to, dev.join(name)).explain(format_args!("link /dev/{name} to {to}"))?;
    }
    // Terminals of its own: in the host's /dev/pts root could write into every user's.
    let pts = mount_point(&dev, "pts")?;
    mount_new("devpts", &pts, STRICT - MsFlags::MS_NODEV, "ptmxmode=0666,mode=0620")?;
    let shm = mount_point(&dev, "shm")?;
    mount_new("tmpfs", &shm, STRICT, "mode=1777,size=64m")
}

/// Makes `rootfs` the root mount of this mount namespace, and unmounts the host's.
///
/// Unlike chroot this leaves no directory above / to climb to. Both arguments are "." because then
/// the old root needs no directory to be put in: it lies on top of the new one (pivot_root(2),
/// "Notes").
pub fn pivot_into(rootfs: &Path) -> Result<(), Error> {
    chdir(rootfs).explain(format_args!("chdir to {rootfs:?}"))?;
    pivot_root(".", ".").explain(format_args!("pivot_root to {rootfs:?}"))?;
    umount2(".", MntFlags::MNT_DETACH).explain("umount2 the host's root")
}

pub fn mount_new(kind: &str, target: &Path, flags: MsFlags, options: &str) -> Result<(), Error> {
    mount(Some(kind), target, Some(kind), flags, Some(options))
        .explain(format_args!("mount {kind} on {target:?}"))
}

fn bind(source: &Path, target: &Path) -> Result<(), Error> {
    mount(Some(source), target, NOTHING, MsFlags::MS_BIND | MsFlags::MS_REC, NOTHING)
        .explain(format_args!("bind {source:?} to {target:?}"))
}

/// A directory to mount on, made if it is missing.
pub fn mount_point(parent: &Path, name: &str) -> Result<PathBuf, Error> {
    let path = parent.join(name);
    match fs::create_dir(&path) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
        result => result.explain(format_args!("make the directory {path:?}")).map_err(|error| {
            error.cure(Errno::EACCES, "`./just rootfs busybox DIR` makes one of your own")
        })?,
    }
    // The mount would land where the link leads, and the container keep what lies here.
    if path.is_symlink() {
        return Err(Error::new(format!("cannot mount on {path:?}: it is a symbolic link")));
    }
    Ok(path)
}
