//! What the engine does, in order.

use std::mem::{self, ManuallyDrop};
use std::os::unix::net::UnixStream;

use nix::sched::CloneFlags;
use nix::unistd::ForkResult;
use shared::{Error, Explain};
use step1::signals;
use step1::terminal::Terminal;
use step2::clone::{clone3, in_new};
use step4::{lifeline, pid1};
use step5::{handshake, userns};
use step6::cgroup::Cgroup;
use step8::process::Process;
use step9::image;
use step11::confinement::Confinement;
use step12::mounts::Mounts;
use step12::{owners, shift};

use crate::{Options, child};

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
    let confinement = Confinement::new(&options.privileges)?;
    let mut image = image::get(name, options.pull)?;
    let words = &image.config.config;
    let process = Process::new(words, &options.overrides, &options.hostname, command)?;
    image.below = shift::fit(image.below, options.userns)?;
    let mounts = Mounts::new(&options.mounts, &process.volumes)?;
    let _as_it_was = Terminal::remember();
    // Before there are two: a signal that came later would end the engine, but not the child.
    let callers_mask = signals::block()?;
    // Its ends close with their process: so each learns what became of the other.
    let (engines_end, childs_end) = UnixStream::pair().explain("socketpair")?;
    let mut layer = image.into_layer()?;
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
            let mounts = ManuallyDrop::new(mounts); // the child closes all that it has inherited
            child::run(options, &process, &confinement, &mounts, &layer, &callers_mask, &childs_end)
        }
        ForkResult::Parent { child } => {
            drop(childs_end);
            let mapped = owners::map_ids(child, options.userns);
            let prepared = mapped.and_then(|()| layer.belongs_to(child));
            handshake::release(child, prepared, &engines_end)?;
            let recording = confinement.begin_recording(&engines_end)?;
            lifeline::wait_for_exec(&engines_end);
            mounts.end_filling()?;
            let status = signals::supervise(child, pid1::pass_on)?;
            let status = recording.map_or(Ok(status), |recording| recording.end(status))?;
            cgroup.map_or(Ok(status), |cgroup| cgroup.end(&options.limits, status))
        }
    }
}
