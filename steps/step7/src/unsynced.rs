//! What the disk may not have yet. A pull does not wait for it: the kernel writes what has changed
//! within half a minute. If the machine goes down before, a name may be there without its bytes.
//!
//! So before an image's files get their final names there is a note, which is on the disk. It names
//! this boot of the machine. In a later boot it says what not to trust.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::unistd::syncfs;
use shared::{Error, Explain};

use crate::digest::Digest;
use crate::store::Store;

/// By then the kernel has written all of a pull (after 30 s, proc_sys_vm(5): dirty_expire_centisecs),
/// so that there is little left to wait for.
const WRITTEN_AFTER: Duration = Duration::from_secs(60);

/// This boot of the machine (proc_sys_kernel(5)).
const BOOT: &str = "/proc/sys/kernel/random/boot_id";

/// The note of an image that nobody may trust, and whose blobs have been seen to.
const LOST: &str = "";

impl Store {
    fn note(&self, manifest: &Digest) -> PathBuf {
        self.unsynced().join(manifest.hex())
    }

    /// Notes that an image's root filesystem and the blobs of its layers may not be on the disk.
    pub fn note_unsynced<'a>(
        &self,
        manifest: &Digest,
        layers: impl Iterator<Item = &'a Digest>,
    ) -> Result<(), Error> {
        let mut text = boot()?;
        layers.for_each(|layer| text += &format!("{}\n", layer.hex()));
        self.replace(&self.note(manifest), text.as_bytes())
    }

    /// Whether the machine has gone down before all of an image was on the disk.
    pub fn is_doubtful(&self, manifest: &Digest) -> Result<bool, Error> {
        let note = read(&self.note(manifest))?;
        Ok(match note {
            Some(text) => !text.starts_with(&boot()?),
            None => false,
        })
    }

    /// Looks at all notes. Those of this boot go when the disk has everything; what the others name
    /// goes back to where it is checked.
    pub fn settle(&self) -> Result<(), Error> {
        let (boot, mut old) = (boot()?, Vec::new());
        for note in entries(&self.unsynced())? {
            match read(&note)? {
                Some(text) if text.starts_with(&boot) => {
                    let age = fs::metadata(&note).and_then(|about| about.modified());
                    let age = age.ok().and_then(|then| then.elapsed().ok());
                    old.extend(age.filter(|age| *age > WRITTEN_AFTER).map(|_| note));
                }
                Some(text) if text != LOST => self.distrust(&note)?,
                _ => {}
            }
        }
        if old.is_empty() {
            return Ok(());
        }
        let layout = self.layout();
        let directory = File::open(&layout).explain(format_args!("open {layout:?}"))?;
        let synced = syncfs(&directory).explain(format_args!("syncfs {layout:?}"));
        old.iter().try_for_each(|note| match synced {
            // Another engine may have been faster.
            Ok(()) => Ok(_ = fs::remove_file(note)),
            // The kernel says so once only.
            Err(_) => self.distrust(note),
        })?;
        synced
    }

    /// Moves an image's blobs to where a pull finds the beginnings of blobs, and checks them.
    fn distrust(&self, note: &Path) -> Result<(), Error> {
        let _ours = self.lock("unsynced")?;
        for name in read(note)?.unwrap_or_default().lines().skip(1) {
            let _ = fs::rename(self.blobs().join(name), self.partial(name));
        }
        self.replace(note, LOST.as_bytes())
    }
}

fn boot() -> Result<String, Error> {
    fs::read_to_string(BOOT).explain(format_args!("read {BOOT}"))
}

/// A note's text, if there is one.
fn read(note: &Path) -> Result<Option<String>, Error> {
    match fs::read_to_string(note) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        read => read.map(Some).explain(format_args!("read {note:?}")),
    }
}

fn entries(directory: &Path) -> Result<Vec<PathBuf>, Error> {
    let entries = fs::read_dir(directory)
        .and_then(|entries| entries.map(|entry| Ok(entry?.path())).collect());
    entries.explain(format_args!("read {directory:?}"))
}
