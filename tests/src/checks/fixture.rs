//! Files that the checks look for, on the host's side and in the root filesystem.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use nix::mount::{MsFlags, mount};

/// The default root filesystem, where the checks run.
pub const ROOTFS: &str = "/slipway/rootfs";

/// Is in the file /fixture/where on the host.
pub const OUTSIDE: &str = "on the host";
/// Is in the file /fixture/where of the root filesystem.
pub const INSIDE: &str = "in the root filesystem";

/// Makes the files, again if need be. The machine must be the VM.
pub fn prepare() -> io::Result<()> {
    // As systemd does on real machines: otherwise a missing MS_PRIVATE would go unnoticed.
    let flags = MsFlags::MS_REC | MsFlags::MS_SHARED;
    mount(None::<&str>, "/", None::<&str>, flags, None::<&str>)?;
    for (root, place) in [("/", OUTSIDE), (ROOTFS, INSIDE)] {
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
