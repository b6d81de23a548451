//! A profile: the document in which Docker, podman and the OCI say what a filter decides (OCI runtime
//! specification, config-linux.md, "Seccomp"). Docker adds conditions to it, podman errnos by name.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::Read;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use documents::or_default;
use nix::libc;
use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};
use shared::{Error, Explain, short, shown};
use step10::capabilities::Set;

use crate::calls::{self, Machine};
use crate::rule::{Action, Rule, errno};
use crate::verdict::Rules;

/// What holds for a container whose caller says nothing else.
const DEFAULT: &str = include_str!("default.json");

/// The largest profile, in bytes. Docker's own has 14,000.
const LARGEST: u64 = 1 << 20;

/// A profile as it is written. A key that no engine knows is an error: a condition with a slip of the
/// pen would be no condition, and its rule would hold for every call.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[expect(dead_code, reason = "some keys are for other engines, or for people")]
pub struct Profile {
    default_action: Action,
    #[serde(skip_serializing_if = "Option::is_none")]
    default_errno_ret: Option<u16>,
    /// Podman's: its name.
    #[serde(skip_serializing_if = "Option::is_none")]
    default_errno: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty", deserialize_with = "or_default")]
    flags: Vec<String>,
    #[serde(default, deserialize_with = "or_default")]
    syscalls: Vec<Rule>,
    // Our filters are for one machine, and nobody listens to them.
    #[serde(skip_serializing)]
    arch_map: Option<IgnoredAny>,
    #[serde(skip_serializing)]
    architectures: Option<IgnoredAny>,
    #[serde(skip_serializing)]
    listener_path: Option<IgnoredAny>,
    #[serde(skip_serializing)]
    listener_metadata: Option<IgnoredAny>,
    #[serde(skip_serializing)]
    comment: Option<IgnoredAny>,
}

/// For whom a profile's rules are chosen.
#[derive(Clone, Copy, Debug)]
pub struct Setting {
    pub machine: Machine,
    /// What the command can have at most: Docker's profile allows `mount` to one with CAP_SYS_ADMIN.
    pub bounding: Set,
    /// The kernel's version, as in (6, 1).
    pub kernel: (u32, u32),
}

impl Profile {
    /// Our own.
    pub fn of_engine() -> Profile {
        serde_json::from_str(DEFAULT).expect("a test reads it")
    }

    /// The one that allows everything: what a recording begins with where there is no filter.
    pub fn of_anything() -> Profile {
        Profile::parse(br#"{"defaultAction": "SCMP_ACT_ALLOW"}"#).expect("a test reads it")
    }

    /// The one in a file of the caller's.
    pub fn read(path: &Path) -> Result<Profile, Error> {
        let what = format!("read the profile {path:?}");
        // A pipe that nobody writes to would keep us waiting.
        let open = File::options().read(true).custom_flags(libc::O_NONBLOCK).open(path);
        let file = open.explain(&what)?;
        if !file.metadata().explain(&what)?.is_file() {
            return Err(Error::new(format!("cannot {what}: it is no regular file")));
        }
        let mut bytes = Vec::new();
        file.take(LARGEST + 1).read_to_end(&mut bytes).explain(&what)?;
        if bytes.len() as u64 > LARGEST {
            return Err(Error::new(format!("cannot {what}: it has more than {LARGEST} bytes")));
        }
        Profile::parse(&bytes)
            .map_err(|cause| Error::new(format!("the profile {path:?} is wrong: {cause}")))
    }

    /// Reads JSON. The error names the place in it: `syscalls[3].args[0]: unknown field …`.
    fn parse(bytes: &[u8]) -> Result<Profile, String> {
        let mut json = serde_json::Deserializer::from_slice(bytes);
        let profile: Profile = serde_path_to_error::deserialize(&mut json).map_err(|error| {
            match error.path().to_string().as_str() {
                "." => short(&error.inner().to_string()),
                path => format!("{}: {}", short(path), short(&error.inner().to_string())),
            }
        })?;
        json.end().map_err(|error| error.to_string())?;
        Ok(profile)
    }

    /// What it decides in this setting.
    pub fn rules(&self, setting: Setting) -> Result<Rules, String> {
        let default = self.default_action.verdict(self.default_errno()?)?;
        let mut rules = Rules { machine: setting.machine, default, calls: Vec::new() };
        let number = |name: &str| setting.machine.number(name);
        for (at, rule) in self.syscalls.iter().enumerate() {
            let within = |cause| format!("syscalls[{at}]: {cause}");
            let is_unknown = |name: &&str| number(name).is_none() && !calls::is_known(name);
            if let Some(name) = rule.names().find(is_unknown) {
                return Err(within(format!("there is no call {}", shown(name))));
            }
            let branch = rule.branch().map_err(within)?;
            // What says the same as the default would only hide what is said elsewhere.
            if branch.verdict == default || !rule.fits(setting).map_err(within)? {
                continue;
            }
            for number in rule.names().filter_map(number) {
                rules.add(number, branch.clone());
            }
        }
        Ok(rules)
    }

    fn default_errno(&self) -> Result<Option<u16>, String> {
        errno(self.default_errno.as_deref(), self.default_errno_ret)
    }

    /// The flags that a filter is loaded with (seccomp(2)).
    pub fn flags(&self) -> Result<libc::c_ulong, String> {
        let flag = |name: &String| match name.as_str() {
            "SECCOMP_FILTER_FLAG_LOG" => Ok(libc::SECCOMP_FILTER_FLAG_LOG),
            "SECCOMP_FILTER_FLAG_SPEC_ALLOW" => Ok(libc::SECCOMP_FILTER_FLAG_SPEC_ALLOW),
            // For all threads, and for a listener: we have one thread, and nobody listens.
            "SECCOMP_FILTER_FLAG_TSYNC" | "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV" => Ok(0),
            _ => Err(format!("flags: there is no flag {}", shown(name))),
        };
        self.flags.iter().map(flag).try_fold(0, |all, one| Ok(all | one?))
    }

    /// Whether it can be narrowed: it allows all calls, or those that it names. One that names what it
    /// refuses says nothing of the calls that a command has made.
    pub fn can_be_narrowed(&self) -> bool {
        self.syscalls.is_empty() || !self.default_action.lets_through()
    }

    /// The same profile for a command that makes no other calls than these, by name. What it allows
    /// with conditions stays under them, and what it refuses stays refused.
    pub fn narrowed(mut self, made: &BTreeSet<&str>) -> Profile {
        if self.default_action.lets_through() {
            self.syscalls =
                vec![Rule::allowing(made.iter().map(|name| name.to_string()).collect())];
            self.default_action = Action::Errno;
            self.default_errno_ret = Some(libc::ENOSYS as u16);
            return self;
        }
        for rule in self.syscalls.iter_mut().filter(|rule| rule.lets_through()) {
            rule.keep(|name| made.contains(name));
        }
        self.syscalls.retain(|rule| rule.names().next().is_some());
        self
    }
}

#[cfg(test)]
mod tests;
