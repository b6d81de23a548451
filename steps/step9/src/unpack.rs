//! Unpacks layers: each into a directory of its own, and so that the kernel writes down what it hides.

use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt, chown, symlink};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use nix::mount::{MntFlags, umount2};
use nix::sched::CloneFlags;
use nix::sys::prctl;
use nix::sys::signal::Signal;
use nix::sys::stat::{Mode, umask};
use orders::Giver;
use reference::Digest;
use serde::{Deserialize, Serialize};
use shared::{Error, Explain};
use step4::rootfs::make_mounts_private;
use step7::layer::{self, Report, Root};
use step7::unpack::{make_directory, owners, start_process};
use step8::layer::{mount_writable, remove_stale};

/// Files in /etc that a start mounts over the image's.
const FILES: [&str; 3] = ["hostname", "hosts", "resolv.conf"];

/// What the process is to do.
#[derive(Serialize, Deserialize)]
enum Order {
    /// Unpack a layer in a new directory.
    Unpack(Layer),
    /// Make what is below every image.
    MakeMountPoints {
        partial: PathBuf,
    },
    /// It is whole: give it the name under which others find it.
    Finish {
        partial: PathBuf,
        directory: PathBuf,
    },
    Remove {
        directory: PathBuf,
    },
    /// Remove what killed engines have left of their containers.
    RemoveStale {
        home: PathBuf,
    },
}

/// A layer that is to be unpacked.
#[derive(Serialize, Deserialize)]
pub struct Layer {
    /// The directory that will have it, to be made anew.
    pub partial: PathBuf,
    /// What is below it, the topmost first.
    pub below: Vec<PathBuf>,
    /// Where its blob may be: it is moved from the first path to the second.
    pub blob: [PathBuf; 2],
    pub diff_id: Digest,
    /// Bytes: a layer that inflates to more is refused.
    pub max_inflated: u64,
}

/// The process that unpacks: with the ids of the container's user namespace, and mounts of its own.
pub struct Unpacker(Giver);

impl Unpacker {
    /// Makes the process. The caller has one thread.
    pub fn start() -> Result<Unpacker, Error> {
        start_process(&[CloneFlags::CLONE_NEWNS], serve).map(Unpacker)
    }

    pub fn unpack(&mut self, layer: Layer) -> Result<Report, Error> {
        self.0.give(&Order::Unpack(layer))
    }

    pub fn make_mount_points(&mut self, partial: PathBuf) -> Result<(), Error> {
        self.0.give::<Report>(&Order::MakeMountPoints { partial }).map(drop)
    }

    pub fn finish(&mut self, partial: PathBuf, directory: PathBuf) -> Result<(), Error> {
        self.0.give::<Report>(&Order::Finish { partial, directory }).map(drop)
    }

    pub fn remove(&mut self, directory: PathBuf) -> Result<(), Error> {
        self.0.give::<Report>(&Order::Remove { directory }).map(drop)
    }

    pub fn remove_stale(&mut self, home: &Path) -> Result<(), Error> {
        self.0.give::<Report>(&Order::RemoveStale { home: home.to_owned() }).map(drop)
    }

    /// Something went wrong: waits until the process has removed what it has not finished, and ended.
    pub fn abandon(&mut self) {
        self.0.hang_up()
    }
}

/// The process itself: until the engine hangs up.
fn serve(socket: &UnixStream) -> Result<(), Error> {
    prctl::set_pdeathsig(Signal::SIGKILL).explain("prctl PR_SET_PDEATHSIG")?;
    umask(Mode::empty());
    // Its mounts are no concern of the host's.
    make_mounts_private()?;
    let mut unfinished = Vec::new();
    let served = orders::follow_all(socket, |order| follow(order, &mut unfinished));
    for partial in unfinished {
        // Half a layer is of no use. If this fails, the next pull of the image begins with it.
        let _ = layer::remove(&partial);
    }
    served
}

