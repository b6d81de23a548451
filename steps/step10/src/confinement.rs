//! What confines a command, beside its namespaces: which capabilities it has, and whether a program
//! can give it more.

use std::str::FromStr;

use clap::Args;
use nix::sys::prctl;
use shared::{Error, Explain};
use step8::user::User;

use crate::capabilities::{self, Set};

/// The options that say how much power the command has.
#[derive(Args)]
pub struct Privileges {
    /// Give the command a capability, as in NET_RAW or CAP_NET_RAW; ALL for every one
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    cap_add: Vec<Named>,

    /// Take one away; ALL for every one that is not added
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    cap_drop: Vec<Named>,

    /// no-new-privileges: no program gives the command more than it has, set-user-ID or not
    #[arg(long, value_name = "WORD", value_parser = security_option)]
    security_opt: Vec<SecurityOption>,

    /// Refused
    #[arg(long, hide = true)]
    privileged: bool,
}

/// A word after --cap-add or --cap-drop.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Named {
    All,
    One(Set),
}

impl FromStr for Named {
    type Err = String;

    fn from_str(text: &str) -> Result<Named, String> {
        if text.eq_ignore_ascii_case("ALL") { Ok(Named::All) } else { text.parse().map(Named::One) }
    }
}

/// A word after --security-opt.
#[derive(Clone, Copy, Debug, PartialEq)]
enum SecurityOption {
    NoNewPrivileges(bool),
}

/// Reads it as Docker writes it: `no-new-privileges`, or `no-new-privileges:false`.
fn security_option(text: &str) -> Result<SecurityOption, String> {
    let (name, value) = text.split_once([':', '=']).unwrap_or((text, "true"));
    match (name, value) {
        ("no-new-privileges", "true") => Ok(SecurityOption::NoNewPrivileges(true)),
        ("no-new-privileges", "false") => Ok(SecurityOption::NoNewPrivileges(false)),
        ("no-new-privileges", _) => Err(format!("{name} is true or false, not {value:?}")),
        _ => Err("there is only no-new-privileges".into()),
    }
}

/// What confines a command.
#[derive(Debug, PartialEq)]
pub struct Confinement {
    /// All that it can ever have. Root has them at once.
    bounding: Set,
    /// Those that were asked for: another user than root has these, and no others.
    asked: Set,
    no_new_privileges: bool,
}

impl Confinement {
    /// Puts the options together, by podman's rules.
    pub fn new(options: &Privileges) -> Result<Confinement, Error> {
        if options.privileged {
            let cure = "say what the command needs, as in --cap-add NET_ADMIN";
            return Err(Error::new(format!("there is no --privileged: {cure} (capabilities(7))")));
        }
        let mut no_new_privileges = false;
        for SecurityOption::NoNewPrivileges(wanted) in &options.security_opt {
            no_new_privileges = *wanted;
        }
        let (bounding, asked) = choose(&options.cap_add, &options.cap_drop)?;
        Ok(Confinement { bounding, asked, no_new_privileges })
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
        if user.uid == 0 {
            capabilities::take(self.bounding, false)
        } else {
            capabilities::take(self.asked, !self.asked.is_empty())
        }
    }
}

/// What the command can have, and what of it was asked for.
fn choose(add: &[Named], drop: &[Named]) -> Result<(Set, Set), Error> {
    let (adds_all, drops_all) = (add.contains(&Named::All), drop.contains(&Named::All));
    if adds_all && drops_all {
        return Err(Error::new("--cap-add ALL and --cap-drop ALL contradict each other"));
    }
    let (added, dropped) = (one_by_one(add), one_by_one(drop));
    let both = added & dropped;
    if !both.is_empty() {
        return Err(Error::new(format!("{both} can't be added and dropped")));
    }
    if adds_all {
        let most = Set::all() - dropped;
        return Ok((most, most));
    }
    let usual = if drops_all { Set::NONE } else { Set::default_of_engines() };
    Ok(((usual | added) - dropped, added))
}

/// Those that have a name of their own.
fn one_by_one(named: &[Named]) -> Set {
    named.iter().fold(Set::NONE, |union, one| match one {
        Named::All => union,
        Named::One(set) => union | *set,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(names: &[&str]) -> Vec<Named> {
        names.iter().map(|name| name.parse().unwrap()).collect()
    }

    #[test]
    fn capabilities_by_podmans_rules() {
        let usual = Set::default_of_engines();
        let raw: Set = "NET_RAW".parse().unwrap();
        let chown: Set = "CHOWN".parse().unwrap();
        for (add, drop, expected) in [
            (&[][..], &[][..], (usual, Set::NONE)),
            (&["NET_RAW"], &[], (usual | raw, raw)),
            (&[], &["CHOWN"], (usual - chown, Set::NONE)),
            (&["NET_RAW"], &["CHOWN"], ((usual | raw) - chown, raw)),
            (&[], &["ALL"], (Set::NONE, Set::NONE)),
            (&["NET_RAW"], &["ALL"], (raw, raw)),
            // Also one that is there by default.
            (&["CHOWN"], &["ALL"], (chown, chown)),
            (&["all"], &[], (Set::all(), Set::all())),
            (&["ALL"], &["CHOWN"], (Set::all() - chown, Set::all() - chown)),
            // What is not there can be dropped.
            (&[], &["NET_RAW"], (usual, Set::NONE)),
        ] {
            assert_eq!(choose(&named(add), &named(drop)).unwrap(), expected, "{add:?} {drop:?}");
        }
    }

    #[test]
    fn contradictions_are_refused() {
        for (add, drop, words) in [
            (&["ALL"][..], &["ALL"][..], "--cap-add ALL and --cap-drop ALL"),
            (&["NET_RAW", "KILL"], &["cap_net_raw"], "CAP_NET_RAW can't be added and dropped"),
        ] {
            let error = choose(&named(add), &named(drop)).unwrap_err().to_string();
            assert!(error.contains(words), "{error}");
        }
    }

    #[test]
    fn security_options_in_dockers_spelling() {
        for (text, expected) in [
            ("no-new-privileges", Ok(true)),
            ("no-new-privileges:true", Ok(true)),
            ("no-new-privileges=true", Ok(true)),
            ("no-new-privileges:false", Ok(false)),
            ("no-new-privileges:yes", Err("true or false")),
            ("no-new-privs", Err("there is only no-new-privileges")),
        ] {
            match (security_option(text), expected) {
                (Ok(seen), Ok(expected)) => {
                    assert_eq!(seen, SecurityOption::NoNewPrivileges(expected));
                }
                (Err(seen), Err(words)) => assert!(seen.contains(words), "{seen}"),
                (seen, _) => panic!("{text}: {seen:?}"),
            }
        }
    }
}
