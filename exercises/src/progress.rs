//! What a learner has done, in work/progress.json: which tasks the last check found right, and how
//! many hints were shown.

use std::collections::BTreeMap;
use std::fmt::{self, Display};
use std::path::Path;
use std::{fs, io};

use anyhow::{Context, Result};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// All exercises, by step.
#[derive(Debug, Default, Deserialize, Serialize, PartialEq)]
pub struct Progress {
    steps: BTreeMap<u8, Begun>,
}

/// An exercise that was begun.
#[derive(Debug, Default, Deserialize, Serialize, PartialEq)]
pub struct Begun {
    /// When it was checked last.
    pub checked: Option<Timestamp>,
    pub tasks: Vec<Done>,
}

/// How far a task is.
#[derive(Clone, Debug, Default, Deserialize, Serialize, PartialEq)]
pub struct Done {
    /// Its checks that passed.
    pub passed: usize,
    /// Its checks.
    pub checks: usize,
    /// The hints that were shown.
    pub hints: usize,
    /// All its checks passed once, whatever has become of it.
    #[serde(default)]
    pub was_right: bool,
}

impl Done {
    /// Whether all its checks passed.
    pub fn is_whole(&self) -> bool {
        self.checks > 0 && self.passed == self.checks
    }
}

const FILE: &str = "work/progress.json";

impl Progress {
    /// Takes over what a check has found, in the file.
    ///
    /// # Errors
    ///
    /// The file can't be read or written.
    pub fn note(checkout: &Path, step: u8, found: &[Option<Done>]) -> Result<()> {
        let mut progress = Progress::read(checkout)?;
        progress.take(step, found);
        progress.write(checkout)
    }

    /// Forgets an exercise that is begun anew, in the file.
    ///
    /// # Errors
    ///
    /// The file can't be read or written.
    pub fn forget(checkout: &Path, step: u8) -> Result<()> {
        let mut progress = Progress::read(checkout)?;
        match progress.steps.remove(&step) {
            Some(_) => progress.write(checkout),
            None => Ok(()),
        }
    }

    /// Reads it; nothing is done where there is no file.
    ///
    /// # Errors
    ///
    /// The file can't be read.
    pub fn read(checkout: &Path) -> Result<Progress> {
        match fs::read_to_string(checkout.join(FILE)) {
            Ok(text) => serde_json::from_str(&text)
                .with_context(|| format!("{FILE} is damaged; without it all counts as not done")),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Progress::default()),
            Err(error) => Err(error).with_context(|| format!("read {FILE}")),
        }
    }

    /// Writes it.
    ///
    /// # Errors
    ///
    /// The file can't be written.
    pub fn write(&self, checkout: &Path) -> Result<()> {
        let path = checkout.join(FILE);
        fs::create_dir_all(path.parent().unwrap_or(checkout)).context("make work")?;
        // Whole or not at all, whoever reads it meanwhile.
        let new = path.with_extension("new");
        let text = serde_json::to_string_pretty(self).context("it is plain data")?;
        fs::write(&new, text).and_then(|()| fs::rename(&new, &path)).context("write progress.json")
    }

    /// The exercises that were begun.
    pub fn steps(&self) -> impl Iterator<Item = (u8, &Begun)> {
        self.steps.iter().map(|(step, begun)| (*step, begun))
    }

    /// Takes over what a check has found; a task of which it has found nothing stays as it was.
    fn take(&mut self, step: u8, found: &[Option<Done>]) {
        for (task, found) in self.tasks(step, found.len()).iter_mut().zip(found) {
            if let Some(Done { passed, checks, .. }) = found {
                (task.passed, task.checks) = (*passed, *checks);
                task.was_right |= task.is_whole();
            }
        }
        self.steps.entry(step).or_default().checked = Some(Timestamp::now());
    }

    /// The tasks of an exercise, of which there are `count`.
    pub fn tasks(&mut self, step: u8, count: usize) -> &mut Vec<Done> {
        let tasks = &mut self.steps.entry(step).or_default().tasks;
        tasks.resize(count, Done::default());
        tasks
    }
}

impl Display for Progress {
    /// A line for each exercise that was begun: `step 4  ●●◐○○○  2 of 6 tasks`.
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        for (step, Begun { tasks, .. }) in &self.steps {
            let sign = |task: &Done| match (task.is_whole(), task.passed) {
                (true, _) => '●',
                (_, 0) => '○',
                _ => '◐',
            };
            let done = tasks.iter().filter(|task| task.is_whole()).count();
            let signs: String = tasks.iter().map(sign).collect();
            let hints: usize = tasks.iter().map(|task| task.hints).sum();
            write!(f, "step {step}  {signs:<8}  {done} of {} tasks", tasks.len())?;
            match hints {
                0 => writeln!(f)?,
                1 => writeln!(f, ", 1 hint")?,
                _ => writeln!(f, ", {hints} hints")?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_picture_of_what_is_done() {
        let mut progress = Progress::default();
        let tasks = progress.tasks(4, 3);
        tasks[0] = Done { passed: 2, checks: 2, hints: 1, was_right: true };
        tasks[1] = Done { passed: 1, checks: 4, hints: 0, was_right: false };
        assert_eq!(progress.to_string(), "step 4  ●◐○       1 of 3 tasks, 1 hint\n");
    }

    #[test]
    fn a_task_that_breaks_was_right_before() {
        let mut progress = Progress::default();
        let found = |passed| vec![Some(Done { passed, checks: 2, ..Done::default() })];
        for (passed, was_right) in [(1, false), (2, true), (0, true)] {
            progress.take(4, &found(passed));
            assert_eq!(progress.tasks(4, 1)[0].was_right, was_right);
        }
    }
}
