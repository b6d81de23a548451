//! Layers that want out of the root filesystem, or more than there is. `Scratch::apply` looks
//! whether anything outside has changed.

use std::ffi::OsStr;
use std::io::Write;
use std::os::unix::ffi::OsStrExt;

use flate2::write::GzEncoder;
use reference::Digest;

use super::scratch::{Layer, Scratch};

#[test]
fn dots_and_absolute_names_stay_below_the_root() {
    let scratch = Scratch::new();
    scratch.apply(
        Layer::new()
            .file("../outside/victim", "1")
            .file("a/../../../../outside/b", "2")
            .file("/etc/passwd", "3")
            .dir("../", 0o711)
            .hardlink("../link", "../../outside/victim"),
    );
    assert_eq!(scratch.read("outside/victim"), "1");
    assert_eq!(scratch.read("outside/b"), "2");
    assert_eq!(scratch.read("etc/passwd"), "3");
    assert_eq!(scratch.read("link"), "1");
    assert_eq!(scratch.mode(""), 0o711);
}

#[test]
fn symbolic_links_lead_below_the_root() {
    let scratch = Scratch::new();
    let outside = scratch.victim().parent().unwrap().to_str().unwrap().to_owned();
    scratch.apply(
        Layer::new()
            .symlink("up", "../outside")
            .symlink("abs", &outside)
            // Not further: a step that is broken, run as root, must not reach the machine's own.
            .symlink("dots", "..")
            .dir("real/", 0o755)
            .symlink("to-real", "/real"),
    );
    // By a later layer, and by this one.
    scratch.apply(
        Layer::new()
            .symlink("again", "../outside")
            .file("up/victim", "1")
            .file("again/victim2", "2")
            .file("abs/victim", "3")
            .file("dots/in-root", "4")
            .file("to-real/file", "5"),
    );
    assert_eq!(scratch.read("outside/victim"), "1");
    assert_eq!(scratch.read("outside/victim2"), "2");
    assert_eq!(scratch.read(format!("{}/victim", &outside[1..])), "3");
    assert_eq!((scratch.read("in-root"), scratch.read("real/file")), ("4".into(), "5".into()));
}

#[test]
fn the_last_part_of_a_name_is_never_followed() {
    let scratch = Scratch::new();
    let victim = scratch.victim().to_str().unwrap().to_owned();
    for kind in [b'0', b'5', b'6', b'1'] {
        scratch.apply(Layer::new().file("target", "t").symlink("l", &victim).entry(
            kind,
            "l",
            "",
            |header| {
                header.set_mode(0o777);
                if kind == b'1' {
                    header.set_link_name("target").unwrap();
                }
            },
        ));
        assert!(!scratch.meta("l").is_symlink(), "{}", kind as char);
    }
}

#[test]
fn a_hardlink_does_not_follow_links_out() {
    let scratch = Scratch::new();
    let victim = scratch.victim().to_str().unwrap().to_owned();
    // The link to the victim gets a second name; writing to that replaces it.
    scratch.apply(
        Layer::new().symlink("l", &victim).hardlink("h", "l").file("h", "mine").symlink("d", ".."),
    );
    assert_eq!(scratch.read("h"), "mine");
    assert!(scratch.meta("l").is_symlink());
    let line = scratch.refuse(Layer::new().hardlink("x", "d/outside/victim"));
    assert!(line.contains("cannot link \"x\" to \"d/outside/victim\": No such file"), "{line}");
    let line = scratch.refuse(Layer::new().hardlink("x", &victim));
    assert!(line.contains("No such file"), "{line}");
    let line = scratch.refuse(Layer::new().hardlink("x", "/"));
    assert!(line.contains("Is a directory"), "{line}");
}

