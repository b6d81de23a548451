//! `./just doctor`.

use std::process::ExitCode;

use clap::Parser;

/// Finds out what this machine can do, by doing it, and which steps run on it
#[derive(Parser)]
#[command(version)]
struct Options {}

fn main() -> ExitCode {
    shared::main("doctor", |_: &Options| tests::doctor::run())
}
