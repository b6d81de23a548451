//! Kinds of files, their owners, times and attributes.

use std::fs;
use std::os::unix::fs::MetadataExt;

use tar::EntryType;

use super::case::Case;
use super::case::Fate::{Applied, LikeUmoci, Refused};
use crate::checks::images::{Archive, Item};

const NO_SUCH_ID: &str = "the user namespace has no such id";

pub fn cases() -> Vec<Case> {
    [kinds(), hardlinks(), owners_and_times(), attributes()].into_iter().flatten().collect()
}

fn one(item: Item) -> [Archive; 1] {
    [Archive::begin().add("x", item)]
}

fn kinds() -> Vec<Case> {
    let kind = |byte| move || one(Item { kind: EntryType::new(byte), ..Item::default() });
    vec![
        Case::layers("the host's disk and memory as devices, open to all", LikeUmoci, || {
            let disk =
                Item { kind: EntryType::Block, mode: 0o666, device: (254, 0), ..Item::default() };
            let memory =
                Item { kind: EntryType::Char, mode: 0o666, device: (1, 1), ..Item::default() };
            [Archive::begin().add("disk", disk).add("dev/mem", memory)]
        }),
        Case::layers("a device, and then a file of its name", LikeUmoci, || {
            let null =
                Item { kind: EntryType::Char, mode: 0o666, device: (1, 3), ..Item::default() };
            [Archive::begin().add("x", null).file("x", "text")]
        }),
        Case::layers(
            "a device with a number that no device has",
            Refused("there is no such device"),
            || one(Item { kind: EntryType::Char, device: (4096, 0), ..Item::default() }),
        ),
        Case::layers("a program of root's with setuid and setgid", LikeUmoci, || {
            one(Item { mode: 0o6755, content: b"#!/bin/sh\n", ..Item::default() })
        }),
        Case::layers("a mode with bits that no file has", LikeUmoci, || {
            one(Item { mode: 0o7_007_644, ..Item::default() })
        }),
        // pax(1) takes it for a plain file; umoci does not know it.
        Case::layers(
            "a file that shall lie in one piece (type 7)",
            Applied(|rootfs| Ok(rootfs.join("x").symlink_metadata()?.is_file())),
            kind(b'7'),
        ),
        Case::layers(
            "an entry of a type that nobody knows",
            Refused("of a kind that we don't know"),
            kind(b'Z'),
        ),
        Case::layers(
            "a volume's name, as tapes have it (type V)",
            Refused("of a kind that we don't know"),
            kind(b'V'),
        ),
        Case::layers("a symbolic link to nothing at all", Refused("No such file"), || {
            one(Item { kind: EntryType::Symlink, ..Item::default() })
        }),
    ]
}

fn hardlinks() -> Vec<Case> {
    let begin = Archive::begin;
    vec![
        Case::layers("a hardlink to itself", Refused("No such file"), move || {
            [begin().hardlink("x", "x")]
        }),
        Case::layers(
            "a hardlink before the file that it names",
            Refused("No such file"),
            move || [begin().hardlink("a", "b").file("b", "x")],
        ),
        Case::layers("a hardlink to a directory", Refused("Operation not permitted"), move || {
            [begin().directory("a", 0o755).hardlink("b", "a")]
        }),
        Case::layers("a hardlink to the root", Refused("Is a directory"), move || {
            [begin().hardlink("a", "/")]
        }),
        Case::layers("a hardlink to what its own layer has replaced", LikeUmoci, move || {
            [begin().file("a", "old"), begin().file("a", "new").hardlink("b", "a")]
        }),
        Case::layers(
            "a hardlink that claims to have content",
            Refused("no tar archive"),
            move || {
                let link = Item {
                    kind: EntryType::Link,
                    link: "a",
                    content: b"content",
                    ..Item::default()
                };
                [begin().file("a", "x").add("b", link)]
            },
        ),
        Case::layers("the same hardlink twice", LikeUmoci, move || {
            [begin().file("a", "x").hardlink("b", "a").hardlink("b", "a")]
        }),
    ]
}

fn owners_and_times() -> Vec<Case> {
    let owner = |id| move || one(Item { owner: (id, id), ..Item::default() });
    let pax = |key: &'static str, value: &'static [u8]| {
        move || one(Item { pax: &[(key, value)], ..Item::default() })
    };
    vec![
        Case::layers("an owner with the number 3,000,000", LikeUmoci, owner(3_000_000))
            .for_ada(Refused(NO_SUCH_ID)),
        Case::layers("an owner with the largest number", LikeUmoci, owner(0xffff_fffe))
            .for_ada(Refused(NO_SUCH_ID)),
        Case::layers(
            "an owner with the number that means “as it is” (-1)",
            Refused("its owner's number is too large"),
            owner(0xffff_ffff),
        ),
        Case::layers(
            "an owner with a number of 64 bits",
            Refused("its owner's number is too large"),
            pax("uid", b"18446744073709551615"),
        ),
        Case::layers("a time before 1970", LikeUmoci, pax("mtime", b"-1.5")),
        Case::layers(
            "a time that no clock will show",
            Applied(|rootfs| Ok(rootfs.join("x").metadata()?.mtime() > 4_000_000_000)),
            pax("mtime", b"9223372036854775807"),
        ),
        Case::layers(
            "a time that is none",
            Refused("the PAX record mtime has a wrong value"),
            pax("mtime", b"yesterday"),
        ),
    ]
}

fn attributes() -> Vec<Case> {
    let xattr = |key: &'static str, value: Vec<u8>| {
        move || one(Item { pax: &[(key, &value)], ..Item::default() })
    };
    vec![
        Case::layers(
            "capabilities that are none",
            Refused("set the attribute"),
            xattr("SCHILY.xattr.security.capability", b"all".to_vec()),
        ),
        Case::layers(
            "an attribute of 128 KiB",
            Refused("set the attribute"),
            xattr("SCHILY.xattr.user.large", vec![b'x'; 128 << 10]),
        ),
        Case::layers(
            "an attribute without a name",
            Refused("has a wrong value"),
            xattr("SCHILY.xattr.", b"x".to_vec()),
        ),
        Case::layers(
            "attributes by which an overlay would hide or redirect files",
            Applied(|rootfs| {
                let names = fs::canonicalize(rootfs.join("x"))?;
                let mut list = vec![0u8; 4096];
                let path = std::ffi::CString::new(names.to_string_lossy().as_bytes())?;
                // SAFETY: the kernel writes at most as many bytes as there is room for.
                let size = unsafe {
                    libc::llistxattr(path.as_ptr(), list.as_mut_ptr().cast(), list.len())
                };
                let list = String::from_utf8_lossy(&list[..usize::try_from(size).unwrap_or(0)])
                    .into_owned();
                Ok(size >= 0 && !list.contains("overlay"))
            }),
            || {
                let pax: &[(&str, &[u8])] = &[
                    ("SCHILY.xattr.trusted.overlay.opaque", b"y"),
                    ("SCHILY.xattr.user.overlay.opaque", b"y"),
                    ("SCHILY.xattr.trusted.overlay.redirect", b"/etc"),
                ];
                one(Item { kind: EntryType::Directory, mode: 0o755, pax, ..Item::default() })
            },
        ),
    ]
}
