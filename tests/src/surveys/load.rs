//! Load: many containers at once, and many in a row.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::Instant;

use super::engine;
use crate::checks::engine::{Engine, Outcome};
use crate::checks::failure::{Failure, Verdict, equal, require};
use crate::checks::machine::Machine;
use crate::checks::running::{Running, eventually};
use crate::checks::{Caller, samples};
use crate::steps;

const LIMITS: [&str; 6] = ["--memory", "16M", "--cpus", "0.5", "--pids", "8"];

/// What the kernel keeps of its own accord may come and go by so much.
const OPEN_FILES: u64 = 64;
const SLAB_KIB: u64 = 8 * 1024; // of a thousand containers

/// How much more memory an engine may take after a thousand others.
const MEMORY_KIB: u64 = 256;

/// The table: a hundred at once, and a thousand in a row.
pub fn run() -> Result<String, Failure> {
    table(100, 1000)
}

/// A few of both.
pub fn sample() -> Result<String, Failure> {
    table(10, 20)
}

fn table(at_once: u32, in_a_row: u32) -> Result<String, Failure> {
    let mut text = "| what | called by | status and output | left | memory | open files, processes, mounts, cgroups, files |\n\
        |---|---|---|---|---|---|\n"
        .to_string();
    for caller in [Caller::Ada, Caller::Root] {
        let engine = engine(steps::last(), caller)?;
        let image = samples::offer_once("load", || (serde_json::Value::Null, None))?;
        Outcome::of(engine.subcommand(["pull", "-q", &image]), b"")?.ends_with(0)?;
        // The first container of all makes the place for the others.
        one(&engine, &image, 0)?;
        let name = format!("{caller:?}").to_lowercase();
        all_at_once(&engine, &image, at_once)?;
        text += &format!("| {at_once} at once | {name} | each its own | nothing | | as before |\n");
        // Root's engine takes the same way; ada's takes more of it.
        if caller == Caller::Ada {
            one_after_another(&engine, &image, in_a_row)?;
            text += &format!(
                "| {in_a_row} in a row | {name} | each its own | nothing | constant | as before |\n"
            );
        }
    }
    Ok(text)
}

/// Each writes a file, waits until all others are there, reads it and ends with a status of its own.
fn all_at_once(engine: &Engine, image: &str, count: u32) -> Verdict {
    let before = Facts::now(engine)?;
    let machine = Machine::now();
    let start = Instant::now();
    let status = |number: u32| 10 + number % 90;
    let begin = |number: u32| {
        let script =
            format!("echo {number} > /me; echo begin; read _; cat /me; exit {}", status(number));
        Running::start(engine.image(&LIMITS, image, &["/bin/sh", "-c", &script]))
    };
    let mut all: Vec<Running> = (0..count).map(begin).collect::<Result<_, _>>()?;
    all.iter().try_for_each(|running| running.says("begin"))?;
    let took = start.elapsed();
    let groups = Machine::now().new_cgroups(&machine);
    let groups = groups.iter().filter(|group| !group.ends_with("/container")).count();
    equal("step8 run", "cgroups while all are there", count as usize, groups)?;
    for one in &mut all {
        one.close_stdin();
    }
    for (number, running) in (0..count).zip(all) {
        running.says(&number.to_string())?;
        running.ends_with(status(number) as i32)?;
    }
    machine.is_unchanged()?;
    // Of what so many at once have taken the kernel keeps some, for the next so many.
    before.are_still(engine, None)?;
    let whole = start.elapsed();
    eprintln!(
        "{count} at once: all there after {:.1} s, over after {:.1} s",
        took.as_secs_f64(),
        whole.as_secs_f64()
    );
    Ok(())
}

/// One after another; the last ones must need no more than the first.
fn one_after_another(engine: &Engine, image: &str, count: u32) -> Verdict {
    let machine = Machine::now();
    // What the kernel sets up the first time stays.
    (0..3).try_for_each(|number| one(engine, image, number).map(drop))?;
    let before = Facts::now(engine)?;
    let start = Instant::now();
    let peaks: Vec<u64> =
        (0..count).map(|number| one(engine, image, number)).collect::<Result<_, _>>()?;
    let tenth = (count as usize / 10).max(1);
    let most = |peaks: &[u64]| peaks.iter().copied().max().unwrap_or_default();
    let (first, last) = (most(&peaks[..tenth]), most(&peaks[peaks.len() - tenth..]));
    let seconds = start.elapsed().as_secs_f64();
    eprintln!(
        "{count} in a row: {:.0} ms each; peak memory of the first tenth {first} KiB, of the last {last} KiB",
        seconds * 1000.0 / f64::from(count)
    );
    let seen = format!("{first} KiB, then {last} KiB");
    require(last <= first + MEMORY_KIB, "many in a row", "the same peak of memory", seen)?;
    machine.is_unchanged()?;
    before.are_still(engine, Some(SLAB_KIB))
}

