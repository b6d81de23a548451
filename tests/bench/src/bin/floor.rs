//! The least program that starts a container: new namespaces, a root directory, exec, wait. It
//! checks nothing, explains nothing and passes no signal on: what a start costs the kernel.
//!
//! Usage: floor [--user] [--mounts] DIR PROGRAM
//!
//! With --user a user namespace is one of the namespaces, and the caller is its root. With --mounts
//! it makes the mounts, and the pivot_root, that step 4 makes; without, it only calls chroot.
#![no_main]

use std::ffi::{CStr, c_char, c_int, c_void};
use std::fs;
use std::io;
use std::ptr::null;

use libc::{
    CLONE_NEWIPC, CLONE_NEWNS, CLONE_NEWPID, CLONE_NEWUSER, CLONE_NEWUTS, CLONE_VFORK, CLONE_VM,
};

const MINE: c_int = CLONE_NEWUTS | CLONE_NEWPID | CLONE_NEWNS | CLONE_NEWIPC;

const DEVICES: [(&CStr, &CStr); 6] = [
    (c"/dev/null", c"dev/null"),
    (c"/dev/zero", c"dev/zero"),
    (c"/dev/full", c"dev/full"),
    (c"/dev/random", c"dev/random"),
    (c"/dev/urandom", c"dev/urandom"),
    (c"/dev/tty", c"dev/tty"),
];

const LINKS: [(&CStr, &CStr); 5] = [
    (c"/proc/self/fd", c"dev/fd"),
    (c"/proc/self/fd/0", c"dev/stdin"),
    (c"/proc/self/fd/1", c"dev/stdout"),
    (c"/proc/self/fd/2", c"dev/stderr"),
    (c"pts/ptmx", c"dev/ptmx"),
];

/// Not Rust's `main`, whose start is a cost of its own.
#[unsafe(no_mangle)]
extern "C" fn main(count: c_int, words: *const *const c_char) -> c_int {
    // SAFETY: the C library passes `count` strings.
    let words = unsafe { std::slice::from_raw_parts(words, count as usize) };
    // SAFETY: they end with NUL, and live as long as the process.
    let words: Vec<&CStr> = words.iter().map(|word| unsafe { CStr::from_ptr(*word) }).collect();
    let (options, rest): (Vec<&CStr>, Vec<&CStr>) =
        words[1..].iter().partition(|word| word.to_bytes().starts_with(b"--"));
    let [root, program] = rest[..] else { return 125 };
    // SAFETY: these calls always succeed.
    let (uid, gid) = unsafe { (libc::getuid(), libc::getgid()) };
    let (has_user, has_mounts) = (options.contains(&c"--user"), options.contains(&c"--mounts"));
    start(&Job { root, program, has_user, has_mounts, uid, gid })
}

struct Job<'a> {
    root: &'a CStr,
    program: &'a CStr,
    has_user: bool,
    has_mounts: bool,
    /// The caller's, as they are outside the user namespace.
    uid: u32,
    gid: u32,
}

/// Shares its memory with the child until that has become the program: nothing is copied.
fn start(job: &Job) -> c_int {
    let mut stack = vec![0u8; 64 * 1024];
    let flags = CLONE_VM | CLONE_VFORK | libc::SIGCHLD | MINE;
    let flags = if job.has_user { flags | CLONE_NEWUSER } else { flags };
    let argument = (job as *const Job).cast_mut().cast::<c_void>();
    // SAFETY: the stack is large enough for what `child` does, and both outlive it: with CLONE_VFORK
    // this returns only when the child has become the program, or is gone.
    unsafe {
        // A stack begins at a multiple of 16.
        let top = (stack.as_mut_ptr().add(stack.len()) as usize & !15) as *mut c_void;
        let pid = libc::clone(child, top, flags, argument);
        let mut status = 0;
        if pid < 0 || libc::waitpid(pid, &mut status, 0) != pid {
            return 125;
        }
        if libc::WIFEXITED(status) { libc::WEXITSTATUS(status) } else { 125 }
    }
}

extern "C" fn child(argument: *mut c_void) -> c_int {
    // SAFETY: it is what `start` has passed.
    let job = unsafe { &*argument.cast::<Job>() };
    if job.has_user && map_caller(job).is_err() {
        return 125;
    }
    // SAFETY: strings that end with NUL, or null where a call takes none.
    unsafe {
        let entered = if job.has_mounts {
            mount_all(job.root)
        } else {
            libc::chroot(job.root.as_ptr()) == 0 && libc::chdir(c"/".as_ptr()) == 0
        };
        if !entered {
            return 125;
        }
        let words = [job.program.as_ptr(), null()];
        libc::execv(job.program.as_ptr(), words.as_ptr());
    }
    127
}

/// One id, the caller's, which the child may map itself: so no process has to wait for another.
fn map_caller(job: &Job) -> io::Result<()> {
    fs::write("/proc/self/setgroups", "deny")?;
    fs::write("/proc/self/uid_map", format!("0 {} 1", job.uid))?;
    fs::write("/proc/self/gid_map", format!("0 {} 1", job.gid))
}

/// Mounts what step 4 mounts. Only for a mount namespace of its own: it changes the mounts.
fn mount_all(root: &CStr) -> bool {
    let mount = |from: &CStr, to: &CStr, kind: &CStr, flags, data: &CStr| {
        // SAFETY: strings that end with NUL, and live longer than the call.
        let result = unsafe {
            libc::mount(from.as_ptr(), to.as_ptr(), kind.as_ptr(), flags, data.as_ptr().cast())
        };
        result == 0
    };
    let strict = libc::MS_NOSUID | libc::MS_NOEXEC | libc::MS_NODEV;
    let bind = |from: &CStr, to: &CStr| mount(from, to, c"", libc::MS_BIND | libc::MS_REC, c"");
    // SAFETY: the calls take numbers and strings, which end with NUL and live longer than the call.
    unsafe {
        mount(c"", c"/", c"", libc::MS_REC | libc::MS_PRIVATE, c"")
            && bind(root, root)
            && libc::chdir(root.as_ptr()) == 0
            && mount(c"proc", c"proc", c"proc", strict, c"")
            && mount(c"tmpfs", c"dev", c"tmpfs", strict, c"mode=0755,size=64k")
            && DEVICES.iter().all(|(from, to)| {
                let file = libc::open(to.as_ptr(), libc::O_CREAT | libc::O_CLOEXEC, 0o666);
                file >= 0 && libc::close(file) == 0 && bind(from, to)
            })
            && LINKS.iter().all(|(to, name)| libc::symlink(to.as_ptr(), name.as_ptr()) == 0)
            && libc::mkdir(c"dev/pts".as_ptr(), 0o755) == 0
            && mount(
                c"devpts",
                c"dev/pts",
                c"devpts",
                libc::MS_NOSUID | libc::MS_NOEXEC,
                c"ptmxmode=0666,mode=0620",
            )
            && libc::mkdir(c"dev/shm".as_ptr(), 0o755) == 0
            && mount(c"tmpfs", c"dev/shm", c"tmpfs", strict, c"mode=1777,size=64m")
            && libc::syscall(libc::SYS_pivot_root, c".".as_ptr(), c".".as_ptr()) == 0
            && libc::umount2(c".".as_ptr(), libc::MNT_DETACH) == 0
    }
}
