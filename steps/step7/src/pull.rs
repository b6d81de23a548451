//! `pull`: from an image's name to its root filesystem.

use std::io::{self, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::thread;

use clap::Args;
use documents::{Config, Descriptor, Document, Manifest, Platform};
use nix::sys::statvfs::statvfs;
use progress::Progress;
use reference::{Digest, Reference};
use shared::{Error, Explain, home, size};

use crate::index;
use crate::layer::Report;
use crate::registry::{Access, Registry};
use crate::store::Store;
use crate::unpack::Unpacker;

/// Layers that are fetched at a time, as Docker does it.
const AT_A_TIME: usize = 3;

/// The options of `pull`.
#[derive(Args)]
pub struct Options {
    /// For which platform, as in linux/arm64; else for this machine's
    #[arg(long, value_name = "OS/ARCHITECTURE")]
    pub platform: Option<Platform>,

    /// Plain HTTP, also to other machines
    #[arg(long)]
    pub plain_http: bool,

    /// Log in by this name, and not as `docker login` did
    #[arg(long, value_name = "NAME", requires = "password_stdin")]
    pub username: Option<String>,

    /// Read the password from standard input
    #[arg(long, requires = "username")]
    pub password_stdin: bool,

    /// Print the path of the root filesystem, and nothing else
    #[arg(short, long)]
    pub quiet: bool,

    /// The image: alpine, ghcr.io/owner/name:tag, localhost:5000/name
    #[arg(value_name = "IMAGE")]
    pub image: Reference,
}

impl Options {
    /// An image's name, and no more: the rest as if nothing was said.
    pub fn of(image: Reference) -> Options {
        Options {
            platform: None,
            plain_http: false,
            username: None,
            password_stdin: false,
            quiet: false,
            image,
        }
    }
}

/// An image that is here, unpacked.
pub struct Image {
    /// Points to its manifest.
    pub manifest: Descriptor,
    pub config: Config,
    pub rootfs: PathBuf,
}

/// The subcommand: pulls, and prints where the root filesystem is.
pub fn run(options: &Options) -> Result<u8, Error> {
    let image = pull(options)?;
    let mut text = Vec::new();
    if !options.quiet {
        text.extend(format!("{}\n", image.manifest.digest).bytes());
    }
    // A path need not be UTF-8.
    text.extend(image.rootfs.as_os_str().as_bytes());
    text.push(b'\n');
    // Not println!, which panics when nobody takes it.
    let mut output = io::stdout();
    output.write_all(&text).and_then(|()| output.flush()).explain("write to standard output")?;
    Ok(0)
}

/// Fetches what is missing of an image, and unpacks it. An error names the image.
pub fn pull(options: &Options) -> Result<Image, Error> {
    let Reference { registry, repository, .. } = &options.image;
    pull_image(options).map_err(|error| {
        let text = error.to_string();
        if text.contains(&format!("{registry}/{repository}")) {
            return error;
        }
        Error::new(format!("cannot pull {}: {text}", options.image)).with_status(error.status())
    })
}

fn pull_image(options: &Options) -> Result<Image, Error> {
    let store = Arc::new(Store::open(home::directory()?)?);
    // It is a fork of this process, so before there are threads.
    let mut unpacker = Unpacker::start()?;
    let progress = Arc::new(Progress::new(options.quiet));
    let heard = progress.clone();
    let note = move |text: &str| heard.note(text);
    let registry = Arc::new(Registry::new(&options.image, access(options)?, note)?);

    let platform = options.platform.clone().unwrap_or_else(Platform::here);
    let source = Source { store: &store, registry: &registry };
    let found = source.resolve(&options.image, &platform)?;
    let digest = &found.descriptor.digest;
    let rootfs = store.rootfs(digest);
    let _ours = store.lock(&format!("{}.rootfs", digest.hex()))?;
    for document in &found.documents {
        store.keep(document)?;
    }
    if !rootfs.exists() {
        let partial = store.partial(&format!("{}.rootfs", digest.hex()));
        let unpacked = unpack(&store, &registry, &progress, &mut unpacker, &found, &partial);
        // The blobs that are whole stay, but half a root filesystem is of no use.
        tell_losses(&progress, &unpacked.inspect_err(|_| unpacker.abandon())?);
    }
    store.name(&options.image.to_string(), &found.descriptor)?;
    Ok(Image { manifest: found.descriptor, config: found.config, rootfs })
}

/// Fetches the layers, applies them as they arrive, and moves what they make to its place.
fn unpack(
    store: &Arc<Store>,
    registry: &Arc<Registry>,
    progress: &Arc<Progress>,
    unpacker: &mut Unpacker,
    found: &Found,
    partial: &Path,
) -> Result<Report, Error> {
    unpacker.begin(partial)?;
    let space = free_space(store)?;
    let mut report = Report::default();
    let arrivals = fetch(store, registry, &found.manifest, progress)?;
    let layers = found.manifest.layers.iter().zip(&found.config.rootfs.diff_ids);
    for ((layer, diff_id), arrival) in layers.zip(arrivals) {
        arrival.recv().map_err(|_| Error::new("a download has died"))??;
        let places = store.places(&layer.digest);
        report += unpacker.apply(partial, places, diff_id, space)?;
    }
    // Before the first name: what has one is whole, also after a power cut.
    store.sync()?;
    store.place(found.manifest.layers.iter().map(|layer| &layer.digest))?;
    unpacker.finish(partial, &store.rootfs(&found.descriptor.digest))?;
    Ok(report)
}

/// Tells what an ordinary user could not keep.
fn tell_losses(progress: &Progress, report: &Report) {
    for (count, what) in [
        (report.lost_owners, "files are yours and not their owners': there is one id only"),
        (report.lost_xattrs, "extended attributes are lost"),
        (report.lost_devices, "devices are not made: that takes the machine's root"),
    ] {
        if count > 0 {
            progress.note(&format!("note: {count} {what}"));
        }
    }
}

/// The image of this name, if it is in the store with all that it takes to run it.
pub fn stored(name: &Reference) -> Result<Option<Image>, Error> {
    let store = Store::open(home::directory()?)?;
    let Some(descriptor) = store.find(&name.to_string())? else { return Ok(None) };
    let rootfs = store.rootfs(&descriptor.digest);
    let Some(bytes) = store.document(&descriptor.digest)? else { return Ok(None) };
    let Document::Manifest(manifest) = documents::parse(&bytes, &descriptor.media_type)? else {
        return Ok(None);
    };
    match store.document(&manifest.config.digest)? {
        Some(config) if rootfs.exists() => {
            Ok(Some(Image { manifest: descriptor, config: Config::parse(&config)?, rootfs }))
        }
        _ => Ok(None),
    }
}

fn access(options: &Options) -> Result<Access, Error> {
    let mut login = None;
    if let Some(name) = &options.username {
        let mut password = String::new();
        io::stdin().read_to_string(&mut password).explain("read the password")?;
        login = Some((name.clone(), password.trim_end_matches(['\r', '\n']).to_string()));
    }
    Ok(Access { plain_http: options.plain_http, login, ..Access::default() })
}

/// Bytes that the store's file system has left for us: no layer can be larger.
fn free_space(store: &Store) -> Result<u64, Error> {
    let found = statvfs(&store.layout()).explain("statvfs the store")?;
    Ok(found.blocks_available() as u64 * found.fragment_size() as u64)
}

/// An image's documents, checked against each other.
struct Found {
    descriptor: Descriptor,
    manifest: Manifest,
    config: Config,
    /// All that led to it, as it came.
    documents: Vec<Vec<u8>>,
}

struct Source<'a> {
    store: &'a Store,
    registry: &'a Registry,
}

