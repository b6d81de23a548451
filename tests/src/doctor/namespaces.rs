//! Namespaces, each by making one.

use nix::sched::{CloneFlags, unshare};
use step5::restrictions::Restrictions;

use super::child::{Call, Failure, become_ordinary, enter_user_namespace, in_child};
use super::host::{User, is_root};
use super::{Finding, Verdict};

const KINDS: [(&str, CloneFlags); 6] = [
    ("mount", CloneFlags::CLONE_NEWNS),
    ("uts", CloneFlags::CLONE_NEWUTS),
    ("ipc", CloneFlags::CLONE_NEWIPC),
    ("pid", CloneFlags::CLONE_NEWPID),
    ("net", CloneFlags::CLONE_NEWNET),
    ("cgroup", CloneFlags::CLONE_NEWCGROUP),
];

/// Makes one of each kind: as root, or as the root of a user namespace.
pub fn each(user: &User, can: bool) -> Vec<Finding> {
    KINDS.map(|(name, kind)| one(user, can, &format!("{name} namespace"), kind)).into()
}

fn one(user: &User, can: bool, name: &str, kind: CloneFlags) -> Finding {
    if !can {
        return Finding::new(
            Verdict::NotTried,
            name,
            "an ordinary user needs a user namespace for it",
        );
    }
    let made = in_child(|| {
        if !is_root() {
            enter_user_namespace(user)?;
        }
        unshare(kind).call("unshare")
    });
    let as_whom = if is_root() { "as root" } else { "inside a user namespace" };
    match made {
        Ok(()) => Finding::new(Verdict::Yes, name, format!("made one, {as_whom}")),
        Err(failure) => {
            let (reason, cure) = reason(&failure);
            Finding::new(Verdict::No, name, format!("{failure} ({as_whom}); {reason}")).cure(cure)
        }
    }
}

/// Makes a user namespace as an ordinary user, which root is for that moment too.
pub fn user_namespace(user: &User) -> Finding {
    let made = in_child(|| become_ordinary(user).and_then(|()| enter_user_namespace(user)));
    match made {
        Ok(()) => {
            let detail = format!("made one as {}, without root", user.name);
            Finding::new(Verdict::Yes, "user namespace", detail)
        }
        Err(failure) => {
            let (reason, cure) = reason(&failure);
            let detail = format!("as {}: {failure}; {reason}", user.name);
            Finding::new(Verdict::No, "user namespace", detail).cure(cure)
        }
    }
}

/// Why it failed, and the cure.
fn reason(failure: &Failure) -> (&'static str, &'static str) {
    let known = Restrictions::here().explain(failure.errno);
    known.unwrap_or(("none of the reasons that we know", "./just vm"))
}
