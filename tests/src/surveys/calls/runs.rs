//! What each step is told to do, under strace(1), and the system calls that it makes of that.

use std::ffi::OsStr;
use std::fs::File;
use std::os::fd::AsRawFd;
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, id};
use std::{fs, io};

use nix::sys::signal::{Signal, kill};
use serde_json::Value;

use super::super::engine;
use crate::checks::engine::{Outcome, memory_file, text};
use crate::checks::failure::{Failure, require};
use crate::checks::images::Home;
use crate::checks::running::{Running, eventually};
use crate::checks::samples;
use crate::checks::terminal::Terminal;
use crate::checks::{Caller, Engine};
use crate::steps;
use crate::trace::{Call, own_calls};

/// Where cgroups are mounted.
const CGROUPS: &str = "/sys/fs/cgroup";

/// All that a step does when it does all that it can.
pub fn of_step(step: u8) -> Result<Vec<Call>, Failure> {
    let root = Runs { engine: engine(step, Caller::Root)? };
    let stale = if step == steps::since("--memory") { Some(StaleGroup::make()?) } else { None };
    let mut calls = root.stopped_and_ended()?;
    drop(stale);
    calls.extend(root.at_a_terminal()?);
    if step == steps::since("pull") {
        calls.extend(root.pull()?);
    }
    if step == steps::since("images") {
        calls.extend(root.prune()?);
    }
    if step == steps::since("--record") {
        calls.extend(root.recorded()?);
    }
    if step >= steps::first_for_ordinary() {
        let ada = Runs { engine: engine(step, Caller::Ada)? };
        calls.extend(ada.traced(ada.engine.line(ada.options()))?);
        if step == steps::since("--volume") {
            calls.extend(ada.traced(ada.engine.line(["--userns", "keep-id", "true"]))?);
        }
    }
    Ok(calls)
}

/// A group that a killed engine seems to have left, and its last processes. They have next to no processor
/// time, so it takes them a moment to die.
struct StaleGroup {
    path: PathBuf,
    processes: Vec<Child>,
}

impl StaleGroup {
    fn make() -> Result<StaleGroup, Failure> {
        let mut engine = Command::new("true").spawn()?;
        engine.wait()?;
        let path = PathBuf::from(format!("{CGROUPS}/{}{}", prefix()?, engine.id()));
        fs::create_dir(&path)?;
        fs::write(path.join("cpu.max"), "1000 100000")?;
        let mut group = StaleGroup { path, processes: Vec::new() };
        // One alone could die in the millisecond that it has of each 100.
        for _ in 0..10 {
            let process = Command::new("sh").args(["-c", "while :; do :; done"]).spawn()?;
            fs::write(group.path.join("cgroup.procs"), process.id().to_string())?;
            group.processes.push(process);
        }
        Ok(group)
    }
}

impl Drop for StaleGroup {
    fn drop(&mut self) {
        // The engine that was started next has killed them. If they still die, let them hurry: then the next
        // one will remove the group.
        let _ = fs::write(self.path.join("cpu.max"), "max");
        for process in &mut self.processes {
            let _ = process.kill();
            let _ = process.wait();
        }
    }
}

struct Runs {
    engine: Engine,
}

