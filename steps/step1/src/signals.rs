//! The engine's life while the command runs: pass signals on, wait, learn the exit status.
//!
//! The engine has the pid that its caller knows. Whoever signals it means the command.

use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;

use nix::errno::Errno;
use nix::sys::signal::{SigSet, Signal, raise};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::unistd::Pid;
use shared::{Error, Explain};

/// What a terminal sends, and always to a whole process group: for a key, for a new size of the
/// window, and to a group in the background that reads from it or writes to it.
const OF_TERMINAL: [i32; 6] =
    [libc::SIGINT, libc::SIGQUIT, libc::SIGTSTP, libc::SIGWINCH, libc::SIGTTIN, libc::SIGTTOU];

/// How a signal reaches the child: [`pass_on`], or a later step's own way. It is a number, because
/// the real-time signals have no names.
pub type PassOn = fn(child: Pid, signal: i32, by_terminal: bool) -> nix::Result<()>;

/// Holds back all signals, for [`supervise`] to read, and gives the mask there was before: the child
/// has to restore it, because a mask survives exec.
///
/// One that was left out would end the engine, and not the child. (Nobody can hold back SIGKILL and
/// SIGSTOP, nor the signal of a fault of our own, such as SIGSEGV: signal(7).)
pub fn block() -> Result<SigSet, Error> {
    let before = SigSet::thread_get_mask().explain("read the signal mask")?;
    SigSet::all().thread_block().explain("block signals")?;
    Ok(before)
}

/// Waits until the child has ended and gives its exit status as a shell would: the child's own, or
/// 128 + n when signal n killed it. Meanwhile each signal for the engine goes to the child.
pub fn supervise(child: Pid, pass_on: PassOn) -> Result<u8, Error> {
    let signals =
        SignalFd::with_flags(&SigSet::all(), SfdFlags::SFD_CLOEXEC).explain("signalfd")?;
    loop {
        let info =
            signals.read_signal().explain("read a signal")?.expect("a blocking read has one");
        let signal = info.ssi_signo as i32;
        if signal != libc::SIGCHLD {
            let by_terminal = info.ssi_code == libc::SI_KERNEL && OF_TERMINAL.contains(&signal);
            // A command that became another user (sudo) is out of reach: the engine keeps waiting.
            let _ = pass_on(child, signal, by_terminal);
        } else if let Some(status) = reap(child)? {
            return Ok(status);
        }
    }
}

/// Sends the child what was sent to the engine. What the terminal sends (for Ctrl-C, Ctrl-\, Ctrl-Z
/// …) is not sent again: every process of the group has got it, the child too.
pub fn pass_on(child: Pid, signal: i32, by_terminal: bool) -> nix::Result<()> {
    if by_terminal { Ok(()) } else { send(child, signal) }
}

/// Sends a signal by its number.
pub fn send(to: Pid, signal: i32) -> nix::Result<()> {
    // SAFETY: it only takes numbers. (nix's kill takes names, and the real-time signals have none.)
    Errno::result(unsafe { libc::kill(to.as_raw(), signal) }).map(drop)
}

/// What SIGCHLD was about: the exit status if the child has ended, None if it stopped or went on.
fn reap(child: Pid) -> Result<Option<u8>, Error> {
    let mut status = 0;
    // SAFETY: `status` outlives the call. (nix's waitpid does not know the real-time signals.)
    let pid =
        unsafe { libc::waitpid(child.as_raw(), &mut status, libc::WNOHANG | libc::WUNTRACED) };
    if Errno::result(pid).explain(format_args!("waitpid {child}"))? == 0 {
        return Ok(None);
    }
    let status = ExitStatus::from_raw(status);
    if status.stopped_signal().is_some() {
        stop_with_child()?;
        return Ok(None);
    }
    let killed_by = status.signal().map(|signal| 128 + signal);
    Ok(status.code().or(killed_by).map(|status| status as u8))
}

/// Stops the engine as its child has stopped, so that the caller's shell sees a stopped job. Its
/// `fg` sends SIGCONT, which wakes the engine and is passed on like any other signal.
fn stop_with_child() -> Result<(), Error> {
    // SIGTSTP, not SIGSTOP: where no shell could wake us up, the kernel does not stop us
    // (setpgid(2)). Another one that Ctrl-Z left pending stops us no second time: SIGCONT discards it.
    let stop = SigSet::from(Signal::SIGTSTP);
    raise(Signal::SIGTSTP).and_then(|()| stop.thread_unblock()).explain("stop")?;
    stop.thread_block().explain("block SIGTSTP")
}
