//! An image: a manifest, a config and layers, each to be tampered with.

use std::fs;
use std::io;
use std::path::Path;

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

/// The media type of an image's manifest.
pub const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
/// The media type of an index.
pub const INDEX: &str = "application/vnd.oci.image.index.v1+json";

/// An image as a registry or a layout has it.
#[derive(Clone)]
pub struct Image {
    pub manifest: Value,
    pub config: Value,
    /// By their names; they need not be what these say.
    pub blobs: Vec<(String, Vec<u8>)>,
}

/// What a blob is called.
pub fn digest(bytes: &[u8]) -> String {
    name(&Sha256::digest(bytes))
}

/// The same from the hash.
pub fn name(hash: &[u8]) -> String {
    "sha256:".to_string() + &hash.iter().map(|byte| format!("{byte:02x}")).collect::<String>()
}

/// What points to a blob.
pub fn descriptor(media_type: &str, bytes: &[u8]) -> Value {
    json!({ "mediaType": media_type, "digest": digest(bytes), "size": bytes.len() })
}

impl Image {
    /// An image for this machine of layers that are not compressed.
    pub fn of(layers: &[Vec<u8>]) -> Image {
        let packed = |layer: &Vec<u8>| ("tar", layer.clone(), digest(layer));
        Image::packed(layers.iter().map(packed).collect())
    }

    /// An image of layers as they are: the media type's end, the bytes, and the diff_id.
    pub fn packed(layers: Vec<(&str, Vec<u8>, String)>) -> Image {
        let diff_ids: Vec<&String> = layers.iter().map(|(_, _, diff_id)| diff_id).collect();
        let config = json!({
            "architecture": "amd64", "os": "linux", "config": { "Cmd": ["/bin/sh"] },
            "rootfs": { "type": "layers", "diff_ids": diff_ids },
        });
        let point = |(kind, bytes, _): &(&str, Vec<u8>, String)| {
            descriptor(&format!("application/vnd.oci.image.layer.v1.{kind}"), bytes)
        };
        let points: Vec<Value> = layers.iter().map(point).collect();
        let manifest = json!({ "schemaVersion": 2, "mediaType": MANIFEST, "layers": points });
        let blobs = layers.into_iter().map(|(_, bytes, _)| (digest(&bytes), bytes)).collect();
        let mut image = Image { manifest, config, blobs };
        image.refer_to_config();
        image
    }

    /// After a change of the config: lets the manifest point to the new one.
    pub fn refer_to_config(&mut self) {
        let bytes = self.config.to_string().into_bytes();
        let media_type = "application/vnd.oci.image.config.v1+json";
        self.manifest["config"] = descriptor(media_type, &bytes);
    }

    /// The name of a layer's blob.
    pub fn layer(&self, number: usize) -> &str {
        self.manifest["layers"][number]["digest"].as_str().unwrap_or_default()
    }

    /// The manifest's bytes.
    pub fn document(&self) -> Vec<u8> {
        self.manifest.to_string().into_bytes()
    }

    /// The manifest's digest.
    pub fn digest(&self) -> String {
        digest(&self.document())
    }

    /// All blobs, the config's included.
    pub fn all_blobs(&self) -> impl Iterator<Item = (String, Vec<u8>)> {
        let config = self.config.to_string().into_bytes();
        self.blobs.iter().cloned().chain([(digest(&config), config)])
    }

    /// Writes it as an image layout, where skopeo and umoci find it as `DIRECTORY:image`.
    pub fn write(&self, directory: &Path) -> io::Result<()> {
        let blobs = directory.join("blobs/sha256");
        fs::create_dir_all(&blobs)?;
        for (name, bytes) in self.all_blobs().chain([(self.digest(), self.document())]) {
            fs::write(blobs.join(name.trim_start_matches("sha256:")), bytes)?;
        }
        let mut entry = descriptor(MANIFEST, &self.document());
        entry["annotations"] = json!({ "org.opencontainers.image.ref.name": "image" });
        let index = json!({ "schemaVersion": 2, "manifests": [entry] });
        fs::write(directory.join("index.json"), index.to_string())?;
        fs::write(directory.join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#)
    }
}
