//! What a person sees of a long transfer: a bar for each part on a terminal, and elsewhere a line for each when it has
//! ended. All of it goes to standard error.

use std::io::{self, IsTerminal, Write};

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use shared::Error;

/// Shows the parts of one transfer. Threads may share it.
pub struct Progress {
    quiet: bool,
    bars: Option<MultiProgress>,
}

/// Shows one part.
pub struct Bar {
    quiet: bool,
    bar: Option<ProgressBar>,
    name: String,
}

impl Progress {
    /// Shows nothing but notes if `quiet`.
    pub fn new(quiet: bool) -> Progress {
        Progress { quiet, bars: (!quiet && io::stderr().is_terminal()).then(MultiProgress::new) }
    }

    /// Says something in a line of its own, above the bars.
    pub fn note(&self, text: &str) {
        match &self.bars {
            Some(bars) => _ = bars.println(text),
            None => say(text),
        }
    }

    /// Begins a part that has this many bytes.
    pub fn bar(&self, name: &str, bytes: u64) -> Bar {
        let name = name.to_string();
        let bar = self.bars.as_ref().map(|bars| {
            let style =
                ProgressStyle::with_template("{msg:36} {bar:30} {bytes:>10} {bytes_per_sec:>12}");
            let bar = ProgressBar::new(bytes).with_style(style.expect("it is well-formed"));
            bars.add(bar.with_message(name.clone()))
        });
        Bar { quiet: self.quiet, bar, name }
    }
}

impl Bar {
    /// Shows how many bytes have arrived so far.
    pub fn at(&self, so_far: u64) {
        if let Some(bar) = &self.bar {
            bar.set_position(so_far);
        }
    }

    /// Shows how it ended: all bytes have arrived (true), or none had to be fetched (false), or there
    /// was an error, of which others tell.
    pub fn end(&self, fetched: &Result<bool, Error>) {
        let there = if let Ok(false) = fetched { ": it is there already" } else { "" };
        match &self.bar {
            Some(bar) if fetched.is_ok() => bar.finish_with_message(self.name.clone() + there),
            Some(bar) => bar.abandon(),
            None if fetched.is_ok() && !self.quiet => say(&format!("{}{there}", self.name)),
            None => {}
        }
    }
}

/// Not eprintln!, which panics when standard error cannot be written.
fn say(text: &str) {
    let _ = writeln!(io::stderr(), "{text}");
}