/// Runs one to its end, and gives the engine's peak of memory until the command ends, in KiB.
fn one(engine: &Engine, image: &str, number: u32) -> Result<u64, Failure> {
    let status = 10 + number % 90;
    let script = format!("echo {number} > /me; cat /me; read _; exit {status}");
    let mut running = Running::start(engine.image(&LIMITS, image, &["/bin/sh", "-c", &script]))?;
    running.says(&number.to_string())?;
    // (What wait4(2) says counts the memory that the caller had, before exec.)
    let about = fs::read_to_string(format!("/proc/{}/status", running.pid()))?;
    let peak = about.lines().find_map(|line| number_of(line.strip_prefix("VmHWM:")?));
    running.close_stdin();
    running.ends_with(status as i32)?;
    peak.ok_or_else(|| Failure::new("step8 run", "VmHWM in /proc/PID/status", "none"))
}

/// The number that a text begins with.
fn number_of(text: &str) -> Option<u64> {
    text.split_whitespace().next()?.parse().ok()
}

/// What the machine and the store have, in numbers.
struct Facts {
    /// These must be the same.
    exact: BTreeMap<&'static str, u64>,
    open_files: u64,
    slab: u64,
}

impl Facts {
    fn now(engine: &Engine) -> Result<Facts, Failure> {
        let open = fs::read_to_string("/proc/sys/fs/file-nr")?;
        let memory = fs::read_to_string("/proc/meminfo")?;
        let slab = memory.lines().find_map(|line| number_of(line.strip_prefix("SUnreclaim:")?));
        let groups = fs::read_to_string("/sys/fs/cgroup/cgroup.stat")?;
        let group = |key: &str| groups.lines().find_map(|line| number_of(line.strip_prefix(key)?));
        let store = samples::store(engine.caller);
        let exact = BTreeMap::from([
            ("mounts", fs::read_to_string("/proc/self/mountinfo")?.lines().count() as u64),
            ("cgroups", group("nr_descendants ").unwrap_or_default()),
            ("files in the store", files(&store)?),
        ]);
        let (open_files, slab) = (number_of(&open).unwrap_or_default(), slab.unwrap_or_default());
        Ok(Facts { exact, open_files, slab })
    }

    /// Requires that they are, after a moment, as they were.
    /// `more_slab`: so much more of the kernel's own memory may it be; None: that does not count.
    fn are_still(&self, engine: &Engine, more_slab: Option<u64>) -> Verdict {
        let mut seen = Facts::now(engine)?;
        eventually(|| {
            let Ok(now) = Facts::now(engine) else { return false };
            seen = now;
            seen.exact == self.exact
                && seen.open_files <= self.open_files + OPEN_FILES
                && more_slab.is_none_or(|more| seen.slab <= self.slab + more)
        });
        eprintln!(
            "open files {} and then {}; unreclaimable slab {} KiB and then {} KiB",
            self.open_files, seen.open_files, self.slab, seen.slab
        );
        equal("all of this load", "numbers", &self.exact, &seen.exact)?;
        let more = |then: u64, now: u64, most: u64| now <= then + most;
        let files = more(self.open_files, seen.open_files, OPEN_FILES);
        require(
            files,
            "all of this load",
            format!("at most {OPEN_FILES} more open files"),
            seen.open_files,
        )?;
        let Some(most) = more_slab else { return Ok(()) };
        let slab = more(self.slab, seen.slab, most);
        require(slab, "all of this load", format!("at most {most} KiB more slab"), seen.slab)
    }
}

/// Files and directories below a directory.
fn files(directory: &Path) -> Result<u64, Failure> {
    let mut count = 0;
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        count += 1;
        if entry.file_type()?.is_dir() {
            count += files(&entry.path())?;
        }
    }
    Ok(count)
}
