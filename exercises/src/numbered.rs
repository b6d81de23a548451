//! Many wrong programs as one: it is built once, with a number in its file that says in which way it is wrong.

use std::fs;
use std::ops::Range;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use tests::vm::payload::strip;
use toml::{Table, Value};

use crate::starter::Files;
use crate::{manifest, mistake};

/// The crate that knows the number, and what a manifest has among its dependencies for it.
pub fn mistake() -> (Files, Table) {
    let package = [("name", "mistake"), ("version", "0.0.0"), ("edition", "2024")];
    let package = Table::from_iter(package.map(|(key, value)| (key.into(), value.into())));
    let manifest = Table::from_iter([("package".into(), package.into())]);
    let files = Files::from([
        ("Cargo.toml".into(), manifest.to_string()),
        ("src/lib.rs".into(), include_str!("mistake.rs").into()),
    ]);
    let path = Table::from_iter([("path".into(), "../mistake".into())]);
    (files, Table::from_iter([("mistake".into(), path.into())]))
}

/// The manifest of a crate that is step `step`, but for its name: a member of a workspace four folders below the
/// checkout, with `more` dependencies. Its code knows its library as the step's.
pub fn member(checkout: &Path, step: u8, files: &Files, more: Table, name: &str) -> Result<Table> {
    // As a learner's, but a member of the workspace, in which each has another name.
    let mut manifest = manifest::manifest(checkout, step, "../../../..", name)?;
    manifest.retain(|key, _| key != "workspace" && key != "profile");
    manifest["package"]["name"] = name.into();
    let dependencies = manifest["dependencies"].as_table_mut();
    dependencies.context("there are dependencies")?.extend(more);
    if files.contains_key(Path::new("src/lib.rs")) {
        let library = Table::from_iter([("name".into(), format!("step{step}").into())]);
        manifest.insert("lib".into(), library.into());
    }
    Ok(manifest)
}

/// Writes the manifest of the workspace, and the checkout's Cargo.lock. It builds as the checkout's own does, so that
/// Cargo has what they depend on already.
pub fn write_workspace<'a>(
    checkout: &Path,
    place: &Path,
    members: impl Iterator<Item = &'a String>,
) -> Result<()> {
    let own = manifest::read(&checkout.join("Cargo.toml"))?;
    let members: Vec<Value> = members.map(|name| name.as_str().into()).collect();
    let workspace = Table::from_iter([
        ("resolver".into(), own["workspace"]["resolver"].clone()),
        ("members".into(), members.into()),
    ]);
    let profile = own["profile"].clone();
    let manifest =
        Table::from_iter([("workspace".into(), workspace.into()), ("profile".into(), profile)]);
    let lock = fs::read_to_string(checkout.join("Cargo.lock")).context("read Cargo.lock")?;
    let files =
        Files::from([("Cargo.toml".into(), manifest.to_string()), ("Cargo.lock".into(), lock)]);
    write(place, files)
}

/// Writes what is not there yet: Cargo builds again what has a new time.
pub fn write(place: &Path, files: Files) -> Result<()> {
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

/// A program that was built, without what it does not need to run, and where the digits of its number are.
pub fn read(program: &Path) -> Result<(Vec<u8>, Range<usize>)> {
    let mut bytes = fs::read(program).with_context(|| format!("read {program:?}"))?;
    strip(&mut bytes);
    let mark = &mistake::MARK;
    let starts = (0..bytes.len()).filter(|place| bytes[*place] == mark[0]);
    let places: Vec<usize> = starts.filter(|place| bytes[*place..].starts_with(mark)).collect();
    let [place] = places[..] else { bail!("its number is there {} times", places.len()) };
    let end = place + mark.len();
    Ok((bytes, end - mistake::DIGITS..end))
}

/// A number as it stands in a program.
pub fn digits(number: usize) -> String {
    format!("{number:0width$}", width = mistake::DIGITS)
}

/// Writes programs of these names, of which the first one makes mistake 1.
pub fn write_copies(
    program: &Path,
    folder: &Path,
    names: &[String],
) -> Result<Vec<(String, PathBuf)>> {
    let (mut bytes, place) = read(program)?;
    let mut copies = Vec::new();
    for (number, name) in (1..).zip(names) {
        bytes[place.clone()].copy_from_slice(digits(number).as_bytes());
        let copy = folder.join(name);
        fs::write(&copy, &bytes)?;
        fs::set_permissions(&copy, fs::Permissions::from_mode(0o755))?;
        copies.push((name.clone(), copy));
    }
    Ok(copies)
}
