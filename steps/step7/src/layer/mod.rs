//! A layer: a tar archive, mostly compressed, that changes a root filesystem (OCI image
//! specification, "Image Layer Filesystem Changeset").

mod apply;
mod directory;
mod memory;
mod metadata;
mod prune;
mod root;
mod whiteout;

use std::fs::File;
use std::io::{BufReader, Read};
use std::ops::AddAssign;
use std::os::fd::AsFd;
use std::path::Path;
use std::thread;

use archive::ahead::Ahead;
use archive::inflate::{self, Bounded};
use archive::{AT_ONCE, Archive};
use reference::Digest;
use serde::{Deserialize, Serialize};
use shared::{Error, Explain};

use crate::digest::{self, Hashing};

use apply::Applier;
pub use root::Root;

/// Whose the files become.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owners {
    /// The layer's numbers. One that this process can't give is an error.
    Numeric,
    /// All the caller's, who has one id only. The report counts those that should be another's.
    Caller,
}

/// What became of a layer; and what was lost because the caller may not make it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// Entries of the archive, whiteouts included.
    pub entries: u64,
    /// Bytes of the archive, inflated.
    pub inflated: u64,
    /// Files that should be someone else's than user and group 0.
    pub lost_owners: u64,
    /// Extended attributes that the file system or the kernel did not accept.
    pub lost_xattrs: u64,
    /// Devices that could not be made. Nothing stands in their place.
    pub lost_devices: u64,
}

impl AddAssign for Report {
    fn add_assign(&mut self, other: Report) {
        self.entries += other.entries;
        self.inflated += other.inflated;
        self.lost_owners += other.lost_owners;
        self.lost_xattrs += other.lost_xattrs;
        self.lost_devices += other.lost_devices;
    }
}

/// Removes a root filesystem that is of no use.
pub fn remove(root: &Path) -> Result<(), Error> {
    let (parent, name) = (root.parent().unwrap_or(root), root.file_name().unwrap_or_default());
    let parent = File::open(parent).explain(format_args!("open {parent:?}"))?;
    prune::remove(parent.as_fd(), name).explain(format_args!("remove {root:?}"))
}

/// Applies a layer to the root filesystem that the layers below it have made. One that inflates to more
/// than `max_inflated` bytes is refused.
///
/// `blob` is read to its end, so the digest that a [`Hashing`] took of it is the whole blob's. That
/// the inflated bytes have the digest `diff_id` is known at the end only: after an error the root
/// filesystem is half a layer further, and to be thrown away. Nothing is synced.
pub fn apply(
    blob: impl Read + Send,
    root: &Root,
    diff_id: &Digest,
    owners: Owners,
    max_inflated: u64,
) -> Result<Report, Error> {
    thread::scope(|scope| {
        let inflated =
            Ahead::start(scope, move || Ok(Bounded::new(inflate::reader(blob)?, max_inflated)))?;
        let mut archive = Archive::new(BufReader::with_capacity(AT_ONCE, Hashing::new(inflated)));
        let mut applier = Applier::new(root, owners);
        while let Some(entry) = archive.next_entry()? {
            applier.apply(&entry, &mut archive)?;
        }
        let mut report = applier.finish()?;
        let hashing = archive.finish()?.into_inner();
        report.inflated = hashing.count();
        digest::require("the inflated layer", diff_id, &hashing.digest())?;
        Ok(report)
    })
}
