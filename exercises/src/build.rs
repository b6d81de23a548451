//! Builds a learner's crate.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context, Result, bail};
use serde_json::Value;
use tests::as_typed;

use crate::place;

/// Builds work/stepN and gives its program. What the compiler has to say goes to standard error.
///
/// # Errors
///
/// There is no work/stepN, or it does not compile.
pub fn build(checkout: &Path, step: u8) -> Result<PathBuf> {
    build_in(&place::begun(checkout, step)?, "release").with_context(|| format!("work/step{step}"))
}

/// Builds the crate in a directory and gives its program.
///
/// # Errors
///
/// It does not compile.
pub fn build_in(directory: &Path, profile: &str) -> Result<PathBuf> {
    let built = as_typed("cargo")
        .args(["build", "--quiet", "--message-format", "json-render-diagnostics"])
        .args(["--profile", profile])
        .current_dir(directory)
        .stderr(Stdio::inherit())
        .output()
        .context("run cargo")?;
    if !built.status.success() {
        bail!("it does not compile, see above");
    }
    let messages = String::from_utf8_lossy(&built.stdout);
    let executable = |line| {
        let message: Value = serde_json::from_str(line).ok()?;
        message["executable"].as_str().map(PathBuf::from)
    };
    let program = messages.lines().rev().find_map(executable).context("it has no program")?;
    program.canonicalize().context("find its program")
}
