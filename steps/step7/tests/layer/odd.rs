//! Archives that are right, but not of the usual kind.

use std::io::{Cursor, Write};
use std::os::unix::fs::MetadataExt;

use flate2::write::GzEncoder;
use reference::Digest;

use super::scratch::{Layer, Scratch};

#[test]
fn compressed_layers_may_have_several_parts() {
    let archive = Layer::new().file("f", "content").end();
    let (first, second) = archive.split_at(700);
    let gzip = |part: &[u8]| {
        let mut encoder = GzEncoder::new(Vec::new(), Default::default());
        encoder.write_all(part).unwrap();
        encoder.finish().unwrap()
    };
    let zstd = |part: &[u8]| zstd::encode_all(part, 1).unwrap();
    for blob in [
        [gzip(first), gzip(second)].concat(),
        [gzip(first), gzip(second), vec![0; 512]].concat(),
        [zstd(first), zstd(second)].concat(),
    ] {
        let scratch = Scratch::new();
        let diff_id = Digest::of(&archive);
        scratch.apply_blob(&blob, &diff_id, 1 << 20).unwrap();
        assert_eq!(scratch.read("f"), "content");
        for end in [4, 10, 20] {
            let result = Scratch::new().apply_blob(&blob[..end], &diff_id, 1 << 20);
            let line = result.unwrap_err().to_string();
            assert!(line.ends_with("its compressed data are cut off"), "{line}");
        }
    }
}

#[test]
fn a_blob_is_read_to_its_end() {
    // Bytes after the archive's end count for the digest, and do nothing.
    let archive = [Layer::new().file("f", "").end(), vec![7; 1_000_000]].concat();
    let mut blob = Cursor::new(&archive);
    let scratch = Scratch::new();
    let root = step7::layer::Root::open(&scratch.path("")).unwrap();
    let owners = step7::layer::Owners::Caller;
    let diff_id = Digest::of(&archive);
    step7::layer::apply(&mut blob, &root, &diff_id, owners, 1 << 20).unwrap();
    assert_eq!(blob.position(), archive.len() as u64);
    assert_eq!(scratch.names(""), ["f"]);
}

#[test]
fn an_archive_may_end_anyhow() {
    for layer in [Layer::new(), Layer(vec![0; 512]), Layer::new().file("f", "")] {
        Scratch::new().try_apply(&layer.0).unwrap();
    }
    let mut cut = Layer::new().file("f", "content").0;
    cut.truncate(512 + 7);
    let scratch = Scratch::new();
    scratch.try_apply(&cut).unwrap();
    assert_eq!(scratch.read("f"), "content");
}

#[test]
fn long_names_come_in_four_ways() {
    let scratch = Scratch::new();
    let deep = |letter: &str| format!("{}/{}", letter.repeat(120), letter.repeat(130));
    let mut tar_crates = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_ustar();
    header.set_size(1);
    header.set_mode(0o644);
    let split = format!("{}/{}", "u".repeat(90), "v".repeat(90));
    tar_crates.append_data(&mut header, &split, &b"1"[..]).unwrap();
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(tar::EntryType::Symlink);
    header.set_size(0);
    tar_crates.append_link(&mut header, deep("g"), deep("t")).unwrap();
    scratch.try_apply(&tar_crates.into_inner().unwrap()).unwrap();
    scratch.apply(
        Layer::new()
            .pax(&[("path", deep("p").as_bytes()), ("linkpath", deep("q").as_bytes())])
            .symlink("short", "short")
            .pax(&[("path", b"wrong"), ("path", b"right")])
            .file("short", "2"),
    );
    assert_eq!(scratch.read(split), "1");
    let target = |name| std::fs::read_link(scratch.path(name)).unwrap();
    assert_eq!(target(deep("g")).to_str().unwrap(), deep("t"));
    assert_eq!(target(deep("p")).to_str().unwrap(), deep("q"));
    assert_eq!(scratch.read("right"), "2");
}

#[test]
fn old_and_new_headers_mean_what_go_reads() {
    let scratch = Scratch::new();
    scratch.apply(
        Layer::new()
            .entry(0, "old-dir/", "", |header| header.set_mode(0o755))
            .entry(0, "old-file", "1", |_| {})
            .entry(b'7', "in-one-piece", "2", |_| {})
            .entry(b'g', "pax_global_header", "20 path=from-global\n", |_| {})
            .file("after-global", "3")
            // A size without content.
            .entry(b'1', "hard", "", |header| {
                header.set_size(512);
                header.set_link_name("old-file").unwrap();
            })
            .entry(b'5', "sized", "", |header| {
                header.set_size(4096);
                header.set_mode(0o755);
            })
            .entry(b'0', "binary", "", |header| {
                header.as_old_mut().mtime = *b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xfe";
            })
            .pax(&[("size", b"4"), ("uid", b"0"), ("gid", b"0")])
            .entry(b'0', "sized-by-pax", "four", |header| header.set_size(0)),
    );
    assert!(scratch.meta("old-dir").is_dir() && scratch.meta("sized").is_dir());
    assert_eq!([scratch.read("old-file"), scratch.read("in-one-piece")], ["1", "2"]);
    assert_eq!([scratch.read("after-global"), scratch.read("hard")], ["3", "1"]);
    assert_eq!(scratch.meta("binary").mtime(), -2);
    assert_eq!(scratch.read("sized-by-pax"), "four");
}

