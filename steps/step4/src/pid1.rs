//! Signals for PID 1, to which other rules apply.

use std::fs;

use nix::unistd::Pid;
use step1::signals::{self, send};

/// Passes a signal on to a container's PID 1.
///
/// A process 1 without a handler for a signal never gets it: the kernel will not let a stray
/// SIGTERM end the machine (pid_namespaces(7)). `sleep 60` as PID 1 would shrug off every Ctrl-C,
/// so here the engine does what the kernel would have done to any other process.
pub fn pass_on(pid1: Pid, signal: i32, by_terminal: bool) -> nix::Result<()> {
    if has_plans_for(pid1, signal) {
        return signals::pass_on(pid1, signal, by_terminal);
    }
    match signal {
        libc::SIGWINCH | libc::SIGURG => Ok(()),
        libc::SIGCONT => send(pid1, libc::SIGCONT),
        // One that reads from the background, and is not stopped by that, tries again for ever.
        libc::SIGTSTP | libc::SIGTTIN | libc::SIGTTOU => send(pid1, libc::SIGSTOP),
        _ => send(pid1, libc::SIGKILL),
    }
}

/// Whether the process holds back, ignores or catches the signal (proc_pid_status(5)).
fn has_plans_for(pid: Pid, signal: i32) -> bool {
    let Ok(status) = fs::read_to_string(format!("/proc/{pid}/status")) else {
        return true; // without a /proc on the host: let the signal take its chance
    };
    ["SigBlk:\t", "SigIgn:\t", "SigCgt:\t"].iter().any(|key| {
        let mask = status.lines().find_map(|line| line.strip_prefix(key)).unwrap_or("0");
        u64::from_str_radix(mask, 16).unwrap_or(0) & (1 << (signal - 1)) != 0
    })
}
