//! The programs to put to the checks: starters, and steps with one mistake.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use exercises::starter::{Files, in_crate, starter};
use exercises::tasks::{Exercise, Mistake};
use exercises::{build, manifest};
use sources::Sources;
use toml::{Table, Value};

/// Below the checkout; what is not built anew is there from the last time.
const PLACE: &str = "target/exercises/variants";

/// Crates by their names. They are one workspace, so that Cargo builds them side by side, and in the
/// steps' own target directory, so that what they depend on is built once for all.
#[derive(Default)]
pub struct Variants {
    crates: BTreeMap<String, Files>,
}

impl Variants {
    /// Adds the starter of an exercise.
    pub fn add_starter(
        &mut self,
        checkout: &Path,
        sources: &Sources,
        exercise: &Exercise,
        name: &str,
    ) -> Result<()> {
        self.add(checkout, exercise.step, starter(exercise, sources)?, name)
    }

    /// Adds the step of an exercise with one mistake.
    pub fn add_mistake(
        &mut self,
        checkout: &Path,
        sources: &Sources,
        exercise: &Exercise,
        mistake: &Mistake,
        name: &str,
    ) -> Result<()> {
        let files = sources.step(exercise.step)?.files.values();
        let mut files: Files =
            files.map(|file| (in_crate(&file.path).to_owned(), file.text())).collect();
        let file = files.get_mut(Path::new(&mistake.file));
        let file = file.with_context(|| format!("there is no {}", mistake.file))?;
        let count = file.matches(&mistake.right).count();
        ensure!(count == 1, "{}: {:?} is there {count} times", mistake.file, mistake.right);
        *file = file.replace(&mistake.right, &mistake.wrong);
        self.add(checkout, exercise.step, files, name)
    }

    fn add(&mut self, checkout: &Path, step: u8, mut files: Files, name: &str) -> Result<()> {
        // As a learner's, but a member of the workspace, in which each has another name. Its code knows
        // its library as the step's.
        let mut manifest = manifest::manifest(checkout, step, "../../../..", name)?;
        manifest.retain(|key, _| key != "workspace" && key != "profile");
        manifest["package"]["name"] = name.into();
        if files.contains_key(Path::new("src/lib.rs")) {
            let library = Table::from_iter([("name".into(), format!("step{step}").into())]);
            manifest.insert("lib".into(), library.into());
        }
        files.insert("Cargo.toml".into(), manifest.to_string());
        self.crates.insert(name.into(), files);
        Ok(())
    }

    /// Builds them all and gives the programs by their names.
    pub fn build(mut self, checkout: &Path) -> Result<BTreeMap<String, PathBuf>> {
        let place = checkout.join(PLACE);
        let workspace = workspace(checkout, self.crates.keys())?;
        let lock = fs::read_to_string(checkout.join("Cargo.lock")).context("read Cargo.lock")?;
        let own = Files::from([
            ("Cargo.toml".into(), workspace.to_string()),
            ("Cargo.lock".into(), lock),
        ]);
        write(&place, own)?;
        for (name, files) in std::mem::take(&mut self.crates) {
            write(&place.join(name), files)?;
        }
        let target = checkout.join("target").into_os_string();
        let programs = build::build_in(&place, &["--bins".into(), "--target-dir".into(), target])?;
        let name = |program: PathBuf| {
            let name = program.file_name().unwrap_or_default().to_string_lossy().into_owned();
            (name, program)
        };
        Ok(programs.into_iter().map(name).collect())
    }
}

/// The manifest of the workspace. It builds as the checkout's own does, so that Cargo has what they
/// depend on already.
fn workspace<'a>(checkout: &Path, members: impl Iterator<Item = &'a String>) -> Result<Table> {
    let own = manifest::read(&checkout.join("Cargo.toml"))?;
    let members: Vec<Value> = members.map(|name| name.as_str().into()).collect();
    let workspace = Table::from_iter([
        ("resolver".into(), own["workspace"]["resolver"].clone()),
        ("members".into(), members.into()),
    ]);
    let profile = own["profile"].clone();
    Ok(Table::from_iter([("workspace".into(), workspace.into()), ("profile".into(), profile)]))
}

/// Writes what is not there yet: Cargo builds again what has a new time.
fn write(place: &Path, files: Files) -> Result<()> {
    for (path, text) in files {
        let path = place.join(path);
        if fs::read_to_string(&path).is_ok_and(|is| is == text) {
            continue;
        }
        let folder = path.parent().unwrap_or(place);
        fs::create_dir_all(folder).with_context(|| format!("make {folder:?}"))?;
        fs::write(&path, text).with_context(|| format!("write {path:?}"))?;
    }
    Ok(())
}
