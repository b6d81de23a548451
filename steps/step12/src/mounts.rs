//! What is mounted in a container beside its image: files of the host's, volumes, memory.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use clap::Args;
use nix::errno::Errno;
use nix::mount::{MntFlags, MsFlags, umount2};
use shared::{Error, Explain, home};
use step4::rootfs::mount_new;

use crate::copy;
use crate::detached::{self, Detached, NO_DEVICES, NO_EXECUTION, NO_SET_UID, READ_ONLY};
use crate::place::{self, Place};
use crate::spec::{self, Mount, Source, Tmpfs};
use crate::volume::{Filling, VOLUMES, Volume};

/// Where programs write that can't write anywhere else, as podman has it.
const SCRATCH: [&str; 3] = ["/run", "/tmp", "/var/tmp"];

/// The options that say what the container sees besides its image.
#[derive(Args)]
// Else clap knows it by the name of the command's own.
#[group(skip)]
pub struct Options {
    /// Show a directory or file of the host's (./SRC or /SRC), or a volume (NAME), at DST. A volume
    /// is made if it is missing, and stays. Without a source it goes with the container
    #[arg(short, long, value_name = "[SRC:]DST[:ro]", value_parser = spec::volume)]
    volume: Vec<Mount>,

    /// The same, spelled out: type=bind|volume|tmpfs,source=SRC,target=DST,readonly
    #[arg(long, value_name = "FIELDS", value_parser = spec::mount)]
    mount: Vec<Mount>,

    /// An empty directory in memory at DST. Options: size=64M, mode=1777, ro, exec
    #[arg(long, value_name = "DST[:OPTIONS]", value_parser = spec::tmpfs)]
    tmpfs: Vec<Mount>,

    /// Nothing of the image can be changed. /run, /tmp and /var/tmp are in memory
    #[arg(long)]
    read_only: bool,
}

/// All that is to be mounted, those above others first.
pub struct Mounts {
    mounts: Vec<Mount>,
    /// Those that have names, each once.
    volumes: BTreeMap<String, Volume>,
    read_only: bool,
}

impl Mounts {
    /// Puts the options and the image's own volumes together, and takes the volumes that have names.
    pub fn new(options: &Options, of_image: &[PathBuf]) -> Result<Mounts, Error> {
        let mut mounts: Vec<Mount> = Vec::new();
        for mount in options.volume.iter().chain(&options.mount).chain(&options.tmpfs) {
            let target = &mount.target;
            if mounts.iter().any(|other| other.target == *target) {
                return Err(Error::new(format!("two mounts for one place, {target:?}")));
            }
            mounts.push(mount.clone());
        }
        let volume = || Source::Volume { name: None, filled: true };
        let memory = || Source::Memory(Tmpfs { filled: true, ..Tmpfs::default() });
        let scratch = SCRATCH.iter().filter(|_| options.read_only);
        // Of the kernel's places an image may say what it likes.
        let of_image = of_image.iter().map(|path| spec::clean(path));
        let implied = of_image.filter(|path| !place::is_taken(path)).map(|path| (path, volume()));
        for (target, source) in implied.chain(scratch.map(|path| (path.into(), memory()))) {
            // What the caller wants there counts more.
            if mounts.iter().all(|other| other.target != target) {
                mounts.push(Mount { source, target, read_only: false });
            }
        }
        mounts.sort_by_key(|mount| mount.target.components().count());

        let home = home::directory()?;
        let names: BTreeSet<&String> = mounts.iter().filter_map(name_of).collect();
        let volumes = names.into_iter().map(|name| Ok((name.clone(), Volume::take(&home, name)?)));
        let volumes = volumes.collect::<Result<_, Error>>()?;
        Ok(Mounts { mounts, volumes, read_only: options.read_only })
    }

