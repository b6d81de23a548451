//! System calls: which number each has on which machine. There is no rule behind the numbers, and
//! every kind of processor has its own.

use std::env::consts::ARCH;
use std::fmt;
use std::str::FromStr;

use shared::Error;
use syscalls::{aarch64, arm, loongarch64, mips, mips64, powerpc, powerpc64};
use syscalls::{riscv32, riscv64, s390x, sparc, sparc64, x86, x86_64};

/// A kind of processor that filters are made for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Machine {
    X86_64,
    Aarch64,
}

impl Machine {
    /// This one.
    pub fn here() -> Result<Machine, Error> {
        match ARCH {
            "x86_64" => Ok(Machine::X86_64),
            "aarch64" => Ok(Machine::Aarch64),
            other => Err(Error::new(format!(
                "filters are for x86_64 and aarch64, and this machine is {other} (go without: \
                 --security-opt seccomp=unconfined)"
            ))),
        }
    }

    /// What the kernel calls it when it asks a filter (linux/audit.h).
    pub fn audit_arch(self) -> u32 {
        match self {
            Machine::X86_64 => 0xc000_003e,
            Machine::Aarch64 => 0xc000_00b7,
        }
    }

    /// What Go calls it, and so Docker's profiles.
    pub fn in_go(self) -> &'static str {
        match self {
            Machine::X86_64 => "amd64",
            Machine::Aarch64 => "arm64",
        }
    }

    /// The number of a call.
    pub fn number(self, name: &str) -> Option<u32> {
        let number = match self {
            Machine::X86_64 => name.parse().map(|call: x86_64::Sysno| call.id()),
            Machine::Aarch64 => as_there(name).parse().map(|call: aarch64::Sysno| call.id()),
        };
        number.ok().map(|number| number as u32)
    }

    /// The name of the call with this number.
    pub fn name(self, number: u32) -> Option<&'static str> {
        let number = number as usize;
        match self {
            Machine::X86_64 => x86_64::Sysno::new(number).map(|call| call.name()),
            Machine::Aarch64 => aarch64::Sysno::new(number).map(|call| match call.name() {
                FSTATAT => NEWFSTATAT,
                name => name,
            }),
        }
    }
}

/// Profiles know one call of aarch64 by the name that x86_64 has for it.
const NEWFSTATAT: &str = "newfstatat";
const FSTATAT: &str = "fstatat";

/// The name that aarch64's table has for a call.
fn as_there(name: &str) -> &str {
    if name == NEWFSTATAT { FSTATAT } else { name }
}

/// Calls that 32-bit ARM and the first Linux have, and no table.
const IN_NO_TABLE: [&str; 6] = ["break", "breakpoint", "get_tls", "set_tls", "usr26", "usr32"];

/// Whether any machine has a call of this name: a profile is for many.
pub fn is_known(name: &str) -> bool {
    fn has<T: FromStr>(name: &str) -> bool {
        name.parse::<T>().is_ok()
    }
    [
        has::<x86_64::Sysno>,
        has::<aarch64::Sysno>,
        has::<x86::Sysno>,
        has::<arm::Sysno>,
        has::<riscv64::Sysno>,
        has::<s390x::Sysno>,
        has::<powerpc64::Sysno>,
        has::<powerpc::Sysno>,
        has::<loongarch64::Sysno>,
        has::<mips64::Sysno>,
        has::<mips::Sysno>,
        has::<riscv32::Sysno>,
        has::<sparc64::Sysno>,
        has::<sparc::Sysno>,
    ]
    .iter()
    .any(|has| has(name))
        || IN_NO_TABLE.contains(&name)
}

impl fmt::Display for Machine {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(match self {
            Machine::X86_64 => "x86_64",
            Machine::Aarch64 => "aarch64",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_those_of_the_kernels_headers() {
        for (name, x86_64, aarch64) in [
            ("read", Some(0), Some(63)),
            ("clone", Some(56), Some(220)),
            ("newfstatat", Some(262), Some(79)),
            ("clone3", Some(435), Some(435)),
            ("open", Some(2), None),
            ("_llseek", None, None),
        ] {
            for (machine, number) in [(Machine::X86_64, x86_64), (Machine::Aarch64, aarch64)] {
                assert_eq!(machine.number(name), number, "{name} {machine}");
                if let Some(number) = number {
                    assert_eq!(machine.name(number), Some(name));
                }
            }
        }
    }

    #[test]
    fn a_call_of_any_machine_is_known() {
        for name in
            ["read", "_llseek", "s390_pci_mmio_read", "riscv_flush_icache", "arm_sync_file_range"]
        {
            assert!(is_known(name), "{name}");
        }
        assert!(!is_known("reed") && !is_known(""));
    }
}
