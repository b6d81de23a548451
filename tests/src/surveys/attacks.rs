//! Small attacks, each tried in a container of each step. Whether one works is looked at from the host.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::columns::{columns, table};
use super::engine;
use crate::checks::failure::{Failure, require};
use crate::checks::fixture::{ROOTFS, own};
use crate::checks::machine::Machine;
use crate::checks::{Caller, Engine};

mod attempt;
mod caller;
mod files;
mod limits;
mod machine;

use attempt::{Attempt, Ending, SECRET};

/// An attack.
struct Attack {
    /// What it tries to do.
    aim: &'static str,
    /// What `/bin/sh -c` runs in the container.
    lines: &'static str,
    /// The first step with the wall that it goes for. There it must work: otherwise the row shows
    /// nothing.
    since: u8,
    run: fn(&Attempt) -> Result<Ending, Failure>,
}

/// `NAME since STEP FUNCTION "aim"`: the lines are in attacks/NAME.sh.
macro_rules! attacks {
    ($($name:literal since $since:literal $run:path, $aim:literal)*) => {
        [$(Attack {
            aim: $aim,
            lines: include_str!(concat!("attacks/", $name, ".sh")),
            since: $since,
            run: $run,
        }),*]
    };
}

/// In the order of the steps that stop them.
const ATTACKS: [Attack; 20] = attacks! {
    "leaked-file" since 0 files::leaked, "read a file that the caller left open"
    "hostname" since 0 machine::hostname, "change the host's name"
    "read-file" since 0 files::read, "read a file of the host"
    "chroot" since 3 machine::chroot, "climb out of the root directory"
    "kill" since 0 machine::kill_process, "kill a process of the host"
    "mount" since 0 machine::mount, "mount something on the host"
    "device" since 0 machine::device, "make a device file, and read a disk of the host"
    "device-of-image" since 3 machine::device_of_image, "read a disk of the host by a device file of the image"
    "core-pattern" since 0 machine::core_pattern, "have the kernel start a program on the host"
    "setuid" since 0 files::set_user_id, "leave a program that makes its user root"
    "processes" since 0 limits::processes, "start 24 processes"
    "memory" since 0 limits::memory, "take 96 MiB of memory"
    "processor" since 0 limits::processor, "take a whole processor"
    "image" since 3 files::image, "change a file for the next container"
    "handed-directory" since 3 files::handed_directory, "use a directory that the caller handed in"
    "group" since 0 machine::kill_group, "kill all of the caller's process group"
    "terminal" since 0 caller::terminal, "type into the caller's terminal"
    "network" since 0 caller::network, "reach services of the host"
    "kernel" since 0 machine::kernel, "reach code of the kernel that is for root alone"
    "user-namespace" since 0 caller::user_namespace, "get capabilities as an ordinary user"
};

/// The table.
pub fn run() -> Result<String, Failure> {
    let mut rows: Vec<Vec<String>> = ATTACKS.iter().map(|a| vec![a.aim.to_string()]).collect();
    let secret = fs::read_to_string("/proc/sys/kernel/random/uuid")?.trim().to_string();
    for (step, caller) in columns() {
        let engine = engine(step, caller)?;
        fs::write(SECRET, &secret)?;
        own(Path::new(SECRET), caller)?;
        for (attack, row) in ATTACKS.iter().zip(&mut rows) {
            row.push(if step < attack.since {
                "–".into()
            } else {
                try_it(attack, &engine, &secret)?
            });
        }
    }
    fs::remove_file(SECRET)?;
    Ok(table("attack", &rows))
}

/// Tries an attack, and makes the machine what it was.
fn try_it(attack: &Attack, engine: &Engine, secret: &str) -> Result<String, Failure> {
    let (before, known) = (Machine::now(), files()?);
    let ending = (attack.run)(&Attempt { engine, lines: attack.lines, secret });
    // Most attacks leave nothing, and a look takes less time than the restoring.
    if Machine::now() != before {
        before.restore();
    }
    files()?.difference(&known).try_for_each(|file| remove(file))?;
    before.is_unchanged()?;
    let (word, shown) = match ending? {
        Ending::Works => ("works", "works".to_string()),
        Ending::Stopped(by) => ("is stopped", format!("stopped: {by}")),
    };
    let must_work = engine.step == attack.since && engine.caller == Caller::Root;
    let tried = format!("step{}: {}", engine.step, attack.aim);
    require(
        !must_work || word == "works",
        &tried,
        "that it works, where nothing stops it",
        &shown,
    )?;
    Ok(shown)
}

/// What lies where attacks leave something.
fn files() -> io::Result<BTreeSet<PathBuf>> {
    let mut all = BTreeSet::new();
    for place in [Path::new("/tmp"), Path::new("/run"), &Path::new(ROOTFS).join("tmp")] {
        for entry in fs::read_dir(place)? {
            all.insert(entry?.path());
        }
    }
    Ok(all)
}

fn remove(file: &Path) -> io::Result<()> {
    if file.symlink_metadata()?.is_dir() { fs::remove_dir(file) } else { fs::remove_file(file) }
}
