//! How long a check waits for what may not come.

use std::fs;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

static PATIENCE: AtomicU64 = AtomicU64::new(20);

/// In milliseconds; 0: until the time is over.
static IDLE: AtomicU64 = AtomicU64::new(0);

/// Between two looks at what the machine does.
const LOOK: Duration = Duration::from_millis(100);

/// How long to wait for a line, a prompt, a process's end. Every wait that ends in a failure takes as
/// long.
pub fn patience() -> Duration {
    Duration::from_secs(PATIENCE.load(Ordering::Relaxed))
}

/// Sets that time, in seconds.
pub fn set_patience(seconds: u64) {
    PATIENCE.store(seconds, Ordering::Relaxed);
}

/// Ends waits earlier, when the machine has been idle for so many milliseconds of them. Where everybody
/// sleeps, nobody is about to do what is waited for. For those who expect that it does not come: a busy
/// machine is not idle, but one whose disk is slow is.
pub fn end_when_idle(milliseconds: u64) {
    IDLE.store(milliseconds, Ordering::Relaxed);
}

/// A wait, from now on.
pub struct Wait {
    end: Instant,
    idle_end: Option<f64>,
}

impl Wait {
    /// One of at most so long.
    pub fn of(most: Duration) -> Wait {
        let idle = Duration::from_millis(IDLE.load(Ordering::Relaxed));
        let idle_end = (!idle.is_zero()).then(|| idle_time() + idle.as_secs_f64());
        Wait { end: Instant::now() + most, idle_end }
    }

    /// Whether it has been long enough.
    pub fn is_over(&self) -> bool {
        Instant::now() >= self.end || self.idle_end.is_some_and(|end| idle_time() >= end)
    }

    /// Sleeps before the next look at what is waited for. Who looks often keeps the machine busy.
    pub fn pause(&self) {
        thread::sleep(if self.idle_end.is_some() { LOOK } else { Duration::from_millis(5) });
    }

    /// How long to wait before the next look at the machine.
    pub fn next(&self) -> Duration {
        let left = self.end.saturating_duration_since(Instant::now());
        if self.idle_end.is_some() { left.min(LOOK) } else { left }
    }
}

/// For how many seconds since it booted the machine's processors had nothing to do (proc_uptime(5)).
fn idle_time() -> f64 {
    let text = fs::read_to_string("/proc/uptime").unwrap_or_default();
    text.split_whitespace().nth(1).and_then(|word| word.parse().ok()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_ends_with_its_time() {
        let wait = Wait::of(Duration::from_secs(60));
        assert!(!wait.is_over() && wait.next() > Duration::from_secs(50));
        assert!(Wait::of(Duration::ZERO).is_over());
    }

    #[test]
    fn the_machine_says_how_idle_it_was() {
        assert!(idle_time() > 0.0);
    }
}
