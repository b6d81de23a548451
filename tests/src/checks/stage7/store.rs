//! The store: nothing is fetched twice, and nothing is ever half there.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use super::super::engine::{Engine, Outcome, patience, wait};
use super::super::failure::{Failure, Verdict, equal, require};
use super::super::images::image::digest;
use super::super::images::registry::{push, stored_blob};
use super::super::images::umoci::umoci;
use super::super::images::{Archive, Home, Image, Registry, Shelf, Tree};
use super::super::running::within;
use super::pulling::small;

promises! { stage 7:
    second_pull by one "a second pull of an image downloads no blob"
    blobs_are_gone by one "nor does it need the registry's blobs"
    four_at_once by one "four pulls of an image at once share the work"
    shared_layer by one "of two images with a layer in common, pulled at once, that layer comes once"
    killed_at_any_moment by one "killed at any moment, the next pull completes the image"
    killed_amid_a_blob by one "what a killed pull has of a blob is not fetched again"
    skopeo_reads_it by one "skopeo copies an image out of the store"
    umoci_reads_it by one "umoci lists the store's images, and what is in them"
    store_is_private "the store is its owner's alone"
}

fn second_pull(engine: &Engine) -> Verdict {
    let home = Home::new(engine)?;
    let shelf = Shelf::with(&small("x"))?;
    let first = home.pulled(&[&shelf.name()])?;
    let blobs = shelf.asked("GET blobs/");
    equal("pull", "blobs that it downloads", 2, blobs)?;
    let second = home.pulled(&[&shelf.name()])?;
    equal("pull, again", "the root filesystem", first, second)?;
    equal("pull, again", "blobs downloaded in all", blobs, shelf.asked("GET blobs/"))
}

fn blobs_are_gone(engine: &Engine) -> Verdict {
    let home = Home::new(engine)?;
    let image = small("to go");
    push(&image, "to-go", &["--dest-decompress"])?;
    let name = format!("{}/to-go", Registry::open()?);
    let first = home.pulled(&[&name])?;
    let layer =
        home.blobs()?.into_iter().find(|name| stored_blob(name).exists() && is_layer(&home, name));
    let layer = layer.ok_or_else(|| Failure::new("pull", "the layer in the store", "none"))?;
    let bytes = fs::read(stored_blob(&layer))?;
    fs::remove_file(stored_blob(&layer))?;
    let second = home.pulled(&[&name]);
    fs::write(stored_blob(&layer), bytes)?;
    equal("pull, again", "the root filesystem", first, second?)
}

fn is_layer(home: &Home, name: &str) -> bool {
    let path = home.layout().join("blobs/sha256").join(name.trim_start_matches("sha256:"));
    fs::read(path).is_ok_and(|bytes| !bytes.starts_with(b"{"))
}

/// Starts these pulls at once, and requires that all succeed; gives what each prints.
fn at_once(home: &Home, commands: Vec<Command>) -> Result<Vec<String>, Failure> {
    let pulls: Vec<_> = commands
        .into_iter()
        .map(|command| thread::spawn(move || Outcome::of(command, b"")))
        .collect();
    let outcomes = pulls.into_iter().map(|pull| pull.join().expect("it does not panic"));
    outcomes.map(|outcome| Ok(home.rootfs(&outcome?)?.display().to_string())).collect()
}

fn four_at_once(engine: &Engine) -> Verdict {
    let home = Home::new(engine)?;
    let image = small("x");
    let shelf = Shelf::with(&image)?;
    let paths = at_once(&home, (0..4).map(|_| home.pull(&[&shelf.name()])).collect())?;
    let same = paths.windows(2).all(|pair| pair[0] == pair[1]);
    require(same, "four pulls at once", "one root filesystem", paths.join("; "))?;
    let asked = shelf.asked(&format!("GET blobs/{}", image.layer(0)));
    equal("four pulls at once", "requests for the layer", 1, asked)?;
    home.is_sound()
}

fn shared_layer(engine: &Engine) -> Verdict {
    let home = Home::new(engine)?;
    let common = Archive::begin().file("common", &"x".repeat(300_000)).end();
    let images = ["a", "b"]
        .map(|name| Image::of(&[common.clone(), Archive::begin().file("own", name).end()]));
    let shelf = Shelf::with(&images[0])?;
    shelf.offer("other", &images[1]);
    // Long enough for both to ask.
    shelf.contents().delay = Duration::from_secs(1);
    let names = [shelf.name(), format!("{}:other", shelf.name())];
    let paths = at_once(&home, names.iter().map(|name| home.pull(&[name])).collect())?;
    for (path, text) in paths.iter().zip(["a", "b"]) {
        let own = fs::read_to_string(Path::new(path).join("own"))?;
        equal("two pulls at once", "what the image says", text, own.as_str())?;
        let common = Path::new(path).join("common").exists();
        require(common, "two pulls at once", "the common layer in both", path)?;
    }
    let asked = shelf.asked(&format!("GET blobs/{}", images[0].layer(0)));
    equal("two pulls at once", "requests for the common layer", 1, asked)?;
    home.is_sound()
}

