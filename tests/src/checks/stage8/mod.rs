//! Stage 8: an image runs as its author meant it.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use nix::errno::Errno;
use serde_json::{Value, json};

use super::engine::{Engine, Outcome};
use super::failure::{Failure, Verdict, require};
use super::images::{Archive, Item};
use super::stage1::allow_high_file_numbers;
use super::{Caller, Check, samples};

mod callers;
mod compared;
mod files;
mod hostile;
mod inside;
mod layer;
mod pull;
mod user;
mod words;

/// The checks, by what they are about.
pub const CHECKS: [&[Check]; 9] = [
    pull::CHECKS,
    words::CHECKS,
    user::CHECKS,
    layer::CHECKS,
    files::CHECKS,
    hostile::CHECKS,
    inside::CHECKS,
    callers::CHECKS,
    compared::CHECKS,
];

/// An image whose author has something to say about everything.
fn whole(engine: &Engine) -> Result<String, Failure> {
    let config = || {
        json!({
            "Entrypoint": ["/bin/probe"],
            "Cmd": ["env"],
            "Env": ["PATH=/opt/bin:/bin", "GREETING=hello world", "EMPTY="],
            "User": "ada",
            "WorkingDir": "/srv/made/for it",
        })
    };
    engine.ready(samples::offer_once("whole", || (config(), Some(tool())))?)
}

/// A program that only this image's own PATH leads to.
fn tool() -> Archive {
    let item = Item {
        mode: 0o755,
        content: b"#!/bin/sh\necho the tool of the image\n",
        ..Default::default()
    };
    Archive::begin().directory("opt", 0o755).directory("opt/bin", 0o755).add("opt/bin/tool", item)
}

/// An image that says nothing. It is there already: what is about a run hears nothing of a pull.
fn bare(engine: &Engine) -> Result<String, Failure> {
    engine.ready(samples::offer_once("bare", || (Value::Null, None))?)
}

impl Engine {
    /// Runs an image to its end.
    fn run_image(&self, options: &[&str], image: &str, args: &[&str]) -> Result<Outcome, Failure> {
        Outcome::of(self.image(options, image, args), b"")
    }

    /// Lets `/bin/sh -c` of the bare image run a script.
    fn sh_in_bare(&self, options: &[&str], script: &str) -> Result<Outcome, Failure> {
        self.run_image(options, &bare(self)?, &["/bin/sh", "-c", script])
    }

    /// Pulls an image the first time that a check asks for it. If that fails, the check will tell.
    pub fn ready(&self, image: String) -> Result<String, Failure> {
        if self.pulled.borrow_mut().insert(image.clone()) {
            Outcome::of(self.subcommand(["pull", "-q", &image]), b"")?;
        }
        Ok(image)
    }

    /// Pulls an image, and gives where its root filesystem is.
    fn pulled(&self, image: &str) -> Result<PathBuf, Failure> {
        let outcome = Outcome::of(self.subcommand(["pull", "-q", image]), b"")?;
        self.rootfs(&outcome, &samples::store(self.caller))
    }

    /// Requires that `check` leaves the caller's store as it is. The images that it runs must be
    /// there before.
    fn leaves_nothing(&self, check: impl FnOnce() -> Verdict) -> Verdict {
        // The first container of all makes the place for the others.
        self.sh_in_bare(&[], "exit 0")?.ends_with(0)?;
        let before = names(&samples::store(self.caller))?;
        check()?;
        let after = names(&samples::store(self.caller))?;
        let new: Vec<_> = after.difference(&before).take(4).collect();
        let gone: Vec<_> = before.difference(&after).take(4).collect();
        let seen = format!("new: {new:?}; gone: {gone:?}");
        require(before == after, "all of this check", "the same files in $SLIPWAY_HOME", seen)
    }
}

/// All files below a directory, but for those that are locked only.
fn names(directory: &Path) -> io::Result<BTreeSet<PathBuf>> {
    let mut all = BTreeSet::new();
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            all.append(&mut names(&entry.path())?);
        }
        if entry.path().extension().is_none_or(|end| end != "lock") {
            all.insert(entry.path());
        }
    }
    Ok(all)
}

/// Lets a command have the host's / open as these files.
fn with_host_open(mut command: Command, numbers: &'static [i32]) -> io::Result<Command> {
    let root = fs::File::open("/")?;
    // SAFETY: the calls are async-signal-safe, and nothing else uses these numbers in the child.
    unsafe {
        command.pre_exec(move || {
            allow_high_file_numbers()?;
            for number in numbers {
                Errno::result(libc::dup2(root.as_raw_fd(), *number))?;
            }
            Ok(())
        });
    }
    Ok(command)
}
