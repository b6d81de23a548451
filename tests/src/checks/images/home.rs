//! Where a caller's images are, and `pull` as the caller types it.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::{PermissionsExt, lchown};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use serde_json::Value;

use super::super::engine::{Caller, Engine, Outcome};
use super::super::failure::{Failure, Verdict, equal, require};
use super::image::digest;
use super::merged;
use super::tree::Tree;

/// Where the checks of images work: on a file system like those of real machines.
pub const PLACE: &str = "/scratch/checks";

/// A new, empty home of the engine's caller, gone when it is dropped.
pub struct Home<'a> {
    engine: &'a Engine,
    directory: PathBuf,
}

impl<'a> Home<'a> {
    /// Makes it. Before that, it is a failure if the engine has no `pull` at all: then there is no
    /// need to start a registry.
    pub fn new(engine: &'a Engine) -> Result<Home<'a>, Failure> {
        engine.knows_pull()?;
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let directory = Path::new(PLACE).join(format!("home{number}"));
        // From an earlier run in this VM.
        let _ = fs::remove_dir_all(&directory);
        let home = Home { engine, directory };
        home.make_directory(".docker")?;
        home.give(&home.directory)?;
        Ok(home)
    }

    /// Who calls, and what.
    pub fn engine(&self) -> &Engine {
        self.engine
    }

    /// The home directory.
    pub fn path(&self) -> &Path {
        &self.directory
    }

    /// `$SLIPWAY_HOME`, which `pull` makes.
    pub fn store(&self) -> PathBuf {
        self.directory.join("store")
    }

    /// The image layout in the store.
    pub fn layout(&self) -> PathBuf {
        self.store().join("images")
    }

    /// Makes a directory of the caller's.
    pub fn make_directory(&self, name: &str) -> io::Result<PathBuf> {
        let path = self.directory.join(name);
        fs::create_dir_all(&path)?;
        self.give(&path)?;
        Ok(path)
    }

    /// Makes a file of the caller's.
    pub fn make_file(&self, name: &str, mode: u32, text: &str) -> io::Result<PathBuf> {
        let path = self.directory.join(name);
        fs::write(&path, text)?;
        fs::set_permissions(&path, Permissions::from_mode(mode))?;
        self.give(&path)?;
        Ok(path)
    }

    fn give(&self, path: &Path) -> io::Result<()> {
        let id = self.engine.caller.id();
        lchown(path, Some(id), Some(id))
    }

    /// A command with the variables that say where home is.
    pub fn at_home(&self, mut command: Command) -> Command {
        for name in ["DOCKER_CONFIG", "XDG_RUNTIME_DIR", "SSL_CERT_FILE", "SSL_CERT_DIR"] {
            command.env_remove(name);
        }
        command.env("HOME", &self.directory).env("SLIPWAY_HOME", self.store());
        command
    }

    /// `pull -q` with these arguments.
    pub fn pull(&self, args: &[&str]) -> Command {
        let words = [&["pull", "-q"], args].concat();
        self.at_home(self.engine.subcommand(words))
    }

    /// `run` with an image and what follows it.
    pub fn image(&self, name: &str, args: &[&str]) -> Command {
        self.at_home(self.engine.image(&[], name, args))
    }

    /// Pulls, and gives the root filesystem, whose path is all that is printed.
    pub fn pulled(&self, args: &[&str]) -> Result<PathBuf, Failure> {
        self.rootfs(&Outcome::of(self.pull(args), b"")?)
    }

    /// The root filesystem that a quiet pull has made.
    pub fn rootfs(&self, outcome: &Outcome) -> Result<PathBuf, Failure> {
        self.engine.rootfs(outcome, &self.store())
    }

    /// Requires that a pull is refused in one line with these words, and that nothing is an image
    /// that was none before.
    pub fn refuses(&self, args: &[&str], words: &[&str]) -> Verdict {
        self.is_refused(self.pull(args), b"", words)
    }

    /// The same for a command with an input.
    pub fn is_refused(&self, command: Command, stdin: &[u8], words: &[&str]) -> Verdict {
        let before = self.images()?;
        let outcome = Outcome::of(command, stdin)?;
        outcome.ends_with(125)?.prints("")?.complains_of(words)?;
        let after = self.images()?;
        let seen = format!("now there are {after:?}, and there were {before:?}");
        require(before == after, &outcome.tried, "the images that there were before", seen)
    }

    /// The root filesystems or layers, and the names that the store has.
    pub fn images(&self) -> io::Result<(Vec<String>, String)> {
        let index = fs::read_to_string(self.layout().join("index.json")).unwrap_or_default();
        Ok(([self.entries("rootfs")?, self.entries("layers")?].concat(), index))
    }

    /// The names of the blobs in the store.
    pub fn blobs(&self) -> io::Result<Vec<String>> {
        let names = self.entries("images/blobs/sha256")?;
        Ok(names.into_iter().map(|name| format!("sha256:{name}")).collect())
    }

    /// Requires that every blob is what its name says, that every name leads to a whole image, and
    /// that there is a root filesystem for no other.
    pub fn is_sound(&self) -> Verdict {
        let blobs = self.layout().join("blobs/sha256");
        let read = |name: &str| fs::read(blobs.join(name.trim_start_matches("sha256:")));
        for name in self.blobs()? {
            equal("what is in the store", "a blob's digest", name.clone(), digest(&read(&name)?))?;
        }
        let index = fs::read_to_string(self.layout().join("index.json")).unwrap_or("{}".into());
        let parse = |bytes: &[u8]| serde_json::from_slice::<Value>(bytes).unwrap_or_default();
        let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
        let name_of = |value: &Value| value["digest"].as_str().unwrap_or("no digest").to_string();
        for entry in list(&parse(index.as_bytes())["manifests"]) {
            let manifest = parse(&read(&name_of(&entry))?);
            for part in list(&manifest["layers"]).iter().chain([&manifest["config"]]) {
                let is_there = read(&name_of(part)).is_ok();
                require(is_there, "what is in the store", "all of an image", name_of(part))?;
            }
        }
        Ok(())
    }

    /// What a directory of the store has, without lock files; nothing if there is none.
    pub fn entries(&self, directory: &str) -> io::Result<Vec<String>> {
        let Ok(entries) = fs::read_dir(self.store().join(directory)) else { return Ok(Vec::new()) };
        let mut names = Vec::new();
        for entry in entries {
            names.push(entry?.file_name().to_string_lossy().into_owned());
        }
        names.retain(|name| !name.ends_with(".lock"));
        names.sort();
        Ok(names)
    }

    /// Requires that a root filesystem is `expected`, as this caller has it.
    pub fn is_tree(&self, rootfs: &Path, expected: Tree, whose: &str) -> Verdict {
        let expected = match self.engine.caller {
            Caller::Root => expected,
            Caller::Ada => expected.for_ada(),
        };
        let differences = expected.differences(&Tree::of(rootfs)?);
        let what = format!("the files that {whose} has");
        require(differences.is_empty(), "pull", what, differences)
    }
}

impl Drop for Home<'_> {
    fn drop(&mut self) {
        merged::unmount(&self.store());
        let _ = fs::remove_dir_all(&self.directory);
    }
}
