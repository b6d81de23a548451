//! A root filesystem is what the layers say: as umoci makes it, entry by entry.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt, lchown};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use tar::EntryType;

use super::super::engine::{Engine, Outcome};
use super::super::failure::{Failure, Verdict, require};
use super::super::images::registry::push;
use super::super::images::umoci::by_umoci;
use super::super::images::{Archive, Home, Image, Item, Registry, Shelf, Tree};
use super::super::stage5::on_changed_machine;

promises! { stage 7:
    odd_layers_plain "odd layers, not compressed: the root filesystem is umoci's, entry by entry"
    odd_layers_gzip by one "the same, compressed with gzip"
    odd_layers_zstd by one "the same, compressed with zstd"
    part_of_a_debian by one "a part of a Debian, in three layers: the same"
    devices_are_lost for Ada "devices, which only root may make, are lost, and one line says so"
    setgid_store "in a store whose set-group-ID bit gives new files its group: the same"
    one_id for Ada "with one id all files are the caller's, and one line says what was lost"
}

/// Capabilities as setcap(8) writes them: cap_net_bind_service=ep.
const CAPABILITY: [u8; 20] = [1, 0, 0, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];

/// Three layers with everything that is seldom.
pub fn odd() -> Image {
    let long = format!("etc/{}/{}", "long".repeat(40), "name".repeat(40));
    Image::of(&[odd_things(&long).end(), changes().end(), changes_back().end()])
}

/// A program with capabilities and a note.
fn with_attributes<'a>() -> Item<'a> {
    Item {
        mode: 0o755,
        owner: (0, 5),
        pax: &[
            ("SCHILY.xattr.security.capability", &CAPABILITY),
            ("SCHILY.xattr.user.note", b"a note"),
        ],
        ..Item::default()
    }
}

/// What there is to begin with.
fn odd_things(long: &str) -> Archive {
    let directory =
        |mode, owner| Item { kind: EntryType::Directory, mode, owner, ..Item::default() };
    let special =
        |kind, device| Item { kind, device, mode: 0o640, owner: (0, 6), ..Item::default() };
    let sparse: Vec<u8> = {
        // Two pieces of four bytes, one at the start and one after a MiB (GNU tar's format 1.0).
        let mut map = b"2\n0\n4\n1048576\n4\n".to_vec();
        map.resize(512, 0);
        [map, b"headtail".to_vec()].concat()
    };
    Archive::begin()
        .add("./", Item { pax: &[("mtime", b"1500000000.123456789")], ..directory(0o755, (0, 0)) })
        .directory("etc/", 0o755)
        .add(
            "etc/keep",
            Item {
                content: b"kept",
                pax: &[("mtime", b"1511111111.987654321")],
                ..Item::default()
            },
        )
        .file("etc/gone", "to go")
        .hardlink("etc/hard", "etc/keep")
        .add("etc/setuid", Item { mode: 0o4755, owner: (1, 2), ..Item::default() })
        .add("etc/setgid", Item { mode: 0o2755, owner: (4242, 4343), ..Item::default() })
        .add("etc/last", Item { owner: (65_536, 65_536), ..Item::default() })
        .add(
            long.get(..90).unwrap_or(long),
            Item { content: b"long", pax: &[("path", long.as_bytes())], ..Item::default() },
        )
        .add("etc/caps", with_attributes())
        .add("etc/caps-for-a-while", with_attributes())
        .add(
            "etc/sparse",
            Item {
                content: &sparse,
                pax: &[
                    ("GNU.sparse.major", b"1"),
                    ("GNU.sparse.minor", b"0"),
                    ("GNU.sparse.name", b"etc/sparse"),
                    ("GNU.sparse.realsize", b"1048580"),
                ],
                ..Item::default()
            },
        )
        .add("sticky/", directory(0o1777, (0, 0)))
        .add("setgid/", directory(0o2775, (0, 50)))
        .add("locked/", directory(0o555, (33, 33)))
        .add(
            "locked/inner",
            Item { mode: 0o400, owner: (33, 33), content: b"in", ..Item::default() },
        )
        .add("closed/", directory(0, (0, 0)))
        .file("closed/x", "x")
        .file("closed/y", "y")
        .directory("opaque/", 0o755)
        .file("opaque/old", "old")
        .file("opaque/below/old", "old")
        .directory("dir-to-file/", 0o755)
        .file("dir-to-file/x", "x")
        .file("file-to-dir", "file")
        .directory("deep/", 0o755)
        .directory("deep/er/", 0o700)
        .file("deep/er/x", "x")
        .file("implied/on/the/way", "x")
        .symlink("link", "etc/keep")
        .add(
            "way",
            Item { kind: EntryType::Symlink, link: "/etc", owner: (7, 8), ..Item::default() },
        )
        .symlink("nowhere", "no/such/file")
        .hardlink("hard-to-a-link", "link")
        .file("\u{fc}mlaut and\nnewline", "x")
        .add("fifo", special(EntryType::Fifo, (0, 0)))
        .add("null", special(EntryType::Char, (1, 3)))
        .add("loop", special(EntryType::Block, (7, 300)))
}

