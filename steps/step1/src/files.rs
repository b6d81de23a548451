//! The files that the caller had open, and that the child inherits.

use nix::errno::Errno;
use shared::{Error, Explain};

/// Lets the command have standard input, output and error, and no other file that happened to be
/// open in the engine's caller: an open directory of the host would be a way out of the container.
pub fn close_on_exec() -> Result<(), Error> {
    // SAFETY: files are only marked, and closed by a successful exec.
    let result = unsafe { libc::close_range(3, u32::MAX, libc::CLOSE_RANGE_CLOEXEC as i32) };
    Errno::result(result).explain("close_range from 3 on, as Linux can since 5.11").map(drop)
}
