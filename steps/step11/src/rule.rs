//! A rule of a profile: names of calls, what becomes of them, and when.

use documents::or_default;
use nix::errno::Errno;
use nix::libc;
use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};
use shared::shown;
use step10::capabilities::Set;

use crate::profile::Setting;
use crate::verdict::{Branch, Condition, Test, Verdict};

/// The largest errno that a call can end with (linux/err.h, MAX_ERRNO).
const LARGEST_ERRNO: u16 = 4095;

/// A rule as it is written.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Rule {
    #[serde(default, deserialize_with = "or_default")]
    names: Vec<String>,
    /// The same for one, as Docker had it first.
    #[serde(default, skip_serializing_if = "String::is_empty", deserialize_with = "or_default")]
    name: String,
    action: Action,
    #[serde(skip_serializing_if = "Option::is_none")]
    errno_ret: Option<u16>,
    /// Podman's: its name.
    #[serde(skip_serializing_if = "Option::is_none")]
    errno: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty", deserialize_with = "or_default")]
    args: Vec<Argument>,
    #[serde(
        default,
        skip_serializing_if = "Conditions::is_empty",
        deserialize_with = "or_default"
    )]
    includes: Conditions,
    #[serde(
        default,
        skip_serializing_if = "Conditions::is_empty",
        deserialize_with = "or_default"
    )]
    excludes: Conditions,
    #[serde(skip_serializing)]
    #[expect(dead_code, reason = "it is for people")]
    comment: Option<IgnoredAny>,
}

/// What becomes of a call.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize, PartialEq, Eq)]
pub enum Action {
    #[serde(rename = "SCMP_ACT_ALLOW")]
    Allow,
    #[default]
    #[serde(rename = "SCMP_ACT_ERRNO")]
    Errno,
    #[serde(rename = "SCMP_ACT_KILL_PROCESS")]
    KillProcess,
    #[serde(rename = "SCMP_ACT_KILL_THREAD", alias = "SCMP_ACT_KILL")]
    KillThread,
    #[serde(rename = "SCMP_ACT_TRAP")]
    Trap,
    #[serde(rename = "SCMP_ACT_TRACE")]
    Trace,
    #[serde(rename = "SCMP_ACT_LOG")]
    Log,
    #[serde(rename = "SCMP_ACT_NOTIFY")]
    Notify,
}

/// A condition on an argument of the call.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Argument {
    /// Which, from 0 to 5.
    index: u32,
    /// For MASKED_EQ the mask.
    #[serde(default)]
    value: u64,
    /// For MASKED_EQ the value.
    #[serde(default)]
    value_two: u64,
    op: Operator,
}

#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
enum Operator {
    #[serde(rename = "SCMP_CMP_NE")]
    Ne,
    #[serde(rename = "SCMP_CMP_LT")]
    Lt,
    #[serde(rename = "SCMP_CMP_LE")]
    Le,
    #[serde(rename = "SCMP_CMP_EQ")]
    Eq,
    #[serde(rename = "SCMP_CMP_GE")]
    Ge,
    #[serde(rename = "SCMP_CMP_GT")]
    Gt,
    #[serde(rename = "SCMP_CMP_MASKED_EQ")]
    MaskedEq,
}

/// Docker's conditions on where a rule is for.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Conditions {
    #[serde(default, skip_serializing_if = "Vec::is_empty", deserialize_with = "or_default")]
    caps: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty", deserialize_with = "or_default")]
    arches: Vec<String>,
    #[serde(default, skip_serializing_if = "String::is_empty", deserialize_with = "or_default")]
    min_kernel: String,
}

impl Conditions {
    fn is_empty(&self) -> bool {
        self.caps.is_empty() && self.arches.is_empty() && self.min_kernel.is_empty()
    }

    /// Whether the command can have it, for each capability.
    fn has_caps(&self, bounding: Set) -> Result<Vec<bool>, String> {
        let has = |name: &String| {
            let set = Set::named(name.strip_prefix("CAP_").unwrap_or(name));
            let set = set.ok_or_else(|| format!("there is no capability {}", shown(name)))?;
            Ok(!(set & bounding).is_empty())
        };
        self.caps.iter().map(has).collect()
    }

    /// Whether one of the machines is this one.
    fn has_arch(&self, setting: Setting) -> bool {
        self.arches.iter().any(|arch| arch == setting.machine.in_go())
    }

    /// Whether the kernel is as new as this; None if nothing is asked.
    fn has_kernel(&self, kernel: (u32, u32)) -> Result<Option<bool>, String> {
        let text = &self.min_kernel;
        if text.is_empty() {
            return Ok(None);
        }
        let least = version(text).ok_or_else(|| format!("{} is no version", shown(text)))?;
        Ok(Some(kernel >= least))
    }
}

/// The first two numbers of a kernel's version.
pub fn version(text: &str) -> Option<(u32, u32)> {
    let (major, rest) = text.split_once('.')?;
    let minor = rest.split(|c: char| !c.is_ascii_digit()).next()?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}

