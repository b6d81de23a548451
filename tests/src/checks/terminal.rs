//! A person at a terminal: a real shell on a pseudo-terminal, typed to and read from.

use std::ffi::CString;
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsFd, AsRawFd};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::pty::{ForkptyResult, forkpty};
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::waitpid;
use nix::unistd::{Gid, Pid, Uid, execv, setgid, setgroups, setuid};

use super::engine::{Engine, patience};
use super::failure::{Failure, Verdict};
use super::waiting::Wait;

/// A pseudo-terminal, and the program that leads its session.
pub struct Terminal {
    leader: Pid,
    /// None once it is closed.
    master: Option<File>,
    shown: String,
    typed: String,
}

impl Terminal {
    /// Opens one with an interactive bash, and waits for the prompt `ready:`.
    pub fn open(engine: &Engine) -> Result<Terminal, Failure> {
        let mut terminal = Terminal::start(engine, &["/bin/bash", "--norc", "--noprofile", "-i"])?;
        // The quotes keep the echo of the typing from being taken for the prompt.
        terminal.enter("PS1=re''ady:")?;
        terminal.wait_for("ready:")?;
        Ok(terminal)
    }

    /// Opens one with any program, for the one who calls the engine.
    pub fn start(engine: &Engine, argv: &[impl AsRef<str>]) -> Result<Terminal, Failure> {
        let argv: Vec<CString> = argv
            .iter()
            .map(|arg| CString::new(arg.as_ref()).expect("no argument contains a NUL"))
            .collect();
        // SAFETY: until it becomes the program, the child only makes system calls and one list, of
        // execv's arguments; and memory can be had in it: glibc's fork sees to its allocator's locks.
        match unsafe { forkpty(None, None) }? {
            ForkptyResult::Parent { child, master } => Ok(Terminal {
                leader: child,
                master: Some(File::from(master)),
                shown: String::new(),
                typed: String::new(),
            }),
            ForkptyResult::Child => {
                let id = engine.caller.id();
                let become_caller = || {
                    setgroups(&[])?;
                    setgid(Gid::from_raw(id))?;
                    setuid(Uid::from_raw(id))
                };
                let _ = become_caller().and_then(|()| execv(&argv[0], &argv));
                // SAFETY: nothing of the parent's is left to do in this copy of it.
                unsafe { libc::_exit(127) }
            }
        }
    }

    /// The program that leads its session.
    pub fn leader(&self) -> Pid {
        self.leader
    }

    /// Closes it, as a person closes a window, and gives the program that led its session.
    pub fn close(&mut self) -> Pid {
        self.master = None;
        self.leader
    }

    /// Types a line.
    pub fn enter(&mut self, line: &str) -> Verdict {
        self.press(&format!("{line}\r"))
    }

    /// Types these characters; "\x03" is Ctrl-C, "\x1a" is Ctrl-Z.
    pub fn press(&mut self, keys: &str) -> Verdict {
        self.typed += keys;
        let mut master = self.master.as_ref().ok_or(Errno::EIO)?;
        Ok(master.write_all(keys.as_bytes())?)
    }

    /// Gives the window a new size, in characters.
    pub fn resize(&self, rows: u16, columns: u16) -> Verdict {
        let size = libc::winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
        let master = self.master.as_ref().ok_or(Errno::EIO)?;
        // SAFETY: the call only reads the structure (TIOCSWINSZ(2const)).
        Errno::result(unsafe { libc::ioctl(master.as_raw_fd(), libc::TIOCSWINSZ, &size) })?;
        Ok(())
    }

    /// Waits until the screen shows `text`, and gives what it showed before that.
    pub fn wait_for(&mut self, text: &str) -> Result<String, Failure> {
        let waiting = Wait::of(patience());
        loop {
            if let Some(at) = self.shown.find(text) {
                let mut before: String = self.shown.drain(..at + text.len()).collect();
                before.truncate(at);
                return Ok(before);
            }
            let Some(bytes) = self.read(&waiting) else {
                let tried = format!("typing {:?}", self.typed);
                return Err(Failure::new(tried, format!("{text:?}"), format!("{:?}", self.shown)));
            };
            self.shown += &String::from_utf8_lossy(&bytes);
        }
    }

    /// Requires that the shell's last command ended with this status.
    pub fn last_status_is(&mut self, status: u8) -> Verdict {
        self.enter("echo \"<$?>\"")?;
        self.wait_for(&format!("<{status}>")).map(drop)
    }

    /// What is written next. None: nothing until the wait was over, or nobody is there any more to write.
    fn read(&mut self, waiting: &Wait) -> Option<Vec<u8>> {
        let mut master = self.master.as_ref()?;
        loop {
            let time = PollTimeout::try_from(waiting.next()).ok()?;
            let mut polled = [PollFd::new(master.as_fd(), PollFlags::POLLIN)];
            if poll(&mut polled, time).ok()? > 0 {
                break;
            }
            if waiting.is_over() {
                return None;
            }
        }
        let mut buffer = [0; 4096];
        let count = master.read(&mut buffer).ok().filter(|count| *count > 0)?;
        Some(buffer[..count].to_vec())
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = kill(self.leader, Signal::SIGHUP);
        let _ = kill(self.leader, Signal::SIGKILL);
        let _ = waitpid(self.leader, None);
    }
}
