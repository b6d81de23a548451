//! Files that say where the container is: its own name, other machines' names, who knows the rest.

use std::ffi::OsStr;
use std::fs::{self, OpenOptions};
use std::io::{ErrorKind, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{OpenOptionsExt, symlink};
use std::path::Path;

use shared::{Error, Explain};

use crate::directory;

const ETC: &str = "/etc";
const MTAB: &str = "/etc/mtab";

/// What the host knows, read while its files can be seen.
pub struct Host {
    resolv_conf: Vec<u8>,
}

impl Host {
    /// Reads it. Who has no resolv.conf can't look up names, and neither can the container.
    pub fn read() -> Host {
        Host { resolv_conf: fs::read("/etc/resolv.conf").unwrap_or_default() }
    }

    /// Writes the container's /etc/hostname, /etc/hosts and /etc/resolv.conf. Its network is the
    /// host's, so the last is a copy. /etc/mtab is made if it is missing, as Docker does it.
    pub fn write(&self, hostname: &OsStr) -> Result<(), Error> {
        directory::make(Path::new(ETC))?;
        let name = hostname.as_bytes();
        let loopback =
            b"127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n127.0.1.1\t";
        replace("hostname", &[name, b"\n"].concat())?;
        replace("hosts", &[loopback, name, b"\n"].concat())?;
        replace("resolv.conf", &self.resolv_conf)?;
        // What is mounted, for programs that look where it was written before there was /proc. An
        // image's own stays.
        match symlink("/proc/mounts", MTAB) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
            made => made.explain(format_args!("make the link {MTAB}")),
        }
    }
}

/// Writes a file anew. The image's may be a link, to a place that is not there.
fn replace(name: &str, text: &[u8]) -> Result<(), Error> {
    let path = Path::new(ETC).join(name);
    match fs::remove_file(&path) {
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        removed => removed.explain(format_args!("unlink {path:?}"))?,
    }
    let file = OpenOptions::new().write(true).create_new(true).mode(0o644).open(&path);
    let written = file.and_then(|mut file| file.write_all(text));
    written.explain(format_args!("write {path:?}"))
}