/// Follows one order. `unfinished` has what was begun, until it is finished.
fn follow(order: Order, unfinished: &mut Vec<PathBuf>) -> Result<Report, Error> {
    match order {
        Order::Unpack(layer) => {
            make_empty(&layer.partial, unfinished)?;
            return unpack(&layer);
        }
        Order::MakeMountPoints { partial } => {
            make_empty(&partial, unfinished)?;
            make_mount_points(&partial)?;
        }
        Order::Finish { partial, directory } => {
            fs::rename(&partial, &directory)
                .explain(format_args!("rename {partial:?} to {directory:?}"))?;
            unfinished.retain(|path| *path != partial);
        }
        Order::Remove { directory } => layer::remove(&directory)?,
        Order::RemoveStale { home } => remove_stale(&home),
    }
    Ok(Report::default())
}

fn make_empty(directory: &Path, unfinished: &mut Vec<PathBuf>) -> Result<(), Error> {
    if directory.exists() {
        layer::remove(directory)?;
    }
    unfinished.push(directory.to_owned());
    make_directory(directory)
}

/// Applies a layer to an overlay of all that is below it. What it changes the kernel puts into `diff`:
/// files, and for each name that is gone a whiteout, as every later overlay will read it.
fn unpack(layer: &Layer) -> Result<Report, Error> {
    let at = |name: &str| layer.partial.join(name);
    make_directory(&at("diff"))?;
    let root = match layer.below.first() {
        // Nothing is below, so there is nothing to hide.
        None => at("diff"),
        Some(top) => {
            // The overlay's / is the upper directory: it has to look like the one below.
            let root = fs::metadata(top).explain(format_args!("stat {top:?}"))?;
            chown(at("diff"), Some(root.uid()), Some(root.gid()))
                .and_then(|()| fs::set_permissions(at("diff"), root.permissions()))
                .explain(format_args!("give {:?} owner and mode of {top:?}", at("diff")))?;
            make_directory(&at("work"))?;
            make_directory(&at("root"))?;
            mount_writable(&layer.below, [&at("diff"), &at("work")], &at("root"))
                .map_err(|error| error.name_full(&layer.partial))?;
            at("root")
        }
    };
    let applied = apply(layer, &root);
    if !layer.below.is_empty() {
        umount2(&root, MntFlags::empty()).explain(format_args!("umount {root:?}"))?;
        fs::remove_dir(&root).explain(format_args!("remove {root:?}"))?;
        layer::remove(&at("work"))?;
    }
    let report = applied?;
    let size = at("size");
    // Not by the umask: that is 0, for the image's files to get their own modes.
    fs::write(&size, report.inflated.to_string())
        .and_then(|()| fs::set_permissions(&size, fs::Permissions::from_mode(0o644)))
        .explain(format_args!("write {size:?}"))?;
    Ok(report)
}

fn apply(layer: &Layer, root: &Path) -> Result<Report, Error> {
    let [first, second] = &layer.blob;
    let file = File::open(first).or_else(|_| File::open(second));
    let file = file.explain(format_args!("open {second:?}"))?;
    layer::apply(file, &Root::open(root)?, &layer.diff_id, owners(), layer.max_inflated)
        .map_err(|error| error.name_full(&layer.partial))
}

/// What a start looks for in an image, and what it would have to make in the container's layer.
fn make_mount_points(directory: &Path) -> Result<(), Error> {
    for name in ["dev", "etc", "proc", "sys"] {
        make_directory(&directory.join(name))?;
    }
    let etc = directory.join("etc");
    for name in FILES {
        let path = etc.join(name);
        let made = OpenOptions::new().write(true).create_new(true).mode(0o644).open(&path);
        made.explain(format_args!("create {path:?}"))?;
    }
    // What is mounted, for programs that look where it was written before there was /proc.
    let mtab = etc.join("mtab");
    symlink("/proc/mounts", &mtab).explain(format_args!("make the link {mtab:?}"))
}
