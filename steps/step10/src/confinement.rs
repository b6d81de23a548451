//! What confines a command, beside its namespaces: which capabilities it has, and whether a program
//! can give it more.

use clap::Args;
use nix::sys::prctl;
use shared::{Error, Explain};
use step8::user::User;

use crate::capabilities::{self, Set};
use crate::choice::Choice;

/// The options that say how much power the command has.
#[derive(Args)]
pub struct Privileges {
    #[command(flatten)]
    capabilities: Choice,

    /// no-new-privileges: no program gives the command more than it has, set-user-ID or not
    #[arg(long, value_name = "WORD", value_parser = security_option)]
    security_opt: Vec<SecurityOption>,

    /// Refused
    #[arg(long, hide = true)]
    privileged: bool,
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
        let (bounding, asked) = options.capabilities.sets()?;
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
            capabilities::take(self.bounding, Set::NONE)
        } else {
            capabilities::take(self.asked, self.asked)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
