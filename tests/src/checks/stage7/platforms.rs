//! One name, several images: which one is for whom.

use std::fs;

use serde_json::{Value, json};

use super::super::engine::Engine;
use super::super::failure::{Failure, Verdict, equal};
use super::super::images::image::{INDEX, descriptor};
use super::super::images::registry::push;
use super::super::images::{Archive, Home, Image, Registry, Shelf};
use super::pulling::small;

promises! { stage 7:
    platforms by one "of an image for several platforms this machine's is taken, or --platform's"
    no_such_platform by one "no such platform: status 125, and those there are"
    nested_index by one "an index may lead to another one"
    dockers_manifest by one "Docker's own kind of manifest is as good"
}

/// A platform as an index has it.
fn platform(os: &str, architecture: &str) -> Value {
    json!({ "os": os, "architecture": architecture })
}

/// An image for a platform, with a text.
fn image_for(os: &str, architecture: &str, text: &str) -> Image {
    let mut image = Image::of(&[Archive::begin().file("text", text).end()]);
    image.config["os"] = os.into();
    image.config["architecture"] = architecture.into();
    image.refer_to_config();
    image
}

/// An image for three platforms, one of which is none.
fn shelf_of_three() -> Result<Shelf, Failure> {
    let shelf = Shelf::at("127.0.0.1")?;
    shelf.offer_index(
        "latest",
        &[
            (platform("unknown", "unknown"), &image_for("unknown", "unknown", "a note")),
            (platform("linux", "arm64"), &image_for("linux", "arm64", "arm64")),
            (platform("linux", "amd64"), &image_for("linux", "amd64", "amd64")),
        ],
    );
    Ok(shelf)
}

fn says(home: &Home, args: &[&str], expected: &str) -> Verdict {
    let text = fs::read_to_string(home.pulled(args)?.join("text"))?;
    equal(&format!("pull {}", args.join(" ")), "what the image says", expected, text.as_str())
}

fn platforms(engine: &Engine) -> Verdict {
    let home = Home::new(engine)?;
    let shelf = shelf_of_three()?;
    says(&home, &[&shelf.name()], "amd64")?;
    says(&home, &["--platform", "linux/arm64", &shelf.name()], "arm64")
}

fn no_such_platform(engine: &Engine) -> Verdict {
    let home = Home::new(engine)?;
    let shelf = shelf_of_three()?;
    let there = ["linux/s390x", "linux/amd64, linux/arm64"];
    home.refuses(&["--platform", "linux/s390x", &shelf.name()], &there)?;
    // Without an index only the config tells.
    shelf.offer("alone", &small("x"));
    let alone = format!("{}:alone", shelf.name());
    home.refuses(&["--platform", "linux/s390x", &alone], &["linux/amd64", "linux/s390x"])
}

fn nested_index(engine: &Engine) -> Verdict {
    let home = Home::new(engine)?;
    let shelf = Shelf::at("127.0.0.1")?;
    let images = [(platform("linux", "amd64"), &image_for("linux", "amd64", "within"))];
    shelf.offer_index("inner", &images);
    let inner = shelf.contents().things["manifests/inner"].1.clone();
    let entries = [descriptor(INDEX, &inner)];
    let outer = json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": entries });
    shelf.put_document("latest", INDEX, outer.to_string().into_bytes());
    says(&home, &[&shelf.name()], "within")
}

fn dockers_manifest(engine: &Engine) -> Verdict {
    let home = Home::new(engine)?;
    push(&small("Docker's"), "dockers", &["--format", "v2s2"])?;
    says(&home, &[&format!("{}/dockers", Registry::open()?)], "Docker's")
}
