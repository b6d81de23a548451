//! Capabilities: root's power in forty-one pieces, and which of them a process has
//! (capabilities(7)).

use std::fmt;
use std::ops::{BitAnd, BitOr, Sub};
use std::str::FromStr;

use nix::errno::Errno;
use nix::libc;
use shared::{Error, Explain};

/// The names, each at its number (linux/capability.h).
const NAMES: [&str; 41] = [
    "CHOWN",
    "DAC_OVERRIDE",
    "DAC_READ_SEARCH",
    "FOWNER",
    "FSETID",
    "KILL",
    "SETGID",
    "SETUID",
    "SETPCAP",
    "LINUX_IMMUTABLE",
    "NET_BIND_SERVICE",
    "NET_BROADCAST",
    "NET_ADMIN",
    "NET_RAW",
    "IPC_LOCK",
    "IPC_OWNER",
    "SYS_MODULE",
    "SYS_RAWIO",
    "SYS_CHROOT",
    "SYS_PTRACE",
    "SYS_PACCT",
    "SYS_ADMIN",
    "SYS_BOOT",
    "SYS_NICE",
    "SYS_RESOURCE",
    "SYS_TIME",
    "SYS_TTY_CONFIG",
    "MKNOD",
    "LEASE",
    "AUDIT_WRITE",
    "AUDIT_CONTROL",
    "SETFCAP",
    "MAC_OVERRIDE",
    "MAC_ADMIN",
    "SYSLOG",
    "WAKE_ALARM",
    "BLOCK_SUSPEND",
    "AUDIT_READ",
    "PERFMON",
    "BPF",
    "CHECKPOINT_RESTORE",
];

/// What the command has unless somebody says otherwise: as with podman.
const DEFAULT: [&str; 11] = [
    "CHOWN",
    "DAC_OVERRIDE",
    "FOWNER",
    "FSETID",
    "KILL",
    "NET_BIND_SERVICE",
    "SETFCAP",
    "SETGID",
    "SETPCAP",
    "SETUID",
    "SYS_CHROOT",
];

/// A set of capabilities. Bit n stands for the one with the number n.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Set(u64);

impl Set {
    pub const NONE: Set = Set(0);
    /// Whatever the kernel has no better name for.
    pub const SYS_ADMIN: Set = Set(1 << 21);

    /// What the command has unless somebody says otherwise.
    pub fn default_of_engines() -> Set {
        DEFAULT.iter().filter_map(|name| Set::named(name)).fold(Set::NONE, |all, one| all | one)
    }

    /// The one of this name, as it stands in the table. The kernel is not asked.
    pub fn named(name: &str) -> Option<Set> {
        let number = NAMES.iter().position(|known| *known == name)?;
        Some(Set(1 << number))
    }

    /// All that this kernel knows, which may be fewer than we do, or more.
    pub fn all() -> Set {
        let known = (0..u64::BITS).map(Set::of).take_while(|set| set.is_known());
        known.fold(Set::NONE, |all, one| all | one)
    }

    fn of(number: u32) -> Set {
        Set(1 << number)
    }

    /// The numbers of those that are in it.
    fn numbers(self) -> impl Iterator<Item = u32> {
        (0..u64::BITS).filter(move |number| self.contains(*number))
    }

    fn contains(self, number: u32) -> bool {
        self.0 >> number & 1 == 1
    }

    /// Whether the kernel knows them all. It says EINVAL for a number above its last.
    fn is_known(self) -> bool {
        let is_known = |number| prctl(libc::PR_CAPBSET_READ, number, 0) != Err(Errno::EINVAL);
        self.numbers().all(is_known)
    }

    pub fn is_empty(self) -> bool {
        self == Set::NONE
    }
}

impl BitOr for Set {
    type Output = Set;

    fn bitor(self, other: Set) -> Set {
        Set(self.0 | other.0)
    }
}

impl BitAnd for Set {
    type Output = Set;

    fn bitand(self, other: Set) -> Set {
        Set(self.0 & other.0)
    }
}

impl Sub for Set {
    type Output = Set;

    fn sub(self, other: Set) -> Set {
        Set(self.0 & !other.0)
    }
}

/// Reads a name as capabilities(7) has it, or as Docker and podman do: without CAP_, in small letters.
impl FromStr for Set {
    type Err = String;

    fn from_str(text: &str) -> Result<Set, String> {
        let name = text.to_ascii_uppercase();
        let name = name.strip_prefix("CAP_").unwrap_or(&name);
        let unknown =
            || format!("there is no capability {text:?} (capabilities(7) has their names)");
        let number = NAMES.iter().position(|known| *known == name).ok_or_else(unknown)?;
        let set = Set(1 << number);
        if set.is_known() { Ok(set) } else { Err(format!("this kernel has no capability {text}")) }
    }
}

