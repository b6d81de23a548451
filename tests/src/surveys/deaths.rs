//! Sudden death: an engine killed at moments drawn over the length of a pull and of a run, and an engine without room
//! to write. What is left then, and what comes after.

use std::time::{Duration, Instant};

use fastrand::Rng;

use super::engine;
use crate::checks::failure::{Failure, require};
use crate::checks::{Caller, draw};
use crate::steps;

mod disk;
mod power;
mod pulls;
mod runs;

/// Kills of each kind and caller: in all of it, and in a sample.
const KILLS: u32 = 100;
const FEW: u32 = 2;

/// The table, and each phase has been met.
pub fn run() -> Result<String, Failure> {
    table(KILLS)
}

/// A few of the kills.
pub fn sample() -> Result<String, Failure> {
    table(FEW)
}

fn table(kills: u32) -> Result<String, Failure> {
    let mut text = "| what | called by | times | what is left | after the next start |\n|---|---|---|---|---|\n".to_string();
    for caller in [Caller::Ada, Caller::Root] {
        // What is half-done is looked for where all layers are unpacked into one directory.
        let engine = engine(steps::since("images") - 1, caller)?;
        let name = format!("{caller:?}").to_lowercase();
        let mut row = |cells: [&str; 4]| {
            let [what, times, left, after] = cells;
            text += &format!("| {what} | {name} | {times} | {left} | {after} |\n");
        };
        let times = &kills.to_string();
        pulls::killed(&engine, kills)?;
        row(["`pull` killed", times, "no process, no half image", "the image, whole"]);
        let tenth = (kills / 10).max(1);
        power::lost(&engine, tenth)?;
        row(["`pull`, and a power cut", &tenth.to_string(), "no half image", "the image, whole"]);
        runs::killed(&engine, kills)?;
        row(["`run` killed", times, "no process", "nothing"]);
        let fifth = (kills / 5).max(1);
        runs::children_killed(&engine, fifth)?;
        row(["the container's process 1 killed", &fifth.to_string(), "nothing", "nothing"]);
        for limited in [true, false] {
            let what = if limited {
                "`run` killed; the command wants to live on; with limits"
            } else {
                "the same without limits"
            };
            let [left, after] = runs::outliving(&engine, limited)?;
            row([what, "1", left, after]);
        }
        disk::pull(&engine)?;
        row([
            "`pull` on a full disk",
            "2",
            "one line, the images there were",
            "with room: the image, whole",
        ]);
        let levels = disk::run(&engine)?;
        row([
            "`run` on a full disk",
            &levels.to_string(),
            "one line, the images there were",
            "with room: it runs",
        ]);
    }
    Ok(text)
}

/// Moments within a time, and how many of them fell into which phase.
struct Moments {
    rng: Rng,
    length: Duration,
    phases: Vec<(&'static str, u32)>,
}

impl Moments {
    /// Over the length of `once`, which is done three times.
    fn over(
        phases: &[&'static str],
        mut once: impl FnMut() -> Result<(), Failure>,
    ) -> Result<Moments, Failure> {
        let mut length = Duration::ZERO;
        for _ in 0..3 {
            let start = Instant::now();
            once()?;
            length = length.max(start.elapsed());
        }
        let seed = draw::new_seed();
        eprintln!("moments over {} ms, from seed {seed}", length.as_millis());
        let phases = phases.iter().map(|name| (*name, 0)).collect();
        Ok(Moments { rng: Rng::with_seed(seed), length: length.mul_f64(1.1), phases })
    }

    /// The next one.
    fn next(&mut self) -> Duration {
        self.length.mul_f64(self.rng.f64())
    }

    /// One has fallen into this phase. Until one has fallen into the last, they come later and later: on a busy
    /// machine the first three may have been fast.
    fn fell_into(&mut self, phase: usize) {
        self.phases[phase].1 += 1;
        if self.phases.last().is_some_and(|(_, count)| *count == 0) {
            self.length = self.length.mul_f64(1.02);
        }
    }

    /// Tells how many fell where, and requires of many that they fell everywhere.
    fn tell(&self, what: &str) -> Result<(), Failure> {
        let counts: Vec<String> =
            self.phases.iter().map(|(name, count)| format!("{name}: {count}")).collect();
        eprintln!("{what}: {}", counts.join(", "));
        let all: u32 = self.phases.iter().map(|(_, count)| count).sum();
        let everywhere = self.phases.iter().all(|(_, count)| *count > 0);
        require(all < KILLS || everywhere, what, "a kill in each phase", counts.join(", "))
    }
}
