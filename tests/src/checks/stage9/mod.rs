//! Stage 9: images share their layers, and go by name.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::engine::{Engine, Outcome};
use super::failure::{Failure, Verdict, equal, require};
use super::images::image::digest;
use super::images::merged;
use super::images::{Archive, Home, Image, Shelf};
use super::{Check, samples};

mod listed;
mod removed;
mod shared;

/// The checks, by what they are about.
pub const CHECKS: [&[Check]; 3] = [shared::CHECKS, listed::CHECKS, removed::CHECKS];

/// A shelf with two images on one base: `:one` and `:two`.
fn two_on_one_base() -> Result<Shelf, Failure> {
    let shelf = Shelf::at("127.0.0.1")?;
    for (tag, text) in [("one", "the first\n"), ("two", "the second\n")] {
        shelf.offer(tag, &on_base(Archive::begin().file("own", text))?);
    }
    Ok(shelf)
}

/// An image of the usual base and a layer of its own.
fn on_base(layer: Archive) -> Result<Image, Failure> {
    let mut image = samples::sample(json!({ "Cmd": ["/bin/sh"] }), Some(layer))?;
    image.config["created"] = json!("2024-02-29T12:00:00.5+01:00");
    image.refer_to_config();
    Ok(image)
}

/// The chain ids of an image's layers.
fn chain_ids(image: &Image) -> Vec<String> {
    merged::chain_ids(&image.config)
}

impl Home<'_> {
    /// Pulls, and requires that this works.
    fn pulls(&self, name: &str) -> Verdict {
        Outcome::of(self.pull(&[name]), b"")?.ends_with(0).map(drop)
    }

    /// A subcommand to its end.
    fn does(&self, args: &[&str]) -> Result<Outcome, Failure> {
        Outcome::of(self.at_home(self.engine().subcommand(args)), b"")
    }

    /// Runs a script in an image that is here.
    fn sh(&self, image: &str, script: &str) -> Result<Outcome, Failure> {
        let args = ["--pull", "never", image, "/bin/sh", "-c", script];
        self.does(&[&["run"], &args[..]].concat())
    }

    /// The chain ids of the layers that are here.
    fn layers(&self) -> io::Result<Vec<String>> {
        let names = self.entries("layers")?;
        Ok(names.into_iter().map(|name| format!("sha256:{name}")).collect())
    }

    /// Requires that there are the layers of these images, and no others, and nothing half-done.
    fn has_layers_of(&self, images: &[&Image]) -> Verdict {
        self.has_layers_of_but_blobs(images)?;
        equal("what is in the store", "partial", Vec::new(), self.entries("partial")?)
    }

    /// The same where a blob may wait for the next pull.
    fn has_layers_of_but_blobs(&self, images: &[&Image]) -> Verdict {
        let mut expected: Vec<String> = images.iter().flat_map(|image| chain_ids(image)).collect();
        expected.sort();
        expected.dedup();
        equal("what is in the store", "the layers", expected, self.layers()?)?;
        equal("what is in the store", "removed", Vec::new(), self.entries("removed")?)?;
        let partial = self.entries("partial")?;
        let is_begun = partial.iter().any(|name| name.ends_with(".layer"));
        require(!is_begun, "what is in the store", "no layer half-way", format!("{partial:?}"))
    }
}

/// Options of strace(1), which let each process be killed at its so many-th call of this name.
fn killing(call: &str, nth: u32) -> Vec<String> {
    // strace injects nothing into a call that it does not trace.
    let traced = format!("trace={call}");
    let inject = format!("--inject={call}:signal=KILL:when={nth}");
    ["-qq", "-o", "/dev/null", "-e", &traced, &inject].map(String::from).into()
}

/// Bytes that files take on the disk, each once whatever names it has.
fn disk_use(directory: &Path) -> Result<u64, Failure> {
    let mut du = std::process::Command::new("/usr/bin/du");
    du.args(["--summarize", "--block-size=1"]).arg(directory);
    let outcome = Outcome::of(du, b"")?;
    let bytes = outcome.ends_with(0)?.stdout.split_whitespace().next().map(str::parse);
    match bytes {
        Some(Ok(bytes)) => Ok(bytes),
        _ => Err(outcome.failure("a number of bytes")),
    }
}
