//! The lifeline: a pair of connected sockets, one end for the engine and one for the child.
//!
//! The kernel closes an end with the process that holds it. So each of the two learns what became of
//! the other, and neither can miss it.

use std::io::{self, Read};
use std::os::unix::net::UnixStream;

use nix::sys::prctl;
use nix::sys::signal::Signal;
use shared::{Error, Explain};

/// The engine waits here until the child has become the command, or has failed: exec and exit close
/// the child's end.
pub fn wait_for_exec(mut lifeline: &UnixStream) {
    // Signals wait meanwhile. Sent now, to a PID 1 that has no handlers yet, they would be lost.
    // However this ends, nobody holds the other end any more.
    let _ = io::copy(&mut lifeline, &mut io::sink());
}

/// The child asks to end with its engine, even when that is killed.
pub fn end_with_engine(mut lifeline: &UnixStream) -> Result<(), Error> {
    prctl::set_pdeathsig(Signal::SIGKILL).explain("prctl PR_SET_PDEATHSIG")?;
    // If the engine was killed before this call, nothing will come. getppid would not tell: it is 0
    // here.
    lifeline.set_nonblocking(true).explain("look at the engine")?;
    match lifeline.read(&mut [0]) {
        Ok(0) => Err(Error::new("the engine has ended")),
        _ => Ok(()),
    }
}
