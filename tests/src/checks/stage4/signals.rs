//! Signals for process 1, which the kernel does not touch: what they would have done to any other process.

use std::os::unix::process::CommandExt;
use std::process::Command;

use nix::sys::signal::{SigHandler, SigSet, SigmaskHow, Signal, signal, sigprocmask};

use crate::checks::engine::Engine;
use crate::checks::failure::{Verdict, require};
use crate::checks::running::{Running, eventually};

/// One that is ignored, as by nohup(1), and one that is held back. The caller does it, and the command inherits it.
pub fn has_plans(engine: &Engine) -> Verdict {
    let ignored = signalled(engine, Signal::SIGHUP, |command| {
        // SAFETY: signal is async-signal-safe.
        unsafe { command.pre_exec(|| Ok(signal(Signal::SIGHUP, SigHandler::SigIgn).map(drop)?)) };
    });
    ignored?;
    signalled(engine, Signal::SIGUSR1, |command| {
        let held_back: SigSet = [Signal::SIGUSR1].into_iter().collect();
        // SAFETY: sigprocmask is async-signal-safe.
        unsafe {
            command
                .pre_exec(move || Ok(sigprocmask(SigmaskHow::SIG_BLOCK, Some(&held_back), None)?))
        };
    })
}

/// Sends the engine of a prepared command a signal, after which the command has to go on.
fn signalled(engine: &Engine, signal: Signal, prepare: impl Fn(&mut Command)) -> Verdict {
    let mut command = engine.command(["/bin/sh", "-c", "echo pid=$$; read x; exit 23"]);
    prepare(&mut command);
    let mut running = Running::start(command)?;
    running.says("pid=1")?;
    running.signal(signal)?;
    // Two signals of different kinds are read in the order of their numbers, not of their coming: a moment between them.
    std::thread::sleep(std::time::Duration::from_millis(200));
    running.close_stdin();
    running.ends_with(23)
}

/// The defaults that are not an end: nothing, stop, go on.
pub fn acts_by_default(engine: &Engine) -> Verdict {
    let mut running = Running::start(engine.command(["/bin/probe", "idle"]))?;
    running.says("pid=1")?;
    for signal in [Signal::SIGWINCH, Signal::SIGURG] {
        running.signal(signal)?;
        becomes(&running, signal, "S (sleeping)")?;
    }
    for signal in [Signal::SIGTSTP, Signal::SIGTTIN, Signal::SIGTTOU] {
        running.signal(signal)?;
        becomes(&running, signal, "T (stopped)")?;
        running.signal(Signal::SIGCONT)?;
        becomes(&running, Signal::SIGCONT, "S (sleeping)")?;
    }
    running.signal(Signal::SIGTERM)?;
    running.status()?;
    running.ends_with(137)
}

/// Waits until the command is in this state (proc_pid_status(5)).
fn becomes(running: &Running, signal: Signal, state: &str) -> Verdict {
    // Where the signal does nothing, a moment passes before that is known.
    std::thread::sleep(std::time::Duration::from_millis(100));
    let seen = || running.inner_status("State").unwrap_or("none: it has ended".into());
    let is_so = eventually(|| seen() == state);
    let expected = format!("after {signal} for the engine a command in state {state}");
    require(is_so, &running.tried, expected, format!("state {}", seen()))
}
