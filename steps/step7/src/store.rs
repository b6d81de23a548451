//! Where images are kept: an OCI image layout, and the root filesystems unpacked from it.
//!
//! Whatever has its final name is whole: it was written elsewhere, checked, and renamed. So a pull that
//! is killed leaves nothing that the next one could mistake for an image. Before the rename its bytes
//! are on the disk, so neither does a power cut. The layout is the specification's ("Image Layout"):
//! skopeo, umoci and podman can read it.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use archive::AT_ONCE;
use documents::Descriptor;
use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};
use nix::sys::statvfs::statvfs;
use nix::unistd::syncfs;
use reference::Digest;
use serde_json::{Map, Value, json};
use shared::{Error, Explain, Lock};

use crate::digest::{self, Hashing};

/// The annotation that gives an entry of index.json its name (OCI image specification,
/// "Pre-Defined Annotation Keys").
pub const NAME: &str = "org.opencontainers.image.ref.name";

/// The image layout's blobs, in the home.
const BLOBS: &str = "images/blobs/sha256";

/// A store of images.
pub struct Store {
    home: PathBuf,
    /// Locked as long as somebody uses the store. To remove things takes it alone.
    _in_use: Flock<File>,
}

impl Store {
    /// Opens the store, made if there is none. It is the caller's alone: an image may hold
    /// set-user-ID programs of root, which nobody should find.
    pub fn open(home: PathBuf) -> Result<Store, Error> {
        for name in [BLOBS, "partial", "rootfs"] {
            let directory = home.join(name);
            let made = DirBuilder::new().recursive(true).mode(0o700).create(&directory);
            made.explain(format_args!("make the directory {directory:?}"))?;
        }
        let what = format!("lock {home:?}");
        let directory = File::open(&home).explain(&what)?;
        let locked = Flock::lock(directory, FlockArg::LockShared).map_err(|(_, errno)| errno);
        let store = Store { home, _in_use: locked.explain(&what)? };
        let layout = store.layout().join("oci-layout");
        if !layout.exists() {
            store.replace(&layout, br#"{"imageLayoutVersion":"1.0.0"}"#)?;
        }
        Ok(store)
    }

    /// Opens it for somebody who removes things. None: others use it.
    pub fn open_alone(home: PathBuf) -> Result<Option<Store>, Error> {
        let what = format!("lock {home:?}");
        let directory = File::open(&home).explain(&what)?;
        match Flock::lock(directory, FlockArg::LockExclusiveNonblock) {
            Ok(locked) => Ok(Some(Store { home, _in_use: locked })),
            Err((_, Errno::EWOULDBLOCK)) => Ok(None),
            Err((_, errno)) => Err(errno).explain(&what),
        }
    }

    /// The directory of all that a caller has.
    pub fn home(&self) -> &Path {
        &self.home
    }

    /// The image layout's directory.
    pub fn layout(&self) -> PathBuf {
        self.home.join("images")
    }

    /// Where the image layout has its blobs.
    pub fn blobs(&self) -> PathBuf {
        self.home.join(BLOBS)
    }

    /// Where a blob is, or will be.
    pub fn blob(&self, digest: &Digest) -> PathBuf {
        self.blobs().join(digest.hex())
    }

    /// Where the root filesystem of a manifest is, or will be.
    pub fn rootfs(&self, manifest: &Digest) -> PathBuf {
        self.home.join("rootfs").join(manifest.hex())
    }

    /// Where something is as long as it is not finished.
    pub fn partial(&self, name: &str) -> PathBuf {
        self.home.join("partial").join(name)
    }

    /// Bytes that the file system has left for us: no layer can be larger.
    pub fn free_space(&self) -> Result<u64, Error> {
        let found = statvfs(&self.home).explain(format_args!("statfs {:?}", self.home))?;
        Ok(found.blocks_available() as u64 * found.fragment_size() as u64)
    }

    /// Waits until nobody else works on what has this name.
    pub fn lock(&self, name: &str) -> Result<Lock, Error> {
        Lock::wait(self.partial(&format!("{name}.lock")))
    }

    /// A document of an image, if it is there. It was checked when it came.
    pub fn document(&self, digest: &Digest) -> Result<Option<Vec<u8>>, Error> {
        read(&self.blob(digest))
    }

    /// Keeps a document, if it is not there.
    pub fn keep(&self, bytes: &[u8]) -> Result<(), Error> {
        let path = self.blob(&Digest::of(bytes));
        if path.exists() { Ok(()) } else { self.replace(&path, bytes) }
    }

    /// Where a blob can be read that was received: one of these paths has it. It moves from the first to
    /// the second, so look in this order.
    pub fn blob_paths(&self, digest: &Digest) -> [PathBuf; 2] {
        [self.partial(&digest.hex()), self.blob(digest)]
    }

    /// Gets a blob unless it is there, and checks it. `open` gives its bytes from some byte on: what
    /// an earlier pull has left half-done is not asked for again. It is in `partial` then, until
    /// [`Store::name_blobs`].
    ///
    /// `tell` hears how many bytes there are so far. False: there was nothing to do.
    pub fn receive<R: Read>(
        &self,
        descriptor: &Descriptor,
        open: impl Fn(u64) -> Result<R, Error>,
        tell: impl Fn(u64),
    ) -> Result<bool, Error> {
        let _ours = self.lock(&descriptor.digest.hex())?;
        if let Ok(there) = fs::metadata(self.blob(&descriptor.digest)) {
            return descriptor.require_size(there.len()).map(|()| false);
        }
        let path = self.partial(&descriptor.digest.hex());
        let was_begun = path.exists();
        let mut received = self.complete(&path, descriptor, &open, &tell);
        if received.is_err() && was_begun && !path.exists() {
            // What was there was wrong, as after a power cut: it is gone, so all of it once more.
            received = self.complete(&path, descriptor, &open, &tell);
        }
        received?;
        // An earlier pull may have left more than this one asks for.
        let there = fs::metadata(&path).explain(format_args!("stat {path:?}"))?;
        descriptor.require_size(there.len()).map(|()| true)
    }

    /// Appends to a file what is missing of a blob, and checks all of it.
    fn complete<R: Read>(
        &self,
        path: &Path,
        descriptor: &Descriptor,
        open: impl Fn(u64) -> Result<R, Error>,
        tell: impl Fn(u64),
    ) -> Result<(), Error> {
        let Descriptor { digest, size, .. } = descriptor;
        let mut options = OpenOptions::new();
        let opened = options.create(true).read(true).append(true).mode(0o600).open(path);
        let mut file = opened.explain(format_args!("open {path:?}"))?;
        let received = append_rest(&mut file, *size, open, tell)
            .and_then(|seen| digest::require(format!("a blob of {size} bytes"), digest, &seen));
        received.map_err(|error| error.name_full(path)).inspect_err(|_| {
            // What was cut off is for the next pull to complete. Nothing, or what is wrong, is of no
            // use.
            if file.metadata().is_ok_and(|there| !(1..*size).contains(&there.len())) {
                let _ = fs::remove_file(path);
            }
        })
    }

    /// Waits until the disk has all that was written to the store's file system.
    pub fn sync(&self) -> Result<(), Error> {
        let directory = File::open(&self.home).explain(format_args!("open {:?}", self.home))?;
        syncfs(&directory).explain(format_args!("syncfs {:?}", self.home))
    }

    /// Gives received blobs their names. They are on the disk by now.
    pub fn name_blobs<'a>(&self, digests: impl Iterator<Item = &'a Digest>) -> Result<(), Error> {
        for digest in digests {
            let _ours = self.lock(&digest.hex())?;
            let [from, to] = self.blob_paths(digest);
            // Another pull, or a layer that is there twice, may have been faster.
            if !to.exists() {
                fs::rename(&from, &to).explain(format_args!("rename {from:?} to {to:?}"))?;
            }
        }
        Ok(())
    }

