//! What the tests are made with: a tar archive that may say anything, and a place to apply it to.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use nix::sched::{CloneFlags, unshare};
use nix::unistd::{getegid, geteuid};
use reference::Digest;
use shared::Error;
use step7::layer::{self, Owners, Report, Root};
use tar::Header;

/// Whether this is the machine's root, and not that of a namespace.
pub fn is_root() -> bool {
    !fs::read_to_string("/proc/self/uid_map").unwrap().trim_end().ends_with(" 1")
}

/// Called before `main`, since only a process with one thread may enter a user namespace.
#[used]
#[unsafe(link_section = ".init_array")]
static BEFORE_MAIN: extern "C" fn() = enter_namespace;

/// Makes an ordinary user the root of a user namespace with this one id.
extern "C" fn enter_namespace() {
    let (uid, gid) = (geteuid(), getegid());
    if uid.is_root() {
        return;
    }
    unshare(CloneFlags::CLONE_NEWUSER).expect("unshare CLONE_NEWUSER");
    for (file, text) in [
        ("setgroups", "deny".to_string()),
        ("uid_map", format!("0 {uid} 1")),
        ("gid_map", format!("0 {gid} 1")),
    ] {
        fs::write(Path::new("/proc/self").join(file), text).expect(file);
    }
}

/// An archive in the making.
#[derive(Clone, Default)]
pub struct Layer(pub Vec<u8>);

impl Layer {
    pub fn new() -> Layer {
        Layer::default()
    }

    /// Adds an entry, after `change` has had its way with the header.
    pub fn entry(
        mut self,
        kind: u8,
        name: impl AsRef<[u8]>,
        content: impl AsRef<[u8]>,
        change: impl FnOnce(&mut Header),
    ) -> Layer {
        let (name, content) = (name.as_ref(), content.as_ref());
        if name.len() > 100 {
            let long = [name, b"\0"].concat();
            self = self.header(b'L', b"././@LongLink", &long, |_| {});
        }
        self.header(kind, name, content, change)
    }

    fn header(
        mut self,
        kind: u8,
        name: &[u8],
        content: &[u8],
        change: impl FnOnce(&mut Header),
    ) -> Layer {
        let mut header = Header::new_gnu();
        let short = &name[..name.len().min(100)];
        header.as_old_mut().name[..short.len()].copy_from_slice(short);
        header.as_old_mut().linkflag = [kind];
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(1000);
        change(&mut header);
        header.set_cksum();
        self.0.extend_from_slice(header.as_bytes());
        self.0.extend_from_slice(content);
        self.0.resize(self.0.len().next_multiple_of(512), 0);
        self
    }

    pub fn file(self, name: impl AsRef<[u8]>, content: impl AsRef<[u8]>) -> Layer {
        self.entry(b'0', name, content, |_| {})
    }

    pub fn dir(self, name: impl AsRef<[u8]>, mode: u32) -> Layer {
        self.entry(b'5', name, "", |header| header.set_mode(mode))
    }

    pub fn symlink(self, name: impl AsRef<[u8]>, target: &str) -> Layer {
        self.entry(b'2', name, "", |header| header.set_link_name_literal(target).unwrap())
    }

    pub fn hardlink(self, name: impl AsRef<[u8]>, target: &str) -> Layer {
        self.entry(b'1', name, "", |header| header.set_link_name_literal(target).unwrap())
    }

    /// PAX records for the next entry.
    pub fn pax(self, records: &[(&str, &[u8])]) -> Layer {
        let mut body = Vec::new();
        for (key, value) in records {
            let rest = key.len() + value.len() + 3;
            let digits = |length: usize| length.to_string().len();
            let length = rest + digits(rest + digits(rest));
            body.extend(
                format!("{length} {key}=").bytes().chain(value.iter().copied()).chain(*b"\n"),
            );
        }
        self.entry(b'x', "PaxHeaders/x", body, |_| {})
    }

