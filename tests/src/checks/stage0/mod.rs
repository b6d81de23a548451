//! Stage 0: the command arrives exactly as it was typed, and so does everything it inherits.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::Duration;

use nix::sys::signal::{SigHandler, SigSet, SigmaskHow, Signal, signal, sigprocmask};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};

use super::draw;
use super::engine::{Caller, Engine, Outcome, called_by};
use super::failure::{Failure, Verdict, equal, require};
use super::fixture::ROOTFS;
use super::images::Home;
use super::running::{Running, eventually, first_child};
use super::samples;
use super::terminal::Terminal;

mod at_terminal;

pub use at_terminal::foreground_after;
use at_terminal::{
    background, background_output, ctrl_c, ctrl_z, foreground_comes_back, foreground_of_others,
    hang_up, terminals_signals,
};

promises! { stage 0:
    same_process until 0 "the command has the process id that the engine had"
    arguments "arguments arrive as they are: empty, quoted, with blanks and dashes"
    arguments_not_utf8 "arguments may be any bytes"
    options_of_the_command "everything after COMMAND is the command's own"
    double_dash "`--` may stand before the command"
    environment until 7 "the environment arrives, nothing added and nothing lost"
    working_directory until 2 "the command starts in the caller's directory"
    standard_input "standard input arrives byte for byte"
    standard_output "standard output and error stay apart"
    signal_state "no signal is ignored or blocked that the caller did not"
    callers_signals "what the caller ignores and blocks, the command does"
    exit_statuses "the exit status is the command's"
    ignored_sigchld "the exit status arrives though the caller ignores SIGCHLD"
    stdio_closed "a command may close its standard files"
    found_on_path "the command is looked up on PATH"
    without_path until 7 "without a PATH it is looked up in /bin and /usr/bin"
    not_found "no such command on PATH: status 127 and a line that says so"
    no_such_file "no such file: status 127"
    empty_name "an empty command name: status 127"
    a_directory "a directory is no command: status 126"
    not_executable "a file without execute permission: status 126 and the cure"
    no_interpreter "a script whose interpreter is missing: status 127, and which is missing"
    no_interpreter_on_path "the same for a script that PATH leads to"
    closed_interpreter "a script whose interpreter may not be executed: status 126, and that it is that one"
    another_processor "a program for another processor: status 126, in the kernel's words"
    no_format "a text without `#!`: status 126, and no shell is started on it"
    decoy_on_path "what PATH leads to and is no file is passed over, and not found if it is all there is"
    no_command "no command at all: status 125"
    unknown_option "an unknown option: status 125, named"
    help "--help explains itself on standard output: status 0"
    unwritten "what can't be written on standard output or error: one line if any, and the right status"
    sigterm_at_any_moment "a SIGTERM ends engine and command, however early it comes"
    ctrl_c "Ctrl-C at a terminal ends the command, and the shell goes on"
    terminals_signals "so do Ctrl-\\, Ctrl-Z and a new size of the window: a command that catches them gets each once"
    ctrl_z "Ctrl-Z stops the command, `fg` continues it"
    background "in the background a command that reads the terminal is stopped, and `fg` continues it"
    background_output "so is one that writes to it, where that is forbidden (stty tostop)"
    foreground_of_others "a command that ends in the background leaves the foreground where it is"
    hang_up "when its terminal is closed, the command ends"
    foreground_comes_back "after an interactive shell, the caller has the terminal again"
}

fn same_process(engine: &Engine) -> Verdict {
    let (running, [pid, _]) = engine.start_catching(0)?;
    equal(&running.tried, "the command's process id", running.pid().as_raw(), pid)
}

fn arguments(engine: &Engine) -> Verdict {
    let drawn = draw::word("word");
    let args = [
        "",
        "a b",
        "it's",
        "\"quoted\"",
        "line\nbreak",
        "-x",
        "--",
        "--help",
        "$HOME",
        "*",
        &drawn,
    ];
    let expected: String =
        args.iter().map(|arg| format!("{}\n", arg.as_bytes().escape_ascii())).collect();
    engine.run(["/bin/probe", "args"].into_iter().chain(args))?.ends_with(0)?.prints(&expected)?;
    Ok(())
}