    /// Opens all that is the host's, as long as it can be seen. Volumes without a name will be in
    /// `layer`, the container's own directory.
    pub fn open(&self, layer: &Path) -> Result<Vec<Ready<'_>>, Error> {
        let opened = self.volumes.iter().map(|(name, volume)| Ok((name, volume.open()?)));
        let mut opened = opened.collect::<Result<BTreeMap<_, _>, Error>>()?;
        let mut ready = Vec::new();
        for (index, mount) in self.mounts.iter().enumerate() {
            let (detached, filling) = match &mount.source {
                Source::Host(path) => (Some(open_host(path)?), None),
                Source::Volume { name: Some(name), .. } => {
                    let (path, filling) = opened.get_mut(name).expect("it was taken");
                    // The topmost of a volume's places fills it, the others find it so.
                    (Some(Detached::copy_of(path)?), filling.take())
                }
                Source::Volume { name: None, .. } => {
                    let directory = layer.join(VOLUMES).join(index.to_string());
                    let filling = Filling::without_name(&directory)?;
                    (Some(Detached::copy_of(&directory)?), Some(filling))
                }
                Source::Memory(_) => (None, None),
            };
            ready.push(Ready { mount, detached, filling });
        }
        Ok(ready)
    }

    /// Lets others have the volumes that were new, once they are filled.
    pub fn end_filling(&self) -> Result<(), Error> {
        self.volumes.values().try_for_each(Volume::end_filling)
    }

    /// Whether one of them goes to this very path.
    pub fn cover(&self, path: &Path) -> bool {
        self.mounts.iter().any(|mount| mount.target == path)
    }

    /// A place where what the command makes is made on the host, in a directory of the caller's.
    pub fn writable_of_host(&self) -> Option<&Path> {
        let is_it = |mount: &&Mount| matches!(mount.source, Source::Host(_)) && !mount.read_only;
        self.mounts.iter().find(is_it).map(|mount| &*mount.target)
    }

    /// After all of them are mounted: the image itself, if it was asked for.
    pub fn seal(&self) -> Result<(), Error> {
        if !self.read_only {
            return Ok(());
        }
        let root = File::open("/").explain("open /")?;
        detached::set(root.as_fd(), READ_ONLY, 0)
    }
}

/// A mount that has its source.
pub struct Ready<'a> {
    mount: &'a Mount,
    /// None: it will be in memory.
    detached: Option<Detached>,
    filling: Option<Filling>,
}

impl Ready<'_> {
    /// Fills it with what the image has at its place, and protects it. To be called in the container,
    /// after pivot_root, and before anything is mounted that others can change: until then nobody else
    /// is at work there.
    pub fn prepare(&mut self) -> Result<(), Error> {
        let Mount { source, target, read_only } = self.mount;
        let filled = match source {
            Source::Memory(tmpfs) => {
                self.detached = Some(new_memory(tmpfs)?);
                tmpfs.filled
            }
            Source::Volume { filled, .. } => *filled && self.filling.is_some(),
            Source::Host(_) => false,
        };
        let detached = self.detached.as_ref().expect("all others are open");
        if filled && let Some(place) = Place::find(target)? {
            copy::all(place.as_fd(), detached.as_fd(), copy::SAME)?;
        }
        if let Some(filling) = self.filling.take() {
            filling.finish()?;
        }
        // Whatever of the host's is in there: no device, and nobody becomes root by it.
        let mut attributes = NO_DEVICES | NO_SET_UID;
        match source {
            Source::Memory(tmpfs) if !tmpfs.executable => attributes |= NO_EXECUTION,
            _ => {}
        }
        if *read_only {
            attributes |= READ_ONLY;
        }
        detached.restrict(attributes)
    }

    /// Mounts it. To be called in the container, after pivot_root.
    pub fn mount(self) -> Result<(), Error> {
        let (detached, target) = (self.detached.expect("it is prepared"), &self.mount.target);
        let place = Place::open(target, detached.is_directory()?)?;
        detached.attach(place.as_fd()).explain(format_args!("move_mount to {target:?}"))
    }
}

/// The name of the volume that is to be mounted.
fn name_of(mount: &Mount) -> Option<&String> {
    match &mount.source {
        Source::Volume { name, .. } => name.as_ref(),
        _ => None,
    }
}

fn open_host(path: &Path) -> Result<Detached, Error> {
    let missing = "make it first; a name without a slash is a volume";
    Detached::copy_of(path).map_err(|error| error.cure(Errno::ENOENT, missing))
}

/// A new directory in memory, without a place. A mount has to begin somewhere, and /dev is the one
/// directory of the container that is the engine's own.
fn new_memory(tmpfs: &Tmpfs) -> Result<Detached, Error> {
    let directory = Path::new("/dev/memory");
    fs::create_dir(directory).explain(format_args!("make the directory {directory:?}"))?;
    let mut options = format!("mode={:o}", tmpfs.mode);
    if let Some(size) = tmpfs.size {
        options += &format!(",size={size}");
    }
    mount_new("tmpfs", directory, MsFlags::empty(), &options)?;
    let detached = Detached::copy_of(directory)?;
    umount2(directory, MntFlags::MNT_DETACH).explain(format_args!("umount2 {directory:?}"))?;
    fs::remove_dir(directory).explain(format_args!("remove {directory:?}"))?;
    Ok(detached)
}
