//! Behaviour checks of every stage, the VM they run in, and the tools around them.
pub mod checks;
pub mod doctor;
pub mod grading;
pub mod remembered;
pub mod report;
pub mod snapshots;
pub mod steps;
pub mod surveys;
pub mod trace;
pub mod transcripts;
pub mod vm;

use std::env;
use std::process::Command;

/// A command that may call cargo, for a program that `cargo run` runs: without what that has told the program about its
/// package. To a build script it would be news, and what depends on it would be built anew, minutes for step 7.
pub fn as_typed(program: &str) -> Command {
    let mut command = Command::new(program);
    let is_news =
        |name: &str| ["CARGO_PKG_", "CARGO_MANIFEST_"].iter().any(|start| name.starts_with(start));
    for (name, _) in env::vars_os().filter(|(name, _)| name.to_str().is_some_and(is_news)) {
        command.env_remove(name);
    }
    command
}