/// What a second layer does to that.
fn changes() -> Archive {
    Archive::begin()
        .file("etc/.wh.gone", "")
        .hardlink("etc/hard-to-an-earlier-layer", "etc/keep")
        .file("way/through-a-link", "x")
        .file("opaque/new", "new")
        .file("opaque/.wh..wh..opq", "")
        .file("opaque/newer", "newer")
        .add("locked/added", Item { mode: 0o444, ..Item::default() })
        .file("locked/.wh.inner", "")
        .file("closed/.wh.x", "")
        .file("dir-to-file", "file")
        .directory("file-to-dir/", 0o750)
        .file("file-to-dir/y", "y")
        .file(".wh.deep", "")
        .file("etc/.wh.never-was", "")
        .add("fifo", Item { content: b"a file", ..Item::default() })
        .add("etc/caps-for-a-while", Item { content: b"no capabilities", ..Item::default() })
}

/// What a third layer does.
fn changes_back() -> Archive {
    Archive::begin()
        .directory("dir-to-file/", 0o711)
        .file("dir-to-file/z", "z")
        .file("file-to-dir", "a file again")
        .file("etc/gone", "back")
        .file("deep/shallow", "x")
        .add(
            "etc/",
            Item {
                kind: EntryType::Directory,
                mode: 0o711,
                owner: (3, 4),
                pax: &[("mtime", b"1522222222.5")],
                ..Item::default()
            },
        )
        .file("etc/hard", "a file of its own")
        .symlink("sticky", "setgid")
}

/// The odd layers as umoci unpacks them.
fn odd_tree() -> Result<Tree, Failure> {
    static TREE: OnceLock<Result<Tree, Failure>> = OnceLock::new();
    TREE.get_or_init(|| by_umoci(&odd(), "odd")).clone()
}

/// Pulls, and requires that the root filesystem is this one.
fn becomes(home: &Home, name: &str, expected: Tree) -> Verdict {
    home.is_tree(&home.pulled(&[name])?, expected, "umoci")
}

fn odd_layers_plain(engine: &Engine) -> Verdict {
    let home = Home::new(engine)?;
    let shelf = Shelf::with(&odd())?;
    becomes(&home, &shelf.name(), odd_tree()?)
}

fn odd_layers_gzip(engine: &Engine) -> Verdict {
    let home = Home::new(engine)?;
    push(&odd(), "odd", &["--dest-compress-format", "gzip"])?;
    becomes(&home, &format!("{}/odd", Registry::open()?), odd_tree()?)
}

fn odd_layers_zstd(engine: &Engine) -> Verdict {
    let home = Home::new(engine)?;
    push(&odd(), "odd:zstd", &["--dest-compress-format", "zstd"])?;
    becomes(&home, &format!("{}/odd:zstd", Registry::open()?), odd_tree()?)
}

