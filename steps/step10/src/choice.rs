//! The choice of capabilities: --cap-add and --cap-drop, by podman's rules.

use std::str::FromStr;

use clap::Args;
use shared::Error;

use crate::capabilities::Set;

/// The options.
#[derive(Args)]
pub struct Choice {
    /// Give the command a capability, as in NET_RAW or CAP_NET_RAW; ALL for every one
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    cap_add: Vec<Named>,

    /// Take one away; ALL for every one that is not added
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    cap_drop: Vec<Named>,
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

impl Choice {
    /// What the command can have, and what of it was asked for.
    pub fn sets(&self) -> Result<(Set, Set), Error> {
        choose(&self.cap_add, &self.cap_drop)
    }
}

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
}
