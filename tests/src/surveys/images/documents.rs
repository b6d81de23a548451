//! Manifests, configs and indexes that are wrong, or lie.

use serde_json::{Value, json};

use super::case::Case;
use super::case::Fate::{self, LikeUmoci, Refused};
use crate::checks::images::image::{INDEX, MANIFEST, descriptor, digest};
use crate::checks::images::{Archive, Image, Shelf};

pub fn cases() -> Vec<Case> {
    [digests(), manifests(), configs(), indexes()].into_iter().flatten().collect()
}

fn small() -> Image {
    Image::of(&[Archive::begin().file("text", "x").end()])
}

/// A small image whose manifest was changed.
fn manifest(what: &'static str, fate: Fate, change: fn(&mut Value)) -> Case {
    Case::image(what, fate, move || {
        let mut image = small();
        change(&mut image.manifest);
        image
    })
}

/// A small image whose config was changed.
fn config(what: &'static str, fate: Fate, change: fn(&mut Value)) -> Case {
    Case::image(what, fate, move || {
        let mut image = small();
        change(&mut image.config);
        image.refer_to_config();
        image
    })
}

/// A small image with other bytes for a config.
fn config_bytes(what: &'static str, fate: Fate, bytes: impl Fn() -> Vec<u8> + 'static) -> Case {
    Case::image(what, fate, move || {
        let (mut image, bytes) = (small(), bytes());
        image.manifest["config"] = descriptor("application/vnd.oci.image.config.v1+json", &bytes);
        image.blobs.push((digest(&bytes), bytes));
        image
    })
}

/// A tag that stands for these bytes.
fn document(what: &'static str, fate: Fate, kind: &'static str, bytes: fn() -> Vec<u8>) -> Case {
    Case {
        offer: Box::new(move || {
            super::Offer::Shelf(Box::new(move |shelf: &Shelf| {
                shelf.put_image(&small());
                shelf.put_document("latest", kind, bytes());
            }))
        }),
        ..Case::shelf(what, fate, |_| ())
    }
}

fn digests() -> Vec<Case> {
    vec![
        Case::image(
            "a layer with a bit changed",
            Refused("bytes is not what it should be"),
            || {
                let mut image = small();
                image.blobs[0].1[600] ^= 1;
                image
            },
        ),
        Case::image(
            "a layer that is one byte longer than the manifest says",
            Refused("1536 bytes instead of 1535"),
            || {
                let mut image = small();
                image.blobs[0].1.truncate(1536);
                image.blobs[0].0 = digest(&image.blobs[0].1);
                image.manifest["layers"][0]["digest"] = image.blobs[0].0.clone().into();
                image.manifest["layers"][0]["size"] = 1535.into();
                image
            },
        ),
        Case::image("a layer that the registry does not have", Refused("404"), || {
            let mut image = small();
            image.blobs.clear();
            image
        }),
        Case::image(
            "a layer that unpacks to something else than the config says",
            Refused("the inflated layer is not what it should be"),
            || {
                let mut image = small();
                image.config["rootfs"]["diff_ids"][0] = digest(b"else").into();
                image.refer_to_config();
                image
            },
        ),
        Case::shelf("a config with a bit changed", Refused("instead of sha256:"), |shelf| {
            let image = small();
            shelf.offer("latest", &image);
            let name = image.manifest["config"]["digest"].as_str().unwrap_or_default().to_string();
            let mut contents = shelf.contents();
            if let Some((_, bytes)) = contents.things.get_mut(&format!("blobs/{name}")) {
                *bytes = String::from_utf8_lossy(bytes).replace("amd64", "amd65").into_bytes();
            }
        }),
        manifest("a layer of no bytes", Refused("layers[0].size is 0"), |manifest| {
            manifest["layers"][0]["size"] = 0.into();
        }),
        manifest(
            "a layer of 1 EiB",
            Refused("layers[0].size is 1152921504606846976"),
            |manifest| {
                manifest["layers"][0]["size"] = (1u64 << 60).into();
            },
        ),
        manifest(
            "a layer of -1 bytes",
            Refused("the manifest's layers[0].size is wrong"),
            |manifest| {
                manifest["layers"][0]["size"] = (-1).into();
            },
        ),
        manifest(
            "a layer whose digest is a path",
            Refused("is no digest that we know"),
            |manifest| {
                manifest["layers"][0]["digest"] = "sha256:../../../../tmp/victim/secret".into();
            },
        ),
        manifest(
            "a layer with a digest of another kind",
            Refused("is no digest that we know"),
            |manifest| {
                manifest["layers"][0]["digest"] = format!("md5:{}", "0".repeat(32)).into();
            },
        ),
    ]
}

