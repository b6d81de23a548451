//! What happens to the process, in order.

use std::convert::Infallible;
use std::ffi::{CString, OsStr, OsString};
use std::fs;
use std::io::{self, Read};
use std::mem::{self, ManuallyDrop};
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::UnixStream;
use std::path::Path;

use nix::errno::Errno;
use nix::sched::CloneFlags;
use nix::sys::prctl;
use nix::sys::signal::{SigSet, Signal, kill};
use nix::sys::socket::{MsgFlags, send};
use nix::sys::stat::{Mode, umask};
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid, waitpid};
use nix::unistd::{ForkResult, Pid, chdir, execvp, sethostname};
use shared::{Error, Explain};
use step1::signals;
use step1::terminal::Terminal;
use step2::clone::{clone3, in_new};
use step4::{pid1, rootfs};
use step5::userns::{self, Userns};
use step6::cgroup::{self, Cgroup};
use step6::limits::Limits;
use step8::etc::Host;
use step8::image;
use step8::layer::Layer;
use step8::process::Process;
use step8::user::User;

use crate::Options;

/// What the container does not share with the host (namespaces(7)).
const NAMESPACES: &[CloneFlags] = &[
    CloneFlags::CLONE_NEWUTS, // hostname
    CloneFlags::CLONE_NEWPID, // process ids
    CloneFlags::CLONE_NEWNS,  // mounts
    CloneFlags::CLONE_NEWIPC, // System V IPC, POSIX message queues
    // users, groups, capabilities
    CloneFlags::CLONE_NEWUSER,
];

/// Runs the command and gives its exit status.
///
/// Half-way there are two of us. The child leaves this function only with an error.
pub fn run(options: &Options) -> Result<u8, Error> {
    let (name, command) = options.image_and_command.split_first().expect("clap requires one");
    let image = image::get(name, options.pull)?;
    let words = &image.config.config;
    let process = Process::new(words, &options.overrides, &options.hostname, command)?;
    let _as_it_was = Terminal::remember();
    // Before there are two: a signal that came later would end the engine, but not the child.
    let callers_mask = signals::block()?;
    // Its ends close with their process: so each learns what became of the other.
    let (engines_end, childs_end) = UnixStream::pair().explain("socketpair")?;
    let mut layer = Layer::over(&image.rootfs)?;
    let cgroup = Cgroup::make(&options.limits)?;
    let mut args = in_new(NAMESPACES);
    cgroup.iter().for_each(|cgroup| cgroup.receive(&mut args));
    // SAFETY: this process has one thread, so the child may do whatever its parent could.
    let cloned = unsafe { clone3(&args) }.explain("clone3 a child into new namespaces");
    match cloned.map_err(userns::explain_refusal)? {
        ForkResult::Child => {
            drop(engines_end);
            mem::forget(cgroup); // the engine removes it
            let layer = ManuallyDrop::new(layer); // this too
            child(options, &process, &layer, &callers_mask, &childs_end)
        }
        ForkResult::Parent { child } => {
            drop(childs_end);
            release(child, options.userns, &mut layer, &engines_end)?;
            wait_for_exec(&engines_end);
            let status = signals::supervise(child, pid1::pass_on)?;
            cgroup.map_or(Ok(status), |cgroup| cgroup.end(&options.limits, status))
        }
    }
}

/// Gives the child its ids, then the word to go on. Without them it is nobody, and waits.
fn release(child: Pid, userns: Userns, layer: &mut Layer, line: &UnixStream) -> Result<(), Error> {
    let mapped = userns::map_ids(child, userns).and_then(|()| layer.belongs_to(child));
    let released = mapped.and_then(|()| tell(line));
    released.or_else(|error| {
        // It must not go on, nor outlive us.
        let _ = kill(child, Signal::SIGKILL);
        match waitid(Id::Pid(child), WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT) {
            // It had ended before, and has said why: `supervise` will tell.
            Ok(WaitStatus::Exited(..)) => Ok(()),
            _ => {
                let _ = waitpid(child, None);
                Err(error)
            }
        }
    })
}

/// Sends the child the word to go on.
fn tell(line: &UnixStream) -> Result<(), Error> {
    match send(line.as_raw_fd(), b"!", MsgFlags::MSG_NOSIGNAL) {
        // It has failed, or somebody has killed it: `supervise` will tell.
        Err(Errno::EPIPE) => Ok(()),
        sent => sent.map(drop).explain("send the child the word to go on"),
    }
}

/// Returns when the child has become the command, or has failed: exec and exit close its end.
fn wait_for_exec(mut child: &UnixStream) {
    // Signals wait meanwhile. Sent now, to a PID 1 that has no handlers yet, they would be lost.
    // However this ends, nobody holds the other end any more.
    let _ = io::copy(&mut child, &mut io::sink());
}

