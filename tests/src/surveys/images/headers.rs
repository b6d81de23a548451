//! Archives whose headers lie.

use std::os::unix::fs::MetadataExt;

use tar::{EntryType, Header};

use super::case::Case;
use super::case::Fate::{Applied, LikeUmoci, Refused};
use crate::checks::images::archive::header;
use crate::checks::images::{Archive, Item};

const BROKEN: &str = "a header's checksum is wrong";

pub fn cases() -> Vec<Case> {
    [archives(), numbers(), pax(), gnu(), sparse()].into_iter().flatten().collect()
}

/// A file with these records before it.
fn with_pax(pax: &[(&str, &[u8])]) -> Vec<u8> {
    let item = Item { content: &[b'x'; 1024], pax, ..Item::default() };
    Archive::begin().add("x", item).end()
}

/// A header that was changed, checksum and all.
fn changed(change: impl Fn(&mut Header)) -> Vec<u8> {
    let mut header = header("x", &Item::default());
    change(&mut header);
    header.set_cksum();
    [header.as_bytes().as_slice(), &[0; 1024]].concat()
}

/// An entry of a kind that says something about the next one, and then a file.
fn before_file(kind: u8, content: &[u8]) -> Vec<u8> {
    let item = Item { kind: EntryType::new(kind), content, ..Item::default() };
    Archive::begin().add("about-the-next", item).file("short", "x").end()
}

fn archives() -> Vec<Case> {
    let whole = || Archive::begin().file("a", &"x".repeat(2000)).end();
    vec![
        Case::bytes("an archive of nothing", LikeUmoci, || Archive::begin().end()),
        Case::bytes("an archive without its end", LikeUmoci, move || {
            let bytes = whole();
            bytes[..bytes.len() - 1024].to_vec()
        }),
        Case::bytes(
            "an archive that is cut off in a header",
            Refused("in the middle of an entry"),
            move || whole()[..200].to_vec(),
        ),
        Case::bytes(
            "an archive that is cut off in a file",
            Refused("in the middle of an entry"),
            move || whole()[..1000].to_vec(),
        ),
        Case::bytes("a second archive behind the end of the first", LikeUmoci, move || {
            [whole(), Archive::begin().file("hidden", "x").end()].concat()
        }),
        Case::bytes(
            "an entry behind one block of zeros",
            Refused("bytes after a block of zeros"),
            || {
                let entry = Archive::begin().file("hidden", "x").end();
                [vec![0; 512], entry].concat()
            },
        ),
        Case::bytes("text in place of an archive", Refused("no tar archive"), || {
            b"This is no archive. ".repeat(100)
        }),
        Case::bytes("a header with a wrong checksum", Refused(BROKEN), move || {
            let mut bytes = whole();
            bytes[100] ^= 1;
            bytes
        }),
        Case::bytes("a header from before 1988, without a version", LikeUmoci, || {
            changed(|header| header.as_mut_bytes()[257..].fill(0))
        }),
    ]
}

fn numbers() -> Vec<Case> {
    vec![
        Case::bytes("a size that is not octal", Refused("not octal"), || {
            changed(|header| header.as_old_mut().size = *b"0000000009x ")
        }),
        Case::bytes("a negative size", Refused("negative"), || {
            changed(|header| header.as_old_mut().size = [0xff; 12])
        }),
        Case::bytes("a size of 8 EiB", Refused("in the middle of an entry"), || {
            changed(|header| {
                header.as_old_mut().size =
                    [0x80, 0, 0, 0, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff];
            })
        }),
        Case::bytes("a size of more than 64 bits", Refused("too large"), || {
            changed(|header| {
                header.as_old_mut().size = [0xbf; 12];
            })
        }),
        Case::bytes("a directory that claims to have content", Refused(BROKEN), || {
            let item = Item {
                kind: EntryType::Directory,
                mode: 0o755,
                content: &[b'x'; 512],
                ..Item::default()
            };
            Archive::begin().add("d/", item).file("hidden", "x").end()
        }),
    ]
}

