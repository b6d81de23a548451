//! What the survey knows beforehand: which errors a call can have, and what a step survives.

use std::cell::Cell;

use nix::errno::Errno;
use serde::Deserialize;

use super::run::Occurrence;
use super::tracer::Fault;

/// calls.toml and survived.toml.
pub struct Known {
    calls: Vec<Row>,
    pub survived: Vec<Survived>,
}

#[derive(Deserialize)]
struct Calls {
    call: Vec<Row>,
}

#[derive(Deserialize)]
struct AllSurvived {
    survived: Vec<Survived>,
}

/// System calls, what they can fail with, and how messages may name them.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Row {
    names: Vec<String>,
    errors: Vec<Cause>,
    #[serde(default)]
    words: Vec<String>,
}

/// Why a call fails.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[allow(clippy::upper_case_acronyms)]
enum Cause {
    EPERM,
    ENOMEM,
    EIO,
    ENOSPC,
    EINTR,
}

/// Failures after which a run goes on, or ends as no other does; and why that is right.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Survived {
    /// The first step that this is true of, and the last, if not of all later ones.
    steps: Vec<u8>,
    /// The names of the runs; all if there are none.
    #[serde(default)]
    runs: Vec<String>,
    pub call: String,
    /// What stands in the arguments.
    #[serde(default)]
    pub with: String,
    /// With these; without any, with all that the call can have.
    #[serde(default)]
    errors: Vec<Cause>,
    /// What stands on standard error then; without it, nothing does.
    #[serde(default)]
    says: String,
    /// Not a failure, but a process that is killed there and that nobody needs any more.
    #[serde(default)]
    is_death: bool,
    /// What is left goes at the next start.
    #[serde(default)]
    pub cleaned_later: bool,
    pub why: String,
    #[serde(skip)]
    pub is_used: Cell<bool>,
}

impl Cause {
    fn errno(self) -> Errno {
        match self {
            Cause::EPERM => Errno::EPERM,
            Cause::ENOMEM => Errno::ENOMEM,
            Cause::EIO => Errno::EIO,
            Cause::ENOSPC => Errno::ENOSPC,
            Cause::EINTR => Errno::EINTR,
        }
    }
}

impl Known {
    pub fn new() -> Known {
        let calls: Calls = toml::from_str(include_str!("calls.toml")).expect("a test has read it");
        let all: AllSurvived =
            toml::from_str(include_str!("survived.toml")).expect("a test has read it");
        Known { calls: calls.call, survived: all.survived }
    }

    fn row(&self, call: &str) -> Option<&Row> {
        self.calls.iter().find(|row| row.names.iter().any(|name| name == call))
    }

    /// Whether a call of this name is known.
    pub fn has(&self, call: &str) -> bool {
        self.row(call).is_some()
    }

    /// All that can happen at a call.
    pub fn faults(&self, call: &str) -> Vec<Fault> {
        let errors = self.row(call).into_iter().flat_map(|row| &row.errors);
        errors.map(|cause| Fault::Error(cause.errno())).chain([Fault::Kill]).collect()
    }

    /// The words by which a message may name a call.
    pub fn words<'a>(&'a self, call: &'a str) -> Vec<&'a str> {
        let words: Vec<&str> =
            self.row(call).into_iter().flat_map(|row| &row.words).map(String::as_str).collect();
        if words.is_empty() { vec![call] } else { words }
    }

    /// What allows a step not to notice that a process is killed there.
    pub fn unnoticed(&self, step: u8, run: &str, at: &Occurrence) -> Option<&Survived> {
        let found = self.survived.iter().find(|one| one.is_death && one.is_about(step, run, at));
        found.inspect(|one| one.is_used.set(true))
    }

    /// What allows a step to survive this.
    pub fn survived(
        &self,
        step: u8,
        run: &str,
        at: &Occurrence,
        errno: Errno,
    ) -> Option<&Survived> {
        let found = self.survived.iter().find(|one| {
            one.is_about(step, run, at)
                && !one.is_death
                && (one.errors.is_empty() || one.errors.iter().any(|cause| cause.errno() == errno))
        });
        found.inspect(|one| one.is_used.set(true))
    }
}

impl Survived {
    fn is_about(&self, step: u8, run: &str, at: &Occurrence) -> bool {
        let last = self.steps.get(1).copied().unwrap_or(u8::MAX);
        (self.steps[0]..=last).contains(&step)
            && (self.runs.is_empty() || self.runs.iter().any(|name| name == run))
            && self.call == at.call
            && at.arguments.contains(&self.with)
    }

    /// Whether a run that goes on may say this.
    pub fn allows(&self, stderr: &str) -> bool {
        stderr.is_empty() == self.says.is_empty() && stderr.contains(&self.says)
    }

    /// The entry as a line for a reader.
    pub fn tell(&self) -> String {
        let steps = match self.steps[..] {
            [first, last] if first == last => format!("step {first}"),
            [first, last] => format!("steps {first} to {last}"),
            _ => format!("from step {} on", self.steps[0]),
        };
        let runs = if self.runs.is_empty() {
            String::new()
        } else {
            format!(" ({})", self.runs.join(", "))
        };
        let errors: Vec<String> = self.errors.iter().map(|cause| format!(" {cause:?}")).collect();
        let death = if self.is_death { "killed at " } else { "" };
        let what = format!("{death}{} {}", self.call, self.with);
        format!("{steps}{runs}: {}{}: {}", what.trim_end(), errors.concat(), self.why)
    }
}

#[cfg(test)]
mod tests {
    use super::Known;

    #[test]
    fn the_tables_can_be_read() {
        let known = Known::new();
        assert!(known.survived.iter().all(|one| known.has(&one.call)));
        assert_eq!(known.words("umask"), ["umask"]);
    }
}
