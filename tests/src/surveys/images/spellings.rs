//! Documents that spell their keys in other ways. Go's readers take a key in any case, and of two the
//! last: where we took the first there would be two images under one digest.

use serde_json::{Map, Value, json};

use super::case::Case;
use super::case::Fate::{LikeUmoci, Prints, Refused};
use crate::checks::images::image::{INDEX, MANIFEST, descriptor, digest};
use crate::checks::images::{Archive, Image};
use crate::checks::samples;

pub fn cases() -> Vec<Case> {
    vec![
        Case::image("spelling: a manifest and its config in capitals", LikeUmoci, || {
            let mut image = image();
            image.config = in_capitals(&image.config);
            image.refer_to_config();
            image.manifest = in_capitals(&image.manifest);
            image
        }),
        Case::image("spelling: `layers` with the long s of old prints", LikeUmoci, || {
            let mut image = image();
            let layers = image.manifest["layers"].take();
            image.manifest.as_object_mut().expect("it is one").remove("layers");
            image.manifest["layer\u{17f}"] = layers;
            image
        }),
        twice(
            "spelling: a manifest with `layers` and `LAYERS`",
            "duplicate field `layers`",
            |image| {
                image.manifest["LAYERS"] = json!([]);
            },
        ),
        twice(
            "spelling: a manifest with `config` and `Config`",
            "duplicate field `config`",
            |image| {
                image.manifest["Config"] = image.manifest["config"].clone();
            },
        ),
        twice(
            "spelling: a layer with `digest` and `Digest`",
            "duplicate field `digest`",
            |image| {
                image.manifest["layers"][0]["Digest"] = digest(b"another").into();
            },
        ),
        twice(
            "spelling: a config with `diff_ids` and `DIFF_IDS`",
            "duplicate field `diff_ids`",
            |image| {
                image.config["rootfs"]["DIFF_IDS"] = json!([]);
            },
        ),
        twice("spelling: a config with `Cmd` and `cmd`", "duplicate field `Cmd`", |image| {
            image.config["config"]["cmd"] = json!(["/bin/false"]);
        }),
        Case::image(
            "spelling: a manifest that is an index as well, in capitals",
            Refused("as an index and as an image"),
            || {
                let mut image = image();
                image.manifest["MANIFESTS"] = json!([]);
                image
            },
        ),
        Case::shelf(
            "spelling: an index with `manifests` and `Manifests`",
            Refused("duplicate field `manifests`"),
            |shelf| {
                let image = image();
                shelf.put_image(&image);
                let entry = descriptor(MANIFEST, &image.document());
                let index = json!({
                    "schemaVersion": 2, "mediaType": INDEX, "manifests": [entry], "Manifests": [],
                });
                shelf.put_document("latest", INDEX, index.to_string().into_bytes());
            },
        ),
        Case::image(
            "spelling: a layer that is a list, not an object",
            Refused("layers[0] is wrong: invalid type: sequence"),
            || {
                let mut image = image();
                let layer = image.manifest["layers"][0].clone();
                let fields = ["mediaType", "digest", "size"].map(|key| layer[key].clone());
                image.manifest["layers"][0] = Value::from(fields.to_vec());
                image
            },
        ),
        Case {
            runs: Some(&[]),
            ..Case::image("spelling: a config with `cmd` and `env`", Prints("hello\n"), || {
                let command = json!(["/bin/sh", "-c", "echo $WORD"]);
                samples::sample(json!({ "cmd": command, "env": ["WORD=hello"] }), None)
                    .unwrap_or_else(|failure| panic!("cannot make a sample: {failure}"))
            })
        },
    ]
}

fn image() -> Image {
    Image::of(&[Archive::begin().file("text", "x").end()])
}

/// An image that says a thing twice after this change.
fn twice(what: &'static str, words: &'static str, change: fn(&mut Image)) -> Case {
    Case::image(what, Refused(words), move || {
        let mut image = image();
        let config = image.config.clone();
        change(&mut image);
        if image.config != config {
            image.refer_to_config();
        }
        image
    })
}

/// With all keys in capitals.
fn in_capitals(json: &Value) -> Value {
    match json {
        Value::Array(list) => list.iter().map(in_capitals).collect(),
        Value::Object(object) => {
            let capital =
                |(key, value): (&String, &Value)| (key.to_uppercase(), in_capitals(value));
            Value::Object(object.iter().map(capital).collect::<Map<_, _>>())
        }
        other => other.clone(),
    }
}
