//! The command line.

mod child;
mod container;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::{Args, Parser};
use shared::Error;
use step6::limits::Limits;
use step8::image::Pull;
use step8::own_file;
use step8::process::Overrides;
use step9::{images, pull, rmi};
use step11::confinement::Privileges;
use step11::show;
use step12::owners::Userns;
use step12::{mounts, unshare, volumes};

#[derive(Parser)]
#[command(version, about, arg_required_else_help = false)]
enum Command {
    /// Runs an image in a container
    #[command(
        override_usage = concat!(env!("CARGO_PKG_NAME"), " run [OPTIONS] IMAGE [COMMAND] [ARG]..."),
        after_help = PROTECTION
    )]
    Run(Options),
    /// Fetches an image from a registry, and unpacks the layers that are new
    Pull(step7::pull::Options),
    /// Shows the images that are here, and what of each is its own
    Images(images::Options),
    /// Removes images
    Rmi(rmi::Options),
    /// Removes images without a name, and all else that nothing needs
    Prune(rmi::Prune),
    /// Shows the filter for system calls, or one call's way through it
    Filter(show::Options),
    /// Makes, shows and removes volumes
    #[command(subcommand)]
    Volume(volumes::Command),
    /// Runs a command as a container's root, outside of any: with the same ids, among your own files
    #[command(override_usage = concat!(env!("CARGO_PKG_NAME"), " unshare COMMAND [ARG]..."))]
    Unshare(unshare::Options),
}

#[derive(Args)]
struct Options {
    /// The name of the container's machine, at most 64 bytes
    #[arg(long, value_name = "NAME", default_value = "slipway")]
    hostname: OsString,

    /// Which user and group ids the container has
    #[arg(long, value_name = "WHICH", default_value = "auto")]
    userns: Userns,

    #[command(flatten)]
    limits: Limits,

    #[command(flatten)]
    overrides: Overrides,

    #[command(flatten)]
    privileges: Privileges,

    #[command(flatten)]
    mounts: mounts::Options,

    /// When to fetch the image
    #[arg(long, value_name = "WHEN", default_value = "missing")]
    pull: Pull,

    /// The image, as alpine or localhost:5000/name:tag; then the program to run instead of its own,
    /// and arguments. If it has an entrypoint, these are the arguments
    // One list, as no option is the engine's any more after IMAGE.
    #[arg(value_names = ["IMAGE", "COMMAND"], required = true, trailing_var_arg = true)]
    image_and_command: Vec<OsString>,
}

/// What a caller has to know beforehand.
const PROTECTION: &str = "The container shares the network and the kernel with the host, and a fault \
    in a call that the filter allows is a way out. Run what you don't trust as an ordinary user, or in \
    the VM (./just vm), never as root.";

fn main() -> ExitCode {
    shared::main(env!("CARGO_PKG_NAME"), run)
}

fn run(command: &Command) -> Result<u8, Error> {
    own_file::require_in_sight()?;
    match command {
        Command::Run(options) => container::run(options),
        Command::Pull(options) => pull::run(options),
        Command::Images(options) => images::run(options),
        Command::Rmi(options) => rmi::run(options),
        Command::Prune(options) => rmi::prune(options),
        Command::Filter(options) => show::run(options),
        Command::Volume(command) => volumes::run(command),
        Command::Unshare(options) => unshare::run(options),
    }
}
