//! Layers whose compression is broken, or odd.

use serde_json::{Value, json};

use super::case::Case;
use super::case::Fate::{Applied, LikeUmoci, Refused};
use crate::checks::images::archive::gzip;
use crate::checks::images::image::{INDEX, MANIFEST, descriptor, digest};
use crate::checks::images::{Archive, Image};

fn layer() -> Vec<u8> {
    let text: String = (0..2000).map(|number| format!("{number}\n")).collect();
    Archive::begin().file("text", &text).end()
}

/// A layer of this type and these bytes, whose diff_id is that of [`layer`].
fn packed(kind: &'static str, pack: impl Fn(&[u8]) -> Vec<u8> + 'static) -> impl Fn() -> Image {
    move || Image::packed(vec![(kind, pack(&layer()), digest(&layer()))])
}

fn zstd(bytes: &[u8]) -> Vec<u8> {
    zstd::encode_all(bytes, 1).expect("memory takes it")
}

pub fn cases() -> Vec<Case> {
    [gzips(), zstds(), types()].into_iter().flatten().collect()
}

fn gzips() -> Vec<Case> {
    const GZIP: &str = "tar+gzip";
    let is_there = Applied(|rootfs| Ok(rootfs.join("text").exists()));
    vec![
        Case::image(
            "gzip: the end is missing",
            Refused("compressed data are cut off"),
            packed(GZIP, |bytes| {
                let mut packed = gzip(bytes);
                packed.truncate(packed.len() - 9);
                packed
            }),
        ),
        Case::image(
            "gzip: only the header is there",
            Refused("compressed data are cut off"),
            packed(GZIP, |bytes| gzip(bytes)[..10].to_vec()),
        ),
        Case::image(
            "gzip: a wrong checksum at the end",
            Refused("corrupt gzip stream"),
            packed(GZIP, |bytes| {
                let mut packed = gzip(bytes);
                let at = packed.len() - 8;
                packed[at] ^= 1;
                packed
            }),
        ),
        Case::image(
            "gzip: a bit has changed in the middle",
            Refused("read the layer"),
            packed(GZIP, |bytes| {
                let mut packed = gzip(bytes);
                let at = packed.len() / 2;
                packed[at..at + 8].fill(0xff);
                packed
            }),
        ),
        Case::image(
            "gzip: garbage behind the end",
            Refused("read the layer"),
            packed(GZIP, |bytes| [gzip(bytes), b"garbage".to_vec()].concat()),
        ),
        Case::image(
            "gzip: zeros behind the end, as on a tape",
            Applied(|rootfs| Ok(rootfs.join("text").exists())),
            packed(GZIP, |bytes| [gzip(bytes), vec![0; 10_000]].concat()),
        ),
        Case::image(
            "gzip: one member for each 512 bytes",
            LikeUmoci,
            packed(GZIP, |bytes| bytes.chunks(512).flat_map(gzip).collect()),
        ),
        Case::image(
            "gzip: 10,000 members of nothing, and then the layer",
            LikeUmoci,
            packed(GZIP, |bytes| [gzip(b"").repeat(10_000), gzip(bytes)].concat()),
        ),
        Case::image(
            "gzip: a file name of 1 MiB in the header",
            Refused("read the layer"),
            packed(GZIP, |bytes| {
                let mut header = gzip(bytes);
                let body = header.split_off(10);
                header[3] |= 8; // FNAME (RFC 1952, 2.3.1)
                [header, vec![b'x'; 1 << 20], vec![0], body].concat()
            }),
        ),
        Case::image("gzip by its type, and not compressed", is_there, packed(GZIP, <[u8]>::to_vec)),
        Case::image("gzip by its type, and zstd in fact", is_there, packed(GZIP, zstd)),
        Case::image("not compressed by its type, and gzip in fact", is_there, packed("tar", gzip)),
        Case::image(
            "zstd by its type, gzip in fact, and another diff_id",
            Refused("the inflated layer is not what it should be"),
            || Image::packed(vec![("tar+zstd", gzip(&layer()), digest(b"else"))]),
        ),
        Case::image(
            "gzip by its type, and bzip2 in fact",
            Refused("no tar archive"),
            packed(GZIP, |_| b"BZh91AY&SY".repeat(100)),
        ),
    ]
}

/// A zstd frame's header that wants a window of 2 to the power of `log`, then one block of nothing
/// (RFC 8878, 3.1.1).
fn window(log: u8) -> Vec<u8> {
    vec![0x28, 0xb5, 0x2f, 0xfd, 0, (log - 10) << 3, 1, 0, 0]
}

fn zstds() -> Vec<Case> {
    const ZSTD: &str = "tar+zstd";
    let is_there = Applied(|rootfs| Ok(rootfs.join("text").exists()));
    vec![
        Case::image(
            "zstd: frames, and one to be skipped between them",
            is_there,
            packed(ZSTD, |bytes| {
                let (one, two) = bytes.split_at(1000);
                [zstd(one), b"\x50\x2a\x4d\x18\x03\0\0\0abc".to_vec(), zstd(two)].concat()
            }),
        ),
        Case::image(
            "zstd: the end is missing",
            Refused("compressed data are cut off"),
            packed(ZSTD, |bytes| {
                let mut packed = zstd(bytes);
                packed.truncate(packed.len() - 3);
                packed
            }),
        ),
        Case::image(
            "zstd: garbage behind the end",
            Refused("read the layer"),
            packed(ZSTD, |bytes| [zstd(bytes), b"garbage".to_vec()].concat()),
        ),
        Case::image(
            "zstd: a frame that is to be skipped and has 4 GiB",
            Refused("read the layer"),
            packed(ZSTD, |_| b"\x50\x2a\x4d\x18\xff\xff\xff\xffabc".to_vec()),
        ),
        Case::image(
            "zstd: a window of 2 GiB",
            Refused("too much memory"),
            packed(ZSTD, |bytes| [window(31), zstd(bytes)].concat()),
        ),
    ]
}

/// Media types that say too little. Docker takes all of these for an image.
fn types() -> Vec<Case> {
    let is_there = Applied(|rootfs| Ok(rootfs.join("text").exists()));
    let of_type = |what: &'static str, media_type: Value| {
        Case::image(what, is_there, move || {
            let mut image = Image::of(&[layer()]);
            image.manifest["config"]["mediaType"] = media_type.clone();
            image
        })
    };
    vec![
        of_type("a config of type application/octet-stream", json!("application/octet-stream")),
        of_type("a config of type application/json", json!("application/json")),
        of_type("a config of type text/html", json!("text/html")),
        of_type("a config of type \"\"", json!("")),
        of_type("a config of type null", Value::Null),
        Case::image("a config and a layer without types", is_there, || {
            let mut image = Image::of(&[layer()]);
            for entry in ["/config", "/layers/0"] {
                let entry = image.manifest.pointer_mut(entry).and_then(Value::as_object_mut);
                entry.expect("it is one").remove("mediaType");
            }
            image
        }),
        Case::shelf("an index whose entry has no type", is_there, |shelf| {
            let image = Image::of(&[layer()]);
            shelf.put_image(&image);
            let mut entry = descriptor(MANIFEST, &image.document());
            entry.as_object_mut().expect("it is one").remove("mediaType");
            let index = json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": [entry] });
            shelf.put_document("latest", INDEX, index.to_string().into_bytes());
        }),
    ]
}
