//! An engine that is still running: what it and its container look like from outside.

use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid};
use nix::unistd::Pid;

use super::engine::{Engine, ending, memory_file, patience, text, typed, wait};
use super::failure::{Failure, Verdict, require};
use super::waiting::Wait;

/// A started engine. Its standard input is a pipe; dropping it closes that,
/// and kills the engine if that does not end it.
pub struct Running {
    /// The command line, as one would type it.
    pub tried: String,
    child: Child,
    lines: Receiver<String>,
    stderr: File,
}

impl Running {
    /// Starts `command`, keeping pipes to its standard input and output.
    pub fn start(mut command: Command) -> Result<Running, Failure> {
        let stderr = memory_file()?;
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(stderr.try_clone()?);
        let tried = typed(&command);
        let mut child = command
            .spawn()
            .map_err(|error| Failure::new(&tried, "a program that can be started", error))?;
        let stdout = BufReader::new(child.stdout.take().expect("it is a pipe"));
        let (sender, lines) = channel();
        thread::spawn(move || {
            for line in stdout.lines().map_while(Result::ok) {
                let _ = sender.send(line);
            }
        });
        Ok(Running { tried, child, lines, stderr })
    }

    /// The next line of its output.
    pub fn line(&self, expected: &str) -> Result<String, Failure> {
        let waiting = Wait::of(patience());
        let line = loop {
            match self.lines.recv_timeout(waiting.next()) {
                Err(RecvTimeoutError::Timeout) if !waiting.is_over() => {}
                line => break line,
            }
        };
        line.map_err(|error| {
            // What is at its end closes its output a moment before.
            let moment = match error {
                RecvTimeoutError::Timeout => Duration::from_millis(1),
                RecvTimeoutError::Disconnected => Duration::from_secs(1),
            };
            let end = self.end(moment).map(|end| format!(", {end}")).unwrap_or_default();
            let complaint = self.complaints().unwrap_or_default();
            let seen = format!("no further line of output{end}; standard error: {complaint:?}");
            Failure::new(&self.tried, expected, seen)
        })
    }

    /// Requires the next line of its output.
    pub fn says(&self, expected: &str) -> Verdict {
        let line = self.line(&format!("the line {expected:?}"))?;
        require(line == expected, &self.tried, expected, line)
    }

    /// Whether it says nothing more for a while.
    pub fn is_silent(&self, patience: Duration) -> bool {
        self.lines.recv_timeout(patience).is_err()
    }

    /// Whether it has said anything by now.
    pub fn is_begun(&self) -> bool {
        self.lines.try_recv().is_ok()
    }

    /// The engine's process id.
    pub fn pid(&self) -> Pid {
        Pid::from_raw(self.child.id() as i32)
    }

    /// Signals the engine.
    pub fn signal(&self, signal: Signal) -> Verdict {
        Ok(kill(self.pid(), signal)?)
    }

    /// The same by number: the real-time signals have no names.
    pub fn signal_number(&self, signal: i32) -> Verdict {
        // SAFETY: it only takes numbers.
        Errno::result(unsafe { libc::kill(self.pid().as_raw(), signal) })?;
        Ok(())
    }

    /// Closes its standard input.
    pub fn close_stdin(&mut self) {
        drop(self.child.stdin.take());
    }

    /// Waits for its end.
    pub fn status(&mut self) -> Result<Option<ExitStatus>, Failure> {
        Ok(wait(&mut self.child, patience())?)
    }

    /// Waits for its end and requires an exit status.
    pub fn ends_with(mut self, expected: i32) -> Verdict {
        let status = self.status()?;
        let code = status.and_then(|status| status.code());
        let seen = status.map_or("no end".into(), ending);
        require(code == Some(expected), &self.tried, format!("exit status {expected}"), seen)
    }

    /// How it has ended, for a person; None if it goes on. Its status can still be had.
    fn end(&self, patience: Duration) -> Option<String> {
        let mut end = None;
        within(patience, || {
            let flags = WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT;
            end = match waitid(Id::Pid(self.pid()), flags) {
                Ok(WaitStatus::Exited(_, code)) => Some(ExitStatus::from_raw(code << 8)),
                Ok(WaitStatus::Signaled(_, signal, _)) => Some(ExitStatus::from_raw(signal as i32)),
                _ => None,
            };
            end.is_some()
        });
        end.map(ending)
    }

    /// What it wrote to standard error so far.
    pub fn complaints(&self) -> Result<String, Failure> {
        Ok(text(&self.stderr)?)
    }

    /// The engine's child, seen from the host: the command, or the container's PID 1.
    pub fn inner(&self) -> Result<Pid, Failure> {
        first_child(self.pid()).ok_or_else(|| {
            Failure::new(&self.tried, "the command in a process of its own", "no child process")
        })
    }

    /// A line of /proc/PID/status of the engine's child.
    pub fn inner_status(&self, key: &str) -> Result<String, Failure> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.inner()?))?;
        let value = status.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(":\t"));
        Ok(value.unwrap_or_default().to_string())
    }

    /// Which namespace of a kind the child is in, as the kernel names it, and which the host is in.
    pub fn namespaces(&self, kind: &str) -> Result<[String; 2], Failure> {
        let name = |pid: String| fs::read_link(format!("/proc/{pid}/ns/{kind}"));
        let both = [name(self.inner()?.to_string())?, name("self".into())?];
        Ok(both.map(|link| link.to_string_lossy().into_owned()))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // At the end of its input the probe ends, and the engine after it.
        self.close_stdin();
        let _ = wait(&mut self.child, Duration::from_secs(1));
    }
}

impl Engine {
    /// Starts `probe catch`: it prints its own and its parent's pid, then each signal that it gets,
    /// and ends with `status` when its standard input is closed.
    pub fn start_catching(&self, status: u8) -> Result<(Running, [i32; 2]), Failure> {
        let running = Running::start(self.command(["/bin/probe", "catch", &status.to_string()]))?;
        let line = running.line("two process ids")?;
        let ids: Vec<i32> = line.split(' ').filter_map(|word| word.parse().ok()).collect();
        match ids[..] {
            [pid, parent] => Ok((running, [pid, parent])),
            _ => Err(Failure::new(&running.tried, "two process ids", line)),
        }
    }
}

/// The oldest child of a process.
pub fn first_child(parent: Pid) -> Option<Pid> {
    let children = fs::read_to_string(format!("/proc/{parent}/task/{parent}/children")).ok()?;
    children.split_whitespace().next()?.parse().ok().map(Pid::from_raw)
}

/// Waits until `done`, at most as long as a person would.
pub fn eventually(done: impl FnMut() -> bool) -> bool {
    within(patience() / 2, done)
}

/// Waits until `done`, at most so long.
pub fn within(time: Duration, mut done: impl FnMut() -> bool) -> bool {
    let waiting = Wait::of(time);
    while !waiting.is_over() {
        if done() {
            return true;
        }
        waiting.pause();
    }
    false
}
