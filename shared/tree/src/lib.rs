//! Directories by their descriptors: what is in one, making the way to one, removing a tree of any depth, extended
//! attributes.
//!
//! A path can lead elsewhere by the time it is used, an open directory can't. The names here are of one part, and a
//! symbolic link is never followed.

mod way;

use std::ffi::{OsStr, OsString};
use std::fs::{self, ReadDir};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use nix::fcntl::{OFlag, openat};
use nix::sys::stat::{FileStat, Mode, SFlag, fstat, futimens};
use nix::sys::time::TimeSpec;
use nix::unistd::{UnlinkatFlags, unlinkat};

pub use way::make_way;

/// A path to an open directory, for the calls that take no descriptor.
pub fn path_of(dir: BorrowedFd) -> PathBuf {
    PathBuf::from(format!("/proc/self/fd/{}", dir.as_raw_fd()))
}

/// What is in an open directory.
///
/// # Errors
///
/// Those of opendir(3).
pub fn list(dir: BorrowedFd) -> io::Result<ReadDir> {
    fs::read_dir(path_of(dir))
}

/// Whether this is a directory, as stat(2) sees it.
pub fn is_directory(stat: &FileStat) -> bool {
    SFlag::from_bits_truncate(stat.st_mode) & SFlag::S_IFMT == SFlag::S_IFDIR
}

/// Gives a directory back its time of change.
///
/// # Errors
///
/// Those of utimensat(2).
pub fn restore_time(dir: BorrowedFd, stat: &FileStat) -> nix::Result<()> {
    futimens(dir, &TimeSpec::UTIME_OMIT, &TimeSpec::new(stat.st_mtime, stat.st_mtime_nsec))
}

/// A directory on the way down.
struct Level {
    name: OsString,
    stat: FileStat,
    /// Directories in it that are still to be done.
    below: Vec<OsString>,
}

/// Removes the directory `name` in `dir`, and all below it.
///
/// `empty` removes the files of an open directory, whose inode number it gets as well, and gives the names of the
/// directories in it. For a directory that is to remain `stays` says so by its inode number; it gets its time back.
///
/// A tree may be deeper than this process has stack or file descriptors. So there is no recursion, one directory is
/// open at a time, and its `..` is the way back.
///
/// # Errors
///
/// Those of `empty`, openat(2) and unlinkat(2). Then part of the tree is removed.
pub fn remove(
    dir: BorrowedFd,
    name: &OsStr,
    empty: &dyn Fn(BorrowedFd, u64) -> io::Result<Vec<OsString>>,
    stays: &dyn Fn(u64) -> bool,
) -> io::Result<()> {
    let mut here = dir.try_clone_to_owned()?;
    let mut levels: Vec<Level> = Vec::new();
    let mut next = Some(name.to_owned());
    loop {
        if let Some(name) = next {
            here = open(here.as_fd(), &name, OFlag::O_NOFOLLOW)?;
            let stat = fstat(&here)?;
            let below = empty(here.as_fd(), stat.st_ino)?;
            levels.push(Level { name, stat, below });
        } else {
            let level = levels.pop().expect("there is one, or we were done");
            let is_to_stay = stays(level.stat.st_ino);
            if is_to_stay {
                restore_time(here.as_fd(), &level.stat)?;
            }
            here = if levels.is_empty() {
                dir.try_clone_to_owned()?
            } else {
                open(here.as_fd(), OsStr::new(".."), OFlag::empty())?
            };
            if !is_to_stay {
                unlinkat(&here, level.name.as_os_str(), UnlinkatFlags::RemoveDir)?;
            }
        }
        match levels.last_mut() {
            Some(level) => next = level.below.pop(),
            None => return Ok(()),
        }
    }
}

fn open(dir: BorrowedFd, name: &OsStr, flags: OFlag) -> nix::Result<OwnedFd> {
    openat(dir, name, flags | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC, Mode::empty())
}

/// Sets an extended attribute of the file `name` in `dir`. False: this file system or this user can't have it.
///
/// # Errors
///
/// Those of setxattr(2), but for EPERM and ENOTSUP.
pub fn set_attribute(dir: BorrowedFd, name: &OsStr, key: &OsStr, value: &[u8]) -> io::Result<bool> {
    match xattr::set(below(dir, name), key, value) {
        Err(error) if cannot_be_had(&error) => Ok(false),
        result => result.map(|()| true),
    }
}

/// Takes away the extended attributes of the file `name` in `dir`, but for those that `keep` says.
///
/// # Errors
///
/// Those of listxattr(2) and removexattr(2). What this user can't take away it can't have set, either: that is no error.
pub fn clear_attributes(
    dir: BorrowedFd,
    name: &OsStr,
    keep: impl Fn(&OsStr) -> bool,
) -> io::Result<()> {
    let path = below(dir, name);
    let keys = match xattr::list(&path) {
        Err(error) if cannot_be_had(&error) => return Ok(()),
        keys => keys?,
    };
    for key in keys.filter(|key| !keep(key)) {
        match xattr::remove(&path, key) {
            Err(error) if cannot_be_had(&error) => {}
            result => result?,
        }
    }
    Ok(())
}

/// There are no calls for attributes that take a directory and a name (before Linux 6.13).
fn below(dir: BorrowedFd, name: &OsStr) -> PathBuf {
    path_of(dir).join(Path::new(name))
}

fn cannot_be_had(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EPERM | libc::ENOTSUP | libc::ENODATA))
}
