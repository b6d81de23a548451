//! What lies beside a root filesystem, and whether it is still as it was.

use std::ffi::OsString;
use std::fs::{self, Metadata, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

/// The names beside the root filesystem, and what they are.
pub struct Outside(Vec<(PathBuf, Seen)>);

/// What a change would show in. (The time of access is the reader's.)
#[derive(Debug, PartialEq)]
struct Seen {
    inode: u64,
    mode: u32,
    owner: (u32, u32),
    links: u64,
    size: u64,
    changed: (i64, i64),
    content: Option<Vec<u8>>,
}

impl Outside {
    /// Makes a tree that a hostile layer would want to reach: from the root filesystem it is
    /// `../outside`.
    pub fn make(scratch: &Path) -> Outside {
        let outside = scratch.join("outside");
        fs::create_dir_all(outside.join("etc")).expect("make the tree outside");
        for (name, mode) in [("victim", 0o640), ("etc/passwd", 0o600), (".wh.a", 0o644)] {
            fs::write(outside.join(name), name).expect("write outside");
            fs::set_permissions(outside.join(name), Permissions::from_mode(mode)).expect("chmod");
        }
        symlink("victim", outside.join("link")).expect("symlink");
        let list = [
            "outside",
            "outside/etc",
            "outside/victim",
            "outside/etc/passwd",
            "outside/.wh.a",
            "outside/link",
        ];
        Outside(list.map(|name| (name.into(), see(&scratch.join(name)))).into())
    }

    /// Panics if anything has changed, or is there that was not.
    pub fn check(&self, scratch: &Path) {
        for (name, was) in &self.0 {
            assert_eq!(see(&scratch.join(name)), *was, "{name:?} has changed");
        }
        assert!(names(scratch).iter().all(|name| name == "root" || name == "outside"));
        assert_eq!(names(&scratch.join("outside")).len(), 4, "something new lies outside");
        assert_eq!(names(&scratch.join("outside/etc")), ["passwd"]);
    }
}

fn see(path: &Path) -> Seen {
    let metadata: Metadata =
        path.symlink_metadata().unwrap_or_else(|error| panic!("{path:?}: {error}"));
    Seen {
        inode: metadata.ino(),
        mode: metadata.mode(),
        owner: (metadata.uid(), metadata.gid()),
        links: metadata.nlink(),
        size: metadata.size(),
        changed: (metadata.ctime(), metadata.ctime_nsec()),
        content: metadata.is_file().then(|| fs::read(path).expect("read outside")),
    }
}

fn names(directory: &Path) -> Vec<OsString> {
    let entries = fs::read_dir(directory).expect("list outside");
    entries.map(|entry| entry.expect("list outside").file_name()).collect()
}
