//! Removing what was there: files that are replaced, and what whiteouts hide.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::BorrowedFd;

use nix::errno::Errno;
use nix::fcntl::AtFlags;
use nix::sys::stat::fstatat;
use nix::unistd::{UnlinkatFlags, unlinkat};

use super::memory::{Memory, Whose};

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
        Ok(stat) if tree::is_directory(&stat) => remove_tree(dir, name, memory),
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

/// Removes a directory, but for what `memory` knows.
fn remove_tree(dir: BorrowedFd, name: &OsStr, memory: &Memory) -> io::Result<()> {
    let empty = |dir: BorrowedFd, inode| remove_files(dir, inode, memory);
    tree::remove(dir, name, &empty, &|inode| memory.whose(inode).is_some())
}

/// Removes the files in a directory that are not `memory`'s, and gives its directories.
fn remove_files(dir: BorrowedFd, inode: u64, memory: &Memory) -> io::Result<Vec<OsString>> {
    let mut directories = Vec::new();
    if memory.whose(inode) == Some(Whose::New) {
        return Ok(directories);
    }
    for entry in tree::list(dir)? {
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