    /// Writes a file that is never seen half-written. Its bytes go to the disk before it gets its name:
    /// after a power cut the name must not stand for less.
    pub fn replace(&self, path: &Path, bytes: &[u8]) -> Result<(), Error> {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        // One at a time, so by one name: what a killed one has left, the next one writes anew.
        let _ours = self.lock(&name)?;
        let partial = self.partial(&name);
        let write = || {
            let mut file = File::create(&partial).explain(format_args!("create {partial:?}"))?;
            file.write_all(bytes).explain(format_args!("write {partial:?}"))?;
            file.sync_data().explain(format_args!("fsync {partial:?}"))?;
            fs::rename(&partial, path).explain(format_args!("rename {partial:?} to {path:?}"))
        };
        write().inspect_err(|_| _ = fs::remove_file(&partial))
    }

    /// Gives a manifest a name, which it takes away from another.
    pub fn name(&self, name: &str, manifest: &Descriptor) -> Result<(), Error> {
        let mut entry = serde_json::to_value(manifest).expect("it is plain data");
        entry["annotations"] = json!({ NAME: name });
        self.change_index(|manifests| {
            if !manifests.contains(&entry) {
                manifests.retain(|entry| entry["annotations"][NAME] != name);
                manifests.push(entry);
            }
        })
    }

