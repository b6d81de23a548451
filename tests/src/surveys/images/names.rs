//! Names, and links in their way.

use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use tar::EntryType;

use super::case::Case;
use super::case::Fate::{Applied, LikeUmoci, Refused};
use crate::checks::images::{Archive, Item};

/// Where the attacks aim: a directory outside that the caller may write to.
const UP: &str = "../../../../../../../../../../../../tmp/victim";
const ABSOLUTE: &str = super::VICTIM;

pub fn cases() -> Vec<Case> {
    [ways(), last_parts(), whiteouts(), odd(), long()].into_iter().flatten().collect()
}

fn begin() -> Archive {
    Archive::begin()
}

/// Ways out of the root filesystem.
fn ways() -> Vec<Case> {
    vec![
        Case::layers("a file named with `..` up to the host's root", LikeUmoci, || {
            [begin().file(&format!("{UP}/hit"), "x")]
        }),
        Case::layers("a file with `..` in the middle of its name", LikeUmoci, || {
            [begin().file(&format!("a/{UP}/hit"), "x")]
        }),
        Case::layers("a file with an absolute name", LikeUmoci, || {
            [begin().file(&format!("{ABSOLUTE}/secret"), "x")]
        }),
        Case::layers(
            "a symbolic link to a directory outside, and a file behind it",
            LikeUmoci,
            || [begin().symlink("way", ABSOLUTE).file("way/hit", "x")],
        ),
        Case::layers("the same with a link that climbs by `..`", LikeUmoci, || {
            [begin().directory("a", 0o755).symlink("a/way", UP).file("a/way/hit", "x")]
        }),
        Case::layers("two links in a row, planted by an earlier layer", LikeUmoci, || {
            let planted = begin().symlink("one", ABSOLUTE).symlink("two", "one");
            [planted, begin().file("two/hit", "x").file("two/secret", "x")]
        }),
        Case::layers("a hardlink to such a link, and a file behind it", LikeUmoci, || {
            [begin().symlink("way", ABSOLUTE).hardlink("hard", "way").file("hard/hit", "x")]
        }),
        Case::layers("a link to `/proc/self/root`, as if that were magic here", LikeUmoci, || {
            [begin().symlink("way", "/proc/self/root/tmp/victim").file("way/hit", "x")]
        }),
        Case::layers("a link to `/proc/self/fd/3`", LikeUmoci, || {
            [begin().symlink("way", "/proc/self/fd/3").file("way/hit", "x")]
        }),
        Case::layers("a link to nowhere, and a file behind it", LikeUmoci, || {
            [begin().symlink("way", "not/there").file("way/hit", "x")]
        }),
        Case::layers("a link to itself, and a file behind it", Refused("symbolic links"), || {
            [begin().symlink("loop", "loop").file("loop/x", "x")]
        }),
        Case::layers(
            "two links to each other, and a file behind them",
            Refused("symbolic links"),
            || [begin().symlink("a", "b").symlink("b", "a").file("a/x", "x")],
        ),
        Case::layers("a file below a file", Refused("Not a directory"), || {
            [begin().file("a", "x").file("a/b", "x")]
        }),
    ]
}

/// The last part of a name is a link, or the other name of a hardlink is outside.
fn last_parts() -> Vec<Case> {
    vec![
        Case::layers("a file in the place of a link to a file outside", LikeUmoci, || {
            let secret = format!("{ABSOLUTE}/secret");
            [begin().symlink("file", &secret), begin().file("file", "x")]
        }),
        Case::layers("the same in one layer", LikeUmoci, || {
            let secret = format!("{ABSOLUTE}/secret");
            [begin().symlink("file", &secret).file("file", "x")]
        }),
        Case::layers(
            "a directory, open to all, in the place of a link to one outside",
            LikeUmoci,
            || [begin().symlink("way", ABSOLUTE), begin().directory("way", 0o777)],
        ),
        Case::layers("a fifo in the place of a link to a file outside", LikeUmoci, || {
            let fifo = Item { kind: EntryType::Fifo, ..Item::default() };
            [begin().symlink("file", "/tmp/victim/secret").add("file", fifo)]
        }),
        Case::layers(
            "a hardlink to a file outside, by an absolute name",
            Refused("No such file"),
            || [begin().hardlink("taken", "/tmp/victim/secret").file("taken", "x")],
        ),
        Case::layers("a hardlink to a file outside, by `..`", Refused("No such file"), || {
            [begin().hardlink("taken", &format!("{UP}/secret"))]
        }),
        Case::layers(
            "a hardlink to a file outside, through a link",
            Refused("No such file"),
            || [begin().symlink("way", ABSOLUTE).hardlink("taken", "way/secret")],
        ),
        Case::layers(
            "a hardlink to a link to a file outside, then a file in its place",
            LikeUmoci,
            || {
                let link = begin().symlink("link", "/tmp/victim/secret").hardlink("hard", "link");
                [link, begin().file("hard", "x")]
            },
        ),
        Case::layers(
            "a file in the place of one of two hardlinks: the other stays",
            LikeUmoci,
            || {
                [
                    begin().file("a", "old").hardlink("b", "a").file("b", "new"),
                    begin().file("a", "x"),
                ]
            },
        ),
    ]
}

