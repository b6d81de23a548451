//! One attack on one container.

use std::fs;
use std::os::unix::process::CommandExt;
use std::process::Command;

use nix::sys::signal::Signal;
use nix::unistd::Pid;

use crate::checks::Engine;
use crate::checks::engine::Outcome;
use crate::checks::failure::Failure;
use crate::checks::running::Running;

/// The file on the host that attacks try to read; it belongs to the engine's caller.
pub const SECRET: &str = "/run/secret";

/// What came of an attack.
pub enum Ending {
    Works,
    /// By what.
    Stopped(String),
}

/// An attack, and the engine whose container it is tried in.
pub struct Attempt<'a> {
    pub engine: &'a Engine,
    /// What `/bin/sh -c` runs there.
    pub lines: &'static str,
    /// A random word that stands in [`SECRET`], and nowhere in a container.
    pub secret: &'a str,
}

/// What the host saw while the container was there, and how that ended.
pub struct Watched {
    pub seen: bool,
    pub status: Option<i32>,
    pub complaints: String,
}

impl Attempt<'_> {
    /// The engine with the lines to run, and with $1, $2 … in them.
    pub fn command(&self, options: &[&str], args: &[&str]) -> Command {
        self.engine.command([options, &["/bin/sh", "-c", self.lines, "sh"], args].concat())
    }

    /// Lets it come to its end.
    pub fn run(&self, args: &[&str]) -> Result<Outcome, Failure> {
        Outcome::of(self.command(&[], args), b"")
    }

    /// The same, and it works if the secret comes out of the container.
    pub fn steals(&self, command: Command) -> Result<Ending, Failure> {
        let outcome = Outcome::of(command, b"")?;
        let works = outcome.stdout.contains(self.secret);
        Ok(Ending::of(works, &outcome.stderr, "ends inside"))
    }

    /// Starts it in a process group of its own, and lets the host look when it says a line, or has ended.
    pub fn watch(
        &self,
        options: &[&str],
        look: impl FnOnce(Pid) -> Result<bool, Failure>,
    ) -> Result<Watched, Failure> {
        let mut command = self.command(options, &[]);
        command.process_group(0);
        let mut running = Running::start(command)?;
        // Its end is no failure here: it may be what stops the attack.
        let speaks = running.line("a line, or the end").is_ok();
        let seen = look(running.pid())?;
        running.close_stdin();
        if speaks {
            running.signal(Signal::SIGTERM)?;
        }
        let status = running.status()?.and_then(|status| status.code());
        Ok(Watched { seen, status, complaints: running.complaints()? })
    }
}

impl Ending {
    /// What stopped it: the error that it met, or `otherwise` if it met none.
    pub fn of(works: bool, complaints: &str, otherwise: &str) -> Ending {
        if works {
            Ending::Works
        } else {
            Ending::Stopped(error(complaints).unwrap_or(otherwise).into())
        }
    }
}

/// The name of the error that a complaint is about, by its text or, as the probe says it, by the name.
fn error(complaints: &str) -> Option<&'static str> {
    const NAMES: [(&str, &str); 8] = [
        ("Operation not permitted", "EPERM"),
        // As busybox's mount says it.
        ("permission denied (are you root?)", "EPERM"),
        ("Permission denied", "EACCES"),
        ("No such process", "ESRCH"),
        ("No such file or directory", "ENOENT"),
        ("Bad file descriptor", "EBADF"),
        ("Read-only file system", "EROFS"),
        ("Resource temporarily unavailable", "EAGAIN"),
    ];
    let is_about =
        |(text, name): &(&str, &str)| complaints.contains(text) || complaints.contains(name);
    NAMES.into_iter().find(is_about).map(|(_, name)| name)
}

/// The processes of a process group, all over the machine.
pub fn group(leader: Pid) -> Vec<Pid> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let belongs = |pid: &i32| {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        // After the name: state, parent, group.
        let group = stat.rsplit_once(") ").and_then(|(_, rest)| rest.split(' ').nth(2));
        group.and_then(|group| group.parse().ok()) == Some(leader.as_raw())
    };
    pids.filter(belongs).map(Pid::from_raw).collect()
}
