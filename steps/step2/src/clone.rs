//! clone3(2): fork, with namespaces.

use std::mem;

use nix::errno::Errno;
use nix::sched::CloneFlags;
use nix::unistd::{ForkResult, Pid};

/// What clone3 needs to know: a child like fork's, but the first process in new namespaces, given as
/// CLONE_NEW… flags.
pub fn in_new(namespaces: &[CloneFlags]) -> libc::clone_args {
    // SAFETY: all its fields are integers, and for each of them zero means "not used".
    let mut args: libc::clone_args = unsafe { mem::zeroed() };
    let flags: CloneFlags = namespaces.iter().copied().collect();
    args.flags = flags.bits() as u64;
    args.exit_signal = libc::SIGCHLD as u64;
    args
}

/// Forks a child as `args` say.
///
/// fork(2) has no flags, and libc has no function for clone3, so this is the bare system call. It
/// fails with EPERM for an ordinary user, with ENOSPC when the limit on namespaces is reached
/// (namespaces(7)), and with ENOSYS before Linux 5.3 and in containers that forbid it.
///
/// # Safety
/// As for fork: the caller has one thread, or the child calls only async-signal-safe functions. And
/// `args` ask for no stack and no shared memory.
pub unsafe fn clone3(args: &libc::clone_args) -> nix::Result<ForkResult> {
    // SAFETY: the kernel only reads `args`. No stack is given, so the child goes on with its own
    // copy of this one, and like fork the call returns twice.
    let pid = unsafe { libc::syscall(libc::SYS_clone3, args, size_of_val(args)) };
    match Errno::result(pid)? {
        0 => Ok(ForkResult::Child),
        pid => Ok(ForkResult::Parent { child: Pid::from_raw(pid as i32) }),
    }
}
