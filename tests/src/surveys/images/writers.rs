//! Headers of every kind by every program that writes them, all in one layer: what has another name
//! or another size for us than for Go is another image under the same digest.

use super::case::Case;
use super::case::Fate::{LikeUmoci, Refused};

pub fn cases() -> Vec<Case> {
    let entry = |layout: Layout, change: fn(&mut Block)| {
        move || {
            let mut block = header(&layout, b'0', b"x", 0);
            change(&mut block);
            end(sealed(block).to_vec())
        }
    };
    vec![
        Case::bytes("writers: each kind of entry in the header of each", LikeUmoci, headers),
        Case::bytes("writers: the same behind long names and PAX records", LikeUmoci, extended),
        Case::bytes(
            "writers: sparse files of each version, with and without a map",
            LikeUmoci,
            sparse,
        ),
        Case::bytes(
            "writers: a header of star's with a time that is none",
            Refused("not octal"),
            entry(LAYOUTS[3], |block| block[476..484].copy_from_slice(b"tomorrow")),
        ),
        Case::bytes(
            "writers: a number in two pieces",
            Refused("not octal"),
            entry(LAYOUTS[0], |block| block[100..108].copy_from_slice(b"0644 01\0")),
        ),
        Case::bytes(
            "writers: a device in a header that is too old for one",
            Refused("too old"),
            || end(sealed(header(&LAYOUTS[0], b'3', b"x", 0)).to_vec()),
        ),
        Case::bytes("writers: a sparse directory", Refused("only a file can be sparse"), || {
            let map = [("GNU.sparse.size", "9"), ("GNU.sparse.numblocks", "1")];
            let all = [map.as_slice(), &[("GNU.sparse.map", "0,1")]].concat();
            end([pax(&all), sealed(header(&LAYOUTS[1], b'5', b"x", 0)).to_vec()].concat())
        }),
        Case::bytes(
            "writers: version 01.0 of sparse files",
            Refused("a version that we don't know"),
            || {
                let version = [("GNU.sparse.major", "01"), ("GNU.sparse.minor", "0")];
                end([pax(&version), sealed(header(&LAYOUTS[1], b'0', b"x", 0)).to_vec()].concat())
            },
        ),
    ]
}

type Block = [u8; 512];

