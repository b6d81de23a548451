//! A run of the engine that is timed, and whose memory is measured.

use std::fs;
use std::io;
use std::mem;
use std::os::unix::fs::lchown;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::PathBuf;
use std::process::{Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::prctl;
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;

use crate::checks::Caller;
use crate::checks::engine::{Outcome, called_by, memory_file, text, typed};
use crate::checks::failure::{Failure, require};

/// How a run ended, and what it took.
pub struct Run {
    pub outcome: Outcome,
    pub time: Duration,
    /// The most memory that one of its processes had, in MiB: `ru_maxrss` of wait4(2).
    pub peak: u64,
}

/// Lets this process take over the children whose parent has ended: so they are measured, too.
///
/// From then on nothing else may start processes while a run is measured.
pub fn adopt_orphans() -> Result<(), Failure> {
    Ok(prctl::set_child_subreaper(true)?)
}

impl Run {
    /// Runs `command` to its end and to that of all the processes that it has left; kills it after
    /// `most`.
    pub fn of(command: &Command, caller: Caller, most: Duration) -> Result<Run, Failure> {
        Run::measured(command, caller, most, true)
    }

    /// The same without those processes: many can run at a time.
    pub fn alone(command: &Command, caller: Caller, most: Duration) -> Result<Run, Failure> {
        Run::measured(command, caller, most, false)
    }

    fn measured(
        command: &Command,
        caller: Caller,
        most: Duration,
        all: bool,
    ) -> Result<Run, Failure> {
        let [out, err] = [memory_file()?, memory_file()?];
        let tried = typed(command);
        let notes = Notes::new(caller)?;
        let mut command = notes.taken_of(command, caller);
        command.stdin(Stdio::null()).stdout(out.try_clone()?).stderr(err.try_clone()?);
        let started = Instant::now();
        let child = command
            .process_group(0)
            .spawn()
            .map_err(|error| Failure::new(&tried, "a program that can be started", error))?;
        let pid = child.id() as i32;
        let (mut status, mut peak, mut is_killed) = (None, 0, false);
        let time = loop {
            match reap(if all { -1 } else { pid })? {
                Reaped::Nobody => break started.elapsed(),
                Reaped::NotYet if started.elapsed() > most && !is_killed => {
                    is_killed = true;
                    killpg(Pid::from_raw(pid), Signal::SIGKILL)?;
                }
                Reaped::NotYet if is_killed && started.elapsed() > 2 * most => {
                    return Err(Failure::new(&tried, "that its processes end", "one does not"));
                }
                Reaped::NotYet => thread::sleep(Duration::from_millis(2)),
                Reaped::One(who, how, _) if who == pid => {
                    status = Some(ExitStatus::from_raw(how)).filter(|_| !is_killed);
                    if !all {
                        break started.elapsed();
                    }
                }
                Reaped::One(_, _, memory) => peak = peak.max(memory / 1024),
            }
        };
        peak = peak.max(notes.read()? / 1024);
        let outcome = Outcome { tried, status, stdout: text(&out)?, stderr: text(&err)? };
        Ok(Run { outcome, time, peak })
    }

    /// Requires that it took no more than this.
    pub fn has_taken(&self, most: Duration, mebibytes: u64) -> Result<(), Failure> {
        let expected = format!("no more than {} s and {mebibytes} MiB", most.as_secs());
        let seen = format!("{:.1} s and {} MiB", self.time.as_secs_f64(), self.peak);
        let holds = self.outcome.status.is_some() && self.time <= most && self.peak <= mebibytes;
        require(holds, &self.outcome.tried, expected, seen + "; " + self.outcome.stderr.trim())
    }
}

/// What time(1) writes about the engine. A process that this one starts itself would count as large
/// as this one is, which a program takes over from the one before it (getrusage(2)).
struct Notes(PathBuf);

impl Notes {
    fn new(caller: Caller) -> io::Result<Notes> {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let path = PathBuf::from(format!("/dev/shm/notes{number}"));
        fs::write(&path, "")?;
        lchown(&path, Some(caller.id()), Some(caller.id()))?;
        Ok(Notes(path))
    }

    /// The same command, by the same caller.
    fn taken_of(&self, command: &Command, caller: Caller) -> Command {
        let mut time = Command::new("/bin/busybox");
        time.args(["time", "-v", "-o"]).arg(&self.0);
        time.arg(command.get_program()).args(command.get_args());
        for (name, value) in command.get_envs() {
            match value {
                Some(value) => time.env(name, value),
                None => time.env_remove(name),
            };
        }
        called_by(caller, time)
    }

    /// KiB; 0 if it was killed.
    fn read(&self) -> io::Result<u64> {
        let text = fs::read_to_string(&self.0)?;
        let line = text.lines().find(|line| line.contains("Maximum resident set size"));
        Ok(line.and_then(|line| line.rsplit(' ').next()?.parse().ok()).unwrap_or(0))
    }
}

impl Drop for Notes {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

enum Reaped {
    /// There is no such child.
    Nobody,
    NotYet,
    /// Its id, its status, and its memory in KiB.
    One(i32, i32, u64),
}

/// Takes note of a child that has ended, if there is one.
fn reap(who: i32) -> io::Result<Reaped> {
    let mut status = 0;
    // SAFETY: all zeros is a valid rusage, and both are written by the call only.
    let (pid, usage) = unsafe {
        let mut usage: libc::rusage = mem::zeroed();
        (libc::wait4(who, &mut status, libc::WNOHANG, &mut usage), usage)
    };
    match pid {
        0 => Ok(Reaped::NotYet),
        -1 if io::Error::last_os_error().raw_os_error() == Some(libc::ECHILD) => Ok(Reaped::Nobody),
        -1 => Err(io::Error::last_os_error()),
        pid => Ok(Reaped::One(pid, status, usage.ru_maxrss.unsigned_abs())),
    }
}
