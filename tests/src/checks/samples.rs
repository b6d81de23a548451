//! The images that step 8 is checked with, and the store that they are pulled into.

use std::fs;
use std::io;
use std::os::unix::fs::lchown;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use serde_json::Value;
use tar::EntryType;

use super::engine::Caller;
use super::failure::Failure;
use super::fixture::ROOTFS;
use super::images::home::PLACE;
use super::images::{Archive, Image, Item, Shelf};
use crate::vm::payload;

/// The tag of the image that takes the place of the fixture's root filesystem.
const ROOTFS_TAG: &str = "rootfs";

/// Who is in the small image.
const PASSWD: &str = "root:x:0:0:root:/root:/bin/sh\nada:x:1000:100:Ada:/home/ada:/bin/sh\n\
    7:x:2000:2000::/seven:/bin/sh\n";
const GROUP: &str = "root:x:0:\nwheel:x:10:root,ada\naudio:x:11:adam,ada\nusers:x:100:\n";

/// The names that busybox goes by in it.
const APPLETS: [&str; 14] = [
    "cat", "chmod", "chown", "grep", "id", "ls", "mkdir", "nc", "readlink", "rm", "sh", "sleep",
    "stat", "touch",
];

/// What the images are made of, and the registry that has them.
struct Samples {
    shelf: Shelf,
    small: Image,
}

impl Samples {
    fn get() -> Result<&'static Samples, Failure> {
        static SAMPLES: OnceLock<Result<Samples, Failure>> = OnceLock::new();
        let make = || {
            let shelf = Shelf::at("127.0.0.1")?;
            let mut rootfs = Archive::begin();
            payload::add_tree(rootfs.builder(), Path::new(ROOTFS), Path::new("."), 0)?;
            // One that only the container's root may be, through it.
            let program = fs::read("/slipway/bin/probe")?;
            let item = Item { mode: 0o4755, content: &program, ..Item::default() };
            shelf.offer(ROOTFS_TAG, &image(rootfs.add("fixture/setuid", item), Value::Null));
            Ok(Samples { shelf, small: image(small()?, Value::Null) })
        };
        SAMPLES.get_or_init(make).as_ref().map_err(Failure::clone)
    }
}

/// An image of one layer.
fn image(layer: Archive, config: Value) -> Image {
    let mut image = Image::of(&[layer.end()]);
    image.config["config"] = config;
    image.refer_to_config();
    image
}

/// A root filesystem with little in it: so it is pulled in no time. It lacks /proc and /dev.
fn small() -> io::Result<Archive> {
    let program = |archive: Archive, name: &str, from: &str| {
        let content = fs::read(Path::new(ROOTFS).join(from))?;
        Ok::<_, io::Error>(
            archive.add(name, Item { mode: 0o755, content: &content, ..Item::default() }),
        )
    };
    let archive = Archive::begin().directory("bin", 0o755).directory("etc", 0o755);
    let archive = archive.file("etc/passwd", PASSWD).file("etc/group", GROUP);
    let archive = archive.directory("tmp", 0o1777);
    let archive =
        program(program(archive, "bin/busybox", "bin/busybox")?, "bin/probe", "bin/probe")?;
    Ok(APPLETS
        .iter()
        .fold(archive, |archive, name| archive.symlink(&format!("bin/{name}"), "busybox")))
}

/// The name of the image that takes the place of the fixture's root filesystem.
pub fn rootfs() -> Result<String, Failure> {
    Ok(format!("{}:{ROOTFS_TAG}", Samples::get()?.shelf.name()))
}

/// The same, made only the first time that the tag is asked for.
pub fn offer_once(
    tag: &str,
    make: impl FnOnce() -> (Value, Option<Archive>),
) -> Result<String, Failure> {
    let shelf = &Samples::get()?.shelf;
    if shelf.contents().things.contains_key(&format!("manifests/{tag}")) {
        return Ok(format!("{}:{tag}", shelf.name()));
    }
    let (config, layer) = make();
    offer(tag, config, layer)
}

