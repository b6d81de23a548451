//! Volumes: directories that are the containers', and outlive them.
//!
//! A volume is a directory of the store's, with its files in `data`. That name is given when they are
//! all there: a volume that was never filled, or half, has none.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::ErrorKind;
use std::os::fd::AsFd;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use nix::fcntl::renameat;
use nix::unistd::syncfs;
use shared::{Error, Explain};

use crate::copy;
use crate::detached::Detached;
use crate::place::Place;

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
}

impl Volume {
    /// Takes the volume of this name, made if it is missing.
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
            // Somebody may have removed it before we had the lock.
            let ours = opened.metadata().explain(format_args!("stat {directory:?}"))?.ino();
            if fs::metadata(&directory).is_ok_and(|there| there.ino() == ours) {
                return Ok(Volume { directory, _in_use: opened });
            }
        }
    }

    /// Opens it. If it is new, others wait until it is filled.
    pub fn open(&self) -> Result<(Detached, Option<Filling>), Error> {
        let data = self.directory.join(DATA);
        if data.exists() {
            return Ok((Detached::copy_of(&data)?, None));
        }
        let path = self.directory.join("lock");
        let mut how = OpenOptions::new();
        let lock = how.create(true).append(true).mode(0o600).open(&path);
        let lock = lock.and_then(|file| file.lock().map(|()| file));
        let lock = lock.explain(format_args!("lock {path:?}"))?;
        if data.exists() {
            return Ok((Detached::copy_of(&data)?, None));
        }
        let new = self.directory.join(NEW);
        if new.exists() {
            // Somebody was killed half-way.
            step7::layer::remove(&new)?;
        }
        let detached = make(&new)?;
        let parent =
            File::open(&self.directory).explain(format_args!("open {:?}", self.directory))?;
        Ok((detached, Some(Filling { named: Some((parent, lock)) })))
    }
}

/// A volume that is new.
pub struct Filling {
    /// The volume's directory, and the lock that keeps others waiting. None: it has no name, and goes
    /// with its container.
    named: Option<(File, File)>,
}

impl Filling {
    /// Makes a volume that goes with its container: in the container's own directory.
    pub fn without_name(directory: &Path) -> Result<(Detached, Option<Filling>), Error> {
        Ok((make(directory)?, Some(Filling { named: None })))
    }

    /// Fills it with what the container has at the place where it will be mounted, and with that
    /// place's owner and mode.
    pub fn finish(self, volume: &Detached, place: &Place, filled: bool) -> Result<(), Error> {
        if filled {
            copy::all(place.as_fd(), volume.as_fd())?;
        }
        let Some((parent, _lock)) = self.named else { return Ok(()) };
        // Before it has the name: whoever finds that takes the files for whole.
        syncfs(&parent).explain("syncfs the volume")?;
        renameat(&parent, NEW, &parent, DATA).explain("rename the new volume")
    }
}

fn make(directory: &Path) -> Result<Detached, Error> {
    let made = DirBuilder::new().recursive(true).mode(0o755).create(directory);
    made.explain(format_args!("make the directory {directory:?}"))?;
    Detached::copy_of(directory)
}
