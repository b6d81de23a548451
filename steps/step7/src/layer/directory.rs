//! The directory that entries are put into. It is found anew only when the next entry is elsewhere.

use std::ffi::{OsStr, OsString};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use nix::errno::Errno;
use nix::fcntl::{OFlag, openat};
use nix::sys::stat::{FileStat, Mode, fstat};

use super::memory::Memory;
use super::root::Root;

/// An open directory below the root.
#[derive(Debug)]
pub struct Directory {
    path: OsString,
    fd: OwnedFd,
    stat: FileStat,
}

impl Directory {
    /// Opens a directory that exists.
    pub fn enter(root: &Root, path: &OsStr) -> nix::Result<Directory> {
        let fd = root.resolve(path, OFlag::O_RDONLY)?;
        Ok(Directory { path: path.to_owned(), stat: fstat(&fd)?, fd })
    }

    /// Opens a directory, makes what is missing on the way to it, and tells `memory` that the layer
    /// has something there.
    pub fn enter_or_make(root: &Root, path: &OsStr, memory: &mut Memory) -> nix::Result<Directory> {
        let directory = match Directory::enter(root, path) {
            Err(Errno::ENOENT) => {
                // The mode of a directory that no entry describes, only names below it.
                let mode = Mode::from_bits_truncate(0o755);
                let resolve = |path: &Path| root.resolve(path.as_os_str(), OFlag::O_RDONLY);
                tree::make_way(&resolve, Path::new(path), mode, &mut |above, made| {
                    memory.made(made);
                    remember(root, above, memory)
                })?;
                Directory::enter(root, path)?
            }
            result => result?,
        };
        remember(root, directory.as_fd(), memory)?;
        Ok(directory)
    }

    /// The path that led here.
    pub fn path(&self) -> &OsStr {
        &self.path
    }

    pub fn inode(&self) -> u64 {
        self.stat.st_ino
    }

    /// Leaves it. What was made and removed in it has changed its time, which is not the archive's:
    /// so it gets back the one that it had.
    pub fn leave(self) -> nix::Result<()> {
        tree::restore_time(self.fd.as_fd(), &self.stat)
    }
}

impl AsFd for Directory {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// Tells `memory` that the layer has something in a directory, and so in all directories above.
fn remember(root: &Root, dir: BorrowedFd, memory: &mut Memory) -> nix::Result<()> {
    let top = fstat(root)?.st_ino;
    let mut inode = fstat(dir)?.st_ino;
    let mut above = None;
    while memory.shares(inode) && inode != top {
        let flags = OFlag::O_PATH | OFlag::O_CLOEXEC;
        let here = above.as_ref().map_or(dir, OwnedFd::as_fd);
        let next = openat(here, "..", flags, Mode::empty())?;
        inode = fstat(&next)?.st_ino;
        above = Some(next);
    }
    Ok(())
}
