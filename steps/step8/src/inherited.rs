//! What the child inherits from the caller, and the image must not have.

use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;

use nix::errno::Errno;
use shared::{Error, Explain};

/// Closes every file but standard input, output and error, and the lifeline, which closes on exec.
/// From here on we do what the image says, and a path in it may be /proc/self/fd/7: an open directory
/// of the host would be a way out, even before there is a command.
pub fn close_all_but(lifeline: &UnixStream) -> Result<(), Error> {
    let kept = lifeline.as_raw_fd() as u32;
    let close = |first: u32, last: u32| {
        // SAFETY: nothing that owns one of these files is used, or dropped, in the child.
        let result = unsafe { libc::close_range(first, last, 0) };
        Errno::result(result).explain("close_range from 3 on, as Linux can since 5.9").map(drop)
    };
    if kept > 3 {
        close(3, kept - 1)?;
    }
    close(kept + 1, u32::MAX)
}

/// Leaves the keys of the caller's session for an empty keyring. A process may read the keys of a
/// keyring that it has, and no namespace stands between (session-keyring(7)).
pub fn leave_keys() -> Result<(), Error> {
    let join = libc::KEYCTL_JOIN_SESSION_KEYRING;
    let no_name = std::ptr::null::<libc::c_char>();
    // SAFETY: without a name there is nothing to read.
    match Errno::result(unsafe { libc::syscall(libc::SYS_keyctl, join, no_name) }) {
        // A kernel without keys; or a filter, which the command will have, too.
        Err(Errno::ENOSYS | Errno::EPERM) => Ok(()),
        joined => joined.explain("keyctl JOIN_SESSION_KEYRING").map(drop).map_err(|error| {
            error.cure(Errno::EDQUOT, "a user has so many keys: sysctl kernel.keys.maxkeys")
        }),
    }
}