impl Source<'_> {
    /// Follows a name through the indexes to a manifest for the platform, and to its config.
    fn resolve(&self, image: &Reference, platform: &Platform) -> Result<Found, Error> {
        let (bytes, media_type) = self.first(image)?;
        let mut documents = vec![bytes];
        let (descriptor, manifest) = match documents::parse(&documents[0], &media_type)? {
            Document::Manifest(manifest) => {
                (Descriptor::of(&documents[0], &manifest.media_type), manifest)
            }
            Document::Index(index) => index::find(index, platform, |next| {
                let digest = next.digest.to_string();
                let bytes = self.get(next, || Ok(self.registry.manifest(&digest)?.bytes))?;
                documents.push(bytes.clone());
                documents::parse(&bytes, &next.media_type)
            })?,
        };
        let config = self.get(&manifest.config, || self.blob(&manifest.config))?;
        documents.push(config.clone());
        let config = Config::parse(&config)?;
        config.require_platform(platform)?;
        documents::check(&manifest, &config)?;
        Ok(Found { descriptor, manifest, config, documents })
    }

    /// What the name itself stands for. A tag may have moved, so the registry is asked.
    fn first(&self, image: &Reference) -> Result<(Vec<u8>, String), Error> {
        let digest = match &image.digest {
            Some(digest) => Some(digest.clone()),
            None => self.registry.head(&image.tag_or_digest())?,
        };
        if let Some(digest) = &digest
            && let Some(bytes) = self.store.document(digest)?
        {
            return Ok((bytes, String::new()));
        }
        let document = self.registry.manifest(&image.tag_or_digest())?;
        Ok((document.bytes, document.media_type))
    }

    /// A document that something points to: ours, or fetched and then checked.
    fn get(
        &self,
        descriptor: &Descriptor,
        fetch: impl FnOnce() -> Result<Vec<u8>, Error>,
    ) -> Result<Vec<u8>, Error> {
        let bytes = match self.store.document(&descriptor.digest)? {
            Some(bytes) => bytes,
            None => {
                let bytes = fetch()?;
                let what = format_args!("a document of {} bytes", bytes.len()).to_string();
                crate::digest::require(what, &descriptor.digest, &Digest::of(&bytes))?;
                bytes
            }
        };
        descriptor.require_size(bytes.len() as u64)?;
        Ok(bytes)
    }

    fn blob(&self, descriptor: &Descriptor) -> Result<Vec<u8>, Error> {
        if descriptor.size > documents::LARGEST_DOCUMENT {
            let size = size::text(descriptor.size);
            return Err(Error::new(format!("the image's config has {size}: that is no config")));
        }
        let mut bytes = Vec::new();
        let mut blob = self.registry.blob(descriptor, 0)?;
        blob.read_to_end(&mut bytes).map_err(|error| Error::new(error.to_string()))?;
        Ok(bytes)
    }
}

