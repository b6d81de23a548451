//! What a registry may send and must not get through with.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use super::super::engine::{Engine, Outcome};
use super::super::failure::{Verdict, equal, require};
use super::super::images::archive::gzip;
use super::super::images::image::{INDEX, MANIFEST, descriptor, digest};
use super::super::images::registry::{push, stored_blob};
use super::super::images::{Archive, Home, Image, Registry, Shelf};
use super::super::stage5::on_changed_machine;
use super::pulling::{busybox, greets, small};

promises! { stage 7:
    tampered_layer by one "a layer that was tampered with: refused, naming both digests, and not kept"
    tampered_documents by one "a manifest or a config that was tampered with: the same"
    wrong_diff_id by one "a layer that inflates to something else: refused, naming both digests"
    wrong_size by one "a layer of another size: refused, naming both sizes"
    cut_off by one "a layer whose compressed data are cut off: refused"
    no_archive by one "a layer that is no archive: refused"
    many_layers by one "a manifest of 10,000 layers: refused"
    huge_layer by one "a layer of 1 EiB: refused before it is asked for"
    many_diff_ids by one "a config about another number of layers: refused"
    bomb by one "a layer that inflates to more than the disk holds: refused"
    two_in_one by one "a manifest that can be read as two images: refused"
    endless_index by one "an index that leads on and on: refused"
    no_registry by one "a server that is no registry: told apart"
}

fn tampered_layer(engine: &Engine) -> Verdict {
    let home = Home::new(engine)?;
    let earlier = home.pulled(&[&busybox()?])?;
    let image = small("tampered");
    push(&image, "tampered", &["--dest-compress-format", "gzip"])?;
    let name = format!("{}/tampered", Registry::open()?);
    // skopeo has compressed it: the registry knows the new name.
    let manifest = stored_manifest("tampered")?;
    let layer = manifest["layers"][0]["digest"].as_str().unwrap_or_default();
    let mut bytes = fs::read(stored_blob(layer))?;
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    fs::write(stored_blob(layer), &bytes)?;
    home.refuses(&[&name], &[layer, &digest(&bytes)])?;
    let kept = home.entries("images/blobs/sha256")?.contains(&layer[7..].to_string());
    require(!kept, &format!("pull {name}"), "that the blob is not kept", "it is in the store")?;
    let partial = home.store().join("partial").join(&layer[7..]);
    require(!partial.exists(), "pull", "nothing left of the blob", partial.display())?;
    greets(engine, &home, &earlier)?;
    // What is wrong today may be right tomorrow.
    bytes[last] ^= 1;
    fs::write(stored_blob(layer), &bytes)?;
    home.pulled(&[&name]).map(drop)
}

/// The manifest that the registry has by the tag `latest`.
fn stored_manifest(repository: &str) -> Result<Value, std::io::Error> {
    let tag = stored_blob("sha256:00")
        .ancestors()
        .nth(5)
        .unwrap_or(Path::new("/"))
        .join(format!("repositories/{repository}/_manifests/tags/latest/current/link"));
    let name = fs::read_to_string(tag)?;
    Ok(serde_json::from_slice(&fs::read(stored_blob(&name))?).unwrap_or_default())
}

