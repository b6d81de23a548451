//! `./just trace`: runs a step under strace(1) and tells the system calls of its lesson.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, IsTerminal, Read, Seek};
use std::os::fd::AsRawFd;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{Command, ExitCode, id};

use calls::TABLE;
use clap::Parser;
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::signal::{SigHandler, Signal, signal};
use nix::unistd::getuid;
use shared::{Error, Explain};
use step5::subordinate::Subordinate;
use tests::trace::{Call, Style, own_calls, tell};

/// Runs a step, then shows the system calls that matter, in order, each with the chapter that explains it
#[derive(Parser)]
#[command(version)]
struct Options {
    /// Show every system call, and the command's own too
    #[arg(long)]
    all: bool,

    /// The step's program
    step: PathBuf,

    /// The step's own options, the command and its arguments
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    args: Vec<OsString>,
}

fn main() -> ExitCode {
    shared::main("trace", run)
}

fn run(options: &Options) -> Result<u8, Error> {
    // A file without a name: nothing is left behind, however this ends. The step does not inherit it.
    let log = memfd_create(c"trace", MFdFlags::MFD_CLOEXEC).explain("memfd_create")?;
    let mut log = File::from(log);
    let status = strace(options, &log)?;

    let mut bytes = Vec::new();
    log.rewind().and_then(|()| log.read_to_end(&mut bytes)).explain("read strace's output")?;
    if bytes.is_empty() {
        return Err(Error::new(
            "strace saw nothing (it may not trace in here: try the VM, ./just vm)",
        ));
    }
    let style = Style { all: options.all, colour: io::stderr().is_terminal() };
    let log = String::from_utf8_lossy(&bytes);
    // After the command's own output, so that the two do not mix.
    eprint!("\n{}", tell(&log, style));
    if lost_its_ids(options, &log) {
        let step = options.step.file_name().unwrap_or_default().display();
        eprintln!(
            "\nThis container has one id, as newuidmap has no privilege under a tracer. Root's has all ids, \
             without newuidmap: ./just vm trace {step} …"
        );
    }
    Ok(status)
}

/// Whether the step made do with one id only because it was traced: without a tracer it would have
/// used the caller's ranges.
fn lost_its_ids(options: &Options, log: &str) -> bool {
    let is_wanted = options.args.iter().any(|arg| arg == "single" || arg == "--userns=single");
    let is_denied = |call: &Call| call.name == "write" && call.arguments.contains("/setgroups>");
    !is_wanted
        && own_calls(log).iter().any(is_denied)
        && matches!(Subordinate::of(getuid()), Ok(Ok(_)))
}

/// Runs the step under strace and gives its exit status.
fn strace(options: &Options, log: &File) -> Result<u8, Error> {
    // Ctrl-C is for the command. A handler, unlike "ignore", does not outlive exec.
    for key in [Signal::SIGINT, Signal::SIGQUIT] {
        // SAFETY: the handler does nothing.
        unsafe { signal(key, SigHandler::Handler(nothing)) }.explain("handle signals")?;
    }
    let mut strace = Command::new("strace");
    strace.args(["-f", "-y", "-s", "256", "-o"]).arg(format!(
        "/proc/{}/fd/{}",
        id(),
        log.as_raw_fd()
    ));
    if !options.all {
        // "?": not every machine has every call.
        let calls: Vec<String> = TABLE.names().iter().map(|call| format!("?{call}")).collect();
        strace.args(["-e", &format!("trace={}", calls.join(","))]);
    }
    let status = strace.arg("--").arg(&options.step).args(&options.args).status();
    let status = status.explain("run strace (Debian's package strace)")?;
    let killed = status.signal().map(|signal| 128 + signal);
    Ok(status.code().or(killed).unwrap_or_default() as u8)
}

extern "C" fn nothing(_: i32) {}