    /// Changes the entries of index.json.
    pub fn change_index(&self, change: impl FnOnce(&mut Vec<Value>)) -> Result<(), Error> {
        let _ours = self.lock("index")?;
        let before = self.named()?;
        let mut manifests = before.clone();
        change(&mut manifests);
        if manifests == before {
            return Ok(());
        }
        let media_type = "application/vnd.oci.image.index.v1+json";
        let index = json!({ "schemaVersion": 2, "mediaType": media_type, "manifests": manifests });
        self.replace(&self.layout().join("index.json"), index.to_string().as_bytes())
    }

    /// The manifest that has this name.
    pub fn find(&self, name: &str) -> Result<Option<Descriptor>, Error> {
        let entry = self.named()?.into_iter().find(|entry| entry["annotations"][NAME] == name);
        Ok(entry.and_then(|entry| serde_json::from_value(entry).ok()))
    }

    /// The manifests that index.json has, each with its name.
    pub fn entries(&self) -> Result<Vec<Descriptor>, Error> {
        let entries = self.named()?.into_iter();
        Ok(entries.filter_map(|entry| serde_json::from_value(entry).ok()).collect())
    }

    /// The entries of index.json.
    fn named(&self) -> Result<Vec<Value>, Error> {
        let path = self.layout().join("index.json");
        let Some(bytes) = read(&path)? else { return Ok(Vec::new()) };
        let index: Map<String, Value> = serde_json::from_slice(&bytes)
            .map_err(|error| Error::new(format!("{path:?} is no index: {error}")))?;
        Ok(index.get("manifests").and_then(Value::as_array).cloned().unwrap_or_default())
    }
}

/// Reads a file, if it is there.
fn read(path: &Path) -> Result<Option<Vec<u8>>, Error> {
    match fs::read(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        read => read.map(Some).explain(format_args!("read {path:?}")),
    }
}

/// Appends to `file` what is missing of `size` bytes, and gives the digest of all of it.
fn append_rest<R: Read>(
    file: &mut File,
    size: u64,
    open: impl FnOnce(u64) -> Result<R, Error>,
    tell: impl Fn(u64),
) -> Result<Digest, Error> {
    let start = file.metadata().explain("stat the blob")?.len();
    let there = file.try_clone().explain("dup the blob's file")?.take(start);
    let rest: Box<dyn Read + '_> =
        if start < size { Box::new(open(start)?) } else { Box::new(io::empty()) };
    let mut whole = Hashing::new(there.chain(rest));
    let mut buffer = vec![0; AT_ONCE];
    loop {
        let count = whole.read(&mut buffer).map_err(|error| Error::new(error.to_string()))?;
        if count == 0 {
            return Ok(whole.digest());
        }
        if whole.count() > start {
            file.write_all(&buffer[..count]).explain("write the blob")?;
        }
        tell(whole.count());
    }
}
