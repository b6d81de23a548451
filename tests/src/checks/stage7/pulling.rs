//! What `pull` gives, and how it says so.

use std::fs;
use std::path::Path;
use std::sync::OnceLock;

use super::super::engine::{Engine, Outcome};
use super::super::failure::{Failure, Verdict, equal, require};
use super::super::fixture::ROOTFS;
use super::super::images::home::PLACE;
use super::super::images::registry::push_layout;
use super::super::images::umoci::umoci;
use super::super::images::{Archive, Home, Image, Registry, Shelf};
use super::super::terminal::Terminal;

promises! { stage 7:
    prints until 8 by one "pull prints the manifest's digest and the root filesystem's path; a line a layer beside"
    quiet_runs until 7 "-q prints the path alone, and `run --rootfs` runs a command in it"
    bar_on_a_terminal by one "on a terminal each layer has a bar"
    moved_tag by one "a tag that has moved is followed; what it was before stays"
    by_digest by one "a digest in the name decides, whatever the tag says"
}

/// The name of an image that umoci made of the default root filesystem, with a file /greeting.
pub fn busybox() -> Result<String, Failure> {
    static PUSHED: OnceLock<Verdict> = OnceLock::new();
    let make = || {
        let layout = Path::new(PLACE).join("busybox");
        // From an earlier run in this VM.
        let _ = fs::remove_dir_all(&layout);
        fs::create_dir_all(PLACE)?;
        let tar = Path::new(PLACE).join("busybox.tar");
        let mut archive = Archive::begin().file("greeting", "hello\n");
        archive.builder().follow_symlinks(false);
        archive.builder().append_dir_all("", ROOTFS)?;
        fs::write(&tar, archive.end())?;
        let (layout_name, image) =
            (layout.display().to_string(), format!("{}:image", layout.display()));
        umoci(&["init", "--layout", &layout_name])?;
        umoci(&["new", "--image", &image])?;
        umoci(&["raw", "add-layer", "--image", &image, &tar.display().to_string()])?;
        umoci(&["config", "--image", &image, "--config.cmd", "/bin/sh"])?;
        push_layout(&layout, "busybox", &[])
    };
    PUSHED.get_or_init(make).clone()?;
    Ok(format!("{}/busybox", Registry::open()?))
}

/// An image of one layer with one file.
pub fn small(text: &str) -> Image {
    Image::of(&[Archive::begin().file("text", text).end()])
}

fn prints(engine: &Engine) -> Verdict {
    let home = Home::new(engine)?;
    let image = Image::of(&[
        Archive::begin().file("one", "1").end(),
        Archive::begin().file("two", "2").end(),
    ]);
    let shelf = Shelf::with(&image)?;
    let outcome = Outcome::of(home.at_home(engine.subcommand(["pull", &shelf.name()])), b"")?;
    outcome.ends_with(0)?;
    let lines: Vec<&str> = outcome.stdout.lines().collect();
    let [digest, path] = lines[..] else {
        return Err(outcome.failure("two lines on standard output: a digest and a path"));
    };
    equal(&outcome.tried, "the digest", image.digest().as_str(), digest)?;
    let is_there = Path::new(path).is_absolute() && Path::new(path).join("two").is_file();
    require(is_there, &outcome.tried, "the path of a root filesystem", path)?;
    let told = |number| {
        let digest = image.layer(number).trim_start_matches("sha256:");
        outcome.stderr.lines().filter(|line| line.contains(&digest[..12])).count() == 1
    };
    let expected = "a line for each layer on standard error";
    let all = told(0) && told(1) && outcome.stderr.lines().count() == 2;
    if all { Ok(()) } else { Err(outcome.failure(expected)) }
}

fn quiet_runs(engine: &Engine) -> Verdict {
    let home = Home::new(engine)?;
    let outcome = Outcome::of(home.pull(&[&busybox()?]), b"")?;
    equal(&outcome.tried, "standard error", "", outcome.stderr.as_str())?;
    greets(engine, &home, &home.rootfs(&outcome)?)
}

/// Requires that a command runs in a root filesystem that was [`busybox`], or in the image itself
/// where that is what a step runs.
pub fn greets(engine: &Engine, home: &Home, rootfs: &Path) -> Verdict {
    let greet = ["/bin/cat", "/greeting"];
    let command = if engine.runs_images() {
        home.at_home(engine.image(&["--pull", "never"], &busybox()?, &greet))
    } else {
        engine.command(["--rootfs", &rootfs.to_string_lossy(), greet[0], greet[1]])
    };
    let outcome = Outcome::of(command, b"")?;
    outcome.ends_with(0)?.prints("hello\n")?;
    Ok(())
}

fn bar_on_a_terminal(engine: &Engine) -> Verdict {
    let home = Home::new(engine)?;
    let shelf = Shelf::with(&small("x"))?;
    let mut line = ["/usr/bin/env", "TERM=xterm"].map(String::from).to_vec();
    line.push(format!("SLIPWAY_HOME={}", home.store().display()));
    line.push(engine.binary.display().to_string());
    line.extend(["pull".to_string(), shelf.name()]);
    let mut terminal = Terminal::start(engine, &line)?;
    terminal.wait_for("layer ")?;
    terminal.wait_for("███")?;
    let printed = if engine.shares_layers() { "sha256:" } else { "/rootfs/" };
    terminal.wait_for(printed)?;
    Ok(())
}

fn moved_tag(engine: &Engine) -> Verdict {
    let home = Home::new(engine)?;
    let shelf = Shelf::with(&small("old"))?;
    let old = home.pulled(&[&shelf.name()])?;
    shelf.offer("latest", &small("new"));
    let new = home.pulled(&[&shelf.name()])?;
    let texts = [fs::read_to_string(old.join("text"))?, fs::read_to_string(new.join("text"))?];
    equal("pull, twice", "what the two images say", ["old", "new"].map(String::from), texts)
}

fn by_digest(engine: &Engine) -> Verdict {
    let home = Home::new(engine)?;
    let (wanted, other) = (small("wanted"), small("other"));
    let shelf = Shelf::with(&wanted)?;
    shelf.offer("latest", &other);
    for tag in ["", ":latest"] {
        let name = format!("{}{tag}@{}", shelf.name(), wanted.digest());
        let text = fs::read_to_string(home.pulled(&[&name])?.join("text"))?;
        equal(&format!("pull {name}"), "what the image says", "wanted", text.as_str())?;
    }
    Ok(())
}
