//! What is large, or becomes so. It is made as it is needed, and never held as a whole.

use std::io::{self, Write};
use std::iter;

use sha2::{Digest, Sha256};

use super::case::Case;
use super::case::Fate::{Applied, LikeUmoci, Refused};
use crate::checks::images::archive::{Packing, gzip, header};
use crate::checks::images::image::{digest, name};
use crate::checks::images::{Image, Item};

pub fn cases() -> Vec<Case> {
    let large = |case| Case { is_large: true, ..case };
    vec![
        large(Case::image(
            "a million whiteouts of what was never there",
            Applied(|rootfs| Ok(rootfs.join("x").exists())),
            || entries((0..1_000_000).map(|number| format!(".wh.{number}")), ""),
        )),
        large(Case::image("20,000 files in one directory", LikeUmoci, || {
            entries((0..20_000).map(|number| format!("d/{number}")), "")
        })),
        large(Case::image("one file, 20,000 times", LikeUmoci, || {
            entries((0..20_000).map(|_| "x".to_string()), "text")
        })),
        Case {
            memory: 192,
            ..large(Case::image(
                "zstd: a window of 128 MiB, and as much in it",
                Applied(|rootfs| Ok(rootfs.join("x").metadata()?.len() == WINDOWFUL)),
                windowful,
            ))
        },
        // The file system keeps a part for root, so ada's disk is full before the limit is reached.
        large(
            Case::image(
                "a file that would fill the disk",
                Refused("inflates to more than"),
                || bomb("x", 2048),
            )
            .for_ada(Refused("No space left")),
        ),
        large(Case::image(
            "a whiteout with a content that would fill it",
            Refused("inflates to more than"),
            || bomb(".wh.x", 2048),
        )),
    ]
}

/// A layer of one entry after the other, each with this text.
fn entries(names: impl Iterator<Item = String>, text: &str) -> Image {
    let pack = || {
        let mut packing = Packing::begin();
        let item = Item { content: text.as_bytes(), ..Item::default() };
        for name in names.chain(["x".into()]) {
            packing.write_all(header(&name, &item).as_bytes())?;
            packing.write_all(text.as_bytes())?;
            packing.write_all(&vec![0; text.len().next_multiple_of(512) - text.len()])?;
        }
        packing.write_all(&[0; 1024])?;
        Ok::<_, io::Error>(packing.end())
    };
    let (bytes, diff_id) = pack().expect("memory takes it");
    Image::packed(vec![("tar+gzip", bytes, diff_id)])
}

const WINDOWFUL: u64 = 144 << 20;

/// A file that zstd may look back 128 MiB in.
fn windowful() -> Image {
    let pack = || {
        let mut hash = Sha256::new();
        let mut zstd = zstd::Encoder::new(Vec::new(), 1)?;
        zstd.window_log(27)?;
        let mut header = header("x", &Item::default());
        header.set_size(WINDOWFUL);
        header.set_cksum();
        let zeros = vec![0; 1 << 20];
        let pieces = iter::once(header.as_bytes().as_slice());
        for piece in pieces.chain(iter::repeat_n(zeros.as_slice(), (WINDOWFUL >> 20) as usize)) {
            hash.update(piece);
            zstd.write_all(piece)?;
        }
        Ok::<_, io::Error>((zstd.finish()?, name(&hash.finalize())))
    };
    let (bytes, diff_id) = pack().expect("memory takes it");
    Image::packed(vec![("tar+zstd", bytes, diff_id)])
}

/// A file of so many MiB of zeros: members of gzip, one for each.
fn bomb(name: &str, mebibytes: usize) -> Image {
    let mut header = header(name, &Item::default());
    header.set_size((mebibytes as u64) << 20);
    header.set_cksum();
    let packed = [gzip(header.as_bytes()), gzip(&[0; 1 << 20]).repeat(mebibytes)].concat();
    Image::packed(vec![("tar+gzip", packed, digest(b""))])
}
