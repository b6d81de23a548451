//! What happens to the process, in order.

use std::convert::Infallible;
use std::ffi::{CString, OsString};
use std::os::unix::ffi::OsStrExt;

use nix::errno::Errno;
use nix::sched::CloneFlags;
use nix::sys::signal::SigSet;
use nix::unistd::{ForkResult, execvp, sethostname};
use shared::{Error, Explain};
use step1::signals;
use step1::terminal::Terminal;
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
    close_on_exec()?;
    sethostname(&options.hostname)
        .explain(format_args!("sethostname to {:?}", options.hostname))
        .map_err(|error| error.cure(Errno::EINVAL, "at most 64 bytes"))?;
    match exec(&options.command)? {}
}

/// Lets the command have standard input, output and error, and no other file that happened to be
/// open in the engine's caller: an open directory of the host would be a way out of the container.
fn close_on_exec() -> Result<(), Error> {
    // SAFETY: files are only marked, and closed by a successful exec.
    let result = unsafe { libc::close_range(3, u32::MAX, libc::CLOSE_RANGE_CLOEXEC as i32) };
    Errno::result(result).explain("close_range from 3 on, as Linux can since 5.11").map(drop)
}

/// Becomes the command. This returns only when that failed: otherwise nothing is left to return to.
fn exec(command: &[OsString]) -> Result<Infallible, Error> {
    let to_c = |arg: &OsString| CString::new(arg.as_bytes()).expect("no argument contains a NUL");
    let argv: Vec<CString> = command.iter().map(to_c).collect();
    let Err(errno) = execvp(&argv[0], &argv);
    Err(shared::cannot_execute(&command[0], errno))
}
