//! What every step's `main` does around its lesson.

use std::fmt::Display;
use std::io::{self, Write};
use std::process::ExitCode;

use clap::Parser;
use clap::error::ErrorKind;
use nix::sys::signal::{SigHandler, SigSet, Signal, signal};

use crate::{Error, Explain};

/// Parses the command line, runs the step, and turns what it returns into the exit status.
///
/// An error is printed as one line on standard error with the program's name in front. `name` is
/// the one in the step's manifest.
pub fn main<Options: Parser>(name: &str, run: fn(&Options) -> Result<u8, Error>) -> ExitCode {
    // Rust starts every program with SIGPIPE ignored. The command would inherit that, and in the
    // container `yes | head -1` would complain. SIGCHLD may be ignored by our caller. The kernel would
    // then throw the exit status of every child away (waitpid(2)), so this comes before the first.
    for default in [Signal::SIGPIPE, Signal::SIGCHLD] {
        // SAFETY: SIG_DFL runs no code of ours.
        unsafe { signal(default, SigHandler::SigDfl) }.expect("it can have its default");
    }

    let result = match Options::try_parse() {
        Ok(options) => run(&options),
        Err(help) if matches!(help.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) => {
            let printed = help.print().and_then(|()| io::stdout().flush());
            printed.explain("write to standard output").map(|()| 0)
        }
        Err(error) => Err(Error::new(one_line(&error))),
    };
    ExitCode::from(result.unwrap_or_else(|error| {
        note(format_args!("{name}: {error}"));
        error.status()
    }))
}

/// Writes a line on standard error, for a person. If it can't be written, nobody reads it.
pub fn note(line: impl Display) {
    // A terminal may stop who writes to it from the background (`stty tostop`). A process 1 can't be
    // stopped so, and would try for ever.
    let _ = SigSet::from(Signal::SIGTTOU).thread_block();
    // Not eprintln!, which panics when standard error can't be written.
    let _ = writeln!(io::stderr(), "{line}");
}

/// clap's message without its "error:", its usage text and its line breaks.
fn one_line(error: &clap::Error) -> String {
    let text = error.to_string();
    let what = text.split("\n\n").next().unwrap_or_default();
    let words: Vec<&str> = what.trim_start_matches("error: ").split_whitespace().collect();
    format!("{} (see --help)", words.join(" "))
}

/// Prints to standard output.
///
/// # Errors
///
/// Nobody takes it, or the disk is full. (There `println!` would panic.)
pub fn print(bytes: &[u8]) -> Result<(), Error> {
    let mut output = io::stdout();
    output.write_all(bytes).and_then(|()| output.flush()).explain("write to standard output")
}
