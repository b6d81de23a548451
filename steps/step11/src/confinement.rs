//! What confines a command, beside its namespaces: which capabilities it has, whether a program can
//! give it more, and which system calls it may make.

use std::os::unix::net::UnixStream;
use std::path::PathBuf;

use clap::Args;
use nix::sys::prctl;
use shared::{Error, Explain};
use step8::user::User;
use step10::capabilities::{self, Set};
use step10::choice::Choice;

use crate::profile::Profile;
use crate::record::{self, Record, Recording};
use crate::seccomp::{self, Filter};

/// The options that say how much power the command has.
#[derive(Args)]
pub struct Privileges {
    #[command(flatten)]
    capabilities: Choice,

    /// no-new-privileges: no program gives the command more than it has, set-user-ID or not;
    /// seccomp=FILE: a profile of its own for system calls; seccomp=unconfined: none
    #[arg(long, value_name = "WORD", value_parser = security_option)]
    security_opt: Vec<SecurityOption>,

    /// Write the calls that the command makes to FILE, as a profile for seccomp=FILE
    #[arg(long, value_name = "FILE")]
    record: Option<PathBuf>,

    /// Refused
    #[arg(long, hide = true)]
    privileged: bool,
}

/// A word after --security-opt.
#[derive(Clone, Debug, PartialEq)]
enum SecurityOption {
    NoNewPrivileges(bool),
    Seccomp(Seccomp),
}

/// Which system calls the command may make.
#[derive(Clone, Debug, Default, PartialEq)]
enum Seccomp {
    #[default]
    Usual,
    Unconfined,
    File(PathBuf),
}

/// Reads it as Docker writes it: `no-new-privileges`, `no-new-privileges:false`, `seccomp=FILE`.
fn security_option(text: &str) -> Result<SecurityOption, String> {
    let (name, value) = match text.split_once([':', '=']) {
        Some((name, value)) => (name, Some(value)),
        None => (text, None),
    };
    match (name, value) {
        ("no-new-privileges", None | Some("true")) => Ok(SecurityOption::NoNewPrivileges(true)),
        ("no-new-privileges", Some("false")) => Ok(SecurityOption::NoNewPrivileges(false)),
        ("no-new-privileges", Some(other)) => {
            Err(format!("{name} is true or false, not {other:?}"))
        }
        ("seccomp", None | Some("")) => Err("seccomp is FILE or unconfined".into()),
        ("seccomp", Some("unconfined")) => Ok(SecurityOption::Seccomp(Seccomp::Unconfined)),
        ("seccomp", Some(file)) => Ok(SecurityOption::Seccomp(Seccomp::File(file.into()))),
        _ => Err("there are no-new-privileges and seccomp".into()),
    }
}

/// What confines a command.
#[derive(Debug)]
pub struct Confinement {
    /// All that it can ever have. Root has them at once.
    bounding: Set,
    /// Those that were asked for: another user than root has these, and no others.
    asked: Set,
    no_new_privileges: bool,
    /// None: all calls are allowed.
    pub filter: Option<Filter>,
    record: Option<Record>,
}

impl Confinement {
    /// Puts the options together, by podman's rules.
    pub fn new(options: &Privileges) -> Result<Confinement, Error> {
        if options.privileged {
            let cure = "say what the command needs, as in --cap-add NET_ADMIN";
            return Err(Error::new(format!("there is no --privileged: {cure} (capabilities(7))")));
        }
        let (mut no_new_privileges, mut seccomp) = (false, &Seccomp::Usual);
        for option in &options.security_opt {
            match option {
                SecurityOption::NoNewPrivileges(wanted) => no_new_privileges = *wanted,
                SecurityOption::Seccomp(wanted) => seccomp = wanted,
            }
        }
        let (bounding, asked) = options.capabilities.sets()?;
        // What the engine calls when the filter holds: see `seal`, and step 0's `exec`.
        let still: &[&str] = if no_new_privileges { &["execve"] } else { &["capset", "execve"] };
        let (filter, record) = match (seccomp.profile()?, &options.record) {
            (None, None) => (None, None),
            (Some(profile), None) => (
                Some(seccomp.explain(Filter::new(&profile, seccomp::here(bounding)?, still))?),
                None,
            ),
            (profile, Some(path)) => {
                let profile = profile.unwrap_or_else(Profile::of_anything);
                let filter =
                    seccomp.explain(Filter::asking(&profile, seccomp::here(bounding)?, still))?;
                let record = Record::new(path, profile, filter.machine)?;
                (Some(filter), Some(record))
            }
        };
        Ok(Confinement { bounding, asked, no_new_privileges, filter, record })
    }

