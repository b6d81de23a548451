//! The root directory of an image, and paths below it that cannot lead out of it.

use std::ffi::{OsStr, OsString};
use std::fs::OpenOptions;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use nix::errno::Errno;
use nix::fcntl::{OFlag, OpenHow, ResolveFlag, openat2};
use shared::{Error, Explain};

/// How often a path may be resolved anew because somebody renames or mounts something meanwhile.
const ATTEMPTS: u32 = 1000;

/// The directory that layers are applied to.
#[derive(Debug)]
pub struct Root {
    fd: OwnedFd,
}

impl Root {
    /// Opens the directory, which must exist.
    pub fn open(path: &Path) -> Result<Root, Error> {
        let opened = OpenOptions::new().read(true).custom_flags(libc::O_DIRECTORY).open(path);
        let root = Root { fd: opened.explain(format_args!("open {path:?}"))?.into() };
        // So that a system that can't do it is not found out in the middle of a layer.
        root.resolve(OsStr::new("."), OFlag::O_PATH)
            .explain(format_args!("openat2 {path:?} with RESOLVE_IN_ROOT"))
            .map_err(Error::suggest_root)?;
        Ok(root)
    }

    /// Opens a directory below the root, as a process would whose root directory this is: symbolic
    /// links are followed, an absolute one from here, and `..` leads no higher (openat2(2)).
    ///
    /// What is mounted below the root is no part of the image, and an error (EXDEV).
    pub fn resolve(&self, path: &OsStr, flags: OFlag) -> nix::Result<OwnedFd> {
        let scope = ResolveFlag::RESOLVE_IN_ROOT
            | ResolveFlag::RESOLVE_NO_MAGICLINKS
            | ResolveFlag::RESOLVE_NO_XDEV;
        let flags = flags | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        let path = if path.is_empty() { OsStr::new(".") } else { path };
        for _ in 1..ATTEMPTS {
            match openat2(&self.fd, path, OpenHow::new().flags(flags).resolve(scope)) {
                Err(Errno::EAGAIN) => {}
                result => return result,
            }
        }
        Err(Errno::EAGAIN)
    }
}

impl AsFd for Root {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// The parts of an entry's name, from the root on: `/a/./b//../c` has `a` and `c`.
///
/// `..` takes away the part before it, and nothing at the root, whatever is a symbolic link: that is
/// how umoci, containerd and Docker read names.
pub fn parts(name: &OsStr) -> Vec<&OsStr> {
    let mut parts = Vec::new();
    for part in name.as_bytes().split(|byte| *byte == b'/') {
        match part {
            b"" | b"." => {}
            b".." => _ = parts.pop(),
            _ => parts.push(OsStr::from_bytes(part)),
        }
    }
    parts
}

/// Puts parts together: the path from the root.
pub fn join(parts: &[&OsStr]) -> OsString {
    let bytes: Vec<&[u8]> = parts.iter().map(|part| part.as_bytes()).collect();
    OsString::from_vec(bytes.join(&b'/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_never_leads_above_the_root() {
        for (name, expected) in [
            ("a/b", "a/b"),
            ("./a//b/.", "a/b"),
            ("/a/../../../b", "b"),
            ("../..", ""),
            ("", ""),
            ("./", ""),
            ("a/..b/...", "a/..b/..."),
        ] {
            assert_eq!(join(&parts(OsStr::new(name))), expected, "{name}");
        }
    }
}
