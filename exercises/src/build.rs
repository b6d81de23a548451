//! Builds a learner's crate.

use std::ffi::OsString;
use std::fs;
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
    let programs = build_in(&place::begun(checkout, step)?, &["--release".into()]);
    let last = programs.and_then(|programs| programs.into_iter().last().context("no program"));
    last.with_context(|| format!("work/step{step}"))
}

/// Whether a crate of this step was built before.
pub fn has_built(checkout: &Path, step: u8) -> bool {
    let targets = fs::read_dir(checkout.join("target/work")).into_iter().flatten().flatten();
    targets.map(|target| target.path().join(format!("release/step{step}"))).any(|it| it.exists())
}

/// Builds what is in a directory and gives the programs.
///
/// # Errors
///
/// It does not compile.
pub fn build_in(directory: &Path, arguments: &[OsString]) -> Result<Vec<PathBuf>> {
    let built = as_typed("cargo")
        .args(["build", "--quiet", "--message-format", "json-render-diagnostics"])
        .args(arguments)
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
    let programs = messages.lines().filter_map(executable);
    programs.map(|program| program.canonicalize().context("find its program")).collect()
}
