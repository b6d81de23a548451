//! The numbers of the system calls that steps make.

/// `NAME CONSTANT` for each.
macro_rules! numbers {
    ($name:expr; $($call:literal $number:ident)*) => {
        match $name {
            $($call => Some(libc::$number),)*
            _ => None,
        }
    };
}

/// The number of the call of this name, if it is one of those.
pub fn number(name: &str) -> Option<i64> {
    numbers! { name;
        "access" SYS_access "chdir" SYS_chdir "chroot" SYS_chroot "clone" SYS_clone
        "clone3" SYS_clone3 "close_range" SYS_close_range "execve" SYS_execve
        "faccessat2" SYS_faccessat2 "fchmodat" SYS_fchmodat "fchownat" SYS_fchownat
        "fdatasync" SYS_fdatasync "flock" SYS_flock "ioctl" SYS_ioctl "keyctl" SYS_keyctl "linkat" SYS_linkat
        "lsetxattr" SYS_lsetxattr "mkdir" SYS_mkdir "mkdirat" SYS_mkdirat "mknodat" SYS_mknodat
        "mount" SYS_mount "openat2" SYS_openat2 "pivot_root" SYS_pivot_root "prctl" SYS_prctl
        "recvfrom" SYS_recvfrom "rename" SYS_rename "renameat" SYS_renameat
        "renameat2" SYS_renameat2 "rmdir" SYS_rmdir
        "rt_sigaction" SYS_rt_sigaction "rt_sigprocmask" SYS_rt_sigprocmask
        "sendto" SYS_sendto "setgid" SYS_setgid "setgroups" SYS_setgroups
        "sethostname" SYS_sethostname "setns" SYS_setns "setuid" SYS_setuid
        "capset" SYS_capset "seccomp" SYS_seccomp "uname" SYS_uname
        "open_tree" SYS_open_tree "mount_setattr" SYS_mount_setattr "move_mount" SYS_move_mount
        "setxattr" SYS_setxattr "signalfd4" SYS_signalfd4 "socketpair" SYS_socketpair
        "statfs" SYS_statfs "symlinkat" SYS_symlinkat "syncfs" SYS_syncfs "umask" SYS_umask
        "umount2" SYS_umount2 "unlinkat" SYS_unlinkat "unshare" SYS_unshare
        "utimensat" SYS_utimensat "wait4" SYS_wait4 "write" SYS_write
    }
}
