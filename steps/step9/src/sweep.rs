//! Removes what no image, no container and no pull needs any more.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::thread;
use std::time::Duration;

use documents::{Document, LARGEST_DOCUMENT};
use reference::Digest;
use shared::{Error, Explain};
use step7::store::Store;

use crate::inventory;
use crate::layers::{LAYERS, REMOVED};
use crate::unpack::Unpacker;

/// How long a start may have the store for itself: many times what it takes.
const PATIENCE: Duration = Duration::from_secs(2);

/// Removes what nothing needs, and gives the chain ids of layers that are gone. None where somebody
/// else is at work in the store: a pull has layers that no name stands for yet. Then the last of
/// those sweeps when it is done.
pub fn sweep(
    home: &Path,
    unpacker: &mut Unpacker,
    patient: bool,
) -> Result<Option<Vec<String>>, Error> {
    let tries = if patient { PATIENCE.as_millis() / 10 } else { 1 };
    for _ in 0..tries {
        if let Some(store) = Store::open_alone(home.to_owned())? {
            return sweep_alone(&store, unpacker).map(Some);
        }
        thread::sleep(Duration::from_millis(10));
    }
    Ok(None)
}

fn sweep_alone(store: &Store, unpacker: &mut Unpacker) -> Result<Vec<String>, Error> {
    let home = store.home();
    unpacker.remove_stale(home)?;
    let needed = needed(store)?;
    let mut gone = Vec::new();
    let removed = home.join(REMOVED);
    fs::create_dir_all(&removed).explain(format_args!("make the directory {removed:?}"))?;
    for layer in names(&home.join(LAYERS))? {
        if !needed.layers.contains(&layer) {
            // At once out of its place: half a layer there would be taken for a whole one.
            unpacker.finish(home.join(LAYERS).join(&layer), removed.join(&layer))?;
            gone.push(layer);
        }
    }
    // What step 7 and 8 unpack: all layers in one.
    for rootfs in names(&home.join("rootfs"))? {
        if !needed.manifests.contains(&rootfs) {
            unpacker.finish(home.join("rootfs").join(&rootfs), removed.join(&rootfs))?;
        }
    }
    let blobs = store.blobs();
    for blob in names(&blobs)? {
        let path = blobs.join(&blob);
        if !needed.blobs.contains(&blob) && !leads_to(&path, &needed.manifests) {
            fs::remove_file(&path).explain(format_args!("unlink {path:?}"))?;
        }
    }
    // Also what an earlier sweep has left, which was killed.
    for name in names(&removed)? {
        unpacker.remove(removed.join(name))?;
    }
    Ok(gone)
}

/// Names of files, by hexadecimal digits.
struct Needed {
    layers: BTreeSet<String>,
    manifests: BTreeSet<String>,
    blobs: BTreeSet<String>,
}

fn needed(store: &Store) -> Result<Needed, Error> {
    let mut images = inventory::images(store)?;
    for manifest in inventory::containers(store.home()).into_values() {
        if images.iter().all(|image| image.manifest.digest != manifest) {
            images.extend(inventory::by_digest(store, &manifest)?);
        }
    }
    let hex = |digests: &[Digest]| digests.iter().map(Digest::hex).collect::<Vec<_>>();
    Ok(Needed {
        layers: images.iter().flat_map(|image| hex(&image.layers)).collect(),
        manifests: images.iter().map(|image| image.manifest.digest.hex()).collect(),
        blobs: images.iter().flat_map(|image| hex(&image.blobs)).collect(),
    })
}

/// Whether a blob is an index with one of these manifests in it. The next pull of the name need not
/// ask for it.
fn leads_to(path: &Path, manifests: &BTreeSet<String>) -> bool {
    if !fs::metadata(path).is_ok_and(|there| there.len() <= LARGEST_DOCUMENT) {
        return false;
    }
    match documents::parse(&fs::read(path).unwrap_or_default(), "") {
        Ok(Document::Index(index)) => {
            index.manifests.iter().any(|entry| manifests.contains(&entry.digest.hex()))
        }
        _ => false,
    }
}

/// The names in a directory that may be missing.
fn names(directory: &Path) -> Result<Vec<String>, Error> {
    let mut names = Vec::new();
    for entry in fs::read_dir(directory).into_iter().flatten() {
        let entry = entry.explain(format_args!("read {directory:?}"))?;
        names.push(entry.file_name().to_string_lossy().into_owned());
    }
    names.sort();
    Ok(names)
}
