//! Layers that try to get out of the root filesystem.

use std::path::PathBuf;

use super::super::engine::{Engine, Outcome};
use super::super::failure::{Failure, Verdict, equal, require};
use super::super::images::{Archive, Home, Image, Shelf, Tree};

promises! { stage 7:
    absolute_way "a layer writes nothing through a symbolic link that leads outside"
    relative_way "nor through one that climbs with `..`"
    way_of_an_earlier_layer "nor through one of an earlier layer"
    dots_in_names "nor with `..` in a name, nor with an absolute one"
    link_to_a_file "nor into a file by a link in its place"
    hardlink_outside "a hardlink never leads to a file outside"
    whiteout_outside "a whiteout removes nothing outside"
    mode_outside "a directory's mode, owner and time never become those of one outside"
}

/// A directory that the caller may write to, beside the store, with a file.
struct Outside<'a> {
    home: Home<'a>,
    path: PathBuf,
    before: Tree,
}

impl<'a> Outside<'a> {
    fn new(engine: &'a Engine) -> Result<Outside<'a>, Failure> {
        let home = Home::new(engine)?;
        let path = home.make_directory("outside")?;
        home.make_file("outside/secret", 0o600, "secret")?;
        let before = Tree::of(&path)?;
        Ok(Outside { home, path, before })
    }

    fn name(&self) -> String {
        self.path.display().to_string()
    }

    /// The same, for one who stands somewhere below `/`.
    fn climbing(&self) -> String {
        "../".repeat(16) + self.name().trim_start_matches('/')
    }

    /// Pulls an image of these layers. Refused or not, nothing may have changed outside. Gives the
    /// root filesystem, if there is one.
    fn stays(&self, layers: &[Archive]) -> Result<Option<PathBuf>, Failure> {
        let bytes: Vec<Vec<u8>> = layers.iter().map(Archive::bytes).collect();
        let shelf = Shelf::with(&Image::of(&bytes))?;
        let outcome = Outcome::of(self.home.pull(&[&shelf.name()]), b"")?;
        let differences = self.before.differences(&Tree::of(&self.path)?);
        require(differences.is_empty(), &outcome.tried, "nothing new outside", differences)?;
        match outcome.status.and_then(|status| status.code()) {
            Some(0) => self.home.rootfs(&outcome).map(Some),
            Some(125) => outcome.complains_of(&[]).map(|()| None),
            _ => Err(outcome.failure("exit status 0 or 125")),
        }
    }

    /// The same, and requires that the file of this name is in the root filesystem.
    fn keeps_inside(&self, layers: &[Archive], name: &str) -> Verdict {
        let rootfs = self.stays(layers)?;
        let is_there = rootfs.is_some_and(|rootfs| rootfs.join(name).exists());
        let expected = format!("{name} in the root filesystem");
        require(is_there, "pull", expected, "it is not there")
    }
}

/// Where a file outside would be if the root filesystem were `/`.
fn inside(outside: &Outside) -> String {
    outside.name().trim_start_matches('/').to_string()
}

fn absolute_way(engine: &Engine) -> Verdict {
    let outside = Outside::new(engine)?;
    let layer = Archive::begin().symlink("way", &outside.name()).file("way/planted", "gotcha");
    outside.keeps_inside(&[layer], &format!("{}/planted", inside(&outside)))
}

fn relative_way(engine: &Engine) -> Verdict {
    let outside = Outside::new(engine)?;
    let layer = Archive::begin()
        .directory("a", 0o755)
        .symlink("a/way", &outside.climbing())
        .file("a/way/planted", "gotcha");
    outside.keeps_inside(&[layer], &format!("{}/planted", inside(&outside)))
}

fn way_of_an_earlier_layer(engine: &Engine) -> Verdict {
    let outside = Outside::new(engine)?;
    let first = Archive::begin().symlink("one", &outside.name()).symlink("two", "one");
    let second = Archive::begin().file("two/secret", "gotcha").directory("two/planted", 0o777);
    outside.keeps_inside(&[first, second], &format!("{}/planted", inside(&outside)))
}

fn dots_in_names(engine: &Engine) -> Verdict {
    let outside = Outside::new(engine)?;
    for name in [outside.climbing(), outside.name(), format!("a/{}", outside.climbing())] {
        // A name in the archive's old part has 100 bytes: a longer one would be another.
        let name = format!("{name}/planted");
        require(name.len() <= 100, "pull", "a name that fits", &name)?;
        outside.stays(&[Archive::begin().file(&name, "gotcha")])?;
    }
    Ok(())
}

fn link_to_a_file(engine: &Engine) -> Verdict {
    let outside = Outside::new(engine)?;
    let secret = format!("{}/secret", outside.name());
    let layers =
        [Archive::begin().symlink("file", &secret), Archive::begin().file("file", "gotcha")];
    outside.keeps_inside(&layers, "file")
}

fn hardlink_outside(engine: &Engine) -> Verdict {
    let outside = Outside::new(engine)?;
    let (name, climbing) = (outside.name(), outside.climbing());
    for target in [format!("{name}/secret"), format!("{climbing}/secret"), "way/secret".into()] {
        let layer = Archive::begin()
            .symlink("way", &name)
            .hardlink("taken", &target)
            .file("taken", "gotcha");
        let rootfs = outside.stays(&[layer])?;
        equal("pull", "a root filesystem with a link to nowhere", None, rootfs)?;
    }
    // Where the image has a file of this name, too, that is the one.
    let target = format!("{name}/secret");
    let layer = Archive::begin().file(&target[1..], "the image's").hardlink("taken", &target);
    outside.keeps_inside(&[layer], "taken")
}

fn whiteout_outside(engine: &Engine) -> Verdict {
    let outside = Outside::new(engine)?;
    let first = Archive::begin().symlink("way", &outside.name()).symlink("up", &outside.climbing());
    let second = Archive::begin()
        .file("way/.wh.secret", "")
        .file("up/.wh.secret", "")
        .file("way/.wh..wh..opq", "")
        .file(".wh...", "")
        .file(&format!("{}/.wh.secret", outside.climbing()), "");
    outside.stays(&[first, second]).map(drop)?;
    let third = Archive::begin().file("way/.wh.secret", "").file("kept", "");
    let first = Archive::begin().symlink("way", &outside.name());
    outside.keeps_inside(&[first, third], "kept")
}

fn mode_outside(engine: &Engine) -> Verdict {
    let outside = Outside::new(engine)?;
    let first = Archive::begin().symlink("way", &outside.name());
    let second = Archive::begin().directory("way/", 0o777).directory("way/.", 0o777);
    outside.stays(&[first, second]).map(drop)
}
