//! Owners, modes, times and extended attributes.

use std::ffi::OsStr;
use std::os::fd::BorrowedFd;
use std::os::unix::ffi::OsStrExt;

use archive::{Entry, Kind};
use nix::errno::Errno;
use nix::fcntl::AtFlags;
use nix::sys::stat::{FchmodatFlags, Mode, UtimensatFlags, fchmodat, utimensat};
use nix::sys::time::TimeSpec;
use nix::unistd::{Gid, Uid, fchownat};
use shared::{Error, Explain};

use super::{Owners, Report};

/// Attributes that are not the image's: the label that the host's policy gives, what a server keeps,
/// and the overlay file system's notes, by which a layer could change what another one shows.
const NOT_OURS: [&[u8]; 4] =
    [b"security.selinux", b"system.nfs4_acl", b"trusted.overlay.", b"user.overlay."];

/// Gives `name`, which this layer has just made or entered, what the entry says of it.
///
/// The owner comes first: chown(2) clears the bits setuid and setgid and a file's capabilities.
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
    for (key, value) in entry.xattrs.iter().filter(|(key, _)| !is_not_ours(key)) {
        let is_set = tree::set_attribute(dir, name, key, value)
            .explain(format_args!("set the attribute {key:?} of {:?}", entry.name))?;
        report.lost_xattrs += u64::from(!is_set);
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

/// Whether an attribute is one that no layer may set or take away.
pub fn is_not_ours(key: &OsStr) -> bool {
    NOT_OURS.iter().any(|prefix| key.as_bytes().starts_with(prefix))
}
