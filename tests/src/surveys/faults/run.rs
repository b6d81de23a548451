//! The runs in which calls fail: what is typed, and which calls of the lesson it takes.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ffi::OsString;
use std::fs;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::process::id;

use calls::TABLE;
use serde_json::Value;

use super::number::number;
use super::table::Known;
use super::tracer::{Place, Program};
use crate::checks::engine::{Outcome, memory_file, text};
use crate::checks::failure::{Failure, require};
use crate::checks::fixture::own;
use crate::checks::images::home::PLACE;
use crate::checks::samples;
use crate::checks::{Caller, Engine};
use crate::steps;
use crate::surveys::engine;
use crate::trace::own_calls;

/// A command line of a step.
pub struct Run {
    pub step: u8,
    pub caller: Caller,
    pub kind: Kind,
    engine: Engine,
}

/// What it is about.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Kind {
    /// A command, with all options.
    Command,
    /// The same of an image that is here, but is asked for.
    Always,
    /// An image, into a store that has none.
    Pull,
}

/// A call of the lesson's in a run.
#[derive(Clone)]
pub struct Occurrence {
    pub place: Place,
    pub call: String,
    pub arguments: String,
}

/// All runs, as they are told of.
pub fn all() -> Vec<(u8, Caller, Kind)> {
    let mut all = Vec::new();
    for step in 0..=steps::last() {
        all.push((step, Caller::Root, Kind::Command));
        // What runs a command in the step that pulls is that of the step before.
        let pulls = step == steps::since("pull");
        if step >= steps::first_for_ordinary() && !pulls {
            all.push((step, Caller::Ada, Kind::Command));
        }
        if pulls {
            all.push((step, Caller::Root, Kind::Pull));
        }
        if step == steps::first_with_image() {
            all.push((step, Caller::Root, Kind::Always));
        }
    }
    all
}

impl Run {
    /// Makes it ready: the machine is now as its caller has it.
    pub fn of((step, caller, kind): (u8, Caller, Kind)) -> Result<Run, Failure> {
        let run = Run { step, caller, kind, engine: engine(step, caller)? };
        if kind == Kind::Pull {
            run.empty_store()?;
        }
        Ok(run)
    }