fn tampered_documents(engine: &Engine) -> Verdict {
    let home = Home::new(engine)?;
    let image = small("x");
    let config = image.manifest["config"]["digest"].as_str().unwrap_or_default().to_string();
    for (thing, name) in [("manifests", image.digest()), ("blobs", config)] {
        let shelf = Shelf::with(&image)?;
        let wrong = {
            let mut contents = shelf.contents();
            let thing = contents.things.get_mut(&format!("{thing}/{name}")).expect("it is there");
            // Still JSON, and as long as it was.
            let text = String::from_utf8_lossy(&thing.1).replace("amd64", "arm64");
            thing.1 = text.replace(r#""schemaVersion":2"#, r#""schemaversion":2"#).into_bytes();
            digest(&thing.1)
        };
        let pinned = format!("{}@{}", shelf.name(), image.digest());
        home.refuses(&[&pinned], &[&name, &wrong])?;
    }
    Ok(())
}

/// Requires that an image is refused with these words.
fn refused(engine: &Engine, image: &Image, words: &[&str]) -> Verdict {
    let home = Home::new(engine)?;
    let shelf = Shelf::with(image)?;
    home.refuses(&[&shelf.name()], words)?;
    equal("pull", "names in the store", String::new(), home.images()?.1)
}

fn wrong_diff_id(engine: &Engine) -> Verdict {
    let layer = Archive::begin().file("text", "x").end();
    let other = digest(b"something else");
    let image = Image::packed(vec![("tar+gzip", gzip(&layer), other.clone())]);
    refused(engine, &image, &[&digest(&layer), &other])
}

fn wrong_size(engine: &Engine) -> Verdict {
    let size = small("x").blobs[0].1.len();
    for wrong in [size - 1, size + 1] {
        let mut image = small("x");
        image.manifest["layers"][0]["size"] = wrong.into();
        refused(engine, &image, &[&size.to_string(), &wrong.to_string()])?;
    }
    Ok(())
}

fn cut_off(engine: &Engine) -> Verdict {
    let layer = Archive::begin().file("text", &"x".repeat(10_000)).end();
    let mut packed = gzip(&layer);
    packed.truncate(packed.len() - 9);
    let image = Image::packed(vec![("tar+gzip", packed, digest(&layer))]);
    refused(engine, &image, &["cut off"])
}

fn no_archive(engine: &Engine) -> Verdict {
    let image = Image::of(&[b"This is no archive. ".repeat(100)]);
    refused(engine, &image, &["archive"])
}

fn many_layers(engine: &Engine) -> Verdict {
    let mut image = small("x");
    let layer = image.manifest["layers"][0].clone();
    image.manifest["layers"] = vec![layer; 10_000].into();
    image.config["rootfs"]["diff_ids"] = vec![digest(b""); 10_000].into();
    image.refer_to_config();
    refused(engine, &image, &["10000", "layers", "500"])
}

fn huge_layer(engine: &Engine) -> Verdict {
    let home = Home::new(engine)?;
    let mut image = small("x");
    image.manifest["layers"][0]["size"] = (1u64 << 60).into();
    let shelf = Shelf::with(&image)?;
    home.refuses(&[&shelf.name()], &["1152921504606846976"])?;
    let asked = shelf.asked(&format!("GET blobs/{}", image.layer(0)));
    equal("pull", "requests for the layer", 0, asked)
}

fn many_diff_ids(engine: &Engine) -> Verdict {
    let mut image = small("x");
    image.config["rootfs"]["diff_ids"] = vec![digest(b""); 2].into();
    image.refer_to_config();
    refused(engine, &image, &["1 layers", "diff_ids", "2"])
}

/// A layer of an entry whose content is 64 MiB of zeros, and which takes some kilobytes.
fn zeros(name: &str) -> Result<Vec<u8>, std::io::Error> {
    let mut header = tar::Header::new_ustar();
    header.set_path(name)?;
    header.set_size(64 << 20);
    header.set_mode(0o644);
    header.set_cksum();
    // gzip files may follow each other.
    Ok([gzip(header.as_bytes()), gzip(&[0; 1 << 20]).repeat(64)].concat())
}

fn bomb(engine: &Engine) -> Verdict {
    let home = Home::new(engine)?;
    let store = home.make_directory("store")?.display().to_string();
    let id = engine.caller.id();
    // A disk of 16 MiB.
    let script = format!("mount -t tmpfs -o size=16m,mode=700,uid={id},gid={id} none {store}");
    // What is written fills the disk. What is not, as a whiteout's content, has its limit, too.
    for (entry, words) in [("zeros", "No space left"), (".wh.x", "inflates to more than")] {
        let image = Image::packed(vec![("tar+gzip", zeros(entry)?, digest(b""))]);
        let shelf = Shelf::with(&image)?;
        let (program, name) = (engine.binary.display(), shelf.name());
        let line = format!("env SLIPWAY_HOME={store} {program} pull -q {name}");
        let outcome = on_changed_machine(engine, &script, &line)?;
        outcome.ends_with(125)?.prints("")?.complains_of(&[words])?;
    }
    Ok(())
}

fn two_in_one(engine: &Engine) -> Verdict {
    let mut image = small("x");
    image.manifest["manifests"] = json!([]);
    refused(engine, &image, &["as an index and as an image"])
}

fn endless_index(engine: &Engine) -> Verdict {
    let home = Home::new(engine)?;
    let shelf = Shelf::at("127.0.0.1")?;
    let mut next = descriptor(MANIFEST, b"");
    for _ in 0..100 {
        let index = json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": [next] });
        let bytes = index.to_string().into_bytes();
        next = descriptor(INDEX, &bytes);
        shelf.put_document("latest", INDEX, bytes);
    }
    home.refuses(&[&shelf.name()], &["index leads to more than"])?;
    let asked = shelf.asked("GET manifests/");
    require(asked < 50, "pull", "an end before long", format!("{asked} requests"))
}

fn no_registry(engine: &Engine) -> Verdict {
    let home = Home::new(engine)?;
    let shelf = Shelf::at("127.0.0.1")?;
    let page = b"<!doctype html><title>Welcome</title>".to_vec();
    shelf.put_document("latest", "text/html", page);
    let outcome = Outcome::of(home.pull(&[&shelf.name()]), b"")?;
    outcome.ends_with(125)?.prints("")?.complains_of(&["web page"])
}
