//! Power cuts: the disk has what it has at that moment, and what was in the machine's memory is lost.

use std::fs;
use std::process::Stdio;
use std::thread;
use std::time::Duration;

use super::Moments;
use super::disk::Disk;
use super::pulls;
use crate::checks::engine::{Engine, patience, wait};
use crate::checks::failure::{Verdict, require};
use crate::checks::images::{Home, Shelf, Tree};

/// When the power fails.
const PHASES: [&str; 2] = ["during the pull", "after it"];

/// What is in a file that is written just before.
const CONTROL: &str = "nobody has waited for this";

/// Takes the power away at moments of a pull's life, and at once when it is over. What has its name must be whole, and
/// the next pull must give the whole image. A file that nobody has waited for must be lost each time, or nothing was
/// tried.
pub fn lost(engine: &Engine, times: u32) -> Verdict {
    let shelf = Shelf::with(&pulls::image())?;
    let name = shelf.name();
    let whole = Home::new(engine)?;
    let expected = Tree::of(&whole.pulled(&[&name])?)?;
    let mut moments = Moments::over(&PHASES, || Home::new(engine)?.pulled(&[&name]).map(drop))?;
    let mut whole_already = 0;
    for number in 0..times {
        let home = Home::new(engine)?;
        let store = home.make_directory("store")?;
        let disk = Disk::new("power", 64 << 20, &[], &store, engine.caller)?;
        let is_over = number % 2 == 0;
        let moment = if is_over { patience() } else { moments.next() };
        let mut command = home.pull(&[&name]);
        let mut pull = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
        if !is_over {
            thread::sleep(moment);
            let _ = pull.kill();
        }
        let tried = format!("pull, and the power fails {}", PHASES[usize::from(is_over)]);
        require(wait(&mut pull, patience())?.is_some(), &tried, "its end", "none")?;
        // The process that unpacks has lost its engine, and ends as well.
        thread::sleep(Duration::from_millis(50));
        let control = store.join("control");
        fs::write(&control, CONTROL)?;
        let _disk = disk.lose_power(&store)?;
        let lost = fs::read(&control).map_or(true, |seen| seen != CONTROL.as_bytes());
        require(lost, &tried, "the loss of a file that nobody has waited for", "it is there")?;
        let _ = fs::remove_file(&control);
        moments.fell_into(usize::from(is_over));
        for rootfs in home.entries("rootfs")? {
            let seen = Tree::of(&store.join("rootfs").join(rootfs))?;
            let differences = expected.differences(&seen);
            require(differences.is_empty(), &tried, "no name for half an image", differences)?;
            whole_already += 1;
        }
        let differences = expected.differences(&Tree::of(&home.pulled(&[&name])?)?);
        require(differences.is_empty(), &tried, "then a pull of the whole image", differences)?;
        home.is_sound()?;
    }
    eprintln!("power cuts: {times}; {whole_already} images were there, and whole");
    require(whole_already > 0, "power cuts", "one after which an image is there", "none")?;
    moments.tell("power cuts")
}
