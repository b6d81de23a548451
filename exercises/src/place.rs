//! Where a learner's crates are: work/stepN in the checkout.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use jiff::Timestamp;
use sources::Sources;

use crate::starter::{Files, starter};
use crate::tasks::Exercise;
use crate::{manifest, sheet};

/// The learner's crate for a step.
pub fn directory(checkout: &Path, step: u8) -> PathBuf {
    checkout.join(format!("work/step{step}"))
}

/// The learner's crate for a step, which has to be there.
///
/// # Errors
///
/// It is not.
pub fn begun(checkout: &Path, step: u8) -> Result<PathBuf> {
    let place = directory(checkout, step);
    if place.is_dir() {
        Ok(place)
    } else {
        bail!("there is no work/step{step}: ./just start {step} makes it")
    }
}

/// Makes the crate; false if there is one already, which is left alone.
///
/// # Errors
///
/// The exercise can't be read, or a file can't be written; then nothing is left.
pub fn start(checkout: &Path, step: u8) -> Result<bool> {
    let place = directory(checkout, step);
    if place.exists() {
        return Ok(false);
    }
    let exercise = Exercise::read(checkout, step)?;
    let mut files = starter(&exercise, &Sources::read(checkout)?)?;
    files.insert("TASKS.md".into(), sheet::sheet(&exercise)?);
    let mark = Timestamp::now().as_second().to_string();
    complete(checkout, step, &mut files, &place, &mark)?;
    write(files, &place)?;
    Ok(true)
}

/// Adds to the sources of a step what makes a crate at `place` of them, which is below the checkout.
/// `mark` tells it from others of the step.
///
/// # Errors
///
/// A manifest can't be read.
pub fn complete(
    checkout: &Path,
    step: u8,
    files: &mut Files,
    place: &Path,
    mark: &str,
) -> Result<()> {
    let below = place.strip_prefix(checkout).context("it is not below the checkout")?;
    let up = vec![".."; below.components().count()].join("/");
    let manifest = manifest::manifest(checkout, step, &up, mark)?;
    files.insert("Cargo.toml".into(), manifest.to_string());
    // All of a learner's crates build in one place, so that what they depend on is built once; and not
    // in the steps' own, where programs of the same names are.
    let config = format!("[build]\ntarget-dir = \"{up}/target/work\"\n");
    files.insert(".cargo/config.toml".into(), config);
    let lock = checkout.join("Cargo.lock");
    files.insert("Cargo.lock".into(), fs::read_to_string(&lock).context("read Cargo.lock")?);
    Ok(())
}

/// Writes the files of a crate, all of them or nothing: a half-made one would be taken for the
/// learner's.
///
/// # Errors
///
/// One can't be written.
pub fn write(files: Files, place: &Path) -> Result<()> {
    let unfinished = place.with_extension("unfinished");
    if unfinished.exists() {
        fs::remove_dir_all(&unfinished).with_context(|| format!("remove {unfinished:?}"))?;
    }
    for (path, text) in files {
        let path = unfinished.join(path);
        let folder = path.parent().unwrap_or(&unfinished);
        fs::create_dir_all(folder).with_context(|| format!("make {folder:?}"))?;
        fs::write(&path, text).with_context(|| format!("write {path:?}"))?;
    }
    fs::rename(&unfinished, place).with_context(|| format!("make {place:?}"))
}

/// Moves the crate aside, and gives its new place. `date` is `2026-11-21`.
///
/// # Errors
///
/// There is none, or it can't be moved.
pub fn reset(checkout: &Path, step: u8, date: &str) -> Result<PathBuf> {
    let place = begun(checkout, step)?;
    let names = (1..).map(|number| match number {
        1 => format!("step{step}.{date}"),
        _ => format!("step{step}.{date}.{number}"),
    });
    let mut places = names.map(|name| place.with_file_name(name));
    let aside = places.find(|place| !place.exists()).context("there is no free name")?;
    fs::rename(&place, &aside).with_context(|| format!("move {place:?} to {aside:?}"))?;
    Ok(aside)
}
