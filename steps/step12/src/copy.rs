//! Copies a tree: what an image has at a place, into the volume that will cover it, or an image for
//! other ids.

use std::collections::HashMap;
use std::fs::{self, DirBuilder, File, Metadata};
use std::io::{self, Read, Seek, SeekFrom};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt, PermissionsExt, lchown, symlink};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::AT_FDCWD;
use nix::sys::stat::{Mode, SFlag, UtimensatFlags, mknod, utimensat};
use nix::sys::time::TimeSpec;
use nix::unistd::{Whence, lseek};
use shared::{Error, Explain};

/// What an executable may do beyond its user's power.
const CAPABILITIES: &str = "security.capability";

/// Who else may do what with it, and with what is made in it (acl(5)).
const ACCESS_LISTS: [&str; 2] = ["system.posix_acl_access", "system.posix_acl_default"];

/// Gives the copy of a file its owner and group: that of the original, or another.
pub type Owner<'a> = &'a dyn Fn(u32, u32) -> (u32, u32);

/// That of the original.
pub const SAME: Owner = &|uid, gid| (uid, gid);

/// Copies all of an open directory into another, which is empty, with owners, modes, times and
/// attributes; its own, too.
///
/// Nobody else may be at work in either of them. So nothing is mounted yet that others can change.
pub fn all(from: BorrowedFd, to: BorrowedFd, owner: Owner) -> Result<(), Error> {
    let (from, to) = (tree::path_of(from.as_fd()).join("."), tree::path_of(to.as_fd()).join("."));
    // A file with several names stays one file.
    let mut seen: HashMap<u64, PathBuf> = HashMap::new();
    let mut directories = vec![PathBuf::new()];
    let mut index = 0;
    // A stranger's tree may be deeper than this process has stack, so it grows a list.
    while let Some(directory) = directories.get(index).cloned() {
        index += 1;
        let entries = fs::read_dir(from.join(&directory));
        for entry in entries.explain(format_args!("read the image's {directory:?}"))? {
            let name = entry.explain(format_args!("read the image's {directory:?}"))?.file_name();
            let path = directory.join(name);
            let what = || format!("copy {:?}", Path::new(".").join(&path));
            let (source, copy) = (from.join(&path), to.join(&path));
            let there = fs::symlink_metadata(&source).explain(what())?;
            if there.is_dir() {
                DirBuilder::new().mode(0o700).create(&copy).explain(what())?;
                directories.push(path);
                continue;
            }
            if there.nlink() > 1 {
                if let Some(other) = seen.get(&there.ino()) {
                    fs::hard_link(other, &copy).explain(what())?;
                    continue;
                }
                seen.insert(there.ino(), copy.clone());
            }
            make(&source, &copy, &there).explain(what())?;
            dress(&source, &copy, &there, owner).explain(what())?;
        }
    }
    // Not before: what is made in a directory changes its time.
    for directory in directories.iter().rev() {
        let (source, copy) = (from.join(directory), to.join(directory));
        fs::metadata(&source)
            .and_then(|there| dress(&source, &copy, &there, owner))
            .explain(format_args!("copy {:?}", Path::new(".").join(directory)))?;
    }
    Ok(())
}

/// Makes anything but a directory.
fn make(source: &Path, copy: &Path, there: &Metadata) -> io::Result<()> {
    let kind = there.file_type();
    if kind.is_file() {
        return copy_contents(source, copy);
    }
    if kind.is_symlink() {
        return symlink(fs::read_link(source)?, copy);
    }
    let flag = SFlag::from_bits_truncate(there.mode()) & SFlag::S_IFMT;
    match mknod(copy, flag, Mode::S_IRUSR, there.rdev()) {
        // A device, which an ordinary user's engine can't make, and which nobody can use in a volume.
        Err(Errno::EPERM) if kind.is_char_device() || kind.is_block_device() => Ok(()),
        made => Ok(made?),
    }
}

