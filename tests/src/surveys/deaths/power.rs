//! Power cuts: the disk has what it has at that moment, and what was in the machine's memory is lost.

use std::fs;
use std::path::Path;
use std::process::Stdio;
use std::thread;
use std::time::Duration;

use nix::mount::{MntFlags, MsFlags, mount, umount2};

use super::Moments;
use super::disk::Disk;
use super::pulls;
use crate::checks::engine::{Engine, patience, wait};
use crate::checks::failure::{Verdict, require};
use crate::checks::images::home::PLACE;
use crate::checks::images::{Home, Shelf, Tree};

/// When the power fails.
const PHASES: [&str; 2] = ["during the pull", "after it"];

/// What tells one boot of a machine from another.
const BOOT: &str = "/proc/sys/kernel/random/boot_id";

/// Another boot of this machine, as far as engines can tell. Dropped, it is the one that it was.
struct OtherBoot;

impl OtherBoot {
    fn begin() -> std::io::Result<OtherBoot> {
        let file = Path::new(PLACE).join("boot");
        fs::write(&file, "00000000-0000-4000-8000-000000000000\n")?;
        mount(Some(&file), BOOT, None::<&str>, MsFlags::MS_BIND, None::<&str>)?;
        Ok(OtherBoot)
    }
}

impl Drop for OtherBoot {
    fn drop(&mut self) {
        let _ = umount2(BOOT, MntFlags::MNT_DETACH);
    }
}

/// Takes the power away at moments of a pull's life, and at once when it is over. The next pull must give the whole
/// image; and some that were over must have been damaged, or nothing was tried.
pub fn lost(engine: &Engine, times: u32) -> Verdict {
    let shelf = Shelf::with(&pulls::image())?;
    let name = shelf.name();
    let whole = Home::new(engine)?;
    let expected = Tree::of(&whole.pulled(&[&name])?)?;
    let mut moments = Moments::over(&PHASES, || Home::new(engine)?.pulled(&[&name]).map(drop))?;
    let mut damaged = 0;
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
        let _disk = disk.lose_power(&store)?;
        let _boot = OtherBoot::begin()?;
        moments.fell_into(usize::from(is_over));
        for rootfs in home.entries("rootfs")? {
            let seen = Tree::of(&store.join("rootfs").join(rootfs))?;
            damaged += u32::from(!expected.differences(&seen).is_empty());
        }
        let differences = expected.differences(&Tree::of(&home.pulled(&[&name])?)?);
        require(differences.is_empty(), &tried, "then a pull of the whole image", differences)?;
        home.is_sound()?;
    }
    eprintln!("power cuts: {times}; {damaged} root filesystems had lost something");
    require(damaged > 0, "power cuts", "one that loses something", "none")?;
    moments.tell("power cuts")
}
