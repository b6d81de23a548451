//! Stage 12: files that stay.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::engine::{Caller, Engine, Outcome};
use super::failure::{Failure, Verdict, equal, require};
use super::images::{Archive, Home, Item};
use super::{Check, samples};

mod binds;
mod links;
mod memory;
mod owners;
mod volumes;

/// The checks, by what they are about.
pub const CHECKS: [&[Check]; 5] =
    [binds::CHECKS, links::CHECKS, memory::CHECKS, owners::CHECKS, volumes::CHECKS];

/// The usual image runs a script, with options. Paths begin at home.
fn sh(home: &Home, options: &[&str], script: &str) -> Result<Outcome, Failure> {
    image_sh(home, &samples::rootfs()?, options, script)
}

/// The same with another image.
fn image_sh(home: &Home, image: &str, options: &[&str], script: &str) -> Result<Outcome, Failure> {
    let image = home.engine().ready(image.to_string())?;
    Outcome::of(command(home, &image, options, script), b"")
}

fn command(home: &Home, image: &str, options: &[&str], script: &str) -> Command {
    let mut command = home.engine().image(options, image, &["/bin/sh", "-c", script]);
    command.current_dir(home.path());
    command
}

/// A directory `src` at home with a file in it.
fn source(home: &Home) -> Result<PathBuf, Failure> {
    let directory = home.make_directory("src")?;
    home.make_file("src/file", 0o644, "outside\n")?;
    Ok(directory)
}
