//! The whole file system but for one place, before and after: that place is where an image may be.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::checks::failure::{Verdict, require};

/// What the kernel makes up, and what changes by itself.
const NOT_FILES: [&str; 3] = ["/proc", "/sys", "/dev"];

/// What can be said of a file without its content. The time of its last change (ctime) is the
/// kernel's and can't be set, so what has the same one has the same content.
#[derive(PartialEq)]
struct Facts {
    mode: u32,
    owner: (u32, u32),
    device: u64,
    links: u64,
    size: u64,
    mtime: (i64, i64),
    ctime: (i64, i64),
}

/// All files and mounts.
pub struct Outside {
    roots: Vec<PathBuf>,
    but: Vec<PathBuf>,
    files: BTreeMap<PathBuf, Facts>,
    mounts: String,
}

impl Outside {
    /// Looks at all that is below these directories, but for what is in those.
    pub fn of(roots: &[&Path], but: &[&Path]) -> io::Result<Outside> {
        let owned = |paths: &[&Path]| paths.iter().map(|path| path.to_path_buf()).collect();
        let (roots, but): (Vec<PathBuf>, Vec<PathBuf>) = (owned(roots), owned(but));
        let mut files = BTreeMap::new();
        let mut next = roots.clone();
        while let Some(path) = next.pop() {
            let metadata = match path.symlink_metadata() {
                // The engine is over; another process may have removed its own file.
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                found => found?,
            };
            let is_left_out =
                but.contains(&path) || NOT_FILES.iter().any(|name| path == Path::new(name));
            if is_left_out {
                continue;
            }
            if metadata.is_dir() {
                for entry in fs::read_dir(&path)? {
                    next.push(entry?.path());
                }
            }
            files.insert(
                path,
                Facts {
                    mode: metadata.mode(),
                    owner: (metadata.uid(), metadata.gid()),
                    device: metadata.rdev(),
                    links: metadata.nlink(),
                    size: metadata.size(),
                    mtime: (metadata.mtime(), metadata.mtime_nsec()),
                    ctime: (metadata.ctime(), metadata.ctime_nsec()),
                },
            );
        }
        let mounts = fs::read_to_string("/proc/self/mountinfo")?;
        Ok(Outside { roots, but, files, mounts })
    }

    /// How many files there are.
    pub fn count(&self) -> usize {
        self.files.len()
    }

    /// Requires that all is as it was.
    pub fn is_unchanged(&self, tried: &str) -> Verdict {
        let paths = [&self.roots, &self.but].map(|all| all.iter().map(PathBuf::as_path).collect());
        let [roots, but]: [Vec<&Path>; 2] = paths;
        let now = Outside::of(&roots, &but)?;
        let there = self.files.iter().filter(|(path, facts)| now.files.get(*path) != Some(facts));
        let new = now.files.keys().filter(|path| !self.files.contains_key(*path));
        let mut changes: Vec<String> = there
            .map(|(path, _)| format!("{path:?} has changed or is gone"))
            .chain(new.map(|path| format!("{path:?} is new")))
            .collect();
        if now.mounts != self.mounts {
            changes.push("the mounts are others".into());
        }
        changes.truncate(4);
        let expected = "nothing changed outside the root filesystem";
        require(changes.is_empty(), tried, expected, changes.join("; "))
    }
}
