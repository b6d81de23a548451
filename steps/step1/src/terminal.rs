//! The terminal: the command may do with it what it likes, the caller gets it back as it was.

use std::io::{self, Stdin};

use nix::errno::Errno;
use nix::sys::signal::{SigSet, Signal, killpg};
use nix::sys::termios::{SetArg, Termios, tcgetattr, tcsetattr};
use nix::unistd::{Pid, getpgrp, tcgetpgrp, tcsetpgrp};

/// The terminal's settings when the engine started in its foreground. Dropping this restores them.
pub struct Terminal {
    stdin: Stdin,
    settings: Termios,
}

impl Terminal {
    /// Remembers the terminal on standard input. None: there is no terminal, or the engine is a
    /// background job, which has no say in it.
    pub fn remember() -> Option<Terminal> {
        let stdin = io::stdin();
        let settings = tcgetattr(&stdin).ok()?;
        (tcgetpgrp(&stdin) == Ok(getpgrp())).then_some(Terminal { stdin, settings })
    }

    /// Whether the terminal is the engine's: it still has the foreground, or the one who had it is
    /// gone. A shell in the container takes the foreground and, when it is in a PID namespace, cannot
    /// give it back: it has no number for the engine's process group.
    fn is_ours(&self) -> bool {
        let gone = |group: Pid| killpg(group, None) == Err(Errno::ESRCH);
        tcgetpgrp(&self.stdin).is_ok_and(|group| group == getpgrp() || gone(group))
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        if self.is_ours() {
            // (A child whose exec failed comes here too, before anything has changed.)
            // A process in the background gets SIGTTOU for this, and would stop (tcsetpgrp(3)). What
            // fails here fails because the terminal is gone.
            let _ = SigSet::from(Signal::SIGTTOU).thread_block();
            let _ = tcsetpgrp(&self.stdin, getpgrp());
            let _ = tcsetattr(&self.stdin, SetArg::TCSADRAIN, &self.settings);
        }
    }
}
