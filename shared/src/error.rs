//! Errors as the reader sees them, and Docker's exit statuses.

use std::env;
use std::ffi::{OsStr, OsString};
use std::fmt::{self, Display};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use nix::errno::Errno;
use nix::unistd::geteuid;

/// Exit status when the engine itself failed, wrong usage included (as `docker run`).
pub const ENGINE_FAILED: u8 = 125;
/// Exit status when the command was found but could not be executed (as `docker run`, POSIX `env`).
const NOT_EXECUTABLE: u8 = 126;
/// Exit status when the command was not found (as `docker run`, POSIX `env`).
const NOT_FOUND: u8 = 127;

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
    fn failed(what: impl Display, errno: Errno) -> Error {
        let message = format!("cannot {what}: {}", errno.desc());
        Error { message, errno: Some(errno), status: ENGINE_FAILED }
    }

    /// The same with another exit status.
    pub fn with_status(mut self, status: u8) -> Error {
        self.status = status;
        self
    }

    /// Adds what mends it, in brackets, if the call failed with `errno`.
    pub fn cure(mut self, errno: Errno, cure: &str) -> Error {
        if self.errno == Some(errno) {
            self.message = format!("{} ({cure})", self.message);
        }
        self
    }

    /// Adds, if there was no room, where there is none.
    pub fn name_full(self, place: &Path) -> Error {
        self.cure(Errno::ENOSPC, &format!("the file system of {place:?} is full"))
    }

    /// The cures for a call that only a fully privileged process may make.
    pub fn suggest_root(self) -> Error {
        let cure = match geteuid().is_root() {
            false => "only root may: use sudo or `./just step`",
            true => "root has lost this right, as in a container: use `./just vm`",
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

/// The error for a command that execvp(3) refused: status 127 when it was not found, else 126.
///
/// The kernel answers ENOENT for two different mistakes, so this tells them apart: no such file,
/// and a file whose interpreter (`#!` line) or dynamic loader (ELF) is not there.
pub fn cannot_execute(command: &OsStr, errno: Errno) -> Error {
    let mut error = Error::failed(format_args!("execute {command:?}"), errno);
    error.status = if errno == Errno::ENOENT { NOT_FOUND } else { NOT_EXECUTABLE };
    let is_path = command.as_bytes().contains(&b'/');
    // To split_paths, "" is one place, with an empty name: what is joined to it stays as it is.
    let path = if is_path { OsString::new() } else { env::var_os("PATH").unwrap_or_default() };
    let is_there = env::split_paths(&path).any(|place| place.join(command).is_file());
    match errno {
        Errno::ENOENT if is_there => {
            error.cure(errno, "it is there, but the interpreter or loader that it asks for is not")
        }
        Errno::ENOENT if command.as_bytes().starts_with(b"-") => {
            error.cure(errno, "an option of the engine's goes before what is run")
        }
        Errno::ENOENT if !is_path => error.cure(errno, "no directory of PATH has it"),
        Errno::EACCES if Path::new(command).is_dir() => error.cure(errno, "it is a directory"),
        Errno::EACCES => error.cure(errno, "it needs execute permission: chmod +x"),
        _ => error,
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

    #[test]
    fn not_found_and_not_executable_differ() {
        let status = |command: &str, errno| cannot_execute(OsStr::new(command), errno).status();
        assert_eq!(status("no-such-command", Errno::ENOENT), 127);
        assert_eq!(status("/etc/passwd", Errno::EACCES), 126);
        assert_eq!(status("/etc/passwd/x", Errno::ENOTDIR), 126);
    }

    #[test]
    fn a_missing_interpreter_is_no_missing_file() {
        // They are there: if execvp says ENOENT all the same, it is about what they ask for.
        for command in ["/bin/sh", "sh"] {
            let error = cannot_execute(OsStr::new(command), Errno::ENOENT);
            assert!(error.to_string().contains("interpreter"), "{error}");
        }
        let error = cannot_execute(OsStr::new(""), Errno::ENOENT);
        assert!(error.to_string().contains("PATH"), "{error}");
        let error = cannot_execute(OsStr::new("-w"), Errno::ENOENT);
        assert!(error.to_string().contains("goes before"), "{error}");
    }
}
