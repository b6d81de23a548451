//! Indexes, manifests and configs: the JSON documents of an image (OCI image specification), read as Go reads them, or
//! refused.
//!
//! They come from a stranger. What is read here is sane in itself; whether blobs are what it says
//! is for those to check who fetch them.

mod config;
mod descriptor;
mod image;
mod json;
mod keys;
mod platform;

use serde::Deserialize;
use serde::de::IgnoredAny;
use shared::{Error, shown};

use json::read;

pub use config::{Config, Defaults, RootFs, check};
pub use descriptor::Descriptor;
pub use image::{Index, Manifest};
pub use json::or_default;
pub use platform::Platform;

pub const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";
pub const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
pub const DOCKER_INDEX: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
pub const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
/// The media types of what [`parse`] reads: for an Accept header.
pub const DOCUMENTS: [&str; 4] = [OCI_INDEX, OCI_MANIFEST, DOCKER_INDEX, DOCKER_MANIFEST];

/// The most bytes of an index, a manifest or a config, which are all read into memory. It
/// is what all registries should take (OCI distribution specification, "Pushing Manifests").
pub const LARGEST_DOCUMENT: u64 = 4 << 20;

/// What a reference points to.
#[derive(Clone, Debug, PartialEq)]
#[expect(clippy::large_enum_variant, reason = "there is one at a time")]
pub enum Document {
    Index(Index),
    Manifest(Manifest),
}

/// As much of a document as tells what it is. OCI's documents need not name their type.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Outline {
    schema_version: Option<u64>,
    #[serde(default, deserialize_with = "or_default")]
    media_type: String,
    manifests: Option<IgnoredAny>,
    config: Option<IgnoredAny>,
    layers: Option<IgnoredAny>,
    fs_layers: Option<IgnoredAny>,
}

/// Reads an index or a manifest, and refuses what is neither or both.
///
/// `announced` is the media type that the registry or a descriptor gave, "" if there was none. The
/// bytes decide, which are what the digest stands for; it must not contradict them.
///
/// # Errors
///
/// It is neither or both, in a format of before 2016, or no image that a sane person makes.
pub fn parse(bytes: &[u8], announced: &str) -> Result<Document, Error> {
    let outline: Outline = read("manifest", bytes)?;
    let has_image = outline.config.is_some() || outline.layers.is_some();
    if outline.schema_version == Some(1) || outline.fs_layers.is_some() {
        return Err(Error::new(
            "the image is in Docker's format of 2015, schema 1 (its owner can convert it: \
             skopeo copy --format v2s2 docker://IMAGE docker://IMAGE)",
        ));
    }
    let is_index = match says_index(&outline.media_type) {
        Some(is_index) => is_index,
        None if !outline.media_type.is_empty() => {
            let cause = format!("is of type {}: that is no image", shown(&outline.media_type));
            return Err(Error::new(format!("the manifest {cause}")));
        }
        None if outline.manifests.is_some() || has_image => outline.manifests.is_some(),
        None => return Err(Error::new("the manifest has neither layers nor manifests")),
    };
    // Two engines could see two images in it, under one digest (CVE-2021-41190).
    let is_both = if is_index { has_image } else { outline.manifests.is_some() };
    if is_both || says_index(announced).is_some_and(|announced| announced != is_index) {
        return Err(Error::new("the manifest can be read as an index and as an image: a trap"));
    }
    if is_index {
        return Ok(Document::Index(read("index", bytes)?));
    }
    let mut manifest: Manifest = read("manifest", bytes)?;
    if manifest.media_type.is_empty() {
        manifest.media_type = OCI_MANIFEST.into();
    }
    manifest.check()?;
    Ok(Document::Manifest(manifest))
}

