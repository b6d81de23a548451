//! An image once more, for containers in which the caller keeps the id.
//!
//! On the disk a layer's files are the caller's and the ranges', as most containers map them. Where
//! the caller is not root the same files have to be others', and a file has one owner. So there is a
//! second copy.

use std::fs::{self, File, OpenOptions};
use std::io::{self, IsTerminal};
use std::os::fd::AsFd;
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use nix::sys::prctl;
use nix::sys::signal::Signal;
use nix::sys::stat::{Mode, umask};
use nix::unistd::{getegid, geteuid, getuid, syncfs};
use serde::{Deserialize, Serialize};
use shared::{Error, Explain};
use step5::subordinate::Subordinate;
use step7::layer::Report;
use step7::unpack::{make_directory, start_process};

use crate::copy;
use crate::owners::{Userns, around, shifted};

/// What is to be copied.
#[derive(Serialize, Deserialize)]
struct Order {
    from: PathBuf,
    to: PathBuf,
    uid: u32,
    gid: u32,
}

/// Gives the directories of an image as a container with such ids wants them. The caller has one
/// thread.
pub fn fit(below: Vec<PathBuf>, userns: Userns) -> Result<Vec<PathBuf>, Error> {
    if !userns.keeps_id() {
        return Ok(below);
    }
    // Without ranges all files are the caller's anyway.
    let Ok(ids) = Subordinate::of(getuid())? else { return Ok(below) };
    let (uid, gid) = (geteuid().as_raw(), getegid().as_raw());
    around(uid, &ids.uids).and_then(|_| around(gid, &ids.gids))?;
    let mut process = None;
    let mut all = Vec::new();
    for from in below {
        // Beside it, so that it goes when the layer goes.
        let beside = |kind: &str| {
            let name = from.file_name().expect("a layer has a name").to_string_lossy();
            from.with_file_name(format!("{name}-keep-{uid}-{gid}{kind}"))
        };
        let to = beside("");
        if !to.exists() {
            let _lock = lock(&beside(".lock"))?;
            if !to.exists() {
                let process = match &mut process {
                    Some(process) => process,
                    none => none.insert(start()?),
                };
                process.give::<Report>(&Order { from, to: to.clone(), uid, gid })?;
            }
        }
        all.push(to);
    }
    Ok(all)
}

/// Waits until nobody else makes the copy.
fn lock(path: &Path) -> Result<File, Error> {
    let mut how = OpenOptions::new();
    let file = how.create(true).append(true).mode(0o600).open(path);
    let locked = file.and_then(|file| file.lock().map(|()| file));
    locked.explain(format_args!("lock {path:?}"))
}

/// Makes the process that copies: it may give files to all the ids.
fn start() -> Result<orders::Giver, Error> {
    if io::stderr().is_terminal() {
        shared::note("note: the image is copied for your id, once");
    }
    start_process(&[], |socket: &UnixStream| {
        prctl::set_pdeathsig(Signal::SIGKILL).explain("prctl PR_SET_PDEATHSIG")?;
        umask(Mode::empty());
        orders::follow_all(socket, copy)
    })
}

/// Follows one order.
fn copy(order: Order) -> Result<Report, Error> {
    let Order { from, to, uid, gid } = order;
    let partial = to.with_extension("new");
    if partial.exists() {
        // Somebody was killed half-way.
        step7::layer::remove(&partial)?;
    }
    make_directory(&partial)?;
    let source = File::open(&from).explain(format_args!("open {from:?}"))?;
    let copy = File::open(&partial).explain(format_args!("open {partial:?}"))?;
    let owner = |file_uid, file_gid| (shifted(uid, file_uid), shifted(gid, file_gid));
    copy::all(source.as_fd(), copy.as_fd(), &owner).map_err(|error| error.name_full(&partial))?;
    // Before it has the name: whoever finds that takes the files for whole.
    syncfs(&copy).explain("syncfs the copy")?;
    fs::rename(&partial, &to).explain(format_args!("rename {partial:?} to {to:?}"))?;
    Ok(Report::default())
}
