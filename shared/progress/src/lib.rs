//! What a person sees of a pull: a bar for each layer on a terminal, a line for each elsewhere.

use std::io::{self, IsTerminal, Write};

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use shared::Error;

/// Where a pull tells how it goes: standard error.
pub struct Progress {
    quiet: bool,
    bars: Option<MultiProgress>,
}

/// One layer's.
pub struct Bar {
    quiet: bool,
    bar: Option<ProgressBar>,
    name: String,
}

impl Progress {
    pub fn new(quiet: bool) -> Progress {
        Progress { quiet, bars: (!quiet && io::stderr().is_terminal()).then(MultiProgress::new) }
    }

    /// Says something that nobody waited for.
    pub fn note(&self, text: &str) {
        match &self.bars {
            Some(bars) => _ = bars.println(text),
            None => say(text),
        }
    }

    /// Something of so many bytes is being fetched.
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
    /// So many bytes are there.
    pub fn at(&self, so_far: u64) {
        if let Some(bar) = &self.bar {
            bar.set_position(so_far);
        }
    }

    /// The last is there (or all were there before), or something went wrong.
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
