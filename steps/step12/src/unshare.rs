//! `unshare`: a command with the container's ids, and without a container.

use std::ffi::OsString;
use std::os::unix::net::UnixStream;

use clap::Args;
use nix::sched::CloneFlags;
use nix::sys::signal::SigSet;
use nix::unistd::ForkResult;
use shared::{Error, Explain};
use step0::exec::exec;
use step1::signals;
use step1::terminal::Terminal;
use step2::clone::{clone3, in_new};
use step4::lifeline;
use step5::handshake;
use step5::userns::{self, Userns};

/// The options of `unshare`.
#[derive(Args)]
pub struct Options {
    /// The program to run, and its arguments
    #[arg(value_name = "COMMAND", required = true, trailing_var_arg = true)]
    command: Vec<OsString>,
}

/// Runs a command as a container's root would be: the same ids, in the host's file system.
pub fn run(options: &Options) -> Result<u8, Error> {
    let _as_it_was = Terminal::remember();
    let callers_mask = signals::block()?;
    let (engines_end, childs_end) = UnixStream::pair().explain("socketpair")?;
    let args = in_new(&[CloneFlags::CLONE_NEWUSER]);
    // SAFETY: this process has one thread, so the child may do whatever its parent could.
    let cloned = unsafe { clone3(&args) }.explain("clone3 a child into a user namespace");
    match cloned.map_err(userns::explain_refusal)? {
        ForkResult::Child => {
            drop(engines_end);
            become_command(options, &callers_mask, &childs_end)
        }
        ForkResult::Parent { child } => {
            drop(childs_end);
            let mapped = userns::map_ids(child, Userns::Auto);
            handshake::release(child, mapped, &engines_end)?;
            lifeline::wait_for_exec(&engines_end);
            signals::supervise(child, signals::pass_on)
        }
    }
}

fn become_command(options: &Options, mask: &SigSet, lifeline: &UnixStream) -> Result<u8, Error> {
    handshake::wait_for_word(lifeline)?;
    lifeline::end_with_engine(lifeline)?;
    mask.thread_set_mask().explain("restore the signal mask")?;
    userns::drop_groups()?;
    match exec(&options.command)? {}
}
