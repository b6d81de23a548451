//! Where the bench works: its programs, its folder, the images and the registry that its rows share.

use std::cell::OnceCell;
use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::Command;

use nix::unistd::geteuid;

use crate::images::{self, Images};
use crate::registry::Registry;

/// The ordinary user of the rows for one: a number that is in no /etc/passwd and no /etc/subuid.
const ORDINARY: u32 = 47_110;

/// What all rows work with.
pub struct Bench {
    /// An empty folder that is removed when the bench has ended.
    pub scratch: PathBuf,
    /// The checkout.
    pub checkout: PathBuf,
    /// Few repetitions, small images.
    pub is_short: bool,
    registry: PathBuf,
    images: OnceCell<Images>,
    server: OnceCell<Registry>,
}

impl Bench {
    /// `programs` are the steps and the floor.
    pub fn new(
        scratch: PathBuf,
        checkout: PathBuf,
        programs: &[PathBuf],
        registry: PathBuf,
        is_short: bool,
    ) -> Result<Bench, String> {
        // An ordinary user must be able to run them, wherever the checkout is.
        let bin = scratch.join("bin");
        let copied = fs::create_dir_all(&bin)
            .and_then(|()| fs::set_permissions(&scratch, fs::Permissions::from_mode(0o755)));
        copied.map_err(|error| format!("cannot work in {scratch:?}: {error}"))?;
        for program in programs {
            fs::copy(program, bin.join(program.file_name().unwrap_or_default()))
                .map_err(|error| format!("cannot copy {program:?}: {error}"))?;
        }
        let (images, server) = (OnceCell::new(), OnceCell::new());
        Ok(Bench { scratch, checkout, is_short, registry, images, server })
    }

    /// A program of ours.
    pub fn program(&self, name: &str) -> Command {
        Command::new(self.scratch.join("bin").join(name))
    }

    /// The busybox root filesystem.
    pub fn rootfs(&self) -> PathBuf {
        self.scratch.join("rootfs")
    }

    /// A file or folder of this run.
    pub fn path(&self, name: &str) -> PathBuf {
        self.scratch.join(name)
    }

    /// Images, of which the first is made of the root filesystem.
    pub fn images(&self) -> Result<&Images, String> {
        if let Some(images) = self.images.get() {
            return Ok(images);
        }
        let make = || {
            let images = Images::new(self.path("images"))?;
            let layer = images.layer(|tar| images::add_tree(tar, &self.rootfs()))?;
            images.image("busybox", &[layer])?;
            std::io::Result::Ok(images)
        };
        let images = make().map_err(|error| format!("cannot make images: {error}"))?;
        Ok(self.images.get_or_init(|| images))
    }

    /// The registry that has them. An image that is made later is there as well.
    pub fn server(&self) -> Result<&Registry, String> {
        if let Some(server) = self.server.get() {
            return Ok(server);
        }
        let server = Registry::start(&self.registry, &self.images()?.storage(), &self.scratch)?;
        Ok(self.server.get_or_init(|| server))
    }

    /// The name of an image, for a pull.
    pub fn name(&self, image: &str) -> Result<String, String> {
        Ok(format!("{}/{image}:latest", self.server()?.address))
    }

    /// Lets an ordinary user run a command: the caller, or, of root's, one without a name.
    pub fn as_ordinary<'a>(&self, command: &'a mut Command) -> &'a mut Command {
        if geteuid().is_root() {
            command.uid(ORDINARY).gid(ORDINARY).env("HOME", "/")
        } else {
            command
        }
    }

    /// A folder that belongs to that user.
    pub fn folder_of_ordinary(&self, name: &str) -> Result<PathBuf, String> {
        let path = self.path(name);
        let mut made = fs::create_dir_all(&path);
        if geteuid().is_root() {
            made = made.and_then(|()| chown(&path, Some(ORDINARY), Some(ORDINARY)));
        }
        made.map_err(|error| format!("cannot make {path:?}: {error}"))?;
        Ok(path)
    }
}

/// Whether a program is on PATH.
pub fn is_installed(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|place| place.join(program).is_file())
}
