//! What happens to the process, in order.

use std::ffi::OsStr;
use std::mem::{self, ManuallyDrop};
use std::os::unix::net::UnixStream;
use std::path::Path;

use nix::errno::Errno;
use nix::sched::CloneFlags;
use nix::sys::signal::SigSet;
use nix::sys::stat::{Mode, umask};
use nix::unistd::{ForkResult, chdir, sethostname};
use shared::{Error, Explain};
use step0::exec::exec;
use step1::signals;
use step1::terminal::Terminal;
use step2::clone::{clone3, in_new};
use step4::{lifeline, pid1, rootfs};
use step5::{handshake, userns};
use step6::cgroup::{self, Cgroup};
use step6::limits::Limits;
use step8::directory;
use step8::etc::Host;
use step8::layer::Layer;
use step8::process::Process;
use step8::user::User;
use step8::{image, inherited};

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
    let mut layer = Layer::over(vec![image.rootfs], &image.manifest.digest)?;
    let cgroup = Cgroup::make(&options.limits)?;
    let mut args = in_new(NAMESPACES);
    if let Some(cgroup) = &cgroup {
        cgroup.receive(&mut args);
    }
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
            let mapped = userns::map_ids(child, options.userns);
            let prepared = mapped.and_then(|()| layer.belongs_to(child));
            handshake::release(child, prepared, &engines_end)?;
            lifeline::wait_for_exec(&engines_end);
            let status = signals::supervise(child, pid1::pass_on)?;
            cgroup.map_or(Ok(status), |cgroup| cgroup.end(&options.limits, status))
        }
    }
}

/// The child: what it still is until it becomes the command.
fn child(
    options: &Options,
    process: &Process,
    layer: &Layer,
    callers_mask: &SigSet,
    lifeline: &UnixStream,
) -> Result<u8, Error> {
    handshake::wait_for_word(lifeline)?;
    lifeline::end_with_engine(lifeline)?;
    callers_mask.thread_set_mask().explain("restore the signal mask")?;
    inherited::close_all_but(lifeline)?;
    umask(Mode::from_bits_truncate(0o022));
    inherited::leave_keys()?;
    sethostname(&options.hostname)
        .explain(format_args!("sethostname to {:?}", options.hostname))
        .map_err(|error| error.cure(Errno::EINVAL, "at most 64 bytes"))
        .map_err(userns::explain_powerless)?;
    cgroup::make_own_group_root()?;
    enter(layer, &options.limits, &options.hostname)?;
    for volume in &process.volumes {
        directory::make(volume)?;
    }
    start_in(&process.working_dir)?;
    let user = User::find(&process.user)?;
    process.environment.take_on(&user.home);
    user.take_on()?;
    // Once more: a change of user takes it back (PR_SET_PDEATHSIG(2const)).
    lifeline::end_with_engine(lifeline)?;
    match exec(&process.command)? {}
}

/// Makes the image, with `layer` over it, what the command sees as /.
fn enter(layer: &Layer, limits: &Limits, hostname: &OsStr) -> Result<(), Error> {
    rootfs::make_mounts_private()?;
    layer.remove_stale();
    let host = Host::read();
    let rootfs = layer.mount()?;
    rootfs::mount_proc(&rootfs).map_err(userns::explain_proc)?;
    rootfs::mount_dev(&rootfs)?;
    if limits.are_given() {
        cgroup::mount_cgroup(&rootfs)?;
    }
    rootfs::pivot_into(&rootfs)?;
    // Not before: the way to the store may be open to one of the caller's groups alone.
    userns::drop_groups()?;
    host.write(hostname).map_err(|error| layer.name_full(error))
}

/// Goes to the directory where the command starts, made if it is missing.
fn start_in(directory: &Path) -> Result<(), Error> {
    directory::make(directory)?;
    chdir(directory).explain(format_args!("chdir to {directory:?}"))
}