/// Copies a file's contents. Holes stay holes: a stranger's file of 1 TB may be one, and costs nothing
/// (lseek(2), SEEK_DATA).
fn copy_contents(source: &Path, copy: &Path) -> io::Result<()> {
    let (mut from, mut to) = (File::open(source)?, File::create_new(copy)?);
    let mut at = 0;
    loop {
        let data = match lseek(&from, at, Whence::SeekData) {
            // None any more.
            Err(Errno::ENXIO) => break,
            data => data?,
        };
        let end = lseek(&from, data, Whence::SeekHole)?;
        from.seek(SeekFrom::Start(data as u64))?;
        to.seek(SeekFrom::Start(data as u64))?;
        io::copy(&mut (&from).take((end - data) as u64), &mut to)?;
        at = end;
    }
    to.set_len(from.metadata()?.len())
}

/// Gives the copy the original's owner, mode, attributes and times, in this order: a new owner takes
/// away set-user-ID bits and file capabilities.
fn dress(source: &Path, copy: &Path, there: &Metadata, owner: Owner) -> io::Result<()> {
    if fs::symlink_metadata(copy).is_err() {
        return Ok(());
    }
    let (uid, gid) = owner(there.uid(), there.gid());
    match lchown(copy, Some(uid), Some(gid)) {
        // An id that the container does not have: the copy stays root's.
        Err(error) if error.raw_os_error() == Some(libc::EINVAL) => {}
        given => given?,
    }
    if !there.is_symlink() {
        fs::set_permissions(copy, fs::Permissions::from_mode(there.mode() & 0o7777))?;
    }
    for key in xattr::list(source)? {
        if let Some(mut value) = xattr::get(source, &key)? {
            if key == CAPABILITIES {
                give_to(&mut value, owner(0, 0).0);
            } else if ACCESS_LISTS.iter().any(|list| key == *list) {
                name_owners(&mut value, owner);
            }
            match xattr::set(copy, &key, &value) {
                // Not ours to set, or memory can't have it.
                Err(error) if matches!(error.raw_os_error(), Some(libc::EPERM | libc::ENOTSUP)) => {
                }
                set => set?,
            }
        }
    }
    let (accessed, modified) = (
        TimeSpec::new(there.atime(), there.atime_nsec()),
        TimeSpec::new(there.mtime(), there.mtime_nsec()),
    );
    utimensat(AT_FDCWD, copy, &accessed, &modified, UtimensatFlags::NoFollowSymlink)?;
    Ok(())
}

/// Makes a file's capabilities those of the user namespace where this id is root. As we read them
/// they are of ours (capabilities(7), "Namespaced file capabilities"; linux/capability.h).
fn give_to(value: &mut Vec<u8>, root: u32) {
    const OF_OUR_ROOT: (usize, u8) = (20, 2);
    const OF_AN_ID: u8 = 3;
    if root != 0 && value.len() == OF_OUR_ROOT.0 && value[3] == OF_OUR_ROOT.1 {
        value[3] = OF_AN_ID;
        value.extend(root.to_le_bytes());
    }
}

/// Gives the entries of an access control list the ids that an owner would get. A version of 4 bytes,
/// and entries of 8: kind, rights, id (linux/posix_acl_xattr.h).
fn name_owners(list: &mut [u8], owner: Owner) {
    const USER: [u8; 2] = 0x02_u16.to_le_bytes();
    const GROUP: [u8; 2] = 0x08_u16.to_le_bytes();
    for entry in list.get_mut(4..).unwrap_or_default().chunks_exact_mut(8) {
        let (head, id) = entry.split_at_mut(4);
        let old = u32::from_le_bytes([id[0], id[1], id[2], id[3]]);
        let (uid, gid) = owner(old, old);
        if head[..2] == USER {
            id.copy_from_slice(&uid.to_le_bytes());
        } else if head[..2] == GROUP {
            id.copy_from_slice(&gid.to_le_bytes());
        }
    }
}
