//! A tree of files with all that can be said about each, to be compared with another.

use std::collections::hash_map::DefaultHasher;
use std::collections::{BTreeMap, HashMap};
use std::ffi::{CString, OsStr};
use std::fmt::{self, Display};
use std::fs;
use std::hash::{Hash, Hasher};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

/// What root sees of a file.
#[derive(Clone, PartialEq)]
pub struct Entry {
    kind: u32,
    mode: u32,
    pub uid: u32,
    pub gid: u32,
    mtime: (i64, i64),
    rdev: u64,
    /// A link's target; the bytes' number and hash of a file.
    content: String,
    xattrs: BTreeMap<String, Vec<u8>>,
    /// The first of the names that this file has in the tree, and how many there are anywhere.
    names: (PathBuf, u64),
}

/// By their paths; the root of the tree is "".
#[derive(Clone, PartialEq)]
pub struct Tree(pub BTreeMap<PathBuf, Entry>);

impl Tree {
    /// Looks at a directory and all that is in it.
    pub fn of(root: &Path) -> io::Result<Tree> {
        let mut tree = Tree(BTreeMap::new());
        tree.add(root, PathBuf::new())?;
        tree.name_links(root)?;
        Ok(tree)
    }

    fn add(&mut self, root: &Path, path: PathBuf) -> io::Result<()> {
        let file = if path.as_os_str().is_empty() { root.into() } else { root.join(&path) };
        let entry = Entry::of(&file)?;
        let is_directory = entry.kind == libc::S_IFDIR;
        self.0.insert(path.clone(), entry);
        if is_directory {
            for entry in fs::read_dir(&file)? {
                self.add(root, path.join(entry?.file_name()))?;
            }
        }
        Ok(())
    }

    /// Files with the same inode are one.
    fn name_links(&mut self, root: &Path) -> io::Result<()> {
        let mut first: HashMap<u64, PathBuf> = HashMap::new();
        for (path, entry) in &mut self.0 {
            let metadata = root.join(path).symlink_metadata()?;
            if entry.kind != libc::S_IFDIR {
                let name = first.entry(metadata.ino()).or_insert_with(|| path.clone());
                entry.names = (name.clone(), metadata.nlink());
            }
        }
        Ok(())
    }

    /// The tree as ada would have it, whose files it is: the ids in her range, and no devices.
    pub fn for_ada(mut self) -> Tree {
        self.0.retain(|_, entry| ![libc::S_IFCHR, libc::S_IFBLK].contains(&entry.kind));
        for entry in self.0.values_mut() {
            entry.uid = shifted(entry.uid);
            entry.gid = shifted(entry.gid);
            if let Some(value) = entry.xattrs.get_mut(CAPABILITY) {
                *value = for_root_of_ada(value);
            }
        }
        self
    }

    /// The tree as ada would have it with one id.
    pub fn for_one_id(self) -> Tree {
        let mut tree = self.for_ada();
        for entry in tree.0.values_mut() {
            (entry.uid, entry.gid) = (1000, 1000);
        }
        tree
    }

    /// Forgets which files are one.
    pub fn forget_links(&mut self) {
        for entry in self.0.values_mut() {
            entry.names = (PathBuf::new(), 1);
        }
    }

    /// The first few differences, or "" if there are none.
    ///
    /// A directory that was last changed by who made the tree has a time that says nothing; so has the
    /// root where no entry describes it, to which umoci gives 0.
    pub fn differences(&self, other: &Tree) -> String {
        let boot = boot_time();
        let is_same = |path: &Path, expected: &Entry, seen: &Entry| {
            let is_undescribed = path.as_os_str().is_empty() && expected.mtime == (0, 0);
            let says_nothing = is_undescribed || expected.mtime.0 >= boot;
            let is_timeless = expected.kind == libc::S_IFDIR && says_nothing;
            let mtime = if is_timeless { expected.mtime } else { seen.mtime };
            *expected == Entry { mtime, ..seen.clone() }
        };
        let mut all = Vec::new();
        for (path, expected) in &self.0 {
            match other.0.get(path) {
                None => all.push(format!("{path:?} is missing")),
                Some(seen) if !is_same(path, expected, seen) => {
                    all.push(format!("{path:?} is {seen}, not {expected}"))
                }
                Some(_) => {}
            }
        }
        let more = other.0.keys().filter(|path| !self.0.contains_key(*path));
        all.extend(more.map(|path| format!("{path:?} is there")));
        let count = all.len();
        all.truncate(4);
        if count > 4 {
            all.push(format!("and {} more", count - 4));
        }
        all.join("; ")
    }
}

