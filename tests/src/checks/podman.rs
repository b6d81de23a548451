//! Podman, which the checks put the same questions to. It is in the VM for that.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::engine::Outcome;
use super::failure::Failure;

/// A root filesystem for podman's containers, with the program that the checks ask.
pub struct Podman {
    root: PathBuf,
}

impl Podman {
    /// Makes it.
    pub fn new() -> Result<Podman, Failure> {
        let podman = Podman { root: "/tmp/of-podman".into() };
        fs::create_dir_all(podman.root.join("bin"))?;
        podman.add("bin/probe")?;
        Ok(podman)
    }

    /// Puts the program into the root filesystem once more, by another name; gives its path there.
    pub fn add(&self, name: &str) -> Result<PathBuf, Failure> {
        let path = self.root.join(name);
        fs::copy("/slipway/bin/probe", &path)?;
        Ok(path)
    }

    /// Puts a shell into it.
    pub fn add_shell(&self) -> Result<(), Failure> {
        fs::copy("/bin/busybox", self.root.join("bin/sh")).map(drop).map_err(Failure::from)
    }

    /// Runs a command with these options, as root.
    pub fn run<S: AsRef<OsStr>>(
        &self,
        options: &[S],
        command: &[&str],
    ) -> Result<Outcome, Failure> {
        let mut podman = Command::new("podman");
        podman.args(["--storage-driver=vfs", "--cgroup-manager=cgroupfs"]);
        podman.args(["run", "--rm", "--network=none"]);
        podman.arg("--log-driver=none").args(options).arg("--rootfs").arg(&self.root).args(command);
        Outcome::of(podman, b"")
    }
}

/// What podman leaves for the next time goes, too: nothing here lasts.
impl Drop for Podman {
    fn drop(&mut self) {
        for left in ["/run/containers", "/run/crun", "/run/libpod"].map(Path::new) {
            let _ = fs::remove_dir_all(left);
        }
        let _ = fs::remove_dir_all(&self.root);
        for group in ["libpod_parent/conmon", "libpod_parent"] {
            let _ = fs::remove_dir(Path::new("/sys/fs/cgroup").join(group));
        }
    }
}