fn whiteouts() -> Vec<Case> {
    vec![
        Case::layers("a whiteout behind a link to a directory outside", LikeUmoci, || {
            [begin().symlink("way", ABSOLUTE), begin().file("way/.wh.secret", "")]
        }),
        Case::layers("a whiteout of all behind such a link", LikeUmoci, || {
            let first = begin().symlink("way", ABSOLUTE).file("tmp/victim/inside", "x");
            [first, begin().file("way/.wh..wh..opq", "")]
        }),
        Case::layers("a whiteout with `..` in its name", LikeUmoci, || {
            [begin().file("tmp/victim/secret", "x"), begin().file(&format!("{UP}/.wh.secret"), "")]
        }),
        Case::layers("a whiteout of `..`: `.wh...`", Refused("a whiteout of no name"), || {
            [begin().file("a/b", "x"), begin().file("a/.wh...", "")]
        }),
        Case::layers("a whiteout of `.`: `.wh..`", Refused("a whiteout of no name"), || {
            [begin().file("a/b", "x"), begin().file("a/.wh..", "")]
        }),
        Case::layers("a whiteout of nothing: `.wh.`", Refused("a whiteout of no name"), || {
            [begin().file("a/b", "x"), begin().file("a/.wh.", "")]
        }),
        Case::layers("a file below a whiteout", Refused("a whiteout is no directory"), || {
            [begin().file("a/.wh.b/c", "x")]
        }),
        Case::layers("a whiteout of what was never there", LikeUmoci, || {
            [begin().file("a/b", "x"), begin().file("a/.wh.c", "").file("d/.wh.e", "")]
        }),
        Case::layers("a whiteout before and after a file of its own layer", LikeUmoci, || {
            [
                begin().file("a", "1").file("b", "1"),
                begin().file(".wh.a", "").file("a", "2").file("b", "2").file(".wh.b", ""),
            ]
        }),
        Case::layers("a whiteout of a link: what the link leads to stays", LikeUmoci, || {
            let first = begin().file("a/b", "x").symlink("link", "a");
            [first, begin().file(".wh.link", "")]
        }),
    ]
}

/// Odd, but names all the same.
fn odd() -> Vec<Case> {
    let pax = |name: &'static [u8]| {
        move || {
            let pax: &[(&str, &[u8])] = &[("path", name)];
            [begin().add("short", Item { content: b"x", pax, ..Item::default() })]
        }
    };
    vec![
        Case::layers("names with newlines, tabs and escape sequences", LikeUmoci, || {
            [begin().file("new\nline", "x").file("tab\t", "x").file("\x1b[2J\x07", "x")]
        }),
        Case::layers("names of spaces, dashes, globs and backslashes", LikeUmoci, || {
            [begin()
                .file(" ", "x")
                .file("-rf", "x")
                .file("*", "x")
                .file("a\\b", "x")
                .file("~", "x")]
        }),
        Case::layers("a name that is not UTF-8", LikeUmoci, pax(b"\xff\xfe\x80/\xc3\x28")),
        Case::layers(
            "a name that is half a UTF-8 character and half a `..`",
            LikeUmoci,
            pax(b"\xc0\xae\xc0\xae/x"),
        ),
        Case::layers("an entry without a name", Refused("the root is a directory"), || {
            [begin().file("", "x")]
        }),
        Case::layers("a file named `..`", Refused("the root is a directory"), || {
            [begin().file("..", "x")]
        }),
        Case::layers("the root as a symbolic link", Refused("the root is a directory"), || {
            [begin().symlink("./", ABSOLUTE)]
        }),
        Case::layers("the root with setuid, setgid and an owner", LikeUmoci, || {
            let item =
                Item { kind: EntryType::Directory, mode: 0o6777, owner: (1, 2), ..Item::default() };
            [begin().add("./", item).file("x", "x")]
        }),
        Case::layers("the root with no rights at all, and then a second layer", LikeUmoci, || {
            [begin().directory("./", 0).file("x", "x"), begin().file("y", "y")]
        }),
        Case::layers("one name as file, directory, link, fifo and file", LikeUmoci, || {
            let fifo = Item { kind: EntryType::Fifo, ..Item::default() };
            let archive = begin().file("x", "1").directory("x", 0o755).file("x/below", "2");
            [archive.symlink("x", ABSOLUTE).add("x", fifo).file("x", "3")]
        }),
        Case::layers("a file with a `/` at the end of its name", LikeUmoci, || {
            [begin().file("file/", "x")]
        }),
    ]
}

