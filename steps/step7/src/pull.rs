//! `pull`: from an image's name to its root filesystem.

use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::thread;

use clap::Args;
use documents::{Config, Descriptor, Document, Manifest, Platform};
use logins::Logins;
use progress::Progress;
use reference::{Digest, Reference};
use shared::{Error, Explain, home};
use transport::Patience;

use crate::layer::Report;
use crate::registry::Registry;
use crate::store::Store;
use crate::unpack::{Order, Unpacker};
use crate::{digest, index};

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

    /// Print only what a script needs
    #[arg(short, long)]
    pub quiet: bool,

    /// The image: alpine, ghcr.io/owner/name:tag, localhost:5000/name
    #[arg(value_name = "IMAGE")]
    pub image: Reference,
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
    shared::print(&text).map(|()| 0)
}

/// Fetches what is missing of an image, and unpacks it. An error names the image.
pub fn pull(options: &Options) -> Result<Image, Error> {
    pull_image(options).map_err(|error| name_image(error, &options.image))
}

/// Says in an error which image could not be pulled, if it does not yet.
pub fn name_image(error: Error, image: &Reference) -> Error {
    let Reference { registry, repository, .. } = image;
    let text = error.to_string();
    if text.contains(&format!("{registry}/{repository}")) {
        return error;
    }
    Error::new(format!("cannot pull {image}: {text}")).with_status(error.status())
}

fn pull_image(options: &Options) -> Result<Image, Error> {
    // It is a fork of this process, so before there are threads.
    let mut unpacker = Unpacker::start()?;
    let store = Arc::new(Store::open(home::directory()?)?);
    let progress = Arc::new(Progress::new(options.quiet));
    let heard = progress.clone();
    let (logins, patience) = (logins(options)?, Patience::default());
    let note = move |text: &str| heard.note(text);
    let registry = Registry::new(&options.image, options.plain_http, logins, patience, note)?;
    let source = Source { store, registry: Arc::new(registry), progress };

    let platform = options.platform.clone().unwrap_or_else(Platform::here);
    let found = source.resolve(&options.image, &platform)?;
    let Source { store, progress, .. } = &source;
    let rootfs = store.rootfs(&found.descriptor.digest);
    let partial = format!("{}.rootfs", found.descriptor.digest.hex());
    let _ours = store.lock(&partial)?;
    for document in &found.documents {
        store.keep(document)?;
    }
    if !rootfs.exists() {
        let (partial, max_inflated) = (store.partial(&partial), store.free_space()?);
        let begun = unpacker.order(&Order::Begin { partial, max_inflated });
        let unpacked = begun.and_then(|_| source.unpack(&found, &mut unpacker));
        // The blobs that are whole stay, but half a root filesystem is of no use.
        tell_losses(progress, &unpacked.inspect_err(|_| unpacker.abandon())?);
    }
    store.name(&options.image.to_string(), &found.descriptor)?;
    Ok(Image { manifest: found.descriptor, config: found.config, rootfs })
}

/// Tells what an ordinary user could not keep.
pub fn tell_losses(progress: &Progress, report: &Report) {
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

/// Who to be: as the options say, or as `docker login` and `podman login` have left it.
pub fn logins(options: &Options) -> Result<Logins, Error> {
    let given = match &options.username {
        Some(user) => Some((user.clone(), logins::read_password(io::stdin())?)),
        None => None,
    };
    let Reference { registry, repository, .. } = &options.image;
    Ok(Logins::new(registry, repository, given, logins::files()))
}

/// An image's documents, checked against each other.
pub struct Found {
    /// Points to the manifest.
    pub descriptor: Descriptor,
    pub manifest: Manifest,
    pub config: Config,
    /// All that led to it, as it came.
    pub documents: Vec<Vec<u8>>,
}

/// Where an image comes from, and where it goes. Each thread has its own.
#[derive(Clone)]
pub struct Source {
    pub store: Arc<Store>,
    pub registry: Arc<Registry>,
    pub progress: Arc<Progress>,
}

impl Source {
    /// Follows a name through the indexes to a manifest for the platform, and to its config.
    pub fn resolve(&self, image: &Reference, platform: &Platform) -> Result<Found, Error> {
        let (bytes, media_type) = self.first(image)?;
        let mut documents = vec![bytes];
        let (descriptor, manifest) = match documents::parse(&documents[0], &media_type)? {
            Document::Manifest(manifest) => {
                (Descriptor::of(&documents[0], &manifest.media_type), manifest)
            }
            Document::Index(index) => index::find(index, platform, |next| {
                let digest = next.digest.to_string();
                let bytes = self.get(next, || Ok(self.registry.manifest(&digest)?.0))?;
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
        self.registry.manifest(&image.tag_or_digest())
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
                let what = format!("a document of {} bytes", bytes.len());
                digest::require(what, &descriptor.digest, &Digest::of(&bytes))?;
                bytes
            }
        };
        descriptor.require_size(bytes.len() as u64)?;
        Ok(bytes)
    }

    fn blob(&self, descriptor: &Descriptor) -> Result<Vec<u8>, Error> {
        let mut bytes = Vec::new();
        let mut blob = self.registry.blob(descriptor, 0)?;
        blob.read_to_end(&mut bytes).map_err(|error| Error::new(error.to_string()))?;
        Ok(bytes)
    }

    /// Fetches the layers, applies them as they arrive, and gives what they make its name.
    fn unpack(&self, found: &Found, unpacker: &mut Unpacker) -> Result<Report, Error> {
        let mut report = Report::default();
        let layers = &found.manifest.layers;
        for (index, arrival) in self.fetch(layers)?.into_iter().enumerate() {
            arrival.recv().map_err(|_| Error::new("a download has died"))??;
            let blob = self.store.blob_paths(&layers[index].digest);
            let diff_id = found.config.rootfs.diff_ids[index].clone();
            report += unpacker.order(&Order::Apply { blob, diff_id })?;
        }
        // Before the first name: what has one is whole, also after a power cut.
        self.store.sync()?;
        self.store.name_blobs(layers.iter().map(|layer| &layer.digest))?;
        let rootfs = self.store.rootfs(&found.descriptor.digest);
        unpacker.order(&Order::Finish { rootfs })?;
        Ok(report)
    }

    /// Fetches the layers, some at a time, and tells of each when it has arrived or failed.
    pub fn fetch(&self, layers: &[Descriptor]) -> Result<Vec<Receiver<Result<(), Error>>>, Error> {
        let (senders, receivers): (Vec<_>, Vec<_>) = layers.iter().map(|_| channel()).unzip();
        let all: Vec<_> = layers.iter().cloned().zip(senders).collect();
        let (all, next) = (Arc::new(all), Arc::new(AtomicUsize::new(0)));
        for _ in 0..AT_A_TIME.min(layers.len()) {
            let (source, all, next) = (self.clone(), all.clone(), next.clone());
            // It may outlive an error: then it ends with the process.
            let thread = thread::Builder::new().spawn(move || {
                while let Some((layer, sender)) = all.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let _ = sender.send(source.receive(layer));
                }
            });
            thread.explain("start a thread")?;
        }
        Ok(receivers)
    }

    /// Fetches one layer, if it is not in the store.
    fn receive(&self, layer: &Descriptor) -> Result<(), Error> {
        let bar = self.progress.bar(&layer.title(), layer.size);
        let open = |start| self.registry.blob(layer, start);
        let received = self.store.receive(layer, open, |so_far| bar.at(so_far));
        bar.end(&received);
        received.map(drop)
    }
}
