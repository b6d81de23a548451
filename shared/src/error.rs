//! Errors as the reader sees them, and Docker's exit statuses.

use std::fmt::{self, Display};
use std::io;
use std::path::Path;

use nix::errno::Errno;
use nix::unistd::geteuid;

/// Exit status when the engine itself failed, wrong usage included (as `docker run`).
pub const ENGINE_FAILED: u8 = 125;

/// Why a step ends before its command could: one line for a person, and the exit status.
#[derive(Debug)]
pub struct Error {
    message: String,
    errno: Option<Errno>,
    status: u8,
}

impl Error {
    /// An error of the engine (status 125) that no system call reported.
    pub fn new(message: impl Into<String>) -> Error {
        Error { message: message.into(), errno: None, status: ENGINE_FAILED }
    }

    /// The error of a system call: see [`Explain::explain`].
    pub(crate) fn failed(what: impl Display, errno: Errno) -> Error {
        let message = format!("cannot {what}: {}", errno.desc());
        Error { message, errno: Some(errno), status: ENGINE_FAILED }
    }

    /// The same with another exit status.
    pub fn with_status(mut self, status: u8) -> Error {
        self.status = status;
        self
    }

    /// Adds what mends it, in brackets, if the call failed with `errno`.
    pub fn cure(self, errno: Errno, cure: &str) -> Error {
        if self.errno == Some(errno) { self.note(cure) } else { self }
    }

    /// Adds what was seen, or what mends it, in brackets.
    pub(crate) fn note(mut self, note: &str) -> Error {
        self.message = format!("{} ({note})", self.message);
        self
    }

    /// Adds, if there was no room, where there is none.
    pub fn name_full(self, place: &Path) -> Error {
        self.cure(Errno::ENOSPC, &format!("the file system of {place:?} is full"))
    }

    /// The cures for a call that only a fully privileged process may make.
    pub fn suggest_root(self) -> Error {
        let cure = if !geteuid().is_root() {
            "only root may: use sudo or `./just step`"
        } else {
            "root has lost this right, as in a container: use `./just vm`"
        };
        self.cure(Errno::EPERM, cure).cure(
            Errno::ENOSYS,
            "Linux before 5.11, or a container's seccomp filter: use `./just vm`",
        )
    }

    /// What the system call reported; None if there was none.
    pub fn errno(&self) -> Option<Errno> {
        self.errno
    }

    /// The exit status that the process should end with, 125 to 127.
    pub fn status(&self) -> u8 {
        self.status
    }
}

impl Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(&self.message)
    }
}

/// Turns the result of a system call into one that a person can act on.
pub trait Explain<T> {
    /// Names the call and its object: `explain("mount /proc")` reads
    /// "cannot mount /proc: Operation not permitted".
    fn explain(self, what: impl Display) -> Result<T, Error>;
}

impl<T> Explain<T> for Result<T, Errno> {
    fn explain(self, what: impl Display) -> Result<T, Error> {
        self.map_err(|errno| Error::failed(what, errno))
    }
}

impl<T> Explain<T> for io::Result<T> {
    fn explain(self, what: impl Display) -> Result<T, Error> {
        self.map_err(|error| match Errno::try_from(error) {
            Ok(errno) => Error::failed(what, errno),
            Err(error) => Error::new(format!("cannot {what}: {error}")),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_names_call_object_and_cause() {
        let error = Err::<(), _>(Errno::EBUSY).explain("umount2 /mnt").unwrap_err();
        assert_eq!(error.to_string(), "cannot umount2 /mnt: Device or resource busy");
        assert_eq!(error.status(), ENGINE_FAILED);
    }

    #[test]
    fn an_io_error_reads_like_a_system_calls() {
        let error = std::fs::read("/no/such/file").explain("read /no/such/file").unwrap_err();
        assert_eq!(error.to_string(), "cannot read /no/such/file: No such file or directory");
    }

    #[test]
    fn a_cure_is_for_its_own_cause_only() {
        let error = || Error::failed("chroot", Errno::ENOENT);
        assert!(error().cure(Errno::ENOENT, "make it").to_string().ends_with("(make it)"));
        assert!(!error().cure(Errno::EPERM, "use sudo").to_string().contains("sudo"));
    }
}
