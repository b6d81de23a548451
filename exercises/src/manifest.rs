//! The starter's Cargo.toml: a workspace of its own, whose package has the step's name.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use toml::{Table, Value};

/// Makes the manifest of work/stepN from those of the step, of the step before and of the workspace.
/// `up` leads from there to the checkout: `../..`. `mark` is another one for each crate that is made: to
/// Cargo, whose outputs they share, two of one step would be the same package, and it would take what it
/// has built of one for the other.
///
/// # Errors
///
/// One of them can't be read.
pub fn manifest(checkout: &Path, step: u8, up: &str, mark: &str) -> Result<Table> {
    let workspace = read(&checkout.join("Cargo.toml"))?;
    let common = |table: &str, key: &str| workspace["workspace"][table].get(key).cloned();
    let of = |step: u8| read(&checkout.join(format!("steps/step{step}/Cargo.toml")));
    let (new, old) = (of(step)?, step.checked_sub(1).map_or(Ok(Table::new()), of)?);

    let mut package = Table::new();
    for key in ["name", "description", "edition", "rust-version", "publish"] {
        let own = new["package"].get(key).filter(|value| !value.is_table()).cloned();
        let value = own.or_else(|| common("package", key));
        package.insert(key.into(), value.with_context(|| format!("no {key}"))?);
    }
    package.insert("version".into(), format!("{step}.0.0+{mark}").into());
    let mut dependencies = Table::new();
    let tables =
        [&old, &new].into_iter().filter_map(|manifest| manifest.get("dependencies")?.as_table());
    for (name, value) in tables.flatten().filter(|(name, _)| **name != format!("step{step}")) {
        let inherits = value.get("workspace").is_some();
        let value = if inherits { common("dependencies", name) } else { Some(value.clone()) };
        let mut value = value.with_context(|| format!("the workspace has no {name}"))?;
        if let Some(path) = value.get_mut("path").filter(|path| path.is_str()) {
            let from = if inherits { up.to_string() } else { format!("{up}/steps") };
            let text = path.as_str().unwrap_or_default().trim_start_matches("../");
            *path = Value::String(format!("{from}/{text}"));
        }
        dependencies.insert(name.clone(), value);
    }
    let mut manifest = Table::new();
    manifest.insert("workspace".into(), Table::new().into());
    manifest.insert("package".into(), package.into());
    manifest.insert("dependencies".into(), dependencies.into());
    manifest.insert("lints".into(), Table::from_iter([("rust".into(), lints().into())]).into());
    manifest.insert("profile".into(), profile(&workspace["profile"]["release"]).into());
    Ok(manifest)
}

/// As the steps are shipped, but for what makes each edit wait: a learner is watching. And for
/// debugging, what is not the learner's is fast all the same.
fn profile(release: &Value) -> Table {
    let mut release = release.as_table().cloned().unwrap_or_default();
    release.insert("codegen-units".into(), 16.into());
    release.insert("incremental".into(), true.into());
    let mut others = Table::new();
    others.insert("opt-level".into(), 2.into());
    let package = Table::from_iter([("*".into(), others.into())]);
    let dev = Table::from_iter([("package".into(), package.into())]);
    Table::from_iter([("release".into(), release.into()), ("dev".into(), dev.into())])
}

/// What the learner would have to mend for nothing: a starter imports what its solution needs, and
/// has functions that nobody calls yet.
fn lints() -> Table {
    Table::from_iter(["unused", "unreachable_code"].map(|lint| (lint.into(), "allow".into())))
}

/// Reads a manifest.
///
/// # Errors
///
/// It can't be read.
pub fn read(path: &Path) -> Result<Table> {
    let text = fs::read_to_string(path).with_context(|| format!("read {path:?}"))?;
    text.parse().with_context(|| format!("read {path:?}"))
}