fn manifests() -> Vec<Case> {
    vec![
        document(
            "a manifest that is no JSON",
            Refused("the manifest's layers is wrong"),
            MANIFEST,
            || b"{\"layers\": [".to_vec(),
        ),
        document("a manifest that is a list", Refused("the manifest"), MANIFEST, || b"[]".to_vec()),
        document(
            "a manifest with JSON in JSON, 100,000 levels deep",
            Refused("the manifest's layers[0] is wrong"),
            MANIFEST,
            || {
                format!(
                    "{{\"schemaVersion\":2,\"layers\":{}{}}}",
                    "[".repeat(100_000),
                    "]".repeat(100_000)
                )
                .into_bytes()
            },
        ),
        document("a manifest in the format of 2015", Refused("schema 1"), MANIFEST, || {
            br#"{"schemaVersion":1,"fsLayers":[]}"#.to_vec()
        }),
        document("a manifest of 5 MiB", Refused("more than 4194304 bytes"), MANIFEST, || {
            vec![b' '; 5 << 20]
        }),
        manifest("a manifest without a config", Refused("missing field `config`"), |manifest| {
            manifest.as_object_mut().expect("it is one").remove("config");
        }),
        manifest(
            "a manifest that is an index as well",
            Refused("as an index and as an image"),
            |manifest| {
                manifest["manifests"] = json!([]);
            },
        ),
        manifest("a manifest of 10,000 layers", Refused("layers are 10000"), |manifest| {
            manifest["layers"] = vec![manifest["layers"][0].clone(); 10_000].into();
        }),
        manifest(
            "a manifest without layers, and a config with one",
            Refused("has 0 layers"),
            |manifest| {
                manifest["layers"] = json!([]);
            },
        ),
        manifest(
            "a layer that only its maker gives away",
            Refused("is not in the registry"),
            |manifest| {
                manifest["layers"][0]["mediaType"] =
                    "application/vnd.docker.image.rootfs.foreign.diff.tar".into();
                manifest["layers"][0]["urls"] = json!(["http://127.0.0.1/x"]);
            },
        ),
        manifest(
            "a layer that is encrypted",
            Refused("is no type of layer that we know"),
            |manifest| {
                manifest["layers"][0]["mediaType"] =
                    "application/vnd.oci.image.layer.v1.tar+encrypted".into();
            },
        ),
        manifest(
            "something else than an image: a Helm chart",
            Refused("something else than an image"),
            |manifest| {
                manifest["config"]["mediaType"] = "application/vnd.cncf.helm.config.v1+json".into();
            },
        ),
        Case::image("the same layer twice", LikeUmoci, || {
            let layer = Archive::begin().file("text", "x").end();
            Image::of(&[layer.clone(), layer])
        }),
    ]
}