/// Whether a media type is an index's. None: it is neither an index's nor an image's.
fn says_index(media_type: &str) -> Option<bool> {
    match media_type {
        OCI_INDEX | DOCKER_INDEX => Some(true),
        OCI_MANIFEST | DOCKER_MANIFEST => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    const DIGEST: &str = "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

    fn descriptor(media_type: &str, size: Value) -> Value {
        json!({ "mediaType": media_type, "digest": DIGEST, "size": size })
    }

    /// A manifest of two layers.
    fn image() -> Value {
        let layer = descriptor("application/vnd.oci.image.layer.v1.tar+gzip", json!(7));
        json!({
            "schemaVersion": 2,
            "config": descriptor("application/vnd.oci.image.config.v1+json", json!(9)),
            "layers": [layer, layer],
        })
    }

    /// The manifest with `value` at `place`.
    fn with(place: &str, value: Value) -> Value {
        let mut image = image();
        let (parent, key) = place.rsplit_once('/').unwrap();
        match image.pointer_mut(parent).unwrap() {
            Value::Array(list) => list[key.parse::<usize>().unwrap()] = value,
            parent => parent[key] = value,
        }
        image
    }

    fn parsed(json: &Value) -> Result<Document, String> {
        parse(json.to_string().as_bytes(), "").map_err(|error| error.to_string())
    }

    fn error(json: &Value) -> String {
        let error = parsed(json).expect_err(&json.to_string());
        assert!(!error.contains('\n') && error.len() < 600, "{error:?}");
        error
    }

    #[test]
    fn a_document_is_what_is_in_it() {
        for (media_type, read_as) in [
            (json!(null), OCI_MANIFEST),
            (json!(""), OCI_MANIFEST),
            (json!(OCI_MANIFEST), OCI_MANIFEST),
            (json!(DOCKER_MANIFEST), DOCKER_MANIFEST),
        ] {
            let Ok(Document::Manifest(manifest)) = parsed(&with("/mediaType", media_type)) else {
                panic!("it is a manifest")
            };
            assert_eq!(manifest.media_type, read_as);
            assert_eq!([manifest.config.size, manifest.layers[1].size], [9, 7]);
        }
        let entry = descriptor(OCI_MANIFEST, json!(1));
        for (json, count) in [
            (json!({ "manifests": [entry] }), 1),
            (json!({ "manifests": [entry], "mediaType": OCI_INDEX, "layers": null }), 1),
            (json!({ "manifests": [], "mediaType": DOCKER_INDEX, "x": [1.5] }), 0),
            (json!({ "manifests": null, "mediaType": OCI_INDEX }), 0),
        ] {
            let Ok(Document::Index(index)) = parsed(&json) else { panic!("{json} is an index") };
            assert_eq!(index.manifests.len(), count);
        }
    }

    /// Found by the fuzzer `manifest`.
    #[test]
    fn what_is_not_utf_8_is_no_document() {
        let error =
            parse(b"{ \"manifests\": [], \"no text\": \"\xff\" }", "").unwrap_err().to_string();
        assert!(error.starts_with("the manifest is wrong: it is not UTF-8"), "{error}");
    }

    #[test]
    fn an_image_may_have_no_layers() {
        for layers in [json!(null), json!([])] {
            assert!(matches!(parsed(&with("/layers", layers)), Ok(Document::Manifest(_))));
        }
    }

    #[test]
    fn what_docker_takes_for_a_config_or_a_layer_is_one() {
        for media_type in ["application/octet-stream", "application/json", "text/html", ""] {
            let json = with("/config/mediaType", json!(media_type));
            assert!(matches!(parsed(&json), Ok(Document::Manifest(_))), "{media_type}");
        }
        let untyped = json!({ "digest": DIGEST, "size": 7 });
        for place in ["/config", "/layers/1"] {
            let Ok(Document::Manifest(manifest)) = parsed(&with(place, untyped.clone())) else {
                panic!("{place} needs no type")
            };
            assert!(
                [&manifest.config, &manifest.layers[1]].iter().any(|it| it.media_type.is_empty())
            );
        }
    }

    #[test]
    fn what_is_neither_or_both_is_refused() {
        assert!(error(&json!({})).contains("neither layers nor manifests"));
        assert!(
            error(&json!({ "mediaType": "a/b" })).contains("of type \"a/b\": that is no image")
        );
        assert!(error(&json!({ "mediaType": OCI_MANIFEST })).contains("missing field `config`"));
        let traps = [
            with("/manifests", json!([])),
            with("/mediaType", json!(OCI_INDEX)),
            json!({ "manifests": [], "mediaType": DOCKER_MANIFEST }),
        ];
        for trap in traps {
            assert!(error(&trap).contains("as an index and as an image"), "{trap}");
        }
        let bytes = image().to_string();
        let announced = |media_type| parse(bytes.as_bytes(), media_type);
        assert!(announced(OCI_INDEX).unwrap_err().to_string().contains("a trap"));
        assert!(announced(DOCKER_MANIFEST).is_ok() && announced("text/plain").is_ok());
    }

    #[test]
    fn the_old_format_has_its_cure() {
        let jws = "application/vnd.docker.distribution.manifest.v1+prettyjws";
        for old in [
            with("/schemaVersion", json!(1)),
            json!({ "schemaVersion": 1, "mediaType": jws }),
            json!({ "fsLayers": [] }),
        ] {
            assert!(error(&old).contains("schema 1") && error(&old).contains("--format v2s2"));
        }
    }

    #[test]
    fn an_error_names_the_place() {
        let layer = "the manifest's layers[1]";
        for (place, value, what) in [
            ("/layers/1/size", json!("7"), format!("{layer}.size is wrong: invalid type: string")),
            ("/layers/1/size", json!(-1), format!("{layer}.size is wrong: invalid value")),
            (
                "/layers/1/size",
                json!(1.5),
                format!("{layer}.size is wrong: invalid type: floating"),
            ),
            ("/layers/1/size", json!(0), format!("{layer}.size is 0, not from 1 to 1024 GiB")),
            ("/layers/1/size", json!(1u64 << 60), format!("{layer}.size is 1152921504606846976")),
            ("/layers/1/digest", json!("md5:0"), format!("{layer}.digest is wrong: \"md5:0\"")),
            ("/layers/1/mediaType", json!("a/b"), format!("{layer}.mediaType is wrong: \"a/b\"")),
            ("/layers/1", json!({}), format!("{layer} is wrong: missing field `digest`")),
            ("/layers", json!("x"), "the manifest's layers is wrong: invalid type".into()),
            ("/config/size", json!(5 << 20), "config.size is 5242880, and 4 MiB is".into()),
            ("/config/mediaType", json!("a/b"), "config is of type \"a/b\"".into()),
            ("/config", json!(null), "the manifest's config is wrong".into()),
            ("/schemaVersion", json!("2"), "the manifest's schemaVersion is wrong".into()),
            ("/layers/1/annotations", json!({ "\n": 1 }), "annotations.\\n is wrong".into()),
            ("/layers/1/urls", json!(["x".repeat(999), 1]), "urls[1] is wrong".into()),
        ] {
            let error = error(&with(place, value));
            assert!(error.contains(&what), "{error} ≠ {what}");
        }
        for (bytes, what) in [
            ("", "EOF"),
            ("[]", "expected an object"),
            ("{} x", "trailing"),
            ("<html>", "expected"),
        ] {
            let error = parse(bytes.as_bytes(), "").unwrap_err().to_string();
            assert!(
                error.starts_with("the manifest is wrong: ") && error.contains(what),
                "{error}"
            );
        }
    }

    #[test]
    fn many_layers_are_too_many() {
        let layers = |count| with("/layers", vec![image()["layers"][0].clone(); count].into());
        assert!(parsed(&layers(500)).is_ok());
        assert!(error(&layers(10_000)).contains("layers are 10000, and 500 is the most"));
    }

    #[test]
    fn layers_that_are_elsewhere_are_refused() {
        let foreign = "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip";
        let mut layer = descriptor(foreign, json!(7));
        assert!(parsed(&with("/layers/1", layer.clone())).is_ok());
        layer["urls"] = json!(["https://example.com/layer"]);
        assert!(error(&with("/layers/1", layer)).contains("layers[1] is not in the registry"));
        assert!(parsed(&with("/layers/1/urls", json!(["https://example.com/layer"]))).is_ok());
    }

    /// Every document that has one key of this one once more, in another case; and every one that has
    /// it in another case only.
    fn respelled(json: &Value, twice: &mut Vec<Value>, once: &mut Vec<Value>) {
        let below = |key: &str, value: &Value, respelled: Vec<Value>| -> Vec<Value> {
            let with = |value: &Value| {
                let mut json = json.clone();
                match &mut json {
                    Value::Array(list) => list[key.parse::<usize>().unwrap()] = value.clone(),
                    json => json[key] = value.clone(),
                }
                json
            };
            assert!(respelled.iter().all(|other| other != value));
            respelled.iter().map(with).collect()
        };
        let children: Vec<(String, &Value)> = match json {
            Value::Array(list) => (0..).map(|i: usize| i.to_string()).zip(list).collect(),
            Value::Object(object) => {
                object.iter().map(|(key, value)| (key.clone(), value)).collect()
            }
            _ => return,
        };
        for (key, value) in children {
            let (mut twins, mut others) = (Vec::new(), Vec::new());
            respelled(value, &mut twins, &mut others);
            twice.extend(below(&key, value, twins));
            once.extend(below(&key, value, others));
            if let Value::Object(object) = json {
                let mut object = object.clone();
                object.insert(key.to_uppercase(), value.clone());
                twice.push(object.clone().into());
                object.remove(&key);
                once.push(object.into());
            }
        }
    }

    #[test]
    fn a_key_in_another_case_is_that_key_and_not_a_second_one() {
        let mut entry = descriptor(OCI_MANIFEST, json!(1));
        entry["platform"] = json!({ "os": "linux", "architecture": "arm", "variant": "v7" });
        entry["urls"] = json!(["http://127.0.0.1"]);
        let (mut twice, mut once) = (Vec::new(), Vec::new());
        let index = json!({ "schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [entry] });
        respelled(&index, &mut twice, &mut once);
        let is_index = once.len();
        respelled(&with("/mediaType", json!(OCI_MANIFEST)), &mut twice, &mut once);
        assert_eq!((is_index, once.len(), twice.len()), (11, 24, 24));
        for json in &twice {
            assert!(error(json).contains("duplicate field"), "{json}");
        }
        for json in &once[..is_index] {
            assert_eq!(parsed(json), parsed(&index), "{json}");
        }
        for json in &once[is_index..] {
            assert_eq!(parsed(json), parsed(&with("/mediaType", json!(OCI_MANIFEST))), "{json}");
        }
        // CVE-2021-41190 in another case.
        assert!(error(&with("/MANIFESTS", json!([]))).contains("as an index and as an image"));
        let config = json!({
            "os": "linux", "architecture": "arm", "variant": "v7",
            "rootfs": { "type": "layers", "diff_ids": [DIGEST] },
            "config": {
                "User": "1", "Env": ["A=b"], "Entrypoint": ["e"], "Cmd": ["c"], "WorkingDir": "/w",
                "StopSignal": "9",
            },
        });
        let config_of = |json: &Value| {
            Config::parse(json.to_string().as_bytes()).map_err(|error| error.to_string())
        };
        let (mut twice, mut once) = (Vec::new(), Vec::new());
        respelled(&config, &mut twice, &mut once);
        assert_eq!(once.len(), 13);
        for json in &twice {
            assert!(config_of(json).unwrap_err().contains("duplicate field"), "{json}");
        }
        for json in &once {
            assert_eq!(config_of(json), config_of(&config), "{json}");
        }
    }
}