/// Names that have reached a limit.
fn long() -> Vec<Case> {
    let path = |levels: usize, name: &str| "d/".repeat(levels) + name;
    let one = |name: String| {
        let pax: &[(&str, &[u8])] = &[("path", name.as_bytes())];
        [begin().add("short", Item { content: b"x", pax, ..Item::default() })]
    };
    vec![
        Case::layers("a name of 255 bytes", LikeUmoci, move || one("n".repeat(255))),
        Case::layers("a name of 256 bytes", Refused("File name too long"), move || {
            one("n".repeat(256))
        }),
        Case::layers(
            "a path of 4,096 bytes",
            Applied(|rootfs| {
                let mut name = Vec::new();
                Ok(depth(rootfs, &mut name)? == 2046 && name == b"file")
            }),
            move || one(path(2046, "file")),
        ),
        Case::layers("a path of 4,097 bytes", Refused("more than 4096"), move || {
            one(path(2046, "files"))
        }),
        Case::layers("10,000 levels in one name", Refused("20004 bytes"), move || {
            one(path(10_000, "file"))
        }),
        Case::layers("a link of 4,095 bytes", LikeUmoci, || link(4095)),
        Case::layers("a link of 4,096 bytes", Refused("File name too long"), || link(4096)),
        Case::layers(
            "10,000 levels, reached through links",
            Applied(|rootfs| Ok(depth(rootfs, &mut Vec::new())? == 10_000)),
            deep,
        ),
    ]
}

fn link(length: usize) -> [Archive; 1] {
    let target = "x".repeat(length);
    let pax: &[(&str, &[u8])] = &[("linkpath", target.as_bytes())];
    [begin().add("link", Item { kind: EntryType::Symlink, pax, ..Item::default() })]
}

/// Each link leads to 1,000 levels more.
fn deep() -> [Archive; 1] {
    let levels = "d/".repeat(1000);
    let mut archive = begin();
    for link in 0..10 {
        let way = if link == 0 { String::new() } else { format!("link{}/", link - 1) };
        let path = format!("{way}{levels}");
        let pax: &[(&str, &[u8])] = &[("path", path.as_bytes())];
        archive = archive
            .add("d", Item { kind: EntryType::Directory, mode: 0o755, pax, ..Item::default() });
        let pax: &[(&str, &[u8])] = &[("linkpath", path.as_bytes())];
        archive = archive
            .add(&format!("link{link}"), Item { kind: EntryType::Symlink, pax, ..Item::default() });
    }
    [archive]
}

/// How many directories `d` lie in each other, and the name of what else is in the last.
fn depth(rootfs: &Path, name: &mut Vec<u8>) -> io::Result<usize> {
    use nix::fcntl::{OFlag, openat};
    use nix::sys::stat::Mode;
    use std::os::fd::AsRawFd;
    let mut here = std::os::fd::OwnedFd::from(fs::File::open(rootfs)?);
    let mut depth = 0;
    loop {
        match openat(&here, "d", OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW, Mode::empty()) {
            Ok(below) => (here, depth) = (below, depth + 1),
            Err(nix::errno::Errno::ENOENT) => break,
            Err(errno) => return Err(errno.into()),
        }
    }
    for entry in fs::read_dir(format!("/proc/self/fd/{}", here.as_raw_fd()))? {
        *name = entry?.file_name().as_bytes().to_vec();
    }
    Ok(depth)
}
