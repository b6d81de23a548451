//! A person at a terminal: a real shell on a pseudo-terminal, typed to and read from.

use std::ffi::CString;
use std::io::{Read, Write};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Instant;

use nix::pty::{ForkptyResult, forkpty};
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::waitpid;
use nix::unistd::{Pid, execv};

use super::engine::patience;
use super::failure::{Failure, Verdict};

/// An interactive bash.
pub struct Terminal {
    shell: Pid,
    keyboard: std::fs::File,
    screen: Receiver<Vec<u8>>,
    shown: String,
    typed: String,
}

impl Terminal {
    /// Opens one, and waits for the prompt.
    pub fn open() -> Result<Terminal, Failure> {
        let argv: Vec<CString> = ["bash", "--norc", "--noprofile", "-i"]
            .map(|arg| CString::new(arg).expect("no NUL"))
            .into();
        // SAFETY: until it becomes bash, the child only calls async-signal-safe functions.
        let (shell, master) = match unsafe { forkpty(None, None) }? {
            ForkptyResult::Parent { child, master } => (child, master),
            ForkptyResult::Child => {
                let _ = execv(c"/bin/bash", &argv);
                unsafe { libc::_exit(127) }
            }
        };
        let keyboard = std::fs::File::from(master);
        let mut output = keyboard.try_clone()?;
        let (sender, screen) = channel();
        thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(count @ 1..) = output.read(&mut buffer) {
                let _ = sender.send(buffer[..count].to_vec());
            }
        });
        let mut terminal =
            Terminal { shell, keyboard, screen, shown: String::new(), typed: String::new() };
        // The quotes keep the echo of the typing from being taken for the prompt.
        terminal.enter("PS1=re''ady:")?;
        terminal.wait_for("ready:")?;
        Ok(terminal)
    }

    /// Types a line.
    pub fn enter(&mut self, line: &str) -> Verdict {
        self.press(&format!("{line}\r"))
    }

    /// Types these characters; "\x03" is Ctrl-C, "\x1a" is Ctrl-Z.
    pub fn press(&mut self, keys: &str) -> Verdict {
        self.typed += keys;
        Ok(self.keyboard.write_all(keys.as_bytes())?)
    }

    /// Waits until the screen shows `text`, and gives what it showed before that.
    pub fn wait_for(&mut self, text: &str) -> Result<String, Failure> {
        let end = Instant::now() + patience();
        loop {
            if let Some(at) = self.shown.find(text) {
                let mut before: String = self.shown.drain(..at + text.len()).collect();
                before.truncate(at);
                return Ok(before);
            }
            let left = end.saturating_duration_since(Instant::now());
            let Ok(bytes) = self.screen.recv_timeout(left) else {
                let tried = format!("typing {:?}", self.typed);
                return Err(Failure::new(tried, format!("{text:?}"), format!("{:?}", self.shown)));
            };
            self.shown += &String::from_utf8_lossy(&bytes);
        }
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = kill(self.shell, Signal::SIGHUP);
        let _ = kill(self.shell, Signal::SIGKILL);
        let _ = waitpid(self.shell, None);
    }
}