/// Python's modules without its bytecode, and /etc; then, changes; then, more modules.
fn debian() -> io::Result<Image> {
    let debian = Path::new("/debian");
    let modules = find(debian, "usr/lib/python3.11")?;
    let is_source = |path: &PathBuf| path.extension().is_some_and(|name| name == "py");
    let (sources, others): (Vec<_>, Vec<_>) = modules.into_iter().partition(is_source);
    let is_small = |path: &PathBuf| {
        debian.join(path).symlink_metadata().is_ok_and(|metadata| metadata.size() <= 4 << 10)
    };
    let small = |paths: Vec<PathBuf>| paths.into_iter().filter(is_small).collect::<Vec<_>>();
    let notes = find(debian, "var/lib/dpkg/info")?;
    let first = small([find(debian, "etc")?, notes, sources].concat());
    let mut changed = Archive::begin()
        .file("etc/.wh.apt", "")
        .file("usr/lib/python3.11/json/.wh..wh..opq", "")
        .file("usr/lib/python3.11/json/__init__.py", "changed")
        .file("var/lib/dpkg/info/.wh.bash.list", "")
        .hardlink("etc/hostname.again", "etc/hostname");
    add(&mut changed, debian, &find(debian, "usr/share/keyrings")?)?;
    let layer = |paths: &[PathBuf]| {
        let mut archive = Archive::begin();
        add(&mut archive, debian, paths).map(|()| archive.end())
    };
    let layers = [layer(&first)?, changed.end(), layer(&small(others))?];
    Ok(Image::of(&layers))
}

/// All paths below one, from `root` on.
fn find(root: &Path, path: &str) -> io::Result<Vec<PathBuf>> {
    let mut found = vec![PathBuf::from(path)];
    let mut next = 0;
    while let Some(path) = found.get(next).cloned() {
        next += 1;
        if root.join(&path).symlink_metadata()?.is_dir() {
            for entry in fs::read_dir(root.join(&path))? {
                found.push(path.join(entry?.file_name()));
            }
        }
    }
    Ok(found)
}

fn add(archive: &mut Archive, root: &Path, paths: &[PathBuf]) -> io::Result<()> {
    archive.builder().follow_symlinks(false);
    for path in paths {
        archive.builder().append_path_with_name(root.join(path), path)?;
    }
    Ok(())
}

fn part_of_a_debian(engine: &Engine) -> Verdict {
    let home = Home::new(engine)?;
    let image = debian()?;
    push(&image, "debian", &[])?;
    let tree = by_umoci(&image, "debian")?;
    let many = tree.0.len();
    require(many > 1000, "a part of /debian", "a thousand files", many)?;
    becomes(&home, &format!("{}/debian", Registry::open()?), tree)
}

fn devices_are_lost(engine: &Engine) -> Verdict {
    let home = Home::new(engine)?;
    let shelf = Shelf::with(&odd())?;
    let outcome = Outcome::of(home.pull(&[&shelf.name()]), b"")?;
    let rootfs = home.rootfs(&outcome)?;
    outcome.complains_of(&["2 devices"])?;
    let there = ["null", "loop"].iter().any(|name| rootfs.join(name).exists());
    require(!there, &outcome.tried, "nothing in place of the devices", "something")
}

fn setgid_store(engine: &Engine) -> Verdict {
    let home = Home::new(engine)?;
    let store = home.make_directory("store")?;
    lchown(&store, None, Some(4711))?;
    fs::set_permissions(&store, Permissions::from_mode(0o2770))?;
    // No entry speaks of the root directory: it is as the engine has made it.
    let closed = Item { kind: EntryType::Directory, mode: 0, ..Item::default() };
    let layer = Archive::begin()
        .add("setuid", Item { mode: 0o4755, owner: (1, 2), ..Item::default() })
        .add("closed/", closed)
        .file("closed/implied/x", "x");
    let image = Image::of(&[layer.end()]);
    let shelf = Shelf::with(&image)?;
    becomes(&home, &shelf.name(), by_umoci(&image, "setgid")?)
}

fn one_id(engine: &Engine) -> Verdict {
    let home = Home::new(engine)?;
    let expected = odd_tree()?.for_one_id();
    let shelf = Shelf::with(&odd())?;
    let (store, program, name) = (home.store(), &engine.binary, shelf.name());
    let line = format!("env SLIPWAY_HOME={} {} pull -q {name}", store.display(), program.display());
    let outcome = on_changed_machine(engine, "mount --bind /dev/null /etc/subuid", &line)?;
    let rootfs = home.rootfs(&outcome)?;
    let told = outcome.stderr.lines().any(|line| line.contains("one id"));
    require(told, &outcome.tried, "a line about the owners", &outcome.stderr)?;
    let differences = expected.differences(&Tree::of(&rootfs)?);
    require(differences.is_empty(), &outcome.tried, "umoci's files, all ada's", differences)
}
