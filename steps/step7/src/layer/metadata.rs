//! Owners, modes, times and extended attributes.

use std::ffi::{CString, OsStr};
use std::os::fd::BorrowedFd;
use std::os::unix::ffi::OsStrExt;

use archive::{Entry, Kind};
use nix::errno::Errno;
use nix::fcntl::AtFlags;
use nix::sys::stat::{
    FchmodatFlags, FileStat, Mode, UtimensatFlags, fchmod, fchmodat, futimens, utimensat,
};
use nix::sys::time::TimeSpec;
use nix::unistd::{Gid, Uid, fchownat};
use shared::{Error, Explain};

use super::root;
use super::{Owners, Report};

/// Attributes that are not the image's: the label that the host's policy gives, what a server keeps,
/// and the overlay file system's notes, by which a layer could change what another one shows.
const NOT_OURS: [&[u8]; 4] =
    [b"security.selinux", b"system.nfs4_acl", b"trusted.overlay.", b"user.overlay."];

/// Gives `name`, which this layer has just made or entered, what the entry says of it.
///
/// The order matters: chown(2) clears the bits setuid and setgid and a file's capabilities; and an
/// ordinary user may not set attributes on a file any more that has become read-only.
pub fn set(
    dir: BorrowedFd,
    name: &OsStr,
    entry: &Entry,
    owners: Owners,
    report: &mut Report,
) -> Result<(), Error> {
    match owners {
        Owners::Numeric => {
            let (uid, gid) = (Uid::from_raw(entry.uid), Gid::from_raw(entry.gid));
            fchownat(dir, name, Some(uid), Some(gid), AtFlags::AT_SYMLINK_NOFOLLOW)
                .explain(format_args!("chown {:?} to {uid}:{gid}", entry.name))
                .map_err(|error| error.cure(Errno::EINVAL, "the user namespace has no such id"))
                .map_err(|error| error.cure(Errno::EPERM, "only root may, or a user namespace"))?;
        }
        Owners::Caller => report.lost_owners += u64::from((entry.uid, entry.gid) != (0, 0)),
    }
    for (key, value) in &entry.xattrs {
        report.lost_xattrs += u64::from(!set_xattr(dir, name, entry, key, value)?);
    }
    // A symbolic link has no mode of its own. Everything else is no link: we have just seen to it.
    if entry.kind != Kind::Symlink {
        let mode = Mode::from_bits_truncate(entry.mode);
        fchmodat(dir, name, mode, FchmodatFlags::FollowSymlink)
            .explain(format_args!("chmod {:?} to {mode:o}", entry.name))?;
    }
    utimensat(dir, name, &TimeSpec::UTIME_OMIT, &entry.mtime, UtimensatFlags::NoFollowSymlink)
        .explain(format_args!("set the time of {:?}", entry.name))
}

/// Sets one attribute; false if this file system or this user can't have it.
fn set_xattr(
    dir: BorrowedFd,
    name: &OsStr,
    entry: &Entry,
    key: &OsStr,
    value: &[u8],
) -> Result<bool, Error> {
    if NOT_OURS.iter().any(|prefix| key.as_bytes().starts_with(prefix)) {
        return Ok(true);
    }
    let (path, c_key) = (path_of(dir, name), to_c(key));
    // SAFETY: two strings that end with NUL, and as many bytes as the length says; all outlive the
    // call, which only reads them.
    let result = unsafe {
        libc::lsetxattr(path.as_ptr(), c_key.as_ptr(), value.as_ptr().cast(), value.len(), 0)
    };
    match Errno::result(result) {
        Ok(_) => Ok(true),
        Err(Errno::EPERM | Errno::ENOTSUP) => Ok(false),
        Err(errno) => {
            Err(errno).explain(format_args!("set the attribute {key:?} of {:?}", entry.name))
        }
    }
}

/// Takes away a directory's attributes, before it gets a later layer's.
pub fn clear_xattrs(dir: BorrowedFd, name: &OsStr) -> nix::Result<()> {
    let path = path_of(dir, name);
    let mut keys = vec![0u8; 64 * 1024]; // XATTR_LIST_MAX
    // SAFETY: the kernel writes at most the length that it is told, into memory that is ours.
    let size = unsafe { libc::llistxattr(path.as_ptr(), keys.as_mut_ptr().cast(), keys.len()) };
    let size = match Errno::result(size) {
        Err(Errno::ENOTSUP) => return Ok(()),
        result => result? as usize,
    };
    for key in keys[..size].split(|byte| *byte == 0).filter(|key| !key.is_empty()) {
        if NOT_OURS.iter().any(|prefix| key.starts_with(prefix)) {
            continue;
        }
        let key = to_c(OsStr::from_bytes(key));
        // SAFETY: two strings that end with NUL and outlive the call, which only reads them.
        match Errno::result(unsafe { libc::lremovexattr(path.as_ptr(), key.as_ptr()) }) {
            // What this user can't take away it can't have set, either.
            Ok(_) | Err(Errno::EPERM | Errno::ENOTSUP | Errno::ENODATA) => {}
            Err(errno) => return Err(errno),
        }
    }
    Ok(())
}

/// Gives a directory back its mode and its time of change.
pub fn restore(dir: BorrowedFd, stat: &FileStat) -> nix::Result<()> {
    if !mode(stat).contains(Mode::S_IRWXU) {
        fchmod(dir, mode(stat))?;
    }
    futimens(dir, &TimeSpec::UTIME_OMIT, &TimeSpec::new(stat.st_mtime, stat.st_mtime_nsec))
}

/// The permissions, with setuid, setgid and sticky.
pub fn mode(stat: &FileStat) -> Mode {
    Mode::from_bits_truncate(stat.st_mode)
}

/// There are no calls for attributes that take a directory and a name (before Linux 6.13).
fn path_of(dir: BorrowedFd, name: &OsStr) -> CString {
    let mut path = root::proc_path(dir).into_bytes();
    path.push(b'/');
    path.extend_from_slice(name.as_bytes());
    to_c(OsStr::from_bytes(&path))
}

fn to_c(text: &OsStr) -> CString {
    CString::new(text.as_bytes()).expect("names with NUL were refused or cut off there")
}
