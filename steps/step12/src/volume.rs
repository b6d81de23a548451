//! Volumes: directories that are the containers', and outlive them.
//!
//! A volume is a directory of the store's, with its files in `data`. That name is given when they are
//! all there: a volume that was never filled, or half, has none.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::ErrorKind;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use nix::fcntl::renameat;
use nix::unistd::syncfs;
use shared::{Error, Explain};
use step9::unpack::Unpacker;

/// In the store's home.
pub const VOLUMES: &str = "volumes";

/// In a volume's directory: its files, and how they are called until they are all there.
pub const DATA: &str = "data";
const NEW: &str = "new";

/// A volume by its name, in use as long as this lives.
pub struct Volume {
    directory: PathBuf,
    /// Locked, for all who use it together.
    _in_use: File,
    /// Locked, for whoever fills it, while it is new.
    filling: Option<File>,
}

impl Volume {
    /// Takes the volume of this name, made if it is missing. If somebody else fills it just now, this
    /// waits. Who takes several takes them in the order of their names: else two could wait for each
    /// other.
    pub fn take(home: &Path, name: &str) -> Result<Volume, Error> {
        let directory = home.join(VOLUMES).join(name);
        loop {
            let made = DirBuilder::new().recursive(true).mode(0o700).create(&directory);
            made.explain(format_args!("make the volume {directory:?}"))?;
            let opened = match File::open(&directory) {
                Err(error) if error.kind() == ErrorKind::NotFound => continue,
                opened => opened.explain(format_args!("open {directory:?}"))?,
            };
            opened.lock_shared().explain(format_args!("lock {directory:?}"))?;
            if is_still(&opened, &directory)? {
                let filling = lock_new(&directory)?;
                return Ok(Volume { directory, _in_use: opened, filling });
            }
        }
    }

    /// Takes a volume that is here, alone, to remove it. None: somebody uses it.
    pub fn take_alone(directory: PathBuf) -> Result<Option<Volume>, Error> {
        let opened = File::open(&directory).explain(format_args!("open {directory:?}"))?;
        match opened.try_lock() {
            Ok(()) if is_still(&opened, &directory)? => {
                Ok(Some(Volume { directory, _in_use: opened, filling: None }))
            }
            Ok(()) | Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => {
                Err(error).explain(format_args!("lock {directory:?}"))
            }
        }
    }

    /// Makes it ready to be mounted: where its files are, and if it is new, how to fill it.
    pub fn open(&self) -> Result<(PathBuf, Option<Filling>), Error> {
        if self.filling.is_none() {
            return Ok((self.directory.join(DATA), None));
        }
        let new = self.directory.join(NEW);
        if new.exists() {
            // Somebody was killed half-way.
            step7::layer::remove(&new)?;
        }
        make(&new)?;
        let parent = File::open(&self.directory);
        let parent = parent.explain(format_args!("open {:?}", self.directory))?;
        Ok((new, Some(Filling { parent: Some(parent) })))
    }

    /// Lets those go on who wait until it is filled.
    pub fn end_filling(&self) -> Result<(), Error> {
        self.filling.as_ref().map_or(Ok(()), File::unlock).explain("unlock the volume")
    }

    /// Removes it, and the files in it.
    pub fn remove(self, unpacker: &mut Unpacker) -> Result<(), Error> {
        let data = self.directory.join(DATA);
        if data.exists() {
            // At once out of its name: half of the files would be taken for all.
            let renamed = fs::rename(&data, self.directory.join(NEW));
            renamed.explain(format_args!("rename {data:?}"))?;
        }
        unpacker.remove(self.directory.clone())
    }
}

/// Whether this is what the path leads to: somebody may have removed it before we had the lock.
fn is_still(opened: &File, path: &Path) -> Result<bool, Error> {
    let ours = opened.metadata().explain(format_args!("stat {path:?}"))?.ino();
    Ok(fs::metadata(path).is_ok_and(|there| there.ino() == ours))
}

/// Waits until nobody else fills the volume. None: then it has its files.
fn lock_new(directory: &Path) -> Result<Option<File>, Error> {
    let is_new = || !directory.join(DATA).exists();
    if !is_new() {
        return Ok(None);
    }
    let path = directory.join("lock");
    let mut how = OpenOptions::new();
    let lock = how.create(true).append(true).mode(0o600).open(&path);
    let lock = lock.and_then(|file| file.lock().map(|()| file));
    let lock = lock.explain(format_args!("lock {path:?}"))?;
    Ok(is_new().then_some(lock))
}

/// A volume that is new.
pub struct Filling {
    /// The volume's directory. None: it has no name, and goes with its container.
    parent: Option<File>,
}

impl Filling {
    /// Makes a volume that goes with its container: in the container's own directory.
    pub fn without_name(directory: &Path) -> Result<Filling, Error> {
        make(directory).map(|()| Filling { parent: None })
    }

    /// It has all its files: gives it the name by which others find it.
    pub fn finish(self) -> Result<(), Error> {
        let Some(parent) = self.parent else { return Ok(()) };
        // Before the name is there, as whoever finds that takes the files for whole.
        syncfs(&parent).explain("syncfs the volume")?;
        renameat(&parent, NEW, &parent, DATA).explain("rename the new volume")
    }
}

fn make(directory: &Path) -> Result<(), Error> {
    let made = DirBuilder::new().recursive(true).mode(0o755).create(directory);
    made.explain(format_args!("make the directory {directory:?}"))
}
