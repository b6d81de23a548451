//! Attacks on what all share: memory, processors, process numbers.

use std::fs;
use std::thread;
use std::time::{Duration, Instant};

use super::attempt::{Attempt, Ending, group};
use crate::checks::failure::Failure;
use crate::surveys;

/// How many processes `processes.sh` starts.
const PROCESSES: usize = 24;

/// How much memory `memory.sh` asks for, in KiB.
const MEMORY: u64 = 96 << 10;

pub fn processes(attempt: &Attempt) -> Result<Ending, Failure> {
    let watched = attempt.watch(&surveys::limits(attempt.engine), |leader| {
        let is_one = |pid: &_| {
            fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|name| name == "probe\n")
        };
        Ok(group(leader).iter().filter(|pid| is_one(pid)).count() >= PROCESSES)
    })?;
    Ok(Ending::of(watched.seen, &watched.complaints, "fewer"))
}

pub fn memory(attempt: &Attempt) -> Result<Ending, Failure> {
    let watched = attempt.watch(&surveys::limits(attempt.engine), |leader| {
        let used = |pid: &_| {
            let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
            let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
            line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok())
        };
        Ok(group(leader).iter().filter_map(used).sum::<u64>() >= MEMORY)
    })?;
    let words = if watched.status == Some(137) { "SIGKILL" } else { "less" };
    Ok(Ending::of(watched.seen, "", words))
}

pub fn processor(attempt: &Attempt) -> Result<Ending, Failure> {
    const TIME: Duration = Duration::from_millis(500);
    let watched = attempt.watch(&surveys::limits(attempt.engine), |leader| {
        // Nanoseconds on a processor, of all its processes.
        let used = || -> u64 {
            let of = |pid: &_| {
                let text = fs::read_to_string(format!("/proc/{pid}/schedstat")).ok()?;
                text.split(' ').next()?.parse::<u64>().ok()
            };
            group(leader).iter().filter_map(of).sum()
        };
        let (start, before) = (Instant::now(), used());
        thread::sleep(TIME);
        Ok((used() - before) as f64 / start.elapsed().as_nanos() as f64 > 0.5)
    })?;
    Ok(Ending::of(watched.seen, "", "throttled"))
}
