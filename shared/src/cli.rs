//! What every step's `main` does around its lesson.

use std::io::{self, Write};
use std::process::ExitCode;

use clap::Parser;
use clap::error::ErrorKind;
use nix::sys::signal::{SigHandler, Signal, signal};

use crate::Error;

/// Parses the command line, runs the step, and turns what it returns into the exit status.
///
/// An error is printed as one line on standard error with the program's name in front. `name` is
/// the one in the step's manifest.
pub fn main<Options: Parser>(name: &str, run: fn(&Options) -> Result<u8, Error>) -> ExitCode {
    // Rust starts every program with SIGPIPE ignored. The command would inherit that, and in the
    // container `yes | head -1` would complain.
    // SAFETY: SIG_DFL runs no code of ours.
    unsafe { signal(Signal::SIGPIPE, SigHandler::SigDfl) }.expect("SIGPIPE can have its default");

    let result = match Options::try_parse() {
        Ok(options) => run(&options),
        Err(help) if matches!(help.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) => {
            let _ = help.print();
            Ok(0)
        }
        Err(error) => Err(Error::new(one_line(&error))),
    };
    ExitCode::from(result.unwrap_or_else(|error| {
        // Not eprintln!, which panics when standard error cannot be written.
        let _ = writeln!(io::stderr(), "{name}: {error}");
        error.status()
    }))
}

/// clap's message without its "error:", its usage text and its line breaks.
fn one_line(error: &clap::Error) -> String {
    let text = error.to_string();
    let what = text.split("\n\n").next().unwrap_or_default();
    let words: Vec<&str> = what.trim_start_matches("error: ").split_whitespace().collect();
    format!("{} (see --help)", words.join(" "))
}