/// The child: what it still is until it becomes the command.
fn child(
    options: &Options,
    process: &Process,
    layer: &Layer,
    callers_mask: &SigSet,
    engine: &UnixStream,
) -> Result<u8, Error> {
    wait_for_ids(engine)?;
    end_with(engine)?;
    callers_mask.thread_set_mask().explain("restore the signal mask")?;
    close_all_but(engine)?;
    umask(Mode::from_bits_truncate(0o022));
    userns::drop_groups()?;
    leave_keys()?;
    sethostname(&options.hostname)
        .explain(format_args!("sethostname to {:?}", options.hostname))
        .map_err(|error| error.cure(Errno::EINVAL, "at most 64 bytes"))
        .map_err(userns::explain_powerless)?;
    cgroup::make_own_group_root()?;
    enter(layer, &options.limits, &options.hostname)?;
    start_in(&process.working_dir)?;
    let user = User::find(&process.user)?;
    process.environment.take_on(&user.home);
    user.take_on()?;
    // Once more: a change of user takes it back (PR_SET_PDEATHSIG(2const)).
    end_with(engine)?;
    match exec(&process.command)? {}
}

/// Makes the image, with `layer` over it, what the command sees as /.
fn enter(layer: &Layer, limits: &Limits, hostname: &OsStr) -> Result<(), Error> {
    layer.remove_stale();
    let host = Host::read();
    rootfs::make_mounts_private()?;
    let rootfs = layer.mount()?;
    rootfs::mount_proc(&rootfs).map_err(userns::explain_proc)?;
    rootfs::mount_dev(&rootfs)?;
    if limits.are_given() {
        cgroup::mount_cgroup(&rootfs)?;
    }
    rootfs::pivot_into(&rootfs)?;
    host.write(hostname).map_err(|error| layer.name_full(error))
}

/// Goes to the directory where the command starts, made if it is missing.
fn start_in(directory: &Path) -> Result<(), Error> {
    let made = fs::create_dir_all(directory);
    made.explain(format_args!("make the directory {directory:?}"))
        .map_err(|error| error.cure(Errno::EEXIST, "it is something else"))?;
    chdir(directory).explain(format_args!("chdir to {directory:?}"))
}

/// Waits for the engine's word that we have our ids.
fn wait_for_ids(mut engine: &UnixStream) -> Result<(), Error> {
    match engine.read(&mut [0]).explain("wait for the engine")? {
        0 => Err(Error::new("the engine has ended")),
        _ => Ok(()),
    }
}

/// Lets the container end with its engine, even when that is killed.
fn end_with(mut engine: &UnixStream) -> Result<(), Error> {
    prctl::set_pdeathsig(Signal::SIGKILL).explain("prctl PR_SET_PDEATHSIG")?;
    // If the engine was killed before this call, nothing will come. getppid would not tell: it is 0
    // here.
    engine.set_nonblocking(true).explain("look at the engine")?;
    match engine.read(&mut [0]) {
        Ok(0) => Err(Error::new("the engine has ended")),
        _ => Ok(()),
    }
}

/// Closes every file but standard input, output and error, and the line to the engine, which closes
/// on exec. From here on we do what the image says, and a path in it may be /proc/self/fd/7: an open
/// directory of the host would be a way out, even before there is a command.
fn close_all_but(engine: &UnixStream) -> Result<(), Error> {
    let line = engine.as_raw_fd() as u32;
    let close = |first: u32, last: u32| {
        // SAFETY: nothing that owns one of these files is used, or dropped, in the child.
        let result = unsafe { libc::close_range(first, last, 0) };
        Errno::result(result).explain("close_range from 3 on, as Linux can since 5.9").map(drop)
    };
    if line > 3 {
        close(3, line - 1)?;
    }
    close(line + 1, u32::MAX)
}

/// Leaves the keys of the caller's session for an empty keyring: who has a keyring may read the keys
/// in it, and no namespace stands between (session-keyring(7)).
fn leave_keys() -> Result<(), Error> {
    let join = libc::KEYCTL_JOIN_SESSION_KEYRING;
    let no_name = std::ptr::null::<libc::c_char>();
    // SAFETY: without a name there is nothing to read.
    match Errno::result(unsafe { libc::syscall(libc::SYS_keyctl, join, no_name) }) {
        // A kernel without keys; or a filter, which the command will have, too.
        Err(Errno::ENOSYS | Errno::EPERM) => Ok(()),
        joined => joined.explain("keyctl JOIN_SESSION_KEYRING").map(drop).map_err(|error| {
            error.cure(Errno::EDQUOT, "a user has so many keys: sysctl kernel.keys.maxkeys")
        }),
    }
}

/// Becomes the command. This returns only when that failed: otherwise nothing is left to return to.
fn exec(command: &[OsString]) -> Result<Infallible, Error> {
    let to_c = |arg: &OsString| CString::new(arg.as_bytes()).expect("no argument contains a NUL");
    let argv: Vec<CString> = command.iter().map(to_c).collect();
    let Err(errno) = execvp(&argv[0], &argv);
    Err(shared::cannot_execute(&command[0], errno))
}