fn arguments_not_utf8(engine: &Engine) -> Verdict {
    let bytes = OsStr::from_bytes(b"\xff\xfe caf\xe9");
    let outcome = engine.run([OsStr::new("/bin/probe"), OsStr::new("args"), bytes])?;
    outcome.ends_with(0)?.prints("\\xff\\xfe caf\\xe9\n")?;
    Ok(())
}

fn options_of_the_command(engine: &Engine) -> Verdict {
    let own = ["--help", "--version", "--rootfs", "x", "-a", "--"];
    let expected: String = own.iter().map(|arg| format!("{arg}\n")).collect();
    engine.run(["/bin/probe", "args"].into_iter().chain(own))?.ends_with(0)?.prints(&expected)?;
    Ok(())
}

fn double_dash(engine: &Engine) -> Verdict {
    let outcome = engine.run(["--", "/bin/probe", "args", "--", "-a"])?;
    outcome.ends_with(0)?.prints("--\n-a\n")?;
    Ok(())
}

fn environment(engine: &Engine) -> Verdict {
    let variables: BTreeMap<&str, OsString> = [
        ("EMPTY", "".into()),
        ("BLANKS", " a  b ".into()),
        ("PATH", "/bin".into()),
        ("BYTES", OsStr::from_bytes(b"\xff").into()),
    ]
    .into();
    let mut command = engine.command(["/bin/probe", "env"]);
    command.env_clear().envs(&variables);
    let expected: String = variables
        .iter()
        .map(|(key, value)| format!("{key}={}\n", value.as_bytes().escape_ascii()))
        .collect();
    Outcome::of(command, b"")?.ends_with(0)?.prints(&expected)?;
    Ok(())
}

fn working_directory(engine: &Engine) -> Verdict {
    let mut command = engine.command(["/bin/sh", "-c", "pwd"]);
    command.current_dir("/usr/share");
    Outcome::of(command, b"")?.ends_with(0)?.prints("/usr/share\n")?;
    Ok(())
}

fn standard_input(engine: &Engine) -> Verdict {
    let bytes: Vec<u8> = (0..100_000u32).map(|n| (n * 7 % 251) as u8).collect();
    let outcome = Outcome::of(engine.command(["md5sum"]), &bytes)?;
    let own = Outcome::of(Command::new("md5sum"), &bytes)?;
    outcome.ends_with(0)?.prints(&own.stdout)?;
    Ok(())
}

fn standard_output(engine: &Engine) -> Verdict {
    let outcome = engine.sh("echo out; echo err >&2")?;
    outcome.ends_with(0)?.prints("out\n")?;
    equal(&outcome.tried, "standard error", "err\n", &outcome.stderr)
}

fn signal_state(engine: &Engine) -> Verdict {
    engine.run(["/bin/probe", "signals"])?.ends_with(0)?.prints("")?;
    // SIGPIPE is asked for in its own way: when it has its default, `yes` dies of it, silently.
    let outcome = engine.sh("yes | head -n 1")?;
    outcome.ends_with(0)?.prints("y\n")?;
    equal(&outcome.tried, "standard error", "", &outcome.stderr)
}

fn callers_signals(engine: &Engine) -> Verdict {
    let mut command = engine.command(["/bin/probe", "signals"]);
    // SAFETY: only async-signal-safe calls between fork and exec.
    unsafe {
        command.pre_exec(|| {
            signal(Signal::SIGINT, SigHandler::SigIgn)?;
            let blocked: SigSet = [Signal::SIGUSR1].into_iter().collect();
            Ok(sigprocmask(SigmaskHow::SIG_BLOCK, Some(&blocked), None)?)
        });
    }
    Outcome::of(command, b"")?.ends_with(0)?.prints("SIGINT ignored\nSIGUSR1 blocked\n")?;
    Ok(())
}

