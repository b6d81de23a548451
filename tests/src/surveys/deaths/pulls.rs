//! Pulls that are killed.

use std::fs;
use std::process::{Command, Stdio};
use std::thread;

use nix::sys::signal::{Signal, kill};

use super::Moments;
use crate::checks::engine::{Engine, Outcome, patience, wait};
use crate::checks::failure::{Failure, Verdict, equal, require};
use crate::checks::images::{Archive, Home, Image, Shelf, Tree};
use crate::checks::machine::Machine;
use crate::checks::running::first_child;

/// How far a pull may have come.
const PHASES: [&str; 4] = ["nothing there", "fetching", "unpacking", "done"];

/// Of so many kills one is of the process that unpacks, and after one skopeo reads the store.
const ONE_IN: u32 = 5;

/// Three layers, each with small files and a large one.
pub fn image() -> Image {
    let layer = |number: u32| {
        let mut archive = Archive::begin().file(&format!("large-{number}"), &"x".repeat(300_000));
        for n in 0..60 {
            let directory = format!("layer-{number}/{}", n % 7);
            archive = archive.file(&format!("{directory}/{n}"), &format!("{number} {n}"));
        }
        archive.end()
    };
    Image::of(&[layer(1), layer(2), layer(3)])
}

/// Kills pulls at moments of their lives. The next pull must complete the image, and leave nothing else.
pub fn killed(engine: &Engine, times: u32) -> Verdict {
    let shelf = Shelf::with(&image())?;
    let name = shelf.name();
    let whole = Home::new(engine)?;
    let expected = Tree::of(&whole.pulled(&[&name])?)?;
    let mut moments = Moments::over(&PHASES, || Home::new(engine)?.pulled(&[&name]).map(drop))?;
    let machine = Machine::now();
    for number in 0..times {
        let home = Home::new(engine)?;
        let mut pull = home.pull(&[&name]);
        let mut pull = pull.stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
        let moment = moments.next();
        thread::sleep(moment);
        let engine_pid = nix::unistd::Pid::from_raw(pull.id().cast_signed());
        let unpacking = first_child(engine_pid).filter(|_| number % ONE_IN == 0);
        let _ = kill(unpacking.unwrap_or(engine_pid), Signal::SIGKILL);
        let status = wait(&mut pull, patience())?;
        let tried = format!("pull, killed after {} ms", moment.as_millis());
        require(status.is_some(), &tried, "its end", "none")?;
        let ended = status.is_some_and(|status| status.success());
        moments.fell_into(phase(&home, ended)?);
        let gone = machine.has_no_more_processes();
        require(gone, &tried, "that no process lives on", "one does")?;
        home.is_sound()?;
        let differences = expected.differences(&Tree::of(&home.pulled(&[&name])?)?);
        require(differences.is_empty(), &tried, "then a pull of the whole image", differences)?;
        home.is_sound()?;
        let left = names(&home)?;
        equal(&tried, "what is left in partial/", Vec::<String>::new(), left)?;
        if number % ONE_IN == 0 {
            skopeo_reads(&home, &name)?;
        }
    }
    moments.tell("pulls killed")
}

/// How far the killed pull had come.
fn phase(home: &Home, ended: bool) -> Result<usize, Failure> {
    let partial = home.entries("partial")?;
    let is_begun = |name: &String| {
        let path = home.store().join("partial").join(name);
        name.ends_with(".rootfs")
            && fs::read_dir(path).is_ok_and(|mut files| files.next().is_some())
    };
    Ok(match () {
        () if ended || home.layout().join("index.json").exists() => 3,
        () if partial.iter().any(is_begun) || !home.entries("rootfs")?.is_empty() => 2,
        () if !partial.is_empty() || !home.blobs()?.is_empty() => 1,
        () => 0,
    })
}

/// All names in partial/, those of locks, too.
fn names(home: &Home) -> Result<Vec<String>, Failure> {
    let mut names = Vec::new();
    for entry in fs::read_dir(home.store().join("partial"))? {
        names.push(entry?.file_name().to_string_lossy().into_owned());
    }
    Ok(names)
}

/// Requires that skopeo finds the image in the store.
fn skopeo_reads(home: &Home, name: &str) -> Verdict {
    let mut skopeo = Command::new("/usr/bin/skopeo");
    skopeo.args(["inspect", "--raw"]);
    skopeo.arg(format!("oci:{}:{name}:latest", home.layout().display()));
    let outcome = Outcome::of(skopeo, b"")?;
    let read = outcome.ends_with(0)?.stdout.as_bytes() == image().document();
    require(read, &outcome.tried, "the image's manifest", &outcome.stdout)
}