fn killed_at_any_moment(engine: &Engine) -> Verdict {
    // Most of the time goes into unpacking it.
    let many = (0..400).fold(Archive::begin(), |archive, n| archive.file(&format!("{n}"), "x"));
    let shelf = Shelf::with(&Image::of(&[many.end()]))?;
    let whole = Home::new(engine)?;
    let start = Instant::now();
    let expected = Tree::of(&whole.pulled(&[&shelf.name()])?)?;
    let time = start.elapsed();
    for tenth in [4, 6, 8] {
        let home = Home::new(engine)?;
        let mut pull = home.pull(&[&shelf.name()]);
        let mut pull = pull.stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
        thread::sleep(time * tenth / 10);
        pull.kill()?;
        pull.wait()?;
        home.is_sound()?;
        let seen = Tree::of(&home.pulled(&[&shelf.name()])?)?;
        let differences = expected.differences(&seen);
        let tried = "pull, killed once, and then not";
        require(differences.is_empty(), tried, "the image as it should be", differences)?;
        home.is_sound()?;
    }
    Ok(())
}

fn killed_amid_a_blob(engine: &Engine) -> Verdict {
    let home = Home::new(engine)?;
    let image = small(&"x".repeat(100_000));
    let shelf = Shelf::at("127.0.0.1")?;
    shelf.offer("latest", &image);
    // More than the config has: that one arrives.
    shelf.contents().stop_at = Some(60_000);
    let mut command = home.pull(&[&shelf.name()]);
    let mut pull = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
    let partial = home.store().join("partial");
    let has_stopped = within(patience(), || {
        let sizes = fs::read_dir(&partial).into_iter().flatten().flatten();
        sizes.flat_map(|entry| entry.metadata()).any(|metadata| metadata.len() == 60_000)
    });
    pull.kill()?;
    wait(&mut pull, Duration::from_secs(1))?;
    require(has_stopped, "pull", "60000 bytes in a file in partial/", "none of this size")?;
    equal("pull, killed", "root filesystems", Vec::<String>::new(), home.entries("rootfs")?)?;
    shelf.contents().stop_at = None;
    home.pulled(&[&shelf.name()])?;
    let asked = shelf.asked(&format!("GET blobs/{} from 60000", image.layer(0)));
    equal("pull, after a killed one", "requests for the rest", 1, asked)?;
    home.is_sound()
}

fn skopeo_reads_it(engine: &Engine) -> Verdict {
    let home = Home::new(engine)?;
    let image = small("x");
    let shelf = Shelf::with(&image)?;
    home.pulled(&[&shelf.name()])?;
    let to = home.path().join("copy");
    let mut skopeo = Command::new("/usr/bin/skopeo");
    skopeo.args(["copy", "--quiet"]);
    skopeo.arg(format!("oci:{}:{}:latest", home.layout().display(), shelf.name()));
    skopeo.arg(format!("dir:{}", to.display()));
    let outcome = Outcome::of(skopeo, b"")?;
    outcome.ends_with(0)?;
    let copied = digest(&fs::read(to.join("manifest.json"))?);
    equal(&outcome.tried, "the manifest's digest", image.digest(), copied)
}

fn umoci_reads_it(engine: &Engine) -> Verdict {
    let home = Home::new(engine)?;
    let shelf = Shelf::with(&small("x"))?;
    home.pulled(&[&shelf.name()])?;
    let layout = home.layout().display().to_string();
    let mut list = Command::new("/usr/bin/umoci");
    list.args(["ls", "--layout", &layout]);
    let name = format!("{}:latest", shelf.name());
    Outcome::of(list, b"")?.ends_with(0)?.prints(&format!("{name}\n"))?;
    // umoci takes the last colon for the tag's.
    umoci(&["stat", "--image", &format!("{layout}:{name}")])
}

fn store_is_private(engine: &Engine) -> Verdict {
    let home = Home::new(engine)?;
    let shelf = Shelf::with(&small("x"))?;
    let rootfs = home.pulled(&[&shelf.name()])?;
    // Somebody who is neither root nor ada.
    let mut command = Command::new("/usr/bin/setpriv");
    command.args(["--reuid=65534", "--regid=65534", "--clear-groups", "/bin/cat"]);
    command.arg(rootfs.join("text"));
    let outcome = Outcome::of(command, b"")?;
    outcome.ends_with(1)?.prints("")?.complains_of(&["Permission denied"])
}
