//! Locks between processes.

use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::PathBuf;

use nix::fcntl::{Flock, FlockArg};

use crate::{Error, Explain};

/// A lock that its process holds until this is dropped, or the process is gone (flock(2)).
pub struct Lock {
    path: PathBuf,
    _file: Flock<File>,
}

impl Lock {
    /// Waits until nobody else has the lock of this name, which is a file. It is made for that, and removed with the
    /// lock.
    ///
    /// # Errors
    ///
    /// The file can't be made or locked. The error names it.
    pub fn wait(path: PathBuf) -> Result<Lock, Error> {
        let what = format!("lock {path:?}");
        loop {
            let file = OpenOptions::new().create(true).append(true).mode(0o600).open(&path);
            let file = Flock::lock(file.explain(&what)?, FlockArg::LockExclusive)
                .map_err(|(_, errno)| errno)
                .explain(&what)?;
            let ours = file.metadata().explain(&what)?.ino();
            // The one before us has removed it, and somebody may have made another.
            if fs::metadata(&path).is_ok_and(|there| there.ino() == ours) {
                return Ok(Lock { path, _file: file });
            }
        }
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // Before the lock is released: who has waited for it looks whether the file is still there.
        let _ = fs::remove_file(&self.path);
    }
}
