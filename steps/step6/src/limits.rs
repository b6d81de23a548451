//! What a container may use at most: the options, and what they are in the files of a cgroup.

use std::path::Path;

use clap::Args;
use nix::unistd::{SysconfVar, sysconf};
use shared::size;

/// The period that processor time is given out in, in microseconds: the kernel's own default.
const PERIOD: u64 = 100_000;
/// The least processor time in a period that the kernel takes, in microseconds.
const LEAST_QUOTA: u64 = 1000;
/// The least memory that a container gets, in bytes: as in Docker. Less might not do for its birth.
const LEAST_MEMORY: u64 = 6 << 20;
/// The most processes that a 64-bit Linux can have (PID_MAX_LIMIT).
const MOST_PIDS: u32 = 4 << 20;

/// The options of a container's limits. None: no limit.
#[derive(Args, Default)]
pub struct Limits {
    /// Limit of memory, in bytes or with K, M or G, as in 64M
    #[arg(long, value_name = "SIZE", value_parser = memory, allow_hyphen_values = true)]
    pub memory: Option<u64>,

    /// Limit of processor time, in processors, as in 0.5
    #[arg(long, value_name = "NUMBER", value_parser = cpus, allow_hyphen_values = true)]
    pub cpus: Option<f64>,

    /// Limit of processes and threads
    #[arg(long, value_name = "NUMBER", value_parser = pids, allow_hyphen_values = true)]
    pub pids: Option<u32>,
}

impl Limits {
    /// Whether there is any.
    pub fn are_given(&self) -> bool {
        self.memory.is_some() || self.cpus.is_some() || self.pids.is_some()
    }

    /// What to write into which file of a cgroup (cgroup-v2, "Controllers").
    pub fn settings(&self) -> Vec<(&'static str, String)> {
        let mut settings = Vec::new();
        if let Some(bytes) = self.memory {
            settings.push(("memory.max", bytes.to_string()));
            // Without this the limit would be on memory in use at a time, and the rest on the disk.
            // The file is there, unless the kernel knows no swap at all.
            if Path::new("/proc/swaps").exists() {
                settings.push(("memory.swap.max", "0".into()));
            }
            // When memory runs out all processes are killed. A container that lost one at random
            // might go on and be wrong.
            settings.push(("memory.oom.group", "1".into()));
        }
        if let Some(cpus) = self.cpus {
            let quota = (cpus * PERIOD as f64).round() as u64;
            settings.push(("cpu.max", format!("{quota} {PERIOD}")));
        }
        if let Some(pids) = self.pids {
            settings.push(("pids.max", pids.to_string()));
        }
        settings
    }
}

fn memory(text: &str) -> Result<u64, String> {
    let bytes = size::parse(text)?;
    if bytes < LEAST_MEMORY {
        return Err(format!("a container needs {} at least", size::text(LEAST_MEMORY)));
    }
    // The kernel counts pages.
    let page = sysconf(SysconfVar::PAGE_SIZE).ok().flatten().unwrap_or(4096) as u64;
    Ok(bytes / page * page)
}

fn cpus(text: &str) -> Result<f64, String> {
    let is_plain = text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    let number: f64 = match text.parse() {
        Ok(number) if is_plain => number,
        _ => return Err("give a number of processors, as in 0.5 or 2".into()),
    };
    let online = sysconf(SysconfVar::_NPROCESSORS_ONLN).ok().flatten().unwrap_or(1);
    let least = LEAST_QUOTA as f64 / PERIOD as f64;
    match number {
        _ if number < least => Err(format!("the least is {least}")),
        _ if number > online as f64 => Err(format!("this machine has {online}")),
        _ => Ok(number),
    }
}

fn pids(text: &str) -> Result<u32, String> {
    let number = text.parse::<u32>().ok().filter(|number| (1..=MOST_PIDS).contains(number));
    number.ok_or(format!("give a whole number from 1 to {MOST_PIDS}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_as_the_kernel_takes_them() {
        let limits =
            Limits { memory: memory("64M").ok(), cpus: cpus("0.5").ok(), pids: pids("32").ok() };
        let expected = [
            ("memory.max", "67108864"),
            ("memory.swap.max", "0"),
            ("memory.oom.group", "1"),
            ("cpu.max", "50000 100000"),
            ("pids.max", "32"),
        ];
        assert_eq!(limits.settings(), expected.map(|(file, value)| (file, value.to_string())));
        assert_eq!(Limits::default().settings(), []);
    }

    #[test]
    fn memory_is_whole_pages_and_enough() {
        assert_eq!(memory("10000000"), Ok(9_998_336));
        assert!(memory("0").unwrap_err().contains("6 MiB at least"));
        assert!(memory("64X").unwrap_err().contains("64M"));
    }

    #[test]
    fn processors_are_those_of_this_machine() {
        assert_eq!(cpus("1"), Ok(1.0));
        assert_eq!(cpus(".25"), Ok(0.25));
        assert!(cpus("100000").unwrap_err().contains("this machine has"));
        assert!(cpus("0").unwrap_err().contains("0.01"));
        assert!(cpus("0.001").unwrap_err().contains("0.01"));
        for bad in ["", ".", "-1", "1e0", "inf", "nan", "two", "1,5"] {
            assert!(cpus(bad).unwrap_err().contains("0.5 or 2"), "{bad}");
        }
    }

    #[test]
    fn pids_are_positive_and_not_too_many() {
        assert_eq!(pids("32"), Ok(32));
        assert_eq!(pids("4194304"), Ok(4194304));
        for bad in ["0", "-1", "4194305", "many", ""] {
            assert!(pids(bad).unwrap_err().contains("4194304"), "{bad}");
        }
    }
}
