//! The directory that entries are put into, found anew only when the next entry is elsewhere.

use std::ffi::{OsStr, OsString};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{OFlag, openat, readlinkat};
use nix::sys::stat::{FchmodatFlags, FileStat, Mode, fchmod, fchmodat, fstat, mkdirat};

use super::memory::Memory;
use super::metadata;
use super::root::{self, Root};

/// Symbolic links to nowhere on the way to one directory, as many as Linux follows (path_resolution(7)).
const MAX_LINKS: u32 = 40;

/// The mode of a directory that no entry describes, only names below it.
const IMPLIED: Mode = Mode::from_bits_truncate(0o755);

/// An open directory below the root that can be worked in.
///
/// If its mode forbids that, or the mode of one above it, these modes are others until it is left.
/// Its time of change is then again what it was.
#[derive(Debug)]
pub struct Place {
    path: OsString,
    fd: OwnedFd,
    stat: FileStat,
    /// Directories above it that were opened up, from above, and their modes.
    opened_up: Vec<(OwnedFd, Mode)>,
}

impl Place {
    /// Enters a directory that exists.
    pub fn enter(root: &Root, path: &OsStr) -> nix::Result<Place> {
        let (fd, opened_up) = match root.resolve(path, OFlag::O_RDONLY) {
            Err(Errno::EACCES) => {
                let mut opened_up = Vec::new();
                let opened = open_up(root, path, &mut opened_up)
                    .and_then(|()| root.resolve(path, OFlag::O_RDONLY));
                if opened.is_err() {
                    close_up(&opened_up)?;
                }
                (opened?, opened_up)
            }
            result => (result?, Vec::new()),
        };
        Place::new(path, fd, opened_up)
    }

    /// Enters a directory in this one; fails if it is a symbolic link.
    fn enter_below(&self, name: &OsStr) -> nix::Result<Place> {
        let flags = OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        Place::new(name, openat(self, name, flags, Mode::empty())?, Vec::new())
    }

    fn new(path: &OsStr, fd: OwnedFd, opened_up: Vec<(OwnedFd, Mode)>) -> nix::Result<Place> {
        let stat = fstat(&fd)?;
        if !metadata::mode(&stat).contains(Mode::S_IRWXU) {
            // If it is someone else's, and this no superuser, then what follows fails and tells.
            let _ = fchmod(&fd, metadata::mode(&stat) | Mode::S_IRWXU);
        }
        Ok(Place { path: path.to_owned(), fd, stat, opened_up })
    }

    /// Enters a directory, and makes what is missing on the way to it.
    pub fn enter_or_make(root: &Root, path: &OsStr, memory: &mut Memory) -> nix::Result<Place> {
        match Place::enter(root, path) {
            Err(Errno::ENOENT) => {
                make_way(root, path, memory)?;
                Place::enter(root, path)
            }
            result => result,
        }
    }

    /// Tells `memory` that the layer has something here, and so in all directories above.
    pub fn remember(&self, root: &Root, memory: &mut Memory) -> nix::Result<()> {
        let top = fstat(root)?.st_ino;
        let mut inode = self.inode();
        let mut here = None;
        while memory.shares(inode) && inode != top {
            let flags = OFlag::O_PATH | OFlag::O_CLOEXEC;
            let above = openat(here.as_ref().unwrap_or(&self.fd), "..", flags, Mode::empty());
            inode = fstat(here.insert(above?))?.st_ino;
        }
        Ok(())
    }

    /// The path that led here.
    pub fn path(&self) -> &OsStr {
        &self.path
    }

    pub fn inode(&self) -> u64 {
        self.stat.st_ino
    }

    /// Leaves it as it was, but for its new content.
    pub fn leave(self) -> nix::Result<()> {
        metadata::restore(self.fd.as_fd(), &self.stat)?;
        close_up(&self.opened_up)
    }
}

