//! File systems without room.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use nix::mount::{MntFlags, MsFlags, mount, umount2};

use crate::checks::engine::{Caller, Engine, Outcome};
use crate::checks::failure::{Failure, Verdict, equal, require};
use crate::checks::fixture::own;
use crate::checks::images::home::PLACE;
use crate::checks::images::{Archive, Home, Image, Shelf, Tree};
use crate::checks::samples;

/// A mount that is gone when this is dropped.
struct Mounted<'a>(&'a Path);

impl Drop for Mounted<'_> {
    fn drop(&mut self) {
        let _ = umount2(self.0, MntFlags::MNT_DETACH);
    }
}

/// A file that is a disk with an ext4 on it, mounted. Dropped, all of it is gone.
pub struct Disk<'a> {
    file: PathBuf,
    _mounted: Mounted<'a>,
}

impl Disk<'_> {
    /// Makes one, and mounts it on a directory, which is the caller's then.
    pub fn new<'a>(
        name: &str,
        bytes: u64,
        mkfs: &[&str],
        place: &'a Path,
        caller: Caller,
    ) -> Result<Disk<'a>, Failure> {
        let file = Path::new(PLACE).join(name);
        let _ = fs::remove_file(&file);
        fs::File::create(&file)?.set_len(bytes)?;
        let name = file.display().to_string();
        tool(&[&["/sbin/mkfs.ext4", "-q", "-m", "0"], mkfs, &[&name]].concat())?;
        let disk = Disk::mount(file, place)?;
        own(place, caller)?;
        Ok(disk)
    }

    /// Mounts a file that is a disk. Nothing goes to it but what somebody waits for.
    fn mount(file: PathBuf, place: &Path) -> Result<Disk<'_>, Failure> {
        tool(&["/sbin/modprobe", "loop"])?;
        let [name, on] = [&file, place].map(|path| path.display().to_string());
        let has_journal = Outcome::of(dumpe2fs(&name), b"")?.stdout.contains("has_journal");
        let options = if has_journal { "loop,commit=900" } else { "loop" };
        tool(&["/bin/mount", "-o", options, &name, &on])?;
        Ok(Disk { file, _mounted: Mounted(place) })
    }

    /// The disk as it is at this moment, without what the kernel has not written to it yet, takes its
    /// place: as if the machine had lost its power, and has come up again.
    pub fn lose_power(self, place: &Path) -> Result<Disk<'_>, Failure> {
        let copy = self.file.with_extension("copy");
        fs::copy(&self.file, &copy)?;
        drop(self);
        Disk::mount(copy, place)
    }
}

impl Drop for Disk<'_> {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.file);
    }
}

fn dumpe2fs(disk: &str) -> Command {
    let mut command = Command::new("/sbin/dumpe2fs");
    command.args(["-h", disk]);
    command
}

fn tool(line: &[&str]) -> Verdict {
    let mut command = Command::new(line[0]);
    command.args(&line[1..]);
    Outcome::of(command, b"")?.ends_with(0).map(drop)
}

const NO_ROOM: &str = "No space left on device";

/// Pulls what does not fit: too many bytes, then too many files. What was there stays; with more room it succeeds.
pub fn pull(engine: &Engine) -> Verdict {
    let small = Image::of(&[Archive::begin().file("small", "fits").end()]);
    let bytes = || Archive::begin().file("bytes", &"x".repeat(900_000));
    let many = |from: u32| {
        (from..from + 40).fold(Archive::begin(), |all, n| all.file(&format!("{n}"), "x")).end()
    };
    let large = Image::of(&[bytes().end(), bytes().file("more", "x").end()]);
    let files = Image::of(&[many(0), many(40)]);
    for (options, room, image) in [
        ("size=2m", "size=64m", &large),
        // One for each directory, lock and blob of the store, and for some of the image's files.
        ("nr_inodes=60", "nr_inodes=1000", &files),
    ] {
        let home = Home::new(engine)?;
        let store = home.make_directory("store")?;
        let set = |flags: MsFlags, options: &str| {
            let options = format!("{options},mode=0777");
            mount(Some("tmpfs"), &store, Some("tmpfs"), flags, Some(options.as_str()))
        };
        set(MsFlags::empty(), options)?;
        let _mounted = Mounted(&store);
        let shelf = Shelf::with(&small)?;
        let there = home.pulled(&[&shelf.name()])?;
        shelf.offer("large", image);
        let name = format!("{}:large", shelf.name());
        home.refuses(&[&name], &[NO_ROOM, &store.display().to_string()])?;
        home.is_sound()?;
        equal(
            "pull",
            "a file of the image that was there",
            "fits",
            &fs::read_to_string(there.join("small"))?,
        )?;
        home.pulled(&[&shelf.name()])?;
        set(MsFlags::MS_REMOUNT, room)?;
        let seen = Tree::of(&home.pulled(&[&name])?)?;
        let elsewhere = Home::new(engine)?;
        let differences = Tree::of(&elsewhere.pulled(&[&name])?)?.differences(&seen);
        require(differences.is_empty(), "pull, with room", "the whole image", differences)?;
        home.is_sound()?;
    }
    Ok(())
}

/// Runs an image where less and less room is left; gives how many of the runs were refused.
pub fn run(engine: &Engine) -> Result<usize, Failure> {
    let image = samples::offer_once("deaths", || (serde_json::Value::Null, None))?;
    let home = Home::new(engine)?;
    let store = home.make_directory("store")?;
    let store_name = store.display().to_string();
    let options = ["-O", "^has_journal"];
    let _disk = Disk::new("disk", 24 << 20, &options, &store, engine.caller)?;
    let rootfs = home.pulled(&[&image])?;
    let before = Tree::of(&rootfs)?;
    let run =
        || Outcome::of(home.at_home(engine.image(&[], &image, &["/bin/sh", "-c", "exit 3"])), b"");
    run()?.ends_with(3)?;
    // Nothing is left; then a block more at a time, until it is enough.
    let filler = store.join("filler");
    let mut file = fs::File::create(&filler)?;
    while file.write_all(&[0; 4096]).is_ok() {}
    let full = file.metadata()?.len() / 4096 * 4096;
    let mut refused = 0;
    loop {
        file.set_len(full - 4096 * refused as u64)?;
        file.sync_all()?;
        let outcome = run()?;
        if outcome.ends_with(3).is_ok() {
            break;
        }
        refused += 1;
        require(refused < 40, &outcome.tried, "that some blocks are enough", &outcome.stderr)?;
        outcome.ends_with(125)?.prints("")?.complains_of(&[NO_ROOM, &store_name])?;
        let left = home.entries("containers")?;
        equal(&outcome.tried, "what is left", Vec::<String>::new(), left)?;
    }
    require(refused > 0, "step8 run", "no room for the first run", "it ran")?;
    let differences = before.differences(&Tree::of(&rootfs)?);
    require(differences.is_empty(), "step8 run", "the image as before", differences)?;
    // A container that fills the disk itself harms nobody for long.
    let script = "busybox dd if=/dev/zero of=/tmp/all bs=64k 2>/dev/null; echo $?";
    let command = engine.image(&[], &image, &["/bin/sh", "-c", script]);
    Outcome::of(home.at_home(command), b"")?.ends_with(0)?.prints("1\n")?;
    run()?.ends_with(3)?;
    Ok(refused)
}
