//! The handshake over step 4's lifeline: the child waits until the engine has prepared what it needs.

use std::io::Read;
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;

use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::sys::socket::{MsgFlags, send};
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid, waitpid};
use nix::unistd::Pid;
use shared::{Error, Explain};

/// The engine lets the child go on, if all is `prepared`. Otherwise it ends the child.
pub fn release(
    child: Pid,
    prepared: Result<(), Error>,
    lifeline: &UnixStream,
) -> Result<(), Error> {
    let Err(error) = prepared.and_then(|()| send_word(lifeline)) else { return Ok(()) };
    // It must not go on, nor outlive us.
    let _ = kill(child, Signal::SIGKILL);
    if let Ok(WaitStatus::Exited(..)) =
        waitid(Id::Pid(child), WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT)
    {
        // It had ended before, and has said why: `supervise` will learn its status.
        return Ok(());
    }
    let _ = waitpid(child, None);
    Err(error)
}

/// Sends the word to go on: one byte.
fn send_word(lifeline: &UnixStream) -> Result<(), Error> {
    match send(lifeline.as_raw_fd(), b"!", MsgFlags::MSG_NOSIGNAL) {
        // The child has failed, or somebody has killed it: `supervise` will learn its status.
        Err(Errno::EPIPE) => Ok(()),
        sent => sent.map(drop).explain("send the child the word to go on"),
    }
}

/// The child waits for the engine's word that it may go on. Until then it is nobody: it has no ids.
pub fn wait_for_word(mut lifeline: &UnixStream) -> Result<(), Error> {
    match lifeline.read(&mut [0]).explain("wait for the engine")? {
        0 => Err(Error::new("the engine has ended")),
        _ => Ok(()),
    }
}