#[test]
fn whiteouts_stay_below_the_root() {
    let scratch = Scratch::new();
    scratch.apply(Layer::new().symlink("d", "../outside").symlink("e", "..").dir("sub/", 0o755));
    for name in [".wh...", ".wh..", ".wh.", "sub/.wh...", "sub/.wh..", ".wh.a/b"] {
        let line = scratch.refuse(Layer::new().file(name, ""));
        assert!(line.starts_with("cannot accept") && line.contains("a whiteout"), "{line}");
    }
    for name in
        ["d/.wh.victim", "d/.wh..wh..opq", "e/outside/.wh.victim", "../outside/.wh.victim", ".wh.d"]
    {
        scratch.apply(Layer::new().file(name, ""));
    }
    assert_eq!(scratch.names(""), ["e", "sub"]);
}

#[test]
fn a_link_that_was_replaced_leads_nowhere_any_more() {
    let scratch = Scratch::new();
    // "l/…" is the root. Then l becomes a directory, by way of itself.
    scratch.apply(Layer::new().symlink("l", ".").file("l/a", "").dir("l/l", 0o755).file("l/b", ""));
    assert_eq!(scratch.names(""), ["a", "l"]);
    assert_eq!(scratch.names("l"), ["b"]);
}

#[test]
fn links_in_a_circle_and_files_as_directories_are_errors() {
    let scratch = Scratch::new();
    let line = scratch.refuse(Layer::new().symlink("a", "b").symlink("b", "a").file("a/x", ""));
    assert!(line.contains("\"a/x\": Too many"), "{line}");
    let line = scratch.refuse(Layer::new().file("f", "").file("f/x", ""));
    assert!(line.contains("\"f/x\": Not a directory"), "{line}");
    let line = scratch.refuse(Layer::new().file("./", ""));
    assert!(line.contains("the root is a directory"), "{line}");
    // Growing links: each turn makes the path longer.
    let line =
        scratch.refuse(Layer::new().symlink("g", "g2/x").symlink("g2", "g/x").file("g/y", ""));
    assert!(line.contains("\"g/y\": Too many"), "{line}");
}

#[test]
fn headers_that_lie_are_refused() {
    let lying = |records: &[(&str, &[u8])]| Layer::new().pax(records).file("f", "content");
    let huge = u64::MAX.to_string();
    let mut broken = Layer::new().file("f", "content");
    broken.0[0] ^= 1;
    let layers = [
        (lying(&[("size", b"100000")]), "ends in the middle"),
        (lying(&[("size", huge.as_bytes())]), "ends in the middle"),
        (lying(&[("size", b"0")]), "checksum"),
        (lying(&[("size", b"-1")]), "size has a wrong value, -1"),
        (lying(&[("path", b"a\0b")]), "path has a wrong value"),
        (lying(&[("uid", b"4294967295")]), "owner's number is too large"),
        (lying(&[("gid", b"9999999999")]), "owner's number is too large"),
        (lying(&[("mtime", b"yesterday")]), "mtime has a wrong value, yesterday"),
        (Layer::new().entry(b'x', "p", "99 path=a\n", |_| {}).file("f", ""), "wrong length"),
        (Layer::new().pax(&[("path", b"a")]), "ends after the PAX header"),
        (Layer::new().entry(b'Z', "f", "", |_| {}), "of a kind that we don't know"),
        (
            Layer::new().entry(b'0', "f", "", |h| h.as_old_mut().size = *b"0000000009\0 "),
            "not octal",
        ),
        (Layer::new().entry(b'0', "f", "", |h| h.as_old_mut().size = [0xff; 12]), "negative"),
        (Layer::new().entry(b'L', "x", vec![b'a'; (1 << 20) + 1], |_| {}), "more than 1 MiB"),
        (Layer::new().entry(b'x', "x", vec![0; (1 << 20) + 1], |_| {}), "more than 1 MiB"),
        (Layer::new().file(vec![b'a'; 4097], ""), "a name of 4097 bytes"),
        (broken, "checksum is wrong"),
        (Layer([vec![0; 512], vec![1; 512]].concat()), "bytes after a block of zeros"),
        (Layer(vec![b'x'; 700]), "checksum"),
    ];
    for (layer, expected) in layers {
        let line = Scratch::new().refuse(layer);
        assert!(line.contains(expected), "{line}\n(not: {expected})");
    }
}