fn exit_statuses(engine: &Engine) -> Verdict {
    for status in [0, 1, 2, 7, 42, 124, 125, 126, 127, 128, 130, 137, 200, 255] {
        engine.run(["/bin/probe", "exit", &status.to_string()])?.ends_with(status)?;
    }
    Ok(())
}

fn ignored_sigchld(engine: &Engine) -> Verdict {
    ignoring_sigchld(engine.command(["/bin/probe", "exit", "9"]))?.ends_with(9)?;
    // To pull takes children as well: other ones for root, and for an ordinary user.
    if engine.has_subcommands() {
        for caller in [Caller::Root, Caller::Ada] {
            let engine = Engine::new(engine.binary.clone(), engine.step, caller);
            let (home, image) = (Home::new(&engine)?, samples::rootfs()?);
            ignoring_sigchld(home.pull(&[&image]))?.ends_with(0)?;
            // One that runs what is not there yet pulls in a process of its own.
            if engine.runs_images() {
                let home = Home::new(&engine)?;
                ignoring_sigchld(home.image(&image, &["/bin/true"]))?.ends_with(0)?;
            }
        }
    }
    Ok(())
}

/// Runs a command that ignores SIGCHLD from its start.
fn ignoring_sigchld(mut command: Command) -> Result<Outcome, Failure> {
    // SAFETY: only async-signal-safe calls between fork and exec.
    unsafe { command.pre_exec(|| Ok(signal(Signal::SIGCHLD, SigHandler::SigIgn).map(drop)?)) };
    Outcome::of(command, b"")
}

fn stdio_closed(engine: &Engine) -> Verdict {
    engine.sh("exec <&- >&- 2>&-; exit 5")?.ends_with(5)?;
    Ok(())
}

fn found_on_path(engine: &Engine) -> Verdict {
    // What does not exist is passed over, and what is no directory.
    for path in ["/nowhere:/bin", "/fixture/text:/bin"] {
        Outcome::of(engine.with_path(path, &["probe", "exit", "3"]), b"")?.ends_with(3)?;
    }
    Ok(())
}

fn without_path(engine: &Engine) -> Verdict {
    let mut command = engine.command(["probe", "exit", "3"]);
    command.env_remove("PATH");
    Outcome::of(command, b"")?.ends_with(3)?;
    Ok(())
}

fn not_found(engine: &Engine) -> Verdict {
    let outcome = engine.run(["no-such-command"])?;
    outcome.ends_with(127)?.complains_of(&["no-such-command", "No such file", "PATH"])
}

fn no_such_file(engine: &Engine) -> Verdict {
    let outcome = engine.run(["/no/such/file"])?;
    outcome.ends_with(127)?.complains_of(&["/no/such/file", "No such file"])
}

fn empty_name(engine: &Engine) -> Verdict {
    engine.run([""])?.ends_with(127)?.complains_of(&["\"\""])
}

fn a_directory(engine: &Engine) -> Verdict {
    engine.run(["/fixture"])?.ends_with(126)?.complains_of(&["/fixture", "directory"])
}

fn not_executable(engine: &Engine) -> Verdict {
    let outcome = engine.run(["/fixture/text"])?;
    outcome.ends_with(126)?.complains_of(&["/fixture/text", "Permission denied", "chmod +x"])
}

fn no_interpreter(engine: &Engine) -> Verdict {
    let outcome = engine.run(["/fixture/no-interpreter"])?;
    outcome.ends_with(127)?.complains_of(&["/fixture/no-interpreter", "interpreter"])
}

fn no_interpreter_on_path(engine: &Engine) -> Verdict {
    let command = engine.with_path("/nowhere:/fixture", &["no-interpreter"]);
    let outcome = Outcome::of(command, b"")?;
    outcome.ends_with(127)?.complains_of(&["\"no-interpreter\"", "its interpreter"])
}

