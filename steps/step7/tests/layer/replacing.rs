//! What becomes of a file when another one comes in its place.

use std::fs;
use std::os::unix::fs::{FileTypeExt, MetadataExt};

use super::scratch::{Layer, Scratch};

/// Adds a `thing` of a kind.
fn add(layer: Layer, kind: &str) -> Layer {
    match kind {
        "file" => layer.file("thing", "content"),
        "symlink" => layer.symlink("thing", "other"),
        "directory" => layer.dir("thing", 0o750).file("thing/below", "deep"),
        "fifo" => layer.entry(b'6', "thing", "", |_| {}),
        _ => layer.hardlink("thing", "other/file"),
    }
}

fn check(scratch: &Scratch, kind: &str) {
    let meta = scratch.meta("thing");
    match kind {
        "file" => assert!(meta.is_file() && scratch.read("thing") == "content"),
        "symlink" => assert!(meta.is_symlink()),
        "directory" => assert!(meta.is_dir() && scratch.read("thing/below") == "deep"),
        "fifo" => assert!(meta.file_type().is_fifo()),
        _ => assert_eq!(meta.ino(), scratch.meta("other/file").ino()),
    }
    // Nothing went through a link.
    assert_eq!(scratch.names("other"), ["file"]);
    assert_eq!(scratch.read("other/file"), "other's");
    assert_eq!(scratch.mode("other"), 0o711);
}

#[test]
fn anything_replaces_anything() {
    let kinds = ["file", "symlink", "directory", "fifo", "hardlink"];
    for first in kinds {
        for second in kinds {
            let base = Layer::new().dir("other/", 0o711).file("other/file", "other's");
            // By a later layer, and by a later entry.
            let scratch = Scratch::new();
            scratch.apply(add(base.clone(), first));
            scratch.apply(add(Layer::new(), second));
            check(&scratch, second);
            let scratch = Scratch::new();
            scratch.apply(add(add(base, first), second));
            check(&scratch, second);
        }
    }
}

#[test]
fn a_directory_over_a_directory_keeps_what_it_holds() {
    let scratch = Scratch::new();
    scratch.apply(Layer::new().dir("d/", 0o755).file("d/old", "old"));
    scratch.apply(Layer::new().dir("d", 0o700).file("d/new", "new"));
    assert_eq!(scratch.names("d"), ["new", "old"]);
    assert_eq!(scratch.mode("d"), 0o700);
}

#[test]
fn a_hardlink_keeps_the_content_of_what_is_replaced() {
    let scratch = Scratch::new();
    scratch.apply(Layer::new().file("a", "old").hardlink("b", "a"));
    assert_eq!(scratch.meta("a").nlink(), 2);
    scratch.apply(Layer::new().hardlink("c", "/a").file("a", "new"));
    assert_eq!([scratch.read("a"), scratch.read("b"), scratch.read("c")], ["new", "old", "old"]);
    assert_eq!(scratch.meta("b").ino(), scratch.meta("c").ino());
}

#[test]
fn a_hardlink_to_itself_loses_nothing() {
    let scratch = Scratch::new();
    scratch.apply(Layer::new().file("a", "here").hardlink("a", "./a"));
    assert_eq!(scratch.read("a"), "here");
}

#[test]
fn a_hardlink_gives_a_link_another_name_and_changes_no_metadata() {
    let scratch = Scratch::new();
    scratch.apply(Layer::new().symlink("l", "nowhere").hardlink("h", "l"));
    assert_eq!(fs::read_link(scratch.path("h")).unwrap().to_str(), Some("nowhere"));
    let layer = Layer::new().entry(b'0', "f", "x", |header| header.set_mode(0o4755));
    scratch.apply(layer.hardlink("g", "f"));
    assert_eq!(scratch.mode("g"), 0o4755);
}

#[test]
fn the_last_of_the_same_entries_counts() {
    let scratch = Scratch::new();
    scratch.apply(Layer::new().file("f", "1").file("./f", "22").file("/f", "3"));
    assert_eq!(scratch.read("f"), "3");
}

#[test]
fn a_link_to_nowhere_gets_its_directory() {
    let scratch = Scratch::new();
    scratch.apply(
        Layer::new()
            .symlink("run", "/var/run/./deep")
            .file("run/a/pid", "1")
            .symlink("up", "../x/../y")
            .file("up/b", "2"),
    );
    assert_eq!(scratch.read("var/run/deep/a/pid"), "1");
    assert_eq!(scratch.read("y/b"), "2");
    assert_eq!(scratch.mode("var/run"), 0o755);
}
