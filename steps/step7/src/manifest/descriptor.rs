//! Descriptors: what points from one document to the next, and to the layers.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use shared::Error;

use super::Platform;
use super::json::{or_default, shown};
use crate::digest::Digest;
use crate::layer::Compression;

/// Points to a blob (OCI image specification, "Content descriptors").
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Descriptor {
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

    /// How a layer is packed; an error, naming the media type, for what is no layer.
    pub fn compression(&self) -> Result<Compression, Error> {
        match self.media_type.as_str() {
            "application/vnd.oci.image.layer.v1.tar"
            | "application/vnd.oci.image.layer.nondistributable.v1.tar"
            | "application/vnd.docker.image.rootfs.diff.tar"
            | "application/vnd.docker.image.rootfs.foreign.diff.tar" => Ok(Compression::None),
            "application/vnd.oci.image.layer.v1.tar+gzip"
            | "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip"
            | "application/vnd.docker.image.rootfs.diff.tar.gzip"
            | "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip" => Ok(Compression::Gzip),
            "application/vnd.oci.image.layer.v1.tar+zstd"
            | "application/vnd.oci.image.layer.nondistributable.v1.tar+zstd"
            | "application/vnd.docker.image.rootfs.diff.tar.zstd" => Ok(Compression::Zstd),
            other => Err(Error::new(format!("{} is no type of layer that we know", shown(other)))),
        }
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
    fn the_media_type_tells_how_a_layer_is_packed() {
        let (oci, docker) =
            ("application/vnd.oci.image.layer", "application/vnd.docker.image.rootfs");
        for (media_type, compression) in [
            (format!("{oci}.v1.tar"), Compression::None),
            (format!("{oci}.v1.tar+gzip"), Compression::Gzip),
            (format!("{oci}.v1.tar+zstd"), Compression::Zstd),
            (format!("{oci}.nondistributable.v1.tar"), Compression::None),
            (format!("{oci}.nondistributable.v1.tar+gzip"), Compression::Gzip),
            (format!("{oci}.nondistributable.v1.tar+zstd"), Compression::Zstd),
            (format!("{docker}.diff.tar"), Compression::None),
            (format!("{docker}.diff.tar.gzip"), Compression::Gzip),
            (format!("{docker}.diff.tar.zstd"), Compression::Zstd),
            (format!("{docker}.foreign.diff.tar"), Compression::None),
            (format!("{docker}.foreign.diff.tar.gzip"), Compression::Gzip),
        ] {
            let descriptor = named(&media_type);
            assert_eq!(descriptor.compression().unwrap(), compression, "{media_type}");
            let is_foreign = media_type.contains("foreign") || media_type.contains("nondis");
            assert_eq!(descriptor.is_foreign(), is_foreign, "{media_type}");
        }
    }

    #[test]
    fn what_is_no_layer_is_named() {
        let error = |media_type: &str| named(media_type).compression().unwrap_err().to_string();
        let encrypted = "application/vnd.oci.image.layer.v1.tar+gzip+encrypted";
        assert!(error(encrypted).starts_with(&format!("{encrypted:?} is no type of layer")));
        assert!(error("").starts_with("\"\" is no"));
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
