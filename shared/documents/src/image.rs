//! A manifest: the config and the layers of an image; and an index of several.

use std::collections::BTreeSet;

use serde::Deserialize;
use shared::{Error, shown, size};

use crate::json::or_default;
use crate::{Descriptor, LARGEST_DOCUMENT, Platform};

/// The most layers. An overlay can't have more (OVL_MAX_STACK in Linux' fs/overlayfs), and Docker
/// stops at 125.
const MOST_LAYERS: usize = 500;
/// The most bytes of a layer as it is stored.
const LARGEST_LAYER: u64 = 1 << 40;

/// An image for one platform: OCI's manifest, or Docker's of schema 2.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Manifest {
    /// [`crate::OCI_MANIFEST`] or [`crate::DOCKER_MANIFEST`]
    #[serde(default, deserialize_with = "or_default")]
    pub media_type: String,
    pub config: Descriptor,
    /// The lowest first.
    #[serde(default, deserialize_with = "or_default")]
    pub layers: Vec<Descriptor>,
}

/// OCI's index, or Docker's manifest list: one image for several platforms.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct Index {
    #[serde(default, deserialize_with = "or_default")]
    pub manifests: Vec<Descriptor>,
}

impl Index {
    /// The platforms that it has images for, as text and in order. What is none, as a builder's notes
    /// for `unknown/unknown`, is left out.
    pub fn platforms(&self) -> BTreeSet<String> {
        let platforms = self.manifests.iter().filter_map(|entry| entry.platform.as_ref());
        platforms.filter(|platform| platform.is_known()).map(Platform::to_string).collect()
    }
}

impl Manifest {
    /// Fails if this is no image, or none that a sane person makes.
    pub(super) fn check(&self) -> Result<(), Error> {
        let wrong = |what: String| Err(Error::new(format!("the manifest's {what}")));
        match self.config.media_type.as_str() {
            "application/vnd.oci.image.config.v1+json"
            | "application/vnd.docker.container.image.v1+json" => {}
            // Registries before 2017 gave it what type they liked. Docker knows these, and has a list
            // of them (distribution/pull_v2.go, defaultImageTypes).
            "application/octet-stream" | "application/json" | "text/html" | "" => {}
            other => {
                let cause = "it's something else than an image of a root filesystem";
                return wrong(format!("config is of type {} ({cause})", shown(other)));
            }
        }
        let config_size = self.config.size;
        if config_size > LARGEST_DOCUMENT {
            let most = size::text(LARGEST_DOCUMENT);
            return wrong(format!("config.size is {config_size}, and {most} is the most"));
        }
        let count = self.layers.len();
        if count > MOST_LAYERS {
            return wrong(format!("layers are {count}, and {MOST_LAYERS} is the most"));
        }
        for (number, layer) in self.layers.iter().enumerate() {
            if !(1..=LARGEST_LAYER).contains(&layer.size) {
                let (bytes, most) = (layer.size, size::text(LARGEST_LAYER));
                return wrong(format!("layers[{number}].size is {bytes}, not from 1 to {most}"));
            }
            if let Err(error) = layer.require_layer() {
                return wrong(format!("layers[{number}].mediaType is wrong: {error}"));
            }
            if layer.is_foreign() && !layer.urls.is_empty() {
                let cause = "as those of Windows: only its maker gives it away";
                return wrong(format!("layers[{number}] is not in the registry ({cause})"));
            }
        }
        Ok(())
    }
}