/// Fetches the layers, some at a time, and tells of each when it is there or has failed.
fn fetch(
    store: &Arc<Store>,
    registry: &Arc<Registry>,
    manifest: &Manifest,
    progress: &Arc<Progress>,
) -> Result<Vec<Receiver<Result<(), Error>>>, Error> {
    let (senders, receivers): (Vec<_>, Vec<_>) = manifest.layers.iter().map(|_| channel()).unzip();
    let layers = Arc::new(manifest.layers.clone());
    let (next, senders) = (Arc::new(AtomicUsize::new(0)), Arc::new(senders));
    for _ in 0..AT_A_TIME.min(layers.len()) {
        let (store, registry, progress) = (store.clone(), registry.clone(), progress.clone());
        let (layers, next, senders) = (layers.clone(), next.clone(), senders.clone());
        // It may outlive an error: then it ends with the process.
        let thread = thread::Builder::new().spawn(move || {
            loop {
                let index = next.fetch_add(1, Ordering::Relaxed);
                let Some(layer) = layers.get(index) else { return };
                let bar = progress.bar(&name(layer), layer.size);
                let fetched = store.receive(
                    layer,
                    |start| registry.blob(layer, start),
                    |so_far| bar.at(so_far),
                );
                bar.end(&fetched);
                let _ = senders[index].send(fetched.map(drop));
            }
        });
        thread.explain("start a thread")?;
    }
    Ok(receivers)
}

/// What a person reads of a layer: the start of its digest, as people know them by, and its size.
fn name(layer: &Descriptor) -> String {
    let short: String = layer.digest.hex().chars().take(12).collect();
    format!("layer {short} of {}", size::text(layer.size))
}