#[test]
fn every_cut_is_noticed() {
    let whole = Layer::new().pax(&[("path", b"long")]).file("f", "content").end();
    for length in (0..whole.len()).step_by(100) {
        // What is left does not have the digest that was promised, at least.
        let result = Scratch::new().apply_blob(&whole[..length], &Digest::of(&whole), 1 << 20);
        assert!(result.is_err(), "{length}");
    }
}

#[test]
fn the_digest_of_the_inflated_bytes_counts() {
    let archive = Layer::new().file("f", "content").end();
    let (wrong, right) = (Digest::of(b""), Digest::of(&archive));
    let result = Scratch::new().apply_blob(&archive, &wrong, 1 << 20);
    let line = result.unwrap_err().to_string();
    assert!(line.contains(&wrong.to_string()) && line.contains(&right.to_string()), "{line}");
}

#[test]
fn a_bomb_is_bounded() {
    let archive = Layer::new().file("f", vec![0; 4 << 20]).end();
    let mut encoder = GzEncoder::new(Vec::new(), Default::default());
    encoder.write_all(&archive).unwrap();
    let blobs = [encoder.finish().unwrap(), zstd::encode_all(&archive[..], 1).unwrap()];
    for blob in blobs {
        let scratch = Scratch::new();
        let apply = |max| scratch.apply_blob(&blob, &Digest::of(&archive), max);
        let line = apply(1 << 20).unwrap_err().to_string();
        assert!(line.contains("more than 1 MiB"), "{line}");
        assert!(scratch.meta("f").len() <= 1 << 20);
        let report = apply(archive.len() as u64).unwrap();
        assert_eq!(report.inflated, archive.len() as u64);
        assert_eq!(scratch.meta("f").len(), 4 << 20);
        assert!(apply(archive.len() as u64 - 1).is_err());
    }
}

#[test]
fn a_tree_ten_thousand_levels_deep_comes_and_goes() {
    let scratch = Scratch::new();
    let steps = "a/".repeat(2000);
    let mut layer = Layer::new().dir(&steps, 0o755);
    // A name is no longer than 4096 bytes, but it may begin with a link.
    for i in 0..4 {
        let target =
            format!("{}{}", if i == 0 { String::new() } else { format!("l{}/", i - 1) }, steps);
        layer = layer.pax(&[("linkpath", target.as_bytes())]).symlink(format!("l{i}"), "x");
        layer = layer.dir(format!("l{i}/{steps}"), 0o755);
    }
    scratch.apply(layer.clone().file("l3/bottom", "reached"));
    assert_eq!(scratch.read("l3/bottom"), "reached");
    // The bottom is this layer's, the rest is hidden.
    scratch.apply(Layer::new().file("l3/new", "new").file(".wh.a", ""));
    assert_eq!(scratch.names("l3"), ["new"]);
    scratch.apply(Layer::new().file("a", "a file"));
    assert_eq!(scratch.read("a"), "a file");
}

#[test]
fn names_may_have_any_bytes() {
    let scratch = Scratch::new();
    let long = format!("{}{}", "d/".repeat(1920), "f".repeat(255)); // 4095 bytes
    let longest = [b'e'; 4096];
    scratch.apply(
        Layer::new()
            .pax(&[("path", b"new\nline"), ("comment", b"")])
            .file("x", "1")
            .file(b"not \xff UTF-8", "2")
            .file(&long, "3"),
    );
    assert_eq!(scratch.read("new\nline"), "1");
    assert_eq!(scratch.read(OsStr::from_bytes(b"not \xff UTF-8")), "2");
    assert!(scratch.exists("d/d/d/d"));
    let line = scratch.refuse(Layer::new().file(longest, ""));
    assert!(line.contains("File name too long"), "{line}");
    let line = scratch.refuse(Layer::new().file("a\nb/../\x1b[1m", "").symlink("a\nb\u{7}", ""));
    assert!(line.contains(r#"cannot make "a\nb\u{7}""#), "{line}");
}