    /// Makes this process the user's, who has this confinement. The order counts: each line takes
    /// away what the ones above it need.
    pub fn take_on(&self, user: &User) -> Result<(), Error> {
        if self.no_new_privileges {
            prctl::set_no_new_privs().explain("prctl PR_SET_NO_NEW_PRIVS")?;
        }
        // Takes CAP_SETPCAP.
        capabilities::bound(self.bounding)?;
        // Takes CAP_SETUID and CAP_SETGID, and with a user other than root it takes all away, unless
        // we ask to keep what is permitted.
        prctl::set_keepcaps(true).explain("prctl PR_SET_KEEPCAPS")?;
        user.take_on()?;
        let (set, inheritable) = self.sets_of(user);
        capabilities::take(set | self.to_load(), inheritable)
    }

    /// Loads the filter, and lets go of what that took. From here on this process makes only calls
    /// that the filter allows, so all others come before.
    pub fn seal(&self, user: &User, lifeline: &UnixStream) -> Result<(), Error> {
        match &self.filter {
            Some(filter) if self.record.is_some() => record::load(filter, lifeline)?,
            Some(filter) => drop(filter.load()?),
            None => {}
        }
        let (set, inheritable) = self.sets_of(user);
        if self.to_load().is_empty() { Ok(()) } else { capabilities::keep(set, inheritable) }
    }

    /// The engine's part of a recording, if there is to be one.
    pub fn begin_recording(&self, lifeline: &UnixStream) -> Result<Option<Recording<'_>>, Error> {
        match &self.record {
            Some(record) => record.begin(lifeline),
            None => Ok(None),
        }
    }

    /// What a user has in effect, and what programs inherit.
    fn sets_of(&self, user: &User) -> (Set, Set) {
        if user.uid == 0 { (self.bounding, Set::NONE) } else { (self.asked, self.asked) }
    }

    /// The capability that loading the filter takes, unless programs can't get more power.
    fn to_load(&self) -> Set {
        if self.filter.is_some() && !self.no_new_privileges { Set::SYS_ADMIN } else { Set::NONE }
    }
}

impl Seccomp {
    fn profile(&self) -> Result<Option<Profile>, Error> {
        match self {
            Seccomp::Usual => Ok(Some(Profile::of_engine())),
            Seccomp::Unconfined => Ok(None),
            Seccomp::File(path) => Profile::read(path).map(Some),
        }
    }

    /// Says which profile is wrong.
    fn explain<T>(&self, made: Result<T, Error>) -> Result<T, Error> {
        made.map_err(|error| match self {
            Seccomp::File(path) => Error::new(format!("the profile {path:?} is wrong: {error}")),
            _ => error,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn security_options_in_dockers_spelling() {
        use SecurityOption::{NoNewPrivileges, Seccomp as Filter};
        let file = |path: &str| Ok(Filter(Seccomp::File(path.into())));
        for (text, expected) in [
            ("no-new-privileges", Ok(NoNewPrivileges(true))),
            ("no-new-privileges=false", Ok(NoNewPrivileges(false))),
            ("no-new-privileges:yes", Err("true or false")),
            ("seccomp=unconfined", Ok(Filter(Seccomp::Unconfined))),
            ("seccomp:unconfined", Ok(Filter(Seccomp::Unconfined))),
            ("seccomp=profile.json", file("profile.json")),
            ("seccomp=./a:b=c", file("./a:b=c")),
            ("seccomp", Err("FILE or unconfined")),
            ("seccomp=", Err("FILE or unconfined")),
            ("apparmor=unconfined", Err("no-new-privileges and seccomp")),
        ] {
            match (security_option(text), expected) {
                (Ok(seen), Ok(expected)) => assert_eq!(seen, expected, "{text}"),
                (Err(seen), Err(words)) => assert!(seen.contains(words), "{seen}"),
                (seen, _) => panic!("{text}: {seen:?}"),
            }
        }
    }
}
