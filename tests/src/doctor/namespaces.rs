//! Namespaces, each by making one.

use std::fs;

use nix::errno::Errno;
use nix::sched::{CloneFlags, unshare};

use super::child::{Call, Failure, become_ordinary, enter_user_namespace, in_child};
use super::host::{User, container_signs, is_root};
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
            let (reason, cure) = reason(&failure, &Limits::of_this_machine());
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
            let (reason, cure) = reason(&failure, &Limits::of_this_machine());
            let detail = format!("as {}: {failure}; {reason}", user.name);
            Finding::new(Verdict::No, "user namespace", detail).cure(cure)
        }
    }
}

/// What may keep somebody from making a namespace.
#[derive(Default)]
struct Limits {
    apparmor: bool,
    debian: bool,
    none_allowed: bool,
    in_container: bool,
    seccomp: bool,
}

impl Limits {
    fn of_this_machine() -> Limits {
        let setting = |name| fs::read_to_string(format!("/proc/sys/{name}")).unwrap_or_default();
        let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
        Limits {
            apparmor: setting("kernel/apparmor_restrict_unprivileged_userns").trim() == "1",
            debian: setting("kernel/unprivileged_userns_clone").trim() == "0",
            none_allowed: setting("user/max_user_namespaces").trim() == "0",
            in_container: !container_signs().is_empty(),
            seccomp: status.lines().any(|line| line == "Seccomp:\t2"),
        }
    }
}

/// Why it failed, and the cure.
fn reason(failure: &Failure, limits: &Limits) -> (&'static str, &'static str) {
    match failure.errno {
        Errno::ENOSPC if limits.none_allowed => {
            ("user.max_user_namespaces is 0", "sudo sysctl user.max_user_namespaces=15000")
        }
        Errno::ENOSPC => (
            "a limit in /proc/sys/user is reached",
            "raise it: sudo sysctl user.max_user_namespaces=15000",
        ),
        Errno::EINVAL | Errno::ENOSYS => {
            ("the kernel was built without it", "use the VM: ./just vm")
        }
        _ if limits.debian => (
            "kernel.unprivileged_userns_clone is 0",
            "sudo sysctl kernel.unprivileged_userns_clone=1",
        ),
        _ if limits.in_container => (
            "the container around us does not allow it",
            "run that one with --privileged, or leave it; or use the VM: ./just vm",
        ),
        _ if limits.apparmor => (
            "AppArmor: kernel.apparmor_restrict_unprivileged_userns is 1 (Ubuntu 23.10 and later)",
            "sudo sysctl kernel.apparmor_restrict_unprivileged_userns=0 (until the next boot)",
        ),
        _ if limits.seccomp => (
            "a seccomp filter is active for this process",
            "start it from a plain login; or use the VM: ./just vm",
        ),
        _ => ("no setting known to us forbids it", "use the VM: ./just vm"),
    }
}

#[cfg(test)]
mod tests {
    use nix::errno::Errno;

    use super::{Failure, Limits, reason};

    fn why(errno: Errno, limits: Limits) -> &'static str {
        reason(&Failure { errno, call: "unshare".to_owned() }, &limits).0
    }

    #[test]
    fn reasons_are_told_apart() {
        let none = Limits::default;
        assert!(
            why(Errno::EPERM, Limits { debian: true, ..none() })
                .contains("unprivileged_userns_clone")
        );
        assert!(why(Errno::EACCES, Limits { apparmor: true, ..none() }).contains("AppArmor"));
        assert!(why(Errno::ENOSPC, Limits { none_allowed: true, ..none() }).contains("is 0"));
        assert!(why(Errno::ENOSPC, none()).contains("limit"));
        assert!(why(Errno::EINVAL, none()).contains("kernel was built"));
        assert!(
            why(Errno::EPERM, Limits { in_container: true, seccomp: true, ..none() })
                .contains("container")
        );
        assert!(why(Errno::EPERM, Limits { seccomp: true, ..none() }).contains("seccomp"));
        assert!(why(Errno::EPERM, none()).contains("no setting"));
    }
}