    /// The whole archive.
    pub fn end(mut self) -> Vec<u8> {
        self.0.resize(self.0.len() + 1024, 0);
        self.0
    }
}

/// A directory with a root filesystem in it, and beside it something that must stay as it is.
pub struct Scratch(PathBuf);

impl Scratch {
    pub fn new() -> Scratch {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("step7-layer-{}-{count}", std::process::id());
        let scratch = Scratch(std::env::temp_dir().join(name));
        fs::create_dir(&scratch.0).unwrap();
        fs::create_dir(scratch.0.join("root")).unwrap();
        fs::create_dir(scratch.0.join("outside")).unwrap();
        fs::write(scratch.victim(), "untouched").unwrap();
        fs::set_permissions(scratch.victim(), fs::Permissions::from_mode(0o640)).unwrap();
        scratch
    }

    /// A path in the root filesystem.
    pub fn path(&self, name: impl AsRef<Path>) -> PathBuf {
        self.0.join("root").join(name)
    }

    /// A file outside the root filesystem.
    pub fn victim(&self) -> PathBuf {
        self.0.join("outside/victim")
    }

    pub fn read(&self, name: impl AsRef<Path>) -> String {
        fs::read_to_string(self.path(name)).unwrap()
    }

    pub fn exists(&self, name: impl AsRef<Path>) -> bool {
        self.path(name).symlink_metadata().is_ok()
    }

    pub fn meta(&self, name: impl AsRef<Path>) -> fs::Metadata {
        self.path(name).symlink_metadata().unwrap()
    }

    /// Mode with setuid, setgid and sticky.
    pub fn mode(&self, name: impl AsRef<Path>) -> u32 {
        self.meta(name).mode() & 0o7777
    }

    /// Names in a directory, sorted.
    pub fn names(&self, name: impl AsRef<Path>) -> Vec<String> {
        let entries = fs::read_dir(self.path(name)).unwrap();
        let name = |entry: std::io::Result<fs::DirEntry>| entry.unwrap().file_name();
        let mut names: Vec<_> =
            entries.map(|entry| name(entry).to_string_lossy().into_owned()).collect();
        names.sort();
        names
    }

    /// Applies a layer of which nothing is lost but owners.
    pub fn apply(&self, layer: Layer) -> Report {
        self.try_apply(&layer.end()).unwrap_or_else(|error| panic!("{error}"))
    }

    /// Applies a layer that must be refused, and gives the error's line.
    pub fn refuse(&self, layer: Layer) -> String {
        let line = self.try_apply(&layer.end()).unwrap_err().to_string();
        assert!(!line.contains('\n'), "{line}");
        line
    }

    pub fn try_apply(&self, archive: &[u8]) -> Result<Report, Error> {
        self.apply_blob(archive, &Digest::of(archive), 1 << 30)
    }

    pub fn apply_blob(
        &self,
        blob: &[u8],
        diff_id: &Digest,
        max_inflated: u64,
    ) -> Result<Report, Error> {
        let owners = if is_root() { Owners::Numeric } else { Owners::Caller };
        let root = Root::open(&self.path("")).unwrap();
        let result = layer::apply(blob, &root, diff_id, owners, max_inflated);
        self.check_outside();
        result
    }

    fn check_outside(&self) {
        assert_eq!(fs::read_dir(&self.0).unwrap().count(), 2, "something was made beside the root");
        assert_eq!(fs::read_dir(self.0.join("outside")).unwrap().count(), 1);
        assert_eq!(fs::read_to_string(self.victim()).unwrap(), "untouched");
        let meta = self.victim().metadata().unwrap();
        assert_eq!((meta.mode() & 0o7777, meta.nlink()), (0o640, 1));
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if fs::remove_dir_all(&self.0).is_ok() {
            return;
        }
        // What is deeper than std's own function can go, or has directories without permissions.
        let _ = Command::new("chmod").args(["-R", "u+rwx"]).arg(&self.0).status();
        let _ = Command::new("rm").arg("-rf").arg(&self.0).status();
    }
}
