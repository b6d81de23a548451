//! Descriptors: what points from one document to the next, and to the layers.

use std::collections::BTreeMap;

use reference::Digest;
use serde::{Deserialize, Serialize};
use shared::{Error, shown, size};

use crate::json::or_default;
use crate::{LARGEST_DOCUMENT, Platform};

/// The media types of layers: OCI's and Docker's, and those of layers that are elsewhere.
const LAYERS: [&str; 11] = [
    "application/vnd.oci.image.layer.v1.tar",
    "application/vnd.oci.image.layer.v1.tar+gzip",
    "application/vnd.oci.image.layer.v1.tar+zstd",
    "application/vnd.docker.image.rootfs.diff.tar",
    "application/vnd.docker.image.rootfs.diff.tar.gzip",
    "application/vnd.docker.image.rootfs.diff.tar.zstd",
    "application/vnd.oci.image.layer.nondistributable.v1.tar",
    "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip",
    "application/vnd.oci.image.layer.nondistributable.v1.tar+zstd",
    "application/vnd.docker.image.rootfs.foreign.diff.tar",
    "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip",
];

/// Points to a blob (OCI image specification, "Content descriptors").
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Descriptor {
    /// It may be missing, as Docker lets it.
    #[serde(default, deserialize_with = "or_default")]
    pub media_type: String,
    pub digest: Digest,
    /// Bytes.
    pub size: u64,
    /// Where else the blob is.
    #[serde(default, deserialize_with = "or_default", skip_serializing_if = "Vec::is_empty")]
    pub urls: Vec<String>,
    #[serde(default, deserialize_with = "or_default", skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
    /// In an index: what the image runs on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platform: Option<Platform>,
}

impl Descriptor {
    /// Points to a blob in memory.
    pub fn of(bytes: &[u8], media_type: &str) -> Descriptor {
        let (digest, size) = (Digest::of(bytes), bytes.len() as u64);
        let (urls, annotations, platform) = Default::default();
        Descriptor { media_type: media_type.into(), digest, size, urls, annotations, platform }
    }

    /// Fails, naming the media type, for what is no layer. One without a type is believed, as Docker
    /// does it. Whether it is packed as its type says is not asked: its bytes tell.
    pub fn require_layer(&self) -> Result<(), Error> {
        match self.media_type.as_str() {
            "" => Ok(()),
            known if LAYERS.contains(&known) => Ok(()),
            other => Err(Error::new(format!("{} is no type of layer that we know", shown(other)))),
        }
    }

    /// Fails unless the blob that has the digest is also as large as this says. A descriptor that lies
    /// is refused whether the blob has to be fetched or is here, so that it is no image by chance.
    pub fn require_size(&self, bytes: u64) -> Result<(), Error> {
        if self.size == bytes {
            Ok(())
        } else {
            Err(Error::new(format!(
                "the image says that {} has {} bytes, and it has {bytes}",
                self.digest, self.size
            )))
        }
    }

    /// Fails if the document that this points to is too large to be read into memory.
    pub fn require_document(&self) -> Result<(), Error> {
        if self.size <= LARGEST_DOCUMENT {
            return Ok(());
        }
        let (bytes, most) = (self.size, size::text(LARGEST_DOCUMENT));
        Err(Error::new(format!(
            "a manifest in the index has {bytes} bytes, and {most} is the most"
        )))
    }

    /// What a person reads of a layer: the start of its digest, as people know them by, and its size.
    pub fn title(&self) -> String {
        let short: String = self.digest.hex().chars().take(12).collect();
        format!("layer {short} of {}", size::text(self.size))
    }

    /// Whether only the makers of what is in the layer may give it away, so it may be elsewhere.
    pub fn is_foreign(&self) -> bool {
        [".nondistributable.", ".foreign."].iter().any(|part| self.media_type.contains(part))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(media_type: &str) -> Descriptor {
        Descriptor::of(b"blob", media_type)
    }

    #[test]
    fn layers_of_both_families_are_known_and_those_that_are_elsewhere() {
        for media_type in LAYERS.iter().chain(&[""]) {
            named(media_type).require_layer().unwrap();
            let is_foreign = media_type.contains("foreign") || media_type.contains("nondis");
            assert_eq!(named(media_type).is_foreign(), is_foreign, "{media_type}");
        }
    }

    #[test]
    fn what_is_no_layer_is_named() {
        let error = |media_type: &str| named(media_type).require_layer().unwrap_err().to_string();
        let encrypted = "application/vnd.oci.image.layer.v1.tar+gzip+encrypted";
        assert!(error(encrypted).starts_with(&format!("{encrypted:?} is no type of layer")));
        assert!(error("a\nb").starts_with("\"a\\nb\" is no"));
        assert!(error(&"x".repeat(100_000)).len() < 300);
    }

    #[test]
    fn what_is_written_is_read_again_and_short() {
        let descriptor = named("a/b");
        let json = serde_json::to_string(&descriptor).unwrap();
        let digest = Digest::of(b"blob");
        let short = format!(r#"{{"mediaType":"a/b","digest":"{digest}","size":4}}"#);
        assert_eq!(json, short);
        let null = json.replace('}', r#","urls":null,"annotations":null,"platform":null}"#);
        assert_eq!(serde_json::from_str::<Descriptor>(&null).unwrap(), descriptor);
    }
}
