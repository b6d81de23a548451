//! Where it was measured, when, and beside what.

use std::fs;
use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

use nix::sys::utsname::uname;
use serde::{Deserialize, Serialize};

use crate::bench::is_installed;
use crate::rows::PEERS;

/// What a reader has to know about the figures.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Machine {
    /// As 2026-11-22, in UTC.
    pub date: String,
    pub processor: String,
    pub cores: usize,
    pub memory_mib: u64,
    pub kernel: String,
    pub filesystem: String,
    /// Peers, each with its version.
    pub peers: Vec<String>,
}

impl Machine {
    /// `filesystem` is that of the scratch folder, if it is known.
    pub fn here(scratch: &std::path::Path, filesystem: Option<String>) -> Machine {
        let cpuinfo = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let meminfo = fs::read_to_string("/proc/meminfo").unwrap_or_default();
        let after = |text: &str, name: &str| {
            let line = text.lines().find(|line| line.starts_with(name))?;
            Some(line.split_once(':')?.1.trim().to_string())
        };
        let memory = after(&meminfo, "MemTotal").unwrap_or_default();
        let kib: u64 = memory.trim_end_matches(" kB").parse().unwrap_or_default();
        let release = uname().map(|names| names.release().to_string_lossy().into_owned());
        let here = PEERS.iter().filter(|(program, ..)| is_installed(program));
        Machine {
            date: today(),
            processor: after(&cpuinfo, "model name").unwrap_or_default(),
            cores: std::thread::available_parallelism().map_or(1, |count| count.get()),
            memory_mib: kib / 1024,
            kernel: release.unwrap_or_default(),
            filesystem: filesystem.unwrap_or_else(|| kind_of_filesystem(scratch)),
            peers: here
                .map(|(program, package, option)| version(program, package, option))
                .collect(),
        }
    }
}

/// The peers that are not installed: their packages.
pub fn missing() -> Vec<&'static str> {
    PEERS
        .iter()
        .filter(|(program, ..)| !is_installed(program))
        .map(|(_, package, _)| *package)
        .collect()
}

/// A package's name and its program's version: the first word that begins with a digit.
fn version(program: &str, package: &str, option: &str) -> String {
    let said = Command::new(program).arg(option).output().map(|output| output.stdout);
    let said = String::from_utf8_lossy(&said.unwrap_or_default()).into_owned();
    let mut words = said.split_whitespace().map(|word| word.trim_start_matches(['v', '(']));
    let number = words.find(|word| word.starts_with(|first: char| first.is_ascii_digit()));
    format!("{package} {}", number.unwrap_or("of an unknown version").trim_end_matches([',', ')']))
}

fn kind_of_filesystem(path: &std::path::Path) -> String {
    let said = Command::new("stat").args(["-f", "-c", "%T"]).arg(path).output();
    let said = said.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_string());
    said.unwrap_or_default()
}

/// The day of the Gregorian calendar (Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms").
fn today() -> String {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    date((since.as_secs() / 86_400) as i64)
}

fn date(days: i64) -> String {
    let days = days + 719_468; // from 1 March of the year 0 on
    let (era, of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = year + era * 400 + i64::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02}")
}

#[cfg(test)]
mod tests {
    use super::date;

    #[test]
    fn days_become_dates() {
        assert_eq!(date(0), "1970-01-01");
        assert_eq!(date(11_016), "2000-02-29");
        assert_eq!(date(20_779), "2026-11-22");
    }
}
