//! `vm`: a shell in the throw-away VM, or one command there.

use std::ffi::OsString;
use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use shared::Error;
use tests::vm::{Command, Input, Outcome, Stream, Vm};

/// Runs COMMAND in a throw-away VM, or an interactive shell if there is none
///
/// The VM has the steps built so far on PATH. ./rootfs there is the busybox root filesystem, /debian a whole Debian, and
/// /scratch an ext4 disk. Nothing that happens in the VM outlasts it.
#[derive(Parser)]
#[command(version, after_help = "Example: vm step 4 -- --rootfs /debian /bin/bash")]
struct Options {
    /// The user in the VM, root or ada
    #[arg(long, default_value = "root")]
    user: String,

    /// Put a program of yours on PATH, in place of the step of its name, and the files of the checks beside it
    #[arg(long, value_name = "FILE")]
    program: Option<PathBuf>,

    /// The step whose place it takes, whatever its name is
    #[arg(long, value_name = "N", requires = "program")]
    step: Option<u8>,

    /// End the VM after this time. A COMMAND has 600 seconds otherwise, and a shell has no limit
    #[arg(long, value_name = "SECONDS")]
    timeout: Option<u64>,

    /// The program to run there, and its arguments
    #[arg(trailing_var_arg = true)]
    command: Vec<OsString>,
}

/// Status of a run that took too long, as timeout(1) gives it.
const TIMED_OUT: u8 = 124;

fn main() -> ExitCode {
    shared::main("vm", run)
}

fn run(options: &Options) -> Result<u8, Error> {
    let on_terminal = io::stdin().is_terminal() && io::stdout().is_terminal();
    let shell = options.command.is_empty();
    if shell && on_terminal {
        println!(
            "A shell in the VM: `exit` or Ctrl-D leaves it, Ctrl-] ends it at once. Nothing in it outlasts it."
        );
    }
    let mut vm = Vm::start_with(options.program.as_slice())?;
    if let Some(program) = &options.program {
        eprintln!("{}", prepare(&mut vm, program, options)?);
    }
    let timeout = options.timeout.or((!shell).then_some(600));
    let command = Command {
        argv: options.command.clone(),
        user: options.user.clone(),
        input: if on_terminal { Input::Terminal } else { Input::Stdin },
        timeout: timeout.map(Duration::from_secs),
    };
    let outcome = vm.run(&command, &mut pass_on)?;
    match outcome {
        Outcome::Ended(status) => Ok(status),
        Outcome::Failed(why, status) => {
            eprintln!("vm: {why}");
            Ok(status)
        }
        Outcome::TimedOut => {
            eprintln!("vm: stopped after {} seconds (--timeout)", timeout.unwrap_or_default());
            Ok(TIMED_OUT)
        }
        Outcome::Left => {
            println!();
            Ok(0)
        }
        Outcome::Signaled(signal) => Ok(128 + signal as u8),
    }
}

/// Makes the files that the checks use, and gives the program the name of the step that it stands for. Says how it is
/// called.
fn prepare(vm: &mut Vm, program: &Path, options: &Options) -> Result<String, Error> {
    let name = program.file_name().unwrap_or_default().to_string_lossy();
    let step = options.step.map(|step| format!("step{step}")).filter(|step| *step != name);
    let script =
        r#"[ -z "$2" ] || ln -sf "$1" "/slipway/bin/$2" || exit; exec checks --prepare "$0""#;
    let words = ["sh", "-c", script, &options.user, &name, step.as_deref().unwrap_or_default()];
    let mut said = String::new();
    let outcome = vm.run_lines(&Command::new(words), &mut |_, line| said += line)?;
    if outcome != Outcome::Ended(0) {
        return Err(Error::new(format!("cannot make the files of the checks: {said}")));
    }
    let is_step = name.strip_prefix("step").is_some_and(|number| number.parse::<u8>().is_ok());
    let program = program.display();
    Ok(match step {
        Some(step) => format!("vm: {program} is {step} there, and {name}"),
        None if is_step => format!("vm: {program} is {name} there"),
        None => format!(
            "vm: {program} is {name} there; step0, step1 … are the book's own (--step N makes it stepN)"
        ),
    })
}

/// Writes what the command wrote to the same stream here.
fn pass_on(stream: Stream, bytes: &[u8]) -> io::Result<()> {
    match stream {
        Stream::Stdout => io::stdout().write_all(bytes).and_then(|()| io::stdout().flush()),
        Stream::Stderr => io::stderr().write_all(bytes),
    }
}