impl AsFd for Place {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// Lets the owner, who must be us, through all directories on a path; notes how they were.
fn open_up(root: &Root, path: &OsStr, opened_up: &mut Vec<(OwnedFd, Mode)>) -> nix::Result<()> {
    let parts = root::parts(path);
    for count in 1..=parts.len() {
        let fd = root.resolve(&root::join(&parts[..count]), OFlag::O_PATH)?;
        let mode = metadata::mode(&fstat(&fd)?);
        if !mode.contains(Mode::S_IRWXU) {
            change_mode(fd.as_fd(), mode | Mode::S_IRWXU)?;
            opened_up.push((fd, mode));
        }
    }
    Ok(())
}

/// Makes them as they were, from below.
fn close_up(opened_up: &[(OwnedFd, Mode)]) -> nix::Result<()> {
    opened_up.iter().rev().try_for_each(|(fd, mode)| change_mode(fd.as_fd(), *mode))
}

/// As fchmod, but for a directory that may not be read (O_PATH).
fn change_mode(dir: BorrowedFd, mode: Mode) -> nix::Result<()> {
    use std::fs::{Permissions, set_permissions};
    use std::os::unix::fs::PermissionsExt;
    set_permissions(root::proc_path(dir), Permissions::from_mode(mode.bits()))
        .map_err(|error| Errno::try_from(error).unwrap_or(Errno::EIO))
}

/// Makes the directories that are missing on a path. A symbolic link to nowhere gets its target
/// made, as umoci and containerd do it.
fn make_way(root: &Root, path: &OsStr, memory: &mut Memory) -> nix::Result<()> {
    let mut path = path.to_owned();
    for _ in 0..MAX_LINKS {
        match make_way_to_link(root, &path, memory)? {
            None => return Ok(()),
            Some(other) => path = other,
        }
    }
    Err(Errno::ELOOP)
}

/// The same up to a symbolic link to nowhere: gives the path with the link replaced by its target.
fn make_way_to_link(
    root: &Root,
    path: &OsStr,
    memory: &mut Memory,
) -> nix::Result<Option<OsString>> {
    // Not cleaned by us: what `..` means after a link, the kernel knows.
    let parts: Vec<&OsStr> = Path::new(path).iter().filter(|part| *part != "/").collect();
    let mut above = Place::enter(root, OsStr::new(""))?;
    above.remember(root, memory)?;
    for (i, name) in parts.iter().enumerate() {
        let below = if *name == ".." { Err(Errno::ELOOP) } else { above.enter_below(name) };
        let entered = match below {
            Err(Errno::ENOENT) if make_directory(&above, name)? => {
                let made = above.enter_below(name)?;
                memory.made(made.inode());
                Ok(made)
            }
            // A link, `..`, or a directory that can be read only when those above it are opened up.
            Err(_) => Place::enter(root, &root::join(&parts[..=i])),
            entered => entered,
        };
        if entered.as_ref().is_err_and(|errno| *errno == Errno::ENOENT) {
            let target = PathBuf::from(readlinkat(&above, *name)?);
            above.leave()?;
            let before =
                if target.is_absolute() { OsString::new() } else { root::join(&parts[..i]) };
            let after = root::join(&parts[i + 1..]);
            return Ok(Some(root::join(&[&before, target.as_os_str(), &after])));
        }
        let entered = entered?;
        // All of them will hold something of this layer. Now the way up is still open.
        entered.remember(root, memory)?;
        above.leave()?;
        above = entered;
    }
    above.leave().map(|()| None)
}

/// Makes one directory; false if something was there.
fn make_directory(place: &Place, name: &OsStr) -> nix::Result<bool> {
    match mkdirat(place, name, Mode::S_IRWXU) {
        // Whatever the umask is.
        Ok(()) => fchmodat(place, name, IMPLIED, FchmodatFlags::FollowSymlink).map(|()| true),
        Err(Errno::EEXIST) => Ok(false),
        Err(errno) => Err(errno),
    }
}