fn pax() -> Vec<Case> {
    let nested = || {
        // What is content by one size is headers by the other.
        let inner = Archive::begin().file("hidden", "x").end();
        let item = Item { content: &inner, pax: &[("size", b"0")], ..Item::default() };
        Archive::begin().add("x", item).end()
    };
    vec![
        Case::bytes("PAX: a size that makes headers of a file's content", LikeUmoci, nested),
        Case::bytes("PAX: a size that is too small", Refused(BROKEN), || {
            with_pax(&[("size", b"512")])
        }),
        Case::bytes("PAX: a size that is too large", Refused("in the middle of an entry"), || {
            with_pax(&[("size", b"1000000")])
        }),
        Case::bytes(
            "PAX: a negative size",
            Refused("the PAX record size has a wrong value"),
            || with_pax(&[("size", b"-1")]),
        ),
        Case::bytes(
            "PAX: a record that is longer than it says",
            Refused("a PAX record has a wrong length"),
            || before_file(b'x', b"8 path=abcdef\n"),
        ),
        Case::bytes(
            "PAX: a record that is shorter than it says",
            Refused("a PAX record has a wrong length"),
            || before_file(b'x', b"99 path=a\n"),
        ),
        Case::bytes("PAX: a record without `=`", Refused("a PAX record has no ="), || {
            before_file(b'x', b"7 path\n")
        }),
        Case::bytes(
            "PAX: a name with a NUL in it",
            Refused("the PAX record path has a wrong value"),
            || with_pax(&[("path", b"a\0b")]),
        ),
        Case::bytes("PAX: two names for one file", LikeUmoci, || {
            with_pax(&[("path", b"first"), ("path", b"second")])
        }),
        Case::bytes("PAX: a name that is taken back", LikeUmoci, || {
            with_pax(&[("path", b"first"), ("path", b"")])
        }),
        Case::bytes("PAX: records of 2 MiB", Refused("more than 1 MiB"), || {
            with_pax(&[("comment", &[b'x'; 2 << 20])])
        }),
        Case::bytes("PAX: records, and no file", Refused("after the PAX header"), || {
            let item = Item { kind: EntryType::XHeader, content: b"9 path=a\n", ..Item::default() };
            Archive::begin().add("records", item).end()
        }),
        Case::bytes("PAX: records twice before one file", LikeUmoci, || {
            let item =
                Item { kind: EntryType::XHeader, content: b"14 path=first\n", ..Item::default() };
            let twice = Archive::begin().add("records", item);
            twice.add("x", Item { pax: &[("path", b"second")], ..Item::default() }).end()
        }),
        Case::bytes(
            "PAX: records for all files that follow",
            Applied(|rootfs| Ok(rootfs.join("short").exists() && !rootfs.join("evil").exists())),
            || before_file(b'g', b"13 path=evil\n"),
        ),
    ]
}

fn gnu() -> Vec<Case> {
    vec![
        Case::bytes("GNU: a long name", LikeUmoci, || {
            before_file(b'L', &[b"long/".repeat(60), b"x\0".to_vec()].concat())
        }),
        Case::bytes("GNU: a long name that climbs by `..`", LikeUmoci, || {
            before_file(b'L', b"../../../../../../tmp/victim/hit\0")
        }),
        Case::bytes("GNU: a long name and a PAX name for one file", LikeUmoci, || {
            let long =
                Item { kind: EntryType::GNULongName, content: b"by-gnu\0", ..Item::default() };
            let archive = Archive::begin().add("long", long);
            archive.add("x", Item { pax: &[("path", b"by-pax")], ..Item::default() }).end()
        }),
        Case::bytes("GNU: a long name of 2 MiB", Refused("more than 1 MiB"), || {
            before_file(b'L', &[b'x'; 2 << 20])
        }),
        Case::bytes("GNU: a long name, and no file", Refused("after the PAX header"), || {
            let item = Item { kind: EntryType::GNULongName, content: b"x\0", ..Item::default() };
            Archive::begin().add("long", item).end()
        }),
    ]
}

/// A sparse file of GNU's PAX format 1.0: a map, and then its pieces.
fn sparse_file(map: &str, pieces: &[u8], size: &str) -> Vec<u8> {
    let mut content = map.as_bytes().to_vec();
    content.resize(content.len().next_multiple_of(512), 0);
    content.extend(pieces);
    let pax: &[(&str, &[u8])] = &[
        ("GNU.sparse.major", b"1"),
        ("GNU.sparse.minor", b"0"),
        ("GNU.sparse.name", b"sparse"),
        ("GNU.sparse.realsize", size.as_bytes()),
    ];
    Archive::begin().add("x", Item { content: &content, pax, ..Item::default() }).end()
}

fn sparse() -> Vec<Case> {
    vec![
        Case::bytes("sparse: two pieces with a hole between", LikeUmoci, || {
            sparse_file("2\n0\n4\n65536\n4\n", b"headtail", "65540")
        }),
        Case::bytes(
            "sparse: a hole of 1 TiB",
            Applied(|rootfs| {
                let metadata = rootfs.join("sparse").metadata()?;
                Ok(metadata.len() == 1 << 40 && metadata.blocks() < 100)
            }),
            || sparse_file("1\n0\n4\n", b"head", "1099511627776"),
        ),
        Case::bytes("sparse: a hole of 4 EiB", Refused("File too large"), || {
            sparse_file("1\n0\n4\n", b"head", "4611686018427387904")
        }),
        Case::bytes("sparse: pieces that overlap", Refused("overlap"), || {
            sparse_file("2\n0\n4\n2\n4\n", b"headtail", "65540")
        }),
        Case::bytes(
            "sparse: a piece behind the end of the file",
            Refused("lie outside it"),
            || sparse_file("1\n65536\n4\n", b"tail", "10"),
        ),
        Case::bytes(
            "sparse: pieces that the archive does not have",
            Refused("not what the archive has"),
            || sparse_file("1\n0\n4096\n", b"head", "65540"),
        ),
        Case::bytes("sparse: a map of a million pieces", Refused("too many pieces"), || {
            let map: String = (0..1_000_000).map(|_| "0\n0\n").collect();
            sparse_file(&format!("1000000\n{map}"), b"", "65540")
        }),
        Case::bytes("sparse: a map without an end", Refused("the map of a sparse file"), || {
            sparse_file("60000\n0\n0\n", b"", "65540")
        }),
    ]
}