/// A program's word in a header, and what it puts where POSIX has a prefix.
type Layout = (&'static [u8], &'static [(usize, &'static [u8])]);

const LAYOUTS: [Layout; 12] = [
    // Before 1988; and the same with bytes that are no prefix.
    (b"", &[]),
    (b"ustar\x0000", &[(345, b"posix/pre")]),
    (b"ustar\0\0\0", &[(345, b"no-version/pre")]),
    (
        b"ustar\x0000",
        &[(345, &[b's'; 131]), (476, b"00000000001\0"), (488, b"2 "), (508, b"tar\0")],
    ),
    (b"ustar\x0000", &[(345, &[b'p'; 155])]),
    (b"ustar\0 1", &[]),
    (b"ustar  \0", &[]),
    // GNU tar's times; and what Go wrote there by mistake, before 1.8.
    (b"ustar  \0", &[(345, b"00000000001\0"), (357, b"00000000002\0")]),
    (b"ustar  \0", &[(345, b"by/go/1.7")]),
    (b"ustar  \0", &[(345, b"by/g\xc3\xb6")]),
    (b"ustar  1", &[(345, b"no/prefix")]),
    (b"xstar\x0000", &[(345, b"no/prefix")]),
];

/// Types of entries, and whether content follows.
const KINDS: [(u8, bool); 8] = [
    (b'0', true),
    (0, true),
    (b'1', false),
    (b'2', false),
    (b'3', false),
    (b'4', false),
    (b'5', false),
    (b'6', false),
];

/// Ways to write the last part of a name.
const ENDS: [&str; 3] = ["", "/", "/below"];

/// An entry's header, without its checksum.
fn header(layout: &Layout, kind: u8, name: &[u8], size: usize) -> Block {
    let mut block = [0; 512];
    let mut put = |at: usize, bytes: &[u8]| block[at..at + bytes.len()].copy_from_slice(bytes);
    put(0, name);
    put(100, b"0000750\0");
    put(108, b"0000001\0");
    put(116, b"0000002\0");
    put(124, format!("{size:011o}\0").as_bytes());
    put(136, b"00000001750\0");
    put(156, &[kind]);
    put(157, b"target");
    put(257, layout.0);
    if !layout.0.is_empty() {
        put(329, b"0000001\0");
        put(337, b"0000003\0");
    }
    for (at, bytes) in layout.1 {
        put(*at, bytes);
    }
    block
}

/// The header with its checksum.
fn sealed(mut block: Block) -> Block {
    block[148..156].fill(b' ');
    let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
    block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    block
}

/// An entry with its content. A type without content may claim a size.
fn entry(layout: &Layout, kind: u8, name: &str, size: usize, content: &[u8]) -> Vec<u8> {
    let mut bytes = sealed(header(layout, kind, name.as_bytes(), size)).to_vec();
    bytes.extend(content);
    bytes.resize(bytes.len().next_multiple_of(512), 0);
    bytes
}

/// An extended header of these records.
fn pax(records: &[(&str, &str)]) -> Vec<u8> {
    let mut body = String::new();
    for (key, value) in records {
        let rest = key.len() + value.len() + 3;
        let digits = |length: usize| length.to_string().len();
        let length = rest + digits(rest + digits(rest));
        body += &format!("{length} {key}={value}\n");
    }
    entry(&LAYOUTS[1], b'x', "records", body.len(), body.as_bytes())
}

fn end(mut bytes: Vec<u8>) -> Vec<u8> {
    bytes.resize(bytes.len() + 1024, 0);
    bytes
}

/// The file that the links lead to.
fn target() -> Vec<u8> {
    entry(&LAYOUTS[6], b'0', "target", 4, b"here")
}

/// Every layout, kind, end of a name and size.
fn headers() -> Vec<u8> {
    let mut bytes = target();
    let mut number = 0;
    for layout in &LAYOUTS {
        for (kind, has_content) in KINDS {
            for end in ENDS {
                for size in [0, 3, 512] {
                    // What we refuse has cases of its own.
                    let has_device = layout.0.starts_with(b"ustar") && layout.0 != b"ustar  1";
                    if matches!(kind, b'3' | b'4') && !has_device {
                        continue;
                    }
                    number += 1;
                    let name = format!("{number}{end}");
                    let is_old_directory = kind == 0 && end == "/";
                    let text = format!("{number:0size$}");
                    let content = if has_content && !is_old_directory {
                        &text.as_bytes()[..size]
                    } else {
                        b""
                    };
                    bytes.extend(entry(layout, kind, &name, size, content));
                }
            }
        }
    }
    end(bytes)
}

/// What may stand before an entry, for each layout and some kinds.
fn extended() -> Vec<u8> {
    let mut bytes = target();
    let mut number = 0;
    for layout in &LAYOUTS {
        for kind in [b'0', 0, b'2', b'5'] {
            for before in 0..BEFORE {
                number += 1;
                let (name, long) =
                    (format!("{number}"), format!("{number}-long/{}", "n".repeat(150)));
                bytes.extend(said_before(before, layout, &long));
                bytes.extend(entry(layout, kind, &name, 0, b""));
            }
        }
    }
    end(bytes)
}

const BEFORE: usize = 10;

fn said_before(way: usize, layout: &Layout, long: &str) -> Vec<u8> {
    let gnu = |kind, text: &str| entry(layout, kind, "ext", text.len(), text.as_bytes());
    let with_end = format!("{long}/");
    match way {
        0 => gnu(b'L', &format!("{long}\0ignored")),
        1 => gnu(b'L', &with_end),
        2 => [gnu(b'L', long), gnu(b'L', "")].concat(),
        3 => [gnu(b'K', long), gnu(b'K', "\0")].concat(),
        4 => gnu(b'K', long),
        5 => pax(&[("path", long), ("linkpath", "by-pax"), ("uid", "7"), ("mtime", "9.5")]),
        6 => [pax(&[("path", &with_end)]), gnu(b'K', "by-gnu")].concat(),
        7 => [pax(&[("path", "lost")]), pax(&[("path", long)])].concat(),
        8 => pax(&[("path", long), ("path", ""), ("size", "")]),
        _ => pax(&[("GNU.sparse.name", "no-sparse"), ("GNU.sparse.size", "9")]),
    }
}

/// Sparse files of GNU tar's PAX formats.
fn sparse() -> Vec<u8> {
    let version = |major, minor| [("GNU.sparse.major", major), ("GNU.sparse.minor", minor)];
    let map = |blocks| {
        [
            ("GNU.sparse.size", "9000"),
            ("GNU.sparse.numblocks", blocks),
            ("GNU.sparse.map", "0,1,8000,2"),
        ]
    };
    let pieces = [
        ("GNU.sparse.offset", "0"),
        ("GNU.sparse.numbytes", "1"),
        ("GNU.sparse.offset", "100"),
        ("GNU.sparse.numbytes", "2"),
    ];
    let name = [("GNU.sparse.name", "")];
    let mut bytes = Vec::new();
    let mut number = 0;
    let mut add = |records: &[(&str, &str)], content: &[u8]| {
        for end in ["", "/"] {
            number += 1;
            let own = format!("sparse-{number}{end}");
            let named: Vec<(&str, &str)> = records
                .iter()
                .map(|record| if *record == name[0] { (record.0, own.as_str()) } else { *record })
                .collect();
            bytes.extend(pax(&named));
            bytes.extend(entry(&LAYOUTS[1], b'0', &number.to_string(), content.len(), content));
        }
    };
    add(&map("2"), b"abc");
    add(&[&name[..], &map("2")].concat(), b"abc");
    add(&[&version("0", "1")[..], &map("2"), &name].concat(), b"abc");
    // Of two maps that in pieces counts, and of two sizes GNU.sparse.size.
    add(&[&map("2")[..], &pieces].concat(), b"abc");
    add(&[&pieces[..], &map("2"), &name, &[("GNU.sparse.realsize", "7")]].concat(), b"abc");
    // No map, no sparse file.
    add(&name, b"abc");
    add(&[&name[..], &[("GNU.sparse.size", "9000"), ("GNU.sparse.map", "")]].concat(), b"abc");
    let mut in_content = b"2\n0\n1\n8000\n2\n".to_vec();
    in_content.resize(512, 0);
    in_content.extend(b"abc");
    add(&[&version("1", "0")[..], &name, &[("GNU.sparse.realsize", "9000")]].concat(), &in_content);
    bytes.extend(target());
    end(bytes)
}
