//! Stage 1: a parent that waits, passes signals on, and tells how its child ended.

use std::io;
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::thread;
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};

use super::draw;
use super::engine::{Engine, Outcome};
use super::failure::{Failure, Verdict, equal, require};
use super::running::{Running, eventually};
use super::stage0::foreground_after;
use super::terminal::Terminal;

promises! { stage 1:
    runs_in_a_child until 3 "the command is a child of the engine"
    every_status "every exit status from 0 to 255 arrives, from a child of the engine"
    killing_signals until 3 "a command killed by signal n gives 128 + n, for every n"
    killed_from_outside "SIGKILL for the command gives 137"
    crash "a command that crashes gives 139"
    passes_on_sigterm "SIGTERM for the engine reaches the command, once"
    passes_on_sigint "SIGINT for the engine reaches the command, once"
    passes_on_sighup "SIGHUP for the engine reaches the command, once"
    passes_on_sigquit "SIGQUIT for the engine reaches the command, once"
    passes_on_sigusr1 "SIGUSR1 for the engine reaches the command, once"
    passes_on_sigusr2 "SIGUSR2 for the engine reaches the command, once"
    passes_on_sigwinch "SIGWINCH for the engine reaches the command, once"
    passes_on_every_signal "so does any other signal that a process can catch"
    no_signal_ends_one_alone "a signal that the command has no plans for ends both: not the engine alone"
    sigterm_ends_it "a command without a handler ends by a SIGTERM for the engine"
    signals_after_a_stop "when the command has been stopped and goes on, signals still reach it"
    terminal_as_before "a command that spoils the terminal's settings does not spoil the caller's"
    foreground_of_the_dead "when a command that had the foreground was killed, the caller has the terminal again"
    no_inherited_files "the command inherits no file but 0, 1 and 2"
}

fn runs_in_a_child(engine: &Engine) -> Verdict {
    let (mut running, [pid, parent]) = engine.start_catching(0)?;
    equal(&running.tried, "the command's parent", running.pid().as_raw(), parent)?;
    equal(&running.tried, "the engine's child", running.inner()?.as_raw(), pid)?;
    running.close_stdin();
    running.ends_with(0)
}

fn every_status(engine: &Engine) -> Verdict {
    let (running, _) = engine.start_catching(11)?;
    running.inner()?;
    drop(running);
    // All of them where the promise is new; a step that keeps it is sampled, for time's sake.
    let stride = if engine.step == 1 && !draw::is_sparing() { 1 } else { 15 };
    for status in draw::some_of(0..=255, stride) {
        engine.run(["/bin/probe", "exit", &status.to_string()])?.ends_with(status)?;
    }
    Ok(())
}

fn killing_signals(engine: &Engine) -> Verdict {
    // The defaults of these are to be ignored or to stop.
    let others = [
        Signal::SIGCHLD,
        Signal::SIGCONT,
        Signal::SIGURG,
        Signal::SIGWINCH,
        Signal::SIGSTOP,
        Signal::SIGTSTP,
        Signal::SIGTTIN,
        Signal::SIGTTOU,
    ];
    let others = others.map(|signal| signal as i32);
    // glibc keeps the real-time signals 32 and 33 for itself.
    // One that an engine holds back for itself is always among them: a child may have inherited that.
    let sigterm = Signal::SIGTERM as i32;
    let killing = (1..=64).filter(|n| !others.contains(n) && ![32, 33, sigterm].contains(n));
    let stride = if draw::is_sparing() { 6 } else { 1 };
    for signal in draw::some_of(killing, stride).chain([sigterm]) {
        engine.run(["/bin/probe", "kill", &signal.to_string()])?.ends_with(128 + signal)?;
    }
    Ok(())
}

fn killed_from_outside(engine: &Engine) -> Verdict {
    let (running, _) = engine.start_catching(0)?;
    kill(running.inner()?, Signal::SIGKILL)?;
    running.ends_with(137)
}

fn crash(engine: &Engine) -> Verdict {
    engine.run(["/bin/probe", "crash"])?.ends_with(139)?;
    Ok(())
}

fn passes_on(engine: &Engine, signal: Signal) -> Verdict {
    let (mut running, _) = engine.start_catching(21)?;
    running.inner()?;
    running.signal(signal)?;
    running.says(signal.as_str())?;
    let once = running.is_silent(Duration::from_millis(100));
    require(once, &running.tried, format!("{signal} once"), format!("{signal} again"))?;
    running.close_stdin();
    running.ends_with(21)
}

fn passes_on_sigterm(engine: &Engine) -> Verdict {
    passes_on(engine, Signal::SIGTERM)
}

fn passes_on_sigint(engine: &Engine) -> Verdict {
    passes_on(engine, Signal::SIGINT)
}

fn passes_on_sighup(engine: &Engine) -> Verdict {
    passes_on(engine, Signal::SIGHUP)
}

fn passes_on_sigquit(engine: &Engine) -> Verdict {
    passes_on(engine, Signal::SIGQUIT)
}

fn passes_on_sigusr1(engine: &Engine) -> Verdict {
    passes_on(engine, Signal::SIGUSR1)
}

fn passes_on_sigusr2(engine: &Engine) -> Verdict {
    passes_on(engine, Signal::SIGUSR2)
}

fn passes_on_sigwinch(engine: &Engine) -> Verdict {
    passes_on(engine, Signal::SIGWINCH)
}

