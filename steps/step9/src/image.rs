//! The image to run: from the store, unpacked first if need be, or pulled.

use std::ffi::OsStr;
use std::path::PathBuf;

use documents::{Config, Descriptor};
use reference::Reference;
use shared::{Error, home};
use step7::store::Store;
use step8::image::{Pull, in_child, options};
use step8::layer::Layer;

use crate::inventory;
use crate::{chain, layers, pull};

/// An image all of whose layers are unpacked. While this lives, nobody removes them.
pub struct Image {
    pub manifest: Descriptor,
    pub config: Config,
    /// The directories that make its root filesystem, the topmost first.
    pub below: Vec<PathBuf>,
    _in_use: Store,
}

impl Image {
    /// Makes a container's own layer over it. That carries the image's digest, so from now on the
    /// layer says that the image is in use.
    pub fn into_layer(self) -> Result<Layer, Error> {
        Layer::over(self.below, &self.manifest.digest)
    }
}

/// Gives the image of this name.
pub fn get(name: &OsStr, pull: Pull) -> Result<Image, Error> {
    let name: &Reference = &name.to_string_lossy().parse().map_err(Error::new)?;
    if pull != Pull::Always {
        if let Some(image) = unpacked(name)? {
            return Ok(image);
        }
        // An earlier step may have pulled it. Then all its layers are here, if not one by one.
        in_child(|| pull::unpack_stored(name))?;
        if let Some(image) = unpacked(name)? {
            return Ok(image);
        }
    }
    if pull == Pull::Never {
        return Err(Error::new(format!("there is no {name} here (without --pull it is fetched)")));
    }
    in_child(|| pull::pull(&options(name)).map(drop))?;
    unpacked(name)?.ok_or_else(|| Error::new(format!("{name} has gone again")))
}

fn unpacked(name: &Reference) -> Result<Option<Image>, Error> {
    let store = Store::open(home::directory()?)?;
    let Some(manifest) = store.find(&name.to_string())? else { return Ok(None) };
    let Some((_, config)) = inventory::documents(&store, &manifest)? else { return Ok(None) };
    let below = layers::below(store.home(), &chain::ids(&config.rootfs.diff_ids));
    Ok(below.map(|below| Image { manifest, config, below, _in_use: store }))
}
