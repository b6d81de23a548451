//! A promise that was not kept, as a learner needs to read it.

use std::fmt::{self, Debug, Display};
use std::io;

use nix::errno::Errno;
use serde::{Deserialize, Serialize};

/// What a check returns.
pub type Verdict = Result<(), Failure>;

/// What was tried, what should have come of it, and what did.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Failure {
    /// The command, to be repeated by hand in `./just vm`.
    pub tried: String,
    pub expected: String,
    pub seen: String,
}

impl Failure {
    pub fn new(tried: impl Display, expected: impl Display, seen: impl Display) -> Failure {
        let [tried, expected, seen] = [tried.to_string(), expected.to_string(), seen.to_string()];
        Failure { tried, expected, seen }
    }

    /// A call of the check's own that failed: the check itself or the VM is at fault.
    fn of_the_check(error: impl Display) -> Failure {
        Failure::new("the check's own preparations", "that they succeed", error)
    }
}

impl Display for Failure {
    /// Three lines, below the one that says what it is about.
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let Failure { tried, expected, seen } = self;
        write!(f, "        tried     {tried}")?;
        write!(f, "\n        expected  {expected}\n        seen      {seen}")
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Failure {
        Failure::of_the_check(error)
    }
}

impl From<Errno> for Failure {
    fn from(error: Errno) -> Failure {
        Failure::of_the_check(error)
    }
}

/// Compares, and says what `what` was and should have been.
pub fn equal<T: PartialEq + Debug>(tried: &str, what: &str, expected: T, seen: T) -> Verdict {
    if expected == seen {
        return Ok(());
    }
    Err(Failure::new(tried, format!("{what}: {expected:?}"), format!("{what}: {seen:?}")))
}

/// Fails unless `holds`.
pub fn require(holds: bool, tried: &str, expected: impl Display, seen: impl Display) -> Verdict {
    if holds { Ok(()) } else { Err(Failure::new(tried, expected, seen)) }
}
