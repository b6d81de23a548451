//! Tests in a forked child, which may change what it likes: it takes its namespaces and its identity with it.

use std::fmt::{self, Display};
use std::fs;
use std::io::{self, Read, Write};
use std::path::Path;

use nix::errno::Errno;
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use nix::sys::prctl;
use nix::sys::wait::waitpid;
use nix::unistd::{ForkResult, fork, setgid, setgroups, setuid};

use super::host::{User, is_root};

/// Which call failed in a test, and why.
#[derive(Debug)]
pub struct Failure {
    pub errno: Errno,
    pub call: String,
}

impl Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "{}: {}", self.call, self.errno.desc())
    }
}

/// Names the call whose result this is.
pub trait Call<T> {
    fn call(self, call: impl Display) -> Result<T, Failure>;
}

impl<T> Call<T> for nix::Result<T> {
    fn call(self, call: impl Display) -> Result<T, Failure> {
        self.map_err(|errno| Failure { errno, call: call.to_string() })
    }
}

impl<T> Call<T> for io::Result<T> {
    fn call(self, call: impl Display) -> Result<T, Failure> {
        self.map_err(|error| Errno::from_raw(error.raw_os_error().unwrap_or_default())).call(call)
    }
}

/// Runs `test` in a child and gives its answer.
pub fn in_child(test: impl FnOnce() -> Result<(), Failure>) -> Result<(), Failure> {
    let (mut answer, mut childs_end) = io::pipe().call("pipe")?;
    // SAFETY: this process has one thread.
    let ForkResult::Parent { child } = unsafe { fork() }.call("fork")? else {
        drop(answer);
        let (errno, call) = match test() {
            Ok(()) => (0, String::new()),
            Err(failure) => (failure.errno as i32, failure.call),
        };
        let _ = write!(childs_end, "{errno}\n{call}");
        // SAFETY: nothing of the parent's is left to do in this copy of it.
        unsafe { libc::_exit(0) }
    };
    drop(childs_end);
    let mut text = String::new();
    answer.read_to_string(&mut text).call("read from the child")?;
    waitpid(child, None).call("wait4")?;
    match text.split_once('\n') {
        Some(("0", _)) => Ok(()),
        Some((errno, call)) => {
            let errno = Errno::from_raw(errno.parse().unwrap_or_default());
            Err(Failure { errno, call: call.to_owned() })
        }
        None => Err(Failure { errno: Errno::EINTR, call: "the test was killed".to_owned() }),
    }
}

/// Becomes the ordinary user, if this is root.
pub fn become_ordinary(user: &User) -> Result<(), Failure> {
    if is_root() {
        setgroups(&[]).call("setgroups")?;
        setgid(user.gid).call("setgid")?;
        setuid(user.uid).call("setuid")?;
        // A process that changed its identity may not write its own /proc files until it says so.
        prctl::set_dumpable(true).call("prctl PR_SET_DUMPABLE")?;
    }
    Ok(())
}

/// Makes a user namespace in which the user, and nobody else, is root; and with it a mount namespace,
/// which shows that this root has its powers: AppArmor lets some have the first without the second.
pub fn enter_user_namespace(user: &User) -> Result<(), Failure> {
    unshare(CloneFlags::CLONE_NEWUSER).call("unshare CLONE_NEWUSER")?;
    for (file, text) in [
        ("setgroups", "deny".to_owned()),
        ("uid_map", format!("0 {} 1", user.uid)),
        ("gid_map", format!("0 {} 1", user.gid)),
    ] {
        let path = Path::new("/proc/self").join(file);
        fs::write(&path, text).call(format_args!("write {}", path.display()))?;
    }
    enter_mount_namespace()
}

/// Makes a mount namespace that the host's mounts do not notice.
pub fn enter_mount_namespace() -> Result<(), Failure> {
    const NOTHING: Option<&str> = None;
    unshare(CloneFlags::CLONE_NEWNS).call("unshare CLONE_NEWNS")?;
    let private = MsFlags::MS_REC | MsFlags::MS_PRIVATE;
    mount(NOTHING, "/", NOTHING, private, NOTHING).call("make the mounts private")
}
