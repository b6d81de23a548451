//! `pull`: from an image's name to its layers.

use std::path::PathBuf;
use std::sync::Arc;

use documents::{Config, Descriptor, Manifest, Platform};
use progress::Progress;
use reference::Reference;
use shared::{Error, Explain, home};
use step7::layer::Report;
use step7::pull::{self, Options, Source};
use step7::registry::Registry;
use step7::store::Store;
use transport::Patience;

use crate::layers::{self, LAYERS, MOUNT_POINTS};
use crate::sweep::sweep;
use crate::unpack::{Layer, Unpacker};
use crate::{chain, inventory, names};

/// The subcommand: pulls, and prints the digest of the image's manifest.
pub fn run(options: &Options) -> Result<u8, Error> {
    let manifest = pull(options)?;
    shared::print(format!("{}\n", manifest.digest).as_bytes()).map(|()| 0)
}

/// Fetches what is missing of an image, and unpacks the layers that no image had before. An error
/// names the image.
pub fn pull(options: &Options) -> Result<Descriptor, Error> {
    pull_image(options).map_err(|error| pull::name_image(error, &options.image))
}

fn pull_image(options: &Options) -> Result<Descriptor, Error> {
    let home = home::directory()?;
    // It is a fork of this process, so before there are threads, and before we hold the store.
    let mut unpacker = Unpacker::start()?;
    let store = Arc::new(Store::open(home.clone())?);
    let progress = Arc::new(Progress::new(options.quiet));
    let heard = progress.clone();
    let (logins, patience) = (pull::logins(options)?, Patience::default());
    let note = move |text: &str| heard.note(text);
    let registry = Registry::new(&options.image, options.plain_http, logins, patience, note)?;
    let source = Source { store, registry: Arc::new(registry), progress };

    let platform = options.platform.clone().unwrap_or_else(Platform::here);
    let found = source.resolve(&options.image, &platform)?;
    let store = &source.store;
    for document in &found.documents {
        store.keep(document)?;
    }
    let arrivals = source.fetch(&found.manifest.layers)?;
    let arrived = |index: usize| {
        arrivals[index].recv().unwrap_or_else(|_| Err(Error::new("a download has died")))
    };
    let unpacked = unpack(store, &mut unpacker, &found.manifest, &found.config, arrived);
    let report = unpacked.inspect_err(|_| unpacker.abandon())?;
    pull::tell_losses(&source.progress, &report);
    names::give(store, &options.image.to_string(), &found.descriptor)?;
    if report.entries > 0 {
        // What somebody wanted to remove meanwhile has waited for us.
        drop(source);
        sweep(&home, &mut unpacker, false)?;
    }
    Ok(found.descriptor)
}

/// Unpacks an image whose blobs are all here, as an earlier step leaves it. If one is missing nothing
/// happens.
pub fn unpack_stored(name: &Reference) -> Result<(), Error> {
    let mut unpacker = Unpacker::start()?;
    let store = Store::open(home::directory()?)?;
    let Some(manifest) = store.find(&name.to_string())? else { return Ok(()) };
    let Some((manifest, config)) = inventory::documents(&store, &manifest)? else { return Ok(()) };
    if manifest.layers.iter().any(|layer| !store.blob(&layer.digest).exists()) {
        return Ok(());
    }
    let unpacked = unpack(&store, &mut unpacker, &manifest, &config, |_| Ok(()));
    unpacked.map(drop).inspect_err(|_| unpacker.abandon())
}

/// Unpacks the layers that are not there, from the lowest up, each as soon as it has `arrived`.
fn unpack(
    store: &Store,
    unpacker: &mut Unpacker,
    manifest: &Manifest,
    config: &Config,
    arrived: impl Fn(usize) -> Result<(), Error>,
) -> Result<Report, Error> {
    make_directories(store, unpacker)?;
    let max_inflated = store.free_space()?;
    let diff_ids = &config.rootfs.diff_ids;
    let mut report = Report::default();
    // The topmost first.
    let mut below: Vec<PathBuf> = Vec::new();
    let mut new = Vec::new();
    for (index, chain_id) in chain::ids(diff_ids).iter().enumerate() {
        arrived(index)?;
        let directory = layers::directory(store.home(), chain_id);
        let name = format!("{}.layer", chain_id.hex());
        // Another pull may be unpacking it. Everybody begins with the lowest layer, so of two that
        // wait for each other none can be.
        let lock = store.lock(&name)?;
        if directory.exists() {
            below.insert(0, directory.join("diff"));
            continue;
        }
        let partial = store.partial(&name);
        report += unpacker.unpack(Layer {
            partial: partial.clone(),
            below: below.clone(),
            blob: store.blob_paths(&manifest.layers[index].digest),
            diff_id: diff_ids[index].clone(),
            max_inflated,
        })?;
        below.insert(0, partial.join("diff"));
        new.push((partial, directory, lock));
    }
    // Before the first name: what has one is whole, also after a power cut.
    store.sync()?;
    store.name_blobs(manifest.layers.iter().map(|layer| &layer.digest))?;
    for (partial, directory, _lock) in new {
        unpacker.finish(partial, directory)?;
    }
    Ok(report)
}

/// Makes the directory of the layers, and what lies below them all.
fn make_directories(store: &Store, unpacker: &mut Unpacker) -> Result<(), Error> {
    let layers = store.home().join(LAYERS);
    std::fs::create_dir_all(&layers).explain(format_args!("make the directory {layers:?}"))?;
    let _ours = store.lock(MOUNT_POINTS)?;
    let directory = store.home().join(MOUNT_POINTS);
    if !directory.exists() {
        let partial = store.partial(MOUNT_POINTS);
        unpacker.make_mount_points(partial.clone())?;
        unpacker.finish(partial, directory)?;
    }
    Ok(())
}
