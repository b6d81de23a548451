//! Headers as different programs write them: read as Go reads them, or refused. A name, a size or a
//! map that is read otherwise gives other files under the same digest.

use tar::Header;

use super::scratch::{Layer, Scratch};

/// Puts bytes into a header.
fn put(at: usize, bytes: &'static [u8]) -> impl Fn(&mut Header) {
    move |header| header.as_mut_bytes()[at..at + bytes.len()].copy_from_slice(bytes)
}

/// The only file that is there, by its path.
fn only_file(layer: Layer) -> String {
    let scratch = Scratch::new();
    scratch.apply(layer);
    let mut path = String::new();
    loop {
        let names = scratch.names(&path);
        let [name] = names.as_slice() else { panic!("{names:?} in {path:?}") };
        path += name;
        if !scratch.meta(&path).is_dir() {
            return path;
        }
        path += "/";
    }
}

#[test]
fn a_prefix_is_read_by_the_layout() {
    let (magic, prefix) = (257, 345);
    for (word, expected) in [
        (&b"ustar\x0000"[..], "pre/fix/f"),
        (b"ustar\0\0\0", "pre/fix/f"),
        (b"ustar\0 1", "pre/fix/f"),
        // Before POSIX, and GNU: what lies there is something else.
        (b"ustar   ", "f"),
        (b"\0\0\0\0\0\0\0\0", "f"),
    ] {
        let file = only_file(Layer::new().entry(b'0', "f", "", |header| {
            put(magic, word)(header);
            put(prefix, b"pre/fix\0")(header);
        }));
        assert_eq!(file, expected, "{}", word.escape_ascii());
    }
}

#[test]
fn the_prefix_of_star_ends_where_its_times_begin() {
    let star = |header: &mut Header| {
        put(257, b"ustar\x0000")(header);
        put(345, &[b'p'; 131])(header);
        put(476, b"00000000001\0")(header);
        put(488, b"00000000002\0")(header);
        put(508, b"tar\0")(header);
    };
    assert_eq!(only_file(Layer::new().entry(b'0', "f", "", star)), "p".repeat(131) + "/f");
    let line = Scratch::new().refuse(Layer::new().entry(b'0', "f", "", |header| {
        star(header);
        put(476, b"no time")(header);
    }));
    assert!(line.contains("not octal"), "{line}");
}

#[test]
fn a_prefix_in_a_gnu_header_is_one_if_it_can_be_no_time() {
    for (field, expected) in [
        (&b"pre/fix"[..], "pre/fix/f"),
        (b"pr\xc3\xa9/fix", "f"),
        (b"00000001234\0", "f"),
        (b"00000001234\0pre", "00000001234/f"),
    ] {
        let file = only_file(Layer::new().entry(b'0', "f", "", put(345, field)));
        assert_eq!(file, expected, "{}", field.escape_ascii());
    }
}

#[test]
fn an_old_directory_has_no_content_whatever_its_size() {
    let scratch = Scratch::new();
    let sized = |header: &mut Header| header.set_size(512);
    scratch.apply(Layer::new().entry(0, "d/", "", sized).file("f", "1"));
    assert!(scratch.meta("d").is_dir());
    assert_eq!(scratch.read("f"), "1");
}

#[test]
fn what_is_said_before_a_global_header_is_said_about_that() {
    let global = |layer: Layer| layer.entry(b'g', "pax_global_header", "", |_| {});
    assert_eq!(only_file(global(Layer::new().pax(&[("path", b"x")])).file("f", "")), "f");
    let long = Layer::new().entry(b'L', "long", "x\0", |_| {});
    assert_eq!(only_file(global(long).file("f", "")), "f");
    let broken = Layer::new().entry(b'g', "pax_global_header", "9 path:x\n", |_| {});
    assert!(Scratch::new().refuse(broken.file("f", "")).contains("has no ="));
}

#[test]
fn an_empty_long_name_is_none() {
    let empty = Layer::new().entry(b'L', "long", "\0", |_| {}).entry(b'K', "long", "", |_| {});
    let scratch = Scratch::new();
    scratch.apply(empty.symlink("f", "to"));
    assert_eq!(std::fs::read_link(scratch.path("f")).unwrap().to_str(), Some("to"));
}

#[test]
fn a_sparse_files_name_counts_with_its_map_only() {
    let named = [("GNU.sparse.name", &b"x"[..])];
    assert_eq!(only_file(Layer::new().pax(&named).file("f", "1")), "f");
    let sparse = |name| {
        Layer::new().pax(&[
            ("GNU.sparse.name", name),
            ("GNU.sparse.size", b"9"),
            ("GNU.sparse.numblocks", b"1"),
            ("GNU.sparse.map", b"0,1"),
        ])
    };
    assert_eq!(only_file(sparse(b"x").file("f", "1")), "x");
    assert_eq!(only_file(sparse(b"").file("f", "1")), "f");
    let line = Scratch::new().refuse(sparse(b"x").dir("d", 0o755));
    assert!(line.contains("only a file can be sparse"), "{line}");
}

#[test]
fn the_map_in_a_gnu_header_ends_at_its_first_empty_piece() {
    let sparse = |flag: u8| {
        Layer::new().entry(b'S', "f", "12", move |header| {
            put(386, b"00000000000\x0000000000001\0")(header);
            put(386 + 48, b"00000000001\x0000000000001\0")(header);
            put(483, b"00000000002\0")(header);
            put(482, &[0])(header);
            header.as_mut_bytes()[482] = flag;
        })
    };
    let line = Scratch::new().refuse(sparse(0));
    assert!(line.contains("are not what the archive has"), "{line}");
    // Any byte says that a block of pieces follows: here the content.
    let line = Scratch::new().refuse(sparse(b'x'));
    assert!(line.contains("lie outside it"), "{line}");
}

#[test]
fn what_go_refuses_is_refused() {
    let file = |change: fn(&mut Header)| Layer::new().entry(b'0', "f", "", change);
    let pax = |key: &'static str, value: &'static [u8]| Layer::new().pax(&[(key, value)]);
    let sparse = |records: &[(&str, &[u8])]| {
        let all = [&[("GNU.sparse.size", &b"9"[..])], records].concat();
        Layer::new().pax(&all).file("f", "1")
    };
    for (layer, expected) in [
        (file(|header| put(100, b"0644 \0 1")(header)), "not octal"),
        (file(|header| put(136, b"1 2 3 4 5 6")(header)), "not octal"),
        // A device's number, where there is no device.
        (file(|header| put(329, b"x")(header)), "not octal"),
        (pax("mtime", b"1.000000000x").file("f", ""), "record mtime has a wrong value"),
        (pax("uname", b"a\0b").file("f", ""), "record uname has a wrong value"),
        (pax("a\0b", b"c").file("f", ""), "a wrong key"),
        (pax("", b"c").file("f", ""), "a wrong key"),
        (sparse(&[("GNU.sparse.map", b"0,1")]), "not as many as it says"),
        (
            sparse(&[("GNU.sparse.numblocks", b"2"), ("GNU.sparse.map", b"0,1")]),
            "not as many as it says",
        ),
        (
            sparse(&[("GNU.sparse.numbytes", b"1"), ("GNU.sparse.offset", b"0")]),
            "pieces are in no order",
        ),
        // Not version 1.0: for Go not sparse at all.
        (
            sparse(&[("GNU.sparse.major", b"01"), ("GNU.sparse.minor", b"0")]),
            "a version that we don't know",
        ),
    ] {
        let line = Scratch::new().refuse(layer);
        assert!(line.contains(expected), "{line} ≠ {expected}");
    }
}
