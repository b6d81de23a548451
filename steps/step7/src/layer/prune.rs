//! Removing what was there: files that are replaced, and what whiteouts hide.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag, openat};
use nix::sys::stat::{FchmodatFlags, FileStat, Mode, SFlag, fchmodat, fstatat};
use nix::unistd::{UnlinkatFlags, unlinkat};

use super::memory::{Memory, Whose};
use super::metadata;
use super::root;

/// What the owner must be allowed to do with a directory for this process to work in it.
const ALL_OWNERS: Mode = Mode::S_IRWXU;

/// Removes `name` and all that is below it.
pub fn remove(dir: BorrowedFd, name: &OsStr) -> io::Result<()> {
    match unlinkat(dir, name, UnlinkatFlags::NoRemoveDir) {
        Err(Errno::EISDIR) => remove_tree(dir, name, &Memory::default()),
        result => Ok(result?),
    }
}

/// Removes what earlier layers have put at `name`, if anything.
pub fn hide(dir: BorrowedFd, inode: u64, name: &OsStr, memory: &Memory) -> io::Result<()> {
    match fstatat(dir, name, AtFlags::AT_SYMLINK_NOFOLLOW) {
        Err(Errno::ENOENT) => Ok(()),
        Err(errno) => Err(errno.into()),
        Ok(stat) if is_directory(&stat) => remove_tree(dir, name, memory),
        Ok(_) if memory.has(inode, name) => Ok(()),
        Ok(_) => Ok(unlinkat(dir, name, UnlinkatFlags::NoRemoveDir)?),
    }
}

/// Removes what earlier layers have put into the directory.
pub fn hide_all(dir: BorrowedFd, inode: u64, memory: &Memory) -> io::Result<()> {
    for name in remove_files(dir, inode, memory)? {
        remove_tree(dir, &name, memory)?;
    }
    Ok(())
}

/// A directory on the way down.
struct Level {
    name: OsString,
    stat: FileStat,
    /// Directories in it that are still to be done.
    below: Vec<OsString>,
    /// It holds something that must stay.
    stays: bool,
}

/// Removes a directory, but for what `memory` knows.
///
/// A tree may be deeper than this process has stack or file descriptors. So there is no recursion,
/// one directory is open at a time, and its `..` is the way back.
fn remove_tree(dir: BorrowedFd, name: &OsStr, memory: &Memory) -> io::Result<()> {
    let mut here = dir.try_clone_to_owned()?;
    let mut levels: Vec<Level> = Vec::new();
    let mut next = Some(name.to_owned());
    loop {
        if let Some(name) = next {
            let (fd, stat) = enter(here.as_fd(), &name)?;
            here = fd;
            let below = remove_files(here.as_fd(), stat.st_ino, memory)?;
            let stays = memory.whose(stat.st_ino).is_some();
            levels.push(Level { name, stat, below, stays });
        } else {
            let level = levels.pop().expect("there is one, or we were done");
            if level.stays {
                metadata::restore(here.as_fd(), &level.stat)?;
            }
            here = if levels.is_empty() {
                dir.try_clone_to_owned()?
            } else {
                openat(&here, "..", OFlag::O_DIRECTORY | OFlag::O_CLOEXEC, Mode::empty())?
            };
            if !level.stays {
                unlinkat(&here, level.name.as_os_str(), UnlinkatFlags::RemoveDir)?;
            }
        }
        match levels.last_mut() {
            Some(level) => next = level.below.pop(),
            None => return Ok(()),
        }
    }
}

/// Opens a directory, which may forbid even its owner to read or change it; and says how it was.
fn enter(dir: BorrowedFd, name: &OsStr) -> nix::Result<(OwnedFd, FileStat)> {
    let stat = fstatat(dir, name, AtFlags::AT_SYMLINK_NOFOLLOW)?;
    let mode = metadata::mode(&stat);
    if is_directory(&stat) && !mode.contains(ALL_OWNERS) {
        // It is no symbolic link: that was just seen. If it's someone else's, what follows tells.
        let _ = fchmodat(dir, name, mode | ALL_OWNERS, FchmodatFlags::FollowSymlink);
    }
    let flags = OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    Ok((openat(dir, name, flags, Mode::empty())?, stat))
}

/// Removes the files in a directory that are not `memory`'s, and gives its directories.
fn remove_files(dir: BorrowedFd, inode: u64, memory: &Memory) -> io::Result<Vec<OsString>> {
    let mut directories = Vec::new();
    if memory.whose(inode) == Some(Whose::New) {
        return Ok(directories);
    }
    for entry in root::list(dir)? {
        let entry = entry?;
        let name = entry.file_name();
        if entry.file_type()?.is_dir() {
            directories.push(name);
        } else if !memory.has(inode, &name) {
            unlinkat(dir, name.as_os_str(), UnlinkatFlags::NoRemoveDir)?;
        }
    }
    Ok(directories)
}

pub fn is_directory(stat: &FileStat) -> bool {
    SFlag::from_bits_truncate(stat.st_mode) & SFlag::S_IFMT == SFlag::S_IFDIR
}