fn configs() -> Vec<Case> {
    vec![
        config_bytes("a config that is no JSON", Refused("the config is wrong"), || {
            b"config".to_vec()
        }),
        config_bytes("a config that is `null`", Refused("the config is wrong"), || {
            b"null".to_vec()
        }),
        config_bytes("a config that is a layer", Refused("the config is wrong"), || {
            small().blobs[0].1.clone()
        }),
        config_bytes("a config of 5 MiB", Refused("config.size is 5242880"), || {
            vec![b' '; 5 << 20]
        }),
        config_bytes("a config that says everything twice", Refused("duplicate field"), || {
            let text = small().config.to_string();
            let twice = format!("{},{}", &text[..text.len() - 1], &text[1..]);
            twice.into_bytes()
        }),
        config("a config without layers", Refused("missing field `rootfs`"), |config| {
            config.as_object_mut().expect("it is one").remove("rootfs");
        }),
        config(
            "a config about one layer more",
            Refused("has 1 layers, but the config's rootfs.diff_ids are 2"),
            |config| {
                config["rootfs"]["diff_ids"] = json!([digest(b""), digest(b"")]);
            },
        ),
        config(
            "a config whose rootfs is no list of layers",
            Refused("rootfs.type is \"tree\""),
            |config| {
                config["rootfs"]["type"] = "tree".into();
            },
        ),
        config(
            "an image for another processor",
            Refused("the image is for linux/s390x"),
            |config| {
                config["architecture"] = "s390x".into();
            },
        ),
        config(
            "an image for another kernel",
            Refused("the image is for windows/amd64"),
            |config| {
                config["os"] = "windows".into();
            },
        ),
        config("an Env that is a text", Refused("config.Env is wrong"), |config| {
            config["config"]["Env"] = "A=1".into();
        }),
        config("a Cmd of numbers", Refused("config.Cmd[0] is wrong"), |config| {
            config["config"]["Cmd"] = json!([1, 2]);
        }),
        config("an Entrypoint that is a text", Refused("config.Entrypoint is wrong"), |config| {
            config["config"]["Entrypoint"] = "/bin/sh".into();
        }),
        config("a WorkingDir that is a number", Refused("config.WorkingDir is wrong"), |config| {
            config["config"]["WorkingDir"] = 7.into();
        }),
    ]
}

fn index(entries: &Value) -> Vec<u8> {
    json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": entries }).to_string().into_bytes()
}

fn indexes() -> Vec<Case> {
    vec![
        document("an index of nothing", Refused("nor for any platform"), INDEX, || {
            index(&json!([]))
        }),
        document(
            "an index whose entries are no descriptors",
            Refused("the index's manifests[0] is wrong"),
            INDEX,
            || index(&json!([1, 2])),
        ),
        document(
            "an index of 10,000 images, none for this machine",
            Refused("only for linux/s390x"),
            INDEX,
            || {
                let mut entry = descriptor(MANIFEST, b"");
                entry["platform"] = json!({ "os": "linux", "architecture": "s390x" });
                index(&vec![entry; 10_000].into())
            },
        ),
        document(
            "an index that leads to a manifest that is not there",
            Refused("404"),
            INDEX,
            || index(&json!([descriptor(MANIFEST, b"")])),
        ),
        Case::shelf(
            "100 indexes, each of which leads to the next",
            Refused("index leads to more than"),
            |shelf| {
                let mut next = descriptor(MANIFEST, b"");
                for _ in 0..100 {
                    let bytes = index(&json!([next]));
                    next = descriptor(INDEX, &bytes);
                    shelf.put_document("latest", INDEX, bytes);
                }
            },
        ),
        Case::shelf(
            "an index that leads to itself, as no right digest could",
            Refused("where the name says"),
            |shelf| {
                // By the digest of another, the registry gives the same once more.
                let name = digest(b"itself");
                let bytes = index(&json!([{ "mediaType": INDEX, "digest": name, "size": 300 }]));
                shelf.put_document("latest", INDEX, bytes.clone());
                let thing = (INDEX.to_string(), bytes);
                shelf.contents().things.insert(format!("manifests/{name}"), thing);
            },
        ),
        Case::shelf(
            "an index that says its entry is an image, which is an index",
            Refused("as an index and as an image"),
            |shelf| {
                let inner = index(&json!([]));
                shelf.put_document("inner", INDEX, inner.clone());
                shelf.put_document("latest", INDEX, index(&json!([descriptor(MANIFEST, &inner)])));
            },
        ),
    ]
}
