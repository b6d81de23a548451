//! Making the directories that are missing on a path.

use std::ffi::OsStr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{OFlag, readlinkat};
use nix::sys::stat::{FchmodatFlags, Mode, fchmodat, fstat, mkdirat};

use crate::{open, restore_time};

/// Symbolic links to nowhere on the way to one directory, as many as Linux follows (path_resolution(7)).
const MAX_LINKS: u32 = 40;

/// Makes the directories that are missing on a path. A symbolic link to nowhere gets its target made, as umoci and
/// containerd do it. A directory in which one was made keeps its time of change.
///
/// `resolve` opens a path, and decides where `/`, `..` and symbolic links lead. New directories have `mode`, whatever
/// the umask is. `made` hears of each of them: the directory above it, open, and its own inode number.
///
/// # Errors
///
/// Those of `resolve`, `made`, mkdirat(2) and readlinkat(2). ELOOP: too many links to nowhere.
pub fn make_way(
    resolve: &dyn Fn(&Path) -> nix::Result<OwnedFd>,
    path: &Path,
    mode: Mode,
    made: &mut dyn FnMut(BorrowedFd, u64) -> nix::Result<()>,
) -> nix::Result<()> {
    let mut path = path.to_owned();
    for _ in 0..MAX_LINKS {
        match make_until_link(resolve, &path, mode, made)? {
            None => return Ok(()),
            Some(other) => path = other,
        }
    }
    Err(Errno::ELOOP)
}

/// The same up to a symbolic link to nowhere: gives the path with the link replaced by its target.
fn make_until_link(
    resolve: &dyn Fn(&Path) -> nix::Result<OwnedFd>,
    path: &Path,
    mode: Mode,
    made: &mut dyn FnMut(BorrowedFd, u64) -> nix::Result<()>,
) -> nix::Result<Option<PathBuf>> {
    // Not cleaned by us: what `..` means after a link, the kernel knows.
    let parts: Vec<&OsStr> = path.iter().filter(|part| *part != "/").collect();
    let mut above = resolve(Path::new(""))?;
    for (i, name) in parts.iter().enumerate() {
        let opened = match enter(above.as_fd(), name) {
            Err(Errno::ENOENT) if make(above.as_fd(), name, mode)? => {
                let below = enter(above.as_fd(), name)?;
                made(above.as_fd(), fstat(&below)?.st_ino)?;
                Ok(below)
            }
            // A symbolic link, or `..`.
            Err(_) => resolve(&parts[..=i].iter().collect::<PathBuf>()),
            entered => entered,
        };
        if opened.as_ref().is_err_and(|errno| *errno == Errno::ENOENT) {
            let target = PathBuf::from(readlinkat(&above, *name)?);
            // Joined to anything, an absolute target is all that is left.
            let before: PathBuf = parts[..i].iter().collect();
            let after: PathBuf = parts[i + 1..].iter().collect();
            return Ok(Some(before.join(target).join(after)));
        }
        above = opened?;
    }
    Ok(None)
}

/// Opens a directory in another. A symbolic link is an error, and so is the way up.
fn enter(above: BorrowedFd, name: &OsStr) -> nix::Result<OwnedFd> {
    if name == ".." { Err(Errno::ELOOP) } else { open(above, name, OFlag::O_NOFOLLOW) }
}

/// Makes one directory; false if something was there.
fn make(above: BorrowedFd, name: &OsStr, mode: Mode) -> nix::Result<bool> {
    let stat = fstat(above)?;
    match mkdirat(above, name, Mode::S_IRWXU) {
        Ok(()) => {
            fchmodat(above, name, mode, FchmodatFlags::FollowSymlink)?;
            restore_time(above, &stat).map(|()| true)
        }
        Err(Errno::EEXIST) => Ok(false),
        Err(errno) => Err(errno),
    }
}