const CAPABILITY: &str = "security.capability";

/// When this machine was started, in seconds since 1970. No image is younger.
fn boot_time() -> i64 {
    let stat = fs::read_to_string("/proc/stat").unwrap_or_default();
    let line = stat.lines().find_map(|line| line.strip_prefix("btime "));
    line.and_then(|seconds| seconds.parse().ok()).unwrap_or(i64::MAX)
}

/// The map of ada's user namespace: root is herself, the others are from /etc/subuid.
fn shifted(id: u32) -> u32 {
    if id == 0 { 1000 } else { 100_000 + id - 1 }
}

/// Capabilities that hold only in user namespaces whose root is ada (capabilities(7), "File
/// capability extended attribute versioning", VFS_CAP_REVISION_3).
fn for_root_of_ada(version_2: &[u8]) -> Vec<u8> {
    let mut value = version_2.to_vec();
    if let Some(version) = value.get_mut(3) {
        *version = 3;
    }
    value.extend(1000u32.to_le_bytes());
    value
}

impl Entry {
    fn of(path: &Path) -> io::Result<Entry> {
        let metadata = path.symlink_metadata()?;
        let kind = metadata.file_type();
        let content = match () {
            () if kind.is_file() => {
                let bytes = fs::read(path)?;
                let mut hash = DefaultHasher::new();
                bytes.hash(&mut hash);
                format!("{} bytes {:x}", bytes.len(), hash.finish())
            }
            () if kind.is_symlink() => format!("to {:?}", path.read_link()?),
            () => String::new(),
        };
        let is_device = kind.is_char_device() || kind.is_block_device();
        Ok(Entry {
            kind: metadata.mode() & libc::S_IFMT,
            mode: metadata.mode() & 0o7777,
            uid: metadata.uid(),
            gid: metadata.gid(),
            mtime: (metadata.mtime(), metadata.mtime_nsec()),
            rdev: if is_device { metadata.rdev() } else { 0 },
            content,
            xattrs: xattrs(path)?,
            names: (PathBuf::new(), 0),
        })
    }
}

impl Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let Entry { kind, mode, uid, gid, mtime, rdev, content, xattrs, names } = self;
        let (first, count) = names;
        write!(f, "({:o} {mode:04o} {uid}:{gid} {mtime:?} {rdev:x} {content} ", kind >> 12)?;
        write!(f, "{xattrs:?} {count} names, {first:?})")
    }
}

/// Extended attributes, but for the label that the host's policy gives.
fn xattrs(path: &Path) -> io::Result<BTreeMap<String, Vec<u8>>> {
    let path = CString::new(path.as_os_str().as_bytes()).expect("a path has no NUL");
    let mut names = vec![0u8; 64 * 1024];
    // SAFETY: the kernel writes at most as many bytes as there is room for.
    let size = unsafe { libc::llistxattr(path.as_ptr(), names.as_mut_ptr().cast(), names.len()) };
    names.truncate(nix::errno::Errno::result(size)? as usize);
    let mut all = BTreeMap::new();
    for name in names.split(|byte| *byte == 0).filter(|name| !name.is_empty()) {
        let c_name = CString::new(name).expect("it was cut there");
        let mut value = vec![0u8; 64 * 1024];
        // SAFETY: as above.
        let size = unsafe {
            let room = value.as_mut_ptr().cast();
            libc::lgetxattr(path.as_ptr(), c_name.as_ptr(), room, value.len())
        };
        value.truncate(nix::errno::Errno::result(size)? as usize);
        all.insert(OsStr::from_bytes(name).to_string_lossy().into_owned(), value);
    }
    Ok(all)
}