fn passes_on_every_signal(engine: &Engine) -> Verdict {
    let mut running = Running::start(engine.command(["/bin/probe", "catch-all", "22"]))?;
    running.line("two process ids")?;
    running.inner()?;
    // SIGCHLD is about the command. glibc keeps 32 and 33 for itself.
    let others = [libc::SIGKILL, libc::SIGSTOP, libc::SIGCHLD, 32, 33];
    for signal in (1..=64).filter(|signal| !others.contains(signal)) {
        running.signal_number(signal)?;
        let name = Signal::try_from(signal).map(|signal| signal.as_str().to_string());
        running.says(&name.unwrap_or(signal.to_string()))?;
    }
    running.close_stdin();
    running.ends_with(22)
}

fn no_signal_ends_one_alone(engine: &Engine) -> Verdict {
    // SIGFPE stands for those of a fault, which somebody else may send as well.
    let signals = [libc::SIGALRM, libc::SIGVTALRM, libc::SIGABRT, libc::SIGFPE, 34, 64];
    for signal in signals {
        let mut running = Running::start(engine.command(["/bin/probe", "idle"]))?;
        running.line("a process id")?;
        let inner = running.inner()?;
        running.signal_number(signal)?;
        running.status()?;
        let gone = eventually(|| kill(inner, None).is_err());
        let expected = format!("that signal {signal} ends the command");
        require(gone, &running.tried, expected, format!("process {inner} lives on"))?;
        let status = if engine.step < 4 { 128 + signal } else { 137 };
        running.ends_with(status)?;
    }
    Ok(())
}

fn sigterm_ends_it(engine: &Engine) -> Verdict {
    let running = Running::start(engine.command(["/bin/probe", "idle"]))?;
    running.line("a process id")?;
    running.inner()?;
    running.signal(Signal::SIGTERM)?;
    running.ends_with(ended_by_sigterm(engine))
}

/// The status of a command that SIGTERM ended. In a PID namespace of its own the command is process
/// 1, which no default action touches: the engine kills it instead, with the signal that it can't
/// escape.
fn ended_by_sigterm(engine: &Engine) -> i32 {
    let signal = if engine.step < 4 { Signal::SIGTERM } else { Signal::SIGKILL };
    128 + signal as i32
}

fn signals_after_a_stop(engine: &Engine) -> Verdict {
    let mut running = Running::start(engine.command(["/bin/probe", "catch-all", "24"]))?;
    running.line("two process ids")?;
    let inner = running.inner()?;
    let becomes = |state: &str| {
        let is_so = || running.inner_status("State").is_ok_and(|seen| seen.starts_with(state));
        let expected = format!("a command in state {state}");
        require(eventually(is_so), &running.tried, expected, running.inner_status("State")?)
    };
    kill(inner, Signal::SIGSTOP)?;
    becomes("T")?;
    // The engine looks what has become of its child.
    thread::sleep(Duration::from_millis(200));
    running.signal(Signal::SIGCONT)?;
    running.says("SIGCONT")?;
    becomes("S")?;
    thread::sleep(Duration::from_millis(200));
    // One that stops others by default, and one that does not.
    for signal in [Signal::SIGTSTP, Signal::SIGUSR1] {
        running.signal(signal)?;
        running.says(signal.as_str())?;
    }
    running.close_stdin();
    running.ends_with(24)
}

fn terminal_as_before(engine: &Engine) -> Verdict {
    let mut terminal = Terminal::open(engine)?;
    let line = engine.typed("sh -c 'stty -tostop -opost; exit 4'");
    terminal.enter("cd /slipway; stty tostop; stty -g > /tmp/before")?;
    terminal.wait_for("ready:")?;
    terminal.enter(&format!("{line}; stty -g > /tmp/after"))?;
    terminal.wait_for("ready:")?;
    let [before, after] = ["/tmp/before", "/tmp/after"].map(std::fs::read_to_string);
    for file in ["/tmp/before", "/tmp/after"] {
        std::fs::remove_file(file)?;
    }
    equal(&line, "the terminal's settings", before?, after?)
}

fn foreground_of_the_dead(engine: &Engine) -> Verdict {
    // A process 1 can't kill itself; then it ends, and has no group to give the foreground to.
    foreground_after(engine, "kill -KILL $$; exit")
}

fn no_inherited_files(engine: &Engine) -> Verdict {
    with_more_files(engine.command(["/bin/probe", "fds"]))?.ends_with(0)?.prints("0\n1\n2\n")?;
    // If the files can't be closed in one way, they are in another, or the command does not start.
    let mut strace = engine.strace(["-qq", "-o", "/dev/null", "--inject=close_range:error=EPERM"]);
    strace.args(engine.line(["/bin/probe", "fds"]));
    let outcome = with_more_files(strace)?;
    let is_told = outcome.ends_with(125).is_ok() && outcome.stdout.is_empty();
    if !is_told {
        outcome.prints("0\n1\n2\n")?;
    }
    Ok(())
}

/// Runs a command whose caller has more files open.
fn with_more_files(mut command: Command) -> Result<Outcome, Failure> {
    // SAFETY: the calls are async-signal-safe, and nothing else uses these numbers in the child.
    unsafe {
        command.pre_exec(|| {
            allow_high_file_numbers()?;
            for fd in [3, 7, 100, 1024, 2000] {
                Errno::result(libc::dup2(1, fd))?;
            }
            Ok(())
        });
    }
    Outcome::of(command, b"")
}

/// Lets this process have files of numbers beyond 1023, as servers do.
pub fn allow_high_file_numbers() -> io::Result<()> {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: `limit` outlives both calls.
    unsafe {
        Errno::result(libc::getrlimit(libc::RLIMIT_NOFILE, &mut limit))?;
        limit.rlim_cur = limit.rlim_max;
        Errno::result(libc::setrlimit(libc::RLIMIT_NOFILE, &limit))?;
    }
    Ok(())
}
