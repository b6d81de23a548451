//! What the store holds: its images, by their names or without one, and who uses them.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use documents::{Config, Descriptor, Document, Manifest};
use reference::Digest;
use shared::Error;
use step7::store::{NAME, Store};
use step8::layer;

use crate::chain;

/// An image of the store: a manifest, and all that it points to.
pub struct Stored {
    /// The names that stand for it. None: it had one, and a newer image has that now.
    pub names: Vec<String>,
    pub manifest: Descriptor,
    /// The digest of its config, which is what Docker calls the image's id.
    pub id: Digest,
    /// The chain ids of its layers, the lowest first.
    pub layers: Vec<Digest>,
    /// The blobs it consists of: manifest, config and layers.
    pub blobs: Vec<Digest>,
}

/// An image's documents, if they are here.
pub fn documents(
    store: &Store,
    manifest: &Descriptor,
) -> Result<Option<(Manifest, Config)>, Error> {
    let Some(bytes) = store.document(&manifest.digest)? else { return Ok(None) };
    let Document::Manifest(manifest) = documents::parse(&bytes, &manifest.media_type)? else {
        return Ok(None);
    };
    let Some(config) = store.document(&manifest.config.digest)? else { return Ok(None) };
    Ok(Some((manifest, Config::parse(&config)?)))
}

/// All images, in the order in which they came. One whose documents are gone is left out.
pub fn images(store: &Store) -> Result<Vec<Stored>, Error> {
    let mut images: Vec<Stored> = Vec::new();
    for entry in store.entries()? {
        let name = entry.annotations.get(NAME).cloned();
        if let Some(image) = images.iter_mut().find(|i| i.manifest.digest == entry.digest) {
            image.names.extend(name);
            continue;
        }
        if let Some(mut image) = stored(store, entry)? {
            image.names.extend(name);
            images.push(image);
        }
    }
    Ok(images)
}

/// The image of this manifest, if it is here, whether a name stands for it or not.
pub fn by_digest(store: &Store, manifest: &Digest) -> Result<Option<Stored>, Error> {
    let Some(bytes) = store.document(manifest)? else { return Ok(None) };
    stored(store, Descriptor::of(&bytes, ""))
}

fn stored(store: &Store, manifest: Descriptor) -> Result<Option<Stored>, Error> {
    let Some((parsed, config)) = documents(store, &manifest)? else { return Ok(None) };
    let id = parsed.config.digest.clone();
    let mut blobs = vec![manifest.digest.clone(), id.clone()];
    blobs.extend(parsed.layers.into_iter().map(|layer| layer.digest));
    let layers = chain::ids(&config.rootfs.diff_ids);
    Ok(Some(Stored { names: Vec::new(), manifest, id, layers, blobs }))
}

/// The containers that are there, by name, and for each the digest of its image's manifest.
pub fn containers(home: &Path) -> BTreeMap<String, Digest> {
    let entries = fs::read_dir(home.join("containers")).into_iter().flatten().flatten();
    entries
        .filter_map(|entry| {
            let manifest = layer::manifest_of(&entry.path())?;
            Some((entry.file_name().to_string_lossy().into_owned(), manifest))
        })
        .collect()
}
