//! What happens to the process, in order.

use std::path::Path;

use nix::errno::Errno;
use nix::sched::CloneFlags;
use nix::sys::signal::SigSet;
use nix::unistd::{ForkResult, chdir, chroot, sethostname};
use shared::{Error, Explain};
use step0::exec::exec;
use step1::terminal::Terminal;
use step1::{files, signals};
use step2::clone::{clone3, in_new};

use crate::Options;

/// What the container does not share with the host (namespaces(7)).
const NAMESPACES: &[CloneFlags] = &[
    CloneFlags::CLONE_NEWUTS, // hostname
];

/// Runs the command and gives its exit status.
///
/// Half-way there are two of us. The child leaves this function only with an error.
pub fn run(options: &Options) -> Result<u8, Error> {
    let _as_it_was = Terminal::remember();
    // Before there are two: a signal that came later would end the engine, but not the child.
    let callers_mask = signals::block()?;
    let args = in_new(NAMESPACES);
    // SAFETY: this process has one thread, so the child may do whatever its parent could.
    let cloned = unsafe { clone3(&args) }.explain("clone3 a child into new namespaces");
    match cloned.map_err(Error::suggest_root)? {
        ForkResult::Child => child(options, &callers_mask),
        ForkResult::Parent { child } => signals::supervise(child, signals::pass_on),
    }
}

/// The child: what it still is until it becomes the command.
fn child(options: &Options, callers_mask: &SigSet) -> Result<u8, Error> {
    callers_mask.thread_set_mask().explain("restore the signal mask")?;
    files::close_on_exec()?;
    sethostname(&options.hostname)
        .explain(format_args!("sethostname to {:?}", options.hostname))
        .map_err(|error| error.cure(Errno::EINVAL, "at most 64 bytes"))?;
    enter(&options.rootfs)?;
    match exec(&options.command)? {}
}

/// Makes `rootfs` what the command sees as /.
fn enter(rootfs: &Path) -> Result<(), Error> {
    let entered = chroot(rootfs).explain(format_args!("chroot to {rootfs:?}"));
    entered.map_err(|error| error.cure(Errno::ENOENT, "`./just rootfs` makes one"))?;
    // chroot leaves the working directory where it was: outside, a way out of the new root.
    chdir("/").explain("chdir to the new /")
}