/// "begin", a hole of 1 MiB, "end".
fn check_sparse(scratch: &Scratch) {
    let meta = scratch.meta("sparse");
    assert_eq!(meta.len(), (1 << 20) + 3);
    assert!(meta.blocks() * 512 < 100_000, "it has no hole");
    let content = scratch.read("sparse");
    assert_eq!((&content[..6], &content[1 << 20..]), ("begin\0", "end"));
}

#[test]
fn sparse_files_of_gnu_tar() {
    let spans = [(0u64, 512u64), (1 << 20, 3)];
    let mut content = vec![0; 515];
    content[..5].copy_from_slice(b"begin");
    content[512..].copy_from_slice(b"end");
    let scratch = Scratch::new();
    scratch.apply(Layer::new().entry(b'S', "sparse", &content, |header| {
        let gnu = header.as_gnu_mut().unwrap();
        gnu.set_real_size((1 << 20) + 3);
        for (span, (offset, length)) in gnu.sparse.iter_mut().zip(spans) {
            span.set_offset(offset);
            span.set_length(length);
        }
    }));
    check_sparse(&scratch);
    // PAX 0.0, 0.1 and 1.0.
    let real = (1 << 20) + 3;
    let real = real.to_string();
    let styles: [&[(&str, &[u8])]; 3] = [
        &[
            ("GNU.sparse.size", real.as_bytes()),
            ("GNU.sparse.numblocks", b"2"),
            ("GNU.sparse.offset", b"0"),
            ("GNU.sparse.numbytes", b"512"),
            ("GNU.sparse.offset", b"1048576"),
            ("GNU.sparse.numbytes", b"3"),
        ],
        &[
            ("GNU.sparse.size", real.as_bytes()),
            ("GNU.sparse.name", b"sparse"),
            ("GNU.sparse.numblocks", b"2"),
            ("GNU.sparse.map", b"0,512,1048576,3"),
        ],
        &[
            ("GNU.sparse.major", b"1"),
            ("GNU.sparse.minor", b"0"),
            ("GNU.sparse.name", b"sparse"),
            ("GNU.sparse.realsize", real.as_bytes()),
        ],
    ];
    for (i, records) in styles.into_iter().enumerate() {
        let mut stored = if i == 2 { b"2\n0\n512\n1048576\n3\n".to_vec() } else { Vec::new() };
        stored.resize(stored.len().next_multiple_of(512), 0);
        stored.extend(&content);
        let name = if i == 0 { "sparse" } else { "GNUSparseFile.0/sparse" };
        let scratch = Scratch::new();
        scratch.apply(Layer::new().pax(records).file(name, stored).file("after", ""));
        check_sparse(&scratch);
        assert_eq!(scratch.names(""), ["after", "sparse"]);
    }
}

#[test]
fn sparse_files_as_tar_itself_writes_them() {
    let source = Scratch::new();
    let file = std::fs::File::create(source.path("sparse")).unwrap();
    // More pieces than a header has room for.
    for i in 0..40u64 {
        std::os::unix::fs::FileExt::write_all_at(&file, b"x", i * 65536).unwrap();
    }
    for format in
        ["--format=gnu", "--sparse-version=0.0", "--sparse-version=0.1", "--sparse-version=1.0"]
    {
        let mut tar = std::process::Command::new("tar");
        if !format.starts_with("--format") {
            tar.arg("--format=posix");
        }
        let output = tar
            .args([format, "--sparse", "--create", "-C"])
            .arg(source.path(""))
            .arg("sparse")
            .output()
            .unwrap();
        let scratch = Scratch::new();
        scratch.try_apply(&output.stdout).unwrap();
        assert!(scratch.read("sparse") == source.read("sparse"), "{format}");
        assert_eq!(scratch.meta("sparse").blocks(), source.meta("sparse").blocks(), "{format}");
        assert!(output.stdout.len() < 200_000);
    }
}

#[test]
fn sparse_files_that_lie_are_refused() {
    let sparse = |map: &'static str| {
        let blocks = map.split(',').count().div_ceil(2).to_string();
        let records: [(&str, &[u8]); 3] = [
            ("GNU.sparse.size", b"100"),
            ("GNU.sparse.numblocks", blocks.as_bytes()),
            ("GNU.sparse.map", map.as_bytes()),
        ];
        Layer::new().pax(&records).file("f", "0123456789")
    };
    let scratch = Scratch::new();
    scratch.apply(sparse("0,5,50,5"));
    assert_eq!(scratch.read("f"), format!("01234{}56789{}", "\0".repeat(45), "\0".repeat(45)));
    for (map, expected) in [
        ("0,5,4,5", "overlap"),
        ("0,5,99,5", "outside"),
        ("0,5", "not what the archive has"),
        ("0,5,50,6", "not what the archive has"),
        ("0,5,50", "no length"),
        ("18446744073709551615,10", "no end"),
    ] {
        let line = Scratch::new().refuse(sparse(map));
        assert!(line.contains("\"f\"") && line.contains(expected), "{line}");
    }
    let version = [("GNU.sparse.major", &b"1"[..]), ("GNU.sparse.minor", b"0")];
    let size = [version[0], version[1], ("GNU.sparse.realsize", b"100")];
    let line = Scratch::new().refuse(Layer::new().pax(&size).file("f", "2\n0\n"));
    assert!(line.contains("no end"), "{line}");
    let line = Scratch::new().refuse(Layer::new().pax(&size).file("f", vec![b'1'; 512]));
    assert!(line.contains("not one of numbers"), "{line}");
}
