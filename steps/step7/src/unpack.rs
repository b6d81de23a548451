//! The process that unpacks: as an ordinary user in a user namespace, where it may give files to
//! other ids.
//!
//! It is made before the engine has threads, and waits. What it is to do comes as lines of JSON.

use std::ffi::OsStr;
use std::fs::{self, DirBuilder, File};
use std::io::{self, BufRead, BufReader, Write};
use std::net::Shutdown;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::DirBuilderExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process;

use nix::sched::CloneFlags;
use nix::sys::prctl;
use nix::sys::signal::Signal;
use nix::sys::stat::{Mode, umask};
use nix::unistd::{ForkResult, geteuid};
use reference::Digest;
use serde::{Deserialize, Serialize};
use shared::{Error, Explain};
use step2::clone::{clone3, in_new};
use step5::userns::{self, Userns};

use crate::layer::{self, Owners, Report, Root, Terms};

/// What is to be done.
#[derive(Serialize, Deserialize)]
enum Order {
    /// Make an empty directory, whatever there was before.
    Begin { root: PathBuf },
    Apply {
        root: PathBuf,
        /// It is moved from the first to the second.
        places: [PathBuf; 2],
        diff_id: Digest,
        max: u64,
    },
    /// Everything is there: move it to its place.
    Finish { root: PathBuf, place: PathBuf },
}

/// The engine's end of the line.
pub struct Unpacker {
    line: BufReader<UnixStream>,
}

impl Unpacker {
    /// Makes the process. The caller has one thread.
    pub fn start() -> Result<Unpacker, Error> {
        let (ours, theirs) = UnixStream::pair().explain("socketpair")?;
        let namespaces: &[CloneFlags] =
            if geteuid().is_root() { &[] } else { &[CloneFlags::CLONE_NEWUSER] };
        // SAFETY: this process has one thread, so the child may do whatever its parent could.
        let cloned = unsafe { clone3(&in_new(namespaces)) }.explain("clone3 a child to unpack");
        match cloned.map_err(userns::explain_refusal)? {
            ForkResult::Child => {
                drop(ours);
                let done = serve(&theirs);
                // The engine may have asked for something: this is the answer to it.
                let told = done.or_else(|error| answer(&theirs, &Err(error.to_string())));
                process::exit(if told.is_ok() { 0 } else { 1 })
            }
            ForkResult::Parent { child } => {
                if !namespaces.is_empty() {
                    // If this fails the child ends, as its line does.
                    userns::map_ids(child, Userns::Auto)?;
                }
                Ok(Unpacker { line: BufReader::new(ours) })
            }
        }
    }

    /// Begins a root filesystem at `root`.
    pub fn begin(&mut self, root: &Path) -> Result<(), Error> {
        self.order(&Order::Begin { root: root.into() }).map(drop)
    }

    /// Applies a layer to it, whose blob is in one of two places.
    pub fn apply(
        &mut self,
        root: &Path,
        places: [PathBuf; 2],
        diff_id: &Digest,
        max: u64,
    ) -> Result<Report, Error> {
        let (root, diff_id) = (root.into(), diff_id.clone());
        self.order(&Order::Apply { root, places, diff_id, max })
    }

    /// Moves it, finished, to its place.
    pub fn finish(&mut self, root: &Path, place: &Path) -> Result<(), Error> {
        self.order(&Order::Finish { root: root.into(), place: place.into() }).map(drop)
    }

    /// Something went wrong: waits until the process has removed what it has not finished, and ended.
    pub fn abandon(&mut self) {
        let _ = self.line.get_ref().shutdown(Shutdown::Write);
        let _ = io::copy(&mut self.line, &mut io::sink());
    }

    fn order(&mut self, order: &Order) -> Result<Report, Error> {
        let line = serde_json::to_string(order).expect("it is plain data") + "\n";
        let asked =
            self.line.get_mut().write_all(line.as_bytes()).explain("ask the unpacking process");
        // Also if it does not listen any more: then its last words say why.
        let mut answer = String::new();
        self.line.read_line(&mut answer).explain("hear from the unpacking process")?;
        match serde_json::from_str::<Result<Report, String>>(&answer) {
            Ok(Ok(report)) => Ok(report),
            Ok(Err(message)) => Err(Error::new(message)),
            Err(_) => asked.and(Err(Error::new("the unpacking process has died"))),
        }
    }
}

/// The process itself: until the engine hangs up.
fn serve(line: &UnixStream) -> Result<(), Error> {
    prctl::set_pdeathsig(Signal::SIGKILL).explain("prctl PR_SET_PDEATHSIG")?;
    umask(Mode::empty());
    let mut begun = None;
    let served = follow_all(line, &mut begun);
    // Half a root filesystem is of no use. If this fails, the next pull of the image begins with it.
    if let Some(root) = begun {
        let _ = layer::remove(&root);
    }
    served
}

/// Follows orders until there are no more; notes what it has begun, until that is finished.
fn follow_all(line: &UnixStream, begun: &mut Option<PathBuf>) -> Result<(), Error> {
    for order in BufReader::new(line).lines() {
        let order = order.explain("hear from the engine")?;
        let order: Order = serde_json::from_str(&order).expect("the engine wrote it");
        if let Order::Begin { root } = &order {
            *begun = Some(root.clone());
        }
        let is_last = matches!(order, Order::Finish { .. });
        let followed = follow(order);
        begun.take_if(|_| is_last && followed.is_ok());
        answer(line, &followed.map_err(|error| error.to_string()))?;
    }
    Ok(())
}

fn answer(mut line: &UnixStream, answer: &Result<Report, String>) -> Result<(), Error> {
    let answer = serde_json::to_string(answer).expect("it is plain data") + "\n";
    line.write_all(answer.as_bytes()).explain("answer the engine")
}

fn follow(order: Order) -> Result<Report, Error> {
    match order {
        Order::Begin { root } => {
            if root.exists() {
                layer::remove(&root)?;
            }
            // As any directory that no entry describes.
            let made = DirBuilder::new().mode(0o755).create(&root);
            made.explain(format_args!("make the directory {root:?}"))?;
        }
        Order::Apply { root, places: [first, second], diff_id, max } => {
            let file = File::open(first).or_else(|_| File::open(&second));
            let file = file.explain(format_args!("open {second:?}"))?;
            let terms = Terms { owners: owners(), max_inflated: max };
            let applied = layer::apply(file, &Root::open(&root)?, &diff_id, &terms);
            return applied.map_err(|error| error.name_full(&root));
        }
        Order::Finish { root, place } => {
            fs::rename(&root, &place).explain(format_args!("rename {root:?} to {place:?}"))?;
        }
    }
    Ok(Report::default())
}

/// Whose the files can become: with one id in the map, only the caller's.
fn owners() -> Owners {
    let map = fs::read("/proc/self/uid_map").unwrap_or_default();
    let single = map.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).count() == 1
        && OsStr::from_bytes(&map).to_string_lossy().trim_end().ends_with(" 1");
    if single { Owners::Caller } else { Owners::Numeric }
}