impl Runs {
    /// All options that the step has, and a command.
    fn options(&self) -> Vec<&'static str> {
        // An ordinary user gets the same by `auto`, for under a tracer no set-user-ID program helps.
        let userns = if self.engine.caller == Caller::Root { "single" } else { "auto" };
        let options = [
            (steps::since("--hostname"), vec!["--hostname", "inside"]),
            (steps::since("--userns"), vec!["--userns", userns]),
            (steps::since("--memory"), vec!["--memory", "64M", "--cpus", "0.5", "--pids", "32"]),
            (
                steps::first_with_image(),
                vec!["--pull", "always", "--workdir", "/made/here", "--user", "0:0"],
            ),
            (
                steps::since("--security-opt"),
                vec!["--security-opt", "no-new-privileges", "--cap-add", "CHOWN"],
            ),
            (
                steps::since("--volume"),
                vec![
                    "--volume",
                    "/etc/hostname:/seen:ro",
                    "--volume",
                    "traced:/home",
                    "--read-only",
                ],
            ),
        ];
        let known = options.into_iter().filter(|(since, _)| *since <= self.engine.step);
        known.flat_map(|(_, words)| words).chain(["true"]).collect()
    }

    /// The engine is told to stop, to go on, and to end.
    fn stopped_and_ended(&self) -> Result<Vec<Call>, Failure> {
        let log = memory_file()?;
        let mut strace = self.strace(&log);
        strace.args(self.engine.line(["sh", "-c", "echo ready; exec sleep 60"]));
        // A group of its own, whose leader has its parent in ours: so a shell would see it stop.
        strace.process_group(0);
        let mut running = Running::start(strace)?;
        running.says("ready")?;
        let engine = running.inner()?;
        kill(engine, Signal::SIGTSTP)?;
        let (pid, stopped) = (format!("{engine} "), "--- stopped by SIGTSTP ---");
        let says_so = |line: &str| line.starts_with(&pid) && line.ends_with(stopped);
        let has_stopped = eventually(|| text(&log).is_ok_and(|log| log.lines().any(says_so)));
        require(has_stopped, &running.tried, "an engine that stops as its command does", "none")?;
        kill(engine, Signal::SIGCONT)?;
        kill(engine, Signal::SIGTERM)?;
        running.status()?;
        Ok(own_calls(&text(&log)?))
    }

    /// A command at a terminal, with all options.
    fn at_a_terminal(&self) -> Result<Vec<Call>, Failure> {
        let log = memory_file()?;
        let mut strace = self.strace(&log);
        strace.args(self.engine.line(self.options()));
        // The words of the shell's script, which ends with a word that the terminal shows.
        let words = [strace.get_program()].into_iter().chain(strace.get_args());
        let words: Vec<String> = words.map(|word| word.to_string_lossy().into_owned()).collect();
        let script = "\"$@\"; echo all done".to_string();
        let shell = ["/bin/sh".to_string(), "-c".into(), script, "sh".into()];
        let mut terminal = Terminal::start(&self.engine, &[&shell[..], &words].concat())?;
        terminal.wait_for("all done")?;
        Ok(own_calls(&text(&log)?))
    }

    /// Who looks for what nothing needs, while a container runs.
    fn prune(&self) -> Result<Vec<Call>, Failure> {
        let running = Running::start(self.engine.command(["/bin/sh", "-c", "echo ready; read _"]))?;
        running.says("ready")?;
        self.traced([self.engine.binary.as_os_str(), "prune".as_ref()])
    }

    /// A command whose calls go to a file.
    fn recorded(&self) -> Result<Vec<Call>, Failure> {
        let home = Home::new(&self.engine)?;
        let record = format!("--record={}", home.path().join("made.json").display());
        self.traced(self.engine.line([&record, "true"]))
    }

    /// An image with a bit of everything, from a registry.
    fn pull(&self) -> Result<Vec<Call>, Failure> {
        let image = image()?;
        self.traced([self.engine.binary.as_os_str(), "pull".as_ref(), image.as_ref()])
    }

    /// Traces a command line to its end, which must be a good one.
    fn traced<S: AsRef<OsStr>>(
        &self,
        words: impl IntoIterator<Item = S>,
    ) -> Result<Vec<Call>, Failure> {
        let log = memory_file()?;
        let mut strace = self.strace(&log);
        strace.args(words);
        Outcome::of(strace, b"")?.ends_with(0)?;
        Ok(own_calls(&text(&log)?))
    }

    /// strace, which writes to this file.
    fn strace(&self, log: &File) -> Command {
        let log = format!("/proc/{}/fd/{}", id(), log.as_raw_fd());
        self.engine.strace(["-y", "-s", "256", "-o", &log])
    }
}

/// The start of the names that steps give their groups.
fn prefix() -> io::Result<String> {
    let namespace = fs::metadata("/proc/self/ns/pid")?.ino();
    Ok(format!("slipway-{namespace}-"))
}

/// An image with two small layers; in the second there is one of each kind.
fn image() -> Result<String, Failure> {
    let layer = samples::one_of_each().file("etc/.wh.group", "");
    samples::offer_tiny("calls", Value::Null, Some(layer))
}
