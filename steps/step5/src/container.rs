//! What happens to the process, in order.

use std::os::unix::net::UnixStream;
use std::path::Path;

use nix::errno::Errno;
use nix::sched::CloneFlags;
use nix::sys::signal::SigSet;
use nix::unistd::{ForkResult, sethostname};
use shared::{Error, Explain};
use step0::exec::exec;
use step1::terminal::Terminal;
use step1::{files, signals};
use step2::clone::{clone3, in_new};
use step4::{lifeline, pid1, rootfs};
use step5::{handshake, userns};

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
    let _as_it_was = Terminal::remember();
    // Before there are two: a signal that came later would end the engine, but not the child.
    let callers_mask = signals::block()?;
    // Its ends close with their process: so each learns what became of the other.
    let (engines_end, childs_end) = UnixStream::pair().explain("socketpair")?;
    let args = in_new(NAMESPACES);
    // SAFETY: this process has one thread, so the child may do whatever its parent could.
    let cloned = unsafe { clone3(&args) }.explain("clone3 a child into new namespaces");
    match cloned.map_err(userns::explain_refusal)? {
        ForkResult::Child => {
            drop(engines_end);
            child(options, &callers_mask, &childs_end)
        }
        ForkResult::Parent { child } => {
            drop(childs_end);
            let mapped = userns::map_ids(child, options.userns);
            handshake::release(child, mapped, &engines_end)?;
            lifeline::wait_for_exec(&engines_end);
            signals::supervise(child, pid1::pass_on)
        }
    }
}

/// The child: what it still is until it becomes the command.
fn child(options: &Options, callers_mask: &SigSet, lifeline: &UnixStream) -> Result<u8, Error> {
    handshake::wait_for_word(lifeline)?;
    lifeline::end_with_engine(lifeline)?;
    callers_mask.thread_set_mask().explain("restore the signal mask")?;
    files::close_on_exec()?;
    sethostname(&options.hostname)
        .explain(format_args!("sethostname to {:?}", options.hostname))
        .map_err(|error| error.cure(Errno::EINVAL, "at most 64 bytes"))
        .map_err(userns::explain_powerless)?;
    enter(&options.rootfs)?;
    match exec(&options.command)? {}
}

/// Makes `rootfs` what the command sees as /.
fn enter(rootfs: &Path) -> Result<(), Error> {
    rootfs::make_mounts_private()?;
    let rootfs = rootfs::bind_to_itself(rootfs)?;
    rootfs::mount_proc(&rootfs).map_err(userns::explain_proc)?;
    rootfs::mount_dev(&rootfs)?;
    rootfs::pivot_into(&rootfs)?;
    // Not before: the way to rootfs may be open to one of the caller's groups alone.
    userns::drop_groups()
}