fn closed_interpreter(engine: &Engine) -> Verdict {
    let outcome = engine.run(["/fixture/closed-interpreter"])?;
    outcome.ends_with(126)?.complains_of(&["Permission denied", "its interpreter"])
}

fn another_processor(engine: &Engine) -> Verdict {
    let outcome = engine.run(["/fixture/another-processor"])?;
    outcome.ends_with(126)?.complains_of(&["Exec format error", "another processor"])?;
    let command = engine.with_path("/nowhere:/fixture", &["another-processor"]);
    Outcome::of(command, b"")?.ends_with(126)?.complains_of(&["Exec format error"])
}

fn no_format(engine: &Engine) -> Verdict {
    let outcome = engine.run(["/fixture/no-format"])?;
    outcome.ends_with(126)?.prints("")?.complains_of(&["Exec format error", "#!"])?;
    // A later directory has one that would run, but it is not what is meant.
    let command = engine.with_path("/fixture:/fixture/second", &["no-format"]);
    Outcome::of(command, b"")?.ends_with(126)?.prints("")?.complains_of(&["Exec format error"])
}

fn decoy_on_path(engine: &Engine) -> Verdict {
    let with_path = |path| Outcome::of(engine.with_path(path, &["probe", "exit", "3"]), b"");
    with_path("/fixture/decoy:/bin")?.ends_with(3)?;
    with_path("/fixture/decoy")?.ends_with(127)?.complains_of(&["\"probe\"", "PATH"])
}

fn no_command(engine: &Engine) -> Verdict {
    engine.run([] as [&str; 0])?.ends_with(125)?.complains_of(&["COMMAND", "--help"])
}

fn unknown_option(engine: &Engine) -> Verdict {
    let outcome = engine.run(["--frobnicate", "true"])?;
    outcome.ends_with(125)?.complains_of(&["--frobnicate", "--help"])
}

fn help(engine: &Engine) -> Verdict {
    let outcome = engine.run(["--help"])?;
    outcome.ends_with(0)?;
    engine.show(&outcome.stdout);
    let explains = outcome.stdout.contains("Usage:") && outcome.stderr.is_empty();
    if explains { Ok(()) } else { Err(outcome.failure("a usage text on standard output")) }
}

fn unwritten(engine: &Engine) -> Verdict {
    let line = format!("{} --help > /dev/full", engine.typed_start());
    let outcome = Outcome::of(callers_shell(engine, &line), b"")?;
    outcome.ends_with(125)?.complains_of(&["standard output", "No space left"])?;
    // There is no place for the line, and still a status.
    for (command, status) in [("--no-such-option", 125), ("no-such-command", 127)] {
        let line = format!("{} 2> /dev/full", engine.typed(command));
        Outcome::of(callers_shell(engine, &line), b"")?.ends_with(status)?.prints("")?;
    }
    Ok(())
}

/// A line for the caller's own shell, run beside the root filesystem.
fn callers_shell(engine: &Engine, line: &str) -> Command {
    let mut command = Command::new("/bin/sh");
    command.args(["-c", line]).current_dir(Path::new(ROOTFS).join(".."));
    called_by(engine.caller, command)
}

/// Moments in a container's life, most of them at its very beginning, and one when it surely runs.
pub fn early_moments(count: u32) -> impl Iterator<Item = Duration> {
    let count = if draw::is_sparing() { count / 4 } else { count };
    let early = (0..count).map(move |n| Duration::from_millis(100) * n * n / count / count);
    early.chain([Duration::from_secs(1)])
}

fn sigterm_at_any_moment(engine: &Engine) -> Verdict {
    for delay in early_moments(20) {
        let mut running = Running::start(engine.command(["/bin/sleep", "300"]))?;
        thread::sleep(delay);
        running.signal(Signal::SIGTERM)?;
        let ended = running.status()?;
        let by_signal = ended.is_some_and(|status| status.code().is_none_or(|code| code > 128));
        require(by_signal, &running.tried, "an end by SIGTERM", format!("{ended:?}"))?;
    }
    Ok(())
}
