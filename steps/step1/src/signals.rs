//! The engine's life while the command runs: pass signals on, wait, learn the exit status.
//!
//! The engine has the pid that its caller knows. Whoever signals it means the command.

use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;

use nix::errno::Errno;
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, kill, raise, sigaction};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::unistd::Pid;
use shared::{Error, Explain};

/// What is passed on: requests to end, to stop, to look again; not the engine's own faults
/// (SIGSEGV …), and not SIGKILL and SIGSTOP, which no process gets to see (signal(7)).
const PASSED_ON: [Signal; 9] = [
    Signal::SIGTERM,
    Signal::SIGINT,
    Signal::SIGHUP,
    Signal::SIGQUIT,
    Signal::SIGTSTP,
    Signal::SIGCONT,
    Signal::SIGUSR1,
    Signal::SIGUSR2,
    Signal::SIGWINCH,
];

/// How a signal reaches the child: [`pass_on`], or a later step's own way.
pub type PassOn = fn(child: Pid, signal: Signal, is_key: bool) -> nix::Result<()>;

/// Holds back the signals that [`supervise`] will wait for, and gives the mask there was before:
/// the child has to restore it, because a mask survives exec.
pub fn block() -> Result<SigSet, Error> {
    // Some callers ignore SIGCHLD. The kernel would then throw the exit status away (waitpid(2)).
    let default = SigAction::new(SigHandler::SigDfl, SaFlags::empty(), SigSet::empty());
    // SAFETY: no handler of ours is installed.
    unsafe { sigaction(Signal::SIGCHLD, &default) }.explain("reset SIGCHLD")?;

    let before = SigSet::thread_get_mask().explain("read the signal mask")?;
    waited_for().thread_block().explain("block signals")?;
    Ok(before)
}

/// Waits until the child has ended and gives its exit status as a shell would: the child's own, or
/// 128 + n when signal n killed it. Meanwhile each signal for the engine goes to the child.
pub fn supervise(child: Pid, pass_on: PassOn) -> Result<u8, Error> {
    let signals = SignalFd::with_flags(&waited_for(), SfdFlags::SFD_CLOEXEC).explain("signalfd")?;
    loop {
        let info =
            signals.read_signal().explain("read a signal")?.expect("a blocking read has one");
        let signal = Signal::try_from(info.ssi_signo as i32).explain("name the signal")?;
        if signal != Signal::SIGCHLD {
            // When a terminal is closed, only its session's leader gets SIGHUP: that's no key.
            let is_key = info.ssi_code == libc::SI_KERNEL && signal != Signal::SIGHUP;
            // A command that became another user (sudo) is out of reach: the engine keeps waiting.
            let _ = pass_on(child, signal, is_key);
        } else if let Some(status) = reap(child)? {
            return Ok(status);
        }
    }
}

/// Sends the child what was sent to the engine. A key (Ctrl-C, Ctrl-\, Ctrl-Z) is not sent again:
/// the terminal has given it to every process in the foreground, the child too.
pub fn pass_on(child: Pid, signal: Signal, is_key: bool) -> nix::Result<()> {
    if is_key { Ok(()) } else { kill(child, signal) }
}

fn waited_for() -> SigSet {
    PASSED_ON.into_iter().chain([Signal::SIGCHLD]).collect()
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
