//! The child: it makes its world, and then becomes the command.

use std::os::unix::net::UnixStream;
use std::path::Path;

use nix::errno::Errno;
use nix::sys::signal::SigSet;
use nix::sys::stat::{Mode, umask};
use nix::unistd::{chdir, sethostname};
use shared::{Error, Explain};
use step0::exec::exec;
use step4::{lifeline, rootfs};
use step5::{handshake, userns};
use step6::cgroup;
use step8::layer::Layer;
use step8::process::Process;
use step8::user::User;
use step8::{directory, inherited};
use step9::etc;
use step10::masks;
use step11::confinement::Confinement;
use step12::mounts::Mounts;
use step12::owners;

use crate::Options;

/// What it still is until it becomes the command. It leaves this function only with an error.
pub fn run(
    options: &Options,
    process: &Process,
    confinement: &Confinement,
    mounts: &Mounts,
    layer: &Layer,
    callers_mask: &SigSet,
    lifeline: &UnixStream,
) -> Result<u8, Error> {
    handshake::wait_for_word(lifeline)?;
    lifeline::end_with_engine(lifeline)?;
    callers_mask.thread_set_mask().explain("restore the signal mask")?;
    inherited::close_all_but(lifeline)?;
    umask(Mode::from_bits_truncate(0o022));
    let caller = options.userns.caller().filter(|_| options.overrides.user.is_none());
    make_world(options, layer, mounts, lifeline)?;
    // The directory to start in may have to be made, and after `seal` it can't be.
    directory::make(&process.working_dir)?;
    mounts.seal()?;
    become_command(process, caller, confinement, mounts, lifeline)
}

/// Makes what the command will see around it: a hostname, a root filesystem with the image and
/// `layer` in it, and no way back to the host.
fn make_world(
    options: &Options,
    layer: &Layer,
    mounts: &Mounts,
    lifeline: &UnixStream,
) -> Result<(), Error> {
    sethostname(&options.hostname)
        .explain(format_args!("sethostname to {:?}", options.hostname))
        .map_err(|error| error.cure(Errno::EINVAL, "at most 64 bytes"))
        .map_err(userns::explain_powerless)?;
    cgroup::make_own_group_root()?;
    enter(layer, mounts, lifeline, options)
}

/// Makes the image, with `layer` over it, what the command sees as /.
fn enter(
    layer: &Layer,
    mounts: &Mounts,
    lifeline: &UnixStream,
    options: &Options,
) -> Result<(), Error> {
    rootfs::make_mounts_private()?;
    layer.remove_stale();
    // The host's side of each mount, as long as the host can be seen.
    let mut ready = mounts.open(layer.directory())?;
    // Not before: the caller's own way to them may be open to the caller alone.
    owners::become_root()?;
    lifeline::end_with_engine(lifeline)?;
    let files = etc::Files::of_host(&options.hostname);
    let rootfs = layer.mount()?;
    rootfs::mount_proc(&rootfs).map_err(userns::explain_proc)?;
    rootfs::mount_dev(&rootfs)?;
    if options.limits.are_given() {
        cgroup::mount_cgroup(&rootfs)?;
    }
    rootfs::pivot_into(&rootfs)?;
    // Not before: the way to the store may be open to one of the caller's groups alone.
    userns::drop_groups()?;
    // As long as all that can be seen is the image's.
    for mount in &mut ready {
        mount.prepare().map_err(|error| layer.name_full(error))?;
    }
    masks::mount_all()?;
    files.mount_unless(|path| mounts.cover(path)).map_err(|error| layer.name_full(error))?;
    // And the container's side, where no path leads to the host any more.
    for mount in ready {
        mount.mount().map_err(|error| layer.name_full(error))?;
    }
    Ok(())
}

/// Becomes the command: from here on, only this process changes, and no longer its world.
fn become_command(
    process: &Process,
    caller: Option<User>,
    confinement: &Confinement,
    mounts: &Mounts,
    lifeline: &UnixStream,
) -> Result<u8, Error> {
    inherited::leave_keys()?;
    start_in(&process.working_dir)?;
    let user = caller.map_or_else(|| User::find(&process.user), Ok)?;
    owners::note_strange(&user, mounts)?;
    process.environment.take_on(&user.home);
    confinement.take_on(&user)?;
    // Once more: a change of user takes it back (PR_SET_PDEATHSIG(2const)).
    lifeline::end_with_engine(lifeline)?;
    confinement.seal(&user, lifeline)?;
    match exec(&process.command)? {}
}

/// Goes to the directory where the command starts.
fn start_in(directory: &Path) -> Result<(), Error> {
    chdir(directory).explain(format_args!("chdir to {directory:?}"))
}