impl Rule {
    /// One that allows these.
    pub fn allowing(names: Vec<String>) -> Rule {
        Rule { names, action: Action::Allow, ..Rule::default() }
    }

    pub fn names(&self) -> impl Iterator<Item = &str> {
        let one = (!self.name.is_empty()).then_some(&self.name);
        self.names.iter().chain(one).map(String::as_str)
    }

    /// Leaves those names of which `keep` says so.
    pub fn keep(&mut self, keep: impl Fn(&str) -> bool) {
        self.names.retain(|name| keep(name));
        if !keep(&self.name) {
            self.name.clear();
        }
    }

    pub fn lets_through(&self) -> bool {
        self.action.lets_through()
    }

    /// Whether it is for this setting. All that it includes has to be there, and nothing that it
    /// excludes may.
    pub fn fits(&self, setting: Setting) -> Result<bool, String> {
        let (with, without) = (&self.includes, &self.excludes);
        let has_all = with.has_caps(setting.bounding)?.iter().all(|has| *has)
            && (with.arches.is_empty() || with.has_arch(setting))
            && with.has_kernel(setting.kernel)? != Some(false);
        let has_any = without.has_caps(setting.bounding)?.iter().any(|has| *has)
            || without.has_arch(setting)
            || without.has_kernel(setting.kernel)? == Some(true);
        Ok(has_all && !has_any)
    }

    /// What it says, without its conditions on the setting.
    pub fn branch(&self) -> Result<Branch, String> {
        let mut tests: Vec<Test> = Vec::new();
        for (at, argument) in self.args.iter().enumerate() {
            let test = argument.test().map_err(|cause| format!("args[{at}]: {cause}"))?;
            if tests.iter().any(|other| other.argument == test.argument) {
                // For libseccomp it is an error, so runc and crun make a rule of each condition.
                let twice = format!("argument {} twice: for real engines", test.argument);
                return Err(format!("args[{at}]: {twice} each condition is a rule of its own"));
            }
            tests.push(test);
        }
        let errno = errno(self.errno.as_deref(), self.errno_ret)?;
        Ok(Branch { tests, verdict: self.action.verdict(errno)? })
    }
}

impl Argument {
    fn test(&self) -> Result<Test, String> {
        let (condition, value) = match self.op {
            Operator::Ne => (Condition::NotEqual, self.value),
            Operator::Lt => (Condition::Less, self.value),
            Operator::Le => (Condition::AtMost, self.value),
            Operator::Eq => (Condition::Equal, self.value),
            Operator::Ge => (Condition::AtLeast, self.value),
            Operator::Gt => (Condition::Greater, self.value),
            // What the mask leaves out can't count.
            Operator::MaskedEq => (Condition::Masked(self.value), self.value_two & self.value),
        };
        match self.index {
            0..=5 => Ok(Test { argument: self.index, condition, value }),
            index => Err(format!("a call has the arguments 0 to 5, and no {index}")),
        }
    }
}

impl Action {
    pub fn lets_through(self) -> bool {
        [Action::Allow, Action::Log].contains(&self)
    }

    /// The verdict, with this errno, or what a tracer is told; EPERM if the profile says none.
    pub fn verdict(self, errno: Option<u16>) -> Result<Verdict, String> {
        let errno = errno.unwrap_or(libc::EPERM as u16);
        Ok(match self {
            Action::Allow => Verdict::ALLOW,
            Action::Errno if errno > LARGEST_ERRNO => {
                return Err(format!("errnoRet is at most {LARGEST_ERRNO}, and not {errno}"));
            }
            Action::Errno => Verdict::errno(errno),
            Action::KillProcess => Verdict::KILL_PROCESS,
            Action::KillThread => Verdict(libc::SECCOMP_RET_KILL_THREAD),
            Action::Trap => Verdict(libc::SECCOMP_RET_TRAP),
            Action::Trace => Verdict(libc::SECCOMP_RET_TRACE | u32::from(errno)),
            Action::Log => Verdict(libc::SECCOMP_RET_LOG),
            Action::Notify => {
                return Err("SCMP_ACT_NOTIFY asks a listener, and this engine has none".into());
            }
        })
    }
}

/// An errno by its name, as in podman's profile, or else by its number.
pub fn errno(name: Option<&str>, number: Option<u16>) -> Result<Option<u16>, String> {
    let Some(name) = name.filter(|name| !name.is_empty()) else { return Ok(number) };
    // Three errnos of Linux have two names.
    let name = match name {
        "EWOULDBLOCK" => "EAGAIN",
        "EDEADLOCK" => "EDEADLK",
        "ENOTSUP" => "EOPNOTSUPP",
        name => name,
    };
    let is_it = |raw: &i32| match Errno::from_raw(*raw) {
        Errno::UnknownErrno => false,
        errno => format!("{errno:?}") == name,
    };
    match (1..=i32::from(LARGEST_ERRNO)).find(is_it) {
        Some(raw) => Ok(Some(raw as u16)),
        None => Err(format!("there is no errno {}", shown(name))),
    }
}
