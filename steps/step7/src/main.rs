//! The command line.

mod container;

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser};
use shared::Error;
use step5::userns::Userns;
use step6::limits::Limits;
use step7::pull;

#[derive(Parser)]
#[command(version, about, arg_required_else_help = false)]
enum Command {
    /// Runs COMMAND in a container
    Run(Options),
    /// Fetches an image from a registry, and unpacks it
    Pull(pull::Options),
}

#[derive(Args)]
struct Options {
    /// The name of the container's machine, at most 64 bytes
    #[arg(long, value_name = "NAME", default_value = "slipway")]
    hostname: OsString,

    /// The directory that becomes the container's /
    #[arg(long, value_name = "DIR", default_value = "rootfs")]
    rootfs: PathBuf,

    /// Which user and group ids the container has
    #[arg(long, value_name = "WHICH", default_value = "auto")]
    userns: Userns,

    #[command(flatten)]
    limits: Limits,

    /// The program to run, and its arguments
    #[arg(required = true, trailing_var_arg = true)]
    command: Vec<OsString>,
}

fn main() -> ExitCode {
    shared::main(env!("CARGO_PKG_NAME"), run)
}

fn run(command: &Command) -> Result<u8, Error> {
    match command {
        Command::Run(options) => container::run(options),
        Command::Pull(options) => pull::run(options),
    }
}
