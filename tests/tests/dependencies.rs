//! Every crate has the project's licence, and uses what it names in its Cargo.toml.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

/// The crates of the workspace, as Cargo describes them.
fn packages() -> Vec<Value> {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--no-deps", "--offline", "--format-version", "1"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let workspace: Value = serde_json::from_slice(&output.stdout).unwrap();
    let packages = workspace["packages"].as_array().unwrap().clone();
    assert!(packages.len() > 10, "there are the steps alone");
    packages
}

/// cargo-deny leaves our own crates out.
#[test]
fn every_crate_has_the_projects_licence() {
    for package in packages() {
        assert_eq!(package["license"], "MIT OR Apache-2.0", "{}", package["manifest_path"]);
    }
    let top = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    for (file, words) in [("LICENSE-MIT", "free of charge"), ("LICENSE-APACHE", "Version 2.0")] {
        assert!(fs::read_to_string(top.join(file)).unwrap().contains(words), "{file}");
    }
}

#[test]
fn what_is_named_is_used() {
    for package in packages() {
        let manifest = Path::new(package["manifest_path"].as_str().unwrap());
        let sources = sources(manifest.parent().unwrap());
        for dependency in package["dependencies"].as_array().unwrap() {
            let name = dependency["rename"].as_str().or(dependency["name"].as_str()).unwrap();
            let is_used = uses(&sources, &name.replace('-', "_"));
            assert!(is_used, "{} does not use {name}: take it out", manifest.display());
        }
    }
}

/// The Rust files of a crate, without those of a crate in it.
fn sources(directory: &Path) -> String {
    let mut text = String::new();
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() && !path.join("Cargo.toml").exists() {
            text += &sources(&path);
        } else if path.extension().is_some_and(|end| end == "rs") {
            text += &fs::read_to_string(&path).unwrap();
        }
    }
    text
}

/// Whether there is `name::…` or `use name;`.
fn uses(sources: &str, name: &str) -> bool {
    sources.match_indices(name).any(|(start, _)| {
        let (before, after) = (&sources[..start], &sources[start + name.len()..]);
        let is_whole = !before.ends_with(|c: char| c.is_alphanumeric() || c == '_');
        is_whole && (after.starts_with("::") || before.ends_with("use ") && after.starts_with(';'))
    })
}
