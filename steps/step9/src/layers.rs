//! Where unpacked layers are: each once, under its chain id, whatever images have it.

use std::fs;
use std::path::{Path, PathBuf};

use reference::Digest;
use shared::{Error, Explain};

/// In the store's home: unpacked layers, each with the files `diff` and `size`.
pub const LAYERS: &str = "layers";

/// In the store's home: what is on its way out.
pub const REMOVED: &str = "removed";

/// Below the lowest layer of every image: directories and files to mount on, where it has none.
/// They come from here, so a start need not make them.
pub const MOUNT_POINTS: &str = "mount-points";

/// Where a layer is, or will be.
pub fn directory(home: &Path, chain_id: &Digest) -> PathBuf {
    home.join(LAYERS).join(chain_id.hex())
}

/// What an overlay takes for an image with these layers, the topmost first. None if one of them is
/// not there.
pub fn below(home: &Path, chain_ids: &[Digest]) -> Option<Vec<PathBuf>> {
    let layers = chain_ids.iter().rev().map(|id| directory(home, id).join("diff"));
    let below: Vec<PathBuf> = layers.chain([home.join(MOUNT_POINTS)]).collect();
    below.iter().all(|path| path.exists()).then_some(below)
}

/// Bytes of a layer's files, as its archive has them.
pub fn size(home: &Path, chain_id: &Digest) -> Result<u64, Error> {
    let path = directory(home, chain_id).join("size");
    let text = fs::read_to_string(&path).explain(format_args!("read {path:?}"))?;
    text.trim().parse().map_err(|_| Error::new(format!("{path:?} holds no number: {text:?}")))
}
