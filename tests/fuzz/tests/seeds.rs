//! Every target holds for every input in `seeds/`. Each target is tried in a process of its own: it
//! may give up its rights there, which threads can't do one by one.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

fn holds(target: &str) {
    let seeds = Path::new(env!("CARGO_MANIFEST_DIR")).join("seeds").join(target);
    let mut files: Vec<PathBuf> =
        fs::read_dir(&seeds).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert!(files.len() >= 4, "{target} has {} seeds", files.len());
    let output =
        Command::new(env!("CARGO_BIN_EXE_replay")).arg(target).args(&files).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    let last = format!("{target}: {} inputs, and it holds for all of them\n", files.len());
    assert!(text.ends_with(&last), "{text}");
}

#[test]
fn reference() {
    holds("reference");
}

#[test]
fn limits() {
    holds("limits");
}

#[test]
fn challenge() {
    holds("challenge");
}

#[test]
fn manifest() {
    holds("manifest");
}

#[test]
fn user() {
    holds("user");
}

#[test]
fn layer() {
    holds("layer");
}