    /// The run's name.
    pub fn name(&self) -> &'static str {
        match (self.kind, self.caller) {
            (Kind::Pull, _) => "pull",
            (Kind::Always, _) => "run --pull always",
            (Kind::Command, Caller::Ada) => "ada",
            (Kind::Command, Caller::Root) => "root",
        }
    }

    /// The line as words, and its environment.
    pub fn program(&self) -> Result<Program, Failure> {
        let mut variables = BTreeMap::new();
        let words = match self.kind {
            Kind::Pull => {
                variables.insert("SLIPWAY_HOME".to_string(), STORE.into());
                vec![self.engine.binary.clone().into(), "pull".into(), "--quiet".into(), image()?]
            }
            _ => self.engine.line(self.options()),
        };
        Ok(Program { words, caller: self.caller, variables })
    }

    fn options(&self) -> Vec<&'static str> {
        // Step 8's root has all ids, so both ways are taken.
        let userns = if self.step < steps::first_with_image() { "single" } else { "auto" };
        let pull = if self.kind == Kind::Always { "always" } else { "missing" };
        let options = [
            (steps::since("--hostname"), vec!["--hostname", "inside"]),
            (steps::since("--userns"), vec!["--userns", userns]),
            (steps::since("--memory"), vec!["--memory", "64M", "--cpus", "0.5", "--pids", "32"]),
            (
                steps::first_with_image(),
                vec!["--pull", pull, "--workdir", "/made/here", "--user", "0:0"],
            ),
            (
                steps::since("--volume"),
                vec!["--volume", "/etc/hostname:/seen:ro", "--volume", "/home", "--read-only"],
            ),
        ];
        let known = options.into_iter().filter(|(since, _)| *since <= self.step);
        known.flat_map(|(_, words)| words).chain(["true"]).collect()
    }

    /// Where images and containers are.
    pub fn store(&self) -> PathBuf {
        match self.kind {
            Kind::Pull => STORE.into(),
            _ => samples::store(self.caller),
        }
    }

    /// An empty store, where a pull begins.
    pub fn empty_store(&self) -> Result<(), Failure> {
        if self.kind == Kind::Pull {
            if Path::new(STORE).exists() {
                fs::remove_dir_all(STORE)?;
            }
            fs::create_dir(STORE)?;
            own(Path::new(STORE), self.caller)?;
        }
        Ok(())
    }

    /// Runs the line untraced, to a good end.
    pub fn succeed(&self) -> Result<(), Failure> {
        let program = self.program()?;
        let mut command = match self.kind {
            Kind::Pull => self.engine.subcommand(&program.words[1..]),
            _ => self.engine.command(self.options()),
        };
        command.envs(&program.variables);
        Outcome::of(command, b"")?.ends_with(0).map(drop)
    }

    /// The calls of the lesson, each with its place: what strace(1) sees of a good run.
    pub fn occurrences(&self, known: &Known) -> Result<Vec<Occurrence>, Failure> {
        let program = self.program()?;
        let (log, lesson) = (memory_file()?, TABLE.names().join(","));
        let to = format!("/proc/{}/fd/{}", id(), log.as_raw_fd());
        let trace = format!("trace={lesson}");
        let mut strace =
            self.engine.strace(["--seccomp-bpf", "-yy", "-s", "256", "-e", &trace, "-o", &to]);
        strace.args(&program.words).envs(&program.variables);
        let tried = Outcome::of(strace, b"")?.ends_with(0)?.tried.clone();
        let mut counts: HashMap<(usize, String), usize> = HashMap::new();
        let mut unknown = BTreeSet::new();
        let mut all = Vec::new();
        for call in own_calls(&text(&log)?) {
            let nth = counts.entry((call.process, call.name.clone())).or_default();
            *nth += 1;
            // What comes from the registry comes in pieces, now more and now fewer.
            let is_http = call.arguments.contains("<TCP:");
            if is_http || TABLE.rows(&call.name, &call.arguments).is_empty() {
                continue;
            }
            match number(&call.name).filter(|_| known.has(&call.name)) {
                None => _ = unknown.insert(call.name),
                Some(number) => all.push(Occurrence {
                    place: Place { process: call.process, call: number, nth: *nth },
                    call: call.name,
                    arguments: ended(&call.arguments),
                }),
            }
        }
        let seen = format!("others: {unknown:?}");
        require(unknown.is_empty(), &tried, "calls that faults/calls.toml has", seen)?;
        Ok(all)
    }

    /// The line as one would type it, with the call that fails.
    pub fn typed(&self) -> String {
        let words = self.program().map(|program| program.words).unwrap_or_default();
        let words: Vec<_> = words.iter().map(|word| word.to_string_lossy()).collect();
        words.join(" ")
    }
}

/// Arguments as of a call that has ended. Who waits for orders until the engine ends may hear of that,
/// or be killed before: then strace has seen half of the call.
fn ended(arguments: &str) -> String {
    match arguments.trim_end_matches("<unfinished ...>").trim_end() {
        half if half.ends_with(',') => format!("{half} \"\", 8192, 0"),
        whole => whole.into(),
    }
}

/// Where a pull puts its image.
const STORE: &str = "/scratch/checks/faults";

/// A small image with one of each kind, in one layer: so there is one download, and every run is the
/// same.
fn image() -> Result<OsString, Failure> {
    debug_assert!(STORE.starts_with(PLACE));
    let layer =
        samples::one_of_each().file("etc/link", "another").directory("implied/below", 0o755);
    Ok(samples::offer_alone("faults", Value::Null, layer)?.into())
}
