//! Files that say where the container is: mounted over the image's, not written into the
//! container's layer.

use std::ffi::OsStr;
use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use nix::mount::{MsFlags, mount};
use shared::{Error, Explain};
use step8::directory;

/// Names in /etc, and what is in the files.
pub struct Files([(&'static str, Vec<u8>); 3]);

impl Files {
    /// What the container shall know: its own name, and what the host knows of others. To be asked
    /// while the host's files can be seen. Without a resolv.conf the host can't look up names, and
    /// neither can the container.
    pub fn of_host(hostname: &OsStr) -> Files {
        let name = hostname.as_bytes();
        let loopback =
            b"127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n127.0.1.1\t";
        Files([
            ("hostname", [name, b"\n"].concat()),
            ("hosts", [loopback, name, b"\n"].concat()),
            ("resolv.conf", fs::read("/etc/resolv.conf").unwrap_or_default()),
        ])
    }

    /// Mounts each over the image's. To be called in the container, after pivot_root.
    ///
    /// A file of its own in memory costs no disk, and the container's layer stays empty. /dev is the
    /// one directory of the container that is in memory already. The file has a name there until it
    /// is mounted, for a mount has to begin somewhere.
    pub fn mount(&self) -> Result<(), Error> {
        self.mount_unless(|_| false)
    }

    /// The same, but for those whose path is `taken`: something else will be mounted there.
    pub fn mount_unless(&self, taken: impl Fn(&Path) -> bool) -> Result<(), Error> {
        for (name, text) in &self.0 {
            let (source, target) = (Path::new("/dev").join(name), Path::new("/etc").join(name));
            if taken(&target) {
                continue;
            }
            let mut how = OpenOptions::new();
            let file = how.write(true).create_new(true).mode(0o644).open(&source);
            let written = file.and_then(|mut file| file.write_all(text));
            written.explain(format_args!("write {source:?}"))?;
            mount_over(&source, &target)?;
            fs::remove_file(&source).explain(format_args!("unlink {source:?}"))?;
        }
        Ok(())
    }
}

/// Mounts a file on another of the image's. A link in its place is not followed but replaced, as a
/// stranger has chosen where it leads: it may be into /proc.
fn mount_over(source: &Path, target: &Path) -> Result<(), Error> {
    if !fs::symlink_metadata(target).is_ok_and(|there| there.is_file()) {
        make_anew(target)?;
    }
    mount(Some(source), target, None::<&str>, MsFlags::MS_BIND, None::<&str>)
        .explain(format_args!("bind {source:?} to {target:?}"))
}

fn make_anew(path: &Path) -> Result<(), Error> {
    if let Some(parent) = path.parent() {
        directory::make(parent)?;
    }
    match fs::remove_file(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        removed => removed.explain(format_args!("unlink {path:?}"))?,
    }
    File::create_new(path).map(drop).explain(format_args!("create {path:?}"))
}
