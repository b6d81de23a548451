//! A mount that is nowhere yet (open_tree(2), mount_setattr(2), move_mount(2)).
//!
//! mount(2) takes two paths at once: what, and where. A container's engine knows the two at different
//! times. What is to be mounted can be seen before pivot_root, and where it goes only after it.

use std::ffi::CString;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use nix::errno::Errno;
use nix::sys::stat::fstat;
use shared::{Error, Explain};

// libc does not have these for all of its systems (linux/mount.h).
const OPEN_TREE_CLONE: libc::c_uint = 1;
const OPEN_TREE_CLOEXEC: libc::c_uint = libc::O_CLOEXEC as libc::c_uint;
const MOVE_MOUNT_F_EMPTY_PATH: libc::c_uint = 0x4;
const MOVE_MOUNT_T_EMPTY_PATH: libc::c_uint = 0x40;

/// Attributes of a mount.
pub const READ_ONLY: u64 = 0x1;
pub const NO_SET_UID: u64 = 0x2;
pub const NO_DEVICES: u64 = 0x4;
pub const NO_EXECUTION: u64 = 0x8;

/// A mount without a place. Dropped, it is gone.
pub struct Detached(OwnedFd);

/// What mount_setattr takes.
#[repr(C)]
#[derive(Default)]
struct Attributes {
    set: u64,
    clear: u64,
    propagation: u64,
    userns_fd: u64,
}

impl Detached {
    /// A copy of the mount that a path is on, from the path down, with all that is mounted below.
    ///
    /// In a user namespace the kernel gives them together or not at all (EINVAL): what somebody has
    /// covered with a mount must not come to light.
    pub fn copy_of(path: &Path) -> Result<Detached, Error> {
        let text = CString::new(path.as_os_str().as_bytes()).expect("an argument has no NUL");
        let recursive = libc::AT_RECURSIVE as libc::c_uint;
        let flags = OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | recursive;
        // SAFETY: a string that ends with NUL and outlives the call.
        let fd =
            unsafe { libc::syscall(libc::SYS_open_tree, libc::AT_FDCWD, text.as_ptr(), flags) };
        let fd = Errno::result(fd).explain(format_args!("open_tree {path:?}"))?;
        // SAFETY: the kernel has just given it to us, and nobody else knows it.
        Ok(Detached(unsafe { OwnedFd::from_raw_fd(fd as i32) }))
    }

    /// Sets attributes of this mount and of all below it. None is taken away.
    pub fn restrict(&self, attributes: u64) -> Result<(), Error> {
        set(self.0.as_fd(), attributes, libc::AT_RECURSIVE)
    }

    /// Whether it has a directory at its top, or else a file.
    pub fn is_directory(&self) -> Result<bool, Error> {
        fstat(&self.0).explain("stat what is to be mounted").map(|there| tree::is_directory(&there))
    }

    /// Puts it on a place.
    pub fn attach(self, place: BorrowedFd) -> nix::Result<()> {
        let flags = MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH;
        let (from, to) = (self.0.as_raw_fd(), place.as_raw_fd());
        let nothing = c"".as_ptr();
        // SAFETY: both strings are empty, and end with NUL.
        let result =
            unsafe { libc::syscall(libc::SYS_move_mount, from, nothing, to, nothing, flags) };
        Errno::result(result).map(drop)
    }
}

impl AsFd for Detached {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// Sets attributes of the mount that an open file is on.
pub fn set(mount: BorrowedFd, attributes: u64, flags: libc::c_int) -> Result<(), Error> {
    let wanted = Attributes { set: attributes, ..Attributes::default() };
    let flags = flags | libc::AT_EMPTY_PATH;
    let (fd, size) = (mount.as_raw_fd(), size_of::<Attributes>());
    // SAFETY: the string is empty and ends with NUL. The kernel only reads `size` bytes of `wanted`.
    let result =
        unsafe { libc::syscall(libc::SYS_mount_setattr, fd, c"".as_ptr(), flags, &wanted, size) };
    let set = Errno::result(result).explain("mount_setattr").map(drop);
    set.map_err(|error| error.cure(Errno::ENOSYS, "Linux has it since 5.12"))
}
