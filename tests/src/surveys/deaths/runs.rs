//! Containers whose engine is killed, or whose process 1.

use std::fs;
use std::process::Command;
use std::thread;

use nix::sys::signal::{Signal, kill};

use super::Moments;
use crate::checks::engine::{Engine, Outcome};
use crate::checks::failure::{Failure, Verdict, equal, require};
use crate::checks::machine::Machine;
use crate::checks::running::{Running, first_child};
use crate::checks::samples;

/// How far a run may have come, as its layer and its output tell.
const PHASES: [&str; 4] = ["nothing made", "the layer is there", "the command runs", "over"];

/// A command that writes to its layer, and has a child and a grandchild.
const SCRIPT: &str = "mkdir -p /tmp/a/b; chmod 0 /tmp/a/b; echo x > /tmp/file; echo begin
    sh -c 'sleep 0.1; true' & sleep 0.1; wait; exit 0";

const LIMITS: [&str; 4] = ["--memory", "64M", "--pids", "16"];

/// The small image, pulled.
fn image(engine: &Engine) -> Result<String, Failure> {
    let image = samples::offer_once("deaths", || (serde_json::Value::Null, None))?;
    Outcome::of(engine.subcommand(["pull", "-q", &image]), b"")?.ends_with(0)?;
    Ok(image)
}

fn command(engine: &Engine, image: &str) -> Command {
    engine.image(&LIMITS, image, &["/bin/sh", "-c", SCRIPT])
}

/// A container that ends well, and before which the engine removes what others have left.
fn next_start(engine: &Engine, image: &str) -> Verdict {
    let outcome = Outcome::of(engine.image(&LIMITS, image, &["/bin/sh", "-c", "exit 3"]), b"")?;
    outcome.ends_with(3).map(drop)
}

/// What is in these directories of the store.
fn left(engine: &Engine) -> Result<Vec<String>, Failure> {
    let mut names = Vec::new();
    for directory in ["containers", "partial"] {
        for entry in fs::read_dir(samples::store(engine.caller).join(directory))? {
            names.push(entry?.path().display().to_string());
        }
    }
    Ok(names)
}

/// Kills engines at moments of their lives. Nothing of the container may live on, and nothing be left when the next
/// one has started.
pub fn killed(engine: &Engine, times: u32) -> Verdict {
    let image = image(engine)?;
    next_start(engine, &image)?;
    let mut moments = Moments::over(&PHASES, || {
        Outcome::of(command(engine, &image), b"")?.ends_with(0).map(drop)
    })?;
    let machine = Machine::now();
    for _ in 0..times {
        let mut running = Running::start(command(engine, &image))?;
        let moment = moments.next();
        thread::sleep(moment);
        let is_there = kill(running.pid(), Signal::SIGKILL).is_ok();
        let over = running.status()?.is_some_and(|status| status.success());
        let tried = format!("step8 run, killed after {} ms", moment.as_millis());
        let gone = machine.has_no_more_processes();
        require(is_there && gone, &tried, "that no process lives on", "one does")?;
        let begun = running.is_begun();
        moments.fell_into(match (over, begun, left(engine)?.is_empty()) {
            (true, ..) | (_, true, true) => 3,
            (_, true, false) => 2,
            (_, false, false) => 1,
            (_, false, true) => 0,
        });
        next_start(engine, &image)?;
        machine.is_unchanged()?;
        equal(&tried, "what is left in the store", Vec::<String>::new(), left(engine)?)?;
    }
    moments.tell("runs killed")
}

/// Kills the engine's child instead: then the engine tells, and removes all itself.
pub fn children_killed(engine: &Engine, times: u32) -> Verdict {
    let image = image(engine)?;
    let machine = Machine::now();
    let mut moments = Moments::over(&PHASES, || {
        Outcome::of(command(engine, &image), b"")?.ends_with(0).map(drop)
    })?;
    let mut killed = 0;
    while killed < times {
        let mut running = Running::start(command(engine, &image))?;
        thread::sleep(moments.next());
        let child = first_child(running.pid());
        killed += u32::from(child.is_some_and(|child| kill(child, Signal::SIGKILL).is_ok()));
        let status = running.status()?.and_then(|status| status.code());
        // Before the container is made, it is the program that maps its ids.
        let known = matches!(status, Some(0 | 125 | 137));
        require(known, "step8 run, its child killed", "status 137 or 125", format!("{status:?}"))?;
        machine.is_unchanged()?;
        equal("step8 run, its child killed", "what is left", Vec::<String>::new(), left(engine)?)?;
    }
    Ok(())
}

/// Kills the engine of a command that has taken back its parent-death signal; gives what is left, and what is after
/// the next start.
pub fn outliving(engine: &Engine, limited: bool) -> Result<[&'static str; 2], Failure> {
    let image = image(engine)?;
    let machine = Machine::now();
    let limits = if limited { &LIMITS[..] } else { &[] };
    let mut running = Running::start(engine.image(limits, &image, &["/bin/probe", "outlive"]))?;
    running.says("begin")?;
    let inner = running.inner()?;
    running.signal(Signal::SIGKILL)?;
    running.status()?;
    thread::sleep(std::time::Duration::from_millis(200));
    let lives = || kill(inner, None).is_ok();
    let word = |lives| if lives { "the command" } else { "nothing" };
    let first = word(lives());
    next_start(engine, &image)?;
    let then = word(lives());
    let _ = kill(inner, Signal::SIGKILL);
    machine.has_no_more_processes();
    next_start(engine, &image)?;
    machine.is_unchanged()?;
    equal("step8 run", "what is left in the store", Vec::<String>::new(), left(engine)?)?;
    Ok([first, then])
}
