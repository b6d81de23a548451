//! What keeps people from making user namespaces, told apart by what the kernel says of itself.

use std::fs;

use nix::errno::Errno;

/// AppArmor's restriction, and its cure.
pub const APPARMOR: (&str, &str) = (
    "AppArmor: kernel.apparmor_restrict_unprivileged_userns is 1",
    "sudo sysctl kernel.apparmor_restrict_unprivileged_userns=0",
);

/// The settings that count.
#[derive(Default)]
pub struct Restrictions {
    /// AppArmor lets only named programs have powers in a user namespace (Ubuntu 23.10 and later).
    pub apparmor: bool,
    /// Debian's and Arch's switch is off.
    pub switched_off: bool,
    /// The limit on user namespaces is 0.
    pub none_allowed: bool,
    /// A filter on this process's system calls, as in Docker.
    pub seccomp: bool,
}

impl Restrictions {
    /// Those of this machine and this process.
    pub fn here() -> Restrictions {
        let setting = |name| fs::read_to_string(format!("/proc/sys/{name}")).unwrap_or_default();
        let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
        Restrictions {
            apparmor: setting("kernel/apparmor_restrict_unprivileged_userns").trim() == "1",
            switched_off: setting("kernel/unprivileged_userns_clone").trim() == "0",
            none_allowed: setting("user/max_user_namespaces").trim() == "0",
            seccomp: status.lines().any(|line| line == "Seccomp:\t2"),
        }
    }

    /// Why a namespace was refused with `errno`, and the cure; None for a reason of another kind.
    pub fn explain(&self, errno: Errno) -> Option<(&'static str, &'static str)> {
        let raise = "sudo sysctl user.max_user_namespaces=15000";
        Some(match errno {
            Errno::ENOSPC if self.none_allowed => ("user.max_user_namespaces is 0", raise),
            Errno::ENOSPC => {
                ("a limit of /proc/sys/user is reached, or 32 lie inside each other", raise)
            }
            Errno::EINVAL => ("this kernel was built without it", "./just vm"),
            Errno::ENOSYS if !self.seccomp => ("Linux before 5.3", "./just vm"),
            Errno::EPERM if self.switched_off => (
                "kernel.unprivileged_userns_clone is 0",
                "sudo sysctl kernel.unprivileged_userns_clone=1",
            ),
            Errno::EPERM | Errno::ENOSYS if self.seccomp => (
                "a seccomp filter forbids it, as in Docker",
                "docker run --security-opt seccomp=unconfined, or leave the container, or ./just vm",
            ),
            Errno::EPERM | Errno::EACCES if self.apparmor => APPARMOR,
            Errno::EPERM | Errno::EACCES => {
                ("no setting that we know of forbids it, but a chroot would", "./just vm")
            }
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn why(errno: Errno, restrictions: Restrictions) -> &'static str {
        restrictions.explain(errno).map_or("", |(reason, _)| reason)
    }

    #[test]
    fn reasons_are_told_apart() {
        let none = Restrictions::default;
        let apparmor = || Restrictions { apparmor: true, ..none() };
        let off = || Restrictions { switched_off: true, ..none() };
        let zero = || Restrictions { none_allowed: true, ..none() };
        let seccomp = || Restrictions { seccomp: true, ..none() };
        assert!(why(Errno::EPERM, off()).contains("unprivileged_userns_clone"));
        assert!(why(Errno::EPERM, apparmor()).contains("AppArmor"));
        assert!(why(Errno::EACCES, apparmor()).contains("AppArmor"));
        assert!(why(Errno::ENOSPC, zero()).contains("max_user_namespaces is 0"));
        assert!(why(Errno::ENOSPC, none()).contains("limit"));
        assert!(why(Errno::EPERM, seccomp()).contains("seccomp"));
        assert!(why(Errno::ENOSYS, seccomp()).contains("seccomp"));
        assert!(why(Errno::ENOSYS, none()).contains("before"));
        assert!(why(Errno::EINVAL, none()).contains("built without"));
        assert!(why(Errno::EPERM, none()).contains("no setting"));
        assert_eq!(why(Errno::EAGAIN, apparmor()), "");
    }
}
