//! Sizes, processors and numbers of processes: what is read is what a simple reading in wider
//! numbers gives, and what the kernel is told never exceeds it.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use clap::{Args, Command, FromArgMatches};
use shared::size;
use step6::limits::Limits;

/// The input is the value of an option.
pub fn check(input: &[u8]) {
    if let Ok(text) = str::from_utf8(input) {
        check_size(text);
    }
    for option in ["--memory", "--cpus", "--pids"] {
        let command = Limits::augment_args(Command::new("fuzz").no_binary_name(true));
        let words = [OsStr::new(option), OsStr::from_bytes(input)];
        let Ok(matches) = command.try_get_matches_from(words) else { continue };
        let limits = Limits::from_arg_matches(&matches).expect("they were matched");
        let text = str::from_utf8(input).expect("a number is ASCII");
        for (file, value) in limits.settings() {
            check_setting(file, &value, text);
        }
        assert!(limits.are_given());
    }
}

fn check_size(text: &str) {
    let expected = wide(text).filter(|bytes| *bytes <= i64::MAX as u128);
    let read = size::parse(text);
    assert_eq!(read.clone().ok().map(u128::from), expected, "{text:?}");
    match read {
        // What is written for a size is that size.
        Ok(bytes) => {
            let written = size::text(bytes);
            let (number, unit) = written.split_once(' ').expect("a number and a unit");
            let unit = unit.strip_suffix("iB").unwrap_or("");
            assert_eq!(wide(&format!("{number}{unit}")), Some(bytes.into()), "{written}");
        }
        Err(error) => crate::check_message(&error, &[]),
    }
}

/// A size without an upper limit: up to 25 digits, and perhaps a unit.
fn wide(text: &str) -> Option<u128> {
    let digits = text.trim_end_matches(|c: char| !c.is_ascii_digit());
    let shift = match &text[digits.len()..] {
        "" => 0,
        "k" | "K" => 10,
        "m" | "M" => 20,
        "g" | "G" => 30,
        _ => return None,
    };
    let significant = digits.trim_start_matches('0');
    if digits.is_empty() || significant.len() > 25 {
        return None;
    }
    significant
        .bytes()
        .try_fold(0u128, |number, byte| match byte {
            b'0'..=b'9' => Some(number * 10 + u128::from(byte - b'0')),
            _ => None,
        })
        .map(|number| number << shift)
}

fn check_setting(file: &str, value: &str, text: &str) {
    match file {
        "memory.max" => {
            let (bytes, asked) = (value.parse::<u128>().unwrap(), wide(text).unwrap());
            assert!(bytes >= 6 << 20 && bytes % 4096 == 0, "{text}: {bytes}");
            assert!(bytes <= asked && asked - bytes < 65536, "{text}: {bytes}");
        }
        "cpu.max" => {
            let (quota, period) = value.split_once(' ').unwrap();
            assert_eq!(period, "100000");
            let (quota, asked) = (quota.parse::<f64>().unwrap(), text.parse::<f64>().unwrap());
            assert!((quota - asked * 100_000.0).abs() <= 0.5 + 1e-6, "{text}: {quota}");
            assert!(quota >= 1000.0, "{text}: {quota}");
        }
        "pids.max" => {
            assert!((1..=4 << 20).contains(&value.parse::<u32>().unwrap()), "{text}: {value}");
            assert_eq!(Some(value.parse::<u128>().unwrap()), wide(text.trim_start_matches('+')));
        }
        _ => assert!(["memory.swap.max", "memory.oom.group"].contains(&file)),
    }
}
