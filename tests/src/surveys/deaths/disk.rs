//! File systems without room.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::Command;

use nix::mount::{MntFlags, MsFlags, mount, umount2};

use crate::checks::engine::{Engine, Outcome};
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
    let disk = Path::new(PLACE).join("disk");
    let tool = |line: &[&str]| {
        let mut command = Command::new(line[0]);
        command.args(&line[1..]);
        Outcome::of(command, b"")?.ends_with(0).map(drop)
    };
    let [disk_name, store_name] = [&disk, &store].map(|path| path.display().to_string());
    fs::File::create(&disk)?.set_len(24 << 20)?;
    tool(&["/sbin/modprobe", "loop"])?;
    tool(&["/sbin/mkfs.ext4", "-q", "-m", "0", "-O", "^has_journal", &disk_name])?;
    tool(&["/bin/mount", "-o", "loop", &disk_name, &store_name])?;
    let mounted = Mounted(&store);
    own(&store, engine.caller)?;
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
    drop(file);
    drop(mounted);
    fs::remove_file(&disk)?;
    Ok(refused)
}
