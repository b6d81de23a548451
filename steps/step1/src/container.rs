//! What happens to the process, in order.

use nix::sys::signal::SigSet;
use nix::unistd::{ForkResult, fork};
use shared::{Error, Explain};
use step0::exec::exec;
use step1::terminal::Terminal;
use step1::{files, signals};

use crate::Options;

/// Runs the command and gives its exit status.
///
/// Half-way there are two of us. The child leaves this function only with an error.
pub fn run(options: &Options) -> Result<u8, Error> {
    let _as_it_was = Terminal::remember();
    // Before there are two: a signal that came later would end the engine, but not the child.
    let callers_mask = signals::block()?;
    // SAFETY: this process has one thread, so the child may do whatever its parent could.
    match unsafe { fork() }.explain("fork")? {
        ForkResult::Child => child(options, &callers_mask),
        ForkResult::Parent { child } => signals::supervise(child, signals::pass_on),
    }
}

/// The child: what it still is until it becomes the command.
fn child(options: &Options, callers_mask: &SigSet) -> Result<u8, Error> {
    callers_mask.thread_set_mask().explain("restore the signal mask")?;
    files::close_on_exec()?;
    match exec(&options.command)? {}
}