/// Makes a small image with this config and, over its first layer, another one; gives its name.
pub fn offer(tag: &str, config: Value, layer: Option<Archive>) -> Result<String, Failure> {
    put(tag, &sample(config, layer)?)
}

/// The same over next to nothing, for an image that nothing of is ever run.
pub fn offer_tiny(tag: &str, config: Value, layer: Option<Archive>) -> Result<String, Failure> {
    let passwd = Archive::begin().directory("etc", 0o755).file("etc/passwd", PASSWD);
    let first = image(passwd.file("etc/group", GROUP), Value::Null);
    put(tag, &over(first, config, layer))
}

/// An image of this layer alone.
pub fn offer_alone(tag: &str, config: Value, layer: Archive) -> Result<String, Failure> {
    put(tag, &image(layer, config))
}

fn put(tag: &str, image: &Image) -> Result<String, Failure> {
    let shelf = &Samples::get()?.shelf;
    shelf.offer(tag, image);
    Ok(format!("{}:{tag}", shelf.name()))
}

/// The same image, to be written elsewhere.
pub fn sample(config: Value, layer: Option<Archive>) -> Result<Image, Failure> {
    Ok(over(Samples::get()?.small.clone(), config, layer))
}

/// The image with a config of its own and perhaps one more layer.
fn over(mut image: Image, config: Value, layer: Option<Archive>) -> Image {
    if let Some(layer) = layer {
        let Image { manifest, config: own, blobs } = Image::of(&[layer.end()]);
        let add = |to: &mut Value, from: &Value| {
            let from = from.as_array().cloned().unwrap_or_default();
            to.as_array_mut().expect("it is a list").extend(from);
        };
        add(&mut image.manifest["layers"], &manifest["layers"]);
        add(&mut image.config["rootfs"]["diff_ids"], &own["rootfs"]["diff_ids"]);
        image.blobs.extend(blobs);
    }
    image.config["config"] = config;
    image.refer_to_config();
    image
}

/// Where a caller's images and containers are: `$SLIPWAY_HOME`. The VM's / is an overlay itself, and
/// its tmpfs lacks what an overlay needs.
pub fn store(caller: Caller) -> PathBuf {
    Path::new(PLACE).join(format!("store-{}", caller.id()))
}

/// Makes that directory.
pub fn make_store(caller: Caller) -> io::Result<()> {
    let store = store(caller);
    fs::create_dir_all(&store)?;
    // Not what an earlier run has left in it: a change of owner would take files' capabilities away.
    lchown(&store, Some(caller.id()), Some(caller.id()))
}

/// A layer with a file of each kind that an ordinary user can make.
pub fn one_of_each() -> Archive {
    let attribute: &[(&str, &[u8])] = &[("SCHILY.xattr.user.note", b"a note")];
    Archive::begin()
        .directory("etc", 0o755)
        .add("etc/note", Item { content: b"a file", pax: attribute, ..Item::default() })
        .hardlink("etc/same", "etc/note")
        .symlink("etc/link", "note")
        .add("etc/pipe", pipe())
}

/// A layer with an /etc/passwd of 1 GiB.
pub fn huge_passwd() -> Archive {
    // As GNU tar writes a file that is one hole but for its last byte (its manual, "PAX Format,
    // Version 1.0").
    let mut content = b"1\n1073741823\n1\n".to_vec();
    content.resize(512, 0);
    content.push(b'x');
    let pax: &[(&str, &[u8])] = &[
        ("GNU.sparse.major", b"1"),
        ("GNU.sparse.minor", b"0"),
        ("GNU.sparse.name", b"etc/passwd"),
        ("GNU.sparse.realsize", b"1073741824"),
    ];
    let item = Item { content: &content, pax, ..Item::default() };
    Archive::begin().add("etc/GNUSparseFile.0/passwd", item)
}

/// A file that is a pipe.
pub fn pipe() -> Item<'static> {
    Item { kind: EntryType::Fifo, ..Item::default() }
}
