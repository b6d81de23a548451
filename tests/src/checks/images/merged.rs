//! The root filesystem of an image whose layers are unpacked one by one, as an overlay shows it.

use std::fs;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use nix::mount::{MntFlags, MsFlags, mount, umount2};
use serde_json::Value;

use super::image::digest;

/// What the directory of these mounts has behind the store's name.
pub const EXTENSION: &str = ".merged-by-checks";

/// Mounts the layers of the image with this manifest over each other, to be read, and gives where.
/// They are in `store`.
pub fn merged(store: &Path, manifest: &str) -> io::Result<PathBuf> {
    let target = place(store).join(manifest.trim_start_matches("sha256:"));
    // The store may be another one by now.
    let _ = umount2(&target, MntFlags::MNT_DETACH);
    let layers = layers(store, manifest)?;
    // Paths are too long for many. That of the place is only for us.
    let options = format!("userxattr,lowerdir={}", layers.join(":"));
    // As private as the store.
    fs::DirBuilder::new().recursive(true).mode(0o700).create(&target)?;
    let mounted = (|| {
        let before = std::env::current_dir()?;
        std::env::set_current_dir(store.join("layers"))?;
        let read_only = MsFlags::MS_RDONLY;
        // An overlay has two layers at least, if nothing is to be written.
        let mounted = match &layers[..] {
            [one] => {
                mount(Some(one.as_str()), &target, None::<&str>, MsFlags::MS_BIND, None::<&str>)
            }
            _ => {
                mount(Some("overlay"), &target, Some("overlay"), read_only, Some(options.as_str()))
            }
        };
        std::env::set_current_dir(before)?;
        Ok(mounted?)
    })();
    mounted.map(|()| target)
}

/// Unmounts what was mounted of a store.
pub fn unmount(store: &Path) {
    for entry in fs::read_dir(place(store)).into_iter().flatten().flatten() {
        let _ = umount2(&entry.path(), MntFlags::MNT_DETACH);
    }
    let _ = fs::remove_dir_all(place(store));
}

/// Beside the store, which is to have no files but the engine's.
fn place(store: &Path) -> PathBuf {
    store.with_extension(&EXTENSION[1..])
}

/// The layers' directories from `layers` on, the topmost first.
fn layers(store: &Path, manifest: &str) -> io::Result<Vec<String>> {
    let read = |digest: &str| -> io::Result<Value> {
        let name = digest.trim_start_matches("sha256:");
        Ok(serde_json::from_slice(&fs::read(store.join("images/blobs/sha256").join(name))?)?)
    };
    let config = read(read(manifest)?["config"]["digest"].as_str().unwrap_or_default())?;
    let chain_ids = chain_ids(&config).into_iter().rev();
    Ok(chain_ids.map(|id| format!("{}/diff", id.trim_start_matches("sha256:"))).collect())
}

/// The chain ids of a config's layers, the lowest first, by the specification's formula.
pub fn chain_ids(config: &Value) -> Vec<String> {
    let diff_ids = config["rootfs"]["diff_ids"].as_array().cloned().unwrap_or_default();
    let mut ids: Vec<String> = Vec::new();
    for diff_id in diff_ids.iter().filter_map(Value::as_str) {
        ids.push(match ids.last() {
            None => diff_id.to_string(),
            Some(below) => digest(format!("{below} {diff_id}").as_bytes()),
        });
    }
    ids
}
