//! Signals for process 1, which the kernel does not touch: what they would have done to any other process.

use std::os::unix::process::CommandExt;
use std::process::Command;
use std::thread;
use std::time::Duration;

use nix::sys::signal::{SigHandler, SigSet, SigmaskHow, Signal, signal, sigprocmask};

use crate::checks::engine::{Engine, patience};
use crate::checks::failure::{Failure, Verdict, require};
use crate::checks::running::{Running, eventually, first_child, within};

/// One that is ignored, as by nohup(1), and one that is held back: the caller does it, and the command inherits it. Then
/// those that it catches.
pub fn has_plans(engine: &Engine) -> Verdict {
    let ignored = signalled(engine, Signal::SIGHUP, |command| {
        // SAFETY: signal is async-signal-safe.
        unsafe { command.pre_exec(|| Ok(signal(Signal::SIGHUP, SigHandler::SigIgn).map(drop)?)) };
    });
    ignored?;
    held_back_goes_on(engine)?;
    // All that can be caught: so the mask has more than 32 bits.
    let mut running = Running::start(engine.command(["/bin/probe", "catch-all", "24"]))?;
    running.says("1 0")?;
    for (signal, name) in [(libc::SIGTERM, "SIGTERM"), (34, "34"), (64, "64")] {
        running.signal_number(signal)?;
        running.says(name)?;
    }
    running.close_stdin();
    running.ends_with(24)
}

/// With a signal that the caller holds back.
fn held_back_goes_on(engine: &Engine) -> Verdict {
    signalled(engine, Signal::SIGUSR1, |command| {
        let held_back: SigSet = [Signal::SIGUSR1].into_iter().collect();
        // SAFETY: sigprocmask is async-signal-safe.
        unsafe {
            command
                .pre_exec(move || Ok(sigprocmask(SigmaskHow::SIG_BLOCK, Some(&held_back), None)?))
        };
    })
}

/// Without a /proc on the host nobody knows what the command has plans for: a signal takes its chance.
pub fn take_their_chance(engine: &Engine) -> Verdict {
    let line = engine.typed("/bin/probe catch 25");
    let mut command = Command::new("/usr/bin/unshare");
    command.args(["--mount", "/bin/sh", "-ec", &format!("mount -t tmpfs none /proc; exec {line}")]);
    let mut running = Running::start(command)?;
    running.says("1 0")?;
    running.signal(Signal::SIGTERM)?;
    running.says("SIGTERM")?;
    running.close_stdin();
    running.ends_with(25)
}

/// Sends the engine of a prepared command a signal, after which the command has to go on.
fn signalled(engine: &Engine, signal: Signal, prepare: impl Fn(&mut Command)) -> Verdict {
    let mut command = engine.command(["/bin/sh", "-c", "echo pid=$$; read x; exit 23"]);
    prepare(&mut command);
    let mut running = Running::start(command)?;
    running.says("pid=1")?;
    running.signal(signal)?;
    // Two signals of different kinds are read in the order of their numbers, not of their coming: a moment between them.
    thread::sleep(Duration::from_millis(200));
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
    running.ends_with(137)?;
    // Of the real-time signals, two that are free.
    let others = [libc::SIGHUP, libc::SIGINT, libc::SIGQUIT, libc::SIGUSR1, libc::SIGALRM, 34, 64];
    for signal in others {
        let running = Running::start(engine.command(["/bin/probe", "idle"]))?;
        running.says("pid=1")?;
        running.signal_number(signal)?;
        running.ends_with(137).map_err(|failure| Failure {
            expected: format!("{} after signal {signal} for the engine", failure.expected),
            ..failure
        })?;
    }
    changes_its_mind(engine)
}

/// What it has plans for is looked up for each signal anew.
fn changes_its_mind(engine: &Engine) -> Verdict {
    let script = "echo pid=$$; sleep 1; trap 'exit 26' TERM; echo begin; read _";
    let running = Running::start(engine.command(["/bin/sh", "-c", script]))?;
    running.says("pid=1")?;
    running.signal(Signal::SIGWINCH)?;
    running.says("begin")?;
    running.signal(Signal::SIGTERM)?;
    running.ends_with(26)
}

/// Waits until the command is in this state (proc_pid_status(5)).
fn becomes(running: &Running, signal: Signal, state: &str) -> Verdict {
    // Where the signal does nothing, a moment passes before that is known.
    thread::sleep(Duration::from_millis(100));
    let seen = || running.inner_status("State").unwrap_or("none: it has ended".into());
    let is_so = eventually(|| seen() == state);
    let expected = format!("after {signal} for the engine a command in state {state}");
    require(is_so, &running.tried, expected, format!("state {}", seen()))
}

/// For how long the container of `held_back` is held back then, at most. Everybody sleeps meanwhile, and a wait that ends
/// when the machine is idle would be over before.
pub const STILL_HELD: Duration = Duration::from_secs(4);

/// An engine whose container is there, and held back before it becomes the command: what asks the kernel for an end with
/// the engine is prctl(2). The engine is strace's child.
pub fn held_back(engine: &Engine) -> Result<Running, Failure> {
    // In microseconds: a second after this function returns. The mutants end a wait when the machine has been idle for 1.5 s.
    let held = "--inject=prctl:delay_enter=2000000:when=1";
    let mut strace = engine.strace(["-qq", "-o", "/dev/null", held]);
    strace.args(engine.line(["/bin/sleep", "304"]));
    let running = Running::start(strace)?;
    let born = within(patience(), || running.inner().is_ok_and(|it| first_child(it).is_some()));
    require(born, &running.tried, "a container", "none")?;
    // By then the engine has given its child all that it waits for, in the steps where it does.
    thread::sleep(Duration::from_secs(1));
    Ok(running)
}