/// As capabilities(7) writes them: `CAP_CHOWN, CAP_KILL`.
impl fmt::Display for Set {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let name = |number: u32| match NAMES.get(number as usize) {
            Some(name) => format!("CAP_{name}"),
            None => format!("capability {number}"),
        };
        f.write_str(&self.numbers().map(name).collect::<Vec<_>>().join(", "))
    }
}

/// Takes all others out of the bounding set, for good: no program gives them back, neither one that
/// is set-user-ID root nor one whose file has capabilities. This takes CAP_SETPCAP.
pub fn bound(kept: Set) -> Result<(), Error> {
    for number in (0..u64::BITS).filter(|number| !kept.contains(*number)) {
        match prctl(libc::PR_CAPBSET_DROP, number, 0) {
            // Above the kernel's last: it may know more than we have names for.
            Err(Errno::EINVAL) => break,
            dropped => {
                dropped.explain(format_args!("prctl PR_CAPBSET_DROP {}", Set::of(number)))?
            }
        }
    }
    Ok(())
}

/// Makes a set this thread's: effective and permitted, so that it may use them, and no more than
/// these. What is `inheritable` is also ambient: only so does a program keep it that is started by
/// another user than root, and has none of its own.
pub fn take(set: Set, inheritable: Set) -> Result<(), Error> {
    let cleared = prctl(libc::PR_CAP_AMBIENT, libc::PR_CAP_AMBIENT_CLEAR_ALL as u32, 0);
    cleared.explain("prctl PR_CAP_AMBIENT_CLEAR_ALL")?;
    keep(set, inheritable)?;
    for number in inheritable.numbers() {
        let raised = prctl(libc::PR_CAP_AMBIENT, libc::PR_CAP_AMBIENT_RAISE as u32, number);
        raised.explain(format_args!("prctl PR_CAP_AMBIENT_RAISE {}", Set::of(number)))?;
    }
    Ok(())
}

/// capset(2): `set` becomes effective and permitted. What is ambient stays, if it is in both sets.
pub fn keep(set: Set, inheritable: Set) -> Result<(), Error> {
    let header = Header { version: VERSION_3, pid: 0 };
    // Each half of the numbers has a structure of its own: there were 32 once.
    let half = |shift: u32| Data {
        effective: (set.0 >> shift) as u32,
        permitted: (set.0 >> shift) as u32,
        inheritable: (inheritable.0 >> shift) as u32,
    };
    let data = [half(0), half(32)];
    // SAFETY: both have the layout of linux/capability.h, and the kernel only reads them.
    let done = unsafe { libc::syscall(libc::SYS_capset, &header, data.as_ptr()) };
    Errno::result(done).explain(format_args!("capset {set}")).map(drop)
}

/// With it capset takes 64 numbers (_LINUX_CAPABILITY_VERSION_3).
const VERSION_3: u32 = 0x2008_0522;

#[repr(C)]
struct Header {
    version: u32,
    /// 0: the thread that calls.
    pid: i32,
}

#[repr(C)]
struct Data {
    effective: u32,
    permitted: u32,
    inheritable: u32,
}

/// prctl(2), for what nix has no function for.
fn prctl(option: i32, first: u32, second: u32) -> Result<(), Errno> {
    let [first, second, none] = [first, second, 0].map(libc::c_ulong::from);
    // SAFETY: these options take numbers, and no addresses.
    Errno::result(unsafe { libc::prctl(option, first, second, none, none) }).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_in_all_its_spellings() {
        for name in ["NET_RAW", "CAP_NET_RAW", "net_raw", "cap_net_raw"] {
            assert_eq!(name.parse(), Ok(Set(1 << 13)), "{name}");
        }
        for name in ["", "CAP_", "RAW", "CAP_CAP_CHOWN", "13", "NET_RAW ", "ALL"] {
            assert!(name.parse::<Set>().unwrap_err().contains("no capability"), "{name}");
        }
    }

    #[test]
    fn numbers_are_those_of_the_kernels_header() {
        for (name, number) in [
            ("CHOWN", 0),
            ("SETPCAP", 8),
            ("SYS_CHROOT", 18),
            ("SYS_ADMIN", 21),
            ("MKNOD", 27),
            ("SETFCAP", 31),
            ("SYSLOG", 34),
            ("CHECKPOINT_RESTORE", 40),
        ] {
            assert_eq!(NAMES[number], name);
        }
        // As podman's containers say it in /proc/self/status.
        assert_eq!(Set::default_of_engines(), Set(0x8004_05fb));
    }

    #[test]
    fn all_is_what_this_kernel_has() {
        let last: u32 = std::fs::read_to_string("/proc/sys/kernel/cap_last_cap")
            .unwrap()
            .trim()
            .parse()
            .unwrap();
        assert_eq!(Set::all(), Set((1 << (last + 1)) - 1));
    }

    #[test]
    fn sets_are_written_by_name() {
        let set = Set(1 << 0 | 1 << 40 | 1 << 63);
        assert_eq!(set.to_string(), "CAP_CHOWN, CAP_CHECKPOINT_RESTORE, capability 63");
    }
}
