//! Surveys: all steps put to the same probes, and what they say side by side, as a text that a
//! snapshot holds and the book shows.
//!
//! Like the checks they make real containers and look at the machine, so they run in the VM only:
//! binary `survey`, which `./just verify` calls.

use crate::checks::failure::{Failure, Verdict};
use crate::checks::machine::Machine;
use crate::checks::{Caller, Engine, fixture, setup};
use crate::steps;

mod attacks;
mod calls;
pub mod columns;
mod deaths;
mod faults;
mod images;
mod isolation;
mod load;
mod measured;
mod outside;
mod registries;

/// One text about all steps.
pub struct Survey {
    /// A short name, the snapshot's as well.
    pub name: &'static str,
    /// What the text tells, as one sentence.
    pub promise: &'static str,
    /// It is a table with a column for each step.
    pub by_step: bool,
    /// Makes the text. It runs in /slipway as root, and leaves the machine as it was.
    pub run: fn() -> Result<String, Failure>,
    /// A part of it, for `./just test`, where all of it takes too long: what it says is held to no
    /// snapshot, but it can fail.
    pub sample: Option<fn() -> Result<String, Failure>>,
}

/// All surveys.
pub const ALL: &[Survey] = &[
    Survey {
        name: "isolation",
        promise: "what a container of each step has of its own, and what is the host's",
        by_step: true,
        run: isolation::run,
        sample: None,
    },
    Survey {
        name: "attacks",
        promise: "which small attacks on the host work in each step, and what stops the others",
        by_step: true,
        run: attacks::run,
        sample: None,
    },
    Survey {
        name: "calls",
        promise: "the system calls that each step adds, and that its chapter explains them",
        by_step: false,
        run: calls::run,
        sample: None,
    },
    Survey {
        name: "faults",
        promise: "that each step ends well when any one of its system calls fails, or is its last",
        by_step: false,
        run: faults::run,
        sample: Some(faults::sample),
    },
    Survey {
        name: "deaths",
        promise: "what is left when an engine is killed at any moment, and when the disk is full",
        by_step: false,
        run: deaths::run,
        sample: Some(deaths::sample),
    },
    Survey {
        name: "load",
        promise: "a hundred containers at once, and a thousand in a row",
        by_step: false,
        run: load::run,
        sample: Some(load::sample),
    },
    Survey {
        name: "images",
        promise: "what becomes of hostile and odd images, and that nothing outside them changes",
        by_step: false,
        run: images::run,
        sample: Some(images::sample),
    },
    Survey {
        name: "registries",
        promise: "what comes of hostile registries: no pull hangs, and each says why it failed",
        by_step: false,
        run: registries::run,
        sample: Some(registries::sample),
    },
];

/// The survey of this name.
pub fn named(name: &str) -> Option<&'static Survey> {
    ALL.iter().find(|survey| survey.name == name)
}

/// Makes a survey, or its sample, on a machine that must be as before when it is over.
pub fn conduct(run: fn() -> Result<String, Failure>) -> Result<String, Failure> {
    // What stays is made before: the callers' cgroups and stores, and the image that step 8 runs.
    prepare()?;
    let before = Machine::now();
    let text = run();
    let unchanged = before.is_unchanged();
    before.restore();
    // A survey that failed half-way may have left anything: its own failure says more.
    let text = text?;
    unchanged.map(|()| text)
}

fn prepare() -> Verdict {
    for caller in [Caller::Ada, Caller::Root] {
        engine(steps::last(), caller)?.fetch_rootfs();
    }
    Ok(())
}

/// A step as this caller calls it. The root filesystem is the caller's from now on, until an engine
/// of somebody else's is asked for.
pub fn engine(step: u8, caller: Caller) -> Result<Engine, Failure> {
    fixture::hand_over(caller)?;
    let program = format!("step{step}");
    let file = setup::find(&program)
        .map_err(|error| Failure::new(&program, "a program to survey", error))?;
    Ok(Engine::new(file, step, caller))
}

/// The limits that the steps which have some are given.
pub fn limits(engine: &Engine) -> Vec<&'static str> {
    if engine.step >= steps::since("--memory") {
        vec!["--memory", "64M", "--cpus", "0.2", "--pids", "16"]
    } else {
        Vec::new()
    }
}
