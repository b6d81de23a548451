//! The engine's own file: no image may run it.

use std::fs::{self, OpenOptions};
use std::os::fd::AsRawFd;
use std::os::unix::fs::OpenOptionsExt;

use shared::Error;

/// Fails if a container of our own has started this program.
///
/// When the child becomes the image's command it is still this program, and its /proc/self/exe leads
/// straight to our file on the host. An image whose Entrypoint is that link would run us in there,
/// and root of the container could then change the file by way of /proc/1/exe: it is the caller's,
/// or root's (CVE-2019-5736). A path can hide what it leads to; the kernel knows what it has started.
/// So this is for the program to find out, before it does anything else.
pub fn require_in_sight() -> Result<(), Error> {
    // Without a /proc there is no such link.
    let Some(own) = mount_of("/proc/self/exe") else { return Ok(()) };
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    // After a chroot the mount that / lies on is not listed.
    let root = mount_of("/");
    let mut seen = mounts.lines().filter_map(|line| line.split(' ').next()).chain(root.as_deref());
    if seen.any(|mount| mount == own) {
        Ok(())
    } else {
        Err(Error::new("an image may not run its own engine by way of /proc/self/exe"))
    }
}

/// The number of the mount that a file lies on (proc_pid_fdinfo(5)).
fn mount_of(path: &str) -> Option<String> {
    // O_PATH asks for no permission.
    let file = OpenOptions::new().read(true).custom_flags(libc::O_PATH).open(path).ok()?;
    let info = fs::read_to_string(format!("/proc/self/fdinfo/{}", file.as_raw_fd())).ok()?;
    let mount = info.lines().find_map(|line| line.strip_prefix("mnt_id:"))?;
    Some(mount.trim().to_string())
}
