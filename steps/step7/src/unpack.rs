//! The process that unpacks: as an ordinary user in a user namespace, where it may give files to
//! other ids.
//!
//! It is made before the engine has threads, and waits. What it is to do comes as lines of JSON.

use std::fs::{self, DirBuilder, File, Permissions};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt, chown};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process;

use nix::sched::CloneFlags;
use nix::sys::prctl;
use nix::sys::signal::Signal;
use nix::sys::stat::{Mode, umask};
use nix::unistd::{ForkResult, getegid, geteuid};
use orders::Giver;
use reference::Digest;
use serde::{Deserialize, Serialize};
use shared::{Error, Explain};
use step2::clone::{clone3, in_new};
use step5::userns::{self, Userns};

use crate::layer::{self, Owners, Report, Root};

/// What is to be done.
#[derive(Serialize, Deserialize)]
pub enum Order {
    /// Make an empty directory for a root filesystem, whatever there was before. No layer may inflate
    /// to more than so many bytes.
    Begin { partial: PathBuf, max_inflated: u64 },
    /// Apply a layer to it.
    Apply {
        /// Where its blob may be: it is moved from the first path to the second.
        blob: [PathBuf; 2],
        diff_id: Digest,
    },
    /// All layers are applied: the directory gets its name.
    Finish { rootfs: PathBuf },
}

/// The process that unpacks, as the engine sees it.
pub struct Unpacker {
    process: Giver,
}

impl Unpacker {
    /// Makes the process. The caller has one thread.
    pub fn start() -> Result<Unpacker, Error> {
        Ok(Unpacker { process: start_process(&[], serve)? })
    }

    /// Gives an order, and waits until the process has followed it.
    pub fn order(&mut self, order: &Order) -> Result<Report, Error> {
        self.process.give(order)
    }

    /// Something went wrong: waits until the process has removed what it has not finished, and ended.
    pub fn abandon(&mut self) {
        self.process.hang_up();
    }
}

/// Makes a process that does what `serve` says, with new namespaces of these kinds; as an ordinary
/// user's it has a user namespace, too. The caller has one thread.
pub fn start_process(
    namespaces: &[CloneFlags],
    serve: fn(&UnixStream) -> Result<(), Error>,
) -> Result<Giver, Error> {
    let (ours, theirs) = UnixStream::pair().explain("socketpair")?;
    let mut namespaces = namespaces.to_vec();
    let is_ordinary = !geteuid().is_root();
    if is_ordinary {
        namespaces.push(CloneFlags::CLONE_NEWUSER);
    }
    // SAFETY: this process has one thread, so the child may do whatever its parent could.
    let cloned = unsafe { clone3(&in_new(&namespaces)) }.explain("clone3 a child to unpack");
    match cloned.map_err(userns::explain_refusal)? {
        ForkResult::Child => {
            drop(ours);
            // The engine may have asked for something: then an error is the reply to it.
            let told = serve(&theirs).or_else(|error| orders::refuse(&theirs, &error));
            process::exit(if told.is_ok() { 0 } else { 1 })
        }
        ForkResult::Parent { child } => {
            if is_ordinary {
                // If this fails the engine's end of the socket closes, and the child ends.
                userns::map_ids(child, Userns::Auto)?;
            }
            Ok(Giver::new(ours, "the unpacking process"))
        }
    }
}

/// The process itself: until the engine hangs up.
fn serve(socket: &UnixStream) -> Result<(), Error> {
    prctl::set_pdeathsig(Signal::SIGKILL).explain("prctl PR_SET_PDEATHSIG")?;
    umask(Mode::empty());
    let mut unfinished = None;
    let served = orders::follow_all(socket, |order| follow(order, &mut unfinished));
    // Half a root filesystem is of no use. If this fails, the next pull of the image begins with it.
    if let Some((partial, _)) = unfinished {
        let _ = layer::remove(&partial);
    }
    served
}

/// Follows one order. `unfinished` is what has begun, until it is finished.
fn follow(order: Order, unfinished: &mut Option<(PathBuf, u64)>) -> Result<Report, Error> {
    if let Order::Begin { partial, max_inflated } = &order {
        *unfinished = Some((partial.clone(), *max_inflated));
    }
    let (partial, most) = unfinished.as_ref().expect("the engine begins with Begin");
    match order {
        Order::Begin { .. } => begin(partial)?,
        Order::Apply { blob: [first, second], diff_id } => {
            let blob = File::open(first).or_else(|_| File::open(&second));
            let blob = blob.explain(format_args!("open {second:?}"))?;
            let root = Root::open(partial)?;
            let applied = layer::apply(blob, &root, &diff_id, owners(), *most);
            return applied.map_err(|error| error.name_full(partial));
        }
        Order::Finish { rootfs } => {
            fs::rename(partial, &rootfs)
                .explain(format_args!("rename {partial:?} to {rootfs:?}"))?;
            *unfinished = None;
        }
    }
    Ok(Report::default())
}

/// Makes the directory, whatever there was before.
fn begin(partial: &Path) -> Result<(), Error> {
    if partial.exists() {
        layer::remove(partial)?;
    }
    make_directory(partial)
}

/// Makes a directory, as any that no entry describes.
pub fn make_directory(directory: &Path) -> Result<(), Error> {
    let mode = 0o755;
    let what = || format!("make the directory {directory:?}");
    DirBuilder::new().mode(mode).create(directory).explain(what())?;
    // The store may have the set-group-ID bit. Then all that is made in it would get a group that
    // this process has no say over, since its user namespace does not have it.
    chown(directory, None, Some(getegid().as_raw())).explain(what())?;
    fs::set_permissions(directory, Permissions::from_mode(mode)).explain(what())
}

/// Whose the files can become: with one id in the map, only the caller's.
pub fn owners() -> Owners {
    let map = fs::read_to_string("/proc/self/uid_map").unwrap_or_default();
    let is_single = map.lines().count() == 1 && map.trim_end().ends_with(" 1");
    if is_single { Owners::Caller } else { Owners::Numeric }
}
