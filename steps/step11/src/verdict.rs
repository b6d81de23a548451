//! What a filter decides: for each call a verdict, which may depend on the call's arguments.

use std::collections::BTreeSet;
use std::fmt;

use nix::errno::Errno;
use nix::libc;

use crate::calls::Machine;

/// What becomes of a call: an action in the upper 16 bits, and what belongs to it in the lower ones
/// (seccomp(2), SECCOMP_RET_*).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Verdict(pub u32);

impl Verdict {
    pub const ALLOW: Verdict = Verdict(libc::SECCOMP_RET_ALLOW);
    pub const KILL_PROCESS: Verdict = Verdict(libc::SECCOMP_RET_KILL_PROCESS);
    /// Somebody else is asked, who has the other end of the filter.
    pub const ASK: Verdict = Verdict(libc::SECCOMP_RET_USER_NOTIF);
    /// The kernel's own answer to a number that it has no call for. Programs know it, and try
    /// something older.
    pub const NOT_THERE: Verdict = Verdict::errno(libc::ENOSYS as u16);

    pub const fn errno(errno: u16) -> Verdict {
        Verdict(libc::SECCOMP_RET_ERRNO | errno as u32)
    }

    pub fn action(self) -> u32 {
        self.0 & libc::SECCOMP_RET_ACTION_FULL
    }

    fn data(self) -> u32 {
        self.0 & libc::SECCOMP_RET_DATA
    }

    /// Whether the call happens.
    pub fn lets_through(self) -> bool {
        [libc::SECCOMP_RET_ALLOW, libc::SECCOMP_RET_LOG].contains(&self.action())
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self.action() {
            libc::SECCOMP_RET_ALLOW => f.write_str("allow"),
            libc::SECCOMP_RET_ERRNO => match (self.data(), Errno::from_raw(self.data() as i32)) {
                (0, _) => f.write_str("succeed, and do nothing"),
                (number, Errno::UnknownErrno) => write!(f, "errno {number}"),
                (_, errno) => write!(f, "{errno:?}"),
            },
            libc::SECCOMP_RET_KILL_PROCESS => f.write_str("kill the process"),
            libc::SECCOMP_RET_KILL_THREAD => f.write_str("kill the thread"),
            libc::SECCOMP_RET_TRAP => f.write_str("send SIGSYS"),
            libc::SECCOMP_RET_LOG => f.write_str("allow, and log"),
            libc::SECCOMP_RET_TRACE => write!(f, "ask the tracer, with {}", self.data()),
            libc::SECCOMP_RET_USER_NOTIF => f.write_str("ask"),
            action => write!(f, "action {action:#x}"),
        }
    }
}

/// A test of an argument. A pointer is a number here: what it points to no filter sees, as the program
/// could change it between the filter's look and the kernel's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Test {
    /// Which argument, from 0 to 5.
    pub argument: u32,
    pub condition: Condition,
    pub value: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Condition {
    NotEqual,
    Less,
    AtMost,
    Equal,
    AtLeast,
    Greater,
    /// What the mask leaves of the argument is the value.
    Masked(u64),
}

impl Test {
    /// Whether an argument passes it.
    #[cfg(test)]
    pub fn holds(&self, arguments: &[u64; 6]) -> bool {
        let (argument, value) = (arguments[self.argument as usize], self.value);
        match self.condition {
            Condition::NotEqual => argument != value,
            Condition::Less => argument < value,
            Condition::AtMost => argument <= value,
            Condition::Equal => argument == value,
            Condition::AtLeast => argument >= value,
            Condition::Greater => argument > value,
            Condition::Masked(mask) => argument & mask == value,
        }
    }
}

/// A verdict for calls that pass all of its tests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Branch {
    pub tests: Vec<Test>,
    pub verdict: Verdict,
}

/// The verdicts for all calls of a machine.
#[derive(Clone, Debug)]
pub struct Rules {
    pub machine: Machine,
    /// For calls that are not listed, and for those that fit no branch.
    pub default: Verdict,
    /// At its number for each call: the first branch that fits says what becomes of it.
    pub calls: Vec<Vec<Branch>>,
}

impl Rules {
    /// Adds a branch to a call's. One without tests is for all that comes, so others would be in vain
    /// beside it: it takes their place, as with libseccomp, and the first such stays.
    pub fn add(&mut self, number: u32, branch: Branch) {
        let branches = self.of(number);
        if branches.first().is_some_and(|first| first.tests.is_empty()) {
            return;
        }
        if branch.tests.is_empty() {
            *branches = vec![branch];
        } else {
            branches.push(branch);
        }
    }

    /// The branches of a call.
    pub fn of(&mut self, number: u32) -> &mut Vec<Branch> {
        let number = number as usize;
        if self.calls.len() <= number {
            self.calls.resize_with(number + 1, Vec::new);
        }
        &mut self.calls[number]
    }

    /// Whether a call can pass, whatever its arguments have to be.
    pub fn may_let_through(&self, number: u32) -> bool {
        let branches = self.calls.get(number as usize).map_or(&[][..], Vec::as_slice);
        let is_closed = branches.iter().any(|branch| branch.tests.is_empty());
        branches.iter().any(|branch| branch.verdict.lets_through())
            || !is_closed && self.default.lets_through()
    }

    /// All verdicts that it can come to.
    pub fn verdicts(&self) -> BTreeSet<Verdict> {
        let branches = self.calls.iter().flatten();
        branches.map(|branch| branch.verdict).chain([self.default]).collect()
    }
}
